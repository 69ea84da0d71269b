/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <meshping/cache.h>
#include <string.h>

/*
 * A pair's samples lie in one array, ascending by slot: samples[start .. start + count). New ones are appended, old
 * ones fall off the front by moving `start`. Slots are exact to the microsecond, so a sample takes its full 16 bytes.
 */
#define PAIR_SAMPLES_MAX 65536u /* of one pair; then the oldest goes. An hour at the shortest interval is 36,000 */
#define PAIRS_MAX (1u << 24)
#define FIRST_CAPACITY 16u
#define FIRST_BUCKETS 64u

typedef struct pair {
    uint64_t agent_id, target_id;
    meshping_sample *samples;
    uint32_t start, count, capacity;
} pair;

struct meshping_cache {
    int64_t span_us;
    pair *pairs; /* dense: expire walks along it */
    size_t pair_count, pair_capacity;
    size_t next_to_expire;
    uint32_t *buckets; /* index of the pair + 1, 0: free; linear probing, a power of two, at most 3/4 full */
    size_t bucket_count;
    size_t sample_bytes;
};

static size_t hash(uint64_t agent_id, uint64_t target_id)
{
    uint64_t h = agent_id ^ (target_id * 0x9e3779b97f4a7c15u);
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    h = (h ^ (h >> 32)) * 0xd6e8feb86659fd93u;
    return (size_t)(h ^ (h >> 32));
}

static size_t home_of(const meshping_cache *cache, const pair *p)
{
    return hash(p->agent_id, p->target_id) & (cache->bucket_count - 1);
}

meshping_status meshping_cache_new(meshping_cache **out, int64_t span_us)
{
    if (span_us <= 0)
        return MESHPING_INVALID;
    meshping_cache *cache = meshping__calloc(1, sizeof *cache);
    if (!cache)
        return MESHPING_NOMEM;
    cache->span_us = span_us;
    cache->bucket_count = FIRST_BUCKETS;
    cache->buckets = meshping__calloc(cache->bucket_count, sizeof *cache->buckets);
    if (!cache->buckets) {
        meshping__free(cache);
        return MESHPING_NOMEM;
    }
    *out = cache;
    return MESHPING_OK;
}

void meshping_cache_free(meshping_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->pair_count; i++)
        meshping__free(cache->pairs[i].samples);
    meshping__free(cache->pairs);
    meshping__free(cache->buckets);
    meshping__free(cache);
}

/* ---- the hash map ---- */

/* The bucket of the pair, or the free one where it would go. */
static size_t find_bucket(const meshping_cache *cache, uint64_t agent_id, uint64_t target_id)
{
    size_t mask = cache->bucket_count - 1, at = hash(agent_id, target_id) & mask;
    for (; cache->buckets[at]; at = (at + 1) & mask) {
        const pair *p = &cache->pairs[cache->buckets[at] - 1];
        if (p->agent_id == agent_id && p->target_id == target_id)
            break;
    }
    return at;
}

static bool grow_buckets(meshping_cache *cache)
{
    size_t count = cache->bucket_count * 2;
    uint32_t *old = cache->buckets, *grown = meshping__calloc(count, sizeof *grown);
    if (!grown)
        return false;
    cache->buckets = grown;
    cache->bucket_count = count;
    for (size_t i = 0; i < cache->pair_count; i++) {
        const pair *p = &cache->pairs[i];
        cache->buckets[find_bucket(cache, p->agent_id, p->target_id)] = (uint32_t)i + 1;
    }
    meshping__free(old);
    return true;
}

