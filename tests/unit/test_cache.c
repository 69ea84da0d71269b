/* SPDX-License-Identifier: Apache-2.0 */
/* The hour cache by itself; that it and the database together are one: test_store_cached.c. */
#include "store/merge.h"

#include <meshping/cache.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE (INT64_C(60) * 1000000)
#define HOUR (60 * MINUTE)
#define STEP INT64_C(5000000)
#define NOW INT64_C(1700000000123457)

static meshping_cache *new_cache(void)
{
    meshping_cache *cache = NULL;
    assert_int_equal(meshping_cache_new(&cache, HOUR), MESHPING_OK);
    return cache;
}

/* A block of `count` samples each of targets first..last; RTT: 1000 * target + number. The bytes are the caller's. */
static meshping_stored_block make(uint64_t agent, int64_t id, int64_t from_us, int count, uint64_t first, uint64_t last)
{
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    size_t length;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = first; t <= last; t++)
        for (int i = 0; i < count; i++)
            assert_int_equal(
                meshping_block_builder_add(builder, t,
                                           &(meshping_sample){.slot_unix_us = from_us + i * STEP,
                                                              .rtt_us = (uint32_t)(1000 * t) + (uint32_t)i}),
                MESHPING_OK);
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
    meshping_block_builder_free(builder);
    return (meshping_stored_block){.agent_id = agent,
                                   .id = id,
                                   .received_unix_us = from_us + count * STEP,
                                   .received_agent_us = from_us + count * STEP,
                                   .first_unix_us = from_us,
                                   .last_unix_us = from_us + (count - 1) * STEP,
                                   .first_target = first,
                                   .last_target = last,
                                   .sample_count = (uint32_t)((last - first + 1) * (uint64_t)count),
                                   .bytes = bytes,
                                   .length = length};
}

static meshping_status add(meshping_cache *cache, uint64_t agent, int64_t id, int64_t from_us, int count,
                           int64_t now_us)
{
    meshping_stored_block block = make(agent, id, from_us, count, 1, 3);
    meshping_status status = meshping_cache_add(cache, &block, now_us);
    meshping_free((void *)block.bytes);
    return status;
}

static meshping_series ask(meshping_cache *cache, uint64_t agent, uint64_t target, int64_t from_us, int64_t to_us)
{
    meshping_series series;
    assert_int_equal(meshping_cache_series(cache, agent, target, from_us, to_us, &series), MESHPING_OK);
    for (size_t i = 0; i < series.count; i++)
        assert_true(series.samples[i].slot_unix_us >= from_us && series.samples[i].slot_unix_us < to_us &&
                    (i == 0 || series.samples[i - 1].slot_unix_us < series.samples[i].slot_unix_us));
    return series;
}

static size_t count_all(meshping_cache *cache, uint64_t agent, uint64_t target)
{
    meshping_series series = ask(cache, agent, target, INT64_MIN, INT64_MAX);
    size_t count = series.count;
    meshping_series_dispose(&series);
    return count;
}

static void test_a_pairs_samples_come_back_in_order_whatever_the_order_of_blocks(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    for (int i = 0; i < 72; i++) {
        int n = (i * 25) % 72; /* every number once */
        assert_int_equal(add(cache, 1, i + 1, NOW - HOUR + n * 10 * STEP, 10, NOW), MESHPING_OK);
    }
    assert_int_equal(count_all(cache, 1, 4), 0);
    assert_int_equal(count_all(cache, 2, 1), 0);
    meshping_series series = ask(cache, 1, 2, NOW - HOUR, NOW);
    assert_int_equal(series.count, 720);
    assert_int_equal(series.damaged_count, 0);
    for (int i = 0; i < 720; i++) {
        assert_int_equal(series.samples[i].slot_unix_us, NOW - HOUR + i * STEP);
        assert_int_equal(series.samples[i].rtt_us, 2000 + i % 10);
        /* a block came when its last sample was 5 s old */
        assert_int_equal(series.samples[i].flags, i % 10 < 4 ? MESHPING_FLAG_LATE_DATA : 0);
    }
    meshping_series_dispose(&series);
    meshping_series part = ask(cache, 1, 2, NOW - HOUR + 5 * STEP, NOW - HOUR + 7 * STEP);
    assert_int_equal(part.count, 2);
    meshping_series_dispose(&part);
    meshping_cache_free(cache);
}

