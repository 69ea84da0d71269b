/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's bounded buffer of immutable blocks that the server has not yet acknowledged.
 * Each block gets the next sequence number (from 1) of this buffer's epoch. What must be dropped (too old, too many
 * bytes, too many blocks: oldest first) becomes a gap, which waits here until the server has acknowledged it too.
 */
#ifndef MESHPING_BUFFER_H
#define MESHPING_BUFFER_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sequences first..last, inclusive. */
typedef struct meshping_range {
    uint64_t first;
    uint64_t last;
} meshping_range;

#define MESHPING_RANGES_MAX 32 /* received ranges kept per epoch */

#define MESHPING_GAP_REASON_MAP(XX)                                                                                    \
    XX(1, OVERFLOW, "overflow")       /* over bytes or count */                                                        \
    XX(2, EXPIRED, "expired")         /* older than the time limit */                                                  \
    XX(3, SERVER_LOST, "server_lost") /* the server had it, and lost it: an older database was restored */             \
    XX(4, REFUSED, "refused")         /* the server's own: out of quarantine, and not kept */

typedef enum meshping_gap_reason {
#define XX(value, name, text) MESHPING_GAP_##name = (value),
    MESHPING_GAP_REASON_MAP(XX)
#undef XX
} meshping_gap_reason;

/* "overflow"; "unknown" outside the list. */
MESHPING_API const char *meshping_gap_reason_name(unsigned reason);

typedef struct meshping_buffer meshping_buffer;

typedef struct meshping_buffer_options {
    size_t struct_size;
    uint64_t epoch;     /* 64 random bits a process start; not 0 */
    int64_t max_age_ms; /* default 1,800,000 (30 min), by a block's last slot against now.unix_ns */
    size_t max_bytes;   /* default 64 MiB of block bytes */
    size_t max_blocks;  /* default 100,000 */
} meshping_buffer_options;

MESHPING_API void meshping_buffer_options_init(meshping_buffer_options *options);

typedef struct meshping_buffer_block {
    uint64_t sequence;
    const uint8_t *bytes; /* borrowed: valid until the buffer is next changed */
    size_t length;
    size_t sample_count;
    int64_t first_unix_us;
    int64_t last_unix_us;
} meshping_buffer_block;

/* Sequences first..last (inclusive, adjacent drops of one reason joined) that will never come, and the span of their
 * slots. */
typedef struct meshping_gap {
    uint64_t first_sequence;
    uint64_t last_sequence;
    int64_t first_unix_us;
    int64_t last_unix_us;
    uint64_t sample_count;
    meshping_gap_reason reason;
} meshping_gap;

typedef struct meshping_buffer_stats {
    size_t blocks;
    size_t bytes;
    uint64_t samples;
    uint64_t dropped_samples; /* since the start */
    uint64_t last_sequence;   /* 0: none yet */
    int64_t oldest_unix_us;   /* first slot of the oldest block kept; 0 when empty */
} meshping_buffer_stats;

MESHPING_API meshping_status meshping_buffer_new(meshping_buffer **out, const meshping_buffer_options *options,
                                                 meshping_error *err);
MESHPING_API void meshping_buffer_free(meshping_buffer *buffer);
MESHPING_API uint64_t meshping_buffer_epoch(const meshping_buffer *buffer);
/*
 * Takes a block. On MESHPING_OK the buffer owns `bytes` (allocated as meshping_free frees it) and *sequence is its
 * number; older blocks may have been dropped to make room. LIMIT: longer than max_bytes alone; NOMEM; the bytes stay
 * the caller's then.
 */
MESHPING_API meshping_status meshping_buffer_push(meshping_buffer *buffer, uint8_t *bytes, size_t length,
                                                  size_t sample_count, int64_t first_unix_us, int64_t last_unix_us,
                                                  uint64_t *sequence);
/* Drops what is older than max_age_ms at unix_us. Call it now and then (each second). */
MESHPING_API void meshping_buffer_expire(meshping_buffer *buffer, int64_t unix_us);
/*
 * The clock that slots are taken from was set ahead by by_us microseconds (back: negative): what is kept is no older
 * for it. Slots stay as they are. In the buffer's thread.
 */
MESHPING_API void meshping_buffer_clock_stepped(meshping_buffer *buffer, int64_t by_us);
/* The kept block with the lowest sequence >= from; NOT_FOUND when there is none. O(log n). */
MESHPING_API meshping_status meshping_buffer_find(const meshping_buffer *buffer, uint64_t from,
                                                  meshping_buffer_block *out);
/* The kept block with the highest sequence <= from; NOT_FOUND when there is none. */
MESHPING_API meshping_status meshping_buffer_find_last(const meshping_buffer *buffer, uint64_t from,
                                                       meshping_buffer_block *out);
/* The server has first..last durably: frees blocks in it, and gaps that lie wholly in it. INVALID: last < first. */
MESHPING_API meshping_status meshping_buffer_ack(meshping_buffer *buffer, uint64_t first_sequence,
                                                 uint64_t last_sequence);
/*
 * The server's whole account of this epoch, as a new connection begins: acknowledges it, and makes gaps of what had
 * been acknowledged and is not among it any more. INVALID: `ranges` do not ascend, or are too many. STATE: it has a
 * sequence that was never given here (this process is a copy, or was set back): nothing changes, and
 * meshping_buffer_renew is to be called.
 */
MESHPING_API meshping_status meshping_buffer_reconcile(meshping_buffer *buffer, const meshping_range *ranges,
                                                       size_t count);
/* Begins another epoch (not 0: INVALID): what is kept, and gaps not yet acknowledged, get sequences from 1 on. */
MESHPING_API meshping_status meshping_buffer_renew(meshping_buffer *buffer, uint64_t epoch);
/* Gap i of those not yet acknowledged, oldest first; NOT_FOUND past the end. */
MESHPING_API meshping_status meshping_buffer_gap(const meshping_buffer *buffer, size_t i, meshping_gap *out);
MESHPING_API void meshping_buffer_get_stats(const meshping_buffer *buffer, meshping_buffer_stats *out);

#ifdef __cplusplus
}
#endif
#endif
