/* SPDX-License-Identifier: Apache-2.0 */
/* The engine suspects itself first: its own link, gateway, lateness and sleep are no target's loss, and hide none. */
#include "engine.h"

static void add_target(engine *e, uint64_t id, const char *host, bool down)
{
    sim_host *h = sim_add_host(&e->net, host);
    h->delay_ns = 20 * MS;
    h->down = down;
    meshping_target target = engine_target(id, host);
    engine_set(e, &target);
}

static void
test_while_the_own_link_is_down_no_miss_is_a_targets_and_a_dead_target_is_not_hidden_before_or_after(void **state)
{
    (void)state;
    for (int64_t outage = 10 * MS; outage < 30 * SECOND; outage *= 7) {
        engine e;
        engine_open(&e);
        char host[32];
        for (unsigned i = 1; i <= 40; i++) {
            snprintf(host, sizeof host, i % 2 ? "198.18.0.%u" : "2001:db8::%x", i);
            add_target(&e, i, host, i > 36);
        }
        sim_run(&e.net, e.prober, 8 * SECOND);
        e.net.own_outcome = MESHPING_OUTCOME_ISOLATED;
        e.net.own_down_from_ns = e.net.mono_ns;
        e.net.own_down_to_ns = e.net.mono_ns + outage;
        sim_run(&e.net, e.prober, outage + 12 * SECOND);
        size_t own = 0;
        for (size_t i = 0; i < e.count; i++) {
            const meshping_probe_result *r = &e.results[i];
            bool touched = r->sent_mono_ns < e.net.own_down_to_ns && r->done_mono_ns >= e.net.own_down_from_ns;
            if (r->sample.outcome == MESHPING_OUTCOME_OK)
                continue;
            own += touched;
            assert_int_equal(r->sample.outcome, touched ? MESHPING_OUTCOME_ISOLATED : MESHPING_OUTCOME_TIMEOUT);
            assert_true(touched || r->target_id > 36);
        }
        assert_true(own >= (size_t)(outage / SECOND) * 36);
        assert_true(engine_count(&e, 40, MESHPING_OUTCOME_TIMEOUT) >= 10);
        assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), 0);
        engine_close(&e);
    }
}

static void test_unreachable_from_our_own_address_is_our_gateway_and_from_a_router_it_is_the_targets(void **state)
{
    static const char *const hosts[] = {"198.18.0.1", "2001:db8::1"};
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        engine e;
        engine_open(&e);
        add_target(&e, 1, hosts[v6], false);
        sim_run(&e.net, e.prober, 3 * SECOND);
        e.net.gateway_down = true;
        sim_run(&e.net, e.prober, 10 * SECOND);
        e.net.gateway_down = false;
        e.net.hosts[0].error = 1;
        size_t isolated = engine_count(&e, 1, MESHPING_OUTCOME_ISOLATED);
        assert_true(isolated >= 6);
        sim_run(&e.net, e.prober, 30 * SECOND);
        assert_true(engine_count(&e, 1, MESHPING_OUTCOME_UNREACHABLE) > 0);
        for (size_t i = 0; i < e.count; i++) {
            const meshping_probe_result *r = &e.results[i];
            const sim_truth *truth = sim_find(&e.net, r->sent_mono_ns);
            assert_int_equal(r->sample.outcome == MESHPING_OUTCOME_ISOLATED, truth->own_down);
            if (r->sample.outcome == MESHPING_OUTCOME_ISOLATED) {
                assert_true(r->icmp_type == (v6 ? 1 : 3)); /* the word that told it is still there */
                assert_int_equal(r->from.family, v6 ? 6 : 4);
            }
        }
        engine_close(&e);
    }
}

