/* SPDX-License-Identifier: Apache-2.0 */
/* A pair's samples from all levels. */
#include "store/internal.h"
#include "store/places.h"

#include "base/alloc.h"
#include "core/block.h"
#include "core/series.h"
#include <stdlib.h>

typedef struct question {
    meshping__sql *sql;
    uint64_t agent_id;
    meshping__places places; /* in the order of storing */
    meshping__collector all;
    meshping__unzip unzip;
    meshping_block_reader *reader;
} question;

static int compare_places(const void *left, const void *right)
{
    const meshping__place *a = left, *b = right;
    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Answered from indexes alone. */
static meshping_status find_places(question *q, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        q->sql, &statement, err,
        "SELECT level, id, first_us, last_us FROM sealed WHERE agent_id = ?1 AND last_us >= ?2"
        " AND first_us < ?3 AND first_target <= ?4 AND last_target >= ?4 AND " MESHPING__AGENT_STAYS " UNION ALL"
        " SELECT 0, id, first_us, last_us FROM blocks WHERE agent_id = ?1 AND last_us >= ?2"
        " AND first_us < ?3 AND " MESHPING__AGENT_STAYS,
        "iiii", (int64_t)q->agent_id, q->all.from_us, q->all.to_us, (int64_t)q->all.target_id);
    status = meshping__places_read(&q->places, q->sql, status, statement, err);
    if (status == MESHPING_OK && q->places.count)
        qsort(q->places.items, q->places.count, sizeof *q->places.items, compare_places);
    return status;
}

static meshping_status take_bytes(question *q, const uint8_t *bytes, size_t length, size_t number)
{
    const meshping__place *at = &q->places.items[number];
    return meshping__collector_take(&q->all, q->reader, bytes, length, false, (uint32_t)number,
                                    at->level == MESHPING__LEVEL_JOURNAL ? &at->received_agent_us : NULL);
}

/* A block or a database page that cannot be read costs what is in it, and no more. */
static meshping_status take_block(question *q, size_t number, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping__place *at = &q->places.items[number];
    const uint8_t *bytes;
    size_t length;
    meshping_status status = meshping__place_bytes(at, q->sql, &statement, &bytes, &length, err);
    if (status == MESHPING_OK) {
        status = take_bytes(q, bytes, length, number);
        sqlite3_reset(statement);
    }
    if (status == MESHPING_CORRUPT)
        status = meshping__collector_damage(&q->all, at->id, at->first_us, at->last_us);
    if (status == MESHPING_LIMIT)
        return meshping_error_set(err, status, "more than %zu samples: ask for a shorter time",
                                  MESHPING__SERIES_SAMPLES_MAX);
    return status == MESHPING_NOMEM ? meshping__no_memory(err) : status;
}

static meshping_status take_all(question *q, meshping_error *err)
{
    meshping_status status = find_places(q, err);
    for (size_t i = 0; status == MESHPING_OK && i < q->places.count; i++)
        status = take_block(q, i, err);
    return status;
}

meshping_status meshping_store_series(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                      int64_t to_us, meshping_series *out, meshping_error *err)
{
    question q = {.sql = &store->sql, .agent_id = agent_id};
    *out = (meshping_series){0};
    meshping__collector_init(&q.all, target_id, from_us, to_us);
    if (meshping__block_reader_make(&q.reader, &q.unzip) != MESHPING_OK)
        return meshping__no_memory(err);
    /* one snapshot: a block that is sealed meanwhile is seen before or after, not both */
    meshping_status status = meshping__sql_begin_reading(&store->sql, err);
    if (status == MESHPING_OK)
        status = meshping__sql_end_reading(&store->sql, take_all(&q, err));
    if (status == MESHPING_OK && meshping__collector_finish(&q.all, out) != MESHPING_OK)
        status = meshping__no_memory(err);
    meshping__places_dispose(&q.places);
    meshping__collector_dispose(&q.all);
    meshping_block_reader_free(q.reader);
    meshping__unzip_dispose(&q.unzip);
    return status;
}

meshping_status meshping_store_series_cached(meshping_store *store, meshping_cache *cache, uint64_t agent_id,
                                             uint64_t target_id, int64_t from_us, int64_t to_us, int64_t now_unix_us,
                                             meshping_series *out, meshping_error *err)
{
    meshping_series later = {0};
    int64_t seam_us = meshping_cache_seam(cache, agent_id, from_us, to_us, now_unix_us);
    *out = (meshping_series){0};
    meshping_status status = MESHPING_OK;
    if (from_us < seam_us)
        status = meshping_store_series(store, agent_id, target_id, from_us, seam_us, out, err);
    if (status == MESHPING_OK) {
        status = meshping_cache_series(cache, agent_id, target_id, seam_us, to_us, &later);
        if (status == MESHPING_OK)
            status = meshping_series_append(out, &later);
        if (status != MESHPING_OK)
            meshping_error_set(err, status, "%s", meshping_status_text(status));
    }
    if (status != MESHPING_OK)
        meshping_series_dispose(out);
    meshping_series_dispose(&later);
    return status;
}
