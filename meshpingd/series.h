/* SPDX-License-Identifier: Apache-2.0 */
/* A pair's samples as the JSON of GET /api/v1/series. Pure. */
#ifndef MESHPINGD_SERIES_H
#define MESHPINGD_SERIES_H

#include "common/text.h"
#include <meshping/buffer.h>
#include <meshping/store.h>

#define SERIES_POINTS_MAX 100000 /* in one answer */

typedef struct series {
    uint64_t agent_id, target_id;
    int64_t from_ms, to_ms;
    uint32_t interval_ms, timeout_ms;
    const meshping_sample *samples; /* ascending, of from..to */
    size_t count;
    const meshping_damage *damaged;
    size_t damaged_count;
    int64_t before_ms;  /* slot of the newest sample before from; INT64_MIN: none */
    int64_t settled_ms; /* samples up to here should have come by now */
} series;

void series_json(text_buffer *out, const series *s);

#endif
