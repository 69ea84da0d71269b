/* SPDX-License-Identifier: Apache-2.0 */
/* The builder and the reader of sample blocks; the bytes themselves are the codec's (block_directory.c). */
#include "core/block.h"

#include "base/alloc.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define HEAD_LEN 2 /* magic, version */
#define CRC_LEN 4

struct meshping_block_builder {
    meshping__block_row *rows;
    size_t count, capacity;
    meshping__block_shape shape;
    uint64_t last_id;
    meshping__block_effort effort;
};

/* The chunk decoded last: whoever reads all targets decodes each chunk once. */
typedef struct decoded {
    meshping_sample *samples;
    size_t capacity;
    uint32_t chunk; /* UINT32_MAX: none */
    meshping__unzip *unzip, own_unzip;
} decoded;

struct meshping_block_reader {
    meshping__block_directory directory;
    decoded *last; /* behind a pointer: reading does not change what the reader shows */
};

/* ---- builder ---- */

meshping_status meshping_block_builder_new(meshping_block_builder **out)
{
    *out = meshping__calloc(1, sizeof **out);
    return *out ? MESHPING_OK : MESHPING_NOMEM;
}

void meshping_block_builder_free(meshping_block_builder *builder)
{
    if (!builder)
        return;
    meshping__free(builder->rows);
    meshping__free(builder);
}

void meshping__block_builder_set_effort(meshping_block_builder *builder, meshping__block_effort effort)
{
    builder->effort = effort;
}

static bool outcome_known(unsigned outcome)
{
    switch (outcome) {
#define XX(value, name, text) case MESHPING_OUTCOME_##name:
        MESHPING_OUTCOME_MAP(XX)
#undef XX
        return true;
    }
    return false;
}

/* Who joins blocks passes on outcomes that only a newer agent knows. */
static bool sample_valid(const meshping_block_builder *builder, uint64_t target_id, const meshping_sample *sample)
{
    bool known = builder->effort == MESHPING__EFFORT_LIVE ? outcome_known(sample->outcome)
                                                          : sample->outcome < MESHPING_OUTCOME_COUNT;
    if (target_id == 0 || target_id > MESHPING__TARGET_ID_MAX || !known)
        return false;
    if (sample->slot_unix_us < -MESHPING__SLOT_US_MAX || sample->slot_unix_us > MESHPING__SLOT_US_MAX)
        return false;
    return sample->rtt_us <= (sample->outcome == MESHPING_OUTCOME_OK ? MESHPING_RTT_US_MAX : 0);
}

static meshping__block_shape shape_with(const meshping_block_builder *builder, uint64_t target_id,
                                        const meshping_sample *sample)
{
    meshping__block_shape shape = builder->shape;
    bool empty = builder->count == 0;
    shape.samples++;
    shape.flagged += sample->flags != 0;
    shape.series += empty || target_id != builder->last_id;
    if (target_id > shape.id_max)
        shape.id_max = target_id;
    if (empty || sample->slot_unix_us < shape.first_us)
        shape.first_us = sample->slot_unix_us;
    if (empty || sample->slot_unix_us > shape.last_us)
        shape.last_us = sample->slot_unix_us;
    return shape;
}

meshping_status meshping_block_builder_add(meshping_block_builder *builder, uint64_t target_id,
                                           const meshping_sample *sample)
{
    if (!sample_valid(builder, target_id, sample))
        return MESHPING_INVALID;
    meshping__block_shape shape = shape_with(builder, target_id, sample);
    if (shape.samples > MESHPING_BLOCK_SAMPLES_MAX || shape.series > MESHPING__BLOCK_TARGETS_MAX ||
        meshping__block_bound(&shape) > MESHPING_BLOCK_BYTES_MAX)
        return MESHPING_LIMIT;
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity ? builder->capacity * 2 : 64;
        meshping__block_row *grown = meshping__realloc(builder->rows, capacity * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        builder->rows = grown;
        builder->capacity = capacity;
    }
    builder->rows[builder->count] =
        (meshping__block_row){.target_id = target_id, .sample = *sample, .order = (uint32_t)builder->count};
    builder->count++;
    builder->shape = shape;
    builder->last_id = target_id;
    return MESHPING_OK;
}

