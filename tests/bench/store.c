/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes a sample on disk: the series of a file as long blocks in the real store, beside a SQLite row a sample and,
 * where it is installed, VictoriaMetrics, each with the same series. All files of each are counted, after each was
 * closed.
 */
#include "bench.h"
#include "core/block.h"
#include "store_peers.h"
#include <errno.h>
#include <getopt.h>
#include <meshping/store.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT 1
#define EPOCH 1
#define SAMPLES_MAX ((size_t)64 << 20)

static bool add_sample(bench_series *all, const char *word, size_t *capacity)
{
    char *end;
    bool lost = strcmp(word, "-") == 0;
    errno = 0;
    unsigned long long rtt_us = lost ? 0 : strtoull(word, &end, 10);
    if (!lost && (*end || errno || *word == '-' || rtt_us > MESHPING_RTT_US_MAX)) {
        fprintf(stderr, "meshping-bench: line %zu: \"%s\" is no RTT in microseconds, nor - for lost\n", all->series + 1,
                word);
        return false;
    }
    if (all->count == *capacity) {
        *capacity = *capacity ? *capacity * 2 : 4096;
        all->rtt_us = *capacity <= SAMPLES_MAX ? realloc(all->rtt_us, *capacity * sizeof *all->rtt_us) : NULL;
        if (!all->rtt_us) {
            fprintf(stderr, "meshping-bench: more than %zu samples, or no memory\n", SAMPLES_MAX);
            return false;
        }
    }
    all->rtt_us[all->count++] = lost ? -1 : (int64_t)rtt_us;
    return true;
}

bool bench_series_read(const char *path, bench_series *all)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t size = 0, capacity = 0;
    bool good = true;
    if (!file) {
        fprintf(stderr, "meshping-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    while (good && getline(&line, &size, file) > 0) {
        size_t before = all->count;
        char *rest = NULL;
        for (char *word = strtok_r(line, " \t\r\n", &rest); good && word; word = strtok_r(NULL, " \t\r\n", &rest))
            good = add_sample(all, word, &capacity);
        if (all->count == before)
            continue;
        all->starts = realloc(all->starts, (all->series + 2) * sizeof *all->starts);
        if (!all->starts)
            abort();
        all->starts[all->series++] = before;
        all->starts[all->series] = all->count;
    }
    free(line);
    fclose(file);
    if (good && all->count == 0)
        fprintf(stderr, "meshping-bench: %s: no samples in it\n", path);
    return good && all->count > 0;
}

meshping_sample bench_sample(const bench_series *all, size_t series, size_t i)
{
    int64_t rtt_us = all->rtt_us[all->starts[series] + i];
    return (meshping_sample){
        /* every target has its own place within the 5 seconds, as the schedule gives it */
        .slot_unix_us = all->first_us + (int64_t)(series * 7919 % 5000 * 1000) + (int64_t)i * BENCH_STEP_US,
        .rtt_us = rtt_us < 0 ? 0 : (uint32_t)rtt_us,
        .outcome = rtt_us < 0 ? MESHPING_OUTCOME_TIMEOUT : MESHPING_OUTCOME_OK,
    };
}

/* ---- ours ---- */

typedef struct mesh_store {
    meshping_store *store;
    meshping_block_builder *builder;
    uint64_t sequence;
    size_t waiting;
    meshping_error err;
    bool failed;
} mesh_store;

static void done(void *user, const meshping_block_done *result)
{
    mesh_store *o = user;
    o->waiting--;
    if (result->status != MESHPING_OK || !result->stored) {
        snprintf(o->err.message, sizeof o->err.message, "%s", result->error);
        o->failed = true;
    }
}

static bool submit(mesh_store *o)
{
    int64_t first_us = 0, last_us; /* received at once: no sample counts as late */
    meshping_block_builder_span(o->builder, &first_us, &last_us);
    meshping_block_write write = {
        .agent_id = AGENT, .epoch = EPOCH, .sequence = ++o->sequence, .received_unix_us = first_us};
    if (meshping_block_builder_finish(o->builder, &write.bytes, &write.length) != MESHPING_OK)
        return false;
    if (meshping_store_submit_block(o->store, &write, done, o, &o->err) != MESHPING_OK) {
        meshping_free(write.bytes);
        return false;
    }
    o->waiting++;
    while (o->waiting) {
        struct pollfd fd = {.fd = meshping_store_fd(o->store), .events = POLLIN};
        if (poll(&fd, 1, 30000) != 1)
            return false;
        meshping_store_process(o->store);
    }
    return !o->failed;
}

