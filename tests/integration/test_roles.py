# SPDX-License-Identifier: Apache-2.0
"""
docs/openapi.json and the server's table of routes say the same, every answer is as the file has it, and every route and
WebSocket message is allowed or refused to every role as the file says. All is generated from the file: a new route is
tested by being there, and cannot be there without being in the file.
"""

import asyncio
import json
import re
import subprocess
from urllib.parse import unquote

import jsonschema
import pytest
import websockets

import http_lab
from openapi_lab import DOCUMENT, OPERATIONS, check_schema, parameters, resolve

RANK = {"none": 0, "viewer": 1, "operator": 2, "admin": 3}
PASSWORD = "thunder walrus ladder"
IDS = [f"{method} {path}" for method, path, _ in OPERATIONS]


def fill(path):
    """An id of the right form that nothing has."""
    return re.sub(r"\{[a-z]+\}", "999999999", path)


class Person:
    def __init__(self, server, role):
        self.server, self.role, self.session, self.token = server, role, None, None
        if role == "none":
            return
        link = server.call("POST", "/api/v1/users", {"name": f"the {role}", "role": role}).json()
        used = server.call("POST", "/api/v1/links/use", {"token": link["token"], "password": PASSWORD}, session=None)
        assert used.status == 204
        self.sign_in()
        made = server.call("POST", "/api/v1/tokens", {"name": "t", "role": role}, session=self.session).json()
        self.token = made["token"]

    def sign_in(self):
        if self.role != "none":
            self.session = self.server.sign_in(f"the {self.role}", PASSWORD)

    def call(self, method, path, body=None, by_token=False, **more):
        headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {self.token}"} if by_token else {})}
        return self.server.call(method.upper(), path, body, session=None if by_token else self.session,
                                headers=headers, **more)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("roles"), advertise="127.0.0.1:8443")
    s.start().set_up()
    yield s
    s.end()


@pytest.fixture(scope="module")
def people(server):
    return {role: Person(server, role) for role in RANK}


# ---- the file and the server ----

