/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries over any length of time against a list of all that was ever stored: whatever is sealed, rolled up, expired or
 * late, each sample counts once.
 */
#include "store_fixture.h"

#include <meshping/maintain.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define START (INT64_C(19675) * DAY) /* a midnight */
#define AGENTS 3
#define MODEL_MAX 60000

static uint64_t dice = 20261124;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

static const uint64_t agent_ids[AGENTS] = {AGENT, 7, 4711};
static const uint64_t target_ids[] = {1, 2, 31, 32, 33, 1000, 1u << 20};
#define TARGETS (sizeof target_ids / sizeof target_ids[0])

typedef struct entry {
    uint64_t agent_id, target_id;
    meshping_sample sample;
} entry;

/* All that was ever acknowledged. */
static entry model[MODEL_MAX];
static size_t model_count;
static uint64_t sequences[AGENTS];

static meshping_sample any_sample(int64_t slot_us)
{
    static const uint8_t outcomes[] = {MESHPING_OUTCOME_TIMEOUT, MESHPING_OUTCOME_UNREACHABLE,
                                       MESHPING_OUTCOME_SEND_ERROR, MESHPING_OUTCOME_ISOLATED};
    if (roll(10) == 0)
        return (meshping_sample){.slot_unix_us = slot_us, .outcome = outcomes[roll(4)]};
    return (meshping_sample){.slot_unix_us = slot_us, .rtt_us = (uint32_t)(roll(1u << 20) >> roll(12))};
}

static size_t model_find(uint64_t agent_id, uint64_t target_id, int64_t slot_us)
{
    for (size_t i = 0; i < model_count; i++)
        if (model[i].sample.slot_unix_us == slot_us && model[i].agent_id == agent_id && model[i].target_id == target_id)
            return i;
    return SIZE_MAX;
}

/* One block of an agent: `rounds` slots from first_us on, of each target with one chance in two. */
static void store_some(fixture *f, unsigned agent, int64_t first_us, unsigned rounds, int64_t received_us)
{
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    size_t length;
    outcome o = {0};
    meshping_error err = {0};
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (size_t t = 0; t < TARGETS; t++)
        for (unsigned i = 0; i < rounds; i++) {
            if (roll(2) || model_count == MODEL_MAX)
                continue;
            meshping_sample sample = any_sample(first_us + (int64_t)i * 60 * SECOND + (int64_t)t * SECOND);
            assert_int_equal(meshping_block_builder_add(builder, target_ids[t], &sample), MESHPING_OK);
            /* of one slot in two blocks the one stored first counts */
            if (model_find(agent_ids[agent], target_ids[t], sample.slot_unix_us) == SIZE_MAX)
                model[model_count++] = (entry){agent_ids[agent], target_ids[t], sample};
        }
    if (meshping_block_builder_count(builder)) {
        assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
        meshping_block_write write = {.agent_id = agent_ids[agent],
                                      .epoch = EPOCH,
                                      .sequence = ++sequences[agent],
                                      .bytes = bytes,
                                      .length = length,
                                      .received_unix_us = received_us};
        if (meshping_store_submit_block(f->store, &write, on_done, &o, &err) != MESHPING_OK)
            fail_msg("%s", err.message);
        wait_done(f->store, &o, 1);
        assert_true(o.status == MESHPING_OK && o.stored);
    }
    meshping_block_builder_free(builder);
}

static meshping_rollup model_sum(uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us)
{
    meshping_rollup sum = {0};
    for (size_t i = 0; i < model_count; i++)
        if ((!agent_id || model[i].agent_id == agent_id) && (!target_id || model[i].target_id == target_id) &&
            model[i].sample.slot_unix_us >= from_us && model[i].sample.slot_unix_us < to_us)
            meshping_rollup_add(&sum, &model[i].sample);
    return sum;
}

