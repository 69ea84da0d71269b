/* SPDX-License-Identifier: Apache-2.0 */
/* Who decides what came late: the store, by when it came; in every answer, before and after joining. */
#include "store_fixture.h"

#define HOUR (INT64_C(3600) * 1000000)

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

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_what_an_agent_itself_calls_late_is_not),
        T(test_the_newest_sample_is_told_as_late_when_it_came_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
