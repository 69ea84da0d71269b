/* SPDX-License-Identifier: Apache-2.0 */
#include "core/series.h"

#include "base/alloc.h"
#include "core/block.h"
#include <stdlib.h>
#include <string.h>

void meshping_series_dispose(meshping_series *series)
{
    meshping__free(series->samples);
    meshping__free(series->damaged);
    *series = (meshping_series){0};
}

/* Room for `more` items behind `count`; false: no memory. */
static bool grow(void **items, size_t count, size_t more, size_t size)
{
    if (more == 0)
        return true;
    void *grown = meshping__realloc(*items, (count + more) * size);
    if (grown)
        *items = grown;
    return grown;
}

meshping_status meshping_series_append(meshping_series *series, meshping_series *later)
{
    if (!grow((void **)&series->samples, series->count, later->count, sizeof *series->samples) ||
        !grow((void **)&series->damaged, series->damaged_count, later->damaged_count, sizeof *series->damaged))
        return MESHPING_NOMEM;
    if (later->count)
        memcpy(series->samples + series->count, later->samples, later->count * sizeof *series->samples);
    if (later->damaged_count)
        memcpy(series->damaged + series->damaged_count, later->damaged, later->damaged_count * sizeof *series->damaged);
    series->count += later->count;
    series->damaged_count += later->damaged_count;
    meshping_series_dispose(later);
    return MESHPING_OK;
}

/* ---- collecting ---- */

void meshping__collector_init(meshping__collector *all, uint64_t target_id, int64_t from_us, int64_t to_us)
{
    *all = (meshping__collector){.target_id = target_id, .from_us = from_us, .to_us = to_us};
}

void meshping__collector_dispose(meshping__collector *all)
{
    meshping__free(all->items);
    meshping__free(all->damaged);
}

static bool room(void **items, size_t *capacity, size_t wanted, size_t size)
{
    if (*items && wanted <= *capacity)
        return true;
    size_t larger = wanted > 2 * *capacity ? wanted : 2 * *capacity;
    void *grown = meshping__realloc(*items, larger * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = larger;
    return true;
}

meshping_status meshping__collector_take(meshping__collector *all, meshping_block_reader *reader, const uint8_t *bytes,
                                         size_t length, bool trusted, uint32_t place, const int64_t *received_agent_us)
{
    const meshping_sample *samples;
    size_t count;
    meshping_status status = meshping__block_reader_pick(reader, bytes, length, trusted, all->target_id, all->from_us,
                                                         all->to_us, &samples, &count);
    if (status == MESHPING_LIMIT)
        return MESHPING_CORRUPT;
    if (status != MESHPING_OK || count == 0)
        return status;
    if (!room((void **)&all->items, &all->capacity, all->count + count, sizeof *all->items))
        return MESHPING_NOMEM;
    for (size_t j = 0; j < count; j++) {
        int64_t slot_us = samples[j].slot_unix_us;
        if (slot_us < all->from_us || slot_us >= all->to_us)
            continue;
        if (all->count == MESHPING__SERIES_SAMPLES_MAX)
            return MESHPING_LIMIT;
        if (all->count && slot_us <= all->items[all->count - 1].sample.slot_unix_us)
            all->unordered = true;
        meshping__found *found = &all->items[all->count++];
        *found = (meshping__found){samples[j], place};
        if (received_agent_us)
            meshping_samples_mark_late(&found->sample, 1, *received_agent_us);
    }
    return MESHPING_OK;
}

meshping_status meshping__collector_damage(meshping__collector *all, int64_t block_id, int64_t first_us,
                                           int64_t last_us)
{
    if (!room((void **)&all->damaged, &all->damaged_capacity, all->damaged_count + 1, sizeof *all->damaged))
        return MESHPING_NOMEM;
    all->damaged[all->damaged_count++] =
        (meshping_damage){.block_id = block_id, .first_unix_us = first_us, .last_unix_us = last_us};
    return MESHPING_OK;
}

static int compare(const void *left, const void *right)
{
    const meshping__found *a = left, *b = right;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}

meshping_status meshping__collector_finish(meshping__collector *all, meshping_series *out)
{
    meshping_sample *samples = NULL;
    size_t kept = 0;
    if (all->count) {
        samples = meshping__malloc(all->count * sizeof *samples);
        if (!samples)
            return MESHPING_NOMEM;
        if (all->unordered)
            qsort(all->items, all->count, sizeof *all->items, compare);
    }
    for (size_t i = 0; i < all->count; i++)
        if (kept == 0 || samples[kept - 1].slot_unix_us != all->items[i].sample.slot_unix_us)
            samples[kept++] = all->items[i].sample;
    *out = (meshping_series){samples, kept, all->damaged, all->damaged_count};
    all->damaged = NULL;
    return MESHPING_OK;
}
