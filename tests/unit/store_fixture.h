/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store's tests share. A backend is known here only by fixture_open() and seal_now(): a second one passes the
 * same suite by giving other bodies to them.
 */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H

#include "store/internal.h"
#include <meshping/block.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define T0 1700000000000000LL
#define STEP 5000000LL
#define AGENT 0x8000000000000001ULL             /* ids are 64 bits: the top one must survive */
#define END (T0 + INT64_C(86400000000) * 36500) /* after all that happens here */
#define EPOCH 0xfedcba9876543210ULL

typedef struct fixture {
    char directory[64];
    char path[96];
    meshping_store *store;
    uint32_t seal_after_s, long_after_s; /* 0: never, so that tests find blocks where they put them */
} fixture;

static inline meshping_store *fixture_open(fixture *f)
{
    meshping_store_options options;
    meshping_error err = {0};
    meshping_store_options_init(&options);
    options.path = f->path;
    options.commit_ms = 1;
    options.seal_after_s = f->seal_after_s;
    options.long_after_s = f->long_after_s;
    meshping_store *store = NULL;
    if (meshping_store_open(&store, &options, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return store;
}

static inline int fixture_setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/meshping-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    snprintf(f->path, sizeof f->path, "%s/mesh.db", f->directory);
    f->store = fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
    fixture *f = *state;
    char name[128];
    meshping_store_close(f->store);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(f->directory), 0); /* nothing else is left behind */
    free(f);
    return 0;
}

static inline void fixture_reopen(fixture *f)
{
    meshping_store_close(f->store);
    f->store = fixture_open(f);
}

static inline meshping_agent_record agent_record(uint64_t id, meshping_agent_state agent_state)
{
    meshping_agent_record record = {.id = id, .state = agent_state, .first_seen_ms = (int64_t)(id & 0xff)};
    memset(record.public_key, (int)(id & 0xff), sizeof record.public_key);
    snprintf(record.host_name, sizeof record.host_name, "host-%u", (unsigned)(id & 0xff));
    return record;
}

static inline meshping_agent_record add_agent(meshping_store *store, uint64_t id, meshping_agent_state agent_state)
{
    meshping_agent_record record = agent_record(id, agent_state);
    assert_int_equal(meshping_store_agent_save(store, &record, NULL), MESHPING_OK);
    return record;
}

/* A block of `count` samples each of targets 1..targets; RTT: 1000 * target + number of the slot. */
static inline uint8_t *make_block(int64_t first_us, int count, uint64_t targets, size_t *length)
{
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = 1; t <= targets; t++)
        for (int i = 0; i < count; i++) {
            meshping_sample sample = {.slot_unix_us = first_us + i * STEP,
                                      .rtt_us = (uint32_t)(1000 * t) + (uint32_t)i};
            assert_int_equal(meshping_block_builder_add(builder, t, &sample), MESHPING_OK);
        }
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, length), MESHPING_OK);
    meshping_block_builder_free(builder);
    return bytes;
}

typedef struct outcome {
    int calls, acked;
    meshping_status status;
    bool stored;
    uint64_t sequence;
    bool had_bytes;
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t range_count;
    char error[MESHPING_ERROR_MESSAGE_MAX];
} outcome;

static inline void on_done(void *user, const meshping_block_done *done)
{
    outcome *o = user;
    o->calls++;
    o->acked += done->status == MESHPING_OK;
    o->status = done->status;
    o->stored = done->stored;
    o->sequence = done->write->sequence;
    o->had_bytes = done->write->bytes != NULL;
    o->range_count = done->range_count;
    if (done->range_count)
        memcpy(o->ranges, done->ranges, done->range_count * sizeof *done->ranges);
    snprintf(o->error, sizeof o->error, "%s", done->error ? done->error : "");
}

static inline void on_request(void *user, meshping_status status, const char *error)
{
    outcome *o = user;
    o->calls++;
    o->acked += status == MESHPING_OK;
    o->status = status;
    snprintf(o->error, sizeof o->error, "%s", error);
}

/* Waits on the store's descriptor, as an event loop does, until `o` has had `calls` calls. */
static inline void wait_done(meshping_store *store, const outcome *o, int calls)
{
    while (o->calls < calls) {
        struct pollfd fd = {.fd = meshping_store_fd(store), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1);
        meshping_store_process(store);
    }
    assert_int_equal(o->calls, calls);
}

static inline void submit_bytes(meshping_store *store, uint64_t sequence, uint8_t *bytes, size_t length,
                                int64_t received_us, outcome *o)
{
    meshping_block_write write = {.agent_id = AGENT,
                                  .epoch = EPOCH,
                                  .sequence = sequence,
                                  .bytes = bytes,
                                  .length = length,
                                  .received_unix_us = received_us};
    meshping_error err = {0};
    if (meshping_store_submit_block(store, &write, on_done, o, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
}

/* Block number `sequence`: 2 samples of each of 3 targets, from T0 + 2 * sequence steps on. */
static inline void submit(meshping_store *store, uint64_t sequence, outcome *o)
{
    size_t length;
    int64_t first_us = T0 + (int64_t)sequence * 2 * STEP;
    uint8_t *bytes = make_block(first_us, 2, 3, &length);
    submit_bytes(store, sequence, bytes, length, first_us + 2 * STEP, o);
}

static inline outcome store_block(meshping_store *store, uint64_t sequence)
{
    outcome o = {0};
    submit(store, sequence, &o);
    wait_done(store, &o, 1);
    return o;
}

static inline void assert_range(const meshping_range *range, uint64_t first, uint64_t last)
{
    assert_int_equal(range->first, first);
    assert_int_equal(range->last, last);
}

/* A pair's samples, all of which must be readable; the caller's (meshping_free). */
static inline meshping_status pair_samples(meshping_store *store, uint64_t agent_id, uint64_t target_id,
                                           int64_t from_us, int64_t to_us, meshping_sample **samples, size_t *count)
{
    meshping_series series;
    meshping_error err = {0};
    meshping_status status = meshping_store_series(store, agent_id, target_id, from_us, to_us, &series, &err);
    if (status != MESHPING_OK)
        print_message("%s\n", err.message);
    assert_int_equal(series.damaged_count, 0);
    *samples = series.samples;
    *count = series.count;
    return status;
}

/*
 * Joins the whole journal, as far as agents' oldest blocks were received by now_us, and joins again what was received
 * long_after_us before that; returns the jobs that it took.
 */
static inline int seal_now(fixture *f, int64_t now_us, int64_t long_after_us)
{
    meshping__sealer sealer;
    meshping__seal_result result;
    meshping_error err = {0};
    int64_t newest_us;
    int jobs = 0;
    meshping_status status;
    meshping__sealer_init(&sealer, &f->store->sql, 0, long_after_us);
    assert_int_equal(meshping__sealer_load(&sealer, &newest_us, &err), MESHPING_OK);
    while ((status = meshping__sealer_step(&sealer, now_us, &result, &err)) == MESHPING_OK)
        jobs += result.agent_id != 0;
    if (status != MESHPING_NOT_FOUND)
        fail_msg("%s", err.message);
    meshping__sealer_dispose(&sealer);
    return jobs;
}

static inline size_t sample_count(meshping_store *store, uint64_t target_id)
{
    meshping_sample *samples = NULL;
    size_t count = 0;
    assert_int_equal(pair_samples(store, AGENT, target_id, INT64_MIN, INT64_MAX, &samples, &count), MESHPING_OK);
    for (size_t i = 1; i < count; i++)
        assert_true(samples[i - 1].slot_unix_us < samples[i].slot_unix_us);
    meshping_free(samples);
    return count;
}

#endif
