/* SPDX-License-Identifier: Apache-2.0 */
/* One target's samples without opening the whole block: the same as from the opened one, and safe on any bytes. */
#include "block_fixture.h"
#include "core/block.h"

#include <zlib.h>

typedef struct dice {
    uint64_t state;
} dice;

static uint32_t below(dice *d, uint32_t bound)
{
    d->state = d->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((d->state >> 33) % bound);
}

static meshping_sample random_sample(dice *d, int64_t slot_us, uint32_t lost_of_hundred)
{
    static const uint8_t outcomes[] = {MESHPING_OUTCOME_TIMEOUT, MESHPING_OUTCOME_UNREACHABLE,
                                       MESHPING_OUTCOME_ISOLATED};
    meshping_sample sample = {.slot_unix_us = slot_us};
    if (below(d, 100) < lost_of_hundred)
        sample.outcome = outcomes[below(d, 3)];
    else
        sample.rtt_us = below(d, 20) ? 20000 + below(d, 300) : below(d, 9000000);
    if (below(d, 30) == 0)
        sample.flags = (uint16_t)(1 + below(d, 7));
    return sample;
}

/* Rounds of some targets, as agents send them, and worse: ids far apart, holes, steps that differ. */
static uint8_t *random_block(dice *d, size_t *length)
{
    meshping_block_builder *builder = new_builder();
    const uint32_t targets = 1 + below(d, below(d, 4) ? 60 : 1500), rounds = 1 + below(d, below(d, 3) ? 2 : 40);
    const uint32_t lost = below(d, 3) ? 2 : below(d, 100), apart = below(d, 3) ? 1 : 1 + below(d, 100000);
    const uint32_t hole = below(d, 3) ? 0 : 5, shaky = below(d, 4) ? 0 : 5;
    uint64_t id = 1 + below(d, 1000);
    for (uint32_t t = 0; t < targets; t++, id += 1 + below(d, apart))
        for (uint32_t r = 0; r < rounds; r++)
            if (r == 0 || below(d, 100) >= hole)
                add(builder, id, random_sample(d, T0 + r * STEP + below(d, shaky + 1), lost));
    if (below(d, 5) == 0)
        add(builder, MESHPING__TARGET_ID_MAX, random_sample(d, -MESHPING__SLOT_US_MAX, lost));
    uint8_t *bytes = finish(builder, length);
    meshping_block_builder_free(builder);
    return bytes;
}

static void check_pick(meshping_block_reader *picker, const meshping_block_reader *reader, const uint8_t *bytes,
                       size_t length, size_t i)
{
    meshping_block_entry entry;
    const meshping_sample *picked;
    size_t count, want;
    meshping_block_reader_entry(reader, i, &entry);
    meshping_sample *samples = malloc(entry.sample_count * sizeof *samples);
    assert_non_null(samples);
    assert_int_equal(meshping_block_reader_samples(reader, i, samples, entry.sample_count, &want, NULL), MESHPING_OK);
    assert_int_equal(meshping__block_reader_pick(picker, bytes, length, true, entry.target_id, entry.last_unix_us,
                                                 INT64_MAX, &picked, &count),
                     MESHPING_OK);
    assert_int_equal(count, want);
    assert_memory_equal(picked, samples, count * sizeof *samples);
    free(samples);
    assert_int_equal(meshping__block_reader_pick(picker, bytes, length, true, entry.target_id, entry.last_unix_us + 1,
                                                 INT64_MAX, &picked, &count),
                     MESHPING_OK);
    assert_int_equal(count, 0);
    assert_int_equal(meshping__block_reader_pick(picker, bytes, length, true, entry.target_id, INT64_MIN,
                                                 entry.first_unix_us, &picked, &count),
                     MESHPING_OK);
    assert_int_equal(count, 0);
    if (meshping_block_reader_find(reader, entry.target_id + 1) == SIZE_MAX) {
        assert_int_equal(meshping__block_reader_pick(picker, bytes, length, true, entry.target_id + 1, INT64_MIN,
                                                     INT64_MAX, &picked, &count),
                         MESHPING_OK);
        assert_int_equal(count, 0);
    }
}

static void test_a_picked_target_has_the_samples_of_the_opened_block(void **unused)
{
    (void)unused;
    meshping_block_reader *picker = NULL;
    size_t glanced = 0, opened = 0;
    assert_int_equal(meshping__block_reader_make(&picker, NULL), MESHPING_OK);
    for (uint64_t seed = 1; seed <= 300; seed++) {
        dice d = {seed};
        meshping__block_glance glance;
        meshping_block_entry entry;
        size_t length;
        uint8_t *bytes = random_block(&d, &length);
        meshping_block_reader *reader = open_block(bytes, length);
        const size_t targets = meshping_block_reader_target_count(reader), step = targets / 40 + 1;
        for (size_t i = below(&d, (uint32_t)step); i < targets; i += step) {
            check_pick(picker, reader, bytes, length, i);
            meshping_block_reader_entry(reader, i, &entry);
            if (meshping__block_look(&glance, bytes, length - 4, entry.target_id) == MESHPING__GLANCE_FOUND)
                glanced++;
            else
                opened++;
        }
        meshping_block_reader_free(reader);
        meshping_free(bytes);
    }
    meshping_block_reader_free(picker);
    assert_true(glanced > 1000 && opened > 1000); /* both ways were taken */
}

