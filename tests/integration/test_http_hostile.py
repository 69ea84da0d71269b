# SPDX-License-Identifier: Apache-2.0
"""
What an attacker sends: into every parameter and every field of every route (from docs/openapi.json), deep JSON, and floods
of sign-ins. Each is refused or taken as plain text, never a 500, and the server stays quick for others.

A million sign-ins:   MESHPING_FLOOD=1000000 python3 -m pytest -q tests/integration/test_http_hostile.py -k flood
"""

import http.client
import json
import os
import re
import sqlite3
import threading
import time
import urllib.parse

import pytest

import http_lab
from openapi_lab import DOCUMENT, OPERATIONS, resolve

FLOOD = int(os.environ.get("MESHPING_FLOOD", "3000"))
HOSTILE = ["' OR '1'='1", "1; DROP TABLE users; --", "\" UNION SELECT password FROM users --", "%' AND 1=0", "_", "*",
           "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "<script>alert(1)</script>", "\"><img src=x onerror=1>",
           "x\r\nSet-Cookie: a=b", "x\nX-Evil: 1", "x\0y", "\u202e\u0000", "{{7*7}}", "${jndi:ldap://x}", "-1", "1e9", "NaN",
           "99999999999999999999", "true", "", " ", "ä" * 100, "A" * 5000, "%s%n%p"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("hostile"), advertise="127.0.0.1:8443")
    s.start().set_up()
    s.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1 gateway"]})
    yield s
    s.end()


def well(answer):
    """Refused or taken, not broken; and nothing of it became a header."""
    assert answer.status < 500 or answer.status == 503, answer
    assert "X-Evil" not in answer.headers and "a=b" not in (answer.headers.get("Set-Cookie") or "")
    assert b"root:" not in answer.body and b"scrypt$" not in answer.body


def state_of(server):
    users = [(user["name"], user["role"], user["disabled"]) for user in server.call("GET", "/api/v1/users").json()["users"]]
    return users, server.call("GET", "/api/v1/targets").json()["targets"]


@pytest.mark.parametrize("method,path,operation", [o for o in OPERATIONS if o[2].get("parameters")],
                         ids=[f"{o[0]} {o[1]}" for o in OPERATIONS if o[2].get("parameters")])
def test_every_parameter_takes_hostile_text(server, method, path, operation):
    before = state_of(server)
    names = {parameter["name"]: parameter for parameter in operation["parameters"]}
    for name, parameter in names.items():
        for text in HOSTILE:
            # ids that nothing has, and what is needed of the rest
            quoted = urllib.parse.quote(text, safe="")
            filled = re.sub(r"\{([a-z]+)\}", lambda m: quoted if m[1] == name else "999999999", path)  # noqa: B023
            query = f"?{name}={quoted}" if parameter["in"] == "query" else ""
            if "agent" in names and name != "agent" and query:
                query += "&agent=0000000000000001"
            body = {} if "requestBody" in operation else None
            try:
                answer = server.call(method.upper(), filled + query, body, check=False)
            except (http.client.RemoteDisconnected, ConnectionResetError):
                continue  # libwebsockets cuts off what it does not take for a path
            well(answer)
            if text == "' OR '1'='1" and path.startswith("/api/v1/audit") and name in ("user", "action", "q"):
                assert all(text in row["detail"] + row["object"] for row in answer.json()["rows"])  # told as text
    assert state_of(server) == before


BODIES = [o for o in OPERATIONS if "requestBody" in o[2] and o[1] not in ("/api/v1/setup", "/api/v1/session")]


@pytest.mark.parametrize("method,path,operation", BODIES, ids=[f"{o[0]} {o[1]}" for o in BODIES])
def test_every_field_takes_hostile_values(server, method, path, operation):
    schema = resolve(operation["requestBody"]["content"]["application/json"]["schema"])
    good = {"user": "nobody", "token": "x" * 43, "password": "wrong wrong wrong", "current": "wrong wrong wrong",
            "name": "n", "role": "viewer"}
    values = [*HOSTILE, None, True, -1, 2**63, 1.5, [], {}, [[]], {"a": {"b": []}}, ["x"] * 100]
    needed = {key: good[key] for key in schema.get("required", []) if key in good}
    for field in schema["properties"]:
        for value in values:
            if field in ("password", "current") and isinstance(value, str):
                continue  # any text is a password to try: the throttle's test
            answer = server.call(method.upper(), re.sub(r"\{[a-z]+\}", "999999999", path), {**needed, field: value},
                                 source=f"127.{value.__hash__() % 200 + 20 if isinstance(value, str) else 5}.7.9")
            well(answer)
            assert answer.status != 401 or operation["x-role"] == "anyone", answer
    assert server.call("GET", "/healthz").status == 200
    assert server.call("GET", "/api/v1/users").status == 200


