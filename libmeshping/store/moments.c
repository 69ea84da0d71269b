/* SPDX-License-Identifier: Apache-2.0 */
/* What explains a stretch without samples: starts of agents, their clocks, times without a server. */
#include "store/internal.h"

static const char *read_start(sqlite3_stmt *row, void *item)
{
    *(meshping_epoch_start *)item =
        (meshping_epoch_start){(uint64_t)sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1)};
    return NULL;
}

meshping_status meshping_store_starts(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t to_us,
                                      meshping_epoch_start **starts, size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT epoch, first_us FROM epochs WHERE agent_id = ?1 AND first_us >= ?2 AND first_us < ?3"
        " AND " MESHPING__AGENT_STAYS " ORDER BY first_us, epoch",
        "iii", (int64_t)agent_id, from_us, to_us);
    return meshping__sql_rows(&store->sql, status, row, read_start, sizeof **starts, (void **)starts, count, err);
}

static const char *read_clock(sqlite3_stmt *row, void *item)
{
    *(meshping_clock_note *)item = (meshping_clock_note){
        .at_unix_us = sqlite3_column_int64(row, 0),
        .offset_us = sqlite3_column_int64(row, 1),
        .error_us = sqlite3_column_int64(row, 2),
    };
    return NULL;
}

meshping_status meshping_store_clocks(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t to_us,
                                      meshping_clock_note **notes, size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT at_us, offset_us, error_us FROM clocks WHERE agent_id = ?1 AND at_us < ?3 AND at_us >= coalesce("
        "(SELECT max(at_us) FROM clocks WHERE agent_id = ?1 AND at_us < ?2), ?2) AND " MESHPING__AGENT_STAYS
        " ORDER BY at_us",
        "iii", (int64_t)agent_id, from_us, to_us);
    return meshping__sql_rows(&store->sql, status, row, read_clock, sizeof **notes, (void **)notes, count, err);
}

meshping_status meshping_store_pause_add(meshping_store *store, const meshping_pause *pause, meshping_error *err)
{
    return meshping__sql_run(&store->sql, err,
                             "INSERT INTO pauses(from_us, to_us) VALUES(?1, ?2)"
                             " ON CONFLICT(from_us) DO UPDATE SET to_us = max(to_us, excluded.to_us)",
                             "ii", pause->from_unix_us, pause->to_unix_us);
}

static const char *read_pause(sqlite3_stmt *row, void *item)
{
    *(meshping_pause *)item = (meshping_pause){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1)};
    return NULL;
}

meshping_status meshping_store_pauses(meshping_store *store, int64_t from_us, int64_t to_us, meshping_pause **pauses,
                                      size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err, "SELECT from_us, to_us FROM pauses WHERE to_us >= ?1 AND from_us < ?2 ORDER BY from_us",
        "ii", from_us, to_us);
    return meshping__sql_rows(&store->sql, status, row, read_pause, sizeof **pauses, (void **)pauses, count, err);
}
