/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world around meshping_isolation in simulated time: an agent whose link goes up and down, targets that answer
 * or not, and a server behind TCP (retransmissions that back off, head-of-line blocking, sessions that die of silence
 * after 15 s, reconnects with back-off). It knows the truth of every probe. The agent's turn is that of the daemon:
 * results, then the session, then the question to the server, then what is due.
 */
#ifndef MESHPING_TESTS_ISOLATION_WORLD_H
#define MESHPING_TESTS_ISOLATION_WORLD_H

#include <meshping/isolation.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define INTERVAL (5 * SECOND)
#define TIMEOUT (3 * SECOND)
#define GRACE_MS 9000 /* interval, timeout, and a second: as the agent has it */
#define SILENCE (15 * SECOND)
#define SPANS_MAX 64
#define TARGETS_MAX 100

typedef struct span {
    int64_t from, to;
    bool seen; /* of an outage: the kernel knows of it (link, route), and so does the engine */
} span;

typedef struct spans {
    span items[SPANS_MAX];
    size_t count;
} spans;

typedef struct world_target {
    int64_t rtt, jitter, phase;
    unsigned loss_permille;
    bool loopback;
    bool at_site; /* goes down with all others there */
    spans down;
} world_target;

typedef enum world_truth { ANSWERED, TARGET_LOST, SENT_IN_OUTAGE, REPLY_CUT } world_truth;

typedef struct world_probe {
    size_t target;
    int64_t sent, decided; /* when its sample was delivered */
    world_truth truth;
    int64_t outage; /* how long the outage lasts in which it was sent; 0: none */
    bool seen;      /* that outage */
    bool site_down; /* lost with all others of its site */
    unsigned deliveries;
    uint8_t outcome;
} world_probe;

typedef enum event_kind { SEND, REPLY, MISSED, AT_SERVER, AT_AGENT, CONNECTED, CONNECT_FAILED, TICK, WAKE } event_kind;

typedef struct event {
    int64_t at;
    event_kind kind;
    size_t index; /* target, probe, or connection */
    int64_t data; /* AT_SERVER, AT_AGENT: a ping's id; 0: a status; -1: the end */
} event;

typedef struct world {
    uint64_t random;
    int64_t now, end, server_rtt;
    spans outages, server_killed, server_frozen, site_down;
    world_target targets[TARGETS_MAX];
    size_t target_count;
    meshping_isolation *isolation;
    event *heap;
    size_t heap_count, heap_capacity;
    world_probe *probes;
    size_t probe_count, probe_capacity;
    /* the session, on the agent's side */
    size_t connection; /* counts up: what belongs to an older one is dropped */
    bool alive, connecting;
    int64_t heard, connect_at, status_at, pinged, ping_id, ping_counter, backoff;
    int64_t stalled[2]; /* until when TCP sends nothing new: to the server, to the agent */
    /* and on the server's */
    int64_t server_heard, server_status_at;
} world;

static inline uint64_t world_random(world *w, uint64_t below)
{
    w->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    uint64_t z = w->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % below;
}

static inline const span *span_at(const spans *list, int64_t at)
{
    for (size_t i = 0; i < list->count; i++)
        if (at >= list->items[i].from && at < list->items[i].to)
            return &list->items[i];
    return NULL;
}

static inline void span_add(spans *list, int64_t from, int64_t to)
{
    assert_true(list->count < SPANS_MAX);
    list->items[list->count++] = (span){from, to, false};
}

/* ---- events: a binary heap ---- */

