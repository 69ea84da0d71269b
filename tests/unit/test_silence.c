/* SPDX-License-Identifier: Apache-2.0 */
/* Short silences, and what they say of whose fault a miss is. */
#include "core/silence.h"
#include <meshping/isolation.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)
#define SECOND (1000 * MS)

static void assert_silence(const meshping__silences *s, int64_t at, int64_t from, int64_t to)
{
    meshping__silence found;
    assert_true(meshping__silences_at(s, at, &found));
    assert_int_equal(found.from_ns, from);
    assert_int_equal(found.to_ns, to);
}

static void test_a_silence_lies_between_two_moments_and_is_split_by_a_third(void **state)
{
    static meshping__silences s;
    meshping__silence found;
    (void)state;
    memset(&s, 0, sizeof s);
    meshping__silences_hear(&s, 1 * SECOND);
    assert_false(meshping__silences_at(&s, 500 * MS, &found)); /* before the first nothing is known */
    meshping__silences_hear(&s, 1019 * MS);
    assert_false(meshping__silences_at(&s, 1010 * MS, &found)); /* too short to be one */
    meshping__silences_hear(&s, 2 * SECOND);
    assert_false(meshping__silences_at(&s, 2001 * MS, &found)); /* without an end */
    assert_silence(&s, 1500 * MS, 1019 * MS, 2 * SECOND);
    assert_false(meshping__silences_at(&s, 1019 * MS, &found)); /* its ends are not in it */
    meshping__silences_take(&s, 1400 * MS, 2100 * MS);          /* a slow reply: something left in between */
    assert_silence(&s, 1300 * MS, 1019 * MS, 1400 * MS);
    assert_silence(&s, 1500 * MS, 1400 * MS, 2 * SECOND);
    assert_silence(&s, 2050 * MS, 2 * SECOND, 2100 * MS);
    meshping__silences_take(&s, 1410 * MS, 2101 * MS); /* what remains of 10 ms is none */
    assert_false(meshping__silences_at(&s, 1405 * MS, &found));
    assert_silence(&s, 1500 * MS, 1410 * MS, 2 * SECOND);
}

static void test_the_latest_are_remembered_up_to_the_limit(void **state)
{
    static meshping__silences s;
    meshping__silence found;
    (void)state;
    for (size_t many = MESHPING__SILENCES_MAX - 1; many <= MESHPING__SILENCES_MAX + 1; many++) {
        memset(&s, 0, sizeof s);
        for (size_t i = 0; i <= many; i++)
            meshping__silences_hear(&s, (int64_t)(i + 1) * SECOND);
        assert_int_equal(s.count, many < MESHPING__SILENCES_MAX ? many : MESHPING__SILENCES_MAX);
        assert_int_equal(meshping__silences_at(&s, 1500 * MS, &found), many <= MESHPING__SILENCES_MAX);
        for (size_t i = 2; i <= many; i++)
            assert_silence(&s, (int64_t)i * SECOND + MS, (int64_t)i * SECOND, (int64_t)(i + 1) * SECOND);
        meshping__silences_hear(&s, (int64_t)many * SECOND + 500 * MS); /* splits while it is full */
        assert_silence(&s, (int64_t)many * SECOND + MS, (int64_t)many * SECOND, (int64_t)many * SECOND + 500 * MS);
        assert_silence(&s, (int64_t)(many + 1) * SECOND - MS, (int64_t)many * SECOND + 500 * MS,
                       (int64_t)(many + 1) * SECOND);
    }
}

static void test_the_rate_counts_round_trips_by_when_they_began(void **state)
{
    static meshping__silences s;
    (void)state;
    memset(&s, 0, sizeof s);
    for (int64_t i = 0; i < 1000; i++)
        meshping__silences_take(&s, 1000 * SECOND + i * 50 * MS, 1000 * SECOND + i * 50 * MS + 5 * MS);
    assert_float_equal(meshping__silences_rate(&s, 1010 * SECOND, 1020 * SECOND), 20, 0.01);
    assert_float_equal(meshping__silences_rate(&s, 1045 * SECOND, 1055 * SECOND), 10, 0.01);
    assert_float_equal(meshping__silences_rate(&s, 900 * SECOND, 910 * SECOND), 0, 0);
    assert_float_equal(meshping__silences_rate(&s, 1010 * SECOND, 1010 * SECOND + MS), 0, 0);
}

/* ---- 50 targets, each pinged every 5 s, with 10 ms of round trip: 10 probes a second ---- */

