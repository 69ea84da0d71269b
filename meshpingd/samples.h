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
/* Takes what a durable block or gap tells of its agent's past. */
void samples_take_past(agent_entry *agent, const meshping_block_done *done);
/* The list of targets was saved: reads anew when they were paused. */
void samples_take_pauses(server *s);
/* From here on the server has in memory what explains where samples are missing. */
int64_t samples_oldest_us(const server *s);
/*
 * The pair's newest slot before before_us; INT64_MIN: there is none. False: the cache does not reach back that far, and
 * the store may have one.
 */
bool samples_newest_before(server *s, const agent_entry *agent, uint64_t target_id, int64_t before_us,
                           int64_t *slot_us);
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
