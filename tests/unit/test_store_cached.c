/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache, levels and journal together against a list that simply remembers every block: whatever is late, sent twice,
 * joined, half joined, restarted and loaded beside all that, a question has one answer. MESHPING_SEED,
 * MESHPING_TEST_RUNS.
 */
#include "store_fixture.h"

#include <meshping/cache.h>

#define MINUTE (INT64_C(60) * 1000000)
#define HOUR (60 * MINUTE)
#define TARGETS 7
#define AGENTS 2
#define BLOCKS_MAX 2000
#define HELD_MAX 64

static uint64_t seed = 1;

typedef struct kept {
    uint64_t agent_id;
    int64_t received_us, clock_offset_us;
    uint8_t *bytes;
    size_t length;
} kept;

/* Of a join that is in the database, and of which the cache's thread has not heard yet. */
typedef struct held {
    uint64_t agent_id;
    int64_t first_id, last_id;
    meshping_stored_block blocks[16];
    size_t count;
} held;

typedef struct world {
    fixture *f;
    meshping_cache *cache;
    meshping_cache_load *loads[AGENTS]; /* read, and not adopted yet */
    bool awaited[AGENTS];
    held held[HELD_MAX];
    size_t held_count, again;
    uint64_t dice;
    int64_t now_us;
    kept blocks[BLOCKS_MAX];
    size_t count;
    uint64_t sequences[AGENTS]; /* the last used */
    size_t samples_seen, from_disk, jobs, restarts;
} world;

static uint32_t random_below(world *w, uint32_t bound)
{
    w->dice = w->dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((w->dice >> 33) % bound);
}

/* ---- what happens ---- */

/* A round or some, of some targets; now and then late, early, or of slots that were there before. */
static uint8_t *random_block(world *w, size_t *length)
{
    meshping_block_builder *builder = NULL;
    uint8_t *bytes = NULL;
    int64_t from_us = w->now_us - 2 * STEP;
    int rounds = 1 + (int)random_below(w, 3);
    uint64_t first = 1 + random_below(w, TARGETS), last = first + random_below(w, TARGETS);
    switch (random_below(w, 8)) {
    case 0:
        from_us -= random_below(w, 240) * MINUTE; /* late */
        break;
    case 1:
        from_us -= random_below(w, 20) * STEP;
        break;
    case 2:
        rounds = 40; /* backlog in one */
        from_us -= 200 * STEP;
        break;
    case 3:
        if (random_below(w, 4) == 0)
            from_us += random_below(w, 150) * MINUTE; /* a clock that is ahead */
        break;
    default:
        break;
    }
    from_us -= from_us % STEP; /* so that slots come twice */
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    for (uint64_t t = first; t <= last && t <= TARGETS; t++)
        for (int i = 0; i < rounds; i++) {
            meshping_sample sample = {.slot_unix_us = from_us + i * STEP, .rtt_us = random_below(w, 100000)};
            if (random_below(w, 20) == 0) {
                sample.rtt_us = 0;
                sample.outcome = MESHPING_OUTCOME_TIMEOUT;
            }
            assert_int_equal(meshping_block_builder_add(builder, t, &sample), MESHPING_OK);
        }
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, length), MESHPING_OK);
    meshping_block_builder_free(builder);
    return bytes;
}

/* What is told comes in the order of the commits. */
static void tell_held(world *w)
{
    for (size_t i = 0; i < w->held_count; i++) {
        held *h = &w->held[i];
        assert_int_equal(meshping_cache_replace(w->cache, h->agent_id, h->first_id, h->last_id, h->blocks, h->count),
                         MESHPING_OK);
        for (size_t k = 0; k < h->count; k++)
            free((void *)h->blocks[k].bytes);
    }
    w->held_count = 0;
}

static void on_stored(void *user, const meshping_block_done *done)
{
    world *w = user;
    tell_held(w);
    assert_int_equal(done->status, MESHPING_OK);
    assert_true(done->stored);
    meshping_status status = meshping_cache_add(w->cache, &done->block, w->now_us);
    assert_true(status == MESHPING_OK || status == MESHPING_LIMIT);
    w->count++;
}

