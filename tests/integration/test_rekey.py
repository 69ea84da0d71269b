# SPDX-License-Identifier: Apache-2.0
"""Another key for an agent: docs/PROTOCOL.md, Another key. By hand over the wire, and by the real agent, crashes between."""

import http.client
import json
import random
import shutil
import struct
import threading
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import lab
from test_adversary import SMALL, ending, expect_line
from test_identity import DATABASE, join, restart, state_of
from wire import Speaker, b64, unb64

NOBODYS_SIGNATURE = (1).to_bytes(32, "little") + bytes(32)  # good under a key of small order, made without any


@pytest.fixture
def server():
    with lab.lone_server() as one:
        yield one


def public_of(key):
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def ask(server, name, **seen):
    return server.call("POST", f"/api/v1/agents/{server.agents()[name]['id']}/rekey", seen)


def request_of(connection):
    while True:
        data = connection.expect("server_message")
        if data["type"] == "rekey":
            return unb64(data["nonce"])


def answer(speaker, connection, nonce, new, old=None, nonce_s=None, label=b"meshping/1 rekey", public=None):
    """The message `rekey`, both signatures over what docs/PROTOCOL.md says."""
    public = public or public_of(new)
    fields = [label, struct.pack(">I", 1), bytes.fromhex(connection.server_id), connection.ekm,
              nonce_s or connection.nonce_s, nonce, speaker.public, public]
    text = b"".join(struct.pack(">H", len(field)) + field for field in fields)
    return {"public_key": b64(public), "old_signature": b64((old or speaker.key).sign(text)),
            "new_signature": b64(new.sign(text) if new else NOBODYS_SIGNATURE)}


def events_of(server):
    return [(event["kind"], event["text"]) for event in server.call("GET", "/api/v1/events")["events"]]


def assert_still_good(server, speaker, name):
    assert state_of(server, name) == "approved"
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"


def test_a_new_key_keeps_id_approval_and_history_and_the_old_one_is_refused_by_name(server):
    speaker, connection = join(server, "a")
    before = server.agents()["a"]
    server.set_targets(["192.0.2.1"])
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    connection.send("monitoring_data", epoch="00000000c0ffee01", sequence=1, samples=[
        {"target": server.targets()["192.0.2.1"], "timestamp": stamp, "result": "ok", "latency": 4.321}])
    while connection.expect("data_received")["ranges"] != [[1, 1]]:
        pass
    assert ask(server, "a", fingerprint=before["fingerprint"], revision=before["revision"])["id"] == before["id"]
    new, old_public, old_key, old_ticket = Ed25519PrivateKey.generate(), speaker.public, speaker.key, speaker.ticket
    connection.send("rekey", **answer(speaker, connection, request_of(connection), new))
    while (done := connection.expect("server_message"))["type"] != "rekeyed":
        pass
    assert unb64(done["public_key"]) == public_of(new)
    speaker.key, speaker.public = new, public_of(new)
    status = speaker.join(connection)
    assert status["status"] == "approved" and status["agent_id"] == before["id"] and status["ranges"] == [[1, 1]]
    after = server.agents()["a"]
    assert after["id"] == before["id"] and after["fingerprint"] != before["fingerprint"]
    assert after["approved_addresses"] == before["approved_addresses"]
    assert 4321 in server.series("a", "192.0.2.1")["rtt_us"]
    assert any(kind == "rekey" and before["fingerprint"] in text and after["fingerprint"] in text
               for kind, text in events_of(server))
    audit = server.call("GET", "/api/v1/audit?action=agent.rekey")["rows"]
    assert len(audit) == 1 and audit[0]["user"] == server.USER and before["id"] in audit[0]["object"]
    assert speaker.join(speaker.connect("resume"))["status"] == "approved"
    thief = Speaker(server.passphrase(), "a")
    thief.key, thief.public = old_key, old_public
    for again in range(2):
        for thief.ticket in (old_ticket, speaker.ticket, b""):
            assert thief.connect("resume").expect("refused")["code"] == "rekeyed"
        assert thief.connect("enrol").expect("refused")["code"] == "rekeyed"
        if not again:
            restart(server)
            server.sign_in()
    expect_line(server, "comes with a key that this agent has not had since")
    assert_still_good(server, speaker, "a")
    assert len(server.agents()) == 1


