/* SPDX-License-Identifier: Apache-2.0 */
/* One job of the sealer: an agent's blocks of one level, read, joined, and put in the place of the old ones. */
#include "store/seal.h"

#include "base/alloc.h"
#include "store/remove.h"
#include "store/rollups.h"

#define READ_BLOCKS 64 /* a step, or so many bytes of them */
#define READ_BYTES ((size_t)256 << 10)
#define JOB_BLOCKS_MAX 4096u
/* What long blocks span, by time of receipt: an hour, or what it takes to compress well, but not too much at once. */
#define LONG_US (INT64_C(3600) * 1000000)
#define LONG_MAX_US (6 * LONG_US)

/* of one job, by the level taken from */
static const size_t samples_max[] = {[MESHPING__LEVEL_JOURNAL] = 1u << 18, [MESHPING__LEVEL_SHORT] = 1u << 20};

typedef enum stage {
    STAGE_READ,
    STAGE_MERGE,
    STAGE_ROLL_UP,
    STAGE_COMMIT,
} stage;

struct meshping__seal_job {
    uint64_t agent_id;
    meshping__level from;
    stage stage;
    meshping__merge *merge;
    meshping__rollup_change rollups; /* of the samples that leave the journal */
    size_t samples;
    int64_t first_id, last_id, first_received_us;
    int64_t stop_id;              /* a block that cannot be read: not in this job. INT64_MAX: none */
    bool damaged;                 /* the job is that block, and moves it as it is */
    int64_t received_us, keep_us; /* the latest */
};

meshping_status meshping__seal_job_new(meshping__seal_job **out, uint64_t agent_id, meshping__level from)
{
    meshping__seal_job *job = meshping__calloc(1, sizeof *job);
    if (!job)
        return MESHPING_NOMEM;
    job->agent_id = agent_id;
    job->from = from;
    job->stop_id = INT64_MAX;
    job->last_id = INT64_MIN;
    *out = job;
    return MESHPING_OK;
}

void meshping__seal_job_free(meshping__seal_job *job)
{
    if (!job)
        return;
    meshping__merge_free(job->merge);
    meshping__rollup_change_dispose(&job->rollups);
    meshping__free(job);
}

uint64_t meshping__seal_job_agent(const meshping__seal_job *job)
{
    return job->agent_id;
}

/* ---- reading ---- */

typedef struct row {
    int64_t id, received_us, received_agent_us, keep_us;
    size_t samples;
    const uint8_t *bytes;
    size_t length;
} row;

/* The job has all that it may take. */
static bool is_full(const meshping__seal_job *job, const row *next)
{
    if (!job->merge || meshping__merge_inputs(job->merge) == 0)
        return false;
    int64_t span_us = next->received_us - job->first_received_us;
    if (job->from == MESHPING__LEVEL_SHORT &&
        (span_us >= LONG_MAX_US || (span_us >= LONG_US && job->samples >= MESHPING__LONG_SAMPLES_ENOUGH)))
        return true;
    return meshping__merge_inputs(job->merge) >= JOB_BLOCKS_MAX ||
           job->samples + next->samples > samples_max[job->from];
}

/* *more: there may be more to take. */
static meshping_status take(meshping__seal_job *job, const row *next, bool *more)
{
    bool first = meshping__merge_inputs(job->merge) == 0;
    *more = false;
    if (next->id >= job->stop_id || is_full(job, next))
        return MESHPING_OK;
    meshping_status status =
        meshping__merge_add(job->merge, next->id, next->bytes, next->length, next->received_agent_us);
    if (status == MESHPING_CORRUPT || status == MESHPING_LIMIT) {
        job->stop_id = next->id;
        job->damaged = first;
        if (first)
            job->first_id = job->last_id = next->id;
        return MESHPING_OK;
    }
    if (status != MESHPING_OK)
        return status;
    if (first) {
        job->first_id = next->id;
        job->first_received_us = next->received_us;
    }
    if (first || next->received_us > job->received_us)
        job->received_us = next->received_us;
    if (first || next->keep_us > job->keep_us)
        job->keep_us = next->keep_us;
    job->last_id = next->id;
    job->samples += next->samples;
    *more = true;
    return MESHPING_OK;
}

/* Each sample that leaves the journal comes here exactly once. */
static meshping_status roll_up(void *user, uint64_t target_id, const meshping_sample *samples, size_t count)
{
    return meshping__rollup_change_add(user, target_id, samples, count, NULL);
}

