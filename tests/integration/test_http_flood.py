# SPDX-License-Identifier: Apache-2.0
"""
Sign-ins as fast as they go, for several names, from many addresses, over connections that stay open, some of them
pipelined. Each is refused and counted once, others hardly notice, and those whose accounts these are get in.

A million of them:   MESHPING_FLOOD=1000000 python3 -m pytest -q -s tests/integration/test_http_flood.py
"""

import json
import multiprocessing
import os
import random
import re
import socket
import sqlite3
import threading
import time

import http_lab

FLOOD = int(os.environ.get("MESHPING_FLOOD", "4000"))
SEED = int(os.environ.get("MESHPING_SEED", "7"))
PROCESSES, THREADS = 3, 12  # so many processes, in each so many threads,
ADDRESSES = 20 if FLOOD >= 100_000 else 1  # each with so many addresses
PASSWORD = "thunder walrus ladder"


class Line:
    """One connection of an attacker."""

    def __init__(self, port, address):
        plain = socket.create_connection(("127.0.0.1", port), 60, source_address=(address, 0))
        self.tls = http_lab.tls_context().wrap_socket(plain)
        self.file = self.tls.makefile("rb")

    def answer(self):
        """The status, and closes when the server does; 0: it had closed before."""
        first = self.file.readline()
        if not first:
            self.close()
            return 0
        status = int(first.split()[1])
        length, ends = 0, False
        while (line := self.file.readline().lower()) != b"\r\n":
            length = int(line[15:]) if line.startswith(b"content-length:") else length
            ends = ends or line.startswith(b"connection: close")
        self.file.read(length)
        if ends:
            assert self.file.read(1) == b"", "one answer, then the end"
            self.close()
        return status

    def close(self):
        self.file.close()
        self.tls.close()
        self.tls = None


def attack_from(number, addresses, port, made, stop, statuses):
    """One after another; each thread of each process does that."""
    chance = random.Random(SEED * 1000 + number)
    line = None
    while not stop.is_set():
        if not line or not line.tls or chance.random() < 0.01:
            if line and line.tls:
                line.close()
            line = Line(port, chance.choice(addresses))
        name = chance.choice(["anna", "cara", "dora", f"nobody{chance.randrange(10**6)}", "' OR 1=1 --"])
        body = json.dumps({"user": name, "password": "wrong wrong wrong"}).encode()
        request = (b"POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
                   b"Content-Length: %d\r\n\r\n" % len(body)) + body
        line.tls.sendall(request * (2 if chance.random() < 0.02 else 1))  # who does not wait is answered once
        status = line.answer()
        statuses[status] = statuses.get(status, 0) + 1
        with made:
            made.value += status != 0
    if line.tls:
        line.close()


