/* SPDX-License-Identifier: Apache-2.0 */
#include "store/collect.h"

#include "base/alloc.h"
#include "store/places.h"
#include "store/remove.h"
#include <stdlib.h>

#define ROWS_MAX ((size_t)8 << 20) /* of one query: 320 MiB */

typedef struct source {
    meshping__rows *rows;
    uint64_t target_id;
    int64_t from_us, to_us;
    meshping_sample *samples; /* scratch, of one series */
    size_t capacity;
} source;

static meshping_status put(meshping__rows *rows, uint64_t target_id, const meshping_sample *sample, meshping_error *err)
{
    if (rows->count == ROWS_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "more than %zu samples: ask for a shorter time", ROWS_MAX);
    if (!meshping__sql_room((void **)&rows->items, &rows->capacity, rows->count, sizeof *rows->items))
        return meshping__no_memory(err);
    rows->items[rows->count] =
        (meshping__block_row){.target_id = target_id, .sample = *sample, .order = (uint32_t)rows->count};
    rows->count++;
    return MESHPING_OK;
}

static meshping_status take_series(source *from, const meshping_block_reader *reader, size_t i, meshping_error *err)
{
    meshping_block_entry entry;
    size_t count = 0;
    meshping_block_reader_entry(reader, i, &entry);
    if (entry.last_unix_us < from->from_us || entry.first_unix_us >= from->to_us)
        return MESHPING_OK;
    if (!from->samples || entry.sample_count > from->capacity) {
        meshping_sample *grown = meshping__realloc(from->samples, entry.sample_count * sizeof *grown);
        if (!grown)
            return meshping__no_memory(err);
        from->samples = grown;
        from->capacity = entry.sample_count;
    }
    meshping_status status = meshping_block_reader_samples(reader, i, from->samples, from->capacity, &count, NULL);
    if (status == MESHPING_NOMEM)
        return meshping__no_memory(err);
    for (size_t j = 0; status == MESHPING_OK && j < count; j++)
        if (from->samples[j].slot_unix_us >= from->from_us && from->samples[j].slot_unix_us < from->to_us)
            status = put(from->rows, entry.target_id, &from->samples[j], err);
    return status;
}

/* CORRUPT: some of it cannot be read; the rest is taken. */
static meshping_status take_block(source *from, const uint8_t *bytes, size_t length, meshping_error *err)
{
    meshping_block_reader *reader = NULL;
    meshping_status status = meshping_block_reader_new(&reader, bytes, length, NULL);
    if (status == MESHPING_NOMEM)
        return meshping__no_memory(err);
    if (status != MESHPING_OK)
        return MESHPING_CORRUPT;
    bool damaged = false;
    size_t first = 0, end = meshping_block_reader_target_count(reader);
    if (from->target_id != MESHPING__ANY_TARGET) {
        first = meshping_block_reader_find(reader, from->target_id);
        end = first == SIZE_MAX ? first : first + 1;
    }
    for (size_t i = first; status == MESHPING_OK && i < end; i++) {
        status = take_series(from, reader, i, err);
        damaged = damaged || status == MESHPING_CORRUPT;
        if (status == MESHPING_CORRUPT)
            status = MESHPING_OK;
    }
    meshping_block_reader_free(reader);
    return status == MESHPING_OK && damaged ? MESHPING_CORRUPT : status;
}

/* Blocks in the order in which they were stored: long ones before short ones before the journal's, then by id. */
static meshping_status find_blocks(meshping__places *places, meshping__sql *sql, bool journal, uint64_t agent_id,
                                   const source *from, meshping_error *err)
{
    sqlite3_stmt *statement;
    int64_t low = 0, high = INT64_MAX;
    if (from->target_id != MESHPING__ANY_TARGET)
        low = high = (int64_t)from->target_id;
    meshping_status status =
        journal ? meshping__sql_query(sql, &statement, err,
                                      "SELECT 0, id, first_us, last_us FROM blocks WHERE agent_id = ?1"
                                      " AND last_us >= ?2 AND first_us < ?3 AND " MESHPING__AGENT_STAYS " ORDER BY id",
                                      "iii", (int64_t)agent_id, from->from_us, from->to_us)
                : meshping__sql_query(sql, &statement, err,
                                      "SELECT level, id, first_us, last_us FROM sealed"
                                      " WHERE agent_id = ?1 AND last_us >= ?2 AND first_us < ?3"
                                      " AND first_target <= ?5 AND last_target >= ?4 AND " MESHPING__AGENT_STAYS
                                      " ORDER BY level DESC, id",
                                      "iiiii", (int64_t)agent_id, from->from_us, from->to_us, low, high);
    status = meshping__places_read(places, sql, status, statement, err);
    if (status == MESHPING_CORRUPT) {
        const meshping__place whole = {.first_us = from->from_us, .last_us = from->to_us - 1};
        return meshping__place_damaged(&whole, MESHPING_DAMAGE_PAGE, from->rows->damages, err);
    }
    return status;
}

