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

/* bytes.failed when it ran over; gives 0 then. */
uint64_t meshping__bits_get(meshping__bit_reader *reader, unsigned width);

/*
 * A column: u8 width; width 0..56: varint lowest, then each value minus the lowest in `width` bits; 64: varints.
 * The writer takes the shorter one.
 */
void meshping__column_write(meshping__bytes *out, const uint64_t *values, size_t count);
/* false: damaged, or cut off. */
bool meshping__column_read(meshping__reader *reader, uint64_t *values, size_t count);

#endif
