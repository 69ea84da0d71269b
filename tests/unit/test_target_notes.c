/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/target_notes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_what_is_said_of_a_target_is_found_and_of_no_other(void **unused)
{
    (void)unused;
    target_notes notes = {0};
    assert_null(target_notes_find(&notes, 1));
    for (uint64_t id = 100; id > 0; id -= 2)
        target_notes_resolve(&notes, id, "192.0.2.1");
    for (uint64_t id = 1; id < 100; id += 2)
        target_notes_refuse(&notes, id, MESHPING_REFUSAL_NO_IPV6);
    target_notes_refuse(&notes, 2, MESHPING_REFUSAL_NO_SOURCE);
    target_notes_refuse(&notes, 2, MESHPING_REFUSAL_NO_INTERFACE);
    assert_int_equal(notes.count, 100);
    assert_int_equal(notes.refused_count, 51);
    for (uint64_t id = 1; id <= 100; id++) {
        const target_note *note = target_notes_find(&notes, id);
        assert_non_null(note);
        assert_int_equal(note->target_id, id);
        assert_int_equal(note->refused, id == 2  ? MESHPING_REFUSAL_NO_INTERFACE
                                        : id % 2 ? MESHPING_REFUSAL_NO_IPV6
                                                 : MESHPING_REFUSAL_NONE);
        assert_string_equal(note->address, id % 2 ? "" : "192.0.2.1");
    }
    assert_null(target_notes_find(&notes, 101));
    target_notes_dispose(&notes);
}

static void test_each_kind_is_cleared_by_itself(void **unused)
{
    (void)unused;
    target_notes notes = {0};
    target_notes_resolve(&notes, 1, "192.0.2.1");
    target_notes_refuse(&notes, 1, MESHPING_REFUSAL_LIMIT);
    target_notes_refuse(&notes, 2, MESHPING_REFUSAL_LIMIT);
    target_notes_resolve(&notes, 3, "2001:db8::1");
    target_notes_clear_refused(&notes);
    assert_int_equal(notes.refused_count, 0);
    assert_int_equal(notes.count, 2);
    assert_int_equal(target_notes_find(&notes, 1)->refused, MESHPING_REFUSAL_NONE);
    assert_string_equal(target_notes_find(&notes, 3)->address, "2001:db8::1");
    target_notes_refuse(&notes, 3, MESHPING_REFUSAL_LIMIT);
    target_notes_clear_addresses(&notes);
    assert_int_equal(notes.count, 1);
    assert_int_equal(target_notes_find(&notes, 3)->refused, MESHPING_REFUSAL_LIMIT);
    target_notes_clear_refused(&notes);
    assert_null(notes.items);
}

static void test_there_is_room_for_a_whole_list_and_no_more(void **unused)
{
    (void)unused;
    target_notes notes = {0};
    for (uint64_t id = 1; id <= MESHPING_TARGETS_MAX + 1; id++)
        target_notes_refuse(&notes, id, MESHPING_REFUSAL_LIMIT);
    assert_int_equal(notes.count, MESHPING_TARGETS_MAX);
    assert_int_equal(notes.refused_count, MESHPING_TARGETS_MAX);
    assert_non_null(target_notes_find(&notes, MESHPING_TARGETS_MAX));
    target_notes_resolve(&notes, MESHPING_TARGETS_MAX + 1, "192.0.2.1");
    assert_null(target_notes_find(&notes, MESHPING_TARGETS_MAX + 1));
    target_notes_dispose(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_said_of_a_target_is_found_and_of_no_other),
        cmocka_unit_test(test_each_kind_is_cleared_by_itself),
        cmocka_unit_test(test_there_is_room_for_a_whole_list_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
