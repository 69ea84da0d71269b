/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every allocation and every call to the disk in a store's life fails, in turn: once, and from then on until it is
 * mended. Whatever fails: no crash, no leak, nothing acknowledged that is not there afterwards, once; and the same
 * store works again, or opens again where it could not be opened.
 * MESHPING_SWEEP=full takes every one in turn, a number about so many of each kind; else some, by MESHPING_SEED.
 */
#include "fault_vfs.h"
#include "store_fixture.h"

#include <limits.h>
#include <time.h>

#define BLOCKS 20
#define SPACING (300 * INT64_C(1000000))
#define TARGETS 12
#define HOUR INT64_C(3600000000)
#define RUNS 40 /* of one kind, when not all */

static unsigned long long seed = 1;
static long runs_of_a_kind = RUNS; /* LONG_MAX: every one */
static long calls_of_a_life;       /* by the plan's kind */

/* ---- the library's own memory ---- */

static _Atomic long library_live;

static void *quiet_malloc(size_t size)
{
    void *memory = malloc(size);
    library_live += memory != NULL;
    return memory;
}

static void *failing_malloc(size_t size)
{
    return fault_due(&fault_memory) ? NULL : quiet_malloc(size);
}

static void *failing_realloc(void *memory, size_t size)
{
    if (fault_due(&fault_memory))
        return NULL;
    void *grown = realloc(memory, size);
    library_live += !memory && grown;
    return grown;
}

static void counted_free(void *memory)
{
    library_live -= memory != NULL;
    free(memory);
}

/* ---- a store's life ---- */

typedef struct made_block {
    uint8_t *bytes;
    size_t length;
} made_block;

static made_block made[BLOCKS + 2]; /* by sequence */

typedef struct life {
    fixture f;
    bool acked[BLOCKS + 2];
    int calls, submitted;
    bool opened, agent_saved, setting_saved, queued_saved, gap_acked;
    bool gone; /* a second agent came and went */
    meshping_agent_record agent;
    char why[MESHPING_ERROR_MESSAGE_MAX]; /* the last block was not stored */
} life;

static void on_block(void *user, const meshping_block_done *done)
{
    life *l = user;
    l->calls++;
    if (done->status == MESHPING_OK) {
        l->acked[done->write->sequence] = true;
        return;
    }
    assert_true(done->error && strlen(done->error) > 5);
    snprintf(l->why, sizeof l->why, "%s", done->error);
}

static void on_gap(void *user, const meshping_block_done *done)
{
    life *l = user;
    l->calls++;
    l->gap_acked = l->gap_acked || done->status == MESHPING_OK;
}

static void on_setting(void *user, meshping_status status, const char *error)
{
    life *l = user;
    l->calls++;
    l->queued_saved = status == MESHPING_OK;
    assert_true(l->queued_saved || strlen(error) > 5);
}

static void wait_all(life *l)
{
    while (l->calls < l->submitted) {
        struct pollfd fd = {.fd = meshping_store_fd(l->f.store), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1); /* each is answered, whatever happens */
        meshping_store_process(l->f.store);
    }
    assert_int_equal(l->calls, l->submitted);
}

static void submit_made(life *l, uint64_t sequence)
{
    meshping_error err = {0};
    meshping_block_write write = {.agent_id = AGENT,
                                  .epoch = EPOCH,
                                  .sequence = sequence,
                                  .bytes = quiet_malloc(made[sequence].length),
                                  .length = made[sequence].length,
                                  .received_unix_us = T0 + (int64_t)(sequence + 1) * SPACING};
    if (!write.bytes)
        abort();
    memcpy(write.bytes, made[sequence].bytes, write.length);
    if (meshping_store_submit_block(l->f.store, &write, on_block, l, &err) == MESHPING_OK) {
        l->submitted++;
    } else {
        assert_true(strlen(err.message) > 5);
        meshping_free(write.bytes);
    }
}

static void submit_gap(life *l, uint64_t agent_id)
{
    meshping_gap gap = {.first_sequence = 100,
                        .last_sequence = 120,
                        .first_unix_us = T0,
                        .last_unix_us = T0 + HOUR,
                        .sample_count = 7,
                        .reason = MESHPING_GAP_OVERFLOW};
    meshping_block_write write = {.agent_id = agent_id, .epoch = EPOCH, .received_unix_us = T0 + HOUR};
    if (meshping_store_submit_gap(l->f.store, &write, &gap, on_gap, l, NULL) == MESHPING_OK)
        l->submitted++;
}