@pytest.mark.parametrize("text", ["[" * 1_000_000, "{\"a\":" * 200_000, "[" * 500_000 + "]" * 500_000,
                                  "\"" + "a" * 1_000_000, "[" + "1," * 500_000 + "1]", "\"\\ud800" * 100_000])
def test_a_megabyte_of_json_depth_is_refused_at_once(server, text):
    for method, path, operation in BODIES:
        begun = time.monotonic()
        answer = server.call(method.upper(), re.sub(r"\{[a-z]+\}", "999999999", path), text.encode())
        assert answer.status in (400, 413), (path, answer)
        assert time.monotonic() - begun < 2, path
        assert operation
    assert server.call("GET", "/healthz").status == 200


@pytest.mark.parametrize("path", ["/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd",
                                  "/api/v1/../../etc/passwd", "/assets/../../state/meshping.db", "/meshping.db",
                                  "/api/v1/users/..%2f..%2fsetup", "/admin/%2e%2e/api/v1/users", "/server.key", "/.git/config",
                                  "/api/v1/users%00.json", "/\\..\\..\\etc\\passwd", "/%c0%ae%c0%ae/etc/passwd"])
def test_no_path_leads_out_of_the_page(server, path):
    for session in (None, server.session):  # who is signed in may get what he may: dots and NULs are resolved first
        got = server.raw((f"GET {path} HTTP/1.1\r\nHost: {server.host}\r\nConnection: close\r\n"
                          + (f"Cookie: {session.cookie}\r\n" if session else "") + "\r\n").encode())
        head = got.split(b"\r\n", 1)[0]
        assert re.match(rb"HTTP/1\.[01] (400|401|403|404|414)", head) or got == b"" or session, got[:200]
        assert b"root:" not in got and b"SQLite" not in got and b"PRIVATE KEY" not in got


def test_a_flood_of_sign_ins_is_refused_counted_and_slows_nobody_down(server):
    """From many addresses, over open connections, as fast as they go."""
    body = json.dumps({"user": "anna", "password": "wrong wrong wrong"}).encode()
    head = {"Content-Type": "application/json", "Host": server.host}
    statuses, lock, left = {}, threading.Lock(), [FLOOD]

    def attack(address):
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=http_lab.tls_context(),
                                                 source_address=(address, 0))
        while True:
            with lock:
                if left[0] <= 0:
                    break
                left[0] -= 1
            connection.request("POST", "/api/v1/session", body=body, headers=head)
            answer = connection.getresponse()
            answer.read()
            with lock:
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
        connection.close()

    threads = [threading.Thread(target=attack, args=(f"127.50.{i}.1",)) for i in range(8)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in threads):
        asked = time.monotonic()
        assert server.call("GET", "/api/v1/agents").status == 200
        waits.append(time.monotonic() - asked)
    took = time.monotonic() - begun
    waits.sort()
    print(f"{FLOOD} tries in {took:.1f} s, {statuses}; others waited {waits[len(waits) // 2] * 1000:.0f} ms, "
          f"at most {waits[-1] * 1000:.0f} ms")
    assert set(statuses) <= {401, 429} and sum(statuses.values()) == FLOOD
    assert statuses.get(401, 0) < 100 + took * 5  # what is really tried is what the throttles let through
    assert waits[-1] < 3
    text = server.call("GET", "/metrics", session=None).body.decode()
    failed, throttled = (int(re.search(rf"^meshping_logins_{kind}_total (\d+)$", text, re.M)[1])
                         for kind in ("failed", "throttled"))
    assert failed >= statuses.get(401, 0) and failed + throttled >= FLOOD - 100  # some found the queue full
    # and he whose name it is gets in as soon as the account's short wait is over
    deadline = time.monotonic() + 60
    while True:
        answer = server.call("POST", "/api/v1/session", {"user": http_lab.USER, "password": http_lab.PASSWORD},
                             session=None, source="127.60.0.1")
        if answer.status == 200:
            break
        assert answer.status == 429 and int(answer.headers["Retry-After"]) <= 30 and time.monotonic() < deadline
        time.sleep(int(answer.headers["Retry-After"]))
    connection = sqlite3.connect(f"file:{server.state}/meshping.db?mode=ro", uri=True)
    assert connection.execute("SELECT count(*) FROM audit WHERE action = 'session.refused'").fetchone()[0] <= took / 60 + 2
    connection.close()


def test_the_file_names_every_route_that_takes_a_body():
    assert len(BODIES) > 15 and len(DOCUMENT["paths"]) > 30
