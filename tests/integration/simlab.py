# SPDX-License-Identifier: Apache-2.0
"""`meshping-agent ping` in a namespace with a simulated internet, and the simulation's own log."""

import collections
import json
import os
import pathlib
import signal
import subprocess

BIN = pathlib.Path(os.environ.get("MESHPING_BIN", "build/release/bin")).resolve()

# A process without any right to raw sockets, as an ordinary user runs one.
UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Net:
    """A namespace with a simulated internet in it."""

    def __init__(self, log):
        self.name = f"mp-sim-{os.getpid()}"
        self.log = log
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        self.sim = None
        self.totals = None  # the last line of --json --stats

    def serve(self, *hosts, seed=7):
        command = ["ip", "netns", "exec", self.name, BIN / "meshping-sim", "--device", "sim0", "--seed", str(seed)]
        command += ["--address", "198.18.0.254/24", "--address", "fd00:5::fe/64", "--log", self.log]
        command += ["--router", "198.18.1.1", "--router", "fd00:6::1"]
        for host in hosts:
            command += ["--host", host]
        self.sim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.sim.stdout.readline() == "ready\n"

    def command(self, *args, prefix=()):
        return ["ip", "netns", "exec", self.name, *prefix, BIN / "meshping-agent", "ping", *args]

    def ping(self, *args, prefix=(), expect=None, **more):
        done = subprocess.run(
            self.command(*args, prefix=prefix), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **more
        )
        if expect is not None:
            assert done.returncode == expect, done.stderr + done.stdout
        return done

    def ping_json(self, *args, **more):
        lines = [json.loads(line) for line in self.ping("--json", *args, **more).stdout.splitlines()]
        probes = collections.defaultdict(list)
        summaries = {}
        for line in lines:
            if line.get("totals"):
                self.totals = line
            elif line.get("summary"):
                summaries[line["target"]] = line
            else:
                probes[line["target"]].append(line)
        return probes, summaries

    def truth(self):
        """Ends the simulation; its log by target."""
        self.sim.send_signal(signal.SIGTERM)
        assert self.sim.wait(10) == 0
        self.sim.stdout.close()
        events = collections.defaultdict(list)
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            if "target" in event:
                events[event["target"]].append(event)
        self.sim = None
        return events

    def close(self):
        if self.sim:
            self.sim.kill()
            self.sim.wait()
            self.sim.stdout.close()
        run("ip", "netns", "delete", self.name)


def judged(probes):
    """In order, without slots that this machine was too busy for: those are flagged, and say nothing of the target."""
    good = [probe for probe in sorted(probes, key=lambda probe: probe["seq"]) if probe["reason"] != "overloaded"]
    assert len(good) >= 0.6 * len(probes)
    return good
