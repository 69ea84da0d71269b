/* SPDX-License-Identifier: Apache-2.0 */
/* What the benches share. To add one: a file with NAME_main, and a line in BENCH_MAP. */
#ifndef MESHPING_BENCH_H
#define MESHPING_BENCH_H

#include <meshping/common.h>

#define BENCH_MAP(XX)                                                                                                  \
    XX(agents, "thousands of agents on one server: memory, CPU, the time until all are back")                          \
    XX(probe, "CPU and wall time a ping, flat out over loopback, beside fping and a bare loop")                        \
    XX(store, "bytes a sample on disk, beside a SQLite row a sample and VictoriaMetrics")                              \
    XX(rollup, "bytes and time of hourly roll-ups: on disk, adding to them, reading 90 days")                          \
    XX(retention, "days of a mesh: does the file stop growing, and how long does a commit wait")                       \
    XX(ingest, "a full mesh through a real server: CPU, memory, time to the ack, questions meanwhile, restart")

#define XX(name, text) int name##_main(int argc, char **argv);
BENCH_MAP(XX)
#undef XX

typedef struct bench_figure {
    const char *bench, *figure, *unit;
    double value;
    const char *peer; /* NULL: there is none */
    double peer_value;
} bench_figure;

/* One line: JSON as {"bench","figure","value","unit","peer","peer_value","ratio"}, or for people. */
void bench_print(const bench_figure *figure, bool json);
/* Sorts `values`. */
double bench_median(double *values, size_t count);

#endif
