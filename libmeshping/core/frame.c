/* SPDX-License-Identifier: Apache-2.0 */
/* The header of a block frame: docs/PROTOCOL.md, Block frames. */
#include <meshping/protocol.h>

#include "base/bytes.h"
#include <meshping/block.h>
#include <string.h>

#define FRAME_VERSION 1
#define FRAME_KIND_BLOCK 1

static void put_le(uint8_t *at, uint64_t value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

void meshping_frame_header_encode(uint8_t header[MESHPING_FRAME_HEADER_LEN], uint64_t epoch, uint64_t sequence,
                                  uint32_t block_length)
{
    memset(header, 0, MESHPING_FRAME_HEADER_LEN);
    header[0] = FRAME_VERSION;
    header[1] = FRAME_KIND_BLOCK;
    put_le(header + 4, block_length, 4);
    put_le(header + 8, epoch, 8);
    put_le(header + 16, sequence, 8);
}

meshping_status meshping_frame_header_decode(const uint8_t *frame, size_t length, uint64_t *epoch, uint64_t *sequence,
                                             const uint8_t **block, size_t *block_length, meshping_error *err)
{
    meshping__reader reader = meshping__reader_of(frame, length);
    uint8_t version = meshping__read_u8(&reader), kind = meshping__read_u8(&reader);
    uint16_t zero = meshping__read_u16(&reader);
    uint32_t declared = meshping__read_u32(&reader);
    *epoch = meshping__read_u64(&reader);
    *sequence = meshping__read_u64(&reader);
    if (reader.failed)
        return meshping_error_set(err, MESHPING_PROTOCOL, "a block frame of %zu bytes is too short", length);
    if (version != FRAME_VERSION || kind != FRAME_KIND_BLOCK || zero != 0)
        return meshping_error_set(err, MESHPING_PROTOCOL, "a binary frame of unknown version or kind");
    if (declared > MESHPING_BLOCK_BYTES_MAX || declared != (size_t)(reader.end - reader.at))
        return meshping_error_set(err, MESHPING_PROTOCOL, "a block frame declares %u bytes and has %zu", declared,
                                  (size_t)(reader.end - reader.at));
    if (!*epoch || !*sequence || *sequence >= UINT64_C(1) << 53)
        return meshping_error_set(err, MESHPING_PROTOCOL, "a block frame's epoch or sequence is out of bounds");
    *block = reader.at;
    *block_length = declared;
    return MESHPING_OK;
}
