# SPDX-License-Identifier: Apache-2.0
"""One probe beside the schedule: docs/PROTOCOL.md, probe_now. By hand over the wire, and by the real agent."""

import json
import time

import pytest

import lab
from test_adversary import ending, expect_line
from test_identity import join
from wire import Speaker

TARGET = "127.0.0.1"


@pytest.fixture
def server():
    with lab.lone_server() as one:
        yield one


def ask(server, agent=None, target=None):
    body = {}
    if agent:
        body["agent"] = server.agents()[agent]["id"]
    if target:
        body["target"] = server.targets()[target]
    return server.call("POST", "/api/v1/probes", body)


def look(server, request):
    return server.call("GET", f"/api/v1/probes/{request['id']}")


def done(server, request, seconds=10):
    return lab.wait_for("all is answered", seconds, lambda: (now := look(server, request))["done"] and now)


def asked_of(connection):
    while True:
        data = connection.expect("server_message")
        if data["type"] == "probe_now":
            return data


def refused(server, status, words, **what):
    with pytest.raises(lab.Refused, match=words) as caught:
        ask(server, **what)
    assert caught.value.status == status


# ---- the real agent, in a namespace: what is pinged stays on this machine ----

@pytest.fixture
def real():
    """(server, agent)"""
    with lab.Network("prb") as network, lab.directory() as directory:
        host = network.host("a")
        server = lab.Server(directory, host).start().sign_in()
        agent = lab.Agent(directory, "real", server.passphrase(), host)
        try:
            lab.join(server, agent)
            yield server, agent
        finally:
            agent.end()
            assert server.end() == 0, server.daemon.text()


def set_slow(server, *addresses):
    """Probed once an hour: whatever comes at once was asked for."""
    server.call("PUT", "/api/v1/targets", {"targets": [{"address": address, "interval_ms": 3600000, "timeout_ms": 500}
                                                       for address in addresses]})



def test_the_agent_pings_at_once_and_it_is_no_sample(real):
    server, agent = real
    set_slow(server, TARGET, "127.0.0.2", "no.such.name.invalid")
    lab.wait_for("it has the list", 15, lambda: ": 3 targets" in agent.daemon.text())
    began = time.time()
    answer = done(server, ask(server, "real", TARGET))
    assert time.time() - began < 3
    (probe,) = answer["probes"]
    assert (probe["state"], probe["outcome"], probe["address"]) == ("answered", "ok", TARGET)
    assert 0 < probe["rtt_us"] < 500000 and abs(probe["sent_ms"] / 1000 - began) < 5
    outcomes = {probe["target"]: probe["outcome"] for probe in done(server, ask(server, "real"))["probes"]}
    names = {target: address for address, target in server.targets().items()}
    assert {names[target]: outcome for target, outcome in outcomes.items()} == {
        TARGET: "ok", "127.0.0.2": "ok", "no.such.name.invalid": "unresolved"}
    (probe,) = done(server, ask(server, None, "127.0.0.2"))["probes"]
    assert probe["agent"] == server.agents()["real"]["id"] and probe["outcome"] == "ok"
    time.sleep(6)  # longer than what was measured waits
    for address in (TARGET, "127.0.0.2"):
        assert server.series("real", address)["time_ms"] == [], "no sample was made of it"


def test_the_samples_of_a_series_are_the_scheduled_ones_and_no_others(real):
    server, agent = real
    server.call("PUT", "/api/v1/targets", {"targets": [{"address": TARGET, "interval_ms": 500, "timeout_ms": 400}]})
    lab.wait_for("it has the list", 15, lambda: ": 1 targets" in agent.daemon.text())
    for _ in range(6):
        assert done(server, ask(server, "real", TARGET))["probes"][0]["outcome"] == "ok"
        time.sleep(0.7)
    times = lab.wait_for("samples", 15, lambda: len(found := server.series("real", TARGET)["time_ms"]) >= 8 and found)
    assert {b - a for a, b in zip(times, times[1:])} == {500}


def test_a_target_that_does_not_answer_is_told_when_its_timeout_is_over(real):
    server, agent = real
    set_slow(server, server.address.rsplit(".", 1)[0] + ".99")  # nobody is there
    lab.wait_for("it has the list", 15, lambda: ": 1 targets" in agent.daemon.text())
    (probe,) = done(server, ask(server, "real"))["probes"]
    assert probe["state"] == "answered" and probe["outcome"] != "ok" and "rtt_us" not in probe


def test_an_agent_on_hold_is_not_asked_and_one_that_is_gone_neither(real):
    server, agent = real
    set_slow(server, TARGET)
    lab.wait_for("it has the list", 15, lambda: ": 1 targets" in agent.daemon.text())
    server.act("real", "hold")
    refused(server, 409, "only an approved agent", agent="real", target=TARGET)
    refused(server, 409, "no connected, approved agent", target=TARGET)
    server.act("real", "approve")
    assert done(server, ask(server, "real", TARGET))["probes"][0]["outcome"] == "ok"
    agent.end()
    lab.wait_for("it is gone", 10, lambda: "real disconnected" in server.daemon.text())
    refused(server, 409, "not connected", agent="real", target=TARGET)


# ---- by hand ----

