/* SPDX-License-Identifier: Apache-2.0 */
/* Retention: what is too old goes, in small steps, the file stops growing, and nothing goes that is not rolled up. */
#include "store_fixture.h"

#include "store/retain.h"

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define START (T0 - T0 % DAY)
#define TARGETS 40
#define ROUNDS 72 /* an hour in a block: one each 50 s */

static meshping_store_stats stats(const fixture *f)
{
    meshping_store_stats out;
    meshping_store_get_stats(f->store, &out);
    return out;
}

/* Asks the writer, and waits until it is there. */
static meshping_store_stats retain(fixture *f, const meshping_retention *goal)
{
    assert_int_equal(meshping_store_retain(f->store, goal, NULL), MESHPING_OK);
    for (int i = 0; i < 20000 && !stats(f).retained; i++)
        usleep(1000);
    assert_true(stats(f).retained);
    assert_int_equal(stats(f).retain_errors, 0);
    return stats(f);
}

static meshping_retention keep_all(void)
{
    return (meshping_retention){.raw_before_us = INT64_MIN,
                                .rollups_before_us = INT64_MIN,
                                .spare_raw_before_us = INT64_MIN,
                                .spare_rollups_before_us = INT64_MIN};
}

/* Hour number `hour` since START, received at its end. The noise does not compress. */
static void store_targets(fixture *f, int hour, uint64_t targets)
{
    static uint64_t dice = 77;
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    size_t length;
    outcome o = {0};
    int64_t first_us = START + hour * HOUR;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = 1; t <= targets; t++)
        for (int i = 0; i < ROUNDS; i++) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            meshping_sample sample = {.slot_unix_us = first_us + i * 50 * SECOND, .rtt_us = (uint32_t)(dice >> 43)};
            assert_int_equal(meshping_block_builder_add(builder, t, &sample), MESHPING_OK);
        }
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
    meshping_block_builder_free(builder);
    submit_bytes(f->store, (uint64_t)hour + 1, bytes, length, first_us + HOUR, &o);
    wait_done(f->store, &o, 1);
    assert_int_equal(o.acked, 1);
}

static void store_hour(fixture *f, int hour)
{
    store_targets(f, hour, TARGETS);
}

static uint64_t replies(fixture *f, uint64_t target_id, int64_t from_us, int64_t to_us)
{
    static meshping_rollup sum;
    const meshping_pair pair = {AGENT, target_id};
    assert_int_equal(meshping_store_group(f->store, &pair, 1, &from_us, &to_us, &sum, NULL), MESHPING_OK);
    return sum.counts[MESHPING_OUTCOME_OK];
}

static void test_samples_go_roll_ups_stay_and_go_later(void **state)
{
    fixture *f = *state;
    meshping_retention goal = keep_all();
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int hour = 0; hour < 72; hour++) {
        store_hour(f, hour);
        seal_now(f, START + (hour + 1) * HOUR, DAY);
    }
    assert_int_equal(retain(f, &goal).expired_blocks, 0);
    assert_int_equal(sample_count(f->store, 7), 72 * ROUNDS);
    goal.raw_before_us = START + 48 * HOUR;
    assert_true(retain(f, &goal).expired_blocks > 0);
    assert_int_equal(sample_count(f->store, 7), 24 * ROUNDS);
    assert_int_equal(replies(f, 7, START, START + 3 * DAY), 72 * ROUNDS);
    goal.rollups_before_us = START + DAY + 13 * HOUR;
    assert_true(retain(f, &goal).expired_rollups > 0);
    assert_int_equal(replies(f, 7, START, START + 3 * DAY), 36 * ROUNDS); /* 12 hours at a time */
    goal = keep_all(); /* a goal that was moved back brings nothing back */
    retain(f, &goal);
    assert_int_equal(sample_count(f->store, 7), 24 * ROUNDS);
}

static void test_what_is_not_rolled_up_stays_however_old(void **state)
{
    fixture *f = *state;
    meshping_retention goal = keep_all();
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_hour(f, 0);
    goal.raw_before_us = START + 30 * DAY;
    assert_int_equal(retain(f, &goal).expired_blocks, 0);
    assert_int_equal(sample_count(f->store, 1), ROUNDS);
    seal_now(f, START + 2 * HOUR, DAY);
    assert_true(retain(f, &goal).expired_blocks > 0);
    assert_int_equal(sample_count(f->store, 1), 0);
    assert_int_equal(replies(f, 1, START, START + DAY), ROUNDS);
}

