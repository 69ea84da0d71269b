/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/cache.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR (INT64_C(3600) * 1000000)
#define STEP INT64_C(5000000)
#define NOW INT64_C(1700000000123457)

static meshping_cache *new_cache(void)
{
    meshping_cache *cache = NULL;
    assert_int_equal(meshping_cache_new(&cache, HOUR), MESHPING_OK);
    return cache;
}

static meshping_status add(meshping_cache *cache, uint64_t agent, uint64_t target, int64_t slot_us, uint32_t rtt_us,
                           int64_t now_us)
{
    meshping_sample sample = {.slot_unix_us = slot_us, .rtt_us = rtt_us, .flags = (uint16_t)(rtt_us % 64)};
    return meshping_cache_add(cache, agent, target, &sample, now_us);
}

static size_t range(const meshping_cache *cache, uint64_t agent, uint64_t target, int64_t from_us, int64_t to_us,
                    meshping_sample **samples)
{
    size_t count = 0;
    assert_int_equal(meshping_cache_range(cache, agent, target, from_us, to_us, samples, &count), MESHPING_OK);
    if (count == 0)
        assert_null(*samples);
    for (size_t i = 0; i < count; i++)
        assert_true((*samples)[i].slot_unix_us >= from_us && (*samples)[i].slot_unix_us < to_us &&
                    (i == 0 || (*samples)[i - 1].slot_unix_us < (*samples)[i].slot_unix_us));
    return count;
}

static size_t count_all(const meshping_cache *cache, uint64_t agent, uint64_t target)
{
    meshping_sample *samples = NULL;
    size_t count = range(cache, agent, target, INT64_MIN, INT64_MAX, &samples);
    meshping_free(samples);
    return count;
}

static void test_samples_come_back_exact_in_order_whatever_the_order(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    for (int i = 0; i < 720; i++) {
        int n = (i * 257) % 720; /* every number once */
        assert_int_equal(add(cache, 1, 2, NOW - n * STEP - n, (uint32_t)n, NOW), MESHPING_OK);
    }
    meshping_sample *samples = NULL;
    assert_int_equal(range(cache, 1, 2, NOW - HOUR, NOW + 1, &samples), 720);
    for (int i = 0; i < 720; i++) {
        assert_int_equal(samples[719 - i].slot_unix_us, NOW - i * STEP - i);
        assert_int_equal(samples[719 - i].rtt_us, i);
        assert_int_equal(samples[719 - i].flags, i % 64);
    }
    meshping_free(samples);
    assert_int_equal(range(cache, 1, 2, NOW - 2 * STEP - 2, NOW, &samples), 2); /* half open */
    meshping_free(samples);
    assert_int_equal(range(cache, 1, 2, NOW, NOW, &samples), 0);
    assert_int_equal(range(cache, 2, 1, NOW - HOUR, NOW, &samples), 0); /* another pair */
    meshping_cache_free(cache);
}

static void test_a_slot_counts_once_and_the_first_stays(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    assert_int_equal(add(cache, 1, 1, NOW, 5, NOW), MESHPING_OK);
    assert_int_equal(add(cache, 1, 1, NOW, 6, NOW), MESHPING_EXISTS);
    assert_int_equal(add(cache, 1, 2, NOW, 7, NOW), MESHPING_OK);
    assert_int_equal(add(cache, 1, 1, NOW - 1, 8, NOW), MESHPING_OK); /* a microsecond is a difference */
    meshping_sample *samples = NULL;
    assert_int_equal(range(cache, 1, 1, NOW, NOW + 1, &samples), 1);
    assert_int_equal(samples[0].rtt_us, 5);
    meshping_free(samples);
    meshping_cache_free(cache);
}

static void test_the_span_is_kept_to_the_microsecond(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    assert_int_equal(add(cache, 1, 1, NOW - HOUR, 1, NOW), MESHPING_OK);
    assert_int_equal(add(cache, 1, 1, NOW - HOUR - 1, 1, NOW), MESHPING_LIMIT);
    assert_int_equal(add(cache, 1, 1, NOW + HOUR, 1, NOW), MESHPING_OK);
    assert_int_equal(add(cache, 1, 1, NOW + HOUR + 1, 1, NOW), MESHPING_LIMIT);
    meshping_cache_expire(cache, NOW, 10);
    assert_int_equal(count_all(cache, 1, 1), 2);
    meshping_cache_expire(cache, NOW + 1, 10);
    assert_int_equal(count_all(cache, 1, 1), 1);
    meshping_cache_free(cache);
}

static void test_a_window_that_moves_on_does_not_grow(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    size_t after_an_hour = 0;
    for (int i = 0; i < 720 * 30; i++) {
        int64_t now = NOW + i * STEP;
        assert_int_equal(add(cache, 1, 1, now, 1, now), MESHPING_OK);
        meshping_cache_expire(cache, now, 1);
        if (i == 1000)
            after_an_hour = meshping_cache_bytes(cache);
    }
    assert_int_equal(count_all(cache, 1, 1), 721);
    assert_int_equal(meshping_cache_bytes(cache), after_an_hour);
    assert_true(after_an_hour < 721 * 16 * 2 + 4096);
    meshping_cache_free(cache);
}

