#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How far the round-trip times of `meshping-agent ping` and of fping are from the truth, in the same run.

The truth is how long meshping-sim, behind a TUN device, held each request: from its reading to the writing of the reply.
An error holds, for both programs alike, the time until the responder had read. fping prints three digits: the delay is
below 1 ms, so that a digit is a microsecond. `reached` is the rate that a program really kept: fping 5.1 sends one a
wake-up, and does not get to 10,000 a second.

The responder stands for other machines, so it has a processor of its own: the first one, before all others' work there;
the program under test has the rest. (On the same one a request waits until its sender sleeps.) It never sleeps, as a
virtual processor that sleeps is woken some hundred microseconds late now and then, and its log is in memory.
So it knows besides when a request was not there yet, and when its reply was written: `certain_p99` is of what is outside
of these; `resolution` is how far they are apart (median). With --sleep it sleeps between requests: its wake-up is in
every error.
It is of the real-time class; the kernel takes 5 % of a processor from that (/proc/sys/kernel/sched_rt_runtime_us), in
one piece, which would be in the 99th percentile: this is lifted while the bench runs, and set back.
Many short runs, and the median of their figures. A virtual machine is held by its host for some ms at a time (`steal` in
/proc/stat), which no program can answer for: a run in which the responder's processor was, of either program, is told and
made again, up to twice as many as asked for; after that they count all the same, and `held` says how many did. A process
of the idle class keeps the other processors from sleeping: a host likes to put one that wakes where the responder's is.
Needs root, two processors, fping, iproute2 and util-linux.

    tests/bench/accuracy.py [--bin build/release/bin] [--rate 1000 --rate 10000] [--seconds 2] [--runs 15] [--sleep] [--json]
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

DELAY_US = 300
TARGETS = 1000


