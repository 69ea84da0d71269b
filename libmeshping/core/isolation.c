/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/isolation.h>

#include "base/alloc.h"

#define MS_NS INT64_C(1000000)
#define STALL_NS (MESHPING_ISOLATION_STALL_MS * MS_NS)
#define STRETCHES_MAX 8 /* kept: a verdict may come a long timeout after the stretch its probe was sent in */

typedef struct held_miss {
    uint64_t target_id;
    meshping_sample sample;
    int64_t sent_ns;
    int64_t done_ns;
} held_miss;

/* A stretch without any evidence, both ends excluded: a miss sent in it is the agent's own. */
typedef struct stretch {
    int64_t from_ns;
    int64_t to_ns;
} stretch;

struct meshping_isolation {
    meshping_isolation_fn fn;
    void *user;
    int64_t grace_ns;
    /* Held misses in the order of their verdicts, so the first has the earliest deadline. */
    held_miss *held;
    size_t count;
    size_t capacity;
    int64_t evidence_ns; /* when the latest round trip ended, or just before the first probe */
    int64_t asked_ns;    /* the oldest question to the server since the latest evidence; 0: none */
    int64_t now_ns;      /* of the latest call that told the time */
    bool isolated;
    stretch stretches[STRETCHES_MAX]; /* a ring */
    size_t stretch_count;             /* of all that ever were */
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

void meshping_isolation_set_grace(meshping_isolation *isolation, uint32_t grace_ms)
{
    isolation->grace_ns = grace_ms * MS_NS;
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
    for (size_t i = 0; i < STRETCHES_MAX && i < isolation->stretch_count; i++)
        if (sent_ns > isolation->stretches[i].from_ns && sent_ns < isolation->stretches[i].to_ns)
            return true;
    return false;
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

/*
 * Was the agent cut off until this evidence? Yes, if the server was asked and did not answer for long; or if a miss has
 * waited for long, because nobody could be asked, and the time without evidence is so long that every target had its
 * chance to answer.
 */
static bool ends_silence(const meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    if (isolation->isolated || (isolation->asked_ns && to_ns - isolation->asked_ns > STALL_NS))
        return true;
    return isolation->count && to_ns - isolation->held[0].done_ns > STALL_NS && isolation->evidence_ns != INT64_MIN &&
           from_ns - isolation->evidence_ns > isolation->grace_ns;
}

static void take_evidence(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    /* A round trip this slow was stuck somewhere (TCP sends again): it does not vouch for the time it took. */
    if (to_ns - from_ns > STALL_NS)
        from_ns = to_ns;
    if (ends_silence(isolation, from_ns, to_ns)) {
        if (from_ns > isolation->evidence_ns)
            isolation->stretches[isolation->stretch_count++ % STRETCHES_MAX] =
                (stretch){isolation->evidence_ns, from_ns};
        isolation->isolated = false;
    }
    if (to_ns >= isolation->asked_ns)
        isolation->asked_ns = 0; /* whoever answered: the network carries packets, which was the question */
    if (to_ns > isolation->evidence_ns)
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

static void tell_time(meshping_isolation *isolation, int64_t mono_ns)
{
    if (mono_ns > isolation->now_ns)
        isolation->now_ns = mono_ns;
}

meshping_status meshping_isolation_add(meshping_isolation *isolation, uint64_t target_id, const meshping_sample *sample,
                                       int64_t sent_ns, int64_t done_ns, bool via_loopback)
{
    held_miss miss = {target_id, *sample, sent_ns, done_ns};
    tell_time(isolation, done_ns);
    if (isolation->evidence_ns == INT64_MIN)
        isolation->evidence_ns = sent_ns - 1; /* before the first probe there was nothing to be heard */
    switch (meshping_outcome_classify(sample->outcome)) {
    case MESHPING_CLASS_OK:
        if (!via_loopback)
            take_evidence(isolation, sent_ns, done_ns);
        deliver(isolation, &miss, false); /* after the misses that it decides: these are older */
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
    tell_time(isolation, mono_ns);
    if (!isolation->asked_ns)
        isolation->asked_ns = mono_ns;
}

void meshping_isolation_session_lost(meshping_isolation *isolation)
{
    /* a question that had been unanswered for long already has been answered by that */
    if (isolation->asked_ns && isolation->now_ns - isolation->asked_ns <= STALL_NS)
        isolation->asked_ns = 0;
}

void meshping_isolation_evidence(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    tell_time(isolation, to_ns);
    /* the periodic ping is a question too, when its answer takes so long */
    if (!isolation->asked_ns && to_ns - from_ns > STALL_NS)
        isolation->asked_ns = from_ns > isolation->evidence_ns ? from_ns : isolation->evidence_ns;
    take_evidence(isolation, from_ns, to_ns);
}

void meshping_isolation_process(meshping_isolation *isolation, int64_t mono_ns)
{
    tell_time(isolation, mono_ns);
    if (!isolation->count || mono_ns < meshping_isolation_deadline_ns(isolation))
        return;
    isolation->isolated = true;
    for (size_t i = 0; i < isolation->count; i++)
        deliver(isolation, &isolation->held[i], true);
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
