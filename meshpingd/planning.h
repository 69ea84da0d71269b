/* SPDX-License-Identifier: Apache-2.0 */
/* The plan that holds now, and each agent's part of it: made anew when something it rests on has changed. */
#ifndef MESHPINGD_PLANNING_H
#define MESHPINGD_PLANNING_H

#include "meshpingd/plan.h"
#include "meshpingd/server.h"

/* Rules, and the first plan; list and agents are there. */
meshping_status planning_load(server *s, meshping_error *err);
void planning_dispose(server *s);
/* Rules or list have changed. Cheap; planning_now makes the plan anew, at the latest with the next tick. */
void planning_due(server *s);
/* This agent has changed, or goes (gone): its own part is worked out anew; the plan is due where others ping it. */
void planning_agent(server *s, agent_entry *agent, bool gone);
/* The plan of now; when it is a new one, cells are fitted to it and agents are told. server.plan is the one in force.
 */
const plan *planning_now(server *s);
/* LIMIT: an agent would have too many targets. NULL: the rules, the list in force. */
meshping_status planning_check(server *s, const meshping_rule *rules, size_t rule_count,
                               const meshping_target_list *list, meshping_error *err);
/* Replaces the rules, and tells the agents. INVALID, LIMIT: nothing is changed. */
meshping_status planning_set_rules(server *s, const meshping_rule *rules, size_t count, const char *user,
                                   meshping_error *err);

/* What other rules, or another list, would do to pairs of an agent and what it pings. */
typedef struct planning_difference {
    size_t before, after;  /* pairs */
    size_t added, removed; /* of them */
    size_t agents;         /* whose list would be another one */
} planning_difference;

/* NULL: the rules, the list in force. A target that stays has its id in the list, a new one has one of its own. */
meshping_status planning_preview(server *s, const meshping_rule *rules, size_t rule_count,
                                 const meshping_target_list *list, planning_difference *out, meshping_error *err);
/* Adds "pairs" and "agents" to an object. */
void planning_difference_json(json_object *object, const planning_difference *difference);

#endif