static meshping_status begin_merge(meshping__seal_job *job, meshping__sql *sql)
{
    bool journal = job->from == MESHPING__LEVEL_JOURNAL;
    meshping__rollup_change_init(&job->rollups, sql, job->agent_id);
    return meshping__merge_new(&job->merge, journal, journal ? roll_up : NULL, &job->rollups);
}

static meshping_status read_some(meshping__seal_job *job, meshping__sql *sql, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status;
    bool more = true;
    size_t count = 0, bytes = 0;
    if (!job->merge && begin_merge(job, sql) != MESHPING_OK)
        return meshping__no_memory(err);
    /* a statement that stays open would keep the write-ahead log from being emptied */
    status = meshping__sql_query(sql, &statement, err,
                                 job->from == MESHPING__LEVEL_JOURNAL
                                     ? "SELECT id, received_us, keep_us, sample_count, bytes,"
                                       " received_us + clock_offset_us FROM blocks"
                                       " WHERE agent_id = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
                                     : "SELECT id, received_us, keep_us, sample_count, bytes, 0 FROM sealed"
                                       " WHERE agent_id = ?1 AND level = 1 AND id > ?2 ORDER BY id LIMIT ?3",
                                 "iii", (int64_t)job->agent_id, job->last_id, (int64_t)READ_BLOCKS);
    while (status == MESHPING_OK && more && bytes < READ_BYTES &&
           (status = meshping__sql_step(sql, statement, err)) == MESHPING_OK) {
        row next = {.id = sqlite3_column_int64(statement, 0),
                    .received_us = sqlite3_column_int64(statement, 1),
                    .received_agent_us = sqlite3_column_int64(statement, 5),
                    .keep_us = sqlite3_column_int64(statement, 2),
                    .samples = (size_t)sqlite3_column_int64(statement, 3),
                    .bytes = sqlite3_column_blob(statement, 4),
                    .length = (size_t)sqlite3_column_bytes(statement, 4)};
        status = take(job, &next, &more);
        count++;
        bytes += next.length;
        if (status != MESHPING_OK)
            status = meshping__no_memory(err);
        if (status != MESHPING_OK || !more || bytes >= READ_BYTES)
            sqlite3_reset(statement);
    }
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND)
        return status;
    if (!more || (count < READ_BLOCKS && bytes < READ_BYTES))
        job->stage = job->damaged ? STAGE_COMMIT : STAGE_MERGE;
    return MESHPING_OK;
}

/* ---- joining ---- */

/* A block whose content cannot be read, though its checksum is right: the job begins anew and ends before it. */
static void stop_before(meshping__seal_job *job, int64_t id)
{
    meshping__merge_free(job->merge);
    meshping__rollup_change_dispose(&job->rollups);
    job->merge = NULL;
    job->samples = 0;
    job->stop_id = id;
    job->damaged = id == job->first_id;
    job->last_id = job->damaged ? id : INT64_MIN;
    job->stage = job->damaged ? STAGE_COMMIT : STAGE_READ;
}

static meshping_status merge_some(meshping__seal_job *job, meshping_error *err)
{
    int64_t damaged_id = 0;
    meshping_status status = meshping__merge_step(job->merge, &damaged_id);
    if (status == MESHPING_NOT_FOUND) {
        job->stage = STAGE_ROLL_UP;
    } else if (status == MESHPING_CORRUPT) {
        stop_before(job, damaged_id);
    } else if (status != MESHPING_OK) {
        return meshping_error_set(err, status, "blocks cannot be joined: %s", meshping_status_text(status));
    }
    return MESHPING_OK;
}

