/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks, gaps, ranges and samples, through the store's public interface only. */
#include "store_fixture.h"

static void test_a_stored_block_comes_back_sample_by_sample(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = store_block(f->store, 1);
    assert_int_equal(o.status, MESHPING_OK);
    assert_true(o.stored);
    assert_true(o.had_bytes);
    assert_int_equal(o.range_count, 1);
    assert_range(&o.ranges[0], 1, 1);
    fixture_reopen(f);
    meshping_sample *samples = NULL;
    size_t count;
    assert_int_equal(pair_samples(f->store, AGENT, 2, 0, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_int_equal(samples[0].slot_unix_us, T0 + 2 * STEP);
    assert_int_equal(samples[0].rtt_us, 2000);
    assert_int_equal(samples[1].slot_unix_us, T0 + 3 * STEP);
    assert_int_equal(samples[1].rtt_us, 2001);
    meshping_free(samples);
    assert_int_equal(pair_samples(f->store, AGENT, 4, 0, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_null(samples);
    assert_int_equal(pair_samples(f->store, AGENT + 1, 2, 0, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 0);
}

static void test_a_sequence_is_stored_once(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    submit(f->store, 1, &o); /* twice in one group */
    submit(f->store, 1, &o);
    wait_done(f->store, &o, 2);
    assert_int_equal(o.status, MESHPING_OK);
    assert_false(o.stored);
    o = store_block(f->store, 1); /* and later */
    assert_int_equal(o.status, MESHPING_OK);
    assert_false(o.stored);
    assert_int_equal(o.range_count, 1);
    fixture_reopen(f);
    o = store_block(f->store, 1); /* and after a restart */
    assert_false(o.stored);
    assert_int_equal(sample_count(f->store, 1), 2);
    meshping_store_stats stats;
    meshping_store_get_stats(f->store, &stats);
    assert_int_equal(stats.duplicates, 1);
    assert_int_equal(stats.blocks_written, 0);
}

static void test_one_epoch_is_not_another(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_block(f->store, 5);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count = 9;
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH + 1, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    size_t length;
    uint8_t *bytes = make_block(T0, 1, 1, &length);
    outcome o = {0};
    meshping_block_write write = {
        .agent_id = AGENT, .epoch = EPOCH + 1, .sequence = 5, .bytes = bytes, .length = length, .received_unix_us = T0};
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, NULL), MESHPING_OK);
    wait_done(f->store, &o, 1);
    assert_true(o.stored);
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH + 1, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 5, 5);
}

static void test_ranges_join_whatever_the_order(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_block(f->store, 5);
    store_block(f->store, 1);
    outcome o = store_block(f->store, 3);
    assert_int_equal(o.range_count, 3);
    assert_range(&o.ranges[0], 1, 1);
    assert_range(&o.ranges[1], 3, 3);
    assert_range(&o.ranges[2], 5, 5);
    o = store_block(f->store, 2);
    assert_int_equal(o.range_count, 2);
    assert_range(&o.ranges[0], 1, 3);
    o = store_block(f->store, 6);
    assert_range(&o.ranges[1], 5, 6);
    o = store_block(f->store, 4);
    assert_int_equal(o.range_count, 1);
    assert_range(&o.ranges[0], 1, 6);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    fixture_reopen(f);
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 1, 6);
}

static void test_a_33rd_range_is_refused_and_the_others_stay(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    for (uint64_t i = 0; i < MESHPING_RANGES_MAX; i++)
        submit(f->store, 1 + 2 * i, &o);
    wait_done(f->store, &o, MESHPING_RANGES_MAX);
    assert_int_equal(o.status, MESHPING_OK);
    assert_int_equal(o.range_count, MESHPING_RANGES_MAX);
    o = store_block(f->store, 2 * MESHPING_RANGES_MAX + 1);
    assert_int_equal(o.status, MESHPING_LIMIT);
    assert_false(o.stored);
    assert_true(strlen(o.error) > 10);
    assert_int_equal(o.range_count, MESHPING_RANGES_MAX);
    o = store_block(f->store, 2); /* the lowest joins two, and makes room */
    assert_int_equal(o.status, MESHPING_OK);
    assert_int_equal(o.range_count, MESHPING_RANGES_MAX - 1);
    o = store_block(f->store, 2 * MESHPING_RANGES_MAX + 1);
    assert_int_equal(o.status, MESHPING_OK);
    assert_int_equal(sample_count(f->store, 1), 2 * (MESHPING_RANGES_MAX + 2));
}

static void test_only_approved_and_held_agents_store(void **state)
{
    fixture *f = *state;
    outcome o = store_block(f->store, 1);
    assert_int_equal(o.status, MESHPING_STATE); /* nobody knows it */
    meshping_agent_record record = add_agent(f->store, AGENT, MESHPING_AGENT_PENDING);
    static const meshping_agent_state states[] = {MESHPING_AGENT_PENDING, MESHPING_AGENT_APPROVED, MESHPING_AGENT_HOLD,
                                                  MESHPING_AGENT_BLACKLISTED};
    for (uint64_t i = 0; i < 4; i++) {
        record.state = states[i];
        assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
        o = store_block(f->store, 1 + i);
        bool may = states[i] == MESHPING_AGENT_APPROVED || states[i] == MESHPING_AGENT_HOLD;
        assert_int_equal(o.status, may ? MESHPING_OK : MESHPING_STATE);
        assert_int_equal(o.stored, may);
        if (!may)
            assert_non_null(strstr(o.error, "approved"));
    }
    assert_int_equal(sample_count(f->store, 1), 2); /* what came on hold is kept apart */
}

static void test_what_is_no_block_is_refused_at_the_door(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    outcome o = {0};
    size_t length;
    uint8_t *bytes = make_block(T0, 3, 3, &length);
    meshping_block_write write = {.agent_id = AGENT, .epoch = 1, .sequence = 1, .bytes = bytes, .length = length};
    bytes[length / 2] ^= 1;
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, &err), MESHPING_CORRUPT);
    assert_true(strlen(err.message) > 10);
    bytes[length / 2] ^= 1;
    write.length--;
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, &err), MESHPING_CORRUPT);
    write.length++;
    write.sequence = 0;
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, &err), MESHPING_INVALID);
    write.sequence = 1;
    write.epoch = 0;
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, &err), MESHPING_INVALID);
    assert_int_equal(o.calls, 0);
    meshping_free(bytes); /* was never taken */
}

