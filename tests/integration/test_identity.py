# SPDX-License-Identifier: Apache-2.0
"""Who an agent is: join tickets, copies and restored databases, addresses, successors, passphrases' limits."""

import concurrent.futures
import json
import os
import shutil
import sqlite3
import threading
import time

import pytest

import lab
from wire import Speaker, unb64

DATABASE = "meshping.db"


@pytest.fixture
def server():
    with lab.lone_server() as one:
        yield one


def state_of(server, name):
    return server.agents().get(name, {}).get("state")


def reason_of(server, name):
    return server.agents()[name]["reason"]


def join(server, name, **limits):
    """A speaker that was approved and has its ticket; (speaker, connection)."""
    speaker = Speaker(server.passphrase(**limits), name)
    connection = speaker.connect("enrol")
    assert connection.expect("registration_status")["status"] == "pending"
    server.act(name, "approve")
    assert speaker.join(connection)["status"] == "approved"
    return speaker, connection


def restart(server, change=lambda: None):
    assert server.end() == 0
    change()
    server.start()


def test_each_session_gets_a_new_ticket_and_only_the_last_is_good(server):
    speaker, _ = join(server, "a")
    first = speaker.ticket
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"
    assert speaker.ticket != first and speaker.ticket[:8] > first[:8]
    speaker.ticket = first
    status = speaker.connect("resume").expect("registration_status")
    assert status["status"] == "hold" and "ticket" not in status and status["credit"] > 0  # into quarantine
    assert "old one" in status["message"]
    assert "copy_found" in [event["kind"] for event in server.call("GET", "/api/v1/events")["events"]]


def test_a_ticket_that_was_not_confirmed_is_good_and_so_is_the_one_before(server):
    speaker, _ = join(server, "a")
    before = speaker.ticket
    status = speaker.connect("resume").expect("registration_status")  # and no word more: as if the agent had died
    assert speaker.connect("resume").expect("registration_status")["status"] == "approved"
    speaker.ticket = unb64(speaker.connect("resume").expect("registration_status")["ticket"])
    assert status["status"] == "approved" and speaker.ticket != before
    restart(server)
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"


def test_without_joined_nothing_passes(server):
    speaker, _ = join(server, "a")
    server.set_targets(["192.0.2.1"])
    connection = speaker.connect("resume")
    status = connection.expect("registration_status")
    assert status["credit"] == 0 and status["ticket"]
    connection.send("monitoring_data", epoch="00000000c0ffee01", sequence=1, samples=[
        {"target": 1, "timestamp": "2026-11-23T01:02:03Z", "result": "ok", "latency": 1}])
    began = time.monotonic()
    while True:
        event, data = connection.next()
        assert event in ("status", "closed"), (event, data)
        if event == "closed":
            break
    assert data == 1008 and "join ticket" in connection.reason and 8 < time.monotonic() - began < 14
    status = speaker.join(speaker.connect("resume"))
    assert status["ranges"] == [], "what came before joined was not taken"


def test_a_forged_ticket_is_refused_and_changes_nothing(server):
    speaker, _ = join(server, "a")
    good = speaker.ticket
    for bad in (bytes([good[0] ^ 1]) + good[1:], good[:39] + bytes([good[39] ^ 1]), bytes(40)):
        speaker.ticket = bad
        assert speaker.connect("resume").expect("refused")["code"] == "ticket"
    assert state_of(server, "a") == "approved"
    other, _ = join(server, "b")
    speaker.ticket = other.ticket  # another agent's
    assert speaker.connect("resume").expect("refused")["code"] == "ticket"
    speaker.ticket = good
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"


def test_joined_with_another_serial_ends_the_connection(server):
    speaker, _ = join(server, "a")
    connection = speaker.connect("resume")
    connection.expect("registration_status")
    connection.send("joined", serial="0000000000000001")
    while (event := connection.next())[0] == "status":
        pass
    assert event == ("closed", 1008)


def test_key_and_passphrase_are_not_enough_for_an_approved_agent(server):
    """Who has the stolen key and any passphrase, but no ticket, comes on hold."""
    speaker, _ = join(server, "a")
    assert speaker.connect("enrol").expect("registration_status")["status"] == "hold"


