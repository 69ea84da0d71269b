/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/assignment.h>

#include "base/alloc.h"
#include "core/target.h"
#include <stdlib.h>
#include <string.h>

typedef struct own_column {
    uint64_t agent_id;
    size_t column;
} own_column;

typedef struct prepared_rule {
    meshping_selector agents;
    uint64_t *columns; /* in one piece with the others' */
} prepared_rule;

struct meshping_assignment {
    prepared_rule *rules;
    size_t rule_count, words;
    uint64_t *bits;
    own_column *own; /* columns that are agents, by agent_id */
    size_t own_count;
};

const char *meshping_rule_kind_name(meshping_rule_kind kind)
{
    return kind == MESHPING_RULE_MESH ? "mesh" : "targets";
}

meshping_status meshping_rule_check(const meshping_rule *rule, meshping_error *err)
{
    meshping_selector selector;
    meshping_error inner = {0};
    meshping_status status = meshping__name_check(rule->name, err);
    if (status != MESHPING_OK)
        return status;
    if (rule->kind != MESHPING_RULE_TARGETS && rule->kind != MESHPING_RULE_MESH)
        return meshping_error_set(err, MESHPING_INVALID, "kind must be targets or mesh");
    if (!memchr(rule->agents, 0, sizeof rule->agents) || !memchr(rule->targets, 0, sizeof rule->targets))
        return meshping_error_set(err, MESHPING_LIMIT, "a selector has at most %d characters",
                                  MESHPING_SELECTOR_MAX - 1);
    if (rule->kind == MESHPING_RULE_MESH && rule->targets[0])
        return meshping_error_set(err, MESHPING_INVALID, "targets: a mesh has none, its agents ping each other");
    if ((status = meshping_selector_parse(&selector, rule->agents, &inner)) != MESHPING_OK)
        return meshping_error_set(err, status, "agents: %s", inner.message);
    if ((status = meshping_selector_parse(&selector, rule->targets, &inner)) != MESHPING_OK)
        return meshping_error_set(err, status, "targets: %s", inner.message);
    return MESHPING_OK;
}

static int compare_own(const void *a, const void *b)
{
    uint64_t x = ((const own_column *)a)->agent_id, y = ((const own_column *)b)->agent_id;
    return x < y ? -1 : x > y;
}

static void set_bit(uint64_t *row, size_t column)
{
    row[column / 64] |= UINT64_C(1) << column % 64;
}

static meshping_status prepare(prepared_rule *out, const meshping_rule *rule, const meshping_assignable *columns,
                               size_t count, meshping_error *err)
{
    meshping_selector what;
    bool mesh = rule->kind == MESHPING_RULE_MESH;
    meshping_status status = meshping_rule_check(rule, err);
    if (status == MESHPING_OK)
        status = meshping_selector_parse(&out->agents, rule->agents, err);
    if (status == MESHPING_OK)
        status = meshping_selector_parse(&what, mesh ? rule->agents : rule->targets, err);
    for (size_t i = 0; status == MESHPING_OK && i < count; i++)
        if ((columns[i].agent_id != 0) == mesh && meshping_selector_matches(&what, columns[i].labels))
            set_bit(out->columns, i);
    return status;
}

meshping_status meshping_assignment_make(meshping_assignment **out, const meshping_rule *rules, size_t rule_count,
                                         const meshping_assignable *columns, size_t column_count, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (rule_count > MESHPING_RULES_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "%zu rules, at most %d are allowed", rule_count,
                                  MESHPING_RULES_MAX);
    meshping_assignment *made = meshping__calloc(1, sizeof *made);
    if (!made)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    made->rule_count = rule_count;
    made->words = (column_count + 63) / 64;
    made->rules = meshping__calloc(rule_count ? rule_count : 1, sizeof *made->rules);
    made->bits = meshping__calloc(rule_count * made->words + 1, sizeof *made->bits);
    made->own = meshping__calloc(column_count ? column_count : 1, sizeof *made->own);
    if (!made->rules || !made->bits || !made->own) {
        meshping_assignment_free(made);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu columns", column_count);
    }
    for (size_t i = 0; status == MESHPING_OK && i < rule_count; i++) {
        made->rules[i].columns = made->bits + i * made->words;
        status = prepare(&made->rules[i], &rules[i], columns, column_count, err);
    }
    for (size_t i = 0; status == MESHPING_OK && i < column_count; i++)
        if (columns[i].agent_id)
            made->own[made->own_count++] = (own_column){columns[i].agent_id, i};
    if (status != MESHPING_OK) {
        meshping_assignment_free(made);
        return status;
    }
    qsort(made->own, made->own_count, sizeof *made->own, compare_own);
    *out = made;
    return MESHPING_OK;
}

void meshping_assignment_free(meshping_assignment *assignment)
{
    if (!assignment)
        return;
    meshping__free(assignment->rules);
    meshping__free(assignment->bits);
    meshping__free(assignment->own);
    meshping__free(assignment);
}

size_t meshping_assignment_words(const meshping_assignment *assignment)
{
    return assignment->words;
}

void meshping_assignment_row(const meshping_assignment *assignment, uint64_t agent_id, const char *labels,
                             uint64_t *row)
{
    own_column key = {agent_id, 0};
    if (assignment->words)
        memset(row, 0, assignment->words * sizeof *row);
    for (size_t i = 0; i < assignment->rule_count; i++) {
        const prepared_rule *rule = &assignment->rules[i];
        if (!meshping_selector_matches(&rule->agents, labels))
            continue;
        for (size_t w = 0; w < assignment->words; w++)
            row[w] |= rule->columns[w];
    }
    const own_column *own = bsearch(&key, assignment->own, assignment->own_count, sizeof *assignment->own, compare_own);
    if (own)
        row[own->column / 64] &= ~(UINT64_C(1) << own->column % 64);
}

bool meshping_rules_mesh(const meshping_rule *rules, size_t rule_count, const char *labels)
{
    meshping_selector selector;
    for (size_t i = 0; i < rule_count; i++)
        if (rules[i].kind == MESHPING_RULE_MESH &&
            meshping_selector_parse(&selector, rules[i].agents, NULL) == MESHPING_OK &&
            meshping_selector_matches(&selector, labels))
            return true;
    return false;
}
