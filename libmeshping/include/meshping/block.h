/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sample block: samples of many targets, columnar, immutable, checksummed. The agent's buffer, the wire, the
 * journal and the database all hold these bytes. The format is in docs/BLOCK.md.
 */
#ifndef MESHPING_BLOCK_H
#define MESHPING_BLOCK_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_BLOCK_BYTES_MAX (1u << 20)   /* longest block */
#define MESHPING_BLOCK_SAMPLES_MAX (1u << 20) /* most samples in one */

typedef struct meshping_block_builder meshping_block_builder;

MESHPING_API meshping_status meshping_block_builder_new(meshping_block_builder **out);
MESHPING_API void meshping_block_builder_free(meshping_block_builder *builder);
/*
 * Adds a sample of a target, in any order. LIMIT when the block could grow over a limit above: finish it and start
 * anew; the sample is not in it. INVALID: target_id 0 or over 2^53, an unknown outcome, an RTT beside a failure.
 */
MESHPING_API meshping_status meshping_block_builder_add(meshping_block_builder *builder, uint64_t target_id,
                                                        const meshping_sample *sample);
MESHPING_API size_t meshping_block_builder_count(const meshping_block_builder *builder);
/* First and last slot so far; false when empty. */
MESHPING_API bool meshping_block_builder_span(const meshping_block_builder *builder, int64_t *first_unix_us,
                                              int64_t *last_unix_us);
/*
 * Encodes what was added (samples sorted by target, then slot) and empties the builder for reuse. *bytes is the
 * caller's, for meshping_free. STATE when empty; on NOMEM the builder keeps its samples.
 */
MESHPING_API meshping_status meshping_block_builder_finish(meshping_block_builder *builder, uint8_t **bytes,
                                                           size_t *length);

typedef struct meshping_block_reader meshping_block_reader;

typedef struct meshping_block_entry {
    uint64_t target_id;
    uint32_t sample_count;
    int64_t first_unix_us;
    int64_t last_unix_us;
} meshping_block_entry;

/*
 * Opens `length` bytes, which stay the caller's and must outlive the reader. Any bytes at all are safe: CORRUPT or
 * LIMIT with the reason. Checks checksum and directory; samples are decoded when asked for.
 */
MESHPING_API meshping_status meshping_block_reader_new(meshping_block_reader **out, const uint8_t *bytes, size_t length,
                                                       meshping_error *err);
/*
 * For who reads many: a reader that shows nothing yet (the caller's, to free as any; NOMEM), and opening one block
 * after the other with it, whose memory (and zstd's, some 100 KB) is used again. `bytes` and errors are as for
 * meshping_block_reader_new; what the block before showed is gone, and after an error it shows nothing. For one thread
 * at a time.
 */
MESHPING_API meshping_status meshping_block_reader_make(meshping_block_reader **out);
MESHPING_API meshping_status meshping_block_reader_open(meshping_block_reader *reader, const uint8_t *bytes,
                                                        size_t length, meshping_error *err);
MESHPING_API void meshping_block_reader_free(meshping_block_reader *reader);
MESHPING_API size_t meshping_block_reader_target_count(const meshping_block_reader *reader);
MESHPING_API size_t meshping_block_reader_sample_count(const meshping_block_reader *reader);
/* Entry i, in ascending order of target_id; a target has one entry. */
MESHPING_API meshping_status meshping_block_reader_entry(const meshping_block_reader *reader, size_t i,
                                                         meshping_block_entry *out);
/*
 * Decodes entry i into samples[capacity], ascending by slot; *count is set. LIMIT when capacity < entry.sample_count.
 * The chunk that holds it (some thousand samples, of one target or of many) is kept for the next call, so read targets
 * in ascending order; a reader is for one thread at a time.
 */
MESHPING_API meshping_status meshping_block_reader_samples(const meshping_block_reader *reader, size_t i,
                                                           meshping_sample *samples, size_t capacity, size_t *count,
                                                           meshping_error *err);
/* Index of a target's entry, or SIZE_MAX. O(log n). */
MESHPING_API size_t meshping_block_reader_find(const meshping_block_reader *reader, uint64_t target_id);

/* A block as the store has it. */
typedef struct meshping_stored_block {
    uint64_t agent_id;
    int64_t id;                /* in the journal; ascends with each agent's. 0: a joined block */
    int64_t received_unix_us;  /* of a joined one the latest */
    int64_t received_agent_us; /* the same on the agent's clock: late data is marked by it; not of joined ones */
    int64_t first_unix_us, last_unix_us; /* slots */
    uint64_t first_target, last_target;  /* no others are in it */
    uint32_t sample_count;
    bool checked;         /* the bytes were read through; else they are as the disk gave them */
    const uint8_t *bytes; /* borrowed, unless said otherwise */
    size_t length;
} meshping_stored_block;

#ifdef __cplusplus
}
#endif
#endif
