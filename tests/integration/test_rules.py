# SPDX-License-Identifier: Apache-2.0
"""Labels, rules and meshes: which agents ping what, followed from the API to the packets. Real agents in namespaces."""

import datetime
import json
import re
import subprocess
import time

import pytest

import lab

INTERVAL_MS = 500


class Site:
    """A server, three agents on hosts of their own, and one host that is only a target."""

    def __init__(self, network, directory):
        self.hosts = {name: network.host(name) for name in ("srv", "a", "b", "c", "t")}
        config = directory / "meshpingd.conf"
        config.write_text(f"interval_ms = {INTERVAL_MS}\ntimeout_ms = {INTERVAL_MS}\n")
        self.server = lab.Server(directory, self.hosts["srv"])
        self.server.start("--config", config).sign_in()
        passphrase = self.server.passphrase()
        self.agents = {name: lab.join(self.server, lab.Agent(directory, name, passphrase, self.hosts[name]))
                       for name in "abc"}

    def address(self, name):
        return self.hosts[name].address

    def call(self, method, path, body=None, **headers):
        status, data = self.server.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        return status, json.loads(data) if data else None

    def good(self, method, path, body=None, **headers):
        status, data = self.call(method, path, body, **headers)
        assert status == 200, (status, data)
        return data

    def label(self, name, **labels):
        agent = self.server.agents()[name]
        return self.good("PATCH", f"/api/v1/agents/{agent['id']}", {"labels": labels})

    def rules(self, *rules):
        return self.good("PUT", "/api/v1/rules", {"rules": list(rules)})

    def state(self, agent, address):
        """The name of a cell's state, None without a column of this address."""
        return self.server.cells().get((agent, address))

    def meant(self):
        """{agent: the addresses that it is to ping}."""
        found = {name: set() for name in self.agents}
        for (agent, address), state in self.server.cells().items():
            if state != "unassigned":
                found[agent].add(address)
        return found

    def wait_ok(self, *pairs, seconds=20):
        for agent, address in pairs:
            lab.wait_for(f"{agent} -> {address} is ok", seconds, lambda: self.state(agent, address) == "ok")

    def wait_mesh(self, **meant):
        """a="bc": a pings b and c; and each pair does so by its samples."""
        wanted = {name: {self.address(peer) for peer in peers} for name, peers in meant.items()}
        lab.wait_for(f"the mesh is {meant}, not {self.meant()}", 15,
                     lambda: {n: self.meant()[n] for n in wanted} == wanted)
        self.wait_ok(*((name, address) for name, addresses in wanted.items() for address in addresses))

    def taken_in(self, name):
        """How many targets this agent had after each list or change of it, by its log."""
        return [int(count) for count in re.findall(r"targets.*revision \d+: (\d+) targets", self.agents[name].daemon.text())]

    def updates(self, name):
        return len(self.taken_in(name))

    def holds(self, name):
        return self.taken_in(name)[-1]


@pytest.fixture
def site():
    with lab.directory() as directory, lab.Network("mpr") as network:
        s = Site(network, directory)
        try:
            yield s
        finally:
            for agent in s.agents.values():
                agent.end()
            s.server.end()
            print(s.server.daemon.text(), *(agent.daemon.text() for agent in s.agents.values()))


def test_a_rule_follows_the_labels_of_agents_and_targets(site):
    a, t = site.address("a"), site.address("t")
    targets = [{"address": t, "labels": {"tier": "core"}}, {"address": a, "labels": {"tier": "edge"}}]
    site.good("PUT", "/api/v1/targets", {"targets": targets})
    site.wait_ok(("a", t), ("b", t), ("c", a))  # at first all ping all
    site.label("a", site="fra")
    site.label("b", site="ber")
    site.rules({"kind": "targets", "agents": "site", "targets": "tier=core"},
               {"kind": "targets", "agents": "site in (ber,muc)", "targets": "tier=edge"})
    assert site.meant() == {"a": {t}, "b": {t, a}, "c": set()}
    site.wait_ok(("a", t), ("b", t), ("b", a))
    lab.wait_for("all have taken it in", 5, lambda: [site.holds(name) for name in "abc"] == [1, 2, 0])
    before = {name: site.updates(name) for name in "abc"}
    site.label("c", site="muc")
    assert site.meant()["c"] == {t, a}
    site.wait_ok(("c", t), ("c", a))
    assert site.updates("c") == before["c"] + 1 and site.updates("a") == before["a"]  # nobody else is told
    targets[0]["labels"] = {"tier": "edge"}
    site.good("PUT", "/api/v1/targets", {"targets": targets})
    assert site.meant() == {"a": set(), "b": {t, a}, "c": {t, a}}
    # what an agent is not to ping any more it does not ping: its samples of that end
    lab.wait_for("a has taken it in", 5, lambda: site.server.agents()["a"]["targets_revision"] == 2)
    target = next(x["id"] for x in site.good("GET", "/api/v1/targets")["targets"] if x["address"] == t)
    ids = {name: site.server.agents()[name]["id"] for name in "ab"}

    stopped_ms = time.time() * 1000 + INTERVAL_MS  # one may be in the air

    def since(name):
        times = site.good("GET", f"/api/v1/series?agent={ids[name]}&target={target}")["time_ms"]
        return sum(one > stopped_ms for one in times)

    lab.wait_for("b has five more", 20, lambda: since("b") >= 5)
    assert since("a") == 0


