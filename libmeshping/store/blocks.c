/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what the writer stored, and retention. */
#include "store/internal.h"

#include "base/alloc.h"
#include <inttypes.h>
#include <meshping/block.h>
#include <stdlib.h>

#define SAMPLES_MAX ((size_t)4 << 20)            /* of one answer: 64 MiB */
#define EPOCH_KEEP_US (INT64_C(86400) * 1000000) /* ranges outlive their blocks, for agents that come back late */
#define VACUUM_PAGES "PRAGMA incremental_vacuum(1024)"

meshping_status meshping_store_ranges(meshping_store *store, uint64_t agent_id, uint64_t epoch, meshping_range *ranges,
                                      size_t *count, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping__ranges all;
    *count = 0;
    meshping_status status = meshping__sql_query(&store->sql, &statement, err,
                                                 "SELECT ranges FROM epochs WHERE agent_id = ?1 AND epoch = ?2", "ii",
                                                 (int64_t)agent_id, (int64_t)epoch);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    bool sound =
        meshping__ranges_decode(&all, sqlite3_column_blob(statement, 0), (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_reset(statement);
    if (!sound)
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: received ranges are damaged", store->path);
    for (size_t i = 0; i < all.count; i++)
        ranges[i] = all.items[i];
    *count = all.count;
    return MESHPING_OK;
}

/* ---- samples of a pair ---- */

typedef struct found {
    meshping_sample sample;
    int64_t block_id; /* of one slot in two blocks the one stored first counts; of sealed ones, below 0 */
} found;

typedef struct collector {
    found *items;
    size_t count, capacity;
    meshping_sample *samples; /* scratch, of one block */
    size_t scratch;
    int64_t from_us, to_us;
} collector;

static meshping_status collect_entry(collector *all, const meshping_block_reader *reader, size_t i, int64_t block_id,
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
            return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        all->samples = grown;
        all->scratch = entry.sample_count;
    }
    meshping_status status = meshping_block_reader_samples(reader, i, all->samples, all->scratch, &count, err);
    for (size_t j = 0; status == MESHPING_OK && j < count; j++) {
        const meshping_sample *sample = &all->samples[j];
        if (sample->slot_unix_us < all->from_us || sample->slot_unix_us >= all->to_us)
            continue;
        if (all->count == SAMPLES_MAX)
            return meshping_error_set(err, MESHPING_LIMIT, "more than %zu samples: ask for a shorter time",
                                      SAMPLES_MAX);
        if (!meshping__sql_room((void **)&all->items, &all->capacity, all->count, sizeof *all->items))
            return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        all->items[all->count++] = (found){*sample, block_id};
    }
    return status;
}

static meshping_status collect_block(collector *all, sqlite3_stmt *statement, uint64_t target_id, meshping_error *err)
{
    meshping_block_reader *reader = NULL;
    int64_t block_id = sqlite3_column_int64(statement, 0);
    const uint8_t *bytes = sqlite3_column_blob(statement, 1);
    size_t length = (size_t)sqlite3_column_bytes(statement, 1);
    meshping_error why;
    meshping_status status = meshping_block_reader_new(&reader, bytes, length, &why);
    if (status == MESHPING_OK) {
        size_t i = meshping_block_reader_find(reader, target_id);
        if (i != SIZE_MAX)
            status = collect_entry(all, reader, i, block_id, &why);
        meshping_block_reader_free(reader);
    }
    if (status == MESHPING_CORRUPT)
        return meshping_error_set(err, status, "stored block %" PRId64 " is damaged: %s",
                                  block_id < 0 ? block_id + INT64_MAX : block_id, why.message);
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "%s", why.message);
}

static int compare_found(const void *left, const void *right)
{
    const found *a = left, *b = right;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->block_id < b->block_id ? -1 : a->block_id > b->block_id;
}

static meshping_status merge(collector *all, meshping_sample **samples, size_t *count, meshping_error *err)
{
    if (all->count == 0)
        return MESHPING_OK;
    meshping_sample *merged = meshping__malloc(all->count * sizeof *merged);
    if (!merged)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    qsort(all->items, all->count, sizeof *all->items, compare_found);
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++)
        if (kept == 0 || merged[kept - 1].slot_unix_us != all->items[i].sample.slot_unix_us)
            merged[kept++] = all->items[i].sample;
    *samples = merged;
    *count = kept;
    return MESHPING_OK;
}

