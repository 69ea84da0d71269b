/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/isolation.h>

#include "base/alloc.h"
#include "core/silence.h"
#include "core/witness.h"

#define MS_NS INT64_C(1000000)
#define STALL_NS (MESHPING_ISOLATION_STALL_MS * MS_NS)
#define STRETCHES_MAX 8 /* kept: a verdict may come a long timeout after the stretch its probe was sent in */

/* A silence is the agent's own when so many probes of good targets were lost in it that chance does not do that. */
#define SILENCE_EXPECTS 4.0       /* round trips that would have begun in it; of shorter ones nothing can be said */
#define SILENCE_CHANCE 1e-6       /* that all its misses are the targets' own doing */
#define BEFORE_NS (20000 * MS_NS) /* what is usual is seen from the time before it */
#define AFTER_NS (2000 * MS_NS)   /* and that all was well again from the time after it: */
#define AFTER_SHARE 0.75          /* of the usual round trips; else it is many targets at once that are down */
#define AFTER_MARGIN_NS (10 * MS_NS)

typedef struct held_miss {
    uint64_t target_id;
    meshping_sample sample;
    int64_t sent_ns;
    int64_t done_ns;
    double chance;  /* of the doubted: that it is the target's own */
    int64_t due_ns; /* when all that was sent in the same silence has its verdict */
} held_miss;

typedef struct miss_list {
    held_miss *items;
    size_t count, capacity;
} miss_list;

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
    miss_list held;
    miss_list doubted; /* believed, but sent in a silence that many others were sent in */
    int64_t doubted_due_ns;
    meshping__silences silences;
    meshping__witnesses witnesses;
    uint32_t mark;
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
    isolation->doubted_due_ns = INT64_MAX;
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
    meshping__free(isolation->held.items);
    meshping__free(isolation->doubted.items);
    meshping__witnesses_dispose(&isolation->witnesses);
    meshping__free(isolation);
}

static void deliver(meshping_isolation *isolation, const held_miss *miss, bool isolated)
{
    meshping_sample sample = miss->sample;
    if (isolated) {
        sample.outcome = MESHPING_OUTCOME_ISOLATED;
    } else if (meshping_outcome_classify(sample.outcome) != MESHPING_CLASS_LOCAL_ERROR) {
        meshping__witness *witness = meshping__witnesses_get(&isolation->witnesses, miss->target_id);
        if (witness)
            meshping__witness_note(witness, sample.outcome != MESHPING_OUTCOME_OK);
    }
    isolation->fn(isolation->user, miss->target_id, &sample);
}

