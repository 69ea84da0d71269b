/* SPDX-License-Identifier: Apache-2.0 */
/* A binary min-heap of small item numbers by a 64-bit key; an item's key can be changed or taken out in O(log n). */
#ifndef MESHPING_CORE_HEAP_H
#define MESHPING_CORE_HEAP_H

#include <meshping/common.h>

typedef struct meshping__heap {
    struct meshping__heap_entry {
        int64_t key;
        uint32_t item;
    } * entries;
    uint32_t *places; /* item -> its index in entries + 1; 0: not in the heap */
    uint32_t count;
    uint32_t capacity; /* items 0..capacity-1 */
} meshping__heap;

void meshping__heap_dispose(meshping__heap *heap);
/* Room for the items 0..items-1. NOMEM: as it was. */
meshping_status meshping__heap_reserve(meshping__heap *heap, uint32_t items);
/* Puts the item in, or changes its key. The item must be within what was reserved. */
void meshping__heap_set(meshping__heap *heap, uint32_t item, int64_t key);
/* Takes the item out; nothing happens when it is not in. */
void meshping__heap_remove(meshping__heap *heap, uint32_t item);

static inline int64_t meshping__heap_min(const meshping__heap *heap)
{
    return heap->count ? heap->entries[0].key : INT64_MAX;
}

static inline uint32_t meshping__heap_top(const meshping__heap *heap) /* only when count > 0 */
{
    return heap->entries[0].item;
}

#endif
