/* SPDX-License-Identifier: Apache-2.0 */
#include "core/witness.h"

#include "base/alloc.h"
#include <string.h>

#define KNOWN_AFTER 12 /* verdicts */

void meshping__witnesses_dispose(meshping__witnesses *witnesses)
{
    meshping__idmap_dispose(&witnesses->places);
    meshping__free(witnesses->items);
    *witnesses = (meshping__witnesses){0};
}

meshping__witness *meshping__witnesses_get(meshping__witnesses *witnesses, uint64_t target_id)
{
    uint32_t place =
        witnesses->count && target_id ? meshping__idmap_get(&witnesses->places, target_id) : MESHPING__IDMAP_NONE;
    if (place != MESHPING__IDMAP_NONE)
        return &witnesses->items[place];
    if (!target_id)
        return NULL;
    if (witnesses->count == MESHPING__WITNESSES_MAX)
        meshping__witnesses_dispose(witnesses);
    if (meshping__idmap_reserve(&witnesses->places, witnesses->count + 1) != MESHPING_OK)
        return NULL;
    if (witnesses->count == witnesses->capacity) {
        uint32_t capacity = witnesses->capacity ? witnesses->capacity * 2 : 64;
        meshping__witness *grown = meshping__realloc(witnesses->items, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        witnesses->items = grown;
        witnesses->capacity = capacity;
    }
    place = witnesses->count++;
    meshping__idmap_put(&witnesses->places, target_id, place);
    witnesses->items[place] = (meshping__witness){0};
    return &witnesses->items[place];
}

void meshping__witness_note(meshping__witness *witness, bool lost)
{
    witness->misses = witness->misses << 1 | lost;
    if (witness->count < 64)
        witness->count++;
}

double meshping__witness_chance(const meshping__witness *witness)
{
    if (!witness->answers || witness->count < KNOWN_AFTER)
        return 1;
    /* Laplace's rule of succession */
    return (__builtin_popcountll(witness->misses) + 1.0) / (witness->count + 2.0);
}
