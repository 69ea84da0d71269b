/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"
#include "core/block.h"
#include "core/series.h"

#include <meshping/cache.h>
#include <string.h>

/*
 * An agent's blocks in the order of storing: joined ones, then the journal's. What replaces some stands in their place,
 * so of one slot in two blocks the one in front counts, as in the store.
 */
#define AGENT_BLOCKS_MAX 65536u
#define MALLOC_BYTES 16u /* what the allocator takes beside a block's bytes, about */

/* A block, and its bytes behind it; they passed the checksum. */
typedef struct block {
    meshping_stored_block is;
    uint8_t bytes[];
} block;

typedef struct agent {
    uint64_t id;
    block **blocks;
    size_t count, capacity;
    int64_t missing_us; /* up to this slot something stored is not here; INT64_MIN: nothing is missing */
    bool awaited;       /* what was stored before is not here yet */
    bool joined;        /* since then blocks were joined */
} agent;

struct meshping_cache_load {
    uint64_t agent_id;
    block **blocks;
    size_t count, capacity;
};

struct meshping_cache {
    int64_t span_us;
    agent *agents; /* ascending by id */
    size_t count, capacity;
    size_t next_to_expire;
    int64_t missing_us; /* the same for agents that there was no memory for */
    meshping_cache_stats stats;
    meshping__unzip unzip;
    meshping_block_reader *reader;
};

meshping_status meshping_cache_new(meshping_cache **out, int64_t span_us)
{
    if (span_us <= 0)
        return MESHPING_INVALID;
    meshping_cache *cache = meshping__calloc(1, sizeof *cache);
    if (!cache || meshping__block_reader_make(&cache->reader, &cache->unzip) != MESHPING_OK) {
        meshping__free(cache);
        return MESHPING_NOMEM;
    }
    cache->span_us = span_us;
    cache->missing_us = INT64_MIN;
    *out = cache;
    return MESHPING_OK;
}

/* ---- blocks ---- */

static block *copy_block(const meshping_stored_block *from)
{
    block *copy = meshping__malloc(sizeof *copy + from->length);
    if (!copy)
        return NULL;
    copy->is = *from;
    copy->is.checked = true;
    copy->is.bytes = copy->bytes;
    if (from->length)
        memcpy(copy->bytes, from->bytes, from->length);
    return copy;
}

static size_t bytes_of(const block *b)
{
    return sizeof *b + b->is.length + MALLOC_BYTES + sizeof b;
}

static void count_in(meshping_cache *cache, const block *b)
{
    cache->stats.blocks++;
    cache->stats.samples += b->is.sample_count;
    cache->stats.bytes += bytes_of(b);
    if (b->is.id) {
        cache->stats.journal_samples += b->is.sample_count;
        cache->stats.journal_bytes += bytes_of(b);
    }
}

static void drop_block(meshping_cache *cache, block *b)
{
    cache->stats.blocks--;
    cache->stats.samples -= b->is.sample_count;
    cache->stats.bytes -= bytes_of(b);
    if (b->is.id) {
        cache->stats.journal_samples -= b->is.sample_count;
        cache->stats.journal_bytes -= bytes_of(b);
    }
    meshping__free(b);
}

/* ---- agents ---- */

