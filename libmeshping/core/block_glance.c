/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where one target is in a block, without unpacking the directory: who asks for one pair's hour asks a hundred blocks
 * of one round each, and wants one of a thousand samples of each. docs/BLOCK.md describes every byte.
 */
#include "core/block.h"

typedef struct columns {
    meshping__column id, count, slot, kind, extent;
} columns;

/* The target's place; MESHPING__GLANCE_UNCLEAR also where the ids before it are not sound. */
static meshping__glance_result find_target(const meshping__column *ids, size_t targets, uint64_t target_id, size_t *at)
{
    meshping__column_walk walk = meshping__column_from(ids, 0);
    uint64_t id = 0;
    if (ids->width == 0 && ids->low && ids->low <= MESHPING__TARGET_ID_MAX / targets) { /* all equally far apart */
        *at = (size_t)(target_id / ids->low) - 1;
        return target_id && target_id % ids->low == 0 && *at < targets ? MESHPING__GLANCE_FOUND : MESHPING__GLANCE_NONE;
    }
    for (*at = 0; *at < targets; ++*at) {
        uint64_t delta = meshping__column_next(&walk);
        if (delta == 0 || delta > MESHPING__TARGET_ID_MAX - id)
            return MESHPING__GLANCE_UNCLEAR;
        id += delta;
        if (id >= target_id)
            return id == target_id ? MESHPING__GLANCE_FOUND : MESHPING__GLANCE_NONE;
    }
    return MESHPING__GLANCE_NONE;
}

/* The chunk that has entry `at`, without its samples; false: unclear. */
static bool find_chunk(meshping__reader *reader, size_t targets, size_t at, meshping__block_chunk *out)
{
    size_t entries = 0, before = 0;
    *out = (meshping__block_chunk){0};
    while (entries < targets) {
        uint64_t count = meshping__read_varint(reader), length = meshping__read_varint(reader);
        if (reader->failed || count == 0 || count > targets - entries || length > MESHPING_BLOCK_BYTES_MAX)
            return false;
        if (at >= entries && at - entries < count) {
            out->first_entry = (uint32_t)entries;
            out->entry_count = (uint32_t)count;
            out->length = (size_t)length;
        }
        before += at >= entries + count ? (size_t)length : 0;
        entries += (size_t)count;
    }
    meshping__read(reader, before);
    out->bytes = meshping__read(reader, out->length);
    return out->bytes;
}

/* How many samples the chunk has, and where the wanted series begins; false: unclear. */
static bool add_counts(meshping__block_glance *out, uint64_t samples)
{
    meshping__column_walk walk = meshping__column_from(&out->counts, out->chunk.first_entry);
    uint64_t sum = 0;
    if (out->counts.width == 0) { /* all have as many */
        uint64_t n = out->counts.low;
        if (n == 0 || n > samples || n * out->chunk.entry_count > samples)
            return false;
        out->found.start = (uint32_t)(n * out->wanted);
        out->found.entry.sample_count = (uint32_t)n;
        out->chunk.sample_count = (uint32_t)(n * out->chunk.entry_count);
        return true;
    }
    for (uint32_t i = 0; i < out->chunk.entry_count; i++) {
        uint64_t n = meshping__column_next(&walk);
        if (n == 0 || n > samples - sum)
            return false;
        if (i == out->wanted) {
            out->found.start = (uint32_t)sum;
            out->found.entry.sample_count = (uint32_t)n;
        }
        sum += n;
    }
    out->chunk.sample_count = (uint32_t)sum;
    return true;
}

/* First and last slot, and the step; false: unclear. */
static bool set_slots(meshping__block_entry *found, uint64_t slot, uint64_t extent)
{
    uint64_t steps = found->entry.sample_count - 1, span_us;
    if (slot > 2 * (uint64_t)MESHPING__SLOT_US_MAX || (steps == 0) != (extent == 0) ||
        __builtin_mul_overflow(extent, steps, &span_us) || span_us > 2 * (uint64_t)MESHPING__SLOT_US_MAX - slot)
        return false;
    found->step_us = extent;
    found->entry.first_unix_us = (int64_t)slot - MESHPING__SLOT_US_MAX;
    found->entry.last_unix_us = found->entry.first_unix_us + (int64_t)span_us;
    return true;
}

meshping__glance_result meshping__block_look(meshping__block_glance *out, const uint8_t *bytes, size_t length,
                                             uint64_t target_id)
{
    meshping__reader reader = meshping__reader_of(bytes, length);
    columns c;
    size_t at;
    meshping__read_u16(&reader); /* magic and version */
    uint64_t targets = meshping__read_varint(&reader), samples = meshping__read_varint(&reader);
    if (reader.failed || samples > MESHPING_BLOCK_SAMPLES_MAX || targets == 0 ||
        targets > MESHPING__BLOCK_TARGETS_MAX || targets > samples)
        return MESHPING__GLANCE_UNCLEAR;
    if (!meshping__column_open(&reader, (size_t)targets, &c.id) ||
        !meshping__column_open(&reader, (size_t)targets, &c.count) ||
        !meshping__column_open(&reader, (size_t)targets, &c.slot) ||
        !meshping__column_open(&reader, (size_t)targets, &c.kind) ||
        !meshping__column_open(&reader, (size_t)targets, &c.extent))
        return MESHPING__GLANCE_UNCLEAR;
    if (c.kind.width != 0 || c.kind.low != 0) /* an irregular series has its slots in the chunk */
        return MESHPING__GLANCE_UNCLEAR;
    meshping__glance_result result = find_target(&c.id, (size_t)targets, target_id, &at);
    if (result != MESHPING__GLANCE_FOUND)
        return result;
    *out = (meshping__block_glance){.found.entry.target_id = target_id, .counts = c.count};
    if (!find_chunk(&reader, (size_t)targets, at, &out->chunk))
        return MESHPING__GLANCE_UNCLEAR;
    out->wanted = (uint32_t)at - out->chunk.first_entry;
    if (!add_counts(out, samples))
        return MESHPING__GLANCE_UNCLEAR;
    meshping__column_walk slots = meshping__column_from(&c.slot, at), extents = meshping__column_from(&c.extent, at);
    uint64_t slot = meshping__column_next(&slots), extent = meshping__column_next(&extents);
    return !slots.varints.failed && !extents.varints.failed && set_slots(&out->found, slot, extent)
               ? MESHPING__GLANCE_FOUND
               : MESHPING__GLANCE_UNCLEAR;
}
