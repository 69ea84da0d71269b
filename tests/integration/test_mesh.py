# SPDX-License-Identifier: Apache-2.0
"""The main job on a real network: server, two agents, two targets, each in a namespace of its own."""

import os
import signal
import sys
import time

import pytest

import lab

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

INTERVAL_S = 5
LOSS = {"timeout", "unreachable", "prohibited", "time_exceeded", "too_big", "icmp_error"}


class Mesh:
    pass


@pytest.fixture(scope="module")
def mesh():
    m = Mesh()
    with lab.directory() as directory, lab.Network() as network:
        m.directory, m.network = directory, network
        m.hosts = {name: network.host(name) for name in ("srv", "a1", "a2", "t1", "t2")}
        m.server = lab.Server(directory, m.hosts["srv"]).start().sign_in()
        m.targets = [m.hosts["t1"].address, m.hosts["t2"].address]
        m.server.set_targets(m.targets)
        m.agents = {}
        try:
            for name in ("a1", "a2"):
                m.agents[name] = lab.join(m.server, lab.Agent(directory, name, m.server.passphrase(), m.hosts[name]))
            lab.wait_for("all cells are ok", 20, lambda: all_ok(m))
            yield m
        finally:
            for daemon in [m.server, *m.agents.values()]:
                daemon.end()
            for daemon in [m.server, *m.agents.values()]:
                print(f"--- {daemon.daemon.log}\n{daemon.daemon.text()}", file=sys.stderr)


def all_ok(m):
    cells = m.server.cells()
    return len(cells) == 4 and set(cells.values()) == {"ok"}


def settled(m):
    """Everything is green and the last 12 verdicts are forgotten where they were losses."""
    lab.wait_for("all cells are green or lossy again", 60,
                 lambda: len(m.server.cells()) == 4 and set(m.server.cells().values()) <= {"ok", "lossy"})


def slots_of(series, since_ms, until_ms):
    return [(t, o) for t, o in zip(series["time_ms"], series["outcome"]) if since_ms <= t < until_ms]


def assert_complete(m, agent, target, since_ms, until_ms):
    """No slot of the stretch is missing and none is there twice, in the page's series and in the database."""
    found = slots_of(m.server.series(agent, target), since_ms, until_ms)
    times = [t for t, _ in found]
    assert len(times) == len(set(times)), "a sample is there twice"
    steps = {round((b - a) / 1000) for a, b in zip(times, times[1:])}
    assert steps == {INTERVAL_S}, f"slots are missing: {times}"
    assert len(times) >= (until_ms - since_ms) / 1000 / INTERVAL_S - 1
    assert database(m, agent, target, since_ms, until_ms) == found
    return found


