# SPDX-License-Identifier: Apache-2.0
"""What an agent sends while it is on hold: acknowledged, kept apart, and counted once, or never, as a person decides."""

import contextlib
import random
import sqlite3
import struct
import threading
import time

import meshping
import pytest

import lab
from openapi_lab import check_schema
from test_identity import join, restart, server, state_of# noqa: F401: the fixture
from wire import block_of

EPOCH = "00000000c0ffee01"


def send(connection, target, sequence, slot_us, rtt_us):
    block = block_of(target, slot_us, rtt_us)
    connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), 0xC0FFEE01, sequence) + block)


def wait_ranges(connection, ranges):
    while connection.expect("data_received")["ranges"] != ranges:
        pass


def sources_of(server, name):  # noqa: F811
    return server.call("GET", f"/api/v1/agents/{server.agents()[name]['id']}/quarantine")["sources"]


def rtts(server, name="a"):  # noqa: F811
    return sorted(rtt for rtt in server.series(name, "192.0.2.1")["rtt_us"] if rtt)


@pytest.fixture
def held(server):  # noqa: F811
    """An approved agent that sent block 1, and then came from two other addresses and sent more on hold."""
    speaker, connection = join(server, "a")
    server.set_targets(["192.0.2.1"])
    target = server.targets()["192.0.2.1"]
    slot_us = int(time.time()) * 1000000 - 60000000
    send(connection, target, 1, slot_us, 101)
    wait_ranges(connection, [[1, 1]])
    moved = speaker.connect("resume", source="127.0.0.2")
    status = speaker.join(moved)
    assert status["status"] == "hold" and status["credit"] > 0 and status["ranges"] == [[1, 1]]
    send(moved, target, 2, slot_us + 5000000, 202)
    send(moved, target, 3, slot_us + 10000000, 203)
    moved.send("gap", epoch=EPOCH, first=4, last=5, from_us=slot_us, to_us=slot_us + 1, samples=2, reason="overflow")
    wait_ranges(moved, [[1, 5]])
    thief = speaker.connect("resume", source="127.0.0.3")
    status = speaker.join(thief)
    assert status["ranges"] == [[1, 1]], "what another address sent is none of this one's"
    send(thief, target, 2, slot_us + 15000000, 666)
    wait_ranges(thief, [[1, 2]])
    assert rtts(server) == [101]
    return server, speaker, target, slot_us


def test_it_is_acknowledged_and_does_not_count(held):
    server, speaker, target, slot_us = held  # noqa: F811
    found = sources_of(server, "a")
    assert [(s["address"], s["blocks"], s["samples"], s["epoch"]) for s in found] == [
        ("127.0.0.2", 2, 2, EPOCH), ("127.0.0.3", 1, 1, EPOCH)]
    assert server.agents()["a"]["quarantine_bytes"] == sum(s["bytes"] for s in found) > 0
    again = speaker.connect("resume", source="127.0.0.2")
    assert speaker.join(again)["ranges"] == [[1, 5]]
    send(again, target, 3, slot_us + 10000000, 203)  # once more: it is known
    wait_ranges(again, [[1, 5]])
    assert sources_of(server, "a")[0]["blocks"] == 2
    restart(server)
    server.sign_in()
    assert len(sources_of(server, "a")) == 2 and rtts(server) == [101]


