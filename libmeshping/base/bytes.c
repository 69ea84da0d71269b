/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/alloc.h"
#include <string.h>

void meshping__bytes_dispose(meshping__bytes *bytes)
{
    meshping__free(bytes->data);
    *bytes = (meshping__bytes){0};
}

void meshping__bytes_put(meshping__bytes *bytes, const void *data, size_t length)
{
    if (bytes->failed || length == 0)
        return;
    if (length > bytes->capacity - bytes->length) {
        size_t capacity = bytes->capacity ? bytes->capacity : 64;
        while (capacity - bytes->length < length) {
            if (capacity > SIZE_MAX / 2) {
                bytes->failed = true;
                return;
            }
            capacity *= 2;
        }
        uint8_t *grown = meshping__realloc(bytes->data, capacity);
        if (!grown) {
            bytes->failed = true;
            return;
        }
        bytes->data = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
}

static void put_le(meshping__bytes *bytes, uint64_t value, size_t length)
{
    uint8_t raw[8];
    for (size_t i = 0; i < length; i++)
        raw[i] = (uint8_t)(value >> (8 * i));
    meshping__bytes_put(bytes, raw, length);
}

void meshping__bytes_u8(meshping__bytes *bytes, uint8_t value)
{
    put_le(bytes, value, 1);
}

void meshping__bytes_u16(meshping__bytes *bytes, uint16_t value)
{
    put_le(bytes, value, 2);
}

void meshping__bytes_u32(meshping__bytes *bytes, uint32_t value)
{
    put_le(bytes, value, 4);
}

void meshping__bytes_u64(meshping__bytes *bytes, uint64_t value)
{
    put_le(bytes, value, 8);
}

void meshping__bytes_varint(meshping__bytes *bytes, uint64_t value)
{
    uint8_t raw[10];
    size_t length = 0;
    do {
        raw[length] = (uint8_t)(value & 0x7f);
        value >>= 7;
        if (value)
            raw[length] |= 0x80;
        length++;
    } while (value);
    meshping__bytes_put(bytes, raw, length);
}

size_t meshping__varint_length(uint64_t value)
{
    size_t length = 1;
    while (value >>= 7)
        length++;
    return length;
}

void meshping__bytes_zigzag(meshping__bytes *bytes, int64_t value)
{
    meshping__bytes_varint(bytes, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

const uint8_t *meshping__read(meshping__reader *reader, size_t length)
{
    if (reader->failed || (size_t)(reader->end - reader->at) < length) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += length;
    return at;
}

static uint64_t read_le(meshping__reader *reader, size_t length)
{
    const uint8_t *at = meshping__read(reader, length);
    uint64_t value = 0;
    for (size_t i = 0; at && i < length; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

uint16_t meshping__read_u16(meshping__reader *reader)
{
    return (uint16_t)read_le(reader, 2);
}

uint32_t meshping__read_u32(meshping__reader *reader)
{
    return (uint32_t)read_le(reader, 4);
}

uint64_t meshping__read_u64(meshping__reader *reader)
{
    return read_le(reader, 8);
}

uint64_t meshping__read_varint(meshping__reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = meshping__read_u8(reader);
        if (reader->failed)
            return 0;
        if (shift == 63 && byte > 1)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return value;
    }
    reader->failed = true;
    return 0;
}

int64_t meshping__read_zigzag(meshping__reader *reader)
{
    uint64_t raw = meshping__read_varint(reader);
    return (int64_t)(raw >> 1) ^ -(int64_t)(raw & 1);
}
