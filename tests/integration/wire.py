# SPDX-License-Identifier: Apache-2.0
"""An agent written from docs/PROTOCOL.md and docs/BLOCK.md alone: none of our own code is on its side of the wire."""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import time
import zlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from OpenSSL import SSL

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def hkdf(key, info, salt=b""):
    extracted = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\1", hashlib.sha256).digest()


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def read_passphrase(text):
    """K, address, port, pin of an IPv4 server's passphrase. Python's AEAD has no short tags: decrypts without one."""
    digits = text.replace("-", "")[3:]
    assert text.startswith("MP1-") and len(digits) == 72
    number = 0
    for digit in digits:
        number = number << 5 | DIGITS.index(digit)
    raw = number.to_bytes(45, "big")
    assert raw[0] == 0x10
    body = raw[17:40]
    stream = ChaCha20Poly1305(hkdf(raw[1:17], b"meshping/1 addr")).encrypt(bytes(12), bytes(len(body)), b"")
    body = bytes(a ^ b for a, b in zip(body, stream))
    sealed = ChaCha20Poly1305(hkdf(raw[1:17], b"meshping/1 addr")).encrypt(bytes(12), body, raw[:1])
    assert sealed[23:28] == raw[40:], "the tag"
    assert body[0] == 4
    return raw[1:17], socket.inet_ntoa(body[1:5]), int.from_bytes(body[5:7], "big"), body[7:]


class Connection:
    def __init__(self, address, port, pin, source=""):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_alpn_protos([b"http/1.1"])
        raw = socket.create_connection((address, port), source_address=(source, 0))
        self.ssl = SSL.Connection(context, raw)
        self.ssl.set_tlsext_host_name(b"agents.meshping")
        self.ssl.set_connect_state()
        self.ssl.do_handshake()
        spki = self.ssl.get_peer_certificate().to_cryptography().public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert hashlib.sha256(spki).digest()[:16] == pin
        self.ekm = self.ssl.export_keying_material(b"EXPORTER-Channel-Binding", 32)
        self.kept, self.reason = b"", ""
        key = base64.b64encode(os.urandom(16)).decode()
        self.ssl.sendall(f"GET /agent HTTP/1.1\r\nHost: agents.meshping\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                         f"Sec-WebSocket-Protocol: meshping.agent.v1\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.kept:
            try:
                self.kept += self.ssl.recv(4096)
            except SSL.Error:
                raise AssertionError("no answer") from None
        head, self.kept = self.kept.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head

    def take(self, count):
        while len(self.kept) < count:
            self.kept += self.ssl.recv(65536)
        data, self.kept = self.kept[:count], self.kept[count:]
        return data

    def frame(self, opcode, payload):
        length = len(payload)
        head = bytes([0x80 | opcode]) + (bytes([0x80 | length]) if length < 126 else
                                         struct.pack(">BH", 0xFE, length) if length < 65536 else
                                         struct.pack(">BQ", 0xFF, length))
        mask = os.urandom(4)
        self.ssl.sendall(head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)))

    def send(self, event, **data):
        self.frame(1, json.dumps({"event": event, "data": data}).encode())

    def next(self):
        """The next message as (event, data); a close frame as ("closed", its code)."""
        while True:
            first, length = self.take(2)
            length = struct.unpack(">H", self.take(2))[0] if length == 126 else length
            payload = self.take(length)
            if first & 15 == 8:
                self.reason = payload[2:].decode()
                return "closed", struct.unpack(">H", payload[:2])[0]
            if first & 15 == 1:
                message = json.loads(payload)
                return message["event"], message["data"]

    def expect(self, wanted):
        """Skips what else there may be, and answers pings, until the wanted event comes."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            event, data = self.next()
            if event == wanted:
                return data
            assert event in ("status", "registration_status", "server_message", "data_received"), (event, data, self.reason)
        raise AssertionError(f"no {wanted}")


class Speaker:
    def __init__(self, passphrase, name):
        self.k, self.address, self.port, self.pin = read_passphrase(passphrase)
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.ticket = b""
        self.info = json.dumps({"host": name, "version": "second 1.0", "epoch": "00000000c0ffee01"}).encode()

    def connect(self, mode, forge=lambda fields: fields, source=""):
        connection = Connection(self.address, self.port, self.pin, source)
        welcome = connection.expect("welcome")
        assert welcome["version"] == 1
        nonce_s, nonce_a = unb64(welcome["nonce_s"]), os.urandom(32)
        connection.server_id, connection.nonce_s = welcome["server_id"], nonce_s
        tid, info, label = self.ticket, self.info, b"meshping/1 resume"
        if mode == "enrol":
            label = b"meshping/1 enrol"
            tid = hkdf(self.k, b"meshping/1 tid")[:8]
            salt = hashlib.sha256(connection.ekm + nonce_s + nonce_a).digest()
            sealer = ChaCha20Poly1305(hkdf(self.k, b"meshping/1 info", salt))
            info = sealer.encrypt(bytes(12), self.info, tid + self.public)
        fields = [label, struct.pack(">I", 1), bytes.fromhex(welcome["server_id"]), connection.ekm, nonce_s, nonce_a,
                  self.public, tid, info]
        signature = self.key.sign(b"".join(struct.pack(">H", len(f)) + f for f in forge(fields)))
        data = {"mode": mode, "public_key": b64(self.public), "nonce_a": b64(nonce_a), "info": b64(info),
                "signature": b64(signature)}
        if tid:
            data["tid" if mode == "enrol" else "ticket"] = b64(tid)
        connection.send("handshake", **data)
        return connection

    def join(self, connection):
        """Takes the ticket that comes, and returns the status after it."""
        status = connection.expect("registration_status")
        assert status["credit"] == 0 and status["ranges"] == []
        self.ticket = unb64(status["ticket"])
        assert len(self.ticket) == 40
        connection.send("joined", serial=self.ticket[:8].hex())
        return connection.expect("registration_status")


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def block_of(target, slot_us, rtt_us):
    """One reply: BLOCK.md, version 2, three low bits of it apart."""
    columns = b"".join(b"\x00" + varint(low) for low in (target, 1, slot_us + (1 << 56), 0, 0))
    chunk = b"\x04\x04\x00\x00\x01\x03" + b"\x01\x01" + bytes([rtt_us >> 3 << 1]) + bytes([rtt_us & 7])
    body = b"M\x02\x01\x01" + columns + varint(1) + varint(len(chunk)) + chunk
    return body + struct.pack("<I", zlib.crc32(body))
