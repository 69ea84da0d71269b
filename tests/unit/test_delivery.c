/* SPDX-License-Identifier: Apache-2.0 */
#include "net/internal.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BLOCK 100 /* bytes */

static delivery d;

static int setup(void **unused)
{
    (void)unused;
    meshping_buffer_options options;
    meshping_buffer_options_init(&options);
    options.epoch = 5;
    d = (delivery){0};
    return meshping_buffer_new(&d.buffer, &options, NULL);
}

static int teardown(void **unused)
{
    (void)unused;
    meshping__delivery_dispose(&d);
    meshping_buffer_free(d.buffer);
    return 0;
}

/* A fresh one within a test. */
static void again(void)
{
    teardown(NULL);
    assert_int_equal(setup(NULL), 0);
}

static void push(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t sequence;
        uint8_t *bytes = malloc(BLOCK);
        memset(bytes, 7, BLOCK);
        assert_int_equal(meshping_buffer_push(d.buffer, bytes, BLOCK, 1, 0, 0, &sequence), MESHPING_OK);
    }
}

/* Sends all that may go now; "5 1 2": the sequences in their order. */
static const char *send_all(void)
{
    static char text[4096];
    meshping_buffer_block block;
    text[0] = '\0';
    while (meshping__delivery_next(&d, &block) == MESHPING_OK) {
        size_t used = strlen(text);
        assert_true(used < sizeof text - 32);
        snprintf(text + used, sizeof text - used, "%s%llu", used ? " " : "", (unsigned long long)block.sequence);
        assert_int_equal(meshping__delivery_sent(&d, &block), MESHPING_OK);
    }
    return text;
}

static void ack(uint64_t first, uint64_t last, uint64_t credit_bytes)
{
    meshping_range range = {first, last};
    meshping__delivery_ack(&d, &range, 1, credit_bytes);
}

static size_t kept(void)
{
    meshping_buffer_stats stats;
    meshping_buffer_get_stats(d.buffer, &stats);
    return stats.blocks;
}

static void test_nothing_goes_before_the_server_opens_or_without_credit(void **unused)
{
    (void)unused;
    push(3);
    assert_string_equal(send_all(), "");
    meshping__delivery_start(&d, 0);
    assert_string_equal(send_all(), "");
    ack(0, 0, 10 * BLOCK);
    assert_string_equal(send_all(), "3 1 2");
    meshping__delivery_stop(&d);
    push(1);
    assert_string_equal(send_all(), "");
}

static void test_the_newest_goes_first_then_the_backlog_from_its_oldest(void **unused)
{
    (void)unused;
    push(5);
    meshping__delivery_start(&d, 100 * BLOCK);
    assert_string_equal(send_all(), "5 1 2 3 4");
    push(2);
    assert_string_equal(send_all(), "6 7");
    assert_string_equal(send_all(), "");
}

static void test_a_new_block_overtakes_the_backlog(void **unused)
{
    (void)unused;
    push(6);
    meshping__delivery_start(&d, 4 * BLOCK);
    assert_string_equal(send_all(), "6 1"); /* the backlog has half of the credit */
    push(2);
    assert_string_equal(send_all(), "7 8"); /* live blocks have all of it */
    push(1);
    assert_string_equal(send_all(), "");
    ack(1, 1, 4 * BLOCK);
    assert_string_equal(send_all(), "9");
    ack(6, 9, 4 * BLOCK);
    assert_string_equal(send_all(), "2 3");
    ack(1, 9, 4 * BLOCK);
    assert_string_equal(send_all(), "");
    assert_int_equal(kept(), 0);
}

static void test_what_is_unacknowledged_never_exceeds_the_credit(void **unused)
{
    (void)unused;
    for (uint64_t credit = BLOCK - 1; credit <= 3 * BLOCK + 1; credit++) {
        again();
        meshping__delivery_start(&d, credit);
        push(10);
        send_all();
        size_t expected = credit < 2 * BLOCK ? 1 : credit / BLOCK; /* one may always be under way */
        assert_int_equal(d.sent_count, expected);
        assert_int_equal(d.sent_bytes, expected * BLOCK);
    }
}