static void assert_point(const meshping_point *point, const meshping_rollup *sum)
{
    assert_memory_equal(point->counts, sum->counts, sizeof sum->counts);
    assert_int_equal(point->sum_us, sum->sum_us);
    assert_int_equal(point->min_us, sum->min_us);
    assert_int_equal(point->max_us, sum->max_us);
    assert_int_equal(point->p50_us, meshping_rollup_percentile(sum, 500));
    assert_int_equal(point->p99_us, meshping_rollup_percentile(sum, 990));
}

/* Returns how many points are of a whole hour though a shorter step was asked for. */
static size_t check_points(fixture *f, uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us,
                           size_t most)
{
    meshping_point *points = NULL;
    size_t count, whole_hours = 0;
    int64_t step_us;
    uint64_t told = 0;
    meshping_error err = {0};
    if (meshping_store_points(f->store, agent_id, target_id, from_us, to_us, most, &points, &count, &step_us, &err) !=
        MESHPING_OK)
        fail_msg("%s", err.message);
    assert_int_equal(step_us, meshping_points_step(from_us, to_us, most));
    assert_true(count <= most);
    int64_t low_us = from_us / step_us * step_us, high_us = (to_us + step_us - 1) / step_us * step_us;
    for (size_t i = 0; i < count; i++) {
        const meshping_point *point = &points[i];
        int64_t width_us = point->to_us - point->from_us;
        assert_true(i == 0 || point->from_us >= points[i - 1].to_us);
        assert_true(width_us == step_us || (step_us < HOUR && width_us == HOUR));
        assert_int_equal(point->from_us % width_us, 0);
        whole_hours += width_us > step_us;
        meshping_rollup sum = model_sum(agent_id, target_id, point->from_us, point->to_us);
        assert_point(point, &sum);
        for (size_t k = 0; k < MESHPING_OUTCOME_COUNT; k++)
            told += point->counts[k];
        if (point->from_us < low_us)
            low_us = point->from_us;
        if (point->to_us > high_us)
            high_us = point->to_us;
    }
    meshping_rollup all = model_sum(agent_id, target_id, low_us, high_us);
    uint64_t stored = 0;
    for (size_t k = 0; k < MESHPING_OUTCOME_COUNT; k++)
        stored += all.counts[k];
    assert_int_equal(told, stored); /* none between the points */
    meshping_free(points);
    return whole_hours;
}