def test_what_is_asked_and_what_is_answered(server):
    _, connection = join(server, "a")
    server.set_targets(["192.0.2.1", "192.0.2.2"])
    targets = server.targets()
    connection.expect("server_message")
    request = ask(server, "a")
    asked = asked_of(connection)
    assert asked["request"] == request["id"] and sorted(asked["targets"]) == sorted(targets.values())
    assert not request["done"] and {probe["state"] for probe in request["probes"]} == {"waiting"}
    connection.send("probe_result", request=request["id"], target=targets["192.0.2.1"], outcome="ok", rtt_us=1234,
                    sent_us=1700000000000000, address="192.0.2.1")
    connection.send("probe_result", request=request["id"], target=targets["192.0.2.2"], unprobed="busy")
    found = {probe["target"]: probe for probe in done(server, request)["probes"]}
    agent = server.agents()["a"]["id"]
    assert found[targets["192.0.2.1"]] == {
        "agent": agent, "target": targets["192.0.2.1"], "state": "answered", "outcome": "ok", "rtt_us": 1234,
        "sent_ms": 1700000000000, "address": "192.0.2.1"}
    assert found[targets["192.0.2.2"]] == {"agent": agent, "target": targets["192.0.2.2"], "state": "not_probed",
                                           "reason": "busy"}
    rows = server.call("GET", "/api/v1/audit?action=probe.ask")["rows"]
    assert len(rows) == 1 and rows[0]["user"] == server.USER and rows[0]["detail"] == "a to all targets"
    connection.send("status", time_us=1, ping=5)
    while connection.expect("status").get("pong") != 5:
        pass
    # and the same answer once more is one that nobody asked for
    connection.send("probe_result", request=request["id"], target=targets["192.0.2.2"], unprobed="busy")
    assert ending(connection) == 1008
    expect_line(server, "an answer to a probe that it was not asked for")


@pytest.mark.parametrize("case", ["never asked", "another request", "another target", "another agent's", "after hold"])
def test_an_answer_that_was_not_asked_for_ends_the_connection(server, case):
    _, connection = join(server, "a")
    _, other = join(server, "b")
    server.set_targets(["192.0.2.1"])
    target = server.targets()["192.0.2.1"]
    connection.expect("server_message")
    answer = {"request": 1, "target": target, "outcome": "ok", "rtt_us": 1}
    if case != "never asked":
        answer["request"] = ask(server, "b" if case == "another agent's" else "a", "192.0.2.1")["id"]
    if case == "another request":
        answer["request"] += 1
    if case == "another target":
        answer["target"] = 999
    if case == "after hold":
        asked_of(connection)
        connection.send("probe_result", **answer)  # in time: taken
        server.act("a", "hold")
    connection.send("probe_result", **answer)
    assert ending(connection) == 1008
    expect_line(server, "an answer to a probe that it was not asked for")
    if case == "another agent's":
        assert asked_of(other)["request"] == answer["request"]
        assert look(server, {"id": answer["request"]})["probes"][0]["state"] == "waiting"


def test_a_pending_agent_that_answers_is_thrown_out_and_never_asked(server):
    connection = Speaker(server.passphrase(), "new").connect("enrol")
    connection.expect("registration_status")
    server.set_targets(["192.0.2.1"])
    refused(server, 409, "only an approved agent", agent="new", target="192.0.2.1")
    connection.send("probe_result", request=1, target=1, outcome="timeout")
    assert ending(connection) == 1008


def test_an_answer_in_words_that_are_none_ends_the_connection(server):
    _, connection = join(server, "a")
    connection.send("probe_result", request=1, target=1, outcome="splendid")
    assert ending(connection) == 1007


def test_nobody_is_waited_for_longer_than_the_timeout_and_five_seconds(server):
    _, connection = join(server, "a")
    server.call("PUT", "/api/v1/targets", {"targets": [{"address": "192.0.2.1", "timeout_ms": 500}]})
    connection.expect("server_message")
    request = ask(server, "a")
    probe = done(server, request)["probes"][0]
    assert probe["state"] == "no_answer"
    # it comes after all: it was asked for, and is told
    connection.send("probe_result", request=request["id"], target=probe["target"], outcome="timeout")
    lab.wait_for("it is told", 5, lambda: look(server, request)["probes"][0].get("outcome") == "timeout")


def test_the_mesh_cannot_be_made_to_flood(server):
    _, connection = join(server, "a")
    server.set_targets([f"192.0.2.{n}" for n in range(1, 34)])
    connection.expect("server_message")
    refused(server, 400, "more than 32", agent="a")
    first = ask(server, "a", "192.0.2.1")
    for _ in range(31):
        ask(server, "a", "192.0.2.1")
    refused(server, 409, "not answered earlier ones", agent="a", target="192.0.2.1")
    for n in range(32):
        connection.send("probe_result", request=first["id"] + n, target=server.targets()["192.0.2.1"], unprobed="busy")
    done(server, {"id": first["id"] + 31})
    server.set_targets([f"192.0.2.{n}" for n in range(1, 31)])
    agent = server.agents()["a"]["id"]
    for _ in range(9):  # 30 at a time, of which 4 a second are free again
        status, body = server.request("POST", "/api/v1/probes", {"agent": agent})
        if status != 202:
            break
        asked = json.loads(body)
        for probe in asked["probes"]:
            connection.send("probe_result", request=asked["id"], target=probe["target"], unprobed="busy")
        done(server, asked)
    assert status == 429 and "too many probes were asked for: try again in" in json.loads(body)["detail"]


def test_what_is_not_there_cannot_be_asked(server):
    _, connection = join(server, "a")
    with pytest.raises(lab.Refused) as caught:
        server.call("POST", "/api/v1/probes", {})
    assert caught.value.status == 400
    for body in ({"agent": "00000000000000ff"}, {"target": 999}):
        with pytest.raises(lab.Refused) as caught:
            server.call("POST", "/api/v1/probes", body)
        assert caught.value.status == 404
    refused(server, 409, "does not ping anything", agent="a")
    with pytest.raises(lab.Refused) as caught:
        look(server, {"id": 5})
    assert caught.value.status == 404
    connection.ssl.shutdown()
