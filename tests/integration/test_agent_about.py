# SPDX-License-Identifier: Apache-2.0
"""What an agent says beside samples: targets that it cannot measure and why, its names' addresses, its own load."""

import pytest

import lab
from test_adversary import ending
from test_identity import join

IPV6_OFF = "/proc/sys/net/ipv6/conf/all/disable_ipv6"


@pytest.fixture
def server():
    with lab.lone_server() as one:
        yield one


@pytest.fixture
def real():
    """(server, agent, host): one namespace, from which nothing leaves."""
    with lab.Network("abt") as network, lab.directory() as directory:
        host = network.host("a")
        server = lab.Server(directory, host).start().sign_in()
        agent = lab.Agent(directory, "real", server.passphrase(), host)
        try:
            lab.join(server, agent)
            yield server, agent, host
        finally:
            agent.end()
            assert server.end() == 0, server.daemon.text()


def told(server, name):
    """{address in the list: what the agent says of it}"""
    addresses = {target: address for address, target in server.targets().items()}
    notes = server.call("GET", f"/api/v1/agents/{server.agents()[name]['id']}/targets")["targets"]
    return {addresses[note.pop("target")]: note for note in notes}


def test_the_agent_says_what_it_cannot_measure_measures_the_rest_and_notices_a_change(real):
    server, agent, host = real
    server.call("PUT", "/api/v1/targets", {"targets": [
        {"address": "127.0.0.1", "interval_ms": 500}, {"address": "127.0.0.2", "interval_ms": 500, "interface": "later0"},
        {"address": "127.0.0.3", "interval_ms": 500, "source": "127.1.2.3"},  # on no interface, and taken by the kernel
        {"address": "127.0.0.4", "interval_ms": 500, "source": "198.18.99.1"},
        {"address": "fe80::1%gone0", "interval_ms": 500}, {"address": "::1", "interval_ms": 500}]})
    expected = {"127.0.0.2": {"refused": "no_interface"}, "127.0.0.4": {"refused": "no_source"}, "fe80::1%gone0": {"refused": "no_interface"}}
    lab.wait_for("it says so", 10, lambda: told(server, "real") == expected)
    assert server.agents()["real"]["refused_targets"] == 3
    lab.wait_for("the others are measured", 10, lambda: {
        server.cells()[("real", address)] for address in ("127.0.0.1", "127.0.0.3", "::1")} == {"ok"})
    request = server.call("POST", "/api/v1/probes", {"agent": server.agents()["real"]["id"],
                                                     "target": server.targets()["127.0.0.4"]})
    [probe] = lab.wait_for("the probe is answered", 10, lambda: (now := server.call(
        "GET", f"/api/v1/probes/{request['id']}"))["done"] and now["probes"])
    assert (probe["state"], probe["outcome"]) == ("answered", "send_error") and "sent_ms" not in probe, probe
    # the agent's own trouble: no loss, and no hole in the history
    lab.wait_for("told as its own", 15, lambda: server.cells()[("real", "127.0.0.2")] == "local_error")
    series = server.series("real", "127.0.0.2")
    assert set(series["outcome"]) <= {"send_error", "isolated"} and series["gaps"] == []

    lab.run("ip", "-n", host.namespace, "link", "add", "later0", "type", "veth", "peer", "name",
            "later1")
    lab.run("ip", "-n", host.namespace, "link", "set", "later0", "up")
    lab.run("ip", "-n", host.namespace, "addr", "add", "198.18.99.1/32", "dev", "lo")
    lab.wait_for("it notices", 15, lambda: told(server, "real") == {"fe80::1%gone0": {"refused": "no_interface"}})
    lab.wait_for("and measures", 10, lambda: server.cells()[("real", "127.0.0.4")] == "ok")

    lab.run("ip", "netns", "exec", host.namespace, "sh", "-c", f"echo 1 > {IPV6_OFF}")
    lab.wait_for("it notices", 15, lambda: told(server, "real").get("::1") == {"refused": "no_ipv6"})
    assert server.cells()[("real", "127.0.0.1")] == "ok"
    lab.run("ip", "netns", "exec", host.namespace, "sh", "-c", f"echo 0 > {IPV6_OFF}")
    lab.wait_for("it notices", 15, lambda: "::1" not in told(server, "real"))
    server.set_targets(["127.0.0.1"])
    lab.wait_for("nothing is left", 10, lambda: told(server, "real") == {} and
                 server.agents()["real"]["refused_targets"] == 0)