def test_a_copied_state_directory_is_found_out(server):
    with lab.directory() as directory:
        original = lab.join(server, lab.Agent(directory, "original", server.passphrase()))
        original.end()
        copy = lab.Agent(directory, "copy")
        shutil.copytree(original.directory / "state", copy.directory / "state")
        copy.passphrase_file.write_text("")
        original.start()
        lab.wait_for("the original is back", 15, lambda: server.agents()["original"]["online"])
        copy.start()
        lab.wait_for("the two are found out", 20, lambda: state_of(server, "copy") == "hold")
        assert "copy" in reason_of(server, "copy") or "original" in server.agents()
        original.end()
        copy.end()
        assert "its join ticket is an old one" in server.daemon.text()


def test_a_restored_database_is_told_from_a_copied_agent(server):
    speaker, _ = join(server, "a")
    database = server.state / DATABASE
    backup = server.directory / "backup"
    server.end()
    shutil.copy(database, backup)
    server.start()
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"
    late, _ = join(server, "late")  # joined after the backup

    def restore():
        for name in (DATABASE, DATABASE + "-wal", DATABASE + "-shm"):
            (server.state / name).unlink(missing_ok=True)
        shutil.copy(backup, database)

    restart(server, restore)
    server.sign_in()
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"
    assert "database restored" in server.daemon.text()
    assert "restored" in [alarm["kind"] for alarm in server.call("GET", "/api/v1/server")["alarms"]]
    status = late.connect("resume").expect("registration_status")
    assert status["status"] == "pending" and "before the database was restored" in status["message"]
    server.act("late", "approve")
    again = late.connect("resume")
    assert late.join(again)["status"] == "approved"


def test_an_old_database_brings_no_blacklisted_agent_and_no_passphrase_back(server):
    known, _ = join(server, "known")
    issued = server.call("POST", "/api/v1/passphrases", {})
    server.end()
    backup = server.directory / "backup"
    shutil.copy(server.state / DATABASE, backup)
    server.start()
    server.act("known", "reject")
    new, _ = join(server, "new")
    server.act("new", "reject")
    assert server.request("DELETE", f"/api/v1/passphrases/{issued['id']}")[0] == 204

    def restore():
        for name in (DATABASE, DATABASE + "-wal", DATABASE + "-shm"):
            (server.state / name).unlink(missing_ok=True)
        shutil.copy(backup, server.state / DATABASE)

    restart(server, restore)
    server.sign_in()
    assert known.connect("resume").expect("registration_status")["status"] == "blacklisted"
    assert new.connect("resume").expect("registration_status")["status"] == "blacklisted"
    speaker = Speaker(issued["passphrase"], "thief")
    assert speaker.connect("enrol").expect("refused")["code"] == "passphrase"
    server.act("known", "reinstate")
    restart(server)
    server.sign_in()
    assert state_of(server, "known") == "pending"


def test_a_successor_keeps_id_and_history_and_retires_the_key(server):
    old, _ = join(server, "host")
    old_id = server.agents()["host"]["id"]
    server.set_targets(["192.0.2.1"])
    connection = old.connect("resume")
    old.join(connection)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    connection.send("monitoring_data", epoch="00000000c0ffee01", sequence=1, samples=[
        {"target": server.targets()["192.0.2.1"], "timestamp": stamp, "result": "ok", "latency": 4.321}])
    while connection.expect("data_received")["ranges"] != [[1, 1]]:
        pass
    young = Speaker(server.passphrase(), "host")
    fresh = young.connect("enrol")
    assert fresh.expect("registration_status")["status"] == "pending"
    listed = server.call("GET", "/api/v1/agents")["agents"]
    assert all(agent["same_host_name"] for agent in listed) and len(listed) == 2
    pending = next(agent for agent in listed if agent["state"] == "pending")
    with pytest.raises(lab.Refused):  # nobody succeeds a pending agent
        server.call("POST", f"/api/v1/agents/{pending['id']}/approve", {"successor_of": pending["id"]})
    made = server.call("POST", f"/api/v1/agents/{pending['id']}/approve", {
        "fingerprint": pending["fingerprint"], "revision": pending["revision"], "successor_of": old_id})
    assert made["id"] == old_id and made["fingerprint"] == pending["fingerprint"] and made["state"] == "approved"
    assert young.join(fresh)["agent_id"] == old_id
    assert len(server.agents()) == 1
    assert 4321 in server.series("host", "192.0.2.1")["rtt_us"]
    while (event := connection.next())[0] != "closed":
        pass
    assert event[1] == 1008
    assert old.connect("resume").expect("refused")["code"] == "unknown_key"
    restart(server)
    server.sign_in()
    assert old.connect("resume").expect("refused")["code"] == "unknown_key"
    assert young.join(young.connect("resume"))["status"] == "approved"


