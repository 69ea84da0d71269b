# SPDX-License-Identifier: Apache-2.0
"""Every route of docs/openapi.json that writes is driven, by session and by token, and leaves one row of the audit log:
who, what, when, from where. Or it stands here why it leaves none."""

import itertools
import json
import time
from types import SimpleNamespace

import pytest

import http_lab
import mail_lab
from openapi_lab import OPERATIONS
from wire import Speaker

PASSWORD = "thunder walrus ladder"
API = "/api/v1"
WRITING = {f"{method.upper()} {path}": operation for method, path, operation in OPERATIONS if method != "get"}
RECIPES = {}
numbers = itertools.count(1)


def name_of(what):
    return f"{what} {next(numbers)}"


def writes(key):
    def add(recipe):
        assert key not in RECIPES
        RECIPES[key] = recipe
        return recipe
    return add


class World:
    """One server with e-mail, and what the routes are about. `by`: whose session makes the call."""

    def __init__(self, directory):
        self.directory = directory
        self.box, url, self.stop_mail = mail_lab.start(directory)
        self.server = http_lab.Server(directory, smtp_url=url, smtp_from="meshping@example.org",
                                      public_url="https://mon.example", failed_enrolments_max=250)
        self.server.start().set_up()
        self.connections = []

    def end(self):
        self.server.end()
        self.stop_mail()

    def good(self, method, path, body=None, **more):
        answer = self.server.call(method, API + path, body, **more)
        assert answer.status < 400, answer
        return answer.json() if answer.body else None

    def invited(self, role="viewer", **more):
        return self.good("POST", "/users", {"name": name_of("user"), "role": role, **more})

    def person(self, role="admin"):
        """(name, session, id), with a password."""
        link = self.invited(role)
        self.good("POST", "/links/use", {"token": link["token"], "password": PASSWORD}, session=None)
        name = link["user"]["name"]
        return SimpleNamespace(name=name, session=self.server.sign_in(name, PASSWORD), id=link["user"]["id"])

    def agent(self, *actions):
        """Pending, and then what was done with it."""
        issued = self.good("POST", "/passphrases", {"advertise": self.server.host})
        speaker = Speaker(issued["passphrase"], name_of("host").replace(" ", "-"))
        connection = speaker.connect("enrol")
        assert connection.expect("registration_status")["status"] == "pending"
        self.connections.append(connection)
        host = json.loads(speaker.info)["host"]
        agent = next(a for a in self.good("GET", "/agents")["agents"] if a["host_name"] == host)
        for action in actions:
            agent = self.good("POST", f"/agents/{agent['id']}/{action}", {})
            if action == "approve":
                assert speaker.join(connection)["status"] == "approved"
        return agent


def call(body=None, *, object="", detail=(), **more):  # noqa: A002
    return SimpleNamespace(**{"body": body, "object": object, "detail": detail, "ids": {}, "by": None, "user": None,
                              "via": "session", "action": None, "server": None, **more})


# ---- people ----

@writes(f"POST {API}/setup")
def _(w):
    directory = w.directory / f"own{next(numbers)}"
    directory.mkdir()
    own = http_lab.Server(directory)
    own.start()
    code = (own.state / "setup-code").read_text().strip()
    return call({"code": code, "user": "first", "password": PASSWORD}, server=own, by="nobody", user="first",
                via="set-up code", object="first", detail=["first administrator"])


@writes(f"POST {API}/session")
def _(w):
    one = w.person()
    return call({"user": one.name, "password": PASSWORD}, by="nobody", user=one.name, via="password", object=one.name)


@writes(f"DELETE {API}/session")
def _(w):
    one = w.person()
    return call(by=one, object=one.name)


@writes(f"POST {API}/session/confirm")
def _(w):
    one = w.person()
    return call({"password": PASSWORD}, by=one, object=one.name)


@writes(f"POST {API}/links/use")
def _(w):
    link = w.invited()
    name = link["user"]["name"]
    return call({"token": link["token"], "password": PASSWORD}, by="nobody", user=name, via="link", object=name,
                detail=["first password"])


@writes(f"POST {API}/password-reset")  # the row is that of the link, which is made later, for a user whom there is
def _(w):
    link = w.invited(email="bert@example.org")
    return call({"user": link["user"]["name"]}, by="nobody", user="", via="e-mail", action="user.link",
                object=link["user"]["name"], detail=["for a new password, mailed"])


