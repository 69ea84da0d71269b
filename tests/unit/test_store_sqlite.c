/* SPDX-License-Identifier: Apache-2.0 */
/* What is SQLite's own: the file, its lock, its schema, and what happens when the disk or the process fails. */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static unsigned long long seed = 1;

/* Runs SQL on the file beside the store; returns the first column of the first row. */
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

static void assert_sound(const fixture *f)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), "ok");
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

static meshping_status try_open(const char *path, bool read_only, meshping_error *err)
{
    meshping_store_options options;
    meshping_store *store = NULL;
    meshping_store_options_init(&options);
    options.path = path;
    options.read_only = read_only;
    meshping_status status = meshping_store_open(&store, &options, err);
    assert_true((status == MESHPING_OK) == (store != NULL));
    if (status != MESHPING_OK)
        assert_true(strlen(err->message) > 10);
    meshping_store_close(store);
    return status;
}

static void test_the_files_are_the_owners_alone(void **state)
{
    fixture *f = *state;
    static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};
    for (size_t i = 0; i < 4; i++) {
        char name[128];
        struct stat st;
        snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    assert_int_equal(sql(f, "PRAGMA auto_vacuum"), 2);
    assert_int_equal(sql(f, "PRAGMA user_version"), 15);
}

static void test_a_second_server_is_told_who_has_the_file(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    char pid[32];
    assert_int_equal(try_open(f->path, false, &err), MESHPING_BUSY);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.message, pid));
    assert_non_null(strstr(err.message, f->path));
    meshping_store_close(f->store);
    f->store = NULL;
    assert_int_equal(try_open(f->path, false, &err), MESHPING_OK);
}