static void test_a_full_queue_says_so_and_recovers(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    meshping_store_close(f->store);
    meshping_store_options options;
    meshping_store_options_init(&options);
    options.path = f->path;
    options.queue_bytes_max = 20000;
    assert_int_equal(meshping_store_open(&f->store, &options, NULL), MESHPING_OK);
    outcome o = {0};
    int taken = 0;
    meshping_status status;
    meshping_error err = {0};
    do {
        size_t length;
        uint8_t *bytes = make_block(T0, 100, 10, &length);
        meshping_block_write write = {.agent_id = AGENT,
                                      .epoch = EPOCH,
                                      .sequence = (uint64_t)taken + 1,
                                      .bytes = bytes,
                                      .length = length,
                                      .received_unix_us = T0};
        status = meshping_store_submit_block(f->store, &write, on_done, &o, &err);
        if (status == MESHPING_OK)
            taken++;
        else
            meshping_free(bytes);
    } while (status == MESHPING_OK);
    assert_int_equal(status, MESHPING_LIMIT);
    assert_in_range(taken, 2, 20);
    meshping_store_stats stats;
    meshping_store_get_stats(f->store, &stats);
    assert_in_range(stats.queued_bytes, 10000, 20000);
    wait_done(f->store, &o, taken);
    meshping_store_get_stats(f->store, &stats);
    assert_int_equal(stats.queued_bytes, 0);
    assert_int_equal(stats.blocks_written, taken);
    assert_int_equal(stats.samples_written, taken * 1000);
    assert_true(stats.file_bytes > 4096);
    assert_int_equal(store_block(f->store, 100).status, MESHPING_OK);
}

