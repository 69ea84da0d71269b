/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is to be sealed. */
#include "store/seal.h"

#include "store/remove.h"

#include "base/alloc.h"
#include <string.h>

/*
 * A journal's block of one round takes 3.7 bytes a sample, joined they take about 1. An agent with few targets waits
 * until enough has come for that, three times as long at most.
 */
#define SAMPLES_ENOUGH 8192u
#define SAMPLES_MANY (1u << 18) /* do not wait any longer */
#define BLOCKS_MANY 4096u
#define SMALL_TIMES 3
#define SPREAD_PART 4 /* a quarter of the time */
#define RETRY_US INT64_C(60000000)

void meshping__sealer_init(meshping__sealer *sealer, meshping__sql *sql, int64_t short_after_us, int64_t long_after_us)
{
    *sealer = (meshping__sealer){.sql = sql, .short_after_us = short_after_us, .long_after_us = long_after_us};
}

void meshping__sealer_dispose(meshping__sealer *sealer)
{
    meshping__seal_job_free(sealer->job);
    meshping__seal_job_free(sealer->finished);
    meshping__free(sealer->agents);
    sealer->job = sealer->finished = NULL;
    sealer->agents = NULL;
    sealer->count = sealer->capacity = 0;
}

/* ---- what waits ---- */

