/* SPDX-License-Identifier: Apache-2.0 */
#include "core/block_predict.h"

#include <meshping/sample.h>

#define ESCAPE_BITS 24    /* about what the value of an escaped one takes */
#define PROBE_SAMPLES 960 /* of a long series: they tell enough of the rest */
#define SYMBOL_BITS 4     /* what a symbol's place in the code table takes */

/* log2(n) in 1/256, to about 1%; n > 0 */
static uint64_t log2_256(uint64_t n)
{
    unsigned whole = 63 - (unsigned)__builtin_clzll(n);
    uint64_t part = whole >= 8 ? (n >> (whole - 8)) & 0xff : (n << (8 - whole)) & 0xff;
    return whole * 256 + part + (part * (256 - part) * 88 >> 16);
}

/* Bits that the samples take with these parameters, in 1/256; distances' lengths go to lengths[65] unless NULL. */
static uint64_t cost(const meshping__block_row *rows, size_t count, meshping__predict_params params, size_t *lengths)
{
    uint32_t seen[256] = {0};
    meshping__predictor predictor = {0};
    uint64_t target_id = 0, total = 0, bits = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].target_id != target_id) {
            target_id = rows[i].target_id;
            predictor.fresh = true;
        }
        if (rows[i].sample.outcome != MESHPING_OUTCOME_OK)
            continue;
        int64_t distance = (int64_t)rows[i].sample.rtt_us - meshping__predict(&predictor);
        uint64_t symbol = meshping__zigzag(distance >> params.low_bits);
        bool escaped = symbol >= MESHPING__SYMBOL_ESCAPE;
        if (lengths)
            lengths[distance ? 64 - __builtin_clzll((uint64_t)(distance < 0 ? -distance : distance)) : 0]++;
        seen[escaped ? MESHPING__SYMBOL_ESCAPE : symbol]++;
        meshping__predictor_learn(&predictor, rows[i].sample.rtt_us, escaped, params.shift);
        total++;
    }
    for (size_t i = 0; i < 256; i++)
        if (seen[i])
            bits += seen[i] * (log2_256(total) - log2_256(seen[i])) + SYMBOL_BITS * 256;
    return bits + 256 * (params.low_bits * (total - seen[255]) + (uint64_t)ESCAPE_BITS * seen[255]);
}

/* The low bits that leave half of the distances below 16 symbols. */
static unsigned middle(const meshping__block_row *rows, size_t count, unsigned shift)
{
    size_t lengths[65] = {0}, total = 0, below = 0;
    unsigned length = 0;
    cost(rows, count, (meshping__predict_params){shift, MESHPING__LOW_BITS_MAX}, lengths);
    for (size_t i = 0; i < 65; i++)
        total += lengths[i];
    while (length < 64 && (below += lengths[length]) * 2 < total)
        length++;
    length = length > 4 ? length - 4 : 0;
    return length < MESHPING__LOW_BITS_MAX ? length : MESHPING__LOW_BITS_MAX;
}

meshping__predict_params meshping__predict_choose(const meshping__block_row *rows, size_t count,
                                                  meshping__block_effort effort)
{
    bool single = rows[0].target_id != rows[count - 1].target_id &&
                  meshping__block_series(rows, count) == 1; /* a round of many targets: nothing to follow */
    if (count > PROBE_SAMPLES && rows[0].target_id == rows[count - 1].target_id) {
        rows += (count - PROBE_SAMPLES) / 2;
        count = PROBE_SAMPLES;
    }
    unsigned stride = effort == MESHPING__EFFORT_LIVE ? 3 : 1;
    meshping__predict_params best = {0, 0};
    uint64_t least = UINT64_MAX;
    for (unsigned shift = 0; shift <= (single ? 0 : MESHPING__SHIFT_MAX); shift += stride) {
        unsigned low_bits = middle(rows, count, shift);
        for (unsigned k = low_bits ? low_bits - 1 : 0; k <= low_bits + 1 && k <= MESHPING__LOW_BITS_MAX; k++) {
            meshping__predict_params params = {shift, k};
            uint64_t bits = cost(rows, count, params, NULL);
            if (bits < least) {
                least = bits;
                best = params;
            }
        }
    }
    return best;
}
