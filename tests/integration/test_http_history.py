# SPDX-License-Identifier: Apache-2.0
"""History over HTTP, docs/API.md: an agent delivers three days late, and every sample is in every answer once."""

import socket
import sqlite3
import time

import pytest

import lab
from wire import Speaker

HOUR_MS = 3600000
REPLIES, LOST, OWN = 600, 7, 11  # a target's samples, spread over three days


def stamp(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03d}Z"


@pytest.fixture(scope="module")
def mesh():
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        server = lab.Server(directory, port=port).start().sign_in()
        agent = Speaker(server.passphrase(), "historian")
        connection = agent.connect("enrol")
        connection.expect("registration_status")
        server.set_targets([{"address": "192.0.2.1"}, {"address": "192.0.2.2"}])
        server.act("historian", "approve")
        agent_id = agent.join(connection)["agent_id"]
        update = connection.expect("server_message")
        targets = [target["id"] for target in update["targets"]]
        connection.send("targets_applied", revision=update["revision"], count=2)
        end_ms = int(time.time() * 1000) // 1000 * 1000
        begin_ms = end_ms - 72 * HOUR_MS
        count = REPLIES + LOST + OWN
        samples = []
        for i in range(count):
            at = {"target": targets[0], "timestamp": stamp(begin_ms + i * (72 * HOUR_MS // count))}
            if i % 80 == 40 and i < 80 * LOST:
                samples.append(at | {"result": "fail", "latency": 0, "reason": "timeout"})
            elif i % 50 == 3 and i < 50 * OWN:
                samples.append(at | {"result": "fail", "latency": 0, "reason": "send_error"})
            else:
                samples.append(at | {"result": "ok", "latency": 1 + i / 1000})
        samples.append({"target": targets[1], "timestamp": stamp(end_ms - 5000), "result": "ok", "latency": 250})
        for sequence, first in enumerate(range(0, len(samples), 100), 1):
            connection.send("monitoring_data", epoch="00000000c0ffee01", sequence=sequence,
                            samples=samples[first:first + 100])
        last = (len(samples) + 99) // 100
        while connection.expect("data_received")["ranges"] != [[1, last]]:
            pass
        yield server, agent_id, targets, samples, begin_ms, end_ms
        server.end()


def refused(server, status, path, body=None):
    with pytest.raises(lab.Refused) as caught:
        server.call("POST" if body is not None else "GET", path, body)
    assert caught.value.status == status, caught.value
    return str(caught.value)


def sums(points):
    return [sum(point[key] for point in points) for key in ("ok", "lost", "local_errors")]


@pytest.mark.parametrize("points", [2, 10, 72, 500, 10000])
def test_no_sample_is_lost_between_the_points(mesh, points):
    server, agent, targets, samples, begin_ms, end_ms = mesh
    found = server.call("GET", f"/api/v1/history?agent={agent}&target={targets[0]}&from_ms={begin_ms}&to_ms={end_ms}"
                               f"&points={points}")
    assert found["agent"] == agent and found["target"] == targets[0]
    assert len(found["points"]) <= points
    assert sums(found["points"]) == [REPLIES, LOST, OWN]
    for point in found["points"]:
        assert (point["to_ms"] - point["from_ms"]) in (found["step_ms"], HOUR_MS)
        assert point["from_ms"] % found["step_ms"] == 0 or point["from_ms"] % HOUR_MS == 0
        if point["ok"]:
            assert point["min_us"] <= point["p50_us"] <= point["p99_us"] <= point["max_us"]
            assert point["min_us"] <= point["mean_us"] <= point["max_us"]
        else:
            assert point["min_us"] is None and point["mean_us"] is None
    assert min(point["min_us"] for point in found["points"] if point["ok"]) == 1000
    assert max(point["max_us"] for point in found["points"] if point["ok"]) == 1000 + REPLIES + LOST + OWN - 1
    reasons = [point["outcomes"] for point in found["points"]]
    assert sum(one.get("timeout", 0) for one in reasons) == LOST
    assert sum(one.get("send_error", 0) for one in reasons) == OWN


def test_one_lost_probe_stands_alone_in_a_narrow_range(mesh):
    server, agent, targets, samples, begin_ms, _ = mesh
    at_ms = begin_ms + 40 * (72 * HOUR_MS // (REPLIES + LOST + OWN))
    found = server.call("GET", f"/api/v1/history?agent={agent}&target={targets[0]}&from_ms={at_ms}&to_ms={at_ms + 1000}")
    assert sums(found["points"]) == [0, 1, 0] and found["step_ms"] == 1000


def test_a_summary_of_a_pair_a_row_a_column_and_all(mesh):
    server, agent, targets, _, begin_ms, end_ms = mesh
    times = f"from_ms={begin_ms}&to_ms={end_ms}"
    pair = server.call("GET", f"/api/v1/summary?agent={agent}&target={targets[0]}&{times}")
    assert [pair["ok"], pair["lost"], pair["local_errors"]] == [REPLIES, LOST, OWN]
    assert (pair["from_ms"], pair["to_ms"]) == (begin_ms, end_ms)
    truth = sorted(round((1 + i / 1000) * 1000) for i in range(REPLIES + LOST + OWN)
                   if not (i % 80 == 40 and i < 80 * LOST) and not (i % 50 == 3 and i < 50 * OWN))
    assert pair["min_us"] == truth[0] and pair["max_us"] == truth[-1]
    assert abs(pair["mean_us"] - sum(truth) / len(truth)) <= 0.1
    for name, told in pair["percentiles_us"].items():
        true = truth[-(-len(truth) * int(float(name) * 10) // 1000) - 1]
        assert abs(told - true) * 32 <= true, name
    assert sum(count for _, _, count in pair["histogram"]) == REPLIES
    row = server.call("GET", f"/api/v1/summary?agent={agent}&{times}")
    column = server.call("GET", f"/api/v1/summary?target={targets[1]}&{times}")
    everything = server.call("GET", f"/api/v1/summary?{times}")
    assert row["ok"] == everything["ok"] == REPLIES + 1 and column["ok"] == 1 and column["max_us"] == 250000
    body = {"pairs": [{"agent": agent, "target": targets[0]}, {"target": targets[1]}, {"target": targets[1]}],
            "from_ms": begin_ms, "to_ms": end_ms}
    assert server.call("POST", "/api/v1/summary", body) == row
    today = server.call("GET", f"/api/v1/summary?target={targets[1]}")
    assert today["ok"] == 1 and today["to_ms"] - today["from_ms"] == 24 * HOUR_MS
    cut_ms = begin_ms + 31 * HOUR_MS + 123456  # no sample on both sides of it, or on neither
    halves = [server.call("GET", f"/api/v1/summary?agent={agent}&from_ms={low}&to_ms={high}")
              for low, high in ((begin_ms, cut_ms), (cut_ms, end_ms))]
    assert halves[0]["to_ms"] == halves[1]["from_ms"] == cut_ms
    assert all(half["ok"] for half in halves) and halves[0]["ok"] + halves[1]["ok"] == row["ok"]


def test_the_worst_pairs(mesh):
    server, agent, targets, _, begin_ms, end_ms = mesh
    times = f"from_ms={begin_ms}&to_ms={end_ms}"
    by_loss = server.call("GET", f"/api/v1/worst?{times}")
    assert by_loss["by"] == "loss"
    assert [(pair["agent"], pair["target"], pair["lost"]) for pair in by_loss["pairs"]] == [(agent, targets[0], LOST)]
    by_rtt = server.call("GET", f"/api/v1/worst?by=p95&limit=1&{times}")
    assert [(pair["target"], pair["p95_us"]) for pair in by_rtt["pairs"]] == [(targets[1], 250000)]
    assert len(server.call("GET", f"/api/v1/worst?by=max&{times}")["pairs"]) == 2
    assert server.call("GET", f"/api/v1/worst?from_ms=1000&to_ms={begin_ms - 2 * HOUR_MS}")["pairs"] == []


def test_bad_questions_are_told_why(mesh):
    server, agent, targets, _, begin_ms, end_ms = mesh
    pair = f"agent={agent}&target={targets[0]}"
    assert "are needed" in refused(server, 400, f"/api/v1/history?agent={agent}")
    refused(server, 404, f"/api/v1/history?agent=00000000000000ff&target={targets[0]}")
    refused(server, 404, f"/api/v1/history?agent={agent}&target=999")
    refused(server, 404, "/api/v1/summary?agent=x")
    for bad in ("points=1", "points=10001", "points=x", "from_ms=-1", f"from_ms={end_ms}&to_ms={end_ms}",
                "to_ms=99999999999999999", "from_ms=1e3", "to_ms=0"):
        refused(server, 400, f"/api/v1/history?{pair}&{bad}")
    for bad in ("by=mean", "limit=0", "limit=1001", "to_ms=5&from_ms=6"):
        refused(server, 400, f"/api/v1/worst?{bad}")
    for bad in ({}, {"pairs": []}, {"pairs": "all"}, {"pairs": [7]}, {"pairs": [{"agent": "x"}]},
                {"pairs": [{"target": 0}]}, {"pairs": [{"target": "1"}]}, {"pairs": [{}], "from_ms": 5, "to_ms": 5},
                {"pairs": [{}] * 10001}, {"pairs": [{}], "from_ms": "yesterday"}):
        refused(server, 400, "/api/v1/summary", bad)


def test_the_database_is_told_of(mesh):
    server = mesh[0]
    found = server.call("GET", "/api/v1/server")
    assert found["retention_s"] == 86400 and found["rollup_retention_s"] == 90 * 86400
    assert found["alarms"] == [] and found["database"]["max_bytes"] == 0
    assert found["database"]["file_bytes"] > 0
    text = server.request("GET", "/metrics")[1].decode()
    assert '\nmeshping_alarm{kind="size"} 0\n' in text and "\nmeshping_store_max_bytes 0\n" in text


def test_what_is_damaged_is_told_and_the_rest_is_answered(mesh):
    """The last one: it leaves damage behind."""
    server, agent, targets, samples, begin_ms, end_ms = mesh
    times = f"from_ms={begin_ms}&to_ms={end_ms}"
    period = begin_ms // (12 * HOUR_MS) + 1
    questions = (f"/api/v1/history?agent={agent}&target={targets[0]}&{times}", f"/api/v1/summary?{times}",
                 f"/api/v1/summary?agent={agent}&target={targets[0]}&{times}", f"/api/v1/worst?{times}")
    assert all(server.call("GET", question)["damaged"] == [] for question in questions)
    with sqlite3.connect(server.state / "meshping.db") as database:
        first_us, last_us = database.execute("SELECT first_us, last_us FROM blocks WHERE sequence = 2").fetchone()
        database.execute("UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE sequence = 2")
        database.execute("INSERT INTO rollups(agent_id, target_group, period, keep_period, bytes)"
                         " SELECT id, 0, ?1, ?1, zeroblob(500) FROM agents", (period,))
    database.close()
    lost = [{"from_ms": period * 12 * HOUR_MS, "to_ms": (period + 1) * 12 * HOUR_MS - 1},
            {"from_ms": first_us // 1000, "to_ms": last_us // 1000}]
    for question in questions:
        assert sorted(server.call("GET", question)["damaged"], key=lambda d: d["from_ms"]) == \
            sorted(lost, key=lambda d: d["from_ms"]), question
    assert 500 <= server.call("GET", questions[1])["ok"] < REPLIES
    assert "damaged" in {alarm["kind"]: alarm["text"] for alarm in server.call("GET", "/api/v1/server")["alarms"]}["damage"]
