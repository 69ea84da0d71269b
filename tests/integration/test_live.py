# SPDX-License-Identifier: Apache-2.0
"""What the live view tells when, and that a large mesh does not hold up others. One real meshpingd, no root."""

import asyncio
import itertools
import json
import os
import sqlite3
import struct
import threading
import time

import pytest
import websockets

import http_lab
import lab
from openapi_lab import DOCUMENT, check_schema
from test_identity import join
from wire import block_of


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


def test_who_begins_to_watch_is_never_taken_back():
    """Changes are looked for all through a second, and what a new viewer gets first is newer than some of them."""
    with lab.lone_server() as server:
        server.set_targets(["192.0.2.1"])
        target = server.targets()["192.0.2.1"]
        host = f"127.0.0.1:{server.port}"
        _, connection = join(server, "a")
        stop = threading.Event()

        def measure():
            for sequence in itertools.count(1):
                block = block_of(target, time.time_ns() // 1000, 5)
                connection.frame(2, struct.pack("<BBHIQQ", 1, 1, 0, len(block), 0xC0FFEE01, sequence) + block)
                if stop.wait(0.03):
                    return

        async def watch(seconds):
            newest, steps = 0, 0
            async with websockets.connect(f"wss://{host}/live", origin=f"https://{host}", max_size=None,
                                          subprotocols=["meshping.live.v1"], extra_headers={"Cookie": server.cookie},
                                          ssl=http_lab.tls_context()) as socket:
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    event, data = await take(socket)
                    for (cell,) in data["cells"].values():
                        assert cell[-1] >= newest, (event, cell, newest)
                        steps += cell[-1] > newest
                        newest = cell[-1]
            return steps

        async def watch_all():
            views = [asyncio.create_task(watch(8))]
            for _ in range(40):  # at all moments of a second
                await asyncio.sleep(0.137)
                views.append(asyncio.create_task(watch(2.2)))
            return [await one for one in views]

        agent = threading.Thread(target=measure)
        agent.start()
        try:
            steps = asyncio.run(watch_all())
        finally:
            stop.set()
            agent.join()
        assert steps[0] >= 7 and min(steps) >= 2, steps
