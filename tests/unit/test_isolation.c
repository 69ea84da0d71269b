/* SPDX-License-Identifier: Apache-2.0 */
/* The rule's edges, one by one. Whole outages against a known truth: tests/sim/test_isolation_truth.c. */
#include <meshping/isolation.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)
#define START (1000 * SECOND)
#define GRACE_MS 9000

/* What came out: "3:fail 1:ok", target and class, in order. */
static char out[512];
static size_t delivered;

static void on_sample(void *user, uint64_t target_id, const meshping_sample *sample)
{
    static const char *const names[] = {"ok", "fail", "local"};
    size_t used = strlen(out);
    assert_ptr_equal(user, out);
    delivered++;
    const char *name =
        sample->outcome == MESHPING_OUTCOME_ISOLATED ? "isolated" : names[meshping_outcome_classify(sample->outcome)];
    if (used < sizeof out - 32)
        snprintf(out + used, sizeof out - used, "%s%d:%s", used ? " " : "", (int)target_id, name);
}

static meshping_isolation *isolation;

static int setup(void **unused)
{
    (void)unused;
    out[0] = '\0';
    delivered = 0;
    return meshping_isolation_new(&isolation, GRACE_MS, on_sample, out);
}

static int teardown(void **unused)
{
    (void)unused;
    meshping_isolation_free(isolation);
    return 0;
}

/* A fresh one within a test. */
static void again(void)
{
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
}

/* Times in ms since START. */
static meshping_status add(uint64_t target_id, meshping_outcome outcome, int64_t sent_ms, int64_t done_ms)
{
    meshping_sample sample = {.slot_unix_us = sent_ms * 1000, .outcome = (uint8_t)outcome};
    return meshping_isolation_add(isolation, target_id, &sample, START + sent_ms * MS, START + done_ms * MS, false);
}

static void reply(uint64_t target_id, int64_t sent_ms, int64_t done_ms)
{
    assert_int_equal(add(target_id, MESHPING_OUTCOME_OK, sent_ms, done_ms), MESHPING_OK);
}

static void miss(uint64_t target_id, int64_t sent_ms)
{
    assert_int_equal(add(target_id, MESHPING_OUTCOME_TIMEOUT, sent_ms, sent_ms + 3000), MESHPING_OK);
}

static void asked(int64_t at_ms)
{
    meshping_isolation_asked(isolation, START + at_ms * MS);
}

static void answer(int64_t from_ms, int64_t to_ms)
{
    meshping_isolation_evidence(isolation, START + from_ms * MS, START + to_ms * MS);
}

static void process(int64_t at_ms)
{
    meshping_isolation_process(isolation, START + at_ms * MS);
}

/* Exactly this has come out since the last time. */
static void assert_out(const char *expected)
{
    assert_string_equal(out, expected);
    out[0] = '\0';
}

static void test_a_miss_among_replies_is_believed_at_once(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    reply(2, 2000, 2010);
    assert_out("1:ok 2:ok");
    miss(3, 500);
    assert_out("3:fail");
    assert_false(meshping_isolation_suspects(isolation));
    assert_true(meshping_isolation_deadline_ns(isolation) == INT64_MAX);
}

static void test_evidence_counts_from_one_second_after_the_send(void **unused)
{
    (void)unused;
    static const struct {
        int64_t evidence_ms;
        const char *out;
    } cases[] = {{999, ""}, {1000, "2:fail"}, {1001, "2:fail"}};
    for (size_t i = 0; i < 3; i++) {
        again();
        reply(1, cases[i].evidence_ms - 10, cases[i].evidence_ms);
        assert_out("1:ok");
        miss(2, 0);
        assert_out(cases[i].out);
    }
}

/* A router that says "unreachable" at once is no round trip that vouches for the network: but what ends after it is. */
static void test_an_early_verdict_needs_evidence_up_to_itself_only(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    assert_out("1:ok");
    assert_int_equal(add(2, MESHPING_OUTCOME_UNREACHABLE, 20, 25), MESHPING_OK);
    assert_out("");
    reply(3, 18, 26);
    assert_out("2:fail 3:ok");
}

static void test_a_single_target_down_fails_when_the_server_answers(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(1, 5000);
    assert_out("1:ok");
    assert_true(meshping_isolation_suspects(isolation));
    asked(8000);
    answer(8000, 8002);
    assert_out("1:fail");
    assert_false(meshping_isolation_suspects(isolation));
    miss(1, 10000); /* and again, 5 s later */
    asked(13000);
    answer(13000, 13002);
    assert_out("1:fail");
}

