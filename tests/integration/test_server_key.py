# SPDX-License-Identifier: Apache-2.0
"""Another key for the server: docs/PROTOCOL.md, The server's key. By hand over the wire, and with real agents."""

import hashlib
import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import lab
from test_adversary import ending, expect_line
from test_identity import join, restart
from wire import Speaker, b64, unb64

KEY = "/api/v1/server/key"


@pytest.fixture
def server():
    with lab.lone_server() as one:
        yield one


def change(server, what, **body):
    return server.call("POST", f"{KEY}/{what}", body)


def shown_pin(server):
    """Of the certificate that agents meet now."""
    with server.tls() as tls:
        spki = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()[:32]


def told(connection):
    """The pins of the next pin_change, as hex; None for no next one."""
    while True:
        data = connection.expect("server_message")
        if data["type"] == "pin_change":
            return unb64(data["pin"]).hex(), unb64(data["next"]).hex() if "next" in data else None


def stored(connection, pin, following=None):
    connection.send("pin_stored", pin=b64(bytes.fromhex(pin)), **({"next": b64(bytes.fromhex(following))} if following else {}))


def names(agents):
    return sorted(agent["host_name"] for agent in agents)


def waiting(server):
    return names(server.call("GET", KEY)["waiting"])


def refused(server, what, words, **body):
    with pytest.raises(lab.Refused, match=words) as error:
        change(server, what, **body)
    assert error.value.status == 409


def test_nobody_hears_of_keys_while_there_is_no_change(server):
    speaker, connection = join(server, "a")
    state = server.call("GET", KEY)
    assert state["next"] is None and state["waiting"] == [] and state["left_behind"] == [] and state["approved"] == 1
    assert state["pin"] == shown_pin(server) == speaker.pin.hex()
    for what in ("switch", "abort"):
        refused(server, what, "no change of the server's key is going on")
    connection.send("status", time_us=1, ping=5)
    while True:
        event, data = connection.next()
        assert event != "server_message" or data["type"] == "update_targets"
        if event == "status" and data.get("pong") == 5:
            break
    stored(connection, speaker.pin.hex())
    assert ending(connection) == 1008
    expect_line(server, "pin_stored of what it was not told")


def test_a_switch_that_fails_half_way_is_repeated_and_nobody_is_told_of_a_key_that_is_not_in_use(server):
    speaker, connection = join(server, "a")
    old = shown_pin(server)
    following = change(server, "begin")["next"]
    assert told(connection) == (old, following)
    stored(connection, old, following)
    lab.wait_for("it has stored it", 5, lambda: waiting(server) == [])
    certificate = server.state / "server.crt"
    certificate.unlink()
    certificate.mkdir()  # no certificate can be written
    with pytest.raises(lab.Refused):
        change(server, "switch")
    refused(server, "abort", "switch again")
    state = server.call("GET", KEY)
    assert (state["pin"], state["next"]) == (old, following) and shown_pin(server) == old
    certificate.rmdir()
    assert change(server, "switch")["pin"] == following == shown_pin(server)
    assert told(connection) == (following, None)


def test_a_change_whose_key_file_was_removed_by_hand_can_be_given_up_and_begun_anew(server):
    speaker, connection = join(server, "a")
    old = shown_pin(server)
    lost = change(server, "begin")["next"]
    assert told(connection) == (old, lost)
    (server.state / "server.next.key").unlink()
    refused(server, "switch", "server.next.key is gone", give_up=True)
    change(server, "abort")
    assert server.call("GET", KEY)["next"] is None and told(connection) == (old, None)
    following = change(server, "begin")["next"]
    assert following not in (lost, old) and told(connection) == (old, following)
    stored(connection, old, following)
    lab.wait_for("it has stored it", 5, lambda: waiting(server) == [])
    assert change(server, "switch")["pin"] == following == shown_pin(server)


def test_a_successor_has_what_its_own_machine_stored_whoever_it_follows(server):
    _, dead = join(server, "host")
    old = shown_pin(server)
    following = change(server, "begin")["next"]
    assert told(dead) == (old, following)
    dead.ssl.shutdown()
    dead.ssl.close()
    again = Speaker(server.passphrase(), "host")
    older, newer = again.connect("enrol"), again.connect("enrol")  # the newer one takes the place of the older
    for connection in (older, newer):
        connection.expect("registration_status")
    assert told(newer) == (old, following)
    stored(newer, old, following)
    newer.send("status", time_us=1, ping=7)
    while newer.expect("status").get("pong") != 7:
        pass
    assert waiting(server) == ["host"]
    listed = {agent["state"]: agent for agent in server.call("GET", "/api/v1/agents")["agents"]}
    pending = listed["pending"]
    server.call("POST", f"/api/v1/agents/{pending['id']}/approve", {
        "fingerprint": pending["fingerprint"], "revision": pending["revision"], "successor_of": listed["approved"]["id"]})
    assert waiting(server) == [] and change(server, "switch")["left_behind"] == []


