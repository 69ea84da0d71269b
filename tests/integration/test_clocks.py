# SPDX-License-Identifier: Apache-2.0
"""An agent whose clock is wrong: measured, told, and shown; its samples keep its own time, and are late by it."""

import contextlib
import socket
import sqlite3
import struct
import threading
import time

import pytest
from OpenSSL import SSL

import lab
from wire import Speaker, block_of

EPOCH = 0xC0FFEE01
DAY = 86400
LATE_DATA = 32


class WrongClock:
    """Speaks the protocol by itself, with a clock that is `ahead` seconds off; a sample a half second."""

    def __init__(self, server, name, ahead):
        self.ahead, self.sequence, self.stop, self.silent = ahead, 0, False, False
        self.speaker = Speaker(server.passphrase(), name)
        self.connection = self.speaker.connect("enrol")
        self.connection.expect("registration_status")
        server.act(name, "approve")
        self.speaker.join(self.connection)
        self.target = server.targets()["192.0.2.1"]
        self.connection.ssl.setblocking(True)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.lock = threading.Lock()
        self.thread.start()
        threading.Thread(target=self.measure, daemon=True).start()

    def now_us(self):
        return int((time.time() + self.ahead) * 1e6)

    def run(self):
        while True:
            try:
                event, data = self.connection.next()
            except SSL.Error:
                return  # the server ended first
            arrived = self.now_us()
            if event == "status" and data.get("ping"):
                with self.lock:
                    self.connection.send("status", time_us=self.now_us(), pong=data["ping"], echo_us=arrived)

    def measure(self):
        time.sleep(1)
        while not self.stop:
            if not self.silent:
                self.send(self.now_us() - 100000)
            time.sleep(0.5)

    def send(self, slot_us):
        block = block_of(self.target, slot_us, 777)
        with self.lock:
            self.sequence += 1
            self.connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), EPOCH, self.sequence) + block)


@pytest.fixture
def server():
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        config = directory / "meshpingd.conf"
        config.write_text("interval_ms = 500\ntimeout_ms = 500\n")
        one = lab.Server(directory, port=port).start("--config", config).sign_in()
        one.set_targets([{"address": "192.0.2.1"}])
        yield one
        one.end()


@pytest.mark.parametrize("ahead", [2 * DAY, -3 * DAY, 5])
def test_a_clock_that_is_off_is_measured_flagged_and_its_samples_are_shown(server, ahead):
    agent = WrongClock(server, "off", ahead)
    try:
        shown = lab.wait_for("the clock is known", 15, lambda: server.agents()["off"] if
                             server.agents()["off"]["clock_offset_us"] is not None else None)
        assert abs(shown["clock_offset_us"] - ahead * 1e6) <= shown["clock_error_us"] < 500000
        assert shown["clock_skewed"]
        assert "its clock is" in server.daemon.text()
        lab.wait_for("its cell is ok", 10, lambda: server.cells()["off", "192.0.2.1"] == "ok")
        series = lab.wait_for("its hour has samples, and a note of its clock, which comes with one of them", 10, lambda: (
            lambda s: s if len(s["time_ms"]) > 3 and s["clock"] else None)(server.series("off", "192.0.2.1")))
        assert abs(series["time_ms"][-1] / 1000 - time.time() - ahead) < 5
        assert abs(series["clock"][-1]["offset_us"] - ahead * 1e6) < 500000
    finally:
        agent.stop = True