/* Index of the agent, or of where it would go. */
static size_t find(const meshping_cache *cache, uint64_t agent_id)
{
    size_t low = 0, high = cache->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cache->agents[middle].id < agent_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static agent *agent_by_id(const meshping_cache *cache, uint64_t agent_id)
{
    size_t at = find(cache, agent_id);
    return at < cache->count && cache->agents[at].id == agent_id ? &cache->agents[at] : NULL;
}

static bool grow(void **items, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return true;
    size_t larger = *capacity + *capacity / 4;
    larger = larger < wanted ? wanted : larger;
    larger = larger < 4 ? 4 : larger;
    void *grown = meshping__realloc(*items, larger * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = larger;
    return true;
}

/* NULL: no memory. */
static agent *agent_made(meshping_cache *cache, uint64_t agent_id)
{
    size_t at = find(cache, agent_id);
    if (at < cache->count && cache->agents[at].id == agent_id)
        return &cache->agents[at];
    if (!grow((void **)&cache->agents, &cache->capacity, cache->count + 1, sizeof *cache->agents))
        return NULL;
    memmove(&cache->agents[at + 1], &cache->agents[at], (cache->count - at) * sizeof *cache->agents);
    cache->agents[at] = (agent){.id = agent_id, .missing_us = INT64_MIN};
    cache->count++;
    return &cache->agents[at];
}

static void remove_agent(meshping_cache *cache, size_t at)
{
    agent *dead = &cache->agents[at];
    for (size_t i = 0; i < dead->count; i++)
        drop_block(cache, dead->blocks[i]);
    meshping__free(dead->blocks);
    cache->count--;
    memmove(dead, dead + 1, (cache->count - at) * sizeof *dead);
}

void meshping_cache_drop_agent(meshping_cache *cache, uint64_t agent_id)
{
    size_t at = find(cache, agent_id);
    if (at < cache->count && cache->agents[at].id == agent_id)
        remove_agent(cache, at);
}

void meshping_cache_free(meshping_cache *cache)
{
    if (!cache)
        return;
    while (cache->count)
        remove_agent(cache, cache->count - 1);
    meshping__free(cache->agents);
    meshping_block_reader_free(cache->reader);
    meshping__unzip_dispose(&cache->unzip);
    meshping__free(cache);
}

/* ---- adding ---- */

static int64_t oldest_kept(const meshping_cache *cache, int64_t now_unix_us)
{
    int64_t limit;
    return __builtin_sub_overflow(now_unix_us, cache->span_us, &limit) ? INT64_MIN : limit;
}

/* A clock that is ahead must not keep its samples for ever. */
static bool is_old(const meshping_stored_block *b, int64_t limit_us)
{
    return (b->last_unix_us < b->received_unix_us ? b->last_unix_us : b->received_unix_us) < limit_us;
}

static void note_missing(int64_t *missing_us, int64_t slot_us)
{
    if (slot_us > *missing_us)
        *missing_us = slot_us;
}

/* Appends a copy. CORRUPT: of a block that cannot be read, and stands there as damaged. */
static meshping_status append(block ***blocks, size_t *count, size_t *capacity, const meshping_stored_block *from)
{
    meshping_stored_block damaged = *from;
    meshping_status status = MESHPING_OK;
    if (!from->checked && meshping__block_reader_check(from->bytes, from->length, NULL) != MESHPING_OK) {
        status = MESHPING_CORRUPT;
        damaged.length = 0;
        damaged.sample_count = 0;
        from = &damaged;
    }
    block *copy = grow((void **)blocks, capacity, *count + 1, sizeof **blocks) ? copy_block(from) : NULL;
    if (!copy)
        return MESHPING_NOMEM;
    (*blocks)[(*count)++] = copy;
    return status;
}

meshping_status meshping_cache_add(meshping_cache *cache, const meshping_stored_block *from, int64_t now_unix_us)
{
    int64_t limit_us = oldest_kept(cache, now_unix_us);
    if (is_old(from, limit_us) && from->last_unix_us < limit_us)
        return MESHPING_LIMIT;
    agent *a = agent_made(cache, from->agent_id);
    if (!a || is_old(from, limit_us) || a->count == AGENT_BLOCKS_MAX) {
        note_missing(a ? &a->missing_us : &cache->missing_us, from->last_unix_us);
        return a ? MESHPING_LIMIT : MESHPING_NOMEM;
    }
    meshping_status status = append(&a->blocks, &a->count, &a->capacity, from);
    if (status == MESHPING_NOMEM)
        note_missing(&a->missing_us, from->last_unix_us);
    else
        count_in(cache, a->blocks[a->count - 1]);
    return status;
}

static bool replaced(const block *b, int64_t first_id, int64_t last_id)
{
    return b->is.id && b->is.id >= first_id && b->is.id <= last_id;
}

meshping_status meshping_cache_replace(meshping_cache *cache, uint64_t agent_id, int64_t first_id, int64_t last_id,
                                       const meshping_stored_block *blocks, size_t count)
{
    agent *a = agent_by_id(cache, agent_id);
    size_t first = 0, kept, made = 0;
    if (a)
        a->joined = true;
    while (a && first < a->count && !replaced(a->blocks[first], first_id, last_id))
        first++;
    if (!a || first == a->count)
        return MESHPING_OK; /* too old for this cache by now */
    block **copies = meshping__calloc(count ? count : 1, sizeof *copies);
    bool good = copies && grow((void **)&a->blocks, &a->capacity, a->count + count, sizeof *a->blocks);
    for (; good && made < count; made++)
        good = (copies[made] = copy_block(&blocks[made])) != NULL;
    if (good) {
        kept = first;
        for (size_t i = first; i < a->count; i++) {
            if (replaced(a->blocks[i], first_id, last_id))
                drop_block(cache, a->blocks[i]);
            else
                a->blocks[kept++] = a->blocks[i];
        }
        memmove(&a->blocks[first + count], &a->blocks[first], (kept - first) * sizeof *a->blocks);
        memcpy(&a->blocks[first], copies, count * sizeof *copies);
        a->count = kept + count;
        for (size_t i = 0; i < count; i++)
            count_in(cache, copies[i]);
    } else {
        for (size_t i = 0; copies && i < made; i++)
            meshping__free(copies[i]);
    }
    meshping__free(copies);
    return good ? MESHPING_OK : MESHPING_NOMEM;
}

/* ---- loading ---- */

meshping_status meshping_cache_load_new(meshping_cache_load **out, uint64_t agent_id)
{
    *out = meshping__calloc(1, sizeof **out);
    if (!*out)
        return MESHPING_NOMEM;
    (*out)->agent_id = agent_id;
    return MESHPING_OK;
}

void meshping_cache_load_free(meshping_cache_load *load)
{
    if (!load)
        return;
    for (size_t i = 0; i < load->count; i++)
        meshping__free(load->blocks[i]);
    meshping__free(load->blocks);
    meshping__free(load);
}

meshping_status meshping_cache_load_add(meshping_cache_load *load, const meshping_stored_block *from)
{
    if (from->agent_id != load->agent_id)
        return MESHPING_INVALID;
    if (load->count == AGENT_BLOCKS_MAX)
        return MESHPING_LIMIT;
    return append(&load->blocks, &load->count, &load->capacity, from);
}

meshping_status meshping_cache_await(meshping_cache *cache, uint64_t agent_id)
{
    agent *a = agent_made(cache, agent_id);
    if (!a)
        return MESHPING_NOMEM;
    a->awaited = true;
    a->joined = false;
    return MESHPING_OK;
}

/* The last of the journal's in it; 0: none. */
static int64_t last_id(const meshping_cache_load *load)
{
    return load->count ? load->blocks[load->count - 1]->is.id : 0;
}

meshping_status meshping_cache_adopt(meshping_cache *cache, meshping_cache_load *load)
{
    agent *a = agent_by_id(cache, load->agent_id);
    meshping_status status = MESHPING_OK;
    size_t both = load->count, seen = 0;
    if (!a || !a->awaited)
        status = MESHPING_NOT_FOUND;
    else if (a->joined) /* its blocks may be those from before */
        status = MESHPING_STATE;
    else if (!grow((void **)&load->blocks, &load->capacity, load->count + a->count, sizeof *load->blocks))
        status = MESHPING_NOMEM;
    if (status != MESHPING_OK)
        return status;
    for (; seen < a->count && a->blocks[seen]->is.id <= last_id(load); seen++)
        drop_block(cache, a->blocks[seen]); /* came while the load was read, and is in it */
    for (size_t i = 0; i < load->count; i++)
        count_in(cache, load->blocks[i]);
    for (size_t i = seen; i < a->count; i++)
        load->blocks[both++] = a->blocks[i];
    meshping__free(a->blocks);
    a->blocks = load->blocks;
    a->count = both;
    a->capacity = load->capacity;
    a->awaited = false;
    meshping__free(load);
    return MESHPING_OK;
}

/* ---- asking ---- */

int64_t meshping_cache_reach(const meshping_cache *cache, uint64_t agent_id, int64_t now_unix_us)
{
    const agent *a = agent_by_id(cache, agent_id);
    int64_t reach_us = oldest_kept(cache, now_unix_us);
    int64_t missing_us = a && a->missing_us > cache->missing_us ? a->missing_us : cache->missing_us;
    if (a && a->awaited)
        return INT64_MAX;
    return missing_us >= reach_us ? missing_us + 1 : reach_us;
}

int64_t meshping_cache_seam(const meshping_cache *cache, uint64_t agent_id, int64_t from_us, int64_t to_us,
                            int64_t now_unix_us)
{
    int64_t seam_us = meshping_cache_reach(cache, agent_id, now_unix_us);
    if (seam_us > to_us)
        seam_us = to_us;
    return seam_us < from_us ? from_us : seam_us;
}

static meshping_status collect(meshping_cache *cache, const agent *a, meshping__collector *all)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; status == MESHPING_OK && i < a->count; i++) {
        const meshping_stored_block *is = &a->blocks[i]->is;
        if (is->last_unix_us < all->from_us || is->first_unix_us >= all->to_us || is->last_target < all->target_id ||
            is->first_target > all->target_id)
            continue;
        status = is->length ? meshping__collector_take(all, cache->reader, is->bytes, is->length, true, (uint32_t)i,
                                                       is->id ? &is->received_agent_us : NULL)
                            : MESHPING_CORRUPT;
        if (status == MESHPING_CORRUPT)
            status = meshping__collector_damage(all, is->id, is->first_unix_us, is->last_unix_us);
    }
    return status;
}

