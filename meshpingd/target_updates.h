/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents are told of what they are to ping: agents that had the same and are to have the same share one update,
 * each part of which is encoded once, when the first of them needs it. Pure.
 */
#ifndef MESHPINGD_TARGET_UPDATES_H
#define MESHPINGD_TARGET_UPDATES_H

#include "meshpingd/plan.h"
#include <meshping/protocol.h>

/* What an agent has, or is to have. Counted by who holds it. */
typedef struct target_view {
    unsigned holders;
    plan *plan;
    uint64_t *row;
    uint64_t revision;
} target_view;

typedef struct target_part {
    char *text; /* NULL: not encoded yet */
    size_t length;
} target_part;

/* The way from one view to another. Counted by who holds it. */
typedef struct target_update {
    unsigned holders;
    target_view *before; /* NULL: nothing; then it is the whole list */
    target_view *now;
    uint64_t base; /* the revision that `before` was told as */
    plan_change change;
    uint32_t count; /* of parts; 0: there is nothing to tell, but `now` is to be remembered */
    target_part *parts;
} target_update;

#define TARGET_UPDATES_KEPT 8 /* for agents that come next */

typedef struct target_updates {
    uint64_t revision; /* of the last view that was made */
    target_update *kept[TARGET_UPDATES_KEPT];
    unsigned next;
} target_updates;

void target_updates_dispose(target_updates *all);
/* What leads an agent to its row of the plan; the caller holds it. NULL: out of memory. */
target_update *target_updates_get(target_updates *all, target_view *before, uint64_t base, plan *now,
                                  const uint64_t *row);
target_view *target_view_keep(target_view *view);
/* Both let go of it; NULL is none. */
void target_view_drop(target_view *view);
void target_update_drop(target_update *update);
/* Part `part` < count as a message, valid as long as the update. NULL: out of memory. */
const target_part *target_update_part(target_update *update, uint32_t part);

#endif
