/* SPDX-License-Identifier: Apache-2.0 */
/* Users, their web sessions, and passphrases. */
#include "store/internal.h"

#include "base/alloc.h"

/* ---- users ---- */

#define USER_COLUMNS "id, name, password, role, created_ms"

meshping_status meshping_store_user_count(meshping_store *store, size_t *count, meshping_error *err)
{
    int64_t n;
    meshping_status status = meshping__sql_number(&store->sql, "SELECT count(*) FROM users", &n, err);
    *count = (size_t)n;
    return status;
}

/* `status`: of the query. */
static meshping_status one_user(meshping_store *store, meshping_status status, sqlite3_stmt *row,
                                meshping_user_record *out, meshping_error *err)
{
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such user");
    if (status != MESHPING_OK)
        return status;
    *out = (meshping_user_record){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .created_ms = sqlite3_column_int64(row, 4),
    };
    meshping__sql_text(row, 1, out->name, sizeof out->name);
    meshping__sql_text(row, 2, out->password, sizeof out->password);
    meshping__sql_text(row, 3, out->role, sizeof out->role);
    sqlite3_reset(row);
    return MESHPING_OK;
}

meshping_status meshping_store_user_by_name(meshping_store *store, const char *name, meshping_user_record *out,
                                            meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status =
        meshping__sql_query(&store->sql, &row, err, "SELECT " USER_COLUMNS " FROM users WHERE name = ?1", "t", name);
    return one_user(store, status, row, out, err);
}

meshping_status meshping_store_user_by_id(meshping_store *store, uint64_t id, meshping_user_record *out,
                                          meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(&store->sql, &row, err,
                                                 "SELECT " USER_COLUMNS " FROM users WHERE id = ?1", "i", (int64_t)id);
    return one_user(store, status, row, out, err);
}

meshping_status meshping_store_user_save(meshping_store *store, meshping_user_record *user, meshping_error *err)
{
    meshping_status status;
    if (!*user->name)
        return meshping_error_set(err, MESHPING_INVALID, "a user needs a name");
    if (user->id == 0)
        status = meshping__sql_run(&store->sql, err,
                                   "INSERT INTO users(name, password, role, created_ms) VALUES(?1, ?2, ?3, ?4)", "ttti",
                                   user->name, user->password, user->role, user->created_ms);
    else
        status = meshping__sql_run(
            &store->sql, err, "UPDATE users SET name = ?2, password = ?3, role = ?4, created_ms = ?5 WHERE id = ?1",
            "ittti", (int64_t)user->id, user->name, user->password, user->role, user->created_ms);
    if (status == MESHPING_EXISTS)
        return meshping_error_set(err, MESHPING_EXISTS, "there is a user %s already", user->name);
    if (status != MESHPING_OK)
        return status;
    if (user->id == 0)
        user->id = (uint64_t)sqlite3_last_insert_rowid(store->sql.db);
    else if (meshping__sql_changes(&store->sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such user");
    return MESHPING_OK;
}

/* ---- web sessions ---- */

meshping_status meshping_store_web_session_save(meshping_store *store, const meshping_web_session_record *session,
                                                meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        &store->sql, err,
        "INSERT INTO web_sessions(token_hash, user_id, csrf, created_ms, last_used_ms) VALUES(?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT(token_hash) DO UPDATE SET user_id = excluded.user_id, csrf = excluded.csrf,"
        " created_ms = excluded.created_ms, last_used_ms = excluded.last_used_ms",
        "bitii", (const void *)session->token_hash, sizeof session->token_hash, (int64_t)session->user_id,
        session->csrf, session->created_ms, session->last_used_ms);
    if (status == MESHPING_EXISTS) /* the foreign key: nothing else can conflict */
        return meshping_error_set(err, MESHPING_NOT_FOUND, "the session's user does not exist");
    return status;
}

meshping_status meshping_store_web_session(meshping_store *store, const uint8_t token_hash[32],
                                           meshping_web_session_record *out, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT token_hash, user_id, csrf, created_ms, last_used_ms FROM web_sessions WHERE token_hash = ?1", "b",
        (const void *)token_hash, (size_t)32);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such session");
    if (status != MESHPING_OK)
        return status;
    *out = (meshping_web_session_record){
        .user_id = (uint64_t)sqlite3_column_int64(row, 1),
        .created_ms = sqlite3_column_int64(row, 3),
        .last_used_ms = sqlite3_column_int64(row, 4),
    };
    meshping__sql_blob(row, 0, out->token_hash, sizeof out->token_hash);
    meshping__sql_text(row, 2, out->csrf, sizeof out->csrf);
    sqlite3_reset(row);
    return MESHPING_OK;
}

