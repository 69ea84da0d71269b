/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <meshping/buffer.h>
#include <string.h>

/*
 * Blocks lie in one array in ascending order of sequence: slots[start .. start + count). Dropping is oldest first and
 * nothing else, so every gap lies before every kept block: gaps can always be joined without declaring a kept block
 * lost.
 */
#define GAPS_MAX 256

typedef struct slot {
    meshping_buffer_block block;
    uint8_t *owned;
} slot;

struct meshping_buffer {
    meshping_buffer_options options;
    slot *slots;
    size_t start, count, capacity;
    meshping_gap gaps[GAPS_MAX]; /* ascending, apart from each other; fixed, so that dropping needs no memory */
    size_t gap_count;
    size_t bytes;
    uint64_t samples;
    uint64_t dropped_samples;
    uint64_t last_sequence;
};

const char *meshping_gap_reason_name(unsigned reason)
{
    switch (reason) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_GAP_##name:                                                                                          \
        return text;
        MESHPING_GAP_REASON_MAP(XX)
#undef XX
    }
    return "unknown";
}

void meshping_buffer_options_init(meshping_buffer_options *options)
{
    *options = (meshping_buffer_options){
        .struct_size = sizeof *options,
        .max_age_ms = 30 * 60 * 1000,
        .max_bytes = (size_t)64 << 20,
        .max_blocks = 100000,
    };
}

meshping_status meshping_buffer_new(meshping_buffer **out, const meshping_buffer_options *options, meshping_error *err)
{
    if (options->struct_size < sizeof *options)
        return meshping_error_set(err, MESHPING_INVALID, "buffer options: call meshping_buffer_options_init first");
    if (options->epoch == 0)
        return meshping_error_set(err, MESHPING_INVALID, "buffer: the epoch must not be 0");
    if (options->max_age_ms <= 0 || options->max_age_ms > INT64_MAX / 1000)
        return meshping_error_set(err, MESHPING_INVALID, "buffer: max_age_ms must be above 0");
    if (options->max_bytes == 0 || options->max_blocks == 0)
        return meshping_error_set(err, MESHPING_INVALID, "buffer: max_bytes and max_blocks must be above 0");
    meshping_buffer *buffer = meshping__calloc(1, sizeof *buffer);
    if (!buffer)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    buffer->options = *options;
    *out = buffer;
    return MESHPING_OK;
}

void meshping_buffer_free(meshping_buffer *buffer)
{
    if (!buffer)
        return;
    for (size_t i = 0; i < buffer->count; i++)
        meshping__free(buffer->slots[buffer->start + i].owned);
    meshping__free(buffer->slots);
    meshping__free(buffer);
}

uint64_t meshping_buffer_epoch(const meshping_buffer *buffer)
{
    return buffer->options.epoch;
}

