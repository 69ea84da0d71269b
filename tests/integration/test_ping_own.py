# SPDX-License-Identifier: Apache-2.0
"""The agent suspects itself first: what the kernel tells of its own links, routes and gateways, in a real namespace.

Two links: `good` to a host that answers, `own` to one that answers until something of ours breaks. What is dead beyond a
link that works stays a loss.
"""

import json
import os
import pathlib
import signal
import subprocess
import threading
import time

import pytest

from simlab import UNPRIVILEGED, Net, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

LINKS = {"good": "192.168.8", "own": "192.168.7"}


@pytest.fixture
def net(tmp_path):
    made = Net(tmp_path / "truth.log")
    made.peers = {}
    for link, prefix in LINKS.items():
        peer = made.peers[link] = f"{made.name}-{link}"
        run("ip", "netns", "add", peer)
        run("ip", "link", "add", link, "netns", made.name, "type", "veth", "peer", "name", "peer", "netns", peer)
        for namespace, device, last in ((made.name, link, 1), (peer, "peer", 2)):
            run("ip", "-n", namespace, "address", "add", f"{prefix}.{last}/24", "dev", device)
            run("ip", "-n", namespace, "link", "set", device, "up")
        run("ip", "-n", peer, "link", "set", "lo", "up")
        run("ip", "-n", peer, "address", "add", f"10.{prefix.split('.')[2]}.0.1/32", "dev", "lo")
        run("ip", "-n", made.name, "route", "add", f"10.{prefix.split('.')[2]}.0.0/24", "via", f"{prefix}.2")
    run("ip", "netns", "exec", made.name, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    yield made
    for peer in made.peers.values():
        run("ip", "netns", "delete", peer)
    made.close()


def probes_while(net, break_it, mend_it, targets, seconds=1.0, prefix=(), timeout="0.5", more=()):
    """Pings each 0.1 s for 6 s; from second 2 on, something is broken for so long. (probes by target, when)."""
    ping = subprocess.Popen(net.command("--json", "-c", "60", "-i", "0.1", "-W", timeout, *more, *targets, prefix=prefix),
                            stdout=subprocess.PIPE, text=True)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(ping.stdout))
    reader.start()
    time.sleep(2)
    broken = time.time()
    break_it()
    time.sleep(seconds)
    mend_it()
    mended = time.time()
    reader.join(30)
    assert ping.wait(10) in (0, 1)
    ping.stdout.close()
    found = {target: [] for target in targets}
    for line in map(json.loads, lines):
        if not line.get("summary"):
            found[line["target"]].append(line)
    for all_of_one in found.values():
        assert len(all_of_one) == 60
    return found, broken, mended


def reasons(probes):
    return {probe["reason"] for probe in probes}


def link(net, name, state):
    return lambda: run("ip", "-n", net.name, "link", "set", name, state)


def port(net, name, state):
    return lambda: run("ip", "-n", net.peers[name], "link", "set", "peer", state)


def test_a_probe_that_asks_for_an_interface_is_judged_by_that_one(net):
    """The routes say `good`, the probe says `own`: it is the state of `own` that counts."""
    run("ip", "-n", net.name, "route", "add", "10.5.0.1/32", "via", "192.168.8.2")
    run("ip", "-n", net.name, "route", "add", "10.5.0.1/32", "via", "192.168.7.2", "metric", "9000")
    for peer in net.peers.values():
        run("ip", "-n", peer, "address", "add", "10.5.0.1/32", "dev", "lo")
    for name, broken in (("own", True), ("good", False)):
        found, *_ = probes_while(net, link(net, "own", "down"), link(net, "own", "up"),
                                 ("10.5.0.1",), more=("--interface", name))
        missed = [probe for probe in found["10.5.0.1"] if probe["reason"]]
        assert all(probe.get("local_error") for probe in missed), (name, reasons(missed))
        assert bool(reasons(missed) & {"isolated", "send_error"}) == broken, (name, reasons(missed))


@pytest.mark.parametrize("prefix", [(), UNPRIVILEGED], ids=["raw", "unprivileged"])
@pytest.mark.parametrize("how", [link, port], ids=["interface down", "cable pulled"])
def test_a_second_without_the_own_link_is_never_the_targets_loss_and_hides_none_of_another_link(net, how, prefix):
    alive, dead = "192.168.8.2", "192.168.8.9"
    found, *_ = probes_while(net, how(net, "own", "down"), how(net, "own", "up"), ("192.168.7.2", alive, dead), prefix=prefix)
    own = [probe for probe in found["192.168.7.2"] if probe["reason"]]
    # busy machines may flag a slot of their own trouble; a target's loss it must never be
    assert len(own) >= 5 and all(probe.get("local_error") for probe in own), reasons(own)
    assert reasons(own) & {"isolated", "send_error"}
    assert not [probe for probe in found[alive] if probe["reason"] and not probe.get("local_error")]
    assert "isolated" not in reasons(found[dead])
    assert len([probe for probe in found[dead] if probe["reason"] in ("timeout", "unreachable")]) >= 30


