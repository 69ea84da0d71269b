/* SPDX-License-Identifier: Apache-2.0 */
#include "store/merge.h"

#include "base/alloc.h"
#include "core/block.h"
#include "store/sql.h"
#include <stdlib.h>

#define STEP_SAMPLES 1024 /* about a millisecond, but for a target that has more */

typedef struct input {
    int64_t id, received_agent_us;
    uint8_t *bytes;
    meshping_block_reader *reader;
    size_t next, count;
    meshping_block_entry entry; /* the next one */
} input;

struct meshping__merge {
    bool journal;
    meshping__merge_series_fn fn;
    void *user;
    input *inputs;
    size_t count, capacity;
    uint32_t
        *heap; /* inputs that have targets left: the least of (target, input) in front; NULL before the first step */
    size_t heap_count;
    meshping_sample *series; /* of one target */
    size_t series_count, series_capacity;
    meshping__unzip unzip; /* of all inputs */
    meshping_block_builder *builder;
    meshping__merged *outputs;
    size_t output_count, output_capacity;
    uint64_t first_target, last_target; /* in the builder */
};

meshping_status meshping__merge_new(meshping__merge **out, bool journal, meshping__merge_series_fn fn, void *user)
{
    meshping__merge *merge = meshping__calloc(1, sizeof *merge);
    if (!merge || meshping_block_builder_new(&merge->builder) != MESHPING_OK) {
        meshping__free(merge);
        return MESHPING_NOMEM;
    }
    meshping__block_builder_set_effort(merge->builder, journal ? MESHPING__EFFORT_SEAL : MESHPING__EFFORT_LONG);
    merge->journal = journal;
    merge->fn = fn;
    merge->user = user;
    *out = merge;
    return MESHPING_OK;
}

static void close_input(input *in)
{
    meshping_block_reader_free(in->reader);
    meshping__free(in->bytes);
    in->reader = NULL;
    in->bytes = NULL;
}

void meshping__merge_free(meshping__merge *merge)
{
    if (!merge)
        return;
    for (size_t i = 0; i < merge->count; i++)
        close_input(&merge->inputs[i]);
    for (size_t i = 0; i < merge->output_count; i++)
        meshping_free(merge->outputs[i].bytes);
    meshping_block_builder_free(merge->builder);
    meshping__unzip_dispose(&merge->unzip);
    meshping__free(merge->inputs);
    meshping__free(merge->heap);
    meshping__free(merge->series);
    meshping__free(merge->outputs);
    meshping__free(merge);
}

meshping_status meshping__merge_add(meshping__merge *merge, int64_t id, const uint8_t *bytes, size_t length,
                                    int64_t received_agent_us)
{
    input in = {.id = id, .received_agent_us = received_agent_us};
    if (!meshping__sql_room((void **)&merge->inputs, &merge->capacity, merge->count, sizeof *merge->inputs))
        return MESHPING_NOMEM;
    in.bytes = meshping__memdup(bytes, length);
    meshping_status status = in.bytes ? meshping__block_reader_make(&in.reader, &merge->unzip) : MESHPING_NOMEM;
    if (status == MESHPING_OK)
        status = meshping__block_reader_open(in.reader, in.bytes, length, false, NULL);
    if (status != MESHPING_OK) {
        close_input(&in);
        return status;
    }
    in.count = meshping_block_reader_target_count(in.reader);
    meshping_block_reader_entry(in.reader, 0, &in.entry);
    merge->inputs[merge->count++] = in;
    return MESHPING_OK;
}

size_t meshping__merge_inputs(const meshping__merge *merge)
{
    return merge->count;
}

const meshping__merged *meshping__merge_outputs(const meshping__merge *merge, size_t *count)
{
    *count = merge->output_count;
    return merge->outputs;
}

/* ---- whose turn it is ---- */

static bool before(const meshping__merge *merge, uint32_t a, uint32_t b)
{
    uint64_t x = merge->inputs[a].entry.target_id, y = merge->inputs[b].entry.target_id;
    return x != y ? x < y : a < b;
}

static void sift_down(meshping__merge *merge, size_t at)
{
    uint32_t *heap = merge->heap, item = heap[at];
    for (size_t child; (child = 2 * at + 1) < merge->heap_count; at = child) {
        if (child + 1 < merge->heap_count && before(merge, heap[child + 1], heap[child]))
            child++;
        if (!before(merge, heap[child], item))
            break;
        heap[at] = heap[child];
    }
    heap[at] = item;
}

static meshping_status begin(meshping__merge *merge)
{
    merge->heap = meshping__malloc((merge->count ? merge->count : 1) * sizeof *merge->heap);
    if (!merge->heap)
        return MESHPING_NOMEM;
    merge->heap_count = merge->count;
    for (size_t i = 0; i < merge->count; i++)
        merge->heap[i] = (uint32_t)i;
    for (size_t i = merge->count / 2; i-- > 0;)
        sift_down(merge, i);
    return MESHPING_OK;
}

