/* SPDX-License-Identifier: Apache-2.0 */
/* The mesh of the bench `ingest`: who is in it, and what is measured. */
#include "ingest.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    uint64_t pair = mix((uint64_t)(agent % INGEST_KINDS) << 32 | target), draw = mix(pair ^ (uint64_t)round);
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

meshping_sample ingest_sample_until(uint32_t agent, uint32_t target, int64_t until_us)
{
    int64_t round = until_us / INGEST_STEP_US;
    meshping_sample sample = ingest_sample(agent, target, round);
    return sample.slot_unix_us > until_us ? ingest_sample(agent, target, round - 1) : sample;
}

bool ingest_said(const char *what, const meshping_error *err)
{
    fprintf(stderr, "meshping-bench ingest: %s: %s\n", what, err->message);
    return false;
}

bool ingest_seed(meshping_store *store, const ingest_mesh *mesh)
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