/* A new, empty pair; NULL: no memory. */
static pair *add_pair(meshping_cache *cache, uint64_t agent_id, uint64_t target_id)
{
    if (cache->pair_count == cache->pair_capacity) {
        size_t capacity = cache->pair_capacity ? cache->pair_capacity * 2 : FIRST_BUCKETS / 2;
        pair *grown = meshping__realloc(cache->pairs, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        cache->pairs = grown;
        cache->pair_capacity = capacity;
    }
    if ((cache->pair_count + 1) * 4 > cache->bucket_count * 3 && !grow_buckets(cache))
        return NULL;
    pair *p = &cache->pairs[cache->pair_count++];
    *p = (pair){.agent_id = agent_id, .target_id = target_id};
    cache->buckets[find_bucket(cache, agent_id, target_id)] = (uint32_t)cache->pair_count;
    return p;
}

/* Frees bucket `at` and moves those behind it back, so that no search ends too early (Knuth, 6.4, algorithm R). */
static void free_bucket(meshping_cache *cache, size_t at)
{
    size_t mask = cache->bucket_count - 1;
    for (size_t next = (at + 1) & mask; cache->buckets[next]; next = (next + 1) & mask) {
        size_t home = home_of(cache, &cache->pairs[cache->buckets[next] - 1]);
        if (((next - home) & mask) >= ((next - at) & mask)) {
            cache->buckets[at] = cache->buckets[next];
            at = next;
        }
    }
    cache->buckets[at] = 0;
}

/* The last pair takes the place of pair i. */
static void remove_pair(meshping_cache *cache, size_t i)
{
    pair *dead = &cache->pairs[i], *last = &cache->pairs[cache->pair_count - 1];
    cache->sample_bytes -= dead->capacity * sizeof *dead->samples;
    meshping__free(dead->samples);
    free_bucket(cache, find_bucket(cache, dead->agent_id, dead->target_id));
    if (dead != last) {
        cache->buckets[find_bucket(cache, last->agent_id, last->target_id)] = (uint32_t)i + 1;
        *dead = *last;
    }
    cache->pair_count--;
}

/* ---- one pair ---- */

/* Index (0..count) of the first sample with a slot >= slot_us. */
static uint32_t lower_bound(const pair *p, int64_t slot_us)
{
    uint32_t low = 0, high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (p->samples[p->start + middle].slot_unix_us < slot_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool set_capacity(meshping_cache *cache, pair *p, uint32_t capacity)
{
    meshping_sample *samples = meshping__malloc(capacity * sizeof *samples);
    if (!samples)
        return false;
    if (p->count)
        memcpy(samples, p->samples + p->start, p->count * sizeof *samples);
    meshping__free(p->samples);
    cache->sample_bytes -= p->capacity * sizeof *samples;
    cache->sample_bytes += capacity * sizeof *samples;
    p->samples = samples;
    p->start = 0;
    p->capacity = capacity;
    return true;
}

/* Room for one more at the end. */
static bool reserve(meshping_cache *cache, pair *p)
{
    if (p->start + p->count < p->capacity)
        return true;
    if (p->start >= p->capacity / 4 && p->start > 0) { /* a full window that moves on stays in its array */
        memmove(p->samples, p->samples + p->start, p->count * sizeof *p->samples);
        p->start = 0;
        return true;
    }
    return set_capacity(cache, p, p->capacity ? p->capacity + p->capacity / 2 : FIRST_CAPACITY);
}

/* Slots before `limit_us` go; memory follows when the pair has become much smaller. */
static void trim(meshping_cache *cache, pair *p, int64_t limit_us)
{
    uint32_t old = lower_bound(p, limit_us);
    p->start += old;
    p->count -= old;
    if (p->count && p->capacity > 4 * FIRST_CAPACITY && p->count < p->capacity / 4)
        set_capacity(cache, p, p->count * 2); /* no memory: stays as large as it is */
}

static int64_t oldest_kept(const meshping_cache *cache, int64_t now_unix_us)
{
    int64_t limit;
    return __builtin_sub_overflow(now_unix_us, cache->span_us, &limit) ? INT64_MIN : limit;
}

meshping_status meshping_cache_add(meshping_cache *cache, uint64_t agent_id, uint64_t target_id,
                                   const meshping_sample *sample, int64_t now_unix_us)
{
    int64_t slot_us = sample->slot_unix_us, newest;
    /* As far ahead as back: slots of a clock that is ahead by more would never expire. */
    if (slot_us < oldest_kept(cache, now_unix_us) ||
        (!__builtin_add_overflow(now_unix_us, cache->span_us, &newest) && slot_us > newest))
        return MESHPING_LIMIT;
    size_t bucket = find_bucket(cache, agent_id, target_id);
    bool fresh = cache->buckets[bucket] == 0;
    if (fresh && cache->pair_count == PAIRS_MAX)
        return MESHPING_LIMIT;
    pair *p = fresh ? add_pair(cache, agent_id, target_id) : &cache->pairs[cache->buckets[bucket] - 1];
    if (!p)
        return MESHPING_NOMEM;
    uint32_t at = lower_bound(p, slot_us);
    if (at < p->count && p->samples[p->start + at].slot_unix_us == slot_us)
        return MESHPING_EXISTS;
    if (p->count == PAIR_SAMPLES_MAX && at == 0)
        return MESHPING_LIMIT; /* older than the oldest that there is room for */
    if (!reserve(cache, p)) {
        if (fresh)
            remove_pair(cache, cache->pair_count - 1);
        return MESHPING_NOMEM;
    }
    if (p->count == PAIR_SAMPLES_MAX) {
        p->start++;
        p->count--;
        at--;
    }
    meshping_sample *place = p->samples + p->start + at;
    memmove(place + 1, place, (p->count - at) * sizeof *place);
    *place = *sample;
    p->count++;
    return MESHPING_OK;
}

meshping_status meshping_cache_range(const meshping_cache *cache, uint64_t agent_id, uint64_t target_id,
                                     int64_t from_us, int64_t to_us, meshping_sample **samples, size_t *count)
{
    *samples = NULL;
    *count = 0;
    uint32_t index = cache->buckets[find_bucket(cache, agent_id, target_id)];
    if (index == 0 || from_us >= to_us)
        return MESHPING_OK;
    const pair *p = &cache->pairs[index - 1];
    uint32_t from = lower_bound(p, from_us), to = lower_bound(p, to_us);
    if (from == to)
        return MESHPING_OK;
    *samples = meshping__memdup(p->samples + p->start + from, (to - from) * sizeof **samples);
    if (!*samples)
        return MESHPING_NOMEM;
    *count = to - from;
    return MESHPING_OK;
}

void meshping_cache_expire(meshping_cache *cache, int64_t now_unix_us, size_t pairs)
{
    int64_t limit_us = oldest_kept(cache, now_unix_us);
    for (size_t most = cache->pair_count < pairs ? cache->pair_count : pairs; most > 0; most--) {
        if (cache->next_to_expire >= cache->pair_count)
            cache->next_to_expire = 0;
        pair *p = &cache->pairs[cache->next_to_expire];
        trim(cache, p, limit_us);
        if (p->count == 0)
            remove_pair(cache, cache->next_to_expire); /* another one is in its place now */
        else
            cache->next_to_expire++;
    }
}

void meshping_cache_drop_agent(meshping_cache *cache, uint64_t agent_id)
{
    for (size_t i = cache->pair_count; i-- > 0;)
        if (cache->pairs[i].agent_id == agent_id)
            remove_pair(cache, i);
}

void meshping_cache_drop_target(meshping_cache *cache, uint64_t target_id)
{
    for (size_t i = cache->pair_count; i-- > 0;)
        if (cache->pairs[i].target_id == target_id)
            remove_pair(cache, i);
}

size_t meshping_cache_bytes(const meshping_cache *cache)
{
    return sizeof *cache + cache->pair_capacity * sizeof *cache->pairs + cache->bucket_count * sizeof *cache->buckets +
           cache->sample_bytes;
}