static void test_the_file_stops_growing(void **state)
{
    fixture *f = *state;
    meshping_retention goal = keep_all();
    uint64_t most_early = 0, most_late = 0;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int hour = 0; hour < 90; hour++) {
        store_hour(f, hour);
        seal_now(f, START + (hour + 1) * HOUR, DAY);
        goal.raw_before_us = START + (hour - 5) * HOUR;
        goal.rollups_before_us = START + (hour - 24) * HOUR;
        retain(f, &goal);
        uint64_t used = stats(f).used_bytes;
        if (hour >= 40 && hour < 65 && used > most_early)
            most_early = used;
        if (hour >= 65 && used > most_late)
            most_late = used;
    }
    print_message("%llu KiB in use from the 40th hour on, %llu from the 65th\n", (unsigned long long)most_early >> 10,
                  (unsigned long long)most_late >> 10);
    assert_true(most_late <= most_early + most_early / 50);
}

static int64_t number(const fixture *f, const char *sql)
{
    int64_t out = -1;
    assert_int_equal(meshping__sql_number(&f->store->sql, sql, &out, NULL), MESHPING_OK);
    return out;
}

/* Commits wait for a step, so each deletes a few rows, of one kind, whatever there is to delete. */
static void test_what_is_too_old_goes_in_small_steps(void **state)
{
    enum { HOURS = 100, BLOCKS_A_STEP = 4, ROLLUPS_A_STEP = 32, STEP_PAGES = 800 };
    fixture *f = *state;
    const meshping_retention goal = {.raw_before_us = END, .rollups_before_us = END, .size_max_bytes = 1};
    meshping__retained all = {0};
    meshping_status status;
    uint64_t steps = 0;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int hour = 0; hour < HOURS; hour++)
        store_targets(f, hour, 200);
    seal_now(f, END, DAY);
    const uint64_t blocks = (uint64_t)number(f, "SELECT count(*) FROM sealed");
    const uint64_t rollups = (uint64_t)number(f, "SELECT count(*) FROM rollups");
    assert_true(blocks > 10 * BLOCKS_A_STEP && rollups > ROLLUPS_A_STEP);
    do {
        meshping__retained before = all;
        int64_t pages = number(f, "PRAGMA page_count"), used = pages - number(f, "PRAGMA freelist_count");
        status = meshping__retain_step(&f->store->sql, &goal, BLOCKS_A_STEP, &all, NULL);
        int64_t left = number(f, "PRAGMA page_count");
        assert_true(all.blocks - before.blocks <= BLOCKS_A_STEP && all.rollups - before.rollups <= ROLLUPS_A_STEP);
        assert_true(all.blocks == before.blocks || all.rollups == before.rollups);
        assert_true(used - (left - number(f, "PRAGMA freelist_count")) <= STEP_PAGES && pages - left <= STEP_PAGES);
        steps++;
    } while (status == MESHPING_OK);
    assert_int_equal(status, MESHPING_NOT_FOUND);
    assert_true(all.blocks == blocks && all.rollups == rollups);
    assert_true(steps > blocks / BLOCKS_A_STEP + rollups / ROLLUPS_A_STEP);
}

static void test_free_pages_go_back(void **state)
{
    fixture *f = *state;
    meshping_retention goal = keep_all();
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int hour = 0; hour < 100; hour++)
        store_targets(f, hour, 200);
    seal_now(f, END, DAY);
    fixture_reopen(f); /* the log goes into the file */
    uint64_t before = stats(f).file_bytes;
    assert_true(before > (uint64_t)3 << 20);
    goal.raw_before_us = goal.rollups_before_us = END;
    retain(f, &goal);
    fixture_reopen(f);
    assert_true(stats(f).file_bytes < (uint64_t)2 << 20); /* what is kept for the next hours */
}

