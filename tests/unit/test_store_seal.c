/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: blocks of one round become long ones, and no reader can tell. */
#include "store_fixture.h"

#include "store/internal.h"
#include <fcntl.h>
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

static meshping_status seal_before(fixture *f, int64_t before_us)
{
    meshping_error err = {0};
    meshping_status status = meshping__seal_step(&f->store->sql, before_us, &err);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND)
        fail_msg("%s", err.message);
    return status;
}

/* Target t has both samples of each block 1..last, no more, no less. */
static void assert_all_there(fixture *f, uint64_t last, uint64_t t)
{
    meshping_sample *samples = NULL;
    size_t count;
    meshping_error err = {0};
    if (meshping_store_samples(f->store, AGENT, t, INT64_MIN, INT64_MAX, &samples, &count, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    assert_int_equal(count, 2 * last);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(samples[i].slot_unix_us, T0 + (int64_t)(1 + i / 2) * SPACING + (int64_t)(i % 2) * STEP);
        assert_int_equal(samples[i].rtt_us, 1000 * t + i % 2);
    }
    meshping_free(samples);
}

static void test_a_reader_cannot_tell_what_is_sealed(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 48, 30);
    int64_t before_us = T0 + 3 * HOUR;
    assert_int_equal(seal_before(f, T0), MESHPING_NOT_FOUND);
    assert_int_equal(seal_before(f, before_us), MESHPING_OK);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed"), 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 36); /* the first hour went */
    for (uint64_t t = 1; t <= 30; t++)
        assert_all_there(f, 48, t);
    while (seal_before(f, before_us) == MESHPING_OK)
        ;
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks WHERE keep_us < 1700010800000000"), 0);
    assert_true(sql(f, "SELECT count(*) FROM blocks") > 0);
    fixture_reopen(f);
    assert_all_there(f, 48, 1);
    assert_all_there(f, 48, 30);
    assert_int_equal(sample_count(f->store, 31), 0);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 1, 48);
    outcome o = {0}; /* an agent that had no ack sends a sealed one again */
    size_t length;
    uint8_t *bytes = make_block(T0 + SPACING, 2, 30, &length);
    submit_bytes(f->store, 1, bytes, length, T0 + 4 * HOUR, &o);
    wait_done(f->store, &o, 1);
    assert_false(o.stored);
    assert_all_there(f, 48, 1);
}

static void test_the_writer_seals_by_itself_what_is_old_enough(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 12, 3);
    f->seal_after_s = 7200;
    fixture_reopen(f);
    submit_blocks(f, 13, 13, 3);
    fixture_reopen(f); /* waits for a step that is under way, and begins anew */
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed"), 0); /* too young */
    submit_blocks(f, 14, 60, 3);                                /* 5 hours on */
    fixture_reopen(f);
    submit_blocks(f, 61, 61, 3);
    fixture_reopen(f);
    assert_true(sql(f, "SELECT count(*) FROM sealed") >= 1);
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks WHERE keep_us < (SELECT max(keep_us) FROM sealed)"), 0);
    assert_all_there(f, 61, 2);
}

static void test_sealed_samples_expire_and_go_with_their_agent(void **state)
{
    fixture *f = *state;
    size_t deleted;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 24, 3);
    while (seal_before(f, T0 + 3 * HOUR) == MESHPING_OK)
        ;
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed"), 2 + 0);
    assert_int_equal(meshping_store_expire(f->store, T0 + HOUR / 2, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 0); /* some in it are to be kept */
    assert_int_equal(sample_count(f->store, 1), 48);
    assert_int_equal(meshping_store_expire(f->store, T0 + HOUR + SPACING + 3 * STEP, 100, &deleted, NULL), MESHPING_OK);
    assert_int_equal(deleted, 1);
    assert_true(sample_count(f->store, 1) > 0 && sample_count(f->store, 1) < 48);
    assert_int_equal(meshping_store_agent_delete(f->store, AGENT, NULL), MESHPING_OK);
    assert_int_equal(sql(f, "SELECT count(*) FROM sealed"), 0);
}

static void test_a_damaged_block_stays_reported_and_stops_nobody(void **state)
{
    fixture *f = *state;
    meshping_sample *samples = NULL;
    size_t count;
    meshping_error err = {0};
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, 12, 3);
    sql(f, "UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE sequence = 5");
    while (seal_before(f, T0 + 3 * HOUR) == MESHPING_OK)
        ;
    assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), 0);
    assert_int_equal(meshping_store_samples(f->store, AGENT, 1, T0, INT64_MAX, &samples, &count, &err),
                     MESHPING_CORRUPT);
    assert_non_null(strstr(err.message, "is damaged"));
    assert_int_equal(meshping_store_samples(f->store, AGENT, 1, T0 + 6 * SPACING, INT64_MAX, &samples, &count, &err),
                     MESHPING_OK);
    assert_int_equal(count, 14);
    meshping_free(samples);
}

static void test_a_kill_in_the_middle_of_sealing_costs_nothing(void **state)
{
    enum { BLOCKS = 600, TARGETS = 40 };
    fixture *f = *state;
    uint64_t dice = 20240607;
    int kills = 0, status, rounds = 0;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    submit_blocks(f, 1, BLOCKS, TARGETS);
    while (sql(f, "SELECT count(*) FROM blocks") > 0 && rounds++ <= 60) {
        meshping_store_close(f->store);
        f->store = NULL;
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            f->store = fixture_open(f);
            while (meshping__seal_step(&f->store->sql, T0 + 1000 * HOUR, NULL) == MESHPING_OK)
                ;
            _exit(0);
        }
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        usleep((useconds_t)(3000 + (dice >> 33) % 25000 + (uint64_t)rounds * 500));
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
        T(test_a_reader_cannot_tell_what_is_sealed),           T(test_the_writer_seals_by_itself_what_is_old_enough),
        T(test_sealed_samples_expire_and_go_with_their_agent), T(test_a_damaged_block_stays_reported_and_stops_nobody),
        T(test_a_kill_in_the_middle_of_sealing_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
