/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/target_updates.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Targets of the ids first to first + count - 1, which all agents ping. */
static plan *plan_of(size_t first, size_t count)
{
    static const meshping_rule rule = {.kind = MESHPING_RULE_TARGETS};
    meshping_target_list list = {0};
    plan *made;
    for (size_t i = first; i < first + count; i++) {
        meshping_target target;
        meshping_target_init(&target);
        snprintf(target.host, sizeof target.host, "host-%zu.example", i);
        target.id = i;
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    plan_input input = {.list = &list, .rules = &rule, .rule_count = 1};
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

/* Applies every part as an agent would; returns how many there were. */
static uint32_t apply(target_update *update, meshping_target_list *list)
{
    meshping_target_list incoming = {0};
    uint64_t removed[20000];
    size_t removed_count = 0;
    for (uint32_t i = 0; i < update->count; i++) {
        meshping_message message;
        const target_part *part = target_update_part(update, i);
        assert_non_null(part);
        assert_ptr_equal(target_update_part(update, i)->text, part->text); /* encoded once */
        assert_int_equal(meshping_message_decode(&message, part->text, part->length, NULL), MESHPING_OK);
        const meshping_target_update *m = &message.u.target_update;
        assert_true(m->revision == update->now->revision && m->part == i && m->parts == update->count);
        assert_true(m->is_delta == (update->before != NULL) && m->base == (m->is_delta ? update->base : 0));
        for (size_t k = 0; k < m->list.count; k++)
            assert_int_equal(meshping_target_list_append(&incoming, &m->list.items[k], NULL), MESHPING_OK);
        for (size_t k = 0; k < m->removed_count; k++)
            removed[removed_count++] = m->removed[k];
        incoming.revision = m->revision;
        meshping_message_dispose(&message);
    }
    if (!update->before)
        meshping_target_list_dispose(list);
    assert_int_equal(meshping_target_list_patch(list, &incoming, removed, removed_count, NULL), MESHPING_OK);
    meshping_target_list_dispose(&incoming);
    return update->count;
}

static void check_ids(const meshping_target_list *list, size_t first, size_t count)
{
    assert_int_equal(list->count, count);
    for (size_t i = 0; i < count; i++)
        assert_non_null(meshping_target_list_by_id(list, first + i));
}

static void test_a_whole_list_and_what_changes_are_what_the_agent_has_then(void **state)
{
    static const struct {
        size_t first, count, next, next_count;
        uint32_t parts, delta_parts;
    } cases[] = {{1, 0, 1, 1, 1, 1},      {1, 1, 1, 0, 1, 1},          {1, 100, 1, 101, 1, 1},   {1, 101, 1, 101, 2, 0},
                 {1, 250, 51, 250, 3, 2}, {1, 1000, 2000, 100, 10, 2}, {1, 1001, 2000, 0, 11, 2}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        target_updates all = {.revision = 100};
        meshping_target_list list = {0};
        plan *p = plan_of(cases[i].first, cases[i].count), *next = plan_of(cases[i].next, cases[i].next_count);
        uint64_t *row = row_of(p), *next_row = row_of(next);
        target_update *whole = target_updates_get(&all, NULL, 0, p, row);
        assert_int_equal(apply(whole, &list), cases[i].parts);
        check_ids(&list, cases[i].first, cases[i].count);
        target_update *delta = target_updates_get(&all, whole->now, whole->now->revision, next, next_row);
        assert_int_equal(apply(delta, &list), cases[i].delta_parts);
        check_ids(&list, cases[i].next, cases[i].next_count);
        assert_true(delta->now->revision > whole->now->revision);
        target_update_drop(whole);
        target_update_drop(delta);
        target_updates_dispose(&all);
        meshping_target_list_dispose(&list);
        free(row);
        free(next_row);
        plan_drop(p);
        plan_drop(next);
    }
}

static void test_agents_that_go_the_same_way_share_it(void **state)
{
    target_updates all = {0};
    plan *p = plan_of(1, 150), *next = plan_of(2, 150);
    uint64_t *row = row_of(p), *next_row = row_of(next);
    (void)state;
    target_update *one = target_updates_get(&all, NULL, 0, p, row), *two = target_updates_get(&all, NULL, 0, p, row);
    assert_ptr_equal(one, two);
    row[0] &= ~UINT64_C(1); /* an agent of other labels */
    target_update *other = target_updates_get(&all, NULL, 0, p, row);
    assert_ptr_not_equal(one, other);
    target_view *view = target_view_keep(one->now);
    target_update *delta = target_updates_get(&all, view, view->revision, next, next_row);
    assert_ptr_equal(target_updates_get(&all, view, view->revision, next, next_row), delta);
    target_update_drop(delta); /* of the second call */
    /* who comes only now gets the same view, by another way */
    target_update *late = target_updates_get(&all, NULL, 0, next, next_row);
    assert_true(late != delta && late->now == delta->now);
    target_update_drop(one);
    target_update_drop(two);
    target_update_drop(other);
    target_update_drop(delta);
    target_update_drop(late);
    target_view_drop(view);
    target_updates_dispose(&all);
    free(row);
    free(next_row);
    plan_drop(p);
    plan_drop(next);
}

static void test_revisions_count_up_even_on_the_way_back(void **state)
{
    target_updates all = {0};
    plan *p = plan_of(1, 5);
    uint64_t *full = row_of(p), less = full[0] & ~UINT64_C(1);
    uint64_t base = 0;
    target_view *told = NULL;
    (void)state;
    for (int i = 0; i < 30; i++) {
        target_update *update = target_updates_get(&all, told, base, p, i % 2 ? &less : full);
        assert_int_equal(update->count, 1);
        assert_true(update->now->revision > base);
        base = update->now->revision;
        target_view_drop(told);
        told = target_view_keep(update->now);
        target_update_drop(update);
    }
    target_view_drop(told);
    target_updates_dispose(&all);
    free(full);
    plan_drop(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_list_and_what_changes_are_what_the_agent_has_then),
        cmocka_unit_test(test_agents_that_go_the_same_way_share_it),
        cmocka_unit_test(test_revisions_count_up_even_on_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
