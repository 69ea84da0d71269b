/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents on hold sent: acknowledged, and kept apart by (epoch, observed address) until an administrator decides.
 * What is kept goes the way of every block then, with its own received ranges again, so that nothing is stored twice.
 */
#include "store/internal.h"

#include "base/alloc.h"
#include <inttypes.h>
#include <stdio.h>

/* ---- in the writer's transaction ---- */

#define GAP_BYTES 128 /* what a gap counts for: about what its row takes */

static size_t cost(const meshping__write *item)
{
    return item->is_gap ? GAP_BYTES : item->write.length;
}

typedef struct source {
    int64_t id; /* 0: none yet */
    meshping__ranges ranges;
} source;

static meshping_status load_source(meshping__sql *sql, uint64_t agent_id, uint64_t epoch, const char *address,
                                   source *out, meshping_error *err)
{
    sqlite3_stmt *statement;
    *out = (source){0};
    meshping_status status =
        meshping__sql_query(sql, &statement, err,
                            "SELECT id, ranges FROM quarantine_sources WHERE agent_id = ?1 AND epoch = ?2"
                            " AND address = ?3 AND kept = 0",
                            "iit", (int64_t)agent_id, (int64_t)epoch, address);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    out->id = sqlite3_column_int64(statement, 0);
    bool sound = meshping__ranges_decode(&out->ranges, sqlite3_column_blob(statement, 1),
                                         (size_t)sqlite3_column_bytes(statement, 1));
    sqlite3_reset(statement);
    return sound ? MESHPING_OK : meshping_error_set(err, MESHPING_CORRUPT, "received ranges are damaged");
}

static meshping_status unite(meshping__ranges *all, const meshping__ranges *more)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; i < more->count && status == MESHPING_OK; i++)
        status = meshping__ranges_add(all, more->items[i].first, more->items[i].last);
    return status;
}

static meshping_status agent_bytes(meshping__sql *sql, uint64_t agent_id, int64_t *bytes, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        sql, &statement, err,
        "SELECT coalesce(sum(bytes), 0) FROM quarantine_sources WHERE agent_id = ?1 AND NOT leaving", "i",
        (int64_t)agent_id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status != MESHPING_OK)
        return status;
    *bytes = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return MESHPING_OK;
}

static meshping_status save_source(meshping__sql *sql, const meshping__write *item, const source *from,
                                   meshping_error *err)
{
    uint8_t bytes[MESHPING__RANGES_BYTES_MAX];
    size_t length = meshping__ranges_encode(&from->ranges, bytes);
    return meshping__sql_run(
        sql, err,
        "INSERT INTO quarantine_sources(agent_id, epoch, address, ranges, blocks, samples, bytes, first_us, last_us,"
        " updated_us) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        " ON CONFLICT(agent_id, epoch, address, kept) DO UPDATE SET ranges = excluded.ranges,"
        " blocks = blocks + excluded.blocks, samples = samples + excluded.samples, bytes = bytes + excluded.bytes,"
        " first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us),"
        " updated_us = max(updated_us, excluded.updated_us)",
        "iitbiiiiii", (int64_t)item->write.agent_id, (int64_t)item->write.epoch, item->write.source,
        (const void *)bytes, length, (int64_t)!item->is_gap, (int64_t)item->sample_count, (int64_t)cost(item),
        item->is_gap ? item->gap.first_unix_us : item->first_us, item->is_gap ? item->gap.last_unix_us : item->last_us,
        item->write.received_unix_us);
}

static meshping_status save_row(meshping__sql *sql, const meshping__write *item, int64_t source_id, meshping_error *err)
{
    const meshping_gap *gap = &item->gap;
    return meshping__sql_run(
        sql, err,
        "INSERT INTO quarantine(source_id, first_sequence, last_sequence, first_us, last_us, received_us,"
        " sample_count, reason, bytes, clock_offset_us) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        "iiiiiiiibi", source_id, (int64_t)item->write.sequence,
        (int64_t)(item->is_gap ? gap->last_sequence : item->write.sequence),
        item->is_gap ? gap->first_unix_us : item->first_us, item->is_gap ? gap->last_unix_us : item->last_us,
        item->write.received_unix_us, (int64_t)(item->is_gap ? gap->sample_count : item->sample_count),
        (int64_t)(item->is_gap ? gap->reason : 0), (const void *)item->write.bytes, item->write.length,
        item->write.clock.offset_us);
}

static meshping_status refuse(meshping__write *item, const char *why)
{
    item->status = MESHPING_LIMIT;
    snprintf(item->error, sizeof item->error, "%s", why);
    return MESHPING_OK;
}

meshping_status meshping__quarantine_apply(meshping__sql *sql, meshping__write *item, meshping_error *err)
{
    uint64_t first = item->write.sequence, last = item->is_gap ? item->gap.last_sequence : first;
    source from;
    int64_t used = 0;
    item->quarantined = true;
    meshping_status status = load_source(sql, item->write.agent_id, item->write.epoch, item->write.source, &from, err);
    if (status == MESHPING_OK)
        status = agent_bytes(sql, item->write.agent_id, &used, err);
    if (status != MESHPING_OK)
        return status;
    item->quarantine_bytes = (uint64_t)used;
    if (unite(&item->ranges, &from.ranges) != MESHPING_OK)
        return refuse(item, "the epoch has too many received ranges: send the lowest sequences first");
    if (meshping__ranges_have(&item->ranges, first, last))
        return MESHPING_OK;
    if (meshping__ranges_add(&item->ranges, first, last) != MESHPING_OK ||
        meshping__ranges_add(&from.ranges, first, last) != MESHPING_OK)
        return refuse(item, "the epoch has too many received ranges: send the lowest sequences first");
    if ((uint64_t)used + cost(item) > item->quarantine_bytes_max)
        return refuse(item, "the agent's quarantine is full");
    status = save_source(sql, item, &from, err);
    if (status == MESHPING_OK && !from.id)
        from.id = meshping__sql_rowid(sql);
    if (status == MESHPING_OK)
        status = save_row(sql, item, from.id, err);
    item->stored = status == MESHPING_OK;
    item->quarantine_bytes += cost(item);
    return status;
}

