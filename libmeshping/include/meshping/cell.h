/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live cell of a pair: one state from its last samples. Pure: time and link state are arguments.
 */
#ifndef MESHPING_CELL_H
#define MESHPING_CELL_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are what the live feed and the API send. The first that applies wins, in the order of
 * meshping_cell_state. */
#define MESHPING_CELL_STATE_MAP(XX)                                                                                    \
    XX(0, NO_DATA, "no_data")                                                                                          \
    XX(1, OK, "ok")                                                                                                    \
    XX(2, SLOW, "slow")                                                                                                \
    XX(3, LOSSY, "lossy")                                                                                              \
    XX(4, FAIL, "fail")                                                                                                \
    XX(5, STALE, "stale")                                                                                              \
    XX(6, LOCAL_ERROR, "local_error")                                                                                  \
    XX(7, AGENT_OFFLINE, "agent_offline")                                                                              \
    XX(8, PAUSED, "paused")         /* of the plan, not of samples: nobody pings the target now */                     \
    XX(9, UNASSIGNED, "unassigned") /* likewise: this agent is not to ping it */

typedef enum meshping_cell_state {
#define XX(value, name, text) MESHPING_CELL_##name = (value),
    MESHPING_CELL_STATE_MAP(XX)
#undef XX
} meshping_cell_state;

MESHPING_API const char *meshping_cell_state_name(unsigned state);

#define MESHPING_CELL_WINDOW 12

typedef struct meshping_cell_thresholds {
    uint32_t slow_rtt_us;     /* slow above this; default 100,000 */
    uint32_t lossy_count;     /* lossy from this many lost of the last 12; default 1 */
    uint32_t stale_intervals; /* stale when nothing is newer than this many intervals (and the timeout); default 3 */
} meshping_cell_thresholds;

MESHPING_API void meshping_cell_thresholds_init(meshping_cell_thresholds *thresholds);

/* Zero is an empty cell. Plain data: 40 bytes, may be copied. */
typedef struct meshping_cell {
    int64_t newest_slot_unix_us; /* of the newest sample, on the agent's clock */
    int64_t newest_seen_unix_us; /* server's clock when it came */
    uint32_t newest_rtt_us;
    uint8_t newest_outcome;
    uint8_t verdicts; /* how many of `lost` are filled, 0..12; local errors take no place in it */
    uint16_t lost;    /* bit 0: the last verdict was a loss */
} meshping_cell;

/* Takes a sample in; one older than the newest changes nothing (late data is history, not the present). */
MESHPING_API void meshping_cell_add(meshping_cell *cell, const meshping_sample *sample, int64_t seen_unix_us);
/* How many of the last (at most 12) verdicts were losses. */
MESHPING_API unsigned meshping_cell_lost(const meshping_cell *cell);
/* agent_offline, local_error, stale, fail, lossy, slow, ok, no_data: the first that applies. */
MESHPING_API meshping_cell_state meshping_cell_get_state(const meshping_cell *cell,
                                                         const meshping_cell_thresholds *thresholds, bool agent_online,
                                                         uint32_t interval_ms, uint32_t timeout_ms,
                                                         int64_t now_unix_us);

#ifdef __cplusplus
}
#endif
#endif