static void test_a_miss_of_a_probe_that_was_sent_late_is_overload_and_an_answer_or_a_routers_word_counts(void **state)
{
    static const meshping_outcome_class classes[] = {MESHPING_CLASS_OK, MESHPING_CLASS_LOCAL_ERROR,
                                                     MESHPING_CLASS_FAIL};
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        engine e;
        sim_host *host = one_host(&e, 10 * MS);
        sim_run(&e.net, e.prober, 5 * SECOND);
        size_t before = e.count;
        int64_t slot = e.results[before - 1].sample.slot_unix_us + 1000000;
        host->down = kind == 1;
        host->error = kind == 2;
        sim_sleep(&e.net, slot * 1000 + 300 * MS - (e.net.mono_ns + e.net.offset_ns));
        sim_run(&e.net, e.prober, 4 * SECOND);
        const meshping_probe_result *late = &e.results[before];
        assert_int_equal(late->sample.slot_unix_us, slot);
        assert_int_equal(late->sample.flags, MESHPING_FLAG_LATE_SEND);
        assert_int_equal(meshping_outcome_classify(late->sample.outcome), classes[kind]);
        if (kind == 1) /* in time again, and still no answer: that is the target's */
            assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_OVERLOADED), 1);
        engine_close(&e);
    }
}

static void test_a_miss_over_a_step_of_the_clock_says_so(void **state)
{
    (void)state;
    engine e;
    one_host(&e, MS)->down = true;
    sim_run(&e.net, e.prober, 5 * SECOND);
    int64_t stepped_ns = e.net.mono_ns;
    e.net.offset_ns += 90 * SECOND;
    sim_run(&e.net, e.prober, 10 * SECOND);
    for (size_t i = 0; i < e.count; i++) {
        bool over = e.results[i].sent_mono_ns <= stepped_ns && e.results[i].done_mono_ns > stepped_ns;
        assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_TIMEOUT);
        assert_int_equal(e.results[i].sample.flags, over ? MESHPING_FLAG_CLOCK : 0);
    }
    engine_close(&e);
}

static void test_probes_over_a_suspend_of_the_host_are_overload(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 500 * MS);
    sim_run(&e.net, e.prober, 5 * SECOND);
    /* the monotonic clock stands still while the host is suspended; the wall clock is an hour on */
    e.net.own_outcome = MESHPING_OUTCOME_OVERLOADED;
    e.net.own_down_from_ns = e.net.mono_ns;
    e.net.own_down_to_ns = e.net.mono_ns + 600 * MS; /* until the link is back */
    e.net.offset_ns += 3600 * SECOND;
    sim_run(&e.net, e.prober, 10 * SECOND);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), 0);
    assert_true(engine_count(&e, 1, MESHPING_OUTCOME_OVERLOADED) >= 1);
    assert_int_equal(e.results[e.count - 1].sample.outcome, MESHPING_OUTCOME_OK);
    engine_close(&e);
}

static void test_what_came_in_time_is_read_before_anything_is_lost_however_much_waits(void **state)
{
    (void)state;
    enum { TARGETS = 9000 };
    engine e;
    engine_open(&e);
    meshping_target_list list = {0};
    for (unsigned i = 0; i < TARGETS; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.%u.%u", i / 250, i % 250 + 1);
        sim_add_host(&e.net, host)->delay_ns = 2500 * MS;
        meshping_target target = engine_target(i + 1, host);
        target.interval_ms = 60000;
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    meshping_now now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, NULL), MESHPING_OK);
    sim_sleep(&e.net, 55 * SECOND); /* most come due, as the process is held up */
    for (int i = 0; i < 4; i++) {   /* everything due goes out now, as fast as it can */
        meshping_now late = sim_now(&e.net);
        meshping_prober_process(e.prober, &late);
    }
    sim_sleep(&e.net, 6 * SECOND); /* the replies wait, and their timeouts are over */
    sim_run(&e.net, e.prober, SECOND);
    assert_true(e.count >= 8000);
    assert_int_equal(engine_count(&e, 0, MESHPING_OUTCOME_TIMEOUT), 0);
    assert_int_equal(engine_count(&e, 0, MESHPING_OUTCOME_OVERLOADED), 0);
    meshping_target_list_dispose(&list);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            test_while_the_own_link_is_down_no_miss_is_a_targets_and_a_dead_target_is_not_hidden_before_or_after),
        cmocka_unit_test(test_unreachable_from_our_own_address_is_our_gateway_and_from_a_router_it_is_the_targets),
        cmocka_unit_test(test_a_miss_of_a_probe_that_was_sent_late_is_overload_and_an_answer_or_a_routers_word_counts),
        cmocka_unit_test(test_a_miss_over_a_step_of_the_clock_says_so),
        cmocka_unit_test(test_probes_over_a_suspend_of_the_host_are_overload),
        cmocka_unit_test(test_what_came_in_time_is_read_before_anything_is_lost_however_much_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
