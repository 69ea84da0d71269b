# SPDX-License-Identifier: Apache-2.0
"""Users, roles, sessions, API tokens and the audit log, against one real server."""

import asyncio
import concurrent.futures
import contextlib
import json
import re
import sqlite3
import time

import pytest
import websockets

import http_lab
from people_lab import PASSWORD, invite, live, make_user, sign_in, source, status


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("people"))
    s.start().set_up()
    yield s
    s.end()


@pytest.fixture
def fresh(tmp_path):
    s = http_lab.Server(tmp_path)
    s.start().set_up()
    yield s
    if s.process.poll() is None:
        s.end()


def rows(server, **query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return server.call("GET", f"/api/v1/audit?{text}").json()["rows"]


# ---- users ----

def test_an_invited_user_chooses_his_password_once(server):
    link = invite(server, "bert", "operator", email="bert@example.org")
    assert link["user"] == {**link["user"], "name": "bert", "role": "operator", "invited": True, "disabled": False}
    assert link["path"] == f"/#/link/{link['token']}" and len(link["token"]) == 43
    assert 71 * 3600e3 < link["expires_ms"] - time.time() * 1000 <= 72 * 3600e3
    # nobody signs in as somebody who has no password, not even with an empty one
    for password in ("", PASSWORD):
        assert server.call("POST", "/api/v1/session", {"user": "bert", "password": password}, session=None,
                           source=source()).status == 401

    def link_call(path, **body):
        return server.call("POST", f"/api/v1/links/{path}", {"token": link["token"], **body}, session=None,
                           source=source())

    opened = link_call("open")
    assert opened.json() == {"user": "bert", "invited": True, "expires_ms": link["expires_ms"]}
    assert link_call("use", password="short").status == 400
    assert link_call("use", password="password1234").status == 400
    assert link_call("use", password="bert-bert-bert").status == 400
    assert link_call("use", password=PASSWORD).status == 204
    assert link_call("use", password=PASSWORD).status == 404
    assert link_call("open").status == 404
    bert = sign_in(server, "bert")
    me = server.call("GET", "/api/v1/profile", session=bert).json()
    assert me["user"] == "bert" and me["role"] == "operator" and me["email"] == "bert@example.org"
    state = b"".join(p.read_bytes() for p in server.state.rglob("*") if p.is_file())
    assert link["token"].encode() not in state and PASSWORD.encode() not in state
    assert link["token"] not in server.log.read_text()


@pytest.mark.parametrize("body,reason", [
    ({"role": "viewer"}, "name"), ({"name": "x"}, "role"), ({"name": "x", "role": "root"}, "role"),
    ({"name": "x", "role": ""}, "role"), ({"name": "", "role": "viewer"}, "name"),
    ({"name": "x\u0007", "role": "viewer"}, "control"), ({"name": "x" * 65, "role": "viewer"}, "64"),
    ({"name": "x", "role": "viewer", "email": "no address"}, "email"),
    ({"name": "x", "role": "viewer", "email": "a@b\r\nBcc: c@d"}, "email"),
    ({"name": "x", "role": "viewer", "disabled": "no"}, "disabled"), ({"name": 7, "role": "viewer"}, "name"),
])
def test_a_wrong_user_is_refused_with_the_reason(server, body, reason):
    answer = server.call("POST", "/api/v1/users", body)
    assert answer.status == 400 and reason in answer.json()["detail"]
    assert "x" not in {user["name"] for user in server.call("GET", "/api/v1/users").json()["users"]}


def test_a_name_is_taken_once(server):
    invite(server, "twice")
    assert server.call("POST", "/api/v1/users", {"name": "twice", "role": "viewer"}).status == 409
    assert server.call("PATCH", "/api/v1/users/999999", {"role": "viewer"}).status == 404
    assert server.call("PATCH", "/api/v1/users/nobody", {"role": "viewer"}).status == 404


def test_a_disabled_user_is_out_at_once(server):
    user = make_user(server, "cara", "admin")
    cara = sign_in(server, "cara")
    token = server.call("POST", "/api/v1/tokens", {"name": "t", "role": "viewer"}, session=cara).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert status(server, cara) == 200 and status(server, None, headers=bearer) == 200

    async def watch():
        async with live(server, cara) as socket:
            await socket.recv()
            answer = await asyncio.to_thread(server.call, "PATCH", f"/api/v1/users/{user}", {"disabled": True})
            assert answer.status == 200 and answer.json()["disabled"] is True
            begun = time.monotonic()
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), 5)
            assert socket.close_code == 4401 and time.monotonic() - begun < 1

    asyncio.run(watch())
    assert status(server, cara) == 401 and status(server, None, headers=bearer) == 401
    assert server.call("POST", "/api/v1/session", {"user": "cara", "password": PASSWORD}, session=None,
                       source=source()).status == 401
    assert server.call("POST", f"/api/v1/users/{user}/link").status == 409
    assert server.call("PATCH", f"/api/v1/users/{user}", {"disabled": False}).status == 200
    sign_in(server, "cara")


