/* SPDX-License-Identifier: Apache-2.0 */
/* The hour cache when memory runs out, at each allocation in turn: nothing is lost, and nothing is there twice. */
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
#define AGENTS 2 /* with the ids 1 and 2 */
#define TARGETS 3
#define BLOCKS 40 /* of each agent, of one slot each */
#define JOINED 20 /* the first of agent 1, which are joined meanwhile */
#define BEFORE 20 /* of agent 2, stored before the cache was there */
#define LOADED 25 /* of agent 2, read together: some have come by themselves */
#define EVER SIZE_MAX

/* ---- memory ---- */

static size_t left = EVER; /* allocations until they fail */
static bool for_good;
static size_t failed, alive;

static bool fails(void)
{
    if (left == EVER || left-- > 0)
        return false;
    failed++;
    left = for_good ? 0 : EVER;
    return true;
}

static void *scarce_malloc(size_t size)
{
    void *memory = fails() ? NULL : malloc(size);
    alive += memory != NULL;
    return memory;
}

static void *scarce_realloc(void *memory, size_t size)
{
    void *grown = fails() ? NULL : realloc(memory, size);
    alive += grown && !memory;
    return grown;
}

static void scarce_free(void *memory)
{
    alive -= memory != NULL;
    free(memory);
}

/* ---- blocks ---- */

static uint32_t rtt(uint64_t agent_id, uint64_t target_id, int slot)
{
    return (uint32_t)(agent_id * 100000 + target_id * 1000) + (uint32_t)slot;
}

static int64_t slot_us(int slot)
{
    return NOW - (BLOCKS - slot) * STEP;
}

/* Slots first..last of the targets from..to; id 0: a joined one. The bytes are the caller's. */
static meshping_stored_block make(uint64_t agent_id, int64_t id, int first, int last, uint64_t from, uint64_t to)
{
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    size_t length;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = from; t <= to; t++)
        for (int i = first; i <= last; i++) {
            meshping_sample sample = {.slot_unix_us = slot_us(i), .rtt_us = rtt(agent_id, t, i)};
            assert_int_equal(meshping_block_builder_add(builder, t, &sample), MESHPING_OK);
        }
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_OK);
    meshping_block_builder_free(builder);
    return (meshping_stored_block){.agent_id = agent_id,
                                   .id = id,
                                   .received_unix_us = slot_us(last) + STEP,
                                   .first_unix_us = slot_us(first),
                                   .last_unix_us = slot_us(last),
                                   .first_target = from,
                                   .last_target = to,
                                   .sample_count = (uint32_t)((to - from + 1) * (uint64_t)(last - first + 1)),
                                   .bytes = bytes,
                                   .length = length};
}

typedef struct world {
    meshping_stored_block blocks[AGENTS][BLOCKS], joined[2];
    meshping_cache *cache;
    int stored[AGENTS]; /* the first so many blocks are in the database */
    bool refused;       /* something was answered with NOMEM */
} world;

static void prepare(world *w)
{
    for (int a = 0; a < AGENTS; a++)
        for (int i = 0; i < BLOCKS; i++)
            w->blocks[a][i] = make((uint64_t)a + 1, i + 1, i, i, 1, TARGETS);
    w->joined[0] = make(1, 0, 0, JOINED - 1, 1, 2);
    w->joined[1] = make(1, 0, 0, JOINED - 1, 3, TARGETS);
}

static void clean_up(world *w)
{
    for (int a = 0; a < AGENTS; a++)
        for (int i = 0; i < BLOCKS; i++)
            meshping_free((void *)w->blocks[a][i].bytes);
    meshping_free((void *)w->joined[0].bytes);
    meshping_free((void *)w->joined[1].bytes);
}

/* ---- what must be true at any time ---- */

static bool is_good(world *w, meshping_status status)
{
    if (status != MESHPING_OK)
        assert_int_equal(status, MESHPING_NOMEM);
    w->refused = w->refused || status == MESHPING_NOMEM;
    return status == MESHPING_OK;
}

/* From where the cache says that it reaches to, it has each stored sample once; or there is no memory to answer. */
static void ask_pair(world *w, int a, uint64_t target_id)
{
    const uint64_t agent_id = (uint64_t)a + 1;
    const int64_t reach_us = meshping_cache_reach(w->cache, agent_id, NOW);
    meshping_series series;
    meshping_sample last;
    int first = 0;
    if (reach_us == INT64_MAX)
        return;
    while (first < w->stored[a] && slot_us(first) < reach_us)
        first++;
    if (!is_good(w, meshping_cache_series(w->cache, agent_id, target_id, reach_us, INT64_MAX, &series))) {
        assert_null(series.samples);
        assert_int_equal(series.count, 0);
    } else {
        assert_int_equal(series.damaged_count, 0);
        assert_int_equal(series.count, w->stored[a] - first);
        for (size_t i = 0; i < series.count; i++) {
            assert_int_equal(series.samples[i].slot_unix_us, slot_us(first + (int)i));
            assert_int_equal(series.samples[i].rtt_us, rtt(agent_id, target_id, first + (int)i));
        }
        meshping_series_dispose(&series);
    }
    if (first == w->stored[a])
        return; /* the newest may be one that the cache does not have */
    if (is_good(w, meshping_cache_last(w->cache, agent_id, target_id, &last)))
        assert_int_equal(last.slot_unix_us, slot_us(w->stored[a] - 1));
}

