# SPDX-License-Identifier: Apache-2.0
"""Wrong input from outside: each ends in one clear line, and the server goes on for everybody else."""

import base64
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

import lab


@pytest.fixture(scope="module")
def server():
    with lab.directory() as directory:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        s = lab.Server(directory, port=port).start().sign_in()
        try:
            yield s
        finally:
            assert s.end() == 0, s.daemon.text()
            print(s.daemon.text())


@pytest.fixture(autouse=True)
def server_goes_on(server):
    before = len(server.daemon.text())
    yield
    assert server.daemon.process.poll() is None
    assert server.call("GET", "/api/v1/agents") is not None
    server.last_log = server.daemon.text()[before:]


def log_since(server, mark):
    return server.daemon.text()[mark:]


def upgrade(server, path="/agent", protocol="meshping.agent.v1", extra=""):
    tls = server.tls()
    key = base64.b64encode(os.urandom(16)).decode()
    tls.sendall((f"GET {path} HTTP/1.1\r\nHost: agents.meshping\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {protocol}\r\n"
                 f"{extra}\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = tls.recv(1)
        if not data:
            break
        head += data
    return tls, head.decode(errors="replace")


def frame(payload, opcode=2, declared=None, fin=True):
    length = len(payload) if declared is None else declared
    head = bytes([(0x80 if fin else 0) | opcode])
    if length < 126:
        head += bytes([0x80 | length])
    elif length < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", length)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", length)
    mask = os.urandom(4)
    return head + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def read_frame(tls):
    def exactly(n):
        data = b""
        while len(data) < n:
            got = tls.recv(n - len(data))
            if not got:
                raise EOFError
            data += got
        return data
    first, second = exactly(2)
    length = second & 0x7F
    if length == 126:
        length = struct.unpack(">H", exactly(2))[0]
    elif length == 127:
        length = struct.unpack(">Q", exactly(8))[0]
    return first & 0x0F, exactly(length)


def close_code(tls):
    """The code of the close frame; None when the connection just ended."""
    try:
        while True:
            opcode, payload = read_frame(tls)
            if opcode == 8:
                return struct.unpack(">H", payload[:2])[0]
    except (EOFError, OSError):
        return None


def expect_line(server, mark, pattern):
    lab.wait_for(f"a log line like {pattern}", 5, lambda: re.search(pattern, log_since(server, mark)))
    lines = [line for line in log_since(server, mark).splitlines() if re.search(pattern, line)]
    assert len(lines) == 1, lines


def test_garbage_frame(server):
    mark = len(server.daemon.text())
    tls, head = upgrade(server)
    assert " 101 " in head
    assert read_frame(tls)[0] == 1  # welcome
    tls.sendall(frame(b"\x00\xff garbage", opcode=1))
    assert close_code(tls) in (1007, 1008)
    expect_line(server, mark, r"connection ended: ")


def test_binary_before_the_handshake(server):
    mark = len(server.daemon.text())
    tls, _ = upgrade(server)
    read_frame(tls)
    tls.sendall(frame(os.urandom(200)))
    assert close_code(tls) == 1003
    expect_line(server, mark, r"a binary frame before the handshake")


@pytest.mark.parametrize("declared", [4097, 65537, 1 << 30, 1 << 40])
def test_declared_length_over_the_limit_is_refused_before_it_is_sent(server, declared):
    mark = len(server.daemon.text())
    tls, _ = upgrade(server)
    read_frame(tls)
    tls.sendall(frame(b"x" * 100, opcode=1, declared=declared))
    assert close_code(tls) == 1009
    expect_line(server, mark, rf"a text frame of {declared} bytes")


def test_fragmented_message(server):
    mark = len(server.daemon.text())
    tls, _ = upgrade(server)
    read_frame(tls)
    tls.sendall(frame(b'{"event":', opcode=1, fin=False))
    assert close_code(tls) == 1003
    expect_line(server, mark, r"fragments")


def test_silence_ends_after_the_deadline(server):
    mark = len(server.daemon.text())
    tls, _ = upgrade(server)
    read_frame(tls)
    tls.settimeout(15)
    assert close_code(tls) == 1008
    expect_line(server, mark, r"did not authenticate within 10 s")


@pytest.mark.parametrize("path, protocol, extra", [
    ("/agent", "meshping.agent.v1", "Origin: https://evil.example\r\n"),
    ("/elsewhere", "meshping.agent.v1", ""),
    ("/agent", "chat", ""),
    ("/agent?x=1", "meshping.agent.v1", ""),
    ("/agent?=", "meshping.agent.v1", ""),
    ("/agent/", "meshping.agent.v1", ""),
    ("/agent/x", "meshping.agent.v1", ""),
    ("/Agent", "meshping.agent.v1", ""),
])
def test_only_the_exact_endpoint_upgrades(server, path, protocol, extra):
    _, head = upgrade(server, path, protocol, extra)
    assert " 101 " not in head


@pytest.mark.parametrize("version", ["12", "8", "0", "130"])
def test_another_version_of_websocket_is_refused(server, version):
    mark = len(server.daemon.text())
    tls = server.tls()
    tls.sendall((f"GET /agent HTTP/1.1\r\nHost: agents.meshping\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: {version}\r\n"
                 f"Sec-WebSocket-Protocol: meshping.agent.v1\r\n\r\n").encode())
    assert b" 101 " not in tls.recv(1000)
    expect_line(server, mark, rf'WebSocket version "{version}"')


def test_plain_http_on_the_tls_port(server):
    mark = len(server.daemon.text())
    plain = server.connect()
    plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"https" in plain.recv(4096)
    expect_line(server, mark, r"plain text on the TLS port")


def test_tls_1_2_is_refused(server):
    import ssl
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        context.wrap_socket(server.connect(), server_hostname="agents.meshping")


def agent_run(directory, passphrase, seconds=4, *more):
    """Runs an agent for a while; (exit code or None, log)."""
    agent = lab.Agent(directory, "hostile", passphrase).start(*more)
    try:
        code = agent.daemon.process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
        agent.end()
    return code, agent.daemon.text()


def test_mistyped_passphrase_names_the_group(server):
    good = server.passphrase()
    groups = good.split("-")
    groups[3] = ("0" if groups[3][0] != "0" else "1") + groups[3][1:]
    with lab.directory() as directory:
        code, log = agent_run(directory, "-".join(groups))
    assert code == 2
    assert "group 3" in log and len(log.strip().splitlines()) == 1, log
    assert groups[3] not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_gives_up_at_the_prompt_has_a_terminal_that_echoes(number):
    ours, terminal = pty.openpty()
    with lab.directory() as directory:
        agent = subprocess.Popen([lab.BIN / "meshping-agent", "run", "--state-dir", directory / "state",
                                  "--passphrase-file", "-"], stdin=terminal, stdout=terminal, stderr=terminal)
        lab.wait_for("it asks without echo", 10, lambda: not termios.tcgetattr(terminal)[3] & termios.ECHO)
        agent.send_signal(number)
        assert agent.wait(10) == -number
        assert termios.tcgetattr(terminal)[3] & termios.ECHO
    os.close(ours)
    os.close(terminal)


def test_revoked_passphrase_is_refused_and_the_agent_waits(server):
    made = server.call("POST", "/api/v1/passphrases", {})
    server.request("DELETE", f"/api/v1/passphrases/{made['id']}")
    mark = len(server.daemon.text())
    with lab.directory() as directory:
        code, log = agent_run(directory, made["passphrase"])
    assert code is None, "it must wait, not exit"
    assert "refused" in log and "revoked" in log
    expect_line(server, mark, r"a passphrase was refused: revoked")
    assert "hostile" not in server.agents()


def test_another_servers_key_is_not_trusted(server):
    """The passphrase of one server, the address of another: pinning must end it before anything is sent."""
    with lab.directory() as directory:
        other = lab.Server(directory / "other", port=server.port)
        other.port = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            other.port = probe.getsockname()[1]
        other.start().sign_in()
        try:
            passphrase = other.passphrase(advertise=f"127.0.0.1:{server.port}")
            code, log = agent_run(directory, passphrase)
        finally:
            other.end()
    assert code is None
    assert "not the one of the passphrase" in log, log
    assert "hostile" not in server.agents()


def one_line(*args, env=None):
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20,
                          env=env)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, lines
    return done.returncode, lines[0]


