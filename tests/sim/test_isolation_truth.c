/* SPDX-License-Identifier: Apache-2.0 */
/* Isolation against a world whose truth is known: scenarios, then outages by the hundred. docs/adr/0003-isolation.md */
#include "isolation_world.h"

#define LONG_OUTAGE (12 * SECOND)

static int64_t start_of(const world *w)
{
    return w->now;
}

static const char *describe(const world_probe *p)
{
    static char text[256];
    snprintf(text, sizeof text,
             "target %zu, sent at %.3f s in an outage of %.3f s: outcome %s, %u deliveries, at %.3f s", p->target,
             (double)(p->sent - 1000 * SECOND) / 1e9, (double)p->outage / 1e9, meshping_outcome_name(p->outcome),
             p->deliveries, (double)(p->decided - 1000 * SECOND) / 1e9);
    return text;
}

/* Every sample came out exactly once, and replies as replies. */
static void assert_all_delivered(const world *w)
{
    assert_true(w->probe_count > 0);
    for (size_t i = 0; i < w->probe_count; i++) {
        const world_probe *p = &w->probes[i];
        if (p->deliveries != 1 || (p->outcome == MESHPING_OUTCOME_OK) != (p->truth == ANSWERED))
            fail_msg("%s", describe(p));
    }
}

static size_t count(const world *w, world_truth truth, meshping_outcome outcome)
{
    size_t found = 0;
    for (size_t i = 0; i < w->probe_count; i++)
        found += w->probes[i].truth == truth && w->probes[i].outcome == outcome;
    return found;
}

static int64_t longest_wait(const world *w, world_truth truth)
{
    int64_t longest = 0;
    for (size_t i = 0; i < w->probe_count; i++)
        if (w->probes[i].truth == truth && w->probes[i].decided - w->probes[i].sent - TIMEOUT > longest)
            longest = w->probes[i].decided - w->probes[i].sent - TIMEOUT;
    return longest;
}

static void test_an_agent_cut_off_for_a_minute_blames_itself_for_every_miss_once(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world *w = world_new(seed, 1 + seed % 8, 240 * SECOND);
        int64_t from = start_of(w) + 60 * SECOND;
        span_add(&w->outages, from, from + 60 * SECOND);
        world_run(w);
        assert_all_delivered(w);
        assert_int_equal(count(w, SENT_IN_OUTAGE, MESHPING_OUTCOME_TIMEOUT), 0);
        assert_int_equal(count(w, SENT_IN_OUTAGE, MESHPING_OUTCOME_ISOLATED), 12 * w->target_count);
        assert_true(w->alive); /* and the session, dead after 15 s, is back */
        assert_false(meshping_isolation_isolated(w->isolation));
        world_free(w);
    }
}

static void test_one_target_of_several_down_is_believed_at_once(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world *w = world_new(seed, 8, 180 * SECOND);
        span_add(&w->targets[3].down, start_of(w) + 30 * SECOND, INT64_MAX);
        for (size_t i = 0; i < 8; i++)
            w->targets[i].phase = (int64_t)i * INTERVAL / 8; /* spread, as the schedule does */
        world_run(w);
        assert_all_delivered(w);
        assert_int_equal(count(w, TARGET_LOST, MESHPING_OUTCOME_ISOLATED), 0);
        assert_true(count(w, TARGET_LOST, MESHPING_OUTCOME_TIMEOUT) >= 17);
        assert_int_equal(longest_wait(w, TARGET_LOST), 0);
        world_free(w);
    }
}

static void test_a_single_target_down_fails_within_the_servers_answer(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        world *w = world_new(seed, 1, 180 * SECOND);
        w->server_rtt = 20 * MS;
        span_add(&w->targets[0].down, start_of(w) + 30 * SECOND, INT64_MAX);
        world_run(w);
        assert_all_delivered(w);
        assert_int_equal(count(w, TARGET_LOST, MESHPING_OUTCOME_ISOLATED), 0);
        assert_true(longest_wait(w, TARGET_LOST) <= 25 * MS);
        world_free(w);
    }
}

