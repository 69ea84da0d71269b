/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/spread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define EVERY_MS 10000
#define BEGUN_MS 86400123
#define AGENTS 1000u

/* When `id` was served, up to `most` times, by one that looks each `look_ms`. */
static size_t serve(uint64_t id, int64_t look_ms, int64_t *times, size_t most)
{
    int64_t last_ms = 0;
    size_t count = 0;
    for (int64_t now_ms = BEGUN_MS; count < most; now_ms += look_ms)
        if (spread_is_due(now_ms, last_ms, id, EVERY_MS))
            times[count++] = last_ms = now_ms;
    return count;
}

static void test_each_is_served_at_once_and_then_once_a_period(void **state)
{
    int64_t times[5];
    (void)state;
    for (uint64_t id = 0; id < 50; id++) {
        serve(id, 1, times, 5);
        assert_int_equal(times[0], BEGUN_MS);
        assert_true(times[1] > BEGUN_MS && times[1] <= BEGUN_MS + EVERY_MS);
        for (size_t i = 2; i < 5; i++)
            assert_int_equal(times[i] - times[i - 1], EVERY_MS);
    }
}

static void test_one_who_looks_seldom_is_late_by_a_look_and_no_more(void **state)
{
    int64_t times[20];
    (void)state;
    for (uint64_t id = 0; id < 50; id++) {
        serve(id, 977, times, 20);
        for (size_t i = 1; i < 20; i++)
            assert_true(times[i] - times[i - 1] < EVERY_MS + 977);
    }
}

static void assert_spread(uint64_t first, uint64_t step)
{
    unsigned in_slot[100] = {0};
    int64_t times[2];
    for (unsigned i = 0; i < AGENTS; i++) {
        serve(first + i * step, 1, times, 2);
        in_slot[(times[1] - BEGUN_MS - 1) / (EVERY_MS / 100)]++;
    }
    for (size_t i = 0; i < 100; i++)
        assert_in_range(in_slot[i], 1, 3 * AGENTS / 100);
}

static void test_those_who_came_together_are_served_apart(void **state)
{
    (void)state;
    assert_spread(1, 1);
    assert_spread(UINT64_C(0xb0b0000000000001), 1);
    assert_spread(12345, UINT64_C(0xd1342543de82ef95)); /* as ids are: any */
}

static void test_turns_take_all_together(void **state)
{
    (void)state;
    assert_int_equal(spread_share(0, 40), 0);
    assert_int_equal(spread_share(1, 40), 1);
    assert_int_equal(spread_share(40, 40), 1);
    assert_int_equal(spread_share(41, 40), 2);
    assert_int_equal(spread_share(SIZE_MAX, 40), SIZE_MAX / 40 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_is_served_at_once_and_then_once_a_period),
        cmocka_unit_test(test_one_who_looks_seldom_is_late_by_a_look_and_no_more),
        cmocka_unit_test(test_those_who_came_together_are_served_apart),
        cmocka_unit_test(test_turns_take_all_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
