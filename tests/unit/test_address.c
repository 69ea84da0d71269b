/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <meshping/address.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_addresses_come_back_in_canonical_text(void **state)
{
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"2001:db8:0:1:0:0:0:1", "2001:db8:0:1::1"},
        {"::ffff:192.0.2.7", "192.0.2.7"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, /* RFC 5952 4.2.2: a single zero group is not shortened */
        {"fe80::1%7", "fe80::1%7"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_address address;
        char text[MESHPING_ADDRESS_TEXT_MAX];
        assert_int_equal(meshping_address_parse(&address, cases[i][0], NULL), MESHPING_OK);
        assert_string_equal(meshping_address_format(&address, text), cases[i][1]);
    }
}

static void test_text_that_is_no_address_is_refused_with_a_reason(void **state)
{
    static const char *const cases[] = {
        "",         "10.1",           "256.1.1.1",   "1.2.3.4.5",   "010.1.1.1", "1:2:3",
        "fe80::1%", "2001:db8::1%lo", "192.0.2.1%1", "example.org", "1.2.3.4 ",  "fe80::1%no-such-if0"};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_address address;
        meshping_error err = {0};
        assert_int_equal(meshping_address_parse(&address, cases[i], &err), MESHPING_INVALID);
        assert_int_not_equal(err.message[0], 0);
    }
}

static void test_a_mapped_sockaddr_is_ipv4(void **state)
{
    (void)state;
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = 3};
    meshping_address address, plain;
    inet_pton(AF_INET6, "::ffff:198.51.100.9", &in6.sin6_addr);
    assert_int_equal(meshping_address_from_sockaddr(&address, (struct sockaddr *)&in6), MESHPING_OK);
    assert_int_equal(meshping_address_parse(&plain, "198.51.100.9", NULL), MESHPING_OK);
    assert_true(meshping_address_equal(&address, &plain));
    inet_pton(AF_INET6, "fe80::9", &in6.sin6_addr);
    assert_int_equal(meshping_address_from_sockaddr(&address, (struct sockaddr *)&in6), MESHPING_OK);
    assert_int_equal(address.scope_id, 3);
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_int_equal(meshping_address_from_sockaddr(&address, &other), MESHPING_INVALID);
}

static void test_loopback_is_all_of_127_and_one_ipv6_address(void **state)
{
    static const struct {
        const char *text;
        bool loopback;
    } cases[] = {{"127.0.0.1", true}, {"127.255.0.9", true}, {"::1", true}, {"128.0.0.1", false}, {"::2", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_address address;
        assert_int_equal(meshping_address_parse(&address, cases[i].text, NULL), MESHPING_OK);
        assert_int_equal(meshping_address_is_loopback(&address), cases[i].loopback);
    }
}

static void test_host_names_become_canonical(void **state)
{
    static const char *const cases[][2] = {
        {"Example.ORG.", "example.org"},      {"_svc.example.org", "_svc.example.org"},
        {"localhost", "localhost"},           {"1and1.example", "1and1.example"},
        {"2001:DB8::0001", "2001:db8::1"},    {"::FFFF:192.0.2.1", "192.0.2.1"},
        {"10.example.org", "10.example.org"}, {"FE80::1%eth7", "fe80::1%eth7"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[MESHPING_HOST_MAX];
        assert_int_equal(meshping_host_canonical(out, cases[i][0], NULL), MESHPING_OK);
        assert_string_equal(out, cases[i][1]);
    }
}

static void test_what_reads_like_an_address_is_never_taken_for_a_name(void **state)
{
    static const char *const cases[] = {
        "",
        ".",
        "256.1.1.1",
        "10.1",
        "1:2:3",
        "0x7f.0x1",
        "a.0x10",
        "127.1",
        "192.0.2.1:80",
        "[::1]",
        "192.0.2.0/24",
        "https://example.org/",
        "a..b",
        "-a.example",
        "a-.example",
        "a b",
        "b\xc3\xbc"
        "cher.example",
        "1.2.3.4.5",
        "example.1",
        "4294967295",
        "a\nb.example",
        ".example",
        "fe80::1%eth 0",
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[MESHPING_HOST_MAX] = "untouched";
        meshping_error err = {0};
        assert_int_equal(meshping_host_canonical(out, cases[i], &err), MESHPING_INVALID);
        assert_int_not_equal(err.message[0], 0);
        assert_null(strchr(err.message, '\n'));
        assert_string_equal(out, "untouched");
    }
}

static void test_host_name_lengths_at_their_limits(void **state)
{
    char text[300], out[MESHPING_HOST_MAX];
    (void)state;
    for (size_t length = 62; length <= 64; length++) { /* one label */
        memset(text, 'a', length);
        text[length] = 0;
        assert_int_equal(meshping_host_canonical(out, text, NULL), length <= 63 ? MESHPING_OK : MESHPING_INVALID);
    }
    for (size_t length = 252; length <= 254; length++) { /* the whole name, labels of 49 and a dot */
        for (size_t i = 0; i < length; i++)
            text[i] = i % 50 == 49 && i + 1 < length ? '.' : 'b';
        text[length] = 0;
        assert_int_equal(meshping_host_canonical(out, text, NULL), length <= 253 ? MESHPING_OK : MESHPING_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_come_back_in_canonical_text),
        cmocka_unit_test(test_text_that_is_no_address_is_refused_with_a_reason),
        cmocka_unit_test(test_a_mapped_sockaddr_is_ipv4),
        cmocka_unit_test(test_loopback_is_all_of_127_and_one_ipv6_address),
        cmocka_unit_test(test_host_names_become_canonical),
        cmocka_unit_test(test_what_reads_like_an_address_is_never_taken_for_a_name),
        cmocka_unit_test(test_host_name_lengths_at_their_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
