/* SPDX-License-Identifier: Apache-2.0 */
/* A probe beside the schedule: told as one, and everything else is as if it had never been. */
#include "engine.h"

static void test_an_extra_probe_is_told_as_one_and_the_schedule_does_not_move(void **state)
{
    (void)state;
    static meshping_probe_result plain[64];
    size_t plain_count = 0;
    for (int with = 0; with < 2; with++) {
        engine e;
        one_host(&e, 5 * MS);
        sim_run(&e.net, e.prober, 3300 * MS);
        if (with)
            assert_int_equal(meshping_prober_probe_now(e.prober, 1, 77), MESHPING_OK);
        int64_t asked_ns = e.net.mono_ns;
        sim_run(&e.net, e.prober, 10 * SECOND);
        size_t extra = 0, kept = 0;
        for (size_t i = 0; i < e.count; i++) {
            const meshping_probe_result *result = &e.results[i];
            if (result->extra) {
                extra++;
                assert_int_equal(result->sequence, 77);
                assert_int_equal(result->target_id, 1);
                assert_int_equal(result->sample.outcome, MESHPING_OUTCOME_OK);
                assert_int_equal(result->sample.rtt_us, 5000);
                assert_true(result->sent_mono_ns - asked_ns < 2 * MS);
            } else if (!with) {
                plain[plain_count++] = *result;
            } else {
                assert_int_equal(result->sequence, plain[kept].sequence);
                assert_int_equal(result->sample.slot_unix_us, plain[kept].sample.slot_unix_us);
                assert_int_equal(result->sample.outcome, plain[kept].sample.outcome);
                kept++;
            }
        }
        assert_int_equal(extra, with);
        assert_true(!with || kept == plain_count);
        engine_close(&e);
    }
}

static void test_an_extra_probe_that_nobody_answers_times_out_and_what_has_no_address_is_told(void **state)
{
    (void)state;
    engine e;
    sim_host *host = one_host(&e, 5 * MS);
    meshping_target zoned = engine_target(2, "fe80::1%no-such-if");
    engine_set(&e, &zoned);
    sim_run(&e.net, e.prober, 1500 * MS);
    host->loss = 1;
    assert_int_equal(meshping_prober_probe_now(e.prober, 1, 5), MESHPING_OK);
    assert_int_equal(meshping_prober_probe_now(e.prober, 2, 6), MESHPING_OK);
    sim_run(&e.net, e.prober, 5 * SECOND);
    unsigned found = 0;
    for (size_t i = 0; i < e.count; i++) {
        if (!e.results[i].extra)
            continue;
        found++;
        assert_int_equal(e.results[i].sample.outcome,
                         e.results[i].sequence == 5 ? MESHPING_OUTCOME_TIMEOUT : MESHPING_OUTCOME_UNRESOLVED);
        assert_int_equal(e.results[i].sent_unix_ns == 0, e.results[i].sequence == 6);
    }
    assert_int_equal(found, 2);
    engine_close(&e);
}

static void test_so_many_wait_and_no_more_and_one_whose_target_went_before_is_told(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 5 * MS);
    sim_run(&e.net, e.prober, 100 * MS);
    assert_int_equal(meshping_prober_probe_now(e.prober, 2, 1), MESHPING_NOT_FOUND);
    for (unsigned i = 0; i < MESHPING_EXTRA_MAX; i++)
        assert_int_equal(meshping_prober_probe_now(e.prober, 1, i), MESHPING_OK);
    assert_int_equal(meshping_prober_probe_now(e.prober, 1, 99), MESHPING_LIMIT);
    assert_true(meshping_prober_deadline_ns(e.prober) <= e.net.mono_ns);
    sim_run(&e.net, e.prober, 100 * MS);
    size_t extra = 0;
    for (size_t i = 0; i < e.count; i++)
        extra += e.results[i].extra;
    assert_int_equal(extra, MESHPING_EXTRA_MAX);
    assert_int_equal(meshping_prober_probe_now(e.prober, 1, 100), MESHPING_OK);
    assert_int_equal(meshping_prober_remove_target(e.prober, 1), MESHPING_OK);
    size_t count = e.count;
    sim_run(&e.net, e.prober, 5 * SECOND);
    assert_int_equal(e.count, count + 1);
    const meshping_probe_result *last = &e.results[count];
    assert_true(last->extra && last->sequence == 100 && last->target_id == 0 && last->sent_mono_ns == 0);
    assert_int_equal(last->sample.outcome, MESHPING_OUTCOME_UNRESOLVED);
    engine_close(&e);
}

static void test_what_was_sent_is_told_also_when_its_target_has_gone(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 50 * MS);
    sim_run(&e.net, e.prober, 100 * MS);
    assert_int_equal(meshping_prober_probe_now(e.prober, 1, 9), MESHPING_OK);
    sim_run(&e.net, e.prober, 10 * MS);
    assert_int_equal(meshping_prober_remove_target(e.prober, 1), MESHPING_OK);
    sim_run(&e.net, e.prober, 100 * MS);
    assert_true(e.count >= 1);
    const meshping_probe_result *last = &e.results[e.count - 1];
    assert_true(last->extra && last->sequence == 9 && last->target_id == 0);
    assert_int_equal(last->sample.rtt_us, 50000);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_extra_probe_is_told_as_one_and_the_schedule_does_not_move),
        cmocka_unit_test(test_an_extra_probe_that_nobody_answers_times_out_and_what_has_no_address_is_told),
        cmocka_unit_test(test_so_many_wait_and_no_more_and_one_whose_target_went_before_is_told),
        cmocka_unit_test(test_what_was_sent_is_told_also_when_its_target_has_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
