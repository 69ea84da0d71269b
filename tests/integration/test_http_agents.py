# SPDX-License-Identifier: Apache-2.0
"""The API's view of real agents that ping loopback: their life, the matrix, series, the original's monitoring."""

import datetime
import signal
import subprocess
import time

import pytest

import http_lab


class Agent:
    def __init__(self, server, name):
        self.directory = server.directory / name
        self.directory.mkdir()
        answer = server.call("POST", "/api/v1/passphrases", {"advertise": server.host, "label": name})
        assert answer.status == 201, answer
        secret = self.directory / "passphrase"
        secret.write_text(answer.json()["passphrase"] + "\n")
        secret.chmod(0o600)
        known = {agent["id"] for agent in agents(server)}
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            [http_lab.BIN / "meshping-agent", "run", "--passphrase-file", secret, "--state-dir",
             self.directory / "state"], stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.id = wait_for(lambda: next((a["id"] for a in agents(server) if a["id"] not in known), None), 15,
                           self.directory / "log")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(15)
        self.log.close()


def agents(server):
    return server.call("GET", "/api/v1/agents").json()["agents"]


def one(server, agent):
    return next(a for a in agents(server) if a["id"] == agent.id)


def wait_for(probe, seconds, log=None):
    deadline = time.monotonic() + seconds
    while not (value := probe()):
        assert time.monotonic() < deadline, log.read_text() if log else "not in time"
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("http"), interval_ms=500, timeout_ms=400,
                        metrics_allow="127.0.0.0/8").start().set_up()
    answer = s.call("PUT", "/api/v1/targets", {"targets": ["127.0.0.1 here", "127.0.0.9"]})
    assert answer.status == 200, answer
    yield s
    s.end()


@pytest.fixture(scope="module")
def agent(server):
    a = Agent(server, "first")
    yield a
    a.end()


def act(server, agent, action, body=None):
    return server.call("POST", f"/api/v1/agents/{agent.id}/{action}", {} if body is None else body)


def test_a_pending_agent_is_approved_as_it_was_seen(server, agent):
    wait_for(lambda: one(server, agent)["online"], 10)
    seen = one(server, agent)
    assert seen["state"] == "pending" and seen["online"] is True and seen["observed_address"] == "127.0.0.1"
    assert set(seen) == {"id", "host_name", "state", "online", "version", "fingerprint", "reported_address",
                         "quarantine_bytes",
                         "observed_address", "approved_addresses", "reason", "first_seen_ms", "last_seen_ms",
                         "state_changed_ms", "buffered_samples", "dropped_samples", "targets_revision", "revision",
                         "same_host_name", "clock_offset_us", "clock_error_us", "clock_skewed", "name", "labels",
                         "advertised_address", "load", "refused_targets"}
    for wrong in ({"fingerprint": "0000 1111"}, {"revision": seen["revision"] + 1},
                  {"fingerprint": seen["fingerprint"], "revision": seen["revision"] + 1}):
        assert act(server, agent, "approve", wrong).status == 409, wrong
    for wrong in ({"fingerprint": 5}, {"revision": "1"}, {"revision": -1}):
        assert act(server, agent, "approve", wrong).status == 400, wrong
    assert act(server, agent, "hold").status == 409  # not possible while pending
    assert one(server, agent)["state"] == "pending"

    answer = act(server, agent, "approve", {"fingerprint": seen["fingerprint"], "revision": seen["revision"]})
    assert answer.status == 200 and answer.json()["state"] == "approved", answer
    assert answer.json()["revision"] > seen["revision"]
    events = server.call("GET", "/api/v1/events").json()["events"]
    assert any(e["agent"] == agent.id and e["user"] == http_lab.USER for e in events), events


def test_an_agent_is_named_and_labelled_by_who_saw_it_last(server, agent):
    seen, path = one(server, agent), f"/api/v1/agents/{one(server, agent)['id']}"
    etag = f'"{seen["revision"]}"'
    body = {"name": "<img src=x onerror=alert(1)>", "labels": {"group": "core", "site": "fra"}}
    answer = server.call("PATCH", path, body, headers={"If-Match": etag})
    assert answer.status == 200 and answer.headers["ETag"] == f'"{seen["revision"] + 1}"', answer
    assert {key: answer.json()[key] for key in body} == body and answer.json()["host_name"] == seen["host_name"]
    assert server.call("PATCH", path, body, headers={"If-Match": etag}).status == 412
    for bad in ({}, {"name": 1}, {"name": "x" * 65}, {"name": "a\u0007"}, {"labels": {"a": "<b>"}}, {"labels": "a=b"}):
        assert server.call("PATCH", path, bad).status == 400, bad
    assert server.call("PATCH", "/api/v1/agents/0123456789abcdef", body).status == 404
    found = server.call("GET", "/api/v1/agents?selector=group%3Dcore,site+in+(ber,fra)&state=approved").json()["agents"]
    assert [a["id"] for a in found] == [seen["id"]]
    assert server.call("GET", "/api/v1/agents?selector=!group").json()["agents"] == []
    assert server.call("GET", "/api/v1/agents?state=pending").json()["agents"] == []
    only = server.call("PATCH", path, {"labels": {}})
    assert only.json()["labels"] == {} and only.json()["name"] == body["name"]
    row = server.call("GET", "/api/v1/audit?limit=1&action=agent.change").json()["rows"][0]
    assert row["object"].startswith("PATCH") or seen["id"] in row["object"], row
    server.call("PATCH", path, {"name": ""})


