/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of fewer bits than a byte has, lowest bit first, and columns of numbers that lie close together. */
#ifndef MESHPING_CORE_BITS_H
#define MESHPING_CORE_BITS_H

#include "base/bytes.h"

typedef struct meshping__bit_writer {
    meshping__bytes *out;
    uint64_t pending;
    unsigned count; /* bits in `pending`, below 8 between two calls */
} meshping__bit_writer;

/* width 0..56; value < 2^width */
void meshping__bits_put(meshping__bit_writer *writer, uint64_t value, unsigned width);
/* Fills the last byte with zeros. */
void meshping__bits_end(meshping__bit_writer *writer);

typedef struct meshping__bit_reader {
    meshping__reader bytes;
    uint64_t pending;
    unsigned count;
} meshping__bit_reader;

/* Takes in whole bytes, as many as are there and fit. */
static inline void meshping__bits_fill(meshping__bit_reader *reader)
{
    if (reader->bytes.end - reader->bytes.at >= 8) {
        unsigned taken = (63 - reader->count) / 8;
        uint64_t word = meshping__load_u64(reader->bytes.at) & (((uint64_t)1 << taken * 8) - 1);
        reader->pending |= word << reader->count;
        reader->bytes.at += taken;
        reader->count += taken * 8;
        return;
    }
    while (reader->count <= 56 && reader->bytes.at != reader->bytes.end) {
        reader->pending |= (uint64_t)*reader->bytes.at++ << reader->count;
        reader->count += 8;
    }
}

/* bytes.failed when it ran over; gives 0 then. width 0..56. */
static inline uint64_t meshping__bits_get(meshping__bit_reader *reader, unsigned width)
{
    if (reader->count < width) {
        meshping__bits_fill(reader);
        if (reader->count < width) {
            reader->bytes.failed = true;
            return 0;
        }
    }
    uint64_t value = reader->pending & (((uint64_t)1 << width) - 1);
    reader->pending >>= width;
    reader->count -= width;
    return value;
}

/* All bytes were taken, and what is left of the last one is zeros, or not looked at. */
static inline bool meshping__bits_at_end(const meshping__bit_reader *reader)
{
    return !reader->bytes.failed && reader->bytes.at == reader->bytes.end && reader->count < 8;
}

/*
 * A column: u8 width; width 0..56: varint lowest, then each value minus the lowest in `width` bits; 64: varints.
 * The writer takes the shorter one.
 */
void meshping__column_write(meshping__bytes *out, const uint64_t *values, size_t count);
/* false: damaged, or cut off. */
bool meshping__column_read(meshping__reader *reader, uint64_t *values, size_t count);

/* A column as it lies there, for who wants few of its numbers. */
typedef struct meshping__column {
    const uint8_t *packed;
    size_t length;
    uint64_t low;
    unsigned width;
} meshping__column;

/* Passes over a column. false: it is damaged or cut off, or only meshping__column_read can tell. */
bool meshping__column_open(meshping__reader *reader, size_t count, meshping__column *out);

/* Goes through a column's numbers, which are as many as it was opened with. */
typedef struct meshping__column_walk {
    const meshping__column *column;
    meshping__reader varints;
    size_t bit;
} meshping__column_walk;

/* Begins at number i. */
meshping__column_walk meshping__column_from(const meshping__column *column, size_t i);

static inline uint64_t meshping__column_next(meshping__column_walk *walk)
{
    const meshping__column *column = walk->column;
    uint64_t word = 0;
    if (column->width == 0)
        return column->low;
    if (column->width > 56)
        return meshping__read_varint(&walk->varints);
    const uint8_t *at = column->packed + walk->bit / 8;
    size_t left = column->length - walk->bit / 8;
    if (left >= 8)
        word = meshping__load_u64(at);
    else
        for (size_t i = 0; i < left; i++)
            word |= (uint64_t)at[i] << (8 * i);
    word = word >> walk->bit % 8 & (((uint64_t)1 << column->width) - 1);
    walk->bit += column->width;
    return column->low + word;
}

#endif
