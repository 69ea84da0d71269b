/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/assignment.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COLUMNS_MAX 200

static meshping_rule rule_of(meshping_rule_kind kind, const char *agents, const char *targets)
{
    meshping_rule rule = {.kind = kind};
    snprintf(rule.agents, sizeof rule.agents, "%s", agents);
    snprintf(rule.targets, sizeof rule.targets, "%s", targets);
    return rule;
}

/* What the agent pings, as the columns' numbers: "0 2 5". */
static const char *row_of(const meshping_rule *rules, size_t rule_count, const meshping_assignable *columns,
                          size_t count, uint64_t agent_id, const char *labels)
{
    static char text[1000];
    size_t used = 0;
    uint64_t row[(COLUMNS_MAX + 63) / 64];
    meshping_assignment *assignment;
    meshping_error err = {0};
    if (meshping_assignment_make(&assignment, rules, rule_count, columns, count, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    assert_int_equal(meshping_assignment_words(assignment), (count + 63) / 64);
    memset(row, 0xff, sizeof row);
    meshping_assignment_row(assignment, agent_id, labels, row);
    meshping_assignment_free(assignment);
    text[0] = 0;
    for (size_t i = 0; i < (count + 63) / 64 * 64; i++)
        if (meshping_row_has(row, i))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%zu", used ? " " : "", i);
    return text;
}

static void test_a_rule_lets_some_agents_ping_some_targets(void **state)
{
    const meshping_assignable columns[] = {{0, "tier=core"}, {0, "tier=edge"}, {0, ""}};
    meshping_rule rule = rule_of(MESHPING_RULE_TARGETS, "site=fra", "tier=core");
    (void)state;
    assert_string_equal(row_of(&rule, 1, columns, 3, 1, "site=fra"), "0");
    assert_string_equal(row_of(&rule, 1, columns, 3, 1, "site=ber"), "");
    assert_string_equal(row_of(&rule, 0, columns, 3, 1, "site=fra"), "");
    rule = rule_of(MESHPING_RULE_TARGETS, "", "");
    assert_string_equal(row_of(&rule, 1, columns, 3, 1, ""), "0 1 2");
}

static void test_what_rules_say_adds_up(void **state)
{
    const meshping_assignable columns[] = {{0, "tier=core"}, {0, "tier=edge"}, {0, "tier=lab"}};
    const meshping_rule rules[] = {rule_of(MESHPING_RULE_TARGETS, "site=fra", "tier=core"),
                                   rule_of(MESHPING_RULE_TARGETS, "probe", "tier in (core,lab)")};
    (void)state;
    assert_string_equal(row_of(rules, 2, columns, 3, 1, "probe=,site=fra"), "0 2");
    assert_string_equal(row_of(rules, 2, columns, 3, 1, "site=fra"), "0");
}

static void test_agents_of_a_mesh_ping_each_other_and_not_themselves(void **state)
{
    const meshping_assignable columns[] = {{0, "group=core"}, {7, "group=core"}, {8, "group=core"}, {9, "group=edge"}};
    const meshping_rule rule = rule_of(MESHPING_RULE_MESH, "group=core", "");
    (void)state;
    assert_string_equal(row_of(&rule, 1, columns, 4, 7, "group=core"), "2"); /* nor the target of the same labels */
    assert_string_equal(row_of(&rule, 1, columns, 4, 8, "group=core"), "1");
    assert_string_equal(row_of(&rule, 1, columns, 4, 9, "group=edge"), "");
    assert_string_equal(row_of(&rule, 1, columns, 4, 5, "group=core"), "1 2"); /* has no address, so no column */
}

static void test_a_rule_for_targets_selects_no_agents_of_a_mesh(void **state)
{
    const meshping_assignable columns[] = {{0, ""}, {7, "group=core"}};
    const meshping_rule rule = rule_of(MESHPING_RULE_TARGETS, "", "");
    (void)state;
    assert_string_equal(row_of(&rule, 1, columns, 2, 8, "group=core"), "0");
}

static void test_rows_of_every_width_are_whole(void **state)
{
    meshping_assignable columns[COLUMNS_MAX];
    const meshping_rule rule = rule_of(MESHPING_RULE_TARGETS, "", "last");
    (void)state;
    for (size_t count = 1; count < COLUMNS_MAX; count++) {
        char wanted[8];
        for (size_t i = 0; i < count; i++)
            columns[i] = (meshping_assignable){0, i + 1 == count ? "last=" : "other="};
        snprintf(wanted, sizeof wanted, "%zu", count - 1);
        assert_string_equal(row_of(&rule, 1, columns, count, 1, ""), wanted);
    }
    assert_string_equal(row_of(&rule, 1, columns, 0, 1, ""), "");
}

static void test_a_bad_rule_is_named_by_its_field(void **state)
{
    meshping_rule rule = rule_of(MESHPING_RULE_TARGETS, "a in", "");
    meshping_assignment *assignment = NULL;
    meshping_error err = {0};
    (void)state;
    assert_int_equal(meshping_rule_check(&rule, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "agents: "));
    assert_int_equal(meshping_assignment_make(&assignment, &rule, 1, NULL, 0, &err), MESHPING_INVALID);
    assert_null(assignment);
    rule = rule_of(MESHPING_RULE_TARGETS, "", "=");
    assert_int_equal(meshping_rule_check(&rule, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "targets: "));
    rule = rule_of(MESHPING_RULE_MESH, "", "a");
    assert_int_equal(meshping_rule_check(&rule, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "mesh"));
    rule = rule_of(MESHPING_RULE_MESH, "", "");
    snprintf(rule.name, sizeof rule.name, "a\nb");
    assert_int_equal(meshping_rule_check(&rule, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "name"));
}

static void test_the_number_of_rules_is_limited(void **state)
{
    meshping_assignment *assignment = NULL;
    meshping_rule *rules = calloc(MESHPING_RULES_MAX + 1, sizeof *rules);
    (void)state;
    assert_non_null(rules);
    assert_int_equal(meshping_assignment_make(&assignment, rules, MESHPING_RULES_MAX, NULL, 0, NULL), MESHPING_OK);
    meshping_assignment_free(assignment);
    assert_int_equal(meshping_assignment_make(&assignment, rules, MESHPING_RULES_MAX + 1, NULL, 0, NULL),
                     MESHPING_LIMIT);
    free(rules);
}

static void test_who_is_in_a_mesh(void **state)
{
    const meshping_rule rules[] = {rule_of(MESHPING_RULE_TARGETS, "", ""),
                                   rule_of(MESHPING_RULE_MESH, "group in (core,edge)", "")};
    (void)state;
    assert_true(meshping_rules_mesh(rules, 2, "group=edge"));
    assert_false(meshping_rules_mesh(rules, 2, "group=lab"));
    assert_false(meshping_rules_mesh(rules, 1, "group=edge"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rule_lets_some_agents_ping_some_targets),
        cmocka_unit_test(test_what_rules_say_adds_up),
        cmocka_unit_test(test_agents_of_a_mesh_ping_each_other_and_not_themselves),
        cmocka_unit_test(test_a_rule_for_targets_selects_no_agents_of_a_mesh),
        cmocka_unit_test(test_rows_of_every_width_are_whole),
        cmocka_unit_test(test_a_bad_rule_is_named_by_its_field),
        cmocka_unit_test(test_the_number_of_rules_is_limited),
        cmocka_unit_test(test_who_is_in_a_mesh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
