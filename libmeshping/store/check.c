/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a database through and tells what is wrong with it: meshping/maintain.h. */
#include "store/maintain.h"

#include "base/alloc.h"
#include "core/block.h"
#include "core/rollup_hours.h"
#include <inttypes.h>
#include <meshping/block.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ROWS_A_STATEMENT 500 /* so that no statement holds its snapshot for long: the server's log could not shrink */
#define PAGE_FINDINGS "100"  /* of PRAGMA integrity_check, which are many once a page is bad */

typedef struct checker {
    meshping__sql sql;
    meshping__watching watching;
    meshping_store_checked *out;
    bool quick;
    meshping_sample *samples;
    size_t capacity;
} checker;

MESHPING_PRINTF(2, 3) static void found(checker *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    c->out->findings++;
    if (c->watching.watch && c->watching.watch->finding)
        c->watching.watch->finding(c->watching.watch->user, text);
}

/* "2026-01-31 23:59:58" in UTC. */
static const char *time_text(char text[32], int64_t unix_us)
{
    struct tm tm;
    time_t seconds = (time_t)(unix_us / 1000000);
    if (unix_us < -MESHPING__SLOT_US_MAX || unix_us > MESHPING__SLOT_US_MAX || !gmtime_r(&seconds, &tm) ||
        !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(text, 32, "%" PRId64 " us", unix_us);
    return text;
}

/* A table that SQLite cannot read on: what could be read was, the rest is lost. */
static meshping_status table_status(checker *c, const char *table, int64_t id, meshping_status status,
                                    const meshping_error *why, meshping_error *err)
{
    if (c->watching.stopped)
        return meshping_error_set(err, MESHPING_STATE, "ended early");
    if (status == MESHPING_NOT_FOUND)
        return MESHPING_OK;
    if (status == MESHPING_CORRUPT) {
        found(c, "table %s cannot be read beyond row %" PRId64 ": %s; what lies there is lost unless a backup has it",
              table, id, why->message);
        return MESHPING_OK;
    }
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "%s", why->message);
}

/* ---- pages, and references between tables ---- */

static meshping_status check_pages(checker *c, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping__watch_stage(&c->watching, "pages", 0);
    meshping_status status =
        meshping__sql_query(&c->sql, &statement, &why, "PRAGMA integrity_check(" PAGE_FINDINGS ")", "");
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        char text[300];
        meshping__sql_text(statement, 0, text, sizeof text);
        if (strcmp(text, "ok") != 0)
            found(c, "the file's pages: %s", text);
    }
    return table_status(c, "sqlite_schema", 0, status, &why, err);
}

static meshping_status check_references(checker *c, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping__watch_stage(&c->watching, "references", 0);
    meshping_status status = meshping__sql_query(&c->sql, &statement, &why, "PRAGMA foreign_key_check", "");
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        char table[64], parent[64];
        meshping__sql_text(statement, 0, table, sizeof table);
        meshping__sql_text(statement, 2, parent, sizeof parent);
        found(c, "table %s, row %" PRId64 ": belongs to no row of %s: nobody will find it", table,
              (int64_t)sqlite3_column_int64(statement, 1), parent);
    }
    return table_status(c, "sqlite_schema", 0, status, &why, err);
}

/* ---- blocks ---- */

/* A row of blocks or sealed: id, agent_id, first_us, last_us, sample_count, bytes. */
typedef struct block_row {
    const char *table;
    int64_t id, first_us, last_us, sample_count;
    uint64_t agent_id, first_target, last_target;
} block_row;

