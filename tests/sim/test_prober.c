/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's promises about one probe after the other, in simulated time: slots, verdicts, clocks, its own trouble.
 */
#include "engine.h"
#include <errno.h>

static void test_slots_are_unix_times_with_a_stable_phase(void **state)
{
    (void)state;
    int64_t phase[2];
    for (int run = 0; run < 2; run++) {
        engine e;
        one_host(&e, 5 * MS);
        sim_run(&e.net, e.prober, (run ? 17 : 10) * SECOND);
        assert_true(e.count >= 9);
        phase[run] = e.results[0].sample.slot_unix_us % 1000000;
        for (size_t i = 0; i < e.count; i++) {
            assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_OK);
            assert_int_equal(e.results[i].sample.rtt_us, 5000);
            assert_int_equal(e.results[i].sequence, i);
            assert_int_equal(e.results[i].sample.slot_unix_us % 1000000, phase[run]);
            if (i)
                assert_int_equal(e.results[i].sample.slot_unix_us - e.results[i - 1].sample.slot_unix_us, 1000000);
        }
        engine_close(&e);
    }
    assert_int_equal(phase[0], phase[1]);
}

static void test_a_thousand_targets_are_not_a_burst(void **state)
{
    (void)state;
    engine e;
    unsigned sent[100] = {0}, most = 0;
    engine_open(&e);
    for (unsigned i = 0; i < 1000; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.%u.%u", i / 250, i % 250 + 1);
        meshping_target target = engine_target(i + 1, host);
        engine_set(&e, &target);
    }
    sim_run(&e.net, e.prober, 4500 * MS);
    assert_true(e.net.truth_count >= 4000);
    for (size_t i = 0; i < e.net.truth_count; i++) {
        unsigned window = (unsigned)((e.net.truths[i].sent_mono_ns % SECOND) / (10 * MS));
        sent[window]++;
        if (sent[window] > most)
            most = sent[window];
    }
    /* 10 a window and second are expected; 30 would be 6 standard deviations away */
    assert_true(most < 5 * 30);
    engine_close(&e);
}

static void test_agents_with_different_keys_probe_at_different_moments(void **state)
{
    (void)state;
    int64_t slot[2];
    for (uint64_t key = 0; key < 2; key++) {
        engine e = {0};
        meshping_prober_options options = engine_options(&e);
        options.phase_key = key + 1;
        engine_open_with(&e, 20, &options);
        sim_add_host(&e.net, "198.18.0.1");
        meshping_target target = engine_target(1, "198.18.0.1");
        engine_set(&e, &target);
        sim_run(&e.net, e.prober, 3 * SECOND);
        slot[key] = e.results[0].sample.slot_unix_us % 1000000;
        engine_close(&e);
    }
    assert_int_not_equal(slot[0], slot[1]);
}

static void test_late_reply_is_not_credited_to_the_next_probe(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 3500 * MS);
    sim_run(&e.net, e.prober, 20 * SECOND);
    assert_true(e.count >= 15);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), e.count);
    meshping_prober_target_stats stats;
    assert_int_equal(meshping_prober_get_target_stats(e.prober, 1, &stats), MESHPING_OK);
    assert_true(stats.late >= 15);
    assert_int_equal(stats.received, 0);
    engine_close(&e);
}

static void test_a_timeout_is_judged_when_it_ends_and_not_before(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 0)->down = true;
    sim_run(&e.net, e.prober, 10 * SECOND);
    assert_true(e.count >= 6);
    for (size_t i = 0; i < e.count; i++)
        assert_in_range(e.results[i].done_mono_ns - e.results[i].sent_mono_ns, 3 * SECOND, 3 * SECOND + MS);
    engine_close(&e);
}

static void test_a_valid_reply_wins_over_an_earlier_icmp_error(void **state)
{
    (void)state;
    engine e;
    sim_host *host = one_host(&e, 40 * MS);
    host->error_and_reply = 1;
    sim_run(&e.net, e.prober, 10 * SECOND);
    assert_true(e.count >= 9);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_OK), e.count);
    engine_close(&e);
}

