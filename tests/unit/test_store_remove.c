/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent with much data, or a full quarantine, is deleted: at once for whoever asks, in small steps for the writer,
 * and in the end, whoever is killed when. MESHPING_TEST_RUNS kills (a short form without it).
 */
#include "store_fixture.h"

#include <meshping/maintain.h>
#include <signal.h>
#include <sys/wait.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define START (T0 - T0 % HOUR)
#define OTHER (AGENT + 1)
#define TARGETS 100
#define HOURS 24
#define STEP_BYTES_MAX ((int64_t)4 << 20) /* no step takes more out of the file */

static uint64_t dice = 20261123;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

static int64_t sql(const fixture *f, const char *text)
{
    int64_t value;
    meshping_error err = {0};
    if (meshping__sql_number(&f->store->sql, text, &value, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return value;
}

static bool removing(const fixture *f)
{
    meshping_store_stats stats;
    meshping_store_get_stats(f->store, &stats);
    return stats.removing;
}

static void wait_removed(const fixture *f)
{
    for (int i = 0; i < 60000 && removing(f); i++)
        poll(NULL, 0, 1);
    assert_false(removing(f));
}

static void submit_of(const fixture *f, uint64_t agent_id, uint64_t sequence, const char *source, outcome *o)
{
    meshping_error err = {0};
    int64_t first_us = START + (int64_t)sequence * HOUR;
    meshping_block_write write = {.agent_id = agent_id,
                                  .epoch = EPOCH,
                                  .sequence = sequence,
                                  .received_unix_us = first_us + HOUR,
                                  .clock = {.at_unix_us = first_us, .offset_us = 5000, .error_us = 100}};
    write.bytes = make_block(first_us, 60, TARGETS, &write.length);
    snprintf(write.source, sizeof write.source, "%s", source);
    if (meshping_store_submit_block(f->store, &write, on_done, o, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
}

static void store_of(const fixture *f, uint64_t agent_id, uint64_t sequence, const char *source)
{
    outcome o = {0};
    submit_of(f, agent_id, sequence, source, &o);
    wait_done(f->store, &o, 1);
    assert_true(o.stored);
}

/* Something on every level, gaps, clocks, a quarantine, a ticket. */
static void fill(fixture *f, uint64_t agent_id, int hours)
{
    meshping_agent_record record = add_agent(f->store, agent_id, MESHPING_AGENT_APPROVED);
    const meshping_gap gap = {.first_sequence = 1000,
                              .last_sequence = 1001,
                              .first_unix_us = START,
                              .last_unix_us = START,
                              .reason = MESHPING_GAP_OVERFLOW};
    meshping_block_write write = {.agent_id = agent_id, .epoch = EPOCH, .received_unix_us = START};
    outcome o = {0};
    record.ticket_issued = 1;
    assert_int_equal(meshping_store_submit_ticket(f->store, &record, NULL, NULL, NULL), MESHPING_OK);
    for (int hour = 1; hour <= hours; hour++)
        store_of(f, agent_id, (uint64_t)hour, "");
    seal_now(f, END, 12 * HOUR);
    for (int hour = hours + 1; hour <= hours + 120; hour++)
        store_of(f, agent_id, (uint64_t)hour, "");
    assert_int_equal(meshping_store_submit_gap(f->store, &write, &gap, on_done, &o, NULL), MESHPING_OK);
    wait_done(f->store, &o, 1);
    record.state = MESHPING_AGENT_HOLD;
    assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
    store_of(f, agent_id, 2000, "192.0.2.1");
}

/* Whatever is asked, nothing of the agent is in it. */
static void assert_hidden(const fixture *f, uint64_t agent_id)
{
    static meshping_rollup sum;
    const meshping_pair pairs[] = {{agent_id, 0}, {0, 7}};
    meshping_series series;
    meshping_stored_gap *gaps;
    meshping_point *points;
    meshping_pair_sample *last;
    meshping_pair_point *worst;
    meshping_agent_record *agents;
    meshping_clock_note *notes;
    meshping_quarantine_source *sources;
    meshping_range ranges[MESHPING_RANGES_MAX];
    int64_t step_us;
    meshping_epoch_start *starts;
    size_t count;
    meshping_store *s = f->store;
    assert_int_equal(meshping_store_series(s, agent_id, 7, INT64_MIN, INT64_MAX, &series, NULL), MESHPING_OK);
    assert_int_equal(series.count + series.damaged_count, 0);
    for (size_t i = 0; i < 2; i++) {
        int64_t from_us = START, to_us = START + 200 * HOUR;
        assert_int_equal(meshping_store_group(s, &pairs[i], 1, &from_us, &to_us, &sum, NULL), MESHPING_OK);
        assert_int_equal(sum.counts[MESHPING_OUTCOME_OK], 0);
    }
    for (size_t most = 20; most <= 2000; most *= 100) {
        assert_int_equal(
            meshping_store_points(s, agent_id, 7, START, START + 200 * HOUR, most, &points, &count, &step_us, NULL),
            MESHPING_OK);
        assert_int_equal(count, 0);
    }
    assert_int_equal(meshping_store_last(s, agent_id, 0, &last, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_last(s, 0, 0, &last, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_worst(s, 500, START, START + 200 * HOUR, 5, &worst, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_gaps(s, agent_id, INT64_MIN, INT64_MAX, &gaps, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_starts(s, agent_id, INT64_MIN, INT64_MAX, &starts, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_clocks(s, agent_id, 0, INT64_MAX, &notes, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_ranges(s, agent_id, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_quarantine(s, 0, &sources, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping_store_agents(s, &agents, &count, NULL), MESHPING_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_not_equal(agents[i].id, agent_id);
    meshping_free(agents);
}

static meshping_status count_block(void *user, const meshping_stored_block *block)
{
    *(int *)user += block->agent_id == AGENT;
    return MESHPING_OK;
}

static meshping_status count_samples(void *user, uint64_t target_id, const meshping_sample *samples, size_t count)
{
    (void)target_id;
    (void)samples;
    *(size_t *)user += count;
    return MESHPING_OK;
}

static void assert_empty(const fixture *f)
{
    static const char *const tables[] = {
        "SELECT count(*) FROM blocks",     "SELECT count(*) FROM sealed", "SELECT count(*) FROM rollups",
        "SELECT count(*) FROM gaps",       "SELECT count(*) FROM epochs", "SELECT count(*) FROM clocks",
        "SELECT count(*) FROM quarantine", "SELECT count(*) FROM agents", "SELECT count(*) FROM quarantine_sources",
        "SELECT count(*) FROM tickets",
    };
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (sql(f, tables[i]) != 0)
            fail_msg("%s: not 0", tables[i]);
}

static void test_half_deleted_is_never_seen_and_no_step_is_long(void **state)
{
    fixture *f = *state;
    meshping__removal removal = {.look = true};
    meshping_error err = {0};
    meshping_status status;
    int steps = 0;
    fill(f, AGENT, HOURS);
    wait_removed(f); /* so that the steps are taken here and not by the writer */
    assert_int_equal(meshping__remove_mark_agent(&f->store->sql, AGENT, NULL), MESHPING_OK);
    do {
        int blocks = 0;
        size_t samples = 0;
        assert_hidden(f, AGENT);
        assert_int_equal(meshping_store_visit_blocks(f->store, AGENT, INT64_MIN, INT64_MAX, count_block, &blocks, NULL),
                         MESHPING_OK);
        assert_int_equal(blocks, 0);
        assert_int_equal(meshping_store_scan(f->store, AGENT, 0, INT64_MAX, count_samples, NULL, &samples, NULL),
                         MESHPING_OK);
        assert_int_equal(samples, 0);
        assert_int_equal(seal_now(f, END, 0), 0);
        int64_t before = sql(f, "PRAGMA page_count") - sql(f, "PRAGMA freelist_count");
        status = meshping__remove_step(&f->store->sql, &removal, &err);
        int64_t pages = before - sql(f, "PRAGMA page_count") + sql(f, "PRAGMA freelist_count");
        assert_true(pages * sql(f, "PRAGMA page_size") <= STEP_BYTES_MAX);
        steps++;
    } while (status == MESHPING_OK);
    assert_int_equal(status, MESHPING_NOT_FOUND);
    assert_true(steps > 12); /* it was not one big transaction */
    assert_empty(f);
    assert_int_equal(sql(f, "SELECT count(*) FROM pragma_foreign_key_check()"), 0);
}

static void test_reports_go_on_while_an_agent_is_deleted(void **state)
{
    fixture *f = *state;
    meshping_store_stats stats;
    uint64_t sequence = 0, meanwhile = 0;
    fill(f, AGENT, HOURS);
    wait_removed(f);
    add_agent(f->store, OTHER, MESHPING_AGENT_APPROVED);
    int64_t start_ns = meshping_now_read().mono_ns, longest_ns = 0;
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_NOT_FOUND);
    assert_true(meshping_now_read().mono_ns - start_ns < INT64_C(1000000000)); /* the caller does not wait for it */
    while (removing(f)) {
        start_ns = meshping_now_read().mono_ns;
        store_of(f, OTHER, ++sequence, "");
        int64_t took_ns = meshping_now_read().mono_ns - start_ns;
        longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
        meanwhile += removing(f);
    }
    meshping_store_get_stats(f->store, &stats);
    print_message("%llu reports meanwhile, the longest took %lld ms, the longest step %llu us\n",
                  (unsigned long long)meanwhile, (long long)(longest_ns / 1000000),
                  (unsigned long long)stats.retain_longest_us);
    assert_true(meanwhile > 2);
    assert_true(stats.retain_longest_us < 500000); /* some ms, but this machine may be busy */
    assert_int_equal(stats.retain_errors, 0);
    assert_int_equal(stats.journal_blocks, sequence);
    assert_int_equal(meshping_store_agent_delete(f->store, OTHER, NULL), MESHPING_OK);
    wait_removed(f);
    assert_empty(f);
}

static void test_the_same_id_and_key_begin_anew_at_once(void **state)
{
    fixture *f = *state;
    fill(f, AGENT, 3);
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
    meshping_agent_record record = agent_record(OTHER, MESHPING_AGENT_APPROVED);
    memcpy(record.public_key, agent_record(AGENT, MESHPING_AGENT_APPROVED).public_key, sizeof record.public_key);
    assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK); /* the key, with another id */
    assert_int_equal(meshping_store_agent_delete(f->store, OTHER, NULL), MESHPING_OK);
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_hidden(f, AGENT + 2);
    assert_int_equal(sample_count(f->store, 7), 0);
    store_of(f, AGENT, 1, "");
    wait_removed(f);
    assert_int_equal(sample_count(f->store, 7), 60);
    assert_int_equal(sql(f, "SELECT count(*) FROM agents"), 1);
}

/* Who is about to delete an agent's rows does not take those of the one that has its id by now. */
static void test_the_next_agent_of_that_id_keeps_its_rows(void **state)
{
    fixture *f = *state;
    meshping__removal removal = {.agent_id = (int64_t)AGENT};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_of(f, AGENT, 1, "");
    seal_now(f, END, END);
    store_of(f, AGENT, 2, "");
    for (int i = 0; i < 20; i++)
        meshping__remove_step(&f->store->sql, &removal, NULL);
    assert_int_equal(sample_count(f->store, 7), 120);
    fill(f, OTHER, 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM agents"), 2);
}

static void test_a_quarantine_goes_in_steps_and_another_may_begin(void **state)
{
    fixture *f = *state;
    meshping_quarantine_source *sources;
    meshping_quarantined row;
    size_t count;
    add_agent(f->store, AGENT, MESHPING_AGENT_HOLD);
    for (uint64_t sequence = 1; sequence <= 60; sequence++)
        store_of(f, AGENT, sequence, "192.0.2.1");
    wait_removed(f);
    assert_int_equal(meshping_store_quarantine(f->store, AGENT, &sources, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    uint64_t id = sources[0].id;
    meshping_free(sources);
    assert_int_equal(meshping_store_quarantine_delete(f->store, id, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_quarantine_next(f->store, id, 0, &row, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_quarantine_decide(f->store, id, true, NULL), MESHPING_OK);
    store_of(f, AGENT, 1, "192.0.2.1"); /* not known any more */
    assert_int_equal(meshping_store_quarantine(f->store, AGENT, &sources, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_int_equal(sources[0].blocks, 1);
    meshping_free(sources);
    wait_removed(f);
    assert_int_equal(sql(f, "SELECT count(*) FROM quarantine_sources"), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM quarantine"), 1);
}

static void test_a_kill_half_way_is_finished_after_the_next_start(void **state)
{
    fixture *f = *state;
    const char *runs_text = getenv("MESHPING_TEST_RUNS");
    int runs = runs_text ? atoi(runs_text) : 5, status, half_way = 0;
    for (int run = 0; run < runs; run++) {
        fill(f, AGENT, 6);
        wait_removed(f);
        meshping_store_close(f->store);
        f->store = NULL;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            f->store = fixture_open(f);
            meshping_store_agent_delete(f->store, AGENT, NULL);
            pause();
            _exit(1);
        }
        poll(NULL, 0, (int)(10 + roll(60)));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        f->store = fixture_open(f);
        bool marked = sql(f, "SELECT count(*) FROM agents WHERE NOT leaving") == 0;
        half_way += marked && removing(f);
        if (marked)
            assert_hidden(f, AGENT);
        else /* not even begun */
            assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
        assert_hidden(f, AGENT);
        wait_removed(f);
        assert_empty(f);
        assert_int_equal(sql(f, "SELECT count(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'"), 0);
    }
    print_message("%d kills, %d half-way\n", runs, half_way);
}

int main(void)
{
    print_message("seed %llu\n", (unsigned long long)dice);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_half_deleted_is_never_seen_and_no_step_is_long),
        T(test_reports_go_on_while_an_agent_is_deleted),
        T(test_the_same_id_and_key_begin_anew_at_once),
        T(test_the_next_agent_of_that_id_keeps_its_rows),
        T(test_a_quarantine_goes_in_steps_and_another_may_begin),
        T(test_a_kill_half_way_is_finished_after_the_next_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
