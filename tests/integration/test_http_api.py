# SPDX-License-Identifier: Apache-2.0
"""docs/API.md against a real server: who is let in, what is refused and how, targets, passphrases, the original's."""

import json
import re
import subprocess
import time

import pytest

import http_lab

ID = "6f0c0000000000ff"  # of no agent
CLOSED = [
    ("DELETE", "/api/v1/session"), ("GET", "/api/v1/agents"), ("POST", f"/api/v1/agents/{ID}/approve"),
    ("POST", f"/api/v1/agents/{ID}/reject"), ("POST", f"/api/v1/agents/{ID}/hold"),
    ("POST", f"/api/v1/agents/{ID}/reinstate"), ("GET", "/api/v1/targets"), ("PUT", "/api/v1/targets"),
    ("GET", "/api/v1/passphrases"), ("POST", "/api/v1/passphrases"), ("DELETE", "/api/v1/passphrases/0011223344556677"),
    ("GET", "/api/v1/matrix"), ("GET", f"/api/v1/series?agent={ID}&target=1"), ("GET", "/api/v1/events"),
    ("GET", f"/api/v1/history?agent={ID}&target=1"), ("GET", "/api/v1/summary"), ("POST", "/api/v1/summary"),
    ("GET", "/api/v1/worst"),
    ("GET", "/api/v1/server"), ("POST", "/admin/update_targets"), ("POST", f"/admin/approve/{ID}"),
    ("POST", f"/admin/reject/{ID}"), ("GET", f"/monitoring/{ID}/192.0.2.1"),
]
UNSAFE = [call for call in CLOSED if call[0] != "GET"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = http_lab.Server(tmp_path_factory.mktemp("http"), metrics_allow="127.0.0.2/32").start().set_up()
    yield s
    s.end()


def problem(answer, status):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    found = answer.json()
    assert found["type"] == "about:blank" and found["status"] == status and found["title"] and found["detail"]
    return found


# ---- who is let in ----

@pytest.mark.parametrize("method,path", CLOSED)
def test_nothing_is_open_without_a_session(server, method, path):
    body = {} if method in ("POST", "PUT") else None
    answer = server.call(method, path, body, session=None)
    assert answer.status == 401, answer
    answer = server.call(method, path, body, session=None, headers={"Cookie": "__Host-meshping=" + "A" * 43})
    assert answer.status == 401, answer


@pytest.mark.parametrize("method,path", UNSAFE)
def test_changes_need_the_csrf_token_and_our_own_page(server, method, path):
    body = {} if method in ("POST", "PUT") else None
    for headers in ({"X-CSRF-Token": None}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "A" * 43},
                    {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
                    {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": f"http://{server.host}"}):
        answer = server.call(method, path, body, headers=headers)
        assert answer.status == 403, (headers, answer)
    assert server.call("GET", "/api/v1/session").status == 200  # still signed in: nothing was done


def test_own_page_and_scripts_may_change_things(server):
    revision = server.call("GET", "/api/v1/targets").json()["revision"]
    for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"},
                    {"Origin": f"https://{server.host}", "Sec-Fetch-Site": "same-origin"}):
        answer = server.call("PUT", "/api/v1/targets", {"targets": []}, headers=headers)
        assert answer.status == 200, answer
    assert server.call("GET", "/api/v1/targets").json()["revision"] >= revision


def test_session_says_who_and_401_whether_setup_is_needed(server):
    answer = server.call("GET", "/api/v1/session")
    assert answer.status == 200
    assert answer.json() == {"user": http_lab.USER, "role": "admin", "csrf": server.session.csrf}
    assert problem(server.call("GET", "/api/v1/session", session=None), 401)["setup_needed"] is False


def test_cookie_is_as_strict_as_cookies_get(server):
    session = server.sign_in()
    assert re.fullmatch(r"__Host-meshping=[A-Za-z0-9_-]{43}", session.cookie)
    assert sorted(session.attributes) == ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]
    assert len(session.csrf) == 43 and session.csrf not in session.cookie
    # the token itself is nowhere in the state directory
    token = session.cookie.split("=", 1)[1].encode()
    assert not any(token in path.read_bytes() for path in server.state.rglob("*") if path.is_file())
    assert server.call("DELETE", "/api/v1/session", session=session).status == 204


def test_sign_out_ends_the_session(server):
    session = server.sign_in()
    assert server.call("GET", "/api/v1/agents", session=session).status == 200
    answer = server.call("DELETE", "/api/v1/session", session=session)
    assert answer.status == 204 and answer.body == b""
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert server.call("GET", "/api/v1/agents", session=session).status == 401
    assert server.call("GET", "/api/v1/agents").status == 200  # the other one lives


def test_signing_in_anew_ends_the_earlier_session(server):
    first = server.sign_in()
    answer = server.call("POST", "/api/v1/session", {"user": http_lab.USER, "password": http_lab.PASSWORD},
                         session=first)
    assert answer.status == 200
    second = http_lab.Session(answer)
    assert second.cookie != first.cookie and second.csrf != first.csrf
    assert server.call("GET", "/api/v1/session", session=first).status == 401
    assert server.call("DELETE", "/api/v1/session", session=second).status == 204


def test_wrong_password_and_unknown_user_look_the_same(server):
    def fail(user):
        begun = time.monotonic()
        answer = server.call("POST", "/api/v1/session", {"user": user, "password": "not the password"}, session=None,
                             source="127.0.0.77")
        assert answer.headers.get("Set-Cookie") is None
        return problem(answer, 401), time.monotonic() - begun

    known_s, unknown_s = [], []
    for n in range(4):  # in turn; the least of each is what the server took when nothing else held it up
        known, seconds = fail(http_lab.USER)
        known_s.append(seconds)
        unknown, seconds = fail(f"nobody {n}")
        unknown_s.append(seconds)
        assert known == unknown
        server.call("DELETE", "/api/v1/session", session=server.sign_in())  # forgives the account
    assert 0.6 < min(known_s) / min(unknown_s) < 1.6


def test_guessing_is_slowed_down_and_never_locked_out(server):
    user = "guessed"
    statuses = []
    for _ in range(7):
        answer = server.call("POST", "/api/v1/session", {"user": user, "password": "wrong wrong wrong"}, session=None,
                             source="127.0.0.78")
        statuses.append(answer.status)
        if answer.status == 429:
            assert 1 <= int(answer.headers["Retry-After"]) <= 30
            assert "try again in" in problem(answer, 429)["detail"]
            break
    assert statuses == [401] * 5 + [429]
    time.sleep(int(answer.headers["Retry-After"]) + 0.1)
    answer = server.call("POST", "/api/v1/session", {"user": user, "password": "wrong wrong wrong"}, session=None,
                         source="127.0.0.78")
    assert answer.status == 401
    # others are not touched by it
    server.call("DELETE", "/api/v1/session", session=server.sign_in())


def test_sign_in_body_must_be_right(server):
    for body in ({}, {"user": "anna"}, {"user": 5, "password": "x"}, {"user": "anna", "password": None},
                 {"user": "an\0na", "password": "x"}):
        problem(server.call("POST", "/api/v1/session", body, session=None), 400)
    # the limit before signing in is 8 KiB
    problem(server.call("POST", "/api/v1/session", b'{"user":"' + b"a" * 9000 + b'"}', session=None), 413)


# ---- HTTP itself ----

def test_every_answer_carries_the_safety_headers(server):
    for method, path in (("GET", "/healthz"), ("GET", "/api/v1/session"), ("GET", "/api/v1/agents"), ("GET", "/"),
                         ("GET", "/nothing/here"), ("POST", "/healthz"), ("GET", "/metrics")):
        answer = server.call(method, path)
        http_lab.check_safety(path, answer)
        assert "Server" not in answer.headers
        if path.startswith("/api/"):
            assert answer.headers["Cache-Control"] == "no-store"


def test_wrong_method_and_unknown_path(server):
    answer = server.call("POST", "/api/v1/agents", {})
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD"
    answer = server.call("DELETE", "/api/v1/targets")
    problem(answer, 405)
    assert answer.headers["Allow"] == "GET, HEAD, PUT"
    problem(server.call("PATCH", "/api/v1/targets", {}), 405)
    problem(server.call("OPTIONS", "/api/v1/targets"), 405)
    for path in ("/api/v1/nothing", "/api/v2/agents", "/api/v1/agents/", "/api/v1/agents/x/approve/y", "/admin/",
                 "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/none.js"):
        problem(server.call("GET", path), 404)


def test_head_is_get_without_its_body(server):
    get, head = server.call("GET", "/api/v1/server"), server.call("HEAD", "/healthz")
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == "3"
    assert get.status == 200 and len(get.body) == int(get.headers["Content-Length"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"targets":[}', b'{"targets":[]} x', b"\xff\xfe",
                                  b"[" * 100, b'{"a":' * 40 + b"1" + b"}" * 40, b"null"])
def test_bad_json_is_a_400(server, body):
    problem(server.call("PUT", "/api/v1/targets", body), 400)


def test_only_json_is_taken(server):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None):
        problem(server.call("PUT", "/api/v1/targets", {"targets": []}, headers={"Content-Type": kind}), 415)
    answer = server.call("PUT", "/api/v1/targets", {"targets": []},
                         headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status == 200


def test_too_large_a_body_is_refused_before_it_is_read(server):
    def put(length, sent=b""):
        got = server.raw(f"PUT /api/v1/targets HTTP/1.1\r\nHost: {server.host}\r\nCookie: {server.session.cookie}\r\n"
                         f"X-CSRF-Token: {server.session.csrf}\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {length}\r\n\r\n".encode() + sent)
        return int(got.split()[1]) if got else None

    assert put(4 * 1024 * 1024 + 1) == 413
    assert put(10**12) == 413
    assert put(4 * 1024 * 1024 + 1, b" " * 1_000_000) == 413
    big = json.dumps({"targets": []}).encode()
    answer = server.call("PUT", "/api/v1/targets", b" " * (4 * 1024 * 1024 - len(big)) + big)
    assert answer.status == 200, answer
    # and a small route takes no big body
    problem(server.call("POST", "/api/v1/passphrases", b" " * 8193), 413)


@pytest.mark.parametrize("head,status", [
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\nhello", 400),
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\nhello", 400),
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello", 400),
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    (b"GET /healthz HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
     411),
    (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
    (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
    (b"GET /healthz?" + b"&".join(b"a%d=1" % i for i in range(20)) + b" HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    (b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-CSRF-Token: " + b"a" * 200 + b"\r\n\r\n", 431),
    (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\n\r\n", 400),  # no length: no body
])
def test_what_smuggles_is_refused_and_the_connection_ends(server, head, status):
    got = server.raw(head + b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    assert int(got.split()[1]) == status, got
    assert b"connection: close" in got.lower()
    assert got.count(b"HTTP/1.1 ") == 1


def test_one_connection_serves_many_requests(server):
    with server.tls() as tls:
        file = tls.makefile("rb")
        for _ in range(20):
            tls.sendall(f"GET /api/v1/session HTTP/1.1\r\nHost: h\r\nCookie: {server.session.cookie}\r\n\r\n".encode())
            assert b" 200 " in file.readline()
            length = 0
            while (line := file.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert json.loads(file.read(length))["user"] == http_lab.USER


def test_who_does_not_wait_for_the_answer_is_answered_once(server):
    get = b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"
    body = json.dumps({"user": "nobody", "password": "x"}).encode()
    post = (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)) + body
    refused = b"POST /api/v1/targets HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    # libwebsockets takes a pipelined request's head for its body, and may loop: none is ever served
    for first, status in ((get, 200), (post, 401), (refused, 405)):
        for rest in (get, post, refused, post[:-5], post[:20], get + post, b"\r\n"):
            got = server.raw(first + rest)
            if got.count(b"HTTP/1.1 ") != 1 or int(got.split()[1]) not in (status, 429):
                pytest.fail(f"{first[:20]} {rest[:20]}: {got}")
            assert b"connection: close" in got.lower(), (first, rest, got)
    assert server.call("GET", "/healthz").status == 200


@pytest.mark.parametrize("version,asked,kept", [
    ("1.1", "TE", True), ("1.1", "close", False), ("1.1", "TE, Close", False), ("1.1", "keep-alive, close", False),
    ("1.0", "TE", False), ("1.0", "Keep-Alive", True),
    ("1.0", "TE, Keep-Alive", False)])
def test_a_connection_is_kept_as_it_was_asked_for(server, version, asked, kept):
    with server.tls() as tls:
        tls.settimeout(5)
        for _ in range(2 if kept else 1):
            tls.sendall(f"HEAD /healthz HTTP/{version}\r\nHost: h\r\nConnection: {asked}\r\n\r\n".encode())
            answer = tls.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 "), answer
            assert (b"Connection: keep-alive" if kept else b"Connection: close") in answer
        assert kept or tls.recv(1) == b""


def test_a_connection_goes_on_after_a_refused_body(server):
    with server.tls() as tls:
        file = tls.makefile("rb")
        for _ in range(3):
            tls.sendall(b"POST /api/v1/targets HTTP/1.1\r\nHost: h\r\nContent-Length: 2000\r\n\r\n")
            time.sleep(0.05)
            tls.sendall(b"x" * 1000)
            time.sleep(0.05)
            tls.sendall(b"x" * 1000)
            assert b" 405 " in file.readline()
            head = b""
            while (line := file.readline()) != b"\r\n":
                head += line
            assert b"connection: keep-alive" in head.lower()
            file.read(int(re.search(rb"content-length: (\d+)", head.lower())[1]))


def test_expect_100_continue_is_answered(server):
    with server.tls() as tls:
        file = tls.makefile("rb")
        head = (f"PUT /api/v1/targets HTTP/1.1\r\nHost: h\r\nCookie: {server.session.cookie}\r\nX-CSRF-Token: "
                f"{server.session.csrf}\r\nContent-Type: application/json\r\nContent-Length: 14\r\n"
                "Expect: 100-continue\r\nConnection: close\r\n\r\n")
        tls.sendall(head.encode())
        assert file.readline() == b"HTTP/1.1 100 Continue\r\n" and file.readline() == b"\r\n"
        tls.sendall(b'{"targets":[]}')
        assert file.readline().startswith(b"HTTP/1.1 200 ")
        file.read()
    # who may not is told at once, without the body that he keeps back until he is told
    for kept in (head, head.replace("Connection: close\r\n", "")):
        with server.tls() as tls:
            tls.settimeout(3)
            tls.sendall(kept.replace("X-CSRF-Token", "X-Other").encode())
            answer = tls.recv(4096)
            assert answer.startswith(b"HTTP/1.1 403 ") and b"Connection: close" in answer
    # HTTP/1.0 knows no such word
    with server.tls() as tls:
        tls.sendall(head.replace("HTTP/1.1", "HTTP/1.0").encode() + b'{"targets":[]}')
        assert tls.makefile("rb").readline().startswith(b"HTTP/1.1 200 ")


# ---- targets ----

def test_targets_are_replaced_as_a_whole(server):
    answer = server.call("PUT", "/api/v1/targets", {"targets": [
        {"address": "192.0.2.1", "name": "gateway"}, "2001:DB8::1", "www.Example.org. the web"]})
    assert answer.status == 200, answer
    found = answer.json()
    assert [(t["address"], t["name"]) for t in found["targets"]] == [
        ("192.0.2.1", "gateway"), ("2001:db8::1", ""), ("www.example.org", "the web")]
    assert found["limit"] == 10000
    assert all(t["interval_ms"] == 5000 and t["timeout_ms"] == 3000 and t["size"] == 56 and t["dscp"] == 0
               for t in found["targets"])
    assert len({t["id"] for t in found["targets"]}) == 3
    assert answer.headers["ETag"] == f'"{found["revision"]}"'
    again = server.call("GET", "/api/v1/targets")
    assert again.json() == found and again.headers["ETag"] == answer.headers["ETag"]
    # what GET gives may be put back; a host keeps its id
    put = server.call("PUT", "/api/v1/targets", {"targets": list(reversed(found["targets"]))}).json()
    assert {t["address"]: t["id"] for t in put["targets"]} == {t["address"]: t["id"] for t in found["targets"]}


@pytest.mark.parametrize("targets,index,reason", [
    (["192.0.2.1", "192.0.2.256"], 1, "192.0.2.256"),
    (["192.0.2.1", "2001:db8::1", "192.0.2.1"], 2, "already"),
    ([{"address": "192.0.2.1"}, {"address": "192.0.2.9", "interval_ms": 5}], 1, "interval"),
    ([{"name": "no address"}], 0, "address"),
    (["192.0.2.1", 7], 1, "string"),
    (["bad_host!"], 0, "target 1"),
    (["192.0.2.1 " + "n" * 65], 0, "name"),
])
def test_a_wrong_target_is_named_and_the_old_list_stays(server, targets, index, reason):
    before = server.call("GET", "/api/v1/targets").json()
    found = problem(server.call("PUT", "/api/v1/targets", {"targets": targets}), 400)
    assert found["index"] == index and reason in found["detail"], found
    assert server.call("GET", "/api/v1/targets").json() == before


def test_the_list_has_a_limit_of_10000(server):
    before = server.call("GET", "/api/v1/targets").json()
    hosts = [f"10.{i // 250}.{i % 250}.1" for i in range(10001)]
    found = problem(server.call("PUT", "/api/v1/targets", {"targets": hosts}), 400)
    assert "10001" in found["detail"] and "10000" in found["detail"]
    assert server.call("GET", "/api/v1/targets").json() == before
    answer = server.call("PUT", "/api/v1/targets", {"targets": hosts[:10000]})
    assert answer.status == 200 and len(answer.json()["targets"]) == 10000
    assert server.call("PUT", "/api/v1/targets", {"targets": before["targets"]}).status == 200


def test_a_preview_says_what_would_change_and_changes_nothing(server):
    server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1 one", "192.0.2.2 two", "192.0.2.3"]})
    before = server.call("GET", "/api/v1/targets").json()
    last = server.call("GET", "/api/v1/audit?limit=1").json()["rows"][0]["id"]
    found = server.call("POST", "/api/v1/targets/preview", {"targets": [
        "192.0.2.4 new", {"address": "192.0.2.2", "name": "two", "interval_ms": 1000}, "192.0.2.1 one"]}).json()
    assert [t["address"] for t in found["added"]] == ["192.0.2.4"]
    assert [t["address"] for t in found["removed"]] == ["192.0.2.3"]
    assert [(c["before"]["interval_ms"], c["after"]["interval_ms"]) for c in found["changed"]] == [(5000, 1000)]
    assert found["kept"] == 1 and found["revision"] == before["revision"] and found["agents"] == 0
    # its own list back is no change; a wrong one is refused as PUT refuses it
    same = server.call("POST", "/api/v1/targets/preview", {"targets": before["targets"]}).json()
    assert (same["added"], same["removed"], same["changed"], same["kept"]) == ([], [], [], 3)
    assert problem(server.call("POST", "/api/v1/targets/preview", {"targets": ["192.0.2.1", "nö"]}), 400)["index"] == 1
    assert server.call("GET", "/api/v1/targets").json() == before
    assert server.call("GET", "/api/v1/audit?limit=1").json()["rows"][0]["id"] == last


def test_if_match_protects_from_somebody_faster(server):
    first = server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1"]})
    etag = first.headers["ETag"]
    second = server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.2"]}, headers={"If-Match": etag})
    assert second.status == 200
    problem(server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.3"]}, headers={"If-Match": etag}), 412)
    problem(server.call("PUT", "/api/v1/targets", {"targets": []}, headers={"If-Match": '"0"'}), 412)
    problem(server.call("PUT", "/api/v1/targets", {"targets": []}, headers={"If-Match": "abc"}), 400)
    assert server.call("GET", "/api/v1/targets").json() == second.json()


def test_a_preview_refuses_what_a_change_does(server):
    body = {"targets": ["192.0.2.1", "agent-0000000000000001.invalid"]}
    for method, path in (("POST", "/api/v1/targets/preview"), ("PUT", "/api/v1/targets")):
        assert "own name" in problem(server.call(method, path, body), 400)["detail"]


# ---- passphrases ----

def test_passphrases_are_shown_once_listed_and_revoked(server):
    answer = server.call("POST", "/api/v1/passphrases", {"advertise": "mon.example:8443", "label": "rack 7",
                                                         "hours": 2, "uses": 3})
    assert answer.status == 201, answer
    made = answer.json()
    assert made["passphrase"].startswith("MP1-") and made["label"] == "rack 7" and made["uses_max"] == 3
    assert abs(made["expires_ms"] / 1000 - time.time() - 7200) < 60
    assert set(made["commands"]) == {"deb", "run"}
    assert not any(made["passphrase"] in command for command in made["commands"].values())
    listed = server.call("GET", "/api/v1/passphrases")
    assert made["passphrase"] not in listed.body.decode()
    entry = next(p for p in listed.json()["passphrases"] if p["id"] == made["id"])
    assert entry["label"] == "rack 7" and entry["uses"] == 0 and entry["revoked"] is False
    assert server.call("DELETE", f"/api/v1/passphrases/{made['id']}").status == 204
    entry = next(p for p in server.call("GET", "/api/v1/passphrases").json()["passphrases"] if p["id"] == made["id"])
    assert entry["revoked"] is True
    problem(server.call("DELETE", "/api/v1/passphrases/0011223344556677"), 404)
    problem(server.call("DELETE", "/api/v1/passphrases/xyz"), 404)


def test_a_passphrase_needs_an_address_and_sane_limits(server):
    assert "advertise" in problem(server.call("POST", "/api/v1/passphrases", {}), 400)["detail"]
    for body in ({"advertise": "no port"}, {"advertise": "h:0"}, {"advertise": 5}, {"advertise": "h:1", "hours": 0},
                 {"advertise": "h:1", "uses": -1}, {"advertise": "h:1", "uses": "5"},
                 {"advertise": "h:1", "hours": 1e9}, {"advertise": "h:1", "hours": 8761},
                 {"advertise": "h:1", "label": "x" * 300}, {"advertise": "h:1", "label": "a\nb"},
                 {"advertise": "h:1", "label": "\u202erack"}):
        problem(server.call("POST", "/api/v1/passphrases", body), 400)


# ---- the rest ----

def test_unknown_agents_and_pairs_are_404(server):
    for action in ("approve", "reject", "hold", "reinstate"):
        problem(server.call("POST", f"/api/v1/agents/{ID}/{action}", {}), 404)
        problem(server.call("POST", f"/api/v1/agents/nonsense/{action}", {}), 404)
    problem(server.call("GET", f"/api/v1/series?agent={ID}&target=1"), 404)
    problem(server.call("GET", "/api/v1/series?agent=x&target=1"), 404)
    problem(server.call("GET", "/api/v1/series"), 400)


def test_events_and_server_say_what_they_promise(server):
    events = server.call("GET", "/api/v1/events?limit=1000").json()["events"]
    assert {"targets", "passphrase"} <= {event["kind"] for event in events}
    assert all(set(event) == {"time_ms", "kind", "agent", "user", "text"} for event in events)
    assert [e["time_ms"] for e in events] == sorted((e["time_ms"] for e in events), reverse=True)
    assert len(server.call("GET", "/api/v1/events?limit=1").json()["events"]) == 1
    for limit in ("0", "-1", "x", "1001"):
        problem(server.call("GET", f"/api/v1/events?limit={limit}"), 400)
    read, before = [], ""
    while before is not None:  # whatever comes meanwhile
        page = server.call("GET", f"/api/v1/events?limit=2{before and f'&before={before}'}").json()
        read += page["events"]
        before = page["next"]
        if len(read) == 2:
            server.call("PUT", "/api/v1/targets", {"targets": []})
    assert read == events
    assert server.call("GET", "/api/v1/events?before=1").json() == {"events": [], "next": None}
    for path in ("events", "audit"):
        assert server.call("GET", f"/api/v1/{path}?before=9007199254740991").status == 200
        refused = problem(server.call("GET", f"/api/v1/{path}?before=9007199254740992"), 400)
        assert "to 9007199254740991" in refused["detail"]
    found = server.call("GET", "/api/v1/server").json()
    assert found["port"] == server.port and found["retention_s"] == 86400 and len(found["pin"]) == 32
    assert set(found["thresholds"]) == {"slow_rtt_us", "lossy_count", "stale_intervals"}
    assert set(server.call("GET", "/api/v1/matrix").json()) >= {"time_ms", "version", "agents", "targets", "cells"}


def test_health_is_open_and_says_little(server):
    assert server.call("GET", "/healthz", session=None).body == b"ok\n"
    assert server.call("GET", "/readyz", session=None).body == b"ready\n"


# ---- the original's routes ----

def test_original_update_targets(server):
    path = "/admin/update_targets"
    hosts = ["192.0.2.1", "192.0.2.2"]
    answer = server.call("POST", path, {"targets": hosts})
    assert answer.status == 200 and answer.json() == {"status": "success", "targets": hosts}
    assert [t["address"] for t in server.call("GET", "/api/v1/targets").json()["targets"]] == hosts
    for body in (None, b"", b"{", {}, {"targets": "192.0.2.1"}, {"targets": ["192.0.2.1", 5]},
                 {"targets": ["192.0.2.999"]}, {"targets": ["192.0.2.1", "192.0.2.1"]}):
        answer = server.call("POST", path, body)
        assert answer.status == 400, (body, answer)
        assert list(answer.json()) == ["error"] and answer.json()["error"]
    assert [t["address"] for t in server.call("GET", "/api/v1/targets").json()["targets"]] == hosts


def test_original_update_targets_keeps_what_was_set_of_targets_that_stay(server):
    kept = {"address": "192.0.2.1", "name": "core", "interval_ms": 7000, "timeout_ms": 900, "size": 120, "dscp": 46,
            "labels": {"site": "zrh"}, "slow_ms": 20, "lossy_percent": 25}
    both = [{"address": "both.example", "family": family, "size": 60 + family} for family in (4, 6)]
    saved = server.call("PUT", "/api/v1/targets", {"targets": [kept, "192.0.2.2", *both]}).json()["targets"]
    hosts = ["192.0.2.3 new", "both.example", "192.0.2.1"]
    answer = server.call("POST", "/admin/update_targets", {"targets": hosts})
    assert answer.status == 200 and answer.json() == {"status": "success", "targets": hosts}
    new, *stayed = server.call("GET", "/api/v1/targets").json()["targets"]
    assert (new["address"], new["name"], new["interval_ms"]) == ("192.0.2.3", "new", 5000)
    assert stayed == [saved[2], saved[3], saved[0]] and stayed[2].items() >= kept.items()
    assert server.call("POST", "/admin/update_targets", {"targets": ["192.0.2.1 renamed"]}).status == 200
    assert server.call("GET", "/api/v1/targets").json()["targets"] == [saved[0] | {"name": "renamed"}]


def test_original_routes_have_the_original_s_errors_whatever_is_wrong(server):
    path = "/admin/update_targets"
    for method, at in (("GET", path), ("DELETE", f"/admin/approve/{ID}"), ("POST", f"/monitoring/{ID}/x")):
        answer = server.call(method, at)
        assert answer.status == 405 and list(answer.json()) == ["error"] and answer.headers["Allow"], (at, answer)
    for name, value, status in (("Transfer-Encoding", "chunked", 411), ("Host", "", 400), ("Content-Length", "x", 400)):
        answer = server.call("POST", path, headers={name: value})
        assert answer.status == status and list(answer.json()) == ["error"], (name, answer)
    assert server.call("GET", "/admin/nothing").headers["Content-Type"] == "application/problem+json"


def test_original_approve_reject_and_monitoring_of_nobody(server):
    for path in (f"/admin/approve/{ID}", f"/admin/reject/{ID}", "/admin/approve/x"):
        answer = server.call("POST", path)
        assert answer.status == 404 and answer.json() == {"error": "Agent not found"}, path
    answer = server.call("GET", f"/monitoring/{ID}/192.0.2.1")
    assert answer.status == 404 and answer.json() == {"error": "Agent not found"}


def test_pages_are_the_same_shell_for_everybody(server):
    page = server.call("GET", "/", session=None)
    if page.status == 404:
        pytest.skip("built without its pages")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Cache-Control"] == "no-cache"
    for path in ("/admin", "/admin/targets"):
        assert server.call("GET", path, session=None).body == page.body
    assert b"<html" in page.body.lower()  # no Accept-Encoding: unpacked
    packed = server.call("GET", "/", session=None, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and packed.body[:2] == b"\x1f\x8b"
    assert server.call("GET", "/", session=None, headers={"If-None-Match": page.headers["ETag"]}).status == 304
    for asset in re.findall(rb'(?:src|href)="(/[^"]+\.(?:js|css))"', page.body):
        answer = server.call("GET", asset.decode(), session=None)
        assert answer.status == 200 and "immutable" in answer.headers["Cache-Control"]


def test_plain_http_on_the_tls_port_disturbs_nobody(server):
    import socket
    with socket.create_connection(("127.0.0.1", server.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        plain.settimeout(15)
        try:
            assert b"200" not in plain.recv(4096)
        except ConnectionResetError:
            pass
    assert server.call("GET", "/healthz").status == 200


def test_tls_1_2_is_refused(server):
    tried = subprocess.run(["openssl", "s_client", "-connect", server.host, "-tls1_2"], input=b"",
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
    assert tried.returncode != 0
    assert b"BEGIN CERTIFICATE" not in tried.stdout
