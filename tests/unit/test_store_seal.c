/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: blocks of one round become long ones, and no reader can tell. */
#include "store_fixture.h"

#include "core/block.h"
#include <fcntl.h>
#include <meshping/maintain.h>
#include <signal.h>
#include <sys/wait.h>

#define HOUR (INT64_C(3600) * 1000000)
#define SPACING (300 * INT64_C(1000000)) /* between two blocks: 12 an hour */

static int64_t sql(const fixture *f, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    int64_t value = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return value;
}

/* Blocks first..last of 2 samples of each of `targets`, each received when it was complete. */
static void submit_blocks(fixture *f, uint64_t first, uint64_t last, uint64_t targets)
{
    outcome o = {0};
    for (uint64_t i = first; i <= last; i++) {
        size_t length;
        int64_t from_us = T0 + (int64_t)i * SPACING;
        uint8_t *bytes = make_block(from_us, 2, targets, &length);
        submit_bytes(f->store, i, bytes, length, from_us + 2 * STEP, &o);
    }
    wait_done(f->store, &o, (int)(last - first + 1));
    assert_int_equal(o.acked, (int)(last - first + 1));
}

/* Target t has both samples of each block 1..last, no more, no less. */
static void assert_all_there(fixture *f, uint64_t last, uint64_t t)
{
    meshping_sample *samples = NULL;
    size_t count;
    assert_int_equal(pair_samples(f->store, AGENT, t, INT64_MIN, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 2 * last);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(samples[i].slot_unix_us, T0 + (int64_t)(1 + i / 2) * SPACING + (int64_t)(i % 2) * STEP);
        assert_int_equal(samples[i].rtt_us, 1000 * t + i % 2);
        assert_int_equal(samples[i].flags, 0);
    }
    meshping_free(samples);
}

static void test_a_reader_cannot_tell_what_is_sealed(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 48, 30); /* 4 hours */
    assert_int_equal(seal_now(f, T0, HOUR), 0);
    assert_int_equal(seal_now(f, T0 + 5 * HOUR, 5 * HOUR), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 0);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed WHERE level = 1"), 1);
    for (uint64_t t = 1; t <= 30; t++)
        assert_all_there(f, 48, t);
    submit_blocks(f, 49, 60, 30);
    assert_all_there(f, 60, 7);
    assert_int_equal(seal_now(f, T0 + 5 * HOUR + HOUR / 2, HOUR), 1); /* few samples wait three times as long */
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed WHERE level = 1"), 2);
    assert_all_there(f, 60, 7);
    assert_int_equal(seal_now(f, T0 + 7 * HOUR + HOUR / 2, HOUR), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed WHERE level = 2"), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed WHERE level = 1"), 0);
    for (uint64_t t = 1; t <= 30; t++)
        assert_all_there(f, 60, t);
    fixture_reopen(f);
    assert_all_there(f, 60, 1);
    assert_all_there(f, 60, 30);
    assert_int_equal(sample_count(f->store, 31), 0);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 1, 60);
    outcome o = {0}; /* an agent that had no ack sends a sealed one again */
    size_t length;
    uint8_t *bytes = make_block(T0 + SPACING, 2, 30, &length);
    submit_bytes(f->store, 1, bytes, length, T0 + 4 * HOUR, &o);
    wait_done(f->store, &o, 1);
    assert_false(o.stored);
    assert_all_there(f, 60, 1);
}

/* Ten minutes each are joined as the sealer does it over `hours`. */
static void live(fixture *f, int hours, uint64_t targets)
{
    enum { MINUTES = 5, A_JOIN = 2 }; /* SPACING is five minutes */
    const int64_t join = A_JOIN * SPACING;
    assert_int_equal(SPACING, MINUTES * HOUR / 60);
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int i = 1; i < 12 * hours; i += A_JOIN) {
        submit_blocks(f, (uint64_t)i, (uint64_t)i + A_JOIN - 1, targets);
        meshping__sealer sealer;
        meshping__seal_result result;
        meshping_status status;
        meshping__sealer_init(&sealer, &f->store->sql, 1, 2 * HOUR);
        int64_t newest_us;
        assert_int_equal(meshping__sealer_load(&sealer, &newest_us, NULL), MESHPING_OK);
        do
            status = meshping__sealer_step(&sealer, newest_us + join, &result, NULL);
        while (status == MESHPING_OK);
        assert_int_equal(status, MESHPING_NOT_FOUND);
        meshping__sealer_dispose(&sealer);
    }
    assert_all_there(f, (uint64_t)(12 * hours), 1);
    assert_all_there(f, (uint64_t)(12 * hours), targets);
}

