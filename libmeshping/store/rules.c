/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: which agents ping what. */
#include "store/internal.h"

#include "base/alloc.h"

/* Until rules are saved for the first time: a new database needs no table of them. */
#define FIRST_REVISION 1

static meshping_status first_rules(meshping_rule **rules, size_t *count, meshping_error *err)
{
    static const meshping_rule all = {.name = "All agents ping all targets", .kind = MESHPING_RULE_TARGETS};
    *count = 0;
    *rules = meshping__memdup(&all, sizeof all);
    if (!*rules)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    *count = 1;
    return MESHPING_OK;
}

static const char *read_rule(sqlite3_stmt *row, void *item)
{
    meshping_rule *rule = item;
    *rule = (meshping_rule){.kind = (meshping_rule_kind)sqlite3_column_int(row, 1)};
    meshping__sql_text(row, 0, rule->name, sizeof rule->name);
    meshping__sql_text(row, 2, rule->agents, sizeof rule->agents);
    meshping__sql_text(row, 3, rule->targets, sizeof rule->targets);
    return NULL;
}

meshping_status meshping_store_rules(meshping_store *store, meshping_rule **rules, size_t *count, uint64_t *revision,
                                     meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    int64_t number = 0;
    meshping_status status =
        meshping__sql_number(&store->sql, "SELECT value FROM counters WHERE name = 'rules_revision'", &number, err);
    *revision = (uint64_t)number;
    if (status == MESHPING_OK && number == FIRST_REVISION)
        return first_rules(rules, count, err);
    if (status == MESHPING_OK)
        status = meshping__sql_query(&store->sql, &row, err,
                                     "SELECT name, kind, agents, targets FROM rules ORDER BY position", "");
    return meshping__sql_rows(&store->sql, status, row, read_rule, sizeof **rules, (void **)rules, count, err);
}

static meshping_status replace(meshping__sql *sql, const meshping_rule *rules, size_t count, meshping_error *err)
{
    meshping_status status = meshping__sql_run(sql, err, "DELETE FROM rules", "");
    for (size_t i = 0; status == MESHPING_OK && i < count; i++)
        status = meshping__sql_run(
            sql, err, "INSERT INTO rules(position, name, kind, agents, targets) VALUES(?1, ?2, ?3, ?4, ?5)", "ititt",
            (int64_t)i, rules[i].name, (int64_t)rules[i].kind, rules[i].agents, rules[i].targets);
    if (status == MESHPING_OK)
        status = meshping__sql_run(sql, err, "UPDATE counters SET value = value + 1 WHERE name = 'rules_revision'", "");
    return status;
}

meshping_status meshping_store_rules_save(meshping_store *store, const meshping_rule *rules, size_t count,
                                          uint64_t *revision, meshping_error *err)
{
    int64_t number = 0;
    meshping_status status = MESHPING_OK;
    if (count > MESHPING_RULES_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "%zu rules, at most %d are allowed", count, MESHPING_RULES_MAX);
    for (size_t i = 0; i < count; i++) {
        meshping_error inner = {0};
        status = meshping_rule_check(&rules[i], &inner);
        if (status != MESHPING_OK)
            return meshping_error_set(err, status, "rule %zu: %s", i + 1, inner.message);
    }
    status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = replace(&store->sql, rules, count, err);
    if (status == MESHPING_OK)
        status =
            meshping__sql_number(&store->sql, "SELECT value FROM counters WHERE name = 'rules_revision'", &number, err);
    status = meshping__sql_end(&store->sql, status, err);
    if (status == MESHPING_OK)
        *revision = (uint64_t)number;
    return status;
}
