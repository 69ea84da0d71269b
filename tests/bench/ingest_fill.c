/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was stored before the server starts. An hour in the journal is stored block by block. What a server has that
 * never stopped goes through the store's own joining and rolling up on the clock of the samples, for a few agents;
 * their rows are then copied for the others.
 */
#include "ingest.h"

#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define WAITING_MAX 2000
#define SETTLE_ROUNDS 12 /* joining keeps up with the clock of the samples to within a minute */
/* That go through the store itself, each with a time of joining of its own: of an hour, of a day. */
#define HOUR_AGENTS 16
#define DAY_AGENTS 4
#define DAY_ROUNDS (24 * INGEST_HOUR_ROUNDS)

double ingest_cpu_s(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static double thread_cpu_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- rounds ---- */

typedef struct waiting {
    ingest_filler *filler;
    double since_ms;
} waiting;

static void filled(void *user, const meshping_block_done *done)
{
    waiting *w = user;
    ingest_filler *f = w->filler;
    double took_ms = ingest_now_ms() - w->since_ms;
    f->wait_ms = took_ms > f->wait_ms ? took_ms : f->wait_ms;
    f->waiting--;
    if (done->status != MESHPING_OK || !done->stored) {
        fprintf(stderr, "meshping-bench: not stored: %s\n", done->error ? done->error : "");
        f->failed = true;
    }
    free(w);
}

bool ingest_filler_init(ingest_filler *f, meshping_store *store, uint32_t targets, int64_t from_round)
{
    *f = (ingest_filler){.store = store, .targets = targets, .epoch = (uint64_t)from_round};
    return meshping_block_builder_new(&f->builder) == MESHPING_OK;
}

void ingest_filler_dispose(ingest_filler *f)
{
    meshping_block_builder_free(f->builder);
}

static bool wait_below(ingest_filler *f, size_t most)
{
    while (f->waiting > most && !f->failed) {
        struct pollfd fd = {.fd = meshping_store_fd(f->store), .events = POLLIN};
        if (poll(&fd, 1, 60000) != 1)
            return false;
        meshping_store_process(f->store);
    }
    return !f->failed;
}

bool ingest_fill_settle(ingest_filler *f, bool sealed, bool retained)
{
    meshping_store_stats stats;
    struct timespec pause = {.tv_nsec = 1000000};
    if (!wait_below(f, 0))
        return false;
    meshping_store_get_stats(f->store, &stats);
    while ((sealed && !stats.sealed) || (retained && !stats.retained)) {
        nanosleep(&pause, NULL);
        meshping_store_process(f->store);
        meshping_store_get_stats(f->store, &stats);
    }
    return stats.seal_errors == 0 && stats.retain_errors == 0;
}

static bool submit(ingest_filler *f, uint32_t agent, const uint8_t *bytes, size_t length, int64_t received_us)
{
    meshping_error err = {0};
    meshping_block_write write = {.agent_id = ingest_agent_id(agent),
                                  .epoch = f->epoch,
                                  .sequence = f->sequence,
                                  .bytes = malloc(length),
                                  .length = length,
                                  .received_unix_us = received_us};
    waiting *w = malloc(sizeof *w);
    if (!write.bytes || !w)
        abort();
    *w = (waiting){f, ingest_now_ms()};
    memcpy(write.bytes, bytes, length);
    f->waiting++;
    f->samples += f->targets;
    if (meshping_store_submit_block(f->store, &write, filled, w, &err) == MESHPING_OK)
        return wait_below(f, WAITING_MAX);
    free(write.bytes);
    free(w);
    return ingest_said("filling", &err);
}

bool ingest_fill_round(ingest_filler *f, uint32_t agents, int64_t round)
{
    bool good = true;
    f->sequence++;
    for (uint32_t kind = 0; good && kind < INGEST_KINDS && kind < agents; kind++) {
        uint8_t *bytes = NULL;
        size_t length = 0;
        double start_s = thread_cpu_s();
        for (uint32_t t = 0; good && t < f->targets; t++) {
            meshping_sample sample = ingest_sample(kind, t, round);
            good = meshping_block_builder_add(f->builder, t + 1, &sample) == MESHPING_OK;
        }
        good = good && meshping_block_builder_finish(f->builder, &bytes, &length) == MESHPING_OK;
        f->build_cpu_s += thread_cpu_s() - start_s;
        for (uint32_t agent = kind; good && agent < agents; agent += INGEST_KINDS)
            good = submit(f, agent, bytes, length, (round + 1) * INGEST_STEP_US);
        meshping_free(bytes);
    }
    return good;
}

/* ---- what there is at the server's start ---- */

static bool fill(meshping_store *store, const ingest_mesh *mesh, uint32_t agents, int64_t from, int64_t to, bool sealed)
{
    ingest_filler f;
    bool good = ingest_filler_init(&f, store, mesh->targets, from);
    for (int64_t round = from; good && round < to; round++) {
        good = ingest_fill_round(&f, agents, round);
        if (good && sealed && (round - from) % SETTLE_ROUNDS == SETTLE_ROUNDS - 1)
            good = ingest_fill_settle(&f, true, false);
    }
    good = good && ingest_fill_settle(&f, sealed, false);
    ingest_filler_dispose(&f);
    return good;
}

/* What the agent `from` has, from a slot on, is what `to` has. */
static bool copy_agent(sqlite3 *db, uint32_t from, uint32_t to, int64_t since_us)
{
    static const char *const texts[] = {
        "INSERT INTO sealed(agent_id, level, first_target, last_target, first_us, last_us, received_us, keep_us,"
        " sample_count, bytes) SELECT ?2, level, first_target, last_target, first_us, last_us, received_us, keep_us,"
        " sample_count, bytes FROM sealed WHERE agent_id = ?1 AND last_us >= ?3 ORDER BY id",
        "INSERT INTO blocks(agent_id, epoch, sequence, first_us, last_us, received_us, keep_us, sample_count, bytes)"
        " SELECT ?2, epoch, sequence, first_us, last_us, received_us, keep_us, sample_count, bytes FROM blocks"
        " WHERE agent_id = ?1 AND last_us >= ?3 ORDER BY id",
        "INSERT INTO epochs(agent_id, epoch, updated_us, ranges, first_us) SELECT ?2, epoch, updated_us, ranges,"
        " first_us FROM epochs WHERE agent_id = ?1 AND ?3 IS NOT NULL",
        "INSERT INTO rollups(agent_id, target_group, period, keep_period, bytes) SELECT ?2, target_group, period,"
        " keep_period, bytes FROM rollups WHERE agent_id = ?1 AND ?3 IS NOT NULL",
    };
    bool good = true;
    for (size_t i = 0; good && i < sizeof texts / sizeof *texts; i++) {
        sqlite3_stmt *statement = NULL;
        good = sqlite3_prepare_v2(db, texts[i], -1, &statement, NULL) == SQLITE_OK;
        sqlite3_bind_int64(statement, 1, (int64_t)ingest_agent_id(from));
        sqlite3_bind_int64(statement, 2, (int64_t)ingest_agent_id(to));
        sqlite3_bind_int64(statement, 3, since_us);
        good = good && sqlite3_step(statement) == SQLITE_DONE;
        sqlite3_finalize(statement);
    }
    return good;
}

static bool copy_all(const char *path, uint32_t made, uint32_t agents, uint32_t day_agents, int64_t since_us)
{
    sqlite3 *db = NULL;
    bool good = sqlite3_open(path, &db) == SQLITE_OK;
    for (uint32_t agent = made; good && agent < agents; agent++)
        good = copy_agent(db, agent % made, agent, agent < day_agents ? INT64_MIN : since_us);
    if (!good)
        fprintf(stderr, "meshping-bench ingest: %s: %s\n", path, sqlite3_errmsg(db));
    sqlite3_close(db);
    return good;
}

static bool open_store(meshping_store **store, const char *path, bool seals)
{
    meshping_store_options options;
    meshping_error err = {0};
    meshping_store_options_init(&options);
    options.path = path;
    if (!seals)
        options.seal_after_s = 0;
    return meshping_store_open(store, &options, &err) == MESHPING_OK || ingest_said(path, &err);
}

/* A day of the first agents, and up to now (`steady`) or to an hour before. */
static bool fill_joined(const ingest_setting *o, const char *path)
{
    meshping_store *store = NULL;
    uint32_t wanted = o->steady ? o->mesh.agents : o->day_agents, most = o->day_agents ? DAY_AGENTS : HOUR_AGENTS;
    uint32_t made = wanted < most ? wanted : most;
    int64_t from = o->day_agents ? o->filled_to - DAY_ROUNDS : o->filled_from;
    if (!open_store(&store, path, true))
        return false;
    bool good = fill(store, &o->mesh, made, from, o->steady ? o->filled_to : o->filled_from, true);
    meshping_store_close(store);
    return good && copy_all(path, made, wanted, o->day_agents, o->filled_from * INGEST_STEP_US);
}

/* The agents' own first slots come after it. */
static int64_t last_round(void)
{
    return meshping_now_read().unix_ns / 1000 / INGEST_STEP_US - 3;
}

/* Rounds up to now, which comes nearer with each turn. */
static bool fill_up_to_now(ingest_setting *o, const char *path, int64_t from)
{
    meshping_store *store = NULL;
    bool good = open_store(&store, path, o->steady);
    for (; good && from + 1 < last_round(); from = o->filled_to) {
        o->filled_to = last_round();
        good = fill(store, &o->mesh, o->mesh.agents, from, o->filled_to, false);
    }
    meshping_store_close(store);
    return good;
}

bool ingest_prepare(ingest_setting *o)
{
    meshping_store *store = NULL;
    char path[INGEST_PATH_MAX + 20];
    o->filled_to = last_round();
    o->filled_from = o->filled_to - INGEST_HOUR_ROUNDS;
    snprintf(path, sizeof path, "%s/meshping.db", o->mesh.directory);
    if (!open_store(&store, path, false))
        return false;
    bool good = ingest_seed(store, &o->mesh);
    meshping_store_close(store);
    if (good && (o->steady || o->day_agents))
        good = fill_joined(o, path);
    if (good && (o->hour || o->steady))
        good = fill_up_to_now(o, path, o->steady ? o->filled_to : o->filled_from);
    o->filled_from = o->filled_to - INGEST_HOUR_ROUNDS;
    o->mesh.stored_us = o->filled_to * INGEST_STEP_US;
    return good;
}