@writes(f"PUT {API}/profile")
def _(w):
    one = w.person("viewer")
    return call({"email": "new@example.org"}, by=one, object=one.name, detail=["e-mail:", "-> new@example.org"])


@writes(f"PUT {API}/password")
def _(w):
    one = w.person("viewer")
    return call({"current": PASSWORD, "password": "lamp orchid granite"}, by=one, object=one.name, detail=["his own"])


@writes(f"DELETE {API}/sessions")
def _(w):
    one = w.person("viewer")
    return call(by=one, object=one.name, detail=["all but this one"])


@writes(f"DELETE {API}/sessions/{{id}}")
def _(w):
    one = w.person("viewer")
    other = next(s for s in w.good("GET", "/sessions", session=w.server.sign_in(one.name, PASSWORD))["sessions"]
                 if s["current"])
    return call(by=one, ids={"id": other["id"]}, object=one.name, detail=[f"session {other['id']}"])


@writes(f"POST {API}/tokens")
def _(w):
    name = name_of("token")
    return call({"name": name, "role": "viewer", "days": 7}, object=name, detail=["role viewer, 7 days"])


@writes(f"DELETE {API}/tokens/{{id}}")
def _(w):
    one = w.person("viewer")
    token = w.good("POST", "/tokens", {"name": name_of("token"), "role": "viewer"}, session=one.session)
    return call(ids={"id": token["id"]}, object=token["name"], detail=[f"of {one.name}"])


@writes(f"POST {API}/users")
def _(w):
    name = name_of("new user")
    return call({"name": name, "role": "operator", "email": "o@example.org"}, object=name,
                detail=["role operator", "o@example.org"])


@writes(f"PATCH {API}/users/{{id}}")
def _(w):
    one = w.person("viewer")
    return call({"role": "operator", "disabled": True}, ids={"id": one.id}, object=one.name,
                detail=["role viewer -> operator", "disabled"])


@writes(f"POST {API}/users/{{id}}/link")
def _(w):
    one = w.person("viewer")
    return call(ids={"id": one.id}, object=one.name, detail=["for a new password"])


@writes(f"DELETE {API}/users/{{id}}/sessions")
def _(w):
    one = w.person("viewer")
    return call(ids={"id": one.id}, object=one.name)


# ---- agents ----

@writes(f"POST {API}/agents/{{id}}/approve")
def _(w):
    agent = w.agent()
    return call({"fingerprint": agent["fingerprint"], "revision": agent["revision"], "addresses": "127.0.0.0/8"},
                ids={"id": agent["id"]}, object=agent["id"], detail=[agent["host_name"], "from 127.0.0.0/8"])


@writes(f"POST {API}/agents/{{id}}/reject")
def _(w):
    agent = w.agent()
    return call({"revoke_passphrase": True}, ids={"id": agent["id"]}, object=agent["id"],
                detail=[agent["host_name"], "its passphrase is revoked"])


@writes(f"POST {API}/agents/{{id}}/hold")
def _(w):
    agent = w.agent("approve")
    return call({}, ids={"id": agent["id"]}, object=agent["id"], detail=[agent["host_name"]])


@writes(f"POST {API}/agents/{{id}}/reinstate")
def _(w):
    agent = w.agent("reject")
    return call({}, ids={"id": agent["id"]}, object=agent["id"], detail=[agent["host_name"]])


@writes(f"POST {API}/agents/{{id}}/rekey")
def _(w):
    agent = w.agent("approve")
    return call({}, ids={"id": agent["id"]}, object=agent["id"], detail=[agent["host_name"]])


@writes(f"POST {API}/probes")
def _(w):
    agent = w.agent("approve")
    address = f"192.0.2.{next(numbers) % 200}"
    w.good("PUT", "/targets", {"targets": [address]})
    return call({"agent": agent["id"]}, detail=[agent["host_name"], "all targets"])


@writes(f"PATCH {API}/agents/{{id}}")
def _(w):
    agent = w.agent("approve")
    return call({"name": "rack seven", "labels": {"group": "core"}}, ids={"id": agent["id"]}, object=agent["id"],
                detail=["rack seven", "group=core"])


