/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk of a sample block: the series of some targets, column by column. docs/BLOCK.md describes every byte. */
#include "core/block.h"

#include "base/alloc.h"
#include "core/bits.h"
#include "core/block_predict.h"
#include <string.h>

#define OWN_PARAMS_FROM 64 /* samples a series, on average: below it one set serves the whole chunk */

/* ---- encoding ---- */

static unsigned outcome_of(const meshping_sample *sample)
{
    return sample->outcome;
}

static unsigned flags_of(const meshping_sample *sample)
{
    return sample->flags;
}

/* Runs of equal values other than 0: how many, then each as samples since the last run, length, value. */
static void encode_runs(meshping__bytes *out, const meshping__block_row *rows, size_t count,
                        unsigned (*value)(const meshping_sample *))
{
    size_t runs = 0, end = 0; /* of the last run */
    for (size_t i = 0; i < count; i++)
        runs += value(&rows[i].sample) && (i == 0 || value(&rows[i - 1].sample) != value(&rows[i].sample));
    meshping__bytes_varint(out, runs);
    for (size_t i = 0; i < count;) {
        size_t next = i + 1;
        while (next < count && value(&rows[next].sample) == value(&rows[i].sample))
            next++;
        if (value(&rows[i].sample)) {
            meshping__bytes_varint(out, i - end);
            meshping__bytes_varint(out, next - i);
            meshping__bytes_varint(out, value(&rows[i].sample));
            end = next;
        }
        i = next;
    }
}

static uint64_t distance(const meshping__block_row *row)
{
    return (uint64_t)(row[0].sample.slot_unix_us - row[-1].sample.slot_unix_us);
}

/* Of each irregular series: runs of equal distances, each as distance and length. */
static void encode_slots(meshping__bytes *out, const meshping__block_row *rows, size_t count)
{
    for (size_t start = 0, n; start < count; start += n) {
        const meshping__block_row *series = rows + start;
        n = meshping__block_series(series, count - start);
        if (n == 1 || meshping__block_step(series, n))
            continue;
        for (size_t i = 1; i < n;) {
            size_t next = i + 1;
            while (next < n && distance(&series[next]) == distance(&series[i]))
                next++;
            meshping__bytes_varint(out, distance(&series[i]));
            meshping__bytes_varint(out, next - i);
            i = next;
        }
    }
}

typedef struct columns {
    meshping__bytes meta, escapes, symbols, low;
    meshping__bit_writer bits;
} columns;

static void encode_replies(columns *to, meshping__predictor *predictor, const meshping__block_row *rows, size_t count,
                           meshping__predict_params params)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || rows[i].target_id != rows[i - 1].target_id)
            predictor->fresh = true;
        if (rows[i].sample.outcome != MESHPING_OUTCOME_OK)
            continue;
        int64_t off = (int64_t)rows[i].sample.rtt_us - meshping__predict(predictor);
        uint64_t symbol = meshping__zigzag(off >> params.low_bits);
        bool escaped = symbol >= MESHPING__SYMBOL_ESCAPE;
        meshping__bytes_u8(&to->symbols, (uint8_t)(escaped ? MESHPING__SYMBOL_ESCAPE : symbol));
        if (escaped)
            meshping__bytes_zigzag(&to->escapes, off);
        else
            meshping__bits_put(&to->bits, (uint64_t)off & (((uint64_t)1 << params.low_bits) - 1), params.low_bits);
        meshping__predictor_learn(predictor, rows[i].sample.rtt_us, escaped, params.shift);
    }
}

static void encode_params(meshping__bytes *out, size_t series, meshping__predict_params params)
{
    meshping__bytes_varint(out, series);
    meshping__bytes_u8(out, (uint8_t)(params.shift << 5 | params.low_bits));
}

