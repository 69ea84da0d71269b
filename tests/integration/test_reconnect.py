# SPDX-License-Identifier: Apache-2.0
"""docs/PROTOCOL.md, Trying again: at once when the host's link is back, and at the family of addresses that was good."""

import os
import pathlib
import re
import shutil
import time

import pytest

import lab

NAME = "mesh.example"


@pytest.fixture
def net():
    with lab.directory() as directory, lab.Network("mpr") as network:
        yield directory, network


def approved_since(agent, mark):
    return "approved: approved" in agent.daemon.text()[mark:]


def test_a_link_that_is_back_ends_the_waiting(net):
    directory, network = net
    server = lab.Server(directory, network.host("server")).start().sign_in()
    agent = lab.Agent(directory, "a", server.passphrase(), network.host("a")).start("--log-level", "debug")
    try:
        lab.wait_for("it asks", 15, lambda: server.agents().get("a"))
        server.act("a", "approve")
        lab.wait_for("it is in", 10, lambda: approved_since(agent, 0))
        assert server.end() == 0
        # its link is gone: it waits longer and longer, and does not see that the server is there again
        agent.host.set_carrier(False)
        server.start()
        mark = len(agent.daemon.text())
        lab.wait_for("it waits for long", 120, lambda: [float(s) for s in re.findall(
            r"next try in ([0-9.]+) s", agent.daemon.text()[mark:])][-1:] > [6.0], every=0.05)
        assert not approved_since(agent, mark)
        mark = len(agent.daemon.text())
        agent.host.set_carrier(True)
        lab.wait_for("it is back", 5, lambda: approved_since(agent, mark))
        assert "the network may be back" in agent.daemon.text()[mark:]
    finally:
        agent.end()
        server.end()


def test_a_state_directory_that_takes_nothing_is_told_each_time_until_it_does(net):
    directory, network = net
    server = lab.Server(directory, network.host("server")).start().sign_in()
    agent = lab.Agent(directory, "a", server.passphrase(), network.host("a"))
    assert server.end() == 0
    agent.start()
    try:
        lab.wait_for("it has a key", 15, lambda: "next try" in agent.daemon.text() or "connecting" in agent.daemon.text())
        state = agent.directory / "state/server.json"
        state.mkdir()  # as good as a full disk: no file can take its place
        server.start()
        said = "server.json.*until it can be written this agent stays out"
        lab.wait_for("it is told again and again", 60, lambda: len(re.findall(said, agent.daemon.text())) >= 3)
        state.rmdir()
        lab.wait_for("it is written", 60, state.is_file)
        agent.end()
        agent.passphrase_file.unlink()
        agent.start()
        lab.wait_for("it knows its server", 15, lambda: "pending" in agent.daemon.text())
    finally:
        agent.end()
        server.end()


def family_of(server, name):
    return 6 if ":" in server.agents()[name]["observed_address"] else 4


def test_the_family_that_was_good_is_kept_until_three_failures(net):
    directory, network = net
    server_host, agent_host = network.host("server"), network.host("a")
    for number, host in enumerate((server_host, agent_host), 1):
        lab.run("ip", "-n", host.namespace, "addr", "add", f"fd00:6d70::{number}/64", "dev", "eth0", "nodad")
    hosts = pathlib.Path("/etc/netns") / agent_host.namespace
    hosts.mkdir(parents=True)
    (hosts / "hosts").write_text(f"{server_host.address} {NAME}\nfd00:6d70::1 {NAME}\n127.0.0.1 localhost\n")
    server = lab.Server(directory, server_host)
    server.start("--listen", "[::]:8443", "--advertise", f"{NAME}:8443")
    server.sign_in()
    agent = lab.Agent(directory, "a", server.passphrase(), agent_host)
    try:
        lab.join(server, agent)
        lab.wait_for("it has its ticket", 10, lambda: approved_since(agent, 0))
        both = f"{agent_host.address}, fd00:6d70::/64"
        server.call("PUT", f"/api/v1/agents/{server.agents()['a']['id']}/addresses", {"addresses": both})
        first = family_of(server, "a")
        gone = server_host.address + "/24" if first == 4 else "fd00:6d70::1/64"
        # two failures: the server is away, and comes back
        for _ in range(2):
            mark = len(agent.daemon.text())
            agent.end()
            agent.start()
            lab.wait_for("it is back", 15, lambda: approved_since(agent, mark))
            assert family_of(server, "a") == first
        # this family is gone, the other is not
        mark = len(agent.daemon.text())
        lab.run("ip", "-n", server_host.namespace, "addr", "del", gone, "dev", "eth0")
        agent.end()
        agent.start()
        lab.wait_for("it comes by the other one", 90, lambda: approved_since(agent, mark))
        tries = agent.daemon.text()[mark:].count("connecting to")
        assert tries == 4, "three failures, then the other family"
        if first == 6:
            assert family_of(server, "a") == 4
        lab.run("ip", "-n", server_host.namespace, "addr", "add", gone, "dev", "eth0", *(["nodad"] if first == 6 else []))
        mark = len(agent.daemon.text())
        agent.end()
        agent.start()
        lab.wait_for("it is back", 15, lambda: approved_since(agent, mark))
        assert family_of(server, "a") != first, "the one that was good last is kept over a restart"
        assert server.agents()["a"]["state"] == "approved"
    finally:
        agent.end()
        server.end()
        shutil.rmtree(hosts)
        if not os.listdir("/etc/netns"):
            os.rmdir("/etc/netns")
