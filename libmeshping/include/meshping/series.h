/* SPDX-License-Identifier: Apache-2.0 */
/* A pair's samples of some time, as cache and store give them, and what of that time is lost. */
#ifndef MESHPING_SERIES_H
#define MESHPING_SERIES_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum meshping_damage_kind {
    MESHPING_DAMAGE_BLOCK = 0,
    MESHPING_DAMAGE_ROLLUPS = 1, /* 12 hours of some of an agent's targets */
    MESHPING_DAMAGE_PAGE = 2,    /* of the database: which blocks or roll-ups there were is not known */
} meshping_damage_kind;

/* Something stored that cannot be read. What lies between its first and its last slot may be missing. */
typedef struct meshping_damage {
    int64_t block_id; /* of the row in the database; of a page 0 */
    int64_t first_unix_us, last_unix_us;
    meshping_damage_kind kind;
} meshping_damage;

typedef struct meshping_series {
    meshping_sample *samples; /* ascending, no slot twice; late data is flagged */
    size_t count;
    meshping_damage *damaged; /* of the time asked for; a pause in the samples there is none of the agent's */
    size_t damaged_count;
} meshping_series;

MESHPING_API void meshping_series_dispose(meshping_series *series);
/* Puts *later behind *series, where all of its samples belong, and empties it. NOMEM: both are as they were. */
MESHPING_API meshping_status meshping_series_append(meshping_series *series, meshping_series *later);

#ifdef __cplusplus
}
#endif
#endif