def test_no_agent_is_given_more_targets_than_it_takes(site):
    site.rules({"kind": "targets", "agents": "site", "targets": ""})
    targets = [{"address": f"127.{i // 10000}.{i // 100 % 100}.{i % 100 + 1}", "interval_ms": 3600000} for i in range(10000)]
    site.good("PUT", "/api/v1/targets", {"targets": targets})
    more = {"rules": [{"kind": "targets", "agents": "", "targets": ""}, {"kind": "mesh", "agents": ""}]}
    for method, path in (("PUT", "/api/v1/rules"), ("POST", "/api/v1/rules/preview")):
        status, problem = site.call(method, path, more)
        assert status == 400 and "more than 10000 targets" in problem["detail"], problem
    # what a label does is not refused: the agent pings what it may, and the log says it
    site.rules({"kind": "targets", "agents": "site", "targets": ""}, {"kind": "mesh", "agents": "group=core"})
    site.label("b", group="core")
    site.label("a", group="core", site="fra")
    assert "more than 10000 targets" in site.server.daemon.text()
    lab.wait_for("a has taken in as many as it may", 20, lambda: site.holds("a") == 10000)
    site.wait_mesh(b="a")


def test_a_paused_target_is_left_alone_shown_so_and_resumes_by_itself(site):
    a, t = site.address("a"), site.address("t")
    site.good("PUT", "/api/v1/targets", {"targets": [t, a]})
    site.wait_ok(("a", t), ("b", t), ("c", a))
    end = int(time.time() * 1000) + 8000
    pause = {"reason": "new line card", "until_ms": end}
    paused = {"address": t, "paused": pause}
    pairs = site.good("POST", "/api/v1/targets/preview", {"targets": [paused, a]})["pairs"]
    assert (pairs["before"], pairs["after"], pairs["removed"]) == (6, 3, 3)
    site.good("PUT", "/api/v1/targets", {"targets": [paused, a]})
    lab.wait_for("all have taken it in", 5,
                 lambda: all(agent["targets_revision"] == 2 for agent in site.server.agents().values()))
    begin = int(time.time() * 1000)
    while int(time.time() * 1000) < end - 1500:
        assert {site.state(name, t) for name in "abc"} == {"paused"}
        time.sleep(0.2)
    site.wait_ok(("a", t), ("b", t), ("c", t))
    assert int(time.time() * 1000) >= end
    lab.wait_for("what was meanwhile has come", 10, lambda: site.server.series("b", a)["time_ms"][-1] > end)
    assert not [at for at in site.server.series("a", t)["time_ms"] if begin + INTERVAL_MS < at < end]
    others = [at for at in site.server.series("b", a)["time_ms"] if begin <= at <= end]
    assert max(later - at for at, later in zip(others, others[1:])) <= 2 * INTERVAL_MS and len(others) > 8
    assert "paused" not in site.good("GET", "/api/v1/targets")["targets"][0]
    events = [event["text"] for event in site.good("GET", "/api/v1/events?limit=20")["events"]]
    assert f"the pause of {t} is over (new line card)" in events
    # the graph says why there is nothing, not that something was wrong
    gap, = site.server.series("a", t)["gaps"]
    assert gap["reason"] == "paused" and gap["pause"]["reason"] == "new line card" and gap["pause"]["until_ms"] == end
    assert begin - 6000 < gap["pause"]["from_ms"] <= begin and gap["from_ms"] < begin and gap["to_ms"] >= end
    # and nothing of it is counted: not as lost, not as the agent's trouble, and no line of an export is of that time
    agent, target = site.server.agents()["a"]["id"], site.server.targets()[t]
    pair = f"agent={agent}&target={target}&from_ms={gap['from_ms'] + 1}&to_ms={gap['to_ms'] - 1}"
    summary = site.good("GET", f"/api/v1/summary?{pair}")
    assert (summary["ok"], summary["lost"], summary["local_errors"]) == (0, 0, 0)
    points = site.good("GET", f"/api/v1/history?agent={agent}&target={target}&points=1000&from_ms={begin - 5000}")["points"]
    assert points and not any(p["lost"] or p["local_errors"] for p in points)
    assert not [p for p in points if begin + 2 * INTERVAL_MS < p["from_ms"] and p["to_ms"] < end]
    exported = subprocess.run(
        [lab.BIN / "meshpingd", "maintain", "export", "--state-dir", site.server.state, "--agent", "a", "--target", t,
         "--format", "json"], capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    times_ms = [datetime.datetime.fromisoformat(json.loads(line)["time"].replace("Z", "+00:00")).timestamp() * 1000
                for line in exported]
    assert len(times_ms) >= 2 and not [at for at in times_ms if gap["from_ms"] + 1 < at < gap["to_ms"] - 1]
    assert {json.loads(line)["outcome"] for line in exported} == {"ok"}
    rows = site.good("GET", "/api/v1/audit?action=targets.")["rows"]
    assert rows[0]["action"] == "targets.resume" and rows[0]["object"] == t and "is over (new line card)" in rows[0]["detail"]
    assert re.search(rf"^2 targets, 0 added, 0 removed; paused: {t} \(new line card, until 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ\)$",
                     rows[1]["detail"])


def test_agents_of_a_mesh_ping_each_other_as_they_come_go_move_and_are_held(site):
    site.rules({"name": "core", "kind": "mesh", "agents": "group=core"})
    assert site.meant() == {"a": set(), "b": set(), "c": set()}
    site.label("a", group="core")
    site.label("b", group="core")
    site.wait_mesh(a="b", b="a", c="")
    column = next(t for t in site.server.matrix()["targets"] if t["name"] == "a")
    assert column["address"] == site.address("a") and column["agent"] == site.server.agents()["a"]["id"]
    site.label("c", group="core")  # one comes
    site.wait_mesh(a="bc", b="ac", c="ab")
    site.server.act("c", "hold")  # one is held: it is pinged by nobody, and goes on with what it has
    lab.wait_for("nobody pings c", 5, lambda: site.meant()["a"] == {site.address("b")})
    site.server.act("c", "approve")
    site.wait_mesh(a="bc", b="ac", c="ab")
    site.server.act("c", "reject")
    site.wait_mesh(a="b", b="a")
    # one moves: the same target at another address, and the history goes on
    moved = site.address("a").rsplit(".", 1)[0] + ".77"
    lab.run("ip", "-n", site.hosts["a"].namespace, "addr", "add", f"{moved}/24", "dev", "eth0")
    site.agents["a"].end()
    site.agents["a"].start("--advertise", moved)
    lab.wait_for("a advertises", 15, lambda: site.server.agents()["a"]["advertised_address"] == moved)
    site.wait_ok(("b", moved))
    again = next(t for t in site.server.matrix()["targets"] if t["name"] == "a")
    assert again["id"] == column["id"] and again["address"] == moved
    site.label("a")  # one goes
    lab.wait_for("the mesh is empty", 5, lambda: site.meant()["b"] == set())


def test_the_name_of_an_agent_is_that_of_its_column_and_a_restart_keeps_all(site):
    site.rules({"kind": "mesh", "agents": "group"})
    for name in "abc":
        site.label(name, group="core")
    agent = site.server.agents()["a"]
    site.good("PATCH", f"/api/v1/agents/{agent['id']}", {"name": "Zentrale <b>"})
    site.wait_mesh(a="bc", b="ac", c="ab")
    columns = site.server.matrix()["targets"]
    assert "Zentrale <b>" in [t["name"] for t in columns]
    site.server.end()
    site.server.start("--config", site.server.directory / "meshpingd.conf")
    site.server.sign_in()
    assert [(t["id"], t["name"], t["address"]) for t in site.server.matrix()["targets"]] == \
        [(t["id"], t["name"], t["address"]) for t in columns]
    site.wait_mesh(a="bc", b="ac", c="ab")
