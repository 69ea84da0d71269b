/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lazy.h"

#include "store/internal.h"
#include <stdio.h>
#include <string.h>

#define MISSING_MAX 8 /* in one statement */
#define NAME_MAX_LENGTH 48

static bool is_core(const char *name)
{
    static const char *const core[] = {"agents", "epochs", "blocks", "sealed", "rollups", "counters"};
    for (size_t i = 0; i < sizeof core / sizeof *core; i++)
        if (strcmp(name, core[i]) == 0)
            return true;
    return strncmp(name, "sqlite_", 7) == 0;
}

/* The whole schema of a version, in memory. */
static int open_model(sqlite3 **model, int64_t version)
{
    int rc = sqlite3_open_v2(":memory:", model, SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL);
    if (rc == SQLITE_OK)
        rc = meshping__schema_build(*model, version);
    if (rc != SQLITE_OK) {
        sqlite3_close(*model);
        *model = NULL;
    }
    return rc;
}

static int need_model(meshping__sql *sql)
{
    return sql->model ? SQLITE_OK : open_model(&sql->model, MESHPING__SCHEMA_NEWEST);
}

void meshping__lazy_dispose(meshping__sql *sql)
{
    sqlite3_close(sql->model);
    sql->model = NULL;
}

/* The table that the last error on this connection is about. */
static bool missing_table(const meshping__sql *sql, char name[NAME_MAX_LENGTH])
{
    static const char words[] = "no such table: ";
    const char *message = sqlite3_errmsg(sql->db);
    if (strncmp(message, words, sizeof words - 1) != 0)
        return false;
    message += sizeof words - 1;
    if (strncmp(message, "main.", 5) == 0)
        message += 5;
    return snprintf(name, NAME_MAX_LENGTH, "%s", message) < NAME_MAX_LENGTH && !is_core(name);
}

/* Runs a query of one text column on the model, whose argument is the table. SQLITE_ROW goes on, all else ends. */
typedef int (*row_fn)(void *user, const char *text);
static int each_row(sqlite3 *model, const char *text, const char *name, row_fn fn, void *user)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(model, text, -1, &statement, NULL);
    if (rc == SQLITE_OK && name)
        rc = sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *column = (const char *)sqlite3_column_text(statement, 0);
        rc = column ? fn(user, column) : SQLITE_NOMEM;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* ---- writing: the table is made ---- */

static int run_text(void *user, const char *text)
{
    return sqlite3_exec(user, text, NULL, NULL, NULL);
}

/* With its indexes and triggers, or not at all. */
static int create(meshping__sql *sql, sqlite3 *model, const char *name)
{
    bool own = sqlite3_get_autocommit(sql->db) != 0;
    meshping_status status = own ? meshping__sql_begin(sql, NULL) : MESHPING_OK;
    if (status != MESHPING_OK)
        return status == MESHPING_NOMEM ? SQLITE_NOMEM : sqlite3_errcode(sql->db);
    int rc = each_row(model,
                      "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 AND sql IS NOT NULL"
                      " ORDER BY type <> 'table', type",
                      name, run_text, sql->db);
    if (own && meshping__sql_end(sql, rc == SQLITE_OK ? MESHPING_OK : MESHPING_IO, NULL) != MESHPING_OK &&
        rc == SQLITE_OK)
        rc = sqlite3_errcode(sql->db);
    return rc;
}

/* ---- reading: an empty one stands in for it ---- */

static int add_column(void *user, const char *column)
{
    sqlite3_str_appendf(user, "%s%s", sqlite3_str_length(user) ? "," : "", column);
    return sqlite3_str_errcode(user);
}

/* "name(a,b) AS (SELECT NULL,NULL WHERE 0)" */
static int add_stand_in(meshping__sql *sql, sqlite3_str *front, const char *name)
{
    sqlite3_str *columns = sqlite3_str_new(sql->model);
    int rc = each_row(sql->model, "SELECT name FROM pragma_table_info(?1)", name, add_column, columns);
    int count = 1;
    char *list = sqlite3_str_finish(columns);
    if (rc == SQLITE_OK && !list)
        rc = SQLITE_ERROR; /* not ours */
    if (rc == SQLITE_OK) {
        sqlite3_str_appendf(front, "%s%s(%s) AS (SELECT NULL", sqlite3_str_length(front) ? "," : "WITH ", name, list);
        for (const char *at = list; *at; at++)
            count += *at == ',';
        for (int i = 1; i < count; i++)
            sqlite3_str_appendall(front, ",NULL");
        sqlite3_str_appendall(front, " WHERE 0)");
        rc = sqlite3_str_errcode(front);
    }
    sqlite3_free(list);
    return rc;
}