static void test_reading_beside_a_running_server(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_block(f->store, 1);
    meshping_store_options options;
    meshping_store *reader = NULL;
    meshping_store_options_init(&options);
    options.path = f->path;
    options.read_only = true;
    assert_int_equal(meshping_store_open(&reader, &options, NULL), MESHPING_OK);
    assert_int_equal(sample_count(reader, 1), 2);
    store_block(f->store, 2);
    assert_int_equal(sample_count(reader, 1), 4);
    meshping_agent_record record = agent_record(AGENT + 1, MESHPING_AGENT_PENDING);
    meshping_error err = {0};
    assert_int_equal(meshping_store_agent_save(reader, &record, &err), MESHPING_PERMISSION);
    size_t length;
    uint8_t *bytes = make_block(T0, 1, 1, &length);
    meshping_block_write write = {.agent_id = AGENT, .epoch = 1, .sequence = 1, .bytes = bytes, .length = length};
    assert_int_equal(meshping_store_submit_block(reader, &write, on_done, NULL, &err), MESHPING_PERMISSION);
    meshping_free(bytes);
    assert_int_equal(meshping_store_fd(reader), -1);
    meshping_store_process(reader); /* harmless */
    meshping_store_close(reader);
    assert_int_equal(store_block(f->store, 3).status, MESHPING_OK); /* its locks are still there */
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    for (int i = 0; i < 200; i++)
        fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void test_files_that_are_not_ours_are_refused_and_untouched(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    struct stat before, after;
    meshping_store_close(f->store);
    f->store = NULL;
    unlink(f->path);
    write_file(f->path, "This is somebody's letter, not a database.\n");
    stat(f->path, &before);
    assert_int_equal(try_open(f->path, false, &err), MESHPING_CORRUPT);
    stat(f->path, &after);
    assert_int_equal(before.st_size, after.st_size);
    unlink(f->path);
    sql(f, "CREATE TABLE bookmarks(url TEXT)");
    assert_int_equal(try_open(f->path, false, &err), MESHPING_CORRUPT);
    assert_non_null(strstr(err.message, "not one of meshping"));
    assert_int_equal(try_open(f->path, true, &err), MESHPING_CORRUPT);
}

static void test_wrong_paths_say_what_is_wrong(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    char path[256];
    assert_int_equal(try_open("", false, &err), MESHPING_INVALID);
    snprintf(path, sizeof path, "%s/nowhere/mesh.db", f->directory);
    assert_int_equal(try_open(path, false, &err), MESHPING_IO);
    assert_non_null(strstr(err.message, "nowhere"));
    snprintf(path, sizeof path, "%s/absent.db", f->directory);
    assert_int_equal(try_open(path, true, &err), MESHPING_IO); /* reading creates nothing */
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(try_open(f->directory, true, &err), MESHPING_INVALID);
}

static void test_a_newer_schema_is_named_and_left_alone(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    meshping_store_close(f->store);
    f->store = NULL;
    sql(f, "PRAGMA user_version = 99");
    assert_int_equal(try_open(f->path, false, &err), MESHPING_UNSUPPORTED);
    assert_non_null(strstr(err.message, "99"));
    assert_int_equal(try_open(f->path, true, &err), MESHPING_UNSUPPORTED);
    assert_int_equal(sql(f, "PRAGMA user_version"), 99);
}

static void test_a_damaged_block_is_reported_and_costs_only_itself(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    store_block(f->store, 1);
    store_block(f->store, 2);
    sql(f, "UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE sequence = 1");
    meshping_series series;
    assert_int_equal(meshping_store_series(f->store, AGENT, 1, 0, INT64_MAX, &series, NULL), MESHPING_OK);
    assert_int_equal(series.damaged_count, 1);
    assert_int_equal(series.damaged[0].block_id, 1);
    assert_int_equal(series.damaged[0].first_unix_us, T0 + 2 * STEP);
    assert_int_equal(series.damaged[0].last_unix_us, T0 + 3 * STEP);
    assert_int_equal(series.count, 2);
    assert_int_equal(series.samples[0].slot_unix_us, T0 + 4 * STEP);
    meshping_series_dispose(&series);
    assert_int_equal(meshping_store_series(f->store, AGENT, 1, T0 + 4 * STEP, INT64_MAX, &series, NULL), MESHPING_OK);
    assert_int_equal(series.damaged_count, 0);
    meshping_series_dispose(&series);
}

/* ---- the disk fails ---- */

/* No file may grow over `bytes`: the kernel refuses the write, as it does on a full disk. */
static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_when_the_disk_is_full_nothing_is_acked_and_after_it_all_goes_on(void **state)
{
    fixture *f = *state;
    char wal[128];
    struct stat st;
    meshping_agent_record record = add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    assert_true(store_block(f->store, 1).stored);
    snprintf(wal, sizeof wal, "%s-wal", f->path);
    assert_int_equal(stat(wal, &st), 0);
    signal(SIGXFSZ, SIG_IGN);
    outcome o = {0};
    limit_file_size((rlim_t)st.st_size);
    for (uint64_t i = 2; i <= 5; i++)
        submit(f->store, i, &o);
    wait_done(f->store, &o, 4);
    meshping_status save = meshping_store_agent_save(f->store, &record, NULL);
    size_t still = sample_count(f->store, 1);
    limit_file_size(RLIM_INFINITY);
    assert_int_equal(o.status, MESHPING_IO);
    assert_int_equal(o.acked, 0);
    assert_false(o.stored);
    assert_int_equal(o.range_count, 0);
    assert_non_null(strstr(o.error, f->path));
    assert_int_equal(save, MESHPING_IO);
    assert_int_equal(record.revision, 1);
    assert_int_equal(still, 2); /* reading went on */
    meshping_store_stats stats;
    meshping_store_get_stats(f->store, &stats);
    assert_true(stats.commit_errors >= 1);
    assert_int_equal(stats.blocks_written, 1);
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 1, 1);
    for (uint64_t i = 2; i <= 5; i++) /* the agent sends again */
        assert_true(store_block(f->store, i).stored);
    assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
    fixture_reopen(f);
    assert_int_equal(sample_count(f->store, 1), 10);
    assert_sound(f);
}

