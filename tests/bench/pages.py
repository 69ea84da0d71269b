#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long what people do on the page takes, in a server of many agents and targets; each of the page's requests, and
the live view's first snapshot, with how long others waited meanwhile.

usage: MESHPING_BIN=DIR pages.py [--agents 1000] [--targets 1000] [--pending 200]

The agents are rows of the database and do not connect: no cell has a sample. One request at a time; a second client
asks /healthz all the while, and the longest that it waited is beside each.
"""
import argparse
import asyncio
import json
import os
import pathlib
import sqlite3
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "integration"))
import http_lab  # noqa: E402


def seed(server, agents, pending):
    """Needs a server that has ended; its first agent is the pattern of all columns that say nothing here."""
    now = int(time.time() * 1000)
    with sqlite3.connect(server.state / "meshping.db") as db:
        for i in range(agents + pending):
            state = 1 if i < agents else 0  # approved, pending
            db.execute(
                "INSERT INTO agents(id, public_key, host_name, version, state, first_seen_ms, last_seen_ms,"
                " state_changed_ms, reported_address, observed_address, approved_addresses, labels, reason, revision)"
                " VALUES(?, ?, ?, '0.1.0', ?, ?, ?, ?, '198.18.0.1', '198.18.0.1', '198.18.0.0/15', ?, '', 1)",
                (i + 1, os.urandom(32), f"agent-{i}", state, now + i, now, now, f"group=g{i % 10},site=s{i % 50}"))


class Neighbour(threading.Thread):
    """Somebody else, on a connection of his own."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.longest, self.going = server, 0.0, True

    def run(self):
        request = f"GET /healthz HTTP/1.1\r\nHost: {self.server.host}\r\n\r\n".encode()
        with self.server.tls() as tls:
            while self.going:
                begun = time.monotonic()
                tls.sendall(request)
                while b"ok" not in tls.recv(65536):
                    pass
                self.longest = max(self.longest, time.monotonic() - begun)
                time.sleep(0.002)

    def take(self):
        longest, self.longest = self.longest, 0.0
        return longest


async def first_snapshot(server):
    import websockets
    begun = time.monotonic()
    async with websockets.connect(f"wss://{server.host}/live", origin=f"https://{server.host}",
                                  subprotocols=["meshping.live.v1"], extra_headers={"Cookie": server.session.cookie},
                                  ssl=http_lab.tls_context(), max_size=None, compression=None) as socket:
        message = await socket.recv()
        return time.monotonic() - begun, len(message)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--targets", type=int, default=1000)
    parser.add_argument("--pending", type=int, default=200)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = http_lab.Server(folder, pending_max=100000, log_level="warning")
        server.start().set_up()
        server.end()
        seed(server, args.agents, args.pending)
        server.start()
        neighbour = Neighbour(server)
        neighbour.start()

        def act(what, method, path, body=None):
            neighbour.take()
            begun = time.monotonic()
            answer = server.call(method, path, body, check=False)
            took = time.monotonic() - begun
            assert answer.status < 400, answer
            time.sleep(0.05)
            print(f"{what:44} {took * 1e3:8.1f} ms  {len(answer.body):>10} bytes  others waited {neighbour.take() * 1e3:7.1f} ms",
                  flush=True)
            return answer

        targets = [{"address": f"192.0.{i // 200}.{i % 200 + 1}", "name": f"target {i}",
                    "labels": {"group": f"g{i % 10}"}} for i in range(args.targets)]
        act("targets: PUT, all new", "PUT", "/api/v1/targets", {"targets": targets})
        act("targets: GET", "GET", "/api/v1/targets")
        targets[0]["name"] = "another"
        act("targets: preview of a rename", "POST", "/api/v1/targets/preview", {"targets": targets})
        act("targets: PUT, one renamed", "PUT", "/api/v1/targets", {"targets": targets})
        for target in targets[:500]:
            target["paused"] = {"reason": "new line card"}
        act("targets: PUT, 500 paused", "PUT", "/api/v1/targets", {"targets": targets})
        agents = json.loads(act("agents: GET", "GET", "/api/v1/agents").body)["agents"]
        waiting = [agent for agent in agents if agent["state"] == "pending"]
        act("agents: rename one", "PATCH", f"/api/v1/agents/{agents[0]['id']}", {"name": "Frankfurt"})
        act("agents: labels of one", "PATCH", f"/api/v1/agents/{agents[0]['id']}", {"labels": {"group": "other"}})
        act("agents: approve one", "POST", f"/api/v1/agents/{waiting[0]['id']}/approve", {})
        chosen = [{key: agent[key] for key in ("id", "fingerprint", "revision")} for agent in waiting[1:101]]
        act(f"agents: approve {len(chosen)}", "POST", "/api/v1/agents/approve", {"agents": chosen})
        act("agents: hold one", "POST", f"/api/v1/agents/{agents[1]['id']}/hold", {})
        rules = {"rules": [{"name": f"g{i}", "kind": "targets", "agents": f"group=g{i}", "targets": f"group=g{i}"}
                           for i in range(10)]}
        act("rules: preview of ten", "POST", "/api/v1/rules/preview", rules)
        act("rules: PUT ten", "PUT", "/api/v1/rules", rules)
        act("rules: PUT all to all", "PUT", "/api/v1/rules",
            {"rules": [{"name": "all", "kind": "targets", "agents": "", "targets": ""}]})
        act("settings: change a threshold", "PATCH", "/api/v1/settings", {"slow_ms": 80})
        act("audit: GET", "GET", "/api/v1/audit?limit=100")
        act("passphrase: issue", "POST", "/api/v1/passphrases", {"advertise": "mon.example:8443"})
        act("pair: series", "GET", f"/api/v1/series?agent={agents[2]['id']}&target=1")
        act("matrix: GET", "GET", "/api/v1/matrix")
        neighbour.take()
        took, length = asyncio.run(first_snapshot(server))
        print(f"{'live view: first snapshot':44} {took * 1e3:8.1f} ms  {length:>10} bytes  others waited"
              f" {neighbour.take() * 1e3:7.1f} ms")
        neighbour.going = False
        neighbour.join()
        server.end()


if __name__ == "__main__":
    main()
