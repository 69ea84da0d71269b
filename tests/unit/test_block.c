/* SPDX-License-Identifier: Apache-2.0 */
#include "block_fixture.h"
#include "core/block.h"

static uint64_t seed = 20240607;
static uint64_t state;

static uint64_t next_random(void)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void assert_same(const meshping_sample *a, const meshping_sample *b)
{
    assert_int_equal(a->slot_unix_us, b->slot_unix_us);
    assert_int_equal(a->rtt_us, b->rtt_us);
    assert_int_equal(a->outcome, b->outcome);
    assert_int_equal(a->flags, b->flags);
}

/* Entry i of the block is exactly `samples`. */
static void assert_series(const meshping_block_reader *reader, size_t i, uint64_t target_id,
                          const meshping_sample *samples, size_t count)
{
    meshping_block_entry entry;
    assert_int_equal(meshping_block_reader_entry(reader, i, &entry), MESHPING_OK);
    assert_int_equal(entry.target_id, target_id);
    assert_int_equal(entry.sample_count, count);
    assert_int_equal(entry.first_unix_us, samples[0].slot_unix_us);
    assert_int_equal(entry.last_unix_us, samples[count - 1].slot_unix_us);
    assert_int_equal(meshping_block_reader_find(reader, target_id), i);
    meshping_sample *got = calloc(count, sizeof *got);
    size_t n = 0;
    assert_int_equal(meshping_block_reader_samples(reader, i, got, count, &n, NULL), MESHPING_OK);
    assert_int_equal(n, count);
    for (size_t j = 0; j < count; j++)
        assert_same(&got[j], &samples[j]);
    free(got);
}

static const uint8_t OUTCOMES[] = {
#define XX(value, name, text) value,
    MESHPING_OUTCOME_MAP(XX)
#undef XX
};

static meshping_sample random_sample(int64_t slot_us)
{
    meshping_sample sample = {.slot_unix_us = slot_us};
    if (next_random() % 4 == 0)
        sample.outcome = OUTCOMES[next_random() % sizeof OUTCOMES];
    if (sample.outcome == MESHPING_OUTCOME_OK)
        sample.rtt_us = next_random() % 10 ? (uint32_t)(next_random() % 100000)
                                           : (uint32_t)(next_random() % ((uint64_t)MESHPING_RTT_US_MAX + 1));
    if (next_random() % 5 == 0)
        sample.flags = (uint16_t)next_random();
    return sample;
}

static void test_what_goes_in_comes_out_whatever_the_order(void **unused)
{
    (void)unused;
    state = seed;
    meshping_block_builder *builder = new_builder();
    for (int round = 0; round < 300; round++) {
        enum { TARGETS = 7, SAMPLES = 60 };
        meshping_sample series[TARGETS][SAMPLES];
        size_t counts[TARGETS], added[TARGETS] = {0}, total = 0;
        uint64_t ids[TARGETS];
        for (size_t t = 0; t < TARGETS; t++) {
            ids[t] = (t ? ids[t - 1] : 0) + 1 + next_random() % (round % 2 ? 3 : 1u << 30);
            counts[t] = 1 + next_random() % SAMPLES;
            total += counts[t];
            int64_t slot = T0 + (int64_t)(next_random() % 1000000000) - 500000000;
            bool regular = next_random() % 2;
            for (size_t i = 0; i < counts[t]; i++) {
                series[t][i] = random_sample(slot);
                slot += regular ? STEP : 1 + (int64_t)(next_random() % (uint64_t)STEP);
            }
        }
        for (size_t left = total; left;) { /* interleaved, each series from a random end */
            size_t t = next_random() % TARGETS;
            if (added[t] == counts[t])
                continue;
            size_t i = round % 3 ? added[t] : counts[t] - 1 - added[t];
            add(builder, ids[t], series[t][i]);
            added[t]++;
            left--;
        }
        assert_int_equal(meshping_block_builder_count(builder), total);
        size_t length;
        uint8_t *bytes = finish(builder, &length);
        meshping_block_reader *reader = open_block(bytes, length);
        assert_int_equal(meshping_block_reader_target_count(reader), TARGETS);
        assert_int_equal(meshping_block_reader_sample_count(reader), total);
        for (size_t t = 0; t < TARGETS; t++)
            assert_series(reader, t, ids[t], series[t], counts[t]);
        assert_int_equal(meshping_block_reader_find(reader, ids[TARGETS - 1] + 1), SIZE_MAX);
        meshping_block_reader_free(reader);
        meshping_free(bytes);
    }
    meshping_block_builder_free(builder);
}

