# SPDX-License-Identifier: Apache-2.0
"""`meshping-agent ping` on real sockets against simulated hosts, compared with the log of what really happened."""

import collections
import json
import os
import pathlib
import signal
import subprocess

import pytest

from simlab import BIN, UNPRIVILEGED, Net, judged, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


@pytest.fixture
def net(tmp_path):
    made = Net(tmp_path / "truth.log")
    yield made
    made.close()


def test_every_verdict_is_what_happened(net):
    hosts = {
        "198.18.0.1": "delay=20ms,jitter=3ms",
        "198.18.0.2": "delay=5ms,jitter=30ms,loss=0.3",
        "198.18.0.3": "delay=3ms,unreachable=0.5",
        "198.18.0.4": "delay=1ms,duplicate=1",
        "198.18.0.5": "delay=8ms,late=0.5,late_by=1s",
        "198.18.0.6": "delay=8ms,prohibited=0.5,reorder=0.5",
        "fd00:5::1": "delay=20ms,jitter=3ms",
        "fd00:5::2": "delay=5ms,jitter=30ms,loss=0.3",
        "fd00:5::3": "delay=3ms,unreachable=0.5,prohibited=0.5",
    }
    net.serve(*(f"{address}:{profile}" for address, profile in hosts.items()))
    count = 40
    probes, summaries = net.ping_json("-c", str(count), "-i", "0.1", "-W", "0.5", *hosts)
    events = net.truth()
    outcome_of = {"reply": "", "lost": "timeout", "unreachable": "unreachable", "prohibited": "prohibited"}
    for address in hosts:
        late = {e["seq"] for e in events[address] if e["event"] == "answer" and e["what"] == "late"}
        requests = [e for e in events[address] if e["event"] == "request"]
        # probes leave in order of their sequence, and the sim logs them as they come
        in_order = judged(probes[address])
        assert len(requests) == len(in_order) and len(probes[address]) == count
        overdue = {p["seq"] for p, e in zip(in_order, requests) if e["what"] == "reply" and p["reason"] == "timeout"}
        for probe, event in zip(in_order, requests):
            expected = outcome_of[event["what"]]
            if probe["seq"] in overdue and address == "198.18.0.5":
                expected = "timeout"
            assert probe["reason"] == expected, (address, probe, event)
            assert probe["result"] == ("fail" if expected else "ok")
        assert (address == "198.18.0.5") == bool(late or overdue)
        summary = summaries[address]
        assert summary["sent"] == len(in_order)
        assert summary["received"] == sum(probe["result"] == "ok" for probe in probes[address])
        assert summary["lost"] == len(in_order) - summary["received"]
        assert summary["local_errors"] == count - len(in_order) and summary["rejected"] == 0
    assert summaries["198.18.0.4"]["duplicates"] >= summaries["198.18.0.4"]["received"] - 1
    assert summaries["198.18.0.2"]["lost"] > 0 and summaries["fd00:5::2"]["lost"] > 0
    assert summaries["198.18.0.5"]["late"] > 3 and summaries["198.18.0.5"]["lost"] > 3
    errors = [probe for probe in probes["198.18.0.3"] if probe["reason"]]
    assert all(p["from"] == "198.18.1.1" and (p["icmp_type"], p["icmp_code"]) == (3, 1) for p in errors)


