/* SPDX-License-Identifier: Apache-2.0 */
#include "store/damages.h"

#include "base/alloc.h"
#include "store/internal.h"

meshping_status meshping__damages_add(meshping__damages *all, const meshping_damage *one, meshping_error *err)
{
    if (!all || all->count == MESHPING_DAMAGED_MAX)
        return MESHPING_OK;
    for (size_t i = 0; i < all->count; i++) {
        const meshping_damage *known = &all->items[i];
        if (known->block_id == one->block_id && known->kind == one->kind && known->first_unix_us == one->first_unix_us)
            return MESHPING_OK;
    }
    if (!meshping__sql_room((void **)&all->items, &all->capacity, all->count, sizeof *all->items))
        return meshping__no_memory(err);
    all->items[all->count++] = *one;
    return MESHPING_OK;
}

void meshping__damages_dispose(meshping__damages *all)
{
    meshping__free(all->items);
    *all = (meshping__damages){0};
}

void meshping_store_damaged(const meshping_store *store, const meshping_damage **damaged, size_t *count)
{
    *damaged = store->damages.items;
    *count = store->damages.count;
}
