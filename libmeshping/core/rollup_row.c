/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row of roll-ups: version, number of records, six columns (sections as in a block, by zstd where that is shorter),
 * CRC-32. A record's first and last bucket follow from minimum and maximum, the count of its last bucket from the
 * number of replies, and its sum is told as the distance from what the buckets' middles come to.
 */
#include "core/rollup_hours.h"

#include "base/alloc.h"
#include <zlib.h>
#include <zstd.h>

#define VERSION 1u
#define SECTION_MAX ((size_t)4 << 20)
#define ROW_MIN 6u /* version, number, checksum */

enum column {
    SHAPE,   /* target, hour, replies, other outcomes */
    RANGE,   /* bucket of the minimum, buckets to the maximum's */
    OFFSETS, /* minimum and maximum within their buckets */
    GAPS,    /* between the buckets that have something */
    COUNTS,  /* of all buckets but the last */
    SUMS,
    COLUMNS
};

static uint32_t checksum(const uint8_t *bytes, size_t length)
{
    return (uint32_t)crc32_z(0, bytes, length);
}

static uint32_t first_of(uint32_t bucket)
{
    uint32_t first_us, last_us;
    meshping_histogram_bounds(bucket, &first_us, &last_us);
    return first_us;
}

static uint32_t last_of(uint32_t bucket)
{
    uint32_t first_us, last_us;
    meshping_histogram_bounds(bucket, &first_us, &last_us);
    return last_us;
}

/* What the record before leaves for the next one. */
typedef struct context {
    uint64_t target_id;
    int64_t hour, base_hour; /* the last one, and the first of the target before */
    int64_t replies;
    int64_t bucket;
} context;

/* ---- encoding ---- */

static void put_shape(meshping__bytes *out, context *before, const meshping__hour *hour, const meshping__tally *tallies,
                      size_t others, uint64_t replies)
{
    meshping__bytes_varint(out, hour->target_id - before->target_id);
    if (hour->target_id == before->target_id) {
        meshping__bytes_varint(out, (uint64_t)(hour->hour - before->hour - 1));
    } else {
        meshping__bytes_zigzag(out, hour->hour - before->base_hour);
        before->base_hour = hour->hour;
    }
    meshping__bytes_zigzag(out, (int64_t)replies - before->replies);
    meshping__bytes_varint(out, others);
    for (size_t i = 0; i < others; i++) {
        meshping__bytes_u8(out, (uint8_t)tallies[i].key);
        meshping__bytes_varint(out, tallies[i].count);
    }
    before->target_id = hour->target_id;
    before->hour = hour->hour;
    before->replies = (int64_t)replies;
}

static void put_replies(meshping__bytes *columns, context *before, const meshping__hour *hour,
                        const meshping__tally *tallies, size_t count)
{
    uint32_t first = tallies[0].key - MESHPING_OUTCOME_COUNT, last = tallies[count - 1].key - MESHPING_OUTCOME_COUNT;
    int64_t middles = 0;
    meshping__bytes_zigzag(&columns[RANGE], first - before->bucket);
    meshping__bytes_varint(&columns[RANGE], last - first);
    meshping__bytes_varint(&columns[OFFSETS], hour->min_us - first_of(first));
    meshping__bytes_varint(&columns[OFFSETS], hour->max_us - first_of(last));
    for (size_t i = 0; i < count; i++) {
        uint32_t bucket = tallies[i].key - MESHPING_OUTCOME_COUNT;
        middles += (int64_t)(tallies[i].count * (((uint64_t)first_of(bucket) + last_of(bucket)) / 2));
        if (i > 0)
            meshping__bytes_varint(&columns[GAPS], tallies[i].key - tallies[i - 1].key - 1);
        if (i + 1 < count)
            meshping__bytes_varint(&columns[COUNTS], tallies[i].count - 1);
    }
    meshping__bytes_zigzag(&columns[SUMS], (int64_t)hour->sum_us - middles);
    before->bucket = first;
}

