/* SPDX-License-Identifier: Apache-2.0 */
/* The mesh of the bench `ingest`: who is in it, what is measured, and what was stored before the server starts. */
#include "ingest.h"

#include "core/block.h"
#include <meshping/store.h>
#include <openssl/sha.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KINDS 4 /* of series: agents of a kind measure the same */
#define HOUR_ROUNDS 720
#define DAY_SPAN_ROUNDS (4 * HOUR_ROUNDS) /* of a long block that stands for older samples */

double ingest_now_ms(void)
{
    return (double)meshping_now_read().mono_ns / 1e6;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

ingest_latency ingest_latency_of(double *values_ms, size_t count)
{
    ingest_latency out = {.count = count};
    if (!count)
        return out;
    qsort(values_ms, count, sizeof *values_ms, compare);
    out.p50_ms = values_ms[count / 2];
    out.p99_ms = values_ms[count - 1 - count / 100];
    out.max_ms = values_ms[count - 1];
    return out;
}

/* ---- the mesh ---- */

uint64_t ingest_agent_id(uint32_t agent)
{
    return UINT64_C(0xb0b0000000000001) + agent;
}

void ingest_agent_seed(uint8_t seed[MESHPING_KEY_LEN], uint32_t agent)
{
    char text[64];
    int length = snprintf(text, sizeof text, "meshping-bench agent %u", agent);
    SHA256((const unsigned char *)text, (size_t)length, seed);
}

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Paths of 0.2 to 20 ms with 60 us of triangular noise and a loss in a thousand. */
meshping_sample ingest_sample(uint32_t agent, uint32_t target, int64_t round)
{
    uint64_t pair = mix((uint64_t)(agent % KINDS) << 32 | target), draw = mix(pair ^ (uint64_t)round);
    meshping_sample sample = {
        .slot_unix_us = round * INGEST_STEP_US + (int64_t)(mix(target) % 5000 * 1000),
        .rtt_us = (uint32_t)(200 + pair % 20000 + (draw & 31) + (draw >> 8 & 31)),
    };
    if (draw >> 16 & 1023)
        return sample;
    sample.rtt_us = 0;
    sample.outcome = MESHPING_OUTCOME_TIMEOUT;
    return sample;
}

bool ingest_said(const char *what, const meshping_error *err)
{
    fprintf(stderr, "meshping-bench ingest: %s: %s\n", what, err->message);
    return false;
}

/* Agents as if approved long ago, the targets, and a web session for the reader. */
static bool seed(meshping_store *store, const ingest_mesh *mesh)
{
    meshping_error err = {0};
    int64_t now_ms = meshping_now_read().unix_ns / 1000000;
    meshping_user_record user = {
        .name = "bench", .password = "none", .role = MESHPING_ROLE_ADMIN, .created_ms = now_ms};
    meshping_web_session_record session = {.created_ms = now_ms, .last_used_ms = now_ms, .csrf = "bench"};
    meshping_target_list list = {0};
    for (uint32_t t = 0; t < mesh->targets; t++) {
        meshping_target target;
        meshping_target_init(&target);
        snprintf(target.host, sizeof target.host, "198.18.%u.%u", t / 250, t % 250 + 1);
        if (meshping_target_list_append(&list, &target, &err) != MESHPING_OK)
            return ingest_said("targets", &err);
    }
    meshping_status status = meshping_store_targets_save(store, &list, &err);
    meshping_target_list_dispose(&list);
    if (status == MESHPING_OK)
        status = meshping_store_user_save(store, &user, false, &err);
    session.user_id = user.id;
    SHA256((const unsigned char *)INGEST_TOKEN, sizeof INGEST_TOKEN - 1, session.token_hash);
    if (status == MESHPING_OK)
        status = meshping_store_web_session_save(store, &session, &err);
    for (uint32_t i = 0; status == MESHPING_OK && i < mesh->agents; i++) {
        uint8_t secret[MESHPING_KEY_LEN];
        meshping_agent_record record = {.id = ingest_agent_id(i),
                                        .state = MESHPING_AGENT_APPROVED,
                                        .approved_addresses = "127.0.0.1",
                                        .first_seen_ms = now_ms};
        snprintf(record.host_name, sizeof record.host_name, "bench-%u", i);
        ingest_agent_seed(secret, i);
        if (meshping_identity_public(record.public_key, secret) != MESHPING_OK)
            return false;
        status = meshping_store_agent_save(store, &record, &err);
    }
    return status == MESHPING_OK || ingest_said("seeding", &err);
}

/* ---- what was there before ---- */

typedef struct filling {
    meshping_store *store;
    size_t waiting;
    bool failed;
    uint64_t epoch, sequences[KINDS];
} filling;

static void filled(void *user, const meshping_block_done *done)
{
    filling *f = user;
    f->waiting--;
    if (done->status != MESHPING_OK || !done->stored) {
        fprintf(stderr, "meshping-bench ingest: not stored: %s\n", done->error ? done->error : "");
        f->failed = true;
    }
}

static bool settle(filling *f, size_t most)
{
    while (f->waiting > most && !f->failed) {
        struct pollfd fd = {.fd = meshping_store_fd(f->store), .events = POLLIN};
        if (poll(&fd, 1, 60000) != 1)
            return false;
        meshping_store_process(f->store);
    }
    return !f->failed;
}

/* The builder's block for every agent of the kind below `agents`; they measured the same. */
static bool fill_block(filling *f, meshping_block_builder *builder, uint32_t kind, uint32_t agents, int64_t received_us)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    meshping_error err = {0};
    if (meshping_block_builder_finish(builder, &bytes, &length) != MESHPING_OK)
        return false;
    f->sequences[kind]++;
    for (uint32_t agent = kind; agent < agents; agent += KINDS) {
        meshping_block_write write = {.agent_id = ingest_agent_id(agent),
                                      .epoch = f->epoch,
                                      .sequence = f->sequences[kind],
                                      .bytes = malloc(length),
                                      .length = length,
                                      .received_unix_us = received_us};
        if (!write.bytes)
            abort();
        memcpy(write.bytes, bytes, length);
        f->waiting++;
        meshping_status status = meshping_store_submit_block(f->store, &write, filled, f, &err);
        if (status != MESHPING_OK) {
            free(write.bytes);
            return ingest_said("filling", &err);
        }
        if (!settle(f, 2000))
            return false;
    }
    meshping_free(bytes);
    return true;
}

