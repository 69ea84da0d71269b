/* SPDX-License-Identifier: Apache-2.0 */
/* Queries over many pairs: everything of a group, the worst of all, the newest of each. */
#include "store/edges.h"
#include "store/internal.h"
#include "store/pairs.h"
#include "store/rollups.h"

#include "base/alloc.h"
#include <stdlib.h>
#include <string.h>

/* ---- a group ---- */

static void add_up(meshping__scan *s, const meshping__hours *hours, size_t i)
{
    meshping__hour_add_to(s->user, hours, i);
}

static int compare_pairs(const void *left, const void *right)
{
    const meshping_pair *a = left, *b = right;
    if (a->agent_id != b->agent_id)
        return a->agent_id < b->agent_id ? -1 : 1;
    return a->target_id < b->target_id ? -1 : a->target_id > b->target_id;
}

/* Whether one that stands before pairs[i] in their order has all of it. */
static bool is_covered(const meshping_pair *pairs, size_t i)
{
    const meshping_pair *pair = &pairs[i];
    const meshping_pair any[] = {{0, 0}, {0, pair->target_id}, {pair->agent_id, 0}};
    if (i > 0 && compare_pairs(pair, &pairs[i - 1]) == 0)
        return true;
    for (size_t k = 0; k < sizeof any / sizeof any[0]; k++)
        if (compare_pairs(pair, &any[k]) != 0 && i > 0 && bsearch(&any[k], pairs, i, sizeof *pairs, compare_pairs))
            return true;
    return false;
}

/* What is asked of each agent: whole hours of its roll-ups, or with `edge` a part of one out of raw samples. */
typedef struct group {
    meshping__scan scan;
    meshping__edge *edge;
    const meshping_pair *pairs; /* sorted */
    size_t count;
} group;

static meshping_status take_agent(group *g, uint64_t agent_id, uint64_t target_id, meshping_error *err)
{
    return g->edge ? meshping__edge_agent(&g->scan, g->edge, agent_id, target_id, err)
                   : meshping__scan_agent(&g->scan, agent_id, target_id, err);
}

/* All agents to a target, but those of which all targets are in the group anyway (of the first `count` pairs). */
static meshping_status take_target(group *g, size_t count, uint64_t target_id, meshping_error *err)
{
    uint64_t *ids = NULL;
    size_t agents = 0;
    meshping_status status = meshping__scan_agents(g->scan.sql, &ids, &agents, err);
    for (size_t k = 0; status == MESHPING_OK && k < agents; k++) {
        const meshping_pair whole = {ids[k], 0};
        if (count == 0 || !bsearch(&whole, g->pairs, count, sizeof *g->pairs, compare_pairs))
            status = take_agent(g, ids[k], target_id, err);
    }
    meshping__free(ids);
    return status;
}

static meshping_status take_pairs(group *g, meshping_error *err)
{
    const meshping_pair *pairs = g->pairs;
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; status == MESHPING_OK && i < g->count; i++) {
        uint64_t target_id = pairs[i].target_id ? pairs[i].target_id : MESHPING__ANY_TARGET;
        if (is_covered(pairs, i))
            continue;
        if (pairs[i].agent_id)
            status = take_agent(g, pairs[i].agent_id, target_id, err);
        else /* "all of all" covers the rest */
            status = take_target(g, pairs[i].target_id ? g->count : 0, target_id, err);
    }
    return status;
}

/* *done: from_us..to_us, which is in one hour, is added to *out. */
static meshping_status take_edge(group *g, int64_t from_us, int64_t to_us, meshping_rollup *out, bool *done,
                                 meshping_error *err)
{
    meshping__edge edge = {.hour = meshping__hour_of(from_us), .from_us = from_us, .to_us = to_us};
    g->edge = &edge;
    meshping_status status = take_pairs(g, err);
    g->edge = NULL;
    *done = status == MESHPING_OK && !edge.whole;
    if (*done)
        meshping_rollup_merge(out, &edge.sum);
    return status;
}