def test_round_trip_times_are_those_that_the_simulation_gave(net):
    net.serve("198.18.0.1:delay=10ms,jitter=20ms", "fd00:5::1:delay=10ms,jitter=20ms")
    probes, _ = net.ping_json("-c", "60", "-i", "0.1", "198.18.0.1", "fd00:5::1", expect=0)
    events = net.truth()
    for address in ("198.18.0.1", "fd00:5::1"):
        requests = [e["seq"] for e in events[address] if e["event"] == "request"]
        by_wire = {e["seq"]: e["hold_us"] / 1000 for e in events[address] if e["event"] == "answer"}
        in_order = judged(probes[address])
        assert len(by_wire) == len(requests) == len(in_order)
        errors = sorted(probe["latency"] - by_wire[wire] for probe, wire in zip(in_order, requests))
        # no reply is there sooner than it was written; what is more is the way and the responder's wake-up
        assert errors[0] >= -0.002, errors[0]
        assert errors[len(errors) // 2] < 1.0, errors


# Every kind of bad reply of meshping-sim: the reason it is counted under, and whether that names the target's probe.
# None: the kernel's own filter on the socket keeps it out, nothing of it is seen.
BAD = {
    "wrong_source": ("source", True), "wrong_cookie": ("cookie", True), "wrong_payload": ("cookie", True),
    "wrong_last_byte": ("cookie", True), "truncated": ("length", True), "too_long": ("length", True),
    "bad_checksum": ("checksum", True), "cut_identity": ("short", True), "wrong_number": ("unknown", False),
    "wrong_sequence": ("unknown", False), "wrong_engine": ("unknown", False), "zero_payload": ("unknown", False),
    "swapped_identity": ("unknown", False), "wrong_code": ("type", False), "foreign_error": ("unknown", False),
    "error_wrong_cookie": ("cookie", False), "error_wrong_number": ("cookie", False),
    "error_wrong_sequence": ("unknown", False), "error_about_reply": ("quote", False),
    "error_bad_checksum": ("checksum", False),
    "wrong_id": (None, False), "wrong_type": (None, False), "reflected": (None, False),
}  # fmt: skip


def test_no_bad_reply_is_credited_and_each_is_counted_under_its_reason(net):
    hosts = {}
    for number, kind in enumerate(BAD, 1):
        hosts[f"198.18.0.{number}"] = hosts[f"fd00:5::{number:x}"] = kind
    net.serve(*(f"{address}:delay=2ms,forge_only=1,kind={kind}" for address, kind in hosts.items()))
    probes, summaries = net.ping_json("--stats", "-c", "8", "-i", "0.1", "-W", "0.3", *hosts, expect=1)
    events = net.truth()
    by_reason, seen = collections.Counter(), 0
    for address, kind in hosts.items():
        assert {probe["reason"] for probe in judged(probes[address])} == {"timeout"}, (kind, probes[address])
        assert summaries[address]["received"] == 0
        reason, names_it = BAD[kind]
        if reason == "checksum" and ":" in address:
            reason = None  # of ICMPv6 the kernel drops these
        came = sum(event["event"] == "answer" for event in events[address])
        if reason:
            by_reason[reason] += came
            seen += 1
        assert summaries[address].get("rejected_by", {}) == ({reason: came} if reason and names_it else {}), (kind, address)
    assert seen >= 38
    totals = net.totals
    assert {reason: count for reason, count in totals["rejected_by"].items() if count} == by_reason
    assert totals["rejected"] == sum(by_reason.values()) and totals["received"] == totals["duplicates"] == 0


def test_a_good_reply_behind_a_bad_one_counts(net):
    net.serve("198.18.0.1:delay=4ms,forge=1", "fd00:5::1:delay=4ms,forge=1")
    probes, summaries = net.ping_json("-c", "30", "-i", "0.1", "198.18.0.1", "fd00:5::1", expect=0)
    net.truth()
    for address in ("198.18.0.1", "fd00:5::1"):
        assert summaries[address]["received"] == len(judged(probes[address]))
        assert summaries[address]["min"] >= 4


def test_many_engines_at_once_with_the_same_pid_keep_their_replies_apart(net):
    """As in containers that share a network: each is process 1 of its own."""
    targets = ("198.18.0.1", "198.18.0.2", "fd00:5::1", "fd00:5::2", "127.0.0.1", "::1")
    net.serve("198.18.0.1:delay=20ms,jitter=20ms", "198.18.0.2:loss=1", "fd00:5::1:delay=20ms,jitter=20ms", "fd00:5::2:loss=1")
    command = net.command("--json", "-c", "20", "-i", "0.1", "-W", "0.5", *targets, prefix=("unshare", "--pid", "--fork"))
    pings = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    for ping in pings:
        lines = [json.loads(line) for line in ping.communicate(timeout=60)[0].splitlines()]
        assert ping.returncode == 1
        for summary in (line for line in lines if line.get("summary")):
            alive = summary["target"] not in ("198.18.0.2", "fd00:5::2")
            assert summary["received"] + summary["local_errors"] == (20 if alive else summary["local_errors"]), summary
            assert summary["duplicates"] == summary["late"] == 0, summary


def test_no_route_is_our_trouble_and_no_answer_is_the_targets(net):
    net.serve("198.18.0.1:loss=1")
    probes, summaries = net.ping_json("-W", "0.2", "203.0.113.1", "2001:db8::1", "198.18.0.1", "127.0.0.1", "::1", expect=1)
    for away in ("203.0.113.1", "2001:db8::1"):
        assert probes[away][0]["reason"] == "send_error" and probes[away][0]["local_error"] is True
        assert probes[away][0]["error"] == "ENETUNREACH"
        assert (summaries[away]["sent"], summaries[away]["lost"], summaries[away]["local_errors"]) == (0, 0, 1)
        assert summaries[away]["reasons"] == {"send_error": 1} and summaries[away]["error"] == "ENETUNREACH"
    assert probes["198.18.0.1"][0]["reason"] == "timeout" and summaries["198.18.0.1"]["reasons"] == {"timeout": 1}
    text = subprocess.run(net.command("-W", "0.2", "203.0.113.1", "198.18.0.1", "127.0.0.1"), capture_output=True, text=True).stdout
    assert text.splitlines()[:2] == [
        "203.0.113.1 : xmt/rcv/%loss = 0/0/0%, local errors = 1 (send_error 1: Network is unreachable)",
        "198.18.0.1 : xmt/rcv/%loss = 1/0/100%, lost = 1 (timeout 1)"], text
    assert "lost" not in text.splitlines()[2]
    assert summaries["127.0.0.1"]["received"] == summaries["::1"]["received"] == 1


def test_a_reply_of_this_host_itself_is_known_as_such(net):
    """It says nothing of the network: the agent's judgement of its own isolation rests on it."""
    net.serve("198.18.0.1:delay=1ms", "fd00:5::1:delay=1ms")
    probes, _ = net.ping_json("127.0.0.1", "::1", "198.18.0.254", "fd00:5::fe", "198.18.0.1", "fd00:5::1", expect=0)
    own = {target for target, (probe,) in probes.items() if probe.get("via_loopback")}
    assert own == {"127.0.0.1", "::1", "198.18.0.254", "fd00:5::fe"}


def test_a_dead_neighbour_is_unreachable(net):
    run("ip", "-n", net.name, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
    for device in ("veth0", "veth1"):
        run("ip", "-n", net.name, "link", "set", device, "up")
    run("ip", "-n", net.name, "address", "add", "192.168.7.1/24", "dev", "veth0")
    run("ip", "-n", net.name, "address", "add", "fd00:7::1/64", "dev", "veth0", "nodad")
    probes, _ = net.ping_json("-W", "5", "192.168.7.2", "fd00:7::2", expect=1)
    for address, own in (("192.168.7.2", "192.168.7.1"), ("fd00:7::2", "fd00:7::1")):
        assert probes[address][0]["reason"] == "unreachable"
        assert probes[address][0]["from"] == own


def test_an_ordinary_user_may_ping_where_the_system_allows_it(net):
    net.serve("198.18.0.1:delay=5ms", "198.18.0.2:loss=1", "198.18.0.3:unreachable=1", "fd00:5::1:delay=5ms", "fd00:5::3:prohibited=1")
    net_sysctl = ("ip", "netns", "exec", net.name, "sysctl", "-qw")
    run(*net_sysctl, "net.ipv4.ping_group_range=1 0")
    refused = net.ping("198.18.0.1", prefix=UNPRIVILEGED, expect=2)
    assert len(refused.stderr.splitlines()) == 1
    for way_out in ("root", "setcap cap_net_raw+ep", "net.ipv4.ping_group_range"):
        assert way_out in refused.stderr
    run(*net_sysctl, "net.ipv4.ping_group_range=0 2147483647")
    targets = ("198.18.0.1", "198.18.0.2", "198.18.0.3", "fd00:5::1", "fd00:5::3", "127.0.0.1", "::1")
    probes, summaries = net.ping_json("-c", "3", "-i", "0.2", "-W", "0.3", *targets, prefix=UNPRIVILEGED, expect=1)
    reasons = {target: {probe["reason"] for probe in judged(probes[target])} for target in targets}
    assert reasons == {
        "198.18.0.1": {""}, "198.18.0.2": {"timeout"}, "198.18.0.3": {"unreachable"},
        "fd00:5::1": {""}, "fd00:5::3": {"prohibited"}, "127.0.0.1": {""}, "::1": {""},
    }  # fmt: skip
    assert 5 <= summaries["198.18.0.1"]["min"] < 30
    assert probes["198.18.0.3"][0]["from"] == "198.18.1.1"


def test_names_come_from_the_hosts_file_and_a_missing_one_blocks_nobody(net):
    directory = pathlib.Path("/etc/netns") / net.name
    directory.mkdir(parents=True)
    try:
        (directory / "hosts").write_text("127.0.0.1 localhost\n198.18.0.1 first.example\nfd00:5::1 first.example\n")
        (directory / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        net.serve("198.18.0.1:delay=1ms", "fd00:5::1:delay=1ms")
        for family, address in (("-4", "198.18.0.1"), ("-6", "fd00:5::1")):
            probes, _ = net.ping_json(family, "first.example", expect=0)
            assert probes["first.example"][0]["address"] == address
        probes, summaries = net.ping_json("no-such.example", "198.18.0.1", expect=1)
        assert probes["no-such.example"][0]["reason"] == "unresolved"
        assert summaries["no-such.example"]["local_errors"] == 1
        assert summaries["198.18.0.1"]["received"] == 1
    finally:
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()


def test_ctrl_c_ends_with_the_summary(net):
    net.serve("198.18.0.1:delay=1ms")
    ping = subprocess.Popen(net.command("--json", "-c", "0", "-i", "0.1", "198.18.0.1"), stdout=subprocess.PIPE, text=True)
    lines = [json.loads(ping.stdout.readline()) for _ in range(5)]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3, 4]
    answered = sum(line["result"] == "ok" for line in lines)
    ping.send_signal(signal.SIGINT)
    rest, _ = ping.communicate(timeout=10)
    assert ping.returncode == 0
    summary = json.loads(rest.splitlines()[-1])
    assert summary["summary"] is True and summary["received"] >= answered > 0 and summary["lost"] == 0


def test_targets_come_from_a_file_or_standard_input(net, tmp_path):
    listed = tmp_path / "targets"
    listed.write_text("# loopback\n127.0.0.1\n\n::1   # and the other\n")
    _, summaries = net.ping_json("-f", listed, "127.0.0.2", expect=0)
    assert set(summaries) == {"127.0.0.1", "::1", "127.0.0.2"}
    _, summaries = net.ping_json("-f", "-", input="127.0.0.9\n", expect=0)
    assert set(summaries) == {"127.0.0.9"}
    listed.write_text("127.0.0.1\n256.1.1.1\n")
    refused = net.ping("-f", listed, expect=2)
    assert f"{listed}:2" in refused.stderr and "256.1.1.1" in refused.stderr


@pytest.mark.parametrize(
    "arguments, named",
    [
        ((), "no targets"),
        (("--frequency", "1", "::1"), "--frequency"),
        (("-z", "::1"), "-z"),
        (("--count",), "--count"),
        (("--count", "many", "::1"), "many"),
        (("--count", "-1", "::1"), "-1"),
        (("--interval", "0.01", "::1"), "0.01"),
        (("--timeout", "61", "::1"), "61"),
        (("--size", "15", "::1"), "15"),
        (("-4", "-6", "::1"), "-4 and -6"),
        (("-4", "::1"), "::1"),
        (("10.1",), "10.1"),
        (("-f", "/nonexistent"), "/nonexistent"),
    ],
)
def test_wrong_use_is_one_clear_line_and_exit_2(net, arguments, named):
    refused = net.ping(*arguments, expect=2)
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1 and named in refused.stderr


def test_nothing_is_privileged_once_the_sockets_are_open(net):
    ping = subprocess.Popen(net.command("--json", "-c", "0", "-i", "0.1", "127.0.0.1"), stdout=subprocess.PIPE, text=True)
    try:
        ping.stdout.readline()
        status = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{ping.pid}/status").read_text().splitlines() if ":\t" in line)
        assert status["Name"].strip() == "meshping-agent"
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[kind], 16) == 0, kind
        assert status["NoNewPrivs"].strip() == "1"
    finally:
        ping.send_signal(signal.SIGTERM)
        ping.communicate(timeout=10)