/* Rounds [from, to) of the first `agents` agents, `rounds` of them a block, as many targets in one as it takes. */
static bool fill(meshping_store *store, const ingest_mesh *mesh, uint32_t agents, int64_t from, int64_t to,
                 int64_t rounds)
{
    filling f = {.store = store, .epoch = (uint64_t)from};
    meshping_block_builder *builder = NULL;
    bool good = meshping_block_builder_new(&builder) == MESHPING_OK;
    if (good && rounds > 1)
        meshping__block_builder_set_effort(builder, MESHPING__EFFORT_SEAL);
    for (int64_t round = from; good && round < to; round += rounds) {
        int64_t end = round + rounds < to ? round + rounds : to;
        for (uint32_t kind = 0; good && kind < KINDS && kind < agents; kind++) {
            for (uint32_t t = 0; good && t < mesh->targets; t++)
                for (int64_t r = round; good && r < end; r++) {
                    meshping_sample sample = ingest_sample(kind, t, r);
                    meshping_status status = meshping_block_builder_add(builder, t + 1, &sample);
                    if (status == MESHPING_LIMIT) {
                        good = fill_block(&f, builder, kind, agents, end * INGEST_STEP_US);
                        status = meshping_block_builder_add(builder, t + 1, &sample);
                    }
                    good = good && status == MESHPING_OK;
                }
            good = good && fill_block(&f, builder, kind, agents, end * INGEST_STEP_US);
        }
    }
    good = good && settle(&f, 0);
    meshping_block_builder_free(builder);
    return good;
}

bool ingest_prepare(ingest_setting *o)
{
    meshping_store *store = NULL;
    meshping_store_options options;
    meshping_error err = {0};
    char path[INGEST_PATH_MAX + 20];
    int64_t now = meshping_now_read().unix_ns / 1000 / INGEST_STEP_US;
    o->filled_to = now - 3; /* the agents' own first slots come after it */
    o->filled_from = o->filled_to - HOUR_ROUNDS;
    meshping_store_options_init(&options);
    snprintf(path, sizeof path, "%s/meshping.db", o->mesh.directory);
    options.path = path;
    options.seal_after_s = 0; /* what is filled in stays in the journal for the server to find */
    if (meshping_store_open(&store, &options, &err) != MESHPING_OK)
        return ingest_said(path, &err);
    bool good = seed(store, &o->mesh);
    if (good && o->day_agents)
        good = fill(store, &o->mesh, o->day_agents, now - 24 * HOUR_ROUNDS, o->filled_from, DAY_SPAN_ROUNDS);
    if (good && o->hour)
        good = fill(store, &o->mesh, o->mesh.agents, o->filled_from, o->filled_to, 1);
    meshping_store_close(store);
    return good;
}