static meshping_status read_samples(checker *c, const meshping_block_reader *reader, size_t i, uint32_t count,
                                    meshping_error *why)
{
    size_t got;
    if (count > c->capacity) {
        meshping_sample *grown = meshping__realloc(c->samples, count * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        c->samples = grown;
        c->capacity = count;
    }
    return meshping_block_reader_samples(reader, i, c->samples, c->capacity, &got, why);
}

/* CORRUPT: `why` has the reason. */
static meshping_status check_bytes(checker *c, const block_row *row, const uint8_t *bytes, size_t length,
                                   meshping_error *why)
{
    meshping_block_reader *reader = NULL;
    meshping_block_entry entry = {0};
    int64_t first_us = INT64_MAX, last_us = INT64_MIN, samples = 0;
    meshping_status status = meshping_block_reader_new(&reader, bytes, length, why);
    size_t targets = status == MESHPING_OK ? meshping_block_reader_target_count(reader) : 0;
    for (size_t i = 0; status == MESHPING_OK && i < targets; i++) {
        meshping_block_reader_entry(reader, i, &entry);
        first_us = entry.first_unix_us < first_us ? entry.first_unix_us : first_us;
        last_us = entry.last_unix_us > last_us ? entry.last_unix_us : last_us;
        samples += entry.sample_count;
        if (entry.target_id < row->first_target || entry.target_id > row->last_target)
            status = meshping_error_set(why, MESHPING_CORRUPT, "target %" PRIu64 " is outside of what its row says",
                                        entry.target_id);
        if (status == MESHPING_OK && !c->quick)
            status = read_samples(c, reader, i, entry.sample_count, why);
    }
    meshping_block_reader_free(reader);
    if (status == MESHPING_OK && (first_us != row->first_us || last_us != row->last_us || samples != row->sample_count))
        status = meshping_error_set(why, MESHPING_CORRUPT,
                                    "its times or its %" PRId64 " samples are not what its row"
                                    " says",
                                    samples);
    if (status == MESHPING_OK)
        c->out->samples += (uint64_t)samples;
    return status == MESHPING_LIMIT ? MESHPING_CORRUPT : status;
}

static meshping_status check_block(checker *c, const block_row *row, sqlite3_stmt *statement, int column,
                                   meshping_error *err)
{
    char from[32], to[32];
    meshping_error why = {0};
    meshping_status status = check_bytes(c, row, sqlite3_column_blob(statement, column),
                                         (size_t)sqlite3_column_bytes(statement, column), &why);
    if (status == MESHPING_NOMEM)
        return meshping__no_memory(err);
    if (status != MESHPING_OK)
        found(c,
              "table %s, block %" PRId64 " is damaged: %s; up to %" PRId64 " samples of agent %016" PRIx64
              " from %s to %s UTC cannot be read",
              row->table, row->id, why.message, row->sample_count, row->agent_id, time_text(from, row->first_us),
              time_text(to, row->last_us));
    return MESHPING_OK;
}

/* Whether the epoch's received ranges have these sequences; false with a finding. */
static void check_received(checker *c, sqlite3_stmt *statement, int column, const char *what, uint64_t agent_id,
                           uint64_t first, uint64_t last)
{
    meshping__ranges ranges = {0};
    bool sound = sqlite3_column_type(statement, column) != SQLITE_NULL &&
                 meshping__ranges_decode(&ranges, sqlite3_column_blob(statement, column),
                                         (size_t)sqlite3_column_bytes(statement, column));
    if (sound && meshping__ranges_have(&ranges, first, last))
        return;
    found(c,
          "%s %" PRIu64 " to %" PRIu64 " of agent %016" PRIx64 " is stored, but its received ranges %s: "
          "the agent may send it again",
          what, first, last, agent_id, sound ? "lack it" : "are damaged or missing");
}

static meshping_status check_journal_some(checker *c, int64_t *id, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping_status status = meshping__sql_query(
        &c->sql, &statement, &why,
        "SELECT b.id, b.agent_id, b.first_us, b.last_us, b.sample_count, b.bytes, b.sequence, e.ranges FROM blocks b"
        " LEFT JOIN epochs e ON e.agent_id = b.agent_id AND e.epoch = b.epoch WHERE b.id > ?1 ORDER BY b.id LIMIT ?2",
        "ii", *id, (int64_t)ROWS_A_STATEMENT);
    uint64_t before = c->out->journal_blocks;
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        block_row row = {.table = "blocks",
                         .id = sqlite3_column_int64(statement, 0),
                         .agent_id = (uint64_t)sqlite3_column_int64(statement, 1),
                         .first_us = sqlite3_column_int64(statement, 2),
                         .last_us = sqlite3_column_int64(statement, 3),
                         .sample_count = sqlite3_column_int64(statement, 4),
                         .last_target = UINT64_MAX};
        uint64_t sequence = (uint64_t)sqlite3_column_int64(statement, 6);
        *id = row.id;
        c->out->journal_blocks++;
        check_received(c, statement, 7, "block", row.agent_id, sequence, sequence);
        status = check_block(c, &row, statement, 5, &why);
        if (status != MESHPING_OK || !meshping__watch_step(&c->watching, 1)) {
            sqlite3_reset(statement);
            break;
        }
    }
    if (status == MESHPING_NOT_FOUND && c->out->journal_blocks > before)
        return MESHPING_BUSY; /* there may be more */
    return table_status(c, "blocks", *id, status, &why, err);
}

