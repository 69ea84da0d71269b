# SPDX-License-Identifier: Apache-2.0
"""
What an attacker sends: into every parameter and every field of every route (from docs/openapi.json), and deep
JSON. Each is refused or taken as plain text, never a 500.
"""

import http.client
import re
import time
import urllib.parse

import pytest

import http_lab
from openapi_lab import DOCUMENT, OPERATIONS, parameters, resolve

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
    names = {parameter["name"]: parameter for parameter in parameters(operation)}
    for name, parameter in names.items():
        for text in HOSTILE:
            # ids that nothing has, and what is needed of the rest
            quoted = urllib.parse.quote(text, safe="")
            filled = re.sub(r"\{([a-z]+)\}", lambda m: quoted if m[1] == name else "999999999", path)  # noqa: B023
            query = f"?{name}={quoted}" if parameter["in"] == "query" else ""
            if "agent" in names and name != "agent" and query:
                query += "&agent=0000000000000001"
            body = {} if "requestBody" in operation else None
            headers = {name: quoted} if parameter["in"] == "header" else {}
            try:
                answer = server.call(method.upper(), filled + query, body, check=False, headers=headers)
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


@pytest.mark.parametrize("odd", [
    b"Content-Length: 6\r\nTransfer-Encoding: chunked", b"Transfer-Encoding: chunked\r\nContent-Length: 6",
    b"Transfer-Encoding: xchunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked",
    b"X: y\r\n Transfer-Encoding: chunked", b"Transfer-Encoding:\r\n chunked", b"Transfer-Encoding: identity, chunked",
    b"X: y\r\n\tContent-Length: 0", b"Content-Length:\r\n 6", b"Content-Length: 6\r\nContent-Length: 0",
    b"Content-Length: 0\r\nContent-Length: 6", b"Content-Length: +6", b"Content-Length: 6,6", b"Content-Length: 0x6",
    b"Content-Length : 6", b"Content-Length: 6\nX: y", b"Content-Length: 6\rX: y", b"Content-Length: 6\0", b"X\0: y",
    b"X: y\n\nDELETE /api/v1/session HTTP/1.1\nHost: h", b"Connection: Content-Length\r\nContent-Length: 6",
    b"X: y\r\nContent-Length: 6", b"A: b\r\nTransfer-Encoding: chunked"])
@pytest.mark.parametrize("body", [b"0\r\n\r\n", b"6;a=b\r\nhidden\r\n0;c=\"\r\n\r\n", b"hidden", b""])
def test_no_request_hides_in_another(server, odd, body):
    """What one reader takes for a body and another for the next request: the second one is never done."""
    session = server.session
    inner = (f"DELETE /api/v1/session HTTP/1.1\r\nHost: h\r\nCookie: {session.cookie}\r\n"
             f"X-CSRF-Token: {session.csrf}\r\n\r\n").encode()
    got = server.raw(b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n" + odd + b"\r\n\r\n"
                     + body + inner, seconds=2)
    assert got.count(b"HTTP/1.") <= 1, got
    assert not got or int(got.split()[1]) >= 400 and b"connection: close" in got.lower(), got
    assert server.call("GET", "/api/v1/agents", session=session).status == 200  # nobody has signed out


def test_what_one_reader_takes_for_json_and_another_does_not_changes_nothing(server):
    before = server.call("GET", "/api/v1/targets").json()
    for body in (b"{'targets':[]}", b'{"targets":[NaN]}', b'{"targets":["192.0.2.7 \xed\xa0\x80"]}', b'{"targets":["192.0.2.7 \t"]}'):
        answer = server.call("PUT", "/api/v1/targets", body)
        assert answer.status == 400, (body, answer)
    assert server.call("GET", "/api/v1/targets").json() == before


@pytest.mark.parametrize("query", ["state=pending&state=hold", "state=hold&state=hold", "selector=a&x=1&selector=b"])
def test_a_parameter_that_is_there_twice_is_refused(server, query):
    answer = server.call("GET", f"/api/v1/agents?{query}", check=False)
    assert answer.status == 400 and "twice" in answer.json()["detail"]


def test_no_text_of_an_operator_turns_the_words_of_the_audit_log_around(server):
    target = {"address": "192.0.2.1"}
    for turned in ({"name": "\u202ecore"}, {"name": "core\u2066"}, {"paused": {"reason": "\u202emoved"}}):
        answer = server.call("PUT", "/api/v1/targets", {"targets": [{**target, **turned}]})
        assert answer.status == 400 and "turns around" in answer.json()["detail"]
    paused = [{**target, "paused": {"reason": "\u200fmoved \u200b\u00ad"}}]
    assert server.call("PUT", "/api/v1/targets", {"targets": paused}).status == 200
    row = server.call("GET", "/api/v1/audit?action=targets&limit=1").json()["rows"][0]
    assert "(?moved ??)" in row["detail"] and row["detail"].isprintable(), row
    events = server.call("GET", "/api/v1/events?limit=1000").json()["events"]
    assert all(event["text"].isprintable() for event in events)


def test_no_hostile_text_has_reached_sql_as_sql(server):
    """Last of what uses this server: SQLite said nothing of syntax, columns or tables, nor was anything an error."""
    lines = [line for line in server.log.read_text().splitlines() if " error " in line]
    assert not lines, lines


def test_the_file_names_every_route_that_takes_a_body():
    assert len(BODIES) > 15 and len(DOCUMENT["paths"]) > 30