def test_addresses_are_ranges_and_leaving_them_means_hold(server):
    speaker, _ = join(server, "a")
    agent = server.agents()["a"]
    assert agent["approved_addresses"] == "127.0.0.1"
    path = f"/api/v1/agents/{agent['id']}/addresses"
    for wrong in ("", "nonsense", "10.0.0.1/8"):
        with pytest.raises(lab.Refused) as refused:
            server.call("PUT", path, {"addresses": wrong})
        assert refused.value.status == 400
    with pytest.raises(lab.Refused) as refused:
        server.call("PUT", path, {"addresses": "127.0.0.0/8", "revision": agent["revision"] + 7})
    assert refused.value.status == 409
    changed = server.call("PUT", path, {"addresses": "127.0.0.0/8, 2001:DB8::/32"})
    assert changed["approved_addresses"] == "127.0.0.0/8, 2001:db8::/32" and changed["state"] == "approved"
    assert speaker.join(speaker.connect("resume", source="127.0.0.77"))["status"] == "approved"
    server.call("PUT", path, {"addresses": "127.0.0.77"})
    assert state_of(server, "a") == "approved"
    connection = speaker.connect("resume", source="127.0.0.78")
    status = speaker.join(connection)
    assert status["status"] == "hold" and "127.0.0.78" in status["message"]
    agent = server.agents()["a"]
    approved = server.call("POST", f"/api/v1/agents/{agent['id']}/approve",
                           {"fingerprint": agent["fingerprint"], "revision": agent["revision"]})
    assert approved["approved_addresses"] == "127.0.0.78"
    server.call("PUT", path, {"addresses": "127.0.0.0/30"})  # and it is connected from elsewhere
    assert state_of(server, "a") == "hold"


def test_what_has_changed_meanwhile_is_not_approved(server):
    speaker = Speaker(server.passphrase(), "a")
    speaker.connect("enrol").expect("registration_status")
    seen = server.agents()["a"]
    speaker.connect("resume", source="127.0.0.9").expect("registration_status")
    with pytest.raises(lab.Refused) as refused:
        server.call("POST", f"/api/v1/agents/{seen['id']}/approve",
                    {"fingerprint": seen["fingerprint"], "revision": seen["revision"]})
    assert refused.value.status == 409
    seen = server.agents()["a"]
    speaker.connect("resume", source="127.0.0.9").expect("registration_status")  # nothing that is shown has changed
    with pytest.raises(lab.Refused) as refused:
        server.call("POST", f"/api/v1/agents/{seen['id']}/approve", {"fingerprint": "0000 0000"})
    assert refused.value.status == 409
    server.call("POST", f"/api/v1/agents/{seen['id']}/approve",
                {"fingerprint": seen["fingerprint"], "revision": seen["revision"]})


def at_once(server, *questions):
    """The status of each, asked side by side."""
    together = threading.Barrier(len(questions))

    def ask(question):
        together.wait()
        return server.request("POST", *question)[0]

    with concurrent.futures.ThreadPoolExecutor(len(questions)) as pool:
        return list(pool.map(ask, questions))


@pytest.mark.parametrize("looked", [True, False])
def test_of_approving_and_rejecting_at_once_the_agent_hears_what_the_server_shows(server, looked):
    passphrase = server.passphrase()
    outcomes = set()
    for i in range(12):
        connection = Speaker(passphrase, f"r{i}").connect("enrol")
        connection.expect("registration_status")
        agent = server.agents()[f"r{i}"]
        path = f"/api/v1/agents/{agent['id']}"
        seen = {"fingerprint": agent["fingerprint"], "revision": agent["revision"]} if looked else {}
        questions = [(f"{path}/approve", seen), (f"{path}/reject", seen)]
        approved, rejected = at_once(server, *(questions if i % 2 else reversed(questions)))[::1 if i % 2 else -1]
        outcomes.add((approved, rejected))
        state = state_of(server, f"r{i}")
        assert state == ("approved" if rejected == 409 else "blacklisted")
        heard = connection.expect("registration_status")["status"]
        while heard != state:
            heard = connection.expect("registration_status")["status"]
    # who looked before is told that it is another one now; else a rejection stands, whichever came first
    assert outcomes <= ({(200, 409), (409, 200)} if looked else {(200, 200), (409, 200)})
    assert server.request("POST", f"{path}/approve", {"fingerprint": agent["fingerprint"]})[0] == 409


