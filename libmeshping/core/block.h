/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between the block's public face (builder, reader; block.c) and the codec: sorted rows into bytes, bytes into
 * a directory (block_directory.c), one chunk of it into samples (block_chunk.c). docs/BLOCK.md has the format.
 */
#ifndef MESHPING_CORE_BLOCK_H
#define MESHPING_CORE_BLOCK_H

#include "base/bytes.h"
#include "core/bits.h"

#include <meshping/block.h>

#define MESHPING__BLOCK_MAGIC 0x4du /* 'M' */
#define MESHPING__BLOCK_VERSION 2u
#define MESHPING__TARGET_ID_MAX ((uint64_t)1 << 53)
#define MESHPING__BLOCK_TARGETS_MAX 65536u
/* Slots lie in -2^56..2^56 (the years -314 to 4253), so that no sum or difference of two can overflow. */
#define MESHPING__SLOT_US_MAX ((int64_t)1 << 56)
/* An encoder ends a chunk with the series that fills it to this: what a reader of one target decodes with it. */
#define MESHPING__CHUNK_SAMPLES 8192u
#define MESHPING__CHUNK_SAMPLES_LONG 32768u /* 1 % smaller */

/* How hard the encoder tries: for what is sent each second, what is read in an hour's answer, what stays for days. */
typedef enum meshping__block_effort {
    MESHPING__EFFORT_LIVE,
    MESHPING__EFFORT_SEAL,
    MESHPING__EFFORT_LONG, /* as SEAL, in longer chunks */
} meshping__block_effort;

typedef struct meshping__block_row {
    uint64_t target_id;
    meshping_sample sample;
    uint32_t order; /* in which it was added: of two with one slot the first stays */
} meshping__block_row;

typedef struct meshping__block_entry {
    meshping_block_entry entry;
    uint64_t step_us; /* 0: one sample, or slots one by one */
    uint32_t chunk;
    uint32_t start; /* its first sample's place in the chunk */
} meshping__block_entry;

typedef struct meshping__block_chunk {
    const uint8_t *bytes;
    size_t length;
    uint32_t first_entry, entry_count, sample_count;
} meshping__block_chunk;

typedef struct meshping__block_directory {
    meshping__block_entry *entries; /* owned, ascending by target id */
    meshping__block_chunk *chunks;  /* owned */
    size_t count, chunk_count;
    size_t sample_count;
    uint64_t *columns; /* owned, scratch of opening */
    size_t entry_capacity, chunk_capacity, column_capacity;
} meshping__block_directory;

/* zstd's state for decompressing, about 100 KB: made on first use, and worth keeping. Zero: none yet. */
typedef struct meshping__unzip {
    struct ZSTD_DCtx_s *context;
} meshping__unzip;

/* What the builder knows of its content, for an upper bound of the encoded length. */
typedef struct meshping__block_shape {
    size_t samples;
    size_t flagged; /* samples with flags */
    size_t series;  /* times that the target differed from the one before; at least the number of targets */
    uint64_t id_max;
    int64_t first_us, last_us;
} meshping__block_shape;

/* block.c: blocks that stay are worth more work; they are made of others, whose outcomes they take as they are. */
void meshping__block_builder_set_effort(meshping_block_builder *builder, meshping__block_effort effort);

/*
 * block.c: a reader for one block after the other. `unzip` NULL: its own; else the caller's, which outlives it.
 */
meshping_status meshping__block_reader_make(meshping_block_reader **out, meshping__unzip *unzip);
/* Opens the next block; the reader shows nothing after an error. `trusted`: these bytes passed the checksum before. */
meshping_status meshping__block_reader_open(meshping_block_reader *reader, const uint8_t *bytes, size_t length,
                                            bool trusted, meshping_error *err);
/*
 * The samples of target number i, for who wants no other of the block: what is behind them in the chunk is not decoded.
 * *samples is the reader's, until the next call.
 */
meshping_status meshping__block_reader_one(const meshping_block_reader *reader, size_t i,
                                           const meshping_sample **samples, size_t *count);
