/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_BENCH_PROBE_PEERS_H
#define MESHPING_BENCH_PROBE_PEERS_H

#include <stdbool.h>

typedef struct bench_cost {
    double cpu_s, wall_s;
} bench_cost;

/* Runs a program to its end, its output into a file or (NULL) nowhere; or, where `work` is given, that in a process of
 * its own. False: it could not be started, or failed. */
bool bench_measure(bench_cost *out, const char *const *command, const char *output, bool (*work)(void *), void *user);

/*
 * `targets` loopback addresses each second for ten seconds, by prometheus-smokeping-prober and by `agent` ping: CPU,
 * and replies that were missed. True, without a word, where the former is not installed.
 */
bool smokeping_compare(const char *agent, unsigned targets, bool json);

#endif