static void test_of_one_slot_the_sample_stored_first_counts(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    assert_int_equal(add(cache, 1, 1, NOW - 10 * STEP, 4, NOW), MESHPING_OK);
    assert_int_equal(add(cache, 1, 2, NOW - 8 * STEP, 4, NOW), MESHPING_OK);
    meshping_series series = ask(cache, 1, 1, INT64_MIN, INT64_MAX);
    assert_int_equal(series.count, 6);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(series.samples[i].rtt_us, 1000 + (i < 4 ? i : i - 2));
    meshping_series_dispose(&series);
    meshping_sample last;
    assert_int_equal(meshping_cache_last(cache, 1, 1, &last), MESHPING_OK);
    assert_int_equal(last.slot_unix_us, NOW - 5 * STEP);
    assert_int_equal(add(cache, 1, 3, NOW - 7 * STEP, 3, NOW), MESHPING_OK); /* ends with the same slot */
    assert_int_equal(meshping_cache_last(cache, 1, 1, &last), MESHPING_OK);
    assert_int_equal(last.slot_unix_us, NOW - 5 * STEP);
    assert_int_equal(last.rtt_us, 1003);
    assert_int_equal(meshping_cache_last(cache, 1, 9, &last), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_cache_last(cache, 9, 1, &last), MESHPING_NOT_FOUND);
    meshping_cache_free(cache);
}

static void test_joined_blocks_take_the_place_of_the_others(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    meshping_cache_stats before, after;
    for (int i = 0; i < 20; i++)
        assert_int_equal(add(cache, 1, 100 + i, NOW - 40 * STEP + i * STEP, 2, NOW), MESHPING_OK); /* overlap by one */
    meshping_series was = ask(cache, 1, 2, INT64_MIN, INT64_MAX);
    meshping_cache_get_stats(cache, &before);
    assert_int_equal(before.blocks, 20);
    assert_int_equal(before.samples, 120);
    assert_int_equal(before.journal_samples, 120);
    meshping_stored_block joined[2] = {make(1, 0, NOW - 40 * STEP, 11, 1, 2), make(1, 0, NOW - 40 * STEP, 11, 3, 3)};
    assert_int_equal(meshping_cache_replace(cache, 1, 100, 109, joined, 2), MESHPING_OK);
    meshping_cache_get_stats(cache, &after);
    assert_int_equal(after.blocks, 12);
    assert_int_equal(after.journal_samples, 60);
    assert_int_equal(after.samples, 93);
    assert_true(after.bytes < before.bytes);
    meshping_series is = ask(cache, 1, 2, INT64_MIN, INT64_MAX);
    assert_int_equal(is.count, was.count);
    for (size_t i = 0; i < is.count; i++) {
        assert_int_equal(is.samples[i].slot_unix_us, was.samples[i].slot_unix_us);
        assert_int_equal(is.samples[i].rtt_us, i < 11 ? 2000 + i : 2001); /* theirs are in front */
        assert_int_equal(is.samples[i].flags, 0);
    }
    assert_int_equal(meshping_cache_replace(cache, 2, 1, 5, joined, 2), MESHPING_OK);     /* nobody here */
    assert_int_equal(meshping_cache_replace(cache, 1, 100, 109, joined, 2), MESHPING_OK); /* nothing left of these */
    meshping_cache_get_stats(cache, &after);
    assert_int_equal(after.blocks, 12);
    meshping_series_dispose(&was);
    meshping_series_dispose(&is);
    meshping_free((void *)joined[0].bytes);
    meshping_free((void *)joined[1].bytes);
    meshping_cache_free(cache);
}

static void test_what_is_too_old_goes_and_the_cache_says_how_far_it_reaches(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    meshping_cache_stats stats;
    assert_int_equal(add(cache, 1, 1, NOW - HOUR - 10 * STEP, 10, NOW), MESHPING_LIMIT);
    assert_int_equal(add(cache, 1, 2, NOW - HOUR - 9 * STEP, 10, NOW), MESHPING_OK); /* its last slot is in */
    assert_int_equal(add(cache, 1, 3, NOW - HOUR + STEP, 10, NOW), MESHPING_OK);
    assert_int_equal(add(cache, 2, 4, NOW - HOUR + STEP, 1, NOW), MESHPING_OK);
    assert_int_equal(meshping_cache_reach(cache, 1, NOW), NOW - HOUR);
    assert_int_equal(meshping_cache_reach(cache, 7, NOW), NOW - HOUR);
    meshping_cache_expire(cache, NOW, 100);
    assert_int_equal(count_all(cache, 1, 1), 20);
    meshping_cache_expire(cache, NOW + 1, 1); /* the first agent only */
    assert_int_equal(count_all(cache, 1, 1), 10);
    meshping_cache_expire(cache, NOW + 2 * STEP, 1);
    assert_int_equal(count_all(cache, 2, 1), 0);
    meshping_cache_expire(cache, NOW + 2 * HOUR, 100);
    meshping_cache_get_stats(cache, &stats);
    assert_int_equal(stats.blocks, 0);
    assert_int_equal(stats.samples, 0);
    assert_int_equal(stats.journal_bytes, 0);
    assert_true(stats.bytes < 1000);
    meshping_cache_free(cache);
}

