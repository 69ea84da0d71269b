/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is pinged, and by whom: the columns of the matrix (the targets of the list, then the agents that others of a
 * mesh ping) and the rows' bits. Made anew from list, rules, agents and labels when one of these changes, and never
 * changed itself, so that what an agent was told of is compared with what holds now. Pure.
 */
#ifndef MESHPINGD_PLAN_H
#define MESHPINGD_PLAN_H

#include <meshping/assignment.h>
#include <meshping/cell.h>

typedef struct plan_column {
    uint64_t agent_id;                   /* of a mesh; 0: a target of the list */
    meshping_cell_thresholds thresholds; /* its own, or the defaults */
    bool paused;                         /* nobody pings it now */
} plan_column;

typedef struct plan_place {
    uint64_t target_id;
    size_t column;
} plan_place;

typedef struct plan {
    unsigned holders;
    meshping_target_list targets; /* the columns; revision: of the list that it was made of */
    plan_column *columns;
    plan_place *by_id; /* ascending */
    meshping_assignment *assignment;
} plan;

/* An agent that others may ping. */
typedef struct plan_peer {
    uint64_t agent_id, target_id;
    const char *name, *address, *labels;
} plan_peer;

typedef struct plan_input {
    const meshping_target_list *list;
    const bool *paused; /* of each target of the list; NULL: none */
    const meshping_rule *rules;
    size_t rule_count;
    const plan_peer *peers; /* of meshes, in the order of their columns */
    size_t peer_count;
    meshping_cell_thresholds thresholds; /* the defaults */
    meshping_target defaults;            /* how agents are pinged */
} plan_input;

/* *out has one holder, the caller. NOMEM; INVALID: a rule is. */
meshping_status plan_make(plan **out, const plan_input *input, meshping_error *err);
plan *plan_keep(plan *p);
/* Lets go of it; NULL is none. */
void plan_drop(plan *p);
/* SIZE_MAX: there is none. */
size_t plan_column_of(const plan *p, uint64_t target_id);
/* Borrowed; NULL: there is none. */
const meshping_target *plan_target(const plan *p, uint64_t target_id);
/* Whether an agent of this row pings the column now. */
bool plan_pings(const plan *p, const uint64_t *row, size_t column);
/* Words of a row of bits; at least 1. */
size_t plan_words(const plan *p);

/* What changes for one agent between two plans. */
typedef struct plan_change {
    uint32_t *changed; /* columns of the new plan: new to the agent, or to be pinged otherwise */
    uint64_t *removed; /* targets' ids */
    size_t changed_count, removed_count;
} plan_change;

/*
 * `before` NULL: the agent has nothing. Paused columns are not the agent's. O(columns). NOMEM; *out is the caller's
 * (plan_change_dispose).
 */
meshping_status plan_compare(plan_change *out, const plan *before, const uint64_t *row_before, const plan *now,
                             const uint64_t *row_now);
void plan_change_dispose(plan_change *change);

#endif