def test_only_an_approved_connected_agent_that_confirmed_its_ticket_is_asked(server):
    speaker, connection = join(server, "a")
    fingerprint = server.agents()["a"]["fingerprint"]
    for body, words in (({"revision": 99}, "look again"), ({"fingerprint": "0000"}, "look again")):
        with pytest.raises(lab.Refused, match=words) as refused:
            ask(server, "a", **body)
        assert refused.value.status == 409
    pending = Speaker(server.passphrase(), "new")
    waiting = pending.connect("enrol")
    waiting.expect("registration_status")
    with pytest.raises(lab.Refused, match="pending"):
        ask(server, "new")
    server.act("a", "hold")
    with pytest.raises(lab.Refused, match="hold"):
        ask(server, "a")
    server.act("a", "approve")
    connection.ssl.shutdown()
    lab.wait_for("it is gone", 10, lambda: "a disconnected" in server.daemon.text())
    with pytest.raises(lab.Refused, match="when it is connected"):
        ask(server, "a")
    again = speaker.connect("resume")
    again.expect("registration_status")
    with pytest.raises(lab.Refused, match="in a moment"):
        ask(server, "a")
    with pytest.raises(lab.Refused) as refused:
        server.call("POST", "/api/v1/agents/00000000000000ff/rekey", {})
    assert refused.value.status == 404
    assert server.agents()["a"]["fingerprint"] == fingerprint


@pytest.mark.parametrize("state", ["pending", "hold", "approved"])
def test_a_new_key_that_nobody_asked_for_ends_the_connection(server, state):
    speaker = Speaker(server.passphrase(), "a")
    connection = speaker.connect("enrol")
    connection.expect("registration_status")
    if state != "pending":
        server.act("a", "approve")
        speaker.join(connection)
    if state == "hold":
        ask(server, "a")
        request_of(connection)
        server.act("a", "hold")  # between the question and the answer
    connection.send("rekey", **answer(speaker, connection, bytes(32), Ed25519PrivateKey.generate()))
    assert ending(connection) == 1008
    expect_line(server, f"a new key that it was not asked for (it is {state})")


def test_whatever_is_wrong_with_an_answer_changes_nothing(server):
    speaker, _ = join(server, "a")
    other, _ = join(server, "b")
    fingerprint = server.agents()["a"]["fingerprint"]
    new, stranger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

    class Nobody:
        def sign(self, _):
            return NOBODYS_SIGNATURE

    def one_key_only(connection, nonce):
        good = answer(speaker, connection, nonce, new)
        return {**good, "new_signature": good["old_signature"]}

    cases = {
        "the old key's signature does not fit": [
            lambda connection, nonce: answer(speaker, connection, nonce, new, old=stranger),
            lambda connection, nonce: answer(speaker, connection, nonce, new, old=new),
            lambda connection, nonce: answer(speaker, connection, bytes(32), new),
            lambda connection, nonce: answer(speaker, connection, nonce, new, nonce_s=bytes(32)),
            lambda connection, nonce: answer(speaker, connection, nonce, new, label=b"meshping/1 resume")],
        "the new key's signature does not fit": [
            one_key_only, lambda connection, nonce: answer(speaker, connection, nonce, Nobody(), public=public_of(new))],
        "the new key is the old one": [lambda connection, nonce: answer(speaker, connection, nonce, speaker.key)],
        "small order": [lambda connection, nonce, y=y: answer(speaker, connection, nonce, None, public=y.to_bytes(32, "little"))
                        for y in SMALL],
        "the new key is another agent's": [lambda connection, nonce: answer(speaker, connection, nonce, other.key)],
    }
    for words, forgeries in cases.items():
        for forge in forgeries:
            server.mark = len(server.daemon.text())
            connection = speaker.connect("resume")
            speaker.join(connection)
            ask(server, "a")
            connection.send("rekey", **forge(connection, request_of(connection)))
            assert ending(connection) == 1008, words
            expect_line(server, words)
    assert server.agents()["a"]["fingerprint"] == fingerprint
    assert_still_good(server, speaker, "a")
    assert_still_good(server, other, "b")
    assert any(kind == "rekey_refused" for kind, _ in events_of(server))


def test_a_replayed_answer_is_refused_on_its_connection_and_on_another(server):
    speaker, connection = join(server, "a")
    ask(server, "a")
    sent = answer(speaker, connection, request_of(connection), Ed25519PrivateKey.generate())
    sent["new_signature"] = sent["old_signature"]
    connection.send("rekey", **sent)
    assert ending(connection) == 1008
    connection = speaker.connect("resume")
    speaker.join(connection)
    ask(server, "a")
    request_of(connection)
    connection.send("rekey", **sent)
    assert ending(connection) == 1008
    connection = speaker.connect("resume")
    speaker.join(connection)
    ask(server, "a")
    new = Ed25519PrivateKey.generate()
    good = answer(speaker, connection, request_of(connection), new)
    connection.send("rekey", **good)
    connection.send("rekey", **good)  # the second one is not asked for
    assert ending(connection) == 1008
    speaker.key, speaker.public, speaker.ticket = new, public_of(new), b""
    assert_still_good(server, speaker, "a")