static void test_no_server_and_the_targets_fine_one_down_fails(void **unused)
{
    (void)unused;
    for (int frozen = 0; frozen < 2; frozen++) {
        for (uint64_t seed = 1; seed <= 40; seed++) {
            world *w = world_new(seed, 3 + seed % 6, 300 * SECOND);
            int64_t start = start_of(w);
            for (size_t i = 0; i < w->target_count; i++)
                w->targets[i].phase = (int64_t)i * INTERVAL / (int64_t)w->target_count;
            span_add(frozen ? &w->server_frozen : &w->server_killed, start + 60 * SECOND, start + 180 * SECOND);
            span_add(&w->targets[1].down, start + 30 * SECOND, INT64_MAX);
            world_run(w);
            assert_all_delivered(w);
            assert_int_equal(count(w, TARGET_LOST, MESHPING_OUTCOME_ISOLATED), 0);
            assert_true(count(w, TARGET_LOST, MESHPING_OUTCOME_TIMEOUT) >= 40);
            world_free(w);
        }
    }
}

/* Own addresses answer whatever the link does. */
static void test_own_addresses_answer_and_prove_nothing(void **unused)
{
    (void)unused;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        world *w = world_new(seed, 4, 240 * SECOND);
        w->targets[0].loopback = w->targets[1].loopback = true;
        int64_t from = start_of(w) + 60 * SECOND;
        span_add(&w->outages, from, from + 60 * SECOND);
        world_run(w);
        assert_all_delivered(w);
        assert_int_equal(count(w, SENT_IN_OUTAGE, MESHPING_OUTCOME_TIMEOUT), 0);
        assert_int_equal(count(w, SENT_IN_OUTAGE, MESHPING_OUTCOME_ISOLATED), 24);
        world_free(w);
    }
}

/* ---- at random ---- */

static void add_spans(world *w, spans *to, size_t most, int64_t shortest, int64_t longest)
{
    int64_t at = w->now + 30 * SECOND;
    for (size_t n = (size_t)world_random(w, most + 1); n; n--) {
        int64_t length = shortest;
        while (length < longest && world_random(w, 5)) /* short ones more often */
            length += length / 2;
        length += (int64_t)world_random(w, (uint64_t)shortest);
        at += (int64_t)world_random(w, 90 * SECOND);
        if (at + length > w->end - 120 * SECOND)
            return;
        span_add(to, at, at + length);
        at += length + 1;
    }
}

static const size_t most_targets[] = {3, 24, TARGETS_MAX};
#define SIZES (sizeof most_targets / sizeof *most_targets)

static world *random_world(uint64_t seed, size_t *size)
{
    world *w = world_new(seed, 1, 900 * SECOND);
    uint64_t drawn = world_random(w, 8);
    *size = drawn < 4 ? 0 : drawn < 7 ? 1 : 2;
    w->target_count = *size == 2 ? TARGETS_MAX : 1 + (size_t)world_random(w, most_targets[*size]);
    w->server_rtt = MS / 5 + (int64_t)world_random(w, 300 * MS);
    unsigned lossy = world_random(w, 3) ? 0 : (unsigned)world_random(w, 200);
    uint64_t site = world_random(w, 3) ? 0 : 1 + world_random(w, 10); /* so many tenths of the targets stand together */
    for (size_t i = 0; i < w->target_count; i++) {
        world_target *target = &w->targets[i];
        target->rtt = MS / 10 + (int64_t)world_random(w, 250 * MS);
        target->jitter = 1 + (int64_t)world_random(w, 50 * MS);
        target->phase = (int64_t)world_random(w, INTERVAL);
        target->loss_permille = lossy;
        target->at_site = world_random(w, 11) < site;
        if (world_random(w, 3) == 0)
            add_spans(w, &target->down, 4, 5 * SECOND, 120 * SECOND);
    }
    if (site)
        add_spans(w, &w->site_down, 4, 2 * SECOND, 60 * SECOND);
    else
        add_spans(w, &w->outages, 8, 500 * MS, 100 * SECOND);
    for (size_t i = 0; i < w->outages.count; i++)
        w->outages.items[i].seen = world_random(w, 2);
    if (world_random(w, 4) == 0)
        add_spans(w, &w->server_killed, 3, 5 * SECOND, 90 * SECOND);
    if (world_random(w, 4) == 0)
        add_spans(w, &w->server_frozen, 2, 2 * SECOND, 60 * SECOND);
    return w;
}

typedef struct rate {
    size_t isolated, failed;
} rate;

#define OUTAGES 6 /* classes of their length */

typedef struct rates {
    rate unseen[SIZES][OUTAGES], seen, cut, site[SIZES], lost, lost_in_peace;
} rates;

static void add_rate(rate *sum, const world_probe *p)
{
    sum->isolated += p->outcome == MESHPING_OUTCOME_ISOLATED;
    sum->failed += p->outcome != MESHPING_OUTCOME_ISOLATED;
}

