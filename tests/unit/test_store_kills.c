/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server that takes blocks, seals, rolls up and expires is killed at random, again and again: what it acknowledged is
 * there, in every count once, and the file is sound. MESHPING_TEST_RUNS kills (a short form without it).
 */
#include "store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define START (T0 - T0 % DAY)
#define SPACING (300 * SECOND) /* of the blocks' time, which is not ours */
#define TARGETS 40
#define ROUNDS 12
#define A_GROUP 6
#define JOURNAL_MAX 40
#define SAMPLES_A_BLOCK ((uint64_t)TARGETS * ROUNDS)

static uint64_t dice = 20261125;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

static int64_t block_us(uint64_t sequence)
{
    return START + (int64_t)sequence * SPACING;
}

/* The child goes on from where the file is, tells each acknowledged sequence to `out`, and never ends by itself. */
static void serve(fixture *f, int out)
{
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    f->seal_after_s = 600;
    f->long_after_s = 3600;
    f->store = fixture_open(f);
    assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
    for (uint64_t sequence = count ? ranges[0].last + 1 : 1;; sequence++) {
        outcome o = {0};
        uint64_t last = sequence + A_GROUP - 1;
        for (; sequence <= last; sequence++) {
            size_t length;
            uint8_t *bytes = make_block(block_us(sequence), ROUNDS, TARGETS, &length);
            submit_bytes(f->store, sequence, bytes, length, block_us(sequence) + SPACING, &o);
        }
        wait_done(f->store, &o, A_GROUP);
        if (o.acked != A_GROUP || write(out, &last, sizeof last) != sizeof last)
            _exit(3);
        sequence = last;
        const meshping_retention goal = {.raw_before_us = block_us(sequence) - 6 * HOUR,
                                         .rollups_before_us = INT64_MIN,
                                         .spare_raw_before_us = INT64_MIN,
                                         .spare_rollups_before_us = INT64_MIN};
        meshping_store_retain(f->store, &goal, NULL);
        meshping_store_stats stats;
        do { /* else a short life would never come to the end of a long job */
            usleep(500);
            meshping_store_get_stats(f->store, &stats);
        } while (stats.journal_blocks > JOURNAL_MAX);
    }
}

static uint64_t last_acked(int in, uint64_t before)
{
    uint64_t sequence;
    while (read(in, &sequence, sizeof sequence) == sizeof sequence)
        before = sequence;
    return before;
}

/* Every block up to `last` is in the roll-ups and the journal once; of one pair at each zoom, too. */
static void check_counts(fixture *f, uint64_t last)
{
    static meshping_rollup sum;
    const meshping_pair row = {AGENT, 0};
    meshping_point *points = NULL;
    size_t count;
    int64_t step_us, end_us = block_us(last + 2);
    uint64_t target = 1 + roll(TARGETS), told = 0;
    int64_t from_us = START, to_us = end_us;
    assert_int_equal(meshping_store_group(f->store, &row, 1, &from_us, &to_us, &sum, NULL), MESHPING_OK);
    assert_int_equal(sum.counts[MESHPING_OUTCOME_OK], last * SAMPLES_A_BLOCK);
    size_t most = 2 + (size_t)roll(roll(2) ? 100 : 20000);
    assert_int_equal(
        meshping_store_points(f->store, AGENT, target, START, end_us, most, &points, &count, &step_us, NULL),
        MESHPING_OK);
    for (size_t i = 0; i < count; i++)
        told += points[i].counts[MESHPING_OUTCOME_OK];
    meshping_free(points);
    assert_int_equal(told, last * ROUNDS);
}

static int64_t sql(const fixture *f, const char *text)
{
    int64_t value;
    assert_int_equal(meshping__sql_number(&f->store->sql, text, &value, NULL), MESHPING_OK);
    return value;
}

static void test_whatever_it_does_when_it_is_killed_every_sample_counts_once(void **state)
{
    fixture *f = *state;
    const char *runs_text = getenv("MESHPING_TEST_RUNS");
    int runs = runs_text ? atoi(runs_text) : 25, status;
    uint64_t acked = 0, last = 0, expired = 0;
    useconds_t more_us = 0;
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t count;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    for (int run = 0; run < runs; run++) {
        int pipe_fds[2];
        meshping_store_close(f->store);
        f->store = NULL;
        assert_int_equal(pipe(pipe_fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(pipe_fds[0]);
            serve(f, pipe_fds[1]);
        }
        close(pipe_fds[1]);
        usleep((useconds_t)(20000 + roll(300000)) + more_us);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        acked = last_acked(pipe_fds[0], acked);
        close(pipe_fds[0]);
        f->seal_after_s = 0;
        f->store = fixture_open(f);
        assert_int_equal(meshping_store_ranges(f->store, AGENT, EPOCH, ranges, &count, NULL), MESHPING_OK);
        if ((count ? ranges[0].last : 0) == last) /* a slow machine: its lives are longer */
            more_us += 50000;
        last = count ? ranges[0].last : 0;
        assert_true(count <= 1 && last >= acked);
        if (last)
            check_counts(f, last);
        if (run % 20 == 0)
            assert_int_equal(sql(f, "SELECT count(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'"), 0);
    }
    seal_now(f, END, HOUR); /* however far they came */
    check_counts(f, last);
    expired = last * SAMPLES_A_BLOCK - (uint64_t)sql(f, "SELECT (SELECT ifnull(sum(sample_count), 0) FROM sealed) +"
                                                        " (SELECT ifnull(sum(sample_count), 0) FROM blocks)");
    print_message("%d kills, %llu blocks acknowledged, %lld rows of roll-ups, %llu samples expired\n", runs,
                  (unsigned long long)last, (long long)sql(f, "SELECT count(*) FROM rollups"),
                  (unsigned long long)expired);
    assert_true(last > 0);
    assert_true(sql(f, "SELECT count(*) FROM rollups") > 0);
    assert_int_equal(sql(f, "SELECT count(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'"), 0);
}

int main(void)
{
    print_message("seed %llu\n", (unsigned long long)dice);
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {T(test_whatever_it_does_when_it_is_killed_every_sample_counts_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
