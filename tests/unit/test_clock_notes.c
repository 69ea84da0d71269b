/* SPDX-License-Identifier: Apache-2.0 */
/* The notes of an agent's clock in memory say what the store says, or that they do not know. */
#include "meshpingd/clock_notes.h"
#include "store_fixture.h"

static meshping_clock_note note_at(int64_t at_us)
{
    return (meshping_clock_note){at_us, at_us % 1000, 50};
}

static void assert_from(const clock_notes *notes, int64_t from_us, size_t count, int64_t first_us)
{
    const meshping_clock_note *found;
    size_t got;
    assert_true(clock_notes_from(notes, from_us, &found, &got));
    assert_int_equal(got, count);
    if (count)
        assert_int_equal(found[0].at_unix_us, first_us);
}

static bool knows(const clock_notes *notes, int64_t from_us)
{
    const meshping_clock_note *found;
    size_t count;
    return clock_notes_from(notes, from_us, &found, &count);
}

static void test_of_a_new_agent_all_is_known_and_the_last_note_before_is_told_too(void **unused)
{
    clock_notes notes = {0};
    meshping_clock_note note;
    (void)unused;
    assert_false(knows(&notes, INT64_MAX));
    clock_notes_begin(&notes);
    assert_from(&notes, INT64_MIN, 0, 0);
    for (int64_t at_us = 100; at_us <= 500; at_us += 100) {
        note = note_at(at_us);
        clock_notes_add(&notes, &note, INT64_MIN);
    }
    assert_from(&notes, INT64_MIN, 5, 100);
    assert_from(&notes, 100, 5, 100);
    assert_from(&notes, 101, 5, 100);
    assert_from(&notes, 300, 4, 200);
    assert_from(&notes, INT64_MAX, 1, 500);
    note = note_at(250); /* the wall clock was set back */
    clock_notes_add(&notes, &note, INT64_MIN);
    assert_from(&notes, 300, 4, 250);
    note = (meshping_clock_note){250, 7, 7};
    clock_notes_add(&notes, &note, INT64_MIN);
    assert_from(&notes, 300, 4, 250);
    assert_int_equal(notes.items[2].error_us, 50);
    clock_notes_dispose(&notes);
}

static void test_old_notes_go_and_no_question_that_needs_them_is_answered(void **unused)
{
    clock_notes notes = {0};
    (void)unused;
    clock_notes_begin(&notes);
    for (int64_t at_us = 100; at_us <= 500; at_us += 100) {
        meshping_clock_note note = note_at(at_us);
        clock_notes_add(&notes, &note, at_us - 250);
    }
    assert_int_equal(notes.count, 4); /* 200 is the last before 250 */
    assert_false(knows(&notes, 200));
    assert_from(&notes, 201, 4, 200);
    clock_notes_dispose(&notes);
}

static void test_what_is_too_many_is_left_to_the_store(void **unused)
{
    clock_notes notes = {0};
    (void)unused;
    clock_notes_begin(&notes);
    for (int64_t i = 1; i <= CLOCK_NOTES_MAX + 1; i++) {
        meshping_clock_note note = note_at(i);
        clock_notes_add(&notes, &note, INT64_MIN);
        if (i <= CLOCK_NOTES_MAX)
            assert_from(&notes, INT64_MIN, (size_t)i, 1);
    }
    assert_int_equal(notes.count, CLOCK_NOTES_MAX);
    assert_false(knows(&notes, 2));
    assert_from(&notes, 3, CLOCK_NOTES_MAX, 2);
    clock_notes_dispose(&notes);
}

/* ---- beside a store ---- */

static void keep_done(void *user, const meshping_block_done *done)
{
    meshping_block_done *out = user;
    *out = *done;
    out->write = NULL;
    out->range_count = 1; /* called */
}

static meshping_block_done submit_noted(meshping_store *store, uint64_t agent, uint64_t sequence,
                                        meshping_clock_note clock)
{
    meshping_block_done done = {0};
    size_t length;
    uint8_t *bytes = make_block(T0 + (int64_t)sequence * STEP, 1, 1, &length);
    meshping_block_write write = {.agent_id = agent,
                                  .epoch = EPOCH,
                                  .sequence = sequence,
                                  .bytes = bytes,
                                  .length = length,
                                  .received_unix_us = T0 + (int64_t)sequence * STEP,
                                  .clock = clock};
    struct pollfd fd = {.fd = meshping_store_fd(store), .events = POLLIN};
    assert_int_equal(meshping_store_submit_block(store, &write, keep_done, &done, NULL), MESHPING_OK);
    while (!done.range_count) {
        assert_int_equal(poll(&fd, 1, 10000), 1);
        meshping_store_process_for(store, 0);
    }
    assert_int_equal(done.status, MESHPING_OK);
    return done;
}

