/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/agent_index.h"

#include <stdlib.h>
#include <string.h>

/* Ids are random; a key is its owner's choice, so who likes may collide with himself: each look-up still ends. */
static uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    return x ^ x >> 33;
}

static uint64_t hash_of_key(const uint8_t public_key[MESHPING_KEY_LEN])
{
    uint64_t words[MESHPING_KEY_LEN / 8];
    memcpy(words, public_key, sizeof words);
    return mix(words[0] ^ mix(words[1] ^ mix(words[2] ^ mix(words[3]))));
}

static void put(agent_index_slot *slots, size_t capacity, uint64_t hash, struct agent_entry *agent)
{
    size_t i = hash & (capacity - 1);
    while (slots[i].agent)
        i = (i + 1) & (capacity - 1);
    slots[i] = (agent_index_slot){hash, agent};
}

static agent_index_slot *grown(const agent_index_slot *old, size_t old_capacity, size_t capacity)
{
    agent_index_slot *slots = calloc(capacity, sizeof *slots);
    for (size_t i = 0; slots && i < old_capacity; i++)
        if (old[i].agent)
            put(slots, capacity, old[i].hash, old[i].agent);
    return slots;
}

static meshping_status reserve(agent_index *index)
{
    if (2 * (index->count + 1) <= index->capacity)
        return MESHPING_OK;
    size_t capacity = index->capacity ? 2 * index->capacity : 64;
    agent_index_slot *by_id = grown(index->by_id, index->capacity, capacity);
    agent_index_slot *by_key = grown(index->by_key, index->capacity, capacity);
    if (!by_id || !by_key) {
        free(by_id);
        free(by_key);
        return MESHPING_NOMEM;
    }
    agent_index_dispose(&(agent_index){index->by_id, index->by_key, 0, 0});
    index->by_id = by_id;
    index->by_key = by_key;
    index->capacity = capacity;
    return MESHPING_OK;
}

void agent_index_dispose(agent_index *index)
{
    free(index->by_id);
    free(index->by_key);
    *index = (agent_index){0};
}

meshping_status agent_index_add(agent_index *index, struct agent_entry *agent, uint64_t id,
                                const uint8_t public_key[MESHPING_KEY_LEN])
{
    if (reserve(index) != MESHPING_OK)
        return MESHPING_NOMEM;
    put(index->by_id, index->capacity, mix(id), agent);
    put(index->by_key, index->capacity, hash_of_key(public_key), agent);
    index->count++;
    return MESHPING_OK;
}

/* What lies behind the hole and could not be at its own place moves up. */
static void take_out(agent_index_slot *slots, size_t capacity, uint64_t hash, const struct agent_entry *agent)
{
    size_t mask = capacity - 1, hole = hash & mask;
    while (slots[hole].agent != agent)
        hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; slots[i].agent; i = (i + 1) & mask) {
        if (((i - slots[i].hash) & mask) < ((i - hole) & mask))
            continue;
        slots[hole] = slots[i];
        hole = i;
    }
    slots[hole] = (agent_index_slot){0};
}

void agent_index_remove(agent_index *index, const struct agent_entry *agent, uint64_t id,
                        const uint8_t public_key[MESHPING_KEY_LEN])
{
    take_out(index->by_id, index->capacity, mix(id), agent);
    take_out(index->by_key, index->capacity, hash_of_key(public_key), agent);
    index->count--;
}

static struct agent_entry *next(const agent_index_slot *slots, size_t capacity, uint64_t hash, size_t *at)
{
    while (capacity) {
        const agent_index_slot *slot = &slots[(hash + (*at)++) & (capacity - 1)];
        if (!slot->agent || slot->hash == hash)
            return slot->agent;
    }
    return NULL;
}

struct agent_entry *agent_index_by_id(const agent_index *index, uint64_t id)
{
    size_t at = 0;
    return next(index->by_id, index->capacity, mix(id), &at); /* mix is one to one */
}

struct agent_entry *agent_index_by_key(const agent_index *index, const uint8_t public_key[MESHPING_KEY_LEN], size_t *at)
{
    return next(index->by_key, index->capacity, hash_of_key(public_key), at);
}
