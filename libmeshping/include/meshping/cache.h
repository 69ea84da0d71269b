/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hour cache: the recent samples of every pair (agent, target) in memory. Time comes in as an argument.
 */
#ifndef MESHPING_CACHE_H
#define MESHPING_CACHE_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_cache meshping_cache;

/* Keeps samples whose slot is at most span_us old. */
MESHPING_API meshping_status meshping_cache_new(meshping_cache **out, int64_t span_us);
MESHPING_API void meshping_cache_free(meshping_cache *cache);
/*
 * Adds a sample; late ones are put in their place. A sample with the slot of one already there replaces nothing and is
 * dropped (EXISTS). NOMEM leaves the cache as it was. Samples older than now - span, or more
 * than span ahead of now, are not taken (LIMIT); nor is one older than all of a pair that has 65,536 already, while a
 * newer one pushes the oldest out.
 */
MESHPING_API meshping_status meshping_cache_add(meshping_cache *cache, uint64_t agent_id, uint64_t target_id,
                                                const meshping_sample *sample, int64_t now_unix_us);
/*
 * Copies the pair's samples with from_us <= slot < to_us, ascending, into *samples (the caller's, meshping_free);
 * none: *samples NULL, *count 0, MESHPING_OK.
 */
MESHPING_API meshping_status meshping_cache_range(const meshping_cache *cache, uint64_t agent_id, uint64_t target_id,
                                                  int64_t from_us, int64_t to_us, meshping_sample **samples,
                                                  size_t *count);
/* Drops samples older than now - span; visits at most `pairs` pairs a call, in turn. */
MESHPING_API void meshping_cache_expire(meshping_cache *cache, int64_t now_unix_us, size_t pairs);
MESHPING_API void meshping_cache_drop_agent(meshping_cache *cache, uint64_t agent_id);
MESHPING_API void meshping_cache_drop_target(meshping_cache *cache, uint64_t target_id);
MESHPING_API size_t meshping_cache_bytes(const meshping_cache *cache);

#ifdef __cplusplus
}
#endif
#endif
