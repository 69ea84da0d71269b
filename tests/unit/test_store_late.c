/* SPDX-License-Identifier: Apache-2.0 */
/* Late samples: told as late by the server's measure alone, before and after sealing. */
#include "store_fixture.h"

#include <meshping/maintain.h>

#define HOUR (INT64_C(3600) * 1000000)

static void test_late_data_is_marked_before_and_after_sealing(void **state)
{
    fixture *f = *state;
    outcome o = {0};
    size_t length, count;
    meshping_sample *samples = NULL;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    uint8_t *bytes = make_block(T0, 20, 1, &length); /* slots at 0, 5, .. 95 s, received at 100 s */
    submit_bytes(f->store, 1, bytes, length, T0 + 20 * STEP, &o);
    wait_done(f->store, &o, 1);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(pair_samples(f->store, AGENT, 1, 0, INT64_MAX, &samples, &count), MESHPING_OK);
        assert_int_equal(count, 20);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(samples[i].flags, i < 14 ? MESHPING_FLAG_LATE_DATA : 0);
        meshping_free(samples);
        assert_int_equal(seal_now(f, T0 + HOUR, round == 0 ? 9 * HOUR : 0), round < 2);
    }
}

/* The newest sample alone, and all of them, before and after joining. */
static void assert_lateness(fixture *f, size_t late, bool newest_late)
{
    size_t count;
    meshping_sample *samples = NULL;
    meshping_pair_sample *last = NULL;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(pair_samples(f->store, AGENT, 1, 0, INT64_MAX, &samples, &count), MESHPING_OK);
        assert_int_equal(count, 20);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(samples[i].flags, i < late ? MESHPING_FLAG_LATE_DATA : 0);
        meshping_free(samples);
        assert_int_equal(meshping_store_last(f->store, AGENT, 0, &last, &count, NULL), MESHPING_OK);
        assert_int_equal(count, 1);
        assert_int_equal(last[0].sample.flags, newest_late ? MESHPING_FLAG_LATE_DATA : 0);
        meshping_free(last);
        assert_int_equal(seal_now(f, T0 + HOUR, round == 0 ? 9 * HOUR : 0), round < 2);
    }
}

/* 20 samples of one target, all of which the agent itself calls late. */
static void submit_called_late(fixture *f, int64_t received_us)
{
    outcome o = {0};
    uint8_t *bytes = NULL;
    size_t length = 0;
    meshping_block_builder *builder = NULL;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (int i = 0; i < 20; i++) {
        meshping_sample sample = {.slot_unix_us = T0 + i * STEP, .rtt_us = 5, .flags = MESHPING_FLAG_LATE_DATA};
        assert_int_equal(meshping_block_builder_add(builder, 1, &sample), MESHPING_OK);
    }
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
    meshping_block_builder_free(builder);
    submit_bytes(f->store, 1, bytes, length, received_us, &o);
    wait_done(f->store, &o, 1);
}

static void test_what_an_agent_itself_calls_late_is_not(void **state)
{
    submit_called_late(*state, T0 + 20 * STEP); /* 5 to 100 s after the slots */
    assert_lateness(*state, 14, false);
}

static void test_the_newest_sample_is_told_as_late_when_it_came_late(void **state)
{
    submit_called_late(*state, T0 + 19 * STEP + MESHPING_LATE_DATA_US + 1);
    assert_lateness(*state, 20, true);
}

static meshping_status count_late(void *user, uint64_t target_id, const meshping_sample *samples, size_t count)
{
    size_t *late = user;
    (void)target_id;
    for (size_t i = 0; i < count; i++)
        *late += samples[i].flags & MESHPING_FLAG_LATE_DATA ? 1 : 0;
    return MESHPING_OK;
}

static void test_late_data_is_told_on_the_agents_clock(void **state)
{
    fixture *f = *state;
    const int64_t ahead_us[] = {-600000000, 0, 600000000};
    size_t length, count;
    meshping_sample *samples = NULL;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (uint64_t i = 0; i < 3; i++) { /* the last of 20 samples was 5 s old when they came */
        outcome o = {0};
        meshping_block_write write = {.agent_id = AGENT,
                                      .epoch = EPOCH,
                                      .sequence = i + 1,
                                      .received_unix_us = T0 + 20 * STEP,
                                      .clock = {.offset_us = ahead_us[i]}};
        write.bytes = make_block(T0 + ahead_us[i], 20, 1, &length);
        write.length = length;
        assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, NULL), MESHPING_OK);
        wait_done(f->store, &o, 1);
        assert_int_equal(o.status, MESHPING_OK);
    }
    for (int round = 0; round < 3; round++) {
        size_t late = 0;
        assert_int_equal(pair_samples(f->store, AGENT, 1, 0, INT64_MAX, &samples, &count), MESHPING_OK);
        assert_int_equal(count, 60);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(samples[i].flags, i % 20 < 14 ? MESHPING_FLAG_LATE_DATA : 0);
        meshping_free(samples);
        assert_int_equal(meshping_store_scan(f->store, AGENT, INT64_MIN, INT64_MAX, count_late, NULL, &late, NULL),
                         MESHPING_OK);
        assert_int_equal(late, 3 * 14);
        assert_int_equal(seal_now(f, T0 + HOUR, round == 0 ? 9 * HOUR : 0), round < 2);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_late_data_is_marked_before_and_after_sealing),
        T(test_what_an_agent_itself_calls_late_is_not),
        T(test_the_newest_sample_is_told_as_late_when_it_came_late),
        T(test_late_data_is_told_on_the_agents_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
