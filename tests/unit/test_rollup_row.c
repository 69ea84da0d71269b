/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of roll-ups: what goes in comes out, merged or not; no damaged row is taken for a sound one. */
#include "core/rollup_hours.h"

#include "base/bytes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR MESHPING__HOUR_US
#define T0 (INT64_C(472222) * HOUR)

static uint64_t dice = 472222;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

static int compare_rows(const void *left, const void *right)
{
    const meshping__block_row *a = left, *b = right;
    if (a->target_id != b->target_id)
        return a->target_id < b->target_id ? -1 : 1;
    return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : a->sample.slot_unix_us > b->sample.slot_unix_us;
}

/* Sorted rows of `targets` targets over `hours` hours; a few slots may come twice: they are counted twice here. */
static void make_rows(meshping__block_row *rows, size_t count, unsigned targets, unsigned hours)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t outcome = roll(10) ? 0 : (uint8_t)(1 + roll(MESHPING_OUTCOME_COUNT - 1));
        rows[i] = (meshping__block_row){
            .target_id = 1 + roll(targets) * roll(3),
            .sample = {.slot_unix_us = T0 + (int64_t)roll((uint64_t)hours * 3600) * 1000000 - HOUR / 3,
                       .rtt_us = outcome ? 0 : (uint32_t)(roll(UINT64_C(1) << 31) >> roll(31)),
                       .outcome = outcome}};
    }
    qsort(rows, count, sizeof *rows, compare_rows);
}

static void assert_same(const meshping__hours *a, const meshping__hours *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const meshping__hour *x = &a->items[i], *y = &b->items[i];
        assert_int_equal(x->target_id, y->target_id);
        assert_int_equal(x->hour, y->hour);
        assert_int_equal(x->sum_us, y->sum_us);
        assert_int_equal(x->min_us, y->min_us);
        assert_int_equal(x->max_us, y->max_us);
        assert_int_equal(x->count, y->count);
        for (size_t j = 0; j < x->count; j++) {
            assert_int_equal(a->tallies[x->first + j].key, b->tallies[y->first + j].key);
            assert_int_equal(a->tallies[x->first + j].count, b->tallies[y->first + j].count);
        }
    }
}

/* The records of a target and an hour, counted one by one. */
static void assert_as_counted(const meshping__hours *hours, const meshping__block_row *rows, size_t count)
{
    size_t at = 0;
    for (size_t i = 0; i < hours->count; i++) {
        meshping_rollup told = {0}, counted = {0};
        meshping__hour_add_to(&told, hours, i);
        for (; at < count && rows[at].target_id == hours->items[i].target_id &&
               rows[at].sample.slot_unix_us < (hours->items[i].hour + 1) * HOUR;
             at++) {
            assert_true(rows[at].sample.slot_unix_us >= hours->items[i].hour * HOUR);
            meshping_rollup_add(&counted, &rows[at].sample);
        }
        assert_memory_equal(&told, &counted, sizeof told);
    }
    assert_int_equal(at, count);
}

static meshping__bytes encode(const meshping__hours *hours)
{
    meshping__bytes bytes = {0};
    meshping__hours_encode(&bytes, hours);
    assert_false(bytes.failed);
    return bytes;
}

static void test_rows_come_back_as_they_went_in(void **unused)
{
    (void)unused;
    enum { COUNT = 2000 };
    static meshping__block_row rows[COUNT];
    for (int round = 0; round < 60; round++) {
        meshping__hours made = {0}, read = {0};
        size_t count = (size_t)roll(COUNT);
        make_rows(rows, count, 1 + round % 40, 1 + round % 50);
        assert_true(meshping__hours_of_rows(&made, rows, count));
        assert_as_counted(&made, rows, count);
        meshping__bytes bytes = encode(&made);
        assert_int_equal(meshping__hours_decode(&read, NULL, bytes.data, bytes.length), MESHPING_OK);
        assert_same(&made, &read);
        meshping__bytes_dispose(&bytes);
        meshping__hours_dispose(&made);
        meshping__hours_dispose(&read);
    }
}