static meshping_status check_sealed_some(checker *c, int64_t *id, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping_status status = meshping__sql_query(
        &c->sql, &statement, &why,
        "SELECT id, agent_id, first_us, last_us, sample_count, bytes, first_target, last_target FROM sealed"
        " WHERE id > ?1 ORDER BY id LIMIT ?2",
        "ii", *id, (int64_t)ROWS_A_STATEMENT);
    uint64_t before = c->out->sealed_blocks;
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        block_row row = {.table = "sealed",
                         .id = sqlite3_column_int64(statement, 0),
                         .agent_id = (uint64_t)sqlite3_column_int64(statement, 1),
                         .first_us = sqlite3_column_int64(statement, 2),
                         .last_us = sqlite3_column_int64(statement, 3),
                         .sample_count = sqlite3_column_int64(statement, 4),
                         .first_target = (uint64_t)sqlite3_column_int64(statement, 6),
                         .last_target = (uint64_t)sqlite3_column_int64(statement, 7)};
        *id = row.id;
        c->out->sealed_blocks++;
        status = check_block(c, &row, statement, 5, &why);
        if (status != MESHPING_OK || !meshping__watch_step(&c->watching, 1)) {
            sqlite3_reset(statement);
            break;
        }
    }
    if (status == MESHPING_NOT_FOUND && c->out->sealed_blocks > before)
        return MESHPING_BUSY;
    return table_status(c, "sealed", *id, status, &why, err);
}

static meshping_status check_blocks(checker *c, meshping_error *err)
{
    int64_t journal = 0, sealed = 0, id = INT64_MIN;
    meshping_status status = meshping__sql_number(&c->sql, "SELECT count(*) FROM blocks", &journal, NULL);
    if (status == MESHPING_OK)
        meshping__sql_number(&c->sql, "SELECT count(*) FROM sealed", &sealed, NULL); /* only for the progress */
    meshping__watch_stage(&c->watching, "blocks", (uint64_t)(journal + sealed));
    while ((status = check_journal_some(c, &id, err)) == MESHPING_BUSY)
        ;
    if (status != MESHPING_OK)
        return status;
    id = INT64_MIN;
    while ((status = check_sealed_some(c, &id, err)) == MESHPING_BUSY)
        ;
    return status;
}

/* ---- roll-ups ---- */

static meshping_status check_rollups_some(checker *c, int64_t *id, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping_status status = meshping__sql_query(
        &c->sql, &statement, &why, "SELECT id, agent_id, bytes FROM rollups WHERE id > ?1 ORDER BY id LIMIT ?2", "ii",
        *id, (int64_t)ROWS_A_STATEMENT);
    uint64_t before = c->out->rollups;
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        meshping__hours hours = {0};
        *id = sqlite3_column_int64(statement, 0);
        c->out->rollups++;
        status = meshping__hours_decode(&hours, NULL, sqlite3_column_blob(statement, 2),
                                        (size_t)sqlite3_column_bytes(statement, 2));
        meshping__hours_dispose(&hours);
        if (status == MESHPING_CORRUPT) {
            found(c,
                  "table rollups, row %" PRId64 " is damaged: up to 12 hours of up to 32 targets of agent %016" PRIx64
                  " are missing from what is older than raw samples are kept",
                  *id, (uint64_t)sqlite3_column_int64(statement, 1));
            status = MESHPING_OK;
        } else if (status != MESHPING_OK) {
            meshping__no_memory(&why);
        }
        if (status != MESHPING_OK || !meshping__watch_step(&c->watching, 1)) {
            sqlite3_reset(statement);
            break;
        }
    }
    if (status == MESHPING_NOT_FOUND && c->out->rollups > before)
        return MESHPING_BUSY;
    return table_status(c, "rollups", *id, status, &why, err);
}