static void encode_codes(columns *to, const meshping__block_row *rows, size_t count, meshping__block_effort effort)
{
    meshping__predictor predictor = {0};
    size_t series = 0;
    for (size_t i = 0; i < count; i += meshping__block_series(rows + i, count - i))
        series++;
    if (count < series * OWN_PARAMS_FROM) {
        meshping__predict_params params = meshping__predict_choose(rows, count, effort);
        encode_params(&to->meta, series, params);
        encode_replies(to, &predictor, rows, count, params);
        return;
    }
    meshping__predict_params *params = meshping__malloc(series * sizeof *params);
    if (!params) {
        to->meta.failed = true;
        return;
    }
    for (size_t i = 0, n, at = 0; i < count; i += n, at++) {
        n = meshping__block_series(rows + i, count - i);
        params[at] = meshping__predict_choose(rows + i, n, effort);
    }
    if (effort == MESHPING__EFFORT_LONG)
        meshping__predict_fit(rows, count, params, series);
    for (size_t i = 0, n, at = 0; i < count; i += n, at++) {
        n = meshping__block_series(rows + i, count - i);
        encode_params(&to->meta, 1, params[at]);
        encode_replies(to, &predictor, rows + i, n, params[at]);
    }
    meshping__free(params);
}

void meshping__chunk_encode(struct ZSTD_CCtx_s *packer, meshping__bytes *out, const meshping__block_row *rows,
                            size_t count, meshping__block_effort effort)
{
    columns to = {0};
    to.bits.out = &to.low;
    encode_runs(&to.meta, rows, count, outcome_of);
    encode_runs(&to.meta, rows, count, flags_of);
    encode_slots(&to.meta, rows, count);
    encode_codes(&to, rows, count, effort);
    meshping__bits_end(&to.bits);
    meshping__bytes_put(&to.meta, to.escapes.data, to.escapes.length);
    out->failed = out->failed || to.escapes.failed || to.low.failed;
    meshping__section_write(packer, out, &to.meta, effort);
    meshping__section_write(packer, out, &to.symbols, effort);
    meshping__bytes_put(out, to.low.data, to.low.length);
    meshping__bytes_dispose(&to.meta);
    meshping__bytes_dispose(&to.escapes);
    meshping__bytes_dispose(&to.symbols);
    meshping__bytes_dispose(&to.low);
}

/* ---- decoding ---- */

typedef struct run {
    uint64_t skip, length, value;
} run;

static bool read_run(meshping__reader *reader, size_t left, uint64_t value_max, run *out)
{
    out->skip = meshping__read_varint(reader);
    out->length = meshping__read_varint(reader);
    out->value = meshping__read_varint(reader);
    return !reader->failed && out->value > 0 && out->value <= value_max && out->skip <= left && out->length > 0 &&
           out->length <= left - out->skip;
}

/* The runs of outcomes, or of flags, into zeroed samples. */
static bool decode_runs(meshping__reader *reader, meshping_sample *samples, size_t count, bool flags)
{
    uint64_t runs = meshping__read_varint(reader), value_max = flags ? UINT16_MAX : MESHPING_OUTCOME_COUNT - 1;
    size_t at = 0;
    run next;
    for (; runs > 0; runs--) {
        if (!read_run(reader, count - at, value_max, &next))
            return false;
        at += (size_t)next.skip;
        for (size_t end = at + (size_t)next.length; at < end; at++) {
            if (flags)
                samples[at].flags = (uint16_t)next.value;
            else
                samples[at].outcome = (uint8_t)next.value;
        }
    }
    return !reader->failed;
}

static bool decode_slots(meshping__reader *reader, const meshping__block_entry *entry, meshping_sample *samples)
{
    size_t count = entry->entry.sample_count;
    uint64_t at_us = 0, span_us = (uint64_t)(entry->entry.last_unix_us - entry->entry.first_unix_us);
    samples[0].slot_unix_us = entry->entry.first_unix_us;
    for (size_t i = 1; i < count;) {
        uint64_t step_us = entry->step_us ? entry->step_us : meshping__read_varint(reader);
        uint64_t length = entry->step_us ? count - 1 : meshping__read_varint(reader);
        if (reader->failed || step_us == 0 || length == 0 || length > count - i || step_us > (span_us - at_us) / length)
            return false;
        for (size_t end = i + (size_t)length; i < end; i++) {
            at_us += step_us;
            samples[i].slot_unix_us = entry->entry.first_unix_us + (int64_t)at_us;
        }
    }
    return at_us == span_us;
}