def database(m, agent, target, since_ms, until_ms):
    meshping = pytest.importorskip("meshping", reason="the Python bindings are not built")
    store = meshping.Store(str(m.server.state / "meshping.db"), read_only=True)
    samples = store.samples(int(m.server.agents()[agent]["id"], 16), m.server.targets()[target], since_ms * 1000,
                            until_ms * 1000)
    return [(s.slot_unix_us // 1000, s.outcome) for s in samples]


def test_dead_target_turns_red_within_11_s_in_both_rows_and_nothing_else_does(mesh):
    settled(mesh)
    dead, alive = mesh.targets
    mesh.hosts["t1"].set_link(False)
    began = time.monotonic()
    try:
        while True:
            cells = mesh.server.cells()
            assert {cells["a1", alive], cells["a2", alive]} <= {"ok", "lossy"}, cells
            if cells["a1", dead] == cells["a2", dead] == "fail":
                break
            assert time.monotonic() - began < 11, f"not red after 11 s: {cells}"
            time.sleep(0.1)
        print(f"red in both rows after {time.monotonic() - began:.1f} s")
    finally:
        mesh.hosts["t1"].set_link(True)
    settled(mesh)


@pytest.mark.parametrize("how", ["set_link", "set_carrier"])
def test_agent_that_is_cut_off_is_offline_and_its_minute_comes_back_as_its_own_trouble(mesh, how):
    settled(mesh)
    since_ms = int(time.time() * 1000)
    getattr(mesh.hosts["a1"], how)(False)
    cut_s = 60 if how == "set_link" else 35
    until = time.monotonic() + cut_s
    seen = set()
    try:
        while time.monotonic() < until:
            cells = mesh.server.cells()
            for target in mesh.targets:
                seen.add(cells["a1", target])
                assert cells["a1", target] != "fail", "the agent's own trouble is painted red"
                assert cells["a2", target] in ("ok", "lossy")
            time.sleep(0.25)
    finally:
        getattr(mesh.hosts["a1"], how)(True)
    until_ms = int(time.time() * 1000)
    assert "agent_offline" in seen
    lab.wait_for("the agent is back and has sent what it kept", 90,
                 lambda: mesh.server.agents()["a1"]["online"] and
                 slots_of(mesh.server.series("a1", mesh.targets[0]), until_ms, until_ms + 10**9) and
                 set(mesh.server.cells().values()) <= {"ok", "lossy"})
    for target in mesh.targets:
        found = assert_complete(mesh, "a1", target, since_ms, until_ms + 5000)
        outcomes = {outcome for t, outcome in found if since_ms + 500 < t < until_ms - 3500}
        assert outcomes <= {"isolated", "send_error"}, outcomes
        assert not {o for _, o in found} & LOSS, f"counted as the target's loss: {found}"


def test_killed_server_gets_the_missing_stretch_as_it_was_measured(mesh):
    settled(mesh)
    since_ms = int(time.time() * 1000)
    mesh.server.end(signal.SIGKILL)
    time.sleep(5)
    mesh.hosts["t2"].set_link(False)  # a true loss while nobody looks
    down_ms = int(time.time() * 1000)
    time.sleep(12)
    mesh.hosts["t2"].set_link(True)
    up_ms = int(time.time() * 1000)
    time.sleep(13)
    mesh.server.start()
    until_ms = int(time.time() * 1000)
    lab.wait_for("both agents are back", 90, lambda: all(a["online"] for a in mesh.server.agents().values()))
    settled(mesh)
    for agent in ("a1", "a2"):
        good = assert_complete(mesh, agent, mesh.targets[0], since_ms, until_ms)
        assert {outcome for _, outcome in good} == {"ok"}, good
        lost = assert_complete(mesh, agent, mesh.targets[1], since_ms, until_ms)
        while_down = {o for t, o in lost if down_ms + 200 < t < up_ms - 3200}
        assert while_down and while_down <= LOSS, lost
        assert {o for t, o in lost if not down_ms - 200 < t < up_ms + 3500} == {"ok"}, lost


def test_target_list_reaches_agents_without_restart_and_survives_one(mesh):
    settled(mesh)
    more = mesh.targets + [{"address": mesh.hosts["srv"].address, "name": "the server"}, "::1", "localhost"]
    mesh.server.set_targets(more)
    lab.wait_for("the new targets have cells", 20,
                 lambda: len(mesh.server.cells()) == 10 and set(mesh.server.cells().values()) <= {"ok", "lossy"})
    revision = mesh.server.call("GET", "/api/v1/targets")["revision"]
    for bad in (["256.1.1.1"], ["192.0.2.1", "192.0.2.1"], ["no-name!"], [f"host{i}.invalid" for i in range(10001)]):
        with pytest.raises(lab.Refused) as refused:
            mesh.server.set_targets(bad)
        assert refused.value.status == 400
    mesh.server.end()
    mesh.server.start()
    kept = mesh.server.call("GET", "/api/v1/targets")
    assert kept["revision"] == revision
    assert [t["address"] for t in kept["targets"]] == mesh.targets + [mesh.hosts["srv"].address, "::1", "localhost"]
    mesh.server.set_targets(mesh.targets)
    lab.wait_for("the list is short again", 60, lambda: len(mesh.server.cells()) == 4 and all_ok_or_lossy(mesh))


def test_the_longest_list_arrives_whole(mesh):
    """10,000 targets are 100 messages of up to 40 KiB; all on the agents' own loopback."""
    settled(mesh)
    addresses = [f"127.{a}.{b}.1" for a in range(40) for b in range(250)]
    targets = [{"address": address, "name": "x" * 64} for address in addresses]
    mesh.server.set_targets(targets)
    revision = mesh.server.call("GET", "/api/v1/targets")["revision"]
    lab.wait_for("both agents have applied the list", 30,
                 lambda: all(a["targets_revision"] == revision for a in mesh.server.agents().values()))
    mesh.server.set_targets(mesh.targets)
    lab.wait_for("the list is short again", 60, lambda: len(mesh.server.cells()) == 4 and all_ok_or_lossy(mesh))


def all_ok_or_lossy(m):
    return set(m.server.cells().values()) <= {"ok", "lossy"}


def test_changed_address_means_hold_until_released(mesh):
    settled(mesh)
    host, agent = mesh.hosts["a2"], mesh.agents["a2"]
    lab.run("ip", "-n", host.namespace, "addr", "add", f"{mesh.network.net}.99/24", "dev", "eth0")
    lab.run("ip", "-n", host.namespace, "addr", "del", f"{host.address}/24", "dev", "eth0")
    lab.run("ip", "-n", host.namespace, "addr", "replace", f"{mesh.network.net}.99/24", "dev", "eth0")
    # at worst: 15 s of silence, a wait of 60 s (short sessions before), an attempt on the old address of 10 s
    lab.wait_for("a2 is on hold", 90, lambda: mesh.server.agents()["a2"]["state"] == "hold")
    assert agent.daemon.process.poll() is None, "it must wait, not exit"
    assert mesh.network.net + ".99" in mesh.server.agents()["a2"]["reason"]
    mesh.server.act("a2", "approve")
    lab.wait_for("a2 reports again", 30, lambda: mesh.server.cells().get(("a2", mesh.targets[0])) in ("ok", "lossy"))


def test_rejected_agent_gets_nothing_and_stays_out(mesh):
    mesh.server.act("a2", "reject")
    lab.wait_for("a2 is gone from the matrix", 10, lambda: ("a2", mesh.targets[0]) not in mesh.server.cells())
    agent = mesh.agents["a2"]
    agent.end()
    agent.start()
    time.sleep(3)
    assert mesh.server.agents()["a2"]["state"] == "blacklisted"
    assert agent.daemon.process.poll() is None


def test_a_running_agent_keeps_no_privilege(mesh):
    pid = mesh.agents["a1"].daemon.process.pid
    with open(f"/proc/{pid}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    assert status["Name"] == "meshping-agent"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"].strip() == "1"
