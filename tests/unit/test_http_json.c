/* SPDX-License-Identifier: Apache-2.0 */
/* JSON in (lists of targets) and out (series). */
#include "meshpingd/json_body.h"
#include "meshpingd/series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bodies ---- */

static meshping_status parse_text(const char *text, meshping_error *err)
{
    json_object *json;
    meshping_status status = json_body_parse(&json, text, strlen(text), err);
    assert_true(status == MESHPING_OK || json == NULL);
    json_object_put(json);
    return status;
}

static void test_json_is_taken_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(parse_text("{\"a\":[1,2]}", NULL), MESHPING_OK);
    assert_int_equal(parse_text(" {} \r\n", NULL), MESHPING_OK);
    assert_int_equal(parse_text("12", NULL), MESHPING_OK);
    assert_int_equal(parse_text("{\"it's \\\"N\":\"'I'\"}", NULL), MESHPING_OK);
    static const char *wrong[] = {"",
                                  "{",
                                  "{\"a\"}",
                                  "{} {}",
                                  "{}x",
                                  "['a']",
                                  "[1,2,]",
                                  "nul",
                                  "{\"a\":1,}",
                                  "\"a",
                                  "{\"a\":\"\xff\"}",
                                  "[1 2]",
                                  "{'a':1}",
                                  "[NaN]",
                                  "[-Infinity]",
                                  "[\"\n\"]",
                                  "[\"\xed\xa0\x80\"]"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        meshping_error err = {0};
        if (parse_text(wrong[i], &err) != MESHPING_INVALID)
            fail_msg("taken: %s", wrong[i]);
        assert_true(strlen(err.message) > 10);
    }
}

static void test_json_nesting_is_limited(void **state)
{
    (void)state;
    char text[64];
    meshping_error err = {0};
    memset(text, '[', 15);
    memset(text + 15, ']', 15);
    text[30] = 0;
    assert_int_equal(parse_text(text, NULL), MESHPING_OK);
    memset(text, '[', 17);
    memset(text + 17, ']', 17);
    text[34] = 0;
    assert_int_equal(parse_text(text, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "nested"));
}

/* ---- targets ---- */

static meshping_status parse_list(meshping_target_list *list, size_t *index, const char *text, bool strings_only,
                                  size_t limit, meshping_error *err)
{
    json_object *json;
    meshping_target defaults;
    meshping_target_init(&defaults);
    defaults.interval_ms = 2000;
    defaults.timeout_ms = 1000;
    assert_int_equal(json_body_parse(&json, text, strlen(text), NULL), MESHPING_OK);
    meshping_status status = targets_json_parse(list, index, json, strings_only, &defaults, limit, err);
    json_object_put(json);
    return status;
}

static void test_items_are_strings_or_objects(void **state)
{
    (void)state;
    meshping_target_list list;
    size_t index;
    assert_int_equal(parse_list(&list, &index,
                                "{\"targets\":[{\"address\":\"192.0.2.1\",\"name\":\"gateway\"},"
                                "\"2001:DB8:0::1\",\" www.Example.org.  the web \","
                                "{\"id\":7,\"address\":\"192.0.2.2\",\"interval_ms\":100,\"timeout_ms\":50,"
                                "\"size\":16,\"dscp\":46,\"ttl\":9,\"dont_fragment\":true,"
                                "\"source\":\"192.0.2.7\",\"interface\":\"eth0\"}]}",
                                false, 10, NULL),
                     MESHPING_OK);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.items[0].host, "192.0.2.1");
    assert_string_equal(list.items[0].name, "gateway");
    assert_int_equal(list.items[0].interval_ms, 2000);
    assert_string_equal(list.items[1].host, "2001:db8::1");
    assert_string_equal(list.items[1].name, "");
    assert_string_equal(list.items[2].host, "www.example.org");
    assert_string_equal(list.items[2].name, "the web");
    assert_int_equal(list.items[3].interval_ms, 100);
    assert_int_equal(list.items[3].timeout_ms, 50);
    assert_int_equal(list.items[3].size, 16);
    assert_int_equal(list.items[3].dscp, 46);
    assert_true(list.items[3].ttl == 9 && list.items[3].dont_fragment && !list.items[0].dont_fragment);
    assert_true(list.items[3].source.family == 4 && list.items[3].source.bytes[3] == 7);
    assert_string_equal(list.items[3].interface, "eth0");
    meshping_target_list_dispose(&list);
    assert_int_equal(parse_list(&list, &index,
                                "{\"targets\":[{\"address\":\"192.0.2.1\",\"name\":\"  the  core \"},"
                                "{\"address\":\"192.0.2.2\",\"name\":\"  \"}]}",
                                false, 10, NULL),
                     MESHPING_OK);
    assert_string_equal(list.items[0].name, "the  core"); /* as in the string */
    assert_string_equal(list.items[1].name, "");
    meshping_target_list_dispose(&list);
    assert_int_equal(parse_list(&list, &index, "{\"targets\":[]}", false, 10, NULL), MESHPING_OK);
    assert_int_equal(list.count, 0);
    meshping_target_list_dispose(&list);
}