def test_an_agent_whose_address_was_blocked_meanwhile_is_not_approved(server):
    passphrase = server.passphrase()
    speaker = Speaker(passphrase, "a")
    speaker.connect("enrol", source="127.0.0.66").expect("registration_status")
    join(server, "old")
    seen = server.agents()["a"]
    server.call("PUT", "/api/v1/blocked", {"addresses": "127.0.0.64/28"})
    path, known = f"/api/v1/agents/{seen['id']}/approve", {"fingerprint": seen["fingerprint"], "revision": seen["revision"]}
    for body in (known, {**known, "addresses": "127.0.0.0/8"}, {**known, "successor_of": server.agents()["old"]["id"]}):
        status, problem = server.request("POST", path, body)
        assert status == 409 and "127.0.0.66 is blocked" in json.loads(problem)["detail"]
    many = server.call("POST", "/api/v1/agents/approve", {"agents": [{"id": seen["id"], **known}]})
    assert many["approved"] == 0 and "is blocked" in many["results"][0]["detail"]
    assert state_of(server, "a") == "pending" and state_of(server, "old") == "approved"
    server.call("PUT", "/api/v1/blocked", {"addresses": ""})
    assert server.request("POST", path, known)[0] == 200
    assert speaker.join(speaker.connect("resume", source="127.0.0.66"))["status"] == "approved"


def test_many_are_approved_at_once_each_by_what_was_seen(server):
    passphrase = server.passphrase()
    speakers = [Speaker(passphrase, f"m{i}") for i in range(5)]
    connections = [speaker.connect("enrol") for speaker in speakers]
    for connection in connections:
        assert connection.expect("registration_status")["status"] == "pending"
    asked = [{key: agent[key] for key in ("id", "fingerprint", "revision")} for agent in server.agents().values()]
    asked[2]["revision"] += 1
    asked[3]["fingerprint"] = asked[4]["fingerprint"]
    answer = server.call("POST", "/api/v1/agents/approve", {"agents": asked + [{"id": "nobody"}, 7]})
    assert answer["approved"] == 3 and [r["approved"] for r in answer["results"]] == [True, True, False, False, True, False, False]
    assert sorted(agent["state"] for agent in server.agents().values()) == ["approved"] * 3 + ["pending"] * 2
    done = server.call("GET", "/api/v1/audit?limit=1&action=agent.approve")["rows"][0]
    assert done["detail"] == "7 at once: " + ", ".join([one["id"] for one in asked] + ["nobody", "?"])
    server.call("POST", "/api/v1/agents/approve", {"agents": (asked * 52)[:256]})
    named = server.call("GET", "/api/v1/audit?limit=1&action=agent.approve")["rows"][0]["detail"].split(" and ")
    assert len(named[0].split(", ")) + int(named[1].split()[0]) == 256
    assert server.request("POST", "/api/v1/agents/approve", {"agents": [{}] * 257})[0] == 400


def test_a_one_time_passphrase_is_good_once_but_a_known_key_spends_nothing(server):
    made = server.call("POST", "/api/v1/passphrases", {"uses": 1, "label": "once"})
    first = Speaker(made["passphrase"], "first")
    for _ in range(3):
        assert first.connect("enrol").expect("registration_status")["status"] == "pending"
    listed = server.call("GET", "/api/v1/passphrases")["passphrases"]
    assert [(p["label"], p["uses"], p["uses_max"]) for p in listed] == [("once", 1, 1)]
    assert "passphrase" not in listed[0]
    second = Speaker(made["passphrase"], "second")
    assert second.connect("enrol").expect("refused")["code"] == "passphrase"


def test_the_first_from_a_network_are_approved_beforehand(server):
    made = server.call("POST", "/api/v1/passphrases", {"preapprove": 2, "preapprove_from": "127.0.1.0/24"})
    states = []
    for number, source in enumerate(("127.0.0.9", "127.0.1.1", "127.0.1.2", "127.0.1.3")):
        speaker = Speaker(made["passphrase"], f"p{number}")
        connection = speaker.connect("enrol", source=source)
        status = connection.expect("registration_status")
        assert status["status"] == "pending"
        if number in (1, 2):
            assert speaker.join(connection)["status"] == "approved"
        states.append(state_of(server, f"p{number}"))
    assert states == ["pending", "approved", "approved", "pending"]
    assert server.agents()["p1"]["approved_addresses"] == "127.0.1.1"
    for wrong in ({"preapprove": 2}, {"preapprove": 2, "preapprove_from": "x"}, {"preapprove": 3, "uses": 2, "preapprove_from": "::/0"}):
        assert server.request("POST", "/api/v1/passphrases", wrong)[0] == 400


