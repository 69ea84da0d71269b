# SPDX-License-Identifier: Apache-2.0
"""What docs/SECURITY.md claims of accounts, sessions and rights and no other test breaks: against one real server."""

import asyncio
import concurrent.futures
import contextlib
import hashlib
import hmac
import json
import re
import sqlite3
import time

import pytest
import websockets

import http_lab
from openapi_lab import OPERATIONS
from people_lab import PASSWORD, invite, live, make_user, sign_in, source, status, use_link

HOUR_MS, DAY_MS = 3600_000, 86400_000
OTHER = "lamp orchid granite"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("accounts"), advertise="127.0.0.1:8443")
    s.start().set_up()
    yield s
    s.end()


@pytest.fixture
def fresh(tmp_path):
    s = http_lab.Server(tmp_path, advertise="127.0.0.1:8443")
    s.start()
    yield s
    if s.process.poll() is None:
        s.end()


def test_who_is_made_disabled_is_told_so_in_the_audit_log(server):
    made = invite(server, "dora", "viewer", disabled=True)
    assert made["user"]["disabled"]
    assert use_link(server, made["token"]).status == 404
    row = server.call("GET", "/api/v1/audit?action=user.create&limit=1").json()["rows"][0]
    assert (row["object"], row["detail"]) == ("dora", "role viewer, e-mail none, disabled")


def now_ms():
    return int(time.time() * 1000)


def restart_with(server, sql, *values):
    """The database says something else when the server comes back."""
    server.end()
    with contextlib.closing(sqlite3.connect(server.state / "meshping.db")) as database:
        assert database.execute(sql, values).rowcount >= 1
        database.commit()
    server.start()


def hash_of(session):
    return hashlib.sha256(session.cookie.split("=", 1)[1].encode()).digest()


def fill(path):
    return re.sub(r"\{[a-z]+\}", "999999999", path)


def body_of(operation):
    return {} if "requestBody" in operation else None


# ---- every route ----

def test_an_ended_session_opens_no_route(server):
    """Signed out, and never one: what has the right form is looked up each time."""
    make_user(server, "ended", "admin")
    ended = sign_in(server, "ended")
    assert status(server, ended, "/api/v1/users") == 200
    assert status(server, ended, "/api/v1/session", "DELETE") == 204
    closed = [o for o in OPERATIONS if o[2]["x-role"] != "anyone"]
    assert len(closed) > 50
    for method, path, operation in closed:
        answer = server.call(method.upper(), fill(path), body_of(operation), session=ended)
        assert answer.status == 401, (method, path, answer)
        answer = server.call(method.upper(), fill(path), body_of(operation), session=None,
                             headers={"Cookie": "__Host-meshping=" + "A" * 43, "X-CSRF-Token": ended.csrf})
        assert answer.status == 401, (method, path, answer)


def test_what_the_file_calls_fresh_needs_a_password_typed_of_late_and_is_for_no_token(fresh):
    fresh.set_up()
    token = fresh.call("POST", "/api/v1/tokens", {"name": "t", "role": "admin"}).json()["token"]
    for age_ms, asked in ((900_000, True), (840_000, False)):
        restart_with(fresh, "UPDATE web_sessions SET confirmed_ms = ?", now_ms() - age_ms)
        for method, path, operation in OPERATIONS:
            if operation["x-role"] == "anyone" or (method, path) == ("delete", "/api/v1/session"):
                continue
            answer = fresh.call(method.upper(), fill(path), body_of(operation))
            confirm = answer.status == 403 and answer.json().get("confirm") is True
            assert confirm == (asked and operation.get("x-fresh", False)), (age_ms, method, path, answer)
            if not asked and (method, path) == ("delete", "/api/v1/sessions"):
                assert answer.status == 204
            if operation.get("x-fresh"):
                answer = fresh.call(method.upper(), fill(path), body_of(operation), session=None,
                                    headers={"Authorization": f"Bearer {token}"})
                assert answer.status == 403 and "sign in" in answer.json()["detail"], (method, path, answer)