/* Index (0..count) of the first kept block with a sequence >= from. */
static size_t lower_bound(const meshping_buffer *buffer, uint64_t from)
{
    size_t low = 0, high = buffer->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (buffer->slots[buffer->start + middle].block.sequence < from)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static meshping_status reserve_one(meshping_buffer *buffer)
{
    if (buffer->start + buffer->count < buffer->capacity)
        return MESHPING_OK;
    if (buffer->start > buffer->capacity / 2) {
        memmove(buffer->slots, buffer->slots + buffer->start, buffer->count * sizeof(slot));
        buffer->start = 0;
        return MESHPING_OK;
    }
    size_t capacity = buffer->capacity ? buffer->capacity * 2 : 16;
    slot *grown = meshping__realloc(buffer->slots, capacity * sizeof(slot));
    if (!grown)
        return MESHPING_NOMEM;
    buffer->slots = grown;
    buffer->capacity = capacity;
    return MESHPING_OK;
}

static int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* gaps[i + 1] goes into gaps[i]. What lies between them has been acknowledged, so naming it again harms nobody. */
static void join_gaps(meshping_buffer *buffer, size_t i)
{
    meshping_gap *a = &buffer->gaps[i];
    const meshping_gap *b = a + 1;
    if (b->sample_count > a->sample_count)
        a->reason = b->reason;
    a->last_sequence = b->last_sequence;
    a->first_unix_us = min_i64(a->first_unix_us, b->first_unix_us);
    a->last_unix_us = max_i64(a->last_unix_us, b->last_unix_us);
    a->sample_count += b->sample_count;
    memmove(a + 1, a + 2, (buffer->gap_count - i - 2) * sizeof *a);
    buffer->gap_count--;
}

/* Makes room for one gap by joining the two neighbours with the fewest sequences between them, of one reason if any. */
static void join_nearest_gaps(meshping_buffer *buffer)
{
    size_t best = 0;
    uint64_t best_distance = UINT64_MAX;
    bool best_same = false;
    for (size_t i = 0; i + 1 < buffer->gap_count; i++) {
        const meshping_gap *a = &buffer->gaps[i], *b = a + 1;
        uint64_t distance = b->first_sequence - a->last_sequence;
        bool same = a->reason == b->reason;
        if ((same && !best_same) || (same == best_same && distance < best_distance)) {
            best = i;
            best_distance = distance;
            best_same = same;
        }
    }
    join_gaps(buffer, best);
}

static void record_gap(meshping_buffer *buffer, const meshping_buffer_block *block, meshping_gap_reason reason)
{
    meshping_gap *newest = buffer->gap_count ? &buffer->gaps[buffer->gap_count - 1] : NULL;
    if (newest && newest->last_sequence + 1 == block->sequence && newest->reason == reason) {
        newest->last_sequence = block->sequence;
        newest->first_unix_us = min_i64(newest->first_unix_us, block->first_unix_us);
        newest->last_unix_us = max_i64(newest->last_unix_us, block->last_unix_us);
        newest->sample_count += block->sample_count;
        return;
    }
    if (buffer->gap_count == GAPS_MAX)
        join_nearest_gaps(buffer);
    buffer->gaps[buffer->gap_count++] = (meshping_gap){
        .first_sequence = block->sequence,
        .last_sequence = block->sequence,
        .first_unix_us = block->first_unix_us,
        .last_unix_us = block->last_unix_us,
        .sample_count = block->sample_count,
        .reason = reason,
    };
}

static void forget(meshping_buffer *buffer, slot *dead)
{
    buffer->bytes -= dead->block.length;
    buffer->samples -= dead->block.sample_count;
    meshping__free(dead->owned);
    dead->owned = NULL;
}

static void drop_oldest(meshping_buffer *buffer, meshping_gap_reason reason)
{
    slot *oldest = &buffer->slots[buffer->start];
    record_gap(buffer, &oldest->block, reason);
    buffer->dropped_samples += oldest->block.sample_count;
    forget(buffer, oldest);
    buffer->start++;
    buffer->count--;
}

meshping_status meshping_buffer_push(meshping_buffer *buffer, uint8_t *bytes, size_t length, size_t sample_count,
                                     int64_t first_unix_us, int64_t last_unix_us, uint64_t *sequence)
{
    if (!bytes || length == 0 || first_unix_us > last_unix_us)
        return MESHPING_INVALID;
    if (length > buffer->options.max_bytes)
        return MESHPING_LIMIT;
    if (reserve_one(buffer) != MESHPING_OK)
        return MESHPING_NOMEM;
    while (buffer->count > 0 &&
           (buffer->count >= buffer->options.max_blocks || buffer->bytes > buffer->options.max_bytes - length))
        drop_oldest(buffer, MESHPING_GAP_OVERFLOW);
    buffer->slots[buffer->start + buffer->count++] = (slot){
        .block = {.sequence = ++buffer->last_sequence,
                  .bytes = bytes,
                  .length = length,
                  .sample_count = sample_count,
                  .first_unix_us = first_unix_us,
                  .last_unix_us = last_unix_us},
        .owned = bytes,
    };
    buffer->bytes += length;
    buffer->samples += sample_count;
    *sequence = buffer->last_sequence;
    return MESHPING_OK;
}

/* A block that is too old behind one that is not (the clock was set back) stays: kept too long is not lost. */
void meshping_buffer_expire(meshping_buffer *buffer, int64_t unix_us)
{
    int64_t limit_us;
    if (__builtin_sub_overflow(unix_us, buffer->options.max_age_ms * 1000, &limit_us))
        return;
    while (buffer->count > 0 && buffer->slots[buffer->start].block.last_unix_us < limit_us)
        drop_oldest(buffer, MESHPING_GAP_EXPIRED);
}

meshping_status meshping_buffer_find(const meshping_buffer *buffer, uint64_t from, meshping_buffer_block *out)
{
    size_t i = lower_bound(buffer, from);
    if (i == buffer->count)
        return MESHPING_NOT_FOUND;
    *out = buffer->slots[buffer->start + i].block;
    return MESHPING_OK;
}

meshping_status meshping_buffer_find_last(const meshping_buffer *buffer, uint64_t from, meshping_buffer_block *out)
{
    size_t i = from == UINT64_MAX ? buffer->count : lower_bound(buffer, from + 1);
    if (i == 0)
        return MESHPING_NOT_FOUND;
    *out = buffer->slots[buffer->start + i - 1].block;
    return MESHPING_OK;
}

/* Acks come at the two ends (live at the tail, backlog at the head), so moving the shorter side is cheap. */
static void remove_slots(meshping_buffer *buffer, size_t from, size_t to)
{
    slot *base = buffer->slots + buffer->start;
    size_t removed = to - from, behind = buffer->count - to;
    for (size_t i = from; i < to; i++)
        forget(buffer, &base[i]);
    if (from < behind) {
        memmove(base + removed, base, from * sizeof(slot));
        buffer->start += removed;
    } else {
        memmove(base + from, base + to, behind * sizeof(slot));
    }
    buffer->count -= removed;
    if (buffer->count == 0)
        buffer->start = 0;
}

/*
 * The server turned out to have a part of what was dropped here (the ack had been lost). How many samples each dropped
 * block held is no longer known: the rest gets its share by sequences, and keeps the whole span.
 */
static meshping_gap gap_part(const meshping_gap *gap, uint64_t first, uint64_t last)
{
    meshping_gap part = *gap;
    unsigned __int128 share = (unsigned __int128)gap->sample_count * (last - first + 1);
    part.first_sequence = first;
    part.last_sequence = last;
    part.sample_count = (uint64_t)(share / (gap->last_sequence - gap->first_sequence + 1));
    return part;
}

static void ack_gaps(meshping_buffer *buffer, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < buffer->gap_count;) {
        meshping_gap *gap = &buffer->gaps[i], whole = *gap;
        bool left = whole.first_sequence<first, right = whole.last_sequence> last;
        if (whole.last_sequence < first || whole.first_sequence > last) {
            i++;
        } else if (!left && !right) {
            memmove(gap, gap + 1, (buffer->gap_count - i - 1) * sizeof *gap);
            buffer->gap_count--;
        } else if (!right) {
            *gap = gap_part(&whole, whole.first_sequence, first - 1);
            i++;
        } else if (!left) {
            *gap = gap_part(&whole, last + 1, whole.last_sequence);
            i++;
        } else if (buffer->gap_count < GAPS_MAX) {
            memmove(gap + 1, gap, (buffer->gap_count - i) * sizeof *gap);
            buffer->gap_count++;
            gap[0] = gap_part(&whole, whole.first_sequence, first - 1);
            gap[1] = gap_part(&whole, last + 1, whole.last_sequence);
            i += 2;
        } else {
            i++; /* no room to split: the whole is told again, which the server takes as it is */
        }
    }
}

