/* SPDX-License-Identifier: Apache-2.0 */
#include "store/retain.h"

#include "store/internal.h"

#include "store/rollups.h"

#define ROLLUPS_A_STEP 32
#define GAPS_A_STEP 200
#define EPOCHS_A_STEP 200
#define VACUUM "PRAGMA incremental_vacuum(512)"
#define VACUUM_PAGES 512
#define FREE_PAGES_KEPT 1024                     /* and a 64th of the file: they are used again before long */
#define EPOCH_KEEP_US (INT64_C(86400) * 1000000) /* ranges outlive their blocks, for agents that come back late */
#define HIGH_PERCENT 90

/* INT64_MIN means never: no sum may go below it. */
static int64_t clamped(int64_t time_us)
{
    return time_us < INT64_MIN / 2 ? INT64_MIN / 2 : time_us;
}

/* ---- deleting: each sets *deleted ---- */

static meshping_status delete_blocks(meshping__sql *sql, int64_t before_us, size_t most, int64_t *deleted,
                                     meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err, "DELETE FROM sealed WHERE id IN (SELECT id FROM sealed WHERE keep_us < ?1 ORDER BY keep_us LIMIT ?2)",
        "ii", before_us, most < INT64_MAX ? (int64_t)most : INT64_MAX);
    *deleted = meshping__sql_changes(sql);
    return status;
}

static meshping_status delete_gaps(meshping__sql *sql, int64_t before_us, int64_t *deleted, meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err, "DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE keep_us < ?1 ORDER BY keep_us LIMIT ?2)",
        "ii", before_us, (int64_t)GAPS_A_STEP);
    *deleted = meshping__sql_changes(sql);
    return status;
}

static meshping_status delete_rollups(meshping__sql *sql, int64_t before_us, int64_t *deleted, meshping_error *err)
{
    meshping_status status = meshping__sql_run(sql, err,
                                               "DELETE FROM rollups WHERE id IN (SELECT id FROM rollups"
                                               " WHERE keep_period < ?1 ORDER BY keep_period LIMIT ?2)",
                                               "ii", meshping__rollup_period(meshping__hour_of(clamped(before_us))),
                                               (int64_t)ROLLUPS_A_STEP);
    *deleted = meshping__sql_changes(sql);
    return status;
}

static meshping_status delete_epochs(meshping__sql *sql, int64_t before_us, int64_t *deleted, meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err,
        "DELETE FROM epochs WHERE (agent_id, epoch) IN (SELECT e.agent_id, e.epoch FROM epochs e WHERE e.updated_us < "
        "?1"
        " AND NOT EXISTS (SELECT 1 FROM blocks b WHERE b.agent_id = e.agent_id AND b.epoch = e.epoch)"
        " AND NOT EXISTS (SELECT 1 FROM gaps g WHERE g.agent_id = e.agent_id AND g.epoch = e.epoch) LIMIT ?2)",
        "ii", clamped(before_us) - EPOCH_KEEP_US, (int64_t)EPOCHS_A_STEP);
    *deleted = meshping__sql_changes(sql);
    return status;
}

/* The newest note of each agent still tells its clock. */
static meshping_status delete_clocks(meshping__sql *sql, int64_t before_us, int64_t *deleted, meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err,
        "DELETE FROM clocks WHERE (agent_id, at_us) IN (SELECT o.agent_id, o.at_us FROM clocks o WHERE o.at_us < ?1"
        " AND EXISTS (SELECT 1 FROM clocks n WHERE n.agent_id = o.agent_id AND n.at_us > o.at_us) LIMIT ?2)",
        "ii", before_us, (int64_t)GAPS_A_STEP);
    *deleted = meshping__sql_changes(sql);
    return status;
}

static meshping_status delete_pauses(meshping__sql *sql, int64_t before_us, int64_t *deleted, meshping_error *err)
{
    meshping_status status = meshping__sql_run(sql, err, "DELETE FROM pauses WHERE to_us < ?1", "i", before_us);
    *deleted = meshping__sql_changes(sql);
    return status;
}

static meshping_status delete_target_pauses(meshping__sql *sql, int64_t before_us, int64_t *deleted,
                                            meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(sql, err, "DELETE FROM target_pauses WHERE to_ms < ?1 AND to_ms <> 0", "i", before_us / 1000);
    *deleted = meshping__sql_changes(sql);
    return status;
}

/* ---- size ---- */

typedef struct size {
    uint64_t used_bytes;
    int64_t pages, free_pages;
} size;