static inline void world_at(world *w, int64_t at, event_kind kind, size_t index, int64_t data)
{
    if (w->heap_count == w->heap_capacity) {
        w->heap_capacity = w->heap_capacity ? w->heap_capacity * 2 : 256;
        w->heap = realloc(w->heap, w->heap_capacity * sizeof *w->heap);
        assert_non_null(w->heap);
    }
    size_t i = w->heap_count++;
    for (; i && w->heap[(i - 1) / 2].at > at; i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = (event){at, kind, index, data};
}

static inline event world_next(world *w)
{
    event first = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < w->heap_count; i = child) {
        if (child + 1 < w->heap_count && w->heap[child + 1].at < w->heap[child].at)
            child++;
        if (last.at <= w->heap[child].at)
            break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return first;
}

/* ---- probes ---- */

static inline void world_delivered(void *user, uint64_t target_id, const meshping_sample *sample)
{
    world *w = user;
    world_probe *probe = &w->probes[sample->slot_unix_us];
    assert_true(target_id == probe->target + 1);
    probe->deliveries++;
    probe->outcome = sample->outcome;
    probe->decided = w->now;
}

static inline void world_send(world *w, size_t index)
{
    world_target *target = &w->targets[index];
    if (w->probe_count == w->probe_capacity) {
        w->probe_capacity = w->probe_capacity ? w->probe_capacity * 2 : 1024;
        w->probes = realloc(w->probes, w->probe_capacity * sizeof *w->probes);
        assert_non_null(w->probes);
    }
    world_probe probe = {.target = index, .sent = w->now};
    int64_t rtt = target->rtt + (target->jitter ? (int64_t)world_random(w, (uint64_t)target->jitter) : 0);
    const span *outage = target->loopback ? NULL : span_at(&w->outages, w->now);
    if (outage) {
        probe.truth = SENT_IN_OUTAGE;
        probe.outage = outage->to - outage->from;
        probe.seen = outage->seen;
    } else if (target->at_site && span_at(&w->site_down, w->now)) {
        probe.truth = TARGET_LOST;
        probe.site_down = true;
    } else if (span_at(&target->down, w->now) || world_random(w, 1000) < target->loss_permille) {
        probe.truth = TARGET_LOST;
    } else if (!target->loopback && span_at(&w->outages, w->now + rtt)) {
        probe.truth = REPLY_CUT;
    }
    if (probe.truth == ANSWERED)
        world_at(w, w->now + rtt, REPLY, w->probe_count, 0);
    else
        world_at(w, w->now + TIMEOUT, MISSED, w->probe_count, 0);
    w->probes[w->probe_count++] = probe;
    world_at(w, w->now + INTERVAL, SEND, index, 0);
}

static inline void world_verdict(world *w, size_t index, meshping_outcome outcome)
{
    const world_probe *probe = &w->probes[index];
    meshping_sample sample = {.slot_unix_us = (int64_t)index, .outcome = (uint8_t)outcome};
    assert_int_equal(meshping_isolation_add(w->isolation, probe->target + 1, &sample, probe->sent, w->now,
                                            w->targets[probe->target].loopback),
                     MESHPING_OK);
}

/* What the engine finds out about a miss: an outage that the kernel knows of touched it, or it had just ended. */
static inline bool world_blames(const world *w, size_t index)
{
    const world_probe *probe = &w->probes[index];
    if (w->targets[probe->target].loopback)
        return false;
    for (size_t i = 0; i < w->outages.count; i++) {
        const span *outage = &w->outages.items[i];
        if (outage->seen && outage->from < w->now && outage->to + SECOND >= probe->sent)
            return true;
    }
    return false;
}

/* ---- TCP: one direction is what is sent in order, again and again while the link is down ---- */

static inline int64_t tcp_passes(world *w, int direction, int64_t at)
{
    if (at < w->stalled[direction])
        at = w->stalled[direction];
    for (int64_t wait = 200 * MS; span_at(&w->outages, at); wait *= 2)
        at += wait;
    w->stalled[direction] = at;
    return at;
}

static inline void to_server(world *w, int64_t data)
{
    world_at(w, tcp_passes(w, 0, w->now) + w->server_rtt / 2, AT_SERVER, w->connection, data);
}

static inline void to_agent(world *w, int64_t data)
{
    world_at(w, tcp_passes(w, 1, w->now + w->server_rtt / 2), AT_AGENT, w->connection, data);
}

/* ---- the session ---- */

static inline void world_lost(world *w)
{
    int64_t wait = w->backoff > SECOND ? w->backoff : SECOND;
    w->backoff = wait * 2 > 60 * SECOND ? 60 * SECOND : wait * 2;
    w->connection++;
    w->alive = w->connecting = false;
    w->ping_id = 0;
    w->connect_at = w->now + (int64_t)world_random(w, (uint64_t)wait);
    meshping_isolation_session_lost(w->isolation);
}

static inline void world_connect(world *w)
{
    w->connecting = true;
    for (int64_t wait = 0; wait < 10 * SECOND; wait = 2 * wait + SECOND) { /* SYN, again after 1, 3, 7 s */
        int64_t at = w->now + wait;
        if (span_at(&w->outages, at) || span_at(&w->server_frozen, at))
            continue;
        if (span_at(&w->server_killed, at))
            world_at(w, at + w->server_rtt, CONNECT_FAILED, w->connection, 0);
        else
            world_at(w, at + 4 * w->server_rtt, CONNECTED, w->connection, 0);
        return;
    }
    world_at(w, w->now + 10 * SECOND, CONNECT_FAILED, w->connection, 0);
}

static inline void world_connected(world *w)
{
    if (span_at(&w->outages, w->now) || span_at(&w->server_killed, w->now)) {
        world_lost(w);
        return;
    }
    w->alive = true;
    w->connecting = false;
    w->backoff = 0;
    w->heard = w->server_heard = w->now;
    w->status_at = w->server_status_at = w->now + 10 * SECOND;
    w->stalled[0] = w->stalled[1] = 0;
}

static inline void world_ping(world *w)
{
    w->ping_id = ++w->ping_counter;
    w->pinged = w->now;
    to_server(w, w->ping_id);
}

static inline void world_at_server(world *w, const event *e)
{
    if (!w->alive || span_at(&w->server_frozen, w->now))
        return; /* frozen: the answer never comes in this model, which is the harder case */
    if (span_at(&w->server_killed, w->now)) {
        to_agent(w, -1);
        return;
    }
    w->server_heard = w->now;
    if (e->data > 0)
        to_agent(w, e->data);
}

static inline void world_at_agent(world *w, const event *e)
{
    if (e->data < 0) {
        world_lost(w);
        return;
    }
    w->heard = w->now;
    if (e->data && e->data == w->ping_id) {
        w->ping_id = 0;
        meshping_isolation_evidence(w->isolation, w->pinged, w->now);
    }
}

/* Each 100 ms: what goes by the clock at both ends. */
static inline void world_tick(world *w)
{
    bool server_runs = !span_at(&w->server_frozen, w->now) && !span_at(&w->server_killed, w->now);
    const span *killed = span_at(&w->server_killed, w->now);
    if (w->alive && killed && w->now - killed->from < 100 * MS)
        to_agent(w, -1);
    if (w->alive && server_runs && w->now >= w->server_status_at) {
        w->server_status_at = w->now + 10 * SECOND;
        to_agent(w, 0);
        if (w->now - w->server_heard > SILENCE)
            to_agent(w, -1);
    }
    if (!w->alive && !w->connecting && w->now >= w->connect_at)
        world_connect(w);
    if (w->alive && w->now >= w->status_at) {
        w->status_at = w->now + 10 * SECOND;
        if (w->ping_id)
            to_server(w, 0);
        else
            world_ping(w);
    }
    if (w->alive && w->now - w->heard > SILENCE)
        world_lost(w);
    world_at(w, w->now + 100 * MS, TICK, 0, 0);
}

/* ---- running ---- */

static inline void world_turn(world *w, const event *e)
{
    switch (e->kind) {
    case SEND:
        if (w->now < w->end - 60 * SECOND) /* the last minute is for what is held */
            world_send(w, e->index);
        break;
    case REPLY:
        world_verdict(w, e->index, MESHPING_OUTCOME_OK);
        break;
    case MISSED:
        world_verdict(w, e->index, world_blames(w, e->index) ? MESHPING_OUTCOME_ISOLATED : MESHPING_OUTCOME_TIMEOUT);
        break;
    case AT_SERVER:
        if (e->index == w->connection)
            world_at_server(w, e);
        break;
    case AT_AGENT:
        if (e->index == w->connection)
            world_at_agent(w, e);
        break;
    case CONNECTED:
        if (e->index == w->connection)
            world_connected(w);
        break;
    case CONNECT_FAILED:
        if (e->index == w->connection)
            world_lost(w);
        break;
    case TICK:
        world_tick(w);
        break;
    case WAKE:
        break;
    }
    if (meshping_isolation_suspects(w->isolation) && w->alive) {
        if (!w->ping_id && w->now - w->pinged >= SECOND)
            world_ping(w);
        if (w->ping_id)
            meshping_isolation_asked(w->isolation, w->now);
    }
    meshping_isolation_process(w->isolation, w->now);
    int64_t deadline = meshping_isolation_deadline_ns(w->isolation);
    if (deadline != INT64_MAX && e->kind != WAKE)
        world_at(w, deadline, WAKE, 0, 0);
}

static inline world *world_new(uint64_t seed, size_t target_count, int64_t duration)
{
    world *w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->random = seed;
    w->now = 1000 * SECOND; /* as after some time of uptime */
    w->end = w->now + duration;
    w->server_rtt = 20 * MS;
    w->target_count = target_count;
    w->pinged = -SECOND;
    for (size_t i = 0; i < target_count; i++) {
        w->targets[i].rtt = 10 * MS;
        w->targets[i].phase = (int64_t)world_random(w, INTERVAL);
    }
    assert_int_equal(meshping_isolation_new(&w->isolation, GRACE_MS, world_delivered, w), MESHPING_OK);
    return w;
}

static inline void world_run(world *w)
{
    for (size_t i = 0; i < w->target_count; i++)
        world_at(w, w->now + w->targets[i].phase, SEND, i, 0);
    world_at(w, w->now, TICK, 0, 0);
    while (w->heap_count && w->heap[0].at < w->end) {
        event e = world_next(w);
        w->now = e.at;
        world_turn(w, &e);
    }
}

static inline void world_free(world *w)
{
    meshping_isolation_free(w->isolation);
    free(w->heap);
    free(w->probes);
    free(w);
}

#endif
