# SPDX-License-Identifier: Apache-2.0
"""A second agent, written from docs/PROTOCOL.md and docs/BLOCK.md alone: none of our own code is on its side."""

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import time
import zlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from OpenSSL import SSL

import lab

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
    def __init__(self, address, port, pin):
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
        context.set_alpn_protos([b"http/1.1"])
        raw = socket.create_connection((address, port))
        self.ssl = SSL.Connection(context, raw)
        self.ssl.set_tlsext_host_name(b"agents.meshping")
        self.ssl.set_connect_state()
        self.ssl.do_handshake()
        spki = self.ssl.get_peer_certificate().to_cryptography().public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert hashlib.sha256(spki).digest()[:16] == pin
        self.ekm = self.ssl.export_keying_material(b"EXPORTER-Channel-Binding", 32)
        self.kept = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.ssl.sendall(f"GET /agent HTTP/1.1\r\nHost: agents.meshping\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                         f"Sec-WebSocket-Protocol: meshping.agent.v1\r\n\r\n".encode())
        while b"\r\n\r\n" not in self.kept:
            self.kept += self.ssl.recv(4096)
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


class SecondAgent:
    def __init__(self, passphrase, name):
        self.k, self.address, self.port, self.pin = read_passphrase(passphrase)
        self.key = Ed25519PrivateKey.generate()
        self.public = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.info = json.dumps({"host": name, "version": "second 1.0", "epoch": "00000000c0ffee01"}).encode()

    def connect(self, mode, forge=lambda fields: fields):
        connection = Connection(self.address, self.port, self.pin)
        welcome = connection.expect("welcome")
        assert welcome["version"] == 1
        nonce_s, nonce_a = unb64(welcome["nonce_s"]), os.urandom(32)
        tid, info, label = b"", self.info, b"meshping/1 resume"
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
            data["tid"] = b64(tid)
        connection.send("handshake", **data)
        return connection


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


@pytest.fixture(scope="module")
def server():
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        one = lab.Server(directory, port=port).start().sign_in()
        yield one
        one.end()


def test_it_joins_takes_targets_delivers_and_resumes(server):
    agent = SecondAgent(server.passphrase(), "second")
    connection = agent.connect("enrol")
    status = connection.expect("registration_status")
    assert status["status"] == "pending" and status["credit"] == 0 and "agent_id" not in status
    fingerprint = hashlib.sha256(agent.public).hexdigest().upper()[:32]
    shown = server.agents()["second"]["fingerprint"]
    assert shown.replace(" ", "") == fingerprint

    server.set_targets([{"address": "192.0.2.1"}, {"address": "host.example", "name": "a host"}])
    server.act("second", "approve")
    status = connection.expect("registration_status")
    assert status["status"] == "approved" and status["ranges"] == [] and status["credit"] > 0
    assert status["epoch"] == "00000000c0ffee01" and status["agent_id"]
    update = connection.expect("server_message")
    assert (update["type"], update["part"], update["parts"]) == ("update_targets", 0, 1)
    targets = {target["address"]: target["id"] for target in update["targets"]}
    assert targets == server.targets()
    connection.send("targets_applied", revision=update["revision"], count=2)

    connection.send("status", time_us=int(time.time() * 1e6), ping=77)
    pong = connection.expect("status")
    while not pong.get("pong"):
        pong = connection.expect("status")
    assert pong["pong"] == 77 and abs(pong["echo_us"] / 1e6 - time.time()) < 5

    now_us = int(time.time() * 1e6)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_us // 1000000)) + f".{now_us % 1000000:06d}Z"
    epoch = "00000000c0ffee01"
    connection.send("monitoring_data", epoch=epoch, sequence=1, samples=[
        {"target": targets["192.0.2.1"], "timestamp": stamp, "result": "ok", "latency": 12.345},
        {"target": targets["host.example"], "timestamp": stamp, "result": "fail", "latency": 0, "reason": "unreachable"}])
    block = block_of(targets["192.0.2.1"], now_us - 5000000, 777)
    connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), 0xC0FFEE01, 2) + block)
    connection.send("gap", epoch=epoch, first=3, last=4, from_us=now_us - 9, to_us=now_us, samples=2, reason="expired")
    received = connection.expect("data_received")
    while received["ranges"] != [[1, 4]]:
        received = connection.expect("data_received")
    assert received["epoch"] == epoch

    found = json.dumps(server.series("second", "192.0.2.1"))
    assert "12345" in found and "777" in found
    assert server.cells()[("second", "192.0.2.1")] == "ok"
    assert server.cells()[("second", "host.example")] == "fail"

    again = agent.connect("resume")
    status = again.expect("registration_status")
    assert status["status"] == "approved" and status["ranges"] == [[1, 4]]
    while True:
        event, data = connection.next()
        if event == "closed":
            break
    assert data == 1000  # the younger connection took its place


@pytest.mark.parametrize("field", [3, 4, 2], ids=["ekm", "nonce", "server"])
def test_a_handshake_made_for_another_connection_is_refused(server, field):
    agent = SecondAgent(server.passphrase(), "relayed")

    def forge(fields):
        fields[field] = bytes(len(fields[field]))
        return fields

    for mode in ("enrol", "resume"):
        assert agent.connect(mode, forge).next() == ("closed", 1008)
    assert "relayed" not in server.agents()


def test_an_unknown_key_is_told_so(server):
    agent = SecondAgent(server.passphrase(), "stranger")
    connection = agent.connect("resume")
    assert connection.expect("refused")["code"] == "unknown_key"
    agent.k = bytes(16)
    assert agent.connect("enrol").expect("refused")["code"] == "passphrase"