def test_a_switch_waits_for_every_approved_agent_and_the_new_key_is_met_after_it(server):
    first, one = join(server, "a")
    second, two = join(server, "b")
    third = Speaker(server.passphrase(), "only asks")
    three = third.connect("enrol")
    three.expect("registration_status")
    old = shown_pin(server)
    begun = change(server, "begin")
    assert begun["pin"] == old and begun["next"] not in (None, old) and begun["waiting_count"] == 2
    refused(server, "begin", "being changed already")
    for connection in (one, two, three):
        assert told(connection) == (old, begun["next"])
    stored(three, old, begun["next"])
    stored(one, old, begun["next"])
    lab.wait_for("one is waited for", 5, lambda: waiting(server) == ["b"])
    refused(server, "switch", "1 approved agents have not stored")
    stored(two, old, "00" * 15 + "01")  # another one than it was told
    stored(two, begun["next"], old)
    two.send("status", time_us=1, ping=7)
    while two.expect("status").get("pong") != 7:
        pass
    assert waiting(server) == ["b"]
    restart(server)  # what they said is known after it, and the change goes on
    server.sign_in()
    assert waiting(server) == ["b"] and shown_pin(server) == old and server.call("GET", KEY)["next"] == begun["next"]
    two = second.connect("resume")
    second.join(two)
    assert told(two) == (old, begun["next"])
    stored(two, old, begun["next"])
    lab.wait_for("nobody is waited for", 5, lambda: waiting(server) == [])
    open_one = server.call("POST", "/api/v1/passphrases", {})
    done = change(server, "switch")
    assert done["pin"] == begun["next"] == shown_pin(server) and done["next"] is None and done["left_behind"] == []
    assert told(two) == (begun["next"], None), "over the connection of the old key"
    stored(two, begun["next"])
    assert not (server.state / "server.next.key").exists()
    listed = {item["id"]: item for item in server.call("GET", "/api/v1/passphrases")["passphrases"]}
    assert listed[open_one["id"]]["revoked"] is True
    for speaker in (first, second):
        speaker.pin = bytes.fromhex(begun["next"])
    assert first.join(first.connect("resume"))["status"] == "approved"
    restart(server)
    server.sign_in()
    assert shown_pin(server) == begun["next"]
    connection = second.connect("resume")
    assert second.join(connection)["status"] == "approved"
    connection = first.connect("resume")
    first.join(connection)
    assert told(connection) == (begun["next"], None), "it has not said that it forgot the old one"
    new = Speaker(server.passphrase(), "new")
    assert new.pin.hex() == begun["next"]
    assert new.connect("enrol").expect("registration_status")["status"] == "pending"
    actions = [row["action"] for row in server.call("GET", "/api/v1/audit?action=server.key")["rows"]]
    assert actions == ["server.key_switch", "server.key_begin"]
    kinds = [event["kind"] for event in server.call("GET", "/api/v1/events")["events"]]
    assert kinds.count("server_key") == 2


def test_a_change_that_is_given_up_is_told_also_to_those_whose_answer_was_lost(server):
    speaker, connection = join(server, "a")
    silent, quiet = join(server, "silent")
    old = shown_pin(server)
    following = change(server, "begin")["next"]
    assert told(connection) == told(quiet) == (old, following)
    stored(connection, old, following)
    quiet.ssl.shutdown()  # stored, but its answer never came
    lab.wait_for("a is done", 5, lambda: waiting(server) == ["silent"])
    aborted = change(server, "abort")
    assert aborted["next"] is None and aborted["pin"] == old == shown_pin(server)
    assert told(connection) == (old, None)
    again = silent.connect("resume")
    silent.join(again)
    assert told(again) == (old, None)
    stored(again, old)
    restart(server)
    server.sign_in()
    again = silent.connect("resume")
    assert silent.join(again)["status"] == "approved"
    other = speaker.connect("resume")
    speaker.join(other)
    assert told(other) == (old, None), "it never said that it forgot the next one"
    assert change(server, "begin")["next"] not in (old, following)