static void test_closing_commits_and_tells_what_was_queued(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    for (uint64_t i = 1; i <= 20; i++)
        submit(f->store, i, &o);
    fixture_reopen(f);
    assert_int_equal(o.calls, 20);
    assert_int_equal(o.status, MESHPING_OK);
    assert_int_equal(sample_count(f->store, 3), 40);
}

/* ---- samples ---- */

/* Closing tells the rest. */
static void test_completions_are_told_a_few_at_a_time_to_who_wants_it_so(void **state)
{
    fixture *f = *state;
    outcome o = {0};
    meshping_store_stats stats = {0};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    struct pollfd fd = {.fd = meshping_store_fd(f->store), .events = POLLIN};
    for (uint64_t i = 1; i <= 5; i++)
        submit(f->store, i, &o);
    while (stats.blocks_written < 5) {
        assert_int_equal(poll(&fd, 1, 30000), 1);
        meshping_store_get_stats(f->store, &stats);
    }
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(poll(&fd, 1, 30000), 1);
        meshping_store_process_for(f->store, 0);
        assert_int_equal(o.calls, i);
        assert_int_equal(o.sequence, i);
    }
    submit(f->store, 6, &o); /* stands behind them */
    while (o.calls < 5) {
        assert_int_equal(poll(&fd, 1, 30000), 1);
        meshping_store_process_for(f->store, 0);
    }
    assert_int_equal(o.sequence, 5);
    wait_done(f->store, &o, 6);
    assert_int_equal(poll(&fd, 1, 0), 0);
    submit(f->store, 7, &o);
    submit(f->store, 8, &o);
    assert_int_equal(poll(&fd, 1, 30000), 1);
    meshping_store_process_for(f->store, 0);
    fixture_reopen(f);
    assert_int_equal(o.calls, 8);
    assert_int_equal(o.acked, 8);
}

