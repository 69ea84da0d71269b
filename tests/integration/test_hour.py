# SPDX-License-Identifier: Apache-2.0
"""The last hour of a pair in which samples are missing: told from memory as from the disk, of which a longer time is asked."""

import json
import socket
import sqlite3
import struct
import time

import pytest

import lab
from wire import Speaker, block_of

STEP_S = 5


class Pinger:
    """An agent whose samples, gaps and restarts lie where the test wants them."""

    def __init__(self, server, name):
        self.speaker, self.epoch, self.sequence = Speaker(server.passphrase(), name), 0xC0FFEE01, 0
        self.connection = self.speaker.connect("enrol")
        self.connection.expect("registration_status")
        server.act(name, "approve")
        self.speaker.join(self.connection)
        self.target = server.targets()["192.0.2.1"]

    def come_back(self, restarted):
        self.connection.ssl.shutdown()
        if restarted:
            self.epoch, self.sequence = self.epoch + 1, 0
            self.speaker.info = json.dumps({"host": "one", "version": "second 1.0", "epoch": f"{self.epoch:016x}"}).encode()
        self.connection = self.speaker.connect("resume")
        self.speaker.join(self.connection)

    def send(self, first_s, count):
        for i in range(count):
            self.sequence += 1
            block = block_of(self.target, int((first_s + STEP_S * i) * 1e6), 777)
            self.connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), self.epoch, self.sequence) + block)

    def drop(self, first_s, last_s, samples, reason):
        first, self.sequence = self.sequence + 1, self.sequence + samples
        self.connection.send("gap", epoch=f"{self.epoch:016x}", first=first, last=self.sequence, from_us=int(first_s * 1e6),
                             to_us=int(last_s * 1e6), samples=samples, reason=reason)


@pytest.fixture
def server():
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        config = directory / "meshpingd.conf"
        config.write_text("interval_ms = 5000\ntimeout_ms = 500\n")
        one = lab.Server(directory, port=port).start("--config", config).sign_in()
        one.set_targets([{"address": "192.0.2.1"}])
        yield one
        one.end()


def told(server, begin_s, end_s, span_s):
    """[(seconds after begin_s, seconds, reason, cause)] of what is missing in an hour, and in a longer time that ends with it."""
    series = server.series("one", "192.0.2.1", from_ms=(end_s - span_s) * 1000, to_ms=end_s * 1000)
    return [(round(gap["from_ms"] / 1000 - begin_s), round((gap["to_ms"] - gap["from_ms"]) / 1000), gap["reason"],
             gap.get("cause")) for gap in series["gaps"]], series["clock"], len(series["time_ms"])


def test_why_samples_are_missing_is_told_alike_from_memory_and_from_the_disk(server):
    end_s = int(time.time()) - 60  # what has not come by then is missing
    begin_s = end_s - 3000
    agent = Pinger(server, "one")
    agent.send(begin_s, 20)
    agent.drop(begin_s + 100, begin_s + 495, 80, "overflow")
    agent.send(begin_s + 500, 20)
    agent.come_back(restarted=True)
    agent.send(begin_s + 1000, 20)
    agent.drop(begin_s + 1100, begin_s + 1395, 60, "expired")
    agent.come_back(restarted=False)
    agent.send(begin_s + 1400, 20)
    agent.send(begin_s + 1700, 20)
    lab.wait_for("all is stored", 10, lambda: told(server, begin_s, end_s, 3600)[2] == 100)
    wanted = [(95, 405, "connection_trouble", "overflow"), (595, 405, "agent_restarted", None),
              (1095, 305, "connection_trouble", "expired"), (1495, 205, "connection_trouble", None)]
    hour, day = (told(server, begin_s, end_s, span_s) for span_s in (3600, 86000))
    assert hour == day
    assert hour[0][:4] == wanted and len(hour[0]) == 5  # the last is what has not come since
    # what begins before the time that is asked for
    part, longer = told(server, begin_s, end_s, 2800), told(server, begin_s, end_s, 86000)
    assert part[0][0] == (200, 300, "connection_trouble", "overflow") and part[0][1:] == longer[0][1:]
    # paused, and paused no more
    server.set_targets([{"address": "192.0.2.1", "paused": {"reason": "new line card"}}])
    server.set_targets([{"address": "192.0.2.1"}])
    agent.connection.ssl.shutdown()
    server.end()
    server.start("--config", server.directory / "meshpingd.conf").sign_in()
    lab.wait_for("the hour is in memory", 10, lambda: "the last hour is here" in server.daemon.text())
    again, longer = (told(server, begin_s, end_s, span_s) for span_s in (3600, 86000))
    assert again == longer
    assert again[0][:4] == wanted


AHEAD_S = 2 * 3600


def test_a_pause_from_before_memory_is_told_to_an_agent_whose_clock_is_far_ahead(server):
    """What its slots of this hour say was hours ago on the server's clock, and only the disk has that."""
    agent = Pinger(server, "one")
    while "ping" not in (data := agent.connection.expect("status")):
        pass
    ahead_us = int((time.time() + AHEAD_S) * 1e6)
    agent.connection.send("status", time_us=ahead_us, pong=data["ping"], echo_us=ahead_us)
    end_s = int(time.time()) - 60
    begin_s = end_s - 3000
    agent.send(begin_s, 20)  # with it the clock is noted
    agent.send(begin_s + 500, 20)
    lab.wait_for("all is stored", 10, lambda: told(server, begin_s, end_s, 3600)[2] == 40)
    assert told(server, begin_s, end_s, 3600)[1][0]["offset_us"] > 7e9
    agent.connection.ssl.shutdown()
    server.end()
    database = sqlite3.connect(server.state / "meshping.db")
    away = (begin_s + 150 - AHEAD_S, begin_s + 450 - AHEAD_S)  # on the server's clock, and long before it was started
    database.execute("INSERT INTO pauses(from_us, to_us) VALUES(?, ?)", [int(at * 1e6) for at in away])
    database.commit()
    database.close()
    server.start("--config", server.directory / "meshpingd.conf").sign_in()
    lab.wait_for("the hour is in memory", 10, lambda: "the last hour is here" in server.daemon.text())
    hour, day = (told(server, begin_s, end_s, span_s) for span_s in (end_s - begin_s, 86000))
    assert hour[0][0] == (95, 405, "server_away", None)
    assert hour == day