static void test_a_set_wall_clock_neither_breaks_a_round_trip_time_nor_the_schedule(void **state)
{
    static const int64_t steps[] = {3600 * SECOND, -3600 * SECOND, 1500 * MS, -700 * MS, 20 * MS, -3 * MS};
    (void)state;
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++) {
        engine e;
        one_host(&e, 400 * MS);
        while (e.net.packet_count == 0)
            sim_run(&e.net, e.prober, 50 * MS);
        size_t before = e.count, sent = e.net.truth_count;
        e.net.offset_ns += steps[s]; /* a probe is in the air */
        sim_run(&e.net, e.prober, 10 * SECOND);
        assert_true(e.count > before + 7);
        for (size_t i = 0; i < e.count; i++) {
            assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_OK);
            assert_in_range(e.results[i].sample.rtt_us, 400000, 400001);
            /* the one in the air, and no other, says that the clock was set */
            assert_int_equal(e.results[i].sample.flags & MESHPING_FLAG_CLOCK, i == before ? MESHPING_FLAG_CLOCK : 0);
            assert_int_equal(e.results[i].sample.flags & ~MESHPING_FLAG_CLOCK, 0);
        }
        assert_true(e.net.truth_count - sent >= 9 && e.net.truth_count - sent <= 12);
        if (steps[s] > 10 * MS || steps[s] < -10 * MS) { /* slots are of the new time */
            int64_t unix_us = (e.net.mono_ns + e.net.offset_ns) / 1000;
            assert_in_range(unix_us - e.results[e.count - 1].sample.slot_unix_us, 0, 2000000);
        }
        engine_close(&e);
    }
}

static void test_a_step_of_the_clock_while_the_process_slept_makes_no_false_loss(void **state)
{
    (void)state;
    for (int back = 0; back < 2; back++) {
        engine e;
        one_host(&e, 100 * MS);
        while (e.net.packet_count == 0)
            sim_run(&e.net, e.prober, 50 * MS);
        size_t before = e.count;
        sim_sleep(&e.net, 10 * SECOND);
        e.net.offset_ns += back ? -500 * SECOND : 500 * SECOND;
        sim_run(&e.net, e.prober, MS);
        assert_true(e.count > before);
        const meshping_probe_result *result = &e.results[before];
        assert_int_equal(result->sample.outcome, MESHPING_OUTCOME_OK);
        assert_in_range(result->sample.rtt_us, 100000, 100001);
        engine_close(&e);
    }
}

static void test_a_reply_that_came_too_late_while_the_process_slept_is_a_miss(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 3200 * MS);
    while (e.net.packet_count == 0)
        sim_run(&e.net, e.prober, 50 * MS);
    size_t before = e.count;
    sim_sleep(&e.net, 10 * SECOND); /* the reply is read before its timeout is looked at */
    sim_run(&e.net, e.prober, MS);
    assert_true(e.count > before);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_OK), 0);
    e.net.hosts[0].delay_ns = 2900 * MS; /* while one that came in time counts, however late it is read */
    sim_run(&e.net, e.prober, 2 * SECOND);
    sim_sleep(&e.net, 10 * SECOND);
    sim_run(&e.net, e.prober, MS);
    assert_true(engine_count(&e, 1, MESHPING_OUTCOME_OK) >= 1);
    engine_close(&e);
}

static void test_without_a_kernel_stamp_the_sample_says_so(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 7 * MS);
    e.net.no_stamps = true;
    sim_run(&e.net, e.prober, 3 * SECOND);
    assert_true(e.count >= 2);
    assert_int_equal(e.results[0].sample.flags, MESHPING_FLAG_COARSE_TIME);
    assert_int_equal(e.results[0].sample.rtt_us, 7000);
    engine_close(&e);
}

static void test_a_short_sleep_flags_the_late_probe_and_loses_nothing(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 10 * MS);
    sim_run(&e.net, e.prober, 5 * SECOND);
    size_t before = e.count;
    int64_t slot = e.results[before - 1].sample.slot_unix_us + 1000000;
    sim_sleep(&e.net, slot * 1000 + 300 * MS - (e.net.mono_ns + e.net.offset_ns));
    sim_run(&e.net, e.prober, 3 * SECOND);
    assert_int_equal(e.results[before].sample.slot_unix_us, slot);
    assert_int_equal(e.results[before].sample.flags, MESHPING_FLAG_LATE_SEND);
    assert_int_equal(e.results[before].sample.rtt_us, 10000);
    assert_int_equal(e.results[before + 1].sample.slot_unix_us, slot + 1000000);
    assert_int_equal(e.results[before + 1].sample.flags, 0);
    engine_close(&e);
}

static void test_slots_slept_over_are_the_agents_trouble_and_never_loss(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 10 * MS);
    sim_run(&e.net, e.prober, 5 * SECOND);
    size_t before = e.count;
    sim_sleep(&e.net, 60 * SECOND);
    sim_run(&e.net, e.prober, 5 * SECOND);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), 0);
    assert_in_range(engine_count(&e, 1, MESHPING_OUTCOME_OVERLOADED), 58, 60);
    for (size_t i = 1; i < e.count; i++) /* every slot has one result, none is missing */
        assert_int_equal(e.results[i].sample.slot_unix_us - e.results[i - 1].sample.slot_unix_us, 1000000);
    assert_true(e.count > before + 60);
    engine_close(&e);
}

