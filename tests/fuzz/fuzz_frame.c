/* SPDX-License-Identifier: Apache-2.0 */
/* A binary frame as an authenticated agent may send it: header, then the block in it, as the server reads both. */
#include <meshping/block.h>
#include <meshping/protocol.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void read_frame(const uint8_t *frame, size_t size)
{
    uint64_t epoch, sequence;
    const uint8_t *block;
    size_t length;
    meshping_error err = {0};
    uint8_t header[MESHPING_FRAME_HEADER_LEN];
    meshping_block_reader *reader;
    if (meshping_frame_header_decode(frame, size, &epoch, &sequence, &block, &length, &err) != MESHPING_OK) {
        check(err.status == MESHPING_PROTOCOL && err.message[0]);
        return;
    }
    check(block == frame + sizeof header && length == size - sizeof header && length <= MESHPING_BLOCK_BYTES_MAX);
    check(epoch && sequence && sequence < UINT64_C(1) << 53);
    meshping_frame_header_encode(header, epoch, sequence, (uint32_t)length);
    check(memcmp(header, frame, sizeof header) == 0);
    if (meshping_block_reader_new(&reader, block, length, &err) != MESHPING_OK) {
        check(err.message[0]);
        return;
    }
    check(meshping_block_reader_target_count(reader) > 0);
    meshping_block_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_frame(data, size);
    if (size < MESHPING_FRAME_HEADER_LEN + 4)
        return 0;
    /* the right length and checksum, as any forger has them */
    uint8_t *forged = malloc(size);
    check(forged);
    memcpy(forged, data, size);
    for (size_t i = 0; i < 4; i++)
        forged[4 + i] = (uint8_t)((size - MESHPING_FRAME_HEADER_LEN) >> (8 * i));
    uint32_t crc = (uint32_t)crc32_z(0, forged + MESHPING_FRAME_HEADER_LEN, size - MESHPING_FRAME_HEADER_LEN - 4);
    for (size_t i = 0; i < 4; i++)
        forged[size - 4 + i] = (uint8_t)(crc >> (8 * i));
    read_frame(forged, size);
    free(forged);
    return 0;
}
