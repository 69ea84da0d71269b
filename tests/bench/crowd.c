/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

#include "wire.h"
#include <arpa/inet.h>
#include <meshping/block.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define INTERVAL_MS 5000
#define BUCKETS 50 /* in an interval: agents that report at about the same time share a block's bytes */
#define STATUS_MS 10000
#define SILENCE_MS 15000
#define AUTHENTICATION_MS 20000
#define BACKOFF_MAX_MS 60000
#define ARRIVALS_A_SECOND 250
#define SCAN_MS 10

typedef struct shared_block {
    uint8_t *bytes;
    size_t length;
    uint32_t holders;
} shared_block;

typedef struct kept {
    uint64_t sequence;
    shared_block *block;
    double made_ms;
} kept;

typedef struct agent {
    struct crowd *crowd;
    uint32_t number;
    wire wire;
    bool approved, started; /* of this connection */
    uint32_t retry_s, backoff_ms;
    double connect_ms, started_ms, heard_ms, report_ms, status_ms;
    uint64_t epoch, sequence, ping;
    kept *unacked; /* ascending */
    uint32_t unacked_count, unacked_capacity;
    uint32_t acks;
    double worst_ack_ms;
} agent;

struct crowd {
    crowd_options options;
    SSL_CTX *ctx;
    int epoll;
    agent *agents;
    meshping_block_builder *builder;
    shared_block *buckets[BUCKETS];
    int64_t bucket_of[BUCKETS]; /* which moment each is of */
    bool reporting;
    double scanned_ms;
    uint32_t connected;
    crowd_figures figures;
    double *ack_ms;
    size_t ack_count, ack_capacity;
};

double crowd_now_ms(void)
{
    return (double)meshping_now_read().mono_ns / 1e6;
}

void crowd_seed(uint8_t seed[MESHPING_KEY_LEN], uint32_t number)
{
    char text[64];
    int length = snprintf(text, sizeof text, "meshping-bench agent %u", number);
    SHA256((const unsigned char *)text, (size_t)length, seed);
}

struct in_addr crowd_address(uint32_t number)
{
    return (struct in_addr){.s_addr = htonl(0x7f010001u + number / 250 * 256 + number % 250)};
}

/* ---- blocks ---- */

static void release(shared_block *block)
{
    if (!block || --block->holders)
        return;
    meshping_free(block->bytes);
    free(block);
}

/* The interval that ends now, as all who report within these 100 ms see it: 0.2 to 20 ms, one in a thousand lost. */
static shared_block *block_of(crowd *c, double now_ms)
{
    int64_t moment = (int64_t)now_ms / (INTERVAL_MS / BUCKETS);
    size_t bucket = (size_t)(moment % BUCKETS);
    if (c->buckets[bucket] && c->bucket_of[bucket] == moment)
        return c->buckets[bucket];
    release(c->buckets[bucket]);
    shared_block *block = calloc(1, sizeof *block);
    int64_t from_us = meshping_now_read().unix_ns / 1000 - INTERVAL_MS * 1000;
    for (uint32_t t = 0; t < c->options.targets; t++) {
        uint32_t draw;
        RAND_bytes((unsigned char *)&draw, sizeof draw);
        meshping_sample sample = {.slot_unix_us = from_us + (int64_t)t * INTERVAL_MS * 1000 / c->options.targets,
                                  .rtt_us = 200 + t * 7919 % 20000 + (draw & 63)};
        if (draw >> 8 & 1023)
            sample.outcome = MESHPING_OUTCOME_OK;
        else
            sample = (meshping_sample){.slot_unix_us = sample.slot_unix_us, .outcome = MESHPING_OUTCOME_TIMEOUT};
        if (meshping_block_builder_add(c->builder, t + 1, &sample) != MESHPING_OK)
            abort();
    }
    if (!block || meshping_block_builder_finish(c->builder, &block->bytes, &block->length) != MESHPING_OK)
        abort();
    block->holders = 1;
    c->buckets[bucket] = block;
    c->bucket_of[bucket] = moment;
    return block;
}

