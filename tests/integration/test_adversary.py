# SPDX-License-Identifier: Apache-2.0
"""Who means harm and speaks the wire himself (wire.py): each attempt ends as docs/PROTOCOL.md says, with a line in the log
that names it, and the server goes on."""

import json
import os
import socket
import ssl
import struct
import threading
import time

import pytest
from OpenSSL import SSL

import lab
from test_identity import join, state_of
from wire import Connection, Speaker, b64, block_of, hkdf, read_passphrase, unb64

P = 2**255 - 19
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
SMALL = [0, 1, P - 1, P, P + 1, int.from_bytes(ORDER_8, "little"),
         int.from_bytes(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little")]


@pytest.fixture(scope="module")
def server():
    with lab.directory() as directory:
        one = lab.Server(directory, port=lab.free_port())
        (directory / "conf").write_text("failed_enrolments_max = 250\n")
        one.start("--config", directory / "conf").sign_in()
        try:
            yield one
        finally:
            assert one.end() == 0, one.daemon.text()


@pytest.fixture(autouse=True)
def goes_on(server):
    server.mark = len(server.daemon.text())
    yield
    assert server.daemon.process.poll() is None and server.call("GET", "/api/v1/agents") is not None


def expect_line(server, words):
    lab.wait_for(f"a log line with {words!r}", 5, lambda: words in server.daemon.text()[server.mark:])


def ending(connection):
    """The close code, after whatever else is said; None: cut off."""
    try:
        while (event := connection.next())[0] != "closed":
            pass
        return event[1]
    except (SSL.Error, OSError):
        return None


# ---- handshakes ----

def test_a_replayed_handshake_is_refused(server):
    speaker = Speaker(server.passphrase(), "replayed")
    sent = []

    class Recorded(Connection):
        def send(self, event, **data):
            sent.append(data)
            super().send(event, **data)

    import wire
    original, wire.Connection = wire.Connection, Recorded
    try:
        assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
    finally:
        wire.Connection = original
    again = Connection(speaker.address, speaker.port, speaker.pin)
    again.expect("welcome")
    again.send("handshake", **sent[0])
    assert ending(again) == 1008
    expect_line(server, "does not fit the agent's key and this connection")


@pytest.mark.parametrize("event, data", [
    ("joined", {"serial": "0000000000000001"}), ("status", {"time_us": 1}), ("targets_applied", {"revision": 1, "count": 0}),
    ("gap", {"epoch": "00000000c0ffee01", "first": 1, "last": 1, "from_us": 0, "to_us": 0, "reason": "overflow"}),
    ("monitoring_data", {"epoch": "00000000c0ffee01", "sequence": 1, "samples": [
        {"target": 1, "timestamp": "2026-11-23T00:00:00Z", "result": "ok", "latency": 1}]}),
], ids=lambda value: value if isinstance(value, str) else "")
def test_anything_before_the_handshake_ends_it(server, event, data):
    speaker = Speaker(server.passphrase(), "early")
    connection = Connection(speaker.address, speaker.port, speaker.pin)
    connection.expect("welcome")
    connection.send(event, **data)
    assert ending(connection) == 1008
    expect_line(server, f"{event} before the handshake")


def handshake_text(speaker, connection):
    welcome = connection.expect("welcome")
    nonce_s, nonce_a = unb64(welcome["nonce_s"]), os.urandom(32)
    fields = [b"meshping/1 resume", struct.pack(">I", 1), bytes.fromhex(welcome["server_id"]), connection.ekm, nonce_s,
              nonce_a, speaker.public, b"", speaker.info]
    signature = speaker.key.sign(b"".join(struct.pack(">H", len(f)) + f for f in fields))
    return json.dumps({"event": "handshake", "data": {"mode": "resume", "public_key": b64(speaker.public), "nonce_a": b64(
        nonce_a), "info": b64(speaker.info), "signature": b64(signature)}}).encode()


@pytest.mark.parametrize("keep", [1, 10, 100, 300, -1])
def test_a_truncated_handshake_is_refused(server, keep):
    speaker = Speaker(server.passphrase(), "truncated")
    connection = Connection(speaker.address, speaker.port, speaker.pin)
    text = handshake_text(speaker, connection)
    connection.frame(1, text[:keep])
    assert ending(connection) == 1007
    expect_line(server, "not JSON")


def test_fields_in_another_order_are_the_same_handshake_and_a_second_one_is_none(server):
    speaker, _ = join(server, "ordered")
    connection = Connection(speaker.address, speaker.port, speaker.pin)
    message = json.loads(handshake_text(speaker, connection))
    message = {"data": dict(reversed(message["data"].items())), "event": "handshake"}
    connection.frame(1, json.dumps(message).encode())
    assert connection.expect("registration_status")["status"] == "hold"  # known, but without its ticket
    connection.frame(1, json.dumps(message).encode())
    assert ending(connection) == 1008
    expect_line(server, "a second handshake")


def test_a_second_enrol_on_one_connection_ends_it(server):
    speaker = Speaker(server.passphrase(), "twice")
    connection = speaker.connect("enrol")
    connection.expect("registration_status")
    other = Speaker(server.passphrase(), "twice more")
    connection.send("handshake", mode="enrol", tid=b64(hkdf(other.k, b"meshping/1 tid")[:8]), public_key=b64(other.public),
                    nonce_a=b64(bytes(32)), info=b64(bytes(64)), signature=b64(bytes(64)))
    assert ending(connection) == 1008
    expect_line(server, "a second handshake")
    assert "twice more" not in server.agents()


@pytest.mark.parametrize("y", SMALL, ids=range(len(SMALL)))
@pytest.mark.parametrize("sign", [0, 1])
def test_a_key_of_small_order_is_refused(server, y, sign):
    """Its signature (R = the point 1, S = 0) is good for many messages, and made without any private key."""
    speaker = Speaker(server.passphrase(), "small")
    speaker.public = (y | sign << 255).to_bytes(32, "little")

    class Nobody:
        def sign(self, _):
            return (1).to_bytes(32, "little") + bytes(32)

    speaker.key = Nobody()
    assert ending(speaker.connect("enrol")) == 1008
    assert ending(speaker.connect("resume")) == 1008
    expect_line(server, "small order")
    assert "small" not in server.agents()


def test_a_stolen_passphrase_only_asks(server):
    passphrase = server.passphrase()
    victim = Speaker(passphrase, "victim")
    assert victim.connect("enrol").expect("registration_status")["status"] == "pending"
    server.act("victim", "approve")
    thief = Speaker(passphrase, "victim")
    assert thief.connect("enrol").expect("registration_status")["status"] == "pending"
    thief.public = victim.public  # and the victim's name is not enough either
    assert ending(thief.connect("enrol")) == 1008
    assert sorted(a["state"] for a in server.call("GET", "/api/v1/agents")["agents"] if a["host_name"] == "victim") == [
        "approved", "pending"]


def test_a_stolen_database_forges_no_ticket_and_opens_no_passphrase(server):
    speaker, _ = join(server, "robbed")
    passphrase = server.passphrase()
    k = read_passphrase(passphrase)[0]
    stolen = b"".join((server.state / name).read_bytes() for name in ("meshping.db", "meshping.db-wal")
                      if (server.state / name).exists())
    assert k not in stolen and passphrase.encode() not in stolen, "K lies there sealed"
    assert speaker.ticket[8:] not in stolen
    for name in ("ticket.key", "seal.key"):
        assert (server.state / name).read_bytes() not in stolen


# ---- in the middle ----

def run_relay(server, certificate, key, count=1):
    """Decrypts both sides and passes everything on; (port, thread)."""
    listener = socket.create_server(("127.0.0.1", 0))
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    inside.load_cert_chain(certificate, key)
    inside.set_alpn_protocols(["http/1.1"])

    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for one in (a, b):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        for _ in range(count):
            try:
                near = inside.wrap_socket(listener.accept()[0], server_side=True)
            except OSError:
                continue
            far = server.tls()
            threading.Thread(target=pump, args=(near, far), daemon=True).start()
            threading.Thread(target=pump, args=(far, near), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


@pytest.mark.parametrize("mode", ["enrol", "resume"])
def test_a_relay_with_the_servers_own_key_is_found_out_by_the_channel_binding(server, mode):
    speaker, _ = join(server, f"relayed {mode}")
    speaker.port = run_relay(server, server.state / "server.crt", server.state / "server.key")
    assert ending(speaker.connect(mode)) in (1008, None)
    expect_line(server, "does not fit the agent's key and this connection")
    assert state_of(server, f"relayed {mode}") == "approved", "and nothing has changed"


def test_the_agent_says_nothing_to_a_man_in_the_middle_with_another_certificate(server):
    with lab.directory() as directory:
        lab.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                "/CN=agents.meshping", "-keyout", str(directory / "key"), "-out", str(directory / "crt"), "-days", "2")
        port = run_relay(server, directory / "crt", directory / "key", 8)
        agent = lab.Agent(directory, "lured", server.passphrase(advertise=f"127.0.0.1:{port}")).start()
        try:
            lab.wait_for("it says why", 15, lambda: "not the one of the passphrase" in agent.daemon.text())
        finally:
            agent.end()
    assert "lured" not in server.agents()


@pytest.mark.parametrize("alpn", ["h2", "http/1.0", "meshping"])
def test_no_other_protocol_is_agreed_on(server, alpn):
    try:
        tls = server.tls(alpn)
    except ssl.SSLError:
        return
    assert tls.selected_alpn_protocol() in (None, "http/1.1")
    tls.close()


def test_tls_1_2_is_refused_whatever_the_name(server):
    for name in ("agents.meshping", "localhost", None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(server.connect(), server_hostname=name)


# ---- after the handshake ----

def test_data_of_a_pending_agent_ends_the_connection(server):
    speaker = Speaker(server.passphrase(), "eager")
    connection = speaker.connect("enrol")
    connection.expect("registration_status")
    block = block_of(1, int(time.time()) * 1000000, 5)
    connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), 0xC0FFEE01, 1) + block)
    assert ending(connection) == 1008
    expect_line(server, "data from an agent that is pending")


