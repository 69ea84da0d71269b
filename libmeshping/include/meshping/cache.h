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

/*
 * Filling it at start, beside all that goes on. After meshping_cache_await the cache says of this agent that it has
 * nothing (its reach is INT64_MAX, the store is to be asked), and takes what comes. A load is then filled with what is
 * stored (meshping_store_visit_blocks), in the order of storing, in any thread, and adopted in the cache's.
 */
typedef struct meshping_cache_load meshping_cache_load;
MESHPING_API meshping_status meshping_cache_await(meshping_cache *cache, uint64_t agent_id);
MESHPING_API meshping_status meshping_cache_load_new(meshping_cache_load **out, uint64_t agent_id);
MESHPING_API void meshping_cache_load_free(meshping_cache_load *load);
/* Takes a copy. CORRUPT: it cannot be read, and is remembered as damaged; LIMIT: too many; NOMEM. */
MESHPING_API meshping_status meshping_cache_load_add(meshping_cache_load *load, const meshping_stored_block *block);
/*
 * OK: the load is the cache's, in front of what came since, and the cache answers for the agent from now on. STATE:
 * blocks were joined since meshping_cache_await, and the load may be from before: call that and load again. NOT_FOUND:
 * the agent was dropped; NOMEM. After an error the load is still the caller's.
 */
MESHPING_API meshping_status meshping_cache_adopt(meshping_cache *cache, meshping_cache_load *load);

/* All that is stored of the agent with this slot or a later one is in the cache; never below now - span. INT64_MAX:
 * it is awaited. */
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
