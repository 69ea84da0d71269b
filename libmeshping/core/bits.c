/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bits.h"

#define WIDTH_MAX 56
#define VARINTS 64

void meshping__bits_put(meshping__bit_writer *writer, uint64_t value, unsigned width)
{
    writer->pending |= value << writer->count;
    writer->count += width;
    for (; writer->count >= 8; writer->count -= 8) {
        meshping__bytes_u8(writer->out, (uint8_t)writer->pending);
        writer->pending >>= 8;
    }
}

void meshping__bits_end(meshping__bit_writer *writer)
{
    if (writer->count)
        meshping__bytes_u8(writer->out, (uint8_t)writer->pending);
    writer->pending = 0;
    writer->count = 0;
}

void meshping__column_write(meshping__bytes *out, const uint64_t *values, size_t count)
{
    uint64_t low = UINT64_MAX, high = 0;
    size_t varints = 0;
    for (size_t i = 0; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
        varints += meshping__varint_length(values[i]);
    }
    unsigned width = high > low ? 64 - (unsigned)__builtin_clzll(high - low) : 0;
    if (width > WIDTH_MAX || meshping__varint_length(low) + (count * width + 7) / 8 > varints) {
        meshping__bytes_u8(out, VARINTS);
        for (size_t i = 0; i < count; i++)
            meshping__bytes_varint(out, values[i]);
        return;
    }
    meshping__bit_writer writer = {.out = out};
    meshping__bytes_u8(out, (uint8_t)width);
    meshping__bytes_varint(out, low);
    for (size_t i = 0; i < count && width; i++)
        meshping__bits_put(&writer, values[i] - low, width);
    meshping__bits_end(&writer);
}

/* low + each number of packed[0..length); width 1 to WIDTH_MAX. A word at a time, as far as there are whole ones. */
static void unpack(uint64_t *values, size_t count, uint64_t low, unsigned width, const uint8_t *packed, size_t length)
{
    const uint64_t mask = ((uint64_t)1 << width) - 1;
    size_t i = 0, bit = 0;
    for (; i < count && bit / 8 + 8 <= length; i++, bit += width)
        values[i] = low + (meshping__load_u64(packed + bit / 8) >> bit % 8 & mask);
    meshping__bit_reader rest = {.bytes = meshping__reader_of(packed + bit / 8, length - bit / 8)};
    meshping__bits_get(&rest, bit % 8);
    for (; i < count; i++)
        values[i] = low + meshping__bits_get(&rest, width);
}

bool meshping__column_read(meshping__reader *reader, uint64_t *values, size_t count)
{
    uint8_t width = meshping__read_u8(reader);
    if (width == VARINTS) {
        for (size_t i = 0; i < count && !reader->failed; i++)
            values[i] = meshping__read_varint(reader);
        return !reader->failed;
    }
    if (width > WIDTH_MAX)
        return false;
    uint64_t low = meshping__read_varint(reader);
    size_t length = (count * width + 7) / 8;
    const uint8_t *packed = meshping__read(reader, length);
    if (!packed)
        return false;
    if (width && low > UINT64_MAX - (((uint64_t)1 << width) - 1)) {
        /* the largest that fits must not overflow: a writer's lowest and highest are both numbers */
        meshping__bit_reader check = {.bytes = meshping__reader_of(packed, length)};
        for (size_t i = 0; i < count; i++)
            if (low > UINT64_MAX - meshping__bits_get(&check, width))
                return false;
    }
    if (width)
        unpack(values, count, low, width, packed, length);
    for (size_t i = 0; i < count && !width; i++)
        values[i] = low;
    return true;
}

/* Over `count` varints; false: there are fewer. */
static bool skip_varints(meshping__reader *reader, size_t count)
{
    for (; count > 0 && reader->at != reader->end; reader->at++)
        count -= !(*reader->at & 0x80);
    return count == 0;
}

bool meshping__column_open(meshping__reader *reader, size_t count, meshping__column *out)
{
    *out = (meshping__column){.width = meshping__read_u8(reader)};
    if (out->width == VARINTS) {
        out->packed = reader->at;
        bool whole = skip_varints(reader, count);
        out->length = (size_t)(reader->at - out->packed);
        return whole && !reader->failed;
    }
    if (out->width > WIDTH_MAX)
        return false;
    out->low = meshping__read_varint(reader);
    out->length = (count * out->width + 7) / 8;
    out->packed = meshping__read(reader, out->length);
    return out->packed && out->low <= UINT64_MAX - (((uint64_t)1 << out->width) - 1);
}

meshping__column_walk meshping__column_from(const meshping__column *column, size_t i)
{
    meshping__column_walk walk = {.column = column, .bit = i * column->width};
    if (column->width == VARINTS) {
        walk.varints = meshping__reader_of(column->packed, column->length);
        skip_varints(&walk.varints, i);
    }
    return walk;
}