typedef struct source {
    meshping__reader meta, symbols;
    meshping__bit_reader bits;
    meshping__predictor predictor;
} source;

static inline bool decode_reply(source *from, meshping__predict_params params, meshping_sample *sample)
{
    unsigned symbol = meshping__read_u8(&from->symbols);
    bool escaped = symbol == MESHPING__SYMBOL_ESCAPE;
    int64_t off, rtt_us;
    if (escaped)
        off = meshping__read_zigzag(&from->meta);
    else
        off = ((int64_t)(symbol >> 1) ^ -(int64_t)(symbol & 1)) * ((int64_t)1 << params.low_bits) +
              (int64_t)meshping__bits_get(&from->bits, params.low_bits);
    if (__builtin_add_overflow(meshping__predict(&from->predictor), off, &rtt_us) || rtt_us < 0 ||
        rtt_us > (int64_t)MESHPING_RTT_US_MAX)
        return false;
    sample->rtt_us = (uint32_t)rtt_us;
    meshping__predictor_learn(&from->predictor, rtt_us, escaped, params.shift);
    return true;
}

/* Over the parameters of a chunk of `count` series: they stand before the escapes, and are read in a walk of their own.
 */
static bool skip_params(meshping__reader *meta, size_t count)
{
    for (uint64_t done = 0; done < count;) {
        uint64_t series = meshping__read_varint(meta);
        uint8_t packed = meshping__read_u8(meta);
        if (meta->failed || series == 0 || series > count - done || (packed & 31) > MESHPING__LOW_BITS_MAX)
            return false;
        done += series;
    }
    return true;
}

typedef struct params_walk {
    meshping__reader runs;
    uint64_t covered; /* series for which the parameters at hand hold */
    meshping__predict_params params;
} params_walk;

/* Of the next series. */
static inline meshping__predict_params next_params(params_walk *walk)
{
    if (walk->covered == 0) {
        walk->covered = meshping__read_varint(&walk->runs);
        uint8_t packed = meshping__read_u8(&walk->runs);
        walk->params = (meshping__predict_params){packed >> 5, packed & 31u};
    }
    walk->covered--;
    return walk->params;
}

/* Of the first `wanted` series; the chunk has `count`. */
static bool decode_codes(source *from, const meshping__block_entry *entries, size_t count, size_t wanted,
                         meshping_sample *samples)
{
    params_walk walk = {.runs = from->meta};
    if (!skip_params(&from->meta, count))
        return false;
    for (size_t i = 0; i < wanted; i++) {
        meshping__predict_params params = next_params(&walk);
        from->predictor.fresh = true;
        for (uint32_t j = 0; j < entries[i].entry.sample_count; j++, samples++)
            if (samples->outcome == MESHPING_OUTCOME_OK && !decode_reply(from, params, samples))
                return false;
    }
    if (from->meta.failed || from->symbols.failed || from->bits.bytes.failed)
        return false;
    return wanted < count || (from->symbols.at == from->symbols.end && meshping__bits_at_end(&from->bits));
}

static const char *decode(source *from, const meshping__block_entry *entries, const meshping__block_chunk *chunk,
                          size_t wanted, meshping_sample *samples)
{
    memset(samples, 0, chunk->sample_count * sizeof *samples);
    if (!decode_runs(&from->meta, samples, chunk->sample_count, false))
        return "a chunk's outcomes are damaged";
    if (!decode_runs(&from->meta, samples, chunk->sample_count, true))
        return "a chunk's flags are damaged";
    for (size_t i = 0; i < chunk->entry_count; i++)
        if (!decode_slots(&from->meta, &entries[i], samples + entries[i].start))
            return "a series' slots are damaged";
    if (!decode_codes(from, entries, chunk->entry_count, wanted, samples))
        return "a chunk's results are damaged";
    return wanted < chunk->entry_count || from->meta.at == from->meta.end ? NULL
                                                                          : "there are bytes after a chunk's end";
}

