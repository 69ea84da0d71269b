/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what the writer stored (a pair's samples: range.c), and retention. */
#include "store/internal.h"

#include "base/alloc.h"
#include <inttypes.h>
#include <stdlib.h>

meshping_status meshping_store_ranges(meshping_store *store, uint64_t agent_id, uint64_t epoch, meshping_range *ranges,
                                      size_t *count, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping__ranges all;
    *count = 0;
    meshping_status status = meshping__sql_query(&store->sql, &statement, err,
                                                 "SELECT ranges FROM epochs WHERE agent_id = ?1 AND epoch = ?2"
                                                 " AND " MESHPING__AGENT_STAYS,
                                                 "ii", (int64_t)agent_id, (int64_t)epoch);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    bool sound =
        meshping__ranges_decode(&all, sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_reset(statement);
    if (!sound)
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: received ranges are damaged", store->path);
    for (size_t i = 0; i < all.count; i++)
        ranges[i] = all.items[i];
    *count = all.count;
    return MESHPING_OK;
}

/* ---- an agent's blocks ---- */

static const char *read_listed(sqlite3_stmt *row, void *item)
{
    *(meshping_stored_block *)item = (meshping_stored_block){
        .id = sqlite3_column_int64(row, 0),
        .received_unix_us = sqlite3_column_int64(row, 1),
        .first_unix_us = sqlite3_column_int64(row, 2),
        .last_unix_us = sqlite3_column_int64(row, 3),
        .first_target = (uint64_t)sqlite3_column_int64(row, 4),
        .last_target = (uint64_t)sqlite3_column_int64(row, 5),
    };
    return NULL;
}

/* One that cannot be read is handed over without its bytes, and hides no other. */
static meshping_status visit_one(meshping_store *store, bool journal, meshping_stored_block *block,
                                 meshping_block_visit_fn fn, void *user, meshping_error *err)
{
    sqlite3_stmt *statement;
    const int64_t id = block->id;
    meshping_status status = meshping__sql_query(&store->sql, &statement, err,
                                                 journal ? "SELECT bytes, sample_count, received_us + clock_offset_us"
                                                           " FROM blocks WHERE id = ?1"
                                                         : "SELECT bytes, sample_count, 0 FROM sealed WHERE id = ?1",
                                                 "i", id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, statement, err);
    const bool found = status == MESHPING_OK;
    if (found) {
        block->bytes = sqlite3_column_blob(statement, 0);
        block->length = block->bytes ? (size_t)sqlite3_column_bytes(statement, 0) : 0;
        block->sample_count = block->bytes ? (uint32_t)sqlite3_column_int64(statement, 1) : 0;
        block->received_agent_us = sqlite3_column_int64(statement, 2);
        if (!block->bytes && sqlite3_errcode(store->sql.db) == SQLITE_NOMEM)
            status = meshping__no_memory(err);
    } else if (status == MESHPING_CORRUPT || status == MESHPING_NOT_FOUND) {
        status = MESHPING_OK; /* listed in this snapshot, and not there: damaged as well */
    }
    if (status != MESHPING_OK)
        return status;
    block->id = journal ? id : 0;
    status = fn(user, block);
    if (found)
        sqlite3_reset(statement);
    if (status != MESHPING_OK)
        meshping_error_set(err, status, "stopped at stored block %" PRId64 ": %s", id, meshping_status_text(status));
    return status;
}

/* When the newest of the agent's blocks from that slot on was received. NOT_FOUND: there is none. */
static meshping_status newest_receipt(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t *newest_us,
                                      meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        &store->sql, &statement, err,
        "SELECT max(received_us) FROM (SELECT received_us FROM blocks WHERE agent_id = ?1 AND last_us >= ?2"
        " UNION ALL SELECT received_us FROM sealed WHERE agent_id = ?1 AND last_us >= ?2)"
        " WHERE " MESHPING__AGENT_STAYS,
        "ii", (int64_t)agent_id, from_us);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, statement, err);
    if (status != MESHPING_OK)
        return status;
    bool found = sqlite3_column_type(statement, 0) != SQLITE_NULL;
    *newest_us = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    return found ? MESHPING_OK : MESHPING_NOT_FOUND;
}