static void report(agent *a, double now_ms)
{
    shared_block *block = block_of(a->crowd, now_ms);
    if (a->unacked_count == a->unacked_capacity) {
        a->unacked_capacity = a->unacked_capacity ? 2 * a->unacked_capacity : 4;
        a->unacked = realloc(a->unacked, a->unacked_capacity * sizeof *a->unacked);
        if (!a->unacked)
            abort();
    }
    block->holders++;
    a->unacked[a->unacked_count++] = (kept){++a->sequence, block, now_ms};
    a->crowd->figures.blocks_made++;
    if (a->approved)
        wire_send_block(&a->wire, a->epoch, a->sequence, block->bytes, block->length, a);
}

static void resend(agent *a)
{
    for (uint32_t i = 0; i < a->unacked_count && a->approved; i++) {
        wire_send_block(&a->wire, a->epoch, a->unacked[i].sequence, a->unacked[i].block->bytes,
                        a->unacked[i].block->length, a);
        a->crowd->figures.blocks_resent++;
    }
}

static void note_ack(agent *a, double waited_ms)
{
    crowd *c = a->crowd;
    if (c->ack_count == c->ack_capacity) {
        c->ack_capacity = c->ack_capacity ? 2 * c->ack_capacity : 65536;
        c->ack_ms = realloc(c->ack_ms, c->ack_capacity * sizeof *c->ack_ms);
        if (!c->ack_ms)
            abort();
    }
    c->ack_ms[c->ack_count++] = waited_ms;
    c->figures.blocks_acked++;
    a->acks++;
    if (waited_ms > a->worst_ack_ms)
        a->worst_ack_ms = waited_ms;
}

static void take_ranges(agent *a, const meshping_range *ranges, size_t count)
{
    double now_ms = crowd_now_ms();
    uint32_t left = 0;
    for (uint32_t i = 0; i < a->unacked_count; i++) {
        bool covered = false;
        for (size_t k = 0; k < count; k++)
            covered |= a->unacked[i].sequence >= ranges[k].first && a->unacked[i].sequence <= ranges[k].last;
        if (covered) {
            note_ack(a, now_ms - a->unacked[i].made_ms);
            release(a->unacked[i].block);
        } else {
            a->unacked[left++] = a->unacked[i];
        }
    }
    a->unacked_count = left;
}

/* ---- messages ---- */

static void say_status(agent *a, uint64_t ping, uint64_t pong)
{
    meshping_message message = {.event = MESHPING_EVENT_STATUS};
    message.u.status.time_unix_us = meshping_now_read().unix_ns / 1000;
    message.u.status.ping = ping;
    message.u.status.pong = pong;
    message.u.status.echo_unix_us = pong ? message.u.status.time_unix_us : 0;
    message.u.status.buffered_samples = (uint64_t)a->unacked_count * a->crowd->options.targets;
    wire_send(&a->wire, &message, a);
}

static void joined(agent *a, const meshping_registration_status *status)
{
    crowd *c = a->crowd;
    double now_ms = crowd_now_ms();
    a->retry_s = status->retry_s;
    if (status->state != MESHPING_AGENT_APPROVED) {
        wire_close(&a->wire, "it is not approved");
        return;
    }
    if (a->approved)
        return;
    a->approved = true;
    a->backoff_ms = 0;
    a->status_ms = now_ms + STATUS_MS;
    c->connected++;
    c->figures.last_joined_ms = now_ms;
    if (now_ms - a->started_ms > c->figures.join_max_ms)
        c->figures.join_max_ms = now_ms - a->started_ms;
    take_ranges(a, status->ranges, status->range_count);
    resend(a);
}

