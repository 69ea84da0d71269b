/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND 1000000LL

static meshping_buffer *new_buffer(size_t max_bytes, size_t max_blocks)
{
    meshping_buffer_options options;
    meshping_buffer_options_init(&options);
    options.epoch = 77;
    options.max_age_ms = 60000;
    options.max_bytes = max_bytes;
    options.max_blocks = max_blocks;
    meshping_buffer *buffer = NULL;
    assert_int_equal(meshping_buffer_new(&buffer, &options, NULL), MESHPING_OK);
    return buffer;
}

/* A block of 10 bytes and `samples` samples over seconds second .. second + 5. */
static uint64_t push_samples(meshping_buffer *buffer, int64_t second, size_t samples)
{
    uint8_t *bytes = malloc(10);
    memset(bytes, (int)second, 10);
    uint64_t sequence = 0;
    assert_int_equal(
        meshping_buffer_push(buffer, bytes, 10, samples, second * SECOND, (second + 5) * SECOND, &sequence),
        MESHPING_OK);
    return sequence;
}

static uint64_t push(meshping_buffer *buffer, int64_t second)
{
    return push_samples(buffer, second, 3);
}

static meshping_buffer_stats stats_of(const meshping_buffer *buffer)
{
    meshping_buffer_stats stats;
    meshping_buffer_get_stats(buffer, &stats);
    return stats;
}

static void assert_gap(const meshping_buffer *buffer, size_t i, uint64_t first, uint64_t last, uint64_t samples,
                       meshping_gap_reason reason)
{
    meshping_gap gap;
    assert_int_equal(meshping_buffer_gap(buffer, i, &gap), MESHPING_OK);
    assert_int_equal(gap.first_sequence, first);
    assert_int_equal(gap.last_sequence, last);
    assert_int_equal(gap.sample_count, samples);
    assert_int_equal(gap.reason, reason);
}

static size_t gap_count(const meshping_buffer *buffer)
{
    meshping_gap gap;
    size_t count = 0;
    while (meshping_buffer_gap(buffer, count, &gap) == MESHPING_OK)
        count++;
    assert_int_equal(meshping_buffer_gap(buffer, count, &gap), MESHPING_NOT_FOUND);
    return count;
}

static void test_blocks_are_numbered_from_1_and_found(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(1000, 100);
    meshping_buffer_block block;
    assert_int_equal(meshping_buffer_epoch(buffer), 77);
    assert_int_equal(meshping_buffer_find(buffer, 0, &block), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_buffer_find_last(buffer, UINT64_MAX, &block), MESHPING_NOT_FOUND);
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(push(buffer, (int64_t)i), i);
    assert_int_equal(meshping_buffer_ack(buffer, 3, 3), MESHPING_OK);
    assert_int_equal(meshping_buffer_find(buffer, 3, &block), MESHPING_OK);
    assert_int_equal(block.sequence, 4);
    assert_int_equal(block.length, 10);
    assert_int_equal(block.bytes[9], 4);
    assert_int_equal(block.sample_count, 3);
    assert_int_equal(block.first_unix_us, 4 * SECOND);
    assert_int_equal(block.last_unix_us, 9 * SECOND);
    assert_int_equal(meshping_buffer_find_last(buffer, 3, &block), MESHPING_OK);
    assert_int_equal(block.sequence, 2);
    assert_int_equal(meshping_buffer_find_last(buffer, UINT64_MAX, &block), MESHPING_OK);
    assert_int_equal(block.sequence, 5);
    assert_int_equal(meshping_buffer_find(buffer, 6, &block), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_buffer_find_last(buffer, 0, &block), MESHPING_NOT_FOUND);
    meshping_buffer_free(buffer);
}

static void test_an_ack_frees_and_counts(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(1000, 100);
    for (int i = 1; i <= 6; i++)
        push(buffer, i);
    assert_int_equal(meshping_buffer_ack(buffer, 5, 4), MESHPING_INVALID);
    assert_int_equal(meshping_buffer_ack(buffer, 1, 2), MESHPING_OK);
    assert_int_equal(meshping_buffer_ack(buffer, 1, 2), MESHPING_OK); /* again: nothing more */
    assert_int_equal(meshping_buffer_ack(buffer, 5, 5), MESHPING_OK);
    meshping_buffer_stats stats = stats_of(buffer);
    assert_int_equal(stats.blocks, 3);
    assert_int_equal(stats.bytes, 30);
    assert_int_equal(stats.samples, 9);
    assert_int_equal(stats.dropped_samples, 0);
    assert_int_equal(stats.last_sequence, 6);
    assert_int_equal(stats.oldest_unix_us, 3 * SECOND);
    assert_int_equal(meshping_buffer_ack(buffer, 0, UINT64_MAX), MESHPING_OK);
    stats = stats_of(buffer);
    assert_int_equal(stats.blocks + stats.bytes + stats.samples, 0);
    assert_int_equal(stats.oldest_unix_us, 0);
    assert_int_equal(push(buffer, 7), 7); /* numbers go on */
    assert_int_equal(gap_count(buffer), 0);
    meshping_buffer_free(buffer);
}

