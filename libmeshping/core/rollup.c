/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/rollup.h>

#define EXACT 32u    /* values below have a bucket each */
#define SUB_BITS 4u  /* 16 buckets an octave above */
#define FIRST_LOG 5u /* 2^5 == EXACT */

unsigned meshping_histogram_bucket(uint32_t rtt_us)
{
    if (rtt_us < EXACT)
        return rtt_us;
    unsigned log = 31u - (unsigned)__builtin_clz(rtt_us);
    return EXACT + ((log - FIRST_LOG) << SUB_BITS) + ((rtt_us >> (log - SUB_BITS)) - (1u << SUB_BITS));
}

void meshping_histogram_bounds(unsigned bucket, uint32_t *first_us, uint32_t *last_us)
{
    if (bucket < EXACT) {
        *first_us = *last_us = bucket;
        return;
    }
    unsigned log = FIRST_LOG + ((bucket - EXACT) >> SUB_BITS);
    uint32_t part = (1u << SUB_BITS) + ((bucket - EXACT) & ((1u << SUB_BITS) - 1));
    *first_us = part << (log - SUB_BITS);
    *last_us = *first_us + ((1u << (log - SUB_BITS)) - 1);
}

void meshping_rollup_add(meshping_rollup *rollup, const meshping_sample *sample)
{
    if (sample->outcome >= MESHPING_OUTCOME_COUNT)
        return;
    uint64_t before = rollup->counts[sample->outcome]++;
    if (sample->outcome != MESHPING_OUTCOME_OK)
        return;
    if (before == 0 || sample->rtt_us < rollup->min_us)
        rollup->min_us = sample->rtt_us;
    if (sample->rtt_us > rollup->max_us)
        rollup->max_us = sample->rtt_us;
    rollup->sum_us += sample->rtt_us;
    rollup->buckets[meshping_histogram_bucket(sample->rtt_us)]++;
}

void meshping_rollup_merge(meshping_rollup *into, const meshping_rollup *from)
{
    if (from->counts[MESHPING_OUTCOME_OK]) {
        if (into->counts[MESHPING_OUTCOME_OK] == 0 || from->min_us < into->min_us)
            into->min_us = from->min_us;
        if (from->max_us > into->max_us)
            into->max_us = from->max_us;
        into->sum_us += from->sum_us;
        for (size_t i = 0; i < MESHPING_HISTOGRAM_BUCKETS; i++)
            into->buckets[i] += from->buckets[i];
    }
    for (size_t i = 0; i < MESHPING_OUTCOME_COUNT; i++)
        into->counts[i] += from->counts[i];
}

uint64_t meshping_rollup_count(const meshping_rollup *rollup, meshping_outcome_class of_class)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < MESHPING_OUTCOME_COUNT; i++)
        if (meshping_outcome_classify(i) == of_class)
            count += rollup->counts[i];
    return count;
}

/* ceil(count * permille / 1000) without overflow, at least 1. */
static uint64_t nearest_rank(uint64_t count, unsigned permille)
{
    uint64_t rank = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
    return rank ? rank : 1;
}

uint32_t meshping_rollup_percentile(const meshping_rollup *rollup, unsigned permille)
{
    uint64_t count = rollup->counts[MESHPING_OUTCOME_OK], seen = 0;
    if (count == 0 || permille == 0)
        return rollup->min_us;
    if (permille >= 1000)
        return rollup->max_us;
    uint64_t rank = nearest_rank(count, permille);
    for (unsigned i = 0; i < MESHPING_HISTOGRAM_BUCKETS; i++) {
        seen += rollup->buckets[i];
        if (seen < rank)
            continue;
        uint32_t first_us, last_us;
        meshping_histogram_bounds(i, &first_us, &last_us);
        uint32_t middle_us = first_us + (last_us - first_us + 1) / 2;
        if (middle_us > rollup->max_us)
            return rollup->max_us;
        return middle_us < rollup->min_us ? rollup->min_us : middle_us;
    }
    return rollup->max_us;
}