def test_the_agent_tells_its_load_and_what_names_are(real):
    server, agent, _ = real
    server.call("PUT", "/api/v1/targets", {"targets": [
        {"address": "localhost", "interval_ms": 500, "family": 4}, {"address": "127.0.0.2", "interval_ms": 500}]})
    load = lab.wait_for("it tells its load", 25, lambda: server.agents()["real"]["load"])
    assert 0 <= load["cpu_permille"] < 1500 and load["load_permille"] >= 0
    assert load["late_probes"] >= 0 and load["overloaded"] >= 0
    lab.wait_for("it tells what the name is", 25, lambda: told(server, "real") == {"localhost": {"address": "127.0.0.1"}})
    only = server.call("GET", f"/api/v1/agents/{server.agents()['real']['id']}/targets?target={server.targets()['127.0.0.2']}")
    assert only["targets"] == []


# ---- by hand ----

def listed(server, *addresses):
    _, connection = join(server, "a")
    server.set_targets(list(addresses))
    revision = connection.expect("server_message")["revision"]
    return connection, revision, server.targets()


def settle(connection):
    connection.send("status", time_us=1, ping=5)
    while connection.expect("status").get("pong") != 5:
        pass


def test_parts_add_up_a_new_answer_takes_the_place_of_the_old_and_strangers_do_not_count(server):
    connection, revision, targets = listed(server, "192.0.2.1", "192.0.2.2", "host.example")
    first, second, named = targets["192.0.2.1"], targets["192.0.2.2"], targets["host.example"]
    connection.send("targets_applied", revision=revision, count=3, part=0, parts=2, refused=[
        {"target": first, "reason": "limit"}, {"target": 9999, "reason": "limit"}])
    connection.send("targets_applied", revision=revision, count=3, part=1, parts=2, refused=[
        {"target": second, "reason": "invalid"}])
    connection.send("status", time_us=1, resolved=[{"target": named, "address": "192.0.2.77"},
                                                   {"target": 9999, "address": "192.0.2.78"}],
                    load={"cpu_permille": 12, "load_permille": 345, "late_probes": 6, "overloaded": 7})
    settle(connection)
    assert told(server, "a") == {"192.0.2.1": {"refused": "limit"}, "192.0.2.2": {"refused": "invalid"},
                                 "host.example": {"address": "192.0.2.77"}}
    agent = server.agents()["a"]
    assert agent["refused_targets"] == 2
    assert agent["load"] == {"cpu_permille": 12, "load_permille": 345, "late_probes": 6, "overloaded": 7}
    connection.send("targets_applied", revision=revision, count=3)
    settle(connection)
    assert told(server, "a") == {"host.example": {"address": "192.0.2.77"}}
    assert server.agents()["a"]["load"] == agent["load"], "a status without a load says nothing of it"
    server.set_targets(["192.0.2.1", "host.example"])
    connection.expect("server_message")
    connection.send("targets_applied", revision=revision + 1, count=2)
    settle(connection)
    assert told(server, "a") == {}, "another revision: addresses are told anew"
    assert server.cells()[("a", "192.0.2.1")] == "no_data", "and none of it is a verdict"


@pytest.mark.parametrize("event,data", [
    ("targets_applied", {"revision": 1, "count": 1, "refused": [{"target": 1, "reason": "mood"}]}),
    ("targets_applied", {"revision": 1, "count": 1, "part": 1, "parts": 1}),
    ("targets_applied", {"revision": 1, "count": 1, "refused": [{"target": 1, "reason": "limit"}] * 1001}),
    ("status", {"time_us": 1, "load": {"cpu_permille": 1}}),
    ("status", {"time_us": 1, "resolved": [{"target": 1, "address": "192.0.2.1 \u202eseen"}]}),
    ("status", {"time_us": 1, "resolved": [{"target": 1, "address": "x" * 64}]}),
    ("status", {"time_us": 1, "resolved": [{"target": 1, "address": "192.0.2.1"}] * 501}),
], ids=["reason", "part", "too many refused", "load", "no address", "address", "too many resolved"])
def test_what_breaks_the_rules_ends_the_connection(server, event, data):
    _, connection = join(server, "a")
    connection.send(event, **data)
    assert ending(connection) == 1007
