#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The agent's buffer by itself. From a build tree: PYTHONPATH=build/release/python examples/buffer.py"""
import sys

import meshping

START_US = 1700000000000000
STEP_US = 5000000


def show(buffer: meshping.Buffer, when: str) -> None:
    stats = buffer.stats()
    print(f"{when}: {stats['blocks']} blocks kept, {stats['dropped_samples']} samples dropped")
    for gap in buffer.gaps():
        print(f"  gap: sequences {gap.first} to {gap.last}, {gap.reason}")


def main() -> int:
    buffer = meshping.Buffer(max_age_s=100, max_blocks=30)  # else 30 minutes, 64 MiB, 100,000 blocks
    for i in range(60):
        buffer.push(meshping.encode_block({1: [meshping.Sample(START_US + i * STEP_US, "ok", 250)]}))
    show(buffer, "60 results, 5 s apart, for 30 blocks of room")
    buffer.expire((START_US + 60 * STEP_US) / 1e6)
    show(buffer, "what is older than 100 s has gone")
    buffer.ack(1, 40)  # the receiver took the gaps in
    buffer.ack(51, 60)
    show(buffer, "the newest ten and the gaps are acknowledged")
    # it comes back with an older database: what it had and has no more is a gap, too
    buffer.reconcile([(1, 45), (56, 60)])
    show(buffer, "the receiver was restored from a backup")
    return 0


if __name__ == "__main__":
    sys.exit(main())