static void test_an_agents_round_needs_not_be_opened(void **unused)
{
    (void)unused;
    meshping_block_builder *builder = new_builder();
    meshping__block_glance glance;
    dice d = {7};
    size_t length;
    for (uint64_t t = 1; t <= 1000; t++) {
        add(builder, 500 + t, random_sample(&d, T0 + (int64_t)(t * 4999), 2));
        if (t % 100 == 0) /* its verdict came late */
            add(builder, 500 + t, random_sample(&d, T0 + (int64_t)(t * 4999) - STEP, 100));
    }
    uint8_t *bytes = finish(builder, &length);
    for (uint64_t t = 1; t <= 1000; t++)
        assert_int_equal(meshping__block_look(&glance, bytes, length - 4, 500 + t), MESHPING__GLANCE_FOUND);
    assert_int_equal(meshping__block_look(&glance, bytes, length - 4, 500), MESHPING__GLANCE_NONE);
    assert_int_equal(meshping__block_look(&glance, bytes, length - 4, 1501), MESHPING__GLANCE_NONE);
    meshping_free(bytes);
    meshping_block_builder_free(builder);
}

static void test_damaged_bytes_are_refused_by_their_checksum(void **unused)
{
    (void)unused;
    meshping_block_reader *picker = NULL;
    const meshping_sample *picked;
    dice d = {3};
    size_t length, count;
    uint8_t *bytes = random_block(&d, &length);
    assert_int_equal(meshping__block_reader_make(&picker, NULL), MESHPING_OK);
    for (size_t i = 0; i < length; i++) {
        bytes[i] ^= 0x10;
        assert_int_equal(
            meshping__block_reader_pick(picker, bytes, length, false, 1, INT64_MIN, INT64_MAX, &picked, &count),
            MESHPING_CORRUPT);
        bytes[i] ^= 0x10;
    }
    meshping_block_reader_free(picker);
    meshping_free(bytes);
}

/* Nobody checks them twice, and a forger has the right checksum: any content must be safe. */
static void test_forged_bytes_are_safe(void **unused)
{
    (void)unused;
    meshping_block_reader *picker = NULL;
    assert_int_equal(meshping__block_reader_make(&picker, NULL), MESHPING_OK);
    for (uint64_t seed = 1; seed <= 500; seed++) {
        dice d = {seed};
        const meshping_sample *picked;
        size_t length, count;
        uint8_t *bytes = random_block(&d, &length);
        const uint32_t near = below(&d, 2) ? 40 : (uint32_t)length;
        for (uint32_t flips = 1 + below(&d, 3); flips > 0; flips--)
            bytes[2 + below(&d, (near < length ? near : (uint32_t)length) - 6)] ^= (uint8_t)(1 << below(&d, 8));
        for (uint64_t target = 1; target < 1100; target += 1 + below(&d, 200)) {
            meshping_status status =
                meshping__block_reader_pick(picker, bytes, length, true, target, INT64_MIN, INT64_MAX, &picked, &count);
            assert_true(status == MESHPING_OK || status == MESHPING_CORRUPT);
            for (size_t i = 1; i < count; i++)
                assert_true(picked[i - 1].slot_unix_us < picked[i].slot_unix_us);
        }
        meshping_free(bytes);
    }
    meshping_block_reader_free(picker);
}

static void test_without_memory_it_says_so(void **unused)
{
    (void)unused;
    meshping_block_reader *picker = NULL;
    const meshping_sample *picked;
    meshping_block_builder *builder = new_builder();
    dice d = {5};
    size_t length, count, failures = 0;
    for (uint64_t t = 1; t <= 500; t++)
        add(builder, t, random_sample(&d, T0, 10));
    uint8_t *bytes = finish(builder, &length);
    meshping_status status = MESHPING_NOMEM;
    for (size_t allowed = 0; status == MESHPING_NOMEM; allowed++) {
        assert_int_equal(meshping__block_reader_make(&picker, NULL), MESHPING_OK);
        allocations_left = allowed;
        assert_int_equal(meshping_set_allocator(scarce_malloc, scarce_realloc, free), MESHPING_OK);
        status = meshping__block_reader_pick(picker, bytes, length, true, 400, INT64_MIN, INT64_MAX, &picked, &count);
        assert_int_equal(meshping_set_allocator(NULL, NULL, NULL), MESHPING_OK);
        assert_true(status == MESHPING_OK ? count == 1 : status == MESHPING_NOMEM && count == 0);
        failures += status == MESHPING_NOMEM;
        meshping_block_reader_free(picker);
    }
    assert_true(failures >= 2);
    meshping_free(bytes);
    meshping_block_builder_free(builder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_picked_target_has_the_samples_of_the_opened_block),
        cmocka_unit_test(test_an_agents_round_needs_not_be_opened),
        cmocka_unit_test(test_damaged_bytes_are_refused_by_their_checksum),
        cmocka_unit_test(test_forged_bytes_are_safe),
        cmocka_unit_test(test_without_memory_it_says_so),
    };
    return cmocka_run_group_tests_name("block_pick", tests, NULL, NULL);
}
