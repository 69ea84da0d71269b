/* SPDX-License-Identifier: Apache-2.0 */
/* What server and agent say of single probes; what the agent says of its targets and of itself, beside samples. */
#include <meshping/protocol.h>
#include <meshping/sample.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID_MAX "9007199254740991"
#define ID_OVER "9007199254740992"
#define NOW(rest) "{\"event\":\"server_message\",\"data\":{\"type\":\"probe_now\"," rest "}}"
#define RESULT(rest) "{\"event\":\"probe_result\",\"data\":{\"request\":7,\"target\":3," rest "}}"

static void assert_refused(const char *text, const char *words)
{
    meshping_message message;
    meshping_error err = {0};
    if (meshping_message_decode(&message, text, strlen(text), &err) != MESHPING_PROTOCOL)
        fail_msg("taken: %s", text);
    if (!strstr(err.message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", text, err.message, words);
}

static void assert_comes_back(const char *text)
{
    meshping_message message;
    meshping_error err = {0};
    char *again;
    size_t length;
    if (meshping_message_decode(&message, text, strlen(text), &err) != MESHPING_OK)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(meshping_message_encode(&again, &length, &message, &err), MESHPING_OK);
    assert_string_equal(again, text);
    meshping_free(again);
    meshping_message_dispose(&message);
}

static void test_they_come_back_from_the_wire_as_they_were(void **unused)
{
    (void)unused;
    assert_comes_back(NOW("\"request\":7,\"targets\":[3," ID_MAX "]"));
    assert_comes_back(NOW("\"request\":" ID_MAX ",\"targets\":[]"));
    assert_comes_back(
        RESULT("\"outcome\":\"ok\",\"rtt_us\":1234,\"sent_us\":1700000000000000,\"address\":\"192.0.2.1\""));
    assert_comes_back(RESULT("\"outcome\":\"ok\",\"rtt_us\":0,\"sent_us\":-5,\"address\":\"fe80::1%eth0\""));
    assert_comes_back(RESULT("\"outcome\":\"timeout\",\"sent_us\":1700000000000000,\"address\":\"2001:db8::1\""));
    assert_comes_back(RESULT("\"outcome\":\"unresolved\""));
    assert_comes_back(RESULT("\"unprobed\":\"unknown_target\""));
    assert_comes_back(RESULT("\"unprobed\":\"busy\""));
}

static void test_a_request_names_whole_ids_and_not_too_many(void **unused)
{
    (void)unused;
    static const char *const bad[] = {"0", "-1", "\"3\"", "3.0", "null", ID_OVER, "true"};
    char text[1024], list[512] = "";
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, NOW("\"request\":7,\"targets\":[%s]"), bad[i]);
        assert_refused(text, "\"targets\"");
        snprintf(text, sizeof text, NOW("\"request\":%s,\"targets\":[1]"), bad[i]);
        assert_refused(text, "\"request\"");
    }
    assert_refused(NOW("\"request\":7"), "\"targets\"");
    for (unsigned i = 1; i <= MESHPING_PROBE_NOW_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%u", i > 1 ? "," : "", i);
    snprintf(text, sizeof text, NOW("\"request\":7,\"targets\":[%s]"), list);
    assert_comes_back(text);
    snprintf(text, sizeof text, NOW("\"request\":7,\"targets\":[%s,99]"), list);
    assert_refused(text, "\"targets\"");
}

static void test_an_answer_has_an_outcome_or_the_reason_why_it_has_none(void **unused)
{
    (void)unused;
    assert_refused("{\"event\":\"probe_result\",\"data\":{\"target\":3,\"outcome\":\"timeout\"}}", "\"request\"");
    assert_refused("{\"event\":\"probe_result\",\"data\":{\"request\":3,\"outcome\":\"timeout\"}}", "\"target\"");
    assert_refused(RESULT("\"rtt_us\":5"), "\"outcome\"");
    assert_refused(RESULT("\"outcome\":\"unknown\""), "\"outcome\"");
    assert_refused(RESULT("\"outcome\":\"fine\""), "\"outcome\"");
    assert_refused(RESULT("\"outcome\":0"), "\"outcome\"");
    assert_refused(RESULT("\"outcome\":\"ok\""), "\"rtt_us\"");
    assert_refused(RESULT("\"outcome\":\"ok\",\"rtt_us\":4294967232"), "\"rtt_us\"");
    assert_comes_back(RESULT("\"outcome\":\"ok\",\"rtt_us\":4294967231"));
    assert_refused(RESULT("\"outcome\":\"timeout\",\"sent_us\":72057594037927937"), "\"sent_us\"");
    assert_refused(RESULT("\"outcome\":\"timeout\",\"address\":7"), "\"address\"");
    assert_refused(RESULT("\"outcome\":\"timeout\",\"address\":\"a\\u0007\""), "\"address\"");
    assert_refused(RESULT("\"unprobed\":\"lazy\""), "\"unprobed\"");
    assert_refused(RESULT("\"unprobed\":1"), "\"unprobed\"");
    assert_string_equal(meshping_unprobed_name(99), "unknown");
}

#define APPLIED(rest) "{\"event\":\"targets_applied\",\"data\":{\"revision\":12,\"count\":9" rest "}}"
#define STATUS(rest)                                                                                                   \
    "{\"event\":\"status\",\"data\":{\"time_us\":5,\"buffered_samples\":0,\"dropped_samples\":0,\"retry_s\":0" rest "}}"

static void test_what_an_agent_refuses_comes_back_and_each_reason_is_a_known_one(void **unused)
{
    (void)unused;
    char text[256];
    for (unsigned i = MESHPING_REFUSAL_NO_IPV4; i <= MESHPING_REFUSAL_LIMIT; i++) {
        snprintf(text, sizeof text, APPLIED(",\"part\":1,\"parts\":2,\"refused\":[{\"target\":7,\"reason\":\"%s\"}]"),
                 meshping_refusal_name(i));
        assert_comes_back(text);
    }
    assert_comes_back(
        APPLIED(",\"part\":0,\"parts\":4096,\"refused\":[{\"target\":1,\"reason\":\"limit\"},{\"target\":" ID_MAX
                ",\"reason\":\"no_source\"}]"));
    assert_refused(APPLIED(",\"parts\":4097"), "\"parts\"");
    assert_refused(APPLIED(",\"parts\":0"), "\"parts\"");
    assert_refused(APPLIED(",\"parts\":2,\"part\":2"), "\"part\"");
    assert_refused(APPLIED(",\"part\":1"), "\"part\"");
    assert_refused(APPLIED(",\"refused\":{}"), "\"refused\"");
    assert_refused(APPLIED(",\"refused\":[7]"), "\"refused\"");
    assert_refused(APPLIED(",\"refused\":[{\"reason\":\"limit\"}]"), "\"target\"");
    assert_refused(APPLIED(",\"refused\":[{\"target\":" ID_OVER ",\"reason\":\"limit\"}]"), "\"target\"");
    assert_refused(APPLIED(",\"refused\":[{\"target\":7}]"), "\"reason\"");
    assert_refused(APPLIED(",\"refused\":[{\"target\":7,\"reason\":\"mood\"}]"), "\"reason\"");
    assert_refused(APPLIED(",\"refused\":[{\"target\":7,\"reason\":\"limit\"},{\"target\":0,\"reason\":\"limit\"}]"),
                   "\"target\"");
    /* the first that is wrong is named, whatever comes after it */
    assert_refused(APPLIED(",\"refused\":[{\"target\":0,\"reason\":\"limit\"},{\"target\":7,\"reason\":\"limit\"}]"),
                   "\"target\"");
    assert_refused(APPLIED(",\"parts\":0,\"refused\":[{\"target\":7,\"reason\":\"mood\"}]"), "\"parts\"");
    assert_string_equal(meshping_refusal_name(0), "unknown");
}

static void test_load_and_resolved_names_come_back_and_are_whole(void **unused)
{
    (void)unused;
    assert_comes_back(STATUS(""));
    assert_comes_back(STATUS(",\"load\":{\"cpu_permille\":0,\"load_permille\":4294967295,\"late_probes\":" ID_MAX
                             ",\"overloaded\":1}"));
    assert_comes_back(
        STATUS(",\"resolved\":[{\"target\":8,\"address\":\"192.0.2.8\"},{\"target\":9,\"address\":\"\"}]"));
    assert_refused(STATUS(",\"load\":7"), "\"load\"");
    assert_refused(STATUS(",\"load\":{\"cpu_permille\":1,\"load_permille\":1,\"late_probes\":1}"), "\"overloaded\"");
    assert_refused(STATUS(",\"load\":{\"cpu_permille\":-1,\"load_permille\":1,\"late_probes\":1,\"overloaded\":1}"),
                   "\"cpu_permille\"");
    assert_refused(STATUS(",\"resolved\":7"), "\"resolved\"");
    assert_refused(STATUS(",\"resolved\":[7]"), "\"resolved\"");
    assert_refused(STATUS(",\"resolved\":[{\"target\":8}]"), "\"address\"");
    assert_comes_back(STATUS(",\"resolved\":[{\"target\":8,\"address\":\"fe80::1%eth0\"}]"));
    assert_refused(STATUS(",\"resolved\":[{\"target\":8,\"address\":\"192.0.2.8 (checked)\"}]"), "\"address\"");
    assert_refused(STATUS(",\"resolved\":[{\"target\":8,\"address\":\"fe80::1%a b\"}]"), "\"address\"");
    assert_refused(STATUS(",\"resolved\":[{\"address\":\"a\"}]"), "\"target\"");
    assert_refused(STATUS(",\"resolved\":[{\"target\":0,\"address\":\"\"},{\"target\":8,\"address\":\"\"}]"),
                   "\"target\"");
}

/* So many items as a part may have, and one more. */
static void test_a_part_has_so_many_items_and_no_more_and_fits_a_frame(void **unused)
{
    (void)unused;
    static char text[1 << 17];
    for (size_t more = 0; more < 2; more++) {
        int length = snprintf(text, sizeof text,
                              "{\"event\":\"targets_applied\",\"data\":{\"revision\":12,\"count\":9,"
                              "\"part\":0,\"parts\":1,\"refused\":[");
        for (size_t i = 0; i < MESHPING_REFUSED_MAX + more; i++)
            length += snprintf(text + length, sizeof text - (size_t)length,
                               "%s{\"target\":" ID_MAX ",\"reason\":\"no_interface\"}", i ? "," : "");
        length += snprintf(text + length, sizeof text - (size_t)length, "]}}");
        assert_true(more || length <= MESHPING_JSON_MAX);
        more ? assert_refused(text, "\"refused\"") : assert_comes_back(text);
        length = snprintf(text, sizeof text,
                          "{\"event\":\"status\",\"data\":{\"time_us\":5,\"buffered_samples\":0,"
                          "\"dropped_samples\":0,\"retry_s\":0,\"resolved\":[");
        for (size_t i = 0; i < MESHPING_RESOLVED_MAX + more; i++)
            length += snprintf(text + length, sizeof text - (size_t)length,
                               "%s{\"target\":" ID_MAX
                               ",\"address\":\"fe80:0000:0000:0000:0000:0000:0000:0001%%abcdefghijklmno\"}",
                               i ? "," : "");
        length += snprintf(text + length, sizeof text - (size_t)length, "]}}");
        assert_true(more || length <= MESHPING_JSON_MAX);
        more ? assert_refused(text, "\"resolved\"") : assert_comes_back(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_they_come_back_from_the_wire_as_they_were),
        cmocka_unit_test(test_a_request_names_whole_ids_and_not_too_many),
        cmocka_unit_test(test_an_answer_has_an_outcome_or_the_reason_why_it_has_none),
        cmocka_unit_test(test_what_an_agent_refuses_comes_back_and_each_reason_is_a_known_one),
        cmocka_unit_test(test_load_and_resolved_names_come_back_and_are_whole),
        cmocka_unit_test(test_a_part_has_so_many_items_and_no_more_and_fits_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