meshping_status meshping_store_samples(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                       int64_t to_us, meshping_sample **samples, size_t *count, meshping_error *err)
{
    sqlite3_stmt *statement;
    collector all = {.from_us = from_us, .to_us = to_us};
    *samples = NULL;
    *count = 0;
    meshping_status status =
        meshping__sql_query(&store->sql, &statement, err,
                            "SELECT id - 9223372036854775807, bytes FROM sealed WHERE agent_id = ?1 AND last_us >= ?2"
                            " AND first_us < ?3 AND first_target <= ?4 AND last_target >= ?4"
                            " UNION ALL"
                            " SELECT id, bytes FROM blocks WHERE agent_id = ?1 AND last_us >= ?2 AND first_us < ?3",
                            "iiii", (int64_t)agent_id, from_us, to_us, (int64_t)target_id);
    if (status != MESHPING_OK)
        return status;
    while ((status = meshping__sql_step(&store->sql, statement, err)) == MESHPING_OK) {
        status = collect_block(&all, statement, target_id, err);
        if (status != MESHPING_OK)
            break;
    }
    sqlite3_reset(statement);
    if (status == MESHPING_NOT_FOUND)
        status = merge(&all, samples, count, err);
    meshping__free(all.items);
    meshping__free(all.samples);
    return status;
}

/* ---- all blocks ---- */