/* Index of the agent, or of where it would go. */
static size_t find(const meshping__sealer *sealer, uint64_t agent_id)
{
    size_t low = 0, high = sealer->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sealer->agents[middle].id < agent_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* NULL: no memory. */
static meshping__seal_agent *agent_of(meshping__sealer *sealer, uint64_t agent_id)
{
    size_t at = find(sealer, agent_id);
    if (at < sealer->count && sealer->agents[at].id == agent_id)
        return &sealer->agents[at];
    if (!meshping__sql_room((void **)&sealer->agents, &sealer->capacity, sealer->count, sizeof *sealer->agents))
        return NULL;
    memmove(&sealer->agents[at + 1], &sealer->agents[at], (sealer->count - at) * sizeof *sealer->agents);
    sealer->agents[at] = (meshping__seal_agent){.id = agent_id, .not_before_us = INT64_MIN};
    sealer->count++;
    return &sealer->agents[at];
}

static void set_waiting(meshping__sealer *sealer, meshping__seal_agent *agent, meshping__level level,
                        meshping__waiting waiting)
{
    if (level == MESHPING__LEVEL_JOURNAL) {
        sealer->stats.journal_blocks += waiting.count - agent->waiting[level].count;
        sealer->stats.journal_samples += waiting.samples - agent->waiting[level].samples;
    }
    agent->waiting[level] = waiting;
}

void meshping__sealer_note(meshping__sealer *sealer, uint64_t agent_id, size_t samples, int64_t received_us)
{
    meshping__seal_agent *agent = agent_of(sealer, agent_id);
    if (!agent) {
        sealer->reload = true;
        return;
    }
    meshping__waiting waiting = agent->waiting[MESHPING__LEVEL_JOURNAL];
    if (waiting.count == 0 || received_us < waiting.oldest_us)
        waiting.oldest_us = received_us;
    waiting.count++;
    waiting.samples += samples;
    set_waiting(sealer, agent, MESHPING__LEVEL_JOURNAL, waiting);
}

static meshping_status load_level(meshping__sealer *sealer, meshping__level level, int64_t *newest_us,
                                  meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status =
        meshping__sql_query(sealer->sql, &statement, err,
                            level == MESHPING__LEVEL_JOURNAL
                                ? "SELECT agent_id, count(*), sum(sample_count), min(received_us), max(received_us)"
                                  " FROM blocks WHERE agent_id NOT IN (SELECT id FROM agents WHERE leaving)"
                                  " GROUP BY agent_id"
                                : "SELECT agent_id, count(*), sum(sample_count), min(received_us), max(received_us)"
                                  " FROM sealed WHERE level = 1"
                                  " AND agent_id NOT IN (SELECT id FROM agents WHERE leaving) GROUP BY agent_id",
                            "");
    while (status == MESHPING_OK && (status = meshping__sql_step(sealer->sql, statement, err)) == MESHPING_OK) {
        meshping__seal_agent *agent = agent_of(sealer, (uint64_t)sqlite3_column_int64(statement, 0));
        if (!agent) {
            sqlite3_reset(statement);
            return meshping__no_memory(err);
        }
        set_waiting(sealer, agent, level,
                    (meshping__waiting){.count = (uint64_t)sqlite3_column_int64(statement, 1),
                                        .samples = (uint64_t)sqlite3_column_int64(statement, 2),
                                        .oldest_us = sqlite3_column_int64(statement, 3)});
        if (sqlite3_column_int64(statement, 4) > *newest_us)
            *newest_us = sqlite3_column_int64(statement, 4);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

meshping_status meshping__sealer_load(meshping__sealer *sealer, int64_t *newest_us, meshping_error *err)
{
    *newest_us = INT64_MIN;
    sealer->count = 0;
    sealer->stats.journal_blocks = sealer->stats.journal_samples = 0;
    sealer->reload = true;
    meshping_status status = load_level(sealer, MESHPING__LEVEL_JOURNAL, newest_us, err);
    if (status == MESHPING_OK)
        status = load_level(sealer, MESHPING__LEVEL_SHORT, newest_us, err);
    if (status == MESHPING_OK)
        sealer->reload = false;
    return status;
}

void meshping__sealer_forget(meshping__sealer *sealer, uint64_t agent_id)
{
    size_t at = find(sealer, agent_id);
    if (at == sealer->count || sealer->agents[at].id != agent_id)
        return;
    set_waiting(sealer, &sealer->agents[at], MESHPING__LEVEL_JOURNAL, (meshping__waiting){0});
    sealer->count--;
    memmove(&sealer->agents[at], &sealer->agents[at + 1], (sealer->count - at) * sizeof *sealer->agents);
}

/* After a job: what is there now. */
static meshping_status count_again(meshping__sealer *sealer, uint64_t agent_id, meshping_error *err)
{
    size_t at = find(sealer, agent_id);
    meshping_status status = MESHPING_OK;
    if (at == sealer->count || sealer->agents[at].id != agent_id)
        return status;
    for (meshping__level level = MESHPING__LEVEL_JOURNAL; level <= MESHPING__LEVEL_SHORT; level++) {
        sqlite3_stmt *statement;
        status = meshping__sql_query(sealer->sql, &statement, err,
                                     level == MESHPING__LEVEL_JOURNAL
                                         ? "SELECT count(*), ifnull(sum(sample_count), 0), ifnull(min(received_us), 0)"
                                           " FROM blocks WHERE agent_id = ?1 AND " MESHPING__AGENT_STAYS
                                         : "SELECT count(*), ifnull(sum(sample_count), 0), ifnull(min(received_us), 0)"
                                           " FROM sealed WHERE agent_id = ?1 AND level = 1 AND " MESHPING__AGENT_STAYS,
                                     "i", (int64_t)agent_id);
        if (status == MESHPING_OK)
            status = meshping__sql_step(sealer->sql, statement, err);
        if (status != MESHPING_OK)
            return status;
        set_waiting(sealer, &sealer->agents[at], level,
                    (meshping__waiting){.count = (uint64_t)sqlite3_column_int64(statement, 0),
                                        .samples = (uint64_t)sqlite3_column_int64(statement, 1),
                                        .oldest_us = sqlite3_column_int64(statement, 2)});
        sqlite3_reset(statement);
    }
    const meshping__waiting *left = sealer->agents[at].waiting;
    if (left[MESHPING__LEVEL_JOURNAL].count == 0 && left[MESHPING__LEVEL_SHORT].count == 0)
        meshping__sealer_forget(sealer, agent_id);
    return MESHPING_OK;
}

/* ---- whose turn ---- */

/* Agents that began together must not all be due together: each is sooner than it need by a part of its own. */
static int64_t sooner_us(uint64_t agent_id, int64_t after_us)
{
    uint64_t mixed = agent_id * UINT64_C(0x9e3779b97f4a7c15);
    return after_us / (SPREAD_PART * 65536) * (int64_t)(mixed >> 48); /* the time may be "never" */
}

/* When what waits is due, on the clock of times of receipt. */
static int64_t due_us(const meshping__sealer *sealer, const meshping__seal_agent *agent, meshping__level level)
{
    const meshping__waiting *waiting = &agent->waiting[level];
    int64_t after_us = level == MESHPING__LEVEL_SHORT ? sealer->long_after_us : sealer->short_after_us, due;
    if (level == MESHPING__LEVEL_JOURNAL) {
        if (waiting->samples >= SAMPLES_MANY || waiting->count >= BLOCKS_MANY)
            return INT64_MIN;
        if (waiting->samples < SAMPLES_ENOUGH)
            after_us *= SMALL_TIMES;
    } else if (waiting->samples < MESHPING__LONG_SAMPLES_ENOUGH && after_us < INT64_MAX / SMALL_TIMES) {
        after_us *= SMALL_TIMES;
    }
    after_us -= sooner_us(agent->id, after_us);
    return __builtin_add_overflow(waiting->oldest_us, after_us, &due) ? INT64_MAX : due;
}

/* The job that is due the longest, the journal's first. NOT_FOUND: none is. */
static meshping_status next_job(meshping__sealer *sealer, int64_t now_us, meshping_error *err)
{
    for (meshping__level level = MESHPING__LEVEL_JOURNAL; level <= MESHPING__LEVEL_SHORT; level++) {
        const meshping__seal_agent *first = NULL;
        int64_t first_us = now_us;
        for (size_t i = 0; i < sealer->count; i++) {
            const meshping__seal_agent *agent = &sealer->agents[i];
            if (agent->waiting[level].count == 0 || agent->not_before_us > now_us)
                continue;
            int64_t due = due_us(sealer, agent, level);
            if (due < first_us || (due == first_us && !first)) {
                first = agent;
                first_us = due;
            }
        }
        if (!first)
            continue;
        if (meshping__seal_job_new(&sealer->job, first->id, level) != MESHPING_OK)
            return meshping__no_memory(err);
        return MESHPING_OK;
    }
    return MESHPING_NOT_FOUND;
}

/* The job has ended one way or another: the agent's state is what the database says. */
static meshping_status end_job(meshping__sealer *sealer, const meshping__seal_job *job, meshping_status status,
                               int64_t now_us, meshping_error *err)
{
    uint64_t agent_id = meshping__seal_job_agent(job);
    size_t at = find(sealer, agent_id);
    if (status == MESHPING_STATE) {
        sealer->stats.undone++;
        status = MESHPING_OK;
    }
    if (status == MESHPING_OK)
        status = count_again(sealer, agent_id, err);
    if (status != MESHPING_OK) {
        sealer->stats.errors++;
        if (at < sealer->count && sealer->agents[at].id == agent_id)
            sealer->agents[at].not_before_us = now_us + RETRY_US;
    }
    return status;
}

meshping_status meshping__sealer_step(meshping__sealer *sealer, int64_t now_us, meshping__seal_result *result,
                                      meshping_error *err)
{
    int64_t newest_us;
    bool done = false;
    *result = (meshping__seal_result){0};
    meshping__seal_job_free(sealer->finished);
    sealer->finished = NULL;
    meshping_status status = sealer->reload ? meshping__sealer_load(sealer, &newest_us, err) : MESHPING_OK;
    if (status == MESHPING_OK && !sealer->job)
        status = next_job(sealer, now_us, err);
    if (status == MESHPING_NOT_FOUND)
        return status;
    if (status != MESHPING_OK) {
        sealer->stats.errors++;
        return status;
    }
    status = meshping__seal_job_step(sealer->job, sealer->sql, &done, result, err);
    if (status == MESHPING_OK && !done)
        return status;
    sealer->finished = sealer->job;
    sealer->job = NULL;
    if (done) {
        sealer->stats.jobs[result->from]++;
        sealer->stats.damaged += !result->blocks;
        sealer->stats.damaged_rollups += result->damaged_rollups;
    }
    return end_job(sealer, sealer->finished, status, now_us, err);
}
