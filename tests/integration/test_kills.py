# SPDX-License-Identifier: Apache-2.0
"""Daemons killed at random: what was once shown stays, nothing is there twice, and an agent that lived misses nothing.

MESHPING_KILLS and MESHPING_SEED ask for more kills, or for others.
"""

import os
import random
import signal
import sys
import time

import pytest

import lab

KILLS = int(os.environ.get("MESHPING_KILLS", "10"))
SEED = int(os.environ.get("MESHPING_SEED", "20260101"))
INTERVAL_MS = 500
TARGETS = ["127.0.0.1", "127.0.0.2", "::1"]
AGENTS = ["steady", "killed-1", "killed-2"]


class Mesh:
    def __init__(self, directory):
        config = directory / "meshpingd.conf"
        config.write_text(f"interval_ms = {INTERVAL_MS}\ntimeout_ms = {INTERVAL_MS}\n")
        self.options = ["--config", config]
        self.server = lab.Server(directory, port=lab.free_port()).start(*self.options).sign_in()
        self.server.set_targets(TARGETS)
        self.agents = {name: lab.join(self.server, lab.Agent(directory, name, self.server.passphrase()))
                       for name in AGENTS}
        self.shown = {}  # (agent, target, slot in ms) -> outcome, as the server told it at some time

    def end(self):
        for daemon in [*self.agents.values(), self.server]:
            daemon.end()

    def look(self, since_ms):
        """What the server shows is durable: it must never be another, or gone."""
        for agent in AGENTS:
            for target in TARGETS:
                series = self.server.series(agent, target, from_ms=since_ms, to_ms=int(time.time() * 1000) + 1)
                for slot, outcome in zip(series["time_ms"], series["outcome"]):
                    assert self.shown.setdefault((agent, target, slot), outcome) == outcome, (agent, target, slot)

    def kill(self, name):
        if name == "server":
            self.server.end(signal.SIGKILL)
            time.sleep(random.uniform(0, 1.5))
            self.server.start(*self.options)
        else:
            self.agents[name].end(signal.SIGKILL)
            self.agents[name].start()


def is_reporting(mesh):
    now_ms = int(time.time() * 1000)
    mesh.look(now_ms - 3000)
    return all(any((agent, target, slot) in mesh.shown for slot in range(now_ms - 3000, now_ms))
               for agent in AGENTS for target in TARGETS)


def stored(mesh, since_ms):
    """Every sample in the database, from its blocks: (agent, target) -> list of (slot in ms, outcome)."""
    meshping = pytest.importorskip("meshping", reason="the Python bindings are not built")
    store = meshping.Store(str(mesh.server.state / "meshping.db"), read_only=True)
    ids, targets = mesh.server.agents(), mesh.server.targets()
    return {(agent, target): [(s.slot_unix_us // 1000, s.outcome)
                              for s in store.samples(int(ids[agent]["id"], 16), targets[target], since_ms * 1000, 2**62)]
            for agent in AGENTS for target in TARGETS}


def raw_slots(mesh):
    """(agent, epoch, target) -> slots of all blocks as they lie in the database, so that nothing hides a duplicate."""
    import sqlite3
    meshping = pytest.importorskip("meshping")
    slots = {}
    database = sqlite3.connect(f"file:{mesh.server.state}/meshping.db?mode=ro", uri=True)
    for agent, epoch, block in database.execute("SELECT agent_id, epoch, bytes FROM blocks"):
        for target, samples in meshping.decode_block(bytes(block)).items():
            slots.setdefault((agent, epoch, target), []).extend(s.slot_unix_us for s in samples)
    database.close()
    return slots


def test_random_kills():
    random.seed(SEED)
    print(f"seed {SEED}, {KILLS} kills")
    with lab.directory() as directory:
        mesh = Mesh(directory)
        try:
            lab.wait_for("all cells are ok", 30, lambda: set(mesh.server.cells().values()) == {"ok"})
            since_ms = int(time.time() * 1000)
            for _ in range(KILLS):
                time.sleep(random.uniform(0.5, 7))
                mesh.look(since_ms)
                name = random.choice(["server", "server", "killed-1", "killed-2"])
                print(f"{time.time():.3f} kill {name}")
                mesh.kill(name)
            lab.wait_for("all agents report again", 90, lambda: is_reporting(mesh), every=0.5)
            until_ms = int(time.time() * 1000) - 3000
            lab.wait_for("the buffers are empty of old samples", 60, lambda: steady_is_complete(mesh, since_ms, until_ms),
                         every=0.5)
            mesh.look(since_ms)
            found = stored(mesh, since_ms)
            for (agent, target, slot), outcome in mesh.shown.items():
                if slot >= since_ms:
                    assert (slot, outcome) in found[agent, target], f"shown once, and lost: {agent} {target} {slot}"
            for pair, samples in found.items():
                times = [slot for slot, _ in samples]
                assert len(times) == len(set(times)), f"twice: {pair}"
            for key, slots in raw_slots(mesh).items():
                assert len(slots) == len(set(slots)), f"two blocks hold the same sample: {key}"
            assert {outcome for samples in found.values() for _, outcome in samples} == {"ok"}
            print(f"{len(mesh.shown)} samples were shown, {sum(map(len, found.values()))} are stored")
        finally:
            mesh.end()
            for daemon in [mesh.server, *mesh.agents.values()]:
                print(f"--- {daemon.daemon.log}\n{daemon.daemon.text()}", file=sys.stderr)


def steady_is_complete(mesh, since_ms, until_ms):
    for target in TARGETS:
        series = mesh.server.series("steady", target, from_ms=since_ms, to_ms=until_ms)
        times = series["time_ms"]
        if not times or times[0] > since_ms + INTERVAL_MS or times[-1] < until_ms - INTERVAL_MS:
            return False
        if any(b - a != INTERVAL_MS for a, b in zip(times, times[1:])):
            return False
    return True
