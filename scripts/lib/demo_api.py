# SPDX-License-Identifier: Apache-2.0
"""What scripts/demo asks of the server's HTTP API, as an administrator would. usage: demo_api.py COMMAND STATE-FILE ..."""
import http.client
import json
import os
import ssl
import sys
import time


class Failed(Exception):
    pass


class Api:
    """The API of a server on this very host, which the demo has just started: its certificate is not checked."""

    def __init__(self, port, state=None):
        self.port = port
        self.state = state or {}
        self.tls = ssl.create_default_context()
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def call(self, method, path, body=None):
        """(status, headers, parsed body)"""
        headers = {"Accept": "application/json"}
        if self.state.get("cookie"):
            headers["Cookie"] = self.state["cookie"]
        if self.state.get("csrf") and method not in ("GET", "HEAD"):
            headers["X-CSRF-Token"] = self.state["csrf"]
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            content = json.loads(text) if text else None
        except ValueError:
            content = text
        return answer.status, answer.headers, content

    def need(self, method, path, body=None):
        status, _, content = self.call(method, path, body)
        if status // 100 != 2:
            raise Failed(f"{method} {path}: {status} {content}")
        return content


def wait_for(what, seconds, check):
    end = time.monotonic() + seconds
    while True:
        got = check()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed(f"{what} did not happen within {seconds} s")
        time.sleep(0.1)


def setup(path, port, user, password_file, targets_file):
    """Waits for the server, signs in, sets the targets (lines "ADDRESS NAME")."""
    api = Api(int(port))

    def ready():
        try:
            return api.call("GET", "/readyz")[0] == 200
        except OSError:
            return False

    wait_for("the server's /readyz", 15, ready)
    password = open(password_file).read().strip()
    status, headers, body = api.call("POST", "/api/v1/session", {"user": user, "password": password})
    if status != 200:
        raise Failed(f"signing in: {status} {body}")
    api.state = {"port": int(port), "cookie": headers["Set-Cookie"].split(";")[0], "csrf": body["csrf"]}
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(api.state, file)
    targets = []
    for line in open(targets_file):
        address, _, name = line.strip().partition(" ")
        targets.append({"address": address, "name": name})
    api.need("PUT", "/api/v1/targets", {"targets": targets})


def signed_in(path):
    state = json.load(open(path))
    return Api(state["port"], state)


def passphrase(path, advertise):
    """Prints a new passphrase that leads to ADVERTISE."""
    print(signed_in(path).need("POST", "/api/v1/passphrases", {"advertise": advertise, "label": "demo"})["passphrase"])


def approve(path, count):
    """Waits for COUNT pending agents and approves them, as seen: by fingerprint and revision."""
    api = signed_in(path)

    def pending():
        agents = [a for a in api.need("GET", "/api/v1/agents")["agents"] if a["state"] == "pending"]
        return agents if len(agents) >= int(count) else None

    for agent in wait_for(f"{count} agents asking to join", 20, pending):
        api.need(
            "POST",
            f"/api/v1/agents/{agent['id']}/approve",
            {"fingerprint": agent["fingerprint"], "revision": agent["revision"]},
        )


def watch(path, agents, started_unix, certain_file):
    """Waits until every agent sees every target of CERTAIN-FILE as ok; prints the smoke test's line."""
    api = signed_in(path)
    certain = {line.split()[0] for line in open(certain_file)}
    names = ["no_data", "ok", "slow", "lossy", "fail", "stale", "local_error", "agent_offline"]
    first_ok = None
    end = time.monotonic() + 40
    while True:
        matrix = api.need("GET", "/api/v1/matrix")
        targets = [t["address"] for t in matrix["targets"]]
        states = {
            (agent["host_name"], address): names[cell[0]]
            for agent in matrix["agents"]
            for address, cell in zip(targets, matrix["cells"].get(agent["id"], []))
        }
        ok = sum(state == "ok" for state in states.values())
        if ok and first_ok is None:
            first_ok = time.time() - float(started_unix)
        want = {(a["host_name"], t) for a in matrix["agents"] for t in certain}
        bad = sorted(f"{a} -> {t}: {states.get((a, t), 'missing')}" for a, t in want if states.get((a, t)) != "ok")
        # every other target has to have been tried by all as well: what is slow or lost shows
        untried = [pair for pair, state in states.items() if state == "no_data"]
        if len(matrix["agents"]) == int(agents) and not bad and not untried and certain <= set(targets):
            break
        if time.monotonic() > end:
            raise Failed(
                f"{len(matrix['agents'])} of {agents} agents; not ok: {'; '.join(bad) or 'none'}; "
                f"without data: {untried or 'none'}"
            )
        time.sleep(0.2)
    print(
        json.dumps(
            {
                "agents": len(matrix["agents"]),
                "targets": len(targets),
                "cells_ok": ok,
                "seconds_to_first_ok": round(first_ok, 2),
            },
            separators=(",", ":"),
        )
    )


def main():
    commands = {"setup": setup, "passphrase": passphrase, "approve": approve, "watch": watch}
    try:
        commands[sys.argv[1]](*sys.argv[2:])
    except (Failed, OSError, http.client.HTTPException) as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