def test_a_forged_agent_id_in_a_message_changes_nothing(server):
    victim, _ = join(server, "impersonated")
    server.set_targets(["192.0.2.1"])
    target, victim_id = server.targets()["192.0.2.1"], server.agents()["impersonated"]["id"]
    thief, connection = join(server, "impostor")
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    connection.send("monitoring_data", agent_id=victim_id, epoch="00000000c0ffee01", sequence=1, samples=[
        {"target": target, "timestamp": stamp, "result": "ok", "latency": 0.123, "agent_id": victim_id}])
    while connection.expect("data_received")["ranges"] != [[1, 1]]:
        pass
    assert 123 in server.series("impostor", "192.0.2.1")["rtt_us"]
    assert server.series("impersonated", "192.0.2.1")["time_ms"] == []
    connection.send("monitoring_data", epoch="00000000c0ffee02", sequence=2, samples=[
        {"target": target, "timestamp": stamp, "result": "ok", "latency": 1}])
    assert ending(connection) == 1008
    expect_line(server, "another epoch")


def test_one_byte_over_64_kib_and_fragments_end_the_connection(server):
    speaker, connection = join(server, "large")
    text = b'{"event":"status","data":{"time_us":1,"ping":7,"x":"' + b"y" * 65481 + b'"}}'
    assert len(text) == 65536
    connection.frame(1, text)
    while connection.expect("status").get("pong") != 7:  # 65,536 bytes are taken
        pass
    connection.ssl.sendall(struct.pack(">BBQ4s", 0x81, 0xFF, 65537, bytes(4)) + b"x")
    assert ending(connection) == 1009
    expect_line(server, "a text frame of 65537 bytes")
    connection = speaker.connect("resume")
    speaker.join(connection)
    connection.ssl.sendall(struct.pack(">BB4s", 0x01, 0x82, bytes(4)) + b"{}")
    assert ending(connection) == 1003
    expect_line(server, "in fragments")


