/* SPDX-License-Identifier: Apache-2.0 */
/* The readable form of a block, through monitoring_data as a second implementation would write it. */
#include "core/readable.h"
#include <meshping/block.h>
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define HEAD "{\"event\":\"monitoring_data\",\"data\":{\"epoch\":\"00000000000000ff\",\"sequence\":7,\"samples\":"
#define GOOD "\"target\":9,\"timestamp\":\"2026-11-23T01:02:03Z\""

static meshping_status decode(meshping_message *out, const char *samples, meshping_error *err)
{
    char text[4096];
    snprintf(text, sizeof text, HEAD "%s}}", samples);
    memset(err, 0, sizeof *err);
    return meshping_message_decode(out, text, strlen(text), err);
}

static void assert_refused(const char *samples, const char *words)
{
    meshping_message message;
    meshping_error err;
    if (decode(&message, samples, &err) != MESHPING_PROTOCOL)
        fail_msg("accepted: %s", samples);
    if (!strstr(err.message, words))
        fail_msg("%s: \"%s\" does not say \"%s\"", samples, err.message, words);
    assert_null(message.u.monitoring_data.block);
}

/* The first sample of what was read. */
static meshping_sample read_one(const char *samples)
{
    meshping_message message;
    meshping_error err;
    meshping_block_reader *reader;
    meshping_sample sample;
    size_t count;
    if (decode(&message, samples, &err) != MESHPING_OK)
        fail_msg("%s: %s", samples, err.message);
    assert_int_equal(message.u.monitoring_data.epoch, 0xff);
    assert_int_equal(message.u.monitoring_data.sequence, 7);
    assert_int_equal(meshping_block_reader_new(&reader, message.u.monitoring_data.block,
                                               message.u.monitoring_data.block_length, NULL),
                     MESHPING_OK);
    assert_int_equal(meshping_block_reader_samples(reader, 0, &sample, 1, &count, NULL), MESHPING_OK);
    meshping_block_reader_free(reader);
    meshping_message_dispose(&message);
    return sample;
}

static void test_a_block_survives_being_read_by_people(void **unused)
{
    (void)unused;
    static const meshping_outcome outcomes[] = {MESHPING_OUTCOME_OK,          MESHPING_OUTCOME_TIMEOUT,
                                                MESHPING_OUTCOME_UNREACHABLE, MESHPING_OUTCOME_PROHIBITED,
                                                MESHPING_OUTCOME_SEND_ERROR,  MESHPING_OUTCOME_QUEUE_FULL,
                                                MESHPING_OUTCOME_ISOLATED,    MESHPING_OUTCOME_OVERLOADED};
    static const uint32_t rtts[] = {0, 1, 999, 1000, 1001, 123456, 4000000, MESHPING_RTT_US_MAX};
    meshping_block_builder *builder;
    meshping_message sent = {.event = MESHPING_EVENT_MONITORING_DATA, .u.monitoring_data = {.epoch = 1, .sequence = 2}},
                     got;
    char *text;
    size_t length;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (int64_t i = 0; i < 64; i++) {
        meshping_outcome outcome = outcomes[i % 8];
        meshping_sample sample = {.slot_unix_us = 1700000000 * SECOND + i * 5 * SECOND + i * 1001,
                                  .outcome = (uint8_t)outcome,
                                  .rtt_us = outcome ? 0 : rtts[i / 8],
                                  .flags = i % 3 ? MESHPING_FLAG_COARSE_TIME : 0};
        assert_int_equal(meshping_block_builder_add(builder, (uint64_t)(1 + i % 5), &sample), MESHPING_OK);
    }
    meshping_monitoring_data *data = &sent.u.monitoring_data;
    assert_int_equal(meshping_block_builder_finish(builder, &data->block, &data->block_length), MESHPING_OK);
    meshping_block_builder_free(builder);
    assert_int_equal(meshping_message_encode(&text, &length, &sent, NULL), MESHPING_OK);
    assert_int_equal(meshping_message_decode(&got, text, length, NULL), MESHPING_OK);
    assert_int_equal(got.u.monitoring_data.block_length, data->block_length);
    assert_memory_equal(got.u.monitoring_data.block, data->block, data->block_length);
    meshping_free(text);
    meshping_message_dispose(&got);
    meshping_message_dispose(&sent);
}

