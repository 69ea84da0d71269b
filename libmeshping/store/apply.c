/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction of the writer: blocks and gaps with the received ranges that cover them, and small requests. What is
 * wrong with one write (an unknown agent, a 33rd range) concerns that one only; when the database fails, none of the
 * group is stored.
 */
#include "store/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LATE_MAX_US INT64_C(3600000000) /* for retention, what comes in later than that is as old as that */

static meshping_status refuse(meshping__write *item, meshping_status status, const char *why)
{
    item->status = status;
    snprintf(item->error, sizeof item->error, "%s", why);
    return MESHPING_OK;
}

/* Sets item->status when this agent may not store; a pending or blacklisted one has no data here. */
static meshping_status check_agent(meshping__sql *sql, meshping__write *item, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status =
        meshping__sql_query(sql, &statement, err, "SELECT state FROM agents WHERE id = ?1 AND NOT leaving", "i",
                            (int64_t)item->write.agent_id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_NOT_FOUND)
        return refuse(item, MESHPING_STATE, "the agent is not registered");
    if (status != MESHPING_OK)
        return status;
    int64_t state = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    item->on_hold = state == MESHPING_AGENT_HOLD;
    if (state != MESHPING_AGENT_APPROVED && (!item->on_hold || item->write.released))
        return refuse(item, MESHPING_STATE, "the agent is not approved");
    return MESHPING_OK;
}

static meshping_status load_ranges(meshping__sql *sql, meshping__write *item, meshping_error *err)
{
    sqlite3_stmt *statement;
    item->epoch_first_us = INT64_MAX;
    meshping_status status = meshping__sql_query(
        sql, &statement, err, "SELECT ranges, first_us FROM epochs WHERE agent_id = ?1 AND epoch = ?2", "ii",
        (int64_t)item->write.agent_id, (int64_t)item->write.epoch);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_NOT_FOUND)
        return MESHPING_OK;
    if (status != MESHPING_OK)
        return status;
    bool sound = meshping__ranges_decode(&item->ranges, sqlite3_column_blob(statement, 0),
                                         (size_t)sqlite3_column_bytes(statement, 0));
    bool knows_first = sqlite3_column_type(statement, 1) != SQLITE_NULL; /* not of one from before schema 8 */
    item->epoch_first_us = knows_first ? sqlite3_column_int64(statement, 1) : INT64_MIN;
    sqlite3_reset(statement);
    return sound ? MESHPING_OK : refuse(item, MESHPING_CORRUPT, "the epoch's received ranges are damaged");
}

static meshping_status save_ranges(meshping__sql *sql, meshping__write *item, meshping_error *err)
{
    uint8_t bytes[MESHPING__RANGES_BYTES_MAX];
    size_t length = meshping__ranges_encode(&item->ranges, bytes);
    int64_t first_us = item->is_gap ? item->gap.first_unix_us : item->first_us;
    if (first_us < item->epoch_first_us)
        item->epoch_first_us = first_us;
    return meshping__sql_run(sql, err,
                             "INSERT INTO epochs(agent_id, epoch, updated_us, ranges, first_us)"
                             " VALUES(?1, ?2, ?3, ?4, ?5)"
                             " ON CONFLICT(agent_id, epoch) DO UPDATE SET ranges = excluded.ranges,"
                             " updated_us = max(updated_us, excluded.updated_us),"
                             " first_us = min(first_us, excluded.first_us)",
                             "iiibi", (int64_t)item->write.agent_id, (int64_t)item->write.epoch,
                             item->write.received_unix_us, (const void *)bytes, length, first_us);
}

