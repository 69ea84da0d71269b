/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand agents in one process: each has its own TLS 1.3 connection, its own key and handshake, and sends a block
 * of one round of all targets every 5 seconds, spread over the 5 seconds as real ones are.
 */
#include "ingest.h"

#include "wire.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define WINDOW 64 /* frames of one agent that may wait for their ack */
#define CONNECTING_MAX 32
#define STATUS_MS 10000
#define DRAIN_MS 30000
#define ROUNDS_MAX 4 /* in a block of what was measured while the server was away */

typedef struct load load;

typedef struct agent {
    load *load;
    uint32_t number;
    wire wire;
    bool approved, lost;
    uint64_t epoch, sequence, acked;
    double sent_ms[WINDOW];
    int64_t sent_us[WINDOW]; /* up to which the block tells */
    double next_ms, status_ms;
    int64_t told_us; /* Unix time up to which blocks were sent */
} agent;

struct load {
    const ingest_mesh *mesh;
    SSL_CTX *ctx;
    int epoll;
    agent *agents;
    meshping_block_builder *builder;
    uint32_t connecting, approved;
    double *ack_ms;
    size_t ack_count, ack_capacity;
    ingest_load *out;
};

/* Once for each agent: what closed its connection is the first thing that went wrong. */
static void note_loss(agent *a)
{
    if (a->lost || a->wire.phase != WIRE_CLOSED)
        return;
    fprintf(stderr, "meshping-bench ingest: agent %u: %s\n", a->number, a->wire.why);
    a->lost = true;
    a->load->out->lost_sessions++;
}

/* ---- what the server says ---- */

static void answer_welcome(agent *a, const meshping_welcome *welcome)
{
    uint8_t seed[MESHPING_KEY_LEN];
    meshping_agent_info info = {.address = "127.0.0.1", .version = "bench", .epoch = a->epoch};
    ingest_agent_seed(seed, a->number);
    snprintf(info.host_name, sizeof info.host_name, "bench-%u", a->number);
    wire_resume(&a->wire, welcome, seed, &info, a);
}

static void take_status(agent *a, const meshping_registration_status *status)
{
    if (status->state != MESHPING_AGENT_APPROVED) {
        wire_close(&a->wire, "it is not approved");
    } else if (!a->approved) {
        a->approved = true;
        a->load->approved++;
        a->load->connecting--;
    }
}

static void note_acks(agent *a, const meshping_data_received *received)
{
    double now_ms = ingest_now_ms();
    uint64_t upto = received->range_count ? received->ranges[0].last : 0; /* we send in order, so there is one range */
    for (; a->acked < upto && a->acked < a->sequence; a->acked++) {
        load *l = a->load;
        if (l->ack_count == l->ack_capacity) {
            l->ack_capacity = l->ack_capacity ? 2 * l->ack_capacity : 65536;
            l->ack_ms = realloc(l->ack_ms, l->ack_capacity * sizeof *l->ack_ms);
            if (!l->ack_ms)
                abort();
        }
        l->ack_ms[l->ack_count++] = now_ms - a->sent_ms[(a->acked + 1) % WINDOW];
        l->out->frames_acked++;
        l->mesh->acked_us[a->number] = a->sent_us[(a->acked + 1) % WINDOW];
        l->out->samples_acked += l->mesh->targets;
    }
}

static void on_message(void *user, const meshping_message *message)
{
    agent *a = user;
    meshping_message reply = {0};
    switch (message->event) {
    case MESHPING_EVENT_WELCOME:
        answer_welcome(a, &message->u.welcome);
        break;
    case MESHPING_EVENT_REGISTRATION_STATUS:
        take_status(a, &message->u.registration_status);
        break;
    case MESHPING_EVENT_SERVER_MESSAGE:
        if (message->u.target_update.part + 1 == message->u.target_update.parts) {
            reply.event = MESHPING_EVENT_TARGETS_APPLIED;
            reply.u.targets_applied.revision = message->u.target_update.revision;
            reply.u.targets_applied.count = a->load->mesh->targets;
            wire_send(&a->wire, &reply, a);
        }
        break;
    case MESHPING_EVENT_DATA_RECEIVED:
        note_acks(a, &message->u.data_received);
        break;
    case MESHPING_EVENT_STATUS:
        if (message->u.status.ping) {
            reply.event = MESHPING_EVENT_STATUS;
            reply.u.status.time_unix_us = reply.u.status.echo_unix_us = meshping_now_read().unix_ns / 1000;
            reply.u.status.pong = message->u.status.ping;
            wire_send(&a->wire, &reply, a);
        }
        break;
    case MESHPING_EVENT_REFUSED:
        wire_close(&a->wire, message->u.refused.message);
        break;
    default:
        break;
    }
}

/* ---- what the agents do ---- */

static void connect_agent(load *l, agent *a)
{
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}, server = source;
    server.sin_port = htons(l->mesh->port);
    a->load = l;
    RAND_bytes((unsigned char *)&a->epoch, sizeof a->epoch);
    l->connecting++;
    wire_connect(&a->wire, l->ctx, l->epoll, &source, &server, a);
    note_loss(a);
}