static void test_a_reply_and_a_loss_as_the_document_has_them(void **unused)
{
    (void)unused;
    meshping_sample sample = read_one("[{\"target\":9,\"timestamp\":\"2026-11-23T01:02:03.250000Z\",\"result\":\"ok\","
                                      "\"latency\":12.345,\"flags\":8,\"colour\":\"blue\"}]");
    assert_int_equal(sample.rtt_us, 12345);
    assert_int_equal(sample.outcome, MESHPING_OUTCOME_OK);
    assert_int_equal(sample.flags, MESHPING_FLAG_COARSE_TIME);
    assert_true(sample.slot_unix_us == 1795395723250000);
    sample = read_one("[{" GOOD ",\"result\":\"fail\",\"latency\":0,\"reason\":\"unreachable\"}]");
    assert_int_equal(sample.outcome, MESHPING_OUTCOME_UNREACHABLE);
    sample = read_one("[{" GOOD ",\"result\":\"fail\",\"latency\":0}]");
    assert_int_equal(sample.outcome, MESHPING_OUTCOME_TIMEOUT);
    sample = read_one("[{" GOOD ",\"result\":\"ok\",\"latency\":0.0004}]"); /* rounded to whole microseconds */
    assert_int_equal(sample.rtt_us, 0);
    sample = read_one("[{" GOOD ",\"result\":\"ok\",\"latency\":0.0006}]");
    assert_int_equal(sample.rtt_us, 1);
}

static void test_each_bad_field_is_named(void **unused)
{
    (void)unused;
    assert_refused("[]", "empty");
    assert_refused("{}", "samples");
    assert_refused("[7]", "sample 1");
    assert_refused("[null]", "sample 1");
    assert_refused("[{\"timestamp\":\"2026-11-23T01:02:03Z\",\"result\":\"ok\",\"latency\":1}]", "\"target\"");
    assert_refused("[{\"target\":0,\"timestamp\":\"2026-11-23T01:02:03Z\",\"result\":\"ok\",\"latency\":1}]",
                   "\"target\"");
    assert_refused(
        "[{\"target\":9007199254740992,\"timestamp\":\"2026-11-23T01:02:03Z\",\"result\":\"ok\",\"latency\":1}]",
        "\"target\"");
    assert_refused("[{\"target\":9,\"result\":\"ok\",\"latency\":1}]", "\"timestamp\"");
    assert_refused("[{" GOOD ",\"latency\":1}]", "\"result\"");
    assert_refused("[{" GOOD ",\"result\":\"maybe\",\"latency\":1}]", "\"result\"");
    static const char *const latencies[] = {"-1",   "-0.001", "\"1\"",       "null", "[]",
                                            "true", "1e300",  "4294967.232", "NaN",  "Infinity"};
    for (size_t i = 0; i < sizeof latencies / sizeof *latencies; i++) {
        char samples[256];
        snprintf(samples, sizeof samples, "[{" GOOD ",\"result\":\"ok\",\"latency\":%s}]", latencies[i]);
        assert_refused(samples, i < 8 ? "\"latency\"" : "");
    }
    assert_refused("[{" GOOD ",\"result\":\"ok\"}]", "\"latency\"");
    static const char *const reasons[] = {"\"ok\"", "\"unknown\"", "\"\\u0000\"", "5"};
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        char samples[256];
        snprintf(samples, sizeof samples, "[{" GOOD ",\"result\":\"fail\",\"latency\":0,\"reason\":%s}]", reasons[i]);
        assert_refused(samples, "\"reason\"");
    }
    assert_refused("[{" GOOD ",\"result\":\"ok\",\"latency\":1,\"flags\":65536}]", "\"flags\"");
    assert_refused("[{" GOOD ",\"result\":\"ok\",\"latency\":1},{}]", "sample 2");
}

static void test_a_message_takes_a_thousand_samples(void **unused)
{
    (void)unused;
    for (size_t count = 999; count <= 1001; count++) {
        char *text = malloc(200 * count), *at = text;
        meshping_message message;
        meshping_error err = {0};
        at += sprintf(at, HEAD "[");
        for (size_t i = 0; i < count; i++)
            at +=
                sprintf(at, "%s{\"target\":%zu,\"timestamp\":\"2026-11-23T01:02:03Z\",\"result\":\"ok\",\"latency\":1}",
                        i ? "," : "", i + 1);
        at += sprintf(at, "]}}");
        meshping_status status = meshping_message_decode(&message, text, (size_t)(at - text), &err);
        assert_int_equal(status, count <= 1000 ? MESHPING_OK : MESHPING_PROTOCOL);
        if (count > 1000)
            assert_non_null(strstr(err.message, "\"samples\": has too many items"));
        meshping_message_dispose(&message);
        free(text);
    }
}

