/* SPDX-License-Identifier: Apache-2.0 */
/* A pair's samples from all levels. */
#include "store/internal.h"

#include "base/alloc.h"
#include <meshping/block.h>
#include <stdlib.h>

#define SAMPLES_MAX ((size_t)4 << 20) /* of one answer: 64 MiB */

/* A block that may hold some. */
typedef struct place {
    meshping__level level;
    int64_t id, first_us, last_us, received_us;
} place;

typedef struct found {
    meshping_sample sample;
    uint32_t place; /* in their order: of one slot in two blocks the one stored first counts */
} found;

typedef struct collector {
    uint64_t agent_id, target_id;
    int64_t from_us, to_us;
    place *places;
    size_t place_count, place_capacity;
    found *items;
    size_t count, capacity;
    meshping_sample *samples; /* scratch, of one block */
    size_t scratch;
    meshping_damage *damaged;
    size_t damaged_count, damaged_capacity;
} collector;

static meshping_status no_memory(meshping_error *err)
{
    return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
}

static int compare_places(const void *left, const void *right)
{
    const place *a = left, *b = right;
    if (a->level != b->level)
        return a->level > b->level ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Answered from indexes alone. */
static meshping_status find_places(collector *all, meshping__sql *sql, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        sql, &statement, err,
        "SELECT level, id, first_us, last_us, received_us FROM sealed WHERE agent_id = ?1 AND last_us >= ?2"
        " AND first_us < ?3 AND first_target <= ?4 AND last_target >= ?4"
        " UNION ALL"
        " SELECT 0, id, first_us, last_us, received_us FROM blocks WHERE agent_id = ?1 AND last_us >= ?2"
        " AND first_us < ?3",
        "iiii", (int64_t)all->agent_id, all->from_us, all->to_us, (int64_t)all->target_id);
    while (status == MESHPING_OK && (status = meshping__sql_step(sql, statement, err)) == MESHPING_OK) {
        if (!meshping__sql_room((void **)&all->places, &all->place_capacity, all->place_count, sizeof *all->places)) {
            sqlite3_reset(statement);
            return no_memory(err);
        }
        all->places[all->place_count++] = (place){
            .level = (meshping__level)sqlite3_column_int64(statement, 0),
            .id = sqlite3_column_int64(statement, 1),
            .first_us = sqlite3_column_int64(statement, 2),
            .last_us = sqlite3_column_int64(statement, 3),
            .received_us = sqlite3_column_int64(statement, 4),
        };
    }
    if (status != MESHPING_NOT_FOUND)
        return status;
    if (all->place_count)
        qsort(all->places, all->place_count, sizeof *all->places, compare_places);
    return MESHPING_OK;
}

static meshping_status collect_entry(collector *all, const meshping_block_reader *reader, size_t i, size_t number,
                                     meshping_error *err)
{
    meshping_block_entry entry;
    size_t count;
    meshping_block_reader_entry(reader, i, &entry);
    if (entry.last_unix_us < all->from_us || entry.first_unix_us >= all->to_us)
        return MESHPING_OK;
    if (!all->samples || entry.sample_count > all->scratch) {
        meshping_sample *grown = meshping__realloc(all->samples, entry.sample_count * sizeof *grown);
        if (!grown)
            return no_memory(err);
        all->samples = grown;
        all->scratch = entry.sample_count;
    }
    meshping_status status = meshping_block_reader_samples(reader, i, all->samples, all->scratch, &count, err);
    if (status == MESHPING_OK && all->places[number].level == MESHPING__LEVEL_JOURNAL)
        meshping_samples_mark_late(all->samples, count, all->places[number].received_us);
    for (size_t j = 0; status == MESHPING_OK && j < count; j++) {
        const meshping_sample *sample = &all->samples[j];
        if (sample->slot_unix_us < all->from_us || sample->slot_unix_us >= all->to_us)
            continue;
        if (all->count == SAMPLES_MAX)
            return meshping_error_set(err, MESHPING_LIMIT, "more than %zu samples: ask for a shorter time",
                                      SAMPLES_MAX);
        if (!meshping__sql_room((void **)&all->items, &all->capacity, all->count, sizeof *all->items))
            return no_memory(err);
        all->items[all->count++] = (found){*sample, (uint32_t)number};
    }
    return status;
}

