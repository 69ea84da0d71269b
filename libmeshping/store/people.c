/* SPDX-License-Identifier: Apache-2.0 */
/* Passphrases. */
#include "store/internal.h"

#include "base/alloc.h"

#define PASSPHRASE_COLUMNS                                                                                             \
    "tid, sealed_key, label, created_ms, expires_ms, uses_max, uses, revoked, advertise, preapprove_max,"              \
    " preapprove_uses, preapprove_from"

static const char *read_passphrase(sqlite3_stmt *row, void *item)
{
    meshping_passphrase_record *out = item;
    *out = (meshping_passphrase_record){
        .sealed_length = (size_t)sqlite3_column_bytes(row, 1),
        .created_ms = sqlite3_column_int64(row, 3),
        .expires_ms = sqlite3_column_int64(row, 4),
        .uses_max = (uint32_t)sqlite3_column_int64(row, 5),
        .uses = (uint32_t)sqlite3_column_int64(row, 6),
        .revoked = sqlite3_column_int(row, 7) != 0,
        .preapprove_max = (uint32_t)sqlite3_column_int64(row, 9),
        .preapprove_uses = (uint32_t)sqlite3_column_int64(row, 10),
    };
    meshping__sql_text(row, 2, out->label, sizeof out->label);
    meshping__sql_text(row, 8, out->advertise, sizeof out->advertise);
    meshping__sql_text(row, 11, out->preapprove_from, sizeof out->preapprove_from);
    bool sound = out->sealed_length <= sizeof out->sealed_key &&
                 meshping__sql_blob(row, 0, out->tid, sizeof out->tid) &&
                 (out->sealed_length == 0 || meshping__sql_blob(row, 1, out->sealed_key, out->sealed_length));
    return sound ? NULL : "a passphrase is damaged";
}

meshping_status meshping_store_passphrases(meshping_store *store, meshping_passphrase_record **records, size_t *count,
                                           meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err, "SELECT " PASSPHRASE_COLUMNS " FROM passphrases ORDER BY created_ms DESC, id DESC", "");
    return meshping__sql_rows(&store->sql, status, row, read_passphrase, sizeof **records, (void **)records, count,
                              err);
}

meshping_status meshping_store_passphrase(meshping_store *store, const uint8_t tid[8], meshping_passphrase_record *out,
                                          meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status =
        meshping__sql_query(&store->sql, &row, err, "SELECT " PASSPHRASE_COLUMNS " FROM passphrases WHERE tid = ?1",
                            "b", (const void *)tid, (size_t)8);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such passphrase");
    if (status != MESHPING_OK)
        return status;
    const char *damage = read_passphrase(row, out);
    if (damage)
        status = meshping_error_set(err, MESHPING_CORRUPT, "%s: %s", store->path, damage);
    sqlite3_reset(row);
    return status;
}

meshping_status meshping_store_passphrase_save(meshping_store *store, const meshping_passphrase_record *record,
                                               meshping_error *err)
{
    if (record->sealed_length > sizeof record->sealed_key)
        return meshping_error_set(err, MESHPING_INVALID, "a sealed key of %zu bytes, at most %zu are allowed",
                                  record->sealed_length, sizeof record->sealed_key);
    return meshping__sql_run(
        &store->sql, err,
        "INSERT INTO passphrases(" PASSPHRASE_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        " ON CONFLICT(tid) DO UPDATE SET sealed_key = excluded.sealed_key, label = excluded.label,"
        " created_ms = excluded.created_ms, expires_ms = excluded.expires_ms, uses_max = excluded.uses_max,"
        " uses = excluded.uses, revoked = excluded.revoked, advertise = excluded.advertise,"
        " preapprove_max = excluded.preapprove_max, preapprove_uses = excluded.preapprove_uses,"
        " preapprove_from = excluded.preapprove_from",
        "bbtiiiiitiit", (const void *)record->tid, sizeof record->tid, (const void *)record->sealed_key,
        record->sealed_length, record->label, record->created_ms, record->expires_ms, (int64_t)record->uses_max,
        (int64_t)record->uses, (int64_t)record->revoked, record->advertise, (int64_t)record->preapprove_max,
        (int64_t)record->preapprove_uses, record->preapprove_from);
}
