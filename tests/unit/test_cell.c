/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/cell.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000)
#define START (INT64_C(1700000000) * SECOND)
#define INTERVAL_MS 5000
#define TIMEOUT_MS 3000

/* A cell that has seen one sample each 5 s, the last one now. */
typedef struct fixture {
    meshping_cell cell;
    meshping_cell_thresholds thresholds;
    int64_t now_unix_us;
} fixture;

static fixture empty(void)
{
    fixture f = {.now_unix_us = START};
    meshping_cell_thresholds_init(&f.thresholds);
    return f;
}

static void add(fixture *f, meshping_outcome outcome, uint32_t rtt_us)
{
    f->now_unix_us += 5 * SECOND;
    meshping_sample sample = {.slot_unix_us = f->now_unix_us, .outcome = (uint8_t)outcome, .rtt_us = rtt_us};
    meshping_cell_add(&f->cell, &sample, f->now_unix_us);
}

static void assert_state_at(const fixture *f, bool online, int64_t now_unix_us, const char *name)
{
    meshping_cell_state state =
        meshping_cell_get_state(&f->cell, &f->thresholds, online, INTERVAL_MS, TIMEOUT_MS, now_unix_us);
    assert_string_equal(meshping_cell_state_name(state), name);
}

static void assert_state(const fixture *f, const char *name)
{
    assert_state_at(f, true, f->now_unix_us, name);
}

static void test_a_cell_is_40_bytes_at_most_and_starts_without_data(void **unused)
{
    (void)unused;
    fixture f = empty();
    assert_true(sizeof(meshping_cell) <= 40);
    assert_state(&f, "no_data");
    assert_state_at(&f, false, f.now_unix_us, "agent_offline");
    add(&f, MESHPING_OUTCOME_OK, 1000);
    assert_state(&f, "ok");
}

/* Takes one cause after the other away: what is left is the next in the order. */
static void test_the_first_that_applies_wins(void **unused)
{
    (void)unused;
    fixture f = empty();
    add(&f, MESHPING_OUTCOME_TIMEOUT, 0);
    add(&f, MESHPING_OUTCOME_TIMEOUT, 0);
    add(&f, MESHPING_OUTCOME_ISOLATED, 0);
    int64_t later = f.now_unix_us + 60 * SECOND;
    assert_state_at(&f, false, later, "agent_offline");
    assert_state_at(&f, true, later, "local_error"); /* and stale, and the last verdict lost */

    add(&f, MESHPING_OUTCOME_TIMEOUT, 0);
    later = f.now_unix_us + 60 * SECOND;
    assert_state_at(&f, true, later, "stale"); /* and lost */
    assert_state(&f, "fail");                  /* and lossy */

    add(&f, MESHPING_OUTCOME_OK, 500000);
    assert_state(&f, "lossy"); /* and slow */
    for (int i = 0; i < 12; i++)
        add(&f, MESHPING_OUTCOME_OK, 500000);
    assert_state(&f, "slow");
    add(&f, MESHPING_OUTCOME_OK, 500);
    assert_state(&f, "ok");
}

static void test_slow_begins_above_the_threshold(void **unused)
{
    (void)unused;
    fixture f = empty();
    add(&f, MESHPING_OUTCOME_OK, 99999);
    assert_state(&f, "ok");
    add(&f, MESHPING_OUTCOME_OK, 100000);
    assert_state(&f, "ok");
    add(&f, MESHPING_OUTCOME_OK, 100001);
    assert_state(&f, "slow");
    f.thresholds.slow_rtt_us = 100001;
    assert_state(&f, "ok");
}

static void test_stale_begins_after_three_intervals_and_a_timeout(void **unused)
{
    (void)unused;
    fixture f = empty();
    add(&f, MESHPING_OUTCOME_OK, 1000);
    int64_t edge = f.now_unix_us + (3 * INTERVAL_MS + TIMEOUT_MS) * INT64_C(1000);
    assert_state_at(&f, true, edge - 1, "ok");
    assert_state_at(&f, true, edge, "ok");
    assert_state_at(&f, true, edge + 1, "stale");
    f.thresholds.stale_intervals = 4;
    assert_state_at(&f, true, edge + 1, "ok");
    assert_state_at(&f, true, edge + 5 * SECOND + 1, "stale");
    assert_state_at(&f, true, f.now_unix_us - 3600 * SECOND, "ok"); /* the server's clock went back */
}

static void test_lossy_counts_the_last_twelve_verdicts(void **unused)
{
    (void)unused;
    fixture f = empty();
    add(&f, MESHPING_OUTCOME_UNREACHABLE, 0);
    for (int i = 0; i < 11; i++) {
        add(&f, MESHPING_OUTCOME_OK, 1000);
        assert_state(&f, "lossy");
        assert_int_equal(meshping_cell_lost(&f.cell), 1);
    }
    add(&f, MESHPING_OUTCOME_OK, 1000); /* the loss is the 13th last now */
    assert_state(&f, "ok");
    assert_int_equal(meshping_cell_lost(&f.cell), 0);
}

