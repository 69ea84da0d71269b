/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing, in the writer thread: an hour of an agent's blocks, of one round each, becomes a few long ones by target, a
 * quarter of the bytes. Long blocks in and journal rows out are one transaction: a sample is in one place at any time.
 */
#include "store/internal.h"

#include "base/alloc.h"
#include "core/block.h"
#include <stdlib.h>

#define BATCH_US (INT64_C(3600) * 1000000)
#define BATCH_SAMPLES_MAX 1000000u /* of one step: 32 MB of rows */
#define BATCH_BLOCKS_MAX 4096u

typedef struct sealed {
    uint8_t *bytes;
    size_t length, sample_count;
    uint64_t first_target, last_target;
    int64_t first_us, last_us;
} sealed;

typedef struct batch {
    uint64_t agent_id;
    int64_t *ids; /* of the journal's rows */
    size_t id_count, id_capacity;
    meshping__block_row *rows;
    size_t count, capacity;
    sealed *sealed;
    size_t sealed_count, sealed_capacity;
    int64_t received_us, keep_us;
    int64_t damaged_id; /* 0: none. It goes over as it is, by itself, and its samples stay reported as damaged */
} batch;

static void dispose(batch *b)
{
    for (size_t i = 0; i < b->sealed_count; i++)
        meshping_free(b->sealed[i].bytes);
    meshping__free(b->sealed);
    meshping__free(b->ids);
    meshping__free(b->rows);
}

static int compare_rows(const void *left, const void *right)
{
    const meshping__block_row *a = left, *b = right;
    if (a->target_id != b->target_id)
        return a->target_id < b->target_id ? -1 : 1;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static meshping_status reserve_rows(batch *b, size_t more)
{
    if (b->rows && b->capacity - b->count >= more)
        return MESHPING_OK;
    size_t capacity = (b->count + more) * 2;
    meshping__block_row *grown = meshping__realloc(b->rows, capacity * sizeof *grown);
    if (!grown)
        return MESHPING_NOMEM;
    b->rows = grown;
    b->capacity = capacity;
    return MESHPING_OK;
}

static meshping_status add_samples(batch *b, const meshping_block_reader *reader)
{
    size_t total = meshping_block_reader_sample_count(reader), count;
    meshping_sample *samples = meshping__malloc(total * sizeof *samples);
    meshping_status status = samples ? reserve_rows(b, total) : MESHPING_NOMEM;
    size_t kept = b->count;
    for (size_t i = 0; status == MESHPING_OK && i < meshping_block_reader_target_count(reader); i++) {
        meshping_block_entry entry;
        meshping_block_reader_entry(reader, i, &entry);
        status = meshping_block_reader_samples(reader, i, samples, total, &count, NULL);
        for (size_t j = 0; status == MESHPING_OK && j < count; j++, b->count++)
            b->rows[b->count] =
                (meshping__block_row){.target_id = entry.target_id, .sample = samples[j], .order = (uint32_t)b->count};
    }
    if (status != MESHPING_OK)
        b->count = kept;
    meshping__free(samples);
    return status;
}

/* One journal row: id, bytes, received_us, keep_us. */
static meshping_status add_block(batch *b, sqlite3_stmt *statement)
{
    meshping_block_reader *reader = NULL;
    int64_t id = sqlite3_column_int64(statement, 0);
    meshping_status status = meshping_block_reader_new(&reader, sqlite3_column_blob(statement, 1),
                                                       (size_t)sqlite3_column_bytes(statement, 1), NULL);
    if (status == MESHPING_OK)
        status = add_samples(b, reader);
    meshping_block_reader_free(reader);
    if (status == MESHPING_CORRUPT || status == MESHPING_LIMIT) {
        b->damaged_id = id;
        return MESHPING_OK;
    }
    if (status != MESHPING_OK)
        return status;
    if (!meshping__sql_room((void **)&b->ids, &b->id_capacity, b->id_count, sizeof *b->ids))
        return MESHPING_NOMEM;
    int64_t received_us = sqlite3_column_int64(statement, 2), keep_us = sqlite3_column_int64(statement, 3);
    if (b->id_count == 0 || received_us > b->received_us)
        b->received_us = received_us;
    if (b->id_count == 0 || keep_us > b->keep_us)
        b->keep_us = keep_us;
    b->ids[b->id_count++] = id;
    return MESHPING_OK;
}

/* NOT_FOUND: nothing is old enough. */
static meshping_status oldest(meshping__sql *sql, int64_t before_us, uint64_t *agent_id, int64_t *keep_us,
                              meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        sql, &statement, err, "SELECT agent_id, keep_us FROM blocks WHERE keep_us < ?1 ORDER BY keep_us LIMIT 1", "i",
        before_us);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status != MESHPING_OK)
        return status;
    *agent_id = (uint64_t)sqlite3_column_int64(statement, 0);
    *keep_us = sqlite3_column_int64(statement, 1);
    sqlite3_reset(statement);
    return MESHPING_OK;
}

