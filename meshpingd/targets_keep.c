/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/json_body.h"
#include "meshpingd/targets_change.h"

#include <stdlib.h>
#include <string.h>

/* The first of `sorted` with this host, which may be there once a family; `count`: there is none. */
static size_t find(const meshping_target *const *sorted, size_t count, const char *host)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(sorted[middle]->host, host) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && strcmp(sorted[low]->host, host) == 0 ? low : count;
}

meshping_status targets_keep(meshping_target_list *list, const meshping_target_list *before, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    meshping_target_list kept = {.limit = list->limit, .revision = list->revision};
    const meshping_target **sorted = targets_sorted(before);
    if (!sorted)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu targets", before->count);
    for (size_t i = 0; i < list->count && status == MESHPING_OK; i++) {
        const meshping_target *item = &list->items[i];
        size_t at = find(sorted, before->count, item->host);
        if (at == before->count)
            status = meshping_target_list_append(&kept, item, err);
        for (; at < before->count && strcmp(sorted[at]->host, item->host) == 0 && status == MESHPING_OK; at++) {
            meshping_target target = *sorted[at];
            if (item->name[0])
                memcpy(target.name, item->name, sizeof target.name);
            status = meshping_target_list_append(&kept, &target, err);
        }
    }
    free(sorted);
    if (status != MESHPING_OK) {
        meshping_target_list_dispose(&kept);
        return status;
    }
    meshping_target_list_dispose(list);
    *list = kept;
    return MESHPING_OK;
}
