/* SPDX-License-Identifier: Apache-2.0 */
/* One SQLite connection with its prepared statements; all use of sqlite3.h's calls that can fail goes through here. */
#ifndef MESHPING_STORE_SQL_H
#define MESHPING_STORE_SQL_H

#include <meshping/common.h>
#include <sqlite3.h>

#define MESHPING__SQL_STATEMENTS_MAX 192

typedef struct meshping__sql {
    sqlite3 *db;
    const char *path; /* for messages; the store's */
    struct {
        const char *text; /* a literal: found again by its address */
        sqlite3_stmt *statement;
        bool stand_in; /* lazy.h: to be prepared anew the next time */
    } cache[MESHPING__SQL_STATEMENTS_MAX];
    size_t count;
    size_t unsure;          /* statements from here on use a table that was made in the transaction that is open */
    sqlite3_stmt *rollback; /* of the transaction that is open */
    sqlite3 *model;         /* lazy.c */
    const struct meshping_audit_record *audit; /* goes into the next transaction that changes something; audit.c */
    int64_t changes, rowid;                    /* of the last meshping__sql_run */
    int64_t total_before;                      /* sqlite3_total_changes64 when the transaction began */
} meshping__sql;

meshping_status meshping__sql_open(meshping__sql *sql, const char *path, bool read_only, meshping_error *err);
/* frozen.c: opens *db, which is open for reading, anew where it can be read in no other way. */
int meshping__sql_open_frozen(sqlite3 **db, const char *path, int flags);
void meshping__sql_close(meshping__sql *sql);
meshping_status meshping__no_memory(meshping_error *err);
/* What SQLite's last result code (`rc`) on this connection means, with the path and SQLite's words. */
meshping_status meshping__sql_error(meshping__sql *sql, int rc, meshping_error *err);
/* Runs constant SQL without arguments (pragmas, schema). */
meshping_status meshping__sql_exec(meshping__sql *sql, const char *text, meshping_error *err);
/* The first column of the first row; 0 when there is none. */
meshping_status meshping__sql_number(meshping__sql *sql, const char *text, int64_t *value, meshping_error *err);

/*
 * Prepares `text` (a string literal, kept for the connection's life) and binds the arguments that `format` names:
 * i int64_t, t const char * (NULL: null), b const void * and size_t.
 */
meshping_status meshping__sql_query(meshping__sql *sql, sqlite3_stmt **statement, meshping_error *err, const char *text,
                                    const char *format, ...);
/* MESHPING_OK: a row. NOT_FOUND (*err untouched): no more rows; the statement is reset then, and after an error. */
meshping_status meshping__sql_step(meshping__sql *sql, sqlite3_stmt *statement, meshping_error *err);
/* One row of a query as an item of an array; NULL, or what is wrong with the row. */
typedef const char *(*meshping__sql_read_fn)(sqlite3_stmt *row, void *item);
/*
 * All rows of a query (`status`: of meshping__sql_query) as an array of items of `size` bytes. *items is the caller's
 * (meshping__free), NULL when there are none and on errors. CORRUPT also: `read` found a row damaged.
 */
meshping_status meshping__sql_rows(meshping__sql *sql, meshping_status status, sqlite3_stmt *statement,
                                   meshping__sql_read_fn read, size_t size, void **items, size_t *count,
                                   meshping_error *err);

/*
 * Query and run to the end. EXISTS: a unique value is there already. A change outside of a transaction becomes one when
 * an audit row waits for it.
 */
meshping_status meshping__sql_run(meshping__sql *sql, meshping_error *err, const char *text, const char *format, ...);
/* Rows that the last meshping__sql_run changed, and the id of the row that it inserted. */
int64_t meshping__sql_changes(const meshping__sql *sql);
int64_t meshping__sql_rowid(const meshping__sql *sql);

/* BEGIN IMMEDIATE; what is read inside stays true until the end. */
meshping_status meshping__sql_begin(meshping__sql *sql, meshping_error *err);
/* BEGIN for reading only: all until the end is of one moment. */
meshping_status meshping__sql_begin_reading(meshping__sql *sql, meshping_error *err);
/* Its end; returns status. A COMMIT would fail where a damaged page was met, though nothing is written. */
meshping_status meshping__sql_end_reading(meshping__sql *sql, meshping_status status);
/* COMMIT (with a waiting audit row) when status is OK, else ROLLBACK; returns status, or why the commit failed (rolled
 * back then). */
meshping_status meshping__sql_end(meshping__sql *sql, meshping_status status, meshping_error *err);

/* Between two calls no transaction that writes is open, but for one that could not be rolled back: without memory. */
void meshping__sql_settle(meshping__sql *sql);

/* audit.c */
meshping_status meshping__audit_insert(meshping__sql *sql, const struct meshping_audit_record *record,
                                       meshping_error *err);

/* Column as text, cut to fit; null gives "". */
void meshping__sql_text(sqlite3_stmt *statement, int column, char *out, size_t size);
/* Column as a blob of exactly `size` bytes; false when it is of another length. */
bool meshping__sql_blob(sqlite3_stmt *statement, int column, void *out, size_t size);

/*
 * Grows an array that rows are read into: room for one more of `size` bytes, *capacity kept by the caller from 0.
 * false: no memory, *items is as it was.
 */
bool meshping__sql_room(void **items, size_t *capacity, size_t count, size_t size);

#endif
