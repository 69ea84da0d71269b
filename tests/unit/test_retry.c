/* SPDX-License-Identifier: Apache-2.0 */
#include "net/internal.h"
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000000)

/* ---- which address ---- */

static meshping_address addresses[4];

static void lay(const char *families)
{
    for (size_t i = 0; families[i]; i++)
        addresses[i] = (meshping_address){.family = (uint8_t)(families[i] - '0'), .bytes = {(uint8_t)i}};
}

/* The families of the first tries, one after the other. */
static void assert_tries(const char *there, uint8_t good, const char *expected)
{
    char tried[16] = "";
    lay(there);
    for (uint32_t failures = 0; expected[failures]; failures++)
        tried[failures] = (char)('0' + meshping__retry_address(addresses, strlen(there), good, failures)->family);
    assert_string_equal(tried, expected);
}

static void test_the_good_family_is_kept_until_three_failures(void **unused)
{
    (void)unused;
    assert_tries("64", MESHPING_FAMILY_IPV4, "4446464");
    assert_tries("64", MESHPING_FAMILY_IPV6, "6664646");
    assert_tries("46", MESHPING_FAMILY_IPV4, "4446464");
    assert_tries("64", MESHPING_FAMILY_NONE, "646464");
    assert_tries("4", MESHPING_FAMILY_IPV6, "4444");
    assert_tries("44", MESHPING_FAMILY_IPV6, "4444");
    assert_tries("6464", MESHPING_FAMILY_IPV4, "444664466");
}

static void test_the_addresses_of_a_family_have_their_turns(void **unused)
{
    (void)unused;
    lay("6464");
    assert_int_equal(meshping__retry_address(addresses, 4, MESHPING_FAMILY_IPV4, 0)->bytes[0], 1);
    assert_int_equal(meshping__retry_address(addresses, 4, MESHPING_FAMILY_IPV4, 1)->bytes[0], 3);
    assert_int_equal(meshping__retry_address(addresses, 4, MESHPING_FAMILY_IPV4, 2)->bytes[0], 1);
    assert_int_equal(meshping__retry_address(addresses, 4, MESHPING_FAMILY_IPV4, 3)->bytes[0], 0);
    assert_int_equal(meshping__retry_address(addresses, 4, MESHPING_FAMILY_IPV4, 4)->bytes[0], 2);
}

/* ---- when ---- */

static meshping_session *waiting_session(void)
{
    meshping_session *session = calloc(1, sizeof *session);
    session->options.backoff_max_ms = 60000;
    session->connect_at_ns = INT64_MAX;
    return session;
}