size_t meshping_block_builder_count(const meshping_block_builder *builder)
{
    return builder->count;
}

bool meshping_block_builder_span(const meshping_block_builder *builder, int64_t *first_unix_us, int64_t *last_unix_us)
{
    if (builder->count == 0)
        return false;
    *first_unix_us = builder->shape.first_us;
    *last_unix_us = builder->shape.last_us;
    return true;
}

static int compare_rows(const void *left, const void *right)
{
    const meshping__block_row *a = left, *b = right;
    if (a->target_id != b->target_id)
        return a->target_id < b->target_id ? -1 : 1;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool is_sorted(const meshping__block_row *rows, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (compare_rows(&rows[i - 1], &rows[i]) > 0)
            return false;
    return true;
}

static size_t remove_duplicates(meshping__block_row *rows, size_t count)
{
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        const meshping__block_row *before = &rows[kept - 1];
        if (rows[i].target_id != before->target_id || rows[i].sample.slot_unix_us != before->sample.slot_unix_us)
            rows[kept++] = rows[i];
    }
    return kept;
}

meshping_status meshping_block_builder_finish(meshping_block_builder *builder, uint8_t **bytes, size_t *length)
{
    if (builder->count == 0)
        return MESHPING_STATE;
    if (!is_sorted(builder->rows, builder->count))
        qsort(builder->rows, builder->count, sizeof *builder->rows, compare_rows);
    builder->count = remove_duplicates(builder->rows, builder->count);
    for (size_t i = 0; i < builder->count; i++)
        builder->rows[i].order = (uint32_t)i; /* what is added after a failed finish is younger still */
    meshping__bytes out = {0};
    meshping__block_encode(&out, builder->rows, builder->count, builder->effort);
    meshping__bytes_u32(&out, (uint32_t)crc32_z(0, out.data, out.length));
    if (out.failed) {
        meshping__bytes_dispose(&out);
        return MESHPING_NOMEM;
    }
    *bytes = out.data;
    *length = out.length;
    builder->count = 0;
    builder->shape = (meshping__block_shape){0};
    builder->last_id = 0;
    return MESHPING_OK;
}

/* ---- reader ---- */

static uint32_t load_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* The frame that all versions share. */
static meshping_status check_frame(const uint8_t *bytes, size_t length, bool trusted, meshping_error *err)
{
    if (length > MESHPING_BLOCK_BYTES_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "sample block: %zu bytes, at most %u are allowed", length,
                                  MESHPING_BLOCK_BYTES_MAX);
    if (length < HEAD_LEN + CRC_LEN)
        return meshping_error_set(err, MESHPING_CORRUPT, "sample block: %zu bytes are too short", length);
    if (bytes[0] != MESHPING__BLOCK_MAGIC)
        return meshping_error_set(err, MESHPING_CORRUPT, "sample block: it begins with 0x%02x, not 0x%02x", bytes[0],
                                  MESHPING__BLOCK_MAGIC);
    if (bytes[1] != MESHPING__BLOCK_VERSION)
        return meshping_error_set(err, MESHPING_CORRUPT, "sample block: version %u is not known here", bytes[1]);
    length -= CRC_LEN;
    if (!trusted && (uint32_t)crc32_z(0, bytes, length) != load_u32(bytes + length))
        return meshping_error_set(err, MESHPING_CORRUPT, "sample block: wrong checksum");
    return MESHPING_OK;
}

meshping_status meshping__block_reader_check(const uint8_t *bytes, size_t length, meshping_error *err)
{
    return check_frame(bytes, length, false, err);
}