def test_a_key_that_was_replaced_never_comes_back(server):
    speaker, connection = join(server, "a")
    first = speaker.key

    def change(new):
        ask(server, "a")
        connection.send("rekey", **answer(speaker, connection, request_of(connection), new))

    second = Ed25519PrivateKey.generate()
    change(second)
    speaker.key, speaker.public = second, public_of(second)
    speaker.join(connection)
    change(first)
    assert ending(connection) == 1008
    expect_line(server, "retired or blacklisted before")
    assert_still_good(server, speaker, "a")


def test_after_the_answer_no_old_ticket_is_good_and_none_is_needed_until_the_first(server):
    """The agent died before it heard: it comes with the new key, and without a ticket."""
    speaker, connection = join(server, "a")
    ask(server, "a")
    new = Ed25519PrivateKey.generate()
    connection.send("rekey", **answer(speaker, connection, request_of(connection), new))
    while connection.expect("server_message")["type"] != "rekeyed":
        pass
    speaker.key, speaker.public = new, public_of(new)
    assert speaker.connect("resume").expect("refused")["code"] == "ticket"  # the old key's
    speaker.ticket = b""
    assert_still_good(server, speaker, "a")
    speaker.ticket = b""
    assert speaker.connect("resume").expect("registration_status")["status"] == "hold"  # as of any agent


def set_back(server):
    """The database as it was at the call, the files beside it as they are: for restart()."""
    server.end()
    shutil.copy(server.state / DATABASE, server.directory / "backup")
    server.start().sign_in()

    def restore():
        for name in (DATABASE, DATABASE + "-wal", DATABASE + "-shm"):
            (server.state / name).unlink(missing_ok=True)
        shutil.copy(server.directory / "backup", server.state / DATABASE)

    return restore


@pytest.mark.parametrize("heard", [True, False])
def test_a_database_from_before_the_change_keeps_the_agent_and_takes_the_new_key_only(server, heard):
    """That is also what a crash between the two writes leaves."""
    speaker, _ = join(server, "a")
    agent_id = server.agents()["a"]["id"]
    restore = set_back(server)
    connection = speaker.connect("resume")
    speaker.join(connection)
    old_key, old_public, old_ticket = speaker.key, speaker.public, speaker.ticket
    for _ in range(2):
        ask(server, "a")
        new = Ed25519PrivateKey.generate()
        connection.send("rekey", **answer(speaker, connection, request_of(connection), new))
        speaker.key, speaker.public = new, public_of(new)
        speaker.join(connection)
    if not heard:
        speaker.ticket = b""
    restart(server, restore)
    server.sign_in()
    assert_still_good(server, speaker, "a")
    assert server.agents()["a"]["id"] == agent_id and len(server.agents()) == 1
    speaker.key, speaker.public, speaker.ticket = old_key, old_public, old_ticket
    assert speaker.connect("resume").expect("refused")["code"] == "rekeyed"
    assert "the database has an older key of it: the newer one is in force" in server.daemon.text()


def test_a_blacklisted_agent_stays_so_whatever_key_an_old_database_has(server):
    speaker, _ = join(server, "a")
    restore = set_back(server)
    connection = speaker.connect("resume")
    speaker.join(connection)
    ask(server, "a")
    new = Ed25519PrivateKey.generate()
    connection.send("rekey", **answer(speaker, connection, request_of(connection), new))
    speaker.key, speaker.public = new, public_of(new)
    speaker.join(connection)
    server.act("a", "reject")
    restart(server, restore)
    server.sign_in()
    assert state_of(server, "a") == "blacklisted" and len(server.agents()) == 1
    assert speaker.connect("resume").expect("registration_status")["status"] == "blacklisted"


# ---- the real agent ----

def fingerprint_of(server, name):
    return server.agents()[name]["fingerprint"]


def has_new_key(server, agent, before):
    lab.wait_for("it has a new key", 15, lambda: fingerprint_of(server, agent.name) != before)
    new = fingerprint_of(server, agent.name)
    lab.wait_for("the agent says so", 10, lambda: f"a new key; its fingerprint is {new}" in agent.daemon.text())
    lab.wait_for("it is online", 70, lambda: server.agents()[agent.name]["online"])
    assert state_of(server, agent.name) == "approved"