def late(server, slot_us):
    """Whether that sample is marked as late; None: it is not there."""
    series = server.series("off", "192.0.2.1", from_ms=slot_us // 1000, to_ms=slot_us // 1000 + 1)
    return bool(series["flags"][0] & LATE_DATA) if series["flags"] else None


@pytest.mark.parametrize("ahead", [600, -600])
def test_late_data_is_told_on_the_agents_clock(server, ahead):
    agent = WrongClock(server, "off", ahead)
    try:
        lab.wait_for("the clock is known", 15, lambda: server.agents()["off"]["clock_offset_us"] is not None)
        old_us, new_us = agent.now_us() - 120 * 1000000, agent.now_us() - 1000
        agent.send(old_us)
        agent.send(new_us)
        lab.wait_for("both are there", 10, lambda: late(server, old_us) is not None and late(server, new_us) is not None)
        assert late(server, old_us) and not late(server, new_us)
    finally:
        agent.stop = True
    # a server that was started again has not measured it when the first samples come
    server.end()
    server.start("--config", server.directory / "meshpingd.conf").sign_in()
    assert late(server, old_us) and not late(server, new_us)
    agent.connection = agent.speaker.connect("resume")
    agent.speaker.join(agent.connection)
    old_us, new_us = agent.now_us() - 110 * 1000000, agent.now_us() - 1000
    agent.send(old_us)
    agent.send(new_us)
    lab.wait_for("both are there", 10, lambda: late(server, old_us) is not None and late(server, new_us) is not None)
    assert server.agents()["off"]["clock_offset_us"] is None
    assert late(server, old_us) and not late(server, new_us)


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_pause_is_where_the_agents_clock_has_it(server, ahead):
    agent = WrongClock(server, "off", ahead)
    reasons = lambda: [gap["reason"] for gap in server.series("off", "192.0.2.1")["gaps"]]  # noqa: E731
    try:
        lab.wait_for("the clock is known", 15, lambda: server.agents()["off"]["clock_offset_us"] is not None)
        lab.wait_for("there are samples", 10, lambda: server.series("off", "192.0.2.1")["time_ms"])
        server.set_targets([{"address": "192.0.2.1", "paused": {"reason": "moved"}}])
        agent.silent = True
        time.sleep(4)
        server.set_targets([{"address": "192.0.2.1"}])
        agent.silent = False
        lab.wait_for("the pause is told", 15, lambda: reasons() == ["paused"])
        gap, = server.series("off", "192.0.2.1")["gaps"]
        assert abs(gap["from_ms"] - gap["pause"]["from_ms"] - ahead * 1000) < 1500  # the pause's own times are the server's
    finally:
        agent.stop = True


def noted(server):
    with contextlib.closing(sqlite3.connect(f"file:{server.state}/meshping.db?mode=ro", uri=True)) as database:
        return [{"time_ms": at_us // 1000, "offset_us": offset_us, "error_us": error_us} for at_us, offset_us, error_us in
                database.execute("SELECT at_us, offset_us, error_us FROM clocks ORDER BY at_us")]


def test_the_notes_of_a_clock_are_told_as_they_are_stored_before_and_after_a_restart(server):
    agent = WrongClock(server, "off", -600)  # what was noted before its slots is within the window of these

    def offset_is(expected):
        offset_us = server.agents()["off"]["clock_offset_us"]
        return offset_us is not None and abs(offset_us - expected * 1e6) < 500000

    def same():
        window = {"from_ms": slots[0], "to_ms": slots[-1] + 1}  # nothing is missing in it: memory answers
        series = server.series("off", "192.0.2.1", **window)
        return not series["gaps"] and series["time_ms"] == slots and series["clock"] == noted(server)

    try:
        lab.wait_for("the clock is known", 15, lambda: offset_is(-600))
        agent.ahead -= 7
        lab.wait_for("the step is seen", 30, lambda: offset_is(-607))
        lab.wait_for("it is noted", 10, lambda: len(noted(server)) >= 2)
    finally:
        agent.stop = True
    time.sleep(1)  # the last one is stored
    slots = server.series("off", "192.0.2.1")["time_ms"]
    assert len(slots) > 5 and same()
    server.end()
    server.start("--config", server.directory / "meshpingd.conf").sign_in()
    assert same()  # from the disk, or already not
    lab.wait_for("the hour is in memory", 10, lambda: "the last hour is here" in server.daemon.text())
    assert same()


def test_a_clock_that_is_set_back_leaves_no_cell_stale(server):
    agent = WrongClock(server, "stepped", 0)
    try:
        lab.wait_for("its cell is ok", 15, lambda: server.cells()["stepped", "192.0.2.1"] == "ok")
        assert not server.agents()["stepped"]["clock_skewed"]
        for step in (-3600, 3600, -7200):
            agent.ahead += step
            lab.wait_for("the step is seen", 15, lambda: abs(  # there is none before the first echo
                (server.agents()["stepped"]["clock_offset_us"] or 0) - agent.ahead * 1e6) < 500000)
            lab.wait_for("its cell lives on", 5, lambda: server.cells()["stepped", "192.0.2.1"] == "ok")
            time.sleep(2.5)  # over three intervals
            assert server.cells()["stepped", "192.0.2.1"] == "ok"
    finally:
        agent.stop = True


def test_times_that_cannot_be_measure_nothing(server):
    agent = Speaker(server.passphrase(), "liar")
    connection = agent.connect("enrol")
    connection.expect("registration_status")
    ping = connection.expect("status")["ping"]
    for pong, echo, now in [(ping + 7, 1, 2), (ping, 2**56, 1), (ping, 1, 2**56)]:
        connection.send("status", time_us=now, pong=pong, echo_us=echo)
    connection.send("status", time_us=1, ping=5)
    while connection.expect("status").get("pong") != 5:
        pass
    assert server.agents()["liar"]["clock_offset_us"] is None