static void test_over_its_limit_the_oldest_go_first_and_an_alarm_shows(void **state)
{
    fixture *f = *state;
    meshping_retention goal = keep_all();
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int hour = 0; hour < 60; hour++) {
        store_hour(f, hour);
        seal_now(f, START + (hour + 1) * HOUR, DAY);
    }
    uint64_t used = retain(f, &goal).used_bytes;
    assert_int_equal(stats(f).size_state, MESHPING_SIZE_GOOD); /* no limit */
    goal.size_max_bytes = used + used / 20;
    assert_int_equal(retain(f, &goal).size_state, MESHPING_SIZE_HIGH);
    assert_int_equal(stats(f).cut_blocks, 0);
    goal.size_max_bytes = used * 2;
    assert_int_equal(retain(f, &goal).size_state, MESHPING_SIZE_GOOD);
    goal.size_max_bytes = used / 4 * 3;
    goal.spare_raw_before_us = START + 59 * HOUR;
    retain(f, &goal);
    assert_int_equal(stats(f).size_state, MESHPING_SIZE_HIGH);
    assert_true(stats(f).used_bytes <= goal.size_max_bytes);
    assert_true(stats(f).cut_blocks > 0 && stats(f).cut_rollups == 0);
    assert_true(sample_count(f->store, 1) >= ROUNDS && sample_count(f->store, 1) < 60 * ROUNDS);
    assert_int_equal(replies(f, 1, START, START + 60 * HOUR), 60 * ROUNDS);
    goal.size_max_bytes = 8192; /* nothing fits */
    assert_int_equal(retain(f, &goal).size_state, MESHPING_SIZE_OVER);
    assert_int_equal(sample_count(f->store, 1), ROUNDS); /* what may not go stays, and so do all roll-ups */
    assert_int_equal(replies(f, 1, START, START + 60 * HOUR), 60 * ROUNDS);
    goal.spare_rollups_before_us = START + 48 * HOUR;
    assert_int_equal(retain(f, &goal).size_state, MESHPING_SIZE_OVER);
    assert_true(stats(f).cut_rollups > 0);
    assert_int_equal(replies(f, 1, START, START + 60 * HOUR), 12 * ROUNDS);
    store_hour(f, 60); /* and reports are taken as ever */
    assert_int_equal(sample_count(f->store, 1), 2 * ROUNDS);
}

static void test_an_agent_whose_clock_is_years_off_keeps_nothing_for_good(void **state)
{
    fixture *f = *state;
    meshping_retention goal = keep_all();
    const int64_t received_us = START + 12 * HOUR, year = 365 * DAY;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int i = 0; i < 2; i++) {
        outcome o = {0};
        size_t length;
        uint8_t *bytes = make_block(i ? START + 20 * year : START - 20 * year, 3, 2, &length);
        submit_bytes(f->store, (uint64_t)i + 1, bytes, length, received_us, &o);
        wait_done(f->store, &o, 1);
    }
    seal_now(f, END, DAY);
    goal.rollups_before_us = START; /* received after that: both stay */
    retain(f, &goal);
    assert_int_equal(replies(f, 1, 0, START + 30 * year), 6);
    goal.rollups_before_us = received_us + DAY;
    retain(f, &goal);
    assert_int_equal(replies(f, 1, 0, START + 30 * year), 0);
}

static void test_a_reader_cannot_retain(void **state)
{
    fixture *f = *state;
    meshping_store_options options;
    meshping_store *reader = NULL;
    meshping_retention goal = keep_all();
    meshping_store_options_init(&options);
    options.path = f->path;
    options.read_only = true;
    assert_int_equal(meshping_store_open(&reader, &options, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_retain(reader, &goal, NULL), MESHPING_PERMISSION);
    meshping_store_close(reader);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_samples_go_roll_ups_stay_and_go_later),
        T(test_what_is_not_rolled_up_stays_however_old),
        T(test_the_file_stops_growing),
        T(test_what_is_too_old_goes_in_small_steps),
        T(test_free_pages_go_back),
        T(test_over_its_limit_the_oldest_go_first_and_an_alarm_shows),
        T(test_an_agent_whose_clock_is_years_off_keeps_nothing_for_good),
        T(test_a_reader_cannot_retain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