def test_nobody_gives_himself_a_role_or_a_name(server):
    user = make_user(server, "modest")
    modest = sign_in(server, "modest")
    more = {"role": "admin", "name": "anna", "user": "anna", "id": 1, "disabled": False, "user_id": 1, "password": OTHER,
            "csrf": "x", "token_hash": "x", "created_ms": 1}
    for method, path, body in (("PUT", "/api/v1/profile", {"email": "modest@example.org"}),
                               ("POST", "/api/v1/tokens", {"name": "mine", "role": "viewer"}),
                               ("POST", "/api/v1/session/confirm", {"password": PASSWORD})):
        answer = server.call(method, path, {**more, **body}, session=modest, source=source())
        assert answer.status == 400 and "is not a field" in answer.json()["detail"], answer
    assert server.call("PUT", "/api/v1/profile", {"email": "modest@example.org"}, session=modest).status == 200
    me = server.call("GET", "/api/v1/profile", session=modest).json()
    assert me["user"] == "modest" and me["role"] == "viewer" and me["email"] == "modest@example.org"
    assert status(server, modest, "/api/v1/users") == 403
    listed = next(one for one in server.call("GET", "/api/v1/users").json()["users"] if one["id"] == user)
    assert listed["role"] == "viewer" and listed["name"] == "modest" and listed["created_ms"] > 1
    assert {one["user"] for one in server.call("GET", "/api/v1/tokens", session=modest).json()["tokens"]} <= {"modest"}
    sign_in(server, "modest")


@pytest.mark.parametrize("origin", [
    "https://{host}.evil.example", "https://{host}0", "https://evil.example/{host}", "https://evil.example:{host}",
    "https://{host}@evil.example", "http://{host}", "HTTPS://{host}", "https:/{host}", "//{host}", "{host}", "https://",
    "https://127.0.0.1", "https://localhost:{port}", "https://{host}/", "https://{host} https://evil.example", "null", "file://"])
def test_an_origin_that_is_almost_ours_is_another_one(server, origin):
    origin = origin.format(host=server.host, port=server.port)
    answer = server.call("PUT", "/api/v1/targets", {"targets": []}, headers={"Origin": origin})
    assert answer.status == 403 and "other sites" in answer.json()["detail"], answer

    async def watch():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            await live(server, server.session, origin=origin)
        assert refused.value.status_code == 403
        http_lab.check_safety("/api/", http_lab.Answer(403, refused.value.headers, b""))

    asyncio.run(watch())


# ---- live views ----

async def until_closed(socket, seconds=5):
    """What it was closed with; None: it was not."""
    with contextlib.suppress(websockets.ConnectionClosed, asyncio.TimeoutError):
        end = time.monotonic() + seconds
        while True:
            await asyncio.wait_for(socket.recv(), max(0, end - time.monotonic()))
    return socket.close_code


WAYS = {
    "a new role": lambda s, user, own: s.call("PATCH", f"/api/v1/users/{user}", {"role": "operator"}),
    "another name": lambda s, user, own: s.call("PATCH", f"/api/v1/users/{user}", {"name": f"once {user}"}),
    "disabled": lambda s, user, own: s.call("PATCH", f"/api/v1/users/{user}", {"disabled": True}),
    "signed out by an administrator": lambda s, user, own: s.call("DELETE", f"/api/v1/users/{user}/sessions"),
    "a link": lambda s, user, own: use_link(s, s.call("POST", f"/api/v1/users/{user}/link").json()["token"], OTHER),
    "his own password": lambda s, user, own: s.call("PUT", "/api/v1/password", {"current": PASSWORD, "password": OTHER},
                                                    session=own, source=source()),
    "his other browser": lambda s, user, own: s.call("DELETE", "/api/v1/sessions", session=own),
}


@pytest.mark.parametrize("way", WAYS)
def test_live_views_end_with_their_sessions(server, way):
    name = f"viewer of {way}"
    user = make_user(server, name)
    here, there = sign_in(server, name), sign_in(server, name)

    async def watch():
        async with live(server, there) as socket, live(server, server.session) as other:
            await asyncio.gather(socket.recv(), other.recv())
            answer = await asyncio.to_thread(WAYS[way], server, user, here)
            assert answer.status in (200, 204), answer
            begun = time.monotonic()
            assert await until_closed(socket) == 4401 and time.monotonic() - begun < 2
            assert json.loads(await asyncio.wait_for(other.recv(), 5))["event"] in ("snapshot", "delta")
        with pytest.raises(websockets.InvalidStatusCode):
            await live(server, there)

    asyncio.run(watch())
    assert status(server, there) == 401


def test_a_live_view_ends_at_the_session_s_limit_and_does_not_move_it(fresh):
    fresh.set_up()
    session = fresh.sign_in()
    restart_with(fresh, "UPDATE web_sessions SET created_ms = ?, last_used_ms = ? WHERE token_hash = ?",
                 now_ms() - 168 * HOUR_MS + 6000, now_ms() - HOUR_MS, hash_of(session))

    async def watch():
        async with live(fresh, session) as socket:
            await socket.recv()
            opened = time.monotonic()
            used_ms = [one["last_used_ms"] for one in fresh.call("GET", "/api/v1/sessions").json()["sessions"]
                       if not one["current"]]
            assert await until_closed(socket, 2) is None
            again_ms = [one["last_used_ms"] for one in fresh.call("GET", "/api/v1/sessions").json()["sessions"]
                        if not one["current"]]
            assert len(used_ms) == 1 and again_ms == used_ms, "an open live view keeps no session alive"
            assert await until_closed(socket, 10) == 4401
            assert time.monotonic() - opened < 9

    asyncio.run(watch())
    assert status(fresh, session) == 401


