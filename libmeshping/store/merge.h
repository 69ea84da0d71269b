/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Joins blocks of one agent into longer ones by target. Targets come in ascending order from all inputs at once, so an
 * input's chunk is decoded once and samples are never all in memory; the work is done in pieces of some milliseconds.
 */
#ifndef MESHPING_STORE_MERGE_H
#define MESHPING_STORE_MERGE_H

#include <meshping/block.h>

/* An output block ends with the series that brings it to this: what a piece of work is bounded by. */
#define MESHPING__MERGE_SAMPLES 32768u

typedef struct meshping__merged {
    uint8_t *bytes;
    size_t length, sample_count;
    uint64_t first_target, last_target;
    int64_t first_us, last_us;
} meshping__merged;

typedef struct meshping__merge meshping__merge;

/* Called for each target, ascending, with all its samples, ascending by slot and none twice. */
typedef meshping_status (*meshping__merge_series_fn)(void *user, uint64_t target_id, const meshping_sample *samples,
                                                     size_t count);

/* `journal`: inputs are as agents sent them: late data is marked by their time of receipt, on the agents' clock. fn may
 * be NULL. */
meshping_status meshping__merge_new(meshping__merge **out, bool journal, meshping__merge_series_fn fn, void *user);
void meshping__merge_free(meshping__merge *merge);
/*
 * Adds a block (copied), before the first step. Of samples with one slot that of the input added first counts. CORRUPT,
 * LIMIT: it cannot be read, and is not in it; NOMEM.
 */
meshping_status meshping__merge_add(meshping__merge *merge, int64_t id, const uint8_t *bytes, size_t length,
                                    int64_t received_agent_us);
size_t meshping__merge_inputs(const meshping__merge *merge);
/*
 * Some milliseconds of work: some targets, or an output block out of them. NOT_FOUND: all is done. CORRUPT: the input
 * with the id *damaged_id cannot be read.
 */
meshping_status meshping__merge_step(meshping__merge *merge, int64_t *damaged_id);
/* What was made so far; the merge's. */
const meshping__merged *meshping__merge_outputs(const meshping__merge *merge, size_t *count);

#endif
