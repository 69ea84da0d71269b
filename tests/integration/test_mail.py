# SPDX-License-Identifier: Apache-2.0
"""A forgotten password, by e-mail: a real meshpingd and a small SMTP server beside it, on loopback."""

import re
import time

import pytest

import http_lab
import mail_lab

PASSWORD = "thunder walrus ladder"


@pytest.fixture
def lab(tmp_path):
    """lab(tls=..., **config): a server with a mail box."""
    running = []

    def make(tls=False, **config):
        box, url, stop = mail_lab.start(tmp_path, tls)
        running.append(stop)
        s = http_lab.Server(tmp_path, smtp_url=url, smtp_from="meshping@example.org",
                            public_url="https://mon.example:8443", **config)
        s.start().set_up()
        running.append(s.end)
        return s, box

    yield make
    for stop in reversed(running):
        stop()


def user_with_mail(server, name="bert", address="bert@example.org"):
    link = server.call("POST", "/api/v1/users", {"name": name, "role": "viewer", "email": address}).json()
    assert server.call("POST", "/api/v1/links/use", {"token": link["token"], "password": PASSWORD},
                       session=None).status == 204
    return link["user"]["id"]


def ask(server, name, **more):
    return server.call("POST", "/api/v1/password-reset", {"user": name}, session=None, **more)


def test_a_forgotten_password_is_chosen_anew_by_a_mailed_link(lab):
    server, box = lab()
    user_with_mail(server)
    bert = server.sign_in("bert", PASSWORD)
    assert server.call("GET", "/api/v1/session", session=None).json()["mail"] is True
    assert ask(server, "bert", headers={"Host": "evil.example"}).status == 202
    box.wait(1)
    sender, receivers, mail = box.mails[0]
    assert sender == "meshping@example.org" and receivers == ["bert@example.org"]
    assert mail["Subject"] == "A new password for Meshping" and mail["To"] == "<bert@example.org>"
    assert mail["Message-ID"].endswith("@example.org>") and mail["Date"]
    text = mail.get_payload()
    token = re.search(r"https://mon\.example:8443/#/link/([\w-]{43})", text)[1]
    assert "evil" not in text and "127.0.0.1" in text
    # nothing has changed until the link is used
    assert server.call("GET", "/api/v1/agents", session=bert).status == 200
    opened = server.call("POST", "/api/v1/links/open", {"token": token}, session=None).json()
    assert opened["user"] == "bert" and 59 * 60e3 < opened["expires_ms"] - time.time() * 1000 <= 60 * 60e3
    assert server.call("POST", "/api/v1/links/use", {"token": token, "password": "lamp orchid granite"},
                       session=None).status == 204
    assert server.call("GET", "/api/v1/agents", session=bert).status == 401
    server.sign_in("bert", "lamp orchid granite")
    assert server.call("POST", "/api/v1/links/open", {"token": token}, session=None).status == 404
    row = next(row for row in server.call("GET", "/api/v1/audit").json()["rows"] if row["via"] == "e-mail")
    assert row["object"] == "bert" and row["address"] == "127.0.0.1" and row["action"] == "user.link"
    assert token not in server.log.read_text()


def test_nobody_learns_who_there_is(lab):
    server, box = lab()
    user_with_mail(server)
    user_with_mail(server, "cara", "")
    disabled = user_with_mail(server, "dora", "dora@example.org")
    assert server.call("PATCH", f"/api/v1/users/{disabled}", {"disabled": True}).status == 200
    taken = {}
    for i, name in enumerate(("nobody", "cara", "dora", "bert", "x" * 200, "' OR 1=1 --", "nobody", "bert")):
        begun = time.monotonic()
        answer = ask(server, name, source=f"127.3.0.{i + 1}")
        taken[i] = time.monotonic() - begun
        assert answer.status == 202 and answer.body == b""
    box.wait(2)
    time.sleep(1.5)
    assert [to for _, to, _ in box.mails] == [["bert@example.org"]] * 2
    assert max(taken.values()) < 1


def test_nobody_is_flooded(lab):
    server, box = lab()
    user_with_mail(server)
    for i in range(8):
        assert ask(server, "bert", source=f"127.3.0.{i + 1}").status == 202
    statuses = [ask(server, f"user{i}", source="127.3.1.1").status for i in range(11)]
    assert statuses == [202] * 10 + [429]
    box.wait(3)
    time.sleep(4)
    assert len(box.mails) == 3


def test_mail_goes_over_tls_with_a_password_and_only_to_whom_we_trust(lab, tmp_path):
    secret = tmp_path / "smtp-password"
    secret.write_text("secret of smtp\n")
    server, box = lab(tls=True, smtp_user="mesh", smtp_password_file=secret, smtp_ca_file=tmp_path / "smtp.pem")
    user_with_mail(server)
    assert ask(server, "bert").status == 202
    box.wait(1)
    assert "secret of smtp" not in server.log.read_text()
    # the same server, and its certificate not trusted
    server.end()
    server.config.write_text(server.config.read_text().replace("smtp_ca_file", "#smtp_ca_file"))
    server.start()
    assert ask(server, "bert").status == 202
    deadline = time.monotonic() + 10
    while "was not taken" not in server.log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert len(box.mails) == 1


def test_without_smtp_one_is_told_to_ask_an_administrator(tmp_path):
    server = http_lab.Server(tmp_path)
    server.start().set_up()
    assert server.call("GET", "/api/v1/session", session=None).json()["mail"] is False
    answer = ask(server, "anna")
    assert answer.status == 404 and "administrator" in answer.json()["detail"]
    server.end()


@pytest.mark.parametrize("config,reason", [
    ({"smtp_url": "http://127.0.0.1"}, "smtp_url"), ({"smtp_url": "smtp://127.0.0.1"}, "smtp_from"),
    ({"smtp_url": "smtp://127.0.0.1", "smtp_from": "a@b c"}, "smtp_from"),
    ({"smtp_url": "smtp://127.0.0.1", "smtp_from": "a@b"}, "public_url"),
    ({"smtp_url": "smtp://127.0.0.1", "smtp_from": "a@b", "public_url": "http://mon"}, "public_url"),
    ({"smtp_url": "smtp://127.0.0.1", "smtp_from": "a@b", "public_url": "https://mon", "smtp_user": "x"}, "password"),
])
def test_a_wrong_mail_configuration_stops_the_start(tmp_path, config, reason):
    s = http_lab.Server(tmp_path, **config)
    done = http_lab.subprocess.run([http_lab.BIN / "meshpingd", "--config", s.config, "--state-dir", s.state, "--listen",
                                    "127.0.0.1:0"], text=True, stdout=-1, stderr=-2, timeout=20)
    assert done.returncode in (1, 2) and reason in done.stdout