static meshping_status try_open(life *l, meshping_error *err)
{
    meshping_store_options options;
    meshping_store_options_init(&options);
    options.path = l->f.path;
    options.commit_ms = 1;
    options.seal_after_s = 0; /* done here, by hand */
    return meshping_store_open(&l->f.store, &options, err);
}

static void seal(life *l)
{
    meshping__sealer sealer;
    meshping__seal_result result;
    meshping_error err = {0};
    int64_t newest_us;
    meshping__sealer_init(&sealer, &l->f.store->sql, 0, HOUR / 4);
    meshping_status status = meshping__sealer_load(&sealer, &newest_us, &err);
    for (int steps = 0; status == MESHPING_OK && steps < 10000; steps++)
        status = meshping__sealer_step(&sealer, T0 + 3 * HOUR, &result, &err);
    meshping__sealer_dispose(&sealer);
}

static void read_all(life *l)
{
    meshping_series series = {0};
    meshping_stored_gap *gaps = NULL;
    meshping_agent_record *agents = NULL;
    meshping_range ranges[MESHPING_RANGES_MAX];
    meshping_store_stats stats;
    char *value = NULL;
    size_t count;
    for (uint64_t t = 1; t <= TARGETS; t += 5) {
        if (meshping_store_series(l->f.store, AGENT, t, INT64_MIN, INT64_MAX, &series, NULL) == MESHPING_OK)
            assert_int_equal(series.damaged_count, 0); /* an error is no damage */
        meshping_series_dispose(&series);
    }
    if (meshping_store_gaps(l->f.store, AGENT, INT64_MIN, INT64_MAX, &gaps, &count, NULL) == MESHPING_OK)
        meshping_free(gaps);
    if (meshping_store_agents(l->f.store, &agents, &count, NULL) == MESHPING_OK)
        meshping_free(agents);
    if (meshping_store_setting(l->f.store, "k", &value, NULL) == MESHPING_OK)
        meshping_free(value);
    meshping_store_ranges(l->f.store, AGENT, EPOCH, ranges, &count, NULL);
    meshping_store_get_stats(l->f.store, &stats);
}

static void save_targets(life *l)
{
    meshping_target_list list = {0};
    meshping_target target;
    meshping_target_init(&target);
    snprintf(target.host, sizeof target.host, "192.0.2.1");
    if (meshping_target_list_append(&list, &target, NULL) == MESHPING_OK)
        meshping_store_targets_save(l->f.store, &list, NULL);
    meshping_target_list_dispose(&list);
}

static void come_and_go(life *l)
{
    meshping_agent_record second = agent_record(AGENT + 1, MESHPING_AGENT_APPROVED);
    bool acked = l->gap_acked;
    if (meshping_store_agent_save(l->f.store, &second, NULL) != MESHPING_OK)
        return;
    submit_gap(l, AGENT + 1);
    wait_all(l);
    l->gap_acked = acked;
    l->gone = meshping_store_agent_delete(l->f.store, AGENT + 1, NULL) == MESHPING_OK;
}

/* With a fault somewhere in it: nothing is expected to work, but what says that it did. */
static void live(life *l)
{
    meshping_error err = {0};
    l->opened = try_open(l, &err) == MESHPING_OK;
    if (!l->opened) {
        assert_true(strlen(err.message) > 5);
        assert_null(l->f.store);
        return;
    }
    l->agent = agent_record(AGENT, MESHPING_AGENT_APPROVED);
    l->agent_saved = meshping_store_agent_save(l->f.store, &l->agent, NULL) == MESHPING_OK;
    save_targets(l);
    for (uint64_t i = 1; i <= BLOCKS / 2; i++)
        submit_made(l, i);
    wait_all(l);
    submit_gap(l, AGENT);
    l->setting_saved = meshping_store_setting_save(l->f.store, "k", "value", NULL) == MESHPING_OK;
    l->submitted += meshping_store_submit_setting(l->f.store, "q", "value", on_setting, l, NULL) == MESHPING_OK;
    meshping_store_submit_seen(l->f.store, &(meshping_agent_seen){AGENT, 1}, 1, NULL, NULL, NULL);
    meshping_store_submit_ticket(l->f.store, &l->agent, NULL, NULL, NULL);
    seal(l);
    for (uint64_t i = BLOCKS / 2 + 1; i <= BLOCKS; i++)
        submit_made(l, i);
    wait_all(l);
    seal(l);
    come_and_go(l);
    read_all(l);
    size_t deleted;
    meshping_store_expire(l->f.store, T0 - HOUR, 5, &deleted, NULL); /* nothing is that old */
    meshping_store_event_add(l->f.store, 1, "kind", AGENT, NULL, "text", NULL);
}

