/* SPDX-License-Identifier: Apache-2.0 */
#include "core/idmap.h"

#include "base/alloc.h"
#include <string.h>

static size_t home_of(const meshping__idmap *map, uint64_t id)
{
    /* Fibonacci hashing, eights of neighbours together: ids are often 1, 2, 3, ..., and are asked for in that order */
    uint64_t mixed = (id >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    return ((size_t)(mixed >> 32) << 3 | (size_t)(id & 7)) & (map->capacity - 1);
}

static size_t find(const meshping__idmap *map, uint64_t id)
{
    size_t at = home_of(map, id);
    while (map->slots[at].id != 0 && map->slots[at].id != id)
        at = (at + 1) & (map->capacity - 1);
    return at;
}

void meshping__idmap_dispose(meshping__idmap *map)
{
    meshping__free(map->slots);
    *map = (meshping__idmap){0};
}

meshping_status meshping__idmap_reserve(meshping__idmap *map, size_t count)
{
    if (count > SIZE_MAX / 64)
        return MESHPING_NOMEM;
    size_t capacity = map->capacity ? map->capacity : 16;
    while (count * 2 > capacity)
        capacity *= 2;
    if (capacity == map->capacity)
        return MESHPING_OK;
    meshping__idmap grown = {.capacity = capacity, .slots = meshping__malloc(capacity * sizeof *grown.slots)};
    if (!grown.slots)
        return MESHPING_NOMEM;
    memset(grown.slots, 0, capacity * sizeof *grown.slots); /* fresh pages would fault twice: read, then written */
    for (size_t i = 0; i < map->capacity; i++)
        if (map->slots[i].id)
            meshping__idmap_put(&grown, map->slots[i].id, map->slots[i].value);
    meshping__free(map->slots);
    *map = grown;
    return MESHPING_OK;
}

void meshping__idmap_put(meshping__idmap *map, uint64_t id, uint32_t value)
{
    size_t at = find(map, id);
    if (map->slots[at].id == 0)
        map->count++;
    map->slots[at].id = id;
    map->slots[at].value = value;
}

uint32_t meshping__idmap_get(const meshping__idmap *map, uint64_t id)
{
    if (map->capacity == 0 || id == 0)
        return MESHPING__IDMAP_NONE;
    size_t at = find(map, id);
    return map->slots[at].id ? map->slots[at].value : MESHPING__IDMAP_NONE;
}

void meshping__idmap_remove(meshping__idmap *map, uint64_t id)
{
    if (map->capacity == 0 || id == 0)
        return;
    size_t mask = map->capacity - 1, hole = find(map, id);
    if (map->slots[hole].id == 0)
        return;
    map->count--;
    /* close the gap: whoever was pushed past the hole moves back into it */
    for (size_t at = (hole + 1) & mask; map->slots[at].id != 0; at = (at + 1) & mask) {
        size_t home = home_of(map, map->slots[at].id);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].id = 0;
}