static void test_each_failure_doubles_the_span_up_to_the_limit(void **unused)
{
    (void)unused;
    static const int64_t spans_ms[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    int64_t most_ms[8] = {0};
    for (int run = 0; run < 200; run++) {
        meshping_session *session = waiting_session();
        for (size_t i = 0; i < 8; i++) {
            int64_t delay_ms = meshping__retry_after_loss(session, false);
            assert_in_range(delay_ms, 0, spans_ms[i]);
            most_ms[i] = delay_ms > most_ms[i] ? delay_ms : most_ms[i];
        }
        free(session);
    }
    for (size_t i = 0; i < 8; i++) /* one in 10^17 fails by chance */
        assert_true(most_ms[i] > spans_ms[i] * 4 / 5);
}

/* Ten thousand agents and a server that needs some seconds to start: who tried too early comes as soon as the others.
 */
static void test_what_the_server_asks_for_is_doubled_only_by_an_own_span_that_is_longer(void **unused)
{
    (void)unused;
    static const int64_t spans_ms[] = {40000, 40000, 40000, 40000, 40000, 40000, 60000, 60000};
    int64_t most_ms[8] = {0};
    for (int run = 0; run < 200; run++) {
        meshping_session *session = waiting_session();
        session->retry_s = 40;
        for (size_t i = 0; i < 8; i++) {
            int64_t delay_ms = meshping__retry_after_loss(session, false);
            assert_in_range(delay_ms, 0, spans_ms[i]);
            most_ms[i] = delay_ms > most_ms[i] ? delay_ms : most_ms[i];
        }
        free(session);
    }
    for (size_t i = 0; i < 8; i++)
        assert_true(most_ms[i] > spans_ms[i] * 4 / 5);
}

static void test_what_the_server_asks_for_may_be_longer_than_any_own_span(void **unused)
{
    (void)unused;
    int64_t most_ms = 0;
    for (int run = 0; run < 200; run++) {
        meshping_session *session = waiting_session();
        session->retry_s = 400;
        session->backoff_ms = 60000;
        int64_t delay_ms = meshping__retry_after_loss(session, false);
        assert_in_range(delay_ms, 0, 400000);
        most_ms = delay_ms > most_ms ? delay_ms : most_ms;
        free(session);
    }
    assert_true(most_ms > 320000);
}

static void test_a_network_that_is_back_is_tried_within_the_first_span(void **unused)
{
    (void)unused;
    int64_t least_ns = INT64_MAX, most_ns = 0;
    for (int run = 0; run < 500; run++) {
        meshping_session *session = waiting_session();
        session->retry_s = 8; /* a mesh of two thousand: no stampede */
        session->backoff_ms = 60000;
        session->now.mono_ns = 100 * S;
        session->connect_at_ns = 160 * S;
        meshping__retry_network_back(session);
        int64_t at_ns = session->connect_at_ns - 100 * S;
        assert_in_range(at_ns, 0, 8 * S);
        least_ns = at_ns < least_ns ? at_ns : least_ns;
        most_ns = at_ns > most_ns ? at_ns : most_ns;
        for (int more = 0; more < 20; more++) { /* addresses and routes follow: no second draw, or all come early */
            session->now.mono_ns += S / 10;
            meshping__retry_network_back(session);
            assert_int_equal(session->connect_at_ns - 100 * S, at_ns);
        }
        assert_int_equal(session->backoff_ms, 0);
        free(session);
    }
    assert_true(least_ns < S && most_ns > 7 * S);
}

static void test_it_never_makes_anybody_wait_longer_or_come_before_he_may(void **unused)
{
    (void)unused;
    for (int run = 0; run < 100; run++) {
        meshping_session *session = waiting_session();
        session->now.mono_ns = 100 * S;
        meshping__retry_network_back(session); /* connected, or connecting */
        assert_true(session->connect_at_ns == INT64_MAX);
        session->connect_at_ns = 100 * S + 1000;
        session->hurry_until_ns = 0;
        meshping__retry_network_back(session);
        assert_true(session->connect_at_ns <= 100 * S + 1000);
        meshping__retry_after_loss(session, true); /* refused: not before 30 s have gone */
        session->connect_at_ns = 200 * S;
        session->now.mono_ns = 110 * S;
        session->hurry_until_ns = 0;
        meshping__retry_network_back(session);
        assert_in_range(session->connect_at_ns, 130 * S, 131 * S);
        free(session);
    }
}

/* ---- what the kernel says ---- */

typedef struct link_word {
    struct nlmsghdr header;
    struct ifinfomsg info;
} link_word;

static link_word word(int index, unsigned flags, uint16_t type)
{
    link_word made = {.header = {.nlmsg_len = sizeof made, .nlmsg_type = type},
                      .info = {.ifi_index = index, .ifi_flags = flags}};
    return made;
}

static bool says(meshping__link_watch *watch, int index, unsigned flags, uint16_t type)
{
    link_word one = word(index, flags, type);
    return meshping__link_watch_read(watch, &one, sizeof one);
}

static void test_only_a_link_that_was_down_comes_back(void **unused)
{
    (void)unused;
    meshping__link_watch *watch;
    if (meshping__link_watch_new(&watch, NULL) != MESHPING_OK)
        skip();
    const unsigned up = IFF_UP | IFF_RUNNING;
    assert_true(says(watch, 900001, up, RTM_NEWLINK)); /* a new one that is up, a tunnel say */
    assert_false(says(watch, 900001, up, RTM_NEWLINK));
    assert_false(says(watch, 900001, IFF_UP, RTM_NEWLINK)); /* the cable was pulled */
    assert_false(says(watch, 900001, 0, RTM_NEWLINK));
    assert_false(says(watch, 900001, IFF_UP, RTM_NEWLINK));
    assert_true(says(watch, 900001, up, RTM_NEWLINK));
    assert_false(says(watch, 900001, up, RTM_DELLINK));
    assert_true(says(watch, 900001, up, RTM_NEWLINK));
    assert_false(says(watch, 900002, up | IFF_LOOPBACK, RTM_NEWLINK));
    assert_false(says(watch, 900003, up, RTM_GETLINK));
    meshping__link_watch_free(watch);
}

static void test_cut_off_words_of_the_kernel_are_passed_over(void **unused)
{
    (void)unused;
    meshping__link_watch *watch;
    if (meshping__link_watch_new(&watch, NULL) != MESHPING_OK)
        skip();
    link_word one = word(900001, IFF_UP | IFF_RUNNING, RTM_NEWLINK);
    for (size_t length = 0; length < sizeof one; length++)
        assert_false(meshping__link_watch_read(watch, &one, length));
    one.header.nlmsg_len = sizeof one.header; /* whole, and empty */
    assert_false(meshping__link_watch_read(watch, &one, sizeof one.header));
    for (uint32_t length = 0; length < sizeof one.header; length++) {
        one.header.nlmsg_len = length;
        assert_false(meshping__link_watch_read(watch, &one, sizeof one));
    }
    meshping__link_watch_free(watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_good_family_is_kept_until_three_failures),
        cmocka_unit_test(test_the_addresses_of_a_family_have_their_turns),
        cmocka_unit_test(test_each_failure_doubles_the_span_up_to_the_limit),
        cmocka_unit_test(test_what_the_server_asks_for_is_doubled_only_by_an_own_span_that_is_longer),
        cmocka_unit_test(test_what_the_server_asks_for_may_be_longer_than_any_own_span),
        cmocka_unit_test(test_a_network_that_is_back_is_tried_within_the_first_span),
        cmocka_unit_test(test_it_never_makes_anybody_wait_longer_or_come_before_he_may),
        cmocka_unit_test(test_only_a_link_that_was_down_comes_back),
        cmocka_unit_test(test_cut_off_words_of_the_kernel_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
