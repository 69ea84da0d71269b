/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_places(const void *a, const void *b)
{
    uint64_t x = ((const plan_place *)a)->target_id, y = ((const plan_place *)b)->target_id;
    return x < y ? -1 : x > y;
}

static meshping_cell_thresholds thresholds_of(const meshping_target *target, meshping_cell_thresholds defaults)
{
    if (target->slow_ms)
        defaults.slow_rtt_us = target->slow_ms * 1000;
    if (target->lossy_percent) /* of the window, rounded up: 1 % is any loss */
        defaults.lossy_count = (target->lossy_percent * MESHPING_CELL_WINDOW + 99u) / 100;
    return defaults;
}

static meshping_target peer_target(const plan_peer *peer, const meshping_target *defaults)
{
    meshping_target target = *defaults;
    target.id = peer->target_id;
    snprintf(target.host, sizeof target.host, "%s", peer->address);
    snprintf(target.name, sizeof target.name, "%s", peer->name);
    snprintf(target.labels, sizeof target.labels, "%s", peer->labels);
    return target;
}

static bool allocate(plan *p, size_t count)
{
    size_t some = count ? count : 1;
    p->targets.items = malloc(some * sizeof *p->targets.items);
    p->columns = calloc(some, sizeof *p->columns);
    p->by_id = malloc(some * sizeof *p->by_id);
    p->targets.count = p->targets.items ? count : 0;
    p->targets.capacity = p->targets.count;
    return p->targets.items && p->columns && p->by_id;
}

static meshping_status assign(plan *p, const plan_input *input, meshping_error *err)
{
    size_t count = p->targets.count;
    meshping_assignable *columns = malloc((count ? count : 1) * sizeof *columns);
    if (!columns)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu columns", count);
    for (size_t i = 0; i < count; i++)
        columns[i] = (meshping_assignable){p->columns[i].agent_id, p->targets.items[i].labels};
    meshping_status status =
        meshping_assignment_make(&p->assignment, input->rules, input->rule_count, columns, count, err);
    free(columns);
    return status;
}

meshping_status plan_make(plan **out, const plan_input *input, meshping_error *err)
{
    size_t listed = input->list->count, count = listed + input->peer_count;
    plan *p = calloc(1, sizeof *p);
    if (!p || !allocate(p, count)) {
        plan_drop(p);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu columns", count);
    }
    p->holders = 1;
    p->targets.revision = input->list->revision;
    for (size_t i = 0; i < count; i++) {
        meshping_target *target = &p->targets.items[i];
        const plan_peer *peer = i < listed ? NULL : &input->peers[i - listed];
        *target = peer ? peer_target(peer, &input->defaults) : input->list->items[i];
        p->columns[i] = (plan_column){.agent_id = peer ? peer->agent_id : 0,
                                      .thresholds = thresholds_of(target, input->thresholds),
                                      .paused = !peer && input->paused && input->paused[i]};
        p->by_id[i] = (plan_place){target->id, i};
    }
    qsort(p->by_id, count, sizeof *p->by_id, compare_places);
    meshping_status status = assign(p, input, err);
    if (status != MESHPING_OK) {
        plan_drop(p);
        return status;
    }
    *out = p;
    return MESHPING_OK;
}

plan *plan_keep(plan *p)
{
    p->holders++;
    return p;
}

void plan_drop(plan *p)
{
    if (!p || (p->holders && --p->holders))
        return;
    free(p->targets.items);
    free(p->columns);
    free(p->by_id);
    meshping_assignment_free(p->assignment);
    free(p);
}

size_t plan_column_of(const plan *p, uint64_t target_id)
{
    plan_place key = {target_id, 0};
    const plan_place *found =
        p->targets.count ? bsearch(&key, p->by_id, p->targets.count, sizeof key, compare_places) : NULL;
    return found ? found->column : SIZE_MAX;
}

const meshping_target *plan_target(const plan *p, uint64_t target_id)
{
    size_t column = plan_column_of(p, target_id);
    return column == SIZE_MAX ? NULL : &p->targets.items[column];
}

size_t plan_words(const plan *p)
{
    size_t words = meshping_assignment_words(p->assignment);
    return words ? words : 1;
}

/* ---- what changes ---- */

bool plan_pings(const plan *p, const uint64_t *row, size_t column)
{
    return meshping_row_has(row, column) && !p->columns[column].paused;
}

/* All that an agent is told of a target. */
static bool is_same(const meshping_target *a, const meshping_target *b)
{
    return a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms && a->size == b->size &&
           a->dscp == b->dscp && a->ttl == b->ttl && a->family == b->family && a->dont_fragment == b->dont_fragment &&
           meshping_address_equal(&a->source, &b->source) && strcmp(a->interface, b->interface) == 0 &&
           strcmp(a->host, b->host) == 0 && strcmp(a->name, b->name) == 0;
}

static int compare_columns(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void put_removed(plan_change *out, const plan *before, const uint64_t *row, const plan_place *place)
{
    if (plan_pings(before, row, place->column))
        out->removed[out->removed_count++] = place->target_id;
}

/* Both plans have their targets by id: one walk along both. */
static void compare(plan_change *out, const plan *before, const uint64_t *row_before, const plan *now,
                    const uint64_t *row_now)
{
    size_t i = 0, old_count = before ? before->targets.count : 0;
    for (size_t k = 0; k < now->targets.count; k++) {
        const plan_place *place = &now->by_id[k];
        while (i < old_count && before->by_id[i].target_id < place->target_id)
            put_removed(out, before, row_before, &before->by_id[i++]);
        const plan_place *old =
            i < old_count && before->by_id[i].target_id == place->target_id ? &before->by_id[i++] : NULL;
        bool was = old && plan_pings(before, row_before, old->column), is = plan_pings(now, row_now, place->column);
        if (was && !is)
            out->removed[out->removed_count++] = place->target_id;
        else if (is && !(was && is_same(&before->targets.items[old->column], &now->targets.items[place->column])))
            out->changed[out->changed_count++] = (uint32_t)place->column;
    }
    while (i < old_count)
        put_removed(out, before, row_before, &before->by_id[i++]);
    if (out->changed_count) /* in the order of the list */
        qsort(out->changed, out->changed_count, sizeof *out->changed, compare_columns);
}

meshping_status plan_compare(plan_change *out, const plan *before, const uint64_t *row_before, const plan *now,
                             const uint64_t *row_now)
{
    plan_change change = {0};
    *out = change;
    if (before == now && memcmp(row_before, row_now, plan_words(now) * sizeof *row_now) == 0)
        return MESHPING_OK;
    change.changed = malloc((now->targets.count + 1) * sizeof *change.changed);
    change.removed = malloc(((before ? before->targets.count : 0) + 1) * sizeof *change.removed);
    if (!change.changed || !change.removed) {
        plan_change_dispose(&change);
        return MESHPING_NOMEM;
    }
    compare(&change, before, row_before, now, row_now);
    *out = change;
    return MESHPING_OK;
}

void plan_change_dispose(plan_change *change)
{
    free(change->changed);
    free(change->removed);
    *change = (plan_change){0};
}
