/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <meshping/buffer.h>
#include <string.h>

/*
 * Blocks lie in one array in ascending order of sequence: slots[start .. start + count). Every sequence up to the last
 * is in exactly one place: a kept block, a gap, or the settled ones, which the server has acknowledged.
 */
#define GAPS_MAX 256
#define SETTLED_MAX 1024
#define TIME_MAX_US (INT64_C(1) << 60)

typedef struct slot {
    meshping_buffer_block block;
    int64_t stepped_us; /* how far the clock was set since */
    uint8_t *owned;
} slot;

struct meshping_buffer {
    meshping_buffer_options options;
    slot *slots;
    size_t start, count, capacity;
    meshping_gap gaps[GAPS_MAX]; /* ascending, apart from each other; fixed, so that dropping needs no memory */
    size_t gap_count;
    meshping_gap settled[SETTLED_MAX]; /* ascending; reason 0: blocks. Coarse, for meshping_buffer_reconcile */
    size_t settled_count;
    uint64_t settled_grain; /* neighbours of no more sequences than this are one entry */
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
    buffer->settled_grain = 1;
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

static uint64_t sequences(const meshping_gap *gap)
{
    return gap->last_sequence - gap->first_sequence + 1;
}

/* *b, which lies behind, goes into *a; the reason is that of the one which took more. */
static void join(meshping_gap *a, const meshping_gap *b)
{
    if (b->sample_count > a->sample_count)
        a->reason = b->reason;
    a->last_sequence = b->last_sequence;
    a->first_unix_us = min_i64(a->first_unix_us, b->first_unix_us);
    a->last_unix_us = max_i64(a->last_unix_us, b->last_unix_us);
    a->sample_count += b->sample_count;
}

static bool follows(const meshping_gap *a, const meshping_gap *b)
{
    return a->last_sequence + 1 == b->first_sequence && a->reason == b->reason;
}

static void remove_at(meshping_gap *list, size_t *count, size_t i)
{
    memmove(&list[i], &list[i + 1], (*count - i - 1) * sizeof *list);
    --*count;
}

/* Where an entry that begins with `sequence` belongs. */
static size_t place_of(const meshping_gap *list, size_t count, uint64_t sequence)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list[middle].first_sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool keeps_between(const meshping_buffer *buffer, uint64_t first, uint64_t last)
{
    size_t i = lower_bound(buffer, first);
    return i < buffer->count && buffer->slots[buffer->start + i].block.sequence <= last;
}

/*
 * Makes room for one gap by joining the two neighbours with the fewest sequences between them, of one reason if any.
 * What lies between them has been acknowledged, so naming it again harms nobody; but no kept block may lie there. When
 * there is no such pair, the smallest of those goes that the server lost: it knows that itself.
 */
static void make_room(meshping_buffer *buffer)
{
    size_t best = GAPS_MAX, smallest = GAPS_MAX;
    uint64_t best_distance = 0;
    bool best_same = false;
    for (size_t i = 0; i < buffer->gap_count; i++) {
        const meshping_gap *a = &buffer->gaps[i], *b = a + 1;
        if (a->reason == MESHPING_GAP_SERVER_LOST &&
            (smallest == GAPS_MAX || a->sample_count < buffer->gaps[smallest].sample_count))
            smallest = i;
        if (i + 1 == buffer->gap_count || keeps_between(buffer, a->last_sequence, b->first_sequence))
            continue;
        uint64_t distance = b->first_sequence - a->last_sequence;
        bool same = a->reason == b->reason;
        if (best == GAPS_MAX || (same && !best_same) || (same == best_same && distance < best_distance)) {
            best = i;
            best_distance = distance;
            best_same = same;
        }
    }
    if (best != GAPS_MAX) {
        join(&buffer->gaps[best], &buffer->gaps[best + 1]);
        remove_at(buffer->gaps, &buffer->gap_count, best + 1);
    } else {
        remove_at(buffer->gaps, &buffer->gap_count, smallest != GAPS_MAX ? smallest : 0);
    }
}

static void add_gap(meshping_buffer *buffer, const meshping_gap *gap)
{
    size_t i = place_of(buffer->gaps, buffer->gap_count, gap->first_sequence);
    if (i && follows(&buffer->gaps[i - 1], gap)) {
        join(&buffer->gaps[i - 1], gap);
    } else {
        if (buffer->gap_count == GAPS_MAX) {
            make_room(buffer);
            i = place_of(buffer->gaps, buffer->gap_count, gap->first_sequence);
        }
        memmove(&buffer->gaps[i + 1], &buffer->gaps[i], (buffer->gap_count - i) * sizeof *gap);
        buffer->gaps[i] = *gap;
        buffer->gap_count++;
        i++;
    }
    if (i < buffer->gap_count && follows(&buffer->gaps[i - 1], &buffer->gaps[i])) {
        join(&buffer->gaps[i - 1], &buffer->gaps[i]);
        remove_at(buffer->gaps, &buffer->gap_count, i);
    }
}

static meshping_gap gap_of(const meshping_buffer_block *block, meshping_gap_reason reason)
{
    return (meshping_gap){
        .first_sequence = block->sequence,
        .last_sequence = block->sequence,
        .first_unix_us = block->first_unix_us,
        .last_unix_us = block->last_unix_us,
        .sample_count = block->sample_count,
        .reason = reason,
    };
}

/* ---- what is settled ---- */

static bool may_join(const meshping_buffer *buffer, const meshping_gap *a, const meshping_gap *b)
{
    return follows(a, b) && sequences(a) + sequences(b) <= buffer->settled_grain;
}

/* Coarser, until there is room: a day of blocks needs no more entries than an hour. */
static void coarsen(meshping_buffer *buffer)
{
    while (buffer->settled_count == SETTLED_MAX) {
        size_t kept = 0;
        if (buffer->settled_grain > UINT64_MAX / 2) { /* entries of all kinds in turn: the oldest are forgotten */
            remove_at(buffer->settled, &buffer->settled_count, 0);
            return;
        }
        buffer->settled_grain *= 2;
        for (size_t i = 1; i < buffer->settled_count; i++) {
            if (may_join(buffer, &buffer->settled[kept], &buffer->settled[i]))
                join(&buffer->settled[kept], &buffer->settled[i]);
            else
                buffer->settled[++kept] = buffer->settled[i];
        }
        buffer->settled_count = kept + 1;
    }
}

static void settle(meshping_buffer *buffer, const meshping_gap *entry)
{
    size_t i = place_of(buffer->settled, buffer->settled_count, entry->first_sequence);
    if (i && may_join(buffer, &buffer->settled[i - 1], entry)) {
        join(&buffer->settled[i - 1], entry);
        return;
    }
    if (buffer->settled_count == SETTLED_MAX) {
        coarsen(buffer);
        i = place_of(buffer->settled, buffer->settled_count, entry->first_sequence);
    }
    memmove(&buffer->settled[i + 1], &buffer->settled[i], (buffer->settled_count - i) * sizeof *entry);
    buffer->settled[i] = *entry;
    buffer->settled_count++;
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
    meshping_gap gap = gap_of(&oldest->block, reason);
    buffer->dropped_samples += oldest->block.sample_count;
    forget(buffer, oldest);
    buffer->start++;
    buffer->count--;
    add_gap(buffer, &gap);
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

/* Far enough for any clock; the sums below stay far from the bounds. */
static int64_t within(int64_t time_us)
{
    return max_i64(-TIME_MAX_US, min_i64(TIME_MAX_US, time_us));
}

void meshping_buffer_clock_stepped(meshping_buffer *buffer, int64_t by_us)
{
    for (size_t i = 0; i < buffer->count; i++) {
        slot *kept = &buffer->slots[buffer->start + i];
        kept->stepped_us = within(kept->stepped_us + within(by_us));
    }
}

static int64_t age_from(const slot *kept)
{
    return within(kept->block.last_unix_us) + kept->stepped_us;
}

/* A block that is too old behind one that is not (the clock was set back) stays: kept too long is not lost. */
void meshping_buffer_expire(meshping_buffer *buffer, int64_t unix_us)
{
    int64_t limit_us;
    if (__builtin_sub_overflow(unix_us, buffer->options.max_age_ms * 1000, &limit_us))
        return;
    while (buffer->count > 0 && age_from(&buffer->slots[buffer->start]) < limit_us)
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
    for (size_t i = from; i < to; i++) {
        meshping_gap done = gap_of(&base[i].block, 0);
        forget(buffer, &base[i]);
        settle(buffer, &done);
    }
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

/* What the server has of a gap: all of it, since it was told; or a part, as blocks whose ack had been lost. */
static void settle_gap(meshping_buffer *buffer, const meshping_gap *whole, uint64_t first, uint64_t last)
{
    bool all = first <= whole->first_sequence && last >= whole->last_sequence;
    meshping_gap done = gap_part(whole, first > whole->first_sequence ? first : whole->first_sequence,
                                 last < whole->last_sequence ? last : whole->last_sequence);
    if (!all)
        done.reason = 0;
    settle(buffer, &done);
}

static void ack_gaps(meshping_buffer *buffer, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < buffer->gap_count;) {
        meshping_gap *gap = &buffer->gaps[i], whole = *gap;
        bool left = whole.first_sequence<first, right = whole.last_sequence> last;
        if (whole.last_sequence < first || whole.first_sequence > last) {
            i++;
            continue;
        }
        if (left && right && buffer->gap_count == GAPS_MAX) {
            i++; /* no room to split: the whole is told again, which the server takes as it is */
            continue;
        }
        settle_gap(buffer, &whole, first, last);
        if (!left && !right) {
            remove_at(buffer->gaps, &buffer->gap_count, i);
            continue;
        }
        if (left && right) {
            memmove(gap + 1, gap, (buffer->gap_count - i) * sizeof *gap);
            buffer->gap_count++;
            gap[0] = gap_part(&whole, whole.first_sequence, first - 1);
            gap[1] = gap_part(&whole, last + 1, whole.last_sequence);
            i++;
        } else {
            *gap = left ? gap_part(&whole, whole.first_sequence, first - 1)
                        : gap_part(&whole, last + 1, whole.last_sequence);
        }
        i++;
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

/* ---- reconciling ---- */

/* A range cuts at most two entries, so there are no more pieces than that. */
typedef struct pieces {
    meshping_gap items[2 * MESHPING_RANGES_MAX];
    size_t count;
} pieces;

/*
 * The parts of a settled entry that are in none of the ranges become gaps again, the others pieces of it; true: it
 * stays whole.
 */
static bool still_settled(meshping_buffer *buffer, const meshping_gap *entry, const meshping_range *ranges,
                          size_t count, pieces *left)
{
    uint64_t at = entry->first_sequence;
    for (size_t i = 0; i <= count && at <= entry->last_sequence; i++) {
        uint64_t first = i < count ? ranges[i].first : UINT64_MAX, last = i < count ? ranges[i].last : UINT64_MAX;
        if (last < at)
            continue;
        if (first <= entry->first_sequence && last >= entry->last_sequence)
            return true;
        if (first > at) { /* up to the next range, or the end, the server has nothing */
            meshping_gap lost =
                gap_part(entry, at, first - 1 < entry->last_sequence ? first - 1 : entry->last_sequence);
            if (!lost.reason)
                lost.reason = MESHPING_GAP_SERVER_LOST;
            add_gap(buffer, &lost);
            at = first;
        }
        if (at <= entry->last_sequence)
            left->items[left->count++] = gap_part(entry, at, last < entry->last_sequence ? last : entry->last_sequence);
        at = last < UINT64_MAX ? last + 1 : last;
    }
    return false;
}

meshping_status meshping_buffer_reconcile(meshping_buffer *buffer, const meshping_range *ranges, size_t count)
{
    size_t kept = 0;
    uint64_t before = 0;
    pieces left = {.count = 0};
    if (count > MESHPING_RANGES_MAX)
        return MESHPING_INVALID;
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].first <= before || ranges[i].last < ranges[i].first)
            return MESHPING_INVALID;
        before = ranges[i].last;
    }
    if (before > buffer->last_sequence)
        return MESHPING_STATE;
    for (size_t i = 0; i < buffer->settled_count; i++) {
        meshping_gap entry = buffer->settled[i];
        if (still_settled(buffer, &entry, ranges, count, &left))
            buffer->settled[kept++] = entry;
    }
    buffer->settled_count = kept;
    for (size_t i = 0; i < left.count; i++)
        settle(buffer, &left.items[i]);
    for (size_t i = 0; i < count; i++)
        meshping_buffer_ack(buffer, ranges[i].first, ranges[i].last);
    return MESHPING_OK;
}

meshping_status meshping_buffer_renew(meshping_buffer *buffer, uint64_t epoch)
{
    uint64_t sequence = 0;
    size_t gap = 0;
    if (epoch == 0)
        return MESHPING_INVALID;
    for (size_t i = 0; i <= buffer->count; i++) {
        meshping_buffer_block *block = i < buffer->count ? &buffer->slots[buffer->start + i].block : NULL;
        while (gap < buffer->gap_count && (!block || buffer->gaps[gap].first_sequence < block->sequence)) {
            buffer->gaps[gap].first_sequence = buffer->gaps[gap].last_sequence = ++sequence;
            gap++;
        }
        if (block)
            block->sequence = ++sequence;
    }
    buffer->last_sequence = sequence;
    buffer->settled_count = 0;
    buffer->settled_grain = 1;
    buffer->options.epoch = epoch;
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
