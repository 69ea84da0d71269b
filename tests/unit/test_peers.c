/* SPDX-License-Identifier: Apache-2.0 */
#include <meshpingd/peers.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static meshping_address address(const char *text)
{
    meshping_address out;
    assert_int_equal(meshping_address_parse(&out, text, NULL), MESHPING_OK);
    return out;
}

static void test_a_descriptor_is_its_last_connections(void **unused)
{
    (void)unused;
    meshping_address one = address("192.0.2.1"), two = address("2001:db8::2");
    assert_null(peers_address(0));
    assert_null(peers_address(-1));
    assert_int_equal(peers_note(7, &one, 1000), MESHPING_OK);
    assert_null(peers_address(6));
    assert_int_equal(peers_note(5000, &two, 2000), MESHPING_OK);
    assert_true(meshping_address_equal(peers_address(7), &one) && meshping_address_equal(peers_address(5000), &two));
    assert_int_equal(peers_note(7, &two, 3000), MESHPING_OK);
    assert_true(meshping_address_equal(peers_address(7), &two) && peers_accepted_ms(7) == 3000);
    assert_null(peers_address(1 << 20));
    peers_dispose();
    assert_null(peers_address(7));
}

static void test_forwarded_for_counts_from_trusted_proxies_only(void **unused)
{
    (void)unused;
    static const struct {
        const char *peer, *header, *expected;
    } cases[] = {
        {"10.0.0.1", "198.51.100.7", "198.51.100.7"},
        {"192.0.2.1", "198.51.100.7", "192.0.2.1"}, /* not trusted: whatever it says */
        {"10.0.0.1", "1.2.3.4, 198.51.100.7", "198.51.100.7"},
        {"10.0.0.1", "198.51.100.7, 10.0.0.9", "198.51.100.7"}, /* two proxies, one after the other */
        {"10.0.0.1", "10.0.0.8,10.0.0.9", "10.0.0.8"},
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", " , ,", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.7, unknown", "10.0.0.1"},
        {"10.0.0.1", "rubbish, 10.0.0.9", "10.0.0.9"},
        {"10.0.0.1", "198.51.100.7:4711", "198.51.100.7"},
        {"10.0.0.1", "[2001:db8::7]:4711", "2001:db8::7"},
        {"10.0.0.1", "2001:db8::7", "2001:db8::7"},
        {"10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"},
        {"2001:db8:1::1", "198.51.100.7", "198.51.100.7"},
        {"10.0.0.1", "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
         "10.0.0.1"},
    };
    meshping_cidr_list trusted;
    assert_int_equal(meshping_cidr_list_parse(&trusted, "10.0.0.0/8, 2001:db8:1::/48", NULL), MESHPING_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[MESHPING_ADDRESS_TEXT_MAX];
        meshping_address peer = address(cases[i].peer), found = peers_forwarded(&peer, cases[i].header, &trusted);
        assert_string_equal(meshping_address_format(&found, text), cases[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_descriptor_is_its_last_connections),
        cmocka_unit_test(test_forwarded_for_counts_from_trusted_proxies_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
