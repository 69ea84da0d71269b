# SPDX-License-Identifier: Apache-2.0
"""Real ICMP, on loopback."""
import os
import subprocess
import sys
import time

import meshping
import pytest


def may_ping() -> bool:
    try:
        meshping.Prober()
    except meshping.Error as error:
        if error.name == "PERMISSION":
            return False
        raise
    return True


pytestmark = pytest.mark.skipif(not may_ping(), reason="no CAP_NET_RAW, and ping_group_range does not allow it")
has_ipv6 = os.path.exists("/proc/net/if_inet6") and "lo" in open("/proc/net/if_inet6").read()


def test_loopback_answers_at_once():
    started = time.monotonic()
    (result,) = meshping.ping("127.0.0.1")
    assert time.monotonic() - started < 1
    assert result.ok and result.outcome == "ok"
    assert result.target == result.address == result.responder == "127.0.0.1"
    assert 0 < result.rtt_ms < 500
    assert abs(result.sample.slot_unix_us / 1e6 - time.time()) < 5


def test_each_target_is_pinged_count_times():
    targets = ["127.0.0.1", "127.0.0.2"] + (["::1"] if has_ipv6 else [])
    results = meshping.ping(targets, count=3, interval=0)
    assert sorted((r.target, r.sequence) for r in results) == sorted((t, i) for t in targets for i in range(3))
    assert all(r.ok for r in results)


def test_an_interval_is_kept():
    results = meshping.ping(["127.0.0.1"], count=3, interval=0.2)
    slots = sorted(r.sample.slot_unix_us for r in results)
    assert [b - a for a, b in zip(slots, slots[1:])] == [200_000, 200_000]


def test_a_target_can_be_removed_while_the_prober_runs():
    prober = meshping.Prober()
    prober.add("127.0.0.1", interval=0.1)
    gone = prober.add("127.0.0.2", interval=0.1)
    seen = set()
    deadline = time.monotonic() + 5
    while len(seen) < 2 and time.monotonic() < deadline:
        seen |= {r.target for r in prober.process()}
        time.sleep(0.005)
    assert seen == {"127.0.0.1", "127.0.0.2"}
    prober.remove(gone)
    later = []
    deadline = time.monotonic() + 0.4
    while time.monotonic() < deadline:
        later += prober.process()
        time.sleep(0.005)
    assert {r.target for r in later} == {"127.0.0.1"}
    with pytest.raises(meshping.Error) as caught:
        prober._raw.remove_target(gone)
    assert caught.value.name == "NOT_FOUND"


@pytest.mark.parametrize("wrong", ["256.1.1.1", "1:2:3", "not a host", ""])
def test_what_is_no_target_is_refused(wrong):
    with pytest.raises(meshping.Error) as caught:
        meshping.ping(wrong)
    assert caught.value.name == "INVALID"


@pytest.mark.skipif(os.geteuid() != 0, reason="a namespace without a network needs root")
def test_a_host_without_a_network_blames_itself():
    script = "import meshping; (r,) = meshping.ping('192.0.2.1', timeout=0.5); print(r.ok, r.sample.lost, r.outcome, r.rtt_ms)"
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert done.stdout.split() == ["False", "False", "send_error", "None"], done.stderr


def test_a_count_of_nothing_is_refused():
    with pytest.raises(ValueError):
        meshping.ping("127.0.0.1", count=0)