static void test_a_time_range_is_half_open(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    for (uint64_t i = 0; i < 10; i++)
        submit(f->store, i + 1, &o); /* slots T0 + 2 steps .. T0 + 21 steps */
    wait_done(f->store, &o, 10);
    static const struct {
        int64_t from, to;
        size_t count;
    } cases[] = {
        {T0 + 2 * STEP, T0 + 22 * STEP, 20},         {T0 + 2 * STEP, T0 + 21 * STEP, 19},
        {T0 + 2 * STEP + 1, T0 + 21 * STEP + 1, 19}, {T0 + 5 * STEP, T0 + 8 * STEP, 3},
        {T0 + 5 * STEP, T0 + 5 * STEP, 0},           {T0 + 5 * STEP, T0 + 5 * STEP + 1, 1},
        {T0 + 8 * STEP, T0 + 5 * STEP, 0},           {INT64_MIN, T0 + 2 * STEP, 0},
        {T0 + 21 * STEP + 1, INT64_MAX, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        meshping_sample *samples = NULL;
        size_t count;
        assert_int_equal(pair_samples(f->store, AGENT, 1, cases[i].from, cases[i].to, &samples, &count), MESHPING_OK);
        assert_int_equal(count, cases[i].count);
        for (size_t j = 0; j < count; j++)
            assert_true(samples[j].slot_unix_us >= cases[i].from && samples[j].slot_unix_us < cases[i].to);
        meshping_free(samples);
    }
}

static void test_blocks_that_overlap_give_each_slot_once_in_order(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    size_t length;
    uint8_t *late = make_block(T0 + 10 * STEP, 10, 1, &length); /* slots 10..19 */
    submit_bytes(f->store, 2, late, length, T0 + 20 * STEP, &o);
    uint8_t *early = make_block(T0 + 5 * STEP, 10, 1, &length); /* slots 5..14, came later */
    submit_bytes(f->store, 1, early, length, T0 + 20 * STEP, &o);
    wait_done(f->store, &o, 2);
    meshping_sample *samples = NULL;
    size_t count;
    assert_int_equal(pair_samples(f->store, AGENT, 1, T0, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 15);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(samples[i].slot_unix_us, T0 + (int64_t)(5 + i) * STEP);
        assert_int_equal(samples[i].rtt_us, 1000 + (i < 5 ? i : i - 5)); /* of two the one stored first */
    }
    meshping_free(samples);
}

typedef struct visits {
    int count, stop_at;
    uint64_t agents[8];
    int64_t received[8];
    size_t samples;
} visits;

static meshping_status visit(void *user, const meshping_stored_block *block)
{
    visits *v = user;
    meshping_block_reader *reader = NULL;
    assert_int_equal(meshping_block_reader_new(&reader, block->bytes, block->length, NULL), MESHPING_OK);
    v->samples += meshping_block_reader_sample_count(reader);
    meshping_block_reader_free(reader);
    v->agents[v->count] = block->agent_id;
    v->received[v->count] = block->received_unix_us;
    v->count++;
    return v->count == v->stop_at ? MESHPING_STATE : MESHPING_OK;
}

static void test_visiting_blocks_goes_by_the_order_of_storing_from_a_time_on(void **state)
{
    fixture *f = *state;
    static const int64_t received[] = {40, 10, 30, 20};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    size_t length;
    for (uint64_t i = 0; i < 4; i++) {
        uint8_t *bytes = make_block(T0 + (int64_t)i * 10 * STEP, 3, 2, &length);
        submit_bytes(f->store, i + 1, bytes, length, received[i], &o);
    }
    wait_done(f->store, &o, 4);
    visits v = {0};
    assert_int_equal(meshping_store_visit_blocks(f->store, AGENT, T0, INT64_MAX, visit, &v, NULL), MESHPING_OK);
    assert_int_equal(v.count, 4);
    assert_int_equal(v.samples, 24);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(v.received[i], received[i]);
        assert_int_equal(v.agents[i], AGENT);
    }
    visits later = {0}; /* the second block ends at slot 12 */
    assert_int_equal(meshping_store_visit_blocks(f->store, AGENT, T0 + 12 * STEP + 1, INT64_MAX, visit, &later, NULL),
                     MESHPING_OK);
    assert_int_equal(later.count, 2);
    visits stopped = {.stop_at = 2};
    assert_int_equal(meshping_store_visit_blocks(f->store, AGENT, T0, INT64_MAX, visit, &stopped, NULL),
                     MESHPING_STATE);
    assert_int_equal(stopped.count, 2);
    visits newest = {0}; /* received at 40, and within 11 us before */
    assert_int_equal(meshping_store_visit_blocks(f->store, AGENT, T0, 11, visit, &newest, NULL), MESHPING_OK);
    assert_int_equal(newest.count, 2);
    assert_int_equal(newest.received[0], 40);
    assert_int_equal(newest.received[1], 30);
    visits nobodys = {0};
    assert_int_equal(meshping_store_visit_blocks(f->store, AGENT + 1, T0, INT64_MAX, visit, &nobodys, NULL),
                     MESHPING_OK);
    assert_int_equal(nobodys.count, 0);
}

/* ---- gaps ---- */

static meshping_gap gap_of(uint64_t first, uint64_t last)
{
    return (meshping_gap){.first_sequence = first,
                          .last_sequence = last,
                          .first_unix_us = T0 + (int64_t)first * STEP,
                          .last_unix_us = T0 + (int64_t)last * STEP,
                          .sample_count = (last - first + 1) * 10,
                          .reason = MESHPING_GAP_OVERFLOW};
}

static outcome store_gap(meshping_store *store, meshping_gap gap)
{
    outcome o = {0};
    meshping_block_write write = {.agent_id = AGENT, .epoch = EPOCH, .received_unix_us = T0 + 100 * STEP};
    assert_int_equal(meshping_store_submit_gap(store, &write, &gap, on_done, &o, NULL), MESHPING_OK);
    wait_done(store, &o, 1);
    return o;
}

