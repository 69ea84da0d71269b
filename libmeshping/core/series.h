/* SPDX-License-Identifier: Apache-2.0 */
/* One target's samples of a time out of many blocks: what cache and store have in common. */
#ifndef MESHPING_CORE_SERIES_H
#define MESHPING_CORE_SERIES_H

#include <meshping/block.h>
#include <meshping/series.h>

#define MESHPING__SERIES_SAMPLES_MAX ((size_t)4 << 20) /* of one answer: 64 MiB */

typedef struct meshping__found {
    meshping_sample sample;
    uint32_t place; /* of the block: of one slot in two the one in the lower place counts */
} meshping__found;

typedef struct meshping__collector {
    uint64_t target_id;
    int64_t from_us, to_us;
    meshping__found *items;
    size_t count, capacity;
    bool unordered;
    meshping_damage *damaged;
    size_t damaged_count, damaged_capacity;
} meshping__collector;

/* Of from_us <= slot < to_us. */
void meshping__collector_init(meshping__collector *all, uint64_t target_id, int64_t from_us, int64_t to_us);
void meshping__collector_dispose(meshping__collector *all);
/*
 * Takes what the block has of the target, by `reader`. `trusted`: the bytes passed the checksum before.
 * *received_agent_us: late data is marked by it; NULL: it is marked. CORRUPT: nothing is taken of it; LIMIT: there are
 * too many samples; NOMEM.
 */
meshping_status meshping__collector_take(meshping__collector *all, meshping_block_reader *reader, const uint8_t *bytes,
                                         size_t length, bool trusted, uint32_t place, const int64_t *received_agent_us);
meshping_status meshping__collector_damage(meshping__collector *all, int64_t block_id, int64_t first_us,
                                           int64_t last_us);
meshping_status meshping__collector_finish(meshping__collector *all, meshping_series *out);

#endif
