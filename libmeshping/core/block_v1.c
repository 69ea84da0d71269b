/* SPDX-License-Identifier: Apache-2.0 */
/* Version 1 of the sample block: plain varints. docs/BLOCK.md describes every byte. */
#include "core/block.h"

#include "base/alloc.h"
#include <string.h>

#define VERSION 1
#define KIND_IRREGULAR 0x01 /* slots one by one in the payload */
#define KIND_FLAGS 0x02     /* runs of flags at the payload's end */
#define ENTRY_LEN_MIN 5     /* id, kind, count, slot, payload length; and the payload has a byte at least */
#define CRC_LEN 4

static size_t varint_length(uint64_t value)
{
    size_t length = 1;
    while (value >>= 7)
        length++;
    return length;
}

/* ---- encoding ---- */

size_t meshping__block_v1_bound(const meshping__block_shape *shape)
{
    uint64_t span_us = (uint64_t)(shape->last_us - shape->first_us);
    size_t head = 2 + 2 + 10 + 10 + 10 + CRC_LEN; /* magic, version, flags, two counts, the first slot in full */
    size_t entry = varint_length(shape->id_max) + 1 + 4 + 2 * varint_length(2 * span_us + 1) + 4;
    size_t sample = 5 + varint_length(span_us);
    size_t flags = 4 + 4 + 3;
    return head + shape->series * (entry + 4) + shape->samples * sample + shape->flagged * flags;
}

/* The common step of rows[0..count), 0 when there is none. */
static uint64_t find_step(const meshping__block_row *rows, size_t count)
{
    if (count < 2)
        return 0;
    int64_t step = rows[1].sample.slot_unix_us - rows[0].sample.slot_unix_us;
    for (size_t i = 2; i < count; i++)
        if (rows[i].sample.slot_unix_us - rows[i - 1].sample.slot_unix_us != step)
            return 0;
    return (uint64_t)step;
}

static int64_t code_of(const meshping_sample *sample)
{
    return sample->outcome == MESHPING_OUTCOME_OK ? (int64_t)sample->rtt_us + MESHPING_OUTCOME_COUNT : sample->outcome;
}

static void encode_flags(meshping__bytes *out, const meshping__block_row *rows, size_t count)
{
    size_t runs = 0;
    for (size_t i = 0; i < count; i++)
        runs += rows[i].sample.flags && (i == 0 || rows[i - 1].sample.flags != rows[i].sample.flags);
    meshping__bytes_varint(out, runs);
    size_t end = 0; /* of the last run */
    for (size_t i = 0; i < count;) {
        size_t next = i + 1;
        while (next < count && rows[next].sample.flags == rows[i].sample.flags)
            next++;
        if (rows[i].sample.flags) {
            meshping__bytes_varint(out, i - end);
            meshping__bytes_varint(out, next - i);
            meshping__bytes_varint(out, rows[i].sample.flags);
            end = next;
        }
        i = next;
    }
}

static void encode_payload(meshping__bytes *out, const meshping__block_row *rows, size_t count, bool irregular,
                           bool flags)
{
    for (size_t i = 1; irregular && i < count; i++)
        meshping__bytes_varint(out, (uint64_t)(rows[i].sample.slot_unix_us - rows[i - 1].sample.slot_unix_us));
    int64_t before = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t code = code_of(&rows[i].sample);
        meshping__bytes_zigzag(out, code - before);
        before = code;
    }
    if (flags)
        encode_flags(out, rows, count);
}

static void encode_series(meshping__bytes *directory, meshping__bytes *payloads, const meshping__block_row *rows,
                          size_t count, uint64_t id_before, int64_t slot_before)
{
    int64_t first_us = rows[0].sample.slot_unix_us;
    uint64_t step_us = find_step(rows, count);
    bool irregular = count > 1 && step_us == 0, flags = false;
    for (size_t i = 0; i < count; i++)
        flags = flags || rows[i].sample.flags != 0;
    size_t start = payloads->length;
    encode_payload(payloads, rows, count, irregular, flags);
    meshping__bytes_varint(directory, rows[0].target_id - id_before);
    meshping__bytes_u8(directory, (uint8_t)((irregular ? KIND_IRREGULAR : 0) | (flags ? KIND_FLAGS : 0)));
    meshping__bytes_varint(directory, count);
    meshping__bytes_zigzag(directory, first_us - slot_before);
    if (count > 1)
        meshping__bytes_varint(directory,
                               irregular ? (uint64_t)(rows[count - 1].sample.slot_unix_us - first_us) : step_us);
    meshping__bytes_varint(directory, payloads->length - start);
}