static meshping_status measure(meshping__sql *sql, size *out, meshping_error *err)
{
    int64_t page_bytes = 0;
    meshping_status status = meshping__sql_number(sql, "PRAGMA page_count", &out->pages, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(sql, "PRAGMA freelist_count", &out->free_pages, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(sql, "PRAGMA page_size", &page_bytes, err);
    out->used_bytes = (uint64_t)((out->pages - out->free_pages) * page_bytes);
    return status;
}

/* Over the limit the oldest samples go, then the oldest roll-ups, as far as they may. */
static meshping_status cut(meshping__sql *sql, const meshping_retention *goal, size_t max_blocks,
                           meshping__retained *all, int64_t *deleted, meshping_error *err)
{
    meshping_status status = delete_blocks(sql, goal->spare_raw_before_us, max_blocks, deleted, err);
    all->blocks += (uint64_t)*deleted;
    all->cut_blocks += (uint64_t)*deleted;
    if (status != MESHPING_OK || *deleted)
        return status;
    status = delete_rollups(sql, goal->spare_rollups_before_us, deleted, err);
    all->rollups += (uint64_t)*deleted;
    all->cut_rollups += (uint64_t)*deleted;
    return status;
}

static meshping_size_state size_state(uint64_t used_bytes, uint64_t max_bytes)
{
    if (max_bytes == 0)
        return MESHPING_SIZE_GOOD;
    if (used_bytes > max_bytes)
        return MESHPING_SIZE_OVER;
    return used_bytes >= max_bytes / 100 * HIGH_PERCENT ? MESHPING_SIZE_HIGH : MESHPING_SIZE_GOOD;
}

/* ---- a step ---- */

static meshping_status expire(meshping__sql *sql, const meshping_retention *goal, size_t max_blocks,
                              meshping__retained *all, int64_t *deleted, meshping_error *err)
{
    meshping_status status = delete_blocks(sql, goal->raw_before_us, max_blocks, deleted, err);
    all->blocks += (uint64_t)*deleted;
    if (status != MESHPING_OK || *deleted)
        return status;
    status = delete_rollups(sql, goal->rollups_before_us, deleted, err);
    all->rollups += (uint64_t)*deleted;
    if (status == MESHPING_OK && !*deleted)
        status = delete_gaps(sql, goal->raw_before_us, deleted, err);
    if (status == MESHPING_OK && !*deleted)
        status = delete_epochs(sql, goal->raw_before_us, deleted, err);
    if (status == MESHPING_OK && !*deleted)
        status = delete_clocks(sql, goal->raw_before_us, deleted, err);
    if (status == MESHPING_OK && !*deleted)
        status = delete_pauses(sql, goal->raw_before_us, deleted, err);
    if (status == MESHPING_OK && !*deleted)
        status = delete_target_pauses(sql, goal->raw_before_us, deleted, err);
    return status;
}

meshping_status meshping__retain_step(meshping__sql *sql, const meshping_retention *goal, size_t max_blocks,
                                      meshping__retained *all, meshping_error *err)
{
    size before;
    int64_t deleted = 0;
    meshping_status status = measure(sql, &before, err);
    if (status != MESHPING_OK)
        return status;
    /* each statement is a transaction of its own: one at most changes anything */
    status = expire(sql, goal, max_blocks, all, &deleted, err);
    if (status == MESHPING_OK && !deleted && goal->size_max_bytes && before.used_bytes > goal->size_max_bytes)
        status = cut(sql, goal, max_blocks, all, &deleted, err);
    if (status == MESHPING_OK && !deleted) {
        all->used_bytes = before.used_bytes;
        all->size_state = size_state(before.used_bytes, goal->size_max_bytes);
        if (before.free_pages < FREE_PAGES_KEPT + before.pages / 64 + VACUUM_PAGES)
            return MESHPING_NOT_FOUND;
        status = meshping__sql_exec(sql, VACUUM, err);
    }
    return status;
}

meshping_status meshping_store_expire(meshping_store *store, int64_t before_us, size_t max_blocks, size_t *deleted,
                                      meshping_error *err)
{
    const meshping_retention goal = {.raw_before_us = before_us, .rollups_before_us = INT64_MIN};
    meshping__retained all = {0};
    meshping_status status = MESHPING_OK;
    while (status == MESHPING_OK && all.blocks < max_blocks)
        status = meshping__retain_step(&store->sql, &goal, max_blocks - (size_t)all.blocks, &all, err);
    if (deleted)
        *deleted = (size_t)all.blocks;
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}
