# SPDX-License-Identifier: Apache-2.0
"""Settings that change while the server runs hold at once: shown by agents over the wire, real agents, and what is stored."""

import contextlib
import json
import os
import pathlib
import sqlite3
import time

import pytest

import http_lab
import mail_lab
from openapi_lab import DOCUMENT
from test_http_agents import Agent, wait_for
from wire import Connection, Speaker

PATH = "/api/v1/settings"
HERE = pathlib.Path(__file__).parent
# what shows that a change holds without a restart; a new setting must be put here
SHOWN_BY = {
    "advertise": "test_the_address_in_passphrases_is_that_of_now",
    "public_url": "test_links_in_e_mails_begin_with_the_address_of_now",
    "log_level": "test_the_log_tells_as_much_as_is_set",
    "retention": "test_a_change_holds_at_once_and_after_a_restart_until_it_is_taken_back",  # what is told of it only
    "rollup_retention": "test_two_that_bound_each_other_come_back_together",  # likewise
    "database_max_size": "test_the_size_limit_of_now_raises_its_alarm_and_ends_it",
    "interval_ms": "test_pairs_of_a_mesh_get_the_interval_and_timeout_of_now",
    "timeout_ms": "test_pairs_of_a_mesh_get_the_interval_and_timeout_of_now",
    "slow_ms": "test_cells_are_slow_lossy_and_stale_by_the_thresholds_of_now",
    "lossy_count": "test_cells_are_slow_lossy_and_stale_by_the_thresholds_of_now",
    "stale_intervals": "test_cells_are_slow_lossy_and_stale_by_the_thresholds_of_now",
    "offline_s": "test_an_agent_is_offline_after_the_silence_of_now",
    "pending_max": "test_as_many_agents_wait_for_approval_as_may_now",
    "unauthenticated_max": "test_as_many_connections_wait_for_their_handshake_as_may_now",
    "failed_enrolments_max": "test_an_address_may_fail_as_often_as_is_set_now",
    "session_idle_hours": "test_idle_sign_ins_end_by_the_limit_of_now",
    "session_hours": "test_sign_ins_end_by_the_limits_of_now",
    "smtp_from": "test_links_in_e_mails_begin_with_the_address_of_now",
    "smtp_user": "test_e_mail_is_set_up_tried_and_turned_off_while_the_server_runs",
    "smtp_password": "test_e_mail_is_set_up_tried_and_turned_off_while_the_server_runs",
    "smtp_url": "test_e_mail_is_set_up_tried_and_turned_off_while_the_server_runs",
}