static void test_hours_merged_part_by_part_are_those_of_all_samples(void **unused)
{
    (void)unused;
    enum { COUNT = 1200 };
    static meshping__block_row rows[COUNT], part[COUNT];
    for (int round = 0; round < 40; round++) {
        meshping__hours all = {0}, sum = {0};
        make_rows(rows, COUNT, 1 + round % 30, 1 + round % 30);
        assert_true(meshping__hours_of_rows(&all, rows, COUNT));
        for (unsigned p = 0; p < 4; p++) { /* sample i is of part i % 4: late ones and all */
            meshping__hours more = {0}, next = {0};
            size_t count = 0;
            for (size_t i = p; i < COUNT; i += 4)
                part[count++] = rows[i];
            assert_true(meshping__hours_of_rows(&more, part, count));
            assert_true(meshping__hours_merge(&next, &sum, &more, 0, more.count));
            meshping__hours_dispose(&sum);
            meshping__hours_dispose(&more);
            sum = next;
        }
        assert_same(&all, &sum);
        meshping__hours_dispose(&all);
        meshping__hours_dispose(&sum);
    }
}

static void test_extremes_fit(void **unused)
{
    (void)unused;
    meshping__block_row rows[] = {
        {.target_id = 1, .sample = {.slot_unix_us = -MESHPING__SLOT_US_MAX, .rtt_us = MESHPING_RTT_US_MAX}},
        {.target_id = 1, .sample = {.slot_unix_us = -1, .rtt_us = 0}},
        {.target_id = 1, .sample = {.slot_unix_us = MESHPING__SLOT_US_MAX, .rtt_us = 1}},
        {.target_id = MESHPING__TARGET_ID_MAX, .sample = {.slot_unix_us = -MESHPING__SLOT_US_MAX, .outcome = 31}},
    };
    meshping__hours made = {0}, read = {0};
    assert_true(meshping__hours_of_rows(&made, rows, 4));
    assert_int_equal(made.count, 4);
    assert_int_equal(made.items[1].hour, -1);
    meshping__bytes bytes = encode(&made);
    assert_int_equal(meshping__hours_decode(&read, NULL, bytes.data, bytes.length), MESHPING_OK);
    assert_same(&made, &read);
    meshping__bytes_dispose(&bytes);
    meshping__hours_dispose(&made);
    meshping__hours_dispose(&read);
}

static void test_a_changed_or_short_row_is_damaged(void **unused)
{
    (void)unused;
    static meshping__block_row rows[300];
    meshping__hours made = {0};
    make_rows(rows, 300, 5, 4);
    assert_true(meshping__hours_of_rows(&made, rows, 300));
    meshping__bytes bytes = encode(&made);
    for (size_t length = 0; length < bytes.length; length++) {
        meshping__hours read = {0};
        assert_int_equal(meshping__hours_decode(&read, NULL, bytes.data, length), MESHPING_CORRUPT);
        meshping__hours_dispose(&read);
    }
    for (size_t i = 0; i < bytes.length; i++) {
        meshping__hours read = {0};
        bytes.data[i] ^= (uint8_t)(1u << roll(8));
        assert_int_equal(meshping__hours_decode(&read, NULL, bytes.data, bytes.length), MESHPING_CORRUPT);
        meshping__hours_dispose(&read);
    }
    meshping__bytes_dispose(&bytes);
    meshping__hours_dispose(&made);
}

int main(void)
{
    print_message("seed %llu\n", (unsigned long long)dice);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_come_back_as_they_went_in),
        cmocka_unit_test(test_hours_merged_part_by_part_are_those_of_all_samples),
        cmocka_unit_test(test_extremes_fit),
        cmocka_unit_test(test_a_changed_or_short_row_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
