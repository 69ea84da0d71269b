/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes into the block reader; what it accepts must be sound, and survive being encoded again. */
#include "checksum.h"

#include "core/block.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static meshping_block_reader *picker;

/* Without opening the block it is the same. */
static void check_pick(const uint8_t *bytes, size_t length, const meshping_block_entry *entry,
                       const meshping_sample *samples)
{
    const meshping_sample *picked;
    size_t count;
    check(meshping__block_reader_pick(picker, bytes, length, true, entry->target_id, INT64_MIN, INT64_MAX, &picked,
                                      &count) == MESHPING_OK);
    check(count == entry->sample_count && memcmp(picked, samples, count * sizeof *samples) == 0);
}

/* Whatever it says of a block that is not sound, it must be safe. */
static void pick_any(const uint8_t *bytes, size_t length)
{
    static const uint64_t targets[] = {1, 2, 9, 500, MESHPING__TARGET_ID_MAX};
    const meshping_sample *picked;
    size_t count;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        meshping__block_reader_pick(picker, bytes, length, true, targets[i], INT64_MIN, INT64_MAX, &picked, &count);
}

static void check_series(const uint8_t *bytes, size_t length, const meshping_block_reader *reader, size_t i,
                         meshping_block_builder *builder, bool *whole)
{
    meshping_block_entry entry;
    check(meshping_block_reader_entry(reader, i, &entry) == MESHPING_OK);
    check(meshping_block_reader_find(reader, entry.target_id) == i);
    check(entry.sample_count > 0 && entry.first_unix_us <= entry.last_unix_us);
    meshping_sample *samples = malloc(entry.sample_count * sizeof *samples);
    size_t count;
    check(samples);
    if (meshping_block_reader_samples(reader, i, samples, entry.sample_count, &count, NULL) == MESHPING_OK) {
        check(count == entry.sample_count);
        check_pick(bytes, length, &entry, samples);
        check(samples[0].slot_unix_us == entry.first_unix_us && samples[count - 1].slot_unix_us == entry.last_unix_us);
        for (size_t j = 0; j < count; j++) {
            check(j == 0 || samples[j - 1].slot_unix_us < samples[j].slot_unix_us);
            check(samples[j].outcome < MESHPING_OUTCOME_COUNT && samples[j].reserved == 0);
            check(samples[j].rtt_us <= (samples[j].outcome ? 0 : MESHPING_RTT_US_MAX));
            if (meshping_block_builder_add(builder, entry.target_id, &samples[j]) != MESHPING_OK)
                *whole = false; /* an outcome of a later version, or the bound */
        }
    } else {
        *whole = false;
    }
    free(samples);
}

static void check_again(const meshping_block_reader *first, meshping_block_builder *builder)
{
    uint8_t *bytes;
    size_t length;
    meshping_block_reader *second = NULL;
    check(meshping_block_builder_finish(builder, &bytes, &length) == MESHPING_OK);
    check(meshping_block_reader_new(&second, bytes, length, NULL) == MESHPING_OK);
    check(meshping_block_reader_target_count(second) == meshping_block_reader_target_count(first));
    for (size_t i = 0; i < meshping_block_reader_target_count(first); i++) {
        meshping_block_entry entry;
        size_t a_count, b_count;
        meshping_block_reader_entry(first, i, &entry);
        meshping_sample *a = malloc(entry.sample_count * sizeof *a), *b = malloc(entry.sample_count * sizeof *b);
        check(a && b);
        check(meshping_block_reader_samples(first, i, a, entry.sample_count, &a_count, NULL) == MESHPING_OK);
        check(meshping_block_reader_samples(second, i, b, entry.sample_count, &b_count, NULL) == MESHPING_OK);
        check(a_count == b_count && memcmp(a, b, a_count * sizeof *a) == 0);
        free(a);
        free(b);
    }
    meshping_block_reader_free(second);
    meshping_free(bytes);
}

static void read_block(const uint8_t *bytes, size_t length)
{
    meshping_block_reader *reader = NULL;
    meshping_error err;
    if (!picker)
        check(meshping__block_reader_make(&picker, NULL) == MESHPING_OK);
    pick_any(bytes, length);
    if (meshping_block_reader_new(&reader, bytes, length, &err) != MESHPING_OK)
        return;
    meshping_block_builder *builder = NULL;
    check(meshping_block_builder_new(&builder) == MESHPING_OK);
    bool whole = true;
    for (size_t i = 0; i < meshping_block_reader_target_count(reader); i++)
        check_series(bytes, length, reader, i, builder, &whole);
    if (whole)
        check_again(reader, builder);
    meshping_block_builder_free(builder);
    meshping_block_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return read_both_ways(data, size, read_block);
}
