/* SPDX-License-Identifier: Apache-2.0 */
#include "core/block_predict.h"

#include "base/alloc.h"

#include <meshping/sample.h>
#include <string.h>

#define ESCAPE_BITS 24    /* about what the value of an escaped one takes */
#define PROBE_SAMPLES 960 /* of a long series: they tell enough of the rest */
#define FIT_ROUNDS 2
#define SYMBOL_BITS 4 /* what a symbol's place in the code table takes */

/* log2(n) in 1/256, to about 1%; n > 0 */
static uint64_t log2_256(uint64_t n)
{
    unsigned whole = 63 - (unsigned)__builtin_clzll(n);
    uint64_t part = whole >= 8 ? (n >> (whole - 8)) & 0xff : (n << (8 - whole)) & 0xff;
    return whole * 256 + part + (part * (256 - part) * 88 >> 16);
}

/* How often each symbol comes with these parameters; distances' lengths go to lengths[65] unless NULL. */
static void count_symbols(const meshping__block_row *rows, size_t count, meshping__predict_params params,
                          uint32_t seen[256], size_t *lengths)
{
    meshping__predictor predictor = {0};
    uint64_t target_id = 0;
    memset(seen, 0, 256 * sizeof *seen);
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
    }
}

/* What stands beside the symbols, in 1/256 bits. */
static uint64_t beside(const uint32_t seen[256], uint64_t total, unsigned low_bits)
{
    return 256 * (low_bits * (total - seen[255]) + (uint64_t)ESCAPE_BITS * seen[255]);
}

static uint64_t sum(const uint32_t seen[256])
{
    uint64_t total = 0;
    for (size_t i = 0; i < 256; i++)
        total += seen[i];
    return total;
}

/* What so many of each symbol take with the code made for them, in 1/256 bits. */
static uint64_t coded(const uint32_t seen[256], uint64_t total)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < 256; i++)
        if (seen[i])
            bits += seen[i] * (log2_256(total) - log2_256(seen[i])) + SYMBOL_BITS * 256;
    return bits;
}

/* Bits that the samples take with these parameters and a code of their own, in 1/256. */
static uint64_t cost(const meshping__block_row *rows, size_t count, meshping__predict_params params)
{
    uint32_t seen[256];
    count_symbols(rows, count, params, seen, NULL);
    uint64_t total = sum(seen);
    return coded(seen, total) + beside(seen, total, params.low_bits);
}

/* The low bits that leave half of the distances below 16 symbols. */
static unsigned middle(const meshping__block_row *rows, size_t count, unsigned shift)
{
    size_t lengths[65] = {0}, total = 0, below = 0;
    uint32_t seen[256];
    unsigned length = 0;
    count_symbols(rows, count, (meshping__predict_params){shift, MESHPING__LOW_BITS_MAX}, seen, lengths);
    for (size_t i = 0; i < 65; i++)
        total += lengths[i];
    while (length < 64 && (below += lengths[length]) * 2 < total)
        length++;
    length = length > 4 ? length - 4 : 0;
    return length < MESHPING__LOW_BITS_MAX ? length : MESHPING__LOW_BITS_MAX;
}

/* The part of a long series that is looked at. */
static size_t probe(const meshping__block_row **rows, size_t count)
{
    if (count <= PROBE_SAMPLES)
        return count;
    *rows += (count - PROBE_SAMPLES) / 2;
    return PROBE_SAMPLES;
}