static void print_rate(const char *what, const rate *sum, bool failed)
{
    size_t all = sum->isolated + sum->failed, wrong = failed ? sum->failed : sum->isolated;
    printf("  %-52s %8zu misses, %6.3f %% taken for %s\n", what, all, all ? 100.0 * (double)wrong / (double)all : 0.0,
           failed ? "the target's" : "the agent's own");
}

static size_t length_class(int64_t outage)
{
    static const int64_t bounds[OUTAGES] = {2, 3, 5, 8, 12, INT64_MAX / SECOND};
    size_t k = 0;
    while (k < OUTAGES - 1 && outage > bounds[k] * SECOND)
        k++;
    return k;
}

static void count_world(rates *sums, const world *w, size_t size, uint64_t seed)
{
    bool peace = !w->outages.count && !w->server_killed.count && !w->server_frozen.count && !w->site_down.count;
    for (size_t i = 0; i < w->probe_count; i++) {
        const world_probe *p = &w->probes[i];
        if (p->outage > LONG_OUTAGE && p->outcome != MESHPING_OUTCOME_ISOLATED)
            printf("  MESHPING_TEST_SEED=%llu MESHPING_TEST_RUNS=1: %s\n", (unsigned long long)seed, describe(p));
        if (p->truth == SENT_IN_OUTAGE)
            add_rate(p->seen ? &sums->seen : &sums->unseen[size][length_class(p->outage)], p);
        else if (p->truth == REPLY_CUT)
            add_rate(&sums->cut, p);
        else if (p->truth == TARGET_LOST)
            add_rate(p->site_down ? &sums->site[size] : peace ? &sums->lost_in_peace : &sums->lost, p);
    }
}

static void print_rates(const rates *sums)
{
    static const char *const lengths[OUTAGES] = {"up to 2 s", "2 to 3 s",  "3 to 5 s",
                                                 "5 to 8 s",  "8 to 12 s", "over 12 s"};
    char what[80];
    print_rate("sent in an outage that the kernel knows of", &sums->seen, true);
    for (size_t size = 0; size < SIZES; size++)
        for (size_t k = 0; k < OUTAGES; k++) {
            snprintf(what, sizeof what, "in another, of %s, with up to %zu targets", lengths[k], most_targets[size]);
            print_rate(what, &sums->unseen[size][k], true);
        }
    print_rate("the reply came in an outage", &sums->cut, true);
    for (size_t size = 0; size < SIZES; size++) {
        snprintf(what, sizeof what, "lost by many targets at once, of up to %zu", most_targets[size]);
        print_rate(what, &sums->site[size], false);
    }
    print_rate("lost by a target, outages and server trouble", &sums->lost, false);
    print_rate("lost by a target, nothing else wrong", &sums->lost_in_peace, false);
}

static void test_outages_by_the_hundred(void **unused)
{
    (void)unused;
    const char *text = getenv("MESHPING_TEST_SEED"), *runs = getenv("MESHPING_TEST_RUNS");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 20261123, last = seed + (runs ? strtoull(runs, NULL, 10) : 400);
    rates sums = {0};
    for (; seed < last; seed++) {
        size_t size;
        world *w = random_world(seed * 1000003, &size);
        world_run(w);
        assert_all_delivered(w);
        count_world(&sums, w, size, seed);
        world_free(w);
    }
    print_rates(&sums);
    assert_int_equal(sums.seen.failed, 0);
    assert_true(sums.seen.isolated > 1000);
    for (size_t size = 0; size < SIZES; size++) {
        assert_int_equal(sums.unseen[size][OUTAGES - 1].failed, 0);
        assert_true(sums.unseen[size][OUTAGES - 1].isolated > 1000);
    }
    rate brief = {0}; /* with many targets, short outages are told from loss as well */
    for (size_t k = 0; k < OUTAGES - 1; k++) {
        brief.failed += sums.unseen[2][k].failed;
        brief.isolated += sums.unseen[2][k].isolated;
    }
    assert_true(brief.isolated > 1000 && brief.failed * 4 < brief.isolated);
    assert_int_equal(sums.lost_in_peace.isolated, 0);
    assert_true(sums.lost_in_peace.failed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_agent_cut_off_for_a_minute_blames_itself_for_every_miss_once),
        cmocka_unit_test(test_one_target_of_several_down_is_believed_at_once),
        cmocka_unit_test(test_a_single_target_down_fails_within_the_servers_answer),
        cmocka_unit_test(test_no_server_and_the_targets_fine_one_down_fails),
        cmocka_unit_test(test_own_addresses_answer_and_prove_nothing),
        cmocka_unit_test(test_outages_by_the_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
