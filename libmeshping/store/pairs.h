/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading many pairs' hours: roll-ups agent by agent, a group of targets at a time, and beside them what the journal
 * has that is not rolled up yet. Inside a transaction for reading.
 */
#ifndef MESHPING_STORE_PAIRS_H
#define MESHPING_STORE_PAIRS_H

#include "store/collect.h"

typedef struct meshping__scan meshping__scan;

struct meshping__scan {
    meshping__sql *sql;
    int64_t from_hour, to_hour; /* whole hours, the last one not in it */
    /* A record of a pair. Of one agent all of a group of targets come together. */
    void (*record)(meshping__scan *s, const meshping__hours *hours, size_t i);
    void (*group_done)(meshping__scan *s, uint64_t agent_id); /* NULL, or: all of a group of targets has come */
    void *user;
    meshping__damages *damages;
    meshping__unzip unzip; /* meshping__unzip_dispose in the end */
};

/* The hours that from_us..to_us touches; false: no such range (meshping_points_step). */
bool meshping__scan_set_hours(meshping__scan *s, int64_t from_us, int64_t to_us);
/* One agent: target_id, or MESHPING__ANY_TARGET. */
meshping_status meshping__scan_agent(meshping__scan *s, uint64_t agent_id, uint64_t target_id, meshping_error *err);
/* The ids of all agents, ascending; *ids is the caller's (meshping__free). */
meshping_status meshping__scan_agents(meshping__sql *sql, uint64_t **ids, size_t *count, meshping_error *err);

#endif