/* The input in front goes on to its next target. */
static void advance(meshping__merge *merge)
{
    input *in = &merge->inputs[merge->heap[0]];
    in->next++;
    if (in->next < in->count) {
        meshping_block_reader_entry(in->reader, in->next, &in->entry);
    } else {
        close_input(in);
        merge->heap[0] = merge->heap[--merge->heap_count];
    }
    if (merge->heap_count)
        sift_down(merge, 0);
}

/* ---- one target ---- */

static meshping_status read_entry(meshping__merge *merge, const input *in)
{
    size_t wanted = merge->series_count + in->entry.sample_count, count;
    if (!merge->series || wanted > merge->series_capacity) {
        meshping_sample *grown = meshping__realloc(merge->series, 2 * wanted * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        merge->series = grown;
        merge->series_capacity = 2 * wanted;
    }
    meshping_sample *samples = merge->series + merge->series_count;
    meshping_status status =
        meshping_block_reader_samples(in->reader, in->next, samples, in->entry.sample_count, &count, NULL);
    if (status == MESHPING_OK && merge->journal)
        meshping_samples_mark_late(samples, count, in->received_agent_us);
    if (status == MESHPING_OK)
        merge->series_count += count;
    return status;
}

static int compare_rows(const void *left, const void *right)
{
    const meshping__block_row *a = left, *b = right;
    if (a->sample.slot_unix_us != b->sample.slot_unix_us)
        return a->sample.slot_unix_us < b->sample.slot_unix_us ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* Ascending by slot, none twice, the first one stays. Blocks come in the order of their slots, as a rule. */
static meshping_status put_in_order(meshping__merge *merge)
{
    size_t count = merge->series_count, i = 1, kept = 0;
    while (i < count && merge->series[i - 1].slot_unix_us < merge->series[i].slot_unix_us)
        i++;
    if (i >= count)
        return MESHPING_OK;
    meshping__block_row *rows = meshping__malloc(count * sizeof *rows);
    if (!rows)
        return MESHPING_NOMEM;
    for (i = 0; i < count; i++)
        rows[i] = (meshping__block_row){.sample = merge->series[i], .order = (uint32_t)i};
    qsort(rows, count, sizeof *rows, compare_rows);
    for (i = 0; i < count; i++)
        if (kept == 0 || merge->series[kept - 1].slot_unix_us != rows[i].sample.slot_unix_us)
            merge->series[kept++] = rows[i].sample;
    merge->series_count = kept;
    meshping__free(rows);
    return MESHPING_OK;
}

static meshping_status finish(meshping__merge *merge)
{
    meshping__merged one = {.first_target = merge->first_target,
                            .last_target = merge->last_target,
                            .sample_count = meshping_block_builder_count(merge->builder)};
    if (!meshping__sql_room((void **)&merge->outputs, &merge->output_capacity, merge->output_count,
                            sizeof *merge->outputs))
        return MESHPING_NOMEM;
    meshping_block_builder_span(merge->builder, &one.first_us, &one.last_us);
    meshping_status status = meshping_block_builder_finish(merge->builder, &one.bytes, &one.length);
    if (status == MESHPING_OK)
        merge->outputs[merge->output_count++] = one;
    return status;
}

static meshping_status build(meshping__merge *merge, uint64_t target_id)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; status == MESHPING_OK && i < merge->series_count; i++) {
        status = meshping_block_builder_add(merge->builder, target_id, &merge->series[i]);
        if (status == MESHPING_LIMIT) {
            status = finish(merge);
            if (status == MESHPING_OK)
                status = meshping_block_builder_add(merge->builder, target_id, &merge->series[i]);
        }
        if (meshping_block_builder_count(merge->builder) == 1)
            merge->first_target = target_id;
        merge->last_target = target_id;
    }
    return status;
}

static meshping_status next_target(meshping__merge *merge, int64_t *damaged_id)
{
    uint64_t target_id = merge->inputs[merge->heap[0]].entry.target_id;
    meshping_status status = MESHPING_OK;
    merge->series_count = 0;
    while (merge->heap_count && merge->inputs[merge->heap[0]].entry.target_id == target_id) {
        const input *in = &merge->inputs[merge->heap[0]];
        status = read_entry(merge, in);
        if (status == MESHPING_CORRUPT)
            *damaged_id = in->id;
        if (status != MESHPING_OK)
            return status;
        advance(merge);
    }
    status = put_in_order(merge);
    if (status == MESHPING_OK && merge->fn)
        status = merge->fn(merge->user, target_id, merge->series, merge->series_count);
    return status == MESHPING_OK ? build(merge, target_id) : status;
}

meshping_status meshping__merge_step(meshping__merge *merge, int64_t *damaged_id)
{
    meshping_status status = merge->heap ? MESHPING_OK : begin(merge);
    if (status != MESHPING_OK)
        return status;
    if (merge->heap_count == 0 || meshping_block_builder_count(merge->builder) >= MESHPING__MERGE_SAMPLES)
        return meshping_block_builder_count(merge->builder) ? finish(merge) : MESHPING_NOT_FOUND;
    for (size_t taken = 0; status == MESHPING_OK && taken < STEP_SAMPLES && merge->heap_count &&
                           meshping_block_builder_count(merge->builder) < MESHPING__MERGE_SAMPLES;
         taken += merge->series_count)
        status = next_target(merge, damaged_id);
    return status;
}