def test_a_new_role_counts_at_once_and_ends_the_session(server):
    user = make_user(server, "dora", "viewer")
    dora = sign_in(server, "dora")
    new = {"targets": ["192.0.2.1"]}
    assert status(server, dora, "/api/v1/targets", "PUT", new) == 403
    assert server.call("PATCH", f"/api/v1/users/{user}", {"role": "operator"}).status == 200
    assert status(server, dora) == 401
    dora = sign_in(server, "dora")
    assert status(server, dora, "/api/v1/targets", "PUT", new) == 200
    assert status(server, dora, "/api/v1/users") == 403
    assert server.call("PATCH", f"/api/v1/users/{user}", {"role": "viewer"}).status == 200
    assert status(server, sign_in(server, "dora"), "/api/v1/targets", "PUT", new) == 403


def test_the_last_administrator_cannot_lock_himself_out(fresh):
    own = fresh.call("GET", "/api/v1/users").json()["users"][0]["id"]
    invite(fresh, "later", "admin")  # cannot sign in yet
    for change in ({"role": "viewer"}, {"disabled": True}, {"role": "operator", "disabled": True}):
        answer = fresh.call("PATCH", f"/api/v1/users/{own}", change)
        assert answer.status == 409 and "last administrator" in answer.json()["detail"]
        assert fresh.call("GET", "/api/v1/users").status == 200  # still in
    make_user(fresh, "second", "admin")
    assert fresh.call("PATCH", f"/api/v1/users/{own}", {"role": "viewer"}).status == 200
    assert fresh.call("GET", "/api/v1/users").status == 401
    second = sign_in(fresh, "second")
    assert status(fresh, second, "/api/v1/users") == 200


# ---- passwords ----

def test_a_new_password_needs_the_old_one_and_ends_all_other_sessions(server):
    make_user(server, "emil")
    here, there = sign_in(server, "emil"), sign_in(server, "emil")

    def change(session, current, password):
        return server.call("PUT", "/api/v1/password", {"current": current, "password": password}, session=session,
                           source=source())

    assert change(here, "not the old one", "lamp orchid granite").status == 403
    assert change(here, PASSWORD, "Password12345").status == 400
    assert status(server, there) == 200
    answer = change(here, PASSWORD, "lamp orchid granite")
    assert answer.status == 200
    anew = http_lab.Session(answer)
    assert anew.cookie != here.cookie and anew.csrf != here.csrf
    assert status(server, here) == 401 and status(server, there) == 401 and status(server, anew) == 200
    assert server.call("POST", "/api/v1/session", {"user": "emil", "password": PASSWORD}, session=None,
                       source=source()).status == 401
    sign_in(server, "emil", "lamp orchid granite")


