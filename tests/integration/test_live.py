# SPDX-License-Identifier: Apache-2.0
"""What the live view tells when, and that a large mesh does not hold up others. One real meshpingd, no root."""

import asyncio
import json
import os
import sqlite3
import time

import pytest
import websockets

import http_lab
from openapi_lab import DOCUMENT, check_schema


@pytest.fixture
def server(tmp_path):
    """With three approved agents that are away, and two targets."""
    s = http_lab.Server(tmp_path)
    s.start().set_up()
    s.end()
    with sqlite3.connect(s.state / "meshping.db") as db:
        for i in range(3):
            db.execute(
                "INSERT INTO agents(id, public_key, host_name, version, state, first_seen_ms, last_seen_ms,"
                " state_changed_ms, reported_address, observed_address, approved_addresses, reason, revision)"
                " VALUES(?, ?, ?, '0.1.0', 1, ?, 0, 0, '', '198.18.0.1', '198.18.0.1', '', 1)",
                (i + 1, os.urandom(32), f"agent-{i}", i))
    s.start()
    assert s.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1", "192.0.2.2"]}).status == 200
    yield s
    s.end()


def view(server):
    return websockets.connect(f"wss://{server.host}/live", origin=f"https://{server.host}",
                              subprotocols=["meshping.live.v1"], extra_headers={"Cookie": server.session.cookie},
                              ssl=http_lab.tls_context(), max_size=None)


async def take(socket):
    message = json.loads(await asyncio.wait_for(socket.recv(), 5))
    schema = {"snapshot": "LiveSnapshot", "delta": "LiveDelta"}[message["event"]]
    check_schema(message, DOCUMENT["components"]["schemas"][schema])
    return message["event"], message["data"]


def test_what_a_snapshot_told_is_not_told_again(server):
    async def watch():
        for _ in range(2):  # nobody watched before, and again
            async with view(server) as socket:
                event, data = await take(socket)
                assert event == "snapshot"
                assert data["cells"] == {f"{i:016x}": [[7, None, 0, 0]] * 2 for i in (1, 2, 3)}
                for _ in range(2):
                    event, more = await take(socket)
                    assert (event, more["cells"], more["version"]) == ("delta", {}, data["version"])
        matrix = server.call("GET", "/api/v1/matrix").json()
        assert matrix["cells"] == data["cells"] and matrix["targets"] == data["targets"]

    asyncio.run(watch())


def test_each_change_is_one_snapshot_to_all_who_watch(server):
    async def watch():
        async with view(server) as first, view(server) as second:
            for socket in (first, second):
                assert (await take(socket))[0] == "snapshot"
            assert server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1 <b>\"/"]}).status == 200
            for socket in (first, second):
                seen = []
                end = time.monotonic() + 3.5
                while time.monotonic() < end:
                    event, data = await take(socket)
                    seen.append(event)
                    if event == "snapshot":
                        assert [target["name"] for target in data["targets"]] == ["<b>\"/"]
                        assert all(len(row) == 1 for row in data["cells"].values())
                    else:
                        assert data["cells"] == {}
                assert seen.count("snapshot") == 1, seen

    asyncio.run(watch())