static void test_lossy_begins_at_its_count(void **unused)
{
    (void)unused;
    for (unsigned lost = 0; lost <= 12; lost++) {
        fixture f = empty();
        f.thresholds.lossy_count = 3;
        for (unsigned i = 0; i < 12; i++)
            add(&f, i < lost ? MESHPING_OUTCOME_TIMEOUT : MESHPING_OUTCOME_OK, i < lost ? 0 : 1000);
        assert_int_equal(meshping_cell_lost(&f.cell), lost);
        assert_int_equal(f.cell.verdicts, 12);
        assert_state(&f, lost == 12 ? "fail" : lost >= 3 ? "lossy" : "ok");
    }
}

static void test_every_kind_of_loss_is_one_and_no_local_error_is(void **unused)
{
    (void)unused;
    for (unsigned outcome = 0; outcome < MESHPING_OUTCOME_COUNT; outcome++) {
        fixture f = empty();
        add(&f, (meshping_outcome)outcome, 0);
        assert_state(&f, outcome == 0 ? "ok" : outcome < MESHPING_OUTCOME_LOCAL_FIRST ? "fail" : "local_error");
    }
}

static void test_local_errors_take_no_place_among_the_verdicts(void **unused)
{
    (void)unused;
    fixture f = empty();
    add(&f, MESHPING_OUTCOME_TIMEOUT, 0);
    for (int i = 0; i < 30; i++)
        add(&f, MESHPING_OUTCOME_ISOLATED, 0);
    assert_int_equal(f.cell.verdicts, 1);
    assert_int_equal(meshping_cell_lost(&f.cell), 1);
    assert_state(&f, "local_error");
    add(&f, MESHPING_OUTCOME_OK, 1000);
    assert_state(&f, "lossy"); /* the loss before the trouble is still one of the last twelve */
}

static void test_late_data_does_not_change_the_present(void **unused)
{
    (void)unused;
    fixture f = empty();
    add(&f, MESHPING_OUTCOME_OK, 1000);
    meshping_cell before = f.cell;
    int64_t slots[] = {f.cell.newest_slot_unix_us, f.cell.newest_slot_unix_us - 1,
                       f.cell.newest_slot_unix_us - 3600 * SECOND};
    for (size_t i = 0; i < 3; i++) {
        meshping_sample late = {.slot_unix_us = slots[i], .outcome = MESHPING_OUTCOME_TIMEOUT};
        meshping_cell_add(&f.cell, &late, f.now_unix_us + SECOND);
        assert_memory_equal(&f.cell, &before, sizeof before);
    }
    assert_state(&f, "ok");
    meshping_sample next = {.slot_unix_us = before.newest_slot_unix_us + 1, .outcome = MESHPING_OUTCOME_TIMEOUT};
    meshping_cell_add(&f.cell, &next, f.now_unix_us + SECOND);
    assert_state(&f, "fail");
}

/* An agent whose clock runs an hour ahead or says 1970 has live cells: only the server's clock tells what is stale. */
static void test_the_agents_clock_does_not_make_a_cell_stale(void **unused)
{
    (void)unused;
    static const int64_t offsets[] = {-1699999999, -3600, 3600};
    for (size_t i = 0; i < 3; i++) {
        fixture f = empty();
        meshping_sample sample = {.slot_unix_us = START + offsets[i] * SECOND, .rtt_us = 1000};
        meshping_cell_add(&f.cell, &sample, START);
        assert_state_at(&f, true, START + SECOND, "ok");
        assert_state_at(&f, true, START + 19 * SECOND, "stale");
    }
}

static void test_names(void **unused)
{
    (void)unused;
    assert_string_equal(meshping_cell_state_name(MESHPING_CELL_AGENT_OFFLINE), "agent_offline");
    assert_string_equal(meshping_cell_state_name(MESHPING_CELL_PAUSED), "paused");
    assert_string_equal(meshping_cell_state_name(MESHPING_CELL_UNASSIGNED), "unassigned");
    assert_string_equal(meshping_cell_state_name(10), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cell_is_40_bytes_at_most_and_starts_without_data),
        cmocka_unit_test(test_the_first_that_applies_wins),
        cmocka_unit_test(test_slow_begins_above_the_threshold),
        cmocka_unit_test(test_stale_begins_after_three_intervals_and_a_timeout),
        cmocka_unit_test(test_lossy_begins_at_its_count),
        cmocka_unit_test(test_lossy_counts_the_last_twelve_verdicts),
        cmocka_unit_test(test_every_kind_of_loss_is_one_and_no_local_error_is),
        cmocka_unit_test(test_local_errors_take_no_place_among_the_verdicts),
        cmocka_unit_test(test_late_data_does_not_change_the_present),
        cmocka_unit_test(test_the_agents_clock_does_not_make_a_cell_stale),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