meshping_status meshping_cache_series(meshping_cache *cache, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                      int64_t to_us, meshping_series *out)
{
    const agent *a = agent_by_id(cache, agent_id);
    meshping__collector all;
    *out = (meshping_series){0};
    if (!a)
        return MESHPING_OK;
    meshping__collector_init(&all, target_id, from_us, to_us);
    meshping_status status = collect(cache, a, &all);
    if (status == MESHPING_OK)
        status = meshping__collector_finish(&all, out);
    meshping__collector_dispose(&all);
    return status;
}

meshping_status meshping_cache_last(meshping_cache *cache, uint64_t agent_id, uint64_t target_id, meshping_sample *out)
{
    const agent *a = agent_by_id(cache, agent_id);
    meshping_status status = MESHPING_OK;
    meshping_series series = {0};
    int64_t from_us = INT64_MIN; /* after the newest one found */
    for (size_t i = a ? a->count : 0; status == MESHPING_OK && i-- > 0;) {
        agent one = {.blocks = &a->blocks[i], .count = 1};
        meshping__collector all;
        meshping__collector_init(&all, target_id, from_us, INT64_MAX);
        status = collect(cache, &one, &all);
        if (status == MESHPING_OK)
            status = meshping__collector_finish(&all, &series);
        meshping__collector_dispose(&all);
        if (series.count) { /* a block in front has the say on the same slot: ask again from this slot on */
            *out = series.samples[series.count - 1];
            from_us = out->slot_unix_us;
        }
        meshping_series_dispose(&series);
    }
    return status == MESHPING_OK && from_us == INT64_MIN ? MESHPING_NOT_FOUND : status;
}