/* Either the same as the store, or nothing. */
static bool agrees(const clock_notes *notes, meshping_store *store, int64_t from_us)
{
    const meshping_clock_note *found;
    meshping_clock_note *stored = NULL;
    size_t count, stored_count;
    if (!clock_notes_from(notes, from_us, &found, &count))
        return false;
    assert_int_equal(meshping_store_clocks(store, AGENT, from_us, INT64_MAX, &stored, &stored_count, NULL),
                     MESHPING_OK);
    assert_int_equal(count, stored_count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(found[i].at_unix_us, stored[i].at_unix_us);
        assert_int_equal(found[i].offset_us, stored[i].offset_us);
        assert_int_equal(found[i].error_us, stored[i].error_us);
    }
    meshping_free(stored);
    return true;
}

/* Notes late, twice, out of order; read at start while more come; restarts. */
static void test_they_say_what_the_store_says(void **state)
{
    fixture *f = *state;
    unsigned seed = (unsigned)getpid();
    clock_notes notes = {0};
    uint64_t sequence = 0;
    size_t answered = 0;
    print_message("seed %u\n", seed);
    srand(seed);
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    clock_notes_begin(&notes);
    for (int run = 0; run < 30; run++) {
        int64_t since_us = T0 + run * 10 - 40, oldest_us = since_us;
        meshping_clock_note *read = NULL;
        size_t count = 0;
        int reads_after = run ? rand() % 8 : -1000; /* it is read when so many have come, and adopted three later */
        for (int i = 0; i < 16; i++) {
            int64_t at_us = T0 + run * 10 + rand() % 20 - (rand() % 4 ? 0 : 60);
            meshping_clock_note note = {rand() % 3 ? at_us : 0, rand() % 100 - 50, rand() % 9};
            if (i == reads_after)
                assert_int_equal(meshping_store_clocks(f->store, AGENT, since_us, INT64_MAX, &read, &count, NULL),
                                 MESHPING_OK);
            if (i == reads_after + 3)
                clock_notes_adopt(&notes, read, count, since_us);
            if (submit_noted(f->store, AGENT, ++sequence, note).noted)
                clock_notes_add(&notes, &note, oldest_us);
            for (int k = 0; k < 8; k++)
                answered += agrees(&notes, f->store, T0 + run * 10 - 50 + rand() % 100);
        }
        meshping_free(read);
        assert_true(agrees(&notes, f->store, T0 + run * 10 + 20)); /* a question about now */
        clock_notes_dispose(&notes);
        if (run % 3 == 0)
            fixture_reopen(f);
    }
    assert_true(answered > 1000);
}

static void test_only_what_is_stored_is_told_as_noted(void **state)
{
    fixture *f = *state;
    meshping_clock_note note = note_at(T0), again = {T0, 9, 9};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    add_agent(f->store, AGENT + 1, MESHPING_AGENT_HOLD);
    assert_true(submit_noted(f->store, AGENT, 1, note).noted);
    assert_false(submit_noted(f->store, AGENT, 2, again).noted); /* of one time the first stays */
    assert_false(submit_noted(f->store, AGENT, 3, (meshping_clock_note){0}).noted);
    assert_false(submit_noted(f->store, AGENT, 1, note_at(T0 + 5)).noted); /* the block was there */
    assert_false(submit_noted(f->store, AGENT + 1, 1, note).noted);        /* kept apart */
    clock_notes notes = {0};
    clock_notes_begin(&notes);
    clock_notes_add(&notes, &note, INT64_MIN);
    assert_true(agrees(&notes, f->store, INT64_MIN));
    clock_notes_dispose(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_a_new_agent_all_is_known_and_the_last_note_before_is_told_too),
        cmocka_unit_test(test_old_notes_go_and_no_question_that_needs_them_is_answered),
        cmocka_unit_test(test_what_is_too_many_is_left_to_the_store),
        cmocka_unit_test_setup_teardown(test_they_say_what_the_store_says, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_only_what_is_stored_is_told_as_noted, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