void meshping__hours_encode(meshping__bytes *out, const meshping__hours *hours)
{
    meshping__bytes columns[COLUMNS] = {0};
    context before = {0};
    for (size_t i = 0; i < hours->count; i++) {
        const meshping__hour *hour = &hours->items[i];
        const meshping__tally *tallies = &hours->tallies[hour->first];
        uint64_t replies = 0;
        size_t others = 0;
        while (others < hour->count && tallies[others].key < MESHPING_OUTCOME_COUNT)
            others++;
        for (size_t j = others; j < hour->count; j++)
            replies += tallies[j].count;
        put_shape(&columns[SHAPE], &before, hour, tallies, others, replies);
        if (replies)
            put_replies(columns, &before, hour, tallies + others, hour->count - others);
    }
    size_t start = out->length;
    ZSTD_CCtx *packer = ZSTD_createCCtx();
    meshping__bytes_u8(out, VERSION);
    meshping__bytes_varint(out, hours->count);
    for (size_t i = 0; i < COLUMNS; i++) {
        meshping__section_write(packer, out, &columns[i], MESHPING__EFFORT_LIVE);
        meshping__bytes_dispose(&columns[i]);
    }
    ZSTD_freeCCtx(packer);
    if (!out->failed)
        meshping__bytes_u32(out, checksum(out->data + start, out->length - start));
}

/* ---- decoding: every number comes from outside ---- */

typedef struct source {
    uint8_t *raw[COLUMNS];
    meshping__reader columns[COLUMNS];
    meshping__hours *hours;
    context before;
    bool nomem;
} source;

static bool add_tally(source *from, uint32_t key, uint64_t count)
{
    from->nomem = !meshping__hours_push_tally(from->hours, key, count);
    return !from->nomem;
}

/* *total counts what the record has, within its limit. */
static bool take(uint64_t *total, uint64_t count)
{
    if (count == 0 || count > MESHPING__HOUR_SAMPLES_MAX - *total)
        return false;
    *total += count;
    return true;
}

static bool read_place(source *from, meshping__hour *hour, bool first)
{
    meshping__reader *shape = &from->columns[SHAPE];
    context *before = &from->before;
    uint64_t step = meshping__read_varint(shape);
    int64_t limit = MESHPING__SLOT_US_MAX / MESHPING__HOUR_US + 1, at;
    if (step > MESHPING__TARGET_ID_MAX - before->target_id || (first && step == 0))
        return false;
    if (step == 0) {
        uint64_t hours = meshping__read_varint(shape);
        if (hours > (uint64_t)(2 * limit))
            return false;
        at = before->hour + (int64_t)hours + 1;
    } else {
        int64_t hours = meshping__read_zigzag(shape);
        if (hours < -2 * limit || hours > 2 * limit)
            return false;
        at = before->base_hour + hours;
        before->base_hour = at;
    }
    if (at < -limit || at > limit)
        return false;
    hour->target_id = before->target_id = before->target_id + step;
    hour->hour = before->hour = at;
    return true;
}

static bool read_others(source *from, uint64_t *total)
{
    meshping__reader *shape = &from->columns[SHAPE];
    uint64_t others = meshping__read_varint(shape);
    unsigned last = 0;
    if (others >= MESHPING_OUTCOME_COUNT)
        return false;
    for (uint64_t i = 0; i < others; i++) {
        unsigned key = meshping__read_u8(shape);
        uint64_t count = meshping__read_varint(shape);
        if (key <= last || key >= MESHPING_OUTCOME_COUNT || !take(total, count) || !add_tally(from, key, count))
            return false;
        last = key;
    }
    return true;
}

static bool read_buckets(source *from, meshping__hour *hour, uint64_t replies, uint32_t first, uint32_t last)
{
    uint64_t total = 0, least = 0, most = 0;
    int64_t middles = 0;
    for (uint32_t bucket = first;;) {
        uint64_t count = bucket == last ? replies - total : meshping__read_varint(&from->columns[COUNTS]) + 1;
        if (count == 0 || count > replies - total || !add_tally(from, MESHPING_OUTCOME_COUNT + bucket, count))
            return false;
        total += count;
        least += count * first_of(bucket);
        most += count * last_of(bucket);
        middles += (int64_t)(count * (((uint64_t)first_of(bucket) + last_of(bucket)) / 2));
        if (bucket == last)
            break;
        uint64_t gap = meshping__read_varint(&from->columns[GAPS]);
        if (gap >= last - bucket)
            return false;
        bucket += (uint32_t)gap + 1;
    }
    hour->sum_us = (uint64_t)middles + (uint64_t)meshping__read_zigzag(&from->columns[SUMS]);
    return total == replies && hour->sum_us >= least && hour->sum_us <= most;
}

