#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Pings each argument once. From a build tree: PYTHONPATH=build/release/python examples/ping_once.py 127.0.0.1 ::1"""
import sys

import meshping


def main() -> int:
    try:
        results = meshping.ping(sys.argv[1:])
    except meshping.Error as error:
        print(f"ping_once.py: {error}", file=sys.stderr)
        return 2
    for result in results:
        time = f" in {result.rtt_ms:.3f} ms" if result.ok else ""
        print(f"{result.target} ({result.address or 'no address'}): {result.outcome}{time}")
    return 0 if all(result.ok for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