/* What cannot be said whole is not said in part. */
static void test_a_block_that_is_too_big_or_damaged_is_not_written(void **unused)
{
    (void)unused;
    for (size_t count = 1000; count <= 1001; count++) {
        meshping_block_builder *builder;
        meshping_message message = {.event = MESHPING_EVENT_MONITORING_DATA,
                                    .u.monitoring_data = {.epoch = 1, .sequence = 2}};
        meshping_monitoring_data *data = &message.u.monitoring_data;
        meshping_error err = {0};
        char *text;
        size_t length;
        assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
        for (size_t i = 0; i < count; i++) {
            meshping_sample sample = {.slot_unix_us = (int64_t)i};
            assert_int_equal(meshping_block_builder_add(builder, 1, &sample), MESHPING_OK);
        }
        assert_int_equal(meshping_block_builder_finish(builder, &data->block, &data->block_length), MESHPING_OK);
        meshping_block_builder_free(builder);
        meshping_status status = meshping_message_encode(&text, &length, &message, &err);
        assert_int_equal(status, count == 1000 ? MESHPING_OK : MESHPING_LIMIT);
        assert_true((text != NULL) == (count == 1000));
        meshping_free(text);
        data->block[data->block_length - 1] ^= 1;
        assert_int_equal(meshping_message_encode(&text, &length, &message, &err), MESHPING_CORRUPT);
        assert_null(text);
        meshping_message_dispose(&message);
    }
}

static void test_times_are_written_and_read_back(void **unused)
{
    (void)unused;
    static const struct {
        int64_t unix_us;
        const char *text;
    } cases[] = {{0, "1970-01-01T00:00:00.000000Z"},
                 {1, "1970-01-01T00:00:00.000001Z"},
                 {-1, "1969-12-31T23:59:59.999999Z"},
                 {951782400 * SECOND, "2000-02-29T00:00:00.000000Z"},
                 {1709251199 * SECOND, "2024-02-29T23:59:59.000000Z"},
                 {4107542400 * SECOND, "2100-03-01T00:00:00.000000Z"},
                 {253402300799 * SECOND + 999999, "9999-12-31T23:59:59.999999Z"},
                 {-62135596800 * SECOND, "0001-01-01T00:00:00.000000Z"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        int64_t unix_us = 7;
        meshping__time_format(text, cases[i].unix_us);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(meshping__time_parse(&unix_us, text), MESHPING_OK);
        assert_true(unix_us == cases[i].unix_us);
    }
}

/* Our own calendar against the C library's, over 400 years and more: every day but the edges in steps. */
static void test_the_calendar_is_the_c_librarys(void **unused)
{
    (void)unused;
    for (int64_t seconds = -5000000000; seconds < 14000000000; seconds += 86400 * 3 + 12345) {
        char text[32], expected[32];
        time_t t = (time_t)seconds;
        struct tm tm;
        meshping__time_format(text, seconds * SECOND);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000Z", gmtime_r(&t, &tm));
        assert_string_equal(text, expected);
    }
}

static void test_what_is_no_time_in_utc_is_refused(void **unused)
{
    (void)unused;
    static const char *const good[] = {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00.1Z", "2024-02-29T00:00:00.123456Z"};
    static const char *const bad[] = {"",
                                      "Z",
                                      "2026-01-01",
                                      "2026-01-01T00:00:00",
                                      "2026-01-01 00:00:00Z",
                                      "2026-01-01t00:00:00z",
                                      "2026-01-01T00:00:00+00:00",
                                      "2026-01-01T00:00:00.Z",
                                      "2026-01-01T00:00:00.1234567Z",
                                      "2026-01-01T00:00:00ZZ",
                                      "2026-1-01T00:00:00Z",
                                      "2026-+1-01T00:00:00Z",
                                      "2026- 1-01T00:00:00Z",
                                      "-026-01-01T00:00:00Z",
                                      "2026-00-01T00:00:00Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-01-32T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-04-31T00:00:00Z",
                                      "2100-02-29T00:00:00Z",
                                      "2026-01-01T24:00:00Z",
                                      "2026-01-01T00:60:00Z",
                                      "2026-01-01T00:00:60Z"};
    int64_t unix_us;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (meshping__time_parse(&unix_us, good[i]) != MESHPING_OK)
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (meshping__time_parse(&unix_us, bad[i]) != MESHPING_INVALID)
            fail_msg("%s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_survives_being_read_by_people),
        cmocka_unit_test(test_a_reply_and_a_loss_as_the_document_has_them),
        cmocka_unit_test(test_each_bad_field_is_named),
        cmocka_unit_test(test_a_message_takes_a_thousand_samples),
        cmocka_unit_test(test_a_block_that_is_too_big_or_damaged_is_not_written),
        cmocka_unit_test(test_times_are_written_and_read_back),
        cmocka_unit_test(test_the_calendar_is_the_c_librarys),
        cmocka_unit_test(test_what_is_no_time_in_utc_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
