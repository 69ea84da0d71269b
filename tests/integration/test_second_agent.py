# SPDX-License-Identifier: Apache-2.0
"""A second agent, written from docs/PROTOCOL.md and docs/BLOCK.md alone (wire.py), against the real server."""

import hashlib
import json
import socket
import struct
import time

import pytest

import lab
from wire import Speaker, block_of


@pytest.fixture(scope="module")
def server():
    with socket.socket() as free, lab.directory() as directory:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        one = lab.Server(directory, port=port).start().sign_in()
        yield one
        one.end()


def test_it_joins_takes_targets_delivers_and_resumes(server):
    agent = Speaker(server.passphrase(), "second")
    connection = agent.connect("enrol")
    status = connection.expect("registration_status")
    assert status["status"] == "pending" and status["credit"] == 0 and "agent_id" not in status
    fingerprint = hashlib.sha256(agent.public).hexdigest().upper()[:32]
    shown = server.agents()["second"]["fingerprint"]
    assert shown.replace(" ", "") == fingerprint

    server.set_targets([{"address": "192.0.2.1"}, {"address": "host.example", "name": "a host"}])
    server.act("second", "approve")
    status = agent.join(connection)
    assert status["status"] == "approved" and status["ranges"] == [] and status["credit"] > 0
    assert status["epoch"] == "00000000c0ffee01" and status["agent_id"]
    update = connection.expect("server_message")
    assert (update["type"], update["part"], update["parts"]) == ("update_targets", 0, 1)
    targets = {target["address"]: target["id"] for target in update["targets"]}
    assert targets == server.targets()
    connection.send("targets_applied", revision=update["revision"], count=2)

    connection.send("status", time_us=int(time.time() * 1e6), ping=77)
    pong = connection.expect("status")
    while not pong.get("pong"):
        pong = connection.expect("status")
    assert pong["pong"] == 77 and abs(pong["echo_us"] / 1e6 - time.time()) < 5

    now_us = int(time.time() * 1e6)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_us // 1000000)) + f".{now_us % 1000000:06d}Z"
    epoch = "00000000c0ffee01"
    connection.send("monitoring_data", epoch=epoch, sequence=1, samples=[
        {"target": targets["192.0.2.1"], "timestamp": stamp, "result": "ok", "latency": 12.345},
        {"target": targets["host.example"], "timestamp": stamp, "result": "fail", "latency": 0, "reason": "unreachable"}])
    block = block_of(targets["192.0.2.1"], now_us - 5000000, 777)
    connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), 0xC0FFEE01, 2) + block)
    connection.send("gap", epoch=epoch, first=3, last=4, from_us=now_us - 9, to_us=now_us, samples=2, reason="expired")
    received = connection.expect("data_received")
    while received["ranges"] != [[1, 4]]:
        received = connection.expect("data_received")
    assert received["epoch"] == epoch

    found = json.dumps(server.series("second", "192.0.2.1"))
    assert "12345" in found and "777" in found
    assert server.cells()[("second", "192.0.2.1")] == "ok"
    assert server.cells()[("second", "host.example")] == "fail"

    again = agent.connect("resume")
    status = agent.join(again)
    assert status["status"] == "approved" and status["ranges"] == [[1, 4]]
    while True:
        event, data = connection.next()
        if event == "closed":
            break
    assert data == 1000  # the younger connection took its place


@pytest.mark.parametrize("field", [3, 4, 2], ids=["ekm", "nonce", "server"])
def test_a_handshake_made_for_another_connection_is_refused(server, field):
    agent = Speaker(server.passphrase(), "relayed")

    def forge(fields):
        fields[field] = bytes(len(fields[field]))
        return fields

    for mode in ("enrol", "resume"):
        assert agent.connect(mode, forge).next() == ("closed", 1008)
    assert "relayed" not in server.agents()


def test_an_unknown_key_is_told_so(server):
    agent = Speaker(server.passphrase(), "stranger")
    connection = agent.connect("resume")
    assert connection.expect("refused")["code"] == "unknown_key"
    agent.k = bytes(16)
    assert agent.connect("enrol").expect("refused")["code"] == "passphrase"