static void test_the_file_stops_growing_when_old_samples_go(void **state)
{
    fixture *f = *state;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    int64_t largest = 0;
    for (uint64_t round = 0; round < 12; round++) {
        outcome o = {0};
        for (uint64_t i = 1; i <= 10; i++) {
            size_t length;
            int64_t first = T0 + (int64_t)(round * 10 + i) * 100 * STEP;
            uint8_t *bytes = make_block(first, 100, 50, &length);
            submit_bytes(f->store, round * 10 + i, bytes, length, first + 100 * STEP, &o);
        }
        wait_done(f->store, &o, 10);
        size_t deleted;
        int64_t keep_from = T0 + (int64_t)(round * 10) * 100 * STEP; /* the last round and this one stay */
        seal_now(f, END, END);
        do
            assert_int_equal(meshping_store_expire(f->store, keep_from, 5, &deleted, NULL), MESHPING_OK);
        while (deleted > 0);
        int64_t pages = sql(f, "PRAGMA page_count");
        if (round == 4)
            largest = pages;
        else if (round > 4)
            assert_true(pages <= largest + largest / 10);
    }
}

/* ---- the process dies ---- */

/* Submits without end; each completion's sequence goes down the pipe. Runs until it is killed. */
static void child_acked(void *user, const meshping_block_done *done)
{
    uint64_t sequence = done->write->sequence;
    if (done->status != MESHPING_OK || write(*(int *)user, &sequence, sizeof sequence) != sizeof sequence)
        _exit(2);
}

static void child(const char *path, uint64_t first, int fd)
{
    meshping_store_options options;
    meshping_store *store = NULL;
    meshping_store_options_init(&options);
    options.path = path;
    options.commit_ms = 1;
    if (meshping_store_open(&store, &options, NULL) != MESHPING_OK)
        _exit(3);
    for (uint64_t sequence = first;; sequence++) {
        size_t length;
        uint8_t *bytes = make_block(T0 + (int64_t)sequence * 2 * STEP, 2, 200, &length);
        meshping_block_write write = {.agent_id = AGENT,
                                      .epoch = EPOCH,
                                      .sequence = sequence,
                                      .bytes = bytes,
                                      .length = length,
                                      .received_unix_us = T0};
        if (meshping_store_submit_block(store, &write, child_acked, &fd, NULL) != MESHPING_OK)
            _exit(4);
        if (sequence % 3 == 0) { /* now and then wait for the disk, else the queue would fill up */
            struct pollfd event = {.fd = meshping_store_fd(store), .events = POLLIN};
            poll(&event, 1, 5000);
        }
        meshping_store_process(store);
    }
}

static uint64_t random_below(uint64_t *state, uint64_t bound)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % bound;
}

/* Kills the writer after `acks` acknowledgements and `spins` turns more; returns the highest sequence acked. */
static uint64_t run_and_kill(const fixture *f, uint64_t first, uint64_t acks, uint64_t spins)
{
    int ends[2], status;
    uint64_t sequence, last = first - 1;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child(f->path, first, ends[1]);
    }
    close(ends[1]);
    for (uint64_t i = 0; i < acks; i++) {
        assert_int_equal(read(ends[0], &sequence, sizeof sequence), sizeof sequence);
        assert_int_equal(sequence, last + 1);
        last = sequence;
    }
    for (volatile uint64_t spin = 0; spin < spins; spin++)
        ;
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(ends[0], &sequence, sizeof sequence) == (ssize_t)sizeof sequence) /* said before it died: holds too */
        last = sequence;
    close(ends[0]);
    return last;
}