def test_the_matrix_shows_its_cells(server, agent):
    targets = server.call("GET", "/api/v1/targets").json()["targets"]

    def cells():
        matrix = server.call("GET", "/api/v1/matrix").json()
        row = matrix["cells"].get(agent.id, [])
        return row if len(row) == len(targets) and all(cell[0] == 1 for cell in row) else None

    for state, rtt_us, lost, seen_ms in wait_for(cells, 20):
        assert state == 1 and 0 < rtt_us < 100_000 and lost == 0 and abs(seen_ms / 1000 - time.time()) < 10


def test_series_has_its_samples_ascending(server, agent):
    target = server.call("GET", "/api/v1/targets").json()["targets"][0]
    url = f"/api/v1/series?agent={agent.id}&target={target['id']}"
    wait_for(lambda: len(server.call("GET", url).json()["time_ms"]) >= 5, 20)
    found = server.call("GET", url).json()
    count = len(found["time_ms"])
    assert {len(found[key]) for key in ("time_ms", "rtt_us", "outcome", "flags")} == {count}
    assert found["time_ms"] == sorted(set(found["time_ms"]))
    assert found["agent"] == agent.id and found["target"] == target["id"] and found["interval_ms"] == 500
    assert all((rtt is None) == (outcome != "ok") for rtt, outcome in zip(found["rtt_us"], found["outcome"]))
    assert "ok" in found["outcome"] and "timeout" not in found["outcome"]
    assert found["to_ms"] - found["from_ms"] == 3600_000
    assert found["gaps"] == []  # the hour before its first sample is no gap
    # a window is kept to
    first, last = found["time_ms"][1], found["time_ms"][3]
    part = server.call("GET", f"{url}&from_ms={first}&to_ms={last}").json()
    assert part["time_ms"] == found["time_ms"][1:3]
    for wrong in (f"&from_ms={last}&to_ms={first}", "&from_ms=x", "&from_ms=-5", "&from_ms=0", "&to_ms=1e9"):
        assert server.call("GET", url + wrong).status == 400, wrong


def test_original_monitoring_gives_the_last_hour(server, agent):
    for name in ("127.0.0.1", str(server.call("GET", "/api/v1/targets").json()["targets"][0]["id"])):
        answer = server.call("GET", f"/monitoring/{agent.id}/{name}")
        assert answer.status == 200 and len(answer.json()) >= 3
        for sample in answer.json():
            assert set(sample) == {"timestamp", "result", "latency"} and sample["result"] == "ok"
            assert 0 < sample["latency"] < 100
            at = datetime.datetime.fromisoformat(sample["timestamp"].replace("Z", "+00:00"))
            assert abs(at.timestamp() - time.time()) < 3600
    answer = server.call("GET", f"/monitoring/{agent.id}/192.0.2.250")
    assert answer.status == 404 and answer.json() == {"error": "Target not found"}


def test_metrics_count_the_samples(server, agent):
    def value(name):
        text = server.call("GET", "/metrics").body.decode()
        return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " "))

    assert value("meshping_agents_online") == 1
    assert value('meshping_agents{status="approved"}') == 1
    before = value('meshping_samples_total{result="ok",outcome="ok"}')
    wait_for(lambda: value('meshping_samples_total{result="ok",outcome="ok"}') > before, 15)
    assert value("meshping_store_samples_written_total") > 0


def test_hold_reject_and_reinstate(server, agent):
    assert act(server, agent, "hold").json()["state"] == "hold"
    assert act(server, agent, "hold").status == 409
    assert act(server, agent, "approve").json()["state"] == "approved"
    assert act(server, agent, "reject").json()["state"] == "blacklisted"
    assert act(server, agent, "approve").status == 409
    assert act(server, agent, "reinstate").json()["state"] == "pending"


def test_original_approve_and_reject(server, agent):
    answer = server.call("POST", f"/admin/approve/{agent.id}")
    assert answer.status == 200 and answer.json() == {"status": "success"}
    assert one(server, agent)["state"] == "approved"
    answer = server.call("POST", f"/admin/reject/{agent.id}")
    assert answer.status == 200 and answer.json() == {"status": "success"}
    assert one(server, agent)["state"] == "blacklisted"


def test_a_second_agent_of_the_same_name_is_flagged(server, agent):
    second = Agent(server, "second")
    try:
        assert all(a["same_host_name"] for a in agents(server)) and len(agents(server)) == 2
        assert one(server, second)["fingerprint"] != one(server, agent)["fingerprint"]
    finally:
        second.end()
