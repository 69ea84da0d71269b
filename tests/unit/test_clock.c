/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/clock.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S INT64_C(1000000)
#define T0 (INT64_C(1790000000) * S)

/* The other's clock is ahead by `offset`; the way there takes `there`, the way back `back`. */
static meshping_status exchange(meshping_clock *clock, int64_t at, int64_t offset, int64_t there, int64_t back)
{
    return meshping_clock_add(clock, T0 + at, T0 + at + there + offset, T0 + at + there + offset + 100,
                              T0 + at + there + 100 + back, at + there + 100 + back);
}

static void test_the_true_offset_lies_within_the_error_whatever_the_way(void **state)
{
    static const int64_t offsets[] = {0, 1, -1, 900, -3 * S, 86400 * S, -86400 * 30 * S};
    static const int64_t ways[][2] = {{0, 0}, {100, 100}, {1, 90000}, {250000, 3}, {5 * S, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++)
        for (size_t k = 0; k < sizeof ways / sizeof *ways; k++) {
            meshping_clock clock = {0};
            int64_t offset, error;
            assert_false(meshping_clock_read(&clock, 0, &offset, &error));
            assert_int_equal(exchange(&clock, 0, offsets[i], ways[k][0], ways[k][1]), MESHPING_OK);
            assert_true(meshping_clock_read(&clock, 0, &offset, &error));
            assert_true(offset - error <= offsets[i] && offsets[i] <= offset + error);
            assert_true(error <= (ways[k][0] + ways[k][1]) / 2 + 2);
        }
}

static void test_the_best_exchange_counts_until_it_is_old(void **state)
{
    meshping_clock clock = {0};
    int64_t offset, error;
    (void)state;
    exchange(&clock, 0, 500, 50, 50);
    for (int i = 1; i < MESHPING_CLOCK_WINDOW; i++)
        exchange(&clock, i * 10 * S, 500, 10000, 0); /* the way back is quick, the way there is not: 5 ms off */
    assert_true(meshping_clock_read(&clock, 70 * S, &offset, &error));
    assert_int_equal(offset, 500);
    assert_in_range(error, 50, 50 + 70 * MESHPING_CLOCK_DRIFT_PPM + 2);
    exchange(&clock, 80 * S, 500, 10000, 0); /* the good one has fallen out of the window */
    meshping_clock_read(&clock, 80 * S, &offset, &error);
    assert_int_equal(offset, 500 + 5000);
    assert_true(offset - error <= 500);
}

static void test_a_clock_that_was_set_is_believed_at_once(void **state)
{
    meshping_clock clock = {0};
    int64_t offset, error;
    (void)state;
    for (int i = 0; i < 20; i++)
        exchange(&clock, i * 10 * S, 0, 50, 50);
    exchange(&clock, 200 * S, -3600 * S, 900, 900);
    meshping_clock_read(&clock, 201 * S, &offset, &error);
    assert_int_equal(offset, -3600 * S);
}

static void test_times_that_cannot_be_are_not_taken(void **state)
{
    meshping_clock clock = {0};
    int64_t offset, error;
    (void)state;
    assert_int_equal(meshping_clock_add(&clock, T0, T0, T0 + 200, T0 + 100, 0), MESHPING_INVALID); /* held too long */
    assert_int_equal(meshping_clock_add(&clock, T0, T0 + 50, T0 + 49, T0 + 100, 0), MESHPING_INVALID);
    assert_int_equal(meshping_clock_add(&clock, T0, T0, T0, T0 - 1, 0), MESHPING_INVALID);
    assert_int_equal(meshping_clock_add(&clock, T0, INT64_MAX, INT64_MAX, T0 + 1, 0), MESHPING_INVALID);
    assert_int_equal(meshping_clock_add(&clock, T0, INT64_MIN, INT64_MIN, T0 + 1, 0), MESHPING_INVALID);
    assert_int_equal(meshping_clock_add(&clock, INT64_MIN, T0, T0, T0, 0), MESHPING_INVALID);
    assert_int_equal(meshping_clock_add(&clock, T0, T0, T0, INT64_MAX, 0), MESHPING_INVALID);
    assert_false(meshping_clock_read(&clock, 0, &offset, &error));
    /* the farthest that a message may say is still an offset */
    int64_t far = INT64_C(1) << 56;
    assert_int_equal(meshping_clock_add(&clock, T0, -far, -far, T0 + 10, 0), MESHPING_OK);
    assert_true(meshping_clock_read(&clock, 0, &offset, &error));
    assert_true(offset < -far);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_true_offset_lies_within_the_error_whatever_the_way),
        cmocka_unit_test(test_the_best_exchange_counts_until_it_is_old),
        cmocka_unit_test(test_a_clock_that_was_set_is_believed_at_once),
        cmocka_unit_test(test_times_that_cannot_be_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