static void test_a_wrong_item_is_named_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
        size_t index;
    } cases[] = {
        {"{}", "\"targets\" is missing", SIZE_MAX},
        {"[]", "\"targets\" is missing", SIZE_MAX},
        {"{\"targets\":\"192.0.2.1\"}", "must be a list", SIZE_MAX},
        {"{\"targets\":[\"192.0.2.1\",5]}", "target 2: it must be a string", 1},
        {"{\"targets\":[null]}", "target 1: it must be", 0},
        {"{\"targets\":[\"192.0.2.1\",\"192.0.2.256\"]}", "target 2: ", 1},
        {"{\"targets\":[\"\"]}", "target 1: it is empty", 0},
        {"{\"targets\":[\"192.0.2.1\",\"192.0.2.2\",\"192.0.2.1 again\"]}", "target 3: 192.0.2.1 is there already", 2},
        {"{\"targets\":[\"2001:db8::1\",\"2001:0db8:0:0::1\"]}", "target 2: 2001:db8::1 is there already", 1},
        {"{\"targets\":[{\"name\":\"x\"}]}", "\"address\" is missing", 0},
        {"{\"targets\":[{\"address\":5}]}", "\"address\" must be a string", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"interval_ms\":\"5\"}]}", "whole number", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"interval_ms\":99}]}", "target 1: ", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"dscp\":64}]}", "\"dscp\" must be 0 to 63", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"source\":\"eth0\"}]}", "\"source\" must be an IP address", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"source\":\"2001:db8::1\"}]}", "source 2001:db8::1 is IPv6", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"interface\":\"a b\"}]}", "interface 'a b'", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"dont_fragment\":\"yes\"}]}", "true or false", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"size\":65536}]}", "\"size\" must be", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"intervall_ms\":5000}]}", "\"intervall_ms\" is not a field", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"paused\":true}]}", "\"paused\" must be an object", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"paused\":{}}]}", "\"reason\" is missing", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"paused\":{\"reason\":\"\"}}]}", "a pause needs a reason", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"paused\":{\"reason\":\"a\",\"end\":1}}]}", "field of a pause", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"paused\":{\"reason\":\"a\",\"until_ms\":\"1\"}}]}", "whole", 0},
        {"{\"targets\":[{\"address\":\"192.0.2.1\",\"paused\":{\"reason\":\"a\",\"until_ms\":-1}}]}", "allowed are", 0},
        {"{\"targets\":[\"a\\u0000b\"]}", "target 1: ", 0},
        {"{\"targets\":[\"1\",\"2\",\"3\",\"4\"]}", "over the limit of 3", SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        meshping_target_list list;
        meshping_error err = {0};
        size_t index = 99;
        assert_int_not_equal(parse_list(&list, &index, cases[i].text, false, 3, &err), MESHPING_OK);
        assert_int_equal(list.count, 0);
        assert_null(list.items);
        if (!strstr(err.message, cases[i].reason))
            fail_msg("\"%s\" does not hold \"%s\"", err.message, cases[i].reason);
        assert_true(index == cases[i].index);
    }
}

