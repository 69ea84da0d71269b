/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: the journal's blocks of one round each are joined (level 1), and later these again (level 2). Work comes in
 * steps of some milliseconds; what a job has made goes into the database in one transaction, and until then nothing has
 * happened. One sealer a database, in the writer thread.
 *
 * Each agent's blocks are taken in the order in which they were stored, and all of those before the last one taken. So
 * of one slot in two blocks the one stored first is known for good: level 2 before level 1 before the journal, then by
 * id.
 */
#ifndef MESHPING_STORE_SEAL_H
#define MESHPING_STORE_SEAL_H

#include "store/merge.h"
#include "store/sql.h"

#define MESHPING__LONG_SAMPLES_ENOUGH (1u << 16) /* for a long block, which gains little by more */

typedef enum meshping__level {
    MESHPING__LEVEL_JOURNAL = 0, /* table `blocks`; the others in table `sealed` */
    MESHPING__LEVEL_SHORT = 1,
    MESHPING__LEVEL_LONG = 2,
} meshping__level;

/* What of an agent's waits to be joined, by the level it is on. */
typedef struct meshping__waiting {
    uint64_t count, samples;
    int64_t oldest_us; /* time of receipt; of a sealed block the latest in it */
} meshping__waiting;

typedef struct meshping__seal_agent {
    uint64_t id;
    meshping__waiting waiting[2];
    int64_t not_before_us; /* after an error: the others' turn comes first */
} meshping__seal_agent;

typedef struct meshping__seal_stats {
    uint64_t jobs[2]; /* finished, by the level taken from */
    uint64_t undone;  /* rows were gone meanwhile */
    uint64_t errors;
    uint64_t damaged; /* blocks that could not be read */
    uint64_t damaged_rollups;
    uint64_t journal_blocks, journal_samples; /* that wait */
} meshping__seal_stats;

typedef struct meshping__seal_job meshping__seal_job;

typedef struct meshping__sealer {
    meshping__sql *sql;
    int64_t short_after_us, long_after_us;
    meshping__seal_agent *agents; /* ascending by id */
    size_t count, capacity;
    bool reload; /* the list is not complete */
    meshping__seal_job *job;
    meshping__seal_job *finished; /* whose outcome was told last */
    meshping__seal_stats stats;
} meshping__sealer;

/* What a step has brought to an end; valid until the next step. */
typedef struct meshping__seal_result {
    uint64_t agent_id;
    meshping__level from;
    int64_t first_id, last_id;      /* of the rows that were replaced */
    int64_t received_us;            /* the latest of them */
    const meshping__merged *blocks; /* by these; NULL: one damaged block that was moved as it is */
    size_t count;
    uint64_t damaged_rollups; /* rows of roll-ups that could not be read, and began anew */
} meshping__seal_result;

void meshping__sealer_init(meshping__sealer *sealer, meshping__sql *sql, int64_t short_after_us, int64_t long_after_us);
void meshping__sealer_dispose(meshping__sealer *sealer);
/* Reads what waits from the database. *newest_us: the latest time of receipt there; INT64_MIN when nothing waits. */
meshping_status meshping__sealer_load(meshping__sealer *sealer, int64_t *newest_us, meshping_error *err);
/* A block was committed to the journal. */
void meshping__sealer_note(meshping__sealer *sealer, uint64_t agent_id, size_t samples, int64_t received_us);
/* The agent is being deleted: there is nothing to join any more. */
void meshping__sealer_forget(meshping__sealer *sealer, uint64_t agent_id);
/*
 * A piece of work at the time now_us (the clock of times of receipt). NOT_FOUND: nothing is due. OK with result->from
 * and the rest set when a job was finished, else result->count 0 and result->agent_id 0. An error undoes the job.
 */
meshping_status meshping__sealer_step(meshping__sealer *sealer, int64_t now_us, meshping__seal_result *result,
                                      meshping_error *err);

/* ---- one job (seal_job.c) ---- */

meshping_status meshping__seal_job_new(meshping__seal_job **out, uint64_t agent_id, meshping__level from);
void meshping__seal_job_free(meshping__seal_job *job);
uint64_t meshping__seal_job_agent(const meshping__seal_job *job);
/* OK: *done tells whether the job is in the database, with *result. STATE: undone, as its rows have changed. */
meshping_status meshping__seal_job_step(meshping__seal_job *job, meshping__sql *sql, bool *done,
                                        meshping__seal_result *result, meshping_error *err);

#endif
