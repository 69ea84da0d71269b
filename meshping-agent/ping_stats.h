/* SPDX-License-Identifier: Apache-2.0 */
/* What became of one target's probes. */
#ifndef MESHPING_AGENT_PING_STATS_H
#define MESHPING_AGENT_PING_STATS_H

#include <meshping/probe.h>

#define PING_RTTS_MAX (1u << 20) /* kept a target; beyond it a random sample of all is kept for the percentiles */

typedef struct ping_stats {
    uint64_t sent, received, lost, local_errors; /* verdicts; probes still in the air count nowhere */
    uint32_t *rtts_us;                           /* owned; NULL while there is but one, which is last_us */
    uint32_t rtt_count, rtt_capacity;
    uint32_t min_us, max_us, last_us;
    uint64_t sum_us, jitter_sum_us;
    uint64_t *misses; /* owned; of each outcome, MESHPING_OUTCOME_COUNT; NULL: there were none, or no memory */
    int sys_errno;    /* of the last one that could not be sent */
    bool no_memory;   /* percentiles are of fewer round-trip times than came */
} ping_stats;

typedef struct ping_summary {
    uint64_t min, avg, max, p50, p95, p99, jitter; /* microseconds; 0 when nothing was received */
} ping_summary;

void ping_stats_add(ping_stats *stats, const meshping_probe_result *result);
/* Sorts the kept round-trip times. */
void ping_stats_summarise(ping_stats *stats, ping_summary *out);
void ping_stats_dispose(ping_stats *stats);

#endif