meshping_status meshping_buffer_ack(meshping_buffer *buffer, uint64_t first_sequence, uint64_t last_sequence)
{
    if (last_sequence < first_sequence)
        return MESHPING_INVALID;
    size_t from = lower_bound(buffer, first_sequence);
    size_t to = last_sequence == UINT64_MAX ? buffer->count : lower_bound(buffer, last_sequence + 1);
    if (from < to)
        remove_slots(buffer, from, to);
    ack_gaps(buffer, first_sequence, last_sequence);
    return MESHPING_OK;
}

meshping_status meshping_buffer_gap(const meshping_buffer *buffer, size_t i, meshping_gap *out)
{
    if (i >= buffer->gap_count)
        return MESHPING_NOT_FOUND;
    *out = buffer->gaps[i];
    return MESHPING_OK;
}

void meshping_buffer_get_stats(const meshping_buffer *buffer, meshping_buffer_stats *out)
{
    *out = (meshping_buffer_stats){
        .blocks = buffer->count,
        .bytes = buffer->bytes,
        .samples = buffer->samples,
        .dropped_samples = buffer->dropped_samples,
        .last_sequence = buffer->last_sequence,
        .oldest_unix_us = buffer->count ? buffer->slots[buffer->start].block.first_unix_us : 0,
    };
}
