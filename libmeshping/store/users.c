/* SPDX-License-Identifier: Apache-2.0 */
/* Users, their web sessions, and one-time links. */
#include "store/internal.h"

#include "base/alloc.h"
#include <meshping/people.h>
#include <string.h>

/* ---- roles ---- */

static const char *const role_names[] = {"", "viewer", "operator", "admin"};

const char *meshping_role_name(meshping_role role)
{
    return role >= MESHPING_ROLE_VIEWER && role <= MESHPING_ROLE_ADMIN ? role_names[role] : "";
}

meshping_status meshping_role_parse(meshping_role *out, const char *name)
{
    *out = MESHPING_ROLE_NONE;
    for (int role = MESHPING_ROLE_VIEWER; role <= MESHPING_ROLE_ADMIN; role++)
        if (strcmp(name, role_names[role]) == 0) {
            *out = (meshping_role)role;
            return MESHPING_OK;
        }
    return MESHPING_INVALID;
}

/* ---- users ---- */

#define USER_COLUMNS "id, name, password, role, email, disabled, created_ms, signed_in_ms"

meshping_status meshping_store_user_count(meshping_store *store, size_t *count, meshping_error *err)
{
    int64_t n;
    meshping_status status = meshping__sql_number(&store->sql, "SELECT count(*) FROM users", &n, err);
    *count = (size_t)n;
    return status;
}

static const char *read_user(sqlite3_stmt *row, void *item)
{
    meshping_user_record *out = item;
    char role[16];
    *out = (meshping_user_record){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .disabled = sqlite3_column_int(row, 5) != 0,
        .created_ms = sqlite3_column_int64(row, 6),
        .signed_in_ms = sqlite3_column_int64(row, 7),
    };
    meshping__sql_text(row, 1, out->name, sizeof out->name);
    meshping__sql_text(row, 2, out->password, sizeof out->password);
    meshping__sql_text(row, 3, role, sizeof role);
    meshping__sql_text(row, 4, out->email, sizeof out->email);
    meshping_role_parse(&out->role, role); /* what this program does not know may nothing */
    return NULL;
}