static void test_a_long_sleep_reports_at_most_its_limit_of_missed_slots(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 10 * MS);
    sim_run(&e.net, e.prober, 2 * SECOND);
    sim_sleep(&e.net, 5000 * SECOND);
    sim_run(&e.net, e.prober, 2 * SECOND);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_OVERLOADED), 720);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), 0);
    engine_close(&e);
}

static void test_dropped_packets_make_the_pending_misses_suspect_and_no_others(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 10 * MS)->down = true;
    sim_add_host(&e.net, "2001:db8::1")->down = true;
    meshping_target other = engine_target(2, "2001:db8::1");
    engine_set(&e, &other);
    sim_run(&e.net, e.prober, 10 * SECOND);
    e.net.drops_v4 = 17;
    int64_t dropped_ns = e.net.mono_ns;
    sim_run(&e.net, e.prober, 10 * SECOND);
    size_t suspects = 0;
    for (size_t i = 0; i < e.count; i++) {
        const meshping_probe_result *r = &e.results[i];
        bool pending = r->target_id == 1 && r->sent_mono_ns <= dropped_ns && r->sent_mono_ns + 3 * SECOND > dropped_ns;
        if (r->sample.outcome == MESHPING_OUTCOME_OVERLOADED) {
            suspects++;
            assert_int_equal(r->sample.flags, MESHPING_FLAG_RX_DROPS);
            assert_int_equal(r->target_id, 1);
        }
        if (pending)
            assert_int_equal(r->sample.outcome, MESHPING_OUTCOME_OVERLOADED);
    }
    assert_in_range(suspects, 3, 4); /* three in the air; one more may leave before the drop is seen */
    meshping_prober_stats stats;
    meshping_prober_get_stats(e.prober, &stats);
    assert_int_equal(stats.rx_drops, 17);
    engine_close(&e);
}

static void test_what_cannot_be_sent_is_not_the_targets_loss(void **state)
{
    static const struct {
        int sys_errno;
        int outcome;
    } cases[] = {
        {ENETUNREACH, MESHPING_OUTCOME_SEND_ERROR},   {ENETDOWN, MESHPING_OUTCOME_SEND_ERROR},
        {EADDRNOTAVAIL, MESHPING_OUTCOME_SEND_ERROR}, {EPERM, MESHPING_OUTCOME_SEND_ERROR},
        {ENOBUFS, MESHPING_OUTCOME_QUEUE_FULL},       {EAGAIN, MESHPING_OUTCOME_QUEUE_FULL},
        {EHOSTUNREACH, MESHPING_OUTCOME_SEND_ERROR},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        engine e;
        one_host(&e, 10 * MS);
        e.net.send_errno = cases[c].sys_errno;
        sim_run(&e.net, e.prober, 3 * SECOND);
        assert_true(e.count >= 2);
        for (size_t i = 0; i < e.count; i++) {
            assert_int_equal(e.results[i].sample.outcome, cases[c].outcome);
            assert_int_equal(e.results[i].sys_errno, cases[c].sys_errno);
        }
        e.net.send_errno = 0;
        sim_run(&e.net, e.prober, 3 * SECOND);
        assert_int_equal(e.results[e.count - 1].sample.outcome, MESHPING_OUTCOME_OK);
        engine_close(&e);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots_are_unix_times_with_a_stable_phase),
        cmocka_unit_test(test_a_thousand_targets_are_not_a_burst),
        cmocka_unit_test(test_agents_with_different_keys_probe_at_different_moments),
        cmocka_unit_test(test_late_reply_is_not_credited_to_the_next_probe),
        cmocka_unit_test(test_a_timeout_is_judged_when_it_ends_and_not_before),
        cmocka_unit_test(test_a_valid_reply_wins_over_an_earlier_icmp_error),
        cmocka_unit_test(test_a_set_wall_clock_neither_breaks_a_round_trip_time_nor_the_schedule),
        cmocka_unit_test(test_a_step_of_the_clock_while_the_process_slept_makes_no_false_loss),
        cmocka_unit_test(test_a_reply_that_came_too_late_while_the_process_slept_is_a_miss),
        cmocka_unit_test(test_without_a_kernel_stamp_the_sample_says_so),
        cmocka_unit_test(test_a_short_sleep_flags_the_late_probe_and_loses_nothing),
        cmocka_unit_test(test_slots_slept_over_are_the_agents_trouble_and_never_loss),
        cmocka_unit_test(test_a_long_sleep_reports_at_most_its_limit_of_missed_slots),
        cmocka_unit_test(test_dropped_packets_make_the_pending_misses_suspect_and_no_others),
        cmocka_unit_test(test_what_cannot_be_sent_is_not_the_targets_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