#define TARGETS 50
#define STEP (100 * MS)
#define TIMEOUT (3 * SECOND)
#define START (1000 * SECOND)
#define PROBES 2000
#define LAST_LOST 1940 /* all is well at the end, so that nothing is held */

typedef struct tally {
    unsigned delivered, lost, isolated;
    int64_t last_lost_at, now;
} tally;

static void on_sample(void *user, uint64_t target_id, const meshping_sample *sample)
{
    tally *t = user;
    (void)target_id;
    t->delivered++;
    t->isolated += sample->outcome == MESHPING_OUTCOME_ISOLATED;
    if (sample->outcome == MESHPING_OUTCOME_TIMEOUT) {
        t->lost++;
        t->last_lost_at = t->now;
    }
}

/* Probe n goes to target n mod TARGETS at START + n * STEP. */
static tally run(bool (*lost)(unsigned probe))
{
    tally t = {0};
    meshping_isolation *isolation;
    assert_int_equal(meshping_isolation_new(&isolation, 9000, on_sample, &t), MESHPING_OK);
    for (unsigned n = 0; n < PROBES + 100; n++) {
        meshping_sample sample = {.outcome = MESHPING_OUTCOME_TIMEOUT};
        int64_t sent = START + (int64_t)n * STEP;
        if (n >= 30 && n - 30 < LAST_LOST && lost(n - 30)) {
            t.now = sent - 30 * STEP + TIMEOUT;
            assert_int_equal(
                meshping_isolation_add(isolation, 1 + (n - 30) % TARGETS, &sample, sent - 30 * STEP, t.now, false),
                MESHPING_OK);
        }
        sample.outcome = MESHPING_OUTCOME_OK;
        t.now = sent + 10 * MS;
        if (n < PROBES && !(n < LAST_LOST && lost(n)))
            assert_int_equal(meshping_isolation_add(isolation, 1 + n % TARGETS, &sample, sent, t.now, false),
                             MESHPING_OK);
        meshping_isolation_process(isolation, t.now);
        assert_true(meshping_isolation_deadline_ns(isolation) > t.now);
    }
    assert_int_equal(t.delivered, PROBES); /* each once */
    meshping_isolation_free(isolation);
    return t;
}

static bool half_a_second(unsigned probe)
{
    return probe >= 1000 && probe < 1006;
}

static bool one_of_them(unsigned probe)
{
    return probe >= 1000 && probe % TARGETS == 7;
}

static bool most_of_them(unsigned probe)
{
    return probe >= 1000 && probe % TARGETS < 45;
}

static bool three_in_a_row(unsigned probe)
{
    return probe >= 1000 && probe % TARGETS < 3;
}

static bool from_the_start(unsigned probe)
{
    return probe >= 200 && probe < 206;
}

static void test_all_of_half_a_second_lost_at_once_is_the_agents_own(void **state)
{
    (void)state;
    tally t = run(half_a_second);
    assert_int_equal(t.isolated, 6);
    assert_int_equal(t.lost, 0);
}

static void test_a_single_target_down_is_the_targets_and_at_once(void **state)
{
    (void)state;
    tally t = run(one_of_them);
    assert_int_equal(t.isolated, 0);
    assert_int_equal(t.lost, 19);
    assert_true(t.last_lost_at - (START + 1907 * STEP) <= TIMEOUT);
}

static void test_many_targets_down_together_are_not_hidden(void **state)
{
    (void)state;
    tally t = run(most_of_them);
    assert_int_equal(t.isolated, 0);
    assert_int_equal(t.lost, 850);
    t = run(three_in_a_row);
    assert_int_equal(t.isolated, 0);
    assert_int_equal(t.lost, 57);
}

static void test_nothing_is_claimed_of_targets_that_are_hardly_known(void **state)
{
    (void)state;
    tally t = run(from_the_start);
    assert_int_equal(t.isolated, 0);
    assert_int_equal(t.lost, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_silence_lies_between_two_moments_and_is_split_by_a_third),
        cmocka_unit_test(test_the_latest_are_remembered_up_to_the_limit),
        cmocka_unit_test(test_the_rate_counts_round_trips_by_when_they_began),
        cmocka_unit_test(test_all_of_half_a_second_lost_at_once_is_the_agents_own),
        cmocka_unit_test(test_a_single_target_down_is_the_targets_and_at_once),
        cmocka_unit_test(test_many_targets_down_together_are_not_hidden),
        cmocka_unit_test(test_nothing_is_claimed_of_targets_that_are_hardly_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