static void test_a_clock_that_is_ahead_costs_no_memory_for_good_and_no_truth(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    meshping_stored_block block = make(1, 1, NOW + 1000 * HOUR, 10, 1, 1);
    block.received_unix_us = NOW;
    assert_int_equal(meshping_cache_add(cache, &block, NOW), MESHPING_OK);
    assert_int_equal(count_all(cache, 1, 1), 10);
    meshping_cache_expire(cache, NOW + HOUR + 1, 10); /* received an hour ago: it goes, and is only in the store */
    assert_int_equal(count_all(cache, 1, 1), 0);
    assert_int_equal(meshping_cache_reach(cache, 1, NOW + HOUR + 1), block.last_unix_us + 1);
    assert_int_equal(meshping_cache_add(cache, &block, NOW + HOUR + 1), MESHPING_LIMIT); /* the same at a restart */
    assert_int_equal(meshping_cache_reach(cache, 1, NOW + HOUR + 1), block.last_unix_us + 1);
    assert_int_equal(meshping_cache_reach(cache, 1, NOW + 2000 * HOUR), NOW + 1999 * HOUR);
    meshping_cache_expire(cache, NOW + 2000 * HOUR, 10);
    meshping_free((void *)block.bytes);
    meshping_cache_free(cache);
}

static void test_a_damaged_block_is_told(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    assert_int_equal(add(cache, 1, 1, NOW - 40 * STEP, 10, NOW), MESHPING_OK);
    meshping_stored_block block = make(1, 2, NOW - 30 * STEP, 10, 1, 3);
    ((uint8_t *)block.bytes)[block.length / 2] ^= 1;
    assert_int_equal(meshping_cache_add(cache, &block, NOW), MESHPING_CORRUPT);
    assert_int_equal(add(cache, 1, 3, NOW - 20 * STEP, 10, NOW), MESHPING_OK);
    meshping_series series = ask(cache, 1, 2, INT64_MIN, INT64_MAX);
    assert_int_equal(series.count, 20);
    assert_int_equal(series.damaged_count, 1);
    assert_int_equal(series.damaged[0].block_id, 2);
    assert_int_equal(series.damaged[0].first_unix_us, NOW - 30 * STEP);
    assert_int_equal(series.damaged[0].last_unix_us, NOW - 21 * STEP);
    meshping_series_dispose(&series);
    series = ask(cache, 1, 2, NOW - 20 * STEP, INT64_MAX);
    assert_int_equal(series.damaged_count, 0);
    meshping_series_dispose(&series);
    meshping_free((void *)block.bytes);
    meshping_cache_free(cache);
}

static void test_an_agent_can_be_dropped(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    for (uint64_t agent = 1; agent <= 50; agent++)
        for (int i = 0; i < 5; i++)
            assert_int_equal(add(cache, agent * 7919 % 51, (int64_t)agent * 10 + i, NOW - 40 * STEP + i * STEP, 1, NOW),
                             MESHPING_OK);
    meshping_cache_drop_agent(cache, 20);
    meshping_cache_drop_agent(cache, 1000);
    for (uint64_t agent = 1; agent <= 50; agent++)
        assert_int_equal(count_all(cache, agent, 2), agent == 20 ? 0 : 5);
    meshping_cache_free(cache);
}

/* Blocks with the ids first to last, a slot each from NOW - 60 steps on; an id below 0 stands for a joined one. */
static meshping_cache_load *load_of(int64_t first, int64_t last)
{
    meshping_cache_load *load = NULL;
    assert_int_equal(meshping_cache_load_new(&load, 1), MESHPING_OK);
    for (int64_t id = first; id <= last; id++) {
        meshping_stored_block block = make(1, id > 0 ? id : 0, NOW - (60 - id) * STEP, 1, 1, 3);
        assert_int_equal(meshping_cache_load_add(load, &block), MESHPING_OK);
        meshping_free((void *)block.bytes);
    }
    return load;
}

