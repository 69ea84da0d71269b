/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What many samples come to: counts by outcome, minimum, maximum, exact sum, and a histogram of round-trip times that
 * merges without loss. And a series as at most N points. Pure: no clock, no store.
 *
 * The histogram has fixed log-linear buckets: 16 an octave from 32 us on, one a microsecond below. Merging adds counts,
 * so it is exact, associative and commutative, and two machines always agree. A percentile is off by at most 1/32
 * (3.2 %) of the true one. After C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-Mergeable Quantile
 * Sketch with Relative-Error Guarantees", PVLDB 12 (2019), with the bucket mapping of HdrHistogram (whole numbers
 * instead of a logarithm).
 */
#ifndef MESHPING_ROLLUP_H
#define MESHPING_ROLLUP_H

#include <meshping/sample.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_HISTOGRAM_BUCKETS 464 /* for round-trip times of 0 to 2^32 - 1 us */

/* The bucket of a round-trip time, 0..MESHPING_HISTOGRAM_BUCKETS - 1. */
MESHPING_API unsigned meshping_histogram_bucket(uint32_t rtt_us);
/* The first and the last round-trip time of a bucket. */
MESHPING_API void meshping_histogram_bounds(unsigned bucket, uint32_t *first_us, uint32_t *last_us);

typedef struct meshping_rollup {
    uint64_t counts[MESHPING_OUTCOME_COUNT]; /* samples by outcome; [MESHPING_OUTCOME_OK]: replies */
    uint64_t sum_us;                         /* of the replies' round-trip times, exact */
    uint32_t min_us, max_us;                 /* of the replies; 0 when there are none */
    uint64_t buckets[MESHPING_HISTOGRAM_BUCKETS];
} meshping_rollup;

/* Start from {0}. A sample with an outcome of MESHPING_OUTCOME_COUNT or more is left out. */
MESHPING_API void meshping_rollup_add(meshping_rollup *rollup, const meshping_sample *sample);
MESHPING_API void meshping_rollup_merge(meshping_rollup *into, const meshping_rollup *from);
/* How many samples were of a class: replies, the target's losses, the agent's own trouble. */
MESHPING_API uint64_t meshping_rollup_count(const meshping_rollup *rollup, meshping_outcome_class of_class);
/*
 * The round-trip time that `permille` of 1000 replies do not exceed (nearest rank: 500 the median, 0 the minimum, 1000
 * the maximum), within 1/32 of the true one, and between minimum and maximum. 0 without replies.
 */
MESHPING_API uint32_t meshping_rollup_percentile(const meshping_rollup *rollup, unsigned permille);

/* ---- at most N points ---- */

/* All samples with from_us <= slot < to_us, none left out: one lost probe among a day of replies is still there. */
typedef struct meshping_point {
    int64_t from_us,
        to_us; /* microseconds since 1970; multiples of the step (or of an hour, where only roll-ups are) */
    uint64_t counts[MESHPING_OUTCOME_COUNT];
    uint64_t sum_us;
    uint32_t min_us, max_us;
    uint32_t p50_us, p95_us, p99_us; /* within 1/32 */
} meshping_point;

#define MESHPING_POINTS_MIN 2u /* a stretch of time may always lie across a boundary */
#define MESHPING_POINTS_MAX 100000u

/*
 * The shortest step at which from_us..to_us touches at most max_points steps: 1, 2, 5, 10, 15, 30 s, min; 1, 2, 3, 6,
 * 12 h; 1, 2, 4, 8, ... days. Steps begin at multiples of themselves since 1970 (UTC), so that the same time is cut the
 * same way whatever is asked. 0: max_points is out of bounds, from_us is before 1970 or not before to_us, or to_us is
 * after the year 4000.
 */
MESHPING_API int64_t meshping_points_step(int64_t from_us, int64_t to_us, size_t max_points);
/*
 * Samples (ascending by slot) as points of step_us; those without a sample are left out. *points is the caller's
 * (meshping_free), NULL when there are none. INVALID: the step is below 1; NOMEM.
 */
MESHPING_API meshping_status meshping_points_of_samples(const meshping_sample *samples, size_t sample_count,
                                                        int64_t step_us, meshping_point **points, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
