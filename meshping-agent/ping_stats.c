/* SPDX-License-Identifier: Apache-2.0 */
#include "ping_stats.h"

#include <stdlib.h>

/* `before`: the RTT of the reply before, which is the only one kept when there is no memory for them yet. */
static void keep(ping_stats *stats, uint32_t rtt_us, uint32_t before)
{
    if (stats->received == 1) {
        stats->rtt_count = 1;
        return;
    }
    if ((stats->rtt_capacity == 0 || stats->rtt_count == stats->rtt_capacity) && stats->rtt_count < PING_RTTS_MAX) {
        uint32_t capacity = stats->rtt_capacity ? stats->rtt_capacity * 2 : 4;
        uint32_t *grown = realloc(stats->rtts_us, capacity * sizeof *grown);
        if (grown) {
            if (stats->rtt_capacity == 0)
                grown[0] = before;
            stats->rtts_us = grown;
            stats->rtt_capacity = capacity;
        } else {
            stats->no_memory = true;
        }
    }
    if (stats->rtt_count < stats->rtt_capacity) {
        stats->rtts_us[stats->rtt_count++] = rtt_us;
    } else if (stats->rtt_capacity) { /* reservoir sampling: each of the `received` has the same chance to be here */
        uint64_t place = ((uint64_t)random() << 31 | (uint64_t)random()) % stats->received;
        if (place < stats->rtt_count)
            stats->rtts_us[place] = rtt_us;
    }
}

static void keep_reason(ping_stats *stats, const meshping_probe_result *result)
{
    if (!stats->misses)
        stats->misses = calloc(MESHPING_OUTCOME_COUNT, sizeof *stats->misses);
    if (stats->misses)
        stats->misses[result->sample.outcome]++;
    if (result->sys_errno)
        stats->sys_errno = result->sys_errno;
}

void ping_stats_add(ping_stats *stats, const meshping_probe_result *result)
{
    uint32_t rtt_us = result->sample.rtt_us;
    if (result->sent_mono_ns && result->sys_errno == 0)
        stats->sent++;
    switch (meshping_outcome_classify(result->sample.outcome)) {
    case MESHPING_CLASS_FAIL:
        stats->lost++;
        keep_reason(stats, result);
        return;
    case MESHPING_CLASS_LOCAL_ERROR:
        stats->local_errors++;
        keep_reason(stats, result);
        return;
    default:
        break;
    }
    if (stats->received == 0 || rtt_us < stats->min_us)
        stats->min_us = rtt_us;
    if (rtt_us > stats->max_us)
        stats->max_us = rtt_us;
    if (stats->received)
        stats->jitter_sum_us += rtt_us > stats->last_us ? rtt_us - stats->last_us : stats->last_us - rtt_us;
    uint32_t before = stats->last_us;
    stats->last_us = rtt_us;
    stats->sum_us += rtt_us;
    stats->received++;
    keep(stats, rtt_us, before);
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* Nearest rank: the smallest value that at least `percent` of all do not exceed. */
static uint32_t percentile(const ping_stats *stats, unsigned percent)
{
    uint64_t rank = ((uint64_t)stats->rtt_count * percent + 99) / 100;
    if (!stats->rtts_us)
        return stats->last_us;
    return stats->rtts_us[rank ? rank - 1 : 0];
}

static uint64_t mean(uint64_t sum, uint64_t count)
{
    return (sum + count / 2) / count;
}

void ping_stats_summarise(ping_stats *stats, ping_summary *out)
{
    *out = (ping_summary){0};
    if (stats->received == 0)
        return;
    if (stats->rtts_us)
        qsort(stats->rtts_us, stats->rtt_count, sizeof *stats->rtts_us, compare);
    out->min = stats->min_us;
    out->avg = mean(stats->sum_us, stats->received);
    out->max = stats->max_us;
    out->p50 = percentile(stats, 50);
    out->p95 = percentile(stats, 95);
    out->p99 = percentile(stats, 99);
    if (stats->received > 1)
        out->jitter = mean(stats->jitter_sum_us, stats->received - 1);
}

void ping_stats_dispose(ping_stats *stats)
{
    free(stats->rtts_us);
    free(stats->misses);
    *stats = (ping_stats){0};
}