/* The agent's clock when the block came, where the server found it worth a note. */
static meshping_status insert_clock(meshping__sql *sql, meshping__write *item, meshping_error *err)
{
    const meshping_clock_note *clock = &item->write.clock;
    if (!clock->at_unix_us)
        return MESHPING_OK;
    meshping_status status = meshping__sql_run(
        sql, err,
        "INSERT INTO clocks(agent_id, at_us, offset_us, error_us) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        "iiii", (int64_t)item->write.agent_id, clock->at_unix_us, clock->offset_us, clock->error_us);
    item->noted = status == MESHPING_OK && meshping__sql_changes(sql) == 1;
    return status;
}

/* A clock that is ahead must not keep its samples for ever, nor one that is behind lose them as they come in. */
static int64_t keep_us(int64_t last_us, int64_t received_us)
{
    int64_t latest_us = last_us < received_us ? last_us : received_us;
    return latest_us < received_us - LATE_MAX_US ? received_us - LATE_MAX_US : latest_us;
}

meshping_status meshping__find_last_id(meshping__sql *sql, int64_t *last_id, meshping_error *err)
{
    int64_t id;
    meshping_status status = meshping__sql_number(sql, "SELECT ifnull(max(id), 0) FROM blocks", &id, err);
    *last_id = status == MESHPING_OK ? id : MESHPING__ID_UNKNOWN;
    return status;
}

static meshping_status insert_block(meshping__sql *sql, meshping__write *item, int64_t *last_id, meshping_error *err)
{
    const meshping_block_write *write = &item->write;
    meshping_status status = *last_id == MESHPING__ID_UNKNOWN ? meshping__find_last_id(sql, last_id, err) : MESHPING_OK;
    if (status != MESHPING_OK)
        return status;
    /* A conflict can only come of ranges that were lost: what is there stays, and is not an error of the whole group.
     */
    status = meshping__sql_run(
        sql, err,
        "INSERT INTO blocks(agent_id, epoch, sequence, first_us, last_us, received_us, keep_us, sample_count, bytes,"
        " id, clock_offset_us)"
        " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT(agent_id, epoch, sequence) DO NOTHING",
        "iiiiiiiibii", (int64_t)write->agent_id, (int64_t)write->epoch, (int64_t)write->sequence, item->first_us,
        item->last_us, write->received_unix_us, keep_us(item->last_us, write->received_unix_us),
        (int64_t)item->sample_count, (const void *)write->bytes, write->length, *last_id + 1, write->clock.offset_us);
    item->stored = status == MESHPING_OK && meshping__sql_changes(sql) == 1;
    item->id = item->stored ? ++*last_id : 0;
    return status;
}

/* An agent that joins its gaps tells a longer one the next time: that takes the place of those within it. */
static meshping_status insert_gap(meshping__sql *sql, meshping__write *item, meshping_error *err)
{
    const meshping_gap *gap = &item->gap;
    int64_t agent_id = (int64_t)item->write.agent_id, epoch = (int64_t)item->write.epoch;
    meshping_status status = meshping__sql_run(
        sql, err,
        "DELETE FROM gaps WHERE agent_id = ?1 AND epoch = ?2 AND first_sequence >= ?3 AND last_sequence <= ?4", "iiii",
        agent_id, epoch, (int64_t)gap->first_sequence, (int64_t)gap->last_sequence);
    if (status != MESHPING_OK)
        return status;
    status = meshping__sql_run(
        sql, err,
        "INSERT INTO gaps(agent_id, epoch, first_sequence, last_sequence, first_us, last_us, keep_us, sample_count,"
        " reason) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        "iiiiiiiii", agent_id, epoch, (int64_t)gap->first_sequence, (int64_t)gap->last_sequence, gap->first_unix_us,
        gap->last_unix_us, keep_us(gap->last_unix_us, item->write.received_unix_us), (int64_t)gap->sample_count,
        (int64_t)gap->reason);
    item->stored = status == MESHPING_OK;
    return status;
}

/* Not OK: the database failed, and the group with it. */
static meshping_status apply_one(meshping__sql *sql, meshping__write *item, int64_t *last_id, meshping_error *err)
{
    uint64_t first = item->write.sequence, last = item->is_gap ? item->gap.last_sequence : first;
    if (item->request)
        return meshping__request_run(sql, item->request, err);
    meshping_status status = check_agent(sql, item, err);
    if (status == MESHPING_OK && item->status == MESHPING_OK)
        status = load_ranges(sql, item, err);
    if (status == MESHPING_OK && item->status == MESHPING_OK && item->on_hold)
        return meshping__quarantine_apply(sql, item, err);
    if (status != MESHPING_OK || item->status != MESHPING_OK || meshping__ranges_have(&item->ranges, first, last))
        return status;
    if (meshping__ranges_add(&item->ranges, first, last) != MESHPING_OK)
        return refuse(item, MESHPING_LIMIT, "the epoch has too many received ranges: send the lowest sequences first");
    status = item->is_gap ? insert_gap(sql, item, err) : insert_block(sql, item, last_id, err);
    if (status == MESHPING_OK)
        status = insert_clock(sql, item, err);
    if (status == MESHPING_OK)
        status = save_ranges(sql, item, err);
    return status;
}

static void fail_all(meshping__write *list, meshping_status status, const meshping_error *err)
{
    for (meshping__write *item = list; item; item = item->next) {
        refuse(item, status, err->message);
        item->failed = true;
        item->stored = item->quarantined = item->noted = false;
        item->id = 0;
        item->ranges.count = 0;
    }
}

static void start_anew(meshping__write *item)
{
    item->status = MESHPING_OK;
    item->failed = false;
    item->error[0] = 0;
    item->stored = item->quarantined = item->noted = false;
    item->id = 0;
    item->ranges.count = 0;
}

static void count(const meshping__write *list, meshping_store_stats *stats)
{
    for (const meshping__write *item = list; item; item = item->next) {
        if (item->status == MESHPING_OK && !item->stored && !item->request)
            stats->duplicates++;
        if (item->stored && !item->is_gap && !item->quarantined) {
            stats->blocks_written++;
            stats->samples_written += item->sample_count;
        }
    }
}

static meshping_status apply_group(meshping__sql *sql, meshping__write *list, int64_t *last_id,
                                   meshping_store_stats *stats)
{
    meshping_error err = {0};
    meshping_status status = meshping__sql_begin(sql, &err);
    for (meshping__write *item = list; item && status == MESHPING_OK; item = item->next)
        status = apply_one(sql, item, last_id, &err);
    status = meshping__sql_end(sql, status, &err);
    if (status != MESHPING_OK) {
        fail_all(list, status, &err);
        stats->commit_errors++;
        return status;
    }
    stats->commits++;
    count(list, stats);
    return MESHPING_OK;
}

void meshping__apply(meshping__sql *sql, meshping__write *list, int64_t *last_id, meshping_store_stats *stats)
{
    if (apply_group(sql, list, last_id, stats) != MESHPING_CORRUPT || !list->next)
        return;
    /* A damaged page is in the way of some agents only: one by one the others' are stored. */
    for (meshping__write *item = list; item; item = item->next) {
        meshping__write *rest = item->next;
        item->next = NULL;
        start_anew(item);
        apply_group(sql, item, last_id, stats);
        item->next = rest;
    }
}