def run(*args):
    subprocess.run([str(arg) for arg in args], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Ours:
    @staticmethod
    def command(bin_dir, rate, seconds, targets):
        return [bin_dir / "meshping-agent", "ping", "--json", "-c", rate * seconds // TARGETS, "-i", TARGETS / rate, "-f", targets]

    @staticmethod
    def times_us(lines):
        found = collections.defaultdict(dict)
        for probe in map(json.loads, lines):
            if probe.get("result") == "ok":
                found[probe["target"]][probe["seq"]] = probe["latency"] * 1000
        return found


class Fping:
    @staticmethod
    def command(_, rate, seconds, targets):
        return ["fping", "-q", "-C", rate * seconds // TARGETS, "-p", 1000 * TARGETS // rate, "-i", 1000 / rate, "-t", 2000, "-f", targets]

    @staticmethod
    def times_us(lines):
        found = {}
        for line in lines:
            match = re.match(r"(\S+)\s+: ([-0-9. ]+)$", line)
            if match:
                found[match[1]] = {i: float(ms) * 1000 for i, ms in enumerate(match[2].split()) if ms != "-"}
        return found


@contextlib.contextmanager
def unthrottled():
    """The real-time class may have a processor for itself meanwhile: there are others for the rest."""
    limit = pathlib.Path("/proc/sys/kernel/sched_rt_runtime_us")
    before = limit.read_text()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that it is set back then too
    try:
        limit.write_text("-1")
    except OSError as error:
        print(f"accuracy: {limit}: {error.strerror}: the responder is held for 5 % of the time", file=sys.stderr)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            limit.write_text(before)


def stolen_ticks(processor):
    """What the host took of it, in hundredths of a second since the start."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{processor}":
            return int(fields[7])
    raise RuntimeError(f"no cpu{processor} in /proc/stat")


def outside(value, least, most):
    return value - min(max(value, least), most)


def errors(program, bin_dir, rate, seconds, folder, sleep):
    """The errors in microseconds of one run in a namespace of its own, how many probes a second it really sent, and
    whether the responder's processor was held meanwhile."""
    name = f"mp-accuracy-{os.getpid()}"
    log, targets, output = folder / "log", folder / "targets", folder / "output"
    targets.write_text("".join(f"198.18.{i // 250}.{i % 250 + 1}\n" for i in range(TARGETS)))
    run("ip", "netns", "add", name)
    inside = ["ip", "netns", "exec", name]
    try:
        run("ip", "-n", name, "link", "set", "lo", "up")
        own, *others = sorted(os.sched_getaffinity(0))
        responder = [bin_dir / "meshping-sim", "--device", "sim0", "--address", "198.19.0.1/24", "--log", log,
                     *([] if sleep else ["--busy"]), "--host", f"198.18.0.0/16:delay={DELAY_US}us"]
        sim = subprocess.Popen([*inside, "chrt", "--fifo", "10", "taskset", "-c", str(own), *responder], stdout=subprocess.PIPE, text=True)
        assert sim.stdout.readline() == "ready\n"
        command = [*inside, "taskset", "-c", ",".join(map(str, others)), *map(str, program.command(bin_dir, rate, seconds, targets))]
        awake = [subprocess.Popen(["chrt", "--idle", "0", "taskset", "-c", str(other), sys.executable, "-c", "while True: pass"])
                 for other in others]
        stolen, began = stolen_ticks(own), time.monotonic()
        with open(output, "w") as file:  # a pipe's reader would take the processor from both
            subprocess.run(command, stdout=file, stderr=subprocess.STDOUT)
        took, stolen = time.monotonic() - began, stolen_ticks(own) - stolen
        for process in awake:
            process.kill()
            process.wait()
        sim.send_signal(signal.SIGTERM)
        sim.wait(20)
        sim.stdout.close()
    finally:
        run("ip", "netns", "delete", name)
    found = program.times_us(output.read_text().splitlines())
    held = collections.defaultdict(list)
    for line in log.read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "answer":
            held[event["target"]].append((event["hold_us"], event["hold_max_us"]))
    unsent = rate * seconds - sum(map(len, held.values()))
    assert unsent <= 0, f"{unsent} of {rate * seconds} probes were not sent: the machine is too busy to measure here"
    out = [(rtt - held[target][sequence][0], outside(rtt, *held[target][sequence]), held[target][sequence][1] - held[target][sequence][0])
           for target, rtts in found.items() for sequence, rtt in rtts.items()]
    assert len(out) >= 0.9 * rate * seconds, f"{len(out)} of {rate * seconds} probes came home"
    return out, len(out) / took, stolen > 0


def compare(options):
    for rate in options.rate or [1000, 10000]:
        figures = collections.defaultdict(list)
        spare = {Ours: options.runs, Fping: options.runs}
        missing = {Ours: options.runs, Fping: options.runs}
        while any(missing.values()):
            for program in (program for program in (Ours, Fping) if missing[program]):
                with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
                    found, reached, held = errors(program, options.bin.resolve(), rate, options.seconds, pathlib.Path(folder), options.sleep)
                if held and spare[program]:
                    spare[program] -= 1
                    continue
                missing[program] -= 1
                figures[program, "held"].append(held)
                absolute = sorted(abs(error) for error, _, _ in found)
                certain = sorted(abs(error) for _, error, _ in found)
                figures[program, "median"].append(statistics.median(absolute))
                figures[program, "p99"].append(absolute[int(0.99 * len(absolute))])
                figures[program, "resolution"].append(statistics.median(unsure for _, _, unsure in found))
                figures[program, "certain_p99"].append(certain[int(0.99 * len(certain))])
                figures[program, "reached"].append(reached)
                figures[program, "too_short_percent"].append(100 * sum(error < -1 for error, _, _ in found) / len(found))
        certain_too = [] if options.sleep else [("certain_p99", "us"), ("resolution", "us")]
        for name, unit in (("median", "us"), ("p99", "us"), *certain_too, ("too_short_percent", "%"), ("reached", "probes/s"), ("held", "runs")):
            value, peer = ((sum if name == "held" else statistics.median)(figures[program, name]) for program in (Ours, Fping))
            ratio = value / peer if peer else None
            if options.json:
                print(json.dumps({"bench": "accuracy", "figure": f"{name}_{rate}_per_s", "value": round(value, 3), "unit": unit,
                                  "peer": "fping", "peer_value": round(peer, 3), "ratio": ratio and round(ratio, 4)}))
            else:
                print(f"accuracy {name}_{rate}_per_s {value:.2f} {unit}  fping: {peer:.2f}" + (f", ratio {ratio:.2f}" if ratio else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=pathlib.Path, default=pathlib.Path("build/release/bin"))
    parser.add_argument("--rate", type=int, action="append")
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--sleep", action="store_true", help="the responder sleeps between requests: its wake-up is in every error")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if len(os.sched_getaffinity(0)) < 2:
        parser.error("needs two processors: one for the responder, one for the program that is measured")
    with contextlib.nullcontext() if options.sleep else unthrottled():
        compare(options)


if __name__ == "__main__":
    main()