static size_t gaps_between(meshping_store *store, int64_t from_us, int64_t to_us, meshping_stored_gap *first)
{
    meshping_stored_gap *gaps = NULL;
    size_t count;
    assert_int_equal(meshping_store_gaps(store, AGENT, from_us, to_us, &gaps, &count, NULL), MESHPING_OK);
    if (count && first)
        *first = gaps[0];
    meshping_free(gaps);
    return count;
}

static void test_a_gap_fills_its_sequences_and_is_kept_once(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_block(f->store, 1);
    store_block(f->store, 6);
    for (int again = 0; again < 2; again++) {
        outcome o = store_gap(f->store, gap_of(2, 5));
        assert_int_equal(o.status, MESHPING_OK);
        assert_int_equal(o.stored, !again);
        assert_false(o.had_bytes);
        assert_int_equal(o.range_count, 1);
        assert_range(&o.ranges[0], 1, 6);
    }
    outcome block = store_block(f->store, 3); /* told as lost: never again */
    assert_int_equal(block.status, MESHPING_OK);
    assert_false(block.stored);
    fixture_reopen(f);
    meshping_stored_gap gap = {0};
    assert_int_equal(gaps_between(f->store, T0, INT64_MAX, &gap), 1);
    assert_int_equal(gap.epoch, EPOCH);
    assert_int_equal(gap.gap.first_sequence, 2);
    assert_int_equal(gap.gap.last_sequence, 5);
    assert_int_equal(gap.gap.sample_count, 40);
    assert_int_equal(gap.gap.reason, MESHPING_GAP_OVERFLOW);
    assert_int_equal(gap.gap.first_unix_us, T0 + 2 * STEP);
    assert_int_equal(gap.gap.last_unix_us, T0 + 5 * STEP);
    assert_int_equal(gaps_between(f->store, T0 + 5 * STEP, T0 + 6 * STEP, NULL), 1);
    assert_int_equal(gaps_between(f->store, T0 + 5 * STEP + 1, INT64_MAX, NULL), 0);
    assert_int_equal(gaps_between(f->store, T0, T0 + 2 * STEP, NULL), 0);
}

static void test_a_gap_that_grew_takes_the_place_of_the_shorter_one(void **state)
{
    fixture *f = *state;
    meshping_stored_gap gap = {0};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_gap(f->store, gap_of(2, 5));
    store_gap(f->store, gap_of(2, 9));
    assert_int_equal(gaps_between(f->store, T0, INT64_MAX, &gap), 1);
    assert_int_equal(gap.gap.sample_count, 80);
}

static void test_impossible_gaps_are_refused(void **state)
{
    fixture *f = *state;
    outcome o = {0};
    meshping_gap zero = gap_of(1, 2), backwards = gap_of(1, 2), timeless = gap_of(1, 2), unreasonable = gap_of(1, 2);
    zero.first_sequence = 0;
    backwards.last_sequence = 0;
    timeless.last_unix_us = 0;
    unreasonable.reason = (meshping_gap_reason)9;
    meshping_block_write write = {.agent_id = AGENT, .epoch = EPOCH, .received_unix_us = T0};
    const meshping_gap *bad[] = {&zero, &backwards, &timeless, &unreasonable};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(meshping_store_submit_gap(f->store, &write, bad[i], on_done, &o, NULL), MESHPING_INVALID);
    assert_int_equal(store_gap(f->store, gap_of(1, 2)).status, MESHPING_STATE); /* of an unknown agent */
}

/* ---- retention ---- */

