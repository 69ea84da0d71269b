/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/plan.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* "1a 2b": targets of these ids, on hosts a.example and so on; upper case: paused. */
static plan *plan_of(const char *text, const plan_peer *peers, size_t peer_count)
{
    static const meshping_rule rules[] = {{.kind = MESHPING_RULE_TARGETS}, {.kind = MESHPING_RULE_MESH}};
    meshping_target_list list = {.revision = 5};
    bool paused[20] = {false};
    plan *made;
    for (const char *at = text; *at; at += at[2] == ' ' ? 3 : 2) {
        meshping_target target;
        meshping_target_init(&target);
        target.id = (uint64_t)(at[0] - '0');
        snprintf(target.host, sizeof target.host, "%c.example", at[1]);
        paused[list.count] = at[1] < 'a';
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    plan_input input = {
        .list = &list, .paused = paused, .rules = rules, .rule_count = 2, .peers = peers, .peer_count = peer_count};
    meshping_cell_thresholds_init(&input.thresholds);
    meshping_target_init(&input.defaults);
    assert_int_equal(plan_make(&made, &input, NULL), MESHPING_OK);
    meshping_target_list_dispose(&list);
    return made;
}

static uint64_t *row_of(const plan *p)
{
    uint64_t *row = calloc(plan_words(p), sizeof *row);
    assert_non_null(row);
    meshping_assignment_row(p->assignment, 7, "", row);
    return row;
}

/* "+3c -1": what an agent is told on the way from one list to the other. */
static void changes(const char *from, const char *to, const char *wanted)
{
    char text[200] = "";
    size_t used = 0;
    plan *before = from ? plan_of(from, NULL, 0) : NULL, *now = plan_of(to, NULL, 0);
    uint64_t *row_before = before ? row_of(before) : NULL, *row_now = row_of(now);
    plan_change change;
    assert_int_equal(plan_compare(&change, before, row_before, now, row_now), MESHPING_OK);
    for (size_t i = 0; i < change.changed_count; i++) {
        const meshping_target *target = &now->targets.items[change.changed[i]];
        used += (size_t)snprintf(text + used, sizeof text - used, "+%d%c ", (int)target->id, target->host[0]);
    }
    for (size_t i = 0; i < change.removed_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "-%d ", (int)change.removed[i]);
    assert_string_equal(text, wanted);
    plan_change_dispose(&change);
    free(row_before);
    free(row_now);
    plan_drop(before);
    plan_drop(now);
}

static void test_only_what_differs_is_told(void **state)
{
    (void)state;
    changes(NULL, "1a 2b", "+1a +2b ");
    changes(NULL, "", "");
    changes("1a 2b", "1a 2b", "");
    changes("1a 2b", "2b 1a", ""); /* the order is the page's */
    changes("1a 2b", "1a 2c", "+2c ");
    changes("1a 2b 3c", "3c 4d 1a", "+4d -2 ");
    changes("1a 2b 3c", "", "-1 -2 -3 ");
    changes("5e 3c 1a", "4d 2b", "+4d +2b -1 -3 -5 ");
}

static void test_a_paused_target_is_taken_away_and_comes_back(void **state)
{
    (void)state;
    changes("1a 2b", "1a 2B", "-2 ");
    changes("1a 2B", "1a 2b", "+2b ");
    changes("1a 2B", "1a 2B", "");
    changes("1a 2B", "1a", "");
    changes(NULL, "1A 2b", "+2b ");
}

static void test_peers_are_columns_after_the_list(void **state)
{
    const plan_peer peers[] = {{7, 70, "me", "192.0.2.7", "group=x"}, {8, 80, "you", "192.0.2.8", ""}};
    (void)state;
    plan *p = plan_of("1a", peers, 2);
    uint64_t *row = row_of(p);
    assert_int_equal(p->targets.count, 3);
    assert_int_equal(plan_column_of(p, 80), 2);
    assert_int_equal(plan_column_of(p, 9), SIZE_MAX);
    assert_null(plan_target(p, 2));
    const meshping_target *you = plan_target(p, 80);
    assert_string_equal(you->host, "192.0.2.8");
    assert_string_equal(you->name, "you");
    assert_int_equal(you->interval_ms, MESHPING_INTERVAL_MS_DEFAULT);
    assert_true(p->columns[1].agent_id == 7 && p->columns[0].agent_id == 0);
    assert_true(plan_pings(p, row, 0) && !plan_pings(p, row, 1) && plan_pings(p, row, 2));
    free(row);
    plan_drop(p);
}

static void test_a_peer_that_moves_is_told_anew(void **state)
{
    const plan_peer here = {8, 80, "you", "192.0.2.8", ""}, there = {8, 80, "you", "192.0.2.9", ""};
    (void)state;
    plan *before = plan_of("", &here, 1), *now = plan_of("", &there, 1);
    uint64_t *row = row_of(before);
    plan_change change;
    assert_int_equal(plan_compare(&change, before, row, now, row), MESHPING_OK);
    assert_true(change.changed_count == 1 && change.changed[0] == 0 && change.removed_count == 0);
    plan_change_dispose(&change);
    free(row);
    plan_drop(before);
    plan_drop(now);
}

static void test_thresholds_are_the_targets_own_or_the_defaults(void **state)
{
    static const struct {
        unsigned percent, count;
    } cases[] = {{0, 2}, {1, 1}, {8, 1}, {9, 2}, {25, 3}, {50, 6}, {99, 12}, {100, 12}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        meshping_target target;
        meshping_target_list list = {0};
        plan_input input = {.list = &list, .thresholds = {.slow_rtt_us = 100000, .lossy_count = 2}};
        plan *p;
        meshping_target_init(&target);
        strcpy(target.host, "a.example");
        target.id = 1;
        target.slow_ms = i ? 20 : 0;
        target.lossy_percent = (uint8_t)cases[i].percent;
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
        assert_int_equal(plan_make(&p, &input, NULL), MESHPING_OK);
        assert_int_equal(p->columns[0].thresholds.slow_rtt_us, i ? 20000 : 100000);
        assert_int_equal(p->columns[0].thresholds.lossy_count, cases[i].count);
        plan_drop(p);
        meshping_target_list_dispose(&list);
    }
}

static void test_a_plan_lives_as_long_as_somebody_holds_it(void **state)
{
    (void)state;
    plan *p = plan_of("1a", NULL, 0), *same = plan_keep(p);
    assert_ptr_equal(p, same);
    plan_drop(p);
    assert_int_equal(same->targets.count, 1);
    plan_drop(same);
    plan_drop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_what_differs_is_told),
        cmocka_unit_test(test_a_paused_target_is_taken_away_and_comes_back),
        cmocka_unit_test(test_peers_are_columns_after_the_list),
        cmocka_unit_test(test_a_peer_that_moves_is_told_anew),
        cmocka_unit_test(test_thresholds_are_the_targets_own_or_the_defaults),
        cmocka_unit_test(test_a_plan_lives_as_long_as_somebody_holds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