static void test_expiry_visits_all_pairs_in_turn_and_gives_memory_back(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    for (uint64_t t = 1; t <= 100; t++)
        for (int i = 0; i < 100; i++)
            assert_int_equal(add(cache, 7, t, NOW - i * STEP, 1, NOW), MESHPING_OK);
    size_t full = meshping_cache_bytes(cache);
    assert_true(full > 100 * 100 * 16);
    for (int i = 0; i < 10; i++)
        meshping_cache_expire(cache, NOW + 2 * HOUR, 10);
    for (uint64_t t = 1; t <= 100; t++)
        assert_int_equal(count_all(cache, 7, t), 0);
    assert_true(meshping_cache_bytes(cache) < full / 10);
    meshping_cache_expire(cache, NOW, 10); /* of an empty one */
    assert_int_equal(add(cache, 7, 1, NOW, 1, NOW), MESHPING_OK);
    meshping_cache_free(cache);
}

static void test_dropping_takes_one_agent_or_target_and_no_other(void **unused)
{
    (void)unused;
    meshping_cache *cache = new_cache();
    for (uint64_t a = 1; a <= 40; a++)
        for (uint64_t t = 1; t <= 40; t++)
            assert_int_equal(add(cache, a << 40, t, NOW, (uint32_t)(a * 100 + t), NOW), MESHPING_OK);
    for (uint64_t a = 2; a <= 40; a += 2)
        meshping_cache_drop_agent(cache, a << 40);
    for (uint64_t t = 3; t <= 40; t += 3)
        meshping_cache_drop_target(cache, t);
    for (uint64_t a = 1; a <= 40; a++)
        for (uint64_t t = 1; t <= 40; t++) {
            meshping_sample *samples = NULL;
            size_t count = range(cache, a << 40, t, NOW, NOW + 1, &samples);
            assert_int_equal(count, a % 2 && t % 3 ? 1 : 0);
            if (count)
                assert_int_equal(samples[0].rtt_us, a * 100 + t);
            meshping_free(samples);
        }
    meshping_cache_free(cache);
}

static void test_a_pair_is_bounded_and_keeps_the_newest(void **unused)
{
    (void)unused;
    enum { MAX = 65536 };
    meshping_cache *cache = new_cache();
    for (int i = 0; i < MAX; i++)
        assert_int_equal(add(cache, 1, 1, NOW + i, 1, NOW), MESHPING_OK);
    assert_int_equal(count_all(cache, 1, 1), MAX);
    assert_int_equal(add(cache, 1, 1, NOW - 1, 1, NOW), MESHPING_LIMIT);
    assert_int_equal(add(cache, 1, 1, NOW + MAX, 1, NOW), MESHPING_OK);
    assert_int_equal(count_all(cache, 1, 1), MAX);
    meshping_sample *samples = NULL;
    assert_int_equal(range(cache, 1, 1, NOW, NOW + 2, &samples), 1); /* NOW itself has gone */
    meshping_free(samples);
    assert_true(meshping_cache_bytes(cache) < MAX * 16 * 2);
    meshping_cache_free(cache);
}

/* ---- memory ---- */

static size_t allocations_left;

static void *scarce_malloc(size_t size)
{
    return allocations_left && allocations_left-- ? malloc(size) : NULL;
}

static void *scarce_realloc(void *memory, size_t size)
{
    return allocations_left && allocations_left-- ? realloc(memory, size) : NULL;
}

static void test_without_memory_the_cache_is_as_it_was(void **unused)
{
    (void)unused;
    assert_int_equal(meshping_set_allocator(scarce_malloc, scarce_realloc, free), MESHPING_OK);
    size_t allowed = 0;
    for (bool failed = true; failed; allowed++) {
        meshping_cache *cache = NULL;
        failed = false;
        allocations_left = allowed;
        if (meshping_cache_new(&cache, HOUR) != MESHPING_OK) {
            failed = true;
            continue;
        }
        for (uint64_t i = 0; i < 300; i++) {
            uint64_t target = 1 + i % 60;
            while (add(cache, 1, target, NOW - (int64_t)i, 1, NOW) != MESHPING_OK) {
                assert_false(failed); /* once only */
                failed = true;
                allocations_left = SIZE_MAX;
                assert_int_equal(count_all(cache, 1, target), i / 60);
            }
        }
        allocations_left = SIZE_MAX;
        for (uint64_t t = 1; t <= 60; t++)
            assert_int_equal(count_all(cache, 1, t), 5);
        meshping_cache_free(cache);
    }
    assert_true(allowed > 60);
    meshping_set_allocator(NULL, NULL, NULL);
}

static void test_a_span_must_be_positive(void **unused)
{
    (void)unused;
    meshping_cache *cache = NULL;
    assert_int_equal(meshping_cache_new(&cache, 0), MESHPING_INVALID);
    assert_null(cache);
    meshping_cache_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples_come_back_exact_in_order_whatever_the_order),
        cmocka_unit_test(test_a_slot_counts_once_and_the_first_stays),
        cmocka_unit_test(test_the_span_is_kept_to_the_microsecond),
        cmocka_unit_test(test_a_window_that_moves_on_does_not_grow),
        cmocka_unit_test(test_expiry_visits_all_pairs_in_turn_and_gives_memory_back),
        cmocka_unit_test(test_dropping_takes_one_agent_or_target_and_no_other),
        cmocka_unit_test(test_a_pair_is_bounded_and_keeps_the_newest),
        cmocka_unit_test(test_without_memory_the_cache_is_as_it_was),
        cmocka_unit_test(test_a_span_must_be_positive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