def test_a_reset_link_ends_sessions_when_it_is_used(server):
    user = make_user(server, "fritz")
    fritz = sign_in(server, "fritz")
    first = server.call("POST", f"/api/v1/users/{user}/link").json()
    second = server.call("POST", f"/api/v1/users/{user}/link").json()
    assert 23 * 3600e3 < second["expires_ms"] - time.time() * 1000 <= 24 * 3600e3
    assert status(server, fritz) == 200

    def use(token):
        return server.call("POST", "/api/v1/links/use", {"token": token, "password": "lamp orchid granite"},
                           session=None, source=source()).status

    assert use(first["token"]) == 404  # the newer one took its place
    assert use("x" * 43) == 404 and use("") == 404
    assert use(second["token"]) == 204
    assert status(server, fritz) == 401
    sign_in(server, "fritz", "lamp orchid granite")


def test_an_old_link_does_not_work(fresh):
    link = invite(fresh, "gina")
    fresh.end()
    with contextlib.closing(sqlite3.connect(fresh.state / "meshping.db")) as database:
        assert database.execute("UPDATE links SET expires_ms = ?", (int(time.time() * 1000) - 1,)).rowcount == 1
        database.commit()
    fresh.start()
    assert fresh.call("POST", "/api/v1/links/use", {"token": link["token"], "password": PASSWORD},
                      session=None).status == 404


def test_unknown_and_disabled_users_get_the_same_answer_in_the_same_time(server):
    user = make_user(server, "hanna")
    invite(server, "invited only")
    disabled = make_user(server, "ivan")
    assert server.call("PATCH", f"/api/v1/users/{disabled}", {"disabled": True}).status == 200
    assert user
    times = {}
    for _ in range(3):
        for name in ("hanna", "nobody at all", "invited only", "ivan"):
            begun = time.monotonic()
            answer = server.call("POST", "/api/v1/session", {"user": name, "password": "wrong wrong wrong"},
                                 session=None, source=source())
            times.setdefault(name, []).append(time.monotonic() - begun)
            assert answer.status == 401 and "Set-Cookie" not in answer.headers
            assert answer.json()["detail"] == "the user's name or the password is wrong"
    best = {name: min(taken) for name, taken in times.items()}
    assert max(best.values()) < 2 * min(best.values()) + 0.1, best


def test_wrong_passwords_slow_an_account_down_and_lock_nobody_out(fresh):
    make_user(fresh, "jan")

    def attempt(password, address):
        return fresh.call("POST", "/api/v1/session", {"user": "jan", "password": password}, session=None,
                          source=address)

    # by account, from ever new addresses
    statuses = [attempt("wrong wrong wrong", source()).status for _ in range(6)]
    assert statuses[:5] == [401] * 5 and statuses[5] == 429
    answer = attempt(PASSWORD, source())
    assert answer.status == 429 and 1 <= int(answer.headers["Retry-After"]) <= 30
    time.sleep(int(answer.headers["Retry-After"]))
    assert attempt(PASSWORD, source()).status == 200
    assert attempt(PASSWORD, source()).status == 200  # forgiven
    # by address, with ever new names
    address = source()
    statuses = [fresh.call("POST", "/api/v1/session", {"user": f"user{i}", "password": "wrong wrong wrong"},
                           session=None, source=address).status for i in range(11)]
    assert statuses == [401] * 10 + [429]
    assert attempt(PASSWORD, address).status == 429
    assert attempt(PASSWORD, source()).status == 200


