/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/past.h"
#include "store_fixture.h"

static meshping_stored_gap gap_of(uint64_t epoch, uint64_t first, uint64_t last, int64_t first_us, int64_t last_us)
{
    return (meshping_stored_gap){
        .epoch = epoch,
        .gap = {.first_sequence = first,
                .last_sequence = last,
                .first_unix_us = first_us,
                .last_unix_us = last_us,
                .sample_count = last - first + 1,
                .reason = MESHPING_GAP_OVERFLOW},
    };
}

static void add_gap(past *p, uint64_t first, uint64_t last, int64_t first_us, int64_t last_us)
{
    meshping_stored_gap gap = gap_of(1, first, last, first_us, last_us);
    past_add_gap(p, &gap, INT64_MIN);
}

static void add_start(past *p, uint64_t epoch, int64_t first_us)
{
    past_add_start(p, &(meshping_epoch_start){epoch, first_us}, INT64_MIN);
}

/* "first-last ..." of the gaps, by sequence, then "epoch@first slot ..." of the starts; "unknown" */
static const char *view_of(const past *p, int64_t from_us, int64_t to_us)
{
    static char text[512];
    size_t used = 0;
    past_view view;
    if (!past_read(p, from_us, to_us, &view))
        return "unknown";
    text[0] = 0;
    for (size_t i = 0; i < view.gap_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d-%d ", (int)view.gaps[i].gap.first_sequence,
                                 (int)view.gaps[i].gap.last_sequence);
    for (size_t i = 0; i < view.start_count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%d@%d ", (int)view.starts[i].epoch,
                                 (int)view.starts[i].first_unix_us);
    return text;
}

static void test_nothing_is_known_before_it_was_read(void **state)
{
    past p = {0};
    (void)state;
    add_gap(&p, 1, 2, 100, 200);
    assert_string_equal(view_of(&p, 50, 300), "unknown");
    past_adopt(&p, NULL, 0, NULL, 0, 40);
    assert_string_equal(view_of(&p, 50, 300), "1-2 ");
    assert_string_equal(view_of(&p, 39, 300), "unknown");
    past_dispose(&p);
    past_begin(&p);
    assert_string_equal(view_of(&p, INT64_MIN, INT64_MAX), "");
    past_dispose(&p);
}

static void test_a_longer_gap_takes_the_place_of_those_within_it(void **state)
{
    past p = {0};
    (void)state;
    past_begin(&p);
    add_gap(&p, 1, 2, 100, 200);
    add_gap(&p, 5, 6, 300, 400);
    add_gap(&p, 9, 9, 50, 60);
    assert_string_equal(view_of(&p, 0, 1000), "9-9 1-2 5-6 ");
    add_gap(&p, 1, 7, 100, 500);
    assert_string_equal(view_of(&p, 0, 1000), "9-9 1-7 ");
    meshping_stored_gap other = gap_of(2, 1, 9, 0, 900);
    past_add_gap(&p, &other, INT64_MIN);
    assert_string_equal(view_of(&p, 0, 1000), "1-9 9-9 1-7 ");
    assert_string_equal(view_of(&p, 0, 100), "1-9 9-9 "); /* half open */
    past_dispose(&p);
}

static void test_an_epoch_starts_with_its_earliest_slot(void **state)
{
    past p = {0};
    (void)state;
    past_begin(&p);
    add_start(&p, 7, 500);
    add_start(&p, 7, 500);
    add_start(&p, 8, 900);
    assert_string_equal(view_of(&p, 0, 1000), "7@500 8@900 ");
    add_start(&p, 8, 400); /* its backlog */
    assert_string_equal(view_of(&p, 0, 1000), "8@400 7@500 ");
    assert_string_equal(view_of(&p, 400, 500), "8@400 ");
    add_start(&p, 9, INT64_MIN); /* of an old database: when it began is not known */
    assert_string_equal(view_of(&p, 0, 1000), "8@400 7@500 ");
    past_dispose(&p);
}

static void test_what_is_too_old_goes_and_questions_for_it_are_not_answered(void **state)
{
    past p = {0};
    meshping_stored_gap gap = gap_of(1, 3, 3, 2000, 2100);
    (void)state;
    past_begin(&p);
    add_gap(&p, 1, 1, 100, 200);
    add_start(&p, 1, 150);
    past_add_gap(&p, &gap, 201);
    assert_string_equal(view_of(&p, 200, 3000), "unknown");
    assert_string_equal(view_of(&p, 201, 3000), "3-3 ");
    past_add_start(&p, &(meshping_epoch_start){2, 2500}, 1000);
    past_add_start(&p, &(meshping_epoch_start){1, 150}, 1000); /* the same, as with each of its blocks */
    assert_string_equal(view_of(&p, 201, 3000), "3-3 2@2500 ");
    past_dispose(&p);
}