static void test_a_credit_of_one_byte_still_moves_the_backlog(void **unused)
{
    (void)unused;
    push(3);
    meshping__delivery_start(&d, 1);
    assert_string_equal(send_all(), "3");
    ack(3, 3, 1);
    assert_string_equal(send_all(), "1");
    ack(1, 1, 1);
    assert_string_equal(send_all(), "2");
}

static void test_a_credit_that_falls_to_0_stops_and_one_that_grows_goes_on(void **unused)
{
    (void)unused;
    meshping__delivery_start(&d, 2 * BLOCK);
    push(5);
    assert_string_equal(send_all(), "1 2");
    ack(1, 2, 0);
    assert_string_equal(send_all(), "");
    ack(1, 2, 3 * BLOCK);
    assert_string_equal(send_all(), "3 4 5");
}

static void test_an_ack_frees_what_it_covers_and_nothing_else(void **unused)
{
    (void)unused;
    meshping__delivery_start(&d, 100 * BLOCK);
    push(9);
    send_all();
    static const meshping_range ranges[] = {{2, 3}, {5, 5}, {8, UINT64_MAX}};
    meshping__delivery_ack(&d, ranges, 3, 100 * BLOCK);
    assert_int_equal(kept(), 4); /* 1 4 6 7 */
    assert_int_equal(d.sent_count, 4);
    assert_int_equal(d.sent_bytes, 4 * BLOCK);
    meshping__delivery_ack(&d, ranges, 3, 100 * BLOCK); /* again: nothing changes */
    assert_int_equal(d.sent_bytes, 4 * BLOCK);
    assert_string_equal(send_all(), ""); /* under way, not lost: not sent twice on one connection */
}

static void test_after_a_lost_connection_the_unacknowledged_come_again(void **unused)
{
    (void)unused;
    meshping__delivery_start(&d, 100 * BLOCK);
    push(4);
    send_all();
    ack(1, 2, 100 * BLOCK);
    meshping__delivery_stop(&d);
    push(2);
    meshping__delivery_start(&d, 100 * BLOCK);
    assert_string_equal(send_all(), "6 3 4 5");
    ack(1, 6, 100 * BLOCK);
    assert_int_equal(kept(), 0);
    assert_int_equal(d.sent_bytes, 0);
}

static void test_what_the_server_has_already_is_not_sent(void **unused)
{
    (void)unused;
    push(6);
    meshping__delivery_start(&d, 100 * BLOCK);
    static const meshping_range ranges[] = {{1, 3}, {6, 6}};
    meshping__delivery_ack(&d, ranges, 2, 100 * BLOCK);
    assert_string_equal(send_all(), "4 5");
}

static void test_what_the_buffer_dropped_is_skipped_and_its_credit_comes_back_with_the_gap(void **unused)
{
    (void)unused;
    meshping_buffer_options options;
    meshping_buffer_free(d.buffer);
    meshping_buffer_options_init(&options);
    options.epoch = 5;
    options.max_blocks = 3;
    assert_int_equal(meshping_buffer_new(&d.buffer, &options, NULL), MESHPING_OK);
    meshping__delivery_start(&d, 2 * BLOCK);
    push(2);
    assert_string_equal(send_all(), "1 2");
    push(4); /* 1 2 3 are dropped, two of them under way */
    assert_string_equal(send_all(), "");
    ack(1, 3, 2 * BLOCK); /* blocks received, gap stored */
    assert_string_equal(send_all(), "4 5");
}

/* As the server keeps them: adds a sequence, false when that would be one range too many. */
typedef struct received {
    meshping_range items[MESHPING_RANGES_MAX];
    size_t count;
} received;

static bool receive(received *r, uint64_t sequence)
{
    bool have[4096] = {false};
    received next = {.count = 0};
    assert_true(sequence < 4095);
    have[sequence] = true;
    for (size_t i = 0; i < r->count; i++)
        for (uint64_t s = r->items[i].first; s <= r->items[i].last; s++)
            have[s] = true;
    for (uint64_t s = 1; s < 4095; s++) {
        if (!have[s])
            continue;
        if (have[s - 1]) {
            next.items[next.count - 1].last = s;
        } else {
            if (next.count == MESHPING_RANGES_MAX)
                return false;
            next.items[next.count++] = (meshping_range){s, s};
        }
    }
    *r = next;
    return true;
}

