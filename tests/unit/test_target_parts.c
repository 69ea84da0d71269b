/* SPDX-License-Identifier: Apache-2.0 */
#include <meshpingd/target_parts.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static meshping_target_list list_of(size_t count, uint64_t revision)
{
    meshping_target_list list = {0};
    for (size_t i = 0; i < count; i++) {
        meshping_target target;
        meshping_target_init(&target);
        snprintf(target.host, sizeof target.host, "192.0.2.%zu", i + 1);
        target.id = i + 1;
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
        list.items[i].id = i + 1;
    }
    list.revision = revision;
    return list;
}

/* Reads every part back: all targets come once and in order. */
static void check_all_parts(target_parts *parts, const meshping_target_list *list, uint32_t expected_parts)
{
    uint64_t id = 0;
    assert_int_equal(target_parts_count(list), expected_parts);
    for (uint32_t i = 0; i < expected_parts; i++) {
        meshping_message message;
        const target_part *part = target_parts_get(parts, list, i);
        assert_non_null(part);
        assert_int_equal(meshping_message_decode(&message, part->text, part->length, NULL), MESHPING_OK);
        assert_int_equal(message.u.target_update.revision, list->revision);
        assert_int_equal(message.u.target_update.part, i);
        assert_int_equal(message.u.target_update.parts, expected_parts);
        for (size_t t = 0; t < message.u.target_update.list.count; t++)
            assert_int_equal(message.u.target_update.list.items[t].id, ++id);
        meshping_message_dispose(&message);
    }
    assert_int_equal(id, list->count);
    assert_null(target_parts_get(parts, list, expected_parts));
}

static void test_every_target_is_in_one_part(void **state)
{
    static const struct {
        size_t targets;
        uint32_t parts;
    } cases[] = {{0, 1}, {1, 1}, {99, 1}, {100, 1}, {101, 2}, {250, 3}};
    target_parts parts = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_target_list list = list_of(cases[i].targets, i + 1);
        check_all_parts(&parts, &list, cases[i].parts);
        meshping_target_list_dispose(&list);
    }
    target_parts_dispose(&parts);
}

static void test_a_part_is_encoded_once_until_the_list_changes(void **state)
{
    target_parts parts = {0};
    meshping_target_list list = list_of(150, 7);
    (void)state;
    const char *first = target_parts_get(&parts, &list, 1)->text;
    assert_ptr_equal(target_parts_get(&parts, &list, 1)->text, first);
    meshping_target_list_dispose(&list);
    list = list_of(10, 8);
    check_all_parts(&parts, &list, 1);
    meshping_target_list_dispose(&list);
    target_parts_dispose(&parts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_target_is_in_one_part),
        cmocka_unit_test(test_a_part_is_encoded_once_until_the_list_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
