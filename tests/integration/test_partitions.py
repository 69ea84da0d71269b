# SPDX-License-Identifier: Apache-2.0
"""An agent cut off for 1/30, 29/30 and 4/3 of what its buffer keeps: the first two lose nothing, the third what it must.

MESHPING_PARTITION_BUFFER_S is what it keeps: 1800 for partitions of 1, 29 and 40 minutes.
"""

import os
import sqlite3
import time

import pytest

import lab

BUFFER_S = int(os.environ.get("MESHPING_PARTITION_BUFFER_S", "60"))
INTERVAL_MS = max(500, BUFFER_S * 1000 // 360)
BLOCK_S = 5  # what an agent collects into one block
LIVE_S = BLOCK_S + INTERVAL_MS / 1000 + 3  # how old the newest sample on the server may be
LAST_MS = max(BLOCK_S * 1000, 2 * INTERVAL_MS)  # of a partition: there is at least one sample in it
RECONNECT_S = 75  # at worst: the silence that ends a session, an attempt, the longest wait


class Mesh:
    def __init__(self, network, directory):
        config = directory / "meshpingd.conf"
        config.write_text(f"interval_ms = {INTERVAL_MS}\ntimeout_ms = 500\n")
        self.server = lab.Server(directory, network.host("server")).start("--config", config).sign_in()
        self.host = network.host("agent")
        self.server.set_targets(["127.0.0.1"])
        agent_config = directory / "agent.conf"
        agent_config.write_text(f"buffer_s = {BUFFER_S}\n")
        self.agent = lab.join(self.server, lab.Agent(directory, "far", self.server.passphrase(), self.host))
        self.agent.end()
        self.agent.start("--config", agent_config)

    def slots(self, from_ms, to_ms):
        return self.server.series("far", "127.0.0.1", from_ms=from_ms, to_ms=to_ms)

    def gaps(self):
        with sqlite3.connect(self.server.state / "meshping.db") as database:
            return list(database.execute("SELECT first_us, last_us, sample_count, reason FROM gaps"))

    def partition(self, seconds):
        """Cuts the agent's cable. Returns begin, end, the agent's return, and how long the backlog took from then on, in s."""
        begin = time.time()
        self.host.set_carrier(False)
        time.sleep(seconds)
        end = time.time()
        self.host.set_carrier(True)
        lab.wait_for("it is back", RECONNECT_S, lambda: self.server.agents()["far"]["online"], every=0.1)
        back = time.time()
        lab.wait_for("its backlog is there", max(RECONNECT_S, seconds / 10), lambda: self.is_drained(end, back), every=0.1)
        return begin, end, back, time.time() - back

    def is_drained(self, end, back):
        """Backlog goes oldest first. What the agent says of its buffer comes each 10 s: too coarse for this. Meanwhile what is
        new is never later than it is without a backlog."""
        now = time.time()
        live = self.slots(int(end * 1000), int(now * 1000) + 1)["time_ms"]
        if now - back > LIVE_S:
            assert live and now - live[-1] / 1000 < LIVE_S, "live samples wait for the backlog"
        return live and self.newest_is_there(end)

    def newest_is_there(self, end):
        times = self.slots(int(end * 1000) - LAST_MS, int(end * 1000))["time_ms"]
        return len(times) >= LAST_MS // INTERVAL_MS - 1


def missing(mesh, from_ms, to_ms):
    times = mesh.slots(from_ms, to_ms)["time_ms"]
    holes = [(a, b) for a, b in zip(times, times[1:]) if b - a != INTERVAL_MS]
    assert len(times) == len(set(times))
    return times, holes


@pytest.fixture
def mesh():
    with lab.directory() as directory, lab.Network("mpp") as network:
        one = Mesh(network, directory)
        try:
            lab.wait_for("samples come", 60, lambda: len(one.slots(int(time.time() * 1000) - 20000,
                                                                   int(time.time() * 1000))["time_ms"]) > 3)
            yield one
        finally:
            one.agent.end()
            one.server.end()
            print(one.agent.daemon.text()[-3000:], one.server.daemon.text()[-3000:])


@pytest.mark.parametrize("share", [1 / 30, 29 / 30 - (RECONNECT_S if BUFFER_S < 600 else 0) / BUFFER_S / 2],
                         ids=["short", "long"])
def test_a_partition_within_the_limit_loses_nothing(mesh, share):
    length = max(2, BUFFER_S * share)
    begin, end, _, drain_s = mesh.partition(length)
    lab.wait_for("no hole is left", RECONNECT_S, lambda: not missing(
        mesh, int((begin - 5) * 1000), int((end + 2) * 1000))[1], every=0.5)
    assert drain_s < max(length / 10, 6), (length, drain_s)
    assert not mesh.gaps()
    print(f"{length:.0f} s: nothing lost, drained {drain_s:.1f} s after it was back")


def test_a_partition_beyond_the_limit_loses_what_it_must(mesh):
    length = BUFFER_S * 4 / 3
    begin, end, back, drain_s = mesh.partition(length)
    assert drain_s < max(length / 10, 6), (length, drain_s)
    dropped = lab.wait_for("the gap is told", 30, mesh.gaps)
    lost_ms = lambda: missing(mesh, int((begin - 5) * 1000), int((end + 2) * 1000))[1]
    lab.wait_for("one hole is left", RECONNECT_S, lambda: len(lost_ms()) == 1, every=0.5)
    (first_ms, last_ms), = lost_ms()
    lost = (last_ms - first_ms) // INTERVAL_MS - 1
    assert sum(row[2] for row in dropped) == lost and {row[3] for row in dropped} == {2}, (dropped, lost)
    assert min(row[0] for row in dropped) // 1000 == first_ms + INTERVAL_MS
    assert max(row[1] for row in dropped) // 1000 == last_ms - INTERVAL_MS
    # at its return it had what the limit says, to within a block
    kept_s = back - last_ms / 1000
    assert abs(kept_s - BUFFER_S) <= BLOCK_S + 2 * INTERVAL_MS / 1000 + 1, kept_s
    gap, = [g for g in mesh.slots(int((begin - 5) * 1000), int((end + 2) * 1000))["gaps"]]
    assert (gap["reason"], gap["cause"]) == ("connection_trouble", "expired"), gap
    print(f"{length:.0f} s: {lost} samples lost, {kept_s:.1f} s kept, drained {drain_s:.1f} s after it was back")
