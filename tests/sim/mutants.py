# SPDX-License-Identifier: Apache-2.0
"""Breaks the engine's checks of a reply one by one: for each, some test of the simulated internet has to fail.

usage: mutants.py BUILD-DIRECTORY [NAME...]   builds each mutant in a temporary directory, beside the library as it is
"""

import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = TOP / "libmeshping"
TESTS = ("test_prober", "test_prober_own", "test_prober_targets", "test_prober_truth", "test_prober_ways")
PACKAGES = "cmocka json-c libcap libcares libuv libwebsockets libzstd openssl sqlite3 zlib".split()

RECEIVE, PROBER, ICMP, TARGETS = "core/prober_receive.c", "core/prober.c", "core/icmp.c", "core/prober_targets.c"

# name, file, what stands there, what the mutant has instead
MUTANTS = [
    ("cookie", RECEIVE, "if (flight->cookie != cookie)", "if (false)"),
    ("source", RECEIVE, "!same_host(&rx->from, &flight->address) || ", ""),
    ("sent to the address asked for", RECEIVE, " || !meant_for_source(prober, flight, &rx->to)", ""),
    ("length", RECEIVE, "else if (rx->truncated || message->payload_length != flight->size)", "else if (false)"),
    ("filler", RECEIVE, "else if (!meshping__icmp_filler_ok(message->payload, message->payload_length))", "else if (false)"),
    ("checksum", RECEIVE, "if (!rx->is_error && !checksum_ok(&message, rx))", "if (false)"),
    ("checksum of IPv6", RECEIVE, "return meshping__icmp_checksum(message->icmp, message->icmp_length, &rx->from, &rx->to) == 0;",
     "return true;"),
    ("identifier", RECEIVE, "if (((message.identifier ^ base) & (uint16_t)~low) != 0)", "if (false)"),
    ("sequence", RECEIVE, "if (((number ^ wire) & (prober->flights.capacity_max - 1)) != 0)", "if (false)"),
    ("number", RECEIVE, "if (!flight || flight->number != number)", "if (!flight)"),
    ("identity's length", RECEIVE, "if (message->payload_length < MESHPING__ICMP_IDENTITY)", "if (message->payload_length < 1)"),
    ("in time", RECEIVE, "if (flight->state != MESHPING__FLIGHT_FLYING || !in_time)", "if (flight->state != MESHPING__FLIGHT_FLYING)"),
    ("once", RECEIVE, "if (flight->state == MESHPING__FLIGHT_ANSWERED)", "if (false)"),
    ("type", ICMP, "if (bytes[0] == (family == MESHPING_FAMILY_IPV4 ? V4_ECHO_REPLY : V6_ECHO_REPLY) && bytes[1] == 0)",
     "if (bytes[1] == 0)"),
    ("code", ICMP, " && bytes[1] == 0)", ")"),
    ("cookie of a stray", RECEIVE,
     "meshping__prober_cookie(prober, number, &rx->from, (uint16_t)message->payload_length) == cookie)", "true)"),
    ("destination of an error", RECEIVE, "if (!flight || !same_host(quoted_to, &flight->address))", "if (!flight)"),
    ("number in an error", RECEIVE, "(message->payload_length >= 8 && get_be64(message->payload) != flight->number)", "false"),
    ("cookie in an error", RECEIVE, "(message->payload_length >= 16 && get_be64(message->payload + 8) != flight->cookie)", "false"),
    ("protocol in an error", ICMP, "if (protocol != PROTOCOL_ICMP)", "if (false)"),
    ("protocol in an IPv6 error", ICMP, "if (protocol != PROTOCOL_ICMPV6)", "if (false)"),
    ("an error is about a request", ICMP, "if (!quoted || quoted[0] != (v4 ? V4_ECHO : V6_ECHO))", "if (!quoted)"),
    ("8 quoted bytes are enough", ICMP, "if (length < header + MESHPING__ICMP_HEADER)", "if (length < header + 16)"),
    ("an error is provisional", RECEIVE, "flight->error_via_loopback = rx->via_loopback;",
     "meshping_probe_result now = {.sample = {.outcome = flight->error_outcome}, .done_mono_ns = rx->read_mono_ns};\n"
     "    meshping__prober_conclude(prober, flight, &now);"),
    ("MTU", ICMP, "out->mtu = get_be16(out->icmp + 6); /* RFC 1191 */", ";"),
    ("router's address", RECEIVE, "flight->error_from = rx->from;", ";"),
    ("a step of the clock", RECEIVE, "if (step <= CLOCK_TOLERANCE_NS && step >= -CLOCK_TOLERANCE_NS && wall >= 0 &&",
     "if (wall >= 0 &&"),
    ("verdicts when all is read", PROBER, "if (drained)\n            expire(prober, now->mono_ns);\n        else\n            prober->more_to_do = true;",
     "expire(prober, now->mono_ns);\n        if (!drained)\n            prober->more_to_do = true;"),
    ("drops", PROBER, "result.sample.flags |= MESHPING_FLAG_RX_DROPS;", ";"),
    ("sent late", PROBER, "flight->flags |= MESHPING_FLAG_LATE_SEND;", ";"),
    ("own network", PROBER, "if (own)\n        sample->outcome = own;", ""),
    ("another target's flight", PROBER, "return target->id && target->generation == flight->generation ? target : NULL;",
     "return target->id ? target : NULL;"),
]


def sh(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout


def check(mutant, build, flags, libraries):
    """The first test that fails for the mutant, or None."""
    name, file, old, new = mutant
    text = (LIBRARY / file).read_text()
    if text.count(old) != 1:
        return f"!! {name}: {text.count(old)} places in {file} read: {old}"
    with tempfile.TemporaryDirectory() as directory:
        source = pathlib.Path(directory) / pathlib.Path(file).name
        source.write_text(text.replace(old, new))
        compile = ["cc", "-std=gnu11", "-O1", "-w", "-D_GNU_SOURCE", f"-I{LIBRARY}/include", f"-I{LIBRARY}", f"-I{TOP}/tests/sim", *flags]
        sh(*compile, "-c", source, "-o", f"{directory}/mutant.o")
        for test in TESTS:
            program = f"{directory}/{test}"
            sh(*compile, TOP / f"tests/sim/{test}.c", TOP / "tests/sim/simnet.c", TOP / "tests/sim/simforge.c", f"{directory}/mutant.o",
               build / "lib/libmeshping.a", *libraries, "-o", program)
            try:
                done = subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
            except subprocess.TimeoutExpired:
                return f"{test} (for ever)"
            if done.returncode:
                return test
    return None


def main():
    build, names = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    flags, libraries = sh("pkg-config", "--cflags", *PACKAGES).split(), sh("pkg-config", "--libs", *PACKAGES).split()
    mutants = [mutant for mutant in MUTANTS if not names or mutant[0] in names]
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, killer in zip(mutants, pool.map(lambda m: check(m, build, flags, libraries), mutants)):
            bad = killer is None or killer.startswith("!!")
            survivors += bad
            print(f"{mutant[0]:30} {killer or 'SURVIVES: no test fails'}", flush=True)
    print(f"{len(mutants)} mutants, {len(mutants) - survivors} found out, {survivors} not")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