/* The agent was too busy to send for a while: a long time without evidence alone says nothing. */
static void test_a_pause_before_a_miss_does_not_matter_when_the_server_answers(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(1, 30000);
    asked(33000);
    answer(33000, 33300);
    assert_out("1:ok 1:fail");
}

static void test_a_held_miss_comes_out_before_the_reply_that_decides_it(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(2, 600);
    reply(2, 5600, 5610);
    assert_out("1:ok 2:fail 2:ok");
}

static void test_own_addresses_and_local_errors_pass_and_prove_nothing(void **unused)
{
    (void)unused;
    meshping_sample sample = {.outcome = MESHPING_OUTCOME_OK};
    reply(1, 0, 10);
    miss(2, 5000);
    assert_int_equal(meshping_isolation_add(isolation, 7, &sample, START + 7000 * MS, START + 7001 * MS, true),
                     MESHPING_OK);
    assert_int_equal(add(8, MESHPING_OUTCOME_SEND_ERROR, 7000, 7500), MESHPING_OK);
    assert_int_equal(add(8, MESHPING_OUTCOME_OVERLOADED, 7000, 7500), MESHPING_OK);
    assert_out("1:ok 7:ok 8:local 8:local");
    process(8000 + GRACE_MS);
    assert_out("2:isolated");
}

static void test_without_any_evidence_the_grace_decides(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(1, 5000);
    miss(2, 6000);
    assert_out("1:ok");
    assert_true(meshping_isolation_deadline_ns(isolation) == START + (8000 + GRACE_MS) * MS);
    process(8000 + GRACE_MS - 1);
    assert_out("");
    assert_false(meshping_isolation_isolated(isolation));
    process(8000 + GRACE_MS);
    assert_out("1:isolated 2:isolated");
    assert_true(meshping_isolation_isolated(isolation));
    miss(1, 15000); /* known now: not held */
    assert_out("1:isolated");
    process(60000);
    assert_out("");
    reply(1, 20000, 20010);
    assert_false(meshping_isolation_isolated(isolation));
    assert_out("1:ok");
    miss(2, 19000); /* sent in the outage, its verdict comes after */
    assert_out("2:isolated");
    miss(2, 20000); /* sent with the first probe that was answered */
    reply(1, 22000, 22010);
    assert_out("2:fail 1:ok");
}

static void test_a_short_flap_shows_by_a_question_that_stays_unanswered(void **unused)
{
    (void)unused;
    static const struct {
        int64_t answered_ms;
        const char *out;
    } cases[] = {{10000, "1:fail 2:fail"}, {10001, "1:isolated 2:isolated"}}; /* asked at 8 s: 2 s is the edge */
    for (size_t i = 0; i < 2; i++) {
        again();
        reply(1, 0, 10);
        assert_out("1:ok");
        miss(1, 5000);
        asked(8000);
        miss(2, 5500);
        assert_out("");
        answer(8000, cases[i].answered_ms); /* sent again and again by TCP */
        assert_out(cases[i].out);
    }
}

static void test_the_periodic_ping_is_a_question_too(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    answer(1000, 5000); /* no miss yet: the first verdict comes later */
    miss(1, 2100);
    assert_out("1:ok 1:isolated");
}

static void test_a_slow_ping_says_nothing_where_targets_answered_meanwhile(void **unused)
{
    (void)unused;
    for (int64_t at = 0; at < 5000; at += 500)
        reply(1, at, at + 10);
    out[0] = '\0';
    answer(1000, 5000);
    miss(2, 2100);
    assert_out("2:fail");
}

static void test_a_silent_server_is_no_outage_while_targets_answer(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(2, 600);
    asked(3600);
    reply(1, 5000, 5010); /* answers the question in the server's stead */
    assert_out("1:ok 2:fail 1:ok");
    reply(3, 7000, 7010); /* over 2 s later: nothing is asked any more */
    miss(2, 5600);
    assert_out("3:ok 2:fail");
}

static void test_a_session_that_dies_at_once_says_nothing(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(2, 600);
    asked(3600);
    meshping_isolation_session_lost(isolation); /* the server was killed */
    reply(1, 5900, 5910);
    assert_out("1:ok 2:fail 1:ok");
}

static void test_a_session_that_dies_of_a_long_silence_does(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(2, 600);
    asked(3600);
    process(5601);
    meshping_isolation_session_lost(isolation);
    reply(1, 6000, 6010);
    assert_out("1:ok 2:isolated 1:ok");
}