static void test_over_a_limit_the_oldest_goes_and_is_told(void **unused)
{
    (void)unused;
    for (int by_count = 0; by_count < 2; by_count++) {
        meshping_buffer *buffer = by_count ? new_buffer(100000, 4) : new_buffer(49, 1000);
        for (int i = 1; i <= 4; i++)
            push(buffer, i);
        assert_int_equal(stats_of(buffer).blocks, 4);
        assert_int_equal(gap_count(buffer), 0);
        push(buffer, 5);
        push(buffer, 6);
        assert_int_equal(stats_of(buffer).blocks, 4);
        assert_int_equal(stats_of(buffer).dropped_samples, 6);
        assert_int_equal(gap_count(buffer), 1);
        assert_gap(buffer, 0, 1, 2, 6, MESHPING_GAP_OVERFLOW);
        meshping_gap gap;
        meshping_buffer_gap(buffer, 0, &gap);
        assert_int_equal(gap.first_unix_us, 1 * SECOND);
        assert_int_equal(gap.last_unix_us, 7 * SECOND);
        meshping_buffer_block block;
        assert_int_equal(meshping_buffer_find(buffer, 1, &block), MESHPING_OK);
        assert_int_equal(block.sequence, 3);
        meshping_buffer_free(buffer);
    }
}

static void test_a_block_longer_than_the_buffer_is_refused_and_stays_the_callers(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(20, 10);
    push(buffer, 1);
    uint8_t *bytes = calloc(1, 21);
    uint64_t sequence = 99;
    assert_int_equal(meshping_buffer_push(buffer, bytes, 21, 1, 0, 0, &sequence), MESHPING_LIMIT);
    assert_int_equal(stats_of(buffer).blocks, 1);
    assert_int_equal(meshping_buffer_push(buffer, bytes, 20, 1, 1, 0, &sequence), MESHPING_INVALID);
    assert_int_equal(sequence, 99);
    assert_int_equal(meshping_buffer_push(buffer, bytes, 20, 1, 0, 0, &sequence), MESHPING_OK);
    assert_int_equal(stats_of(buffer).blocks, 1);
    assert_gap(buffer, 0, 1, 1, 3, MESHPING_GAP_OVERFLOW);
    meshping_buffer_free(buffer);
}

static void test_what_is_too_old_expires_to_the_microsecond(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(1000, 100);
    push(buffer, 0);  /* last slot: second 5 */
    push(buffer, 10); /* 15 */
    meshping_buffer_expire(buffer, 65 * SECOND);
    assert_int_equal(stats_of(buffer).blocks, 2);
    meshping_buffer_expire(buffer, 65 * SECOND + 1);
    assert_int_equal(stats_of(buffer).blocks, 1);
    assert_gap(buffer, 0, 1, 1, 3, MESHPING_GAP_EXPIRED);
    meshping_buffer_expire(buffer, 1000 * SECOND);
    assert_int_equal(stats_of(buffer).blocks, 0);
    assert_int_equal(gap_count(buffer), 1);
    assert_gap(buffer, 0, 1, 2, 6, MESHPING_GAP_EXPIRED);
    meshping_buffer_expire(buffer, INT64_MIN); /* a clock gone mad drops nothing */
    meshping_buffer_free(buffer);
}

static void test_a_clock_that_is_set_makes_nothing_older_or_younger(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(1000, 100);
    push(buffer, 0); /* last slot: second 5; at most 60 s old */
    meshping_buffer_clock_stepped(buffer, 7200 * SECOND);
    push(buffer, 7210);
    meshping_buffer_expire(buffer, 7265 * SECOND);
    assert_int_equal(stats_of(buffer).blocks, 2);
    assert_int_equal(stats_of(buffer).oldest_unix_us, 0);
    meshping_buffer_expire(buffer, 7265 * SECOND + 1);
    assert_int_equal(stats_of(buffer).blocks, 1);
    assert_gap(buffer, 0, 1, 1, 3, MESHPING_GAP_EXPIRED);
    meshping_buffer_clock_stepped(buffer, -7200 * SECOND); /* 7215 was 15 by this clock */
    meshping_buffer_expire(buffer, 75 * SECOND);
    assert_int_equal(stats_of(buffer).blocks, 1);
    meshping_buffer_expire(buffer, 75 * SECOND + 1);
    assert_int_equal(stats_of(buffer).blocks, 0);
    push(buffer, 10);
    for (int i = 0; i < 3; i++) /* what cannot be harms nobody */
        meshping_buffer_clock_stepped(buffer, INT64_MAX);
    meshping_buffer_expire(buffer, 10000 * SECOND);
    assert_int_equal(stats_of(buffer).blocks, 1);
    for (int i = 0; i < 3; i++)
        meshping_buffer_clock_stepped(buffer, INT64_MIN);
    meshping_buffer_expire(buffer, 0);
    assert_int_equal(stats_of(buffer).blocks, 0);
    meshping_buffer_free(buffer);
}