static meshping_status collect(meshping__sql *sql, batch *b, int64_t from_us, int64_t to_us, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(sql, &statement, err,
                                                 "SELECT id, bytes, received_us, keep_us FROM blocks"
                                                 " WHERE agent_id = ?1 AND keep_us >= ?2 AND keep_us < ?3 ORDER BY id",
                                                 "iii", (int64_t)b->agent_id, from_us, to_us);
    while (status == MESHPING_OK && (status = meshping__sql_step(sql, statement, err)) == MESHPING_OK) {
        status = add_block(b, statement);
        if (status != MESHPING_OK || b->damaged_id || b->count >= BATCH_SAMPLES_MAX ||
            b->id_count >= BATCH_BLOCKS_MAX) {
            sqlite3_reset(statement);
            return status;
        }
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

/* ---- encoding, before the transaction: it would keep all others from writing ---- */

static meshping_status finish(batch *b, meshping_block_builder *builder, uint64_t first_target, uint64_t last_target)
{
    sealed one = {.first_target = first_target,
                  .last_target = last_target,
                  .sample_count = meshping_block_builder_count(builder)};
    if (!meshping__sql_room((void **)&b->sealed, &b->sealed_capacity, b->sealed_count, sizeof *b->sealed))
        return MESHPING_NOMEM;
    meshping_block_builder_span(builder, &one.first_us, &one.last_us);
    meshping_status status = meshping_block_builder_finish(builder, &one.bytes, &one.length);
    if (status == MESHPING_OK)
        b->sealed[b->sealed_count++] = one;
    return status;
}

static meshping_status encode_all(batch *b)
{
    meshping_block_builder *builder = NULL;
    meshping_status status = meshping_block_builder_new(&builder);
    if (status != MESHPING_OK || b->count == 0) {
        meshping_block_builder_free(builder);
        return status;
    }
    qsort(b->rows, b->count, sizeof *b->rows, compare_rows);
    uint64_t first_target = b->rows[0].target_id;
    meshping__block_builder_set_effort(builder, MESHPING__EFFORT_SEAL);
    for (size_t i = 0; status == MESHPING_OK && i < b->count; i++) {
        const meshping__block_row *row = &b->rows[i];
        status = meshping_block_builder_add(builder, row->target_id, &row->sample);
        if (status == MESHPING_LIMIT) {
            status = finish(b, builder, first_target, b->rows[i - 1].target_id);
            first_target = row->target_id;
            if (status == MESHPING_OK)
                status = meshping_block_builder_add(builder, row->target_id, &row->sample);
        }
    }
    if (status == MESHPING_OK)
        status = finish(b, builder, first_target, b->rows[b->count - 1].target_id);
    meshping_block_builder_free(builder);
    return status;
}

/* ---- writing ---- */

static meshping_status insert(meshping__sql *sql, const batch *b, const sealed *one, meshping_error *err)
{
    return meshping__sql_run(
        sql, err,
        "INSERT INTO sealed(agent_id, first_target, last_target, first_us, last_us, received_us, keep_us, sample_count,"
        " bytes) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        "iiiiiiiib", (int64_t)b->agent_id, (int64_t)one->first_target, (int64_t)one->last_target, one->first_us,
        one->last_us, b->received_us, b->keep_us, (int64_t)one->sample_count, (const void *)one->bytes, one->length);
}

static meshping_status delete_all(meshping__sql *sql, const batch *b, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; status == MESHPING_OK && i < b->id_count; i++) {
        status = meshping__sql_run(sql, err, "DELETE FROM blocks WHERE id = ?1", "i", b->ids[i]);
        /* retention or the agent's removal were faster: what is gone must not come back */
        if (status == MESHPING_OK && meshping__sql_changes(sql) != 1)
            status = meshping_error_set(err, MESHPING_BUSY, "the blocks to seal have changed");
    }
    return status;
}

static meshping_status move_damaged(meshping__sql *sql, int64_t id, meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err,
        "INSERT INTO sealed(agent_id, first_target, last_target, first_us, last_us, received_us, keep_us, sample_count,"
        " bytes) SELECT agent_id, 0, 9223372036854775807, first_us, last_us, received_us, keep_us, sample_count, bytes"
        " FROM blocks WHERE id = ?1",
        "i", id);
    if (status == MESHPING_OK)
        status = meshping__sql_run(sql, err, "DELETE FROM blocks WHERE id = ?1", "i", id);
    return status;
}

static meshping_status commit(meshping__sql *sql, const batch *b, meshping_error *err)
{
    meshping_status status = meshping__sql_begin(sql, err);
    if (status != MESHPING_OK)
        return status;
    status = delete_all(sql, b, err);
    for (size_t i = 0; status == MESHPING_OK && i < b->sealed_count; i++)
        status = insert(sql, b, &b->sealed[i], err);
    if (status == MESHPING_OK && b->damaged_id)
        status = move_damaged(sql, b->damaged_id, err);
    return meshping__sql_end(sql, status, err);
}

meshping_status meshping__seal_step(meshping__sql *sql, int64_t before_us, meshping_error *err)
{
    batch b = {0};
    int64_t keep_us;
    meshping_status status = oldest(sql, before_us, &b.agent_id, &keep_us, err);
    if (status != MESHPING_OK)
        return status;
    status = collect(sql, &b, keep_us, before_us - keep_us < BATCH_US ? before_us : keep_us + BATCH_US, err);
    if (status == MESHPING_OK)
        status = encode_all(&b);
    if (status == MESHPING_OK)
        status = commit(sql, &b, err);
    dispose(&b);
    return status;
}
