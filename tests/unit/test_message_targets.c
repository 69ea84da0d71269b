/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID_OVER "9007199254740992"

static meshping_status decode(const char *targets, meshping_error *err)
{
    meshping_message message;
    size_t size = strlen(targets) + 256;
    char *text = malloc(size);
    snprintf(text, size,
             "{\"event\":\"server_message\",\"data\":{\"type\":\"update_targets\",\"revision\":12,\"part\":1,"
             "\"parts\":2,\"targets\":%s}}",
             targets);
    meshping_status status = meshping_message_decode(&message, text, strlen(text), err);
    free(text);
    if (status == MESHPING_OK)
        meshping_message_dispose(&message);
    return status;
}

static void assert_taken(const char *targets)
{
    meshping_error err = {0};
    if (decode(targets, &err) != MESHPING_OK)
        fail_msg("%s: %s", targets, err.message);
}

static void assert_refused(const char *targets, const char *words)
{
    meshping_error err = {0};
    assert_int_equal(decode(targets, &err), MESHPING_PROTOCOL);
    if (!strstr(err.message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", targets, err.message, words);
}

static void test_a_part_takes_a_thousand_targets(void **unused)
{
    (void)unused;
    for (size_t count = 999; count <= 1001; count++) {
        char *value = malloc(64 * count), *at = value;
        at += sprintf(at, "[");
        for (size_t i = 0; i < count; i++)
            at += sprintf(at, "%s{\"id\":%zu,\"address\":\"h%zu.example\"}", i ? "," : "", i + 1, i);
        sprintf(at, "]");
        if (count <= 1000)
            assert_taken(value);
        else
            assert_refused(value, "\"targets\"");
        free(value);
    }
}

static void test_a_part_takes_a_thousand_ids_away(void **unused)
{
    static const char *const bad[] = {"0", "-1", "0,1", "-9223372036854775808", ID_OVER, "1.0", "\"1\"", "null", "[1]"};
    char value[64];
    (void)unused;
    for (size_t count = 999; count <= 1001; count++) {
        char *ids = malloc(8 * count + 64), *at = ids;
        at += sprintf(at, "[],\"base\":11,\"removed\":[");
        for (size_t i = 0; i < count; i++)
            at += sprintf(at, "%s%zu", i ? "," : "", i + 1);
        sprintf(at, "]");
        if (count <= 1000)
            assert_taken(ids);
        else
            assert_refused(ids, "\"removed\"");
        free(ids);
    }
    assert_taken("[],\"base\":11,\"removed\":[]");
    assert_refused("5,\"base\":11,\"removed\":[1]", "\"targets\"");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(value, sizeof value, "[],\"base\":11,\"removed\":[%s]", bad[i]);
        assert_refused(value, "\"removed\"");
    }
}

static void test_a_bad_target_is_refused_with_the_reason(void **unused)
{
    (void)unused;
    static const struct {
        const char *target, *words;
    } cases[] = {{"7", "targets"},
                 {"null", "targets"},
                 {"{\"address\":\"192.0.2.1\"}", "\"id\""},
                 {"{\"id\":0,\"address\":\"192.0.2.1\"}", "\"id\""},
                 {"{\"id\":" ID_OVER ",\"address\":\"192.0.2.1\"}", "\"id\""},
                 {"{\"id\":1}", "\"address\""},
                 {"{\"id\":1,\"address\":\"256.1.1.1\"}", "256.1.1.1"},
                 {"{\"id\":1,\"address\":\"\"}", "empty"},
                 {"{\"id\":1,\"address\":\"a b\"}", "host name"},
                 {"{\"id\":1,\"address\":\"a\",\"interval_ms\":99}", "interval"},
                 {"{\"id\":1,\"address\":\"a\",\"interval_ms\":4294967296}", "interval"},
                 {"{\"id\":1,\"address\":\"a\",\"timeout_ms\":9}", "timeout"},
                 {"{\"id\":1,\"address\":\"a\",\"size\":15}", "size"},
                 {"{\"id\":1,\"address\":\"a\",\"size\":65536}", "size"},
                 {"{\"id\":1,\"address\":\"a\",\"dscp\":64}", "dscp"},
                 {"{\"id\":1,\"address\":\"a\",\"dscp\":256}", "dscp"},
                 {"{\"id\":1,\"address\":\"a\",\"source\":\"b\"}", "source"},
                 {"{\"id\":1,\"address\":\"192.0.2.1\",\"source\":\"::2\"}", "source"},
                 {"{\"id\":1,\"address\":\"a\",\"interface\":\"a/b\"}", "interface"},
                 {"{\"id\":1,\"address\":\"a\",\"interface\":\"sixteen-letters-\"}", "interface"},
                 {"{\"id\":1,\"address\":\"a\",\"dont_fragment\":1}", "dont_fragment"},
                 {"{\"id\":1,\"address\":\"a\",\"ttl\":256}", "ttl"},
                 {"{\"id\":1,\"address\":\"a\",\"family\":5}", "family"},
                 {"{\"id\":1,\"address\":\"a\",\"name\":5}", "\"name\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char value[256];
        snprintf(value, sizeof value, "[{\"id\":9,\"address\":\"good.example\"},%s]", cases[i].target);
        assert_refused(value, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_part_takes_a_thousand_targets),
        cmocka_unit_test(test_a_part_takes_a_thousand_ids_away),
        cmocka_unit_test(test_a_bad_target_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
