/* SPDX-License-Identifier: Apache-2.0 */
#include <meshpingd/strangers.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int connections[6];

static void test_the_first_that_came_is_the_first_whose_time_is_over(void **unused)
{
    (void)unused;
    strangers all = {0};
    static const uint64_t accepted_ms[] = {100, 300, 200, 300, 50, 200}; /* some waited for their first byte */
    static const int order[] = {4, 0, 2, 5, 1, 3};
    assert_null(strangers_take(&all, UINT64_MAX));
    for (size_t i = 0; i < 6; i++)
        assert_non_null(strangers_add(&all, &connections[i], accepted_ms[i]));
    assert_null(strangers_take(&all, 49));
    for (size_t i = 0; i < 6; i++) {
        assert_null(strangers_take(&all, accepted_ms[order[i]] - 1));
        assert_ptr_equal(strangers_take(&all, accepted_ms[order[i]]), &connections[order[i]]);
    }
    assert_null(all.oldest);
    assert_null(all.newest);
}

static void test_who_is_known_or_gone_leaves_the_others_in_order(void **unused)
{
    (void)unused;
    for (size_t gone = 0; gone < 3; gone++) {
        strangers all = {0};
        stranger *each[3];
        for (size_t i = 0; i < 3; i++)
            each[i] = strangers_add(&all, &connections[i], i);
        strangers_remove(&all, each[gone]);
        strangers_remove(&all, NULL);
        for (size_t i = 0; i < 3; i++)
            if (i != gone)
                assert_ptr_equal(strangers_take(&all, UINT64_MAX), &connections[i]);
        assert_null(strangers_take(&all, UINT64_MAX));
        assert_null(all.newest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_that_came_is_the_first_whose_time_is_over),
        cmocka_unit_test(test_who_is_known_or_gone_leaves_the_others_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