/* Not one by one as each comes of age, nor more than an hour. */
static void test_what_was_joined_is_joined_again_by_the_hour(void **state)
{
    fixture *f = *state;
    live(f, 9, MESHPING__LONG_SAMPLES_ENOUGH / 24 + 1);
    assert_true(sql(f, "SELECT count(DISTINCT first_us) FROM sealed WHERE level = 2") >= 6);
    assert_int_equal(sql(f, "SELECT max(last_us - first_us) > 3600000000 FROM sealed WHERE level = 2"), 0);
    assert_int_equal(sql(f, "SELECT min(last_us - first_us) < 3000000000 FROM sealed WHERE level = 2"), 0);
}

static void test_an_agent_with_few_targets_is_joined_by_several_hours(void **state)
{
    fixture *f = *state;
    live(f, 30, 3);
    assert_in_range(sql(f, "SELECT count(*) FROM sealed WHERE level = 2"), 4, 6);
    assert_int_equal(sql(f, "SELECT max(last_us - first_us) > 6 * 3600000000 FROM sealed WHERE level = 2"), 0);
    assert_int_equal(sql(f, "SELECT min(last_us - first_us) < 4 * 3600000000 FROM sealed WHERE level = 2"), 0);
}

/* ---- the writer's own doing ---- */

typedef struct watched {
    int sealed, troubles;
    int64_t first_id, last_id;
    size_t samples;
    meshping_status status;
} watched;

static void on_sealed(void *user, const meshping_store_sealed *sealed)
{
    watched *w = user;
    w->sealed++;
    assert_int_equal(sealed->agent_id, AGENT);
    w->first_id = sealed->first_id;
    w->last_id = sealed->last_id;
    for (size_t i = 0; i < sealed->count; i++) {
        meshping_block_reader *reader = NULL;
        assert_int_equal(meshping_block_reader_new(&reader, sealed->blocks[i].bytes, sealed->blocks[i].length, NULL),
                         MESHPING_OK);
        w->samples += meshping_block_reader_sample_count(reader);
        meshping_block_reader_free(reader);
    }
}

static void on_trouble(void *user, meshping_status status, const char *message)
{
    watched *w = user;
    w->troubles++;
    w->status = status;
    assert_true(strlen(message) > 5);
}

static void wait_told(fixture *f, const int *count, int wanted)
{
    while (*count < wanted) {
        struct pollfd fd = {.fd = meshping_store_fd(f->store), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1);
        meshping_store_process(f->store);
    }
}

static void test_the_writer_seals_by_itself_and_tells_what(void **state)
{
    fixture *f = *state;
    watched w = {0};
    meshping_store_stats stats;
    f->seal_after_s = 1200; /* an hour with so few samples */
    f->long_after_s = 2400; /* two hours, likewise */
    fixture_reopen(f);
    meshping_store_watch(f->store, &(meshping_store_watcher){on_sealed, on_trouble, &w});
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 12, 3); /* 55 minutes between the first and the last */
    meshping_store_get_stats(f->store, &stats);
    assert_int_equal(stats.journal_blocks, 12);
    assert_int_equal(stats.journal_samples, 72);
    assert_int_equal(w.sealed, 0);
    submit_blocks(f, 13, 13, 3);
    wait_told(f, &w.sealed, 1);
    assert_int_equal(w.first_id, 1);
    assert_int_equal(w.last_id, 13);
    assert_int_equal(w.samples, 78);
    meshping_store_get_stats(f->store, &stats);
    assert_int_equal(stats.journal_blocks, 0);
    assert_int_equal(stats.seals, 1);
    assert_int_equal(stats.long_seals, 0);
    assert_int_equal(stats.seal_errors, 0);
    assert_all_there(f, 13, 2);
    for (uint64_t i = 14; i <= 65; i += 13) { /* what waits longer than 2 hours is joined again */
        int before = w.sealed;
        submit_blocks(f, i, i + 12, 3);
        wait_told(f, &w.sealed, before + 1);
    }
    do
        meshping_store_get_stats(f->store, &stats);
    while (stats.long_seals == 0);
    assert_all_there(f, 65, 1);
    fixture_reopen(f); /* what waits is known again after a start */
    meshping_store_get_stats(f->store, &stats);
    assert_int_equal(stats.journal_blocks, sql(f, "SELECT count(*) FROM blocks"));
    assert_all_there(f, 65, 3);
}