static void on_message(void *user, const meshping_message *message)
{
    agent *a = user;
    meshping_message reply = {.event = MESHPING_EVENT_TARGETS_APPLIED};
    uint8_t seed[MESHPING_KEY_LEN];
    a->heard_ms = crowd_now_ms();
    switch (message->event) {
    case MESHPING_EVENT_WELCOME: {
        meshping_agent_info info = {.version = "bench", .epoch = a->epoch};
        struct in_addr address = crowd_address(a->number);
        inet_ntop(AF_INET, &address, info.address, sizeof info.address);
        snprintf(info.host_name, sizeof info.host_name, "bench-%u", a->number);
        crowd_seed(seed, a->number);
        wire_resume(&a->wire, &message->u.welcome, seed, &info, a);
        break;
    }
    case MESHPING_EVENT_REGISTRATION_STATUS:
        joined(a, &message->u.registration_status);
        break;
    case MESHPING_EVENT_SERVER_MESSAGE:
        if (message->type != MESHPING_SERVER_MESSAGE_UPDATE_TARGETS ||
            message->u.target_update.part + 1 < message->u.target_update.parts)
            break;
        reply.u.targets_applied.revision = message->u.target_update.revision;
        reply.u.targets_applied.count = a->crowd->options.targets;
        wire_send(&a->wire, &reply, a);
        break;
    case MESHPING_EVENT_DATA_RECEIVED:
        take_ranges(a, message->u.data_received.ranges, message->u.data_received.range_count);
        break;
    case MESHPING_EVENT_STATUS:
        if (message->u.status.retry_s)
            a->retry_s = message->u.status.retry_s;
        if (message->u.status.ping)
            say_status(a, 0, message->u.status.ping);
        break;
    case MESHPING_EVENT_REFUSED:
        wire_close(&a->wire, message->u.refused.message);
        break;
    default:
        break;
    }
}

/* ---- time ---- */

static void wait_to_connect(agent *a, double now_ms)
{
    uint32_t draw, own_ms = a->backoff_ms ? a->backoff_ms : 1000;
    uint32_t span_ms = a->retry_s * 1000 > own_ms ? a->retry_s * 1000 : own_ms;
    crowd *c = a->crowd;
    if (a->approved) {
        c->figures.connections_lost++;
        c->connected--;
    } else {
        c->figures.connects_failed++;
    }
    snprintf(c->figures.last_trouble, sizeof c->figures.last_trouble, "%s", a->wire.why);
    a->approved = a->started = false;
    a->backoff_ms = 2 * own_ms < BACKOFF_MAX_MS ? 2 * own_ms : BACKOFF_MAX_MS;
    RAND_bytes((unsigned char *)&draw, sizeof draw);
    a->connect_ms = now_ms + draw % (span_ms + 1);
}

static void start_connecting(agent *a, double now_ms)
{
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr = crowd_address(a->number)};
    crowd *c = a->crowd;
    a->started = true;
    a->started_ms = a->heard_ms = now_ms;
    wire_connect(&a->wire, c->ctx, c->epoll, &source, &c->options.server, a); /* the next turn sees how it went */
}

static void act(agent *a, double now_ms)
{
    crowd *c = a->crowd;
    if (a->wire.phase == WIRE_CLOSED && a->started)
        wait_to_connect(a, now_ms);
    if (a->wire.phase == WIRE_CLOSED && a->connect_ms <= now_ms)
        start_connecting(a, now_ms);
    if (c->reporting && a->report_ms <= now_ms) {
        a->report_ms += INTERVAL_MS;
        report(a, now_ms);
    }
    if (a->approved && !c->options.silent && a->status_ms <= now_ms) {
        a->status_ms += STATUS_MS;
        say_status(a, ++a->ping, 0);
    }
    if (a->wire.phase != WIRE_CLOSED && !c->options.silent &&
        now_ms - a->heard_ms > (a->approved ? SILENCE_MS : AUTHENTICATION_MS))
        wire_close(&a->wire, "no word from the server");
}

static void turn(crowd *c)
{
    struct epoll_event events[512];
    int count = epoll_wait(c->epoll, events, 512, SCAN_MS);
    for (int i = 0; i < count; i++) {
        agent *a = events[i].data.ptr;
        wire_phase before = a->wire.phase;
        wire_ready(&a->wire, events[i].events, on_message, a);
        if (c->options.silent && before != WIRE_OPEN && a->wire.phase == WIRE_OPEN) {
            a->approved = true;
            c->connected++;
        }
    }
    double now_ms = crowd_now_ms();
    if (now_ms - c->scanned_ms < SCAN_MS)
        return;
    c->scanned_ms = now_ms;
    for (uint32_t i = 0; i < c->options.agents; i++)
        act(&c->agents[i], now_ms);
}

