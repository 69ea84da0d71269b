# SPDX-License-Identifier: Apache-2.0
"""One real meshpingd on loopback and a plain HTTP client, for the tests of its HTTP side. No root."""

import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

import openapi_lab

BIN = pathlib.Path(os.environ.get("MESHPING_BIN", "build/release/bin")).resolve()
USER, PASSWORD = "anna", "correct horse battery"
SAFETY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
                               "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; "
                               "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}


def tls_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def check_safety(path, answer):
    """Of every answer that any test gets: the headers for safety, each once, and nothing of the API is kept."""
    for name, value in SAFETY.items():
        assert answer.headers.get_all(name) == [value], (path, name, answer)
    if path.startswith(("/api/", "/admin/update", "/admin/approve", "/admin/reject", "/monitoring/", "/metrics")):
        assert answer.headers.get_all("Cache-Control") == ["no-store"], (path, answer)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Session:
    def __init__(self, answer):
        cookies = answer.headers.get_all("Set-Cookie")
        own = [cookie for cookie in cookies if cookie.startswith("__Host-meshping=")]
        assert len(own) == 1
        self.attributes = [part.strip() for part in own[0].split(";")]
        self.cookie = self.attributes.pop(0)
        self.known = next((cookie.split(";")[0] for cookie in cookies if cookie.startswith("__Host-meshping-known=")), None)
        self.csrf = answer.json()["csrf"]


class Server:
    def __init__(self, directory, **config):
        self.directory = pathlib.Path(directory)
        self.state = self.directory / "state"
        self.state.mkdir(mode=0o700, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.config = self.directory / "meshpingd.conf"
        lines = [f"{key} = {value}" for key, value in config.items()]
        self.config.write_text("\n".join(lines) + "\n")
        self.log = self.directory / "log"
        self.session = None
        self.process = None

    def start(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [BIN / "meshpingd", "--config", self.config, "--state-dir", self.state, "--listen",
                 f"127.0.0.1:{self.port}"], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.call("GET", "/readyz", session=None).status == 200:
                    return self
            except OSError:
                pass
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def end(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        assert code == 0, f"exit {code}:\n{self.log.read_text()}"

    def call(self, method, path, body=None, session="own", headers=None, source=None, check=True, seconds=20):
        """session: "own" is the server's own, None is nobody's. A body that is no bytes is sent as JSON."""
        session = self.session if session == "own" else session
        sent = {"Host": self.host}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        if session:
            sent["Cookie"] = session.cookie
            if method not in ("GET", "HEAD"):
                sent["X-CSRF-Token"] = session.csrf
        sent.update(headers or {})
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=seconds, context=tls_context(),
                                                 source_address=(source, 0) if source else None)
        try:
            connection.request(method, path, body=body,
                               headers={key: value for key, value in sent.items() if value is not None})
            got = connection.getresponse()
            answer = Answer(got.status, got.headers, got.read())
            if check:
                check_safety(path, answer)
            if check and method != "HEAD" and "Content-Encoding" not in got.headers:
                openapi_lab.check_answer(method, path, answer)
            return answer
        finally:
            connection.close()

    def raw(self, data, seconds=20):
        """Sends bytes over TLS and reads until the server closes, or nothing more comes for a second."""
        with self.tls() as tls:
            tls.sendall(data)
            got = b""
            deadline = time.monotonic() + seconds
            try:
                while time.monotonic() < deadline:
                    tls.settimeout(1 if got else seconds)
                    more = tls.recv(65536)
                    if not more:
                        break
                    got += more
            except (TimeoutError, ssl.SSLEOFError, ConnectionResetError):
                pass
            return got

    def tls(self):
        return tls_context().wrap_socket(socket.create_connection(("127.0.0.1", self.port), 20))

    def set_up(self):
        """The first administrator, by the set-up code; signed in."""
        code = (self.state / "setup-code").read_text().strip()
        answer = self.call("POST", "/api/v1/setup", {"code": code, "user": USER, "password": PASSWORD}, session=None)
        assert answer.status == 201, answer
        self.session = Session(answer)
        return self

    def sign_in(self, user=USER, password=PASSWORD, **more):
        answer = self.call("POST", "/api/v1/session", {"user": user, "password": password}, session=None, **more)
        assert answer.status == 200, answer
        return Session(answer)
