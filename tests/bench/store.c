/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes a sample on disk: the series of a file as one agent sends them, a block a round, in the real store, which seals
 * them as it does in a server whose clock is the series' own; beside a SQLite row a sample and, where it is installed,
 * VictoriaMetrics, each with the same series. All files of each are counted, after each was closed.
 */
#include "bench.h"
#include "store_peers.h"
#include <errno.h>
#include <getopt.h>
#include <meshping/maintain.h>
#include <meshping/store.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AGENT 1
#define EPOCH 1
#define SAMPLES_MAX ((size_t)64 << 20)

/* Microseconds, decimals too: rounded, as an agent tells whole ones. */
static bool read_rtt(const char *word, int64_t *rtt_us)
{
    char *end;
    if (word[strspn(word, "0123456789.")])
        return false;
    double value = strtod(word, &end);
    if (end == word || *end || !(value <= (double)MESHPING_RTT_US_MAX))
        return false;
    *rtt_us = (int64_t)(value + 0.5);
    return true;
}

static bool add_sample(bench_series *all, const char *word, size_t line, size_t *capacity)
{
    int64_t rtt_us = -1;
    if (strcmp(word, "-") != 0 && !read_rtt(word, &rtt_us)) {
        fprintf(stderr, "meshping-bench: line %zu: \"%.40s\" is no RTT of 0 to %lld microseconds, nor - for lost\n",
                line, word, (long long)MESHPING_RTT_US_MAX);
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
    all->rtt_us[all->count++] = rtt_us;
    return true;
}

bool bench_series_read(const char *path, bench_series *all)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t size = 0, capacity = 0, number = 0;
    bool good = true;
    if (!file) {
        fprintf(stderr, "meshping-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    for (ssize_t length; good && (length = getline(&line, &size, file)) > 0;) {
        size_t before = all->count;
        char *rest = NULL;
        number++;
        if (strlen(line) != (size_t)length) { /* what is behind it would be passed over */
            fprintf(stderr, "meshping-bench: line %zu: there is a zero byte in it: no text\n", number);
            good = false;
            break;
        }
        line[strcspn(line, "#")] = 0; /* a comment */
        for (char *word = strtok_r(line, " \t\r\n", &rest); good && word; word = strtok_r(NULL, " \t\r\n", &rest))
            good = add_sample(all, word, number, &capacity);
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

#define ROUNDS_AT_ONCE 12 /* a minute: then the store has time to join what is due */
#define WAIT_MS 60000

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

static void trouble(void *user, meshping_status status, const char *message)
{
    mesh_store *o = user;
    (void)status;
    snprintf(o->err.message, sizeof o->err.message, "sealing: %s", message);
    o->failed = true;
}

static bool open_store(mesh_store *o, const char *path, uint32_t seal_after_s, uint32_t long_after_s)
{
    const meshping_store_watcher watcher = {.trouble = trouble, .user = o};
    meshping_store_options options;
    meshping_store_options_init(&options);
    options.path = path;
    options.commit_ms = 5; /* nobody else is going to send */
    if (seal_after_s) {
        options.seal_after_s = seal_after_s;
        options.long_after_s = long_after_s;
    }
    if (meshping_store_open(&o->store, &options, &o->err) != MESHPING_OK)
        return false;
    meshping_store_watch(o->store, &watcher);
    return true;
}

/* Until all is committed that was submitted, and nothing is due to be joined; least_ms at least. */
static bool settle(mesh_store *o, int64_t least_ms)
{
    meshping_store_stats stats = {0};
    int64_t start_ns = meshping_now_read().mono_ns, waited_ms = 0;
    for (; !o->failed && waited_ms < WAIT_MS; waited_ms = (meshping_now_read().mono_ns - start_ns) / 1000000) {
        struct pollfd fd = {.fd = meshping_store_fd(o->store), .events = POLLIN};
        meshping_store_get_stats(o->store, &stats);
        if (!o->waiting && stats.sealed && waited_ms >= least_ms)
            return true;
        poll(&fd, 1, 1);
        meshping_store_process(o->store);
    }
    if (!o->failed)
        snprintf(o->err.message, sizeof o->err.message, "the store did not settle in %d s", WAIT_MS / 1000);
    return false;
}

/* What is in the builder, as one block. */
static meshping_status submit(mesh_store *o, const bench_series *all, size_t round)
{
    meshping_block_write write = {.agent_id = AGENT,
                                  .epoch = EPOCH,
                                  .sequence = ++o->sequence,
                                  .received_unix_us = all->first_us + (int64_t)(round + 1) * BENCH_STEP_US + 1000000};
    meshping_status status = meshping_block_builder_finish(o->builder, &write.bytes, &write.length);
    if (status == MESHPING_OK)
        status = meshping_store_submit_block(o->store, &write, done, o, &o->err);
    if (status == MESHPING_OK)
        o->waiting++;
    else
        meshping_free(write.bytes);
    return status;
}

/* A block, as an agent makes it: of very many series more than one. */
static bool submit_round(mesh_store *o, const bench_series *all, size_t round)
{
    meshping_status status = MESHPING_OK;
    for (size_t series = 0; status == MESHPING_OK && series < all->series; series++)
        if (round < all->starts[series + 1] - all->starts[series]) {
            meshping_sample sample = bench_sample(all, series, round);
            status = meshping_block_builder_add(o->builder, series + 1, &sample);
            if (status != MESHPING_LIMIT)
                continue;
            status = submit(o, all, round);
            if (status == MESHPING_OK)
                status = meshping_block_builder_add(o->builder, series + 1, &sample);
        }
    if (status == MESHPING_OK)
        status = submit(o, all, round);
    if (status != MESHPING_OK && !o->err.message[0])
        snprintf(o->err.message, sizeof o->err.message, "round %zu: %s", round, meshping_status_text(status));
    return status == MESHPING_OK;
}

static bool feed(mesh_store *o, const bench_series *all, size_t rounds)
{
    bool good = true;
    for (size_t round = 0; good && round < rounds; round++) {
        good = submit_round(o, all, round);
        if (good && (round % ROUNDS_AT_ONCE == ROUNDS_AT_ONCE - 1 || round + 1 == rounds))
            good = settle(o, 0);
    }
    return good;
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

/* As the file is when the last block has come; and when all of it is long ago, and `maintain vacuum` was there. */
typedef struct sizes {
    double fresh, old, vacuumed;
    double longest_us; /* that joining held the writer */
} sizes;

static bool store_ours(const bench_series *all, size_t rounds, const char *directory, sizes *bytes)
{
    char path[BENCH_PATH_MAX];
    mesh_store o = {0};
    meshping_agent_record agent = {.id = AGENT, .state = MESHPING_AGENT_APPROVED};
    snprintf(path, sizeof path, "%s/mesh.db", directory);
    bool good = open_store(&o, path, 0, 0) && meshping_store_agent_save(o.store, &agent, &o.err) == MESHPING_OK &&
                meshping_block_builder_new(&o.builder) == MESHPING_OK && feed(&o, all, rounds);
    meshping_store_stats stats = {0};
    if (good)
        meshping_store_get_stats(o.store, &stats);
    bytes->longest_us = (double)stats.seal_longest_us;
    meshping_store_close(o.store);
    o.store = NULL;
    bytes->fresh = bench_directory_bytes(directory);
    /* what is due in half an hour is due in three seconds, and what is due in hours in one */
    good = good && open_store(&o, path, 1, 1) && settle(&o, 4000) && verify(&o, all);
    meshping_store_close(o.store);
    bytes->old = bench_directory_bytes(directory);
    good = good && meshping_store_vacuum(path, NULL, &o.err) == MESHPING_OK;
    bytes->vacuumed = bench_directory_bytes(directory);
    meshping_block_builder_free(o.builder);
    if (!good)
        fprintf(stderr, "meshping-bench: %s\n", o.err.message);
    return good;
}

static void report(const bench_series *all, const char *name, double ours, const char *peer, double theirs, bool json)
{
    bench_figure figure = {.bench = "store",
                           .figure = name,
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
    double rows = 0, victoria = 0;
    sizes ours = {0};
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
    if (store_ours(&all, longest, directory, &ours)) {
        snprintf(peer, sizeof peer, "%s/rows", directory);
        failed = !bench_store_rows(&all, peer, &rows);
    }
    if (!failed) {
        report(&all, "disk a sample when the last has come", ours.fresh, NULL, 0, json);
        report(&all, "disk a sample when all is long ago, before the vacuum", ours.old, NULL, 0, json);
        bench_figure hold = {.bench = "store",
                             .figure = "longest that joining held the writer",
                             .value = ours.longest_us / 1000,
                             .unit = "ms"};
        bench_print(&hold, json);
        report(&all, "disk a sample", ours.vacuumed, "SQLite, a row a sample", rows, json);
        snprintf(peer, sizeof peer, "%s/victoria", directory);
        if (bench_store_victoria(&all, peer, &victoria))
            report(&all, "disk a sample", ours.vacuumed, "VictoriaMetrics", victoria, json);
    }
    if (!getenv("MESHPING_BENCH_KEEP"))
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
            fputs(
                "Usage: meshping-bench store --series FILE [--json]\n"
                "FILE (- for standard input): one series a line, RTTs in microseconds, - for lost, # begins a comment; "
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