meshping_status meshping__block_reader_make(meshping_block_reader **out, meshping__unzip *unzip)
{
    meshping_block_reader *reader = meshping__calloc(1, sizeof *reader + sizeof *reader->last);
    if (!reader)
        return MESHPING_NOMEM;
    reader->last = (decoded *)(reader + 1);
    reader->last->unzip = unzip ? unzip : &reader->last->own_unzip;
    *out = reader;
    return MESHPING_OK;
}

meshping_status meshping__block_reader_open(meshping_block_reader *reader, const uint8_t *bytes, size_t length,
                                            bool trusted, meshping_error *err)
{
    reader->last->chunk = UINT32_MAX;
    reader->directory.count = reader->directory.sample_count = 0;
    meshping_status status = check_frame(bytes, length, trusted, err);
    return status == MESHPING_OK ? meshping__block_open(&reader->directory, bytes, length - CRC_LEN, err) : status;
}

meshping_status meshping_block_reader_new(meshping_block_reader **out, const uint8_t *bytes, size_t length,
                                          meshping_error *err)
{
    meshping_block_reader *reader = NULL;
    if (meshping__block_reader_make(&reader, NULL) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = meshping__block_reader_open(reader, bytes, length, false, err);
    if (status != MESHPING_OK) {
        meshping_block_reader_free(reader);
        return status;
    }
    *out = reader;
    return MESHPING_OK;
}

meshping_status meshping_block_reader_make(meshping_block_reader **out)
{
    return meshping__block_reader_make(out, NULL);
}

meshping_status meshping_block_reader_open(meshping_block_reader *reader, const uint8_t *bytes, size_t length,
                                           meshping_error *err)
{
    return meshping__block_reader_open(reader, bytes, length, false, err);
}

void meshping_block_reader_free(meshping_block_reader *reader)
{
    if (!reader)
        return;
    meshping__block_directory_dispose(&reader->directory);
    meshping__unzip_dispose(&reader->last->own_unzip);
    meshping__free(reader->last->samples);
    meshping__free(reader);
}

size_t meshping_block_reader_target_count(const meshping_block_reader *reader)
{
    return reader->directory.count;
}

size_t meshping_block_reader_sample_count(const meshping_block_reader *reader)
{
    return reader->directory.sample_count;
}

meshping_status meshping_block_reader_entry(const meshping_block_reader *reader, size_t i, meshping_block_entry *out)
{
    if (i >= reader->directory.count)
        return MESHPING_NOT_FOUND;
    *out = reader->directory.entries[i].entry;
    return MESHPING_OK;
}

/* In reader->last, whose content goes. */
static bool make_room(decoded *last, size_t count)
{
    last->chunk = UINT32_MAX;
    if (last->samples && count <= last->capacity)
        return true;
    meshping__free(last->samples);
    last->samples = meshping__malloc(count * sizeof *last->samples);
    last->capacity = last->samples ? count : 0;
    return last->samples;
}

/* The samples of the chunk's first `wanted` entries into reader->last. */
static meshping_status decode_chunk(const meshping_block_reader *reader, uint32_t index, size_t wanted,
                                    meshping_error *err)
{
    const meshping__block_chunk *chunk = &reader->directory.chunks[index];
    decoded *last = reader->last;
    if (last->chunk == index)
        return MESHPING_OK;
    if (!make_room(last, chunk->sample_count))
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = meshping__chunk_decode(&reader->directory, chunk, wanted, last->unzip, last->samples, err);
    if (status == MESHPING_OK && wanted == chunk->entry_count)
        last->chunk = index;
    return status;
}

meshping_status meshping_block_reader_samples(const meshping_block_reader *reader, size_t i, meshping_sample *samples,
                                              size_t capacity, size_t *count, meshping_error *err)
{
    *count = 0;
    if (i >= reader->directory.count)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "sample block: it has %zu targets, no number %zu",
                                  reader->directory.count, i);
    const meshping__block_entry *entry = &reader->directory.entries[i];
    if (capacity < entry->entry.sample_count)
        return meshping_error_set(err, MESHPING_LIMIT, "room for %zu samples, %u are needed", capacity,
                                  entry->entry.sample_count);
    const meshping__block_chunk *chunk = &reader->directory.chunks[entry->chunk];
    meshping_status status;
    if (chunk->entry_count == 1) {
        status = meshping__chunk_decode(&reader->directory, chunk, 1, reader->last->unzip, samples, err);
    } else {
        status = decode_chunk(reader, entry->chunk, chunk->entry_count, err);
        if (status == MESHPING_OK)
            memcpy(samples, reader->last->samples + entry->start, entry->entry.sample_count * sizeof *samples);
    }
    if (status == MESHPING_OK)
        *count = entry->entry.sample_count;
    return status;
}

