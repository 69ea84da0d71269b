/* SPDX-License-Identifier: Apache-2.0 */
#include "store/places.h"

#include "base/alloc.h"

static const char *read_place(sqlite3_stmt *row, void *item)
{
    *(meshping__place *)item = (meshping__place){
        .level = (meshping__level)sqlite3_column_int64(row, 0),
        .id = sqlite3_column_int64(row, 1),
        .first_us = sqlite3_column_int64(row, 2),
        .last_us = sqlite3_column_int64(row, 3),
    };
    return NULL;
}

meshping_status meshping__places_read(meshping__places *places, meshping__sql *sql, meshping_status status,
                                      sqlite3_stmt *statement, meshping_error *err)
{
    return meshping__sql_rows(sql, status, statement, read_place, sizeof *places->items, (void **)&places->items,
                              &places->count, err);
}

void meshping__places_dispose(meshping__places *places)
{
    meshping__free(places->items);
    *places = (meshping__places){0};
}

meshping_status meshping__place_bytes(meshping__place *place, meshping__sql *sql, sqlite3_stmt **statement,
                                      const uint8_t **bytes, size_t *length, meshping_error *err)
{
    *bytes = NULL;
    *length = 0;
    meshping_status status =
        meshping__sql_query(sql, statement, err,
                            place->level == MESHPING__LEVEL_JOURNAL
                                ? "SELECT bytes, received_us + clock_offset_us FROM blocks WHERE id = ?1"
                                : "SELECT bytes, 0 FROM sealed WHERE id = ?1",
                            "i", place->id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, *statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_CORRUPT : status;
    *bytes = sqlite3_column_blob(*statement, 0);
    *length = (size_t)sqlite3_column_bytes(*statement, 0);
    place->received_agent_us = sqlite3_column_int64(*statement, 1);
    if (*bytes)
        return MESHPING_OK;
    bool no_memory = sqlite3_errcode(sql->db) == SQLITE_NOMEM;
    sqlite3_reset(*statement);
    return no_memory ? meshping__no_memory(err) : MESHPING_CORRUPT;
}

meshping_status meshping__place_damaged(const meshping__place *place, meshping_damage_kind kind,
                                        meshping__damages *damages, meshping_error *err)
{
    const meshping_damage damage = {
        .block_id = place->id, .first_unix_us = place->first_us, .last_unix_us = place->last_us, .kind = kind};
    return meshping__damages_add(damages, &damage, err);
}