/* A chunk's sections, unpacked. */
typedef struct sections {
    uint8_t *meta, *symbols;
    bool nomem;
} sections;

static bool open_sections(sections *out, const meshping__block_chunk *chunk, meshping__unzip *unzip, source *from)
{
    meshping__reader reader = meshping__reader_of(chunk->bytes, chunk->length);
    size_t meta_length, symbol_length, count = chunk->sample_count;
    /* an outcome's run, a flags' run, a slot and an escape at most for each sample; parameters for each series */
    size_t meta_max = count * (7 + 9 + 13 + 10) + chunk->entry_count * (size_t)4 + 8;
    *out = (sections){0};
    if (!meshping__section_read(&reader, unzip, meta_max, &out->meta, &meta_length, &out->nomem) ||
        !meshping__section_read(&reader, unzip, count, &out->symbols, &symbol_length, &out->nomem))
        return false;
    *from = (source){.meta = meshping__reader_of(out->meta, meta_length),
                     .symbols = meshping__reader_of(out->symbols, symbol_length),
                     .bits = {.bytes = reader}};
    return true;
}

static void close_sections(sections *s)
{
    meshping__free(s->meta);
    meshping__free(s->symbols);
}

meshping_status meshping__chunk_decode(const meshping__block_directory *directory, const meshping__block_chunk *chunk,
                                       size_t wanted, meshping__unzip *unzip, meshping_sample *samples,
                                       meshping_error *err)
{
    sections s;
    source from;
    const char *wrong = "a chunk is damaged";
    if (open_sections(&s, chunk, unzip, &from))
        wrong = decode(&from, directory->entries + chunk->first_entry, chunk, wanted, samples);
    close_sections(&s);
    if (s.nomem)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    return wrong ? meshping_error_set(err, MESHPING_CORRUPT, "sample block: %s", wrong) : MESHPING_OK;
}

/* ---- one series ---- */

/* Goes through the runs of outcomes, or of flags, beside the samples. */
typedef struct run_walk {
    meshping__reader runs;
    uint64_t left;   /* runs */
    size_t from, to; /* the samples of the run at hand */
    uint64_t value;
} run_walk;

/* Passes over the runs in `meta`, and begins to walk them; false: damaged. */
static bool open_runs(run_walk *walk, meshping__reader *meta, size_t count, uint64_t value_max)
{
    uint64_t runs = meshping__read_varint(meta);
    size_t at = 0;
    run next;
    *walk = (run_walk){.runs = *meta, .left = runs};
    for (; runs > 0; runs--) {
        if (!read_run(meta, count - at, value_max, &next))
            return false;
        at += (size_t)(next.skip + next.length);
    }
    return !meta->failed;
}

/* Of sample i, which is not before the one asked for last. */
static inline unsigned value_at(run_walk *walk, size_t i)
{
    while (i >= walk->to && walk->left) {
        walk->left--;
        walk->from = walk->to + (size_t)meshping__read_varint(&walk->runs);
        walk->to = walk->from + (size_t)meshping__read_varint(&walk->runs);
        walk->value = meshping__read_varint(&walk->runs);
    }
    return i >= walk->from && i < walk->to ? (unsigned)walk->value : 0;
}

/* Where the run at hand, or the stretch before the next, ends; `at` was asked for last. */
static size_t run_end(const run_walk *walk, size_t at, size_t count)
{
    if (at < walk->from)
        return walk->from;
    return at < walk->to ? walk->to : count;
}

