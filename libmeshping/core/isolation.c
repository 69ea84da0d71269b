/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/isolation.h>

#include "base/alloc.h"

#define MS_NS INT64_C(1000000)

typedef struct held_miss {
    uint64_t target_id;
    meshping_sample sample;
    int64_t sent_ns;
    int64_t done_ns;
} held_miss;

struct meshping_isolation {
    meshping_isolation_fn fn;
    void *user;
    int64_t grace_ns;
    /* Held misses in the order of their verdicts, so the first has the earliest deadline. */
    held_miss *held;
    size_t count;
    size_t capacity;
    int64_t evidence_ns; /* when the latest round trip ended */
    int64_t asked_ns;    /* the oldest unanswered question to the server; 0: none */
    bool isolated;
    /* The last stretch without any evidence: a miss sent in it is the agent's own. */
    int64_t stretch_from_ns;
    int64_t stretch_to_ns;
};

meshping_status meshping_isolation_new(meshping_isolation **out, uint32_t grace_ms, meshping_isolation_fn fn,
                                       void *user)
{
    *out = NULL;
    if (!fn)
        return MESHPING_INVALID;
    meshping_isolation *isolation = meshping__calloc(1, sizeof *isolation);
    if (!isolation)
        return MESHPING_NOMEM;
    isolation->fn = fn;
    isolation->user = user;
    isolation->grace_ns = grace_ms * MS_NS;
    isolation->evidence_ns = INT64_MIN;
    *out = isolation;
    return MESHPING_OK;
}

void meshping_isolation_free(meshping_isolation *isolation)
{
    if (!isolation)
        return;
    meshping__free(isolation->held);
    meshping__free(isolation);
}

static void deliver(const meshping_isolation *isolation, const held_miss *miss, bool isolated)
{
    meshping_sample sample = miss->sample;
    if (isolated)
        sample.outcome = MESHPING_OUTCOME_ISOLATED;
    isolation->fn(isolation->user, miss->target_id, &sample);
}

static bool in_stretch(const meshping_isolation *isolation, int64_t sent_ns)
{
    return sent_ns > isolation->stretch_from_ns && sent_ns < isolation->stretch_to_ns;
}

/* Had the network carried a round trip that ended when this probe's reply should have come? */
static bool is_believed(const held_miss *miss, int64_t evidence_ns)
{
    int64_t settle_ns = MESHPING_ISOLATION_SETTLE_MS * MS_NS;
    if (settle_ns > miss->done_ns - miss->sent_ns)
        settle_ns = miss->done_ns - miss->sent_ns;
    return evidence_ns >= miss->sent_ns + settle_ns;
}

/* Delivers the held misses that are decided now and keeps the others, in order. */
static void settle_held(meshping_isolation *isolation)
{
    size_t kept = 0;
    for (size_t i = 0; i < isolation->count; i++) {
        held_miss *miss = &isolation->held[i];
        if (in_stretch(isolation, miss->sent_ns))
            deliver(isolation, miss, true);
        else if (is_believed(miss, isolation->evidence_ns))
            deliver(isolation, miss, false);
        else
            isolation->held[kept++] = *miss;
    }
    isolation->count = kept;
}

static void take_evidence(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    /* A round trip this slow was stuck somewhere (TCP sends again): it does not vouch for the time it took. */
    if (to_ns - from_ns > MESHPING_ISOLATION_STALL_MS * MS_NS && (isolation->isolated || isolation->asked_ns))
        from_ns = to_ns;
    bool stalled = isolation->asked_ns && to_ns - isolation->asked_ns > MESHPING_ISOLATION_STALL_MS * MS_NS;
    if ((isolation->isolated || stalled) && from_ns > isolation->evidence_ns) {
        isolation->stretch_from_ns = isolation->evidence_ns;
        isolation->stretch_to_ns = from_ns;
        isolation->isolated = false;
        isolation->asked_ns = 0;
    }
    if (!isolation->isolated && to_ns > isolation->evidence_ns)
        isolation->evidence_ns = to_ns;
    if (isolation->count)
        settle_held(isolation);
}

static meshping_status hold(meshping_isolation *isolation, const held_miss *miss)
{
    if (isolation->count >= MESHPING_ISOLATION_HELD_MAX) {
        deliver(isolation, miss, false);
        return MESHPING_LIMIT;
    }
    if (isolation->count == isolation->capacity) {
        size_t capacity = isolation->capacity ? isolation->capacity * 2 : 64;
        held_miss *grown = meshping__realloc(isolation->held, capacity * sizeof *grown);
        if (!grown) {
            deliver(isolation, miss, false);
            return MESHPING_NOMEM;
        }
        isolation->held = grown;
        isolation->capacity = capacity;
    }
    isolation->held[isolation->count++] = *miss;
    return MESHPING_OK;
}

meshping_status meshping_isolation_add(meshping_isolation *isolation, uint64_t target_id, const meshping_sample *sample,
                                       int64_t sent_ns, int64_t done_ns, bool via_loopback)
{
    held_miss miss = {target_id, *sample, sent_ns, done_ns};
    switch (meshping_outcome_classify(sample->outcome)) {
    case MESHPING_CLASS_OK:
        deliver(isolation, &miss, false);
        if (!via_loopback)
            take_evidence(isolation, sent_ns, done_ns);
        return MESHPING_OK;
    case MESHPING_CLASS_LOCAL_ERROR:
        deliver(isolation, &miss, false);
        return MESHPING_OK;
    case MESHPING_CLASS_FAIL:
        break;
    }
    if (in_stretch(isolation, sent_ns)) {
        deliver(isolation, &miss, true);
        return MESHPING_OK;
    }
    if (is_believed(&miss, isolation->evidence_ns)) {
        deliver(isolation, &miss, false);
        return MESHPING_OK;
    }
    if (isolation->isolated) {
        deliver(isolation, &miss, true);
        return MESHPING_OK;
    }
    return hold(isolation, &miss);
}

void meshping_isolation_asked(meshping_isolation *isolation, int64_t mono_ns)
{
    if (!isolation->asked_ns)
        isolation->asked_ns = mono_ns;
}

void meshping_isolation_session_lost(meshping_isolation *isolation)
{
    isolation->asked_ns = 0;
}

void meshping_isolation_evidence(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    take_evidence(isolation, from_ns, to_ns);
    if (isolation->asked_ns && isolation->asked_ns <= from_ns)
        isolation->asked_ns = 0;
}

void meshping_isolation_process(meshping_isolation *isolation, int64_t mono_ns)
{
    if (!isolation->count || mono_ns < meshping_isolation_deadline_ns(isolation))
        return;
    isolation->isolated = true;
    for (size_t i = 0; i < isolation->count; i++)
        deliver(isolation, &isolation->held[i], true);
    isolation->count = 0;
}

void meshping_isolation_flush(meshping_isolation *isolation)
{
    for (size_t i = 0; i < isolation->count; i++)
        deliver(isolation, &isolation->held[i], false);
    isolation->count = 0;
}

int64_t meshping_isolation_deadline_ns(const meshping_isolation *isolation)
{
    return isolation->count ? isolation->held[0].done_ns + isolation->grace_ns : INT64_MAX;
}

bool meshping_isolation_suspects(const meshping_isolation *isolation)
{
    return isolation->count > 0;
}

bool meshping_isolation_isolated(const meshping_isolation *isolation)
{
    return isolation->isolated;
}
