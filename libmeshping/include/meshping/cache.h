/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hour cache: the stored blocks of the recent past in memory, as bytes. A pair's samples are decoded when asked
 * for, from the chunks that hold them. It has what the store has of that time, and gives the same answers. Time comes
 * in as an argument. For one thread at a time.
 */
#ifndef MESHPING_CACHE_H
#define MESHPING_CACHE_H

#include <meshping/block.h>
#include <meshping/series.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_cache meshping_cache;

/* Keeps blocks whose last slot, or time of receipt when that is earlier, is at most span_us old. */
MESHPING_API meshping_status meshping_cache_new(meshping_cache **out, int64_t span_us);
MESHPING_API void meshping_cache_free(meshping_cache *cache);

/*
 * Takes a copy of a block that is stored, in the order of storing within an agent. LIMIT: it is too old, and not taken;
 * CORRUPT: it cannot be read, and is remembered as damaged; NOMEM: not taken, and meshping_cache_reach tells of it.
 */
MESHPING_API meshping_status meshping_cache_add(meshping_cache *cache, const meshping_stored_block *block,
                                                int64_t now_unix_us);
/*
 * Blocks of an agent were joined: puts these in the place of the journal's with the ids first_id to last_id (of the
 * cache's, those that are damaged in the database stay as they are). NOMEM: it is as it was, which is as true.
 */
MESHPING_API meshping_status meshping_cache_replace(meshping_cache *cache, uint64_t agent_id, int64_t first_id,
                                                    int64_t last_id, const meshping_stored_block *blocks, size_t count);

/* All that is stored of the agent with this slot or a later one is in the cache; never below now - span. */
MESHPING_API int64_t meshping_cache_reach(const meshping_cache *cache, uint64_t agent_id, int64_t now_unix_us);
/* Where in from_us..to_us the cache begins to have all: before it the store is to be asked, from it on the cache. */
MESHPING_API int64_t meshping_cache_seam(const meshping_cache *cache, uint64_t agent_id, int64_t from_us, int64_t to_us,
                                         int64_t now_unix_us);
/*
 * The pair's samples with from_us <= slot < to_us, as meshping_store_series gives them, of what the cache holds. *out
 * is the caller's (meshping_series_dispose). LIMIT: over 4 million; NOMEM.
 */
MESHPING_API meshping_status meshping_cache_series(meshping_cache *cache, uint64_t agent_id, uint64_t target_id,
                                                   int64_t from_us, int64_t to_us, meshping_series *out);
/* The pair's newest sample by slot. NOT_FOUND. */
MESHPING_API meshping_status meshping_cache_last(meshping_cache *cache, uint64_t agent_id, uint64_t target_id,
                                                 meshping_sample *out);
/*
 * The agent's blocks that were received in the window_us before the newest of them, in the order of storing; ends with
 * the first status of fn that is not OK. `reader` is open on the block until fn returns.
 */
typedef meshping_status (*meshping_cache_recent_fn)(void *user, const meshping_stored_block *block,
                                                    const meshping_block_reader *reader);
MESHPING_API meshping_status meshping_cache_recent(meshping_cache *cache, uint64_t agent_id, int64_t window_us,
                                                   meshping_cache_recent_fn fn, void *user);

/* Drops blocks that are too old; visits at most `agents` agents a call, in turn. */
MESHPING_API void meshping_cache_expire(meshping_cache *cache, int64_t now_unix_us, size_t agents);
MESHPING_API void meshping_cache_drop_agent(meshping_cache *cache, uint64_t agent_id);

typedef struct meshping_cache_stats {
    size_t bytes;         /* memory, all counted */
    size_t journal_bytes; /* of it for blocks as they came: the open window */
    uint64_t blocks, samples;
    uint64_t journal_samples; /* of them in the open window */
} meshping_cache_stats;
MESHPING_API void meshping_cache_get_stats(const meshping_cache *cache, meshping_cache_stats *out);

#ifdef __cplusplus
}
#endif
#endif
