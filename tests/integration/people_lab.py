# SPDX-License-Identifier: Apache-2.0
"""Users of one real server, as tests need them."""

import websockets

import http_lab

PASSWORD = "thunder walrus ladder"

sources = (f"127.0.{i // 250}.{i % 250 + 1}" for i in range(500, 20000))


def source():
    """An address of one's own, so that one test's wrong passwords slow no other one down."""
    return next(sources)


def invite(server, name, role="viewer", **more):
    answer = server.call("POST", "/api/v1/users", {"name": name, "role": role, **more})
    assert answer.status == 201, answer
    return answer.json()


def use_link(server, token, password=PASSWORD):
    return server.call("POST", "/api/v1/links/use", {"token": token, "password": password}, session=None,
                       source=source())


def make_user(server, name, role="viewer", password=PASSWORD, **more):
    """Invited, with a password chosen by the link; returns the user's id."""
    link = invite(server, name, role, **more)
    used = use_link(server, link["token"], password)
    assert used.status == 204, used
    return link["user"]["id"]


def sign_in(server, name, password=PASSWORD):
    return server.sign_in(name, password, source=source())


def status(server, session, path="/api/v1/agents", method="GET", body=None, **more):
    return server.call(method, path, body, session=session, **more).status


def live(server, session, **more):
    headers = {"Cookie": session.cookie} if session else {}
    options = {"origin": f"https://{server.host}", "subprotocols": ["meshping.live.v1"], "extra_headers": headers,
               "ssl": http_lab.tls_context(), "max_size": None, **more}
    return websockets.connect(f"wss://{server.host}/live", **options)