def test_a_known_browser_gets_in_while_others_guess_at_its_user(fresh):
    user = make_user(fresh, "jan")
    jan = sign_in(fresh, "jan")
    make_user(fresh, "other")
    assert re.fullmatch(r"__Host-meshping-known=[0-9a-f]{96}", jan.known)

    def attempt(password, name="jan", known=None, session=None, address=None):
        return fresh.call("POST", "/api/v1/session", {"user": name, "password": password}, session=session,
                          source=address or source(), headers={"Cookie": known} if known else None)

    def refuse(known=None, seconds=8):
        """Guesses until the account waits for so long."""
        for _ in range(30):
            answer = attempt("wrong wrong wrong", known=known)
            wait_s = int(answer.headers.get("Retry-After", "0"))
            if wait_s >= seconds:
                return
            time.sleep(wait_s)
        pytest.fail("nothing was throttled")

    def strangers_wait():
        return attempt(PASSWORD).status == 429

    refuse()
    assert strangers_wait()
    answer = attempt(PASSWORD, known=jan.known)  # from an address of its own, and at once
    assert answer.status == 200 and http_lab.Session(answer).known is None
    # he who is signed in types his password again, too
    answer = fresh.call("POST", "/api/v1/session/confirm", {"password": PASSWORD}, session=jan)
    assert answer.status == 200
    # what is no such cookie, or another one's, is a stranger's
    forged = jan.known[:-1] + ("0" if jan.known[-1] != "0" else "1")
    theirs = sign_in(fresh, "other").known
    shifted = jan.known.replace("=00", "=0x", 1)
    for known in (forged, theirs, shifted, jan.known[:-2], jan.known + "00", "__Host-meshping-known="):
        refuse()
        assert attempt(PASSWORD, known=known).status == 429, known
    # and it is no way in, nor a way to guess without end
    assert attempt("wrong wrong wrong", known=jan.known).status == 401
    assert fresh.call("GET", "/api/v1/agents", session=None, headers={"Cookie": jan.known}).status == 401
    refuse(jan.known, 1)
    # a link makes a browser known
    refuse()
    link = fresh.call("POST", f"/api/v1/users/{user}/link").json()
    used = fresh.call("POST", "/api/v1/links/use", {"token": link["token"], "password": PASSWORD}, session=None,
                      source=source())
    assert used.status == 204
    refuse()
    assert attempt(PASSWORD, known=used.headers["Set-Cookie"].split(";")[0]).status == 200


# ---- two at once ----

