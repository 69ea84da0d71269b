/* SPDX-License-Identifier: Apache-2.0 */
/* All samples of an agent, some of the time at once: meshping_store_scan. */
#include "store/maintain.h"

#include "base/alloc.h"
#include "store/remove.h"
#include <inttypes.h>
#include <meshping/block.h>
#include <stdio.h>
#include <stdlib.h>

#define WINDOW_US INT64_C(3600000000)
#define WINDOW_MIN_US INT64_C(1000000)
#define SAMPLES_MAX ((size_t)4 << 20) /* held at once, in at most 160 MiB; more makes the window shorter */

typedef struct scanned {
    uint64_t target_id;
    meshping__level level; /* of one slot in two blocks the one stored first counts: seal.h */
    int64_t block_id;
    meshping_sample sample;
} scanned;

typedef struct stored {
    meshping__level level;
    int64_t id, received_agent_us;
} stored;

typedef struct scan {
    meshping__sql *sql;
    int64_t agent_id, from_us, to_us; /* the window */
    scanned *items;
    size_t count, capacity;
    meshping_sample *samples; /* of one entry of a block, then of one target */
    size_t room;
    const meshping_maintain_watch *watch;
} scan;

static meshping_status make_room(scan *s, size_t count)
{
    if (s->samples && count <= s->room)
        return MESHPING_OK;
    meshping_sample *grown = meshping__realloc(s->samples, count * sizeof *grown);
    if (!grown)
        return MESHPING_NOMEM;
    s->samples = grown;
    s->room = count;
    return MESHPING_OK;
}

static meshping_status keep_entry(scan *s, const meshping_block_reader *reader, size_t i, const stored *block,
                                  meshping_error *err)
{
    meshping_block_entry entry = {0};
    size_t count = 0;
    meshping_block_reader_entry(reader, i, &entry);
    if (entry.last_unix_us < s->from_us || entry.first_unix_us >= s->to_us)
        return MESHPING_OK;
    meshping_status status = make_room(s, entry.sample_count);
    if (status == MESHPING_OK)
        status = meshping_block_reader_samples(reader, i, s->samples, s->room, &count, err);
    if (status == MESHPING_OK && block->level == MESHPING__LEVEL_JOURNAL)
        meshping_samples_mark_late(s->samples, count, block->received_agent_us);
    for (size_t k = 0; status == MESHPING_OK && k < count; k++) {
        if (s->samples[k].slot_unix_us < s->from_us || s->samples[k].slot_unix_us >= s->to_us)
            continue;
        if (s->count == SAMPLES_MAX)
            return MESHPING_LIMIT;
        if (!meshping__sql_room((void **)&s->items, &s->capacity, s->count, sizeof *s->items))
            return MESHPING_NOMEM;
        s->items[s->count++] = (scanned){entry.target_id, block->level, block->id, s->samples[k]};
    }
    return status;
}

/* A damaged block is told and left out. */
static meshping_status keep_block(scan *s, sqlite3_stmt *statement)
{
    meshping_block_reader *reader = NULL;
    meshping_error why = {0};
    stored block = {(meshping__level)sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                    sqlite3_column_int64(statement, 2)};
    size_t before = s->count;
    meshping_status status = meshping_block_reader_new(&reader, sqlite3_column_blob(statement, 3),
                                                       (size_t)sqlite3_column_bytes(statement, 3), &why);
    if (status == MESHPING_LIMIT)
        status = MESHPING_CORRUPT;
    for (size_t i = 0; status == MESHPING_OK && i < meshping_block_reader_target_count(reader); i++)
        status = keep_entry(s, reader, i, &block, &why);
    meshping_block_reader_free(reader);
    if (status != MESHPING_CORRUPT)
        return status;
    s->count = before;
    if (s->watch && s->watch->finding) {
        char text[400];
        snprintf(text, sizeof text, "table %s, block %" PRId64 " of agent %016" PRIx64 " is damaged and left out: %s",
                 block.level ? "sealed" : "blocks", block.id, (uint64_t)s->agent_id, why.message);
        s->watch->finding(s->watch->user, text);
    }
    return MESHPING_OK;
}

