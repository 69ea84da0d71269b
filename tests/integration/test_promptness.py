# SPDX-License-Identifier: Apache-2.0
"""When a block leaves the agent: at once when a target's state changes, each 5 s else. Agent and server share one clock here,
and the server notes when each block came, so the truth is at hand."""

import sqlite3
import time

import meshping
import pytest

import lab

INTERVAL_MS, TIMEOUT_MS = 1000, 400
PROMPT_MS = 500  # docs/PROTOCOL.md, When
EVIDENCE_MS = INTERVAL_MS  # a miss is believed with the next reply of another target: ADR 3
REST_S = 5


class Mesh:
    def __init__(self, network, directory):
        config = directory / "meshpingd.conf"
        config.write_text(f"interval_ms = {INTERVAL_MS}\ntimeout_ms = {TIMEOUT_MS}\n")
        self.target, others = network.host("target"), [network.host(name) for name in ("x", "y", "z")]
        self.server = lab.Server(directory, network.host("server")).start("--config", config).sign_in()
        self.server.set_targets([self.target.address] + [other.address for other in others])
        self.agent = lab.join(self.server, lab.Agent(directory, "a", self.server.passphrase(), network.host("agent")))
        self.id = self.server.targets()[self.target.address]

    def blocks(self, since_us):
        """[(when the server got it, [its samples of the target])], by the first."""
        with sqlite3.connect(f"file:{self.server.state}/meshping.db?mode=ro", uri=True) as database:
            rows = database.execute("SELECT received_us, bytes FROM blocks WHERE received_us > ? ORDER BY 1", (since_us,)).fetchall()
        return [(received_us, meshping.decode_block(data).get(self.id, [])) for received_us, data in rows]

    def first(self, since_us, wanted):
        """The first sample whose slot is after since_us and that is as wanted, and when the server got it."""
        found = [(sample.slot_unix_us, sample, received_us) for received_us, samples in self.blocks(since_us)
                 for sample in samples if sample.slot_unix_us >= since_us and wanted(sample)]
        return min(found)[1:] if found else None


@pytest.fixture
def mesh():
    with lab.directory() as directory, lab.Network("mpq") as network:
        one = Mesh(network, directory)
        try:
            lab.wait_for("the target is ok", 30, lambda: one.server.cells().get(("a", one.target.address)) == "ok")
            yield one
        finally:
            one.agent.end()
            one.server.end()
            print(one.agent.daemon.text()[-2000:], one.server.daemon.text()[-2000:])


def now_us():
    return time.time_ns() // 1000


def test_a_change_leaves_within_500_ms_and_the_rest_each_5_s(mesh):
    for turn in range(3):
        time.sleep(2 + 0.37 * turn)
        down_us = now_us()
        mesh.target.set_link(False)
        sample, got_us = lab.wait_for("the loss is told", 10, lambda: mesh.first(down_us, lambda s: s.lost))
        decided_us = sample.slot_unix_us + TIMEOUT_MS * 1000
        print(f"lost: {(got_us - decided_us) / 1000:.0f} ms after its time was up")
        assert got_us - decided_us < (EVIDENCE_MS + PROMPT_MS) * 1000
        time.sleep(1.2)
        up_us = now_us()
        mesh.target.set_link(True)
        sample, got_us = lab.wait_for("it is back", 10, lambda: mesh.first(up_us, lambda s: s.ok))
        decided_us = sample.slot_unix_us + sample.rtt_us
        print(f"back: {(got_us - decided_us) / 1000:.0f} ms after its reply")
        assert got_us - decided_us < PROMPT_MS * 1000
    lab.wait_for("all targets are ok", 20, lambda: {state for state in mesh.server.cells().values()} <= {"ok", "lossy"})
    quiet_us = now_us() + REST_S * 1000000
    time.sleep(5 * REST_S + 1)
    times = [received_us for received_us, _ in mesh.blocks(quiet_us)]
    pauses_s = [(b - a) / 1e6 for a, b in zip(times, times[1:])]
    assert len(pauses_s) >= 2 and all(REST_S - 0.5 < pause < REST_S + 1 for pause in pauses_s), pauses_s
