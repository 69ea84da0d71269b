/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hourly roll-ups of given series as one agent's targets: the first pass through the series in steps of ten minutes, as
 * sealing has them, then again and again, an hour at a time, until there are --days of them; then queries.
 */
#include "bench.h"
#include "store_peers.h"

#include "store/internal.h"
#include "store/rollups.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT 1
#define HOUR_SAMPLES ((size_t)(3600000000 / BENCH_STEP_US))
#define READS 50

typedef struct run {
    const bench_series *all;
    meshping_store *store;
    size_t samples; /* of each series, in whole hours */
    size_t days;
    meshping_sample *scratch;
    double add_us, longest_piece_us, write_us; /* of all ten-minute steps */
    size_t steps;
    bool json;
} run;

static double now_us(void)
{
    return (double)meshping_now_read().mono_ns / 1e3;
}

static void check(meshping_status status, const meshping_error *err)
{
    if (status == MESHPING_OK)
        return;
    fprintf(stderr, "meshping-bench rollup: %s\n", err->message);
    exit(1);
}

/* Samples from..from + count of every series, `pass` times the series' length later. */
static void step(run *r, size_t pass, size_t from, size_t count, bool timed)
{
    meshping_error err = {0};
    meshping_status status = MESHPING_OK;
    meshping__rollup_change change;
    double start = now_us(), piece;
    meshping__rollup_change_init(&change, &r->store->sql, AGENT);
    for (size_t s = 0; s < r->all->series; s++) {
        for (size_t i = 0; i < count; i++) {
            r->scratch[i] = bench_sample(r->all, s, from + i);
            r->scratch[i].slot_unix_us += (int64_t)(pass * r->samples) * BENCH_STEP_US;
        }
        check(meshping__rollup_change_add(&change, s + 1, r->scratch, count, &err), &err);
    }
    while (status == MESHPING_OK) {
        piece = now_us();
        status = meshping__rollup_change_prepare(&change, &err);
        piece = now_us() - piece;
        if (timed && piece > r->longest_piece_us)
            r->longest_piece_us = piece;
    }
    check(status == MESHPING_NOT_FOUND ? MESHPING_OK : status, &err);
    double added = now_us();
    check(meshping__sql_begin(&r->store->sql, &err), &err);
    status = meshping__rollup_change_write(&change, r->scratch[count - 1].slot_unix_us, &err);
    check(meshping__sql_end(&r->store->sql, status, &err), &err);
    meshping__rollup_change_dispose(&change);
    if (timed) {
        r->add_us += added - start;
        r->write_us += now_us() - added;
        r->steps++;
    }
}

static double used_bytes(run *r)
{
    int64_t pages, free_pages, page_bytes;
    meshping_error err = {0};
    check(meshping__sql_number(&r->store->sql, "PRAGMA page_count", &pages, &err), &err);
    check(meshping__sql_number(&r->store->sql, "PRAGMA freelist_count", &free_pages, &err), &err);
    check(meshping__sql_number(&r->store->sql, "PRAGMA page_size", &page_bytes, &err), &err);
    return (double)(pages - free_pages) * (double)page_bytes;
}

static void tell(const run *r, const char *figure, double value, const char *unit)
{
    bench_print(&(bench_figure){.bench = "rollup", .figure = figure, .value = value, .unit = unit}, r->json);
}

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

/* Of READS runs the median and the slowest. */
static void tell_reads(const run *r, const char *name, double *times_ms)
{
    char figure[128];
    qsort(times_ms, READS, sizeof *times_ms, compare_doubles);
    snprintf(figure, sizeof figure, "%s, median", name);
    tell(r, figure, times_ms[READS / 2], "ms");
    snprintf(figure, sizeof figure, "%s, slowest of 50", name);
    tell(r, figure, times_ms[READS - 1], "ms");
}

static void read_back(run *r, int64_t end_us)
{
    static double points_ms[READS], worst_ms[READS], group_ms[READS];
    static meshping_rollup sum;
    int64_t from_us = end_us - (int64_t)r->days * 86400000000, step_us;
    const meshping_pair row = {AGENT, 0};
    for (size_t i = 0; i < READS; i++) {
        meshping_point *points = NULL;
        meshping_pair_point *worst = NULL;
        meshping_error err = {0};
        size_t count;
        double start = now_us();
        check(meshping_store_points(r->store, AGENT, 1 + i % r->all->series, from_us, end_us, 500, &points, &count,
                                    &step_us, &err),
              &err);
        points_ms[i] = (now_us() - start) / 1e3;
        meshping_free(points);
        start = now_us();
        int64_t group_from_us = end_us - 86400000000, group_to_us = end_us;
        check(meshping_store_group(r->store, &row, 1, &group_from_us, &group_to_us, &sum, &err), &err);
        group_ms[i] = (now_us() - start) / 1e3;
        start = now_us();
        check(meshping_store_worst(r->store, 0, end_us - 86400000000, end_us, 20, &worst, &count, &err), &err);
        worst_ms[i] = (now_us() - start) / 1e3;
        meshping_free(worst);
    }
    tell_reads(r, "one pair, all days as 500 points", points_ms);
    tell_reads(r, "percentiles of the agent's row, a day", group_ms);
    tell_reads(r, "the worst of the agent's pairs, a day", worst_ms);
}