static void test_gaps_of_other_reasons_or_apart_are_told_apart(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(1000, 3);
    push(buffer, 0);
    meshping_buffer_expire(buffer, 100 * SECOND);
    for (int i = 100; i < 104; i++)
        push(buffer, i); /* 2, 3, 4, 5; 2 overflows */
    assert_int_equal(meshping_buffer_ack(buffer, 3, 3), MESHPING_OK);
    push(buffer, 104);
    push(buffer, 105); /* 4 overflows */
    assert_int_equal(gap_count(buffer), 3);
    assert_gap(buffer, 0, 1, 1, 3, MESHPING_GAP_EXPIRED);
    assert_gap(buffer, 1, 2, 2, 3, MESHPING_GAP_OVERFLOW);
    assert_gap(buffer, 2, 4, 4, 3, MESHPING_GAP_OVERFLOW);
    meshping_buffer_free(buffer);
}

static meshping_buffer *buffer_with_gap_1_to_10(void)
{
    meshping_buffer *buffer = new_buffer(1000, 1);
    for (int i = 1; i <= 11; i++)
        push_samples(buffer, i, 4);
    assert_int_equal(gap_count(buffer), 1);
    assert_gap(buffer, 0, 1, 10, 40, MESHPING_GAP_OVERFLOW);
    return buffer;
}

static void test_a_gap_goes_when_all_of_it_is_acknowledged(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = buffer_with_gap_1_to_10();
    assert_int_equal(meshping_buffer_ack(buffer, 1, 10), MESHPING_OK);
    assert_int_equal(gap_count(buffer), 0);
    assert_int_equal(stats_of(buffer).blocks, 1);
    assert_int_equal(stats_of(buffer).dropped_samples, 40); /* since the start */
    meshping_buffer_free(buffer);
}

static void test_a_gap_is_cut_by_what_the_server_has_after_all(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = buffer_with_gap_1_to_10();
    assert_int_equal(meshping_buffer_ack(buffer, 1, 2), MESHPING_OK);
    assert_gap(buffer, 0, 3, 10, 32, MESHPING_GAP_OVERFLOW);
    assert_int_equal(meshping_buffer_ack(buffer, 10, 10), MESHPING_OK);
    assert_gap(buffer, 0, 3, 9, 28, MESHPING_GAP_OVERFLOW);
    assert_int_equal(meshping_buffer_ack(buffer, 5, 6), MESHPING_OK);
    assert_int_equal(gap_count(buffer), 2);
    assert_gap(buffer, 0, 3, 4, 8, MESHPING_GAP_OVERFLOW);
    assert_gap(buffer, 1, 7, 9, 12, MESHPING_GAP_OVERFLOW);
    assert_int_equal(meshping_buffer_ack(buffer, 0, 8), MESHPING_OK);
    assert_int_equal(gap_count(buffer), 1);
    assert_gap(buffer, 0, 9, 9, 4, MESHPING_GAP_OVERFLOW);
    meshping_buffer_free(buffer);
}

/* Every second block is acknowledged, the others are dropped: as many gaps as can be. None may be forgotten. */
static void test_gaps_are_bounded_and_none_is_forgotten(void **unused)
{
    (void)unused;
    meshping_buffer *buffer = new_buffer(100000, 1);
    uint64_t dropped = 0;
    for (int i = 0; i < 3000; i++) {
        uint64_t sequence = push(buffer, i);
        if (sequence % 2 == 0)
            assert_int_equal(meshping_buffer_ack(buffer, sequence, sequence), MESHPING_OK);
        else
            dropped += 3;
        if (sequence % 2 == 1) { /* pushes the one before out */
            push(buffer, i);
            meshping_buffer_ack(buffer, sequence + 1, sequence + 1);
        }
    }
    size_t gaps = gap_count(buffer);
    uint64_t told = 0, before = 0;
    assert_true(gaps <= 256);
    for (size_t i = 0; i < gaps; i++) {
        meshping_gap gap;
        meshping_buffer_gap(buffer, i, &gap);
        assert_true(gap.first_sequence > before && gap.last_sequence >= gap.first_sequence);
        before = gap.last_sequence;
        told += gap.sample_count;
    }
    assert_int_equal(told, stats_of(buffer).dropped_samples);
    assert_int_equal(told, dropped);
    meshping_buffer_free(buffer);
}