static void submit_block(world *w)
{
    if (w->count == BLOCKS_MAX)
        return;
    kept *k = &w->blocks[w->count];
    size_t before = w->count;
    uint8_t *bytes = random_block(w, &k->length);
    k->agent_id = AGENT + random_below(w, AGENTS);
    k->received_us = w->now_us;
    k->clock_offset_us = ((int64_t)random_below(w, 3) - 1) * 20000000;
    k->bytes = malloc(k->length);
    memcpy(k->bytes, bytes, k->length);
    meshping_block_write write = {.agent_id = k->agent_id,
                                  .epoch = EPOCH,
                                  .sequence = ++w->sequences[k->agent_id - AGENT],
                                  .bytes = bytes,
                                  .length = k->length,
                                  .received_unix_us = w->now_us,
                                  .clock = {.offset_us = k->clock_offset_us}};
    assert_int_equal(meshping_store_submit_block(w->f->store, &write, on_stored, w, NULL), MESHPING_OK);
    while (w->count == before) {
        struct pollfd fd = {.fd = meshping_store_fd(w->f->store), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 30000), 1);
        meshping_store_process(w->f->store);
    }
}

static void hold(world *w, const meshping__seal_result *result)
{
    assert_true(result->count <= 16);
    if (w->held_count == HELD_MAX)
        tell_held(w);
    held *h = &w->held[w->held_count++];
    *h = (held){
        .agent_id = result->agent_id, .first_id = result->first_id, .last_id = result->last_id, .count = result->count};
    for (size_t i = 0; i < result->count; i++) {
        uint8_t *bytes = malloc(result->blocks[i].length);
        memcpy(bytes, result->blocks[i].bytes, result->blocks[i].length);
        h->blocks[i] = (meshping_stored_block){.agent_id = result->agent_id,
                                               .received_unix_us = result->received_us,
                                               .first_unix_us = result->blocks[i].first_us,
                                               .last_unix_us = result->blocks[i].last_us,
                                               .first_target = result->blocks[i].first_target,
                                               .last_target = result->blocks[i].last_target,
                                               .sample_count = (uint32_t)result->blocks[i].sample_count,
                                               .checked = true,
                                               .bytes = bytes,
                                               .length = result->blocks[i].length};
    }
}

/* Some steps of sealing; what a job had not brought to an end is lost, as by a kill. */
static void seal_some(world *w)
{
    meshping__sealer sealer;
    meshping__seal_result result;
    int64_t newest_us;
    meshping__sealer_init(&sealer, &w->f->store->sql, random_below(w, 20) * MINUTE, 70 * MINUTE);
    assert_int_equal(meshping__sealer_load(&sealer, &newest_us, NULL), MESHPING_OK);
    uint32_t steps = random_below(w, 12);
    while (steps-- > 0 && meshping__sealer_step(&sealer, w->now_us, &result, NULL) == MESHPING_OK) {
        w->jobs += result.agent_id != 0;
        if (result.agent_id && result.from == MESHPING__LEVEL_JOURNAL)
            hold(w, &result);
    }
    assert_int_equal(sealer.stats.errors + sealer.stats.damaged, 0);
    meshping__sealer_dispose(&sealer);
    if (random_below(w, 2))
        tell_held(w);
}

static meshping_status load_block(void *user, const meshping_stored_block *block)
{
    assert_int_equal(meshping_cache_load_add(user, block), MESHPING_OK);
    return MESHPING_OK;
}