/* ---- what goes ---- */

static void expire_agent(meshping_cache *cache, agent *a, int64_t limit_us)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->count; i++) {
        block *b = a->blocks[i];
        if (!is_old(&b->is, limit_us)) {
            a->blocks[kept++] = b;
            continue;
        }
        if (b->is.last_unix_us >= limit_us)
            note_missing(&a->missing_us, b->is.last_unix_us);
        drop_block(cache, b);
    }
    a->count = kept;
    if (a->capacity > 64 && kept < a->capacity / 4) { /* after a long backlog */
        block **smaller = meshping__realloc(a->blocks, kept * 2 * sizeof *smaller + sizeof *smaller);
        if (smaller) {
            a->blocks = smaller;
            a->capacity = kept * 2 + 1;
        }
    }
}

void meshping_cache_expire(meshping_cache *cache, int64_t now_unix_us, size_t agents)
{
    int64_t limit_us = oldest_kept(cache, now_unix_us);
    for (size_t most = cache->count < agents ? cache->count : agents; most > 0; most--) {
        if (cache->next_to_expire >= cache->count)
            cache->next_to_expire = 0;
        agent *a = &cache->agents[cache->next_to_expire];
        expire_agent(cache, a, limit_us);
        if (a->count == 0 && !a->awaited && a->missing_us < limit_us)
            remove_agent(cache, cache->next_to_expire); /* another one is in its place now */
        else
            cache->next_to_expire++;
    }
}

void meshping_cache_get_stats(const meshping_cache *cache, meshping_cache_stats *out)
{
    *out = cache->stats;
    out->bytes += sizeof *cache + cache->capacity * sizeof *cache->agents;
}