def test_second_server_on_the_same_port(server):
    with lab.directory() as directory:
        code, line = one_line(lab.BIN / "meshpingd", "--state-dir", directory, "--listen", f"127.0.0.1:{server.port}",
                              "--log-level", "error")
    assert code == 1 and f"port {server.port}" in line and "taken" in line


def test_second_server_on_the_same_state(server):
    code, line = one_line(lab.BIN / "meshpingd", "--state-dir", server.state, "--listen", "127.0.0.1:0")
    assert code == 1 and str(server.state) in line, line


@pytest.mark.parametrize("program", ["meshpingd", "meshping-agent run"])
def test_unwritable_state_directory(server, program):
    program, *more = program.split()
    code, line = one_line(lab.BIN / program, *more, "--state-dir", "/proc/nowhere")
    assert code == (1 if program == "meshpingd" else 2), line
    assert "/proc/nowhere" in line


@pytest.mark.parametrize("program", ["meshpingd", "meshping-agent run"])
@pytest.mark.parametrize("text, expect", [
    ("log_levle = info", 'line 1: unknown key "log_levle": did you mean "log_level"?'),
    ("# good\nlog_level = loud", 'log level "loud"'),
    ("[section]\nlog_level = info", "no sections"),
    ("log_level", "line 1"),
    ("state_dir = /tmp\n  log_levle = info", 'line 2: unknown key "log_levle"'),
    ("state_dir = /" + "x" * 300, "line 1: a line holds at most"),
])
def test_config_typo(server, program, text, expect):
    program, *more = program.split()
    with lab.directory() as directory:
        config = directory / "conf"
        config.write_text(text + "\n")
        code, line = one_line(lab.BIN / program, *more, "--config", config)
    assert code == 2 and expect in line, line


