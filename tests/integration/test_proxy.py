# SPDX-License-Identifier: Apache-2.0
"""A proxy between: PROXY version 2 for everybody, X-Forwarded-For of browsers, from trusted_proxies only; and the one limit
on time from the connection to the handshake, at each stage of it."""

import contextlib
import http.client
import json
import socket
import struct
import threading
import time

import pytest
from OpenSSL import SSL

import lab
from test_adversary import ending, expect_line, handshake_text
from test_identity import join, reason_of, state_of
from wire import Connection, Speaker

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
LIMIT_S = 2
TRUSTED = "127.0.0.60"


def header(source="192.0.2.77", command=0x21, family=None, body=None, extensions=b""):
    if body is None:
        kind = socket.AF_INET6 if ":" in source else socket.AF_INET
        there = "2001:db8::1" if ":" in source else "198.51.100.1"
        body = socket.inet_pton(kind, source) + socket.inet_pton(kind, there) + struct.pack(">HH", 12345, 8443) + extensions
    return SIGNATURE + struct.pack(">BBH", command, family or (0x21 if ":" in source else 0x11), len(body)) + body


@pytest.fixture(scope="module")
def server():
    with lab.directory() as directory:
        one = lab.Server(directory, port=lab.free_port())
        (directory / "conf").write_text(f"trusted_proxies = {TRUSTED}, 127.0.0.64/30\nauthentication_s = {LIMIT_S}\n")
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


class Proxy:
    """Passes TCP on, byte by byte as it comes, with a header before; one thread a direction."""

    def __init__(self, server, head, own=TRUSTED, pieces=None):
        self.server, self.head, self.own, self.pieces = server, head, own, pieces
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.sockets = [self.listener]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                near = self.listener.accept()[0]
                far = socket.create_connection((self.server.address, self.server.port), source_address=(self.own, 0))
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.sockets += [near, far]
                for i in range(0, len(self.head), self.pieces or len(self.head) or 1):
                    far.sendall(self.head[i:i + (self.pieces or len(self.head))])
                    time.sleep(0.01 if self.pieces else 0)
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        with contextlib.suppress(OSError):
            b.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def observed(server, name):
    return server.agents()[name]["observed_address"]


@pytest.mark.parametrize("source, known", [("192.0.2.77", "192.0.2.77"), ("2001:db8::77", "2001:db8::77"),
                                           ("::ffff:192.0.2.78", "192.0.2.78")])
def test_an_agent_is_where_the_trusted_proxy_says(server, source, known):
    speaker = Speaker(server.passphrase(), f"by {source}")
    with Proxy(server, header(source)) as proxy:
        speaker.port = proxy.port
        assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
        assert observed(server, f"by {source}") == known
    server.act(f"by {source}", "approve")
    assert server.agents()[f"by {source}"]["approved_addresses"].split("/")[0].rstrip(":") in known


def test_a_changed_address_behind_the_proxy_means_hold_and_the_proxys_own_does_not_count(server):
    speaker = Speaker(server.passphrase(), "moving")
    with Proxy(server, header("192.0.2.10")) as proxy, Proxy(server, header("192.0.2.11")) as other:
        speaker.port = proxy.port
        connection = speaker.connect("enrol")
        connection.expect("registration_status")
        server.act("moving", "approve")
        assert speaker.join(connection)["status"] == "approved"
        again = speaker.connect("resume")
        assert speaker.join(again)["status"] == "approved"
        speaker.port = other.port
        speaker.join(speaker.connect("resume"))
        assert state_of(server, "moving") == "hold" and "192.0.2.11" in reason_of(server, "moving")


def test_failed_enrolments_are_counted_by_the_address_behind_the_proxy(server):
    speaker = Speaker(server.passphrase(), "guesser")
    speaker.k = bytes(16)
    with Proxy(server, header("192.0.2.20")) as bad, Proxy(server, header("192.0.2.21")) as other:
        speaker.port = bad.port
        for _ in range(5):
            assert speaker.connect("enrol").expect("refused")["code"] == "passphrase"
        assert speaker.connect("enrol").expect("refused")["code"] == "later"
        speaker.port = other.port
        assert speaker.connect("enrol").expect("refused")["code"] == "passphrase"
    expect_line(server, "192.0.2.20 has failed to enrol")