/* The ends by raw samples where these are all there, the hours between by roll-ups. */
static meshping_status take_time(group *g, int64_t *from_us, int64_t *to_us, meshping_rollup *out, meshping_error *err)
{
    int64_t first_us = meshping__step_floor(*from_us, MESHPING__HOUR_US);
    int64_t last_us = meshping__step_floor(*to_us - 1, MESHPING__HOUR_US) + MESHPING__HOUR_US;
    int64_t low_us = first_us, high_us = last_us; /* of the whole hours */
    meshping_status status = MESHPING_OK;
    bool done = false;
    if (first_us < *from_us || (last_us > *to_us && last_us - first_us == MESHPING__HOUR_US)) {
        int64_t end_us = first_us + MESHPING__HOUR_US < *to_us ? first_us + MESHPING__HOUR_US : *to_us;
        status = take_edge(g, *from_us, end_us, out, &done, err);
        low_us = done ? first_us + MESHPING__HOUR_US : first_us;
    }
    if (status == MESHPING_OK && last_us > *to_us && last_us - first_us > MESHPING__HOUR_US) {
        bool end_done;
        status = take_edge(g, last_us - MESHPING__HOUR_US, *to_us, out, &end_done, err);
        high_us = end_done ? last_us - MESHPING__HOUR_US : last_us;
    }
    if (low_us == first_us)
        *from_us = first_us;
    if (high_us == last_us && !(done && last_us - first_us == MESHPING__HOUR_US))
        *to_us = last_us;
    g->scan.from_hour = low_us / MESHPING__HOUR_US;
    g->scan.to_hour = high_us / MESHPING__HOUR_US;
    return status == MESHPING_OK && low_us < high_us ? take_pairs(g, err) : status;
}

meshping_status meshping_store_group(meshping_store *store, const meshping_pair *pairs, size_t pair_count,
                                     int64_t *from_us, int64_t *to_us, meshping_rollup *out, meshping_error *err)
{
    group g = {.scan = {.sql = &store->sql, .record = add_up, .user = out, .damages = &store->damages},
               .count = pair_count};
    meshping__damages_dispose(&store->damages);
    *out = (meshping_rollup){0};
    if (pair_count == 0 || pair_count > MESHPING_PAIRS_MAX || !meshping__scan_set_hours(&g.scan, *from_us, *to_us))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "a group needs 1 to %u pairs, a begin from 1970 on and a later end",
                                  MESHPING_PAIRS_MAX);
    meshping_pair *sorted = meshping__memdup(pairs, pair_count * sizeof *pairs);
    if (!sorted)
        return meshping__no_memory(err);
    qsort(sorted, pair_count, sizeof *sorted, compare_pairs);
    g.pairs = sorted;
    meshping_status status = meshping__sql_begin_reading(&store->sql, err);
    if (status == MESHPING_OK)
        status = meshping__sql_end_reading(&store->sql, take_time(&g, from_us, to_us, out, err));
    meshping__unzip_dispose(&g.scan.unzip);
    meshping__free(sorted);
    return status;
}

/* ---- the worst ---- */

typedef struct ranked {
    meshping_pair_point pair;
    uint64_t lost, verdicts;
    uint32_t rtt_us;
} ranked;

typedef struct contest {
    unsigned permille; /* 0: by loss */
    size_t limit, count;
    ranked *list;                                   /* [limit + 1], the worst first */
    meshping_rollup sums[MESHPING__ROLLUP_TARGETS]; /* of the group of targets that is being read */
    uint64_t target_ids[MESHPING__ROLLUP_TARGETS];  /* 0: none */
} contest;

static void add_to_pair(meshping__scan *s, const meshping__hours *hours, size_t i)
{
    contest *c = s->user;
    uint64_t target_id = hours->items[i].target_id;
    size_t at = (size_t)(target_id % MESHPING__ROLLUP_TARGETS);
    c->target_ids[at] = target_id;
    meshping__hour_add_to(&c->sums[at], hours, i);
}