meshping_status meshping_store_web_session_delete(meshping_store *store, const uint8_t token_hash[32],
                                                  meshping_error *err)
{
    meshping_status status = meshping__sql_run(&store->sql, err, "DELETE FROM web_sessions WHERE token_hash = ?1", "b",
                                               (const void *)token_hash, (size_t)32);
    if (status == MESHPING_OK && meshping__sql_changes(&store->sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such session");
    return status;
}

meshping_status meshping_store_web_sessions_expire(meshping_store *store, int64_t created_ms, int64_t used_ms,
                                                   meshping_error *err)
{
    return meshping__sql_run(&store->sql, err, "DELETE FROM web_sessions WHERE created_ms < ?1 OR last_used_ms < ?2",
                             "ii", created_ms, used_ms);
}

/* ---- passphrases ---- */

#define PASSPHRASE_COLUMNS "tid, sealed_key, label, created_ms, expires_ms, uses_max, uses, revoked"

static bool read_passphrase(sqlite3_stmt *row, meshping_passphrase_record *out)
{
    *out = (meshping_passphrase_record){
        .sealed_length = (size_t)sqlite3_column_bytes(row, 1),
        .created_ms = sqlite3_column_int64(row, 3),
        .expires_ms = sqlite3_column_int64(row, 4),
        .uses_max = (uint32_t)sqlite3_column_int64(row, 5),
        .uses = (uint32_t)sqlite3_column_int64(row, 6),
        .revoked = sqlite3_column_int(row, 7) != 0,
    };
    meshping__sql_text(row, 2, out->label, sizeof out->label);
    return out->sealed_length <= sizeof out->sealed_key && meshping__sql_blob(row, 0, out->tid, sizeof out->tid) &&
           (out->sealed_length == 0 || meshping__sql_blob(row, 1, out->sealed_key, out->sealed_length));
}

static meshping_status damaged_passphrase(const meshping_store *store, meshping_error *err)
{
    return meshping_error_set(err, MESHPING_CORRUPT, "%s: a passphrase is damaged", store->path);
}

meshping_status meshping_store_passphrases(meshping_store *store, meshping_passphrase_record **records, size_t *count,
                                           meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_passphrase_record *all = NULL;
    size_t capacity = 0, n = 0;
    *records = NULL;
    *count = 0;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err, "SELECT " PASSPHRASE_COLUMNS " FROM passphrases ORDER BY created_ms DESC, id DESC", "");
    while (status == MESHPING_OK && (status = meshping__sql_step(&store->sql, row, err)) == MESHPING_OK) {
        if (!meshping__sql_room((void **)&all, &capacity, n, sizeof *all))
            status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        else if (!read_passphrase(row, &all[n++]))
            status = damaged_passphrase(store, err);
        if (status != MESHPING_OK)
            sqlite3_reset(row);
    }
    if (status != MESHPING_NOT_FOUND || n == 0) {
        meshping__free(all);
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    }
    *records = all;
    *count = n;
    return MESHPING_OK;
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
    if (!read_passphrase(row, out))
        status = damaged_passphrase(store, err);
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
        "INSERT INTO passphrases(" PASSPHRASE_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
        " ON CONFLICT(tid) DO UPDATE SET sealed_key = excluded.sealed_key, label = excluded.label,"
        " created_ms = excluded.created_ms, expires_ms = excluded.expires_ms, uses_max = excluded.uses_max,"
        " uses = excluded.uses, revoked = excluded.revoked",
        "bbtiiiii", (const void *)record->tid, sizeof record->tid, (const void *)record->sealed_key,
        record->sealed_length, record->label, record->created_ms, record->expires_ms, (int64_t)record->uses_max,
        (int64_t)record->uses, (int64_t)record->revoked);
}