/* Joined ones, then the journal's; listed from indexes alone. */
static meshping_status visit_all(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t window_us,
                                 meshping_block_visit_fn fn, void *user, meshping_error *err)
{
    static const char *const texts[] = {
        "SELECT id, received_us, first_us, last_us, first_target, last_target FROM sealed"
        " WHERE agent_id = ?1 AND last_us >= ?2 AND received_us >= ?3 ORDER BY level DESC, id",
        "SELECT id, received_us, first_us, last_us, 0, 9223372036854775807 FROM blocks"
        " WHERE agent_id = ?1 AND last_us >= ?2 AND received_us >= ?3 ORDER BY id",
    };
    int64_t since_us;
    meshping_status status = newest_receipt(store, agent_id, from_us, &since_us, err);
    if (status == MESHPING_NOT_FOUND)
        return MESHPING_OK;
    if (status == MESHPING_OK && __builtin_sub_overflow(since_us, window_us, &since_us))
        since_us = INT64_MIN;
    for (int journal = 0; status == MESHPING_OK && journal <= 1; journal++) {
        sqlite3_stmt *statement = NULL;
        meshping_stored_block *listed = NULL;
        size_t count = 0;
        status = meshping__sql_query(&store->sql, &statement, err, texts[journal], "iii", (int64_t)agent_id, from_us,
                                     since_us);
        status = meshping__sql_rows(&store->sql, status, statement, read_listed, sizeof *listed, (void **)&listed,
                                    &count, err);
        for (size_t i = 0; status == MESHPING_OK && i < count; i++) {
            listed[i].agent_id = agent_id;
            status = visit_one(store, journal, &listed[i], fn, user, err);
        }
        meshping__free(listed);
    }
    return status;
}

meshping_status meshping_store_visit_blocks(meshping_store *store, uint64_t agent_id, int64_t from_us,
                                            int64_t window_us, meshping_block_visit_fn fn, void *user,
                                            meshping_error *err)
{
    /* one snapshot: what is sealed meanwhile is seen on one side of it */
    meshping_status status = meshping__sql_begin_reading(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = visit_all(store, agent_id, from_us, window_us, fn, user, err);
    return meshping__sql_end_reading(&store->sql, status);
}

/* ---- gaps ---- */

static const char *read_gap(sqlite3_stmt *row, void *item)
{
    *(meshping_stored_gap *)item = (meshping_stored_gap){
        .epoch = (uint64_t)sqlite3_column_int64(row, 0),
        .gap = {.first_sequence = (uint64_t)sqlite3_column_int64(row, 1),
                .last_sequence = (uint64_t)sqlite3_column_int64(row, 2),
                .first_unix_us = sqlite3_column_int64(row, 3),
                .last_unix_us = sqlite3_column_int64(row, 4),
                .sample_count = (uint64_t)sqlite3_column_int64(row, 5),
                .reason = (meshping_gap_reason)sqlite3_column_int64(row, 6)},
    };
    return NULL;
}

meshping_status meshping_store_gaps(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t to_us,
                                    meshping_stored_gap **gaps, size_t *count, meshping_error *err)
{
    sqlite3_stmt *statement = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &statement, err,
        "SELECT epoch, first_sequence, last_sequence, first_us, last_us, sample_count, reason FROM gaps"
        " WHERE agent_id = ?1 AND last_us >= ?2 AND first_us < ?3 AND " MESHPING__AGENT_STAYS " ORDER BY first_us, id",
        "iii", (int64_t)agent_id, from_us, to_us);
    return meshping__sql_rows(&store->sql, status, statement, read_gap, sizeof **gaps, (void **)gaps, count, err);
}
