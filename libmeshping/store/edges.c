/* SPDX-License-Identifier: Apache-2.0 */
#include "store/edges.h"

#include "base/alloc.h"
#include "store/rollups.h"

/* Whether the rows from *at on (ascending by target) have all samples that the roll-ups know of the edge's hour. */
static bool has_all(const meshping__rows *rows, size_t *at, const meshping__hours *hours, const meshping__edge *edge,
                    uint64_t target_id)
{
    for (size_t i = 0; i < hours->count; i++) {
        const meshping__hour *hour = &hours->items[i];
        uint64_t found = 0;
        if (hour->hour != edge->hour || (target_id != MESHPING__ANY_TARGET && hour->target_id != target_id))
            continue;
        while (*at < rows->count && rows->items[*at].target_id < hour->target_id)
            ++*at;
        for (; *at < rows->count && rows->items[*at].target_id == hour->target_id; ++*at)
            found++;
        if (found < meshping__hours_samples(hours, i))
            return false;
    }
    return true;
}

/* Sets edge->whole when some of the raw samples are gone. What is damaged there the roll-ups tell. */
static meshping_status compare(meshping__scan *s, meshping__edge *edge, const meshping__rows *rows, uint64_t agent_id,
                               uint64_t target_id, meshping_error *err)
{
    meshping__rollup_place *places = NULL;
    size_t count = 0, at = 0;
    bool any = target_id == MESHPING__ANY_TARGET;
    int64_t group = any ? 0 : meshping__rollup_group(target_id), period = meshping__rollup_period(edge->hour);
    const int64_t groups[] = {group, any ? INT64_MAX : group}, periods[] = {period, period};
    meshping_status status = meshping__rollup_find(s->sql, agent_id, groups, periods, &places, &count, s->damages, err);
    for (size_t i = 0; status == MESHPING_OK && i < count && !edge->whole; i++) {
        meshping__hours hours = {0};
        status = meshping__rollup_read(s->sql, &s->unzip, &places[i], &hours, s->damages, err);
        if (status == MESHPING_OK)
            edge->whole = !has_all(rows, &at, &hours, edge, target_id);
        meshping__hours_dispose(&hours);
    }
    meshping__free(places);
    return status;
}

static void add_up(meshping__edge *edge, const meshping__rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const meshping_sample *sample = &rows->items[i].sample;
        if (sample->slot_unix_us >= edge->from_us && sample->slot_unix_us < edge->to_us)
            meshping_rollup_add(&edge->sum, sample);
    }
}

meshping_status meshping__edge_agent(meshping__scan *s, meshping__edge *edge, uint64_t agent_id, uint64_t target_id,
                                     meshping_error *err)
{
    meshping__rows sealed = {0}, journal = {.damages = s->damages};
    int64_t from_us = edge->hour * MESHPING__HOUR_US, to_us = from_us + MESHPING__HOUR_US;
    if (edge->whole)
        return MESHPING_OK;
    meshping_status status = meshping__collect(&sealed, s->sql, false, agent_id, target_id, from_us, to_us, err);
    meshping__rows_sort(&sealed);
    edge->samples += sealed.count;
    edge->whole = status == MESHPING_LIMIT || edge->samples > MESHPING__EDGE_SAMPLES_MAX;
    if (status == MESHPING_LIMIT)
        status = MESHPING_OK;
    if (status == MESHPING_OK && !edge->whole)
        status = compare(s, edge, &sealed, agent_id, target_id, err);
    if (status == MESHPING_OK && !edge->whole)
        status = meshping__collect_pending(&journal, s->sql, agent_id, target_id, from_us, to_us, err);
    if (status == MESHPING_OK && !edge->whole) {
        add_up(edge, &sealed);
        add_up(edge, &journal);
    }
    meshping__rows_dispose(&sealed);
    meshping__rows_dispose(&journal);
    return status;
}
