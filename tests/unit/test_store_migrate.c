/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Databases of every earlier version, with samples in them, are brought up to date, and killed while that happens.
 * MESHPING_TEST_RUNS kills (a short form without it).
 */
#include "store_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define BLOCKS 30
#define TARGETS 5
#define SPACING (10 * STEP)
#define KILL_WITHIN_US 30000

static uint64_t dice = 20261125;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

static int64_t newest_version(fixture *f)
{
    int64_t version = 0;
    assert_int_equal(meshping__sql_number(&f->store->sql, "PRAGMA user_version", &version, NULL), MESHPING_OK);
    return version;
}

static void unlink_database(const fixture *f)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[128];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        snprintf(name, sizeof name, "%s%s", f->path, suffixes[i]);
        unlink(name);
    }
}

/* With what version 1 had: an agent, an epoch's ranges, blocks of the journal. All later ones have these tables too. */
static void fill(meshping__sql *sql)
{
    meshping__ranges ranges = {.count = 1, .items = {{.first = 1, .last = BLOCKS}}};
    uint8_t key[32] = {1}, bytes[MESHPING__RANGES_BYTES_MAX];
    size_t length = meshping__ranges_encode(&ranges, bytes);
    meshping_error err = {0};
    meshping_status status = meshping__sql_run(
        sql, &err,
        "INSERT INTO agents(id, public_key, state, host_name, version, reported_address, observed_address,"
        " approved_addresses, reason, first_seen_ms, last_seen_ms, state_changed_ms, revision)"
        " VALUES(?1, ?2, ?3, 'old', '', '', '', '', '', 1, 1, 1, 1)",
        "ibi", (int64_t)AGENT, (const void *)key, sizeof key, (int64_t)MESHPING_AGENT_APPROVED);
    if (status == MESHPING_OK)
        status = meshping__sql_run(sql, &err,
                                   "INSERT INTO epochs(agent_id, epoch, updated_us, ranges) VALUES(?1, ?2, ?3, ?4)",
                                   "iiib", (int64_t)AGENT, (int64_t)EPOCH, (int64_t)T0, (const void *)bytes, length);
    for (int64_t i = 1; status == MESHPING_OK && i <= BLOCKS; i++) {
        int64_t first_us = T0 + i * SPACING;
        uint8_t *block = make_block(first_us, 2, TARGETS, &length);
        status = meshping__sql_run(sql, &err,
                                   "INSERT INTO blocks(agent_id, epoch, sequence, first_us, last_us, received_us, "
                                   "keep_us, sample_count, bytes)"
                                   " VALUES(?1, ?2, ?3, ?4, ?5, ?5, ?5, ?6, ?7)",
                                   "iiiiiib", (int64_t)AGENT, (int64_t)EPOCH, i, first_us, first_us + STEP,
                                   (int64_t)2 * TARGETS, (const void *)block, length);
        meshping_free(block);
    }
    if (status != MESHPING_OK)
        fail_msg("%s", err.message);
}

static void make_old(const fixture *f, int64_t version)
{
    meshping__sql sql;
    meshping_error err = {0};
    unlink_database(f);
    int fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(meshping__sql_open(&sql, f->path, false, &err), MESHPING_OK);
    assert_int_equal(meshping__sql_exec(&sql, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL", &err),
                     MESHPING_OK);
    if (meshping__schema_migrate(&sql, 0, version, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    fill(&sql);
    meshping__sql_close(&sql);
}

static void assert_whole(fixture *f, int64_t newest)
{
    int64_t bad;
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    assert_int_equal(newest_version(f), newest);
    for (uint64_t t = 1; t <= TARGETS; t++)
        assert_int_equal(sample_count(f->store, t), 2 * BLOCKS);
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_range(&ranges[0], 1, BLOCKS);
    assert_int_equal(meshping__sql_number(&f->store->sql,
                                          "SELECT count(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'",
                                          &bad, NULL),
                     MESHPING_OK);
    assert_int_equal(bad, 0);
    assert_int_equal(
        meshping__sql_number(&f->store->sql, "SELECT count(*) FROM pragma_foreign_key_check()", &bad, NULL),
        MESHPING_OK);
    assert_int_equal(bad, 0);
}

static void test_every_earlier_version_is_brought_up_to_date(void **state)
{
    fixture *f = *state;
    int64_t newest = newest_version(f);
    for (int64_t version = 1; version <= newest; version++) {
        meshping_store_close(f->store);
        f->store = NULL;
        make_old(f, version);
        f->store = fixture_open(f);
        assert_whole(f, newest);
        assert_int_equal(seal_now(f, T0 + BLOCKS * SPACING + INT64_C(3600000000), INT64_C(3600000000)) >= 1, 1);
        assert_whole(f, newest);
        outcome o = store_block(f->store, BLOCKS + 1); /* and it is a store like any other */
        assert_int_equal(o.status, MESHPING_OK);
    }
}

static void test_a_kill_in_the_middle_of_a_migration_costs_nothing(void **state)
{
    fixture *f = *state;
    const char *given = getenv("MESHPING_TEST_RUNS");
    int runs = given ? atoi(given) : 15, status, half_way = 0;
    int64_t newest = newest_version(f), found;
    for (int run = 0; run < runs; run++) {
        int64_t version = 1 + (int64_t)roll((uint64_t)newest - 1);
        meshping_store_close(f->store);
        f->store = NULL;
        make_old(f, version);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            f->store = fixture_open(f);
            pause();
            _exit(1);
        }
        struct timespec wait = {.tv_nsec = (long)roll(KILL_WITHIN_US) * 1000};
        nanosleep(&wait, NULL);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        meshping__sql sql;
        assert_int_equal(meshping__sql_open(&sql, f->path, true, NULL), MESHPING_OK);
        assert_int_equal(meshping__sql_number(&sql, "PRAGMA user_version", &found, NULL), MESHPING_OK);
        meshping__sql_close(&sql);
        assert_in_range(found, version, newest);
        half_way += found > version && found < newest;
        f->store = fixture_open(f);
        assert_whole(f, newest);
    }
    print_message("%d kills, %d between two versions\n", runs, half_way);
}

int main(void)
{
    const char *given = getenv("MESHPING_SEED");
    if (given)
        dice = strtoull(given, NULL, 0);
    printf("seed %llu (MESHPING_SEED)\n", (unsigned long long)dice);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_every_earlier_version_is_brought_up_to_date),
        T(test_a_kill_in_the_middle_of_a_migration_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
