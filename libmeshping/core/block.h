/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the block's public face (builder, reader) and the codecs of its versions. A codec turns sorted rows
 * into bytes, bytes into a directory, and one directory entry into samples; docs/BLOCK.md has the format.
 */
#ifndef MESHPING_CORE_BLOCK_H
#define MESHPING_CORE_BLOCK_H

#include "base/bytes.h"

#include <meshping/block.h>

#define MESHPING__BLOCK_MAGIC 0x4du /* 'M' */
#define MESHPING__TARGET_ID_MAX ((uint64_t)1 << 53)
/* Slots lie in -2^56..2^56 (the years -314 to 4253), so that no sum or difference of two can overflow. */
#define MESHPING__SLOT_US_MAX ((int64_t)1 << 56)

typedef struct meshping__block_row {
    uint64_t target_id;
    meshping_sample sample;
    uint32_t order; /* in which it was added: of two with one slot the first stays */
} meshping__block_row;

typedef struct meshping__block_entry {
    meshping_block_entry entry;
    uint64_t step_us; /* 0: slots are in the payload, one by one */
    bool has_flags;
    const uint8_t *payload;
    size_t payload_length;
} meshping__block_entry;

typedef struct meshping__block_directory {
    meshping__block_entry *entries; /* owned, ascending by target id */
    size_t count;
    size_t sample_count;
} meshping__block_directory;

/* What the builder knows of its content, for an upper bound of the encoded length. */
typedef struct meshping__block_shape {
    size_t samples;
    size_t flagged; /* samples with flags */
    size_t series;  /* times that the target differed from the one before; at least the number of targets */
    uint64_t id_max;
    int64_t first_us, last_us;
} meshping__block_shape;

size_t meshping__block_v1_bound(const meshping__block_shape *shape);
/* rows: sorted, no slot of a target twice, count > 0. Appends the whole block; out->failed: no memory. */
void meshping__block_v1_encode(meshping__bytes *out, const meshping__block_row *rows, size_t count);
/* `bytes` passed the checksum and begin with this version's magic. On an error there is nothing to free. */
meshping_status meshping__block_v1_open(meshping__block_directory *out, const uint8_t *bytes, size_t length,
                                        meshping_error *err);
/* samples[entry->entry.sample_count] */
meshping_status meshping__block_v1_decode(const meshping__block_entry *entry, meshping_sample *samples,
                                          meshping_error *err);

#endif
