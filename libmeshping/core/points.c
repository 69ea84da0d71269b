/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rollup_hours.h"

#include "base/alloc.h"
#include <string.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US (24 * MESHPING__HOUR_US)
#define TO_US_MAX (INT64_C(64060588800) * SECOND_US) /* the year 4000 */

void meshping__point_of(meshping_point *point, const meshping_rollup *sum, int64_t from_us, int64_t to_us)
{
    *point = (meshping_point){.from_us = from_us,
                              .to_us = to_us,
                              .sum_us = sum->sum_us,
                              .min_us = sum->min_us,
                              .max_us = sum->max_us,
                              .p50_us = meshping_rollup_percentile(sum, 500),
                              .p95_us = meshping_rollup_percentile(sum, 950),
                              .p99_us = meshping_rollup_percentile(sum, 990)};
    memcpy(point->counts, sum->counts, sizeof point->counts);
}

static bool finish(meshping__pointer *pointer)
{
    if (!pointer->open)
        return true;
    uint64_t any = 0;
    for (size_t i = 0; i < MESHPING_OUTCOME_COUNT; i++)
        any += pointer->sum.counts[i];
    pointer->open = false;
    if (any == 0)
        return true;
    if (pointer->count == pointer->capacity) {
        size_t wanted = pointer->capacity ? pointer->capacity * 2 : 64;
        meshping_point *grown = meshping__realloc(pointer->points, wanted * sizeof *grown);
        if (!grown)
            return false;
        pointer->points = grown;
        pointer->capacity = wanted;
    }
    meshping__point_of(&pointer->points[pointer->count++], &pointer->sum, pointer->from_us, pointer->to_us);
    return true;
}

bool meshping__pointer_move(meshping__pointer *pointer, int64_t from_us, int64_t to_us)
{
    if (pointer->open && pointer->from_us == from_us && pointer->to_us == to_us)
        return true;
    if (!finish(pointer))
        return false;
    pointer->sum = (meshping_rollup){0};
    pointer->open = from_us < to_us;
    pointer->from_us = from_us;
    pointer->to_us = to_us;
    return true;
}

int64_t meshping_points_step(int64_t from_us, int64_t to_us, size_t max_points)
{
    static const int32_t steps_s[] = {1,   2,   5,    10,   15,   30,    60,    120,   300,
                                      600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};
    if (from_us < 0 || from_us >= to_us || to_us > TO_US_MAX || max_points < MESHPING_POINTS_MIN ||
        max_points > MESHPING_POINTS_MAX)
        return 0;
    int64_t step_us = 0;
    for (size_t i = 0;; i++) {
        step_us = i < sizeof steps_s / sizeof steps_s[0] ? steps_s[i] * SECOND_US : step_us * 2;
        if ((uint64_t)((to_us - 1) / step_us - from_us / step_us) < max_points)
            return step_us;
    }
}

meshping_status meshping_points_of_samples(const meshping_sample *samples, size_t sample_count, int64_t step_us,
                                           meshping_point **points, size_t *count)
{
    meshping__pointer pointer = {0};
    *points = NULL;
    *count = 0;
    if (step_us < 1)
        return MESHPING_INVALID;
    bool good = true;
    for (size_t i = 0; good && i < sample_count; i++) {
        int64_t from_us = meshping__step_floor(samples[i].slot_unix_us, step_us);
        good = meshping__pointer_move(&pointer, from_us, from_us + step_us);
        if (good)
            meshping_rollup_add(&pointer.sum, &samples[i]);
    }
    if (!good || !meshping__pointer_move(&pointer, 0, 0)) {
        meshping__free(pointer.points);
        return MESHPING_NOMEM;
    }
    *points = pointer.points;
    *count = pointer.count;
    return MESHPING_OK;
}