@writes(f"POST {API}/agents/approve")
def _(w):
    agents = [w.agent(), w.agent()]
    return call({"agents": [{key: agent[key] for key in ("id", "fingerprint", "revision")} for agent in agents]},
                detail=["2 at once", agents[0]["id"], agents[1]["id"]])


@writes(f"PUT {API}/agents/{{id}}/addresses")
def _(w):
    agent = w.agent("approve")
    return call({"addresses": "127.0.0.0/8, ::1"}, ids={"id": agent["id"]}, object=agent["id"],
                detail=[agent["host_name"], "127.0.0.1 -> 127.0.0.0/8, ::1"])


@writes(f"PUT {API}/blocked")
def _(w):
    w.good("PUT", "/blocked", {"addresses": "192.0.2.0/24"})
    return call({"addresses": "198.51.100.0/24"}, detail=["192.0.2.0/24 -> 198.51.100.0/24"])


@writes("POST /admin/approve/{id}")
def _(w):
    agent = w.agent()
    return call(ids={"id": agent["id"]}, object=agent["id"], detail=[agent["host_name"]])


@writes("POST /admin/reject/{id}")
def _(w):
    agent = w.agent()
    return call(ids={"id": agent["id"]}, object=agent["id"], detail=[agent["host_name"]])


@writes(f"POST {API}/passphrases")
def _(w):
    return call({"advertise": w.server.host, "label": "rack 7", "hours": 5, "uses": 3, "preapprove": 2,
                 "preapprove_from": "10.0.0.0/8"}, object=lambda made: made["id"],
                detail=["rack 7", "3 uses, 5 hours", "the first 2 from 10.0.0.0/8"])


@writes(f"POST {API}/passphrases/{{id}}/rotate")
def _(w):
    issued = w.good("POST", "/passphrases", {"advertise": w.server.host, "label": "rack 8"})
    return call({}, ids={"id": issued["id"]}, object=issued["id"], detail=[lambda made: f"by {made['id']}", "rack 8"])


@writes(f"DELETE {API}/passphrases/{{id}}")
def _(w):
    issued = w.good("POST", "/passphrases", {"advertise": w.server.host, "label": "rack 9"})
    return call(ids={"id": issued["id"]}, object=issued["id"], detail=["rack 9"])


# ---- what is measured, and the server ----

@writes(f"PUT {API}/targets")
def _(w):
    w.good("PUT", "/targets", {"targets": ["192.0.2.1", "192.0.2.2"]})
    return call({"targets": ["192.0.2.1", "192.0.2.3", "192.0.2.4"]}, detail=["3 targets, 2 added, 1 removed"])


@writes("POST /admin/update_targets")
def _(w):
    w.good("PUT", "/targets", {"targets": ["192.0.2.1"]})
    return call({"targets": ["192.0.2.1", "192.0.2.9"]}, detail=["2 targets, 1 added, 0 removed"])


@writes(f"PUT {API}/rules")
def _(w):
    kept = {"name": "kept", "kind": "targets", "agents": "", "targets": "site=a"}
    w.good("PUT", "/rules", {"rules": [kept, {"name": "gone", "kind": "targets", "agents": "", "targets": ""}]})
    return call({"rules": [kept, {"name": "core", "kind": "mesh", "agents": "group=core", "targets": ""}]},
                detail=["2 rules, 2 before; set core (mesh, agents group=core, targets all); removed gone"])


@writes(f"PATCH {API}/settings")
def _(w):
    w.good("PATCH", "/settings", {"slow_ms": 100})
    return call({"slow_ms": 80}, detail=["slow_ms 100 -> 80"])


@writes(f"POST {API}/settings/test-mail")
def _(w):
    return call({"to": "anna@example.org"}, object="anna@example.org", detail=["by smtp://"])


def key_change(w, begun):
    if bool(w.good("GET", "/server/key")["next"]) != begun:
        w.good("POST", f"/server/key/{'begin' if begun else 'abort'}", {})


@writes(f"POST {API}/server/key/begin")
def _(w):
    key_change(w, False)
    return call({})


@writes(f"POST {API}/server/key/abort")
def _(w):
    key_change(w, True)
    return call({})


@writes(f"POST {API}/server/key/switch")
def _(w):
    key_change(w, True)
    return call({"give_up": True}, detail=["the rest is given up"])


# ---- what writes nothing ----

