# SPDX-License-Identifier: Apache-2.0
"""Source address, interface and do-not-fragment on real sockets: two links to a router, a narrow one behind it."""

import os

import pytest

from simlab import UNPRIVILEGED, Net, judged, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FAR, FAR6 = "10.9.0.2", "fd00:9::2"  # behind the link that takes 1,300 bytes
ROUTER, ROUTER6 = "192.168.8.2", "fd00:8::2"
PREFIXES = pytest.mark.parametrize("prefix", [(), UNPRIVILEGED], ids=["raw", "unprivileged"])


class Ways(Net):
    def __init__(self, log):
        super().__init__(log)
        self.router, self.far = f"{self.name}-router", f"{self.name}-far"

    def build(self):
        for namespace in (self.router, self.far):
            run("ip", "netns", "add", namespace)
            self.ip(namespace, "link", "set", "lo", "up")
        for namespace in (self.name, self.router, self.far):
            self.sysctl(namespace, "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0",
                        "net.ipv4.ping_group_range=0 2147483647", "net.ipv6.conf.default.accept_dad=0")
        self.wire("w8", self.name, self.router, 8)
        self.wire("w7", self.name, self.router, 7)
        self.wire("w9", self.router, self.far, 9, mtu="1300", net="10.9.0")
        self.ip(self.name, "address", "add", "192.168.8.3/24", "dev", "w8")
        for family, far, via, also in (("-4", FAR, ROUTER, "192.168.7.2"), ("-6", FAR6, ROUTER6, "fd00:7::2")):
            self.ip(self.name, family, "route", "add", far, "via", via)
            self.ip(self.name, family, "route", "add", far, "metric", "2000", "via", also)
            self.ip(self.far, family, "route", "add", "default", "via", far[:-1] + "1")
        self.sysctl(self.router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")

    def wire(self, name, left, right, number, mtu="1500", net=None):
        net = net or f"192.168.{number}"
        run("ip", "link", "add", name, "netns", left, "type", "veth", "peer", "name", name, "netns", right)
        for namespace, last in ((left, 1), (right, 2)):
            self.ip(namespace, "address", "add", f"{net}.{last}/24", "dev", name)
            self.ip(namespace, "address", "add", f"fd00:{number}::{last}/64", "dev", name, "nodad")
            self.ip(namespace, "link", "set", name, "mtu", mtu, "up")

    @staticmethod
    def ip(namespace, *args):
        run("ip", "-n", namespace, *args)

    @staticmethod
    def sysctl(namespace, *settings):
        run("ip", "netns", "exec", namespace, "sysctl", "-qw", *settings)

    def probes(self, target, *options, prefix=()):
        """The probes of a ping of three."""
        found, _ = self.ping_json("-c", "3", "-i", "0.1", "-W", "1", *options, target, prefix=prefix)
        assert len(found[target]) == 3
        return found[target]

    def close(self):
        for namespace in (self.router, self.far):
            run("ip", "netns", "delete", namespace)
        super().close()


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    made = Ways(tmp_path_factory.mktemp("ways") / "truth.log")
    try:
        made.build()
        for target in (FAR, FAR6):
            for way in ("w7", "w8"):  # neighbours are known from here on
                assert made.probes(target, "-I", way)[2]["result"] == "ok"
        yield made
    finally:
        made.close()


def results(probes):
    return [(probe["result"], probe["reason"]) for probe in probes]


OK = [("ok", "")] * 3


@PREFIXES
def test_probes_leave_from_the_source_that_was_asked_for(net, prefix):
    net.ip(net.far, "route", "add", "blackhole", "192.168.8.1/32")  # what the routes would choose is not answered
    try:
        assert results(net.probes(FAR, prefix=prefix)) == [("fail", "timeout")] * 3
        assert results(net.probes(FAR, "-S", "192.168.8.3", prefix=prefix)) == OK
        assert results(net.probes(FAR, "--source", "192.168.8.1", prefix=prefix)) == [("fail", "timeout")] * 3
    finally:
        net.ip(net.far, "route", "delete", "blackhole", "192.168.8.1/32")


@PREFIXES
@pytest.mark.parametrize("target,source", [(FAR, "192.168.8.77"), (FAR6, "fd00:8::77")])
def test_a_source_that_is_not_ours_is_our_trouble_not_the_targets_loss(net, target, source, prefix):
    for probe in net.probes(target, "-S", source, prefix=prefix):
        assert (probe["result"], probe["reason"], probe["local_error"]) == ("fail", "send_error", True)


@PREFIXES
def test_an_own_address_is_known_as_such_from_any_source(net, prefix):
    for options in ((), ("-S", "192.168.8.1"), ("-S", "127.0.0.1")):
        probes = net.probes("192.168.8.3", *options, prefix=prefix)
        assert results(probes) == OK and all(probe["via_loopback"] for probe in probes)
    assert not any(probe.get("via_loopback") for probe in net.probes(FAR, "-S", "192.168.8.3", prefix=prefix))


@PREFIXES
@pytest.mark.parametrize("target,from_w8", [(FAR, "192.168.8.0/24"), (FAR6, "fd00:8::/64")])
def test_probes_leave_by_the_interface_that_was_asked_for(net, target, from_w8, prefix):
    net.ip(net.far, "route", "add", "blackhole", from_w8)
    try:
        assert results(net.probes(target, "-I", "w8", prefix=prefix)) == [("fail", "timeout")] * 3
        assert results(net.probes(target, "-I", "w7", prefix=prefix)) == OK
    finally:
        net.ip(net.far, "route", "delete", "blackhole", from_w8)


def test_an_interface_that_is_not_there_is_our_trouble(net):
    for probe in net.probes(FAR, "-I", "w6"):
        assert (probe["reason"], probe["local_error"], probe["error"]) == ("send_error", True, "ENODEV")


@PREFIXES
@pytest.mark.parametrize("target,router", [(FAR, ROUTER), (FAR6, ROUTER6)])
def test_what_a_router_cannot_pass_whole_is_too_big_each_time_with_its_mtu(net, target, router, prefix):
    for _ in range(2):
        for probe in judged(net.probes(target, "-M", "-s", "1400", prefix=prefix)):
            assert (probe["result"], probe["reason"], probe["mtu"], probe["from"]) == ("fail", "too_big", 1300, router)
            assert "local_error" not in probe
        assert results(net.probes(target, "-M", "-s", "1200", prefix=prefix)) == OK
    net.probes(target, "-s", "1400", prefix=prefix)  # of IPv6, the first may find the path out
    assert results(net.probes(target, "-s", "1400", prefix=prefix)) == OK


@PREFIXES
@pytest.mark.parametrize("target", [ROUTER, ROUTER6])
@pytest.mark.parametrize("how", [("-M",), ("-M", "-I", "w8")])
def test_what_the_own_link_cannot_pass_whole_is_too_big_with_its_mtu(net, target, how, prefix):
    for probe in net.probes(target, *how, "-s", "1600", prefix=prefix):
        assert (probe["result"], probe["reason"], probe["mtu"], probe["error"]) == ("fail", "too_big", 1500, "EMSGSIZE")
    net.probes(target, "-s", "1600", prefix=prefix)
    assert results(net.probes(target, "-s", "1600", prefix=prefix)) == OK


def test_ipv4_probes_that_may_be_fragmented_lose_none_to_find_the_path(net):
    net.ip(net.name, "route", "flush", "cache")
    assert results(net.probes(FAR, "-s", "1400")) == OK


@pytest.mark.parametrize("options,said", [
    (("-S", "nonsense", FAR), "--source takes an IP address"),
    (("-S", "fd00:8::1", FAR), "source fd00:8::1 is IPv6, but host 10.9.0.2"),
    (("-S", "224.0.0.1", FAR), "source 224.0.0.1 is a multicast address"),
    (("-I", "a/b", FAR), "interface 'a/b' is not the name of one"),
    (("-I", "sixteen-letters-", FAR), "--interface takes the name"),
])
def test_nonsense_is_refused_with_its_reason(net, options, said):
    done = net.ping(*options)
    assert done.returncode == 2 and said in done.stderr and not done.stdout