static meshping_status collect_bytes(collector *all, const uint8_t *bytes, size_t length, size_t number,
                                     meshping_error *err)
{
    meshping_block_reader *reader = NULL;
    meshping_status status = meshping_block_reader_new(&reader, bytes, length, err);
    if (status != MESHPING_OK)
        return status == MESHPING_LIMIT ? MESHPING_CORRUPT : status;
    size_t i = meshping_block_reader_find(reader, all->target_id);
    if (i != SIZE_MAX)
        status = collect_entry(all, reader, i, number, err);
    meshping_block_reader_free(reader);
    return status;
}

static meshping_status note_damage(collector *all, const place *at, meshping_error *err)
{
    if (!meshping__sql_room((void **)&all->damaged, &all->damaged_capacity, all->damaged_count, sizeof *all->damaged))
        return no_memory(err);
    all->damaged[all->damaged_count++] = (meshping_damage){at->id, at->first_us, at->last_us};
    return MESHPING_OK;
}

/* A block or a database page that cannot be read costs what is in it, and no more. */
static meshping_status collect_block(collector *all, meshping__sql *sql, size_t number, meshping_error *err)
{
    sqlite3_stmt *statement;
    const place *at = &all->places[number];
    meshping_status status =
        meshping__sql_query(sql, &statement, err,
                            at->level == MESHPING__LEVEL_JOURNAL ? "SELECT bytes FROM blocks WHERE id = ?1"
                                                                 : "SELECT bytes FROM sealed WHERE id = ?1",
                            "i", at->id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_OK) {
        const uint8_t *bytes = sqlite3_column_blob(statement, 0);
        size_t length = (size_t)sqlite3_column_bytes(statement, 0);
        /* no bytes: SQLite could not get at them */
        status = bytes ? collect_bytes(all, bytes, length, number, err) : MESHPING_CORRUPT;
        sqlite3_reset(statement);
    }
    return status == MESHPING_CORRUPT || status == MESHPING_NOT_FOUND ? note_damage(all, at, err) : status;
}

static int compare_found(const void *left, const void *right)
{
    const found *a = left, *b = right;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

static meshping_status merge(collector *all, meshping_series *out, meshping_error *err)
{
    meshping_sample *merged = NULL;
    size_t kept = 0;
    if (all->count) {
        merged = meshping__malloc(all->count * sizeof *merged);
        if (!merged)
            return no_memory(err);
        qsort(all->items, all->count, sizeof *all->items, compare_found);
    }
    for (size_t i = 0; i < all->count; i++)
        if (kept == 0 || merged[kept - 1].slot_unix_us != all->items[i].sample.slot_unix_us)
            merged[kept++] = all->items[i].sample;
    *out = (meshping_series){merged, kept, all->damaged, all->damaged_count};
    all->damaged = NULL;
    return MESHPING_OK;
}

static meshping_status collect(collector *all, meshping__sql *sql, meshping_error *err)
{
    meshping_status status = find_places(all, sql, err);
    for (size_t i = 0; status == MESHPING_OK && i < all->place_count; i++)
        status = collect_block(all, sql, i, err);
    return status;
}

meshping_status meshping_store_series(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                      int64_t to_us, meshping_series *out, meshping_error *err)
{
    collector all = {.agent_id = agent_id, .target_id = target_id, .from_us = from_us, .to_us = to_us};
    *out = (meshping_series){0};
    /* one snapshot: a block that is sealed meanwhile is seen before or after, not both */
    meshping_status status = meshping__sql_begin_reading(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping__sql_end(&store->sql, collect(&all, &store->sql, err), err);
    if (status == MESHPING_OK)
        status = merge(&all, out, err);
    meshping__free(all.places);
    meshping__free(all.items);
    meshping__free(all.samples);
    meshping__free(all.damaged);
    return status;
}

void meshping_series_dispose(meshping_series *series)
{
    meshping__free(series->samples);
    meshping__free(series->damaged);
    *series = (meshping_series){0};
}
