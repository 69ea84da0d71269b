/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sql.h"

#include "base/alloc.h"
#include "store/lazy.h"
#include <meshping/utf8.h>
#include <stdarg.h>
#include <string.h>

#define BUSY_TIMEOUT_MS 10000

meshping_status meshping__no_memory(meshping_error *err)
{
    return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
}

meshping_status meshping__sql_error(meshping__sql *sql, int rc, meshping_error *err)
{
    const char *what = sql->db ? sqlite3_errmsg(sql->db) : sqlite3_errstr(rc);
    int sys_errno = sql->db ? sqlite3_system_errno(sql->db) : 0;
    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return meshping__no_memory(err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return meshping_error_set(err, MESHPING_BUSY, "%s: another program holds a lock on it: %s", sql->path, what);
    case SQLITE_FULL:
        return meshping_error_set(err, MESHPING_IO, "%s: no space left: free some on its file system", sql->path);
    case SQLITE_CORRUPT:
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: the database is damaged: %s", sql->path, what);
    case SQLITE_NOTADB:
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: not a database", sql->path);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return meshping_error_set(err, MESHPING_PERMISSION, "%s: may not be written: %s", sql->path, what);
    case SQLITE_CONSTRAINT:
        return meshping_error_set(err, MESHPING_EXISTS, "%s", what);
    case SQLITE_TOOBIG:
        return meshping_error_set(err, MESHPING_LIMIT, "%s: %s", sql->path, what);
    case SQLITE_MISUSE:
        return meshping_error_set(err, MESHPING_STATE, "%s: %s", sql->path, what);
    default:
        if (sys_errno)
            return meshping_error_set_errno(err, MESHPING_IO, sys_errno, "%s: %s", sql->path, what);
        return meshping_error_set(err, MESHPING_IO, "%s: %s", sql->path, what);
    }
}

