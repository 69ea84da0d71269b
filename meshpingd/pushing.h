/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each agent's target list on its way: the whole list first in a session, then what changed. One update at a time, part
 * after part as the socket takes them; what changes meanwhile is the next one's.
 */
#ifndef MESHPINGD_PUSHING_H
#define MESHPINGD_PUSHING_H

#include "meshpingd/target_updates.h"

struct agent_connection;

typedef struct target_push {
    target_view *told;      /* all of it is sent; NULL: nothing */
    uint64_t base, applied; /* the revisions that were sent last, and confirmed last */
    target_update *sending; /* NULL: nothing is */
    uint32_t part;          /* the next one of it */
} target_push;

/* Queues the next part of what is due; c->targets_due stays true while there is more. */
void pushing_next(struct agent_connection *c);
/* The agent has applied this revision. */
void pushing_applied(struct agent_connection *c, uint64_t revision);
/* The next update is the whole list. */
void pushing_forget(struct agent_connection *c);

#endif