static void test_what_was_stored_before_is_adopted_in_front_of_what_came_since(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    assert_int_equal(meshping_cache_await(cache, 1), MESHPING_OK);
    assert_int_equal(meshping_cache_reach(cache, 1, NOW), INT64_MAX);
    assert_int_equal(meshping_cache_seam(cache, 1, NOW - HOUR, NOW, NOW), NOW);
    for (int64_t id = 9; id <= 12; id++)
        assert_int_equal(add(cache, 1, id, NOW - (60 - id) * STEP, 1, NOW), MESHPING_OK);
    meshping_cache_expire(cache, NOW, 10);
    assert_int_equal(meshping_cache_reach(cache, 1, NOW), INT64_MAX); /* still */
    meshping_cache_load *load = load_of(-3, 10);                      /* read when 9 and 10 were stored already */
    meshping_stored_block others = make(2, 1, NOW, 1, 1, 3);
    assert_int_equal(meshping_cache_load_add(load, &others), MESHPING_INVALID);
    meshping_free((void *)others.bytes);
    assert_int_equal(meshping_cache_adopt(cache, load), MESHPING_OK);
    assert_int_equal(meshping_cache_reach(cache, 1, NOW), NOW - HOUR);
    assert_int_equal(count_all(cache, 1, 2), 16);
    meshping_cache_stats stats;
    meshping_cache_get_stats(cache, &stats);
    assert_int_equal(stats.blocks, 16); /* none is there twice */
    assert_int_equal(add(cache, 1, 13, NOW - 47 * STEP, 1, NOW), MESHPING_OK);
    assert_int_equal(count_all(cache, 1, 2), 17);
    meshping_cache_free(cache);
}

static void test_a_load_from_before_a_join_is_read_again(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    assert_int_equal(meshping_cache_await(cache, 1), MESHPING_OK);
    assert_int_equal(add(cache, 1, 11, NOW - 49 * STEP, 1, NOW), MESHPING_OK);
    meshping_cache_load *load = load_of(1, 10);
    meshping_stored_block joined = make(1, 0, NOW - 59 * STEP, 11, 1, 3);
    assert_int_equal(meshping_cache_replace(cache, 1, 1, 11, &joined, 1), MESHPING_OK);
    assert_int_equal(meshping_cache_adopt(cache, load), MESHPING_STATE);
    meshping_cache_load_free(load);
    assert_int_equal(meshping_cache_await(cache, 1), MESHPING_OK);
    assert_int_equal(meshping_cache_load_new(&load, 1), MESHPING_OK);
    assert_int_equal(meshping_cache_load_add(load, &joined), MESHPING_OK);
    assert_int_equal(meshping_cache_adopt(cache, load), MESHPING_OK);
    assert_int_equal(count_all(cache, 1, 2), 11);
    meshping_cache_stats stats;
    meshping_cache_get_stats(cache, &stats);
    assert_int_equal(stats.blocks, 1);
    meshping_free((void *)joined.bytes);
    meshping_cache_free(cache);
}

static void test_a_load_that_nobody_awaits_is_refused(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    meshping_cache_load *load = load_of(1, 3);
    assert_int_equal(meshping_cache_adopt(cache, load), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_cache_await(cache, 1), MESHPING_OK);
    meshping_cache_drop_agent(cache, 1);
    assert_int_equal(meshping_cache_adopt(cache, load), MESHPING_NOT_FOUND);
    assert_int_equal(count_all(cache, 1, 2), 0);
    meshping_cache_load_free(load);
    meshping_cache_load_free(NULL);
    meshping_cache_free(cache);
}

/* ---- memory ---- */

static uint64_t dice = 1;

static uint32_t random_below(uint32_t bound)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((dice >> 33) % bound);
}

