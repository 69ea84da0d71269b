# SPDX-License-Identifier: Apache-2.0
import sqlite3

import meshping
import pytest


def test_a_new_store_is_empty(tmp_path):
    path = tmp_path / "meshping.db"
    with meshping.Store(path, read_only=False) as store:
        assert store.agents() == []
        assert store.targets() == []
        assert store.samples(1, 1) == []
    assert path.exists()
    with meshping.Store(path) as store:
        assert store.samples(1, 1, 0, 10**15) == []


def test_reading_what_is_not_there_or_not_ours_is_refused(tmp_path):
    with pytest.raises(meshping.Error) as caught:
        meshping.Store(tmp_path / "missing.db")
    assert "missing.db" in str(caught.value)
    other = tmp_path / "other.db"
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE recipes (name TEXT)")
    connection.commit()
    connection.close()
    with pytest.raises(meshping.Error):
        meshping.Store(other)
    text = tmp_path / "text.db"
    text.write_text("this is no database " * 100)
    with pytest.raises(meshping.Error) as caught:
        meshping.Store(text)
    assert caught.value.name == "CORRUPT"


def test_a_closed_store_says_so(tmp_path):
    store = meshping.Store(tmp_path / "meshping.db", read_only=False)
    store.close()
    with pytest.raises(ValueError, match="closed"):
        store.agents()


HOUR_US = 3_600_000_000
START_US = 472_222 * HOUR_US


@pytest.fixture
def filled(tmp_path):
    """A store whose journal has three hours of two pairs: 1 ms to 1.539 ms, every hundredth lost, one not sent."""
    path = tmp_path / "meshping.db"
    meshping.Store(path, read_only=False).close()
    builder = meshping.lowlevel.BlockBuilder()
    for i in range(540):
        reason = 1 if i % 100 == 99 else 16 if i == 7 else 0
        builder.add(1, START_US + i * 20_000_000, 0 if reason else 1000 + i, reason, 0)
    builder.add(2, START_US + 5, 90000, 0, 0)
    block = builder.finish()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO agents(id, public_key, state, host_name, version, reported_address, observed_address,"
                       " approved_addresses, reason, first_seen_ms, last_seen_ms, state_changed_ms, revision)"
                       " VALUES(9, zeroblob(32), 1, 'fra-1', '', '', '', '', '', 0, 0, 0, 1)")
    last_us = START_US + 539 * 20_000_000
    connection.execute("INSERT INTO blocks(agent_id, epoch, sequence, first_us, last_us, received_us, keep_us,"
                       " sample_count, bytes) VALUES(9, 1, 1, ?, ?, ?, ?, 541, ?)",
                       (START_US, last_us, last_us, last_us, block))
    connection.commit()
    connection.close()
    with meshping.Store(path) as store:
        yield store


def test_history_of_a_pair_as_points(filled):
    end_us = START_US + 3 * HOUR_US
    for most in (3, 50, 5000):
        points = filled.points(9, 1, START_US, end_us, most)
        assert 0 < len(points) <= most
        assert sum(p["counts"].get("ok", 0) for p in points) == 540 - 5 - 1
        assert sum(p["counts"].get("timeout", 0) for p in points) == 5
        assert sum(p["counts"].get("send_error", 0) for p in points) == 1
        assert min(p["min_us"] for p in points if "ok" in p["counts"]) == 1000
        assert max(p["max_us"] for p in points) == 1539
    assert [p["to_us"] - p["from_us"] for p in filled.points(9, 1, START_US, end_us, 3)] == [HOUR_US] * 3
    assert filled.points(9, 3, START_US, end_us) == [] == filled.points(9, 1, START_US - HOUR_US, START_US, 60)
    with pytest.raises(meshping.Error) as caught:
        filled.points(9, 1, end_us, START_US)
    assert caught.value.name == "INVALID"


def test_a_group_the_worst_and_the_last(filled):
    end_us = START_US + 3 * HOUR_US
    pair = filled.group([(9, 1)], START_US, end_us)
    part = filled.group([(9, 1)], START_US + 20_000_000, START_US + HOUR_US + 1)
    assert (part["from_us"], part["to_us"]) == (START_US + 20_000_000, START_US + HOUR_US + 1)
    assert part["counts"] == {"ok": 178, "timeout": 1, "send_error": 1}
    assert pair["counts"] == {"ok": 534, "timeout": 5, "send_error": 1}
    assert (pair["min_us"], pair["max_us"]) == (1000, 1539)
    assert abs(pair["percentiles_us"][50.0] - 1268) <= 1268 / 32
    everything = filled.group([(0, 0), (9, 2)], START_US, end_us)
    assert everything["counts"]["ok"] == 535 and everything["max_us"] == 90000
    assert [(agent, target) for agent, target, _ in filled.worst(START_US, end_us)] == [(9, 1)]
    assert [(target, point["p95_us"]) for _, target, point in filled.worst(START_US, end_us, 950)][0] == (2, 90000)
    last = filled.last()
    assert [(agent, target) for agent, target, _ in last] == [(9, 1), (9, 2)]
    assert last[1][2].rtt_us == 90000
    for bad in ([], [(1,)], 7, [("a", 1)]):
        with pytest.raises((meshping.Error, TypeError, ValueError)):
            filled.group(bad, START_US, end_us)


def test_damage_is_told_and_the_rest_is_answered(filled, tmp_path):
    end_us = START_US + 4 * HOUR_US
    later = [meshping.Sample(START_US + 3 * HOUR_US + i * 1_000_000, "ok", 700) for i in range(9)]
    connection = sqlite3.connect(tmp_path / "meshping.db")
    connection.execute("INSERT INTO blocks(agent_id, epoch, sequence, first_us, last_us, received_us, keep_us,"
                       " sample_count, bytes) VALUES(9, 1, 2, ?1, ?2, ?2, ?2, 9, ?3)",
                       (later[0].slot_unix_us, later[-1].slot_unix_us, meshping.encode_block({1: later})))
    connection.commit()
    assert len(filled.samples(9, 1)) == 549 and filled.damaged == []
    connection.execute("UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE sequence = 1")
    period = START_US // HOUR_US // 12
    connection.execute("INSERT INTO rollups(agent_id, target_group, period, keep_period, bytes)"
                       " VALUES(9, 0, ?1, ?1, zeroblob(100))", (period,))
    connection.commit()
    block_id = connection.execute("SELECT id FROM blocks WHERE sequence = 1").fetchone()[0]
    connection.close()
    block = meshping.Damage("block", block_id, START_US, START_US + 539 * 20_000_000)
    with pytest.warns(meshping.DamageWarning, match="1 stored block"):
        assert filled.samples(9, 1) == later
    assert filled.damaged == [block]
    for ask in (
        lambda: sum(p["counts"]["ok"] for p in filled.points(9, 1, START_US, end_us)),
        lambda: filled.group([(9, 0)], START_US, end_us)["counts"]["ok"],
        lambda: filled.worst(START_US, end_us, 500)[0][2]["counts"]["ok"],
    ):
        with pytest.warns(meshping.DamageWarning):
            assert ask() == 9
        assert block in filled.damaged
        assert ("rollups", period * 12 * HOUR_US) in [(d.kind, d.first_us) for d in filled.damaged]
    with pytest.warns(meshping.DamageWarning):
        assert [(target, sample.slot_unix_us) for _, target, sample in filled.last()] == [(1, later[-1].slot_unix_us)]
    assert filled.samples(9, 1, later[0].slot_unix_us) == later and filled.damaged == []