@pytest.mark.parametrize("program", ["meshpingd", "meshping-agent run"])
def test_config_that_is_a_directory(server, program):
    program, *more = program.split()
    code, line = one_line(lab.BIN / program, *more, "--config", "/etc")
    assert code == 2 and "/etc" in line and "directory" in line, line


@pytest.mark.parametrize("advertise", ["nonsense", "host:0", "good.example:1, host:99999", "::1:8443"])
def test_advertise_that_no_agent_could_use(server, advertise):
    code, line = one_line(lab.BIN / "meshpingd", "--advertise", advertise, "--check-config")
    assert code == 2 and "advertise" in line, line


def test_many_silent_connections_keep_nobody_out(server):
    import socket as sockets
    silent = [sockets.create_connection((server.address, server.port)) for _ in range(600)]
    began = time.monotonic()
    try:
        assert server.request("GET", "/readyz")[0] == 200
        assert time.monotonic() - began < 5
    finally:
        for connection in silent:
            connection.close()


def test_two_agents_with_one_state_directory(server):
    with lab.directory() as directory:
        agent = lab.Agent(directory, "hostile-twice", server.passphrase()).start()
        try:
            lab.wait_for("the first is pending", 15, lambda: "hostile-twice" in server.agents())
            code, line = one_line(lab.BIN / "meshping-agent", "run", "--state-dir", agent.directory / "state")
            assert code == 2 and "another agent" in line, line
        finally:
            assert agent.end() == 0


def test_moved_server_is_remembered_after_the_passphrase_is_gone(server):
    """The same server at another address: its new passphrase is needed once."""
    import json
    with lab.directory() as directory:
        agent = lab.Agent(directory, "hostile-moved", server.passphrase()).start()
        state = agent.directory / "state" / "server.json"
        lab.wait_for("it is pending", 15, lambda: state.exists())
        agent.end()
        agent.passphrase_file.write_text(server.passphrase(advertise=f"localhost:{server.port}") + "\n")
        agent.start()
        lab.wait_for("the new address is kept", 15, lambda: json.loads(state.read_text())["host"] == "localhost")
        assert agent.end() == 0


def test_passphrase_is_never_an_argument(server):
    code, line = one_line(lab.BIN / "meshping-agent", "run", "MP1-ABCDEF")
    assert code == 2 and "MP1-ABCDEF" not in line and "argument" in line


def test_agent_without_passphrase_says_so(server):
    with lab.directory() as directory:
        code, line = one_line(lab.BIN / "meshping-agent", "run", "--state-dir", directory / "state",
                              "--passphrase-file", directory / "missing")
    assert code == 2 and "missing" in line, line