void meshping__block_v1_encode(meshping__bytes *out, const meshping__block_row *rows, size_t count)
{
    meshping__bytes directory = {0}, payloads = {0};
    size_t targets = 0;
    uint64_t id_before = 0;
    int64_t slot_before = 0;
    for (size_t i = 0; i < count;) {
        size_t next = i + 1;
        while (next < count && rows[next].target_id == rows[i].target_id)
            next++;
        encode_series(&directory, &payloads, rows + i, next - i, id_before, slot_before);
        id_before = rows[i].target_id;
        slot_before = rows[i].sample.slot_unix_us;
        targets++;
        i = next;
    }
    meshping__bytes_u8(out, MESHPING__BLOCK_MAGIC);
    meshping__bytes_u8(out, VERSION);
    meshping__bytes_u16(out, 0);
    meshping__bytes_varint(out, targets);
    meshping__bytes_varint(out, count);
    meshping__bytes_put(out, directory.data, directory.length);
    meshping__bytes_put(out, payloads.data, payloads.length);
    out->failed = out->failed || directory.failed || payloads.failed;
    meshping__bytes_dispose(&directory);
    meshping__bytes_dispose(&payloads);
}

/* ---- decoding ---- */

static meshping_status corrupt(meshping_error *err, const char *what)
{
    return meshping_error_set(err, MESHPING_CORRUPT, "sample block: %s", what);
}

static bool slot_valid(int64_t slot_us)
{
    return slot_us >= -MESHPING__SLOT_US_MAX && slot_us <= MESHPING__SLOT_US_MAX;
}

/* Sets entry->step_us and the last slot. `extent`: the step, or of an irregular series the whole span. */
static bool set_extent(meshping__block_entry *entry, bool irregular, uint64_t extent)
{
    uint64_t span_us = extent, steps = entry->entry.sample_count - 1;
    if (extent == 0 || (!irregular && __builtin_mul_overflow(extent, steps, &span_us)))
        return false;
    if (span_us > (uint64_t)MESHPING__SLOT_US_MAX * 2 || (irregular && span_us < steps))
        return false;
    entry->step_us = irregular ? 0 : extent;
    entry->entry.last_unix_us = entry->entry.first_unix_us + (int64_t)span_us;
    return slot_valid(entry->entry.last_unix_us);
}

/* `before`: the entry before, or a zeroed one. NULL, or what is wrong. */
static const char *read_entry(meshping__reader *reader, const meshping__block_entry *before,
                              meshping__block_entry *entry)
{
    uint64_t delta = meshping__read_varint(reader);
    uint8_t kind = meshping__read_u8(reader);
    uint64_t count = meshping__read_varint(reader);
    int64_t slot_delta = meshping__read_zigzag(reader);
    bool irregular = kind & KIND_IRREGULAR;
    if (reader->failed)
        return "the directory is cut off";
    if (delta == 0 || delta > MESHPING__TARGET_ID_MAX - before->entry.target_id)
        return "target ids do not ascend, or one is out of range";
    if (kind & ~(KIND_IRREGULAR | KIND_FLAGS))
        return "unknown kind of series";
    if (count == 0 || count > MESHPING_BLOCK_SAMPLES_MAX)
        return "a series' sample count is out of range";
    entry->entry.target_id = before->entry.target_id + delta;
    entry->entry.sample_count = (uint32_t)count;
    entry->has_flags = kind & KIND_FLAGS;
    if (__builtin_add_overflow(before->entry.first_unix_us, slot_delta, &entry->entry.first_unix_us) ||
        !slot_valid(entry->entry.first_unix_us))
        return "a slot is out of range";
    entry->entry.last_unix_us = entry->entry.first_unix_us;
    entry->step_us = 0;
    if (count == 1 && irregular)
        return "a single sample cannot be irregular";
    if (count > 1 && !set_extent(entry, irregular, meshping__read_varint(reader)))
        return "a series' slots are out of range";
    uint64_t length = meshping__read_varint(reader);
    /* each sample takes a byte at least, so no block promises more samples than it has bytes */
    if (reader->failed || length < count || length > (uint64_t)(reader->end - reader->at))
        return "a payload's length is out of range";
    entry->payload_length = (size_t)length;
    return NULL;
}

static const char *read_directory(meshping__reader *reader, meshping__block_directory *directory, uint64_t samples)
{
    static const meshping__block_entry none;
    uint64_t sum = 0;
    for (size_t i = 0; i < directory->count; i++) {
        meshping__block_entry *entry = &directory->entries[i];
        const char *wrong = read_entry(reader, i ? entry - 1 : &none, entry);
        if (wrong)
            return wrong;
        sum += entry->entry.sample_count;
    }
    if (sum != samples)
        return "the samples do not add up to the count given";
    for (size_t i = 0; i < directory->count; i++) {
        meshping__block_entry *entry = &directory->entries[i];
        entry->payload = meshping__read(reader, entry->payload_length);
        if (!entry->payload)
            return "the payloads are cut off";
    }
    if (reader->at != reader->end)
        return "there are bytes after the end";
    directory->sample_count = (size_t)sum;
    return NULL;
}

