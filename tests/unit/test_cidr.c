/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/cidr.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static bool inside(const char *list_text, const char *address_text)
{
    meshping_cidr_list list;
    meshping_address address;
    assert_int_equal(meshping_cidr_list_parse(&list, list_text, NULL), MESHPING_OK);
    assert_int_equal(meshping_address_parse(&address, address_text, NULL), MESHPING_OK);
    return meshping_cidr_list_contains(&list, &address);
}

static void test_prefix_is_counted_in_bits(void **state)
{
    (void)state;
    assert_true(inside("10.0.0.0/8", "10.255.1.2"));
    assert_false(inside("10.0.0.0/8", "11.0.0.0"));
    assert_true(inside("192.0.2.128/25", "192.0.2.128"));
    assert_true(inside("192.0.2.128/25", "192.0.2.255"));
    assert_false(inside("192.0.2.128/25", "192.0.2.127"));
    assert_true(inside("192.0.2.1", "192.0.2.1"));
    assert_false(inside("192.0.2.1", "192.0.2.2"));
    assert_true(inside("0.0.0.0/0", "203.0.113.9"));
    assert_true(inside("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(inside("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(inside("::1", "::1"));
}

static void test_families_do_not_mix(void **state)
{
    (void)state;
    assert_false(inside("0.0.0.0/0", "2001:db8::1"));
    assert_false(inside("::/0", "10.0.0.1"));
}

static void test_mapped_ipv4_is_ipv4_on_both_sides(void **state)
{
    (void)state;
    meshping_address raw = {.family = MESHPING_FAMILY_IPV6};
    const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 2, 3};
    memcpy(raw.bytes, mapped, 16);
    meshping_cidr range;
    assert_int_equal(meshping_cidr_parse(&range, "10.0.0.0/8", NULL), MESHPING_OK);
    assert_true(meshping_cidr_contains(&range, &raw));
    assert_int_equal(meshping_cidr_parse(&range, "::ffff:10.0.0.0/104", NULL), MESHPING_OK);
    assert_true(meshping_cidr_contains(&range, &raw));
    assert_true(inside("::ffff:10.0.0.0/104", "10.1.2.3"));
    /* a mapped peer must not slip in by an IPv6 range */
    assert_int_equal(meshping_cidr_parse(&range, "::/0", NULL), MESHPING_OK);
    assert_false(meshping_cidr_contains(&range, &raw));
}

static void test_lists_take_commas_and_spaces(void **state)
{
    (void)state;
    assert_true(inside(" 192.0.2.0/24,2001:db8::/32 , 127.0.0.1", "127.0.0.1"));
    assert_true(inside("192.0.2.0/24, 2001:db8::/32", "2001:db8::5"));
    assert_false(inside("", "127.0.0.1"));
    assert_false(inside(" , ", "127.0.0.1"));
}

static void test_wrong_ranges_are_refused_with_their_text(void **state)
{
    (void)state;
    static const char *wrong[] = {"10.0.0.0/33",    "10.0.0.1/8",     "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "host",
                                  "2001:db8::/129", "2001:db8::1/32", "10.0.0/8",  "/8",          "1.2.3.4/ 8"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        meshping_cidr range;
        meshping_error err = {0};
        assert_int_equal(meshping_cidr_parse(&range, wrong[i], &err), MESHPING_INVALID);
        assert_non_null(strstr(err.message, wrong[i]));
    }
}

static void test_list_has_a_limit(void **state)
{
    (void)state;
    char text[MESHPING_CIDR_LIST_MAX * 16 + 32] = "";
    size_t used = 0;
    meshping_cidr_list list;
    for (int i = 0; i < MESHPING_CIDR_LIST_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "10.0.0.%d,", i);
    assert_int_equal(meshping_cidr_list_parse(&list, text, NULL), MESHPING_OK);
    assert_int_equal(list.count, MESHPING_CIDR_LIST_MAX);
    snprintf(text + used, sizeof text - used, "10.0.1.1");
    assert_int_equal(meshping_cidr_list_parse(&list, text, NULL), MESHPING_LIMIT);
}

static void test_a_range_is_written_as_it_is_read(void **state)
{
    (void)state;
    static const char text[] = "10.0.0.0/8, 192.0.2.1, 0.0.0.0/0, 2001:db8::/32, ::1, ::/0";
    meshping_cidr_list list, again;
    char out[256], small[sizeof text];
    assert_int_equal(meshping_cidr_list_parse(&list, text, NULL), MESHPING_OK);
    assert_int_equal(meshping_cidr_list_format(&list, out, sizeof out, NULL), MESHPING_OK);
    assert_string_equal(out, text);
    assert_int_equal(meshping_cidr_list_format(&list, small, sizeof text, NULL), MESHPING_OK);
    assert_int_equal(meshping_cidr_list_format(&list, small, sizeof text - 1, NULL), MESHPING_LIMIT);
    assert_string_equal(small, "");
    assert_int_equal(meshping_cidr_list_parse(&again, out, NULL), MESHPING_OK);
    assert_memory_equal(&list.items, &again.items, list.count * sizeof *list.items);
    static const char longest[] = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124";
    assert_int_equal(meshping_cidr_list_parse(&list, longest, NULL), MESHPING_OK);
    assert_string_equal(meshping_cidr_format(&list.items[0], out), longest);
    assert_true(sizeof longest <= MESHPING_CIDR_TEXT_MAX);
}

static void test_a_peer_is_an_ipv4_address_or_a_64(void **state)
{
    (void)state;
    static const char *const peers[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
        {"64:ff9b::192.0.2.1", "64:ff9b::c000:201"},
        {"64:ff9b:0:0:0:1::1", "64:ff9b::/64"}, /* beside 64:ff9b::/96 */
        {"fe80::1", "fe80::1"},
        {"febf::1", "febf::1"},
        {"fec0::1", "fec0::/64"},
        {"::1", "::/64"},
    };
    for (size_t i = 0; i < sizeof peers / sizeof *peers; i++) {
        meshping_address address;
        meshping_cidr peer;
        char out[MESHPING_CIDR_TEXT_MAX];
        assert_int_equal(meshping_address_parse(&address, peers[i][0], NULL), MESHPING_OK);
        meshping_cidr_of_peer(&peer, &address);
        assert_string_equal(meshping_cidr_format(&peer, out), peers[i][1]);
        assert_true(meshping_cidr_contains(&peer, &address));
    }
    meshping_address raw = {.family = MESHPING_FAMILY_IPV6, .bytes = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}};
    meshping_cidr peer;
    char out[MESHPING_CIDR_TEXT_MAX];
    meshping_cidr_of_peer(&peer, &raw);
    assert_string_equal(meshping_cidr_format(&peer, out), "192.0.2.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prefix_is_counted_in_bits),
        cmocka_unit_test(test_families_do_not_mix),
        cmocka_unit_test(test_mapped_ipv4_is_ipv4_on_both_sides),
        cmocka_unit_test(test_lists_take_commas_and_spaces),
        cmocka_unit_test(test_wrong_ranges_are_refused_with_their_text),
        cmocka_unit_test(test_list_has_a_limit),
        cmocka_unit_test(test_a_range_is_written_as_it_is_read),
        cmocka_unit_test(test_a_peer_is_an_ipv4_address_or_a_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