/* The next so many slots of every target. */
static void send_rounds(agent *a, int64_t rounds)
{
    load *l = a->load;
    uint8_t *bytes = NULL;
    size_t length = 0;
    for (uint32_t t = 0; t < l->mesh->targets; t++)
        for (int64_t k = 1; k <= rounds; k++) {
            meshping_sample sample = ingest_sample_until(a->number, t, a->told_us + k * INGEST_STEP_US);
            if (meshping_block_builder_add(l->builder, t + 1, &sample) != MESHPING_OK)
                abort();
        }
    if (meshping_block_builder_finish(l->builder, &bytes, &length) != MESHPING_OK)
        abort();
    a->told_us += rounds * INGEST_STEP_US;
    if (++a->sequence - a->acked >= WINDOW)
        wire_close(&a->wire, "more than 64 frames without an ack");
    a->sent_ms[a->sequence % WINDOW] = ingest_now_ms();
    a->sent_us[a->sequence % WINDOW] = a->told_us;
    l->out->frames_sent++;
    l->out->samples_sent += l->mesh->targets * (uint64_t)rounds;
    l->out->bytes_sent += MESHPING_FRAME_HEADER_LEN + length;
    wire_send_block(&a->wire, a->epoch, a->sequence, bytes, length, a);
    meshping_free(bytes);
    note_loss(a);
}

static void send_status(agent *a)
{
    meshping_message message = {.event = MESHPING_EVENT_STATUS};
    message.u.status.time_unix_us = meshping_now_read().unix_ns / 1000;
    message.u.status.ping = a->sequence + 1;
    wire_send(&a->wire, &message, a);
    note_loss(a);
}

static void poll_once(load *l, int timeout_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(l->epoll, events, 256, timeout_ms);
    for (int i = 0; i < count; i++) {
        agent *a = events[i].data.ptr;
        wire_ready(&a->wire, events[i].events, on_message, a);
        note_loss(a);
    }
}

/* False: one did not get in. */
static bool connect_all(load *l)
{
    uint32_t next = 0, agents = l->mesh->agents;
    double until_ms = ingest_now_ms() + 120000;
    while (l->approved < agents && !l->out->lost_sessions && ingest_now_ms() < until_ms) {
        for (; next < agents && l->connecting < CONNECTING_MAX; next++) {
            l->agents[next].number = next;
            connect_agent(l, &l->agents[next]);
        }
        poll_once(l, 100);
    }
    return l->approved == agents && !l->out->lost_sessions;
}

static bool wait_for_acks(load *l)
{
    double until_ms = ingest_now_ms() + DRAIN_MS;
    while (l->out->frames_acked < l->out->frames_sent && ingest_now_ms() < until_ms)
        poll_once(l, 100);
    return l->out->frames_acked == l->out->frames_sent && !l->out->lost_sessions;
}

/* What was measured since the server went away, until nothing is left of it; each agent is at its own part of a step.
 */
static bool catch_up(load *l)
{
    uint32_t agents = l->mesh->agents;
    bool good = true, more = true;
    for (uint32_t i = 0; i < agents; i++)
        l->agents[i].told_us = l->mesh->stored_us - 1 + INGEST_STEP_US * i / agents;
    while (good && more) {
        int64_t now_us = meshping_now_read().unix_ns / 1000;
        more = false;
        for (uint32_t i = 0; i < agents; i++) {
            int64_t rounds = (now_us - l->agents[i].told_us) / INGEST_STEP_US;
            if (rounds > 0 && !l->agents[i].lost)
                send_rounds(&l->agents[i], rounds < ROUNDS_MAX ? rounds : ROUNDS_MAX);
            more = more || rounds > 1;
        }
        good = wait_for_acks(l);
    }
    return good;
}

static void send_until(load *l, double end_ms)
{
    double now_ms = ingest_now_ms(), step_ms = INGEST_STEP_US / 1000.0;
    int64_t now_us = meshping_now_read().unix_ns / 1000;
    uint32_t agents = l->mesh->agents;
    for (uint32_t i = 0; i < agents; i++) {
        l->agents[i].next_ms = now_ms + (double)(l->agents[i].told_us + INGEST_STEP_US - now_us) / 1000;
        l->agents[i].status_ms = now_ms + STATUS_MS * (double)i / agents;
    }
    while ((now_ms = ingest_now_ms()) < end_ms) {
        bool sent = false;
        for (uint32_t i = 0; i < agents; i++) {
            agent *a = &l->agents[i];
            if (!a->lost && a->next_ms <= now_ms) {
                a->next_ms += step_ms;
                send_rounds(a, 1);
                sent = true;
            }
            if (!a->lost && a->status_ms <= now_ms) {
                a->status_ms += STATUS_MS;
                send_status(a);
            }
        }
        poll_once(l, sent ? 0 : 2);
    }
}

static bool run(load *l, int ready, int go)
{
    char byte = 0;
    if (!connect_all(l) || !catch_up(l))
        return false;
    *l->out = (ingest_load){.sessions = l->approved};
    l->ack_count = 0;
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
        return false;
    double before_s = ingest_cpu_s(), end_ms = ingest_now_ms() + l->mesh->seconds * 1000.0;
    send_until(l, end_ms);
    wait_for_acks(l);
    l->out->cpu_s = ingest_cpu_s() - before_s;
    l->out->ack = ingest_latency_of(l->ack_ms, l->ack_count);
    return true;
}

bool ingest_run_agents(const ingest_mesh *mesh, int ready, int go, ingest_load *out)
{
    load l = {.mesh = mesh, .ctx = wire_tls(), .epoll = epoll_create1(EPOLL_CLOEXEC), .out = out};
    *out = (ingest_load){0};
    l.agents = calloc(mesh->agents, sizeof *l.agents);
    bool good = l.agents && l.ctx && l.epoll >= 0 && meshping_block_builder_new(&l.builder) == MESHPING_OK &&
                run(&l, ready, go);
    for (uint32_t i = 0; l.agents && i < mesh->agents; i++)
        wire_close(&l.agents[i].wire, "the end");
    free(l.agents);
    free(l.ack_ms);
    meshping_block_builder_free(l.builder);
    SSL_CTX_free(l.ctx);
    close(l.epoll);
    return good;
}