/* What of the hours at both ends was answered by raw samples: 0, 1 or 2 ends. An end is as asked, or a whole hour. */
static int check_group(fixture *f, const meshping_pair *pairs, size_t count, int64_t asked_from_us, int64_t asked_to_us)
{
    static meshping_rollup told, sum;
    meshping_error err = {0};
    int64_t from_us = asked_from_us, to_us = asked_to_us;
    memset(&sum, 0, sizeof sum);
    if (meshping_store_group(f->store, pairs, count, &from_us, &to_us, &told, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    assert_true(from_us == asked_from_us || from_us == asked_from_us / HOUR * HOUR);
    assert_true(to_us == asked_to_us || to_us == (asked_to_us + HOUR - 1) / HOUR * HOUR);
    for (size_t i = 0; i < model_count; i++) {
        bool in = false;
        for (size_t k = 0; k < count && !in; k++)
            in = (!pairs[k].agent_id || pairs[k].agent_id == model[i].agent_id) &&
                 (!pairs[k].target_id || pairs[k].target_id == model[i].target_id);
        if (in && model[i].sample.slot_unix_us >= from_us && model[i].sample.slot_unix_us < to_us)
            meshping_rollup_add(&sum, &model[i].sample);
    }
    assert_memory_equal(&told, &sum, sizeof sum);
    return (from_us == asked_from_us) + (to_us == asked_to_us);
}

/* Nothing is missing: every end is as asked. */
static void check_exact(fixture *f, const meshping_pair *pairs, size_t count, int64_t from_us, int64_t to_us)
{
    assert_int_equal(check_group(f, pairs, count, from_us, to_us), 2);
}

static void check_groups(fixture *f, int64_t from_us, int64_t to_us)
{
    const meshping_pair all[] = {{0, 0}}, agent[] = {{agent_ids[1], 0}}, target[] = {{0, target_ids[2]}};
    const meshping_pair mixed[] = {{agent_ids[0], 0},
                                   {0, target_ids[3]},
                                   {agent_ids[0], target_ids[3]},
                                   {agent_ids[2], target_ids[0]},
                                   {0, target_ids[3]},
                                   {99, 99}};
    const meshping_pair everything[] = {{agent_ids[0], target_ids[0]}, {0, 0}, {agent_ids[1], 0}, {0, target_ids[1]}};
    check_exact(f, all, 1, from_us, to_us);
    check_exact(f, agent, 1, from_us, to_us);
    check_exact(f, target, 1, from_us, to_us);
    check_exact(f, mixed, 6, from_us, to_us);
    check_exact(f, everything, 4, from_us, to_us);
}

static double badness(const meshping_rollup *sum, unsigned permille)
{
    double lost = (double)meshping_rollup_count(sum, MESHPING_CLASS_FAIL);
    if (permille)
        return sum->counts[0] ? (double)meshping_rollup_percentile(sum, permille) : -1;
    return lost > 0 ? lost / (lost + (double)sum->counts[0]) : -1;
}

static void check_worst(fixture *f, unsigned permille, int64_t from_us, int64_t to_us, size_t limit)
{
    meshping_pair_point *worst = NULL;
    size_t count, candidates = 0, above = 0;
    double last = 1e300;
    meshping_error err = {0};
    from_us = from_us / HOUR * HOUR;
    to_us = (to_us + HOUR - 1) / HOUR * HOUR;
    if (meshping_store_worst(f->store, permille, from_us, to_us, limit, &worst, &count, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < count; i++) {
        meshping_rollup sum = model_sum(worst[i].agent_id, worst[i].target_id, from_us, to_us);
        assert_point(&worst[i].point, &sum);
        assert_int_equal(worst[i].point.from_us, from_us);
        assert_int_equal(worst[i].point.to_us, to_us);
        assert_true(badness(&sum, permille) >= 0 && badness(&sum, permille) <= last);
        last = badness(&sum, permille);
    }
    for (unsigned a = 0; a < AGENTS; a++)
        for (size_t t = 0; t < TARGETS; t++) {
            meshping_rollup sum = model_sum(agent_ids[a], target_ids[t], from_us, to_us);
            candidates += badness(&sum, permille) >= 0;
            above += badness(&sum, permille) > last;
        }
    assert_int_equal(count, candidates < limit ? candidates : limit);
    assert_true(above < limit); /* nobody worse was left out */
    meshping_free(worst);
}

static void check_last(fixture *f, uint64_t agent_id, int64_t since_us)
{
    meshping_pair_sample *last = NULL;
    size_t count, pairs = 0;
    assert_int_equal(meshping_store_last(f->store, agent_id, since_us, &last, &count, NULL), MESHPING_OK);
    for (size_t i = 0; i < count; i++) {
        int64_t newest_us = INT64_MIN;
        for (size_t k = 0; k < model_count; k++)
            if (model[k].agent_id == last[i].agent_id && model[k].target_id == last[i].target_id &&
                model[k].sample.slot_unix_us > newest_us)
                newest_us = model[k].sample.slot_unix_us;
        assert_int_equal(last[i].sample.slot_unix_us, newest_us);
        assert_true(i == 0 || last[i - 1].agent_id < last[i].agent_id || last[i - 1].target_id < last[i].target_id);
    }
    for (unsigned a = 0; a < AGENTS; a++)
        for (size_t t = 0; t < TARGETS; t++) {
            meshping_rollup sum = model_sum(agent_ids[a], target_ids[t], since_us, INT64_MAX);
            uint64_t any = 0;
            for (size_t k = 0; k < MESHPING_OUTCOME_COUNT; k++)
                any += sum.counts[k];
            pairs += any && (!agent_id || agent_id == agent_ids[a]);
        }
    assert_int_equal(count, pairs);
    meshping_free(last);
}

static void begin(fixture *f)
{
    model_count = 0;
    memset(sequences, 0, sizeof sequences);
    for (unsigned a = 0; a < AGENTS; a++)
        add_agent(f->store, agent_ids[a], MESHPING_AGENT_APPROVED);
}

static void check_all(fixture *f, int64_t now_us)
{
    int64_t from_us = START + (int64_t)roll((uint64_t)(now_us - START)), to_us = from_us + 1 + (int64_t)roll(DAY);
    static const size_t mosts[] = {2, 10, 48, 500, 5000};
    uint64_t agent_id = agent_ids[roll(AGENTS)], target_id = target_ids[roll(TARGETS)];
    check_points(f, agent_id, target_id, from_us, to_us, mosts[roll(5)]);
    check_points(f, agent_id, target_id, START - DAY, now_us + DAY, 2 + (size_t)roll(200));
    check_points(f, agent_id, target_id, START, now_us + 1, 4000);
    check_groups(f, from_us, to_us);
    check_groups(f, from_us, from_us + 1 + (int64_t)roll((uint64_t)HOUR));
    check_groups(f, from_us / HOUR * HOUR, to_us);
    check_groups(f, from_us, (to_us + HOUR) / HOUR * HOUR);
    check_groups(f, START - DAY, now_us + DAY);
    check_worst(f, 0, from_us, to_us, 1 + (size_t)roll(30));
    check_worst(f, 950, from_us, to_us, 1 + (size_t)roll(30));
    check_worst(f, 0, START, now_us + 1, 1000);
}

static void test_every_sample_counts_once_wherever_it_is(void **state)
{
    fixture *f = *state;
    begin(f);
    int64_t now_us = START + HOUR;
    for (int i = 0; i < 120; i++) {
        unsigned agent = (unsigned)roll(AGENTS);
        now_us += (int64_t)roll(20 * 60) * SECOND;
        /* live, a backlog, or much too late: into hours that are rolled up already, slots that are there already */
        int64_t first_us = roll(4) ? now_us - 10 * 60 * SECOND : START + (int64_t)roll((uint64_t)(now_us - START));
        store_some(f, agent, first_us / (60 * SECOND) * (60 * SECOND), 10 + (unsigned)roll(20), now_us);
        if (roll(3) == 0)
            seal_now(f, now_us - (int64_t)roll(120 * 60) * SECOND, HOUR);
        if (roll(5) == 0)
            check_all(f, now_us);
        if (roll(20) == 0)
            fixture_reopen(f);
    }
    for (unsigned a = 0; a < AGENTS; a++)
        check_last(f, agent_ids[a], START);
    check_last(f, 0, START);
    check_last(f, 0, now_us - HOUR);
    seal_now(f, END, HOUR);
    check_all(f, now_us);
    check_last(f, 0, START);
    check_last(f, 0, now_us + DAY);
}

static void test_raw_samples_go_and_their_hours_stay(void **state)
{
    fixture *f = *state;
    size_t deleted, all = 0;
    begin(f);
    int64_t now_us = START;
    for (int i = 0; i < 40; i++, now_us += 20 * 60 * SECOND) {
        store_some(f, 0, now_us, 20, now_us + 20 * 60 * SECOND);
        if (i % 3 == 2 && i < 36)
            seal_now(f, now_us + HOUR, DAY);
    }
    assert_int_equal(check_points(f, AGENT, 1, START, now_us, 50000), 0);
    for (int64_t before_us = START + 3 * HOUR; before_us < now_us; before_us += 3 * HOUR) {
        assert_int_equal(meshping_store_expire(f->store, before_us, 1000, &deleted, NULL), MESHPING_OK);
        all += deleted;
        assert_true(check_points(f, AGENT, 1, START, now_us, 50000) > 0); /* in whole hours now */
        assert_int_equal(check_points(f, AGENT, 33, START, now_us, 20), 0);
        check_groups(f, START, now_us);
        const meshping_pair any = {0, 0}, one = {AGENT, 33};
        int64_t gone_us = before_us - 2 * HOUR + 7 * 60 * SECOND, there_us = now_us - 50 * 60 * SECOND;
        assert_int_equal(check_group(f, &any, 1, gone_us, there_us), 1); /* one end by raw samples, one a whole hour */
        assert_int_equal(check_group(f, &one, 1, gone_us, gone_us + 60 * SECOND), 0);
        assert_int_equal(check_group(f, &one, 1, gone_us - HOUR, gone_us), 0);
        assert_int_equal(check_group(f, &one, 1, there_us - 60 * SECOND, there_us), 2);
        check_worst(f, 990, START, now_us, 5);
    }
    assert_true(all > 0);
    check_last(f, 0, now_us - HOUR);
}

static void test_nothing_asked_for_nothing_there(void **state)
{
    fixture *f = *state;
    meshping_point *points = NULL;
    meshping_pair_point *worst = NULL;
    meshping_pair_sample *last = NULL;
    static meshping_rollup sum;
    const meshping_pair pair = {AGENT, 1};
    size_t count;
    int64_t step_us;
    begin(f);
    check_points(f, AGENT, 1, START, START + DAY, 100);
    check_exact(f, &pair, 1, START, START + DAY);
    check_exact(f, &pair, 1, START + 1, START + 2);
    check_worst(f, 0, START, START + DAY, 10);
    check_last(f, 0, 0);
    assert_int_equal(meshping_store_points(f->store, AGENT, 1, DAY, DAY, 100, &points, &count, &step_us, NULL),
                     MESHPING_INVALID);
    assert_int_equal(meshping_store_points(f->store, AGENT, 1, 0, DAY, 1, &points, &count, &step_us, NULL),
                     MESHPING_INVALID);
    int64_t from_us = 0, to_us = DAY;
    assert_int_equal(meshping_store_group(f->store, &pair, 0, &from_us, &to_us, &sum, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_group(f->store, &pair, 1, &to_us, &from_us, &sum, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_worst(f->store, 1001, 0, DAY, 1, &worst, &count, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_worst(f->store, 0, 0, DAY, 0, &worst, &count, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_worst(f->store, 0, 0, DAY, 1001, &worst, &count, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_last(f->store, 99, 0, &last, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_null(last);
}

static meshping_status count_scanned(void *user, uint64_t target_id, const meshping_sample *samples, size_t count)
{
    size_t *all = user;
    assert_int_equal(target_id, 1);
    assert_true(count > 0 && samples[0].slot_unix_us < samples[count - 1].slot_unix_us);
    *all += count;
    return MESHPING_OK;
}

static void test_a_scan_of_all_time_takes_a_clock_from_before_1970(void **state)
{
    static const int64_t first_us[] = {-DAY, T0};
    fixture *f = *state;
    size_t length, all = 0;
    outcome o = {0};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (uint64_t i = 0; i < 2; i++) {
        uint8_t *bytes = make_block(first_us[i], 10, 1, &length);
        submit_bytes(f->store, i + 1, bytes, length, T0, &o);
    }
    wait_done(f->store, &o, 2);
    assert_int_equal(o.acked, 2);
    assert_int_equal(meshping_store_scan(f->store, AGENT, INT64_MIN, INT64_MAX, count_scanned, NULL, &all, NULL),
                     MESHPING_OK);
    assert_int_equal(all, 20);
}

int main(void)
{
    print_message("seed %llu\n", (unsigned long long)dice);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_sample_counts_once_wherever_it_is),
        T(test_raw_samples_go_and_their_hours_stay),
        T(test_nothing_asked_for_nothing_there),
        T(test_a_scan_of_all_time_takes_a_clock_from_before_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