/* LIMIT: the window is too long. */
static meshping_status read_window(scan *s, meshping_error *err)
{
    sqlite3_stmt *statement;
    s->count = 0;
    meshping_status status =
        meshping__sql_query(s->sql, &statement, err,
                            "SELECT level, id, received_us, bytes FROM sealed WHERE agent_id = ?1 AND last_us >= ?2"
                            " AND first_us < ?3 AND " MESHPING__AGENT_STAYS " UNION ALL"
                            " SELECT 0, id, received_us + clock_offset_us, bytes FROM blocks WHERE agent_id = ?1 AND "
                            "last_us >= ?2 AND first_us < ?3"
                            " AND " MESHPING__AGENT_STAYS,
                            "iii", s->agent_id, s->from_us, s->to_us);
    while (status == MESHPING_OK && (status = meshping__sql_step(s->sql, statement, err)) == MESHPING_OK) {
        status = keep_block(s, statement);
        if (status == MESHPING_NOMEM)
            meshping__no_memory(err);
        if (status != MESHPING_OK)
            sqlite3_reset(statement);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

static int compare(const void *left, const void *right)
{
    const scanned *a = left, *b = right;
    if (a->target_id != b->target_id)
        return a->target_id < b->target_id ? -1 : 1;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    return a->block_id < b->block_id ? -1 : a->block_id > b->block_id;
}

static meshping_status hand_on(scan *s, meshping_scan_fn fn, void *user, meshping_error *err)
{
    meshping_status status = make_room(s, s->count);
    if (status != MESHPING_OK)
        return meshping__no_memory(err);
    if (s->count)
        qsort(s->items, s->count, sizeof *s->items, compare);
    for (size_t i = 0; status == MESHPING_OK && i < s->count;) {
        uint64_t target_id = s->items[i].target_id;
        size_t kept = 0;
        for (; i < s->count && s->items[i].target_id == target_id; i++)
            if (!kept || s->samples[kept - 1].slot_unix_us != s->items[i].sample.slot_unix_us)
                s->samples[kept++] = s->items[i].sample;
        status = fn(user, target_id, s->samples, kept);
        if (status != MESHPING_OK)
            meshping_error_set(err, status, "ended early");
    }
    return status;
}

/* The first slot at or after from_us, or a little before it; NOT_FOUND: there is none. */
static meshping_status next_slot(scan *s, int64_t from_us, int64_t *next_us, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        s->sql, &statement, err,
        "SELECT min(first_us) FROM (SELECT min(first_us) AS first_us FROM sealed WHERE agent_id = ?1 AND last_us >= ?2"
        " UNION ALL SELECT min(first_us) FROM blocks WHERE agent_id = ?1 AND last_us >= ?2)"
        " WHERE " MESHPING__AGENT_STAYS,
        "ii", s->agent_id, from_us);
    if (status == MESHPING_OK)
        status = meshping__sql_step(s->sql, statement, err);
    if (status != MESHPING_OK)
        return status;
    if (sqlite3_column_type(statement, 0) == SQLITE_NULL)
        status = MESHPING_NOT_FOUND;
    *next_us = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    *next_us = *next_us < from_us ? from_us : *next_us;
    return status;
}

meshping_status meshping_store_scan(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t to_us,
                                    meshping_scan_fn fn, const meshping_maintain_watch *watch, void *user,
                                    meshping_error *err)
{
    scan s = {.sql = &store->sql, .agent_id = (int64_t)agent_id, .watch = watch};
    int64_t window_us = WINDOW_US;
    meshping_status status;
    while ((status = next_slot(&s, from_us, &s.from_us, err)) == MESHPING_OK && s.from_us < to_us) {
        /* unsigned: all of the time is longer than an int64_t */
        s.to_us = (uint64_t)to_us - (uint64_t)s.from_us < (uint64_t)window_us ? to_us : s.from_us + window_us;
        status = read_window(&s, err);
        if (status == MESHPING_LIMIT && window_us > WINDOW_MIN_US) {
            window_us /= 2;
            continue;
        }
        if (status == MESHPING_LIMIT)
            meshping_error_set(err, status, "more than %zu samples in a second", SAMPLES_MAX);
        if (status == MESHPING_OK)
            status = hand_on(&s, fn, user, err);
        if (status != MESHPING_OK)
            break;
        from_us = s.to_us;
    }
    meshping__free(s.items);
    meshping__free(s.samples);
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}