def test_a_blocked_address_is_blocked_behind_the_proxy_too(server):
    server.call("PUT", "/api/v1/blocked", {"addresses": "192.0.2.30"})
    try:
        with Proxy(server, header("192.0.2.30")) as blocked, Proxy(server, header("192.0.2.31")) as other:
            speaker = Speaker(server.passphrase(), "blocked")
            speaker.port = blocked.port
            with pytest.raises((AssertionError, SSL.Error, OSError)):
                speaker.connect("enrol")
            expect_line(server, "192.0.2.30 is blocked")
            speaker.port = other.port
            assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
    finally:
        server.call("PUT", "/api/v1/blocked", {"addresses": ""})


@pytest.mark.parametrize("head, own", [
    (header(command=0x20, family=0, body=b""), TRUSTED), (header(command=0x20), TRUSTED),
    (header(family=0, command=0x21, body=b"", source="192.0.2.1"), TRUSTED), (b"", TRUSTED), (b"", "127.0.0.66"),
], ids=["LOCAL", "LOCAL with addresses", "unspecified", "no header", "no header, another proxy"])
def test_a_proxy_that_speaks_for_itself_is_itself(server, head, own):
    if len(head) > 13 and head[12] == 0x21:
        head = head[:13] + b"\0" + head[14:]
    with Proxy(server, head, own=own) as proxy:
        speaker = Speaker(server.passphrase(), f"itself {own} {head[12:14].hex()} {len(head)}")
        speaker.port = proxy.port
        connection = speaker.connect("enrol")
        assert connection.expect("registration_status")["status"] == "pending"
        assert observed(server, json.loads(speaker.info)["host"]) == own


def test_extensions_are_passed_over_and_the_header_may_come_byte_by_byte(server):
    checksummed = header("192.0.2.40", extensions=b"\x04\x00\x03abc\x05\x00\x02xy" + b"\x04\x05\x00" + bytes(0x500))
    for number, pieces in enumerate((None, 40)):
        with Proxy(server, checksummed, pieces=pieces) as proxy:
            speaker = Speaker(server.passphrase(), f"extended {number}")
            speaker.port = proxy.port
            assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
            assert observed(server, f"extended {number}") == "192.0.2.40"
    with Proxy(server, header("192.0.2.41"), pieces=1) as proxy:
        speaker = Speaker(server.passphrase(), "in bytes")
        speaker.port = proxy.port
        assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
        assert observed(server, "in bytes") == "192.0.2.41"


def cut_off(server, data, own, then=b""):
    """What comes back before the server ends the connection, and after how long."""
    began = time.monotonic()
    with socket.create_connection((server.address, server.port), source_address=(own, 0), timeout=15) as one:
        one.sendall(data)
        got = b""
        with contextlib.suppress(OSError):
            if then:
                time.sleep(0.2)
                one.sendall(then)
            while more := one.recv(4096):
                got += more
        return got, time.monotonic() - began


@pytest.mark.parametrize("head", [header(), header("2001:db8::1"), header(command=0x20, family=0, body=b""), SIGNATURE[:5],
                                  b"PROXY TCP4 192.0.2.77 198.51.100.1 12345 8443\r\n"],
                         ids=["v2", "v2 of IPv6", "LOCAL", "its begin", "v1"])
def test_a_header_from_anybody_else_is_refused_and_logged(server, head):
    for own in ("127.0.0.61", "127.0.0.1", "127.0.0.68"):
        server.mark = len(server.daemon.text())
        got, seconds = cut_off(server, head, own)
        assert got == b"" and seconds < LIMIT_S
        expect_line(server, f"{own} sent a PROXY header, and is not in trusted_proxies")


