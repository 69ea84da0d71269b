/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of an hour, at an end of a group's time, out of raw samples: for all of the group's pairs, or (when some of
 * that hour's raw samples are gone for any of them, or there are too many) not at all. Inside a transaction for
 * reading.
 */
#ifndef MESHPING_STORE_EDGES_H
#define MESHPING_STORE_EDGES_H

#include "store/pairs.h"

#define MESHPING__EDGE_SAMPLES_MAX ((uint64_t)16 << 20) /* some seconds' work */

typedef struct meshping__edge {
    int64_t hour, from_us, to_us; /* the part */
    uint64_t samples;             /* read so far */
    bool whole;                   /* it has to be the whole hour; `sum` is not to be used */
    meshping_rollup sum;
} meshping__edge;

/* One agent: target_id, or MESHPING__ANY_TARGET. s->unzip and s->damages are used. */
meshping_status meshping__edge_agent(meshping__scan *s, meshping__edge *edge, uint64_t agent_id, uint64_t target_id,
                                     meshping_error *err);

#endif
