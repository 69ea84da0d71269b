/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rollups.h"

#include "base/alloc.h"
#include "store/remove.h"

#define PERIOD_US (MESHPING__ROLLUP_HOURS * MESHPING__HOUR_US)

static meshping_status note(meshping__damages *damages, meshping_damage_kind kind, int64_t id, int64_t first_period,
                            int64_t last_period, meshping_error *err)
{
    const meshping_damage damage = {.block_id = id,
                                    .first_unix_us = first_period * PERIOD_US,
                                    .last_unix_us = (last_period + 1) * PERIOD_US - 1,
                                    .kind = kind};
    return meshping__damages_add(damages, &damage, err);
}

static const char *read_place(sqlite3_stmt *row, void *item)
{
    *(meshping__rollup_place *)item = (meshping__rollup_place){
        sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1), sqlite3_column_int64(row, 2)};
    return NULL;
}

meshping_status meshping__rollup_find(meshping__sql *sql, uint64_t agent_id, const int64_t groups[2],
                                      const int64_t periods[2], meshping__rollup_place **places, size_t *count,
                                      meshping__damages *damages, meshping_error *err)
{
    sqlite3_stmt *statement = NULL;
    meshping_status status = meshping__sql_query(
        sql, &statement, err,
        "SELECT id, target_group, period FROM rollups WHERE agent_id = ?1 AND target_group BETWEEN ?2 AND ?3"
        " AND period BETWEEN ?4 AND ?5 AND " MESHPING__AGENT_STAYS " ORDER BY target_group, period",
        "iiiii", (int64_t)agent_id, groups[0], groups[1], periods[0], periods[1]);
    status = meshping__sql_rows(sql, status, statement, read_place, sizeof **places, (void **)places, count, err);
    if (status == MESHPING_CORRUPT)
        return note(damages, MESHPING_DAMAGE_PAGE, 0, periods[0], periods[1], err);
    return status;
}

meshping_status meshping__rollup_read(meshping__sql *sql, meshping__unzip *unzip, const meshping__rollup_place *place,
                                      meshping__hours *hours, meshping__damages *damages, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status =
        meshping__sql_query(sql, &statement, err, "SELECT bytes FROM rollups WHERE id = ?1", "i", place->id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_OK) {
        const uint8_t *bytes = sqlite3_column_blob(statement, 0);
        /* no bytes: SQLite could not get at them */
        status = bytes ? meshping__hours_decode(hours, unzip, bytes, (size_t)sqlite3_column_bytes(statement, 0))
                       : MESHPING_CORRUPT;
        sqlite3_reset(statement);
        if (status == MESHPING_NOMEM)
            return meshping__no_memory(err);
    }
    if (status != MESHPING_CORRUPT && status != MESHPING_NOT_FOUND)
        return status;
    meshping__hours_dispose(hours);
    return note(damages, MESHPING_DAMAGE_ROLLUPS, place->id, place->period, place->period, err);
}
