/* SPDX-License-Identifier: Apache-2.0 */
/* Every verdict of the engine against what the simulated internet knows, under all faults at once. */
#include "core/icmp.h"
#include "engine.h"

#define HOSTS 500
#define TIMEOUT_NS (3 * SECOND)

static double share(engine *e, double most)
{
    return sim_random(&e->net, 3) == 0 ? most * sim_random(&e->net, 1000) / 1000.0 : 0;
}

static void add_hosts(engine *e)
{
    meshping_target_list list = {0};
    for (unsigned i = 0; i < HOSTS; i++) {
        char host[64];
        snprintf(host, sizeof host, i % 2 ? "2001:db8::1:%x" : "198.18.%u.%u", i % 2 ? i : i / 200, i % 200 + 1);
        sim_host *h = sim_add_host(&e->net, host);
        h->delay_ns = 20000 + (int64_t)sim_random(&e->net, 400) * MS;
        h->jitter_ns = (int64_t)sim_random(&e->net, 100) * MS;
        h->loss = share(e, 0.5);
        h->duplicate = share(e, 0.5);
        h->straggle = share(e, 0.5);
        h->error = share(e, 0.5);
        h->error_and_reply = share(e, 0.5);
        h->forge = share(e, 1.0);
        h->down = sim_random(&e->net, 20) == 0;
        meshping_target target = engine_target(i + 1, host);
        target.size = (uint16_t)(16 + sim_random(&e->net, 200));
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    meshping_now now = sim_now(&e->net);
    assert_int_equal(meshping_prober_set_targets(e->prober, &list, &now, NULL), MESHPING_OK);
    meshping_target_list_dispose(&list);
}

static void check_verdict(engine *e, const meshping_probe_result *result)
{
    assert_int_not_equal(result->sent_mono_ns, 0);
    sim_truth *truth = sim_find(&e->net, result->sent_mono_ns);
    assert_non_null(truth);
    assert_false(truth->judged); /* one verdict a probe */
    truth->judged = true;
    int64_t deadline = truth->sent_mono_ns + TIMEOUT_NS;
    uint8_t expected = MESHPING_OUTCOME_TIMEOUT;
    int64_t rtt_us = 0;
    if (truth->reply_mono_ns && truth->reply_mono_ns <= deadline) {
        expected = MESHPING_OUTCOME_OK;
        rtt_us = (truth->reply_mono_ns - truth->sent_mono_ns + 500) / 1000;
    } else if (truth->error_mono_ns && truth->error_mono_ns <= deadline) {
        expected = meshping__icmp_outcome(result->address.family, truth->error_type, truth->error_code);
        assert_int_equal(result->icmp_type, truth->error_type);
        assert_int_equal(result->icmp_code, truth->error_code);
        assert_int_equal(result->mtu, truth->error_mtu);
        assert_true(meshping_address_equal(&result->from, &truth->error_from));
    }
    assert_int_equal(result->sample.outcome, expected);
    assert_int_equal(result->sample.rtt_us, rtt_us);
    assert_int_equal(result->sample.flags, 0);
    if (expected == MESHPING_OUTCOME_OK)
        assert_true(meshping_address_equal(&result->from, &result->address));
}

static uint64_t forged(const engine *e, const sim_forgery *kinds, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += e->net.forged[kinds[i]];
    return sum;
}

#define FORGED(e, ...)                                                                                                 \
    forged(e, (const sim_forgery[]){__VA_ARGS__}, sizeof((sim_forgery[]){__VA_ARGS__}) / sizeof(sim_forgery))

/* Each kind of bad packet under its reason, none twice, none forgotten. */
static void check_rejects(const engine *e, const meshping_prober_stats *stats)
{
    const uint64_t *by = stats->rejected_by;
    uint64_t sum = 0;
    assert_int_equal(by[MESHPING_REJECT_SOURCE], FORGED(e, SIM_WRONG_SOURCE, SIM_OTHER_HOSTS_REPLY));
    assert_int_equal(by[MESHPING_REJECT_CHECKSUM], FORGED(e, SIM_BAD_CHECKSUM, SIM_ERROR_BAD_CHECKSUM));
    assert_int_equal(by[MESHPING_REJECT_LENGTH], FORGED(e, SIM_CUT_PAYLOAD, SIM_TOO_LONG));
    assert_int_equal(by[MESHPING_REJECT_COOKIE], FORGED(e, SIM_WRONG_COOKIE, SIM_WRONG_FILLER, SIM_OTHER_HOSTS_COOKIE,
                                                        SIM_ERROR_WRONG_COOKIE, SIM_ERROR_WRONG_NUMBER));
    assert_int_equal(by[MESHPING_REJECT_SHORT],
                     FORGED(e, SIM_CUT_IDENTITY, SIM_CUT_HEADER, SIM_EMPTY, SIM_BAD_IP_HEADER));
    assert_int_equal(by[MESHPING_REJECT_UNKNOWN],
                     FORGED(e, SIM_WRONG_NUMBER, SIM_WRONG_SEQUENCE, SIM_ERROR_WRONG_DESTINATION, SIM_STRAY,
                            SIM_SWAPPED_IDENTITY, SIM_ZERO_PAYLOAD));
    assert_int_equal(by[MESHPING_REJECT_TYPE], FORGED(e, SIM_WRONG_TYPE, SIM_WRONG_CODE, SIM_REFLECTED_REQUEST));
    assert_int_equal(by[MESHPING_REJECT_QUOTE],
                     FORGED(e, SIM_ERROR_CUT_QUOTE, SIM_ERROR_OTHER_PROTOCOL, SIM_ERROR_ABOUT_REPLY));
    assert_int_equal(stats->foreign, FORGED(e, SIM_WRONG_IDENTIFIER, SIM_GARBAGE));
    for (size_t i = 0; i < SIM_FORGERIES; i++)
        sum += e->net.forged[i];
    assert_int_equal(stats->rejected + stats->foreign, sum);
}

/* One simulated internet, from its seed; the number of verdicts. */
static size_t run_world(uint64_t seed)
{
    engine e = {.seed = seed};
    meshping_prober_options options = engine_options(&e);
    engine_open_with(&e, 20, &options);
    print_message("seed %llu: ", (unsigned long long)seed);
    add_hosts(&e);
    sim_run(&e.net, e.prober, 230 * SECOND);
    meshping_target_list none = {0};
    for (size_t i = 0; i < e.count; i++)
        check_verdict(&e, &e.results[i]);
    size_t judged = 0, credited = 0;
    uint64_t duplicates = 0, late = 0;
    for (size_t i = 0; i < e.net.truth_count; i++) {
        const sim_truth *truth = &e.net.truths[i];
        judged += truth->judged;
        if (truth->sent_mono_ns < e.net.mono_ns - TIMEOUT_NS)
            assert_true(truth->judged); /* none is forgotten */
    }
    for (size_t i = 0; i < e.count; i++)
        credited += e.results[i].sample.outcome == MESHPING_OUTCOME_OK;
    /* let all stragglers come, then compare the counters */
    meshping_now now = sim_now(&e.net);
    meshping_prober_stats before, stats;
    meshping_prober_get_stats(e.prober, &before);
    assert_int_equal(before.targets, HOSTS);
    assert_int_equal(before.in_flight, e.net.truth_count - judged);
    for (size_t i = 0; i < e.net.host_count; i++)
        e.net.hosts[i].down = true;
    size_t last = e.net.truth_count;
    sim_run(&e.net, e.prober, 8 * SECOND);
    meshping_prober_get_stats(e.prober, &stats);
    for (size_t i = 0; i < last; i++) {
        const sim_truth *truth = &e.net.truths[i];
        bool in_time = truth->reply_mono_ns && truth->reply_mono_ns <= truth->sent_mono_ns + TIMEOUT_NS;
        if (in_time)
            duplicates += truth->valid_replies - 1;
        else
            late += truth->valid_replies;
    }
    assert_int_equal(stats.duplicates, duplicates);
    assert_int_equal(stats.late, late);
    check_rejects(&e, &stats);
    for (size_t i = 0; i < SIM_FORGERIES; i++)
        assert_int_not_equal(e.net.forged[i], 0);
    print_message("%zu verdicts, %zu of them ok, %llu duplicates, %llu late, %llu rejected: all as they were\n", judged,
                  credited, (unsigned long long)stats.duplicates, (unsigned long long)stats.late,
                  (unsigned long long)stats.rejected);
    assert_true(judged >= 100000);
    assert_true(credited > judged / 4 && credited < judged);
    now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &none, &now, NULL), MESHPING_OK);
    engine_close(&e);
    return judged;
}

