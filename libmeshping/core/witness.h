/* SPDX-License-Identifier: Apache-2.0 */
/* How reliable each target has been of late: what its miss is worth as a sign that something else is wrong. */
#ifndef MESHPING_CORE_WITNESS_H
#define MESHPING_CORE_WITNESS_H

#include "core/idmap.h"

#define MESHPING__WITNESSES_MAX 1000000 /* beyond it all are forgotten, and made anew */

typedef struct meshping__witness {
    uint64_t misses; /* the last 64 verdicts, 1: lost; the newest in the lowest bit */
    uint8_t count;   /* how many of them there are */
    bool answers;    /* the newest verdict, decided or not, was a reply */
    uint32_t mark;   /* for whoever counts distinct targets */
} meshping__witness;

/* All zero: none. */
typedef struct meshping__witnesses {
    meshping__idmap places;
    meshping__witness *items;
    uint32_t count, capacity;
} meshping__witnesses;

void meshping__witnesses_dispose(meshping__witnesses *witnesses);
/* Made when new; NULL: no memory. Valid until the next call. */
meshping__witness *meshping__witnesses_get(meshping__witnesses *witnesses, uint64_t target_id);
void meshping__witness_note(meshping__witness *witness, bool lost);
/* The chance that its next probe is lost by its own fault; 1: nothing can be said, or it does not answer anyway. */
double meshping__witness_chance(const meshping__witness *witness);

#endif