meshping__predict_params meshping__predict_choose(const meshping__block_row *rows, size_t count,
                                                  meshping__block_effort effort)
{
    bool single = rows[0].target_id != rows[count - 1].target_id &&
                  meshping__block_series(rows, count) == 1; /* a round of many targets: nothing to follow */
    if (rows[0].target_id == rows[count - 1].target_id)
        count = probe(&rows, count);
    unsigned stride = effort == MESHPING__EFFORT_LIVE ? 3 : 1;
    meshping__predict_params best = {0, 0};
    uint64_t least = UINT64_MAX;
    for (unsigned shift = 0; shift <= (single ? 0 : MESHPING__SHIFT_MAX); shift += stride) {
        unsigned low_bits = middle(rows, count, shift);
        for (unsigned k = low_bits ? low_bits - 1 : 0; k <= low_bits + 1 && k <= MESHPING__LOW_BITS_MAX; k++) {
            meshping__predict_params params = {shift, k};
            uint64_t bits = cost(rows, count, params);
            if (bits < least) {
                least = bits;
                best = params;
            }
        }
    }
    return best;
}

/* ---- many series with one code ---- */

/* What each symbol takes when so many of each are there, in 1/256 bits; one that is not there yet could come. */
static void make_code(const uint32_t all[256], uint32_t code[256])
{
    uint64_t total = sum(all) + 256;
    for (size_t i = 0; i < 256; i++)
        code[i] = (uint32_t)(log2_256(total) - log2_256(all[i] + 1));
}

/* The low bits by which the series fits best to all others; all[] is kept. True: they are others than before. */
static bool fit(const meshping__block_row *rows, size_t count, meshping__predict_params *params, uint32_t all[256])
{
    uint32_t code[256], seen[256], best_seen[256];
    const unsigned before = params->low_bits;
    uint64_t least = UINT64_MAX;
    count = probe(&rows, count);
    count_symbols(rows, count, *params, seen, NULL);
    for (size_t i = 0; i < 256; i++)
        all[i] -= seen[i];
    make_code(all, code);
    for (unsigned k = before ? before - 1 : 0; k <= before + 1 && k <= MESHPING__LOW_BITS_MAX; k++) {
        count_symbols(rows, count, (meshping__predict_params){params->shift, k}, seen, NULL);
        uint64_t bits = beside(seen, sum(seen), k);
        for (size_t i = 0; i < 256; i++)
            bits += (uint64_t)seen[i] * code[i];
        if (bits < least) {
            least = bits;
            params->low_bits = k;
            memcpy(best_seen, seen, sizeof seen);
        }
    }
    for (size_t i = 0; i < 256; i++)
        all[i] += best_seen[i];
    return params->low_bits != before;
}

/* Bits of all series with one code, in 1/256; all[]: how often each symbol comes. */
static uint64_t cost_together(const meshping__block_row *rows, size_t count, const meshping__predict_params *params,
                              uint32_t all[256])
{
    uint64_t bits = 0;
    uint32_t seen[256];
    memset(all, 0, 256 * sizeof *all);
    for (size_t i = 0, n; i < count; i += n, params++) {
        n = meshping__block_series(rows + i, count - i);
        const meshping__block_row *part = rows + i;
        size_t length = probe(&part, n);
        count_symbols(part, length, *params, seen, NULL);
        bits += beside(seen, sum(seen), params->low_bits);
        for (size_t k = 0; k < 256; k++)
            all[k] += seen[k];
    }
    return bits + coded(all, sum(all));
}

void meshping__predict_fit(const meshping__block_row *rows, size_t count, meshping__predict_params *params,
                           size_t series)
{
    uint32_t all[256];
    meshping__predict_params *before = meshping__malloc(series * sizeof *before);
    if (!before)
        return; /* as they are, they will do */
    memcpy(before, params, series * sizeof *before);
    uint64_t bits = cost_together(rows, count, params, all);
    bool changed = true;
    for (unsigned round = 0; changed && round < FIT_ROUNDS; round++) {
        changed = false;
        for (size_t i = 0, n, at = 0; i < count; i += n, at++) {
            n = meshping__block_series(rows + i, count - i);
            changed |= fit(rows + i, n, &params[at], all);
        }
    }
    if (cost_together(rows, count, params, all) >= bits)
        memcpy(params, before, series * sizeof *before);
    meshping__free(before);
}