def test_a_live_view_ends_with_its_token_s_time(fresh):
    fresh.set_up()
    token = fresh.call("POST", "/api/v1/tokens", {"name": "short", "role": "viewer"}).json()["token"]
    restart_with(fresh, "UPDATE tokens SET expires_ms = ?", now_ms() + 6000)

    async def watch():
        async with live(fresh, None, origin=None, extra_headers={"Authorization": f"Bearer {token}"}) as socket:
            await socket.recv()
            assert await until_closed(socket, 10) == 4401

    asyncio.run(watch())
    assert status(fresh, None, headers={"Authorization": f"Bearer {token}"}) == 401


# ---- guessing, wherever a secret is typed ----

def statuses(call, count):
    return [call(i).status for i in range(count)]


def test_the_set_up_code_is_not_guessed_quickly(fresh):
    def guess(code):
        return fresh.call("POST", "/api/v1/setup", {"code": code, "user": "eve", "password": PASSWORD}, session=None)

    assert statuses(lambda i: guess(f"AAAAA-AAAAA-AAAAA-AAAA{i % 10}"), 12) == [403] * 10 + [429] * 2
    assert guess((fresh.state / "setup-code").read_text().strip()).status == 429  # the right one waits, too


def test_links_and_passwords_typed_again_are_not_guessed_quickly(server):
    address = source()
    assert statuses(lambda i: server.call("POST", "/api/v1/links/open", {"token": f"{i:043}"}, session=None,
                                          source=address), 12) == [404] * 10 + [429] * 2
    assert server.call("POST", "/api/v1/links/use", {"token": "x" * 43, "password": PASSWORD}, session=None,
                       source=address).status == 429
    make_user(server, "taken over")
    stolen = sign_in(server, "taken over")
    for method, path, field, body in (("POST", "/api/v1/session/confirm", "password", {}),
                                      ("PUT", "/api/v1/password", "current", {"password": OTHER})):
        stolen = sign_in(server, "taken over")
        tries = statuses(lambda i: server.call(method, path, {**body, field: f"wrong {i}"}, session=stolen,  # noqa: B023
                                               source=source()), 6)
        assert tries == [403] * 5 + [429], path
        assert server.call(method, path, {**body, field: PASSWORD}, session=stolen, source=source()).status == 429
    sign_in(server, "taken over")  # and its owner comes in meanwhile


def test_a_known_browser_is_known_for_180_days(fresh):
    fresh.set_up()
    user = make_user(fresh, "jan")
    key = (fresh.state / "seal.key").read_bytes()

    def cookie(issued_ms):
        said = f"{user:016x}{issued_ms:016x}"
        return f"__Host-meshping-known={said}" + hmac.new(key, b"meshping known browser" + said.encode(),
                                                          hashlib.sha256).hexdigest()

    answer = fresh.call("POST", "/api/v1/session", {"user": "jan", "password": PASSWORD}, session=None)
    known = next(one for one in answer.headers.get_all("Set-Cookie") if one.startswith("__Host-meshping-known="))
    assert known.split("; ")[1:] == ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", f"Max-Age={180 * 86400}"]
    for _ in range(5):
        assert fresh.call("POST", "/api/v1/session", {"user": "jan", "password": "wrong wrong wrong"}, session=None,
                          source=source()).status == 401

    def attempt(cookie):
        return fresh.call("POST", "/api/v1/session", {"user": "jan", "password": "wrong wrong wrong"}, session=None,
                          source=source(), headers={"Cookie": cookie}).status

    for _ in range(4):  # until strangers wait for some seconds
        time.sleep(int(fresh.call("POST", "/api/v1/session", {"user": "jan", "password": "wrong"}, session=None,
                                  source=source()).headers.get("Retry-After", "0")))
    assert attempt(cookie(now_ms() - 180 * DAY_MS)) == 429
    assert attempt(cookie(now_ms() + DAY_MS)) == 429
    assert attempt(cookie(now_ms() - 179 * DAY_MS)) == 401


# ---- passwords ----