/* Nobody to ask: every target had its chance in interval + timeout, and a miss was waiting. */
static void test_without_a_session_a_long_silence_is_an_outage(void **unused)
{
    (void)unused;
    static const struct {
        int64_t from_ms;
        const char *out;
    } cases[] = {{10 + GRACE_MS, "2:fail 1:ok"}, {11 + GRACE_MS, "2:isolated 1:ok"}};
    for (size_t i = 0; i < 2; i++) {
        again();
        reply(1, 0, 10);
        assert_out("1:ok");
        miss(2, 3000);
        reply(1, cases[i].from_ms, cases[i].from_ms + 10);
        assert_out(cases[i].out);
    }
}

static void test_a_long_timeout_still_finds_the_stretch_before_the_last(void **unused)
{
    (void)unused;
    for (int64_t outage = 0; outage < 4; outage++) {
        int64_t at = outage * 10000;
        reply(1, at, at + 10);
        miss(1, at + 1000);
        asked(at + 4000);
        answer(at + 4000, at + 7000);
    }
    out[0] = '\0';
    assert_int_equal(add(5, MESHPING_OUTCOME_TIMEOUT, 1500, 41500), MESHPING_OK);
    assert_out("5:isolated");
    assert_int_equal(add(6, MESHPING_OUTCOME_TIMEOUT, 9000, 49000), MESHPING_OK); /* between two of them */
    reply(1, 48000, 49000);
    assert_out("6:fail 1:ok");
}

static void test_down_from_the_start_is_the_targets_when_others_answer(void **unused)
{
    (void)unused;
    miss(2, 0);
    assert_out("");
    reply(1, 4900, 4910);
    assert_out("2:fail 1:ok");
}

static void test_no_more_than_the_limit_is_held(void **unused)
{
    (void)unused;
    meshping_sample sample = {.outcome = MESHPING_OUTCOME_TIMEOUT};
    for (size_t i = 1; i <= MESHPING_ISOLATION_HELD_MAX; i++)
        assert_int_equal(meshping_isolation_add(isolation, 1, &sample, START, START + 3 * SECOND, false), MESHPING_OK);
    assert_int_equal(delivered, 0);
    assert_int_equal(meshping_isolation_add(isolation, 2, &sample, START, START + 3 * SECOND, false), MESHPING_LIMIT);
    assert_out("2:fail"); /* at once, undecided */
    answer(3000, 3010);
    assert_int_equal(delivered, MESHPING_ISOLATION_HELD_MAX + 1);
}

static void test_a_longer_grace_is_given_to_what_is_held_too(void **unused)
{
    (void)unused;
    reply(1, 0, 10);
    miss(2, 5000);
    meshping_isolation_set_grace(isolation, 2 * GRACE_MS);
    process(8000 + GRACE_MS + 1);
    assert_out("1:ok"); /* a new list of targets decides nothing by itself */
    process(8000 + 2 * GRACE_MS);
    assert_out("2:isolated");
}

static void test_bad_arguments_are_refused(void **unused)
{
    (void)unused;
    meshping_isolation *none = isolation;
    assert_int_equal(meshping_isolation_new(&none, GRACE_MS, NULL, NULL), MESHPING_INVALID);
    assert_null(none);
    meshping_isolation_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_miss_among_replies_is_believed_at_once),
        TEST(test_evidence_counts_from_one_second_after_the_send),
        TEST(test_an_early_verdict_needs_evidence_up_to_itself_only),
        TEST(test_a_single_target_down_fails_when_the_server_answers),
        TEST(test_a_pause_before_a_miss_does_not_matter_when_the_server_answers),
        TEST(test_a_held_miss_comes_out_before_the_reply_that_decides_it),
        TEST(test_own_addresses_and_local_errors_pass_and_prove_nothing),
        TEST(test_without_any_evidence_the_grace_decides),
        TEST(test_a_short_flap_shows_by_a_question_that_stays_unanswered),
        TEST(test_the_periodic_ping_is_a_question_too),
        TEST(test_a_slow_ping_says_nothing_where_targets_answered_meanwhile),
        TEST(test_a_silent_server_is_no_outage_while_targets_answer),
        TEST(test_a_session_that_dies_at_once_says_nothing),
        TEST(test_a_session_that_dies_of_a_long_silence_does),
        TEST(test_without_a_session_a_long_silence_is_an_outage),
        TEST(test_a_long_timeout_still_finds_the_stretch_before_the_last),
        TEST(test_down_from_the_start_is_the_targets_when_others_answer),
        TEST(test_no_more_than_the_limit_is_held),
        TEST(test_a_longer_grace_is_given_to_what_is_held_too),
        TEST(test_bad_arguments_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