/* ---- the caller's side ---- */

meshping_status meshping_store_quarantine_ranges(meshping_store *store, uint64_t agent_id, uint64_t epoch,
                                                 const char *address, meshping_range *ranges, size_t *count,
                                                 meshping_error *err)
{
    meshping__ranges all = {0};
    source from;
    meshping_status status = meshping_store_ranges(store, agent_id, epoch, all.items, &all.count, err);
    *count = 0;
    if (status == MESHPING_OK)
        status = load_source(&store->sql, agent_id, epoch, address, &from, err);
    if (status != MESHPING_OK)
        return status;
    unite(&all, &from.ranges); /* what does not fit is sent again, and known then */
    for (size_t i = 0; i < all.count; i++)
        ranges[i] = all.items[i];
    *count = all.count;
    return MESHPING_OK;
}

static const char *read_source(sqlite3_stmt *row, void *item)
{
    meshping_quarantine_source *one = item;
    *one = (meshping_quarantine_source){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .agent_id = (uint64_t)sqlite3_column_int64(row, 1),
        .epoch = (uint64_t)sqlite3_column_int64(row, 2),
        .blocks = (uint64_t)sqlite3_column_int64(row, 5),
        .samples = (uint64_t)sqlite3_column_int64(row, 6),
        .bytes = (uint64_t)sqlite3_column_int64(row, 7),
        .first_unix_us = sqlite3_column_int64(row, 8),
        .last_unix_us = sqlite3_column_int64(row, 9),
        .updated_unix_us = sqlite3_column_int64(row, 10),
    };
    meshping__ranges ranges = {0};
    int64_t kept = sqlite3_column_int64(row, 4);
    one->decided = kept > 0 ? 1 : kept < 0 ? -1 : 0;
    meshping__sql_text(row, 3, one->address, sizeof one->address);
    if (meshping__ranges_decode(&ranges, sqlite3_column_blob(row, 11), (size_t)sqlite3_column_bytes(row, 11)))
        one->range_count = ranges.count;
    for (size_t i = 0; i < one->range_count; i++)
        one->ranges[i] = ranges.items[i];
    return NULL;
}

meshping_status meshping_store_quarantine(meshping_store *store, uint64_t agent_id,
                                          meshping_quarantine_source **sources, size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT id, agent_id, epoch, address, kept, blocks, samples, bytes, first_us, last_us, updated_us,"
        " ranges FROM quarantine_sources WHERE (?1 = 0 OR agent_id = ?1) AND NOT leaving"
        " AND agent_id NOT IN (SELECT id FROM agents WHERE leaving) ORDER BY id",
        "i", (int64_t)agent_id);
    return meshping__sql_rows(&store->sql, status, row, read_source, sizeof **sources, (void **)sources, count, err);
}

meshping_status meshping_store_quarantine_decide(meshping_store *store, uint64_t source_id, bool keep,
                                                 meshping_error *err)
{
    /* one of the same epoch and address may be on its way already: its number tells the two apart */
    return meshping__sql_run(&store->sql, err,
                             "UPDATE quarantine_sources SET kept = id * ?2 WHERE id = ?1 AND NOT leaving", "ii",
                             (int64_t)source_id, (int64_t)(keep ? 1 : -1));
}

meshping_status meshping_store_quarantine_delete(meshping_store *store, uint64_t source_id, meshping_error *err)
{
    meshping_status status = meshping__remove_mark_source(&store->sql, source_id, err);
    if (status == MESHPING_OK)
        meshping__writer_remove(&store->writer);
    return status;
}

static meshping_status copy_row(sqlite3_stmt *row, meshping_quarantined *out, meshping_error *err)
{
    size_t length = (size_t)sqlite3_column_bytes(row, 8);
    const void *bytes = sqlite3_column_blob(row, 8);
    *out = (meshping_quarantined){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .gap = {.first_sequence = (uint64_t)sqlite3_column_int64(row, 1),
                .last_sequence = (uint64_t)sqlite3_column_int64(row, 2),
                .first_unix_us = sqlite3_column_int64(row, 3),
                .last_unix_us = sqlite3_column_int64(row, 4),
                .sample_count = (uint64_t)sqlite3_column_int64(row, 6),
                .reason = (meshping_gap_reason)sqlite3_column_int64(row, 7)},
        .received_unix_us = sqlite3_column_int64(row, 5),
        .clock_offset_us = sqlite3_column_int64(row, 9),
        .length = length,
    };
    if (!length)
        return MESHPING_OK;
    out->bytes = bytes ? meshping__memdup(bytes, length) : NULL;
    return out->bytes ? MESHPING_OK : meshping__no_memory(err);
}

meshping_status meshping_store_quarantine_next(meshping_store *store, uint64_t source_id, uint64_t after_id,
                                               meshping_quarantined *out, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT id, first_sequence, last_sequence, first_us, last_us, received_us, sample_count, reason, bytes,"
        " clock_offset_us FROM quarantine WHERE source_id = ?1 AND id > ?2"
        " AND (SELECT NOT leaving FROM quarantine_sources WHERE id = ?1) ORDER BY id LIMIT 1",
        "ii", (int64_t)source_id, (int64_t)after_id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status != MESHPING_OK)
        return status;
    status = copy_row(row, out, err);
    sqlite3_reset(row);
    return status;
}