static meshping_status check_rollups(checker *c, meshping_error *err)
{
    int64_t rows = 0, id = INT64_MIN;
    meshping_status status;
    meshping__sql_number(&c->sql, "SELECT count(*) FROM rollups", &rows, NULL);
    meshping__watch_stage(&c->watching, "roll-ups", (uint64_t)rows);
    while ((status = check_rollups_some(c, &id, err)) == MESHPING_BUSY)
        ;
    return status;
}

/* ---- what was received ---- */

static meshping_status check_epochs(checker *c, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping_status status =
        meshping__sql_query(&c->sql, &statement, &why, "SELECT agent_id, epoch, ranges FROM epochs", "");
    meshping__watch_stage(&c->watching, "received ranges", 0);
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        meshping__ranges ranges = {0};
        c->out->epochs++;
        if (!meshping__ranges_decode(&ranges, sqlite3_column_blob(statement, 2),
                                     (size_t)sqlite3_column_bytes(statement, 2)))
            found(c,
                  "the received ranges of agent %016" PRIx64 ", epoch %016" PRIx64
                  ", are damaged: nothing more of that epoch is taken; restarting the agent begins a new one",
                  (uint64_t)sqlite3_column_int64(statement, 0), (uint64_t)sqlite3_column_int64(statement, 1));
    }
    return table_status(c, "epochs", 0, status, &why, err);
}

static meshping_status check_gaps(checker *c, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_error why = {0};
    meshping_status status =
        meshping__sql_query(&c->sql, &statement, &why,
                            "SELECT g.agent_id, g.first_sequence, g.last_sequence, e.ranges FROM gaps g"
                            " LEFT JOIN epochs e ON e.agent_id = g.agent_id AND e.epoch = g.epoch",
                            "");
    meshping__watch_stage(&c->watching, "gaps", 0);
    while (status == MESHPING_OK && (status = meshping__sql_step(&c->sql, statement, &why)) == MESHPING_OK) {
        c->out->gaps++;
        check_received(c, statement, 3, "gap", (uint64_t)sqlite3_column_int64(statement, 0),
                       (uint64_t)sqlite3_column_int64(statement, 1), (uint64_t)sqlite3_column_int64(statement, 2));
    }
    return table_status(c, "gaps", 0, status, &why, err);
}

meshping_status meshping_store_check(const char *path, bool quick, const meshping_maintain_watch *watch,
                                     meshping_store_checked *out, meshping_error *err)
{
    checker c = {.out = out, .quick = quick, .watching = {.watch = watch}};
    *out = (meshping_store_checked){0};
    meshping_status status = meshping__maintain_open(&c.sql, path, &c.watching, err);
    if (status == MESHPING_OK)
        status = check_pages(&c, err);
    if (status == MESHPING_OK)
        status = check_references(&c, err);
    if (status != MESHPING_OK || !c.watching.current) /* of an older schema's tables nothing is known here */
        goto out;
    status = check_blocks(&c, err);
    if (status == MESHPING_OK)
        status = check_rollups(&c, err);
    if (status == MESHPING_OK)
        status = check_epochs(&c, err);
    if (status == MESHPING_OK)
        status = check_gaps(&c, err);
out:
    meshping__sql_close(&c.sql);
    meshping__free(c.samples);
    return status;
}