def test_an_approval_names_what_is_kept_and_it_counts_once(held):
    server, speaker, target, slot_us = held  # noqa: F811
    connection = speaker.connect("resume", source="127.0.0.2")
    speaker.join(connection)
    agent, found = server.agents()["a"], sources_of(server, "a")
    for wrong in ([found[0]["id"], 4711], ["x"], {}, 7):
        status = server.request("POST", f"/api/v1/agents/{agent['id']}/approve", {"keep": wrong})[0]
        assert status in (400, 404) and state_of(server, "a") == "hold"
    server.call("POST", f"/api/v1/agents/{agent['id']}/approve", {"keep": [found[0]["id"]], "revision": agent["revision"]})
    status = connection.expect("registration_status")
    assert status["status"] == "approved" and status["ranges"] == [[1, 5]], "ranges never shrink"
    lab.wait_for("it counts", 10, lambda: rtts(server) == [101, 202, 203])
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(server, "a") == [])
    send(connection, target, 6, slot_us + 20000000, 106)
    wait_ranges(connection, [[1, 6]])
    send(connection, target, 2, slot_us + 5000000, 202)
    send(connection, target, 7, slot_us + 25000000, 107)
    wait_ranges(connection, [[1, 7]])
    restart(server)
    server.sign_in()
    assert rtts(server) == [101, 106, 107, 202, 203]
    assert server.agents()["a"]["quarantine_bytes"] == 0
    texts = [e["text"] for e in server.call("GET", "/api/v1/events")["events"] if e["kind"] == "quarantine"]
    assert any("kept" in t and "127.0.0.2" in t for t in texts) and any("not kept" in t and "127.0.0.3" in t for t in texts)


def test_what_was_not_kept_is_a_gap_that_says_so(held):
    server, speaker, target, slot_us = held  # noqa: F811
    connection = speaker.connect("resume", source="127.0.0.2")
    speaker.join(connection)
    server.call("POST", f"/api/v1/agents/{server.agents()['a']['id']}/approve", {"keep": []})
    connection.expect("registration_status")
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(server, "a") == [])
    send(connection, target, 6, slot_us + 20000000, 106)
    lab.wait_for("it counts", 10, lambda: rtts(server) == [101, 106])
    found = server.series("a", "192.0.2.1")
    assert found["gaps"][0]["cause"] == "refused"
    check_schema(found, {"$ref": "#/components/schemas/Series"})


def test_without_names_it_goes_by_the_approved_addresses(held):
    server, speaker, _, _ = held  # noqa: F811
    connection = speaker.connect("resume", source="127.0.0.2")
    speaker.join(connection)
    server.act("a", "approve")  # offers 127.0.0.2
    lab.wait_for("it counts", 10, lambda: rtts(server) == [101, 202, 203])


def test_a_kill_on_the_way_loses_and_doubles_nothing(held):
    server, speaker, _, _ = held  # noqa: F811
    connection = speaker.connect("resume", source="127.0.0.2")
    speaker.join(connection)
    server.act("a", "approve")
    server.end(9)
    server.start()
    server.sign_in()
    lab.wait_for("it counts", 10, lambda: rtts(server) == [101, 202, 203])
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(server, "a") == [])


def test_its_size_is_that_of_what_is_there_whoever_decides_meanwhile(held):
    server, speaker, _, _ = held  # noqa: F811
    connection = speaker.connect("resume", source="127.0.0.2")
    speaker.join(connection)

    def is_told_as_it_is():
        return server.agents()["a"]["quarantine_bytes"] == sum(s["bytes"] for s in sources_of(server, "a"))

    server.act("a", "approve")
    server.act("a", "reject")  # what was approved is on its way, or there: it waits for the next approval
    assert state_of(server, "a") == "blacklisted" and is_told_as_it_is()
    server.act("a", "reinstate")
    server.act("a", "approve")
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(server, "a") == [])
    lab.wait_for("and counts for nothing", 2, lambda: server.agents()["a"]["quarantine_bytes"] == 0)


def test_a_rejection_deletes_it_and_says_so(held):
    server, _, _, _ = held  # noqa: F811
    server.act("a", "reject")
    assert sources_of(server, "a") == [] and rtts(server) == [101]
    texts = [e["text"] for e in server.call("GET", "/api/v1/events")["events"] if e["kind"] == "quarantine"]
    assert sum("deleted" in text for text in texts) == 2


