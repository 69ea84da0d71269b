/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log. A row goes in with the transaction whose change it tells of; schema.c's triggers keep it. */
#include "store/internal.h"

#include "base/alloc.h"
#include <meshping/people.h>
#include <string.h>

/* By itself, not through meshping__sql_run: what that one counts belongs to the change. */
meshping_status meshping__audit_insert(meshping__sql *sql, const meshping_audit_record *record, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status =
        meshping__sql_query(sql, &statement, err,
                            "INSERT INTO audit(unix_ms, user_id, user, via, address, action, object, detail)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                            "iitttttt", record->unix_ms, (int64_t)record->user_id, record->user, record->via,
                            record->address, record->action, record->object, record->detail);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

meshping_status meshping_store_audit_add(meshping_store *store, const meshping_audit_record *record,
                                         meshping_error *err)
{
    return meshping__audit_insert(&store->sql, record, err);
}

void meshping_store_audit_begin(meshping_store *store, const meshping_audit_record *record)
{
    store->sql.audit = record;
}

bool meshping_store_audit_end(meshping_store *store)
{
    bool taken = store->sql.audit == NULL;
    store->sql.audit = NULL;
    return taken;
}

static const char *read_row(sqlite3_stmt *row, void *item)
{
    meshping_audit_record *out = item;
    *out = (meshping_audit_record){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .unix_ms = sqlite3_column_int64(row, 1),
        .user_id = (uint64_t)sqlite3_column_int64(row, 2),
    };
    meshping__sql_text(row, 3, out->user, sizeof out->user);
    meshping__sql_text(row, 4, out->via, sizeof out->via);
    meshping__sql_text(row, 5, out->address, sizeof out->address);
    meshping__sql_text(row, 6, out->action, sizeof out->action);
    meshping__sql_text(row, 7, out->object, sizeof out->object);
    meshping__sql_text(row, 8, out->detail, sizeof out->detail);
    return NULL;
}

meshping_status meshping_store_audit(meshping_store *store, const meshping_audit_query *query,
                                     meshping_audit_record **records, size_t *count, uint64_t *next_id,
                                     meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    int64_t newest, oldest;
    *records = NULL;
    *count = 0;
    meshping_status status = meshping__sql_number(&store->sql, "SELECT max(id) FROM audit", &newest, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(&store->sql, "SELECT min(id) FROM audit", &oldest, err);
    if (status != MESHPING_OK)
        return status;
    int64_t before = query->before_id && query->before_id <= (uint64_t)newest ? (int64_t)query->before_id : newest + 1;
    int64_t first = before - MESHPING_AUDIT_SCAN_MAX;
    status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT id, unix_ms, user_id, user, via, address, action, object, detail FROM audit"
        " WHERE id < ?1 AND id >= ?2 AND unix_ms >= ?3 AND (?4 = 0 OR unix_ms < ?4)"
        " AND (?5 IS NULL OR user = ?5) AND (?6 IS NULL OR substr(action, 1, length(?6)) = ?6)"
        " AND (?7 IS NULL OR instr(lower(user || char(10) || via || char(10) || address || char(10) || action ||"
        " char(10) || object || char(10) || detail), lower(?7)) > 0)"
        " ORDER BY id DESC LIMIT ?8",
        "iiiittti", before, first, query->from_ms, query->to_ms, query->user, query->action, query->text,
        (int64_t)query->limit);
    status = meshping__sql_rows(&store->sql, status, row, read_row, sizeof **records, (void **)records, count, err);
    if (status != MESHPING_OK)
        return status;
    int64_t next = *count && *count == query->limit ? (int64_t)(*records)[*count - 1].id : first;
    *next_id = oldest > 0 && next > oldest ? (uint64_t)next : 0;
    return MESHPING_OK;
}

meshping_status meshping_store_audit_expire(meshping_store *store, int64_t before_ms, size_t most, meshping_error *err)
{
    sqlite3_stmt *row;
    int64_t cut = 0;
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    /* up to the first row that stays: ids ascend, times do nearly */
    status = meshping__sql_query(&store->sql, &row, err,
                                 "SELECT max(id) FROM (SELECT id, unix_ms FROM audit ORDER BY id LIMIT ?2)"
                                 " WHERE unix_ms < ?1 AND id < ifnull((SELECT id FROM audit WHERE unix_ms >= ?1"
                                 " ORDER BY id LIMIT 1), 9223372036854775807)",
                                 "ii", before_ms, (int64_t)most);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_OK) {
        cut = sqlite3_column_int64(row, 0);
        sqlite3_reset(row);
    }
    if (status == MESHPING_NOT_FOUND)
        status = MESHPING_OK;
    if (status == MESHPING_OK && cut > 0)
        status = meshping__sql_run(&store->sql, err,
                                   "UPDATE counters SET value = max(value, ?1) WHERE name = 'audit_expired'", "i", cut);
    if (status == MESHPING_OK && cut > 0)
        status = meshping__sql_run(&store->sql, err, "DELETE FROM audit WHERE id <= ?1", "i", cut);
    return meshping__sql_end(&store->sql, status, err);
}
