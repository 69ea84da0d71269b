# SPDX-License-Identifier: Apache-2.0
"""A busy machine invents no loss: many loopback targets, which all answer, while other processes keep every core busy.

Short by default; MESHPING_PROOF_SECONDS=600 is the proof: 10,000 targets each 5 s for 10 minutes (`scripts/test proof`).
Nothing here asks how fast the machine is, only whether what the agent says is true.
"""

import collections
import json
import multiprocessing
import os
import pathlib
import resource
import subprocess
import threading
import time

import pytest

BIN = pathlib.Path(os.environ.get("MESHPING_BIN", "build/release/bin")).resolve()
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

PROOF_S = int(os.environ.get("MESHPING_PROOF_SECONDS", "0"))
TARGETS = 10000
INTERVAL_S = 5
ROUNDS = (PROOF_S or 20) // INTERVAL_S
IDLE_S = 60 if PROOF_S else 10
LATE_MS = 100
SPARE_MS = 20  # for what the first send of a target may be late itself, and for a slewed clock


def spin():
    while True:
        pass


@pytest.fixture
def namespace():
    name = f"mp-nfl-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def targets(tmp_path):
    listed = tmp_path / "targets"
    listed.write_text("".join(f"127.1.{i // 250}.{i % 250 + 1}\n" for i in range(TARGETS)))
    return listed


def ping(namespace, targets, seconds, out, *more):
    """Runs it to its end; CPU seconds and wall seconds."""
    command = ["ip", "netns", "exec", namespace, BIN / "meshping-agent", "ping", "-i", str(INTERVAL_S), "-c",
               str(seconds // INTERVAL_S), "-f", targets, *more]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with open(out, "w") as file:
        process = subprocess.Popen(command, stdout=file)
    assert process.wait(seconds + 120) in (0, 1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began


class ClockWatch:
    """Was the wall clock set meanwhile? Then sent times say nothing about lateness."""

    def __enter__(self):
        self.stepped, self.done = False, threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        offset = time.time() - time.monotonic()
        while not self.done.wait(0.5):
            now = time.time() - time.monotonic()
            self.stepped |= abs(now - offset) > 0.05
            offset = now

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def read(out):
    """Probes by target, in order of their sequence: (sent in ms, reason, flags, local_error)."""
    found = collections.defaultdict(dict)
    summaries = {}
    with open(out) as lines:
        for line in map(json.loads, lines):
            if line.get("summary"):
                summaries[line["target"]] = line
                continue
            assert line["seq"] not in found[line["target"]], "a probe has two verdicts"
            minutes, seconds = line["timestamp"][14:-1].split(":")
            sent_ms = int(minutes) * 60000 + round(float(seconds) * 1000)
            found[line["target"]][line["seq"]] = (sent_ms, line["reason"], line["flags"], line.get("local_error", False))
            assert line["result"] == ("fail" if line["reason"] else "ok")
            assert 0 <= line["latency"] <= 3000
    return found, summaries


def lateness(probes):
    """How much later than its slot each probe was sent, at least, in ms: the most punctual one is the measure."""
    since = [(probes[seq][0] - probes[0][0]) % 3600000 - seq * INTERVAL_S * 1000 for seq in range(len(probes))]
    since = [ms - 3600000 if ms > 1800000 else ms for ms in since]
    return [ms - min(since) for ms in since]


def test_a_busy_machine_makes_no_loss_and_every_suspect_sample_is_flagged(namespace, targets, tmp_path):
    out = tmp_path / "out"
    hogs = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count())]
    for hog in hogs:
        hog.start()
    try:
        with ClockWatch() as clock:
            cpu_s, wall_s = ping(namespace, targets, ROUNDS * INTERVAL_S, out, "--json")
    finally:
        for hog in hogs:
            hog.kill()
            hog.join()
    found, summaries = read(out)
    out.unlink()
    assert len(found) == len(summaries) == TARGETS
    reasons, flags, unflagged = collections.Counter(), collections.Counter(), []
    for target, probes in found.items():
        assert sorted(probes) == list(range(ROUNDS)), "a slot without a verdict"
        late_ms = lateness(probes)
        for seq, (_, reason, marks, local) in probes.items():
            reasons[reason] += 1
            flags.update(marks)
            # every target answers, always: any miss is the agent's, and has to say so
            assert not reason or local, f"{target} {seq}: {reason}, and it answers always"
            if late_ms[seq] > LATE_MS + SPARE_MS and not reason and "late_send" not in marks:
                unflagged.append((target, seq, late_ms[seq]))
    print(f"{sum(reasons.values())} probes, {reasons.pop('', 0)} answered, 0 lost by a target, the agent's own: "
          f"{dict(reasons)}, flags: {dict(flags)}; {cpu_s:.2f} s of CPU in {wall_s:.1f} s, cores busy")
    assert sum(summary["lost"] for summary in summaries.values()) == 0
    if not clock.stepped:
        assert not unflagged, unflagged[:10]


def test_what_ten_thousand_targets_cost(namespace, targets, tmp_path):
    """A figure, and no verdict on a machine that is busy with other things."""
    idle = os.getloadavg()[0] < 0.3
    before = ping(namespace, targets, INTERVAL_S, tmp_path / "out")[0]  # start and end, and one round
    cpu_s, _ = ping(namespace, targets, IDLE_S, tmp_path / "out")
    share = 100 * (cpu_s - before) / (IDLE_S - INTERVAL_S)
    print(f"{TARGETS} targets each {INTERVAL_S} s: {share:.1f} % of a core{'' if idle else ', on a busy machine'}")
    assert share > 0
    if PROOF_S and idle:
        assert share < 5