def test_what_was_sent_before_it_moved_on_is_kept_though_the_agent_then_tells_it_as_lost(server):  # noqa: F811
    """On hold it is told one address's ranges: it cannot find what it sent from the other, and reports `server_lost`."""
    speaker, connection = join(server, "a")
    server.set_targets(["192.0.2.1"])
    target, slot_us = server.targets()["192.0.2.1"], int(time.time()) * 1000000 - 60000000
    send(connection, target, 1, slot_us, 101)
    wait_ranges(connection, [[1, 1]])
    second = speaker.connect("resume", source="127.0.0.2")
    speaker.join(second)
    send(second, target, 2, slot_us + 5000000, 202)
    send(second, target, 3, slot_us + 10000000, 203)
    wait_ranges(second, [[1, 3]])
    third = speaker.connect("resume", source="127.0.0.3")
    assert speaker.join(third)["ranges"] == [[1, 1]]
    third.send("gap", epoch=EPOCH, first=2, last=3, from_us=slot_us + 5000000, to_us=slot_us + 10000000, samples=2,
               reason="server_lost")
    third.send("gap", epoch=EPOCH, first=4, last=4, from_us=slot_us + 15000000, to_us=slot_us + 15000000, samples=1,
               reason="overflow")
    send(third, target, 5, slot_us + 20000000, 205)
    wait_ranges(third, [[1, 5]])
    keep = [source["id"] for source in sources_of(server, "a")]
    assert len(keep) == 2
    server.call("POST", f"/api/v1/agents/{server.agents()['a']['id']}/approve", {"keep": keep})
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(server, "a") == [])
    assert rtts(server) == [101, 202, 203, 205]
    assert "server_lost" not in str(server.series("a", "192.0.2.1")["gaps"])
    again = speaker.connect("resume", source="127.0.0.3")
    assert speaker.join(again)["ranges"] == [[1, 5]]


def test_what_comes_while_it_is_being_approved_is_not_left_behind(server):  # noqa: F811
    """Somebody else writes in the database all the time, so that much can happen between two of the server's statements."""
    speaker, connection = join(server, "a")
    server.set_targets(["192.0.2.1"])
    target, slot_us, sent = server.targets()["192.0.2.1"], int(time.time()) * 1000000 - 600000000, 0
    for _ in range(5):
        server.act("a", "hold")
        ended = threading.Event()
        others = threading.Thread(target=write_in_between, args=(server.state / "meshping.db", ended))
        others.start()
        approving = threading.Thread(target=lambda: (time.sleep(0.2), server.act("a", "approve"), time.sleep(0.2),
                                                     ended.set()))
        approving.start()
        while not ended.is_set():
            sent += 1
            send(connection, target, sent, slot_us + sent * 1000, 100)
            time.sleep(0.001)
        approving.join()
        others.join()
        wait_ranges(connection, [[1, sent]])
        lab.wait_for("the quarantine is empty", 10, lambda: sources_of(server, "a") == [])
        assert stored_samples(server) == sent


def write_in_between(path, ended):
    with contextlib.closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as database:
        while not ended.is_set():
            database.execute("BEGIN IMMEDIATE")
            time.sleep(0.02)
            database.execute("ROLLBACK")
            time.sleep(0.001)


# ---- a full one ----

LIMIT = 2 << 20
BLOCK_MAX = 1 << 20  # so much is kept free for the block that may be under way


@pytest.fixture
def small(tmp_path):
    """A server whose quarantines hold 2 MiB."""
    one = lab.Server(tmp_path / "small", port=lab.free_port())
    (tmp_path / "conf").write_text(f"quarantine_max_size = {LIMIT}\n")
    one.start("--config", tmp_path / "conf").sign_in()
    try:
        yield one
    finally:
        assert one.end() == 0, one.daemon.text()