static bool add_series(mesh_store *o, const bench_series *all, size_t series)
{
    size_t length = all->starts[series + 1] - all->starts[series];
    for (size_t i = 0; i < length; i++) {
        meshping_sample sample = bench_sample(all, series, i);
        meshping_status status = meshping_block_builder_add(o->builder, series + 1, &sample);
        if (status == MESHPING_LIMIT) {
            if (!submit(o))
                return false;
            status = meshping_block_builder_add(o->builder, series + 1, &sample);
        }
        if (status != MESHPING_OK)
            return false;
    }
    return true;
}

/* What was stored is what was given. */
static bool verify(mesh_store *o, const bench_series *all)
{
    for (size_t series = 0; series < all->series; series++) {
        meshping_series back;
        size_t length = all->starts[series + 1] - all->starts[series];
        if (meshping_store_series(o->store, AGENT, series + 1, INT64_MIN, INT64_MAX, &back, &o->err) != MESHPING_OK)
            return false;
        bool same = back.count == length && back.damaged_count == 0;
        for (size_t i = 0; same && i < length; i++) {
            meshping_sample want = bench_sample(all, series, i);
            same = memcmp(&back.samples[i], &want, sizeof want) == 0;
        }
        meshping_series_dispose(&back);
        if (!same) {
            snprintf(o->err.message, sizeof o->err.message, "series %zu was not read back as it was", series + 1);
            return false;
        }
    }
    return true;
}

static bool store_ours(const bench_series *all, const char *directory, double *bytes)
{
    char path[BENCH_PATH_MAX];
    mesh_store o = {0};
    meshping_store_options options;
    meshping_agent_record agent = {.id = AGENT, .state = MESHPING_AGENT_APPROVED};
    snprintf(path, sizeof path, "%s/mesh.db", directory);
    meshping_store_options_init(&options);
    options.seal_after_s = 0; /* the blocks are long as they are */
    options.path = path;
    bool good = meshping_store_open(&o.store, &options, &o.err) == MESHPING_OK &&
                meshping_store_agent_save(o.store, &agent, &o.err) == MESHPING_OK &&
                meshping_block_builder_new(&o.builder) == MESHPING_OK;
    if (good)
        meshping__block_builder_set_effort(o.builder, MESHPING__EFFORT_SEAL);
    for (size_t series = 0; good && series < all->series; series++)
        good = add_series(&o, all, series);
    good = good && submit(&o) && verify(&o, all);
    meshping_store_close(o.store);
    meshping_block_builder_free(o.builder);
    if (!good)
        fprintf(stderr, "meshping-bench: %s\n", o.err.message);
    *bytes = bench_directory_bytes(directory);
    return good;
}

static void report(const bench_series *all, double ours, const char *peer, double theirs, bool json)
{
    bench_figure figure = {.bench = "store",
                           .figure = "disk a sample",
                           .unit = "bytes",
                           .value = ours / (double)all->count,
                           .peer = peer,
                           .peer_value = theirs / (double)all->count};
    bench_print(&figure, json);
}

static int run(const char *series_path, bool json)
{
    char directory[] = "/var/tmp/meshping-bench-XXXXXX", peer[BENCH_PATH_MAX];
    bench_series all = {0};
    double ours = 0, rows = 0, victoria = 0;
    int failed = 1;
    if (!bench_series_read(series_path, &all))
        goto out;
    size_t longest = 0;
    for (size_t i = 0; i < all.series; i++)
        longest = all.starts[i + 1] - all.starts[i] > longest ? all.starts[i + 1] - all.starts[i] : longest;
    all.first_us =
        meshping_now_read().unix_ns / 1000 / BENCH_STEP_US * BENCH_STEP_US - (int64_t)(longest + 2) * BENCH_STEP_US;
    if (!mkdtemp(directory)) {
        perror("meshping-bench: /var/tmp");
        goto out;
    }
    if (store_ours(&all, directory, &ours)) {
        snprintf(peer, sizeof peer, "%s/rows", directory);
        failed = !bench_store_rows(&all, peer, &rows);
    }
    if (!failed) {
        report(&all, ours, "SQLite, a row a sample", rows, json);
        snprintf(peer, sizeof peer, "%s/victoria", directory);
        if (bench_store_victoria(&all, peer, &victoria))
            report(&all, ours, "VictoriaMetrics", victoria, json);
    }
    bench_directory_remove(directory);
out:
    free(all.rtt_us);
    free(all.starts);
    return failed;
}

int store_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"series", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'j')
            json = true;
        else if (option == 's')
            path = optarg;
        else {
            fputs("Usage: meshping-bench store --series FILE [--json]\n"
                  "FILE (- for standard input): one series a line, RTTs in microseconds, - for lost; "
                  "tests/bench/series.py makes some\n",
                  option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!path || optind != argc) {
        fputs("meshping-bench: --series FILE is needed, and nothing else\n", stderr);
        return 2;
    }
    return run(path, json);
}
