# SPDX-License-Identifier: Apache-2.0
"""Server and agents killed at random while data comes in, and a checker that knows each sample.

Acknowledged is stored, stored is stored once, and nothing is stored that nobody sent. The agents speak the wire by
themselves (wire.py), so they know what was acknowledged whatever our own agent thinks. MESHPING_KILLS and MESHPING_SEED ask
for more kills, or for others.
"""

import json
import os
import random
import signal
import socket
import sqlite3
import struct
import threading
import time

import pytest

import lab
from OpenSSL import SSL
from wire import Speaker, block_of

KILLS = int(os.environ.get("MESHPING_KILLS", "12"))
SEED = int(os.environ.get("MESHPING_SEED", "20260102"))
AGENTS = 3
BATCH = 5


def rtt_of(slot_us):
    return 1 + slot_us // 1000 % 1000


class Known(threading.Thread):
    """An agent whose every sample is known: one a block, each slot used once."""

    def __init__(self, server, name, seed):
        super().__init__(daemon=True)
        self.name, self.random, self.stop, self.failed = name, random.Random(seed), threading.Event(), None
        self.die = threading.Event()
        self.speaker = Speaker(server.passphrase(), name)
        connection = self.speaker.connect("enrol")
        connection.expect("registration_status")
        server.act(name, "approve")
        self.speaker.join(connection)
        self.target = server.targets()["192.0.2.1"]
        self.slot_us = int(time.time() - 60) * 1000000
        self.acked, self.sent, self.kills = set(), set(), 0
        self.begin_epoch()

    def begin_epoch(self):
        """A new process: what was not acknowledged is forgotten with the old one."""
        self.epoch = self.random.getrandbits(64) or 1
        self.speaker.info = json.dumps({"host": self.name, "version": "known", "epoch": f"{self.epoch:016x}"}).encode()
        self.sequence, self.unacked = 0, {}

    def take_ranges(self, ranges):
        for sequence in [s for s in self.unacked if any(a <= s <= b for a, b in ranges)]:
            self.acked.add(self.unacked.pop(sequence))

    def frame(self, connection, sequence, slot_us):
        block = block_of(self.target, slot_us, rtt_of(slot_us))
        connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), self.epoch, sequence) + block)

    def session(self):
        connection = self.speaker.connect("resume")
        status = self.speaker.join(connection)
        self.take_ranges(status["ranges"])
        for sequence, slot_us in self.unacked.items():
            self.frame(connection, sequence, slot_us)
        while not (self.stop.is_set() and not self.unacked):
            for _ in range(0 if self.stop.is_set() else BATCH):
                self.slot_us += 1000
                self.sequence += 1
                self.unacked[self.sequence] = self.slot_us
                self.sent.add(self.slot_us)
                self.frame(connection, self.sequence, self.slot_us)
            if self.die.is_set():  # with frames under way
                self.die.clear()
                self.kills += 1
                connection.ssl.sock_shutdown(socket.SHUT_RDWR)
                self.begin_epoch()
                return
            while self.unacked:
                self.take_ranges(connection.expect("data_received")["ranges"])

    def run(self):
        while not (self.stop.is_set() and not self.unacked):
            try:
                self.session()
            except (OSError, SSL.Error, AssertionError):  # the server is not there, or went in the middle of a word
                time.sleep(0.1)


def raw_slots(server, agent_id):
    """Every sample of an agent's blocks as they lie in the database, so that nothing hides a duplicate."""
    meshping = pytest.importorskip("meshping")
    slots = []
    with sqlite3.connect(f"file:{server.state}/meshping.db?mode=ro", uri=True) as database:
        signed = agent_id - (1 << 64) if agent_id >> 63 else agent_id
        for table in ("blocks", "sealed"):
            for block, in database.execute(f"SELECT bytes FROM {table} WHERE agent_id = ?", (signed,)):
                for samples in meshping.decode_block(bytes(block)).values():
                    slots += [(s.slot_unix_us, s.rtt_us) for s in samples]
    return slots


def test_acknowledged_is_stored_once_whoever_is_killed():
    print(f"seed {SEED}, {KILLS} kills")
    chance = random.Random(SEED)
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        server = lab.Server(directory, port=port).start().sign_in()
        try:
            server.set_targets([{"address": "192.0.2.1"}])
            agents = [Known(server, f"known-{i}", SEED + i) for i in range(AGENTS)]
            for agent in agents:
                agent.start()
            server_kills = 0
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.05, 0.8))
                if chance.random() < 0.6:
                    server.end(signal.SIGKILL)
                    server_kills += 1
                    server.start()
                else:
                    chance.choice(agents).die.set()
            for agent in agents:
                agent.stop.set()
            for agent in agents:
                agent.join(60)
                assert not agent.is_alive(), f"{agent.name} still waits for {agent.unacked}"
            ids = {name: int(shown["id"], 16) for name, shown in server.sign_in().agents().items()}
            for agent in agents:
                stored = raw_slots(server, ids[agent.name])
                slots = {slot for slot, _ in stored}
                assert len(slots) == len(stored), f"{agent.name}: {len(stored) - len(slots)} stored twice"
                assert not agent.acked - slots, f"{agent.name}: acknowledged and lost: {sorted(agent.acked - slots)[:5]}"
                assert not slots - agent.sent, f"{agent.name}: stored and never sent"
                assert all(rtt == rtt_of(slot) for slot, rtt in stored)
                print(f"{agent.name}: {len(agent.sent)} sent, {len(agent.acked)} acknowledged, {len(stored)} stored, "
                      f"killed {agent.kills} times")
                assert len(agent.acked) > 5 * KILLS
            print(f"the server was killed {server_kills} times")
        finally:
            server.end()
            print(server.daemon.text()[-2000:])