def test_a_gateway_that_does_not_answer_is_our_trouble_and_a_dead_host_behind_a_living_one_is_not(net):
    """The kernel looks for the gateway, in vain, and says `unreachable` from an address of ours."""
    run("ip", "-n", net.name, "route", "add", "10.9.0.0/24", "via", "192.168.7.77")
    probes, summaries = net.ping_json("-c", "4", "-W", "5", "10.9.0.1", "10.8.0.1", "10.8.0.9", "192.168.8.9", expect=1)
    assert reasons(probes["10.9.0.1"]) == {"isolated"} and probes["10.9.0.1"][0]["local_error"] is True
    assert summaries["10.9.0.1"]["lost"] == 0
    assert summaries["10.8.0.1"]["received"] + summaries["10.8.0.1"]["local_errors"] == 4
    for dead in ("10.8.0.9", "192.168.8.9"):  # behind a gateway that lives; and a neighbour that is dead itself
        assert reasons(probes[dead]) <= {"timeout", "unreachable", "overloaded"} and summaries[dead]["lost"] > 0
    # with the usual timeout the verdict falls before the kernel has given up: its state of the neighbour tells
    run("ip", "-n", net.name, "neigh", "flush", "all")
    probes, _ = net.ping_json("-c", "6", "-W", "2.5", "10.9.0.1", "192.168.8.9", expect=1)
    assert reasons(probes["10.9.0.1"]) <= {"isolated", "overloaded"}
    assert reasons(probes["192.168.8.9"]) <= {"timeout", "unreachable", "overloaded"}


def test_a_route_that_goes_while_probes_are_in_the_air_is_our_trouble(net):
    route = ("10.7.0.0/24", "via", "192.168.7.2")
    found, *_ = probes_while(
        net,
        lambda: (run("ip", "-n", net.peers["own"], "address", "del", "10.7.0.1/32", "dev", "lo"), time.sleep(0.3),
                 run("ip", "-n", net.name, "route", "del", *route)),
        lambda: None, ("10.7.0.1", "10.8.0.9"), seconds=0, timeout="1")
    missed = [probe for probe in found["10.7.0.1"] if probe["reason"]]
    assert missed and all(probe.get("local_error") for probe in missed), reasons(missed)
    assert "isolated" in reasons(missed) and "send_error" in reasons(missed)
    assert "timeout" in reasons(found["10.8.0.9"])


def test_replies_that_a_full_socket_dropped_are_our_trouble_and_flagged(tmp_path):
    """Thousands of large replies, more than the socket takes, while the process is held up."""
    if int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text()) > 4 << 20:
        pytest.skip("an ordinary user's socket is too large here to be filled in a second")
    net = Net(tmp_path / "truth.log")
    try:
        run("ip", "netns", "exec", net.name, "sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
        net.serve("198.18.0.0/18:delay=900ms")
        listed = tmp_path / "targets"
        listed.write_text("".join(f"198.18.{i // 250}.{i % 250 + 1}\n" for i in range(8000)))
        with open(listed) as file:  # which an ordinary user could not open there
            ping = subprocess.Popen(net.command("--json", "--stats", "-c", "2", "-i", "1", "-s", "1400", "-f", "-", prefix=UNPRIVILEGED),
                                    stdin=file, stdout=subprocess.PIPE, text=True)
        time.sleep(1.6)
        ping.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        ping.send_signal(signal.SIGCONT)
        lines = [json.loads(line) for line in ping.communicate(timeout=60)[0].splitlines()]
        events = net.truth()
    finally:
        net.close()
    assert lines[-1]["totals"] and lines[-1]["rx_drops"] > 100
    probes = [line for line in lines if "seq" in line]
    assert len(probes) == 16000
    # the simulation answered whatever reached it: none of it may be told as a loss
    assert {event["what"] for of_one in events.values() for event in of_one} == {"reply"}
    missed = [probe for probe in probes if probe["reason"]]
    assert all(probe["local_error"] for probe in missed), reasons(missed)
    dropped = [probe for probe in missed if "rx_drops" in probe["flags"]]
    assert len(dropped) >= 100 and reasons(dropped) == {"overloaded"}