/* Against a plain model: an array of what must be there. */
static void test_random_use_agrees_with_a_simple_model(void **unused)
{
    (void)unused;
    enum { N = 5000, CAP = 50 };
    static char kept[N + 2], told[N + 2];
    uint64_t state = 12345, last = 0;
    meshping_buffer *buffer = new_buffer(100000, CAP);
    size_t count = 0;
    for (int step = 0; step < N; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint64_t dice = state >> 33;
        if (dice % 3) {
            last = push(buffer, step);
            if (count == CAP) {
                uint64_t oldest = 1;
                while (!kept[oldest])
                    oldest++;
                kept[oldest] = 0;
                told[oldest] = 1;
                count--;
            }
            kept[last] = 1;
            count++;
        } else if (last) {
            uint64_t first = 1 + (dice >> 3) % last, end = first + (dice >> 8) % 6;
            assert_int_equal(meshping_buffer_ack(buffer, first, end), MESHPING_OK);
            for (uint64_t i = first; i <= end && i <= last; i++) {
                count -= (size_t)kept[i];
                kept[i] = told[i] = 0;
            }
        }
        assert_int_equal(stats_of(buffer).blocks, count);
        assert_int_equal(stats_of(buffer).bytes, count * 10);
    }
    meshping_buffer_block block;
    uint64_t at = 0;
    for (uint64_t i = 1; i <= last; i++)
        if (kept[i]) {
            assert_int_equal(meshping_buffer_find(buffer, at + 1, &block), MESHPING_OK);
            assert_int_equal(block.sequence, i);
            at = i;
        }
    size_t gaps = gap_count(buffer);
    for (uint64_t i = 1; i <= last; i++) {
        bool in = false;
        for (size_t g = 0; g < gaps; g++) {
            meshping_gap gap;
            meshping_buffer_gap(buffer, g, &gap);
            in = in || (gap.first_sequence <= i && i <= gap.last_sequence);
        }
        if (told[i])
            assert_true(in);
        if (kept[i])
            assert_false(in); /* what is still here is never called lost */
    }
    meshping_buffer_free(buffer);
}

static void test_bad_options_are_refused_with_a_reason(void **unused)
{
    (void)unused;
    meshping_buffer_options good, options;
    meshping_buffer_options_init(&good);
    good.epoch = 1;
    assert_int_equal(good.max_age_ms, 1800000);
    assert_int_equal(good.max_bytes, 64u << 20);
    assert_int_equal(good.max_blocks, 100000);
    for (int i = 0; i < 5; i++) {
        meshping_buffer *buffer = NULL;
        meshping_error err = {0};
        options = good;
        if (i == 0)
            options.epoch = 0;
        else if (i == 1)
            options.max_age_ms = 0;
        else if (i == 2)
            options.max_bytes = 0;
        else if (i == 3)
            options.max_blocks = 0;
        else
            options.struct_size = 0;
        assert_int_equal(meshping_buffer_new(&buffer, &options, &err), MESHPING_INVALID);
        assert_true(strlen(err.message) > 10);
        assert_null(buffer);
    }
    meshping_buffer_free(NULL);
}

static void test_reasons_have_names(void **unused)
{
    (void)unused;
    assert_string_equal(meshping_gap_reason_name(MESHPING_GAP_OVERFLOW), "overflow");
    assert_string_equal(meshping_gap_reason_name(MESHPING_GAP_EXPIRED), "expired");
    assert_string_equal(meshping_gap_reason_name(MESHPING_GAP_SERVER_LOST), "server_lost");
    assert_string_equal(meshping_gap_reason_name(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_numbered_from_1_and_found),
        cmocka_unit_test(test_an_ack_frees_and_counts),
        cmocka_unit_test(test_over_a_limit_the_oldest_goes_and_is_told),
        cmocka_unit_test(test_a_block_longer_than_the_buffer_is_refused_and_stays_the_callers),
        cmocka_unit_test(test_what_is_too_old_expires_to_the_microsecond),
        cmocka_unit_test(test_a_clock_that_is_set_makes_nothing_older_or_younger),
        cmocka_unit_test(test_gaps_of_other_reasons_or_apart_are_told_apart),
        cmocka_unit_test(test_a_gap_goes_when_all_of_it_is_acknowledged),
        cmocka_unit_test(test_a_gap_is_cut_by_what_the_server_has_after_all),
        cmocka_unit_test(test_gaps_are_bounded_and_none_is_forgotten),
        cmocka_unit_test(test_random_use_agrees_with_a_simple_model),
        cmocka_unit_test(test_bad_options_are_refused_with_a_reason),
        cmocka_unit_test(test_reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