/* What a connection has left open, for whoever looks for the cause. */
static void print_open(const char *name, sqlite3 *db)
{
    print_message("%s: %s\n", name, sqlite3_get_autocommit(db) ? "no transaction" : "a transaction is open");
    for (sqlite3_stmt *one = NULL; (one = sqlite3_next_stmt(db, one));)
        if (sqlite3_stmt_busy(one))
            print_message("%s has not ended: %s\n", name, sqlite3_sql(one));
}

/* The fault is over: what was not acknowledged is sent again, on the same store where it opened, and is taken. */
static void mend(life *l)
{
    meshping_error err = {0};
    if (!l->opened && try_open(l, &err) != MESHPING_OK)
        fail_msg("does not open any more: %s", err.message);
    if (!l->agent_saved) {
        l->agent = agent_record(AGENT, MESHPING_AGENT_APPROVED);
        meshping_status status = meshping_store_agent_save(l->f.store, &l->agent, &err);
        if (status != MESHPING_OK && status != MESHPING_EXISTS) /* a commit that failed may yet be on the disk */
            fail_msg("%s", err.message);
    }
    for (uint64_t i = 1; i <= BLOCKS + 1; i++)
        if (!l->acked[i])
            submit_made(l, i);
    if (!l->gap_acked)
        submit_gap(l, AGENT);
    wait_all(l);
    for (uint64_t i = 1; i <= BLOCKS + 1; i++)
        if (!l->acked[i]) {
            print_open("caller", l->f.store->sql.db);
            print_open("writer", l->f.store->writer.sql.db);
            fail_msg("block %u is not stored though nothing fails any more: %s", (unsigned)i, l->why);
        }
    assert_true(l->gap_acked);
}

static void assert_value(meshping_store *store, const char *key)
{
    char *value = NULL;
    assert_int_equal(meshping_store_setting(store, key, &value, NULL), MESHPING_OK);
    assert_string_equal(value, "value");
    meshping_free(value);
}

