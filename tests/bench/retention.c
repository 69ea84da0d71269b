/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Days of a mesh on the clock of its samples: blocks come, are joined, rolled up, and go when they are too old, by the
 * store's own writer. Does the file stop growing, and how long is a commit kept waiting?
 */
#include "bench.h"
#include "ingest.h"
#include "store_peers.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOAL_ROUNDS 12
#define HOUR_US INT64_C(3600000000)
#define HOURS_MAX 8784u
#define SETTLED_HOURS 3 /* after the first block went: what is older than two hours is joined again */

typedef struct setting {
    ingest_mesh mesh;
    uint32_t hours, keep_hours;
    bool json;
} setting;

typedef struct course {
    uint64_t file_bytes[HOURS_MAX]; /* at the end of each hour, database and write-ahead log */
    meshping_store_stats stats;     /* in the end */
    double cpu_s, wait_ms;
    uint64_t samples;
} course;

static void show(const setting *o, const char *figure, double value, const char *unit)
{
    bench_figure line = {.bench = "retention", .figure = figure, .value = value, .unit = unit};
    bench_print(&line, o->json);
}

static bool live_an_hour(const setting *o, ingest_filler *f, int64_t first_round)
{
    meshping_error err = {0};
    bool good = true;
    for (int64_t round = first_round; good && round < first_round + INGEST_HOUR_ROUNDS; round++) {
        int64_t now_us = (round + 1) * INGEST_STEP_US;
        good = ingest_fill_round(f, o->mesh.agents, round);
        if (!good || (round + 1) % GOAL_ROUNDS)
            continue;
        const meshping_retention goal = {.raw_before_us = now_us - o->keep_hours * HOUR_US,
                                         .rollups_before_us = now_us - 90 * 24 * HOUR_US,
                                         .spare_raw_before_us = INT64_MIN,
                                         .spare_rollups_before_us = INT64_MIN};
        good = meshping_store_retain(f->store, &goal, &err) == MESHPING_OK && ingest_fill_settle(f, true, true);
    }
    return good;
}

static bool live(const setting *o, meshping_store *store, course *c)
{
    ingest_filler f;
    int64_t first = INT64_C(1700000000) / 3600 * INGEST_HOUR_ROUNDS;
    double cpu_s = ingest_cpu_s();
    bool good = ingest_filler_init(&f, store, o->mesh.targets, first);
    for (uint32_t hour = 0; good && hour < o->hours; hour++) {
        good = live_an_hour(o, &f, first + hour * INGEST_HOUR_ROUNDS);
        meshping_store_get_stats(store, &c->stats);
        c->file_bytes[hour] = c->stats.file_bytes;
        if (!o->json)
            fprintf(stderr, "hour %u: %.1f MiB in files, %.1f in use\n", hour + 1,
                    (double)c->stats.file_bytes / 1048576, (double)c->stats.used_bytes / 1048576);
    }
    c->cpu_s = ingest_cpu_s() - cpu_s - f.build_cpu_s;
    c->wait_ms = f.wait_ms;
    c->samples = f.samples;
    ingest_filler_dispose(&f);
    return good;
}

static bool tell(const setting *o, const course *c)
{
    uint32_t settled = o->keep_hours + SETTLED_HOURS;
    uint64_t least = UINT64_MAX, most = 0;
    for (uint32_t hour = settled; hour < o->hours; hour++) {
        least = c->file_bytes[hour] < least ? c->file_bytes[hour] : least;
        most = c->file_bytes[hour] > most ? c->file_bytes[hour] : most;
    }
    double kept = (double)o->mesh.agents * o->mesh.targets * INGEST_HOUR_ROUNDS * o->keep_hours;
    show(o, "files, least of the settled hours", (double)least / 1048576, "MiB");
    show(o, "files, most of them", (double)most / 1048576, "MiB");
    show(o, "files, most over least", (double)most / (double)least, "");
    show(o, "bytes a sample that is kept", (double)most / kept, "bytes");
    show(o, "blocks that went", (double)c->stats.expired_blocks, "blocks");
    show(o, "longest piece of joining", (double)c->stats.seal_longest_us / 1000, "ms");
    show(o, "longest step of retention", (double)c->stats.retain_longest_us / 1000, "ms");
    show(o, "longest from submitting to stored", c->wait_ms, "ms");
    show(o, "CPU a sample, all of it", c->cpu_s * 1e6 / (double)c->samples, "us");
    return c->stats.expired_blocks > 0;
}

static int run(setting *o)
{
    static course c;
    char directory[] = "/var/tmp/meshping-bench-XXXXXX", path[sizeof directory + 16];
    meshping_store *store = NULL;
    meshping_store_options options;
    meshping_error err = {0};
    if (!mkdtemp(directory)) {
        perror("meshping-bench retention: /var/tmp");
        return 1;
    }
    meshping_store_options_init(&options);
    snprintf(path, sizeof path, "%s/meshping.db", directory);
    options.path = path;
    bool good = meshping_store_open(&store, &options, &err) == MESHPING_OK || ingest_said(path, &err);
    good = good && ingest_seed(store, &o->mesh) && live(o, store, &c);
    meshping_store_close(store);
    good = good && tell(o, &c);
    bench_directory_remove(directory);
    return good ? 0 : 1;
}

static void usage(FILE *out)
{
    fputs("Usage: meshping-bench retention [--json] [--agents N] [--targets N] [--hours N] [--keep-hours N]\n"
          "  --agents, --targets   the mesh: 4, 1000; a block of all targets every 5 s of the samples' clock\n"
          "  --hours               how long it lives on that clock: 48\n"
          "  --keep-hours          how long raw samples are kept: 24\n",
          out);
}

static bool number(uint32_t *out, const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || !*text || value < 1 || value > most)
        return false;
    *out = (uint32_t)value;
    return true;
}

int retention_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"agents", required_argument, NULL, 'a'},
        {"targets", required_argument, NULL, 't'},
        {"hours", required_argument, NULL, 'H'},
        {"keep-hours", required_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    setting o = {.mesh = {.agents = 4, .targets = 1000}, .hours = 48, .keep_hours = 24};
    bool good = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'h') {
            usage(stdout);
            return 0;
        }
        if (option == 'j')
            o.json = true;
        else if (option == 'a')
            good = good && number(&o.mesh.agents, optarg, 20000);
        else if (option == 't')
            good = good && number(&o.mesh.targets, optarg, MESHPING_TARGETS_MAX);
        else if (option == 'H')
            good = good && number(&o.hours, optarg, HOURS_MAX);
        else if (option == 'k')
            good = good && number(&o.keep_hours, optarg, HOURS_MAX);
        else
            good = false;
    }
    if (!good || optind != argc || o.hours <= o.keep_hours + SETTLED_HOURS) {
        usage(stderr);
        return 2;
    }
    return run(&o);
}