/* One step: a load is read, or adopted; what happens in between may send it back. */
static void load_some(world *w)
{
    for (size_t a = 0; a < AGENTS; a++) {
        if (!w->awaited[a] || random_below(w, 2))
            continue;
        if (!w->loads[a]) {
            assert_int_equal(meshping_cache_await(w->cache, AGENT + a), MESHPING_OK);
            assert_int_equal(meshping_cache_load_new(&w->loads[a], AGENT + a), MESHPING_OK);
            assert_int_equal(meshping_store_visit_blocks(w->f->store, AGENT + a, w->now_us - HOUR, INT64_MAX,
                                                         load_block, w->loads[a], NULL),
                             MESHPING_OK);
            continue;
        }
        meshping_status status = meshping_cache_adopt(w->cache, w->loads[a]);
        if (status != MESHPING_OK) {
            assert_int_equal(status, MESHPING_STATE);
            meshping_cache_load_free(w->loads[a]);
            w->again++;
        }
        w->loads[a] = NULL;
        w->awaited[a] = status != MESHPING_OK;
    }
}

static void drop_cache(world *w)
{
    tell_held(w);
    meshping_cache_free(w->cache);
    for (size_t a = 0; a < AGENTS; a++) {
        meshping_cache_load_free(w->loads[a]);
        w->loads[a] = NULL;
    }
}

static void restart(world *w)
{
    drop_cache(w);
    fixture_reopen(w->f);
    w->restarts++;
    assert_int_equal(meshping_cache_new(&w->cache, HOUR), MESHPING_OK);
    for (size_t a = 0; a < AGENTS; a++) {
        assert_int_equal(meshping_cache_await(w->cache, AGENT + a), MESHPING_OK);
        w->awaited[a] = true;
    }
}

/* ---- questions ---- */

static int compare(const void *left, const void *right)
{
    const meshping_sample *a = left, *b = right;
    return a->slot_unix_us < b->slot_unix_us ? -1 : a->slot_unix_us > b->slot_unix_us;
}

static void add_once(meshping_sample *all, size_t *count, const meshping_sample *sample)
{
    for (size_t i = 0; i < *count; i++)
        if (all[i].slot_unix_us == sample->slot_unix_us)
            return;
    all[(*count)++] = *sample;
}

static size_t remembered(const world *w, uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us,
                         meshping_sample **out)
{
    meshping_sample *all = malloc(w->count * 40 * sizeof *all + 1), samples[40];
    size_t count = 0, n;
    for (size_t i = 0; i < w->count; i++) {
        meshping_block_reader *reader = NULL;
        if (w->blocks[i].agent_id != agent_id)
            continue;
        assert_int_equal(meshping_block_reader_new(&reader, w->blocks[i].bytes, w->blocks[i].length, NULL),
                         MESHPING_OK);
        size_t at = meshping_block_reader_find(reader, target_id);
        if (at != SIZE_MAX) {
            assert_int_equal(meshping_block_reader_samples(reader, at, samples, 40, &n, NULL), MESHPING_OK);
            int64_t received_us = w->blocks[i].received_us + w->blocks[i].clock_offset_us; /* as the agent has it */
            for (size_t k = 0; k < n; k++) {
                samples[k].flags = received_us - samples[k].slot_unix_us > 30000000 ? MESHPING_FLAG_LATE_DATA : 0;
                if (samples[k].slot_unix_us >= from_us && samples[k].slot_unix_us < to_us)
                    add_once(all, &count, &samples[k]);
            }
        }
        meshping_block_reader_free(reader);
    }
    if (count)
        qsort(all, count, sizeof *all, compare);
    *out = all;
    return count;
}

static void assert_series(const meshping_series *series, const meshping_sample *wanted, size_t count)
{
    assert_int_equal(series->count, count);
    assert_int_equal(series->damaged_count, 0);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(&series->samples[i], &wanted[i], sizeof wanted[i]);
}