static void ask(world *w)
{
    for (int a = 0; a < AGENTS; a++)
        for (uint64_t t = 1; t <= TARGETS; t++)
            ask_pair(w, a, t);
}

/* With memory again: what the cache counts is what it has, and what it has it has once. */
static void count(world *w)
{
    meshping_cache_stats stats;
    size_t samples = 0;
    for (uint64_t agent_id = 1; agent_id <= AGENTS; agent_id++)
        for (uint64_t t = 1; t <= TARGETS; t++) {
            meshping_series series;
            assert_int_equal(meshping_cache_series(w->cache, agent_id, t, INT64_MIN, INT64_MAX, &series), MESHPING_OK);
            samples += series.count;
            meshping_series_dispose(&series);
        }
    meshping_cache_get_stats(w->cache, &stats);
    assert_int_equal(stats.samples, samples);
}

/* ---- what happens ---- */

static void store(world *w, int a, int first, int end)
{
    for (int i = first; i < end; i++) {
        w->stored[a] = i + 1;
        is_good(w, meshping_cache_add(w->cache, &w->blocks[a][i], NOW));
    }
    ask_pair(w, a, 1);
}

/* Reads agent 2's first blocks as after a restart; false: it stays awaited. */
static bool load(world *w)
{
    meshping_cache_load *load = NULL;
    bool good = is_good(w, meshping_cache_await(w->cache, 2)) && is_good(w, meshping_cache_load_new(&load, 2));
    for (int i = 0; good && i < LOADED; i++)
        good = is_good(w, meshping_cache_load_add(load, &w->blocks[1][i]));
    if (good && is_good(w, meshping_cache_adopt(w->cache, load)))
        return true;
    meshping_cache_load_free(load);
    return false;
}

static bool join(world *w)
{
    return is_good(w, meshping_cache_replace(w->cache, 1, 1, JOINED, w->joined, 2));
}

/* Whether memory ran out. */
static bool run(world *w, size_t good_allocations)
{
    bool loaded, joined;
    w->refused = false;
    w->stored[0] = w->stored[1] = 0;
    left = good_allocations;
    failed = 0;
    bool made = is_good(w, meshping_cache_new(&w->cache, HOUR));
    if (made)
        made = is_good(w, meshping_cache_await(w->cache, 2)); /* without it the server does not start */
    if (!made) {
        left = EVER;
        meshping_cache_free(w->cache);
        return true;
    }
    w->stored[1] = BEFORE;
    store(w, 0, 0, JOINED + 5);
    store(w, 1, BEFORE, BLOCKS);
    loaded = load(w);
    ask(w);
    joined = join(w);
    ask(w);
    meshping_cache_expire(w->cache, NOW, AGENTS);
    store(w, 0, JOINED + 5, BLOCKS);
    ask(w);
    bool out = failed > 0;
    left = EVER;
    assert_true(w->refused || !out || (loaded && joined)); /* a table that stays longer than it need be is no error */
    w->refused = false;
    ask(w);
    count(w);
    assert_true(joined || join(w));
    assert_true(loaded || load(w));
    ask(w);
    count(w);
    assert_false(w->refused);
    assert_true(out || (meshping_cache_reach(w->cache, 1, NOW) == NOW - HOUR &&
                        meshping_cache_reach(w->cache, 2, NOW) == NOW - HOUR));
    meshping_cache_free(w->cache);
    return out;
}

static void sweep(bool good)
{
    static world w;
    size_t at = 0;
    assert_int_equal(meshping_set_allocator(scarce_malloc, scarce_realloc, scarce_free), MESHPING_OK);
    prepare(&w);
    const size_t before = alive;
    for (for_good = good; w.cache = NULL, run(&w, at); at++)
        assert_int_equal(alive, before);
    assert_int_equal(alive, before);
    clean_up(&w);
    assert_int_equal(alive, 0);
    meshping_set_allocator(NULL, NULL, NULL);
    print_message("%zu allocations\n", at);
    assert_true(at > 300);
}

static void test_an_allocation_that_fails_loses_nothing_and_counts_nothing_twice(void **unused)
{
    (void)unused;
    sweep(false);
}

static void test_neither_does_a_memory_that_stays_full_for_a_while(void **unused)
{
    (void)unused;
    sweep(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_allocation_that_fails_loses_nothing_and_counts_nothing_twice),
        cmocka_unit_test(test_neither_does_a_memory_that_stays_full_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