static bool read_replies(source *from, meshping__hour *hour, uint64_t replies)
{
    int64_t step = meshping__read_zigzag(&from->columns[RANGE]);
    uint64_t width = meshping__read_varint(&from->columns[RANGE]);
    uint64_t min_offset = meshping__read_varint(&from->columns[OFFSETS]);
    uint64_t max_offset = meshping__read_varint(&from->columns[OFFSETS]);
    if (step < -MESHPING_HISTOGRAM_BUCKETS || step > MESHPING_HISTOGRAM_BUCKETS || width >= MESHPING_HISTOGRAM_BUCKETS)
        return false;
    int64_t first = from->before.bucket + step, last = first + (int64_t)width;
    if (first < 0 || last >= MESHPING_HISTOGRAM_BUCKETS)
        return false;
    uint32_t low = (uint32_t)first, high = (uint32_t)last;
    if (min_offset > last_of(low) - first_of(low) || max_offset > last_of(high) - first_of(high))
        return false;
    hour->min_us = first_of(low) + (uint32_t)min_offset;
    hour->max_us = first_of(high) + (uint32_t)max_offset;
    from->before.bucket = first;
    return hour->min_us <= hour->max_us && read_buckets(from, hour, replies, low, high);
}

static bool read_hour(source *from, bool first)
{
    meshping__hour hour = {.first = from->hours->tally_count};
    uint64_t total = 0;
    if (!read_place(from, &hour, first))
        return false;
    int64_t step = meshping__read_zigzag(&from->columns[SHAPE]), limit = MESHPING__HOUR_SAMPLES_MAX;
    if (step < -limit || step > limit || from->before.replies + step < 0 || from->before.replies + step > limit)
        return false;
    uint64_t replies = (uint64_t)(from->before.replies += step);
    if ((replies && !take(&total, replies)) || !read_others(from, &total) || total == 0)
        return false;
    if (replies && !read_replies(from, &hour, replies))
        return false;
    hour.count = (uint32_t)(from->hours->tally_count - hour.first);
    for (size_t i = 0; i < COLUMNS; i++)
        if (from->columns[i].failed)
            return false;
    from->nomem = !meshping__hours_push(from->hours, &hour);
    return !from->nomem;
}

static bool read_all(source *from, meshping__reader *reader, meshping__unzip *unzip)
{
    uint64_t count = meshping__read_varint(reader);
    if (count > MESHPING__HOURS_MAX)
        return false;
    for (size_t i = 0; i < COLUMNS; i++) {
        size_t length;
        if (!meshping__section_read(reader, unzip, SECTION_MAX, &from->raw[i], &length, &from->nomem))
            return false;
        from->columns[i] = meshping__reader_of(from->raw[i], length);
    }
    if (reader->at != reader->end)
        return false;
    for (uint64_t i = 0; i < count; i++)
        if (!read_hour(from, i == 0))
            return false;
    for (size_t i = 0; i < COLUMNS; i++)
        if (from->columns[i].at != from->columns[i].end)
            return false;
    return true;
}

meshping_status meshping__hours_decode(meshping__hours *hours, meshping__unzip *unzip, const uint8_t *bytes,
                                       size_t length)
{
    source from = {.hours = hours};
    if (length < ROW_MIN)
        return MESHPING_CORRUPT;
    meshping__reader tail = meshping__reader_of(bytes + length - 4, 4);
    meshping__reader reader = meshping__reader_of(bytes, length - 4);
    if (meshping__read_u32(&tail) != checksum(bytes, length - 4) || meshping__read_u8(&reader) != VERSION)
        return MESHPING_CORRUPT;
    bool good = read_all(&from, &reader, unzip);
    for (size_t i = 0; i < COLUMNS; i++)
        meshping__free(from.raw[i]);
    return good ? MESHPING_OK : from.nomem ? MESHPING_NOMEM : MESHPING_CORRUPT;
}