static meshping_status roll_up_some(meshping__seal_job *job, meshping_error *err)
{
    meshping_status status = meshping__rollup_change_prepare(&job->rollups, err);
    if (status == MESHPING_NOT_FOUND)
        job->stage = STAGE_COMMIT;
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

/* ---- writing ---- */

static meshping_status insert(meshping__sql *sql, const meshping__seal_job *job, const meshping__merged *block,
                              meshping_error *err)
{
    return meshping__sql_run(
        sql, err,
        "INSERT INTO sealed(agent_id, level, first_target, last_target, first_us, last_us, received_us, keep_us,"
        " sample_count, bytes) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        "iiiiiiiiib", (int64_t)job->agent_id, (int64_t)job->from + 1, (int64_t)block->first_target,
        (int64_t)block->last_target, block->first_us, block->last_us, job->received_us, job->keep_us,
        (int64_t)block->sample_count, (const void *)block->bytes, block->length);
}

static meshping_status delete_all(meshping__sql *sql, const meshping__seal_job *job, meshping_error *err)
{
    meshping_status status =
        meshping__sql_run(sql, err,
                          job->from == MESHPING__LEVEL_JOURNAL
                              ? "DELETE FROM blocks WHERE agent_id = ?1 AND id BETWEEN ?2 AND ?3"
                                " AND " MESHPING__AGENT_STAYS
                              : "DELETE FROM sealed WHERE agent_id = ?1 AND level = 1 AND id BETWEEN ?2 AND ?3"
                                " AND " MESHPING__AGENT_STAYS,
                          "iii", (int64_t)job->agent_id, job->first_id, job->last_id);
    /* retention or the agent's removal were faster: what is gone must not come back */
    if (status == MESHPING_OK && meshping__sql_changes(sql) != (int64_t)meshping__merge_inputs(job->merge))
        status = meshping_error_set(err, MESHPING_STATE, "the blocks to seal have changed");
    return status;
}

/* It stays reported, and is not tried again. */
static meshping_status move_damaged(meshping__sql *sql, const meshping__seal_job *job, meshping_error *err)
{
    if (job->from == MESHPING__LEVEL_SHORT)
        return meshping__sql_run(sql, err, "UPDATE sealed SET level = 2 WHERE id = ?1 AND level = 1", "i",
                                 job->first_id);
    meshping_status status = meshping__sql_run(
        sql, err,
        "INSERT INTO sealed(agent_id, level, first_target, last_target, first_us, last_us, received_us, keep_us,"
        " sample_count, bytes) SELECT agent_id, 2, 0, 9223372036854775807, first_us, last_us, received_us, keep_us,"
        " sample_count, bytes FROM blocks WHERE id = ?1",
        "i", job->first_id);
    if (status == MESHPING_OK)
        status = meshping__sql_run(sql, err, "DELETE FROM blocks WHERE id = ?1", "i", job->first_id);
    return status;
}

static meshping_status write_all(meshping__sql *sql, const meshping__seal_job *job, meshping_error *err)
{
    size_t count;
    const meshping__merged *blocks = meshping__merge_outputs(job->merge, &count);
    meshping_status status = delete_all(sql, job, err);
    for (size_t i = 0; status == MESHPING_OK && i < count; i++)
        status = insert(sql, job, &blocks[i], err);
    if (status == MESHPING_OK)
        status = meshping__rollup_change_write(&job->rollups, job->received_us, err);
    return status;
}

static meshping_status commit(meshping__seal_job *job, meshping__sql *sql, meshping__seal_result *result,
                              meshping_error *err)
{
    meshping_status status = meshping__sql_begin(sql, err);
    if (status != MESHPING_OK)
        return status;
    status = job->damaged ? move_damaged(sql, job, err) : write_all(sql, job, err);
    status = meshping__sql_end(sql, status, err);
    if (status != MESHPING_OK)
        return status;
    *result = (meshping__seal_result){.agent_id = job->agent_id,
                                      .from = job->from,
                                      .first_id = job->first_id,
                                      .last_id = job->last_id,
                                      .received_us = job->received_us,
                                      .damaged_rollups = job->rollups.damaged};
    if (!job->damaged)
        result->blocks = meshping__merge_outputs(job->merge, &result->count);
    return MESHPING_OK;
}

meshping_status meshping__seal_job_step(meshping__seal_job *job, meshping__sql *sql, bool *done,
                                        meshping__seal_result *result, meshping_error *err)
{
    *done = false;
    switch (job->stage) {
    case STAGE_READ:
        return read_some(job, sql, err);
    case STAGE_MERGE:
        return merge_some(job, err);
    case STAGE_ROLL_UP:
        return roll_up_some(job, err);
    case STAGE_COMMIT:
        break;
    }
    if (!job->damaged && meshping__merge_inputs(job->merge) == 0)
        return meshping_error_set(err, MESHPING_STATE, "the blocks to seal have changed");
    meshping_status status = commit(job, sql, result, err);
    *done = status == MESHPING_OK;
    return status;
}