static void question(world *w)
{
    uint64_t agent_id = AGENT + random_below(w, AGENTS), target_id = 1 + random_below(w, TARGETS);
    int64_t from_us = w->now_us - random_below(w, 300) * MINUTE + random_below(w, 1000),
            to_us = from_us + random_below(w, 320) * MINUTE + random_below(w, 1000);
    meshping_sample *wanted;
    meshping_series series;
    size_t count = remembered(w, agent_id, target_id, from_us, to_us, &wanted);
    assert_int_equal(meshping_store_series_cached(w->f->store, w->cache, agent_id, target_id, from_us, to_us, w->now_us,
                                                  &series, NULL),
                     MESHPING_OK);
    assert_series(&series, wanted, count);
    meshping_series_dispose(&series);
    assert_int_equal(meshping_store_series(w->f->store, agent_id, target_id, from_us, to_us, &series, NULL),
                     MESHPING_OK);
    assert_series(&series, wanted, count);
    meshping_series_dispose(&series);
    w->samples_seen += count;
    w->from_disk += from_us < meshping_cache_reach(w->cache, agent_id, w->now_us);
    /* and what the cache has by itself, as far as it reaches */
    int64_t reach_us = meshping_cache_reach(w->cache, agent_id, w->now_us);
    free(wanted);
    if (reach_us == INT64_MAX)
        return;
    count = remembered(w, agent_id, target_id, reach_us, INT64_MAX, &wanted);
    assert_int_equal(meshping_cache_series(w->cache, agent_id, target_id, reach_us, INT64_MAX, &series), MESHPING_OK);
    assert_series(&series, wanted, count);
    meshping_sample last;
    meshping_status status = meshping_cache_last(w->cache, agent_id, target_id, &last);
    if (count)
        assert_memory_equal(&last, &wanted[count - 1], sizeof last);
    assert_true(status == MESHPING_OK || count == 0);
    meshping_series_dispose(&series);
    free(wanted);
}

/* How many jobs of sealing it saw to their end: none where the journal is too long for the steps that the dice give. */
static size_t run_world(fixture *f, uint64_t number)
{
    world *w = calloc(1, sizeof *w);
    *w = (world){.f = f, .dice = number * 7919, .now_us = T0};
    assert_int_equal(meshping_cache_new(&w->cache, HOUR), MESHPING_OK);
    for (int i = 0; i < 700; i++) {
        switch (random_below(w, 16)) {
        case 0:
            w->now_us += random_below(w, 25) * MINUTE;
            break;
        case 1:
            seal_some(w);
            break;
        case 2:
            if (random_below(w, 4) == 0)
                restart(w);
            break;
        case 3:
            meshping_cache_expire(w->cache, w->now_us, 1 + random_below(w, 3));
            break;
        case 4:
        case 5:
            question(w);
            break;
        case 6:
        case 7:
            load_some(w);
            break;
        default:
            w->now_us += random_below(w, 8) * STEP;
            submit_block(w);
        }
    }
    restart(w);
    while (w->awaited[0] || w->awaited[1])
        load_some(w);
    for (int i = 0; i < 20; i++)
        question(w);
    print_message(
        "world %llu: %zu blocks, %zu jobs, %zu restarts, %zu loaded again, %zu samples compared, %zu questions to the "
        "disk\n",
        (unsigned long long)number, w->count, w->jobs, w->restarts, w->again, w->samples_seen, w->from_disk);
    assert_true(w->samples_seen > 1000);
    size_t jobs = w->jobs;
    for (size_t i = 0; i < w->count; i++)
        free(w->blocks[i].bytes);
    drop_cache(w);
    free(w);
    return jobs;
}

static void test_any_question_has_the_answer_of_a_plain_list(void **state)
{
    const char *runs = getenv("MESHPING_TEST_RUNS");
    unsigned long count = runs ? strtoul(runs, NULL, 0) : 3;
    size_t jobs = 0;
    for (unsigned long i = 0; i < count; i++) {
        fixture *f = *state;
        for (uint64_t a = 0; a < AGENTS; a++)
            add_agent(f->store, AGENT + a, MESHPING_AGENT_APPROVED);
        jobs += run_world(f, seed + i);
        for (uint64_t a = 0; a < AGENTS; a++)
            assert_int_equal(meshping_store_agent_delete(f->store, AGENT + a, NULL), MESHPING_OK);
    }
    assert_true(jobs > 3 * count);
}

int main(void)
{
    const char *given = getenv("MESHPING_SEED");
    if (given)
        seed = strtoull(given, NULL, 0);
    printf("seed %llu (MESHPING_SEED)\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_question_has_the_answer_of_a_plain_list, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