static void test_sealing_that_fails_is_told_and_tried_again(void **state)
{
    fixture *f = *state;
    watched w = {0};
    meshping_store_stats stats;
    f->seal_after_s = 1200;
    fixture_reopen(f);
    meshping_store_watch(f->store, &(meshping_store_watcher){on_sealed, on_trouble, &w});
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    sql(f, "CREATE TRIGGER refuse BEFORE INSERT ON sealed BEGIN SELECT raise(ABORT, 'no room'); END");
    submit_blocks(f, 1, 14, 3);
    wait_told(f, &w.troubles, 1);
    assert_int_equal(w.sealed, 0);
    assert_all_there(f, 14, 1);
    meshping_store_get_stats(f->store, &stats);
    assert_int_equal(stats.seal_errors, 1);
    assert_int_equal(stats.journal_blocks, 14);
    sql(f, "DROP TRIGGER refuse");
    fixture_reopen(f); /* so as not to wait */
    meshping_store_watch(f->store, &(meshping_store_watcher){on_sealed, on_trouble, &w});
    wait_told(f, &w.sealed, 1);
    assert_all_there(f, 14, 1);
}

static void test_blocks_that_go_while_they_are_joined_stay_gone(void **state)
{
    fixture *f = *state;
    meshping__sealer sealer;
    meshping__seal_result result;
    int64_t newest_us;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 12, 3);
    meshping__sealer_init(&sealer, &f->store->sql, 0, HOUR);
    assert_int_equal(meshping__sealer_load(&sealer, &newest_us, NULL), MESHPING_OK);
    assert_int_equal(newest_us, T0 + 12 * SPACING + 2 * STEP);
    assert_int_equal(meshping__sealer_step(&sealer, newest_us, &result, NULL), MESHPING_OK); /* all is read */
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
    while (meshping__sealer_step(&sealer, newest_us, &result, NULL) == MESHPING_OK)
        assert_int_equal(result.agent_id, 0);
    assert_int_equal(sealer.stats.undone, 1);
    assert_int_equal(sealer.stats.errors, 0);
    assert_int_equal(sealer.stats.journal_blocks, 0);
    assert_int_equal(sample_count(f->store, 1), 0);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed"), 0);
    meshping__sealer_dispose(&sealer);
}

/* ---- what is in the blocks ---- */

static void test_of_one_slot_the_sample_stored_first_stays_through_all_levels(void **state)
{
    fixture *f = *state;
    outcome o = {0};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (uint64_t i = 1; i <= 4; i++) { /* each begins in the middle of the one before, and says 1 us more */
        size_t length;
        uint8_t *bytes = make_block(T0 + (int64_t)i * 2 * STEP, 4, 2, &length);
        submit_bytes(f->store, i, bytes, length, T0 + (int64_t)i * HOUR, &o);
        wait_done(f->store, &o, (int)i);
        if (i == 2)
            assert_int_equal(seal_now(f, END, HOUR), 2); /* the first two are long now */
        if (i == 3)
            assert_int_equal(seal_now(f, T0 + 3 * HOUR, 9 * HOUR), 1); /* the third is short, the fourth as it came */
    }
    meshping_sample *samples = NULL;
    size_t count;
    assert_int_equal(pair_samples(f->store, AGENT, 1, 0, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 10);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(samples[i].slot_unix_us, T0 + (int64_t)(i + 2) * STEP);
        assert_int_equal(samples[i].rtt_us, 1000 + (i < 4 ? i : 2 + i % 2));
    }
    meshping_free(samples);
}

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