def at_once(*calls):
    """Their statuses."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return sorted(answer.status for answer in [future.result() for future in [pool.submit(call) for call in calls]])


def test_a_link_is_used_once_by_two_at_once(server):
    link = invite(server, "twin")
    passwords = ("thunder walrus ladder", "lamp orchid granite")
    assert at_once(*(lambda p=p: server.call("POST", "/api/v1/links/use", {"token": link["token"], "password": p},
                                             session=None, source=source()) for p in passwords)) == [204, 404]
    assert at_once(*(lambda p=p: server.call("POST", "/api/v1/session", {"user": "twin", "password": p}, session=None,
                                             source=source()) for p in passwords)) == [200, 401]


def test_two_administrators_cannot_demote_each_other_at_once(fresh):
    other = make_user(fresh, "second", "admin")
    own = next(user["id"] for user in fresh.call("GET", "/api/v1/users").json()["users"] if user["name"] == "anna")
    second = sign_in(fresh, "second")
    statuses = at_once(lambda: fresh.call("PATCH", f"/api/v1/users/{other}", {"role": "viewer"}),
                       lambda: fresh.call("PATCH", f"/api/v1/users/{own}", {"disabled": True}, session=second))
    assert statuses == [200, 401], "whose rights have gone has no session to take the other one's"
    assert sorted(status(fresh, session, "/api/v1/users") for session in (fresh.session, second)) == [200, 401]


def test_a_session_that_was_brought_along_does_not_become_ones_own(server):
    planted = "__Host-meshping=" + "A" * 43
    answer = server.call("POST", "/api/v1/session", {"user": "anna", "password": http_lab.PASSWORD}, session=None,
                         source=source(), headers={"Cookie": planted})
    session = http_lab.Session(answer)
    assert session.cookie != planted and status(server, None, headers={"Cookie": planted}) == 401
    # nor is a cookie without the prefix, or a second one of the name, believed
    token = session.cookie.split("=", 1)[1]
    for cookie in (f"meshping={token}", f"__host-meshping={token}", f"{session.cookie}; {planted}"):
        assert status(server, None, headers={"Cookie": cookie}) == 401, cookie
    assert status(server, session) == 200


# ---- sessions ----

def sessions_of(server, session):
    return server.call("GET", "/api/v1/sessions", session=session).json()["sessions"]


def test_one_sees_and_ends_ones_own_sessions_only(server):
    make_user(server, "kurt")
    here = sign_in(server, "kurt")
    answer = server.call("POST", "/api/v1/session", {"user": "kurt", "password": PASSWORD}, session=None,
                         source="127.9.9.9", headers={"User-Agent": "Mozilla/5.0 (phone) <b>\x80"})
    there = http_lab.Session(answer)
    listed = sessions_of(server, here)
    assert len(listed) == 2 and sum(one["current"] for one in listed) == 1
    other = next(one for one in listed if not one["current"])
    assert other["address"] == "127.9.9.9" and other["agent"] == "Mozilla/5.0 (phone) <b>?"
    own_of_anna = next(one for one in sessions_of(server, server.session) if one["current"])
    assert status(server, here, f"/api/v1/sessions/{own_of_anna['id']}", "DELETE") == 404
    assert status(server, server.session) == 200
    assert rows(server, user="kurt", action="session.end") == [], "nothing was ended"

    async def watch():
        async with live(server, there) as socket:
            await socket.recv()
            code = await asyncio.to_thread(status, server, here, f"/api/v1/sessions/{other['id']}", "DELETE")
            assert code == 204
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), 5)
            assert socket.close_code == 4401

    asyncio.run(watch())
    assert status(server, there) == 401 and status(server, here) == 200
    third = sign_in(server, "kurt")
    assert status(server, here, "/api/v1/sessions", "DELETE") == 204
    assert status(server, third) == 401 and status(server, here) == 200


def test_an_administrator_ends_the_sessions_of_a_user(server):
    user = make_user(server, "lena")
    lena = sign_in(server, "lena")
    assert server.call("DELETE", f"/api/v1/users/{user}/sessions").status == 204
    assert status(server, lena) == 401
    assert server.call("DELETE", "/api/v1/users/999999/sessions").status == 404


def test_signing_in_again_gives_a_new_id_and_ends_the_old_one(server):
    make_user(server, "mia")
    first = sign_in(server, "mia")
    answer = server.call("POST", "/api/v1/session", {"user": "mia", "password": PASSWORD}, session=first,
                         source=source())
    second = http_lab.Session(answer)
    assert second.cookie != first.cookie and second.csrf != first.csrf
    assert second.attributes == ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"]
    assert status(server, first) == 401 and status(server, second) == 200


def test_a_user_has_20_sessions_at_most(server):
    make_user(server, "nora")
    first = sign_in(server, "nora")
    rest = [sign_in(server, "nora") for _ in range(19)]
    assert status(server, first) == 200  # and is the last used now
    one_more = sign_in(server, "nora")
    assert status(server, rest[0]) == 401
    assert [status(server, session) for session in (first, rest[1], one_more)] == [200] * 3


def test_what_changes_an_account_needs_a_fresh_password(fresh):
    make_user(fresh, "olga", "admin")
    fresh.end()
    with contextlib.closing(sqlite3.connect(fresh.state / "meshping.db")) as database:
        database.execute("UPDATE web_sessions SET confirmed_ms = ?", (int(time.time() * 1000) - 900_001,))
        database.commit()
    fresh.start()
    for method, path, body in (("POST", "/api/v1/users", {"name": "new", "role": "admin"}),
                               ("PATCH", "/api/v1/users/1", {"role": "viewer"}), ("POST", "/api/v1/users/2/link", None),
                               ("PUT", "/api/v1/profile", {"email": "a@b"}), ("DELETE", "/api/v1/sessions", None),
                               ("POST", "/api/v1/tokens", {"name": "t", "role": "admin"})):
        answer = fresh.call(method, path, body)
        assert answer.status == 403 and answer.json()["confirm"] is True, (method, path, answer)
    assert fresh.call("GET", "/api/v1/users").status == 200
    assert fresh.call("POST", "/api/v1/session/confirm", {"password": "wrong wrong wrong"}).status == 403
    answer = fresh.call("POST", "/api/v1/session/confirm", {"password": http_lab.PASSWORD})
    old, fresh.session = fresh.session, http_lab.Session(answer)
    assert fresh.session.cookie != old.cookie and status(fresh, old) == 401  # re-authentication: a new id
    assert fresh.call("PUT", "/api/v1/profile", {"email": "anna@example.org"}).json()["email"] == "anna@example.org"


# ---- tokens ----

# RFC 9110, sections 5.3, 5.5 and 11.4, and RFC 6750: the lines of a header, and whether they are somebody.
AS_WRITTEN = {
    "Authorization: Bearer TOKEN": 200, "authorization:bEARER TOKEN": 200, "Authorization: \t Bearer    TOKEN \t ": 200,
    "Authorization: Bearer\tTOKEN": 401, "Authorization: Bearer \tTOKEN": 401, "Authorization: BearerTOKEN": 401,
    "Authorization: Bearer": 401, "Authorization: Bearer ": 401, "Authorization: Bearer TOKEN TOKEN": 401,
    'Authorization: Bearer "TOKEN"': 401, "Authorization: Bearer TOKEN,": 401, "Authorization: Token TOKEN": 401,
    "Authorization: Bearer TOKEN\r\nAuthorization: Bearer TOKEN": 401,
    "Authorization: Bearer TOKEN\r\nAuthorization: Basic YTpi": 401,
    "Authorization: Basic YTpi\r\nAuthorization: Bearer TOKEN": 401,
    "X-Y: z": 401,
}


def as_written(server, token):
    """Each of AS_WRITTEN with what became of it; who is refused is told how to ask (RFC 9110, section 15.5.2)."""
    found = {}
    for lines in AS_WRITTEN:
        answer = server.raw(b"GET /api/v1/agents HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                            + lines.replace("TOKEN", token).encode() + b"\r\n\r\n")
        head = answer.split(b"\r\n\r\n")[0].decode()
        found[lines] = int(head.split()[1])
        challenge = re.findall(r"(?mi)^www-authenticate: (.*?)\r?$", head)
        named = re.match(r"(?i)authorization:\s*bearer(\s|$)", lines)
        assert challenge == ([] if found[lines] != 401 else ['Bearer error="invalid_token"' if named else "Bearer"]), head
    return found


def test_a_token_works_without_a_cookie_and_within_its_role(server):
    answer = server.call("POST", "/api/v1/tokens", {"name": "ci", "role": "operator", "days": 2})
    assert answer.status == 201
    token = answer.json()
    assert token["token"].startswith("mpt_") and len(token["token"]) == 47
    assert abs(token["expires_ms"] - token["created_ms"] - 2 * 86400e3) < 1
    bearer = {"Authorization": f"Bearer {token['token']}"}
    assert status(server, None, headers=bearer) == 200
    assert status(server, None, "/api/v1/targets", "PUT", {"targets": ["192.0.2.9"]}, headers=bearer) == 200  # no CSRF
    assert status(server, None, "/api/v1/users", headers=bearer) == 403
    assert status(server, None, "/api/v1/tokens", "POST", {"name": "x", "role": "viewer"}, headers=bearer) == 403
    assert status(server, None, "/api/v1/password", "PUT", {"current": "x", "password": "y"}, headers=bearer) == 403
    assert server.call("GET", "/api/v1/session", session=None, headers=bearer).json()["role"] == "operator"
    # what is not whole, or something else, is nobody; a good cookie beside it does not help
    wrong = (token["token"][:-1], token["token"] + "x", "mpt_" + "A" * 43, "", "anna")
    for header in (*(f"Bearer {one}" for one in wrong), f"Bearer\t{token['token']}", "Bearer"):
        answer = server.call("GET", "/api/v1/agents", headers={"Authorization": header})
        assert answer.status == 401 and answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert as_written(server, token["token"]) == AS_WRITTEN
    listed = next(one for one in server.call("GET", "/api/v1/tokens").json()["tokens"] if one["id"] == token["id"])
    assert "token" not in listed and listed["used_ms"] > 0 and listed["role"] == "operator"
    assert token["token"].encode() not in b"".join(p.read_bytes() for p in server.state.rglob("*") if p.is_file())
    assert token["token"] not in server.log.read_text()
    assert server.call("DELETE", f"/api/v1/tokens/{token['id']}").status == 204
    assert status(server, None, headers=bearer) == 401
    assert server.call("DELETE", f"/api/v1/tokens/{token['id']}").status == 404


def test_a_token_opens_the_live_view_until_it_is_revoked(server):
    token = server.call("POST", "/api/v1/tokens", {"name": "live", "role": "viewer"}).json()
    bearer = {"Authorization": f"Bearer {token['token']}"}
    another = server.call("POST", "/api/v1/tokens", {"name": "another", "role": "viewer"}).json()
    good = {"Authorization": f"Bearer {another['token']}"}

    async def watch():
        async with live(server, None, origin=None, extra_headers=bearer) as socket:
            assert json.loads(await socket.recv())["event"] == "snapshot"
            await asyncio.to_thread(server.call, "DELETE", f"/api/v1/tokens/{token['id']}")
            with contextlib.suppress(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(socket.recv(), 5)
            assert socket.close_code == 4401
        for headers, origin in ((bearer, None), (good, "https://evil.example"), ({}, None),
                                ({"Cookie": server.session.cookie}, None),
                                ({"Cookie": server.session.cookie}, "https://evil.example")):
            with pytest.raises(websockets.InvalidStatusCode):
                await live(server, None, origin=origin, extra_headers=headers)

    asyncio.run(watch())


def test_tokens_are_ones_own_and_never_stronger_than_oneself(server):
    user = make_user(server, "paul", "operator")
    paul = sign_in(server, "paul")
    anna = server.call("POST", "/api/v1/tokens", {"name": "anna's", "role": "viewer"}).json()
    assert status(server, paul, "/api/v1/tokens", "POST", {"name": "x", "role": "admin"}) == 403
    for body in ({"role": "viewer"}, {"name": "x"}, {"name": "x", "role": "viewer", "days": 0},
                 {"name": "x", "role": "viewer", "days": 367}, {"name": "\n", "role": "viewer"}):
        assert status(server, paul, "/api/v1/tokens", "POST", body) == 400
    token = server.call("POST", "/api/v1/tokens", {"name": "p", "role": "operator"}, session=paul).json()
    bearer = {"Authorization": f"Bearer {token['token']}"}
    assert [one["name"] for one in server.call("GET", "/api/v1/tokens", session=paul).json()["tokens"]] == ["p"]
    assert status(server, paul, f"/api/v1/tokens/{anna['id']}", "DELETE") == 404
    assert status(server, None, "/api/v1/targets", "PUT", {"targets": []}, headers=bearer) == 200
    assert server.call("PATCH", f"/api/v1/users/{user}", {"role": "viewer"}).status == 200
    assert status(server, None, "/api/v1/targets", "PUT", {"targets": []}, headers=bearer) == 403  # at once
    assert status(server, None, headers=bearer) == 200
    assert server.call("DELETE", f"/api/v1/tokens/{token['id']}").status == 204  # an administrator may


def test_an_expired_token_is_none(fresh):
    token = fresh.call("POST", "/api/v1/tokens", {"name": "old", "role": "viewer"}).json()
    fresh.end()
    with contextlib.closing(sqlite3.connect(fresh.state / "meshping.db")) as database:
        assert database.execute("UPDATE tokens SET expires_ms = ?", (int(time.time() * 1000) - 1,)).rowcount == 1
        database.commit()
    fresh.start()
    assert status(fresh, None, headers={"Authorization": f"Bearer {token['token']}"}) == 401


# ---- audit ----

def test_each_change_is_one_row_that_says_who_what_and_from_where(server):
    before = rows(server, limit=1)[0]["id"]
    make_user(server, "quin")
    quin = server.sign_in("quin", PASSWORD, source="127.8.8.8")
    server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.77"]})
    server.call("DELETE", "/api/v1/session", session=quin, source="127.8.8.8")
    # of these two: a sign-in that an earlier test gave up may be refused meanwhile
    new = [row for row in rows(server) if row["id"] > before and row["user"] in ("anna", "quin")][::-1]
    assert [(row["user"], row["action"], row["object"], row["via"]) for row in new] == [
        ("anna", "user.create", "quin", "session"), ("quin", "user.password", "quin", "link"),
        ("quin", "session.begin", "quin", "password"), ("anna", "targets.replace", "", "session"),
        ("quin", "session.end", "quin", "session")]
    assert new[2]["address"] == "127.8.8.8" and new[0]["address"] == "127.0.0.1"
    assert all(abs(row["time_ms"] - time.time() * 1000) < 60e3 for row in new)
    # what was refused changed nothing, and is no row
    last = rows(server, limit=1)[0]["id"]
    assert server.call("POST", "/api/v1/users", {"name": "quin", "role": "viewer"}).status == 409
    assert server.call("PUT", "/api/v1/targets", {"targets": [""]}).status == 400
    assert rows(server, limit=1)[0]["id"] == last


def test_the_audit_log_is_searched_and_paged(server):
    for i in range(5):
        invite(server, f"robin-{i}")
    assert [row["object"] for row in rows(server, q="ROBIN-3")] == ["robin-3"]
    assert all(row["action"] == "user.create" for row in rows(server, action="user.create"))
    assert rows(server, user="nobody") == [] and rows(server, q="%25") == [] and rows(server, q="'%20OR%201=1--") == []
    seen, before = [], 0
    while True:
        page = server.call("GET", f"/api/v1/audit?limit=7&before={before}").json()
        assert len(page["rows"]) <= 7
        seen += [row["id"] for row in page["rows"]]
        before = page["next"]
        if before is None:
            break
    assert seen == sorted(set(seen), reverse=True) and seen[-1] == 1
    for query in ("limit=0", "limit=1001", "limit=x", "before=-1", "from_ms=1.5", "to_ms=", "limit=1x"):
        assert server.call("GET", f"/api/v1/audit?{query}").status == 400, query


def test_failed_sign_ins_are_summed_up_in_the_audit_log(fresh):
    for _ in range(3):
        fresh.call("POST", "/api/v1/session", {"user": "anna", "password": "wrong wrong wrong"}, session=None,
                   source="127.7.7.7")
    deadline = time.monotonic() + 10
    while not rows(fresh, action="session.refused"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    row = rows(fresh, action="session.refused")[0]
    assert row["address"] == "127.7.7.7" and row["user"] == "" and "failed" in row["detail"]


def test_the_audit_log_cannot_be_changed_in_the_database(fresh):
    fresh.end()
    with contextlib.closing(sqlite3.connect(fresh.state / "meshping.db")) as database:
        for statement in ("DELETE FROM audit", "UPDATE audit SET user = 'x'", "DELETE FROM audit WHERE id = 1"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                database.execute(statement)
    fresh.start()