static void measure(run *r)
{
    size_t passes = (r->days * 24 * HOUR_SAMPLES + r->samples - 1) / r->samples;
    double before = used_bytes(r), pairs = (double)r->all->series;
    for (size_t i = 0; i + HOUR_SAMPLES / 6 <= r->samples; i += HOUR_SAMPLES / 6)
        step(r, 0, i, HOUR_SAMPLES / 6, true);
    for (size_t pass = 1; pass < passes; pass++)
        for (size_t i = 0; i + HOUR_SAMPLES <= r->samples; i += HOUR_SAMPLES)
            step(r, pass, i, HOUR_SAMPLES, false);
    double hours = (double)(passes * r->samples) / (double)HOUR_SAMPLES;
    double row = (used_bytes(r) - before) / (pairs * hours);
    tell(r, "an hour of a pair on disk, indexes and all", row, "bytes");
    tell(r, "100 pairs, 90 days", row * 100 * 2160 / 1e6, "MB");
    tell(r, "10,000 pairs, 90 days", row * 1e4 * 2160 / 1e9, "GB");
    tell(r, "1,000,000 pairs, 90 days", row * 1e6 * 2160 / 1e9, "GB");
    tell(r, "adding ten minutes of all targets, a target", r->add_us / (double)r->steps / pairs, "us");
    tell(r, "the longest piece of that", r->longest_piece_us / 1e3, "ms");
    tell(r, "its transaction, all targets, durable", r->write_us / (double)r->steps / 1e3, "ms");
    read_back(r, r->all->first_us + (int64_t)(passes * r->samples) * BENCH_STEP_US);
}

static void remove_all(const char *directory)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    char name[512];
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s/rollup.db%s", directory, suffixes[i]);
        unlink(name);
    }
    rmdir(directory);
}

static int run_all(const char *series_path, size_t days, bool json)
{
    bench_series all = {.first_us = INT64_C(472224) * 3600000000};
    run r = {.all = &all, .days = days, .json = json, .samples = SIZE_MAX};
    char directory[] = "/var/tmp/meshping-bench-XXXXXX", path[512];
    meshping_store_options options;
    meshping_error err = {0};
    if (!bench_series_read(series_path, &all))
        return 1;
    for (size_t s = 0; s < all.series; s++)
        if (all.starts[s + 1] - all.starts[s] < r.samples)
            r.samples = all.starts[s + 1] - all.starts[s];
    r.samples -= r.samples % HOUR_SAMPLES;
    r.scratch = calloc(HOUR_SAMPLES, sizeof *r.scratch);
    if (r.samples == 0 || !r.scratch || !mkdtemp(directory)) {
        fprintf(stderr, "meshping-bench rollup: each series needs an hour, %zu samples, at least\n", HOUR_SAMPLES);
        return 1;
    }
    snprintf(path, sizeof path, "%s/rollup.db", directory);
    meshping_store_options_init(&options);
    options.path = path;
    options.seal_after_s = 0;
    check(meshping_store_open(&r.store, &options, &err), &err);
    meshping_agent_record agent = {.id = AGENT, .state = MESHPING_AGENT_APPROVED};
    check(meshping_store_agent_save(r.store, &agent, &err), &err);
    measure(&r);
    meshping_store_close(r.store);
    remove_all(directory);
    free(r.scratch);
    free(all.rtt_us);
    free(all.starts);
    return 0;
}

int rollup_main(int argc, char **argv)
{
    static const struct option options[] = {{"series", required_argument, NULL, 's'},
                                            {"days", required_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    const char *series = NULL;
    long days = 90;
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's')
            series = optarg;
        else if (option == 'd')
            days = strtol(optarg, NULL, 10);
        else if (option == 'j')
            json = true;
        else
            return 2;
    }
    if (!series || days < 1 || days > 1000) {
        fputs("usage: meshping-bench rollup --series FILE [--days N] [--json]\n", stderr);
        return 2;
    }
    return run_all(series, (size_t)days, json);
}
