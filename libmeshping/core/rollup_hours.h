/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll-ups of many pairs of one agent, an hour each, as the store keeps them: in memory a sorted list of sparse
 * records, on disk one row of columns (rollup_row.c). docs/adr/0007.
 */
#ifndef MESHPING_CORE_ROLLUP_HOURS_H
#define MESHPING_CORE_ROLLUP_HOURS_H

#include "core/block.h"
#include <meshping/rollup.h>

#define MESHPING__HOUR_US INT64_C(3600000000)
#define MESHPING__HOURS_MAX 65536u /* records in one row */
#define MESHPING__HOUR_SAMPLES_MAX                                                                                     \
    3600000000u /* there are no more microseconds in an hour, and no slot counts twice                                 \
                 */

/* How many samples were of one outcome that is no reply (key below MESHPING_OUTCOME_COUNT), or in one bucket. */
typedef struct meshping__tally {
    uint64_t count; /* above 0 */
    uint32_t key;   /* outcome, or MESHPING_OUTCOME_COUNT + bucket */
} meshping__tally;

typedef struct meshping__hour {
    uint64_t target_id;
    int64_t hour; /* whole hours since 1970 */
    uint64_t sum_us;
    uint32_t min_us, max_us; /* 0 without a reply */
    size_t first;            /* its tallies, ascending by key */
    uint32_t count;
} meshping__hour;

typedef struct meshping__hours {
    meshping__hour *items; /* ascending by target, then hour, none twice; owned */
    size_t count, capacity;
    meshping__tally *tallies; /* owned */
    size_t tally_count, tally_capacity;
} meshping__hours;

void meshping__hours_dispose(meshping__hours *hours);
/* The hour that a slot is in; before 1970 too. */
int64_t meshping__hour_of(int64_t slot_us);
/* Appends what rows[0..count) (ascending by target, then slot; none twice) come to. false: no memory. */
bool meshping__hours_of_rows(meshping__hours *out, const meshping__block_row *rows, size_t count);
/* Appends b[b_first..b_first + b_count) merged into all of `a`. false: no memory. */
bool meshping__hours_merge(meshping__hours *out, const meshping__hours *a, const meshping__hours *b, size_t b_first,
                           size_t b_count);
/* How many samples a record tells of. */
uint64_t meshping__hours_samples(const meshping__hours *hours, size_t i);
/* Adds one record to a roll-up. */
void meshping__hour_add_to(meshping_rollup *rollup, const meshping__hours *hours, size_t i);

/* rollup_row.c: all records as one row; out->failed: no memory. */
void meshping__hours_encode(meshping__bytes *out, const meshping__hours *hours);
/* Appends a row's records. CORRUPT: damaged, or not ours; NOMEM. *hours may then hold some of it. unzip may be NULL. */
meshping_status meshping__hours_decode(meshping__hours *hours, meshping__unzip *unzip, const uint8_t *bytes,
                                       size_t length);
/* Room for one more; used while decoding. */
bool meshping__hours_push(meshping__hours *hours, const meshping__hour *hour);
bool meshping__hours_push_tally(meshping__hours *hours, uint32_t key, uint64_t count);

/* points.c: points of step_us out of samples and roll-ups that come in order of time. */
typedef struct meshping__pointer {
    meshping_rollup sum; /* of the point that is being filled */
    bool open;
    int64_t from_us, to_us;
    meshping_point *points; /* owned */
    size_t count, capacity;
} meshping__pointer;

void meshping__point_of(meshping_point *point, const meshping_rollup *sum, int64_t from_us, int64_t to_us);
/* Makes [from_us, to_us) the point that the next things go to; the one before is done. false: no memory. */
bool meshping__pointer_move(meshping__pointer *pointer, int64_t from_us, int64_t to_us);
/* The multiple of step_us (above 0) at or before a time. */
int64_t meshping__step_floor(int64_t time_us, int64_t step_us);

#endif