/* A link that breaks after each newest block, again and again, makes a range each time. */
static void test_at_32_ranges_only_the_lowest_hole_is_filled(void **unused)
{
    (void)unused;
    received server = {.count = 0};
    for (size_t i = 0; i < MESHPING_RANGES_MAX; i++) {
        meshping_buffer_block block;
        push(2);
        meshping__delivery_start(&d, 100 * BLOCK);
        meshping__delivery_ack(&d, server.items, server.count, 100 * BLOCK);
        assert_int_equal(meshping__delivery_next(&d, &block), MESHPING_OK);
        assert_int_equal(block.sequence, 2 * i + 2);
        assert_true(receive(&server, block.sequence));
        meshping__delivery_stop(&d);
    }
    assert_int_equal(server.count, MESHPING_RANGES_MAX);
    push(2);
    meshping__delivery_start(&d, 2 * BLOCK);
    meshping__delivery_ack(&d, server.items, server.count, 2 * BLOCK);
    assert_string_equal(send_all(), "1"); /* not 66, which would be the 33rd */
    assert_true(receive(&server, 1));
    assert_int_equal(server.count, MESHPING_RANGES_MAX); /* 1 2, still 32 */
    meshping__delivery_ack(&d, server.items, server.count, 2 * BLOCK);
    assert_string_equal(send_all(), "3");
    assert_true(receive(&server, 3));
    meshping__delivery_ack(&d, server.items, server.count, 2 * BLOCK); /* 31 now: room for the newest */
    assert_string_equal(send_all(), "66");
}

/* Connections break anywhere; whatever happens, all comes in the end, and the server never gets what it cannot take. */
static void test_everything_arrives_over_a_link_that_keeps_breaking(void **unused)
{
    (void)unused;
    const char *text = getenv("MESHPING_TEST_SEED");
    unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : 20261123;
    for (unsigned run = 0; run < 20; run++, seed++) {
        received server = {.count = 0};
        unsigned random = seed;
        size_t refused = 0, made = 0;
        again();
        for (int step = 0; step < 3000; step++) {
            meshping_buffer_block block;
            if (made < 500 && rand_r(&random) % 4 == 0) {
                push(1);
                made++;
            }
            if (!d.open || rand_r(&random) % (made < 500 ? 4 : 200) == 0) { /* the link breaks, and is back */
                meshping__delivery_stop(&d);
                meshping__delivery_start(&d, 10 * BLOCK);
                meshping__delivery_ack(&d, server.items, server.count, 10 * BLOCK);
            }
            if (meshping__delivery_next(&d, &block) == MESHPING_OK) {
                assert_int_equal(meshping__delivery_sent(&d, &block), MESHPING_OK);
                assert_true(d.sent_bytes <= 10 * BLOCK);
                refused += !receive(&server, block.sequence);
                meshping__delivery_ack(&d, server.items, server.count, 10 * BLOCK);
            }
        }
        if (kept() != 0 || server.count != 1 || server.items[0].last != 500 || refused)
            fail_msg("MESHPING_TEST_SEED=%u: %zu blocks left, %zu ranges, %zu refused", seed, kept(), server.count,
                     refused);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_goes_before_the_server_opens_or_without_credit),
        TEST(test_the_newest_goes_first_then_the_backlog_from_its_oldest),
        TEST(test_a_new_block_overtakes_the_backlog),
        TEST(test_what_is_unacknowledged_never_exceeds_the_credit),
        TEST(test_a_credit_of_one_byte_still_moves_the_backlog),
        TEST(test_a_credit_that_falls_to_0_stops_and_one_that_grows_goes_on),
        TEST(test_an_ack_frees_what_it_covers_and_nothing_else),
        TEST(test_after_a_lost_connection_the_unacknowledged_come_again),
        TEST(test_what_the_server_has_already_is_not_sent),
        TEST(test_what_the_buffer_dropped_is_skipped_and_its_credit_comes_back_with_the_gap),
        TEST(test_at_32_ranges_only_the_lowest_hole_is_filled),
        TEST(test_everything_arrives_over_a_link_that_keeps_breaking),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