static void test_only_whole_names_are_fields(void **state)
{
    (void)state;
    static const struct {
        const char *text, *fields, *reason; /* NULL: taken */
    } cases[] = {
        {"{}", "", NULL},
        {"{\"user\":1,\"password\":2}", "user password", NULL},
        {"{\"password\":1}", "user password", NULL},
        {"{\"user\":1,\"useR\":2}", "user password", "\"useR\" is not a field of a test"},
        {"{\"pass\":1}", "user password", "\"pass\""},
        {"{\"word\":1}", "user password word_of", "\"word\""},
        {"{\"user password\":1}", "user password", "\"user password\""},
        {"{\"\":1}", "user password", "\"\" is not"},
        {"{\"\":1}", "", "\"\" is not"},
        {"{\" \":1}", "user password", "\" \" is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_object *object = NULL;
        meshping_error err = {0};
        meshping_status status = json_body_parse(&object, cases[i].text, strlen(cases[i].text), &err);
        if (status == MESHPING_OK)
            status = json_body_fields(object, cases[i].fields, "a test", &err);
        assert_int_equal(status, cases[i].reason ? MESHPING_INVALID : MESHPING_OK);
        if (cases[i].reason && !strstr(err.message, cases[i].reason))
            fail_msg("\"%s\" does not hold \"%s\"", err.message, cases[i].reason);
        json_object_put(object);
    }
}

static void test_the_originals_form_takes_strings_only(void **state)
{
    (void)state;
    meshping_target_list list;
    meshping_error err = {0};
    size_t index;
    assert_int_equal(parse_list(&list, &index, "{\"targets\":[\"192.0.2.1\"]}", true, 3, NULL), MESHPING_OK);
    meshping_target_list_dispose(&list);
    assert_int_equal(parse_list(&list, &index, "{\"targets\":[{\"address\":\"192.0.2.1\"}]}", true, 3, &err),
                     MESHPING_INVALID);
    assert_non_null(strstr(err.message, "it must be a string"));
}

static void test_a_name_may_stand_there_once_a_family(void **state)
{
    (void)state;
    meshping_target_list list = {0};
    size_t index = 0;
    meshping_error err = {0};
    assert_int_equal(parse_list(&list, &index,
                                "{\"targets\":[{\"address\":\"db.example\",\"family\":4},"
                                "{\"address\":\"db.example\",\"family\":6},\"db.example\"]}",
                                false, 10, &err),
                     MESHPING_OK);
    assert_int_equal(list.items[0].family, 4);
    assert_int_equal(list.items[1].family, 6);
    assert_int_equal(list.items[2].family, 0);
    meshping_target_list_dispose(&list);
    static const char *const wrong[] = {
        "{\"targets\":[{\"address\":\"db.example\",\"family\":5}]}",
        "{\"targets\":[{\"address\":\"192.0.2.1\",\"family\":6}]}",
        "{\"targets\":[{\"address\":\"a.example\",\"family\":4},{\"address\":\"a.example\",\"family\":4}]}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_not_equal(parse_list(&list, &index, wrong[i], false, 10, &err), MESHPING_OK);
        meshping_target_list_dispose(&list);
    }
}

static void test_targets_that_stay_keep_what_they_have_up_to_the_limit(void **state)
{
    (void)state;
    meshping_target_list before, list;
    meshping_error err = {0};
    size_t index;
    assert_int_equal(parse_list(&before, &index,
                                "{\"targets\":[{\"address\":\"b.example\",\"family\":6,\"size\":66},"
                                "{\"address\":\"a.example\",\"name\":\"A\",\"labels\":{\"site\":\"x\"}},"
                                "{\"address\":\"b.example\",\"family\":4,\"size\":44}]}",
                                false, 10, NULL),
                     MESHPING_OK);
    for (size_t limit = 3; limit <= 4; limit++) { /* three names are four targets */
        assert_int_equal(
            parse_list(&list, &index, "{\"targets\":[\"b.example\",\"c.example\",\"a.example\"]}", true, limit, NULL),
            MESHPING_OK);
        assert_int_equal(targets_keep(&list, &before, &err), limit == 3 ? MESHPING_LIMIT : MESHPING_OK);
        assert_int_equal(list.count, limit);
        assert_int_equal(list.limit, limit);
        if (limit == 4) {
            assert_true(list.items[0].size == 44 && list.items[1].size == 66 && list.items[2].size == 56);
            assert_string_equal(list.items[3].name, "A");
            assert_string_equal(list.items[3].labels, "site=x");
        }
        meshping_target_list_dispose(&list);
    }
    meshping_target_list_dispose(&before);
}

static void test_the_longest_list_fits_and_its_last_duplicate_is_found(void **state)
{
    (void)state;
    text_buffer text = {0};
    meshping_target_list list;
    meshping_error err = {0};
    size_t index;
    text_puts(&text, "{\"targets\":[");
    for (int i = 0; i < MESHPING_TARGETS_MAX; i++)
        text_printf(&text, "%s\"10.%d.%d.1\"", i ? "," : "", i / 250, i % 250);
    size_t open_end = text.length;
    text_puts(&text, "]}");
    assert_int_equal(parse_list(&list, &index, text.data, false, MESHPING_TARGETS_MAX, &err), MESHPING_OK);
    assert_int_equal(list.count, MESHPING_TARGETS_MAX);
    meshping_target_list_dispose(&list);
    text.length = open_end;
    text_puts(&text, ",\"10.0.0.1\"]}");
    assert_int_equal(parse_list(&list, &index, text.data, false, MESHPING_TARGETS_MAX, &err), MESHPING_LIMIT);
    assert_int_equal(parse_list(&list, &index, text.data, false, MESHPING_TARGETS_MAX + 1, &err), MESHPING_EXISTS);
    assert_true(index == MESHPING_TARGETS_MAX);
    text_dispose(&text);
}

/* ---- series ---- */

static void assert_series(const series *s, const char *wanted)
{
    text_buffer out = {0};
    series_json(&out, s);
    assert_string_equal(out.data, wanted);
    json_object *json;
    assert_int_equal(json_body_parse(&json, out.data, out.length, NULL), MESHPING_OK);
    json_object_put(json);
    text_dispose(&out);
}

static void test_a_series_shows_loss_as_null_and_silence_as_a_gap(void **state)
{
    (void)state;
    const meshping_sample samples[] = {
        {.slot_unix_us = 1000000000, .rtt_us = 312, .outcome = MESHPING_OUTCOME_OK},
        {.slot_unix_us = 1005000000, .outcome = MESHPING_OUTCOME_TIMEOUT},
        {.slot_unix_us = 1030000000, .outcome = MESHPING_OUTCOME_ISOLATED, .flags = MESHPING_FLAG_LATE_DATA},
    };
    series s = {.agent_id = 0xab,
                .target_id = 7,
                .from_ms = 990000,
                .to_ms = 1040000,
                .interval_ms = 5000,
                .timeout_ms = 3000,
                .samples = samples,
                .count = 3,
                .before_ms = INT64_MIN,
                .settled_ms = 1030000};
    assert_series(&s, "{\"agent\":\"00000000000000ab\",\"target\":7,\"from_ms\":990000,\"to_ms\":1040000,"
                      "\"interval_ms\":5000,\"time_ms\":[1000000,1005000,1030000],\"rtt_us\":[312,null,null],"
                      "\"outcome\":[\"ok\",\"timeout\",\"isolated\"],\"flags\":[0,0,32],"
                      "\"gaps\":[{\"from_ms\":1005000,\"to_ms\":1030000,\"reason\":\"connection_trouble\"}],"
                      "\"damaged\":[],\"clock\":[]}");
    /* what cannot be read any more was no pause of the agent's */
    const meshping_damage damage = {.block_id = 4, .first_unix_us = 1010000000, .last_unix_us = 1025000000};
    s.damaged = &damage;
    s.damaged_count = 1;
    assert_series(&s, "{\"agent\":\"00000000000000ab\",\"target\":7,\"from_ms\":990000,\"to_ms\":1040000,"
                      "\"interval_ms\":5000,\"time_ms\":[1000000,1005000,1030000],\"rtt_us\":[312,null,null],"
                      "\"outcome\":[\"ok\",\"timeout\",\"isolated\"],\"flags\":[0,0,32],"
                      "\"gaps\":[{\"from_ms\":1005000,\"to_ms\":1030000,\"reason\":\"damaged\"}],"
                      "\"damaged\":[{\"from_ms\":1010000,\"to_ms\":1025000}],\"clock\":[]}");
}

static void test_gaps_at_the_edges(void **state)
{
    (void)state;
    const meshping_sample sample = {.slot_unix_us = 1000000000, .rtt_us = 1, .outcome = MESHPING_OUTCOME_OK};
    series s = {.agent_id = 1,
                .target_id = 1,
                .from_ms = 900000,
                .to_ms = 1100000,
                .interval_ms = 5000,
                .timeout_ms = 3000,
                .samples = &sample,
                .count = 1,
                .before_ms = INT64_MIN,
                .settled_ms = 1012000};
    const char *begin = "{\"agent\":\"0000000000000001\",\"target\":1,\"from_ms\":900000,\"to_ms\":1100000,"
                        "\"interval_ms\":5000,\"time_ms\":[1000000],\"rtt_us\":[1],\"outcome\":[\"ok\"],\"flags\":[0],"
                        "\"gaps\":[";
    char wanted[512];
    /* nothing before the pair's first sample; what may still be under way is not missing yet */
    snprintf(wanted, sizeof wanted, "%s],\"damaged\":[],\"clock\":[]}", begin);
    assert_series(&s, wanted);
    /* 2.5 intervals exactly are none, a millisecond more is one */
    s.settled_ms = 1012500;
    assert_series(&s, wanted);
    s.settled_ms = 1012501;
    snprintf(
        wanted, sizeof wanted,
        "%s{\"from_ms\":1000000,\"to_ms\":1012501,\"reason\":\"connection_trouble\"}],\"damaged\":[],\"clock\":[]}",
        begin);
    assert_series(&s, wanted);
    /* a gap that began before the window is cut to it */
    s.settled_ms = 1012000;
    s.before_ms = 800000;
    snprintf(wanted, sizeof wanted,
             "%s{\"from_ms\":900000,\"to_ms\":1000000,\"reason\":\"connection_trouble\"}],\"damaged\":[],\"clock\":[]}",
             begin);
    assert_series(&s, wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_is_taken_whole_or_not_at_all),
        cmocka_unit_test(test_json_nesting_is_limited),
        cmocka_unit_test(test_items_are_strings_or_objects),
        cmocka_unit_test(test_a_wrong_item_is_named_with_its_reason),
        cmocka_unit_test(test_only_whole_names_are_fields),
        cmocka_unit_test(test_the_originals_form_takes_strings_only),
        cmocka_unit_test(test_a_name_may_stand_there_once_a_family),
        cmocka_unit_test(test_targets_that_stay_keep_what_they_have_up_to_the_limit),
        cmocka_unit_test(test_the_longest_list_fits_and_its_last_duplicate_is_found),
        cmocka_unit_test(test_a_series_shows_loss_as_null_and_silence_as_a_gap),
        cmocka_unit_test(test_gaps_at_the_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
