# SPDX-License-Identifier: Apache-2.0
"""`meshping-agent ping` as a person sees it: on a terminal, with ranges, files and mistakes. Loopback only."""

import collections
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

BIN = pathlib.Path(os.environ.get("MESHPING_BIN", "build/release/bin")).resolve()
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets need root")


def ping(*args, **more):
    return subprocess.run([BIN / "meshping-agent", "ping", *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, **more)


class Terminal:
    """A ping on a pseudo terminal; `plain` names the streams that are not on it."""

    def __init__(self, *args, plain=()):
        self.fd, side = pty.openpty()
        streams = {name: subprocess.PIPE if name in plain else side for name in ("stdout", "stderr")}
        self.process = subprocess.Popen([BIN / "meshping-agent", "ping", *map(str, args)], stdin=side,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        **streams)
        os.close(side)
        self.text = ""

    def read(self, until=None, seconds=20):
        """All that comes, until the text is there or the process is gone."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and until in self.text):
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # the other side is closed
                break
            self.text += data.decode()
        assert not until or until in self.text, self.text
        return self.text

    def end(self):
        code = self.process.wait(20)
        os.close(self.fd)
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        return code


def test_one_target_on_a_terminal_is_pinged_until_ctrl_c_and_summed_up():
    terminal = Terminal("-i", "0.1", "127.0.0.1")
    terminal.read("[2],")
    os.write(terminal.fd, b"\x03")  # as a key, not as a signal
    text = terminal.read()
    assert terminal.end() == 0
    lines = text.replace("^C", "").splitlines()
    assert re.fullmatch(r"127\.0\.0\.1 : \[0\], [0-9.]+ ms", lines[0]), lines
    assert re.fullmatch(r"127\.0\.0\.1 : xmt/rcv/%loss = \d+/\d+/0%, min/avg/max = [0-9./]+, p50/p95/p99 = [0-9./]+, "
                        r"jitter = [0-9.]+(, .*)?", lines[-1]), lines


def test_several_targets_on_a_terminal_are_pinged_once():
    terminal = Terminal("127.0.0.1", "127.0.0.2")
    text = terminal.read()
    assert terminal.end() == 0
    assert text.count(" : [0], ") == 2 and text.count("xmt/rcv/%loss = 1/1/0%") == 2 and "probes are done" not in text


def test_of_a_long_list_a_terminal_shows_one_line_that_moves_and_goes():
    terminal = Terminal("-c", "2", "127.0.1.0/24")
    text = terminal.read()
    assert terminal.end() == 0
    assert re.search(r"\d+ of 508 probes are done \(\d+ %\), 0 without an answer", text), text[:2000]
    assert " : [0], " not in text  # nobody reads 508 lines
    screen = text.split("\r\x1b[K")[-1].splitlines()
    assert len(screen) == 254 and all("xmt/rcv/%loss = " in line for line in screen)


def test_nothing_of_the_progress_is_in_a_file_or_a_pipe():
    assert ping("127.0.1.0/24").stderr == ""
    terminal = Terminal("--json", "127.0.1.0/24", plain=("stdout",))
    lines = [json.loads(line) for line in terminal.process.stdout]  # standard output is data only
    terminal.read()
    assert terminal.end() == 0 and len(lines) == 508


@pytest.mark.parametrize(
    "range, targets",
    [
        ("127.0.3.5/30", ["127.0.3.5", "127.0.3.6"]),  # bits behind the prefix are of no account
        ("127.0.3.4/31", ["127.0.3.4", "127.0.3.5"]),
        ("127.0.3.4/32", ["127.0.3.4"]),
        ("127.0.3.0/29", [f"127.0.3.{last}" for last in range(1, 7)]),
        ("127.0.254.0/23", [f"127.0.{net}.{last}" for net in (254, 255) for last in range(256)][1:-1]),
        ("::1/128", ["::1"]),
    ],
)
def test_a_range_is_its_hosts(range, targets):
    done = ping("--json", "-i", "0", range)
    found = [json.loads(line)["target"] for line in done.stdout.splitlines() if '"summary"' in line]
    assert done.returncode == 0 and found == targets


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("10.0.0.0/8",), ("10.0.0.0/8", "16777214", "1000000", "/13")),
        (("2001:db8::/64",), ("2001:db8::/64", "1000000", "/109")),
        (("2001:db8::/109", "2001:db8::/109"), ("524288", "475712", "/110")),
        (tuple(f"2001:db8:{bits}::/{bits}" for bits in (109, 110, 111, 112, 114, 119, 122)) + ("::1/128",),
         ("1000000 targets",)),
        (("10.0.0.0/33",), ("10.0.0.0/33", "0 to 32")),
        (("10.0.0.0/",), ("10.0.0.0/", "0 to 32")),
        (("::/129",), ("::/129", "0 to 128")),
        (("host.example/24",), ("host.example/24", "192.0.2.0/24")),
        (("-6", "10.0.0.0/24"), ("10.0.0.1",)),
        (("--both", "-4", "localhost"), ("--both", "-4")),
    ],
)
def test_a_bad_range_says_what_would_do(arguments, words):
    refused = ping(*arguments)
    assert refused.returncode == 2 and refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1 and all(word in refused.stderr for word in words), refused.stderr


def test_a_file_has_comments_ranges_and_names_and_an_error_names_its_line(tmp_path):
    listed = tmp_path / "targets"
    listed.write_text("# ours\n127.0.4.0/30 # both\n\nlocalhost\r\n")
    done = ping("--json", "-4", "-f", listed)
    assert done.returncode == 0
    assert [json.loads(line)["target"] for line in done.stdout.splitlines() if '"summary"' in line] == [
        "127.0.4.1", "127.0.4.2", "localhost"]
    done = ping("--json", "-f", "-", input="127.0.4.0/30\n")
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 4
    listed.write_text("127.0.0.1\n10.0.0.0/7\n")
    refused = ping("-f", listed)
    assert refused.returncode == 2 and f"{listed}:2: 10.0.0.0/7" in refused.stderr


def test_a_name_is_pinged_by_both_families_when_asked():
    done = ping("--json", "--both", "-c", "2", "-i", "0.1", "localhost", "127.0.0.9")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    addresses = collections.Counter(line["address"] for line in lines if not line.get("summary"))
    assert addresses == {"127.0.0.1": 2, "::1": 2, "127.0.0.9": 2}
    assert [(line["target"], line.get("family")) for line in lines if line.get("summary")] == [
        ("localhost", 4), ("localhost", 6), ("127.0.0.9", None)]
    assert " (IPv4) : " in ping("--both", "localhost").stdout and " (IPv6) : " in ping("--both", "localhost").stdout


def test_flat_out_every_one_of_many_is_answered():
    done = ping("--json", "-i", "0", "127.2.0.0/17")
    summaries = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("summary") and "target" in line]
    assert len(summaries) == 32766 and done.returncode == 0
    assert all(line["received"] == 1 and line["local_errors"] == 0 for line in summaries)


def test_the_json_is_what_scripts_rely_on():
    done = ping("--json", "-c", "3", "-i", "0.1", "127.0.0.1")
    assert done.returncode == 0
    *probes, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(probes) == 3
    for seq, probe in enumerate(probes):
        assert {"target", "address", "seq", "timestamp", "result", "latency", "reason", "flags"} <= set(probe)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", probe["timestamp"])
        assert (probe["target"], probe["seq"], probe["result"], probe["reason"]) == ("127.0.0.1", seq, "ok", "")
        assert 0 < probe["latency"] < 1000 and isinstance(probe["flags"], list)
    assert {"target", "summary", "sent", "received", "local_errors", "duplicates", "late", "rejected", "min", "avg", "max",
            "p50", "p95", "p99", "jitter"} <= set(summary)
    latencies = sorted(probe["latency"] for probe in probes)
    assert summary["sent"] == summary["received"] == 3
    assert (summary["min"], summary["p50"], summary["max"]) == (latencies[0], latencies[1], latencies[2])
    differences = [abs(b["latency"] - a["latency"]) for a, b in zip(probes, probes[1:])]
    assert abs(summary["jitter"] - sum(differences) / 2) < 0.0011


def test_exit_codes_and_help():
    assert ping("127.0.0.1").returncode == 0
    assert ping("-W", "0.1", "127.0.0.1", "240.0.0.1").returncode == 1
    assert ping().returncode == 2
    shown = ping("--help")
    assert shown.returncode == 0 and shown.stderr == ""
    for word in ("--count", "--interval", "--timeout", "--both", "--file", "--json", "10.0.0.0/24", "Ctrl-C", "Exit:", "CAP_NET_RAW"):
        assert word in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 120


def test_a_broken_pipe_or_a_full_disk_is_an_error_and_no_crash():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "meshping-agent", "ping", "127.0.0.1"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "cannot write" in done.stderr


def test_sigterm_ends_with_the_summary_too():
    process = subprocess.Popen([BIN / "meshping-agent", "ping", "--json", "-c", "0", "-i", "0", "127.0.0.1"],
                               stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=10)
    assert process.returncode == 0 and json.loads(rest.splitlines()[-1])["summary"] is True