meshping_status meshping_store_users(meshping_store *store, meshping_user_record **records, size_t *count,
                                     meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status =
        meshping__sql_query(&store->sql, &row, err, "SELECT " USER_COLUMNS " FROM users ORDER BY name", "");
    return meshping__sql_rows(&store->sql, status, row, read_user, sizeof **records, (void **)records, count, err);
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
    read_user(row, out);
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

/* How many can sign in and administrate. */
static meshping_status count_admins(meshping__sql *sql, int64_t *count, meshping_error *err)
{
    return meshping__sql_number(
        sql, "SELECT count(*) FROM users WHERE role = 'admin' AND disabled = 0 AND password <> ''", count, err);
}

static meshping_status insert_user(meshping__sql *sql, meshping_user_record *user, meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(sql, err,
                          "INSERT INTO users(name, password, role, email, disabled, created_ms, signed_in_ms)"
                          " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                          "ttttiii", user->name, user->password, meshping_role_name(user->role), user->email,
                          (int64_t)user->disabled, user->created_ms, user->signed_in_ms);
    if (status == MESHPING_OK)
        user->id = (uint64_t)meshping__sql_rowid(sql);
    return status;
}

static meshping_status update_user(meshping__sql *sql, const meshping_user_record *user, meshping_error *err)
{
    int64_t before = 0, after = 0;
    meshping_status status = count_admins(sql, &before, err);
    if (status == MESHPING_OK) /* a link may be on its way to the address that is his no more */
        status = meshping__sql_run(sql, err,
                                   "DELETE FROM links WHERE user_id = ?1"
                                   " AND EXISTS(SELECT 1 FROM users WHERE id = ?1 AND email <> ?2)",
                                   "it", (int64_t)user->id, user->email);
    if (status != MESHPING_OK)
        return status;
    status =
        meshping__sql_run(sql, err,
                          "UPDATE users SET name = ?2, password = ?3, role = ?4, email = ?5, disabled = ?6,"
                          " created_ms = ?7, signed_in_ms = ?8 WHERE id = ?1",
                          "ittttiii", (int64_t)user->id, user->name, user->password, meshping_role_name(user->role),
                          user->email, (int64_t)user->disabled, user->created_ms, user->signed_in_ms);
    if (status != MESHPING_OK)
        return status;
    if (meshping__sql_changes(sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such user");
    status = count_admins(sql, &after, err);
    if (status == MESHPING_OK && before > 0 && after == 0)
        return meshping_error_set(err, MESHPING_STATE, "%s is the last administrator: make another one first",
                                  user->name);
    return status;
}

static meshping_status end_all(meshping__sql *sql, uint64_t user_id, meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(sql, err, "DELETE FROM web_sessions WHERE user_id = ?1", "i", (int64_t)user_id);
    if (status == MESHPING_OK)
        status = meshping__sql_run(sql, err, "DELETE FROM links WHERE user_id = ?1", "i", (int64_t)user_id);
    return status;
}

meshping_status meshping_store_user_save(meshping_store *store, meshping_user_record *user, bool end_sessions,
                                         meshping_error *err)
{
    bool is_new = user->id == 0;
    if (!*user->name)
        return meshping_error_set(err, MESHPING_INVALID, "a user needs a name");
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = is_new ? insert_user(&store->sql, user, err) : update_user(&store->sql, user, err);
    if (status == MESHPING_EXISTS)
        status = meshping_error_set(err, MESHPING_EXISTS, "there is a user %s already", user->name);
    if (status == MESHPING_OK && end_sessions)
        status = end_all(&store->sql, user->id, err);
    status = meshping__sql_end(&store->sql, status, err);
    if (status != MESHPING_OK && is_new)
        user->id = 0;
    return status;
}

/* ---- web sessions ---- */

#define SESSION_COLUMNS "token_hash, user_id, csrf, created_ms, last_used_ms, confirmed_ms, address, agent"

meshping_status meshping_store_web_session_save(meshping_store *store, const meshping_web_session_record *session,
                                                meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(&store->sql, err,
                          "INSERT INTO web_sessions(" SESSION_COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
                          " ON CONFLICT(token_hash) DO UPDATE SET user_id = excluded.user_id, csrf = excluded.csrf,"
                          " created_ms = excluded.created_ms, last_used_ms = excluded.last_used_ms,"
                          " confirmed_ms = excluded.confirmed_ms, address = excluded.address, agent = excluded.agent",
                          "bitiiitt", (const void *)session->token_hash, sizeof session->token_hash,
                          (int64_t)session->user_id, session->csrf, session->created_ms, session->last_used_ms,
                          session->confirmed_ms, session->address, session->agent);
    if (status == MESHPING_EXISTS) /* the foreign key: nothing else can conflict */
        return meshping_error_set(err, MESHPING_NOT_FOUND, "the session's user does not exist");
    return status;
}

meshping_status meshping_store_web_session_used(meshping_store *store,
                                                const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN], int64_t last_used_ms,
                                                meshping_error *err)
{
    const meshping_audit_record *waiting = store->sql.audit;
    store->sql.audit = NULL;
    meshping_status status =
        meshping__sql_run(&store->sql, err, "UPDATE web_sessions SET last_used_ms = ?2 WHERE token_hash = ?1", "bi",
                          (const void *)token_hash, (size_t)MESHPING_TOKEN_HASH_LEN, last_used_ms);
    store->sql.audit = waiting;
    if (status == MESHPING_OK && meshping__sql_changes(&store->sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "there is no such session");
    return status;
}

static const char *read_session(sqlite3_stmt *row, void *item)
{
    meshping_web_session_record *out = item;
    *out = (meshping_web_session_record){
        .user_id = (uint64_t)sqlite3_column_int64(row, 1),
        .created_ms = sqlite3_column_int64(row, 3),
        .last_used_ms = sqlite3_column_int64(row, 4),
        .confirmed_ms = sqlite3_column_int64(row, 5),
    };
    meshping__sql_blob(row, 0, out->token_hash, sizeof out->token_hash);
    meshping__sql_text(row, 2, out->csrf, sizeof out->csrf);
    meshping__sql_text(row, 6, out->address, sizeof out->address);
    meshping__sql_text(row, 7, out->agent, sizeof out->agent);
    return NULL;
}

meshping_status meshping_store_web_session(meshping_store *store, const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                           meshping_web_session_record *out, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status = meshping__sql_query(&store->sql, &row, err,
                                                 "SELECT " SESSION_COLUMNS " FROM web_sessions WHERE token_hash = ?1",
                                                 "b", (const void *)token_hash, (size_t)MESHPING_TOKEN_HASH_LEN);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such session");
    if (status != MESHPING_OK)
        return status;
    read_session(row, out);
    sqlite3_reset(row);
    return MESHPING_OK;
}

meshping_status meshping_store_web_sessions(meshping_store *store, uint64_t user_id,
                                            meshping_web_session_record **records, size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT " SESSION_COLUMNS " FROM web_sessions WHERE user_id = ?1 ORDER BY last_used_ms DESC, token_hash", "i",
        (int64_t)user_id);
    return meshping__sql_rows(&store->sql, status, row, read_session, sizeof **records, (void **)records, count, err);
}

meshping_status meshping_store_web_session_delete(meshping_store *store,
                                                  const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                                  meshping_error *err)
{
    meshping_status status = meshping__sql_run(&store->sql, err, "DELETE FROM web_sessions WHERE token_hash = ?1", "b",
                                               (const void *)token_hash, (size_t)MESHPING_TOKEN_HASH_LEN);
    if (status == MESHPING_OK && meshping__sql_changes(&store->sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such session");
    return status;
}

meshping_status meshping_store_web_sessions_delete(meshping_store *store, uint64_t user_id, const uint8_t *except,
                                                   meshping_error *err)
{
    return meshping__sql_run(&store->sql, err, "DELETE FROM web_sessions WHERE user_id = ?1 AND token_hash <> ?2", "ib",
                             (int64_t)user_id, (const void *)except, (size_t)(except ? MESHPING_TOKEN_HASH_LEN : 0));
}

meshping_status meshping_store_web_sessions_expire(meshping_store *store, int64_t created_ms, int64_t used_ms,
                                                   meshping_error *err)
{
    return meshping__sql_run(&store->sql, err, "DELETE FROM web_sessions WHERE created_ms < ?1 OR last_used_ms < ?2",
                             "ii", created_ms, used_ms);
}

/* ---- one-time links ---- */

meshping_status meshping_store_link_add(meshping_store *store, const meshping_link_record *link, meshping_error *err)
{
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping__sql_run(&store->sql, err, "DELETE FROM links WHERE user_id = ?1", "i", (int64_t)link->user_id);
    if (status == MESHPING_OK)
        status = meshping__sql_run(
            &store->sql, err, "INSERT INTO links(token_hash, user_id, created_ms, expires_ms) VALUES(?1, ?2, ?3, ?4)",
            "biii", (const void *)link->token_hash, sizeof link->token_hash, (int64_t)link->user_id, link->created_ms,
            link->expires_ms);
    if (status == MESHPING_EXISTS) /* the foreign key */
        status = meshping_error_set(err, MESHPING_NOT_FOUND, "no such user");
    return meshping__sql_end(&store->sql, status, err);
}

meshping_status meshping_store_link(meshping_store *store, const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                    int64_t now_ms, meshping_link_record *out, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT user_id, created_ms, expires_ms FROM links WHERE token_hash = ?1 AND expires_ms > ?2", "bi",
        (const void *)token_hash, (size_t)MESHPING_TOKEN_HASH_LEN, now_ms);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "the link was used, has expired, or never was one");
    if (status != MESHPING_OK)
        return status;
    *out = (meshping_link_record){
        .user_id = (uint64_t)sqlite3_column_int64(row, 0),
        .created_ms = sqlite3_column_int64(row, 1),
        .expires_ms = sqlite3_column_int64(row, 2),
    };
    memcpy(out->token_hash, token_hash, sizeof out->token_hash);
    sqlite3_reset(row);
    return MESHPING_OK;
}

meshping_status meshping_store_link_use(meshping_store *store, const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                        int64_t now_ms, const char *password, meshping_user_record *user,
                                        meshping_error *err)
{
    meshping_link_record link;
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping_store_link(store, token_hash, now_ms, &link, err);
    if (status == MESHPING_OK)
        status = meshping_store_user_by_id(store, link.user_id, user, err);
    if (status == MESHPING_OK && user->disabled)
        status = meshping_error_set(err, MESHPING_STATE, "this user is disabled");
    if (status == MESHPING_OK)
        status = meshping__sql_run(&store->sql, err, "UPDATE users SET password = ?2 WHERE id = ?1", "it",
                                   (int64_t)user->id, password);
    if (status == MESHPING_OK)
        status = end_all(&store->sql, user->id, err);
    return meshping__sql_end(&store->sql, status, err);
}