meshping_status meshping__block_v1_open(meshping__block_directory *out, const uint8_t *bytes, size_t length,
                                        meshping_error *err)
{
    meshping__reader reader = meshping__reader_of(bytes, length);
    meshping__read_u16(&reader); /* magic and version */
    uint16_t flags = meshping__read_u16(&reader);
    uint64_t targets = meshping__read_varint(&reader);
    uint64_t samples = meshping__read_varint(&reader);
    if (reader.failed)
        return corrupt(err, "the header is cut off");
    if (flags != 0)
        return corrupt(err, "unknown flags in the header");
    if (targets == 0 || targets > (uint64_t)(reader.end - reader.at) / (ENTRY_LEN_MIN + 1))
        return corrupt(err, "the target count is out of range");
    if (samples > MESHPING_BLOCK_SAMPLES_MAX)
        return corrupt(err, "the sample count is out of range");
    meshping__block_directory directory = {.count = (size_t)targets};
    directory.entries = meshping__calloc(directory.count, sizeof *directory.entries);
    if (!directory.entries)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    const char *wrong = read_directory(&reader, &directory, samples);
    if (wrong) {
        meshping__free(directory.entries);
        return corrupt(err, wrong);
    }
    *out = directory;
    return MESHPING_OK;
}

static bool decode_slots(meshping__reader *reader, const meshping__block_entry *entry, meshping_sample *samples)
{
    size_t count = entry->entry.sample_count;
    bool irregular = entry->step_us == 0;
    uint64_t slot_us = 0, span_us = (uint64_t)(entry->entry.last_unix_us - entry->entry.first_unix_us);
    samples[0].slot_unix_us = entry->entry.first_unix_us;
    for (size_t i = 1; i < count; i++) {
        uint64_t delta = irregular ? meshping__read_varint(reader) : entry->step_us;
        if (delta == 0 || delta > span_us - slot_us)
            return false;
        slot_us += delta;
        samples[i].slot_unix_us = entry->entry.first_unix_us + (int64_t)slot_us;
    }
    return slot_us == span_us;
}

static bool decode_codes(meshping__reader *reader, meshping_sample *samples, size_t count)
{
    int64_t code = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(code, meshping__read_zigzag(reader), &code) || reader->failed || code < 1 ||
            code > (int64_t)MESHPING_RTT_US_MAX + MESHPING_OUTCOME_COUNT)
            return false;
        bool reply = code >= MESHPING_OUTCOME_COUNT;
        samples[i].outcome = reply ? MESHPING_OUTCOME_OK : (uint8_t)code;
        samples[i].rtt_us = reply ? (uint32_t)(code - MESHPING_OUTCOME_COUNT) : 0;
    }
    return true;
}

static bool decode_flags(meshping__reader *reader, meshping_sample *samples, size_t count)
{
    uint64_t runs = meshping__read_varint(reader);
    size_t at = 0;
    if (runs == 0 || runs > count)
        return false;
    for (uint64_t i = 0; i < runs; i++) {
        uint64_t skip = meshping__read_varint(reader);
        uint64_t length = meshping__read_varint(reader);
        uint64_t flags = meshping__read_varint(reader);
        if (reader->failed || flags == 0 || flags > UINT16_MAX || skip > count - at || length == 0 ||
            length > count - at - skip)
            return false;
        at += skip;
        for (uint64_t j = 0; j < length; j++)
            samples[at++].flags = (uint16_t)flags;
    }
    return true;
}

meshping_status meshping__block_v1_decode(const meshping__block_entry *entry, meshping_sample *samples,
                                          meshping_error *err)
{
    meshping__reader reader = meshping__reader_of(entry->payload, entry->payload_length);
    size_t count = entry->entry.sample_count;
    memset(samples, 0, count * sizeof *samples);
    if (!decode_slots(&reader, entry, samples) || reader.failed)
        return corrupt(err, "a series' slots are damaged");
    if (!decode_codes(&reader, samples, count))
        return corrupt(err, "a series' results are damaged");
    if (entry->has_flags && !decode_flags(&reader, samples, count))
        return corrupt(err, "a series' flags are damaged");
    if (reader.at != reader.end)
        return corrupt(err, "there are bytes after a series' end");
    return MESHPING_OK;
}