# ---- floods ----

def test_a_slow_handshake_ends_after_ten_seconds(server):
    """A byte a second, in TLS and in WebSocket frames: neither keeps the connection."""
    tls = server.connect()
    tls.sendall(b"\x16\x03\x01\x02\x00")
    speaker = Speaker(server.passphrase(), "slow")
    connection = Connection(speaker.address, speaker.port, speaker.pin)
    text = handshake_text(speaker, connection)
    connection.ssl.sendall(struct.pack(">BBH4s", 0x81, 0xFE, len(text), bytes(4)))
    began, alive = time.monotonic(), True
    tls.settimeout(0.01)
    while time.monotonic() - began < 20 and alive:
        time.sleep(0.9)
        try:
            connection.ssl.sendall(b"{")
        except (SSL.Error, OSError):
            alive = False
    assert not alive and time.monotonic() - began < 16
    expect_line(server, "did not authenticate within 10 s")
    with pytest.raises(OSError):
        for _ in range(100):
            tls.sendall(b"\x01")
            time.sleep(0.05)


def test_five_failed_enrolments_a_minute_from_an_address(server):
    with lab.directory() as directory:
        strict = lab.Server(directory, port=lab.free_port()).start().sign_in()
        try:
            speaker = Speaker(strict.passphrase(), "guesser")
            good, speaker.k = speaker.k, bytes(16)
            for _ in range(5):
                assert speaker.connect("enrol", source="127.0.0.50").expect("refused")["code"] == "passphrase"
            refused = speaker.connect("enrol", source="127.0.0.50").expect("refused")
            assert refused["code"] == "later" and refused["retry_s"] >= 30
            speaker.k = good
            assert speaker.connect("enrol", source="127.0.0.50").expect("refused")["code"] == "later"
            assert speaker.connect("enrol", source="127.0.0.51").expect("registration_status")["status"] == "pending"
            assert "127.0.0.50 has failed to enrol 5 times" in strict.daemon.text()
        finally:
            strict.end()


def test_ten_thousand_connects_from_one_address_keep_nobody_out(server):
    open_ones = []
    try:
        for number in range(10000):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex((server.address, server.port))
            open_ones.append(one)
            if len(open_ones) > 800:
                open_ones.pop(0).close()
            if number % 2500 == 2499:
                began = time.monotonic()
                assert server.request("GET", "/readyz")[0] == 200 and time.monotonic() - began < 5
    finally:
        for one in open_ones:
            one.close()
    speaker = Speaker(server.passphrase(), "after the flood")
    assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