static void test_extremes_survive(void **unused)
{
    (void)unused;
    const int64_t far = (int64_t)1 << 56;
    meshping_sample samples[] = {reply(-far, 0), reply(-1, MESHPING_RTT_US_MAX), reply(0, 1), reply(far, 0)};
    samples[1].flags = 0xffff;
    meshping_block_builder *builder = new_builder();
    for (size_t i = 0; i < 4; i++) {
        add(builder, 1, samples[i]);
        add(builder, (uint64_t)1 << 53, samples[3 - i]);
    }
    int64_t first, last;
    assert_true(meshping_block_builder_span(builder, &first, &last));
    assert_int_equal(first, -far);
    assert_int_equal(last, far);
    size_t length;
    uint8_t *bytes = finish(builder, &length);
    assert_false(meshping_block_builder_span(builder, &first, &last));
    meshping_block_reader *reader = open_block(bytes, length);
    assert_series(reader, 0, 1, samples, 4);
    assert_series(reader, 1, (uint64_t)1 << 53, samples, 4);
    meshping_block_reader_free(reader);
    meshping_free(bytes);
    meshping_block_builder_free(builder);
}

static void test_of_two_samples_with_one_slot_the_first_stays(void **unused)
{
    (void)unused;
    meshping_block_builder *builder = new_builder();
    add(builder, 5, reply(T0, 111));
    add(builder, 5, reply(T0, 222));
    add(builder, 4, reply(T0, 333)); /* another target's slot is no duplicate */
    size_t length;
    uint8_t *bytes = finish(builder, &length);
    meshping_block_reader *reader = open_block(bytes, length);
    assert_int_equal(meshping_block_reader_sample_count(reader), 2);
    meshping_sample want4 = reply(T0, 333), want5 = reply(T0, 111);
    assert_series(reader, 0, 4, &want4, 1);
    assert_series(reader, 1, 5, &want5, 1);
    meshping_block_reader_free(reader);
    meshping_free(bytes);
    meshping_block_builder_free(builder);
}

static void test_impossible_samples_are_refused(void **unused)
{
    (void)unused;
    meshping_block_builder *builder = new_builder();
    meshping_sample good = reply(T0, 1), lost_with_rtt = {.slot_unix_us = T0, .rtt_us = 1, .outcome = 1};
    meshping_sample unknown = {.slot_unix_us = T0, .outcome = 7}, too_long = reply(T0, MESHPING_RTT_US_MAX + 1);
    meshping_sample too_far = reply(((int64_t)1 << 56) + 1, 1), above = {.slot_unix_us = T0, .outcome = 32};
    assert_int_equal(meshping_block_builder_add(builder, 0, &good), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_add(builder, ((uint64_t)1 << 53) + 1, &good), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_add(builder, 1, &lost_with_rtt), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_add(builder, 1, &unknown), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_add(builder, 1, &above), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_add(builder, 1, &too_long), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_add(builder, 1, &too_far), MESHPING_INVALID);
    assert_int_equal(meshping_block_builder_count(builder), 0);
    uint8_t *bytes;
    size_t length;
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, &length), MESHPING_STATE);
    meshping_block_builder_free(builder);
}

/* Fills a builder until it says LIMIT with the worst samples there are; what it took must fit and come back. */
static void test_a_full_builder_says_so_before_the_block_is_too_long(void **unused)
{
    (void)unused;
    for (int shape = 0; shape < 3; shape++) {
        state = seed + (uint64_t)shape;
        meshping_block_builder *builder = new_builder();
        size_t taken = 0;
        meshping_status status;
        do {
            meshping_sample sample =
                reply(T0 + (int64_t)(taken * 7919 * 1000 + next_random() % 1000), taken % 2 ? MESHPING_RTT_US_MAX : 0);
            sample.flags = shape == 1 ? (uint16_t)(0x8000 | taken) : 0;
            uint64_t id = shape == 2 ? 1 : 1 + taken * 1000003;
            status = meshping_block_builder_add(builder, id, &sample);
            taken += status == MESHPING_OK;
        } while (status == MESHPING_OK);
        assert_int_equal(status, MESHPING_LIMIT);
        assert_int_equal(meshping_block_builder_count(builder), taken);
        assert_true(taken > 20000);
        size_t length;
        uint8_t *bytes = finish(builder, &length);
        meshping_block_reader *reader = open_block(bytes, length);
        assert_int_equal(meshping_block_reader_sample_count(reader), taken);
        meshping_block_reader_free(reader);
        meshping_free(bytes);
        add(builder, 1, reply(T0, 1)); /* and starts anew */
        meshping_block_builder_free(builder);
    }
}

