/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rollup_hours.h"

#include "base/alloc.h"
#include <string.h>

void meshping__hours_dispose(meshping__hours *hours)
{
    meshping__free(hours->items);
    meshping__free(hours->tallies);
    *hours = (meshping__hours){0};
}

/* Room for one more of `size` bytes. */
static bool room(void **items, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *grown = meshping__realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

bool meshping__hours_push(meshping__hours *hours, const meshping__hour *hour)
{
    if (!room((void **)&hours->items, &hours->capacity, hours->count, sizeof *hours->items))
        return false;
    hours->items[hours->count++] = *hour;
    return true;
}

bool meshping__hours_push_tally(meshping__hours *hours, uint32_t key, uint64_t count)
{
    if (!room((void **)&hours->tallies, &hours->tally_capacity, hours->tally_count, sizeof *hours->tallies))
        return false;
    hours->tallies[hours->tally_count++] = (meshping__tally){.count = count, .key = key};
    return true;
}

int64_t meshping__step_floor(int64_t time_us, int64_t step_us)
{
    int64_t over = time_us % step_us;
    return time_us - (over < 0 ? over + step_us : over);
}

int64_t meshping__hour_of(int64_t slot_us)
{
    return meshping__step_floor(slot_us, MESHPING__HOUR_US) / MESHPING__HOUR_US;
}

/* ---- samples into records ---- */

static bool push_dense(meshping__hours *out, uint64_t target_id, int64_t at, const meshping_rollup *sum)
{
    meshping__hour hour = {.target_id = target_id,
                           .hour = at,
                           .sum_us = sum->sum_us,
                           .min_us = sum->min_us,
                           .max_us = sum->max_us,
                           .first = out->tally_count};
    bool good = true;
    for (uint32_t i = 1; good && i < MESHPING_OUTCOME_COUNT; i++)
        if (sum->counts[i])
            good = meshping__hours_push_tally(out, i, sum->counts[i]);
    if (sum->counts[MESHPING_OUTCOME_OK]) {
        unsigned last = meshping_histogram_bucket(sum->max_us);
        for (uint32_t i = meshping_histogram_bucket(sum->min_us); good && i <= last; i++)
            if (sum->buckets[i])
                good = meshping__hours_push_tally(out, MESHPING_OUTCOME_COUNT + i, sum->buckets[i]);
    }
    hour.count = (uint32_t)(out->tally_count - hour.first);
    return good && (hour.count == 0 || meshping__hours_push(out, &hour));
}

bool meshping__hours_of_rows(meshping__hours *out, const meshping__block_row *rows, size_t count)
{
    for (size_t i = 0; i < count;) {
        meshping_rollup sum = {0};
        uint64_t target_id = rows[i].target_id;
        int64_t at = meshping__hour_of(rows[i].sample.slot_unix_us);
        for (; i < count && rows[i].target_id == target_id && meshping__hour_of(rows[i].sample.slot_unix_us) == at; i++)
            meshping_rollup_add(&sum, &rows[i].sample);
        if (!push_dense(out, target_id, at, &sum))
            return false;
    }
    return true;
}

/* ---- merging ---- */

static bool replied(const meshping__hours *hours, const meshping__hour *hour)
{
    return hour->count && hours->tallies[hour->first + hour->count - 1].key >= MESHPING_OUTCOME_COUNT;
}

static bool copy(meshping__hours *out, const meshping__hours *from, const meshping__hour *hour)
{
    meshping__hour made = *hour;
    made.first = out->tally_count;
    for (size_t i = 0; i < hour->count; i++)
        if (!meshping__hours_push_tally(out, from->tallies[hour->first + i].key, from->tallies[hour->first + i].count))
            return false;
    return meshping__hours_push(out, &made);
}

static bool join(meshping__hours *out, const meshping__hours *a, const meshping__hour *x, const meshping__hours *b,
                 const meshping__hour *y)
{
    meshping__hour made = *x;
    made.first = out->tally_count;
    for (size_t i = 0, j = 0; i < x->count || j < y->count;) {
        uint32_t left = i < x->count ? a->tallies[x->first + i].key : UINT32_MAX;
        uint32_t right = j < y->count ? b->tallies[y->first + j].key : UINT32_MAX;
        uint64_t count = 0;
        if (left <= right)
            count += a->tallies[x->first + i++].count;
        if (right <= left)
            count += b->tallies[y->first + j++].count;
        if (!meshping__hours_push_tally(out, left < right ? left : right, count))
            return false;
    }
    made.count = (uint32_t)(out->tally_count - made.first);
    made.sum_us = x->sum_us + y->sum_us;
    if (replied(b, y)) {
        made.min_us = !replied(a, x) || y->min_us < x->min_us ? y->min_us : x->min_us;
        made.max_us = y->max_us > x->max_us ? y->max_us : x->max_us;
    }
    return meshping__hours_push(out, &made);
}

static int compare(const meshping__hour *a, const meshping__hour *b)
{
    if (a->target_id != b->target_id)
        return a->target_id < b->target_id ? -1 : 1;
    return a->hour < b->hour ? -1 : a->hour > b->hour;
}

bool meshping__hours_merge(meshping__hours *out, const meshping__hours *a, const meshping__hours *b, size_t b_first,
                           size_t b_count)
{
    bool good = true;
    size_t i = 0, j = b_first, end = b_first + b_count;
    while (good && (i < a->count || j < end)) {
        int order = i == a->count ? 1 : j == end ? -1 : compare(&a->items[i], &b->items[j]);
        if (order == 0)
            good = join(out, a, &a->items[i], b, &b->items[j]);
        else
            good = order < 0 ? copy(out, a, &a->items[i]) : copy(out, b, &b->items[j]);
        i += order <= 0;
        j += order >= 0;
    }
    return good;
}

uint64_t meshping__hours_samples(const meshping__hours *hours, size_t i)
{
    const meshping__hour *hour = &hours->items[i];
    uint64_t count = 0;
    for (size_t j = 0; j < hour->count; j++)
        count += hours->tallies[hour->first + j].count;
    return count;
}

void meshping__hour_add_to(meshping_rollup *rollup, const meshping__hours *hours, size_t i)
{
    const meshping__hour *hour = &hours->items[i];
    uint64_t before = rollup->counts[MESHPING_OUTCOME_OK];
    for (size_t j = 0; j < hour->count; j++) {
        const meshping__tally *tally = &hours->tallies[hour->first + j];
        if (tally->key < MESHPING_OUTCOME_COUNT) {
            rollup->counts[tally->key] += tally->count;
        } else {
            rollup->counts[MESHPING_OUTCOME_OK] += tally->count;
            rollup->buckets[tally->key - MESHPING_OUTCOME_COUNT] += tally->count;
        }
    }
    if (!replied(hours, hour))
        return;
    if (before == 0 || hour->min_us < rollup->min_us)
        rollup->min_us = hour->min_us;
    if (hour->max_us > rollup->max_us)
        rollup->max_us = hour->max_us;
    rollup->sum_us += hour->sum_us;
}