def test_rotating_revokes_the_old_and_keeps_its_limits(server):
    made = server.call("POST", "/api/v1/passphrases", {"uses": 7, "hours": 3, "label": "rack", "preapprove": 1,
                                                       "preapprove_from": "127.0.0.0/8"})
    new = server.call("POST", f"/api/v1/passphrases/{made['id']}/rotate", {})
    assert new["passphrase"] != made["passphrase"] and new["uses_max"] == 7 and new["label"] == "rack"
    assert new["preapprove"] == 1 and new["preapprove_from"] == "127.0.0.0/8" and new["uses"] == 0
    assert abs((new["expires_ms"] - new["created_ms"]) - 3 * 3600000) < 1000
    assert Speaker(made["passphrase"], "old").connect("enrol").expect("refused")["code"] == "passphrase"
    speaker = Speaker(new["passphrase"], "new")
    assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"
    assert server.request("POST", "/api/v1/passphrases/0000000000000000/rotate", {})[0] == 404


def test_rejecting_may_block_the_address_and_revoke_the_passphrase(server):
    made = server.call("POST", "/api/v1/passphrases", {})
    speaker = Speaker(made["passphrase"], "rogue")
    connection = speaker.connect("enrol", source="127.0.0.66")
    connection.expect("registration_status")
    agent = server.agents()["rogue"]
    server.call("POST", f"/api/v1/agents/{agent['id']}/reject", {"block_address": True, "revoke_passphrase": True})
    assert server.call("GET", "/api/v1/blocked")["addresses"] == "127.0.0.66"
    assert server.call("GET", "/api/v1/passphrases")["passphrases"][0]["revoked"]
    restart(server)
    server.sign_in()
    with pytest.raises(AssertionError, match="40[0-9]|50[0-9]|no answer"):
        speaker.connect("resume", source="127.0.0.66")
    assert "127.0.0.66 is blocked" in server.daemon.text()
    assert speaker.connect("resume", source="127.0.0.67").expect("registration_status")["status"] == "blacklisted"
    assert server.request("PUT", "/api/v1/blocked", {"addresses": "127.0.0.1/8"})[0] == 400
    server.call("PUT", "/api/v1/blocked", {"addresses": ""})
    assert speaker.connect("resume", source="127.0.0.66").expect("registration_status")["status"] == "blacklisted"


def test_a_pending_agent_lapses_after_seven_days_unseen(server):
    speaker = Speaker(server.passphrase(), "forgotten")
    speaker.connect("enrol").expect("registration_status")
    kept, _ = join(server, "kept")

    def a_week_ago():
        with sqlite3.connect(server.state / DATABASE) as database:
            database.execute("UPDATE agents SET last_seen_ms = last_seen_ms - 8 * 86400 * 1000")

    restart(server, a_week_ago)
    server.sign_in()
    lab.wait_for("it is forgotten", 5, lambda: list(server.agents()) == ["kept"])
    assert "not seen for 7 days" in server.daemon.text()
    assert speaker.connect("resume").expect("refused")["code"] == "unknown_key"
    assert speaker.connect("enrol").expect("registration_status")["status"] == "pending"


def test_the_secrets_are_the_owners_alone(server):
    modes = {name: os.stat(server.state / name).st_mode & 0o777 for name in ("seal.key", "ticket.key", "server.key")}
    assert modes == {"seal.key": 0o400, "ticket.key": 0o400, "server.key": 0o600}
    assert os.stat(server.state).st_mode & 0o777 == 0o700


def test_the_answer_to_the_handshake_is_the_first_word_however_often_an_agent_comes(server):
    speaker, connection = join(server, "one")
    for _ in range(40):  # its ticket is stored meanwhile, and its clock is to be asked for
        connection.ssl.close()
        connection = speaker.connect("resume")
        event, data = connection.next()
        assert (event, data["status"]) == ("registration_status", "approved")
