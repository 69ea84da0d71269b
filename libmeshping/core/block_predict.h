/* SPDX-License-Identifier: Apache-2.0 */
/* How a chunk's RTTs are told: each as its distance from what those before it let expect. */
#ifndef MESHPING_CORE_BLOCK_PREDICT_H
#define MESHPING_CORE_BLOCK_PREDICT_H

#include "core/block.h"

#define MESHPING__SHIFT_MAX 7u     /* how slowly the expectation follows: by 1/2^shift */
#define MESHPING__LOW_BITS_MAX 24u /* of a distance, told beside the symbol */
#define MESHPING__SYMBOL_ESCAPE 255u

typedef struct meshping__predict_params {
    unsigned shift, low_bits;
} meshping__predict_params;

typedef struct meshping__predictor {
    int64_t level; /* what is expected, in 1/16 us */
    bool fresh;    /* no reply of this series yet */
    bool escaped;  /* the reply before was far off */
} meshping__predictor;

static inline int64_t meshping__predict(const meshping__predictor *predictor)
{
    return predictor->level >> 4;
}

/* One spike moves nothing; two in a row are the new truth. */
static inline void meshping__predictor_learn(meshping__predictor *predictor, int64_t rtt_us, bool escaped,
                                             unsigned shift)
{
    if (predictor->fresh || (escaped && predictor->escaped))
        predictor->level = rtt_us * 16;
    else if (!escaped)
        predictor->level += (rtt_us * 16 - predictor->level) >> shift;
    predictor->fresh = false;
    predictor->escaped = escaped;
}

static inline uint64_t meshping__zigzag(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

/* The cheapest way found to tell rows[0..count), of one series or of many. */
meshping__predict_params meshping__predict_choose(const meshping__block_row *rows, size_t count,
                                                  meshping__block_effort effort);
/* The same again for each series in rows[0..count), from params[series] on, so that one code suits them all. */
void meshping__predict_fit(const meshping__block_row *rows, size_t count, meshping__predict_params *params,
                           size_t series);

#endif
