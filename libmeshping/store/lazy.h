/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables that come with their first row: an empty one takes a page, one more for each index, and its text; together as
 * much as a day of ten pairs. Only those that samples need are always there. Who reads one that is missing finds it
 * empty; who writes to it makes it, in the same transaction. What they look like says schema.c, in a database in
 * memory.
 */
#ifndef MESHPING_STORE_LAZY_H
#define MESHPING_STORE_LAZY_H

#include "store/sql.h"

/*
 * After sqlite3_prepare_v3 failed for want of a table: prepares all the same. *stand_in: what is missing is empty in
 * this statement, whatever comes later. Returns SQLite's code.
 */
int meshping__lazy_prepare(meshping__sql *sql, const char *text, sqlite3_stmt **statement, bool *stand_in);
/* Makes what is missing of a schema's version, so that a migration finds it. Inside a transaction. */
meshping_status meshping__lazy_complete(meshping__sql *sql, int64_t version, meshping_error *err);
/* Drops the tables that never had a row. Inside a transaction; foreign keys are checked by the caller's choice. */
meshping_status meshping__lazy_trim(meshping__sql *sql, meshping_error *err);
void meshping__lazy_dispose(meshping__sql *sql);

#endif