/* Shares are compared as fractions, without rounding; of equal ones more losses are worse. */
static bool is_worse(const contest *c, const ranked *a, const ranked *b)
{
    if (c->permille)
        return a->rtt_us > b->rtt_us;
    unsigned __int128 left = (unsigned __int128)a->lost * b->verdicts, right = (unsigned __int128)b->lost * a->verdicts;
    return left != right ? left > right : a->lost > b->lost;
}

static void enter(contest *c, const ranked *one)
{
    size_t at = c->count;
    while (at > 0 && is_worse(c, one, &c->list[at - 1]))
        at--;
    if (at == c->limit)
        return;
    memmove(&c->list[at + 1], &c->list[at], (c->count - at) * sizeof *c->list);
    c->list[at] = *one;
    c->count += c->count < c->limit;
}

static void judge(meshping__scan *s, uint64_t agent_id)
{
    contest *c = s->user;
    for (size_t i = 0; i < MESHPING__ROLLUP_TARGETS; i++) {
        const meshping_rollup *sum = &c->sums[i];
        if (c->target_ids[i] == 0)
            continue;
        ranked one = {.pair = {.agent_id = agent_id, .target_id = c->target_ids[i]},
                      .lost = meshping_rollup_count(sum, MESHPING_CLASS_FAIL),
                      .rtt_us = meshping_rollup_percentile(sum, c->permille)};
        one.verdicts = one.lost + sum->counts[MESHPING_OUTCOME_OK];
        meshping__point_of(&one.pair.point, sum, s->from_hour * MESHPING__HOUR_US, s->to_hour * MESHPING__HOUR_US);
        if (c->permille ? sum->counts[MESHPING_OUTCOME_OK] > 0 : one.lost > 0)
            enter(c, &one);
        c->target_ids[i] = 0;
        c->sums[i] = (meshping_rollup){0};
    }
}

static meshping_status run_contest(meshping__scan *s, meshping_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    meshping_status status = meshping__scan_agents(s->sql, &ids, &count, err);
    for (size_t i = 0; status == MESHPING_OK && i < count; i++)
        status = meshping__scan_agent(s, ids[i], MESHPING__ANY_TARGET, err);
    meshping__free(ids);
    return status;
}

meshping_status meshping_store_worst(meshping_store *store, unsigned permille, int64_t from_us, int64_t to_us,
                                     size_t limit, meshping_pair_point **worst, size_t *count, meshping_error *err)
{
    meshping__scan s = {.sql = &store->sql, .record = add_to_pair, .group_done = judge, .damages = &store->damages};
    meshping__damages_dispose(&store->damages);
    *worst = NULL;
    *count = 0;
    if (limit == 0 || limit > MESHPING_WORST_MAX || permille > 1000 || !meshping__scan_set_hours(&s, from_us, to_us))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "the worst: 1 to %u pairs, up to 1000 permille, a begin from 1970 on and a later end",
                                  MESHPING_WORST_MAX);
    contest *c = meshping__calloc(1, sizeof *c);
    meshping_status status = MESHPING_OK;
    s.user = c;
    if (c)
        *c = (contest){.permille = permille, .limit = limit, .list = meshping__calloc(limit + 1, sizeof *c->list)};
    if (!c || !c->list)
        status = meshping__no_memory(err);
    if (status == MESHPING_OK)
        status = meshping__sql_begin_reading(&store->sql, err);
    if (status == MESHPING_OK)
        status = meshping__sql_end_reading(&store->sql, run_contest(&s, err));
    if (c && status == MESHPING_OK && c->count) {
        *worst = meshping__malloc(c->count * sizeof **worst);
        if (!*worst)
            status = meshping__no_memory(err);
        for (size_t i = 0; *worst && i < c->count; i++)
            (*worst)[i] = c->list[i].pair;
        *count = *worst ? c->count : 0;
    }
    meshping__unzip_dispose(&s.unzip);
    if (c)
        meshping__free(c->list);
    meshping__free(c);
    return status;
}
