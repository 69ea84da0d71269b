/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which agents ping what: rules of selectors, applied to the labels of agents and targets. Pure.
 *
 * A rule of kind `targets` lets the agents that it selects ping the targets that it selects. One of kind `mesh` lets
 * the agents that it selects ping each other, none itself. What several rules say adds up.
 */
#ifndef MESHPING_ASSIGNMENT_H
#define MESHPING_ASSIGNMENT_H

#include <meshping/selector.h>
#include <meshping/target.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_RULES_MAX 200

typedef enum meshping_rule_kind {
    MESHPING_RULE_TARGETS = 0,
    MESHPING_RULE_MESH = 1,
} meshping_rule_kind;

typedef struct meshping_rule {
    char name[MESHPING_TARGET_NAME_MAX]; /* for people; UTF-8 */
    meshping_rule_kind kind;
    char agents[MESHPING_SELECTOR_MAX];  /* selects agents */
    char targets[MESHPING_SELECTOR_MAX]; /* selects targets; empty and of no meaning for a mesh */
} meshping_rule;

/* "targets", "mesh"; static storage. */
MESHPING_API const char *meshping_rule_kind_name(meshping_rule_kind kind);
/* INVALID, LIMIT: what is wrong with which field. */
MESHPING_API meshping_status meshping_rule_check(const meshping_rule *rule, meshping_error *err);

/* What may be pinged: a target of the list, or an agent of a mesh. */
typedef struct meshping_assignable {
    uint64_t agent_id;  /* of a mesh; 0: a target */
    const char *labels; /* canonical; borrowed during meshping_assignment_make only */
} meshping_assignable;

typedef struct meshping_assignment meshping_assignment;

/*
 * Works out which columns each rule selects: O(rules x columns). The columns are in the order given. LIMIT: over
 * MESHPING_RULES_MAX rules; INVALID: a rule is; NOMEM. *out is the caller's.
 */
MESHPING_API meshping_status meshping_assignment_make(meshping_assignment **out, const meshping_rule *rules,
                                                      size_t rule_count, const meshping_assignable *columns,
                                                      size_t column_count, meshping_error *err);
MESHPING_API void meshping_assignment_free(meshping_assignment *assignment);
/* Of uint64_t, for one row. */
MESHPING_API size_t meshping_assignment_words(const meshping_assignment *assignment);
/*
 * What an agent of these labels pings: bit c % 64 of row[c / 64] is column c; row[meshping_assignment_words()], all of
 * it is set. O(rules x words).
 */
MESHPING_API void meshping_assignment_row(const meshping_assignment *assignment, uint64_t agent_id, const char *labels,
                                          uint64_t *row);
/* Whether a rule of kind mesh selects agents of these labels. */
MESHPING_API bool meshping_rules_mesh(const meshping_rule *rules, size_t rule_count, const char *labels);

static inline bool meshping_row_has(const uint64_t *row, size_t column)
{
    return row[column / 64] >> column % 64 & 1;
}

#ifdef __cplusplus
}
#endif
#endif
