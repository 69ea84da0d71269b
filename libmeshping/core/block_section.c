/* SPDX-License-Identifier: Apache-2.0 */
/* A run of bytes inside a block: varint length, varint stored length, then as it is, or as one zstd frame. */
#include "core/block.h"

#include "base/alloc.h"
#include <zstd.h>

#define TRY_FROM 24 /* bytes: a frame takes about 10 by itself */

/* Compresses into room[capacity]; 0: not shorter, or no memory. */
static size_t compress(ZSTD_CCtx *context, uint8_t *room, size_t capacity, const meshping__bytes *raw, int level,
                       int min_match)
{
    ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    if (min_match)
        ZSTD_CCtx_setParameter(context, ZSTD_c_minMatch, min_match);
    size_t length = ZSTD_compress2(context, room, capacity, raw->data, raw->length);
    return ZSTD_isError(length) ? 0 : length;
}

/* The shortest form found is in *best; 0: none is shorter than the bytes themselves. */
static size_t shortest(uint8_t **best, const meshping__bytes *raw, meshping__block_effort effort,
                       struct ZSTD_CCtx_s *context)
{
    /* Noise has no matches, and searching for them costs; patterns (many lost, a flat line) do. */
    static const struct {
        int level, min_match;
    } tries[] = {{1, 7}, {7, 0}};
    uint8_t *room[2] = {meshping__malloc(raw->length), meshping__malloc(raw->length)};
    size_t length = raw->length;
    *best = NULL;
    for (size_t i = 0; context && room[0] && room[1] && i < (effort == MESHPING__EFFORT_LIVE ? 1 : 2); i++) {
        size_t got = compress(context, room[0], length - 1, raw, tries[i].level, tries[i].min_match);
        if (got == 0)
            continue;
        length = got;
        *best = room[0];
        room[0] = room[1];
        room[1] = *best;
    }
    meshping__free(room[0]);
    if (!*best)
        meshping__free(room[1]);
    return *best ? length : 0;
}

void meshping__section_write(struct ZSTD_CCtx_s *packer, meshping__bytes *out, meshping__bytes *raw,
                             meshping__block_effort effort)
{
    uint8_t *packed = NULL;
    size_t length = raw->length >= TRY_FROM && !raw->failed ? shortest(&packed, raw, effort, packer) : 0;
    meshping__bytes_varint(out, raw->length);
    meshping__bytes_varint(out, length ? length : raw->length);
    meshping__bytes_put(out, length ? packed : raw->data, length ? length : raw->length);
    out->failed = out->failed || raw->failed;
    meshping__free(packed);
    raw->length = 0;
}

void meshping__unzip_dispose(meshping__unzip *unzip)
{
    ZSTD_freeDCtx(unzip->context);
    unzip->context = NULL;
}

static bool unzip_into(meshping__unzip *unzip, uint8_t *out, size_t whole, const uint8_t *bytes, size_t stored,
                       bool *nomem)
{
    if (!unzip)
        return ZSTD_decompress(out, whole, bytes, stored) == whole;
    if (!unzip->context)
        unzip->context = ZSTD_createDCtx();
    *nomem = !unzip->context;
    return unzip->context && ZSTD_decompressDCtx(unzip->context, out, whole, bytes, stored) == whole;
}

bool meshping__section_read(meshping__reader *reader, meshping__unzip *unzip, size_t raw_max, uint8_t **raw,
                            size_t *length, bool *nomem)
{
    uint64_t whole = meshping__read_varint(reader), stored = meshping__read_varint(reader);
    *raw = NULL;
    *length = 0;
    if (reader->failed || whole > raw_max || stored > whole)
        return false;
    const uint8_t *bytes = meshping__read(reader, (size_t)stored);
    if (!bytes)
        return false;
    /* What the frame says must be what the section says, before a byte of memory is taken for it. */
    if (stored < whole && (ZSTD_getFrameContentSize(bytes, (size_t)stored) != whole ||
                           ZSTD_findFrameCompressedSize(bytes, (size_t)stored) != stored))
        return false;
    uint8_t *room = stored == whole ? meshping__memdup(bytes, (size_t)whole) : meshping__malloc((size_t)whole);
    if (!room) {
        *nomem = true;
        return false;
    }
    if (stored < whole && !unzip_into(unzip, room, (size_t)whole, bytes, (size_t)stored, nomem)) {
        meshping__free(room);
        return false;
    }
    *raw = room;
    *length = (size_t)whole;
    return true;
}