static void test_expiry_takes_the_oldest_in_small_steps(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    for (uint64_t i = 1; i <= 10; i++) {
        submit(f->store, i, &o); /* block i ends at slot 2i + 1 */
        wait_done(f->store, &o, (int)i);
        assert_int_equal(seal_now(f, END, END), 1);
    }
    store_gap(f->store, gap_of(11, 12));
    int64_t before = T0 + 13 * STEP; /* blocks 1..5 end before, block 6 ends there */
    size_t deleted, steps[] = {2, 2, 1, 0};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(meshping_store_expire(f->store, before, 2, &deleted, NULL), MESHPING_OK);
        assert_int_equal(deleted, steps[i]);
    }
    assert_int_equal(sample_count(f->store, 1), 10);
    assert_int_equal(gaps_between(f->store, T0, INT64_MAX, NULL), 0); /* it ended at slot 12 */
    outcome again = store_block(f->store, 1);                         /* gone by age, and still known as received */
    assert_int_equal(again.status, MESHPING_OK);
    assert_false(again.stored);
    assert_range(&again.ranges[0], 1, 12);
    int64_t day_us = INT64_C(86400) * 1000000;
    assert_int_equal(meshping_store_expire(f->store, T0 + 2 * day_us, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 5);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0); /* the epoch has been silent for long */
}

static void test_samples_from_a_clock_that_is_ahead_expire_too(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    size_t length, deleted;
    int64_t years = INT64_C(10) * 365 * 86400 * 1000000;
    uint8_t *bytes = make_block(T0 + years, 3, 1, &length);
    submit_bytes(f->store, 1, bytes, length, T0, &o);
    wait_done(f->store, &o, 1);
    assert_int_equal(seal_now(f, END, END), 1);
    assert_int_equal(meshping_store_expire(f->store, T0, 10, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 0);
    assert_int_equal(meshping_store_expire(f->store, T0 + 1, 10, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 1);
}

static void test_samples_from_a_clock_that_is_behind_are_not_deleted_as_they_come(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    outcome o = {0};
    size_t length, deleted;
    int64_t hour = INT64_C(3600000000), received = T0 + 24 * 365 * hour;
    uint8_t *bytes = make_block(T0, 3, 1, &length);
    submit_bytes(f->store, 1, bytes, length, received, &o);
    wait_done(f->store, &o, 1);
    assert_int_equal(seal_now(f, END, END), 1);
    assert_int_equal(meshping_store_expire(f->store, received - hour, 10, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 0);
    assert_int_equal(meshping_store_expire(f->store, received, 10, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 1);
}

static void test_an_agent_goes_with_all_that_is_its_own(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_block(f->store, 1);
    store_gap(f->store, gap_of(2, 3));
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(sample_count(f->store, 1), 0);
    assert_int_equal(gaps_between(f->store, 0, INT64_MAX, NULL), 0);
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_true(store_block(f->store, 1).stored); /* its ranges went as well */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_stored_block_comes_back_sample_by_sample),
        T(test_a_sequence_is_stored_once),
        T(test_one_epoch_is_not_another),
        T(test_ranges_join_whatever_the_order),
        T(test_a_33rd_range_is_refused_and_the_others_stay),
        T(test_only_approved_and_held_agents_store),
        T(test_what_is_no_block_is_refused_at_the_door),
        T(test_a_full_queue_says_so_and_recovers),
        T(test_closing_commits_and_tells_what_was_queued),
        T(test_completions_are_told_a_few_at_a_time_to_who_wants_it_so),
        T(test_a_time_range_is_half_open),
        T(test_blocks_that_overlap_give_each_slot_once_in_order),
        T(test_visiting_blocks_goes_by_the_order_of_storing_from_a_time_on),
        T(test_a_gap_fills_its_sequences_and_is_kept_once),
        T(test_a_gap_that_grew_takes_the_place_of_the_shorter_one),
        T(test_impossible_gaps_are_refused),
        T(test_expiry_takes_the_oldest_in_small_steps),
        T(test_samples_from_a_clock_that_is_ahead_expire_too),
        T(test_samples_from_a_clock_that_is_behind_are_not_deleted_as_they_come),
        T(test_an_agent_goes_with_all_that_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