def large_block(target, slot_us):
    """90,000 samples with nothing to compress in their times of flight."""
    rtts = random.Random(slot_us).choices(range(1 << 30), k=90000)
    return meshping.encode_block({target: [meshping.Sample(slot_us + i, "ok", rtt) for i, rtt in enumerate(rtts)]})


def test_a_full_quarantine_gives_no_credit_loses_nothing_and_an_approval_goes_on(small):
    """An agent that keeps to the protocol: it sends while it has credit, and keeps what is not acknowledged."""
    speaker, connection = join(small, "a")
    small.set_targets(["192.0.2.1"])
    target, begin_us = small.targets()["192.0.2.1"], int(time.time() - 600) * 1000000
    moved = speaker.connect("resume", source="127.0.0.2")
    credit = speaker.join(moved)["credit"]
    blocks = [large_block(target, begin_us + n * 100000) for n in range(8)]
    assert sum(map(len, blocks)) > LIMIT > len(blocks[0])
    received, sent = 0, 0
    while credit and sent < len(blocks):
        moved.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(blocks[sent]), 0xC0FFEE01, sent + 1) + blocks[sent])
        sent += 1
        while received < sent and credit:
            event, data = moved.next()
            assert event != "closed", (data, moved.reason)
            if event in ("data_received", "registration_status"):
                credit, received = data["credit"], data["ranges"][0][1] if data["ranges"] else 0
    assert credit == 0 and 0 < received < len(blocks)
    used = sum(s["bytes"] for s in sources_of(small, "a"))
    assert LIMIT - BLOCK_MAX <= used <= LIMIT and used == sum(map(len, blocks[:received]))
    assert "its quarantine is full (2 MiB)" in small.daemon.text()
    moved.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(blocks[-1]), 0xC0FFEE01, 8) + blocks[-1])  # pressing on helps none
    assert rtts(small) == [] and small.agents()["a"]["quarantine_bytes"] <= LIMIT
    source, = sources_of(small, "a")
    assert source["address"] == "127.0.0.2" and source["samples"] == 90000 * source["blocks"]
    small.call("POST", f"/api/v1/agents/{small.agents()['a']['id']}/approve", {"keep": [source["id"]]})
    connection = speaker.connect("resume", source="127.0.0.2")
    status = speaker.join(connection)
    assert status["status"] == "approved" and status["credit"] > 0
    have = {n for first, last in status["ranges"] for n in range(first, last + 1)}
    for n in sorted(set(range(1, 9)) - have):
        connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(blocks[n - 1]), 0xC0FFEE01, n) + blocks[n - 1])
    wait_ranges(connection, [[1, 8]])
    lab.wait_for("all of it counts, once", 30, lambda: stored_samples(small) == 8 * 90000, every=0.5)
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(small, "a") == [])


def test_gaps_count_too_and_do_not_fill_the_log(small):
    _, connection = join(small, "a")
    small.act("a", "hold")
    connection.expect("registration_status")
    mark = len(small.daemon.text())
    for n in range(1, 1001):
        connection.send("gap", epoch=EPOCH, first=n, last=n, from_us=1, to_us=2, samples=1, reason="overflow")
    wait_ranges(connection, [[1, 1000]])
    assert small.agents()["a"]["quarantine_bytes"] == 1000 * 128 == sum(s["bytes"] for s in sources_of(small, "a"))
    assert 1 <= small.daemon.text()[mark:].count("before they could be sent") < 20
    small.act("a", "approve")
    lab.wait_for("the quarantine is empty", 10, lambda: sources_of(small, "a") == [])
    lab.wait_for("and counts for nothing", 5, lambda: small.agents()["a"]["quarantine_bytes"] == 0)


def stored_samples(server):  # noqa: F811
    with sqlite3.connect(server.state / "meshping.db") as database:
        return database.execute("SELECT (SELECT coalesce(sum(sample_count), 0) FROM blocks) +"
                                " (SELECT coalesce(sum(sample_count), 0) FROM sealed)").fetchone()[0]