/* MESHPING_TEST_RUNS worlds of over 100,000 probes each; the proof runs ten. */
static void test_every_verdict_equals_the_truth_under_all_faults_at_once(void **state)
{
    (void)state;
    const char *text = getenv("MESHPING_TEST_RUNS");
    uint64_t runs = text ? strtoull(text, NULL, 10) : 1;
    size_t judged = 0;
    for (uint64_t run = 0; run < runs; run++)
        judged += run_world(engine_seed() + run);
    print_message("%zu verdicts in all\n", judged);
    assert_true(judged >= 100000 * runs);
}

/* Each kind alone, to a host that never answers rightly: nothing but misses may come of it. */
static void test_no_kind_of_forged_reply_is_ever_credited(void **state)
{
    (void)state;
    for (int kind = 0; kind < SIM_FORGERIES; kind++)
        for (int v6 = 0; v6 < 2; v6++) {
            engine e;
            engine_open(&e);
            const char *address = v6 ? "2001:db8::7" : "198.18.0.7";
            sim_host *host = sim_add_host(&e.net, address);
            host->forge = host->loss = 1;
            host->only_forgery = kind;
            meshping_target target = engine_target(1, address);
            engine_set(&e, &target);
            sim_run(&e.net, e.prober, 60 * SECOND);
            assert_true(e.count >= 56);
            assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), e.count);
            engine_close(&e);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_verdict_equals_the_truth_under_all_faults_at_once),
        cmocka_unit_test(test_no_kind_of_forged_reply_is_ever_credited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
