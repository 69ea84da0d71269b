/* SPDX-License-Identifier: Apache-2.0 */
#include <meshpingd/rate.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static meshping_address of(const char *text)
{
    meshping_address address;
    assert_int_equal(meshping_address_parse(&address, text, NULL), MESHPING_OK);
    return address;
}

static void test_each_peer_has_its_own_minute(void **state)
{
    (void)state;
    rate r = {0};
    meshping_address a = of("192.0.2.1"), b = of("192.0.2.2"), six = of("2001:db8::1"), near = of("2001:db8::ffff:2"),
                     far = of("2001:db8:0:1::1");
    assert_int_equal(rate_count(&r, &a, 0), 0);
    for (int i = 1; i <= 5; i++) {
        rate_add(&r, &a, 1000 * i);
        assert_int_equal(rate_count(&r, &a, 1000 * i), i);
    }
    assert_int_equal(rate_count(&r, &b, 5000), 0);
    assert_int_equal(rate_count(&r, &a, 1000 + RATE_SPAN_MS - 1), 5);
    assert_int_equal(rate_count(&r, &a, 1000 + RATE_SPAN_MS), 0);
    rate_add(&r, &a, 1000 + RATE_SPAN_MS);
    assert_int_equal(rate_count(&r, &a, 1000 + RATE_SPAN_MS), 1);
    assert_int_equal(rate_count(&r, &a, 0), 0); /* a clock that was set back locks nobody out */
    rate_add(&r, &six, 0);
    assert_int_equal(rate_count(&r, &near, 0), 1); /* the same /64 */
    assert_int_equal(rate_count(&r, &far, 0), 0);
    rate_dispose(&r);
}

static void test_a_full_table_forgets_who_was_quiet_longest(void **state)
{
    (void)state;
    rate r = {0};
    meshping_address first = of("10.0.0.1"), last = {.family = MESHPING_FAMILY_IPV4};
    rate_add(&r, &first, 0);
    for (unsigned i = 0; i < RATE_PEERS; i++) {
        last = (meshping_address){.family = MESHPING_FAMILY_IPV4, .bytes = {11, 0, (uint8_t)(i >> 8), (uint8_t)i}};
        rate_add(&r, &last, 1 + i);
        if (i + 2 == RATE_PEERS)
            assert_int_equal(rate_count(&r, &first, RATE_PEERS), 1); /* it just fits */
    }
    assert_int_equal(rate_count(&r, &first, RATE_PEERS), 0);
    assert_int_equal(rate_count(&r, &last, RATE_PEERS), 1);
    for (int i = 0; i < 300; i++)
        rate_add(&r, &last, RATE_PEERS);
    assert_int_equal(rate_count(&r, &last, RATE_PEERS), RATE_MOST);
    rate_dispose(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_peer_has_its_own_minute),
        cmocka_unit_test(test_a_full_table_forgets_who_was_quiet_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