/* One round of an agent's targets: a base of its own each, noise, spikes, some lost. */
static meshping_stored_block round_of(uint64_t targets, int64_t id, int64_t at_us)
{
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    size_t length;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = 1; t <= targets; t++) {
        meshping_sample sample = {.slot_unix_us = at_us + (int64_t)(t * 7919 % 5000 * 1000)};
        if (random_below(200) == 0)
            sample.outcome = MESHPING_OUTCOME_TIMEOUT;
        else
            sample.rtt_us = 200 + (uint32_t)(t * 104729 % 80000) + random_below(60) + random_below(60) +
                            (random_below(100) ? 0 : random_below(5000));
        assert_int_equal(meshping_block_builder_add(builder, t, &sample), MESHPING_OK);
    }
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
    meshping_block_builder_free(builder);
    return (meshping_stored_block){.agent_id = 1,
                                   .id = id,
                                   .received_unix_us = at_us + STEP,
                                   .first_unix_us = at_us,
                                   .last_unix_us = at_us + STEP,
                                   .last_target = UINT64_MAX,
                                   .sample_count = (uint32_t)targets,
                                   .checked = true,
                                   .bytes = bytes,
                                   .length = length};
}

static void replace_all(meshping_cache *cache, meshping__merge *merge, int64_t first_id, int64_t last_id)
{
    meshping_stored_block blocks[64];
    int64_t damaged;
    size_t count;
    while (meshping__merge_step(merge, &damaged) == MESHPING_OK)
        ;
    const meshping__merged *merged = meshping__merge_outputs(merge, &count);
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++)
        blocks[i] = (meshping_stored_block){.agent_id = 1,
                                            .received_unix_us = NOW,
                                            .first_unix_us = merged[i].first_us,
                                            .last_unix_us = merged[i].last_us,
                                            .first_target = merged[i].first_target,
                                            .last_target = merged[i].last_target,
                                            .sample_count = (uint32_t)merged[i].sample_count,
                                            .checked = true,
                                            .bytes = merged[i].bytes,
                                            .length = merged[i].length};
    assert_int_equal(meshping_cache_replace(cache, 1, first_id, last_id, blocks, count), MESHPING_OK);
}

/* Bytes a sample of an hour of 720 rounds, joined by `rounds`. */
static double joined_bytes(uint64_t targets, int rounds)
{
    meshping_cache *cache = new_cache();
    meshping_cache_stats stats;
    meshping__merge *merge = NULL;
    for (int i = 0; i < 720; i++) {
        meshping_stored_block block = round_of(targets, i + 1, NOW - HOUR + i * STEP);
        if (i % rounds == 0)
            assert_int_equal(meshping__merge_new(&merge, true, NULL, NULL), MESHPING_OK);
        assert_int_equal(meshping_cache_add(cache, &block, NOW), MESHPING_OK);
        assert_int_equal(meshping__merge_add(merge, block.id, block.bytes, block.length, block.received_unix_us),
                         MESHPING_OK);
        meshping_free((void *)block.bytes);
        if (i % rounds == rounds - 1) {
            replace_all(cache, merge, i - rounds + 2, i + 1);
            meshping__merge_free(merge);
        }
    }
    meshping_cache_get_stats(cache, &stats);
    assert_int_equal(stats.samples, 720 * targets);
    assert_int_equal(stats.journal_samples, 0);
    double bytes = (double)stats.bytes / (double)stats.samples;
    print_message("%llu targets: %.2f bytes a sample\n", (unsigned long long)targets, bytes);
    meshping_cache_free(cache);
    return bytes;
}

static void test_an_hour_takes_at_most_two_bytes_a_sample(void **unused)
{
    (void)unused;
    assert_true(joined_bytes(1000, 120) <= 2.0);
    assert_true(joined_bytes(100, 120) <= 2.0);
    assert_true(joined_bytes(10, 360) <= 2.0); /* few targets wait for half an hour */
    assert_true(joined_bytes(1, 360) <= 2.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pairs_samples_come_back_in_order_whatever_the_order_of_blocks),
        cmocka_unit_test(test_of_one_slot_the_sample_stored_first_counts),
        cmocka_unit_test(test_joined_blocks_take_the_place_of_the_others),
        cmocka_unit_test(test_what_is_too_old_goes_and_the_cache_says_how_far_it_reaches),
        cmocka_unit_test(test_a_clock_that_is_ahead_costs_no_memory_for_good_and_no_truth),
        cmocka_unit_test(test_a_damaged_block_is_told),
        cmocka_unit_test(test_an_agent_can_be_dropped),
        cmocka_unit_test(test_what_was_stored_before_is_adopted_in_front_of_what_came_since),
        cmocka_unit_test(test_a_load_from_before_a_join_is_read_again),
        cmocka_unit_test(test_a_load_that_nobody_awaits_is_refused),
        cmocka_unit_test(test_an_hour_takes_at_most_two_bytes_a_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