QUIET = {
    f"POST {API}/links/open": ("says whose link it is, and leaves it as it is", lambda w: {"token": w.invited()["token"]}),
    f"POST {API}/summary": ("a question that is too long for a query",
                            lambda w: {"pairs": [{"agent": w.agent("approve")["id"]}]}),
    f"POST {API}/targets/preview": ("says what a change would do", lambda _: {"targets": ["192.0.2.7"]}),
    f"POST {API}/rules/preview": ("says what a change would do", lambda _: {"rules": []}),
}


# ---- the tests ----

@pytest.fixture(scope="module")
def world(tmp_path_factory):
    w = World(tmp_path_factory.mktemp("audit"))
    yield w
    w.end()


def rows(server, session="own"):
    answer = server.call("GET", f"{API}/audit?limit=20", session=session)
    assert answer.status == 200, answer
    return answer.json()["rows"]


def test_no_route_that_writes_is_forgotten():
    assert set(RECIPES) | set(QUIET) == set(WRITING) and not set(RECIPES) & set(QUIET)
    # a route that the file says is logged has no business among the others
    assert {key for key, operation in WRITING.items() if "x-audit" not in operation} == \
        set(QUIET) | {f"POST {API}/password-reset"}
    assert all(reason for reason, _ in QUIET.values())


def by_token(operation):
    return operation["x-role"] != "anyone" and not operation.get("x-session-only")


CASES = [(key, way) for key, operation in WRITING.items() if key in RECIPES
         for way in (["session", "token"] if by_token(operation) else ["session"])]


@pytest.mark.parametrize("key,way", CASES, ids=[f"{key} {way}" for key, way in CASES])
def test_what_is_written_is_one_row(world, key, way):
    operation, made = WRITING[key], RECIPES[key](world)
    method, path = key.split(" ")
    server = made.server or world.server
    user = made.user if made.user is not None else made.by.name if made.by else http_lab.USER
    session = None if made.by == "nobody" else made.by.session if made.by else server.session
    via, headers, source = made.via, {}, f"127.7.{next(numbers) // 250}.{next(numbers) % 250 + 1}"
    if way == "token":
        name = name_of("script")
        token = world.good("POST", "/tokens", {"name": name, "role": "admin"}, session=session)
        via, headers, session = f"token {name}", {"Authorization": f"Bearer {token['token']}"}, None
    last = rows(server)[0]["id"] if server.session else 0
    begun_ms = int(time.time() * 1000)
    answer = server.call(method, path.format(**made.ids), made.body, session=session, headers=headers, source=source)
    assert answer.status < 400, answer
    told = answer.json() if answer.body.startswith(b"{") else {}
    if not server.session:
        server.session = http_lab.Session(answer)
    deadline = time.monotonic() + 5
    while not (new := [row for row in rows(server) if row["id"] > last]) and "x-audit" not in operation:
        assert time.monotonic() < deadline, "no row"
        time.sleep(0.1)
    if made.server:
        made.server.end()
    assert len(new) == 1, new
    row, said = new[0], [word(told) if callable(word) else word for word in made.detail]
    assert (row["user"], row["via"], row["address"]) == (user, via, source), row
    assert row["action"] == (made.action or operation["x-audit"]), row
    assert row["object"] == (made.object(told) if callable(made.object) else made.object), row
    assert all(word in row["detail"] for word in said), (row, said)
    assert begun_ms <= row["time_ms"] <= time.time() * 1000, row


@pytest.mark.parametrize("key", QUIET)
def test_what_writes_nothing_is_no_row(world, key):
    method, path = key.split(" ")
    body = QUIET[key][1](world)
    last = rows(world.server)[0]["id"]
    answer = world.server.call(method, path, body)
    assert answer.status < 400, answer
    assert rows(world.server)[0]["id"] == last


@pytest.mark.parametrize("body", [{}, {"role": "viewer"}, {"email": "", "disabled": False}])
def test_a_user_who_is_changed_to_what_he_was_is_no_row(world, body):
    user = world.invited()["user"]
    last = rows(world.server)[0]["id"]
    assert world.good("PATCH", f"/users/{user['id']}", body) == user
    assert rows(world.server)[0]["id"] == last
    world.good("PATCH", f"/users/{user['id']}", {"role": "operator"})
    assert [row["detail"] for row in rows(world.server) if row["id"] > last] == ["role viewer -> operator"]
