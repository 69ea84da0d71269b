# SPDX-License-Identifier: Apache-2.0
"""First administrator, sessions over time and restarts, the live view, metrics: each with a server of its own."""

import asyncio
import contextlib
import hashlib
import json
import re
import sqlite3
import ssl
import stat
import subprocess
import threading
import time

import pytest
import websockets

import http_lab


@pytest.fixture
def fresh(tmp_path):
    s = http_lab.Server(tmp_path)
    yield s
    if s.process:
        s.end()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("http")
    token = directory / "token"
    token.write_text("0123456789abcdef0123\n")
    s = http_lab.Server(directory, metrics_allow="127.0.0.2/32, 198.18.0.0/15", metrics_token_file=token)
    s.start().set_up()
    yield s
    s.end()


# ---- the first administrator ----

def test_set_up_by_the_code_works_once(fresh):
    fresh.start()
    file = fresh.state / "setup-code"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    code = file.read_text().strip()
    assert re.fullmatch(r"([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}", code)
    assert code in fresh.log.read_text()
    assert fresh.call("GET", "/api/v1/session").json()["setup_needed"] is True

    def set_up(body):
        return fresh.call("POST", "/api/v1/setup", body)

    good = {"code": code, "user": "anna", "password": "correct horse battery"}
    assert set_up({**good, "code": "AAAAA-AAAAA-AAAAA-AAAAA"}).status == 403
    assert set_up({**good, "password": "short"}).status == 400
    assert "12" in set_up({**good, "password": "short"}).json()["detail"]
    assert set_up({**good, "user": ""}).status == 400
    assert set_up({**good, "user": "x" * 65}).status == 400
    assert set_up({"code": code}).status == 400
    assert fresh.call("POST", "/api/v1/setup", good, headers={"Sec-Fetch-Site": "cross-site"}).status == 403
    assert file.exists()

    answer = set_up({**good, "code": code.lower().replace("-", " ")})  # as people type it
    assert answer.status == 201, answer
    session = http_lab.Session(answer)
    assert answer.json()["user"] == "anna" and answer.json()["role"] == "admin"
    assert fresh.call("GET", "/api/v1/agents", session=session).status == 200
    assert not file.exists()
    assert fresh.call("GET", "/api/v1/session").json()["setup_needed"] is False
    assert set_up(good).status == 409
    # and after a restart there is no new code
    fresh.end()
    fresh.start()
    assert not file.exists()
    assert set_up(good).status == 409
    assert fresh.call("GET", "/api/v1/agents", session=session).status == 200  # sessions outlive a restart
    assert b"correct horse" not in b"".join(p.read_bytes() for p in fresh.state.rglob("*") if p.is_file())
    assert "correct horse" not in fresh.log.read_text()


