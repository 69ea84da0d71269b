# SPDX-License-Identifier: Apache-2.0
"""A server that runs out of file descriptors, or of room for frames: agents wait, administrators get in."""

import contextlib
import os
import re
import signal
import socket
import ssl
import struct
import time

import pytest
from OpenSSL import SSL

import lab
from test_identity import join
from wire import Connection, Speaker

LIMIT, RESERVED = 160, 40
AGENTS_BELOW = LIMIT - RESERVED


@pytest.fixture
def small():
    """A server with few descriptors."""
    with lab.directory() as directory:
        server = lab.Server(directory, port=lab.free_port())
        (directory / "conf").write_text(f"descriptors_reserved = {RESERVED}\noffline_s = 600\n")  # its agents say nothing
        server.start("--config", directory / "conf", under=("prlimit", f"--nofile=64:{LIMIT}")).sign_in()
        opened = []
        try:
            yield server, opened
        finally:
            for one in opened:
                one.close()
            assert server.end() == 0, server.daemon.text()


def limits_of(process):
    with open(f"/proc/{process.pid}/limits") as lines:
        soft, hard = re.search(r"Max open files +(\S+) +(\S+)", lines.read()).groups()
    return int(soft), int(hard)


def used_s(process):
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(server):
    return len(os.listdir(f"/proc/{server.daemon.process.pid}/fd"))


def get_in(speaker, opened):
    """Whether one more connection of an agent comes up to its welcome; it stays open."""
    try:
        connection = speaker.connect("enrol")
        connection.expect("registration_status")
    except (AssertionError, OSError, SSL.Error):
        return False
    opened.append(connection.ssl)
    return True


def fill_with_agents(server, opened):
    passphrase, count = server.passphrase(uses=1000), 0
    while get_in(Speaker(passphrase, f"agent-{count}"), opened):
        count += 1
        assert count <= LIMIT
    return passphrase, count


def test_the_soft_limit_is_raised_and_a_hard_one_that_is_too_low_is_named(small):
    server, _ = small
    assert limits_of(server.daemon.process) == (LIMIT, LIMIT)
    line, = [line for line in server.daemon.text().splitlines() if "open files is too low" in line]
    assert f"limit of {LIMIT} open files" in line and f"{RESERVED} for administrators" in line and "LimitNOFILE" in line


def test_agents_wait_at_the_reserve_and_administrators_get_in(small):
    server, opened = small
    passphrase, count = fill_with_agents(server, opened)
    assert count > AGENTS_BELOW // 2 and descriptors(server) <= AGENTS_BELOW + 1
    mark = len(server.daemon.text())
    for number in range(30):
        assert not get_in(Speaker(passphrase, f"late-{number}"), opened)
        assert server.request("GET", "/readyz")[0] == 200
    server.sign_in()
    assert len(server.agents()) == count
    lines = [line for line in server.daemon.text().splitlines() if "kept for administrators" in line]
    assert len(lines) == 1, lines
    assert len(server.daemon.text()) - mark < 5000
    for one in opened[:5]:
        one.close()
    lab.wait_for("there is room for an agent again", 5, lambda: get_in(Speaker(passphrase, "next"), opened))


def test_agents_that_do_not_say_the_agents_name_have_no_part_of_the_reserve(small):
    server, opened = small
    fill_with_agents(server, opened)
    browser = server.tls(name="localhost")
    browser.sendall(b"GET /agent HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Protocol: meshping.agent.v1\r\n\r\n")
    try:
        assert b"101" not in browser.recv(100)
    except OSError:
        pass


def test_many_that_say_nothing_neither_take_the_reserve_nor_fill_the_log(small):
    server, opened = small
    fill_with_agents(server, opened)
    mark, began_s, began = len(server.daemon.text()), used_s(server.daemon.process), time.monotonic()
    for _ in range(400):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((server.address, server.port))
        opened.append(one)
    for _ in range(10):
        assert server.request("GET", "/readyz")[0] == 200
        time.sleep(0.2)
    assert time.monotonic() - began < 15
    assert used_s(server.daemon.process) - began_s < 1.5
    assert len(server.daemon.text()[mark:].splitlines()) < 10


def test_with_the_reserve_gone_too_it_neither_spins_nor_fills_the_log_and_goes_on_afterwards(small):
    server, opened = small
    fill_with_agents(server, opened)
    flood = []
    with contextlib.suppress(OSError):
        while len(flood) < LIMIT:  # TLS and then nothing, by who says that he is a browser
            flood.append(server.tls(name="localhost", timeout=2))
    assert descriptors(server) >= LIMIT - 2
    for _ in range(100):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex((server.address, server.port))
        flood.append(one)
    mark, began_s = len(server.daemon.text()), used_s(server.daemon.process)
    time.sleep(3)
    assert used_s(server.daemon.process) - began_s < 0.5
    assert len(server.daemon.text()[mark:].splitlines()) < 5
    lab.wait_for("the silent ones are gone and an administrator gets in", 25, lambda: readable(server))
    for one in flood:
        one.close()


