/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pairs.h"

#include "store/remove.h"
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
    meshping__rows rows = {0};
    meshping_status status = meshping__collect_pending(
        &rows, s->sql, agent_id, target_id, s->from_hour * MESHPING__HOUR_US, s->to_hour * MESHPING__HOUR_US, err);
    if (status == MESHPING_OK && !meshping__hours_of_rows(out, rows.items, rows.count))
        status = meshping__no_memory(err);
    meshping__rows_dispose(&rows);
    return status;
}

static meshping_status take_row(meshping__scan *s, uint64_t target_id, sqlite3_stmt *statement, meshping_error *err)
{
    meshping__hours hours = {0};
    meshping_status status = meshping__hours_decode(&hours, &s->unzip, sqlite3_column_blob(statement, 1),
                                                    (size_t)sqlite3_column_bytes(statement, 1));
    for (size_t i = 0; status == MESHPING_OK && i < hours.count; i++)
        deliver(s, &hours, i, target_id);
    meshping__hours_dispose(&hours);
    if (status == MESHPING_CORRUPT)
        return meshping_error_set(err, status, "a row of roll-ups is damaged");
    return status == MESHPING_OK ? status : meshping__no_memory(err);
}

meshping_status meshping__scan_agent(meshping__scan *s, uint64_t agent_id, uint64_t target_id, meshping_error *err)
{
    sqlite3_stmt *statement = NULL;
    meshping__hours pending = {0};
    size_t at = 0;
    int64_t low = target_id == MESHPING__ANY_TARGET ? 0 : meshping__rollup_group(target_id), group = INT64_MIN;
    int64_t high = target_id == MESHPING__ANY_TARGET ? INT64_MAX : low;
    meshping_status status = read_pending(s, agent_id, target_id, &pending, err);
    if (status == MESHPING_OK)
        status = meshping__sql_query(s->sql, &statement, err,
                                     "SELECT target_group, bytes FROM rollups WHERE agent_id = ?1"
                                     " AND target_group BETWEEN ?2 AND ?3 AND period BETWEEN ?4 AND ?5"
                                     " AND " MESHPING__AGENT_STAYS " ORDER BY target_group, period",
                                     "iiiii", (int64_t)agent_id, low, high, meshping__rollup_period(s->from_hour),
                                     meshping__rollup_period(s->to_hour - 1));
    while (status == MESHPING_OK && (status = meshping__sql_step(s->sql, statement, err)) == MESHPING_OK) {
        int64_t next = sqlite3_column_int64(statement, 0);
        if (next != group) {
            if (group != INT64_MIN)
                end_group(s, agent_id, &pending, &at, group);
            deliver_pending(s, agent_id, &pending, &at, next);
            group = next;
        }
        status = take_row(s, target_id, statement, err);
    }
    if (statement)
        sqlite3_reset(statement);
    if (status == MESHPING_NOT_FOUND) {
        status = MESHPING_OK;
        if (group != INT64_MIN)
            end_group(s, agent_id, &pending, &at, group);
        deliver_pending(s, agent_id, &pending, &at, INT64_MAX);
    }
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
    sqlite3_stmt *statement = NULL;
    meshping_status status = meshping__sql_query(sql, &statement, err, "SELECT id FROM agents WHERE NOT leaving", "");
    status =
        meshping__sql_rows(sql, status, statement, meshping__sql_read_int64, sizeof **ids, (void **)ids, count, err);
    if (*count) /* SQLite's numbers have a sign */
        qsort(*ids, *count, sizeof **ids, compare_ids);
    return status;
}

bool meshping__scan_set_hours(meshping__scan *s, int64_t from_us, int64_t to_us)
{
    if (meshping_points_step(from_us, to_us, MESHPING_POINTS_MIN) == 0)
        return false;
    s->from_hour = meshping__hour_of(from_us);
    s->to_hour = meshping__hour_of(to_us - 1) + 1;
    return true;
}
