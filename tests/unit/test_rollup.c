/* SPDX-License-Identifier: Apache-2.0 */
/* Roll-ups and points against the samples that they are made of. */
#include <meshping/rollup.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define T0 (INT64_C(1700000000) * SECOND)

static uint64_t dice = 20261123;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

/* Of all magnitudes. */
static uint32_t any_rtt(void)
{
    return (uint32_t)(roll(UINT64_C(1) << 31) >> roll(31));
}

static meshping_sample any_sample(int64_t slot_us)
{
    static const uint8_t outcomes[] = {MESHPING_OUTCOME_TIMEOUT, MESHPING_OUTCOME_UNREACHABLE,
                                       MESHPING_OUTCOME_SEND_ERROR, MESHPING_OUTCOME_ISOLATED};
    if (roll(8) == 0)
        return (meshping_sample){.slot_unix_us = slot_us, .outcome = outcomes[roll(4)]};
    return (meshping_sample){.slot_unix_us = slot_us, .rtt_us = any_rtt()};
}

static int compare_rtt(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void test_buckets_cover_every_round_trip_time_once_and_are_narrow(void **unused)
{
    (void)unused;
    uint64_t next = 0;
    for (unsigned bucket = 0; bucket < MESHPING_HISTOGRAM_BUCKETS; bucket++) {
        uint32_t first_us, last_us;
        meshping_histogram_bounds(bucket, &first_us, &last_us);
        assert_int_equal(first_us, next);
        assert_true(last_us >= first_us);
        assert_int_equal(meshping_histogram_bucket(first_us), bucket);
        assert_int_equal(meshping_histogram_bucket(last_us), bucket);
        assert_true((uint64_t)(last_us - first_us) * 16 <= first_us);
        next = (uint64_t)last_us + 1;
    }
    assert_int_equal(next, UINT64_C(1) << 32);
}

static void test_a_percentile_is_within_a_thirty_second_of_the_true_one(void **unused)
{
    (void)unused;
    static uint32_t rtts[5000];
    static const unsigned permilles[] = {0, 1, 10, 250, 500, 750, 900, 950, 990, 999, 1000};
    for (int round = 0; round < 300; round++) {
        meshping_rollup sum = {0};
        size_t count = 1 + (size_t)roll(round % 3 ? 40 : 5000);
        uint32_t around = any_rtt(), noise = 1 + any_rtt() / 8;
        for (size_t i = 0; i < count; i++) {
            rtts[i] = round % 2 ? any_rtt() : (uint32_t)(around + roll(noise));
            meshping_sample sample = {.slot_unix_us = (int64_t)i, .rtt_us = rtts[i]};
            meshping_rollup_add(&sum, &sample);
        }
        qsort(rtts, count, sizeof *rtts, compare_rtt);
        for (size_t i = 0; i < sizeof permilles / sizeof permilles[0]; i++) {
            size_t rank = (count * permilles[i] + 999) / 1000;
            int64_t truth = rtts[rank ? rank - 1 : 0], told = meshping_rollup_percentile(&sum, permilles[i]);
            if (llabs(told - truth) * 32 > truth)
                fail_msg("round %d: %zu values, %u permille: %lld told, %lld true", round, count, permilles[i],
                         (long long)told, (long long)truth);
        }
        assert_int_equal(meshping_rollup_percentile(&sum, 0), rtts[0]);
        assert_int_equal(meshping_rollup_percentile(&sum, 1000), rtts[count - 1]);
    }
    meshping_rollup none = {0};
    assert_int_equal(meshping_rollup_percentile(&none, 500), 0);
}

static void test_merging_is_the_same_in_any_order_and_as_adding(void **unused)
{
    (void)unused;
    for (int round = 0; round < 100; round++) {
        meshping_rollup part[3], whole = {0}, left, right, other;
        memset(part, 0, sizeof part);
        for (int64_t i = 0; i < 300; i++) {
            meshping_sample sample = any_sample(i);
            /* one part may stay empty, or without a reply */
            unsigned p = round % 4 == 0 && sample.outcome == MESHPING_OUTCOME_OK ? 0 : (unsigned)roll(3);
            if (round % 10 != 3)
                meshping_rollup_add(&part[p], &sample);
            if (round % 10 != 3)
                meshping_rollup_add(&whole, &sample);
        }
        left = part[0];
        meshping_rollup_merge(&left, &part[1]);
        meshping_rollup_merge(&left, &part[2]);
        right = part[2];
        other = part[1];
        meshping_rollup_merge(&other, &part[0]);
        meshping_rollup_merge(&right, &other);
        assert_memory_equal(&left, &right, sizeof left);
        assert_memory_equal(&left, &whole, sizeof left);
    }
}

static void test_trouble_of_the_agent_is_never_the_targets_loss(void **unused)
{
    (void)unused;
    meshping_rollup sum = {0};
    for (uint8_t outcome = 0; outcome <= MESHPING_OUTCOME_COUNT; outcome++) {
        meshping_sample sample = {.slot_unix_us = outcome, .rtt_us = outcome ? 0 : 77, .outcome = outcome};
        meshping_rollup_add(&sum, &sample); /* the last one is no outcome */
    }
    assert_int_equal(meshping_rollup_count(&sum, MESHPING_CLASS_OK), 1);
    assert_int_equal(meshping_rollup_count(&sum, MESHPING_CLASS_FAIL), 15);
    assert_int_equal(meshping_rollup_count(&sum, MESHPING_CLASS_LOCAL_ERROR), 16);
    assert_int_equal(sum.min_us, 77);
}

static void test_the_step_is_the_shortest_that_gives_at_most_so_many_points(void **unused)
{
    (void)unused;
    assert_int_equal(meshping_points_step(T0, T0 + HOUR, 3601), SECOND);
    assert_int_equal(meshping_points_step(0, HOUR, 720), 5 * SECOND);
    assert_int_equal(meshping_points_step(0, HOUR, 719), 10 * SECOND);
    assert_int_equal(meshping_points_step(0, 90 * DAY, 2160), HOUR);
    assert_int_equal(meshping_points_step(0, 90 * DAY, 90), DAY);
    assert_int_equal(meshping_points_step(DAY / 2, 90 * DAY + DAY / 2, 90), 2 * DAY); /* it touches 91 days */
    for (int i = 0; i < 2000; i++) {
        int64_t from_us = (int64_t)roll(1u << 31) * SECOND / 7,
                to_us = from_us + 1 + (int64_t)(roll(400 * 86400)) * SECOND;
        size_t most = 2 + (size_t)roll(3000);
        int64_t step_us = meshping_points_step(from_us, to_us, most);
        assert_true(step_us >= SECOND);
        assert_true((uint64_t)((to_us - 1) / step_us - from_us / step_us) + 1 <= most);
    }
    assert_int_equal(meshping_points_step(-1, HOUR, 100), 0);
    assert_int_equal(meshping_points_step(HOUR, HOUR, 100), 0);
    assert_int_equal(meshping_points_step(0, HOUR, 1), 0);
    assert_true(meshping_points_step(0, HOUR, 2) > 0);
    assert_true(meshping_points_step(0, HOUR, 100000) > 0);
    assert_int_equal(meshping_points_step(0, HOUR, 100001), 0);
    assert_int_equal(meshping_points_step(0, INT64_MAX, 100), 0);
}

static void test_one_lost_probe_in_a_day_is_in_the_points(void **unused)
{
    (void)unused;
    enum { COUNT = 17280 };
    static meshping_sample samples[COUNT];
    meshping_point *points = NULL;
    size_t count = 0, lost_points = 0;
    for (size_t i = 0; i < COUNT; i++)
        samples[i] = (meshping_sample){.slot_unix_us = T0 + (int64_t)i * 5 * SECOND, .rtt_us = 300};
    samples[9999].rtt_us = 0;
    samples[9999].outcome = MESHPING_OUTCOME_TIMEOUT;
    samples[5000].rtt_us = 90000;
    int64_t step_us = meshping_points_step(T0, T0 + DAY, 100);
    assert_int_equal(meshping_points_of_samples(samples, COUNT, step_us, &points, &count), MESHPING_OK);
    assert_true(count > 40 && count <= 100);
    uint64_t replies = 0;
    uint32_t most_us = 0;
    for (size_t i = 0; i < count; i++) {
        replies += points[i].counts[MESHPING_OUTCOME_OK];
        most_us = points[i].max_us > most_us ? points[i].max_us : most_us;
        if (points[i].counts[MESHPING_OUTCOME_TIMEOUT] == 0)
            continue;
        lost_points++;
        assert_true(points[i].from_us <= samples[9999].slot_unix_us && samples[9999].slot_unix_us < points[i].to_us);
    }
    assert_int_equal(lost_points, 1);
    assert_int_equal(replies, COUNT - 1);
    assert_int_equal(most_us, 90000);
    meshping_free(points);
}

static void test_points_hold_what_a_simple_count_holds(void **unused)
{
    (void)unused;
    for (int round = 0; round < 60; round++) {
        enum { COUNT = 500 };
        static meshping_sample samples[COUNT];
        meshping_point *points = NULL;
        size_t count = 0, at = 0;
        int64_t slot_us = T0 - (round % 5 == 0 ? 2 * T0 : 0); /* before 1970, too */
        for (size_t i = 0; i < COUNT; i++) {
            slot_us += 1 + (int64_t)roll(1u << (4 + round % 27));
            samples[i] = any_sample(slot_us);
        }
        int64_t step_us = 1 + (int64_t)roll(1u << 30);
        assert_int_equal(meshping_points_of_samples(samples, COUNT, step_us, &points, &count), MESHPING_OK);
        for (size_t i = 0; i < count; i++) {
            meshping_rollup sum = {0};
            assert_int_equal(points[i].from_us % step_us, 0);
            assert_int_equal(points[i].to_us - points[i].from_us, step_us);
            assert_true(i == 0 || points[i].from_us >= points[i - 1].to_us);
            for (; at < COUNT && samples[at].slot_unix_us < points[i].to_us; at++) {
                assert_true(samples[at].slot_unix_us >= points[i].from_us);
                meshping_rollup_add(&sum, &samples[at]);
            }
            assert_memory_equal(points[i].counts, sum.counts, sizeof sum.counts);
            assert_int_equal(points[i].sum_us, sum.sum_us);
            assert_int_equal(points[i].min_us, sum.min_us);
            assert_int_equal(points[i].max_us, sum.max_us);
            assert_int_equal(points[i].p95_us, meshping_rollup_percentile(&sum, 950));
        }
        assert_int_equal(at, COUNT);
        meshping_free(points);
    }
    meshping_point *none = (meshping_point *)1;
    size_t count = 1;
    assert_int_equal(meshping_points_of_samples(NULL, 0, 1, &none, &count), MESHPING_OK);
    assert_null(none);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_points_of_samples(NULL, 0, 0, &none, &count), MESHPING_INVALID);
}

int main(void)
{
    print_message("seed %llu\n", (unsigned long long)dice);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_cover_every_round_trip_time_once_and_are_narrow),
        cmocka_unit_test(test_a_percentile_is_within_a_thirty_second_of_the_true_one),
        cmocka_unit_test(test_merging_is_the_same_in_any_order_and_as_adding),
        cmocka_unit_test(test_trouble_of_the_agent_is_never_the_targets_loss),
        cmocka_unit_test(test_the_step_is_the_shortest_that_gives_at_most_so_many_points),
        cmocka_unit_test(test_one_lost_probe_in_a_day_is_in_the_points),
        cmocka_unit_test(test_points_hold_what_a_simple_count_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
