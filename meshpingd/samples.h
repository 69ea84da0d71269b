/* SPDX-License-Identifier: Apache-2.0 */
/* Samples on their way through the server: from the store into cells and hour cache, and the answers about a pair. */
#ifndef MESHPINGD_SAMPLES_H
#define MESHPINGD_SAMPLES_H

#include "meshpingd/server.h"

/* Fills the hour cache and the cells from the store; agents and targets are there. */
meshping_status samples_load(server *s, meshping_error *err);
/* Takes a durable block into cells, cache and counters. */
void samples_take(server *s, const meshping_stored_block *block);
/* Takes a durable note of the agent's clock. */
void samples_take_clock(agent_entry *agent, const meshping_clock_note *note);
/* What is too old leaves the cache, of a few agents at a time. */
void samples_turn(server *s);
/*
 * A pair's samples of [from_us, to_us) in two steps: what the hour cache has, on the loop, and what is older, with any
 * thread's store.
 */
typedef struct samples_part {
    uint64_t agent_id, target_id;
    int64_t from_us, seam_us; /* what lies between is in the store only */
    meshping_series found;
} samples_part;

meshping_status samples_part_take(samples_part *part, server *s, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                  int64_t to_us, meshping_error *err);
static inline bool samples_part_is_complete(const samples_part *part)
{
    return part->from_us >= part->seam_us;
}
/* Nothing to do when it is complete. */
meshping_status samples_part_complete(samples_part *part, meshping_store *store, meshping_error *err);
void samples_part_dispose(samples_part *part);

#endif
