/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pairs.h"

#include "store/rollups.h"

#include "base/alloc.h"
#include <stdlib.h>

static void deliver(meshping__scan *s, const meshping__hours *hours, size_t i, uint64_t target_id)
{
    const meshping__hour *hour = &hours->items[i];
    if ((target_id == MESHPING__ANY_TARGET || hour->target_id == target_id) && hour->hour >= s->from_hour &&
        hour->hour < s->to_hour)
        s->record(s, hours, i);
}

/* The journal's records of a group, beside what the roll-ups gave; then the group is complete. */
static void end_group(meshping__scan *s, uint64_t agent_id, const meshping__hours *pending, size_t *at, int64_t group)
{
    for (; *at < pending->count && meshping__rollup_group(pending->items[*at].target_id) == group; ++*at)
        deliver(s, pending, *at, MESHPING__ANY_TARGET);
    if (s->group_done)
        s->group_done(s, agent_id);
}

/* Groups before `group`, which only the journal has. */
static void deliver_pending(meshping__scan *s, uint64_t agent_id, const meshping__hours *pending, size_t *at,
                            int64_t group)
{
    while (*at < pending->count && meshping__rollup_group(pending->items[*at].target_id) < group)
        end_group(s, agent_id, pending, at, meshping__rollup_group(pending->items[*at].target_id));
}

static meshping_status read_pending(const meshping__scan *s, uint64_t agent_id, uint64_t target_id,
                                    meshping__hours *out, meshping_error *err)
{
    meshping__rows rows = {.damages = s->damages};
    meshping_status status = meshping__collect_pending(
        &rows, s->sql, agent_id, target_id, s->from_hour * MESHPING__HOUR_US, s->to_hour * MESHPING__HOUR_US, err);
    if (status == MESHPING_OK && !meshping__hours_of_rows(out, rows.items, rows.count))
        status = meshping__no_memory(err);
    meshping__rows_dispose(&rows);
    return status;
}

static meshping_status take_row(meshping__scan *s, uint64_t target_id, const meshping__rollup_place *place,
                                meshping_error *err)
{
    meshping__hours hours = {0};
    meshping_status status = meshping__rollup_read(s->sql, &s->unzip, place, &hours, s->damages, err);
    for (size_t i = 0; status == MESHPING_OK && i < hours.count; i++)
        deliver(s, &hours, i, target_id);
    meshping__hours_dispose(&hours);
    return status;
}

static meshping_status take_rows(meshping__scan *s, uint64_t agent_id, uint64_t target_id,
                                 const meshping__rollup_place *places, size_t count, const meshping__hours *pending,
                                 meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    size_t at = 0;
    for (size_t i = 0; status == MESHPING_OK && i < count; i++) {
        if (i == 0 || places[i].group != places[i - 1].group)
            deliver_pending(s, agent_id, pending, &at, places[i].group);
        status = take_row(s, target_id, &places[i], err);
        if (status == MESHPING_OK && (i + 1 == count || places[i + 1].group != places[i].group))
            end_group(s, agent_id, pending, &at, places[i].group);
    }
    if (status == MESHPING_OK)
        deliver_pending(s, agent_id, pending, &at, INT64_MAX);
    return status;
}

meshping_status meshping__scan_agent(meshping__scan *s, uint64_t agent_id, uint64_t target_id, meshping_error *err)
{
    meshping__rollup_place *places = NULL;
    meshping__hours pending = {0};
    size_t count = 0;
    bool any = target_id == MESHPING__ANY_TARGET;
    int64_t group = any ? 0 : meshping__rollup_group(target_id);
    const int64_t groups[] = {group, any ? INT64_MAX : group};
    const int64_t periods[] = {meshping__rollup_period(s->from_hour), meshping__rollup_period(s->to_hour - 1)};
    meshping_status status = read_pending(s, agent_id, target_id, &pending, err);
    if (status == MESHPING_OK)
        status = meshping__rollup_find(s->sql, agent_id, groups, periods, &places, &count, s->damages, err);
    if (status == MESHPING_OK)
        status = take_rows(s, agent_id, target_id, places, count, &pending, err);
    meshping__free(places);
    meshping__hours_dispose(&pending);
    return status;
}

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

meshping_status meshping__scan_agents(meshping__sql *sql, uint64_t **ids, size_t *count, meshping_error *err)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    meshping_status status = meshping__sql_query(sql, &statement, err, "SELECT id FROM agents WHERE NOT leaving", "");
    while (status == MESHPING_OK && (status = meshping__sql_step(sql, statement, err)) == MESHPING_OK) {
        if (!meshping__sql_room((void **)ids, &capacity, *count, sizeof **ids)) {
            sqlite3_reset(statement);
            return meshping__no_memory(err);
        }
        (*ids)[(*count)++] = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    if (*count) /* SQLite's numbers have a sign */
        qsort(*ids, *count, sizeof **ids, compare_ids);
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

bool meshping__scan_set_hours(meshping__scan *s, int64_t from_us, int64_t to_us)
{
    if (meshping_points_step(from_us, to_us, MESHPING_POINTS_MIN) == 0)
        return false;
    s->from_hour = meshping__hour_of(from_us);
    s->to_hour = meshping__hour_of(to_us - 1) + 1;
    return true;
}
