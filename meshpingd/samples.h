/* SPDX-License-Identifier: Apache-2.0 */
/* Samples on their way through the server: from the store into cells and hour cache, and the answers about a pair. */
#ifndef MESHPINGD_SAMPLES_H
#define MESHPINGD_SAMPLES_H

#include "meshpingd/server.h"

/* Fills the hour cache and the cells from the store; agents and targets are there. */
meshping_status samples_load(server *s, meshping_error *err);
/* Takes a durable block into cells, cache and counters. */
void samples_take(server *s, const meshping_stored_block *block);
/* Each second: what is too old leaves the cache. */
void samples_tick(server *s);
/* A pair's samples of [from_us, to_us): from the hour cache where it reaches, else from the store. */
meshping_status samples_series(server *s, uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us,
                               meshping_series *out, meshping_error *err);

#endif
