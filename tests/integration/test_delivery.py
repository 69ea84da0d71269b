# SPDX-License-Identifier: Apache-2.0
"""Delivery when something goes back in time: a restored database, a sequence that was never given."""

import shutil
import sqlite3
import struct
import time

import pytest

import lab

INTERVAL_MS = 500


@pytest.fixture
def mesh():
    with lab.directory() as directory:
        config = directory / "meshpingd.conf"
        config.write_text(f"interval_ms = {INTERVAL_MS}\ntimeout_ms = {INTERVAL_MS}\n")
        server = lab.Server(directory, port=lab.free_port())
        server.options = ["--config", config]
        server.start(*server.options).sign_in()
        server.set_targets(["127.0.0.1"])
        agent = lab.join(server, lab.Agent(directory, "steady", server.passphrase()))
        lab.wait_for("the cell is ok", 20, lambda: server.cells().get(("steady", "127.0.0.1")) == "ok")
        try:
            yield server, agent
        finally:
            agent.end()
            server.end()
            print(agent.daemon.text(), server.daemon.text())


def slots(server, since_ms):
    return [t for t in server.series("steady", "127.0.0.1")["time_ms"] if t >= since_ms]


def epochs(server):
    with sqlite3.connect(server.state / "meshping.db") as database:
        return [(e, [struct.unpack_from("<QQ", r, i) for i in range(0, len(r), 16)])
                for e, r in database.execute("SELECT epoch, ranges FROM epochs ORDER BY updated_us")]


def test_what_a_restored_database_lacks_is_a_gap_that_says_so(mesh):
    server, agent = mesh
    server.end()
    shutil.copytree(server.state, server.directory / "backup")
    server.start(*server.options)
    begin_ms = int(time.time() * 1000)
    lab.wait_for("some samples are stored", 30, lambda: len(slots(server, begin_ms)) >= 24, every=0.5)
    lost = slots(server, begin_ms)
    server.end()
    shutil.rmtree(server.state)
    shutil.copytree(server.directory / "backup", server.state)
    server.start(*server.options).sign_in()
    # it is told a block at a time, and one gap once all is there
    gap = lab.wait_for("the gap is told", 60, lambda: next(
        (g for g in server.series("steady", "127.0.0.1")["gaps"]
         if g.get("cause") == "server_lost" and g["to_ms"] > lost[12]), None), every=0.5)
    assert gap["reason"] == "connection_trouble"
    assert gap["from_ms"] <= lost[0] + 5000
    later_ms = int(time.time() * 1000)
    lab.wait_for("it goes on", 20, lambda: len(slots(server, later_ms)) > 4, every=0.5)
    assert len(epochs(server)) == 1 and len(epochs(server)[0][1]) == 1  # no hole is left in the sequences


def test_a_sequence_that_was_never_given_begins_a_new_epoch_and_loses_nothing(mesh):
    server, agent = mesh
    begin_ms = int(time.time() * 1000)
    server.end()
    with sqlite3.connect(server.state / "meshping.db") as database:
        database.execute("UPDATE epochs SET ranges = ?", (struct.pack("<QQ", 1, 10**6),))
    time.sleep(3)
    server.start(*server.options)
    lab.wait_for("a new epoch", 60, lambda: len(epochs(server)) == 2, every=0.5)
    assert "a new epoch begins" in agent.daemon.text()
    until_ms = int(time.time() * 1000)
    lab.wait_for("it goes on", 30, lambda: slots(server, until_ms), every=0.5)
    times = slots(server, begin_ms)
    assert all(b - a == INTERVAL_MS for a, b in zip(times, times[1:])), times
    assert epochs(server)[1][1][0][0] == 1
