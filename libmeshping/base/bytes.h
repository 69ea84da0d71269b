/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes: little-endian numbers, LEB128 varints, a growing buffer and a reader that cannot run over. */
#ifndef MESHPING_BASE_BYTES_H
#define MESHPING_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct meshping__bytes {
    uint8_t *data; /* owned; meshping__free */
    size_t length;
    size_t capacity;
    bool failed; /* an allocation failed: the content is incomplete, later writes do nothing */
} meshping__bytes;

void meshping__bytes_dispose(meshping__bytes *bytes);
void meshping__bytes_put(meshping__bytes *bytes, const void *data, size_t length);
void meshping__bytes_u8(meshping__bytes *bytes, uint8_t value);
void meshping__bytes_u16(meshping__bytes *bytes, uint16_t value);
void meshping__bytes_u32(meshping__bytes *bytes, uint32_t value);
void meshping__bytes_u64(meshping__bytes *bytes, uint64_t value);
void meshping__bytes_varint(meshping__bytes *bytes, uint64_t value);
size_t meshping__varint_length(uint64_t value); /* bytes that it takes */
void meshping__bytes_zigzag(meshping__bytes *bytes, int64_t value);

static inline uint64_t meshping__load_u64(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 | (uint64_t)at[7] << 56;
}

typedef struct meshping__reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed; /* ran over, or a varint of over 64 bits: every later read gives 0 */
} meshping__reader;

static inline meshping__reader meshping__reader_of(const void *data, size_t length)
{
    return (meshping__reader){(const uint8_t *)data, (const uint8_t *)data + length, false};
}
const uint8_t *meshping__read(meshping__reader *reader, size_t length); /* NULL when it ran over */
/* Inline: a chunk asks for one a sample. */
static inline uint8_t meshping__read_u8(meshping__reader *reader)
{
    if (reader->failed || reader->at == reader->end) {
        reader->failed = true;
        return 0;
    }
    return *reader->at++;
}
uint16_t meshping__read_u16(meshping__reader *reader);
uint32_t meshping__read_u32(meshping__reader *reader);
uint64_t meshping__read_u64(meshping__reader *reader);
uint64_t meshping__read_varint(meshping__reader *reader);
int64_t meshping__read_zigzag(meshping__reader *reader);

#endif
