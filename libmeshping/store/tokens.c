/* SPDX-License-Identifier: Apache-2.0 */
/* API tokens, by the hash of what the client holds. */
#include "store/internal.h"

#include "base/alloc.h"
#include <meshping/people.h>
#include <string.h>

#define TOKEN_COLUMNS                                                                                                  \
    "t.id, t.token_hash, t.user_id, u.name, t.name, t.role, t.created_ms, t.expires_ms, t.used_ms"                     \
    " FROM tokens t JOIN users u ON u.id = t.user_id"

meshping_status meshping_store_token_add(meshping_store *store, meshping_token_record *token, meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(&store->sql, err,
                          "INSERT INTO tokens(token_hash, user_id, name, role, created_ms, expires_ms, used_ms)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0)",
                          "bittii", (const void *)token->token_hash, sizeof token->token_hash, (int64_t)token->user_id,
                          token->name, meshping_role_name(token->role), token->created_ms, token->expires_ms);
    if (status == MESHPING_EXISTS) /* the foreign key: hashes do not meet */
        return meshping_error_set(err, MESHPING_NOT_FOUND, "the token's user does not exist");
    if (status == MESHPING_OK)
        token->id = (uint64_t)meshping__sql_rowid(&store->sql);
    return status;
}

static const char *read_token(sqlite3_stmt *row, void *item)
{
    meshping_token_record *out = item;
    char role[16];
    *out = (meshping_token_record){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .user_id = (uint64_t)sqlite3_column_int64(row, 2),
        .created_ms = sqlite3_column_int64(row, 6),
        .expires_ms = sqlite3_column_int64(row, 7),
        .used_ms = sqlite3_column_int64(row, 8),
    };
    meshping__sql_blob(row, 1, out->token_hash, sizeof out->token_hash);
    meshping__sql_text(row, 3, out->user, sizeof out->user);
    meshping__sql_text(row, 4, out->name, sizeof out->name);
    meshping__sql_text(row, 5, role, sizeof role);
    meshping_role_parse(&out->role, role);
    return NULL;
}

meshping_status meshping_store_token(meshping_store *store, const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                     meshping_token_record *out, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status =
        meshping__sql_query(&store->sql, &row, err, "SELECT " TOKEN_COLUMNS " WHERE t.token_hash = ?1", "b",
                            (const void *)token_hash, (size_t)MESHPING_TOKEN_HASH_LEN);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such token");
    if (status != MESHPING_OK)
        return status;
    read_token(row, out);
    sqlite3_reset(row);
    return MESHPING_OK;
}

meshping_status meshping_store_tokens(meshping_store *store, uint64_t user_id, meshping_token_record **records,
                                      size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err, "SELECT " TOKEN_COLUMNS " WHERE t.user_id = ?1 OR ?1 = 0 ORDER BY t.id DESC", "i",
        (int64_t)user_id);
    return meshping__sql_rows(&store->sql, status, row, read_token, sizeof **records, (void **)records, count, err);
}

meshping_status meshping_store_token_delete(meshping_store *store, uint64_t id, uint64_t user_id, meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(&store->sql, err, "DELETE FROM tokens WHERE id = ?1 AND (user_id = ?2 OR ?2 = 0)", "ii",
                          (int64_t)id, (int64_t)user_id);
    if (status == MESHPING_OK && meshping__sql_changes(&store->sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such token");
    return status;
}

meshping_status meshping_store_token_used(meshping_store *store, uint64_t id, int64_t used_ms, meshping_error *err)
{
    return meshping__sql_run(&store->sql, err, "UPDATE tokens SET used_ms = ?2 WHERE id = ?1", "ii", (int64_t)id,
                             used_ms);
}

meshping_status meshping_store_credentials_expire(meshping_store *store, int64_t expired_ms, meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(&store->sql, err, "DELETE FROM links WHERE expires_ms < ?1", "i", expired_ms);
    if (status == MESHPING_OK)
        status = meshping__sql_run(&store->sql, err, "DELETE FROM tokens WHERE expires_ms < ?1", "i", expired_ms);
    return status;
}
