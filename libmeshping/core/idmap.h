/* SPDX-License-Identifier: Apache-2.0 */
/* A hash map from 64-bit ids (not 0) to 32-bit numbers: open addressing, linear probing. */
#ifndef MESHPING_CORE_IDMAP_H
#define MESHPING_CORE_IDMAP_H

#include <meshping/common.h>

#define MESHPING__IDMAP_NONE UINT32_MAX

typedef struct meshping__idmap {
    struct meshping__idmap_slot {
        uint64_t id; /* 0: free */
        uint32_t value;
    } * slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
} meshping__idmap;

void meshping__idmap_dispose(meshping__idmap *map);
/* Room for `count` ids in all: puts up to that many cannot fail. NOMEM: as it was. */
meshping_status meshping__idmap_reserve(meshping__idmap *map, size_t count);
/* Sets or replaces; there must be room. */
void meshping__idmap_put(meshping__idmap *map, uint64_t id, uint32_t value);
uint32_t meshping__idmap_get(const meshping__idmap *map, uint64_t id); /* MESHPING__IDMAP_NONE: not there */
void meshping__idmap_remove(meshping__idmap *map, uint64_t id);

#endif