static meshping_status read_block(source *from, meshping__sql *sql, meshping__place *at, meshping_error *err)
{
    sqlite3_stmt *statement;
    const uint8_t *bytes;
    size_t length;
    meshping_status status = meshping__place_bytes(at, sql, &statement, &bytes, &length, err);
    if (status == MESHPING_OK) {
        status = take_block(from, bytes, length, err);
        sqlite3_reset(statement);
    }
    if (status == MESHPING_CORRUPT)
        return meshping__place_damaged(at, MESHPING_DAMAGE_BLOCK, from->rows->damages, err);
    return status;
}

meshping_status meshping__collect(meshping__rows *rows, meshping__sql *sql, bool journal, uint64_t agent_id,
                                  uint64_t target_id, int64_t from_us, int64_t to_us, meshping_error *err)
{
    source from = {.rows = rows, .target_id = target_id, .from_us = from_us, .to_us = to_us};
    meshping__places places = {0};
    meshping_status status = find_blocks(&places, sql, journal, agent_id, &from, err);
    for (size_t i = 0; status == MESHPING_OK && i < places.count; i++)
        status = read_block(&from, sql, &places.items[i], err);
    meshping__places_dispose(&places);
    meshping__free(from.samples);
    return status;
}

static int compare(const void *left, const void *right)
{
    const meshping__block_row *a = left, *b = right;
    if (a->target_id != b->target_id)
        return a->target_id < b->target_id ? -1 : 1;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

void meshping__rows_sort(meshping__rows *rows)
{
    size_t kept = 0;
    if (rows->count == 0)
        return;
    qsort(rows->items, rows->count, sizeof *rows->items, compare);
    for (size_t i = 0; i < rows->count; i++) {
        const meshping__block_row *row = &rows->items[i];
        if (kept == 0 || rows->items[kept - 1].target_id != row->target_id ||
            rows->items[kept - 1].sample.slot_unix_us != row->sample.slot_unix_us)
            rows->items[kept++] = *row;
    }
    rows->count = kept;
}

/* Removes from `rows` what `sealed` has, of the same target and slot; both are sorted. */
static void leave_out(meshping__rows *rows, const meshping__rows *sealed)
{
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const meshping__block_row *row = &rows->items[i];
        while (at < sealed->count && (sealed->items[at].target_id < row->target_id ||
                                      (sealed->items[at].target_id == row->target_id &&
                                       sealed->items[at].sample.slot_unix_us < row->sample.slot_unix_us)))
            at++;
        if (at == sealed->count || sealed->items[at].target_id != row->target_id ||
            sealed->items[at].sample.slot_unix_us != row->sample.slot_unix_us)
            rows->items[kept++] = *row;
    }
    rows->count = kept;
}

meshping_status meshping__collect_pending(meshping__rows *rows, meshping__sql *sql, uint64_t agent_id,
                                          uint64_t target_id, int64_t from_us, int64_t to_us, meshping_error *err)
{
    meshping__rows sealed = {.damages = rows->damages};
    meshping_status status = meshping__collect(rows, sql, true, agent_id, target_id, from_us, to_us, err);
    if (status != MESHPING_OK || rows->count == 0)
        return status;
    meshping__rows_sort(rows);
    int64_t first_us = INT64_MAX, last_us = INT64_MIN;
    for (size_t i = 0; i < rows->count; i++) {
        int64_t slot_us = rows->items[i].sample.slot_unix_us;
        first_us = slot_us < first_us ? slot_us : first_us;
        last_us = slot_us > last_us ? slot_us : last_us;
    }
    status = meshping__collect(&sealed, sql, false, agent_id, target_id, first_us, last_us + 1, err);
    meshping__rows_sort(&sealed);
    leave_out(rows, &sealed);
    meshping__rows_dispose(&sealed);
    return status;
}

void meshping__rows_dispose(meshping__rows *rows)
{
    meshping__free(rows->items);
    *rows = (meshping__rows){0};
}