static void test_what_was_acked_before_a_kill_is_there_once(void **state)
{
    fixture *f = *state;
    uint64_t dice = seed, acked = 0;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int round = 0; round < 20; round++) {
        meshping_store_close(f->store);
        f->store = NULL;
        /* like an agent that had no answer: goes on behind the last ack, though more may have been stored */
        acked = run_and_kill(f, acked + 1, random_below(&dice, 30), random_below(&dice, 400000));
        f->store = fixture_open(f); /* the lock died with the process */
        assert_sound(f);
        meshping_range ranges[MESHPING_RANGES_MAX];
        size_t count;
        assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
        assert_true(count <= 1);
        uint64_t received = count ? ranges[0].last : 0;
        if (count)
            assert_int_equal(ranges[0].first, 1);
        assert_true(received >= acked);
        assert_int_equal(sql(f, "SELECT count(*) FROM blocks"), received);
        assert_int_equal(sql(f, "SELECT count(DISTINCT sequence) FROM blocks"), received);
        assert_int_equal(sample_count(f->store, 1), 2 * received);
        assert_int_equal(sample_count(f->store, 200), 2 * received);
    }
    assert_true(acked > 50);
    print_message("%llu blocks acked over 20 kills\n", (unsigned long long)acked);
}

static meshping_status look(void *user, const meshping_stored_block *block)
{
    *(size_t *)user += block->sample_count;
    return MESHPING_OK;
}

/* Ten thousand agents ask one after the other when they come back: a look at all others each time is a square. */
static void test_a_question_about_one_agent_looks_at_no_other(void **state)
{
    fixture *f = *state;
    enum { MANY = 300 };
    outcome o = {0};
    size_t length, count, samples = 0;
    meshping_range ranges[MESHPING_RANGES_MAX];
    meshping_stored_gap *gaps = NULL;
    meshping_clock_note *notes = NULL;
    meshping_epoch_start *starts = NULL;
    meshping_pair_sample *last = NULL;
    meshping_series series;
    for (unsigned i = 0; i <= MANY; i++) {
        meshping_agent_record record = agent_record(i < MANY ? i + 1 : AGENT, MESHPING_AGENT_APPROVED);
        memcpy(record.public_key, &i, sizeof i);
        assert_int_equal(meshping_store_agent_save(f->store, &record, NULL), MESHPING_OK);
    }
    uint8_t *bytes = make_block(T0, 4, 1, &length);
    submit_bytes(f->store, 1, bytes, length, T0 + 5 * STEP, &o);
    wait_done(f->store, &o, 1);
    assert_int_equal(meshping_store_visit_blocks(f->store, AGENT, 0, INT64_MAX, look, &samples, NULL), MESHPING_OK);
    assert_int_equal(samples, 4);
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_gaps(f->store, AGENT, 0, END, &gaps, &count, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_clocks(f->store, AGENT, 0, END, &notes, &count, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_starts(f->store, AGENT, 0, END, &starts, &count, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_last(f->store, AGENT, 0, &last, &count, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_series(f->store, AGENT, 1, 0, END, &series, NULL), MESHPING_OK);
    meshping_series_dispose(&series);
    meshping_free(gaps);
    meshping_free(notes);
    meshping_free(starts);
    meshping_free(last);
    for (sqlite3_stmt *each = NULL; (each = sqlite3_next_stmt(f->store->sql.db, each)) != NULL;)
        if (sqlite3_stmt_status(each, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0) >= MANY)
            fail_msg("looks at every agent: %s", sqlite3_sql(each));
}

int main(void)
{
    const char *given = getenv("MESHPING_SEED");
    if (given)
        seed = strtoull(given, NULL, 0);
    printf("seed %llu (MESHPING_SEED)\n", seed);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_files_are_the_owners_alone),
        T(test_a_second_server_is_told_who_has_the_file),
        T(test_reading_beside_a_running_server),
        T(test_files_that_are_not_ours_are_refused_and_untouched),
        T(test_wrong_paths_say_what_is_wrong),
        T(test_a_newer_schema_is_named_and_left_alone),
        T(test_a_damaged_block_is_reported_and_costs_only_itself),
        T(test_when_the_disk_is_full_nothing_is_acked_and_after_it_all_goes_on),
        T(test_the_file_stops_growing_when_old_samples_go),
        T(test_a_question_about_one_agent_looks_at_no_other),
        T(test_what_was_acked_before_a_kill_is_there_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
