/* SPDX-License-Identifier: Apache-2.0 */
#include "core/heap.h"

#include "base/alloc.h"
#include <string.h>

typedef struct meshping__heap_entry entry;

void meshping__heap_dispose(meshping__heap *heap)
{
    meshping__free(heap->entries);
    meshping__free(heap->places);
    *heap = (meshping__heap){0};
}

meshping_status meshping__heap_reserve(meshping__heap *heap, uint32_t items)
{
    if (items <= heap->capacity)
        return MESHPING_OK;
    uint32_t capacity = heap->capacity ? heap->capacity : 16;
    while (capacity < items) {
        if (capacity > UINT32_MAX / 2)
            return MESHPING_NOMEM;
        capacity *= 2;
    }
    entry *entries = meshping__realloc(heap->entries, (size_t)capacity * sizeof *entries);
    if (!entries)
        return MESHPING_NOMEM;
    heap->entries = entries;
    uint32_t *places = meshping__realloc(heap->places, (size_t)capacity * sizeof *places);
    if (!places)
        return MESHPING_NOMEM;
    memset(places + heap->capacity, 0, (size_t)(capacity - heap->capacity) * sizeof *places);
    heap->places = places;
    heap->capacity = capacity;
    return MESHPING_OK;
}

static void put(meshping__heap *heap, uint32_t at, entry e)
{
    heap->entries[at] = e;
    heap->places[e.item] = at + 1;
}

static void sift_up(meshping__heap *heap, uint32_t at, entry e)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (heap->entries[parent].key <= e.key)
            break;
        put(heap, at, heap->entries[parent]);
        at = parent;
    }
    put(heap, at, e);
}

static void sift_down(meshping__heap *heap, uint32_t at, entry e)
{
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= heap->count)
            break;
        if (child + 1 < heap->count && heap->entries[child + 1].key < heap->entries[child].key)
            child++;
        if (e.key <= heap->entries[child].key)
            break;
        put(heap, at, heap->entries[child]);
        at = child;
    }
    put(heap, at, e);
}

void meshping__heap_set(meshping__heap *heap, uint32_t item, int64_t key)
{
    entry e = {key, item};
    if (heap->places[item] == 0) {
        sift_up(heap, heap->count++, e);
        return;
    }
    uint32_t at = heap->places[item] - 1;
    if (key < heap->entries[at].key)
        sift_up(heap, at, e);
    else
        sift_down(heap, at, e);
}

void meshping__heap_remove(meshping__heap *heap, uint32_t item)
{
    if (item >= heap->capacity || heap->places[item] == 0)
        return;
    uint32_t at = heap->places[item] - 1;
    heap->places[item] = 0;
    entry last = heap->entries[--heap->count];
    if (at == heap->count)
        return;
    if (at > 0 && last.key < heap->entries[(at - 1) / 2].key)
        sift_up(heap, at, last);
    else
        sift_down(heap, at, last);
}
