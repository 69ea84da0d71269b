#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Synthetic RTT series for `meshping-bench store`: one series a line, microseconds, '-' for lost.

usage: series.py lan|metro|wan [--series N] [--samples N] [--seed N]

lan    0.15-0.5 ms, noise of 15-30 us, spikes of a busy host
metro  1-6 ms, noise of 30-80 us, a slow drift with the day's load
wan    20-180 ms, noise of 80-250 us with memory, drift, now and then another route
Each series has its own level and noise; the same seed gives the same lines everywhere.
"""
import argparse
import math
import random

KINDS = {
    #         base us          noise us    drift  spikes  lost    routes memory
    "lan": ((150, 500), (15, 30), 0.02, 0.003, 0.0005, 0.0, 0.0),
    "metro": ((1000, 6000), (30, 80), 0.02, 0.005, 0.001, 0.0, 0.2),
    "wan": ((20000, 180000), (80, 250), 0.005, 0.01, 0.005, 0.0005, 0.4),
}


def series(kind, samples, dice):
    base_range, noise_range, drift, spikes, lost, routes, memory = KINDS[kind]
    base = dice.uniform(*base_range)
    noise = dice.uniform(*noise_range)
    phase = dice.uniform(0, 2 * math.pi)
    carried = 0.0
    out = []
    for i in range(samples):
        if dice.random() < routes:
            base *= dice.uniform(0.9, 1.1)
        level = base * (1 + drift * math.sin(phase + 2 * math.pi * i / 17280))
        carried = memory * carried + math.sqrt(1 - memory * memory) * dice.gauss(0, 1)
        rtt = level + noise * (carried if carried < 0 else 1.3 * carried)  # queues only ever add
        if dice.random() < spikes:
            rtt += dice.expovariate(1 / (20 * noise))
        out.append("-" if dice.random() < lost else str(max(20, round(rtt))))
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--samples", type=int, default=2880)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = random.Random(f"{args.kind} {args.seed}")
    for _ in range(args.series):
        print(" ".join(series(args.kind, args.samples, dice)))


if __name__ == "__main__":
    main()