def test_who_is_given_up_is_listed_until_he_is_back(server):
    lost, connection = join(server, "lost")
    connection.ssl.shutdown()
    lab.wait_for("it is gone", 5, lambda: "lost disconnected" in server.daemon.text())
    ready, one = join(server, "ready")
    begun = change(server, "begin")
    assert told(one)[1] == begun["next"]
    stored(one, begun["pin"], begun["next"])
    lab.wait_for("one is waited for", 5, lambda: waiting(server) == ["lost"])
    refused(server, "switch", "1 approved agents", give_up=False)
    with pytest.raises(lab.Refused) as error:
        change(server, "switch", give_up="yes")
    assert error.value.status == 400
    done = change(server, "switch", give_up=True)
    assert names(done["left_behind"]) == ["lost"]
    restart(server)
    server.sign_in()
    assert names(server.call("GET", KEY)["left_behind"]) == ["lost"]
    lost.pin = bytes.fromhex(done["pin"])
    again = lost.connect("resume")
    assert lost.join(again)["status"] == "approved"
    assert told(again) == (done["pin"], None)
    stored(again, done["pin"])
    lab.wait_for("it is not listed any more", 5, lambda: server.call("GET", KEY)["left_behind"] == [])


# ---- the real agent ----

def agent_knows(agent):
    stored_state = json.loads((agent.directory / "state" / "server.json").read_text())
    return unb64(stored_state["pin"]).hex(), unb64(stored_state["next"]).hex() if "next" in stored_state else None


def test_agents_that_were_told_go_on_and_one_that_was_not_says_what_to_do(server):
    with lab.directory() as directory:
        online, away, lost = [lab.join(server, lab.Agent(directory, name, server.passphrase()))
                              for name in ("online", "away", "lost")]
        try:
            ids = {name: agent["id"] for name, agent in server.agents().items()}
            lost.end()
            lab.wait_for("it is gone", 10, lambda: "lost disconnected" in server.daemon.text())
            begun = change(server, "begin")
            lab.wait_for("only it is waited for", 10, lambda: waiting(server) == ["lost"])
            assert agent_knows(online) == agent_knows(away) == (begun["pin"], begun["next"])
            away.end()
            change(server, "switch", give_up=True)
            lab.wait_for("the old pin is forgotten", 10, lambda: agent_knows(online) == (begun["next"], None))
            assert "online disconnected" not in server.daemon.text()
            for agent in (away, lost):  # the old passphrase is still where it was
                agent.start()
            lab.wait_for("who stored it goes on", 15, lambda: agent_knows(away) == (begun["next"], None))
            lab.wait_for("who did not says what to do", 15, lambda: "give it a new passphrase and restart it" in lost.daemon.text())
            assert names(server.call("GET", KEY)["left_behind"]) == ["lost"]
            away.end()
            mark = len(away.daemon.text())
            away.start()
            lab.wait_for("again, with the old passphrase at hand", 15,
                         lambda: "approved: approved" in away.daemon.text()[mark:])
            lost.end()
            lost.passphrase_file.write_text(server.passphrase() + "\n")
            lost.start()
            lab.wait_for("it is back", 15, lambda: "approved: approved" in lost.daemon.text())
            lab.wait_for("it is not listed any more", 10, lambda: server.call("GET", KEY)["left_behind"] == [])
            assert {name: (agent["id"], agent["state"]) for name, agent in server.agents().items()} == {
                name: (number, "approved") for name, number in ids.items()}
        finally:
            for agent in (online, away, lost):
                agent.end()


def test_a_state_directory_that_cannot_be_written_is_no_answer(server):
    with lab.directory() as directory:
        agent = lab.join(server, lab.Agent(directory, "full", server.passphrase()))
        state = agent.directory / "state"
        try:
            lab.wait_for("it has its ticket", 10, lambda: b"ticket" in (state / "server.json").read_bytes())
            (state / "server.json.new").mkdir()  # in the way of the file that is written first
            change(server, "begin")
            lab.wait_for("it says so", 10, lambda: "the server's next key cannot be stored" in agent.daemon.text())
            assert waiting(server) == ["full"]
            refused(server, "switch", "1 approved agents")
        finally:
            (state / "server.json.new").rmdir()
            agent.end()


def test_the_key_file_is_the_servers_alone_and_the_page_is_served_with_it(server):
    before = shown_pin(server)
    change(server, "begin")
    assert (server.state / "server.next.key").stat().st_mode & 0o777 == 0o600
    change(server, "switch")
    assert shown_pin(server) != before
    assert server.request("GET", "/readyz")[0] == 200
    assert (server.state / "server.key").stat().st_mode & 0o777 == 0o600
