/* SPDX-License-Identifier: Apache-2.0 */
/* What a restored server lacks, and sequences that were never given: docs/PROTOCOL.md, Delivery. */
#include <meshping/buffer.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static meshping_buffer *new_buffer(void)
{
    meshping_buffer_options options;
    meshping_buffer *buffer = NULL;
    meshping_buffer_options_init(&options);
    options.epoch = 77;
    options.max_age_ms = 1000000;
    assert_int_equal(meshping_buffer_new(&buffer, &options, NULL), MESHPING_OK);
    return buffer;
}

/* Block n has 3 samples of the seconds 10 n to 10 n + 5. */
static void push_many(meshping_buffer *buffer, int count)
{
    meshping_buffer_stats stats;
    for (int i = 0; i < count; i++) {
        uint8_t *bytes = calloc(1, 10);
        uint64_t sequence;
        meshping_buffer_get_stats(buffer, &stats);
        int64_t at = ((int64_t)stats.last_sequence + 1) * 10;
        assert_int_equal(meshping_buffer_push(buffer, bytes, 10, 3, at * S, (at + 5) * S, &sequence), MESHPING_OK);
    }
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
    assert_true(gap.first_unix_us <= (int64_t)first * 10 * S && gap.last_unix_us >= ((int64_t)last * 10 + 5) * S);
}

static void assert_no_gap(const meshping_buffer *buffer, size_t i)
{
    meshping_gap gap;
    assert_int_equal(meshping_buffer_gap(buffer, i, &gap), MESHPING_NOT_FOUND);
}

static void test_what_a_restored_server_lacks_is_told_once_and_again_until_it_is_taken(void **state)
{
    meshping_buffer *buffer = new_buffer();
    meshping_range older[] = {{1, 40}}, empty[1], told[] = {{1, 90}};
    (void)state;
    push_many(buffer, 100);
    assert_int_equal(meshping_buffer_ack(buffer, 1, 90), MESHPING_OK);
    assert_no_gap(buffer, 0);
    assert_int_equal(meshping_buffer_reconcile(buffer, older, 1), MESHPING_OK);
    assert_gap(buffer, 0, 41, 90, 150, MESHPING_GAP_SERVER_LOST);
    assert_no_gap(buffer, 1);
    assert_int_equal(meshping_buffer_reconcile(buffer, older, 1), MESHPING_OK); /* another connection, not taken yet */
    assert_gap(buffer, 0, 41, 90, 150, MESHPING_GAP_SERVER_LOST);
    assert_int_equal(meshping_buffer_reconcile(buffer, told, 1), MESHPING_OK);
    assert_no_gap(buffer, 0);
    assert_int_equal(meshping_buffer_reconcile(buffer, empty, 0), MESHPING_OK); /* and now all of it is gone */
    assert_gap(buffer, 0, 1, 90, 270, MESHPING_GAP_SERVER_LOST);
    meshping_buffer_free(buffer);
}

static void test_a_gap_that_a_restored_server_forgot_keeps_its_reason(void **state)
{
    meshping_buffer *buffer = new_buffer();
    meshping_range all[] = {{1, 10}}, part[] = {{6, 8}};
    (void)state;
    push_many(buffer, 10);
    meshping_buffer_expire(buffer, (55 + 1000) * S + 1); /* the first five */
    assert_gap(buffer, 0, 1, 5, 15, MESHPING_GAP_EXPIRED);
    assert_int_equal(meshping_buffer_reconcile(buffer, all, 1), MESHPING_OK);
    assert_no_gap(buffer, 0);
    assert_int_equal(meshping_buffer_reconcile(buffer, part, 1), MESHPING_OK);
    assert_gap(buffer, 0, 1, 5, 15, MESHPING_GAP_EXPIRED);
    assert_gap(buffer, 1, 9, 10, 6, MESHPING_GAP_SERVER_LOST);
    assert_no_gap(buffer, 2);
    meshping_buffer_free(buffer);
}