def test_the_served_file_is_the_one_in_the_tree(server):
    answer = server.call("GET", "/api/v1/openapi.json")
    assert answer.status == 200 and answer.json() == DOCUMENT
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_route_of_the_server_is_in_the_file_and_the_other_way_round():
    table = {}
    for line in subprocess.run([http_lab.BIN / "meshpingd", "routes"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines():
        method, pattern, access, action, _ = line.split(" ", 4)
        role, *flags = access.split(",")
        assert (method, pattern) not in table
        table[method, pattern] = (role, "session" in flags, "fresh" in flags, None if action == "-" else action)
    file = {(method.upper(), re.sub(r"\{[a-z]+\}", "*", path)):
            (operation["x-role"], operation.get("x-session-only", False), operation.get("x-fresh", False),
             operation.get("x-audit")) for method, path, operation in OPERATIONS}
    assert table == file
    assert len({operation["operationId"] for _, _, operation in OPERATIONS}) == len(OPERATIONS)
    # what changes something is logged; these ask, or have their row written later
    quiet = {"/api/v1/links/open", "/api/v1/password-reset", "/api/v1/summary", "/api/v1/targets/preview",
             "/api/v1/rules/preview"}
    for (method, pattern), (_, _, _, action) in table.items():
        assert (action is None) == (method == "GET" or pattern in quiet), pattern


# ---- bodies ----

BODIES = [(method, path, resolve(resolve(operation["requestBody"])["content"]["application/json"]["schema"]))
          for method, path, operation in OPERATIONS if "requestBody" in operation]


def least(schema):
    """What the schema takes and has no more in it than it must."""
    schema = resolve(schema)
    if schema.get("type") == "object":
        return {name: least(schema["properties"][name]) for name in schema.get("required", [])}
    return schema.get("enum", [None])[0] or {"array": [], "integer": 1, "boolean": True, "string": "1" * 16}[schema["type"]]


def with_a_stranger(schema):
    """Bodies with a field that is in no schema, one for each object within objects and lists; what was put in."""
    schema = resolve(schema)
    for way in schema.get("oneOf", []):
        yield from with_a_stranger(way)
    if schema.get("type") == "array":
        yield from ([item] for item in with_a_stranger(schema["items"]))
    if schema.get("type") != "object" or "properties" not in schema:
        return  # labels have the names that people give them
    if schema["additionalProperties"] is True:
        return  # the original's
    assert schema["additionalProperties"] is False
    yield {**least(schema), "strange": 1}
    for name, inner in schema["properties"].items():
        yield from ({**least(schema), name: found} for found in with_a_stranger(inner))


def test_a_field_that_no_body_has_is_refused_and_named(server):
    tried = 0
    for method, path, schema in BODIES:
        for body in with_a_stranger(schema):
            answer = server.call(method.upper(), fill(path), body)
            tried += 1
            if path == "/api/v1/agents/approve" and "strange" not in body:
                answer = answer.json()  # each of many has its own answer
                assert answer["approved"] == 0 and '"strange"' in answer["results"][0]["detail"], answer
                continue
            assert answer.status == 400 and "strange" in answer.body.decode(), (method, path, body, answer)
            assert path.startswith("/admin") or answer.headers["Content-Type"] == "application/problem+json"
    assert tried > len(BODIES) > 20


def test_every_body_takes_the_fields_that_the_file_has(server):
    for line in subprocess.run([http_lab.BIN / "meshpingd", "routes"], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines():
        method, pattern, _, _, fields = line.split(" ", 4)
        schema = next((s for m, path, s in BODIES if (m.upper(), re.sub(r"\{[a-z]+\}", "*", path)) == (method, pattern)), {})
        if pattern == "/api/v1/settings":
            continue  # has its own table
        assert set(fields.split()) == set(schema.get("properties", {})), pattern


def test_every_test_that_the_security_table_names_is_there():
    root = http_lab.pathlib.Path(__file__).parents[2]
    files = {"P": "integration/test_people.py", "R": "integration/test_roles.py", "H": "integration/test_http_api.py",
             "A": "integration/test_http_access.py", "X": "integration/test_http_hostile.py", "M": "integration/test_mail.py",
             "F": "integration/test_http_flood.py", "G": "integration/test_audit.py", "L": "integration/test_breached.py",
             "C": "integration/test_accounts.py", "U": "unit/test_http_parts.c", "S": "unit/test_store_people.c"}
    named = 0
    for line in (root / "docs/SECURITY.md").read_text().replace("\n  ", " ").splitlines():
        letter = None
        for found, name in re.findall(rf"(?:\b([{''.join(files)}])\b,? )?`(test_[a-z0-9_]+)`", line):
            letter = found or letter
            if letter:
                assert f"{name}(" in (root / "tests" / files[letter]).read_text(), (letter, name)
                named += 1
    assert named > 60
    pages = "".join((root / f"tests/browser/{name}.test.mjs").read_text() for name in ("people", "accounts"))
    titles = re.findall(r"\bB, \*([^*]+)\*", (root / "docs/SECURITY.md").read_text())
    assert len(titles) >= 3 and all(f"test('{title}'" in pages for title in titles), titles


def test_every_schema_of_the_file_is_one():
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name


# ---- every route x every role ----

@pytest.mark.parametrize("role", RANK)
@pytest.mark.parametrize("method,path,operation", OPERATIONS, ids=IDS)
def test_a_role_gets_what_the_file_says(people, method, path, operation, role):
    person, needed = people[role], operation["x-role"]
    if path == "/metrics":
        pytest.skip("by its own token and addresses: test_http_access.py")
    body = {} if "requestBody" in operation or (method == "post" and not path.startswith("/admin")) else None
    for by_token in (False, True) if role != "none" else (False,):
        answer = person.call(method, fill(path), body, by_token=by_token)
        assert str(answer.status) in operation["responses"], answer  # its body: http_lab asks the file
        if needed == "anyone":
            assert answer.status != 403 and (answer.status != 401 or path == "/api/v1/session"), answer
        elif role == "none":
            assert answer.status == 401, answer
        elif RANK[role] < RANK[needed]:
            assert answer.status == 403 and needed in json.dumps(answer.json()), answer
        elif by_token and operation.get("x-session-only"):
            assert answer.status == 403, answer
        else:
            assert answer.status not in (401, 403), answer
        if method == "delete" and path == "/api/v1/session" and answer.status == 204:
            person.sign_in()


@pytest.mark.parametrize("method,path,operation", [o for o in OPERATIONS if o[0] != "get"],
                         ids=[i for i in IDS if not i.startswith("get")])
def test_a_change_needs_our_own_page_and_its_token(people, method, path, operation):
    admin = people["admin"]
    body = {} if "requestBody" in operation else None
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                    {"Origin": "https://evil.example"}, {"Origin": "null"}):
        answer = admin.call(method, fill(path), body, headers=headers)
        assert answer.status == 403 and "other sites" in json.dumps(answer.json()), answer
    if operation["x-role"] != "anyone":
        for csrf in (None, "", "x" * 43, people["viewer"].session.csrf):
            answer = admin.call(method, fill(path), body, headers={"X-CSRF-Token": csrf})
            assert answer.status == 403 and "CSRF" in json.dumps(answer.json()), answer


QUESTIONS = {path: names for method, path, operation in OPERATIONS if method == "get" for names in
             [[p["name"] for p in parameters(operation) if p["in"] == "query"]] if names}


@pytest.mark.parametrize("path", QUESTIONS)
def test_a_parameter_that_is_not_in_the_file_is_refused_by_name(people, path):
    for name in ("from", "From_ms", "limit_", "%3Cb%3E"):
        answer = people["admin"].call("get", f"{path}?{name}=1")
        assert answer.status == 400 and f'no parameter "{unquote(name)}"' in answer.json()["detail"], answer
        assert ", ".join(QUESTIONS[path]) in answer.json()["detail"], answer
    for name in QUESTIONS[path]:
        assert "no parameter" not in people["admin"].call("get", f"{path}?{name}=x").json().get("detail", ""), name
    bare = people["admin"].call("get", path).status
    for nothing in ("?", "?&", "?&&"):
        assert people["admin"].call("get", path + nothing).status == bare, nothing


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_a_method_that_is_not_in_the_file_is_refused(people, path):
    if path == "/metrics":
        return
    known = {method.upper() for method in DOCUMENT["paths"][path]} | {"HEAD"}
    for method in ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        if method in known or (method == "HEAD" and "GET" not in known):
            continue
        answer = people["admin"].call(method, fill(path), {} if method in ("PUT", "POST", "PATCH") else None)
        assert answer.status in (400, 403, 405), (method, answer)
        if answer.status == 405:
            assert set(answer.headers["Allow"].split(", ")) >= known - {"HEAD"}


# ---- the answers when all is well ----

def test_good_calls_are_answered_as_the_file_says_and_logged_once(server, people):
    admin = people["admin"]
    seen = set()

    def last_row():
        return server.call("GET", "/api/v1/audit?limit=1").json()["rows"][0]["id"]

    def good(method, path, body=None, call=admin.call, **ids):
        operation = DOCUMENT["paths"][path][method]
        before = last_row()
        answer = call(method, path.format(**ids), body)
        assert answer.status < 400, answer
        assert str(answer.status) in operation["responses"], answer
        assert last_row() - before == (1 if "x-audit" in operation else 0), (method, path)
        if "x-audit" in operation:
            row = server.call("GET", "/api/v1/audit?limit=1").json()["rows"][0]
            assert row["action"] == operation["x-audit"] and row["address"] == "127.0.0.1" and row["user"]
        seen.add((method, path))
        return answer.json() if answer.body.startswith((b"{", b"[")) else None

    def nobody(method, path, body):
        return server.call(method.upper(), path, body, session=None)

    api = "/api/v1"
    of_a_pair = {api + "/series", api + "/history"}
    for path, item in DOCUMENT["paths"].items():
        if "get" in item and "{" not in path and path not in of_a_pair | {"/metrics", "/live"}:
            good("get", path)
    good("post", api + "/session", {"user": "anna", "password": http_lab.PASSWORD}, nobody)
    link = good("post", api + "/users", {"name": "new one", "role": "viewer"})
    good("post", api + "/links/open", {"token": link["token"]}, nobody)
    good("post", api + "/links/use", {"token": link["token"], "password": PASSWORD}, nobody)
    good("patch", api + "/users/{id}", {"email": "new@example.org"}, id=link["user"]["id"])
    good("post", api + "/users/{id}/link", id=link["user"]["id"])
    good("delete", api + "/users/{id}/sessions", id=link["user"]["id"])
    token = good("post", api + "/tokens", {"name": "one more", "role": "viewer"})
    good("delete", api + "/tokens/{id}", id=token["id"])
    good("put", api + "/profile", {"email": "admin@example.org"})
    targets = good("put", api + "/targets", {"targets": ["192.0.2.1 gateway", {"address": "2001:db8::1"}]})
    good("get", api + "/targets")
    good("post", api + "/targets/preview", {"targets": ["192.0.2.1 gateway", "192.0.2.7"]})
    good("patch", api + "/settings", {"slow_ms": 80, "retention": "48h"})
    for what in ("begin", "abort", "begin", "switch"):
        good("post", api + f"/server/key/{what}", {})
    rules = {"rules": [{"name": "all", "kind": "targets", "agents": "", "targets": ""}]}
    good("put", api + "/rules", rules)
    good("post", api + "/rules/preview", rules)
    passphrase = good("post", api + "/passphrases", {"label": "rack 7"})
    good("get", api + "/passphrases")
    passphrase = good("post", api + "/passphrases/{id}/rotate", {}, id=passphrase["id"])
    good("delete", api + "/passphrases/{id}", id=passphrase["id"])
    good("put", api + "/blocked", {"addresses": "192.0.2.0/24"})
    good("post", "/admin/update_targets", {"targets": ["192.0.2.1"]})
    assert targets["targets"][0]["name"] == "gateway"
    server.sign_in("the admin", PASSWORD)
    other = next(s for s in good("get", api + "/sessions")["sessions"] if not s["current"])
    good("delete", api + "/sessions/{id}", id=other["id"])
    good("delete", api + "/sessions")
    for path, body in (("/session/confirm", {"password": PASSWORD}), ("/password", {"current": PASSWORD,
                                                                                   "password": PASSWORD + " 2"})):
        method = "post" if path == "/session/confirm" else "put"
        made = []
        good(method, api + path, body, lambda *a: made.append(admin.call(*a)) or made[0])
        admin.session = http_lab.Session(made[0])
    assert server.call("PUT", "/api/v1/password", {"current": PASSWORD + " 2", "password": PASSWORD},
                       session=admin.session).status == 200
    admin.sign_in()
    good("delete", api + "/session")
    admin.sign_in()
    agents = {p for p in DOCUMENT["paths"]
              if "/agents/" in p or p.startswith((api + "/probes", "/admin/approve", "/admin/reject"))}
    not_here = agents | of_a_pair | {"/monitoring/{agent}/{target}", api + "/password-reset", api + "/setup", "/metrics",
                                     api + "/settings/test-mail",
                                     "/live"}
    assert {p for _, p in seen} | not_here >= set(DOCUMENT["paths"])  # those have tests of their own


# ---- the WebSocket ----

def socket_of(person, by_token=False):
    headers = {}
    if by_token:
        headers["Authorization"] = f"Bearer {person.token}"
    elif person.session:
        headers["Cookie"] = person.session.cookie
    return websockets.connect(f"wss://{person.server.host}/live", origin=f"https://{person.server.host}",
                              subprotocols=["meshping.live.v1"], extra_headers=headers, ssl=http_lab.tls_context(),
                              max_size=None)


@pytest.mark.parametrize("role", RANK)
def test_every_message_of_the_live_view_is_as_the_file_says_for_every_role(people, role):
    operation = DOCUMENT["paths"]["/live"]["get"]
    person, allowed = people[role], RANK[role] >= RANK[operation["x-role"]]
    assert operation["x-messages"]["from-client"] == []
    assert set(operation["x-messages"]["from-server"]) == {"LiveSnapshot", "LiveDelta"}

    async def watch(by_token):
        if not allowed:
            with pytest.raises(websockets.InvalidStatusCode) as refused:
                await socket_of(person, by_token)
            assert refused.value.status_code == 401
            return
        async with socket_of(person, by_token) as socket:
            kinds = set()
            # nothing that a client says does anything
            for text in ('{"event":"snapshot"}', '{"event":"approve","data":{"id":"0000000000000001"}}', "x"):
                await socket.send(text)
            while kinds != {"snapshot", "delta"}:
                message = json.loads(await asyncio.wait_for(socket.recv(), 5))
                name = {"snapshot": "LiveSnapshot", "delta": "LiveDelta"}[message["event"]]
                assert name in operation["x-messages"]["from-server"]
                check_schema(message, DOCUMENT["components"]["schemas"][name])
                kinds.add(message["event"])

    for by_token in (False, True) if role != "none" else (False,):
        asyncio.run(watch(by_token))