/* Only ids are sorted, not blocks. */
static meshping_status block_ids(meshping_store *store, bool sealed, int64_t from_us, int64_t **ids, size_t *count,
                                 meshping_error *err)
{
    sqlite3_stmt *statement;
    size_t capacity = 0;
    meshping_status status = meshping__sql_query(
        &store->sql, &statement, err,
        sealed ? "SELECT b.id FROM agents a CROSS JOIN sealed b ON b.agent_id = a.id AND b.last_us >= ?1"
                 " ORDER BY b.received_us, b.id"
               : "SELECT b.id FROM agents a CROSS JOIN blocks b ON b.agent_id = a.id AND b.last_us >= ?1"
                 " ORDER BY b.received_us, b.id",
        "i", from_us);
    if (status != MESHPING_OK)
        return status;
    while ((status = meshping__sql_step(&store->sql, statement, err)) == MESHPING_OK) {
        if (!meshping__sql_room((void **)ids, &capacity, *count, sizeof **ids)) {
            sqlite3_reset(statement);
            return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        }
        (*ids)[(*count)++] = sqlite3_column_int64(statement, 0);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

static meshping_status visit_one(meshping_store *store, bool sealed, int64_t id, meshping_block_visit_fn fn, void *user,
                                 meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status =
        meshping__sql_query(&store->sql, &statement, err,
                            sealed ? "SELECT agent_id, received_us, bytes FROM sealed WHERE id = ?1"
                                   : "SELECT agent_id, received_us, bytes FROM blocks WHERE id = ?1",
                            "i", id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status; /* deleted meanwhile */
    status = fn(user, (uint64_t)sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1),
                sqlite3_column_blob(statement, 2), (size_t)sqlite3_column_bytes(statement, 2));
    sqlite3_reset(statement);
    if (status != MESHPING_OK)
        meshping_error_set(err, status, "stopped at stored block %" PRId64 ": %s", id, meshping_status_text(status));
    return status;
}

meshping_status meshping_store_visit_blocks(meshping_store *store, int64_t from_us, meshping_block_visit_fn fn,
                                            void *user, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    /* in this order: what is sealed meanwhile is seen twice rather than not at all */
    for (int sealed = 0; status == MESHPING_OK && sealed <= 1; sealed++) {
        int64_t *ids = NULL;
        size_t count = 0;
        status = block_ids(store, sealed, from_us, &ids, &count, err);
        for (size_t i = 0; status == MESHPING_OK && i < count; i++)
            status = visit_one(store, sealed, ids[i], fn, user, err);
        meshping__free(ids);
    }
    return status;
}

/* ---- gaps ---- */

meshping_status meshping_store_gaps(meshping_store *store, uint64_t agent_id, int64_t from_us, int64_t to_us,
                                    meshping_stored_gap **gaps, size_t *count, meshping_error *err)
{
    sqlite3_stmt *statement;
    size_t capacity = 0, n = 0;
    meshping_stored_gap *all = NULL;
    *gaps = NULL;
    *count = 0;
    meshping_status status = meshping__sql_query(
        &store->sql, &statement, err,
        "SELECT epoch, first_sequence, last_sequence, first_us, last_us, sample_count, reason FROM gaps"
        " WHERE agent_id = ?1 AND last_us >= ?2 AND first_us < ?3 ORDER BY first_us, id",
        "iii", (int64_t)agent_id, from_us, to_us);
    while (status == MESHPING_OK && (status = meshping__sql_step(&store->sql, statement, err)) == MESHPING_OK) {
        if (!meshping__sql_room((void **)&all, &capacity, n, sizeof *all)) {
            sqlite3_reset(statement);
            status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
            break;
        }
        all[n++] = (meshping_stored_gap){
            .epoch = (uint64_t)sqlite3_column_int64(statement, 0),
            .gap = {.first_sequence = (uint64_t)sqlite3_column_int64(statement, 1),
                    .last_sequence = (uint64_t)sqlite3_column_int64(statement, 2),
                    .first_unix_us = sqlite3_column_int64(statement, 3),
                    .last_unix_us = sqlite3_column_int64(statement, 4),
                    .sample_count = (uint64_t)sqlite3_column_int64(statement, 5),
                    .reason = (meshping_gap_reason)sqlite3_column_int64(statement, 6)},
        };
    }
    if (status != MESHPING_NOT_FOUND || n == 0) {
        meshping__free(all);
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    }
    *gaps = all;
    *count = n;
    return MESHPING_OK;
}

/* ---- retention ---- */

static meshping_status expire(meshping__sql *sql, int64_t before_us, int64_t max_blocks, int64_t *deleted,
                              meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err, "DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE keep_us < ?1 ORDER BY keep_us LIMIT ?2)",
        "ii", before_us, max_blocks);
    *deleted = meshping__sql_changes(sql);
    if (status == MESHPING_OK) {
        status = meshping__sql_run(
            sql, err,
            "DELETE FROM sealed WHERE id IN (SELECT id FROM sealed WHERE keep_us < ?1 ORDER BY keep_us LIMIT ?2)", "ii",
            before_us, max_blocks);
        *deleted += meshping__sql_changes(sql);
    }
    if (status == MESHPING_OK)
        status = meshping__sql_run(
            sql, err, "DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE keep_us < ?1 ORDER BY keep_us LIMIT ?2)",
            "ii", before_us, max_blocks);
    if (status == MESHPING_OK && *deleted < max_blocks)
        status = meshping__sql_run(sql, err,
                                   "DELETE FROM epochs WHERE updated_us < ?1"
                                   " AND NOT EXISTS (SELECT 1 FROM blocks b"
                                   "  WHERE b.agent_id = epochs.agent_id AND b.epoch = epochs.epoch)"
                                   " AND NOT EXISTS (SELECT 1 FROM gaps g"
                                   "  WHERE g.agent_id = epochs.agent_id AND g.epoch = epochs.epoch)",
                                   "i", before_us - EPOCH_KEEP_US);
    return status;
}

meshping_status meshping_store_expire(meshping_store *store, int64_t before_us, size_t max_blocks, size_t *deleted,
                                      meshping_error *err)
{
    int64_t count = 0;
    if (deleted)
        *deleted = 0;
    if (before_us < INT64_MIN + EPOCH_KEEP_US)
        return MESHPING_OK;
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    int64_t most = max_blocks < INT64_MAX ? (int64_t)max_blocks : INT64_MAX;
    status = meshping__sql_end(&store->sql, expire(&store->sql, before_us, most, &count, err), err);
    if (status == MESHPING_OK && deleted)
        *deleted = (size_t)count;
    if (status == MESHPING_OK)
        status = meshping__sql_exec(&store->sql, VACUUM_PAGES, err);
    return status;
}