def test_two_set_ups_at_once_make_one_administrator(fresh):
    fresh.start()
    code = (fresh.state / "setup-code").read_text().strip()
    answers = []

    def set_up(name):
        answers.append(fresh.call("POST", "/api/v1/setup",
                                  {"code": code, "user": name, "password": "correct horse battery"}).status)

    threads = [threading.Thread(target=set_up, args=(f"user{i}",)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, 409]


def test_sessions_end_when_idle_and_in_any_case(fresh):
    fresh.start().set_up()
    sessions = {name: fresh.sign_in() for name in ("idle", "old", "good")}
    fresh.end()
    hour_ms, now_ms = 3600_000, int(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(fresh.state / "meshping.db")) as database:
        for name, created_ms, used_ms in (("idle", now_ms - 13 * hour_ms, now_ms - 12 * hour_ms - 1000),
                                          ("old", now_ms - 168 * hour_ms - 1000, now_ms),
                                          ("good", now_ms - 167 * hour_ms, now_ms - 11 * hour_ms)):
            token = hashlib.sha256(sessions[name].cookie.split("=", 1)[1].encode()).digest()
            changed = database.execute("UPDATE web_sessions SET created_ms = ?, last_used_ms = ? WHERE token_hash = ?",
                                       (created_ms, used_ms, token))
            assert changed.rowcount == 1
        database.commit()
    fresh.start()  # session_idle_hours 12, session_hours 168
    assert fresh.call("GET", "/api/v1/agents", session=sessions["idle"]).status == 401
    assert fresh.call("GET", "/api/v1/agents", session=sessions["old"]).status == 401
    assert fresh.call("GET", "/api/v1/agents", session=sessions["good"]).status == 200


def admin(*args, **more):
    done = subprocess.run([http_lab.BIN / "meshpingd", "admin", *map(str, args)], text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    return done.returncode, done.stdout, done.stderr


def test_admin_create_on_the_command_line(fresh, tmp_path):
    password = tmp_path / "password"
    password.write_text("correct horse battery\n")
    create = ["create", "--name", "anna", "--password-file", password, "--state-dir", fresh.state]
    fresh.start()  # makes a set-up code
    code, _, error = admin(*create)
    assert code == 1 and error.count("\n") == 1 and "stop it first" in error and "setup-code" in error
    fresh.end()
    assert admin(*create)[:2] == (0, "administrator anna made\n")
    code, out, error = admin(*create)
    assert code == 1 and out == "" and "anna already" in error
    code, _, _ = admin("create", "--name", "bert", "--password-file", "-", f"--state-dir={fresh.state}",
                       input="another horse battery")
    assert code == 0
    fresh.start()
    assert not (fresh.state / "setup-code").exists()
    assert fresh.call("GET", "/api/v1/session").json()["setup_needed"] is False
    fresh.sign_in("anna", "correct horse battery")
    fresh.sign_in("bert", "another horse battery")


@pytest.mark.parametrize("change,code,reason", [
    ({"--name": ""}, 1, "name"), ({"--name": None}, 2, "usage"), ({"--password-file": "/nonexistent"}, 1, "nonexistent"),
    ({"--state-dir": "/nonexistent"}, 1, "nonexistent"), ({"--colour": "red"}, 2, "usage"),
])
def test_admin_create_says_what_is_wrong(tmp_path, change, code, reason):
    password = tmp_path / "password"
    password.write_text("correct horse battery")
    args = {"--name": "anna", "--password-file": password, "--state-dir": tmp_path, **change}
    got, out, error = admin("create", *[x for pair in args.items() if pair[1] is not None for x in pair])
    assert (got, out) == (code, "") and error.count("\n") == 1 and reason in error


def test_admin_create_refuses_a_short_password(tmp_path):
    got, _, error = admin("create", "--name", "anna", "--password-file", "-", "--state-dir", tmp_path, input="short\n")
    assert got == 1 and "at least 12" in error
    assert admin("remove")[0] == 2
    assert admin()[0] == 2


# ---- many at once ----

def test_a_rush_of_sign_ins_is_sent_away_and_the_server_stays_quick(fresh):
    fresh.start().set_up()
    answers = []

    def sign_in(i):
        answers.append(fresh.call("POST", "/api/v1/session", {"user": f"user{i}", "password": "not the password"},
                                  session=None, source=f"127.0.1.{i + 1}"))

    threads = [threading.Thread(target=sign_in, args=(i,)) for i in range(24)]
    for thread in threads:
        thread.start()
    slowest = 0
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        assert fresh.call("GET", "/api/v1/agents").status == 200
        slowest = max(slowest, time.monotonic() - begun)
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {401, 429} and statuses.count(401) >= 10
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in answers if answer.status == 429)
    assert slowest < 3  # 0.1 s on an idle machine; a loop that computes scrypt itself takes over 4


def test_one_address_does_not_keep_the_queue_of_sign_ins_full(fresh):
    fresh.start().set_up()
    answers = []

    def guess(i):
        answers.append(fresh.call("POST", "/api/v1/session", {"user": f"user{i}", "password": "not the password"},
                                  session=None, source="127.0.2.1"))

    threads = [threading.Thread(target=guess, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    while not answers:  # the first that finds no room is answered at once
        time.sleep(0.01)
    mine = fresh.call("POST", "/api/v1/session", {"user": http_lab.USER, "password": http_lab.PASSWORD}, session=None,
                      source="127.0.2.2")
    assert mine.status == 200  # in the place of one of them
    for thread in threads:
        thread.join()
    statuses = [answer.status for answer in answers]
    assert set(statuses) == {401, 429} and 1 <= statuses.count(401) <= 9, statuses


def test_a_client_that_leaves_while_its_password_is_checked(fresh):
    fresh.start().set_up()
    body = json.dumps({"user": http_lab.USER, "password": http_lab.PASSWORD}).encode()
    head = (f"POST /api/v1/session HTTP/1.1\r\nHost: {fresh.host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode()
    for pause in (0, 0.05, 0.2, 0):
        tls = fresh.tls()
        tls.sendall(head + body)
        time.sleep(pause)
        tls.close()
    assert fresh.call("GET", "/healthz").status == 200
    time.sleep(3)
    assert fresh.call("GET", "/api/v1/agents").status == 200


# ---- the live view ----

def live(server, session="own", **change):
    session = server.session if session == "own" else session
    headers = {"Cookie": session.cookie} if session else {}
    options = {"origin": f"https://{server.host}", "subprotocols": ["meshping.live.v1"], "extra_headers": headers,
               "ssl": http_lab.tls_context(), "max_size": None, **change}
    return websockets.connect(f"wss://{server.host}/live", **options)


def test_a_live_view_starts_with_a_snapshot_and_then_deltas(server):
    async def watch():
        async with live(server) as socket:
            assert socket.subprotocol == "meshping.live.v1"
            messages = []
            while not messages or messages[-1]["event"] != "delta":
                messages.append(json.loads(await asyncio.wait_for(socket.recv(), 5)))
                assert len(messages) < 10
            assert messages[0]["event"] == "snapshot"
            assert set(messages[0]["data"]) >= {"time_ms", "version", "targets_revision", "agents", "targets", "cells"}
            assert messages[-1]["data"]["version"] == [m for m in messages if m["event"] == "snapshot"][-1]["data"][
                "version"]
            assert server.call("GET", "/api/v1/server").json()["viewers"] == 1
            # a change of the targets is a new snapshot at once
            revision = server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.77"]}).json()["revision"]
            while True:
                message = json.loads(await asyncio.wait_for(socket.recv(), 5))
                if message["event"] == "snapshot":
                    break
            assert message["data"]["targets_revision"] == revision
            assert [t["address"] for t in message["data"]["targets"]] == ["192.0.2.77"]

    asyncio.run(watch())


@pytest.mark.parametrize("change,status", [
    ({"session": None}, 401), ({"origin": "https://evil.example"}, 403), ({"origin": None}, 403),
    ({"origin": "null"}, 403), ({"subprotocols": ["other"]}, 400), ({"subprotocols": None}, 400),
])
def test_a_live_view_is_refused(server, change, status):
    async def watch():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            async with live(server, **change):
                pass
        assert refused.value.status_code == status

    asyncio.run(watch())
    assert server.call("GET", "/healthz").status == 200


def test_the_live_protocol_is_at_its_path_only(server):
    async def watch(path):
        with pytest.raises((websockets.InvalidHandshake, ConnectionError, ssl.SSLError, EOFError)):
            async with websockets.connect(f"wss://{server.host}{path}", subprotocols=["meshping.live.v1"],
                                          origin=f"https://{server.host}", ssl=http_lab.tls_context(),
                                          extra_headers={"Cookie": server.session.cookie}):
                pass

    for path in ("/agent", "/api/v1/matrix", "/"):
        asyncio.run(watch(path))
    assert server.call("GET", "/healthz").status == 200


def test_sign_out_closes_its_live_views_with_4401(server):
    session = server.sign_in()

    async def watch():
        async with live(server, session) as first, live(server, session) as second, live(server) as other:
            await asyncio.gather(first.recv(), second.recv(), other.recv())
            assert server.call("DELETE", "/api/v1/session", session=session).status == 204
            for socket in (first, second):
                await asyncio.wait_for(socket.wait_closed(), 5)
                assert socket.close_code == 4401
            assert json.loads(await asyncio.wait_for(other.recv(), 5))["event"] in ("snapshot", "delta")

    asyncio.run(watch())


def test_a_browser_that_talks_too_much_is_closed(server):
    async def watch():
        async with live(server) as socket:
            await socket.recv()
            await socket.send("x" * 100)  # put up with
            await asyncio.wait_for(socket.recv(), 5)
            await socket.send("x" * 100_000)
            await asyncio.wait_for(socket.wait_closed(), 10)
            assert socket.close_code in (1006, 1009)

    asyncio.run(watch())
    assert server.call("GET", "/healthz").status == 200


# ---- metrics ----

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? (-?[0-9.e+]+)')


def read_metrics(text):
    """As strict as a scraper: HELP and TYPE before the first sample of a family, each family once, no duplicate."""
    types, helps, samples, current = {}, set(), {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in helps and len(line.split(None, 3)) == 4
            helps.add(name)
        elif line.startswith("# TYPE "):
            _, _, current, kind = line.split()
            assert current in helps and current not in types and kind in ("counter", "gauge")
            assert (kind == "counter") == current.endswith("_total"), current
            types[current] = kind
        else:
            match = LINE.fullmatch(line)
            assert match and match[1] == current, line
            assert (match[1], match[2]) not in samples
            samples[match[1], match[2]] = float(match[3])
    return samples


def test_metrics_need_the_token_or_a_listed_address(server):
    token = {"Authorization": "Bearer 0123456789abcdef0123"}
    assert server.call("GET", "/metrics", session=None).status == 403
    assert server.call("GET", "/metrics").status == 403  # a session is not enough
    assert server.call("GET", "/metrics", session=None, headers={"Authorization": "Bearer 0123"}).status == 403
    assert server.call("GET", "/metrics", session=None, headers={"Authorization": "Bearer "}).status == 403
    assert server.call("GET", "/metrics", session=None, headers=token).status == 200
    assert server.call("GET", "/metrics", session=None, source="127.0.0.2").status == 200
    assert server.call("GET", "/metrics", session=None, source="127.0.0.3").status == 403


def test_metrics_are_well_formed_and_count(server):
    def get():
        answer = server.call("GET", "/metrics", session=None, source="127.0.0.2")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return read_metrics(answer.body.decode())

    first = get()
    server.call("GET", "/healthz")
    server.call("GET", "/nothing")
    second = get()
    assert second["meshping_http_requests_total", None] == first["meshping_http_requests_total", None] + 3
    assert second["meshping_http_errors_total", None] == first["meshping_http_errors_total", None] + 1
    for status in ("pending", "approved", "hold", "blacklisted"):
        assert ("meshping_agents", f'status="{status}"') in second
    assert ("meshping_samples_total", 'result="ok",outcome="ok"') in second
    assert ("meshping_samples_total", 'result="fail",outcome="timeout"') in second
    assert ("meshping_samples_total", 'result="local_error",outcome="isolated"') in second
    assert second["process_open_fds", None] > 5
    assert 1e6 < second["process_resident_memory_bytes", None] < 2e9
    assert abs(second["process_start_time_seconds", None] - time.time()) < 600


def test_a_wrong_metrics_range_stops_the_start(tmp_path):
    s = http_lab.Server(tmp_path, metrics_allow="10.0.0.0/33")
    done = subprocess.run([http_lab.BIN / "meshpingd", "--config", s.config, "--state-dir", s.state, "--listen",
                           "127.0.0.1:0"], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    assert done.returncode in (1, 2) and "metrics_allow" in done.stdout and "10.0.0.0/33" in done.stdout