static void test_it_says_whether_there_was_anything_before(void **state)
{
    past p = {0};
    (void)state;
    assert_false(past_begins_after(&p, 0));
    past_begin(&p);
    assert_true(past_begins_after(&p, INT64_MAX));
    add_start(&p, 2, 500);
    assert_true(past_begins_after(&p, 500));
    assert_false(past_begins_after(&p, 501));
    add_start(&p, 1, 499);
    assert_false(past_begins_after(&p, 500));
    past_add_start(&p, &(meshping_epoch_start){2, 500}, 500); /* the first has gone */
    assert_false(past_begins_after(&p, 0));
    past_dispose(&p);
    past_adopt(&p, NULL, 0, NULL, 0, INT64_MIN + 1); /* there may be something before what was read */
    assert_false(past_begins_after(&p, 0));
    past_dispose(&p);
}

static void test_the_newest_are_kept_up_to_the_limits(void **state)
{
    (void)state;
    for (unsigned many = PAST_GAPS_MAX - 1; many <= PAST_GAPS_MAX + 1; many++) {
        past p = {0};
        past_begin(&p);
        for (unsigned i = 0; i < many; i++)
            add_gap(&p, 2 * i + 1, 2 * i + 1, 10 * i, 10 * i + 5);
        assert_int_equal(p.gap_count, many < PAST_GAPS_MAX ? many : PAST_GAPS_MAX);
        assert_int_equal(strcmp(view_of(&p, 5, 6), "unknown") == 0, many > PAST_GAPS_MAX);
        assert_string_not_equal(view_of(&p, 6, 7), "unknown");
        past_dispose(&p);
    }
    for (unsigned many = PAST_STARTS_MAX - 1; many <= PAST_STARTS_MAX + 1; many++) {
        past p = {0};
        past_begin(&p);
        for (unsigned i = 0; i < many; i++)
            add_start(&p, i + 1, 10 * i);
        assert_int_equal(p.start_count, many < PAST_STARTS_MAX ? many : PAST_STARTS_MAX);
        assert_int_equal(strcmp(view_of(&p, 0, 7), "unknown") == 0, many > PAST_STARTS_MAX);
        past_dispose(&p);
    }
}

/* ---- beside a store ---- */

typedef struct told {
    bool called;
    meshping_block_done done;
    meshping_gap gap;
    uint64_t epoch;
} told;

static void keep(void *user, const meshping_block_done *done)
{
    told *t = user;
    t->called = true;
    t->done = *done;
    t->epoch = done->write->epoch;
    if (done->gap)
        t->gap = *done->gap;
}

/* A block, or a gap of some sequences, as it comes. */
static told send(meshping_store *store, uint64_t epoch)
{
    told t = {0};
    uint64_t first = 1 + (uint64_t)rand() % 60;
    int64_t first_us = T0 + (int64_t)epoch * 40 + rand() % 60;
    meshping_block_write write = {
        .agent_id = AGENT, .epoch = epoch, .sequence = first, .received_unix_us = T0 + 1000000};
    meshping_gap gap = gap_of(epoch, first, first + (uint64_t)rand() % 6, first_us, first_us + rand() % 20).gap;
    struct pollfd fd = {.fd = meshping_store_fd(store), .events = POLLIN};
    meshping_status status;
    if (rand() % 2) {
        write.bytes = make_block(first_us, 1, 1, &write.length);
        status = meshping_store_submit_block(store, &write, keep, &t, NULL);
    } else {
        status = meshping_store_submit_gap(store, &write, &gap, keep, &t, NULL);
    }
    assert_int_equal(status, MESHPING_OK);
    while (!t.called) {
        assert_int_equal(poll(&fd, 1, 10000), 1);
        meshping_store_process_for(store, 0);
    }
    assert_true(t.done.status == MESHPING_OK || t.done.status == MESHPING_LIMIT);
    return t;
}

static void take(past *p, const told *t, int64_t oldest_us)
{
    if (!t->done.stored)
        return;
    if (t->done.gap)
        past_add_gap(p, &(meshping_stored_gap){t->epoch, t->gap}, oldest_us);
    past_add_start(p, &(meshping_epoch_start){t->epoch, t->done.epoch_first_us}, oldest_us);
}