static void add_stretch(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    isolation->stretches[isolation->stretch_count++ % STRETCHES_MAX] = (stretch){from_ns, to_ns};
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

static meshping_status keep(meshping_isolation *isolation, miss_list *list, const held_miss *miss)
{
    if (isolation->held.count + isolation->doubted.count >= MESHPING_ISOLATION_HELD_MAX)
        return MESHPING_LIMIT;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 64;
        held_miss *grown = meshping__realloc(list->items, capacity * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = *miss;
    return MESHPING_OK;
}

/* The network works now: the miss is the target's, unless it was sent in a silence that others were sent in as well. */
static void believe(meshping_isolation *isolation, held_miss *miss)
{
    meshping__silence silence;
    if (meshping__silences_at(&isolation->silences, miss->sent_ns, &silence)) {
        double usual = meshping__silences_rate(&isolation->silences, silence.from_ns - BEFORE_NS, silence.from_ns);
        miss->due_ns = silence.to_ns + (miss->done_ns - miss->sent_ns) + AFTER_MARGIN_NS;
        if (usual * (double)(silence.to_ns - silence.from_ns) / 1e9 >= SILENCE_EXPECTS &&
            keep(isolation, &isolation->doubted, miss) == MESHPING_OK) {
            if (miss->due_ns < isolation->doubted_due_ns)
                isolation->doubted_due_ns = miss->due_ns;
            return;
        }
    }
    deliver(isolation, miss, false);
}

/* Did all that was lost in this silence go at once by chance, or many targets together? Then it is theirs. */
static bool is_own(meshping_isolation *isolation, const meshping__silence *silence)
{
    double chance = 1;
    double usual = meshping__silences_rate(&isolation->silences, silence->from_ns - BEFORE_NS, silence->from_ns);
    double after = meshping__silences_rate(&isolation->silences, silence->to_ns, silence->to_ns + AFTER_NS);
    isolation->mark++;
    for (size_t i = 0; i < isolation->doubted.count; i++) {
        const held_miss *miss = &isolation->doubted.items[i];
        if (miss->sent_ns <= silence->from_ns || miss->sent_ns >= silence->to_ns)
            continue;
        meshping__witness *witness = meshping__witnesses_get(&isolation->witnesses, miss->target_id);
        if (witness && witness->mark != isolation->mark) /* each target once */
            chance *= miss->chance;
        if (witness)
            witness->mark = isolation->mark;
    }
    return chance < SILENCE_CHANCE && after >= usual * AFTER_SHARE;
}

/* Decides what was sent in one silence, all at once. */
static void decide_silence(meshping_isolation *isolation, const meshping__silence *silence)
{
    bool own = is_own(isolation, silence);
    size_t kept = 0;
    if (own)
        add_stretch(isolation, silence->from_ns, silence->to_ns);
    for (size_t i = 0; i < isolation->doubted.count; i++) {
        held_miss miss = isolation->doubted.items[i];
        if (miss.sent_ns > silence->from_ns && miss.sent_ns < silence->to_ns)
            deliver(isolation, &miss, own);
        else
            isolation->doubted.items[kept++] = miss;
    }
    isolation->doubted.count = kept;
}

static void decide_doubted(meshping_isolation *isolation, int64_t mono_ns)
{
    while (isolation->doubted_due_ns <= mono_ns) {
        isolation->doubted_due_ns = INT64_MAX;
        for (size_t i = 0; i < isolation->doubted.count; i++) {
            held_miss miss = isolation->doubted.items[i];
            meshping__silence silence;
            if (miss.due_ns > mono_ns) {
                if (miss.due_ns < isolation->doubted_due_ns)
                    isolation->doubted_due_ns = miss.due_ns;
                continue;
            }
            if (!meshping__silences_at(&isolation->silences, miss.sent_ns, &silence))
                silence = (meshping__silence){miss.sent_ns - 1, miss.sent_ns + 1}; /* it was none, after all */
            decide_silence(isolation, &silence);
            isolation->doubted_due_ns = mono_ns; /* the list has changed: from its start */
            break;
        }
    }
}

/* Delivers the held misses that are decided now and keeps the others, in order. */
static void settle_held(meshping_isolation *isolation)
{
    size_t kept = 0;
    for (size_t i = 0; i < isolation->held.count; i++) {
        held_miss *miss = &isolation->held.items[i];
        if (in_stretch(isolation, miss->sent_ns))
            deliver(isolation, miss, true);
        else if (is_believed(miss, isolation->evidence_ns))
            believe(isolation, miss);
        else
            isolation->held.items[kept++] = *miss;
    }
    isolation->held.count = kept;
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
    return isolation->held.count && to_ns - isolation->held.items[0].done_ns > STALL_NS &&
           isolation->evidence_ns != INT64_MIN && from_ns - isolation->evidence_ns > isolation->grace_ns;
}

static void take_evidence(meshping_isolation *isolation, int64_t from_ns, int64_t to_ns)
{
    /* A round trip this slow was stuck somewhere (TCP sends again): it does not vouch for the time it took. */
    if (to_ns - from_ns > STALL_NS)
        from_ns = to_ns;
    if (ends_silence(isolation, from_ns, to_ns)) {
        if (from_ns > isolation->evidence_ns)
            add_stretch(isolation, isolation->evidence_ns, from_ns);
        isolation->isolated = false;
    }
    if (to_ns >= isolation->asked_ns)
        isolation->asked_ns = 0; /* whoever answered: the network carries packets, which was the question */
    if (to_ns > isolation->evidence_ns)
        isolation->evidence_ns = to_ns;
    if (isolation->held.count)
        settle_held(isolation);
}

static meshping_status hold(meshping_isolation *isolation, const held_miss *miss)
{
    meshping_status status = keep(isolation, &isolation->held, miss);
    if (status != MESHPING_OK)
        deliver(isolation, miss, false);
    return status;
}

static void tell_time(meshping_isolation *isolation, int64_t mono_ns)
{
    if (mono_ns > isolation->now_ns)
        isolation->now_ns = mono_ns;
}

meshping_status meshping_isolation_add(meshping_isolation *isolation, uint64_t target_id, const meshping_sample *sample,
                                       int64_t sent_ns, int64_t done_ns, bool via_loopback)
{
    held_miss miss = {target_id, *sample, sent_ns, done_ns, 1, 0};
    meshping__witness *witness = NULL;
    tell_time(isolation, done_ns);
    if (isolation->evidence_ns == INT64_MIN)
        isolation->evidence_ns = sent_ns - 1; /* before the first probe there was nothing to be heard */
    switch (meshping_outcome_classify(sample->outcome)) {
    case MESHPING_CLASS_OK:
        witness = meshping__witnesses_get(&isolation->witnesses, target_id);
        if (witness)
            witness->answers = true;
        if (!via_loopback) {
            meshping__silences_take(&isolation->silences, sent_ns, done_ns);
            take_evidence(isolation, sent_ns, done_ns);
        }
        deliver(isolation, &miss, false); /* after the misses that it decides: these are older */
        return MESHPING_OK;
    case MESHPING_CLASS_LOCAL_ERROR:
        deliver(isolation, &miss, false);
        return MESHPING_OK;
    case MESHPING_CLASS_FAIL:
        witness = meshping__witnesses_get(&isolation->witnesses, target_id);
        if (witness) {
            miss.chance = meshping__witness_chance(witness);
            witness->answers = false;
        }
        break;
    }
    if (in_stretch(isolation, sent_ns)) {
        deliver(isolation, &miss, true);
        return MESHPING_OK;
    }
    if (is_believed(&miss, isolation->evidence_ns)) {
        believe(isolation, &miss);
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
    meshping__silences_hear(&isolation->silences, to_ns); /* when it left is not known: TCP may have sent it again */
    take_evidence(isolation, from_ns, to_ns);
}

static int64_t held_due_ns(const meshping_isolation *isolation)
{
    return isolation->held.count ? isolation->held.items[0].done_ns + isolation->grace_ns : INT64_MAX;
}

void meshping_isolation_process(meshping_isolation *isolation, int64_t mono_ns)
{
    tell_time(isolation, mono_ns);
    decide_doubted(isolation, mono_ns);
    if (mono_ns < held_due_ns(isolation) || !isolation->held.count)
        return;
    isolation->isolated = true;
    for (size_t i = 0; i < isolation->held.count; i++)
        deliver(isolation, &isolation->held.items[i], true);
    isolation->held.count = 0;
}

int64_t meshping_isolation_deadline_ns(const meshping_isolation *isolation)
{
    int64_t held_ns = held_due_ns(isolation);
    return held_ns < isolation->doubted_due_ns ? held_ns : isolation->doubted_due_ns;
}

bool meshping_isolation_suspects(const meshping_isolation *isolation)
{
    return isolation->held.count > 0;
}

bool meshping_isolation_isolated(const meshping_isolation *isolation)
{
    return isolation->isolated;
}
