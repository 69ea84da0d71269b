/* SPDX-License-Identifier: Apache-2.0 */
/* What the bench `store` is measured against. */
#ifndef MESHPING_BENCH_STORE_PEERS_H
#define MESHPING_BENCH_STORE_PEERS_H

#include <meshping/sample.h>

#define BENCH_STEP_US 5000000
#define BENCH_PATH_MAX 256

typedef struct bench_series {
    int64_t *rtt_us; /* all series one after the other; -1: lost */
    size_t *starts;  /* series + 1 of them */
    size_t count, series;
    int64_t first_us;
} bench_series;

/* From a file, "-" stdin: a line a series, microseconds, "-" for lost. false: told on stderr. */
bool bench_series_read(const char *path, bench_series *all);
meshping_sample bench_sample(const bench_series *all, size_t series, size_t i);

/* Files below, by their lengths. */
double bench_directory_bytes(const char *directory);
void bench_directory_remove(const char *directory);

/* Each stores the series in a new directory; false: it could not, and said why. */
bool bench_store_rows(const bench_series *all, const char *directory, double *bytes);
bool bench_store_victoria(const bench_series *all, const char *directory, double *bytes);

#endif