/* The bytes of two samples of one target, the second's outcome not known here: it is of a newer agent. */
static void test_an_outcome_of_a_newer_agent_is_sealed_as_it_is(void **state)
{
    fixture *f = *state;
    outcome o = {0};
    size_t length, count;
    meshping_sample *samples = NULL;
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    meshping__block_builder_set_effort(builder, MESHPING__EFFORT_SEAL);
    assert_int_equal(meshping_block_builder_add(builder, 1, &(meshping_sample){.slot_unix_us = T0, .outcome = 13}),
                     MESHPING_OK);
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
    meshping_block_builder_free(builder);
    submit_bytes(f->store, 1, bytes, length, T0, &o);
    wait_done(f->store, &o, 1);
    assert_int_equal(o.status, MESHPING_OK);
    assert_int_equal(seal_now(f, T0, 0), 2);
    assert_int_equal(pair_samples(f->store, AGENT, 1, 0, INT64_MAX, &samples, &count), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_int_equal(samples[0].outcome, 13);
    meshping_free(samples);
}

/* The sealer's steps at the time of the last block: jobs that it finds due. */
static int due_now(fixture *f, int64_t after_us)
{
    meshping__sealer sealer;
    meshping__seal_result result;
    int64_t newest_us;
    int jobs = 0;
    meshping__sealer_init(&sealer, &f->store->sql, after_us, INT64_MAX);
    assert_int_equal(meshping__sealer_load(&sealer, &newest_us, NULL), MESHPING_OK);
    while (meshping__sealer_step(&sealer, newest_us, &result, NULL) == MESHPING_OK)
        jobs += result.agent_id != 0;
    meshping__sealer_dispose(&sealer);
    return jobs;
}

static void test_many_small_blocks_do_not_wait_for_their_time(void **state)
{
    fixture *f = *state;
    const uint64_t many = 4096; /* BLOCKS_MANY, and as many as a job takes */
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, many - 1, 1);
    assert_int_equal(due_now(f, 1000 * 24 * HOUR), 0);
    submit_blocks(f, many, many, 1);
    assert_int_equal(due_now(f, 1000 * 24 * HOUR), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 0);
    submit_blocks(f, many + 1, 2 * many + 1, 1);
    assert_int_equal(due_now(f, 1000 * 24 * HOUR), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 1); /* the one over it waits */
    assert_all_there(f, 2 * many + 1, 1);
}

/* What is committed meanwhile waits for a step: none takes all of the targets that fit a block. */
static void test_joining_many_targets_comes_in_small_steps(void **unused)
{
    (void)unused;
    enum { INPUTS = 4, A_TARGET = 2 };
    const uint64_t targets = 2000;
    meshping__merge *merge = NULL;
    meshping_status status;
    size_t steps = 0, outputs, length;
    int64_t damaged;
    assert_int_equal(meshping__merge_new(&merge, true, NULL, NULL), MESHPING_OK);
    for (int64_t i = 0; i < INPUTS; i++) {
        uint8_t *bytes = make_block(T0 + i * SPACING, A_TARGET, targets, &length);
        assert_int_equal(meshping__merge_add(merge, i + 1, bytes, length, T0 + i * SPACING), MESHPING_OK);
        meshping_free(bytes);
    }
    while ((status = meshping__merge_step(merge, &damaged)) == MESHPING_OK)
        steps++;
    assert_int_equal(status, MESHPING_NOT_FOUND);
    const meshping__merged *merged = meshping__merge_outputs(merge, &outputs);
    assert_int_equal(outputs, 1); /* all the same */
    assert_int_equal(merged[0].sample_count, INPUTS * A_TARGET * targets);
    assert_true(steps >= INPUTS * A_TARGET * targets / 1024);
    meshping__merge_free(merge);
}

static void test_many_targets_are_cut_into_blocks_of_some_thousand_samples(void **state)
{
    enum { TARGETS = 5000, BLOCKS = 10 };
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, BLOCKS, TARGETS);
    assert_int_equal(seal_now(f, END, END), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed"), 4); /* of 100,000 samples */
    assert_int_equal(sql(f, "SELECT sum(sample_count) FROM sealed"), 2 * TARGETS * BLOCKS);
    assert_true(sql(f, "SELECT max(sample_count) FROM sealed") < 32768 + 2 * BLOCKS);
    for (uint64_t t = 1; t <= TARGETS; t += 271)
        assert_all_there(f, BLOCKS, t);
    assert_all_there(f, BLOCKS, TARGETS);
}