static void test_a_sequence_that_was_never_given_begins_a_new_epoch_and_loses_nothing(void **state)
{
    meshping_buffer *buffer = new_buffer();
    meshping_buffer_block block;
    meshping_buffer_stats stats;
    meshping_range beyond[] = {{1, 3}, {9, 11}}, wrong[] = {{5, 4}}, zero[] = {{0, 4}};
    (void)state;
    push_many(buffer, 10);
    meshping_buffer_ack(buffer, 5, 6);
    meshping_buffer_expire(buffer, (25 + 1000) * S + 1);
    assert_gap(buffer, 0, 1, 2, 6, MESHPING_GAP_EXPIRED);
    assert_int_equal(meshping_buffer_reconcile(buffer, wrong, 1), MESHPING_INVALID);
    assert_int_equal(meshping_buffer_reconcile(buffer, zero, 1), MESHPING_INVALID);
    assert_int_equal(meshping_buffer_reconcile(buffer, beyond, 33), MESHPING_INVALID);
    assert_int_equal(meshping_buffer_reconcile(buffer, beyond, 2), MESHPING_STATE);
    meshping_buffer_get_stats(buffer, &stats);
    assert_int_equal(stats.blocks, 6); /* 3, 4, 7 to 10: nothing was believed */
    assert_int_equal(meshping_buffer_renew(buffer, 0), MESHPING_INVALID);
    assert_int_equal(meshping_buffer_renew(buffer, 78), MESHPING_OK);
    assert_int_equal(meshping_buffer_epoch(buffer), 78);
    meshping_gap gap;
    assert_int_equal(meshping_buffer_gap(buffer, 0, &gap), MESHPING_OK);
    assert_int_equal(gap.first_sequence, 1);
    assert_int_equal(gap.last_sequence, 1);
    assert_int_equal(gap.sample_count, 6);
    static const int64_t seconds[] = {30, 40, 70, 80, 90, 100};
    for (uint64_t i = 0; i < 6; i++) {
        assert_int_equal(meshping_buffer_find(buffer, i + 2, &block), MESHPING_OK);
        assert_int_equal(block.sequence, i + 2);
        assert_int_equal(block.first_unix_us, seconds[i] * S);
    }
    assert_int_equal(meshping_buffer_reconcile(buffer, beyond, 0), MESHPING_OK); /* a server that knows nothing of it */
    meshping_buffer_get_stats(buffer, &stats);
    assert_int_equal(stats.blocks, 6);
    assert_int_equal(stats.last_sequence, 7);
    meshping_buffer_free(buffer);
}

/* Every sequence is kept, told as a gap, or held by the server: after a thousand restores to random older states too.
 */
static void test_no_sequence_is_ever_forgotten(void **state)
{
    enum { MOST = 400 };
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        meshping_buffer *buffer = new_buffer();
        bool server[MOST + 2] = {false};
        meshping_buffer_stats stats;
        srand(seed);
        for (int round = 0; round < 30; round++) {
            meshping_range ranges[MESHPING_RANGES_MAX];
            size_t count = 0;
            push_many(buffer, rand() % 12);
            meshping_buffer_get_stats(buffer, &stats);
            for (uint64_t i = 1; i <= stats.last_sequence; i++)
                server[i] = rand() % 8 ? server[i] || rand() % 3 : server[i]; /* runs of what it takes */
            if (rand() % 4 == 0)
                for (uint64_t i = stats.last_sequence / 2 + 1; i <= stats.last_sequence; i++)
                    server[i] = rand() % 2 && server[i]; /* an older database */
            for (uint64_t i = 1; i <= stats.last_sequence; i++) {
                if (server[i] && !server[i - 1] && count == MESHPING_RANGES_MAX)
                    server[i] = false;
                else if (server[i] && !server[i - 1])
                    ranges[count++].first = i;
                if (server[i])
                    ranges[count - 1].last = i;
            }
            assert_int_equal(meshping_buffer_reconcile(buffer, ranges, count), MESHPING_OK);
            for (uint64_t i = 1; i <= stats.last_sequence; i++) {
                meshping_buffer_block block;
                meshping_gap gap;
                bool kept = meshping_buffer_find(buffer, i, &block) == MESHPING_OK && block.sequence == i, told = false;
                for (size_t k = 0; meshping_buffer_gap(buffer, k, &gap) == MESHPING_OK; k++)
                    told |= gap.first_sequence <= i && i <= gap.last_sequence;
                if (kept + told + server[i] != 1)
                    fail_msg("seed %u, round %d: sequence %llu: kept %d, told %d, at the server %d", seed, round,
                             (unsigned long long)i, kept, told, server[i]);
            }
        }
        meshping_buffer_free(buffer);
    }
}

static void test_a_day_of_acks_stays_small_and_a_hole_in_it_is_found(void **state)
{
    meshping_buffer *buffer = new_buffer();
    meshping_range ranges[] = {{1, 9000}, {9011, 20000}};
    meshping_gap gap;
    (void)state;
    for (int i = 1; i <= 20000; i++) {
        push_many(buffer, 1);
        meshping_buffer_ack(buffer, (uint64_t)i, (uint64_t)i);
    }
    assert_int_equal(meshping_buffer_reconcile(buffer, ranges, 2), MESHPING_OK);
    assert_gap(buffer, 0, 9001, 9010, 30, MESHPING_GAP_SERVER_LOST);
    assert_no_gap(buffer, 1);
    meshping_buffer_gap(buffer, 0, &gap);
    assert_true(gap.last_unix_us - gap.first_unix_us < 700 * S); /* 100 s, told to within a grain */
    meshping_buffer_free(buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_restored_server_lacks_is_told_once_and_again_until_it_is_taken),
        cmocka_unit_test(test_a_gap_that_a_restored_server_forgot_keeps_its_reason),
        cmocka_unit_test(test_a_sequence_that_was_never_given_begins_a_new_epoch_and_loses_nothing),
        cmocka_unit_test(test_no_sequence_is_ever_forgotten),
        cmocka_unit_test(test_a_day_of_acks_stays_small_and_a_hole_in_it_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