def test_the_agent_makes_a_new_key_and_measures_on(server):
    with lab.directory() as directory:
        agent = lab.join(server, lab.Agent(directory, "real", server.passphrase()))
        try:
            before, seed = fingerprint_of(server, "real"), (agent.directory / "state" / "identity.key").read_bytes()
            lab.wait_for("it is asked", 10, lambda: asked(server, "real"))
            has_new_key(server, agent, before)
            state = agent.directory / "state"
            assert (state / "identity.key").read_bytes() != seed and (state / "identity.key").stat().st_mode & 0o777 == 0o600
            assert not (state / "identity.next").exists()
            agent.end()
            mark = len(agent.daemon.text())
            agent.start()
            is_back(agent, mark, "it is back")
            assert state_of(server, "real") == "approved"
        finally:
            agent.end()


def is_back(agent, mark, what):
    """Approved in a session that began after `mark` of its log: what the server calls online may be of the last one."""
    lab.wait_for(what, 20, lambda: "approved: approved" in agent.daemon.text()[mark:])


def asked(server, name):
    try:
        return ask(server, name)
    except lab.Refused as refused:
        assert refused.status == 409, refused
        return None


@pytest.mark.parametrize("cut", ["before the answer", "after the ticket was forgotten", "before it was sent"])
def test_whatever_the_agent_had_written_when_it_died_it_comes_back_as_itself(server, cut):
    """A hand plays the agent until it dies: it has the agent's key and ticket."""
    with lab.directory() as directory:
        agent = lab.join(server, lab.Agent(directory, "real", server.passphrase()))
        state = agent.directory / "state"
        try:
            lab.wait_for("it has its ticket", 10, lambda: b"ticket" in (state / "server.json").read_bytes())
            before, agent_id = fingerprint_of(server, "real"), server.agents()["real"]["id"]
            agent.end()
            new = Ed25519PrivateKey.generate()
            new_seed = new.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw,
                                         serialization.NoEncryption())
            (state / "identity.next").write_bytes(new_seed)
            if cut != "before it was sent":
                hand = Speaker(server.passphrase(), "real")
                hand.key = Ed25519PrivateKey.from_private_bytes((state / "identity.key").read_bytes())
                hand.public = public_of(hand.key)
                stored = json.loads((state / "server.json").read_text())
                hand.ticket = unb64(stored["ticket"])
                connection = hand.connect("resume")
                hand.join(connection)
                ask(server, "real")
                connection.send("rekey", **answer(hand, connection, request_of(connection), new))
                while connection.expect("server_message")["type"] != "rekeyed":
                    pass
                if cut == "after the ticket was forgotten":
                    del stored["ticket"]
                    (state / "server.json").write_text(json.dumps(stored))
            agent.passphrase_file.write_text("")
            mark = len(agent.daemon.text())
            agent.start()
            is_back(agent, mark, "it is back")
            assert state_of(server, "real") == "approved" and server.agents()["real"]["id"] == agent_id
            if cut != "before it was sent":
                assert (state / "identity.key").read_bytes() == new_seed and not (state / "identity.next").exists()
            else:
                assert fingerprint_of(server, "real") == before
        finally:
            agent.end()


def test_kills_of_either_side_leave_exactly_one_key_that_is_good(server):
    """Seeded; where in a change a kill falls is also the machine's affair."""
    seed = 20261123
    dice = random.Random(seed)
    with lab.directory() as directory:
        agent = lab.join(server, lab.Agent(directory, "real", server.passphrase()))
        agent.passphrase_file.write_text("")
        agent_id, changed = server.agents()["real"]["id"], 0
        try:
            lab.wait_for("it may be asked", 10, lambda: asked(server, "real"))
            began = time.monotonic()
            ask(server, "real")
            took_s = time.monotonic() - began
            for turn in range(12):
                before = (agent.directory / "state" / "identity.key").read_bytes()
                mark = len(agent.daemon.text())
                killer = threading.Timer(took_s * dice.uniform(0.5, 1.3), (agent if turn % 2 else server).end, [9])
                killer.start()
                try:
                    asked(server, "real")
                except (OSError, http.client.HTTPException):
                    pass  # the server died meanwhile
                killer.join()
                if turn % 2:
                    agent.start()
                else:
                    server.start().sign_in()
                is_back(agent, mark, f"seed {seed}, turn {turn}: it is back")
                one = server.agents()["real"]
                assert one["state"] == "approved" and one["id"] == agent_id, f"seed {seed}, turn {turn}: {one}"
                changed += (agent.directory / "state" / "identity.key").read_bytes() != before
            assert len(server.agents()) == 1
        finally:
            agent.end()
    print(f"seed {seed}: {changed} of 12 changes came into force")