static void test_sealed_samples_expire_and_go_with_their_agent(void **state)
{
    fixture *f = *state;
    size_t deleted;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 12, 3);
    assert_int_equal(meshping_store_expire(f->store, T0 + 10 * HOUR, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 0); /* what was never joined is in no roll-up */
    assert_int_equal(seal_now(f, END, END), 1);
    submit_blocks(f, 13, 24, 3);
    assert_int_equal(seal_now(f, END, END), 1);
    assert_int_equal(meshping_store_expire(f->store, T0 + HOUR / 2, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 0); /* some in it are to be kept */
    assert_int_equal(sample_count(f->store, 1), 48);
    assert_int_equal(meshping_store_expire(f->store, T0 + HOUR + SPACING + 3 * STEP, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 1);
    assert_int_equal(sample_count(f->store, 1), 24);
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
    assert_int_equal(sample_count(f->store, 1), 0);
}

static void test_a_damaged_block_stays_reported_and_stops_nobody(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 12, 3);
    sql(f, "UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE sequence = 5");
    assert_int_equal(seal_now(f, END, END), 3); /* those before it, itself, those after it */
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 0);
    for (int level = 1; level <= 2; level++) {
        meshping_series series;
        assert_int_equal(meshping_store_series(f->store, AGENT, 1, T0, INT64_MAX, &series, NULL), MESHPING_OK);
        assert_int_equal(series.count, 22);
        assert_int_equal(series.damaged_count, 1);
        assert_int_equal(series.damaged[0].first_unix_us, T0 + 5 * SPACING);
        assert_int_equal(series.damaged[0].last_unix_us, T0 + 5 * SPACING + STEP);
        meshping_series_dispose(&series);
        assert_int_equal(seal_now(f, T0 + 10 * HOUR, HOUR), level == 1);
    }
    /* and one that was damaged when it was joined already */
    submit_blocks(f, 13, 24, 3);
    assert_int_equal(seal_now(f, END, END), 1);
    sql(f, "UPDATE sealed SET bytes = zeroblob(length(bytes)) WHERE level = 1");
    assert_int_equal(seal_now(f, T0 + 10 * HOUR, HOUR), 1);
    assert_int_equal(seal_now(f, T0 + 10 * HOUR, HOUR), 0);
    meshping_series series;
    assert_int_equal(meshping_store_series(f->store, AGENT, 1, T0, INT64_MAX, &series, NULL), MESHPING_OK);
    assert_int_equal(series.count, 22);
    assert_int_equal(series.damaged_count, 2);
    meshping_series_dispose(&series);
}

static void test_a_kill_in_the_middle_of_sealing_costs_nothing(void **state)
{
    enum { BLOCKS = 600, TARGETS = 40 };
    fixture *f = *state;
    uint64_t dice = 20240607;
    int kills = 0, status, rounds = 0;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, BLOCKS, TARGETS);
    while (sql(f, "SELECT (SELECT count(*) FROM blocks) + (SELECT count(*) FROM sealed WHERE level = 1)") > 0 &&
           rounds++ <= 60) {
        meshping_store_close(f->store);
        f->store = NULL;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            f->store = fixture_open(f);
            seal_now(f, T0 + 1000 * HOUR, HOUR);
            _exit(0);
        }
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        usleep((useconds_t)(3000 + (dice >> 33) % 25000 + (uint64_t)rounds * 3000));
        if (rounds < 60) /* however slow the machine: the last one may finish */
            kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        kills += WIFSIGNALED(status);
        f->store = fixture_open(f);
        assert_all_there(f, BLOCKS, 1 + dice % TARGETS);
    }
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 0);
    assert_int_equal(sql(f, "SELECT count(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'"), 0);
    assert_true(kills >= 3);
    for (uint64_t t = 1; t <= TARGETS; t++)
        assert_all_there(f, BLOCKS, t);
    print_message("%d kills\n", kills);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_reader_cannot_tell_what_is_sealed),
        T(test_what_was_joined_is_joined_again_by_the_hour),
        T(test_an_agent_with_few_targets_is_joined_by_several_hours),
        T(test_the_writer_seals_by_itself_and_tells_what),
        T(test_sealing_that_fails_is_told_and_tried_again),
        T(test_blocks_that_go_while_they_are_joined_stay_gone),
        T(test_of_one_slot_the_sample_stored_first_stays_through_all_levels),
        T(test_late_data_is_marked_before_and_after_sealing),
        T(test_late_data_is_told_on_the_agents_clock),
        T(test_an_outcome_of_a_newer_agent_is_sealed_as_it_is),
        T(test_many_small_blocks_do_not_wait_for_their_time),
        cmocka_unit_test(test_joining_many_targets_comes_in_small_steps),
        T(test_many_targets_are_cut_into_blocks_of_some_thousand_samples),
        T(test_sealed_samples_expire_and_go_with_their_agent),
        T(test_a_damaged_block_stays_reported_and_stops_nobody),
        T(test_a_kill_in_the_middle_of_sealing_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
