# SPDX-License-Identifier: Apache-2.0
"""Questions to the history that come faster than they are answered, and clients that do not wait. No root."""

import json
import time

import pytest

import http_lab

AT_ONCE = 2 + 64  # that run, and wait: meshpingd/readers.h
# Some tenths of a second of work for a reader, and little for the loop: no such agent or target has ever been.
HEAVY = json.dumps({"pairs": [{"agent": f"{n:016x}", "target": n} for n in range(1, 10001)],
                    "from_ms": 1_700_000_000_001, "to_ms": 1_700_086_400_001}).encode()  # parts of hours at both ends


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = http_lab.Server(tmp_path_factory.mktemp("readers")).start().set_up()
    yield server
    server.end()


class Question:
    """On a connection of its own, sent at once and answered when it pleases."""

    def __init__(self, server):
        self.tls = server.tls()
        self.server = server

    def ask(self):
        session = self.server.session
        self.tls.sendall((f"POST /api/v1/summary HTTP/1.1\r\nHost: {self.server.host}\r\nCookie: {session.cookie}\r\n"
                          f"X-CSRF-Token: {session.csrf}\r\nContent-Type: application/json\r\n"
                          f"Content-Length: {len(HEAVY)}\r\n\r\n").encode() + HEAVY)

    def answer(self):
        answer = http_lab.http.client.HTTPResponse(self.tls)
        answer.begin()
        body = json.loads(answer.read())
        self.tls.close()
        return answer.status, answer.headers, body


def test_what_is_too_much_at_once_is_sent_away_and_the_rest_is_answered(server):
    questions = [Question(server) for _ in range(2 * AT_ONCE)]
    for question in questions:
        question.ask()
    refused = 0
    for question in questions:
        status, headers, body = question.answer()
        if status == 503:
            assert headers["Retry-After"] == "2" and "too many questions" in body["detail"]
            refused += 1
        else:
            assert status == 200 and body["ok"] == 0
    assert 0 < refused <= AT_ONCE  # as many as fit are answered
    question = Question(server)
    question.ask()
    assert question.answer()[0] == 200


def test_clients_that_leave_make_room_for_others(server):
    """Those whose question waits at once; a question that runs is answered to nobody."""
    left = [Question(server) for _ in range(AT_ONCE)]
    stays = [Question(server) for _ in range(AT_ONCE - 2)]
    for question in left:
        question.ask()
    for question in left:
        question.tls.close()
    for question in stays:
        question.ask()
    assert [question.answer()[0] for question in stays] == [200] * len(stays)


def test_a_server_that_stops_does_not_wait_for_questions(server):
    questions = [Question(server) for _ in range(AT_ONCE)]
    for question in questions:
        question.ask()
    begun = time.monotonic()
    server.end()  # with exit code 0
    assert time.monotonic() - begun < 10
    for question in questions:
        question.tls.close()
    server.start()
