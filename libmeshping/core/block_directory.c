/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of a sample block: who is in it, and where. docs/BLOCK.md describes every byte. */
#include "core/block.h"

#include "base/alloc.h"
#include "core/bits.h"
#include <string.h>
#include <zstd.h>

#define IRREGULAR 1u /* in the column of extents' kinds */
#define COLUMNS 5    /* id, count, slot, kind, extent */
#define CRC_LEN 4

/* ---- encoding ---- */

size_t meshping__block_bound(const meshping__block_shape *shape)
{
    uint64_t span_us = (uint64_t)(shape->last_us - shape->first_us);
    size_t head = 2 + 3 + 4 + CRC_LEN + (COLUMNS + 3) * 10;
    size_t entry = meshping__varint_length(shape->id_max) + 3 + meshping__varint_length(span_us) + 1 +
                   meshping__varint_length(span_us) + 4;
    size_t chunk = 3 + 4 + 6 * 5;
    /* code: symbol and escape, or a run of one outcome; slot: a run of one distance */
    size_t sample = 7 + meshping__varint_length(span_us) + 1;
    size_t flags = 4 + 4 + 3;
    return head + shape->series * entry + (shape->samples / MESHPING__CHUNK_SAMPLES + 1) * chunk +
           shape->samples * sample + shape->flagged * flags;
}

uint64_t meshping__block_step(const meshping__block_row *rows, size_t count)
{
    if (count < 2)
        return 0;
    int64_t step = rows[1].sample.slot_unix_us - rows[0].sample.slot_unix_us;
    for (size_t i = 2; i < count; i++)
        if (rows[i].sample.slot_unix_us - rows[i - 1].sample.slot_unix_us != step)
            return 0;
    return (uint64_t)step;
}

size_t meshping__block_series(const meshping__block_row *rows, size_t count)
{
    size_t next = 1;
    while (next < count && rows[next].target_id == rows[0].target_id)
        next++;
    return next;
}

/* columns[k * targets + i]: column k of entry i */
static void fill_columns(uint64_t *columns, size_t targets, const meshping__block_row *rows, size_t count)
{
    uint64_t id_before = 0;
    for (size_t i = 0; i < targets; i++) {
        size_t n = meshping__block_series(rows, count);
        uint64_t step_us = meshping__block_step(rows, n);
        int64_t first_us = rows[0].sample.slot_unix_us;
        columns[0 * targets + i] = rows[0].target_id - id_before;
        columns[1 * targets + i] = n;
        columns[2 * targets + i] = (uint64_t)(first_us + MESHPING__SLOT_US_MAX);
        columns[3 * targets + i] = n > 1 && step_us == 0 ? IRREGULAR : 0;
        columns[4 * targets + i] = step_us ? step_us : (uint64_t)(rows[n - 1].sample.slot_unix_us - first_us);
        id_before = rows[0].target_id;
        rows += n;
        count -= n;
    }
}

static void encode_chunks(meshping__bytes *table, meshping__bytes *chunks, const meshping__block_row *rows,
                          size_t count, meshping__block_effort effort)
{
    ZSTD_CCtx *packer = ZSTD_createCCtx();
    const size_t enough = effort == MESHPING__EFFORT_LONG ? MESHPING__CHUNK_SAMPLES_LONG : MESHPING__CHUNK_SAMPLES;
    for (size_t done = 0; done < count && !chunks->failed;) {
        size_t length = 0, targets = 0, start = chunks->length;
        while (done + length < count && length < enough) {
            length += meshping__block_series(rows + done + length, count - done - length);
            targets++;
        }
        meshping__chunk_encode(packer, chunks, rows + done, length, effort);
        meshping__bytes_varint(table, targets);
        meshping__bytes_varint(table, chunks->length - start);
        done += length;
    }
    ZSTD_freeCCtx(packer);
}

