/* SPDX-License-Identifier: Apache-2.0 */
#include <meshpingd/descriptors.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#include <cmocka.h>

static void test_the_reserve_is_kept_from_agents_to_the_last_descriptor(void **state)
{
    descriptor_limit d = {0};
    (void)state;
    descriptors_split(&d, 1024, 64);
    assert_false(descriptors_refuse_agent(&d, 959, 1));
    assert_true(descriptors_refuse_agent(&d, 960, 1));
    assert_true(descriptors_refuse_agent(&d, 1023, 1));
    assert_int_equal(d.half_below, 992);
}

static void test_a_small_limit_leaves_agents_three_quarters_of_it(void **state)
{
    descriptor_limit d = {0};
    (void)state;
    descriptors_split(&d, 256, 64);
    assert_int_equal(d.agents_below, 192);
    descriptors_split(&d, 255, 64);
    assert_int_equal(d.agents_below, 192);
    descriptors_split(&d, 100, 64);
    assert_int_equal(d.agents_below, 75);
}

static void test_without_a_reserve_agents_have_all(void **state)
{
    descriptor_limit d = {0};
    (void)state;
    descriptors_split(&d, 1024, 0);
    assert_false(descriptors_refuse_agent(&d, 1023, 1));
    assert_int_equal(d.half_below, 1024);
}

static void test_the_soft_limit_becomes_the_hard_one(void **state)
{
    struct rlimit limit;
    descriptor_limit d = {0};
    (void)state;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_max = limit.rlim_max < 5000 ? limit.rlim_max : 5000;
    limit.rlim_cur = 200;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    descriptors_open(&d, 64);
    assert_int_equal(d.limit, limit.rlim_max);
    getrlimit(RLIMIT_NOFILE, &limit);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_reserve_is_kept_from_agents_to_the_last_descriptor),
        cmocka_unit_test(test_a_small_limit_leaves_agents_three_quarters_of_it),
        cmocka_unit_test(test_without_a_reserve_agents_have_all),
        cmocka_unit_test(test_the_soft_limit_becomes_the_hard_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