meshping_status meshping__block_reader_one(const meshping_block_reader *reader, size_t i,
                                           const meshping_sample **samples, size_t *count)
{
    const meshping__block_entry *entry = &reader->directory.entries[i];
    const meshping__block_chunk *chunk = &reader->directory.chunks[entry->chunk];
    meshping_status status = decode_chunk(reader, entry->chunk, i - chunk->first_entry + 1, NULL);
    *samples = reader->last->samples + entry->start;
    *count = status == MESHPING_OK ? entry->entry.sample_count : 0;
    return status;
}

size_t meshping_block_reader_find(const meshping_block_reader *reader, uint64_t target_id)
{
    size_t low = 0, high = reader->directory.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (reader->directory.entries[middle].entry.target_id < target_id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < reader->directory.count && reader->directory.entries[low].entry.target_id == target_id)
        return low;
    return SIZE_MAX;
}

static bool lies_within(const meshping_block_entry *entry, int64_t from_us, int64_t to_us)
{
    return entry->last_unix_us >= from_us && entry->first_unix_us < to_us;
}

static meshping_status pick_opened(meshping_block_reader *reader, const uint8_t *bytes, size_t length,
                                   uint64_t target_id, int64_t from_us, int64_t to_us, const meshping_sample **samples,
                                   size_t *count)
{
    meshping_status status = meshping__block_reader_open(reader, bytes, length, true, NULL);
    size_t i = status == MESHPING_OK ? meshping_block_reader_find(reader, target_id) : SIZE_MAX;
    if (i == SIZE_MAX || !lies_within(&reader->directory.entries[i].entry, from_us, to_us))
        return status;
    return meshping__block_reader_one(reader, i, samples, count);
}

meshping_status meshping__block_reader_pick(meshping_block_reader *reader, const uint8_t *bytes, size_t length,
                                            bool trusted, uint64_t target_id, int64_t from_us, int64_t to_us,
                                            const meshping_sample **samples, size_t *count)
{
    meshping__block_glance glance;
    *samples = NULL;
    *count = 0;
    reader->directory.count = reader->directory.sample_count = 0;
    meshping_status status = check_frame(bytes, length, trusted, NULL);
    if (status != MESHPING_OK)
        return status;
    switch (meshping__block_look(&glance, bytes, length - CRC_LEN, target_id)) {
    case MESHPING__GLANCE_NONE:
        return MESHPING_OK;
    case MESHPING__GLANCE_UNCLEAR:
        return pick_opened(reader, bytes, length, target_id, from_us, to_us, samples, count);
    case MESHPING__GLANCE_FOUND:
        break;
    }
    if (!lies_within(&glance.found.entry, from_us, to_us))
        return MESHPING_OK;
    if (!make_room(reader->last, glance.found.entry.sample_count))
        return MESHPING_NOMEM;
    status = meshping__chunk_decode_one(&glance, reader->last->unzip, reader->last->samples);
    *samples = reader->last->samples;
    *count = status == MESHPING_OK ? glance.found.entry.sample_count : 0;
    return status;
}