void meshping__block_encode(meshping__bytes *out, const meshping__block_row *rows, size_t count,
                            meshping__block_effort effort)
{
    meshping__bytes table = {0}, chunks = {0};
    size_t targets = 0;
    for (size_t i = 0; i < count; i += meshping__block_series(rows + i, count - i))
        targets++;
    uint64_t *columns = meshping__malloc(COLUMNS * targets * sizeof *columns);
    if (!columns) {
        out->failed = true;
        return;
    }
    fill_columns(columns, targets, rows, count);
    meshping__bytes_u8(out, MESHPING__BLOCK_MAGIC);
    meshping__bytes_u8(out, MESHPING__BLOCK_VERSION);
    meshping__bytes_varint(out, targets);
    meshping__bytes_varint(out, count);
    for (size_t k = 0; k < COLUMNS; k++)
        meshping__column_write(out, columns + k * targets, targets);
    encode_chunks(&table, &chunks, rows, count, effort);
    meshping__bytes_put(out, table.data, table.length);
    meshping__bytes_put(out, chunks.data, chunks.length);
    out->failed = out->failed || table.failed || chunks.failed;
    meshping__bytes_dispose(&table);
    meshping__bytes_dispose(&chunks);
    meshping__free(columns);
}

/* ---- decoding ---- */

/* Room for `count` items, whatever was in it. */
static bool reserve(void **items, size_t *capacity, size_t count, size_t size)
{
    if (*items && count <= *capacity)
        return true;
    void *room = meshping__malloc(count * size);
    if (!room)
        return false;
    meshping__free(*items);
    *items = room;
    *capacity = count;
    return true;
}

static meshping_status corrupt(meshping_error *err, const char *what)
{
    return meshping_error_set(err, MESHPING_CORRUPT, "sample block: %s", what);
}

/* Sets the step and the last slot. `extent`: the step, or of an irregular series the whole span. */
static bool set_extent(meshping__block_entry *entry, bool irregular, uint64_t extent)
{
    uint64_t span_us = extent, steps = entry->entry.sample_count - 1;
    if (steps == 0 ? irregular || extent != 0 : extent == 0)
        return false;
    if (!irregular && __builtin_mul_overflow(extent, steps, &span_us))
        return false;
    if (span_us > (uint64_t)(MESHPING__SLOT_US_MAX - entry->entry.first_unix_us) || span_us < steps)
        return false;
    entry->step_us = irregular ? 0 : extent;
    entry->entry.last_unix_us = entry->entry.first_unix_us + (int64_t)span_us;
    return true;
}

/* NULL, or what is wrong. */
static const char *read_entries(meshping__block_directory *directory, const uint64_t *columns, uint64_t samples)
{
    uint64_t id = 0, sum = 0;
    size_t targets = directory->count;
    for (size_t i = 0; i < targets; i++) {
        meshping__block_entry *entry = &directory->entries[i];
        uint64_t delta = columns[i], n = columns[targets + i], slot = columns[2 * targets + i];
        if (delta == 0 || delta > MESHPING__TARGET_ID_MAX - id)
            return "target ids do not ascend, or one is out of range";
        id += delta;
        if (n == 0 || n > samples - sum)
            return "a series' sample count is out of range";
        sum += n;
        if (slot > 2 * (uint64_t)MESHPING__SLOT_US_MAX)
            return "a slot is out of range";
        if (columns[3 * targets + i] > IRREGULAR)
            return "unknown kind of series";
        entry->entry = (meshping_block_entry){.target_id = id, .sample_count = (uint32_t)n};
        entry->entry.first_unix_us = (int64_t)slot - MESHPING__SLOT_US_MAX;
        if (!set_extent(entry, columns[3 * targets + i], columns[4 * targets + i]))
            return "a series' slots are out of range";
    }
    return sum == samples ? NULL : "the samples do not add up to the count given";
}