void crowd_pass(crowd *c, double until_ms)
{
    while (crowd_now_ms() < until_ms)
        turn(c);
}

static bool all_acked(const crowd *c)
{
    for (uint32_t i = 0; i < c->options.agents; i++)
        if (c->agents[i].unacked_count)
            return false;
    return true;
}

bool crowd_run(crowd *c, bool drained, double until_ms)
{
    do {
        turn(c);
        if (c->connected == c->options.agents && (!drained || all_acked(c)))
            return true;
    } while (crowd_now_ms() < until_ms);
    return false;
}

void crowd_report(crowd *c, bool on)
{
    double now_ms = crowd_now_ms();
    c->reporting = on;
    for (uint32_t i = 0; i < c->options.agents; i++)
        c->agents[i].report_ms = now_ms + (double)INTERVAL_MS * i / c->options.agents;
}

void crowd_begin(crowd *c)
{
    c->figures = (crowd_figures){0};
    c->ack_count = 0;
    for (uint32_t i = 0; i < c->options.agents; i++) {
        c->agents[i].acks = 0;
        c->agents[i].worst_ack_ms = 0;
    }
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

void crowd_look(crowd *c, crowd_figures *out)
{
    double now_ms = crowd_now_ms();
    *out = c->figures;
    out->connected = c->connected;
    out->acks_min = UINT32_MAX;
    for (uint32_t i = 0; i < c->options.agents; i++) {
        agent *a = &c->agents[i];
        double waits_ms = a->unacked_count ? now_ms - a->unacked[0].made_ms : 0;
        out->starved += a->worst_ack_ms > INTERVAL_MS || waits_ms > INTERVAL_MS;
        out->acks_min = a->acks < out->acks_min ? a->acks : out->acks_min;
        out->acks_max = a->acks > out->acks_max ? a->acks : out->acks_max;
    }
    if (!c->ack_count)
        return;
    qsort(c->ack_ms, c->ack_count, sizeof *c->ack_ms, compare);
    out->ack_p50_ms = c->ack_ms[c->ack_count / 2];
    out->ack_p99_ms = c->ack_ms[c->ack_count - 1 - c->ack_count / 100];
    out->ack_max_ms = c->ack_ms[c->ack_count - 1];
}

crowd *crowd_new(const crowd_options *options)
{
    crowd *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    double now_ms = crowd_now_ms();
    c->options = *options;
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->ctx = wire_tls();
    c->agents = calloc(options->agents, sizeof *c->agents);
    if (!c->agents || !c->ctx || c->epoll < 0 || meshping_block_builder_new(&c->builder) != MESHPING_OK) {
        crowd_free(c);
        return NULL;
    }
    for (uint32_t i = 0; i < options->agents; i++) {
        c->agents[i].crowd = c;
        c->agents[i].number = i;
        c->agents[i].connect_ms = now_ms + 1000.0 * i / ARRIVALS_A_SECOND;
        RAND_bytes((unsigned char *)&c->agents[i].epoch, sizeof c->agents[i].epoch);
    }
    return c;
}

void crowd_free(crowd *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; c->agents && i < c->options.agents; i++) {
        agent *a = &c->agents[i];
        wire_close(&a->wire, "");
        for (uint32_t k = 0; k < a->unacked_count; k++)
            release(a->unacked[k].block);
        free(a->unacked);
    }
    for (size_t i = 0; i < BUCKETS; i++)
        release(c->buckets[i]);
    free(c->agents);
    free(c->ack_ms);
    meshping_block_builder_free(c->builder);
    SSL_CTX_free(c->ctx);
    if (c->epoll >= 0)
        close(c->epoll);
    free(c);
}
