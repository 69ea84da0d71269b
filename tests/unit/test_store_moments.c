/* SPDX-License-Identifier: Apache-2.0 */
/* Starts of agents, their clocks, pauses of the server. */
#include "store_fixture.h"

static outcome store_with(fixture *f, uint64_t epoch, uint64_t sequence, int64_t first_us, meshping_clock_note clock)
{
    outcome o = {0};
    size_t length;
    uint8_t *bytes = make_block(first_us, 2, 1, &length);
    meshping_block_write write = {.agent_id = AGENT,
                                  .epoch = epoch,
                                  .sequence = sequence,
                                  .bytes = bytes,
                                  .length = length,
                                  .received_unix_us = first_us + STEP,
                                  .clock = clock};
    assert_int_equal(meshping_store_submit_block(f->store, &write, on_done, &o, NULL), MESHPING_OK);
    wait_done(f->store, &o, 1);
    return o;
}

static void test_an_epoch_starts_with_its_earliest_slot_whatever_came_first(void **state)
{
    fixture *f = *state;
    meshping_clock_note none = {0};
    meshping_epoch_start *starts = NULL;
    size_t count;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_with(f, 7, 2, T0 + 10 * STEP, none); /* live first, backlog after */
    store_with(f, 7, 1, T0 + 4 * STEP, none);
    store_with(f, 7, 3, T0 + 12 * STEP, none);
    store_with(f, 8, 1, T0 + 30 * STEP, none);
    assert_int_equal(meshping_store_starts(f->store, AGENT, T0, T0 + 100 * STEP, &starts, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_int_equal(starts[0].epoch, 7);
    assert_int_equal(starts[0].first_unix_us, T0 + 4 * STEP);
    assert_int_equal(starts[1].epoch, 8);
    assert_int_equal(starts[1].first_unix_us, T0 + 30 * STEP);
    meshping_free(starts);
    assert_int_equal(meshping_store_starts(f->store, AGENT, T0 + 5 * STEP, T0 + 30 * STEP, &starts, &count, NULL),
                     MESHPING_OK);
    assert_int_equal(count, 0); /* half open */
    assert_null(starts);
}

static void test_a_clock_is_noted_with_a_block_and_the_last_one_before_is_told_too(void **state)
{
    fixture *f = *state;
    meshping_clock_note *notes = NULL;
    size_t count, deleted;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int i = 0; i < 4; i++)
        store_with(f, 7, (uint64_t)i + 1, T0 + i * STEP, (meshping_clock_note){T0 + i * STEP, -1000 * i, 50 + i});
    store_with(f, 7, 9, T0 + 9 * STEP, (meshping_clock_note){0});
    assert_int_equal(meshping_store_clocks(f->store, AGENT, T0 + STEP + 1, T0 + 3 * STEP, &notes, &count, NULL),
                     MESHPING_OK);
    assert_int_equal(count, 2);
    assert_int_equal(notes[0].at_unix_us, T0 + STEP);
    assert_int_equal(notes[1].offset_us, -2000);
    assert_int_equal(notes[1].error_us, 52);
    meshping_free(notes);
    assert_int_equal(meshping_store_clocks(f->store, AGENT + 1, 0, INT64_MAX, &notes, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    /* expiry leaves what the clock was last */
    assert_int_equal(meshping_store_expire(f->store, END, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_clocks(f->store, AGENT, 0, INT64_MAX, &notes, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_int_equal(notes[0].offset_us, -3000);
    meshping_free(notes);
}

static void test_pauses_of_the_server_are_found_where_they_overlap(void **state)
{
    fixture *f = *state;
    meshping_pause a = {T0, T0 + STEP}, b = {T0 + 5 * STEP, T0 + 6 * STEP}, longer = {T0, T0 + 2 * STEP};
    meshping_pause *pauses = NULL;
    size_t count, deleted;
    assert_int_equal(meshping_store_pause_add(f->store, &a, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_pause_add(f->store, &b, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_pause_add(f->store, &longer, NULL),
                     MESHPING_OK); /* killed before it could say more */
    assert_int_equal(meshping_store_pauses(f->store, T0 + 2 * STEP, T0 + 6 * STEP, &pauses, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_int_equal(pauses[0].to_unix_us, T0 + 2 * STEP);
    meshping_free(pauses);
    assert_int_equal(meshping_store_pauses(f->store, T0 + 3 * STEP, T0 + 4 * STEP, &pauses, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_expire(f->store, T0 + 3 * STEP, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_pauses(f->store, 0, END, &pauses, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    meshping_free(pauses);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_an_epoch_starts_with_its_earliest_slot_whatever_came_first),
        T(test_a_clock_is_noted_with_a_block_and_the_last_one_before_is_told_too),
        T(test_pauses_of_the_server_are_found_where_they_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