def test_strangers_that_speak_tls_and_ask_for_nothing_keep_no_administrator_out(small):
    server, opened = small
    fill_with_agents(server, opened)
    until, mark, got_in = time.monotonic() + 14, len(server.daemon.text()), []
    while time.monotonic() < until:
        began = time.monotonic()
        for _ in range(6):  # more in 10 s than there are descriptors
            with contextlib.suppress(OSError):
                opened.append(server.tls(name="localhost", timeout=1))
        got_in.append(readable(server))
        time.sleep(max(0, began + 0.5 - time.monotonic()))
    assert len(got_in) > 10 and all(got_in), got_in
    lines = [line for line in server.daemon.text()[mark:].splitlines() if "made no request within" in line]
    assert len(lines) == 1, lines


def test_strangers_that_speak_tls_and_ask_for_nothing_keep_no_agent_out(small):
    """They have all that agents may have, and less than half of the reserve."""
    server, opened = small
    passphrase = server.passphrase()
    while descriptors(server) < AGENTS_BELOW + RESERVED // 4:
        opened.append(server.tls(name="localhost"))
    assert not get_in(Speaker(passphrase, "at-once"), opened)  # all of them are new
    lab.wait_for("an agent gets in, long before their 10 s are over", 5, lambda: get_in(Speaker(passphrase, "later"), opened), every=0.3)


def readable(server):
    try:
        return server.request("GET", "/readyz")[0] == 200
    except OSError:
        return False


# ---- who says nothing, and who has waited too long ----

def test_strangers_that_upgrade_and_say_nothing_keep_no_agent_out():
    with lab.directory() as directory:
        server = lab.Server(directory, port=lab.free_port())
        (directory / "conf").write_text("unauthenticated_max = 5\nauthentication_s = 60\n")
        server.start("--config", directory / "conf").sign_in()
        try:
            speaker, connection = join(server, "known")
            connection.ssl.close()
            strangers = [Connection(server.address, server.port, speaker.pin) for _ in range(5)]

            def is_back():
                try:
                    speaker.connect("resume").expect("registration_status")
                except (AssertionError, OSError, SSL.Error):
                    return False
                return True
            lab.wait_for("the agent is back", 15, is_back, every=0.5)
            assert "another one is refused" in server.daemon.text()
            assert closed_with(strangers[0]) == 1013  # the oldest one
            assert "5 others wait as well" in server.daemon.text()
        finally:
            assert server.end() == 0, server.daemon.text()


def hello(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def test_an_agent_that_waited_till_it_gives_up_costs_no_handshake(small):
    server, opened = small
    waiting = {}
    server.daemon.process.send_signal(signal.SIGSTOP)
    try:
        for name in ("agents.meshping", "localhost"):
            waiting[name] = server.connect()
            waiting[name].sendall(hello(name))
            opened.append(waiting[name])
        time.sleep(6)
        waiting["fresh"] = server.connect()
        waiting["fresh"].sendall(hello("agents.meshping"))
        opened.append(waiting["fresh"])
    finally:
        server.daemon.process.send_signal(signal.SIGCONT)
    alert, handshake = 21, 22  # RFC 8446 section 5.1
    assert [waiting[name].recv(1)[0] for name in ("agents.meshping", "localhost", "fresh")] == [alert, handshake, handshake]


# ---- frames that are not whole yet ----

def begin_frame(connection, opcode, length):
    connection.ssl.sendall(struct.pack(">BBQ4s", 0x80 | opcode, 0xFF, length, bytes(4)) + b" " * 1000)


def test_all_frames_in_reassembly_share_one_budget():
    with lab.directory() as directory:
        server = lab.Server(directory, port=lab.free_port())
        (directory / "conf").write_text("reassembly_max_size = 2M\n")
        server.start("--config", directory / "conf").sign_in()
        try:
            (_, first), (speaker, second), (_, third) = (join(server, name) for name in ("first", "second", "third"))
            whole = (1 << 20) + 24
            begin_frame(first, 2, whole)
            begin_frame(third, 1, 65536)  # a small one has room beside it
            server.call("GET", "/api/v1/agents")  # its loop has been round: it has read both
            mark = len(server.daemon.text())
            begin_frame(second, 2, whole)
            assert closed_with(second) == 1013
            lab.wait_for("a line says so", 5, lambda: re.search(
                rf"no room for its frame of {whole} bytes now: others have {whole + 65536}", server.daemon.text()[mark:]))
            text = b'{"event":"status","data":{"time_us":1,"ping":77}}'
            third.ssl.sendall(text.rjust(65536 - 1000))
            while (event := third.next())[0] != "status" or event[1].get("pong") != 77:
                assert event[0] != "closed", event
            first.ssl.close()  # gives back what it had
            again = speaker.connect("resume")
            speaker.join(again)
            begin_frame(again, 2, whole)
            again.ssl.sendall(b" " * (whole - 1000))
            assert closed_with(again) == 1007  # taken whole, and then read
        finally:
            assert server.end() == 0, server.daemon.text()


def closed_with(connection):
    while (event := connection.next())[0] != "closed":
        pass
    return event[1]