@pytest.mark.parametrize("head, words", [
    (b"PROXY TCP4 192.0.2.77 198.51.100.1 12345 8443\r\n", "version 1, not 2"),
    (SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), "version 3"),
    (SIGNATURE + b"\x2f\x11\0\x0c" + bytes(12), "command 15"),
    (SIGNATURE + b"\x21\x12\0\x0c" + bytes(12), "not TCP over IP"),
    (SIGNATURE + b"\x21\x31\0\xd8" + bytes(216), "not TCP over IP"),
    (SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), "too short for its addresses"),
    (SIGNATURE + b"\x21\x11\xff\xff", "at most 2064"),
    (header(extensions=b"\x04\xff\xff"), "cut off"),
    (header(extensions=b"\x03\0\x04abcd"), "checksum is wrong"),
    (SIGNATURE[:11] + b"!" + b"\x21\x11\0\x0c" + bytes(12), "no PROXY header"),
    (header() + header(), "said it twice"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_a_bad_header_of_a_trusted_proxy_is_refused_and_named(server, head, words):
    got, seconds = cut_off(server, head, TRUSTED)
    assert got == b"" and seconds < LIMIT_S
    expect_line(server, words)


@pytest.mark.parametrize("sent", [b"", header()[:1], header()[:15], header()[:20], header(), header() + b"\x16"],
                         ids=["nothing", "a byte", "15 bytes", "20 bytes", "a header and no TLS", "a byte of TLS"])
def test_a_proxy_that_stops_in_the_middle_is_cut_off_in_time(server, sent):
    got, seconds = cut_off(server, sent, TRUSTED)
    assert got == b"" and LIMIT_S - 0.5 < seconds < LIMIT_S + 2


def test_a_header_in_drops_does_not_buy_time(server):
    began = time.monotonic()
    with socket.create_connection((server.address, server.port), source_address=(TRUSTED, 0), timeout=15) as one:
        long = header(extensions=b"\x04\x04\x00" + bytes(1024))
        with pytest.raises(OSError):
            for i in range(len(long)):
                one.sendall(long[i:i + 1])
                time.sleep(0.1)
                assert time.monotonic() - began < 3 * LIMIT_S
    assert time.monotonic() - began > LIMIT_S - 0.5


# ---- browsers ----

def session_address(server, own, forwarded, head=b""):
    """Whom the list of sessions names after a sign-in that came like this."""
    raw = socket.create_connection((server.address, server.port), source_address=(own, 0), timeout=10)
    raw.sendall(head)
    connection = http.client.HTTPConnection(server.address, server.port)
    context = lab.ssl.SSLContext(lab.ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, lab.ssl.CERT_NONE
    connection.sock = context.wrap_socket(raw, server_hostname="localhost")
    body = json.dumps({"user": server.USER, "password": server.PASSWORD})
    connection.request("POST", "/api/v1/session", body, {"Content-Type": "application/json", **(
        {"X-Forwarded-For": forwarded} if forwarded else {})})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    cookie = answer.getheader("Set-Cookie").split(";")[0]
    connection.request("GET", "/api/v1/sessions", headers={"Cookie": cookie})
    listed = json.loads(connection.getresponse().read())["sessions"]
    connection.close()
    return next(one["address"] for one in listed if one["current"])


@pytest.mark.parametrize("own, forwarded, head, expected", [
    (TRUSTED, "198.51.100.9", b"", "198.51.100.9"), ("127.0.0.61", "198.51.100.9", b"", "127.0.0.61"),
    (TRUSTED, "1.2.3.4, 198.51.100.9, 127.0.0.65", b"", "198.51.100.9"), (TRUSTED, "nonsense", b"", TRUSTED),
    (TRUSTED, "", header("192.0.2.50"), "192.0.2.50"), (TRUSTED, "198.51.100.9", header("192.0.2.50"), "192.0.2.50"),
    (TRUSTED, "198.51.100.9", header("127.0.0.65"), "198.51.100.9"), (TRUSTED, "", b"", TRUSTED)],
    ids=["said by a proxy", "said by a stranger", "several", "nonsense", "PROXY", "PROXY, and a stranger's word",
         "PROXY of another proxy", "nothing"])
def test_whom_a_browser_is_taken_for(server, own, forwarded, head, expected):
    assert session_address(server, own, forwarded, head) == expected


def test_nobody_is_taken_for_the_proxy_because_the_list_is_too_long(server):
    with socket.create_connection((server.address, server.port), source_address=(TRUSTED, 0), timeout=10) as raw:
        context = lab.ssl.SSLContext(lab.ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, lab.ssl.CERT_NONE
        connection = http.client.HTTPConnection(server.address, server.port)
        connection.sock = context.wrap_socket(raw, server_hostname="localhost")
        connection.request("GET", "/api/v1/session", headers={"X-Forwarded-For": "1.2.3.4, " * 120 + "198.51.100.9"})
        answer = connection.getresponse()
        assert answer.status == 400 and b"X-Forwarded-For is too long" in answer.read()


def test_forwarded_for_does_not_count_for_agents(server):
    class Forwarded(Connection):
        pass

    import wire
    speaker = Speaker(server.passphrase(), "forwarded")
    with Proxy(server, b"") as proxy:
        speaker.port = proxy.port
        original = SSL.Connection.sendall

        def sendall(self, data, *more):
            return original(self, data.replace(b"\r\nUpgrade:", b"\r\nX-Forwarded-For: 192.0.2.99\r\nUpgrade:", 1)
                            if data.startswith(b"GET /agent") else data, *more)

        SSL.Connection.sendall = sendall
        wire_connection, wire.Connection = wire.Connection, Forwarded
        try:
            speaker.connect("enrol").expect("registration_status")
        finally:
            SSL.Connection.sendall, wire.Connection = original, wire_connection
    assert observed(server, "forwarded") == TRUSTED


# ---- one limit from the connection to the handshake ----

def drip(send, seconds):
    """A byte now and then, until the connection is gone: after how long."""
    began = time.monotonic()
    try:
        while time.monotonic() - began < seconds:
            send()
            time.sleep(0.2)
    except (SSL.Error, OSError):
        pass
    return time.monotonic() - began


def test_all_stages_together_have_one_limit(server):
    """Each is slow for itself, none is over the limit alone: TCP, TLS, the request, the handshake."""
    began = time.monotonic()
    raw = socket.create_connection((server.address, server.port), timeout=10)
    time.sleep(LIMIT_S * 0.4)
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_alpn_protos([b"http/1.1"])
    tls = SSL.Connection(context, raw)
    tls.set_tlsext_host_name(b"agents.meshping")
    tls.set_connect_state()
    tls.setblocking(1)
    tls.do_handshake()
    time.sleep(LIMIT_S * 0.4)
    tls.sendall(b"GET /agent HTTP/1.1\r\nHost: agents.meshping\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: meshping.agent.v1\r\n\r\n")
    got = b""
    with contextlib.suppress(SSL.Error, OSError):
        while more := tls.recv(4096):
            got += more
    assert b"101 Switching" in got and b"did not authenticate within" in got
    assert LIMIT_S - 0.5 < time.monotonic() - began < LIMIT_S + 3  # its close frame may be answered
    expect_line(server, f"did not authenticate within {LIMIT_S} s")


def test_another_request_before_does_not_lift_the_limit(server):
    tls = server.tls()
    tls.settimeout(10)
    tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in tls.recv(4096)
    began = time.monotonic()
    tls.sendall(b"GET /agent HTTP/1.1\r\nHost: agents.meshping\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: meshping.agent.v1\r\n\r\n")
    got = b""
    with contextlib.suppress(OSError):
        while more := tls.recv(4096):
            got += more
    assert b"101 Switching" in got and b"did not authenticate within" in got
    assert time.monotonic() - began < LIMIT_S + 4
    expect_line(server, f"did not authenticate within {LIMIT_S} s")


def test_a_slow_tls_hello_is_cut_off_in_time(server):
    with socket.create_connection((server.address, server.port), timeout=10) as raw:
        raw.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert LIMIT_S - 0.5 < drip(lambda: raw.sendall(b"\x01"), 20) < LIMIT_S + 2


def test_a_slow_request_is_cut_off_in_time(server):
    for path in (b"GET /agent HTTP/1.1\r\n", b"GET /healthz HTTP/1.1\r\n"):
        server.mark = len(server.daemon.text())
        tls = server.tls()
        tls.sendall(path)
        assert LIMIT_S - 0.5 < drip(lambda: tls.sendall(b"X"), 20) < LIMIT_S + 2
        expect_line(server, f"did not make a request within {LIMIT_S} s")


def test_a_slow_handshake_is_cut_off_in_time(server):
    speaker = Speaker(server.passphrase(), "slow")
    connection = Connection(speaker.address, speaker.port, speaker.pin)
    text = handshake_text(speaker, connection)
    connection.ssl.sendall(struct.pack(">BBH4s", 0x81, 0xFE, len(text), bytes(4)))
    assert drip(lambda: connection.ssl.sendall(b"{"), 20) < LIMIT_S + 3
    assert ending(connection) in (1008, None)
    expect_line(server, f"did not authenticate within {LIMIT_S} s")


def test_who_is_in_has_no_such_limit(server):
    speaker, connection = join(server, "patient")
    tls = server.tls()
    tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in tls.recv(4096)
    time.sleep(LIMIT_S + 1)
    tls.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"200 OK" in tls.recv(4096)
    connection.send("status", time_us=1, ping=9)
    while connection.expect("status").get("pong") != 9:
        pass


def test_a_list_of_proxies_that_cannot_be_read_is_a_clear_error(server):
    (server.directory / "bad").write_text("trusted_proxies = 10.0.0.0/33\n")
    with pytest.raises(RuntimeError, match="trusted_proxies: .*10.0.0.0/33"):
        lab.run(str(lab.BIN / "meshpingd"), "--config", str(server.directory / "bad"), "--check-config")