/* So many replies, each told by the one before it, all by the same parameters; *rtt_us is the last one's. */
static bool add_replies(source *from, meshping__predict_params params, size_t count, int64_t *rtt_us)
{
    meshping__reader symbols = from->symbols;
    meshping__bit_reader bits = from->bits; /* both in registers */
    int64_t sum = *rtt_us, off;
    bool good = (size_t)(symbols.end - symbols.at) >= count;
    for (; good && count > 0; count--) {
        unsigned symbol = *symbols.at++;
        if (symbol == MESHPING__SYMBOL_ESCAPE)
            off = meshping__read_zigzag(&from->meta);
        else
            off = ((int64_t)(symbol >> 1) ^ -(int64_t)(symbol & 1)) * ((int64_t)1 << params.low_bits) +
                  (int64_t)meshping__bits_get(&bits, params.low_bits);
        good = !__builtin_add_overflow(sum, off, &sum) && sum >= 0 && sum <= (int64_t)MESHPING_RTT_US_MAX;
    }
    from->symbols = symbols;
    from->bits = bits;
    *rtt_us = sum;
    return good;
}

/* Of one round: every series is one sample, so what is expected of it is the reply before it. */
static bool decode_of_round(source *from, size_t wanted, run_walk *outcomes, params_walk *walk, meshping_sample *sample)
{
    int64_t rtt_us = 0;
    for (size_t at = 0; at <= wanted;) {
        meshping__predict_params params = next_params(walk);
        size_t end = walk->covered < wanted - at ? at + 1 + (size_t)walk->covered : wanted + 1;
        walk->covered = 0;
        while (at < end) {
            sample->outcome = (uint8_t)value_at(outcomes, at);
            size_t next = run_end(outcomes, at, end);
            next = next < end ? next : end;
            if (sample->outcome == MESHPING_OUTCOME_OK && !add_replies(from, params, next - at, &rtt_us))
                return false;
            at = next;
        }
    }
    sample->rtt_us = sample->outcome == MESHPING_OUTCOME_OK ? (uint32_t)rtt_us : 0;
    return true;
}

/* The replies before the wanted series count for what is expected of its first. */
static bool decode_one(source *from, const meshping__block_glance *glance, meshping_sample *samples)
{
    const meshping__block_entry *found = &glance->found;
    meshping__column_walk counts = meshping__column_from(&glance->counts, glance->chunk.first_entry);
    run_walk outcomes, flags;
    size_t at = 0, count = glance->chunk.sample_count;
    if (!open_runs(&outcomes, &from->meta, count, MESHPING_OUTCOME_COUNT - 1) ||
        !open_runs(&flags, &from->meta, count, UINT16_MAX))
        return false;
    params_walk walk = {.runs = from->meta};
    if (!skip_params(&from->meta, glance->chunk.entry_count))
        return false;
    if (glance->counts.width == 0 && glance->counts.low == 1) {
        samples[0] = (meshping_sample){.slot_unix_us = found->entry.first_unix_us,
                                       .flags = (uint16_t)value_at(&flags, glance->wanted)};
        return decode_of_round(from, glance->wanted, &outcomes, &walk, samples) && !from->meta.failed &&
               !from->bits.bytes.failed;
    }
    for (uint32_t i = 0; i <= glance->wanted; i++) {
        meshping__predict_params params = next_params(&walk);
        from->predictor.fresh = true;
        for (size_t end = at + meshping__column_next(&counts); at < end; at++) {
            meshping_sample sample = {.outcome = (uint8_t)value_at(&outcomes, at)};
            if (sample.outcome == MESHPING_OUTCOME_OK && !decode_reply(from, params, &sample))
                return false;
            if (i < glance->wanted)
                continue;
            size_t k = at - found->start;
            sample.slot_unix_us = found->entry.first_unix_us + (int64_t)(k * found->step_us);
            sample.flags = (uint16_t)value_at(&flags, at);
            samples[k] = sample;
        }
    }
    return !from->meta.failed && !from->symbols.failed && !from->bits.bytes.failed;
}

meshping_status meshping__chunk_decode_one(const meshping__block_glance *glance, meshping__unzip *unzip,
                                           meshping_sample *samples)
{
    sections s;
    source from;
    bool good = open_sections(&s, &glance->chunk, unzip, &from) && decode_one(&from, glance, samples);
    close_sections(&s);
    return good ? MESHPING_OK : s.nomem ? MESHPING_NOMEM : MESHPING_CORRUPT;
}