@pytest.mark.parametrize("password,others", [
    ("Zwölf Krähen  am Morgen ", ["zwölf krähen  am morgen ", "Zwölf Krähen am Morgen ", "Zwölf Krähen  am Morgen",
                                  "Zwo\u0308lf Kra\u0308hen  am Morgen ", " Zwölf Krähen  am Morgen "]),
    ("".join(chr(0x4e00 + 7 * i) for i in range(128)), ["".join(chr(0x4e00 + 7 * i) for i in range(127)),
                                                        "".join(chr(0x4e00 + 7 * i) for i in range(127)) + "x"]),
    ("a quiet otter " * 9, ["a quiet otter " * 8, ("a quiet otter " * 9)[:72], ("a quiet otter " * 9)[:-1] + "x"]),
])
def test_a_password_is_taken_as_it_was_typed(server, password, others):
    name = f"exact {len(others)} {len(password)}"
    make_user(server, name, password=password)

    def attempt(password):
        return server.call("POST", "/api/v1/session", {"user": name, "password": password}, session=None,
                           source=source()).status

    assert len(others) <= 5
    assert attempt(password) == 200
    for other in others[:4]:
        assert attempt(other) == 401, other
    assert attempt(password) == 200
    for other in others[4:]:
        assert attempt(other) == 401, other


# ---- two at once ----