static int prepare_behind(meshping__sql *sql, sqlite3_str *front, const char *text, sqlite3_stmt **statement)
{
    char *whole = sqlite3_mprintf("%s %s", sqlite3_str_value(front), text);
    int rc = whole ? sqlite3_prepare_v3(sql->db, whole, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL) : SQLITE_NOMEM;
    sqlite3_free(whole);
    return rc;
}

int meshping__lazy_prepare(meshping__sql *sql, const char *text, sqlite3_stmt **statement, bool *stand_in)
{
    char name[NAME_MAX_LENGTH];
    bool reads = strncmp(text, "SELECT", 6) == 0;
    int rc = SQLITE_ERROR;
    *stand_in = reads;
    if (!missing_table(sql, name))
        return rc;
    sqlite3_str *front = sqlite3_str_new(sql->db);
    for (int i = 0; i < MISSING_MAX && rc == SQLITE_ERROR && missing_table(sql, name); i++) {
        rc = need_model(sql);
        if (rc == SQLITE_OK && reads)
            rc = add_stand_in(sql, front, name);
        else if (rc == SQLITE_OK && (rc = create(sql, sql->model, name)) == SQLITE_ERROR)
            rc = SQLITE_OK; /* another connection was faster; if it is anything else, the statement will tell */
        if (rc != SQLITE_OK)
            break;
        if (!reads && sql->unsure > sql->count)
            sql->unsure = sql->count;
        rc = reads ? prepare_behind(sql, front, text, statement)
                   : sqlite3_prepare_v3(sql->db, text, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    }
    sqlite3_free(sqlite3_str_finish(front));
    return rc;
}

/* ---- all of them ---- */

typedef struct visit {
    meshping__sql *sql;
    sqlite3 *model;
} visit;

static bool exists(const meshping__sql *sql, const char *name)
{
    return sqlite3_table_column_metadata(sql->db, "main", name, NULL, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

static int complete_one(void *user, const char *name)
{
    const visit *v = user;
    return is_core(name) || exists(v->sql, name) ? SQLITE_OK : create(v->sql, v->model, name);
}

static int one_number(sqlite3 *db, char *text, int64_t *value)
{
    sqlite3_stmt *statement = NULL;
    int rc = text ? sqlite3_prepare_v2(db, text, -1, &statement, NULL) : SQLITE_NOMEM;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_free(text);
    return rc == SQLITE_ROW ? SQLITE_OK : rc;
}

/* One that had rows stays: its ids are never given twice. */
static int trim_one(void *user, const char *name)
{
    const visit *v = user;
    int64_t used = 1;
    if (is_core(name) || !exists(v->sql, name))
        return SQLITE_OK;
    int rc = one_number(v->sql->db,
                        sqlite3_mprintf("SELECT EXISTS(SELECT 1 FROM %s) OR EXISTS(SELECT 1 FROM sqlite_sequence"
                                        " WHERE name = '%s' AND seq > 0)",
                                        name, name),
                        &used);
    if (rc != SQLITE_OK || used)
        return rc;
    char *drop = sqlite3_mprintf("DROP TABLE %s", name);
    rc = drop ? sqlite3_exec(v->sql->db, drop, NULL, NULL, NULL) : SQLITE_NOMEM;
    sqlite3_free(drop);
    return rc;
}

static meshping_status each_table(meshping__sql *sql, int64_t version, row_fn fn, meshping_error *err)
{
    visit v = {.sql = sql};
    int rc = open_model(&v.model, version);
    if (rc == SQLITE_OK)
        rc = each_row(v.model, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rootpage", NULL, fn, &v);
    sqlite3_close(v.model);
    return rc == SQLITE_OK ? MESHPING_OK : meshping__sql_error(sql, rc, err);
}

meshping_status meshping__lazy_complete(meshping__sql *sql, int64_t version, meshping_error *err)
{
    return each_table(sql, version, complete_one, err);
}

meshping_status meshping__lazy_trim(meshping__sql *sql, meshping_error *err)
{
    return each_table(sql, MESHPING__SCHEMA_NEWEST, trim_one, err);
}