static void place_entries(meshping__block_directory *directory, size_t index)
{
    meshping__block_chunk *chunk = &directory->chunks[index];
    for (uint32_t i = 0; i < chunk->entry_count; i++) {
        meshping__block_entry *entry = &directory->entries[chunk->first_entry + i];
        entry->chunk = (uint32_t)index;
        entry->start = chunk->sample_count;
        chunk->sample_count += entry->entry.sample_count;
    }
}

static const char *read_chunks(meshping__reader *reader, meshping__block_directory *directory, bool *nomem)
{
    meshping__reader table = *reader;
    size_t entries = 0;
    for (directory->chunk_count = 0; entries < directory->count; directory->chunk_count++) {
        uint64_t targets = meshping__read_varint(reader);
        meshping__read_varint(reader);
        if (reader->failed || targets == 0 || targets > directory->count - entries)
            return "the table of chunks is damaged";
        entries += (size_t)targets;
    }
    *nomem = !reserve((void **)&directory->chunks, &directory->chunk_capacity, directory->chunk_count,
                      sizeof *directory->chunks);
    if (*nomem)
        return "out of memory";
    entries = 0;
    for (size_t i = 0; i < directory->chunk_count; i++) {
        meshping__block_chunk *chunk = &directory->chunks[i];
        chunk->sample_count = 0;
        chunk->first_entry = (uint32_t)entries;
        chunk->entry_count = (uint32_t)meshping__read_varint(&table);
        uint64_t length = meshping__read_varint(&table);
        chunk->length = length > (uint64_t)(reader->end - reader->at) ? SIZE_MAX : (size_t)length;
        chunk->bytes = meshping__read(reader, chunk->length);
        if (!chunk->bytes)
            return "the chunks are cut off";
        entries += chunk->entry_count;
        place_entries(directory, i);
    }
    return reader->at == reader->end ? NULL : "there are bytes after the end";
}

static const char *read_all(meshping__reader *reader, meshping__block_directory *directory, uint64_t samples,
                            bool *nomem)
{
    *nomem = !reserve((void **)&directory->columns, &directory->column_capacity, COLUMNS * directory->count,
                      sizeof *directory->columns) ||
             !reserve((void **)&directory->entries, &directory->entry_capacity, directory->count,
                      sizeof *directory->entries);
    if (*nomem)
        return "out of memory";
    for (size_t k = 0; k < COLUMNS; k++)
        if (!meshping__column_read(reader, directory->columns + k * directory->count, directory->count))
            return "the directory is cut off, or damaged";
    const char *wrong = read_entries(directory, directory->columns, samples);
    return wrong ? wrong : read_chunks(reader, directory, nomem);
}

meshping_status meshping__block_open(meshping__block_directory *out, const uint8_t *bytes, size_t length,
                                     meshping_error *err)
{
    meshping__reader reader = meshping__reader_of(bytes, length);
    bool nomem = false;
    meshping__read_u16(&reader); /* magic and version */
    uint64_t targets = meshping__read_varint(&reader);
    uint64_t samples = meshping__read_varint(&reader);
    if (reader.failed)
        return corrupt(err, "the header is cut off");
    if (samples > MESHPING_BLOCK_SAMPLES_MAX)
        return corrupt(err, "the sample count is out of range");
    if (targets == 0 || targets > MESHPING__BLOCK_TARGETS_MAX || targets > samples)
        return corrupt(err, "the target count is out of range");
    out->count = (size_t)targets;
    out->sample_count = (size_t)samples;
    const char *wrong = read_all(&reader, out, samples, &nomem);
    if (!wrong)
        return MESHPING_OK;
    out->count = out->sample_count = out->chunk_count = 0;
    return nomem ? meshping_error_set(err, MESHPING_NOMEM, "out of memory") : corrupt(err, wrong);
}

void meshping__block_directory_dispose(meshping__block_directory *directory)
{
    meshping__free(directory->entries);
    meshping__free(directory->chunks);
    meshping__free(directory->columns);
    *directory = (meshping__block_directory){0};
}