def meanwhile(call, change, lead_s=0.1):
    """`call` takes a password's time; `change` comes while it does. Both answers."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(call)
        time.sleep(lead_s)
        changed = change()
        return slow.result(), changed


def test_what_ends_meanwhile_does_not_come_back(server):
    """Whichever comes first: afterwards nobody holds a session, or has a password, by what no longer is."""
    user = make_user(server, "racer")

    def enter(password=PASSWORD):
        return server.call("POST", "/api/v1/session", {"user": "racer", "password": password}, session=None, source=source())

    def change(body):
        return server.call("PATCH", f"/api/v1/users/{user}", body)

    def dead(answer):
        return answer.status == 401 or status(server, http_lab.Session(answer)) == 401

    for _ in range(2):
        answer, changed = meanwhile(enter, lambda: change({"disabled": True}))
        assert changed.status == 200 and dead(answer)
        assert change({"disabled": False}).status == 200
        # a sign-in with a password that a link replaces
        link = server.call("POST", f"/api/v1/users/{user}/link").json()["token"]
        used, answer = meanwhile(lambda: use_link(server, link, OTHER), enter, 0.03)  # noqa: B023
        assert used.status == 204 and dead(answer), (used, answer)
        link = server.call("POST", f"/api/v1/users/{user}/link").json()["token"]
        assert use_link(server, link).status == 204
        # the password again, while the role goes
        session = http_lab.Session(enter())
        answer, changed = meanwhile(lambda: server.call("POST", "/api/v1/session/confirm", {"password": PASSWORD},
                                                        session=session), lambda: change({"role": "operator"}))  # noqa: B023
        assert changed.status == 200 and dead(answer)
        assert change({"role": "viewer"}).status == 200
        # a new password, while an administrator signs him out
        session = http_lab.Session(enter())
        answer, out = meanwhile(lambda: server.call("PUT", "/api/v1/password", {"current": PASSWORD, "password": OTHER},
                                                    session=session),  # noqa: B023
                                lambda: server.call("DELETE", f"/api/v1/users/{user}/sessions"), 0.3)
        assert out.status == 204 and dead(answer)
        assert enter(PASSWORD if answer.status == 401 else OTHER).status == 200
        if answer.status != 401:
            link = server.call("POST", f"/api/v1/users/{user}/link").json()["token"]
            assert use_link(server, link).status == 204


@pytest.mark.parametrize("way", ["signed out", "disabled", "another role", "token deleted"])
def test_a_body_that_comes_after_the_session_s_end_does_nothing(server, way):
    """Who may is asked again when the request is whole: its head may be old by then."""
    name = f"slow, {way}"
    user = make_user(server, name, "admin")
    session = sign_in(server, name)
    token = server.call("POST", "/api/v1/tokens", {"name": "t", "role": "admin"}, session=session).json()
    who = (f"Authorization: Bearer {token['token']}" if way == "token deleted"
           else f"Cookie: {session.cookie}\r\nX-CSRF-Token: {session.csrf}")
    before = server.call("GET", "/api/v1/targets").json()
    body = b'{"targets":["192.0.2.66 too late"]}'
    with server.tls() as tls:
        tls.sendall(f"PUT /api/v1/targets HTTP/1.1\r\nHost: h\r\n{who}\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
        time.sleep(0.2)
        done = {"signed out": lambda: server.call("DELETE", "/api/v1/session", session=session),
                "disabled": lambda: server.call("PATCH", f"/api/v1/users/{user}", {"disabled": True}),
                "another role": lambda: server.call("PATCH", f"/api/v1/users/{user}", {"role": "viewer"}),
                "token deleted": lambda: server.call("DELETE", f"/api/v1/tokens/{token['id']}")}[way]()
        assert done.status in (200, 204)
        tls.sendall(body[5:])
        assert b" 401 " in tls.recv(4096).split(b"\r\n")[0]
    assert server.call("GET", "/api/v1/targets").json() == before


# ---- links ----

def test_a_link_s_time_runs_out_while_the_server_runs(fresh):
    fresh.set_up()
    link = invite(fresh, "late")["token"]
    restart_with(fresh, "UPDATE links SET expires_ms = ?", now_ms() + 4000)
    assert fresh.call("POST", "/api/v1/links/open", {"token": link}, session=None).status == 200
    time.sleep(4)
    assert fresh.call("POST", "/api/v1/links/open", {"token": link}, session=None).status == 404
    assert use_link(fresh, link).status == 404


def test_a_link_ends_with_the_address_it_went_to(server):
    user = make_user(server, "moved", email="old@example.org")
    for change in ({"email": "new@example.org"}, {"email": ""}):
        link = server.call("POST", f"/api/v1/users/{user}/link").json()["token"]
        assert server.call("PATCH", f"/api/v1/users/{user}", {"role": "viewer"}).status == 200  # as before: nothing ends
        assert server.call("POST", "/api/v1/links/open", {"token": link}, session=None, source=source()).status == 200
        assert server.call("PATCH", f"/api/v1/users/{user}", change).status == 200
        assert use_link(server, link, OTHER).status == 404
    link = server.call("POST", f"/api/v1/users/{user}/link").json()["token"]
    own = sign_in(server, "moved")
    assert status(server, own, "/api/v1/profile", "PUT", {"email": "own@example.org"}) == 200
    assert use_link(server, link, OTHER).status == 404
    assert status(server, own) == 200  # whose session it is stays in


# ---- tokens ----

def test_a_token_ends_itself_and_nothing_else_of_its_user(server):
    make_user(server, "scripts", "operator")
    own = sign_in(server, "scripts")
    made = [server.call("POST", "/api/v1/tokens", {"name": f"t{i}", "role": "viewer"}, session=own).json() for i in range(2)]
    headers = [{"Authorization": f"Bearer {one['token']}"} for one in made]
    assert server.call("DELETE", f"/api/v1/tokens/{made[1]['id']}", session=None, headers=headers[0]).status == 404
    assert status(server, None, headers=headers[1]) == 200
    assert server.call("DELETE", f"/api/v1/tokens/{made[0]['id']}", session=None, headers=headers[0]).status == 204
    assert status(server, None, headers=headers[0]) == 401
    assert server.call("DELETE", f"/api/v1/tokens/{made[1]['id']}", session=own).status == 204


# ---- names ----

@pytest.mark.parametrize("name", [
    "an\u200bna", "\u202eanna", "anna\u00a0", "an\u00adna", "anna\ufeff", "anna\u3000b", "\u2066anna", "a\u0300nna", "anna\ufe0f",
    "anna\U000e0041", "anna\u0085", "anna\ue000", "anna\uffff", "an  na", "anna\u2028x"])
def test_a_name_holds_nothing_that_is_not_seen(server, name):
    answer = server.call("POST", "/api/v1/users", {"name": name, "role": "viewer"})
    assert answer.status == 400 and "name" in answer.json()["detail"], answer


@pytest.mark.parametrize("names", [
    ("annette", "Annette", "ANNETTE", "аnnette", "аnnеttе", "annette\u0130"[:7].replace("e", "е"), "\uff41nnette"),
    ("Jürgen O", "jürgen 0", "JÜRGEN O", "Jürgеn О", "Jürgen \u039f"), ("сосо", "coco", "CoCo", "c\u03bfco"),
    ("Ivan l", "lvan I", "1van 1", "ivan |")])
def test_two_users_do_not_look_the_same(server, names):
    first = invite(server, names[0])["user"]["id"]
    for name in names[1:]:
        answer = server.call("POST", "/api/v1/users", {"name": name, "role": "viewer"})
        assert answer.status == 409 and names[0] in answer.json()["detail"], (name, answer)
    other = invite(server, f"quite different {first}")["user"]["id"]
    assert server.call("PATCH", f"/api/v1/users/{other}", {"name": names[-1]}).status == 409
    # he himself may be written another way
    assert server.call("PATCH", f"/api/v1/users/{first}", {"name": names[-1]}).status == 200