def test_every_setting_that_can_be_changed_is_shown_to_hold():
    patch = DOCUMENT["paths"][PATH]["patch"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert set(SHOWN_BY) == set(patch)
    text = "".join((HERE / name).read_text() for name in ("test_settings.py", "test_settings_live.py"))
    assert all(f"def {test}(" in text for test in SHOWN_BY.values())


@pytest.fixture
def server(tmp_path):
    s = http_lab.Server(tmp_path)
    s.start().set_up()
    yield s
    s.end()


def change(server, **settings):
    answer = server.call("PATCH", PATH, settings)
    assert answer.status == 200, answer


def get(server, path):
    return server.call("GET", f"/api/v1{path}").json()


def passphrase(server):
    return server.call("POST", "/api/v1/passphrases", {"advertise": server.host}).json()["passphrase"]


def agents(server):
    return {agent["host_name"]: agent for agent in get(server, "/agents")["agents"]}


def join(server, name, **info):
    """(speaker, connection) of an approved agent."""
    speaker = Speaker(passphrase(server), name)
    speaker.info = json.dumps(json.loads(speaker.info) | info).encode()
    connection = speaker.connect("enrol")
    assert connection.expect("registration_status")["status"] == "pending"
    assert server.call("POST", f"/api/v1/agents/{agents(server)[name]['id']}/approve", {}).status == 200
    assert speaker.join(connection)["status"] == "approved"
    return speaker, connection


@contextlib.contextmanager
def stopped(server):
    """The database, while the server does not run."""
    server.end()
    with contextlib.closing(sqlite3.connect(server.state / "meshping.db")) as database:
        yield database
        database.commit()
    server.start()


# ---- agents ----

def answer_pings(connection, seconds):
    """Only when it is asked: as an agent with nothing to say."""
    deadline = time.monotonic() + seconds
    connection.ssl.setblocking(True)
    while time.monotonic() < deadline:
        event, data = connection.next()
        assert event != "closed", connection.reason
        if event == "status" and data.get("ping"):
            connection.send("status", time_us=int(time.time() * 1e6), pong=data["ping"])


def test_an_agent_is_offline_after_the_silence_of_now(server):
    _, quiet = join(server, "quiet")
    _, living = join(server, "living")
    time.sleep(6)
    assert agents(server)["quiet"]["online"] and agents(server)["living"]["online"]
    change(server, offline_s=5)
    answer_pings(living, 3)  # it was silent for longer than may be now, and nobody had asked
    assert agents(server)["living"]["online"]
    answer_pings(living, 8)
    now = agents(server)
    assert now["living"]["online"] and not now["quiet"]["online"]
    while (event := quiet.next())[0] != "closed":
        pass
    assert event[1] == 1001 and "no word for 5 s" in quiet.reason
    change(server, offline_s=3600)
    time.sleep(8)
    assert agents(server)["living"]["online"]


def test_a_real_agent_with_nothing_to_measure_stays_online_whatever_the_limit(server):
    agent = Agent(server, "idle")
    try:
        wait_for(lambda: next(iter(agents(server).values()))["online"], 10)
        change(server, offline_s=5)
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline:
            assert next(iter(agents(server).values()))["online"]
            time.sleep(0.2)
        assert "no word for" not in server.log.read_text() and "disconnected" not in server.log.read_text()
    finally:
        agent.end()


def test_as_many_agents_wait_for_approval_as_may_now(server):
    def enrol(name):
        return Speaker(passphrase(server), name).connect("enrol").next()

    change(server, pending_max=1)
    assert enrol("first")[1]["status"] == "pending"
    event, data = enrol("second")
    assert event == "refused" and data["code"] == "later", data
    assert set(agents(server)) == {"first"}
    change(server, pending_max=2)
    assert enrol("third")[1]["status"] == "pending"
    change(server, pending_max=1)  # who waits goes on waiting
    assert set(agents(server)) == {"first", "third"} and enrol("fourth")[0] == "refused"


def test_as_many_connections_wait_for_their_handshake_as_may_now(server):
    speaker = Speaker(passphrase(server), "x")

    def silent():
        return Connection(speaker.address, speaker.port, speaker.pin)

    change(server, unauthenticated_max=1)
    kept = [silent()]
    with pytest.raises(AssertionError):
        silent()
    change(server, unauthenticated_max=3)
    kept += [silent(), silent()]
    with pytest.raises(AssertionError):
        silent()


def test_an_address_may_fail_as_often_as_is_set_now(server):
    good = Speaker(passphrase(server), "good")
    change(server, failed_enrolments_max=2)
    for _ in range(2):
        bad = Speaker(passphrase(server), "bad")
        bad.k = os.urandom(16)
        assert bad.connect("enrol").expect("refused")["code"] == "passphrase"
    assert good.connect("enrol").expect("refused")["code"] == "later"
    change(server, failed_enrolments_max=3)
    assert good.connect("enrol").expect("registration_status")["status"] == "pending"


# ---- what is measured ----

def stamp(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{int(ms) % 1000:03d}Z"


def test_cells_are_slow_lossy_and_stale_by_the_thresholds_of_now(server):
    targets = server.call("PUT", "/api/v1/targets", {"targets": [
        {"address": address, "interval_ms": 1000, "timeout_ms": 500} for address in ("192.0.2.1", "192.0.2.2")]}).json()["targets"]
    _, connection = join(server, "a")
    update = connection.expect("server_message")
    connection.send("targets_applied", revision=update["revision"], count=2)
    now_ms = time.time() * 1000
    slow, lossy = (target["id"] for target in targets)
    samples = [{"target": target, "timestamp": stamp(now_ms - 1000 * (12 - i)), "result": "ok", "latency": 50}
               for i in range(12) for target in (slow, lossy)]
    for i in (3, 9):
        samples[i * 2 + 1] |= {"result": "fail", "latency": 0, "reason": "timeout"}
    connection.send("monitoring_data", epoch="00000000c0ffee01", sequence=1, samples=samples)
    while connection.expect("data_received")["ranges"] != [[1, 1]]:
        pass
    agent = agents(server)["a"]["id"]

    def states():
        cells = get(server, "/matrix")["cells"][agent]
        return [("no_data", "ok", "slow", "lossy", "fail", "stale")[cell[0]] for cell in cells]

    change(server, slow_ms=100, lossy_count=3, stale_intervals=100)
    assert states() == ["ok", "ok"]
    change(server, slow_ms=40)
    assert states() == ["slow", "slow"]
    change(server, slow_ms=60, lossy_count=2)
    assert states() == ["ok", "lossy"]
    time.sleep(2)
    assert states() == ["ok", "lossy"]
    change(server, stale_intervals=1)
    assert states() == ["stale", "stale"]
    change(server, stale_intervals=100, lossy_count=3)
    assert states() == ["ok", "ok"]


def test_pairs_of_a_mesh_get_the_interval_and_timeout_of_now(server):
    rule = {"name": "core", "kind": "mesh", "agents": "", "targets": ""}
    assert server.call("PUT", "/api/v1/rules", {"rules": [rule]}).status == 200
    _, one = join(server, "one", advertise="192.0.2.1")
    join(server, "two", advertise="192.0.2.2")

    def told(interval_ms):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            message = one.expect("server_message")
            if message["type"] != "update_targets":
                continue
            one.send("targets_applied", revision=message["revision"], count=len(message["targets"]))
            for target in message["targets"]:
                if target.get("interval_ms", 5000) == interval_ms:
                    return target
        raise AssertionError("not told")

    told(5000)
    change(server, interval_ms=7000, timeout_ms=900)
    assert told(7000)["timeout_ms"] == 900


# ---- what is kept ----

def test_the_size_limit_of_now_raises_its_alarm_and_ends_it(server):
    with stopped(server) as database:
        for _ in range(32):
            database.execute("INSERT INTO audit (unix_ms, user_id, user, via, address, action, object, detail) VALUES"
                             " (?, 0, '', '', '', 'x', '', ?)", (int(time.time() * 1000), "x" * 500000))

    def alarms():
        return {alarm["kind"] for alarm in get(server, "/server")["alarms"]}

    time.sleep(6)
    assert alarms() == set()
    change(server, database_max_size="16M")
    wait_for(lambda: alarms() == {"size"}, 8)
    change(server, database_max_size="64M")
    wait_for(lambda: alarms() == set(), 8)


# ---- people ----

def test_idle_sign_ins_end_by_the_limit_of_now(server):
    other = server.sign_in()
    with stopped(server) as database:
        database.execute("UPDATE web_sessions SET last_used_ms = last_used_ms - 7200000")
    server.session = server.sign_in()
    change(server, session_idle_hours=1)
    assert server.call("GET", "/api/v1/agents", session=other).status == 401
    assert server.call("GET", "/api/v1/agents").status == 200


def test_links_in_e_mails_begin_with_the_address_of_now(server, tmp_path):
    box, url, stop = mail_lab.start(tmp_path)
    try:
        server.call("POST", "/api/v1/users", {"name": "bert", "role": "viewer", "email": "bert@example.org"})
        change(server, smtp_url=url, smtp_from="one@example.org", public_url="https://one.example")
        for count, name in enumerate(("one", "two"), 1):
            change(server, smtp_from=f"{name}@example.org", public_url=f"https://{name}.example")
            assert server.call("POST", "/api/v1/password-reset", {"user": "bert"}, session=None).status == 202
            box.wait(count)
            sender, _, mail = box.mails[-1]
            assert sender == f"{name}@example.org" and f"https://{name}.example/#/link/" in mail.get_payload()
    finally:
        stop()