/* Either the same as the store, but for gaps that ended before, or nothing. */
static bool agrees(const past *p, meshping_store *store, int64_t from_us, int64_t to_us)
{
    past_view view;
    meshping_stored_gap *gaps = NULL;
    meshping_epoch_start *starts = NULL;
    size_t gap_count, start_count, same = 0;
    if (!past_read(p, from_us, to_us, &view))
        return false;
    assert_int_equal(meshping_store_gaps(store, AGENT, from_us, to_us, &gaps, &gap_count, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_starts(store, AGENT, from_us, to_us, &starts, &start_count, NULL), MESHPING_OK);
    for (size_t i = 0; i < view.gap_count; i++) {
        if (view.gaps[i].gap.last_unix_us < from_us)
            continue;
        assert_true(same < gap_count);
        assert_int_equal(view.gaps[i].epoch, gaps[same].epoch);
        assert_int_equal(view.gaps[i].gap.first_sequence, gaps[same].gap.first_sequence);
        assert_int_equal(view.gaps[i].gap.last_sequence, gaps[same].gap.last_sequence);
        assert_int_equal(view.gaps[i].gap.first_unix_us, gaps[same].gap.first_unix_us);
        assert_int_equal(view.gaps[i].gap.last_unix_us, gaps[same].gap.last_unix_us);
        assert_int_equal(view.gaps[i].gap.sample_count, gaps[same].gap.sample_count);
        assert_int_equal(view.gaps[i].gap.reason, gaps[same].gap.reason);
        same++;
    }
    assert_int_equal(same, gap_count);
    assert_int_equal(view.start_count, start_count);
    for (size_t i = 0; i < start_count; i++) {
        assert_int_equal(view.starts[i].epoch, starts[i].epoch);
        assert_int_equal(view.starts[i].first_unix_us, starts[i].first_unix_us);
    }
    meshping_free(gaps);
    meshping_free(starts);
    return true;
}

/* Blocks and gaps in any order, some twice; restarts, after which the disk is read while more come. */
static void test_it_says_what_the_store_says(void **state)
{
    fixture *f = *state;
    unsigned seed = (unsigned)getpid();
    past p = {0};
    size_t answered = 0;
    print_message("seed %u\n", seed);
    srand(seed);
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    past_begin(&p);
    for (int run = 0; run < 25; run++) {
        int64_t since_us = T0 + run * 40 - 60;
        meshping_stored_gap *gaps = NULL;
        meshping_epoch_start *starts = NULL;
        told waiting[4] = {0};
        size_t gap_count = 0, start_count = 0, wait_count = 0;
        int read_at = run ? rand() % 12 : -1, adopt_at = read_at + 3;
        for (int i = 0; i < 24; i++) {
            told t = send(f->store, (uint64_t)(run ? run - rand() % 2 : 0) + 1);
            if (i == read_at) {
                assert_int_equal(meshping_store_gaps(f->store, AGENT, since_us, INT64_MAX, &gaps, &gap_count, NULL),
                                 MESHPING_OK);
                assert_int_equal(
                    meshping_store_starts(f->store, AGENT, since_us, INT64_MAX, &starts, &start_count, NULL),
                    MESHPING_OK);
            }
            waiting[wait_count++] = t; /* told a little later than it is stored */
            if (i == adopt_at)
                past_adopt(&p, gaps, gap_count, starts, start_count, since_us);
            if (wait_count < 4 && rand() % 3)
                continue;
            for (size_t k = 0; k < wait_count; k++)
                take(&p, &waiting[k], since_us);
            wait_count = 0;
            answered += agrees(&p, f->store, T0 + run * 40 - rand() % 120, T0 + run * 40 + rand() % 100);
        }
        for (size_t k = 0; k < wait_count; k++)
            take(&p, &waiting[k], since_us);
        meshping_free(gaps);
        meshping_free(starts);
        if (run % 3 == 2)
            past_dispose(&p);
    }
    assert_true(answered > 50);
    past_dispose(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_before_it_was_read),
        cmocka_unit_test(test_a_longer_gap_takes_the_place_of_those_within_it),
        cmocka_unit_test(test_an_epoch_starts_with_its_earliest_slot),
        cmocka_unit_test(test_what_is_too_old_goes_and_questions_for_it_are_not_answered),
        cmocka_unit_test(test_it_says_whether_there_was_anything_before),
        cmocka_unit_test(test_the_newest_are_kept_up_to_the_limits),
        cmocka_unit_test_setup_teardown(test_it_says_what_the_store_says, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