meshping_status meshping__sql_open(meshping__sql *sql, const char *path, bool read_only, meshping_error *err)
{
    int flags = SQLITE_OPEN_NOMUTEX | (read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    *sql = (meshping__sql){.path = path, .unsure = SIZE_MAX};
    int rc = sqlite3_open_v2(path, &sql->db, flags, NULL);
    if (rc == SQLITE_OK && read_only)
        rc = meshping__sql_open_frozen(&sql->db, path, flags);
    if (rc != SQLITE_OK) {
        meshping_status status = meshping__sql_error(sql, rc, err);
        sqlite3_close(sql->db);
        sql->db = NULL;
        return status;
    }
    sqlite3_extended_result_codes(sql->db, 1);
    sqlite3_busy_timeout(sql->db, BUSY_TIMEOUT_MS);
    /* The file may be somebody else's work: its schema must not be able to call anything. */
    sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(sql->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return MESHPING_OK;
}

void meshping__sql_close(meshping__sql *sql)
{
    for (size_t i = 0; i < sql->count; i++)
        sqlite3_finalize(sql->cache[i].statement);
    sqlite3_finalize(sql->rollback);
    meshping__lazy_dispose(sql);
    sqlite3_close(sql->db);
    *sql = (meshping__sql){0};
}

meshping_status meshping__sql_exec(meshping__sql *sql, const char *text, meshping_error *err)
{
    int rc = sqlite3_exec(sql->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? MESHPING_OK : meshping__sql_error(sql, rc, err);
}

static void forget(meshping__sql *sql, size_t i)
{
    sqlite3_finalize(sql->cache[i].statement);
    sql->count--;
    memmove(&sql->cache[i], &sql->cache[i + 1], (sql->count - i) * sizeof sql->cache[i]);
    if (sql->unsure != SIZE_MAX && sql->unsure > i)
        sql->unsure--;
}

static meshping_status prepare(meshping__sql *sql, sqlite3_stmt **statement, const char *text, meshping_error *err)
{
    bool stand_in = false;
    *statement = NULL;
    for (size_t i = 0; i < sql->count; i++)
        if (sql->cache[i].text == text && !sql->cache[i].stand_in) {
            *statement = sql->cache[i].statement;
            return MESHPING_OK;
        } else if (sql->cache[i].text == text) {
            forget(sql, i);
            break;
        }
    if (sql->count == MESHPING__SQL_STATEMENTS_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "more than %d kinds of statement", MESHPING__SQL_STATEMENTS_MAX);
    int rc = sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (rc == SQLITE_ERROR)
        rc = meshping__lazy_prepare(sql, text, statement, &stand_in);
    if (rc != SQLITE_OK)
        return meshping__sql_error(sql, rc, err);
    sql->cache[sql->count].text = text;
    sql->cache[sql->count].stand_in = stand_in;
    sql->cache[sql->count++].statement = *statement;
    return MESHPING_OK;
}

/* A NULL blob would bind a null where an empty one is meant. */
static int bind_blob(sqlite3_stmt *statement, int column, const void *bytes, size_t length)
{
    return sqlite3_bind_blob64(statement, column, bytes ? bytes : "", length, SQLITE_STATIC);
}

static int bind_all(sqlite3_stmt *statement, const char *format, va_list args)
{
    int rc = SQLITE_OK;
    for (int column = 1; rc == SQLITE_OK && *format; format++, column++) {
        if (*format == 'i') {
            rc = sqlite3_bind_int64(statement, column, va_arg(args, int64_t));
        } else if (*format == 't') {
            rc = sqlite3_bind_text(statement, column, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
        } else {
            const void *bytes = va_arg(args, const void *);
            rc = bind_blob(statement, column, bytes, va_arg(args, size_t));
        }
    }
    return rc;
}

static meshping_status query(meshping__sql *sql, sqlite3_stmt **statement, meshping_error *err, const char *text,
                             const char *format, va_list args)
{
    meshping_status status = prepare(sql, statement, text, err);
    if (status != MESHPING_OK)
        return status;
    sqlite3_reset(*statement);
    sqlite3_clear_bindings(*statement);
    int rc = bind_all(*statement, format, args);
    return rc == SQLITE_OK ? MESHPING_OK : meshping__sql_error(sql, rc, err);
}

meshping_status meshping__sql_query(meshping__sql *sql, sqlite3_stmt **statement, meshping_error *err, const char *text,
                                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    meshping_status status = query(sql, statement, err, text, format, args);
    va_end(args);
    return status;
}

meshping_status meshping__sql_step(meshping__sql *sql, sqlite3_stmt *statement, meshping_error *err)
{
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        return MESHPING_OK;
    meshping_status status = rc == SQLITE_DONE ? MESHPING_NOT_FOUND : meshping__sql_error(sql, rc, err);
    sqlite3_reset(statement); /* else it would keep its snapshot, and the WAL could not shrink */
    return status;
}

static meshping_status finish(meshping__sql *sql, sqlite3_stmt *statement, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    while (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

/* BEGIN and COMMIT: they change no row. */
static meshping_status control(meshping__sql *sql, const char *text, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(sql, &statement, err, text, "");
    return status == MESHPING_OK ? finish(sql, statement, err) : status;
}

meshping_status meshping__sql_run(meshping__sql *sql, meshping_error *err, const char *text, const char *format, ...)
{
    sqlite3_stmt *statement;
    va_list args;
    va_start(args, format);
    meshping_status status = query(sql, &statement, err, text, format, args);
    va_end(args);
    if (status != MESHPING_OK)
        return status;
    bool alone = sql->audit && sqlite3_get_autocommit(sql->db) && !sqlite3_stmt_readonly(statement);
    if (alone)
        status = meshping__sql_begin(sql, err);
    if (status == MESHPING_OK) {
        status = finish(sql, statement, err);
        sql->changes = sqlite3_changes64(sql->db);
        sql->rowid = sqlite3_last_insert_rowid(sql->db);
    }
    return alone ? meshping__sql_end(sql, status, err) : status;
}

meshping_status meshping__sql_number(meshping__sql *sql, const char *text, int64_t *value, meshping_error *err)
{
    sqlite3_stmt *statement;
    *value = 0;
    meshping_status status = meshping__sql_query(sql, &statement, err, text, "");
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_OK) {
        *value = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

int64_t meshping__sql_changes(const meshping__sql *sql)
{
    return sql->changes;
}

int64_t meshping__sql_rowid(const meshping__sql *sql)
{
    return sql->rowid;
}

/*
 * Made ready before each transaction, for when there is no memory at its end: one that stays open keeps everybody else
 * out. Each: what was prepared expires when a table is made or goes again, and is prepared anew when it runs. Where
 * that was in this very transaction, and there is no memory, it stays open until the connection's next use
 * (meshping__sql_settle).
 */
static meshping_status prepare_rollback(meshping__sql *sql, meshping_error *err)
{
    sqlite3_stmt *fresh = NULL;
    int rc = sqlite3_prepare_v2(sql->db, "ROLLBACK", -1, &fresh, NULL);
    if (rc != SQLITE_OK)
        return meshping__sql_error(sql, rc, err); /* a transaction that is open still has its own */
    sqlite3_finalize(sql->rollback);
    sql->rollback = fresh;
    return MESHPING_OK;
}

static void run_rollback(meshping__sql *sql)
{
    if (sqlite3_get_autocommit(sql->db)) /* some errors roll back by themselves */
        return;
    sqlite3_step(sql->rollback);
    sqlite3_reset(sql->rollback);
}

/* Tables that were made in this transaction are gone with it, and what was prepared for them is of no use. */
static void roll_back(meshping__sql *sql)
{
    run_rollback(sql);
    while (sql->count > sql->unsure)
        forget(sql, sql->count - 1);
    sql->unsure = SIZE_MAX;
}

void meshping__sql_settle(meshping__sql *sql)
{
    if (sqlite3_txn_state(sql->db, NULL) == SQLITE_TXN_WRITE)
        roll_back(sql);
}

static meshping_status begin(meshping__sql *sql, const char *text, meshping_error *err)
{
    meshping_status status = prepare_rollback(sql, err);
    if (status != MESHPING_OK)
        return status;
    if (!sqlite3_get_autocommit(sql->db)) /* a rollback that failed */
        roll_back(sql);
    return control(sql, text, err);
}

meshping_status meshping__sql_begin(meshping__sql *sql, meshping_error *err)
{
    sql->total_before = sqlite3_total_changes64(sql->db);
    return begin(sql, "BEGIN IMMEDIATE", err);
}

meshping_status meshping__sql_begin_reading(meshping__sql *sql, meshping_error *err)
{
    return begin(sql, "BEGIN DEFERRED", err);
}

meshping_status meshping__sql_end_reading(meshping__sql *sql, meshping_status status)
{
    run_rollback(sql);
    return status;
}

meshping_status meshping__sql_end(meshping__sql *sql, meshping_status status, meshping_error *err)
{
    bool audited = sql->audit && sqlite3_total_changes64(sql->db) != sql->total_before; /* no change, no row */
    if (status == MESHPING_OK && audited)
        status = meshping__audit_insert(sql, sql->audit, err);
    if (status == MESHPING_OK)
        status = control(sql, "COMMIT", err);
    if (status == MESHPING_OK && audited)
        sql->audit = NULL;
    if (status == MESHPING_OK)
        sql->unsure = SIZE_MAX;
    else
        roll_back(sql);
    return status;
}

void meshping__sql_text(sqlite3_stmt *statement, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t length = text ? meshping_utf8_fit(text, (size_t)sqlite3_column_bytes(statement, column), size) : 0;
    if (length)
        memcpy(out, text, length);
    out[length] = 0;
}

bool meshping__sql_blob(sqlite3_stmt *statement, int column, void *out, size_t size)
{
    const void *bytes = sqlite3_column_blob(statement, column);
    if (!bytes || (size_t)sqlite3_column_bytes(statement, column) != size)
        return false;
    memcpy(out, bytes, size);
    return true;
}

bool meshping__sql_room(void **items, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 16, bytes;
    if (__builtin_mul_overflow(wanted, size, &bytes))
        return false;
    void *grown = meshping__realloc(*items, bytes);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

meshping_status meshping__sql_rows(meshping__sql *sql, meshping_status status, sqlite3_stmt *statement,
                                   meshping__sql_read_fn read, size_t size, void **items, size_t *count,
                                   meshping_error *err)
{
    size_t capacity = 0, n = 0;
    void *all = NULL;
    *items = NULL;
    *count = 0;
    while (status == MESHPING_OK && (status = meshping__sql_step(sql, statement, err)) == MESHPING_OK) {
        if (!meshping__sql_room(&all, &capacity, n, size)) {
            status = meshping__no_memory(err);
        } else {
            const char *damage = read(statement, (char *)all + n++ * size);
            if (damage)
                status = meshping_error_set(err, MESHPING_CORRUPT, "%s: %s", sql->path, damage);
        }
        if (status != MESHPING_OK)
            sqlite3_reset(statement);
    }
    if (status != MESHPING_NOT_FOUND) {
        meshping__free(all);
        return status;
    }
    *items = all;
    *count = n;
    return MESHPING_OK;
}