static void assert_all_there(const life *l, meshping_store *store)
{
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    meshping_error err = {0};
    for (uint64_t t = 1; t <= TARGETS; t++) {
        meshping_series series = {0};
        if (meshping_store_series(store, AGENT, t, INT64_MIN, INT64_MAX, &series, &err) != MESHPING_OK)
            fail_msg("%s", err.message);
        assert_int_equal(series.damaged_count, 0);
        assert_int_equal(series.count, 2 * (BLOCKS + 1));
        for (size_t i = 0; i < series.count; i++)
            assert_int_equal(series.samples[i].slot_unix_us,
                             T0 + (int64_t)(1 + i / 2) * SPACING + (int64_t)(i % 2) * STEP);
        meshping_series_dispose(&series);
    }
    assert_int_equal(meshping_store_ranges(store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_range(&ranges[0], 1, BLOCKS + 1);
    assert_range(&ranges[1], 100, 120);
    if (l->gone) {
        assert_int_equal(meshping_store_agent_delete(store, AGENT + 1, NULL), MESHPING_NOT_FOUND);
        assert_int_equal(meshping_store_ranges(store, AGENT + 1, EPOCH, ranges, &count, NULL), MESHPING_OK);
        assert_int_equal(count, 0);
    }
    if (l->setting_saved)
        assert_value(store, "k");
    if (l->queued_saved)
        assert_value(store, "q");
}

static int64_t number(const char *path, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static void assert_sound(const char *path)
{
    assert_int_equal(number(path, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    assert_int_equal(number(path, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    /* no sample is counted twice, wherever it lies by now */
    assert_int_equal(number(path, "SELECT (SELECT total(sample_count) FROM blocks) + (SELECT total(sample_count) FROM"
                                  " sealed)"),
                     2 * TARGETS * (BLOCKS + 1));
}

static void begin(life *l)
{
    *l = (life){0};
    snprintf(l->f.directory, sizeof l->f.directory, "%s/meshping-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* it is not the disk's speed that is tested */
    assert_non_null(mkdtemp(l->f.directory));
    snprintf(l->f.path, sizeof l->f.path, "%s/mesh.db", l->f.directory);
}

static void end(life *l)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
    char name[128];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(name, sizeof name, "%s%s", l->f.path, suffixes[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(l->f.directory), 0);
}

/* Returns whether the fault came about. */
static bool one_life(fault_plan *plan, long at, bool for_good)
{
    life l;
    long library_before = library_live, sqlite_before = fault_memory_live;
    begin(&l);
    fault_begin(plan, at, for_good);
    if (getenv("MESHPING_VERBOSE"))
        print_message("fault at %ld\n", at);
    live(&l);
    bool failed = plan->failed > 0;
    calls_of_a_life = plan->count;
    plan->at = 0;
    mend(&l);
    assert_all_there(&l, l.f.store);
    meshping_store_close(l.f.store);
    l.f.store = NULL;
    assert_int_equal(library_live, library_before);
    assert_int_equal(fault_memory_live, sqlite_before);
    assert_sound(l.f.path);
    meshping_error err = {0};
    if (try_open(&l, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    assert_all_there(&l, l.f.store);
    meshping_store_close(l.f.store);
    end(&l);
    return failed;
}

static void sweep(fault_plan *plan, bool for_good)
{
    unsigned long long dice = seed * 2654435761u + for_good;
    fault_begin(plan, 0, false);
    one_life(plan, 0, false);
    long calls = calls_of_a_life, step = calls / runs_of_a_kind + 1, failures = 0, runs = 0;
    for (long at = 1 + (long)(dice % (unsigned long)step); at <= calls; at += step, runs++)
        failures += one_life(plan, at, for_good);
    print_message("%ld calls, %ld lives, %ld with a fault\n", calls, runs, failures);
    assert_true(failures > runs / 2);
}

static void test_each_allocation_fails_once(void **state)
{
    (void)state;
    sweep(&fault_memory, false);
}

static void test_memory_runs_out_for_good(void **state)
{
    (void)state;
    sweep(&fault_memory, true);
}

static void sweep_io(unsigned kinds, bool for_good, bool disk_full)
{
    fault_io.kinds = kinds;
    fault_io.full = disk_full;
    sweep(&fault_io, for_good);
    fault_io.kinds = 0;
}

static void test_each_read_fails_once(void **state)
{
    (void)state;
    sweep_io(FAULT_READ | FAULT_SIZE | FAULT_SHM, false, false);
}

static void test_each_write_fails_once(void **state)
{
    (void)state;
    sweep_io(FAULT_WRITE | FAULT_TRUNCATE | FAULT_DELETE, false, false);
}

static void test_each_sync_fails_once(void **state)
{
    (void)state;
    sweep_io(FAULT_SYNC, false, false);
}

static void test_each_open_and_lock_fails_once(void **state)
{
    (void)state;
    sweep_io(FAULT_OPEN | FAULT_LOCK, false, false);
}

static void test_the_disk_is_full_until_it_is_not(void **state)
{
    (void)state;
    sweep_io(FAULT_WRITE, true, true);
}

static void test_the_disk_is_broken_until_it_is_mended(void **state)
{
    (void)state;
    sweep_io(FAULT_ALL, true, false);
}

static void leave_open(meshping__sql *sql)
{
    assert_int_equal(meshping__sql_begin(sql, NULL), MESHPING_OK);
    assert_int_equal(meshping__sql_run(sql, NULL, "DELETE FROM gaps", ""), MESHPING_OK);
    fault_begin(&fault_memory, 1, true);
    assert_int_equal(meshping__sql_end(sql, MESHPING_STATE, NULL), MESHPING_STATE);
    fault_begin(&fault_memory, 0, false);
}

/* A transaction that stays open keeps every other connection out; what was prepared expires when a table goes. */
static void test_a_transaction_is_rolled_back_without_memory(void **state)
{
    (void)state;
    static const char insert[] = "INSERT INTO settings(key, value) VALUES('a', 'b')";
    life l;
    begin(&l);
    assert_int_equal(try_open(&l, NULL), MESHPING_OK);
    meshping__sql *sql = &l.f.store->sql;
    for (int run = 0; run < 3; run++) { /* the first one makes a table, which goes again */
        assert_int_equal(meshping__sql_begin(sql, NULL), MESHPING_OK);
        assert_int_equal(meshping__sql_run(sql, NULL, insert, ""), MESHPING_OK);
        fault_begin(&fault_memory, 1, true);
        assert_int_equal(meshping__sql_end(sql, MESHPING_STATE, NULL), MESHPING_STATE);
        fault_begin(&fault_memory, 0, false);
        assert_int_not_equal(sqlite3_get_autocommit(sql->db), 0);
    }
    /* making an index lets all that was prepared expire: then it is rolled back when there is memory again */
    l.agent = agent_record(AGENT, MESHPING_AGENT_APPROVED);
    assert_int_equal(meshping_store_agent_save(l.f.store, &l.agent, NULL), MESHPING_OK);
    leave_open(sql);
    assert_int_equal(sqlite3_get_autocommit(sql->db), 0);
    /* a try to begin without memory does not spoil the next one */
    fault_begin(&fault_memory, 1, true);
    assert_int_not_equal(meshping__sql_begin(sql, NULL), MESHPING_OK);
    fault_begin(&fault_memory, 0, false);
    assert_int_equal(meshping__sql_begin(sql, NULL), MESHPING_OK);
    assert_int_equal(meshping__sql_end(sql, MESHPING_STATE, NULL), MESHPING_STATE);
    leave_open(sql);
    assert_int_equal(sqlite3_get_autocommit(sql->db), 0);
    submit_made(&l, 1);
    wait_all(&l);
    assert_true(l.acked[1]);
    /* what waits when the store is closed is committed too, and at once */
    pthread_mutex_lock(&l.f.store->writer.mutex);
    l.f.store->writer.commit_ms = 60000;
    pthread_mutex_unlock(&l.f.store->writer.mutex);
    submit_made(&l, 2);
    leave_open(sql);
    meshping_store_close(l.f.store);
    assert_true(l.acked[2]);
    end(&l);
}

static int make_blocks(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= BLOCKS + 1; i++) {
        uint8_t *bytes = make_block(T0 + (int64_t)i * SPACING, 2, TARGETS, &made[i].length);
        made[i].bytes = malloc(made[i].length);
        memcpy(made[i].bytes, bytes, made[i].length);
        meshping_free(bytes);
    }
    return 0;
}

static int free_blocks(void **state)
{
    (void)state;
    for (uint64_t i = 1; i <= BLOCKS + 1; i++)
        free(made[i].bytes);
    return 0;
}

int main(void)
{
    const char *given = getenv("MESHPING_SEED"), *how = getenv("MESHPING_SWEEP");
    if (given)
        seed = strtoull(given, NULL, 0);
    if (how)
        runs_of_a_kind = strcmp(how, "full") == 0 ? LONG_MAX : strtol(how, NULL, 10);
    if (runs_of_a_kind < 1) {
        fprintf(stderr, "MESHPING_SWEEP=%s: a number from 1, or full\n", how);
        return 2;
    }
    printf("seed %llu (MESHPING_SEED), ", seed);
    printf(runs_of_a_kind == LONG_MAX ? "every fault\n" : "about %ld of each kind (MESHPING_SWEEP; full for all)\n",
           runs_of_a_kind);
    if (meshping_set_allocator(failing_malloc, failing_realloc, counted_free) != MESHPING_OK || !fault_install())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_transaction_is_rolled_back_without_memory),
        cmocka_unit_test(test_each_allocation_fails_once),
        cmocka_unit_test(test_memory_runs_out_for_good),
        cmocka_unit_test(test_each_read_fails_once),
        cmocka_unit_test(test_each_write_fails_once),
        cmocka_unit_test(test_each_sync_fails_once),
        cmocka_unit_test(test_each_open_and_lock_fails_once),
        cmocka_unit_test(test_the_disk_is_full_until_it_is_not),
        cmocka_unit_test(test_the_disk_is_broken_until_it_is_mended),
    };
    return cmocka_run_group_tests(tests, make_blocks, free_blocks);
}