static uint8_t *ordinary_block(size_t *length)
{
    meshping_block_builder *builder = new_builder();
    for (uint64_t t = 1; t <= 5; t++)
        for (int i = 0; i < 6; i++) {
            meshping_sample sample = reply(T0 + i * STEP + (t == 3 ? i * i : 0), (uint32_t)(300 + 7 * i));
            if (t == 4 && i == 2)
                sample = (meshping_sample){.slot_unix_us = sample.slot_unix_us, .outcome = 1, .flags = 3};
            add(builder, t * t, sample);
        }
    uint8_t *bytes = finish(builder, length);
    meshping_block_builder_free(builder);
    return bytes;
}

static void test_every_cut_and_every_flipped_bit_is_noticed(void **unused)
{
    (void)unused;
    size_t length;
    uint8_t *bytes = ordinary_block(&length);
    meshping_block_reader *reader = NULL;
    meshping_error err;
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *copy = malloc(cut ? cut : 1); /* exact, so that a sanitizer sees an overrun */
        memcpy(copy, bytes, cut);
        assert_int_equal(meshping_block_reader_new(&reader, copy, cut, &err), MESHPING_CORRUPT);
        assert_true(strlen(err.message) > 10);
        free(copy);
    }
    for (size_t bit = 0; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(meshping_block_reader_new(&reader, bytes, length, &err), MESHPING_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    meshping_free(bytes);
}

static void test_a_block_over_the_limit_is_not_looked_at(void **unused)
{
    (void)unused;
    uint8_t *zeros = calloc(1, MESHPING_BLOCK_BYTES_MAX + 1);
    meshping_block_reader *reader = NULL;
    assert_int_equal(meshping_block_reader_new(&reader, zeros, MESHPING_BLOCK_BYTES_MAX + 1, NULL), MESHPING_LIMIT);
    assert_int_equal(meshping_block_reader_new(&reader, zeros, MESHPING_BLOCK_BYTES_MAX, NULL), MESHPING_CORRUPT);
    free(zeros);
}

static void test_a_short_array_is_refused_and_untouched(void **unused)
{
    (void)unused;
    size_t length, count = 9;
    uint8_t *bytes = ordinary_block(&length);
    meshping_block_reader *reader = open_block(bytes, length);
    meshping_sample samples[6];
    memset(samples, 0x55, sizeof samples);
    assert_int_equal(meshping_block_reader_samples(reader, 0, samples, 5, &count, NULL), MESHPING_LIMIT);
    assert_int_equal(count, 0);
    assert_int_equal(samples[0].rtt_us, 0x55555555);
    assert_int_equal(meshping_block_reader_samples(reader, 0, samples, 6, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 6);
    assert_int_equal(meshping_block_reader_samples(reader, 5, samples, 6, &count, NULL), MESHPING_NOT_FOUND);
    meshping_block_reader_free(reader);
    meshping_free(bytes);
}

/* ---- memory ---- */

static void test_without_memory_nothing_is_lost(void **unused)
{
    (void)unused;
    assert_int_equal(meshping_set_allocator(scarce_malloc, scarce_realloc, free), MESHPING_OK);
    for (size_t allowed = 0;; allowed++) {
        meshping_block_builder *builder = NULL;
        meshping_block_reader *reader = NULL;
        uint8_t *bytes = NULL;
        size_t length = 0, failures = 0;
        allocations_left = allowed;
        while (meshping_block_builder_new(&builder) != MESHPING_OK)
            allocations_left = SIZE_MAX, failures++;
        for (int i = 0; i < 200; i++) {
            meshping_sample sample = reply(T0 + i * STEP, (uint32_t)i);
            while (meshping_block_builder_add(builder, 1 + (uint64_t)i % 3, &sample) != MESHPING_OK)
                allocations_left = SIZE_MAX, failures++;
        }
        while (meshping_block_builder_finish(builder, &bytes, &length) != MESHPING_OK)
            allocations_left = SIZE_MAX, failures++;
        while (meshping_block_reader_new(&reader, bytes, length, NULL) != MESHPING_OK)
            allocations_left = SIZE_MAX, failures++;
        assert_int_equal(meshping_block_reader_sample_count(reader), 200);
        meshping_block_reader_free(reader);
        meshping_free(bytes);
        meshping_block_builder_free(builder);
        if (failures == 0) {
            assert_true(allowed > 5);
            break;
        }
        assert_int_equal(failures, 1);
    }
    meshping_set_allocator(NULL, NULL, NULL);
}

static void test_blocks_are_small(void **unused)
{
    (void)unused;
    state = seed;
    meshping_block_builder *builder = new_builder();
    for (int i = 0; i < 2880; i++)
        add(builder, 7, reply(T0 + i * STEP, 250 + (uint32_t)(next_random() % 40)));
    size_t hours, round;
    uint8_t *bytes = finish(builder, &hours);
    meshping_free(bytes);
    for (uint64_t t = 1; t <= 1000; t++)
        add(builder, t, reply(T0 + (int64_t)t * 5000, 250 + (uint32_t)(next_random() % 40)));
    bytes = finish(builder, &round);
    meshping_free(bytes);
    meshping_block_builder_free(builder);
    printf("4 hours of one pair: %.2f bytes a sample; one round of 1,000 targets: %.2f\n", (double)hours / 2880,
           (double)round / 1000);
    assert_true((double)hours < 2880 * 0.8); /* 5.3 bits of noise */
    assert_true(round < 1000 * 4);
}

/* Of 60 series, whose noise is so narrow that one bit less or more of it is all the same to each by itself. */
static void test_one_code_suits_all_series_of_what_is_kept_for_days(void **unused)
{
    (void)unused;
    const int samples = 720;
    size_t lengths[2];
    for (unsigned long_lived = 0; long_lived < 2; long_lived++) {
        meshping_block_builder *builder = new_builder();
        meshping__block_builder_set_effort(builder, long_lived ? MESHPING__EFFORT_LONG : MESHPING__EFFORT_SEAL);
        state = seed;
        uint32_t *rtt_us = malloc(60 * (size_t)samples * sizeof *rtt_us), *next = rtt_us;
        for (uint64_t t = 1; t <= 60; t++)
            for (int i = 0; i < samples; i++, next++) {
                *next = 200 + 10 * (uint32_t)t;
                for (int part = 0; part < 4; part++)
                    *next += (uint32_t)(next_random() % 4);
                add(builder, t, reply(T0 + i * STEP, *next));
            }
        uint8_t *bytes = finish(builder, &lengths[long_lived]);
        meshping_block_reader *reader = open_block(bytes, lengths[long_lived]);
        meshping_sample back[720];
        size_t count;
        for (size_t t = 0; t < 60; t++) {
            assert_int_equal(meshping_block_reader_samples(reader, t, back, 720, &count, NULL), MESHPING_OK);
            for (size_t i = 0; i < count; i++)
                assert_int_equal(back[i].rtt_us, rtt_us[t * (size_t)samples + i]);
        }
        meshping_block_reader_free(reader);
        meshping_free(bytes);
        meshping_block_builder_free(builder);
        free(rtt_us);
    }
    printf("60 narrow series: %.3f bytes a sample, each for itself %.3f\n", (double)lengths[1] / (60.0 * samples),
           (double)lengths[0] / (60.0 * samples));
    assert_true(lengths[1] * 100 < lengths[0] * 96);
}

int main(void)
{
    const char *given = getenv("MESHPING_SEED");
    if (given)
        seed = strtoull(given, NULL, 0);
    printf("seed %llu (MESHPING_SEED)\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_in_comes_out_whatever_the_order),
        cmocka_unit_test(test_extremes_survive),
        cmocka_unit_test(test_of_two_samples_with_one_slot_the_first_stays),
        cmocka_unit_test(test_impossible_samples_are_refused),
        cmocka_unit_test(test_a_full_builder_says_so_before_the_block_is_too_long),
        cmocka_unit_test(test_every_cut_and_every_flipped_bit_is_noticed),
        cmocka_unit_test(test_a_block_over_the_limit_is_not_looked_at),
        cmocka_unit_test(test_a_short_array_is_refused_and_untouched),
        cmocka_unit_test(test_without_memory_nothing_is_lost),
        cmocka_unit_test(test_blocks_are_small),
        cmocka_unit_test(test_one_code_suits_all_series_of_what_is_kept_for_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
