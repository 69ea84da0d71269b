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
    /* what explains missing stretches */
    const meshping_stored_gap *dropped; /* what the agent said that it could not keep */
    size_t dropped_count;
    const meshping_epoch_start *starts; /* of the agent's process, ascending */
    size_t start_count;
    const meshping_pause *pauses; /* times without a server, by its clock */
    size_t pause_count;
    const meshping_target_pause *target_pauses; /* of the target, ascending, by the server's clock */
    size_t target_pause_count;
    const meshping_clock_note *clocks; /* the agent's clock: what was noted in from..to, and before */
    size_t clock_count;
    bool agent_away;    /* it is not connected now */
    int64_t before_ms;  /* slot of the newest sample before from; INT64_MIN: none */
    int64_t settled_ms; /* samples up to here should have come by now */
} series;

/* Whether there is a stretch without samples that may be told of; what explains it need not be there yet. */
bool series_has_gaps(const series *s);
void series_json(text_buffer *out, const series *s);
/* "damaged":[{"from_ms","to_ms"},...]: times of which something stored cannot be read. */
void series_put_damaged(text_buffer *out, const meshping_damage *damaged, size_t count);

#endif
