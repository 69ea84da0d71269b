# SPDX-License-Identifier: Apache-2.0
"""A list of breached passwords on the server's own disk: asked wherever a password is set, and never passed over."""

import hashlib
import re
import subprocess
import time

import pytest

import http_lab
from openapi_lab import OPERATIONS, resolve

BREACHED, GOOD, BETTER = "thunder walrus ladder", "lamp orchid granite", "copper violin meadow"
FOUND, FAILED = "found in a list of breached passwords", "cannot be used"


def write_list(path, *more, count=5000):
    """As Have I Been Pwned's downloader writes it."""
    words = [f"word {i}" for i in range(count)] + [BREACHED, *more]
    hashes = sorted(hashlib.sha1(word.encode()).hexdigest().upper() for word in words)
    new = path.with_suffix(".new")
    new.write_text("".join(f"{word}:{i % 400 + 1}\n" for i, word in enumerate(hashes)))
    new.rename(path)


@pytest.fixture
def list_file(tmp_path):
    path = tmp_path / "breached.txt"
    write_list(path)
    return path


@pytest.fixture
def server(tmp_path, list_file):
    s = http_lab.Server(tmp_path, breached_passwords=list_file)
    s.start()
    yield s
    s.end()


def set_up(server, password):
    code = (server.state / "setup-code").read_text().strip()
    return server.call("POST", "/api/v1/setup", {"code": code, "user": http_lab.USER, "password": password}, session=None)


def use(server, token, password):
    return server.call("POST", "/api/v1/links/use", {"token": token, "password": password}, session=None)


def alarms(server):
    return {alarm["kind"]: alarm["text"] for alarm in server.call("GET", "/api/v1/server").json()["alarms"]}


def refused(answer):
    return answer.status == 400 and FOUND in answer.json()["detail"]


def test_no_way_takes_a_breached_password(server):
    assert refused(set_up(server, BREACHED))
    answer = set_up(server, http_lab.PASSWORD)  # the code was not used up
    assert answer.status == 201
    server.session = http_lab.Session(answer)

    made = server.call("POST", "/api/v1/users", {"name": "bert", "role": "viewer"}).json()
    assert refused(use(server, made["token"], BREACHED))
    assert use(server, made["token"], GOOD).status == 204  # nor was the link
    bert = server.sign_in("bert", GOOD)

    def change(current, password):
        return server.call("PUT", "/api/v1/password", {"current": current, "password": password}, session=bert)

    assert change("not the current one", BREACHED).status == 403  # who does not know it learns nothing
    assert refused(change(GOOD, BREACHED))
    server.sign_in("bert", GOOD)
    assert change(GOOD, BETTER).status == 200

    reset = server.call("POST", f"/api/v1/users/{made['user']['id']}/link").json()
    assert refused(use(server, reset["token"], BREACHED))
    server.sign_in("bert", BETTER)  # he has not been touched
    assert use(server, reset["token"], GOOD).status == 204
    # those are all that take a password from somebody; the others compare it with the one that is set
    setting = {path for method, path, operation in OPERATIONS if method != "get" and "requestBody" in operation
               and "password" in str(resolve(operation["requestBody"]["content"]["application/json"]["schema"]))}
    assert setting == {"/api/v1/" + path for path in ("setup", "links/use", "password", "session", "session/confirm",
                                                      "settings")}
    assert BREACHED not in server.log.read_text()


def test_a_newer_list_counts_without_a_restart(server, list_file):
    server.session = http_lab.Session(set_up(server, http_lab.PASSWORD))
    made = server.call("POST", "/api/v1/users", {"name": "bert", "role": "viewer"}).json()
    write_list(list_file, GOOD)
    assert refused(use(server, made["token"], GOOD))
    write_list(list_file)
    assert use(server, made["token"], GOOD).status == 204