def attack(number, port, made, stop, results):
    parts = [{} for _ in range(THREADS)]
    threads = []
    for i, statuses in enumerate(parts):
        addresses = [f"127.{50 + number}.{i}.{k}" for k in range(1, ADDRESSES + 1)]
        threads.append(threading.Thread(target=attack_from, args=(
            number * THREADS + i, addresses, port, made, stop, statuses)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    results.put(parts)


def counters(server):
    text = server.call("GET", "/metrics", session=None, source="127.0.0.2").body.decode()
    return [int(re.search(rf"^meshping_logins_{kind}_total (\d+)$", text, re.M)[1])
            for kind in ("failed", "throttled", "busy")]


def memory(server):
    with open(f"/proc/{server.process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024


def sign_in(server, name, password, address, known=None):
    return server.call("POST", "/api/v1/session", {"user": name, "password": password}, session=None, source=address,
                       headers={"Cookie": known} if known else None, seconds=120)  # eight may be before one


class Others(threading.Thread):
    """What other people see meanwhile."""

    def __init__(self, server, known, stop):
        super().__init__()
        self.server, self.known, self.stop = server, known, stop
        self.reads, self.known_s, self.stranger_s, self.refused, self.peak, self.error = [], [], None, 0, 0, None

    def run(self):
        try:
            begun = now = time.monotonic()
            next_known = next_stranger = now
            while not self.stop.is_set():
                asked = time.monotonic()
                assert self.server.call("GET", "/api/v1/agents").status == 200
                self.reads.append(time.monotonic() - asked)
                self.peak = max(self.peak, memory(self.server))
                now = time.monotonic()
                if now >= next_known:  # anna, whose name is being tried, in a browser that she has used before
                    answer = sign_in(self.server, "anna", http_lab.PASSWORD, "127.90.0.1", self.known)
                    assert answer.status == 200, answer
                    self.known_s.append(time.monotonic() - now)
                    session = http_lab.Session(answer)
                    assert self.server.call("DELETE", "/api/v1/session", session=session).status == 204
                    next_known = time.monotonic() + 3
                elif now >= next_stranger and self.stranger_s is None:  # bert, in a new browser
                    answer = sign_in(self.server, "bert", PASSWORD, "127.91.0.1")
                    assert answer.status in (200, 429), answer
                    if answer.status == 200:
                        self.stranger_s = time.monotonic() - begun
                    else:
                        self.refused += 1
                        next_stranger = time.monotonic() + int(answer.headers["Retry-After"])
                time.sleep(0.02)
        except Exception as error:  # noqa: BLE001
            self.error = error


def test_a_flood_of_sign_ins_is_refused_counted_and_slows_nobody_down(tmp_path):
    print(f"seed {SEED}")
    server = http_lab.Server(tmp_path, metrics_allow="127.0.0.2/32")
    server.start().set_up()
    for name in ("bert", "cara"):
        link = server.call("POST", "/api/v1/users", {"name": name, "role": "viewer"}).json()
        assert server.call("POST", "/api/v1/links/use", {"token": link["token"], "password": PASSWORD},
                           session=None).status == 204
    known = server.sign_in(source="127.90.0.1").known
    before, quiet_mb = counters(server), memory(server)

    context = multiprocessing.get_context("fork")
    made, stop, results = context.Value("q"), context.Event(), context.Queue()
    attackers = [context.Process(target=attack, args=(i, server.port, made, stop, results))
                 for i in range(PROCESSES)]
    others = Others(server, known, stop_others := threading.Event())
    begun = time.monotonic()
    for attacker in attackers:
        attacker.start()
    others.start()
    deadline = begun + 300 + FLOOD / 100
    while (made.value < FLOOD or others.stranger_s is None) and not others.error and time.monotonic() < deadline:
        time.sleep(0.1)
    stop.set()
    statuses = {}
    for _ in attackers:
        for part in results.get(timeout=100):
            for status, count in part.items():
                statuses[status] = statuses.get(status, 0) + count
    closed = statuses.pop(0, 0)
    took = time.monotonic() - begun
    stop_others.set()
    others.join()
    for attacker in attackers:
        attacker.join(10)
        assert attacker.exitcode == 0
    reads = sorted(others.reads)
    tries = sum(statuses.values())
    failed, throttled, busy = (now - then for now, then in zip(counters(server), before))
    print(f"{tries} tries in {took:.1f} s ({tries / took:.0f}/s), {statuses}, {closed} closed before, throttled {throttled}, busy {busy}; "
          f"{len(reads)} reads of others: median {reads[len(reads) // 2] * 1000:.0f} ms, "
          f"p99 {reads[int(len(reads) * 0.99)] * 1000:.0f} ms, at most {reads[-1] * 1000:.0f} ms; "
          f"known browser in within {max(others.known_s):.1f} s ({len(others.known_s)} times), "
          f"new one after {others.stranger_s or 0:.1f} s; memory {quiet_mb:.0f} -> at most {others.peak:.0f} MB")
    assert not others.error, others.error
    assert tries >= FLOOD and set(statuses) <= {401, 429}
    assert failed == statuses.get(401, 0)  # each once, though some sent two at a time
    assert throttled + busy == statuses.get(429, 0) + others.refused
    assert statuses.get(401, 0) < 60 + took * 8  # what is really tried is what the throttles and two workers let through
    assert others.stranger_s is not None, "bert never got in"
    assert max(others.known_s) < 15 and len(others.known_s) > took / 20
    assert reads[int(len(reads) * 0.99)] < 2
    assert others.peak < quiet_mb + 2 * 128 + 100, "two scrypts at a time, and tables that do not grow"

    # cara, whose name was tried all the while, gets in with a new browser when the account's short wait is over
    deadline = time.monotonic() + 60
    while (answer := sign_in(server, "cara", PASSWORD, "127.92.0.1")).status != 200:
        assert answer.status == 429 and int(answer.headers["Retry-After"]) <= 30 and time.monotonic() < deadline
        time.sleep(int(answer.headers["Retry-After"]))
    server.end()
    connection = sqlite3.connect(f"file:{server.state}/meshping.db?mode=ro", uri=True)
    rows = connection.execute("SELECT detail FROM audit WHERE action = 'session.refused'").fetchall()
    connection.close()
    assert sum(int(detail.split()[0]) for detail, in rows) == failed
    assert len(rows) <= (time.monotonic() - begun) / 60 + 2