/*
 * The same in one step, where that is possible without unpacking the whole directory, as it is of a block of few
 * rounds: the samples of a target if it has some within from_us..to_us; *count is 0 when the block has none there.
 * Other samples of the target may be among them. Takes the place of meshping__block_reader_open; the reader shows
 * nothing afterwards.
 */
meshping_status meshping__block_reader_pick(meshping_block_reader *reader, const uint8_t *bytes, size_t length,
                                            bool trusted, uint64_t target_id, int64_t from_us, int64_t to_us,
                                            const meshping_sample **samples, size_t *count);
/* Magic, version, length and checksum, no more. */
meshping_status meshping__block_reader_check(const uint8_t *bytes, size_t length, meshping_error *err);

/* block_directory.c */
size_t meshping__block_bound(const meshping__block_shape *shape);
/* rows: sorted, no slot of a target twice, count > 0. Appends the whole block but the checksum; out->failed: no memory.
 */
void meshping__block_encode(meshping__bytes *out, const meshping__block_row *rows, size_t count,
                            meshping__block_effort effort);
/*
 * `bytes` passed the checksum and begin with magic and version. The directory may be zero, or that of another block,
 * whose memory is used again; dispose of it in the end, after errors too.
 */
meshping_status meshping__block_open(meshping__block_directory *out, const uint8_t *bytes, size_t length,
                                     meshping_error *err);
void meshping__block_directory_dispose(meshping__block_directory *directory);

struct ZSTD_CCtx_s;
/* block_chunk.c: whole series, in rows[0..count). `packer`: see meshping__section_write. */
void meshping__chunk_encode(struct ZSTD_CCtx_s *packer, meshping__bytes *out, const meshping__block_row *rows,
                            size_t count, meshping__block_effort effort);
/*
 * samples[chunk->sample_count]: the series of the chunk's first `wanted` entries one after the other. What is behind
 * them is not looked at.
 */
meshping_status meshping__chunk_decode(const meshping__block_directory *directory, const meshping__block_chunk *chunk,
                                       size_t wanted, meshping__unzip *unzip, meshping_sample *samples,
                                       meshping_error *err);

/* block_glance.c: one series, and what lies before it in its chunk; all of the chunk's are regular. */
typedef struct meshping__block_glance {
    meshping__block_entry found;
    meshping__block_chunk chunk;
    uint32_t wanted;         /* its place in the chunk */
    meshping__column counts; /* of the whole block */
} meshping__block_glance;

typedef enum meshping__glance_result {
    MESHPING__GLANCE_FOUND,
    MESHPING__GLANCE_NONE,    /* the target is not in the block */
    MESHPING__GLANCE_UNCLEAR, /* the block is damaged, or not as simple: it must be opened */
} meshping__glance_result;

/* Bytes as those of meshping__block_open. The block's content is not checked where it is not used. */
meshping__glance_result meshping__block_look(meshping__block_glance *out, const uint8_t *bytes, size_t length,
                                             uint64_t target_id);
/* block_chunk.c: samples[found.entry.sample_count]. */
meshping_status meshping__chunk_decode_one(const meshping__block_glance *glance, meshping__unzip *unzip,
                                           meshping_sample *samples);

/* The common step of rows[0..count), 0 when there is none. */
uint64_t meshping__block_step(const meshping__block_row *rows, size_t count);
/* Rows of the first one's target. */
size_t meshping__block_series(const meshping__block_row *rows, size_t count);

/*
 * block_section.c: bytes, by zstd when that is shorter. `raw` is emptied. `packer` serves several sections in a row;
 * NULL: there was no memory for one.
 */
void meshping__section_write(struct ZSTD_CCtx_s *packer, meshping__bytes *out, meshping__bytes *raw,
                             meshping__block_effort effort);
/* A section of at most raw_max bytes into *raw (meshping__free); false: damaged. *nomem: no memory. unzip may be NULL.
 */
bool meshping__section_read(meshping__reader *reader, meshping__unzip *unzip, size_t raw_max, uint8_t **raw,
                            size_t *length, bool *nomem);
void meshping__unzip_dispose(meshping__unzip *unzip);

#endif