def test_a_list_that_cannot_be_read_any_more_lets_nothing_through(server, list_file):
    server.session = http_lab.Session(set_up(server, http_lab.PASSWORD))
    made = server.call("POST", "/api/v1/users", {"name": "bert", "role": "viewer"}).json()
    assert "breached" not in alarms(server)
    for spoil, why in ((list_file.unlink, "No such file"), (lambda: list_file.write_text("nothing\n"), "no line of"),
                       (lambda: list_file.write_text(""), "empty")):
        spoil()
        answer = use(server, made["token"], GOOD)
        assert answer.status == 503 and FAILED in answer.json()["detail"], answer
        assert str(list_file) not in answer.json()["detail"]
        assert why in alarms(server)["breached"] and why in server.log.read_text()
        assert 'meshping_alarm{kind="breached"} 1' in server.call("GET", "/metrics").body.decode()
        server.sign_in()  # who has a password comes in
    write_list(list_file)
    assert use(server, made["token"], GOOD).status == 204
    deadline = time.monotonic() + 25  # it is looked at every 15 s
    while "breached" in alarms(server):
        assert time.monotonic() < deadline
        time.sleep(1)
    list_file.unlink()
    while "breached" not in alarms(server):  # though nobody sets a password
        assert time.monotonic() < deadline + 25
        time.sleep(1)
    write_list(list_file)


SPOILT = {
    "missing": (lambda path: path.unlink(), "cannot be opened: No such file"),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "not a file"),
    "empty": (lambda path: path.write_text(""), "empty"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-20]), "cut off"),
    "unsorted": (lambda path: path.write_text("\n".join(reversed(path.read_text().split()))), "not sorted by hash"),
    "words": (lambda path: path.write_text("password\n123456\n" * 50), "no line of a SHA-1"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_no_start_with_a_list_that_is_none(tmp_path, list_file, spoilt):
    spoil, why = SPOILT[spoilt]
    config = tmp_path / "meshpingd.conf"
    config.write_text(f"breached_passwords = {list_file}\nstate_dir = {tmp_path}/state\n")

    def run(*more):
        done = subprocess.run([http_lab.BIN / "meshpingd", "--config", config, *more], text=True, timeout=20, stdout=-1,
                              stderr=-1)
        return done.returncode, done.stdout, done.stderr

    code, _, error = run("--check-config")
    assert code == 0 and error.count("\n") == 1 and "is a part of a list" in error, error
    spoil(list_file)
    for more in ((), ("--check-config",)):
        code, out, error = run(*more)
        assert code == 2 and out == "" and error.count("\n") == 1, error
        assert f"breached_passwords: {list_file}: " in error and why in error
    assert not (tmp_path / "state").exists()


def test_the_command_line_asks_the_list_too(tmp_path, list_file):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    config = tmp_path / "meshpingd.conf"
    config.write_text(f"breached_passwords = {list_file}\nstate_dir = {state}\n")

    def create(password, *more):
        done = subprocess.run([http_lab.BIN / "meshpingd", "admin", "create", "--name", "anna", "--password-file", "-",
                               *more], input=password, text=True, timeout=60, stdout=-1, stderr=-1)
        return done.returncode, done.stderr

    for more in (["--config", config], [f"--config={config}", "--state-dir", state]):
        code, error = create(BREACHED, *more)
        assert code == 1 and FOUND in error and error.count("\n") == 1
    text = list_file.read_text()
    list_file.write_text(text[:-20])
    code, error = create(GOOD, "--config", config)
    assert code == 1 and re.search(f"breached_passwords: {list_file}: .*cut off", error), error
    list_file.write_text(text)
    config.write_text("no such key = 1\n")
    code, error = create(GOOD, "--config", config)
    assert code == 1 and f"{config} line 1" in error
    config.write_text(f"breached_passwords = {list_file}\nstate_dir = {state}\n")
    assert create(GOOD, "--config", config) == (0, "")


def test_a_long_list_is_not_read_as_a_whole(tmp_path):
    """Two million lines, 90 MB: of which a look at its order and a search read 12 KB."""
    path = tmp_path / "breached.txt"
    with open(path, "w") as file:
        for i in range(2_000_000):
            file.write(f"{(i << 43) // 2_000_000:011X}{'0' * 29}:{i % 977 + 1}\n")
    server = http_lab.Server(tmp_path, breached_passwords=path)
    server.start()

    def read():
        counts = dict(line.split(": ") for line in open(f"/proc/{server.process.pid}/io").read().splitlines())
        return int(counts["rchar"])

    before = read()
    assert set_up(server, GOOD).status == 201
    assert read() - before < 200_000
    server.end()
