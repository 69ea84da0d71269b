# SPDX-License-Identifier: Apache-2.0
"""The server's settings through the API: each that can be changed does what it says, at once and after a restart."""

import re
import socket
import sqlite3
import time

import pytest

import http_lab
import mail_lab
from openapi_lab import DOCUMENT

PATH = "/api/v1/settings"
MAIL = {"smtp_from": "meshping@example.org", "public_url": "https://mon.example"}


@pytest.fixture
def make(tmp_path):
    running = []

    def start(**config):
        s = http_lab.Server(tmp_path, **config)
        s.start().set_up()
        running.append(s)
        return s

    yield start
    for s in running:
        s.end()


@pytest.fixture
def server(make):
    return make()


def all_of(server):
    return {item["name"]: item for item in server.call("GET", PATH).json()["settings"]}


def value(server, name):
    return all_of(server)[name]["value"]


def change(server, status=200, **settings):
    answer = server.call("PATCH", PATH, settings)
    assert answer.status == status, answer
    return answer.json()


def refused(server, status=400, **settings):
    before = all_of(server)
    problem = change(server, status, **settings)
    assert all_of(server) == before
    return problem


def restart(server):
    server.end()
    server.start()


def test_every_key_is_told_with_where_it_comes_from(make):
    server = make(slow_ms=100, smtp_ca_file="/nowhere")
    settings = all_of(server)
    keys = [line[1:].split(" = ")[0] for line in http_lab.subprocess.run(
        [http_lab.BIN / "meshpingd", "--sample-config"], check=True, text=True, stdout=-1).stdout.splitlines()
        if line.startswith("#") and not line.startswith("# ")]
    assert set(settings) == {*keys, "smtp_password"}
    assert settings["slow_ms"]["source"] == "file" and not settings["slow_ms"]["changeable"]  # though the default
    assert settings["listen"]["source"] == "option" and settings["retention"]["source"] == "default"
    assert server.call("GET", PATH).json()["file"] == str(server.config)
    patch = DOCUMENT["paths"][PATH]["patch"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {name for name, item in settings.items() if item["changeable"]} == set(patch) - {"slow_ms"}
    for dangerous in ("audit_days", "trusted_proxies", "metrics_allow", "smtp_password_file", "certificate_file",
                      "breached_passwords"):
        assert not settings[dangerous]["changeable"]


def test_a_change_holds_at_once_and_after_a_restart_until_it_is_taken_back(server):
    told = change(server, retention="48h", slow_ms=80, lossy_count="3", stale_intervals=5)
    assert {item["name"]: item.get("value") for item in told["settings"]}["retention"] == "2d"
    for _ in range(2):
        about = server.call("GET", "/api/v1/server").json()
        assert about["retention_s"] == 172800
        assert about["thresholds"] == {"slow_rtt_us": 80000, "lossy_count": 3, "stale_intervals": 5}
        assert all_of(server)["retention"]["source"] == "database"
        restart(server)
    change(server, retention=None, slow_ms=None)
    about = server.call("GET", "/api/v1/server").json()
    assert about["retention_s"] == 86400 and about["thresholds"]["slow_rtt_us"] == 100000
    restart(server)
    assert all_of(server)["retention"]["source"] == "default"


def test_all_of_a_change_or_nothing(server):
    problem = refused(server, retention="7d", slow_ms=0)
    assert problem["setting"] == "slow_ms" and "between 1 and 60000" in problem["detail"]


@pytest.mark.parametrize("settings,name,words", [
    ({"retention": "24"}, "retention", "is not a time like 90m, 24h, 7d or 2y"),
    ({"retention": "59m"}, "retention", "is not between 1h and 20y"),
    ({"retention": 86400}, "retention", "is not a time like"),
    ({"retention": "91d"}, "rollup_retention", "at least as long as retention"),
    ({"rollup_retention": "2h"}, "rollup_retention", "between 1d and 20y"),
    ({"database_max_size": "1M"}, "database_max_size", "is not between 16M and 64T"),
    ({"slow_ms": "fast"}, "slow_ms", "is not a whole number"),
    ({"session_hours": 0}, "session_hours", "between 1 and 8760"),
    ({"advertise": "mon.example"}, "advertise", "is not HOST:PORT"),
    ({"public_url": "http://mon"}, "public_url", "https://HOST[:PORT] is needed"),
    ({"log_level": "chatty"}, None, "chatty"),
    ({"smtp_url": "http://127.0.0.1"}, "smtp_url", "is not smtp://HOST:PORT"),
    ({"smtp_url": "smtp://127.0.0.1"}, "smtp_from", "an address such as"),
    ({"smtp_url": "smtps://mesh:hunter2@mail.example.org", **MAIL}, "smtp_url", "no user or password in it"),
    ({"smtp_url": "smtp://127.0.0.1", **MAIL, "smtp_user": "x"}, "smtp_password_file", "its password is needed"),
    ({"smtp_user": "a\r\nRCPT TO:<x@y>"}, "smtp_user", "a control character"),
    ({"smtp_password": ""}, "smtp_password", "1 to 255 bytes"),
    ({"smtp_password": "x" * 256}, "smtp_password", "1 to 255 bytes"),
    ({"slow_m": 1}, None, 'did you mean "slow_ms"?'),
    ({"slow_ms": 1.5}, None, "a string, a whole number or null"),
    ({"slow_ms": [1]}, None, "a string, a whole number or null"),
    ({}, None, "at least one setting"),
])
def test_what_is_not_good_is_refused_with_what_to_do(server, settings, name, words):
    problem = refused(server, **settings)
    assert problem.get("setting") == name and words in problem["detail"], problem


def test_what_the_file_or_an_option_gives_is_changed_there(make):
    server = make(slow_ms=70)
    problem = refused(server, 409, slow_ms=80)
    assert problem["setting"] == "slow_ms" and str(server.config) in problem["detail"]
    assert "by an option" in refused(server, 409, listen="127.0.0.1:1")["detail"]
    assert "restart" in refused(server, 409, trusted_proxies="10.0.0.0/8")["detail"]
    # kept meanwhile, and there again when the file lets go
    change(server, lossy_count=4)
    server.end()
    text = server.config.read_text()
    server.config.write_text(text + "lossy_count = 2\n")
    server.start()
    assert value(server, "lossy_count") == "2" and all_of(server)["lossy_count"]["source"] == "file"
    server.end()
    server.config.write_text(text)
    server.start()
    assert value(server, "lossy_count") == "4"


def test_what_no_longer_goes_with_the_file_is_left_out_and_the_log_says_so(make):
    server = make()
    change(server, rollup_retention="30d", slow_ms=80)
    server.end()
    server.config.write_text("retention = 60d\n")
    server.start()
    assert value(server, "rollup_retention") == "90d" and value(server, "slow_ms") == "80"
    assert ("rollup_retention = 30d, as set on the page, does not go with the configuration and is left out: "
            "rollup_retention must be at least as long as retention") in server.log.read_text()


@pytest.mark.parametrize("file,kept,left", [
    ("rollup_retention = 2d", {"retention": "7d"}, ["retention", "at least as long as retention"]),
    ("public_url = http://mon", {"smtp_from": "m@example.org", "smtp_url": "smtp://127.0.0.1"},
     ["smtp_url", "https://HOST[:PORT] is needed"]),
])
def test_what_is_bad_only_together_with_the_file_is_left_out_and_the_rest_stays(make, file, kept, left):
    server = make()
    change(server, **({"public_url": "https://mon"} if "smtp_url" in kept else {}), **kept, slow_ms=80)
    server.end()
    server.config.write_text(file + "\n")
    server.start()
    name, why = left
    assert all_of(server)[name]["source"] == "default" and value(server, "slow_ms") == "80"
    lines = [line for line in server.log.read_text().splitlines() if "as set on the page" in line]
    assert len(lines) == 1 and f"{name} = {kept[name]}" in lines[0] and why in lines[0], lines


def test_a_file_that_is_bad_by_itself_says_so_and_blames_no_setting(make):
    server = make()
    change(server, slow_ms=80)
    server.end()
    server.config.write_text("smtp_url = smtp://127.0.0.1\nsmtp_from = nobody\n")
    done = http_lab.subprocess.run([http_lab.BIN / "meshpingd", "--config", server.config, "--state-dir", server.state,
                                    "--listen", server.host], text=True, timeout=20, stdout=-1, stderr=-1)
    assert done.returncode == 1 and "smtp_from: an address such as" in done.stderr
    assert "as set on the page" not in done.stderr
    server.config.write_text("")
    server.start()
    assert value(server, "slow_ms") == "80"


def test_what_the_database_lacks_to_be_whole_the_file_may_give(make):
    server = make()
    change(server, **MAIL, slow_ms=80)
    server.end()
    server.config.write_text("smtp_url = smtp://127.0.0.1\nsmtp_from = m@example.org\n")  # public_url is the page's
    server.start()
    assert value(server, "public_url") == "https://mon.example" and value(server, "slow_ms") == "80"
    assert "as set on the page" not in server.log.read_text()


def test_two_that_bound_each_other_come_back_together(server):
    change(server, retention="200d", rollup_retention="400d")
    restart(server)
    assert (value(server, "retention"), value(server, "rollup_retention")) == ("200d", "400d")


def test_two_administrators_do_not_overwrite_each_other(server):
    etag = server.call("GET", PATH).headers["ETag"]
    assert server.call("PATCH", PATH, {"slow_ms": 80}, headers={"If-Match": etag}).status == 200
    answer = server.call("PATCH", PATH, {"slow_ms": 90}, headers={"If-Match": etag})
    assert answer.status == 412 and "load it again" in answer.json()["detail"]
    assert value(server, "slow_ms") == "80"
    restart(server)  # what was read before it is old as well
    assert server.call("PATCH", PATH, {"slow_ms": 90}, headers={"If-Match": etag}).status == 412


def test_the_audit_log_says_what_was_changed_from_what_to_what(server):
    change(server, retention="7d", smtp_password="secret of smtp", public_url="https://mon")
    row = server.call("GET", "/api/v1/audit?limit=1").json()["rows"][0]
    assert row["action"] == "settings.change" and row["user"] == http_lab.USER
    assert row["detail"] == "retention 1d -> 7d; smtp_password another; public_url nothing -> https://mon"

    hosts = ", ".join(f"{i}.{'x' * 40}.example:443" for i in range(8))
    change(server, advertise=hosts, retention="3d")  # a long one pushes no other out
    detail = server.call("GET", "/api/v1/audit?limit=1&action=settings.change").json()["rows"][0]["detail"]
    assert "retention " in detail and "-> 3d" in detail and "advertise " in detail
    change(server, advertise=hosts.replace("x", "y"), retention="4d")
    assert "-> 4d" in server.call("GET", "/api/v1/audit?limit=1&action=settings.change").json()["rows"][0]["detail"]


# ---- each does what it says; what agents show of it: test_settings_live.py ----

def test_sign_ins_end_by_the_limits_of_now(server):
    other = server.sign_in()
    with sqlite3.connect(server.state / "meshping.db", timeout=10) as db:
        hashes = [row[0] for row in db.execute("SELECT token_hash FROM web_sessions")]
    assert len(hashes) == 2
    server.end()
    with sqlite3.connect(server.state / "meshping.db") as db:
        db.execute("UPDATE web_sessions SET created_ms = created_ms - 7200000")
    server.start()
    assert server.call("GET", "/api/v1/agents", session=other).status == 200
    server.session = server.sign_in()
    change(server, session_hours=1)
    time.sleep(1.5)
    assert server.call("GET", "/api/v1/agents", session=other).status == 401
    assert server.call("GET", "/api/v1/agents").status == 200


def test_targets_that_set_none_get_the_interval_and_timeout_of_now(server):
    change(server, interval_ms=7000, timeout_ms=900)
    made = server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1"]}).json()["targets"][0]
    assert (made["interval_ms"], made["timeout_ms"]) == (7000, 900)
    assert server.call("GET", "/api/v1/matrix").json()["interval_ms"] == 7000


def test_the_address_in_passphrases_is_that_of_now(server):
    assert server.call("POST", "/api/v1/passphrases", {}).status == 400
    change(server, advertise="mon.example:8443, 192.0.2.1:443")
    assert server.call("POST", "/api/v1/passphrases", {}).json()["advertise"] == "mon.example:8443"
    assert server.call("GET", "/api/v1/server").json()["advertise"] == ["mon.example:8443", "192.0.2.1:443"]


def test_the_log_tells_as_much_as_is_set(server):
    change(server, log_level="error")
    server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.1"]})
    assert "targets: revision" not in server.log.read_text()
    change(server, log_level="info")
    server.call("PUT", "/api/v1/targets", {"targets": ["192.0.2.2"]})
    assert "targets: revision" in server.log.read_text()


# ---- e-mail ----

@pytest.fixture
def post(tmp_path):
    box, url, stop = mail_lab.start(tmp_path, tls=True)
    yield box, url
    stop()


def test_e_mail_is_set_up_tried_and_turned_off_while_the_server_runs(make, post, tmp_path):
    box, url = post
    server = make(smtp_ca_file=tmp_path / "smtp.pem")
    no = server.call("POST", PATH + "/test-mail", {"to": "anna@example.org"})
    assert no.status == 409 and "smtp_url" in no.json()["detail"]
    change(server, **MAIL, smtp_url=url, smtp_user="mesh", smtp_password="wrong")
    failed = server.call("POST", PATH + "/test-mail", {"to": "anna@example.org"})
    assert failed.status == 502 and url in failed.json()["detail"] and "did not take it" in failed.json()["detail"]
    change(server, smtp_password="secret of smtp")
    for _ in range(2):
        assert server.call("POST", PATH + "/test-mail", {"to": "anna@example.org"}).status == 204
        restart(server)
    assert [mail["Subject"] for _, _, mail in box.mails] == ["A test from Meshping"] * 2
    assert box.mails[0][1] == ["anna@example.org"] and "anna had Meshping send this" in box.mails[0][2].get_payload()
    assert [row["object"] for row in server.call("GET", "/api/v1/audit?action=settings.test_mail").json()["rows"]] == \
        ["anna@example.org"] * 2
    for bad in ("", "x", "a@b\r\nBcc: c@d", "a@b, c@d"):
        assert server.call("POST", PATH + "/test-mail", {"to": bad}).status == 400
    assert server.call("GET", "/api/v1/session", session=None).json()["mail"] is True
    change(server, smtp_url=None)
    assert server.call("GET", "/api/v1/session", session=None).json()["mail"] is False


def test_the_password_is_never_told_and_lies_sealed(server):
    change(server, smtp_password="secret of smtp")
    told = server.call("GET", PATH)
    assert b"secret of smtp" not in told.body and all_of(server)["smtp_password"]["set"] is True
    server.end()
    for file in server.state.iterdir():
        assert b"secret of smtp" not in file.read_bytes() and b"secret of smtp".hex().encode() not in file.read_bytes()
    assert "secret of smtp" not in server.log.read_text()
    server.start()
    change(server, smtp_password=None)
    assert all_of(server)["smtp_password"]["set"] is False


def test_the_password_goes_to_no_other_server_than_it_was_typed_for(server):
    change(server, **MAIL, smtp_url="smtp://127.0.0.1:1", smtp_user="mesh", smtp_password="secret of smtp")
    problem = refused(server, smtp_url="smtp://127.0.0.2:1")
    assert problem["setting"] == "smtp_password" and "type it again" in problem["detail"]
    change(server, smtp_url="smtp://127.0.0.2:1", smtp_password="another one")


def test_where_the_file_sets_e_mail_up_all_of_it_is_there(make, tmp_path):
    (tmp_path / "pw").write_text("x\n")
    server = make(smtp_password_file=tmp_path / "pw")
    for name in ("smtp_url", "smtp_from", "smtp_user", "smtp_password"):
        assert not all_of(server)[name]["changeable"]
        assert "set up in" in refused(server, 409, **{name: "x"})["detail"]


def test_a_client_that_leaves_during_a_test_mail_harms_nobody(make):
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        server = make()
        change(server, **MAIL, smtp_url=f"smtp://127.0.0.1:{silent.getsockname()[1]}")
        body = b'{"to":"a@example.org"}'
        with server.tls() as tls:
            tls.sendall(f"POST {PATH}/test-mail HTTP/1.1\r\nHost: {server.host}\r\nCookie: {server.session.cookie}\r\n"
                        f"X-CSRF-Token: {server.session.csrf}\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            asked, _ = silent.accept()
            busy = server.call("POST", PATH + "/test-mail", {"to": "a@example.org"})
            assert busy.status == 429 and "another e-mail" in busy.json()["detail"]
        assert server.call("GET", "/healthz").status == 200
        asked.close()


def test_about_names_every_library_that_is_linked_with_the_version_that_runs(server):
    about = server.call("GET", "/api/v1/about").json()
    linked = re.findall(r"\[lib([\w-]+)\.so", http_lab.subprocess.run(
        ["readelf", "-d", http_lab.BIN / "meshpingd"], check=True, text=True, stdout=-1).stdout)
    names = {"c": "GNU C library", "crypto": "OpenSSL", "ssl": "OpenSSL", "curl": "curl", "inih": "inih", "json-c": "json-c",
             "sqlite3": "SQLite", "uv": "libuv", "websockets": "libwebsockets", "z": "zlib", "zstd": "Zstandard"}
    known = {library["name"]: library for library in about["libraries"]}
    assert linked and {names[library] for library in linked} <= set(known)
    assert all(library["version"] and library["licence"] for library in known.values())
    assert known["SQLite"]["version"] == sqlite3.sqlite_version
    notes = http_lab.subprocess.run(["readelf", "-n", http_lab.BIN / "meshpingd"], check=True, text=True,
                                    stdout=-1).stdout
    assert about["build"]["id"] == (re.search(r"Build ID: ([0-9a-f]+)", notes) or ["", ""])[1]
    with sqlite3.connect(server.state / "meshping.db") as db:
        assert about["schema_version"] == db.execute("PRAGMA user_version").fetchone()[0]
    assert about["version"] == server.call("GET", "/api/v1/server").json()["version"] and about["licence"] == "Apache-2.0"
