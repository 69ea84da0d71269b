/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/history.h"

#include "common/outcome.h"
#include "meshpingd/series.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)

const history_order history_orders[] = {{"loss", 0},  {"p50", 500},  {"p95", 950},
                                        {"p99", 990}, {"p999", 999}, {"max", 1000}};
const size_t history_order_count = sizeof history_orders / sizeof history_orders[0];

void history_free(history *question)
{
    if (!question)
        return;
    free(question->pairs);
    meshping_free(question->points);
    meshping_free(question->worst);
    free(question->sum);
    free(question->damaged);
    free(question);
}

/* The store's list is the store's, and its thread's. */
static meshping_status keep_damaged(history *q, const meshping_store *store)
{
    const meshping_damage *damaged;
    meshping_store_damaged(store, &damaged, &q->damaged_count);
    if (!q->damaged_count)
        return MESHPING_OK;
    q->damaged = malloc(q->damaged_count * sizeof *damaged);
    if (!q->damaged)
        return meshping_error_set(&q->error, MESHPING_NOMEM, "out of memory");
    memcpy(q->damaged, damaged, q->damaged_count * sizeof *damaged);
    return MESHPING_OK;
}

void history_run(history *q, meshping_store *store)
{
    int64_t from_us = q->from_ms * 1000, to_us = q->to_ms * 1000;
    switch (q->kind) {
    case HISTORY_POINTS:
        q->status = meshping_store_points(store, q->agent_id, q->target_id, from_us, to_us, q->max_points, &q->points,
                                          &q->count, &q->step_us, &q->error);
        break;
    case HISTORY_SUMMARY:
        q->sum = calloc(1, sizeof *q->sum);
        q->status = q->sum ? meshping_store_group(store, q->pairs, q->pair_count, &from_us, &to_us, q->sum, &q->error)
                           : meshping_error_set(&q->error, MESHPING_NOMEM, "out of memory");
        q->from_ms = from_us / 1000;
        q->to_ms = to_us / 1000;
        break;
    case HISTORY_WORST:
        q->status =
            meshping_store_worst(store, q->order->permille, from_us, to_us, q->limit, &q->worst, &q->count, &q->error);
        break;
    }
    if (q->status == MESHPING_OK)
        q->status = keep_damaged(q, store);
}

/* ---- JSON ---- */

static uint64_t count_of(const uint64_t *counts, meshping_outcome_class of_class)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < MESHPING_OUTCOME_COUNT; i++)
        if (meshping_outcome_classify(i) == of_class)
            count += counts[i];
    return count;
}

/* {"timeout":3}: all outcomes but replies that there were; a later version's by number. */
static void put_reasons(text_buffer *out, const uint64_t *counts)
{
    const char *comma = "";
    char name[OUTCOME_TEXT_MAX];
    text_puts(out, "{");
    for (unsigned i = 1; i < MESHPING_OUTCOME_COUNT; i++) {
        if (counts[i] == 0)
            continue;
        text_printf(out, "%s\"%s\":%" PRIu64, comma, outcome_text(name, i), counts[i]);
        comma = ",";
    }
    text_puts(out, "}");
}

static void put_counts(text_buffer *out, const uint64_t *counts)
{
    text_printf(out, "\"ok\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"local_errors\":%" PRIu64 ",\"outcomes\":",
                counts[MESHPING_OUTCOME_OK], count_of(counts, MESHPING_CLASS_FAIL),
                count_of(counts, MESHPING_CLASS_LOCAL_ERROR));
    put_reasons(out, counts);
}

/* A round-trip time that is null where there was no reply. */
static void put_rtt(text_buffer *out, uint64_t replies, double rtt_us, int digits)
{
    if (replies)
        text_printf(out, "%.*f", digits, rtt_us);
    else
        text_puts(out, "null");
}

static double mean_us(uint64_t sum_us, uint64_t replies)
{
    return replies ? (double)sum_us / (double)replies : 0;
}

static void put_times(text_buffer *out, const meshping_point *point)
{
    uint64_t replies = point->counts[MESHPING_OUTCOME_OK];
    const struct {
        const char *name;
        double rtt_us;
        int digits;
    } times[] = {{"min_us", point->min_us, 0}, {"mean_us", mean_us(point->sum_us, replies), 1},
                 {"max_us", point->max_us, 0}, {"p50_us", point->p50_us, 0},
                 {"p95_us", point->p95_us, 0}, {"p99_us", point->p99_us, 0}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        text_printf(out, ",\"%s\":", times[i].name);
        put_rtt(out, replies, times[i].rtt_us, times[i].digits);
    }
}

static void put_points(text_buffer *out, const history *q)
{
    text_printf(out,
                "{\"agent\":\"%016" PRIx64 "\",\"target\":%" PRIu64 ",\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64
                ",\"step_ms\":%" PRId64 ",\"points\":[",
                q->agent_id, q->target_id, q->from_ms, q->to_ms, q->step_us / 1000);
    for (size_t i = 0; i < q->count; i++) {
        const meshping_point *point = &q->points[i];
        text_printf(out, "%s{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",", i ? "," : "", point->from_us / 1000,
                    point->to_us / 1000);
        put_counts(out, point->counts);
        put_times(out, point);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static int64_t hour_floor_ms(int64_t time_ms)
{
    return time_ms - time_ms % HOUR_MS;
}

/* The whole hours that were asked for. */
static void put_hours(text_buffer *out, const history *q)
{
    text_printf(out, "{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",", hour_floor_ms(q->from_ms),
                hour_floor_ms(q->to_ms + HOUR_MS - 1));
}

static void put_summary(text_buffer *out, const history *q)
{
    static const struct {
        const char *name;
        unsigned permille;
    } percentiles[] = {{"1", 10},   {"5", 50},   {"25", 250}, {"50", 500},  {"75", 750},
                       {"90", 900}, {"95", 950}, {"99", 990}, {"99.9", 999}};
    uint64_t replies = q->sum->counts[MESHPING_OUTCOME_OK];
    const char *comma = "";
    text_printf(out, "{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",", q->from_ms, q->to_ms);
    put_counts(out, q->sum->counts);
    text_puts(out, ",\"min_us\":");
    put_rtt(out, replies, q->sum->min_us, 0);
    text_puts(out, ",\"mean_us\":");
    put_rtt(out, replies, mean_us(q->sum->sum_us, replies), 1);
    text_puts(out, ",\"max_us\":");
    put_rtt(out, replies, q->sum->max_us, 0);
    text_puts(out, ",\"percentiles_us\":{");
    for (size_t i = 0; i < sizeof percentiles / sizeof percentiles[0]; i++) {
        text_printf(out, "%s\"%s\":", i ? "," : "", percentiles[i].name);
        put_rtt(out, replies, meshping_rollup_percentile(q->sum, percentiles[i].permille), 0);
    }
    text_puts(out, "},\"histogram\":[");
    for (unsigned i = 0; i < MESHPING_HISTOGRAM_BUCKETS; i++) {
        uint32_t first_us, last_us;
        if (q->sum->buckets[i] == 0)
            continue;
        meshping_histogram_bounds(i, &first_us, &last_us);
        text_printf(out, "%s[%" PRIu32 ",%" PRIu32 ",%" PRIu64 "]", comma, first_us, last_us, q->sum->buckets[i]);
        comma = ",";
    }
    text_puts(out, "]");
}

static void put_worst(text_buffer *out, const history *q)
{
    put_hours(out, q);
    text_printf(out, "\"by\":\"%s\",\"pairs\":[", q->order->name);
    for (size_t i = 0; i < q->count; i++) {
        const meshping_pair_point *pair = &q->worst[i];
        text_printf(out, "%s{\"agent\":\"%016" PRIx64 "\",\"target\":%" PRIu64 ",", i ? "," : "", pair->agent_id,
                    pair->target_id);
        put_counts(out, pair->point.counts);
        put_times(out, &pair->point);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

/* The end of each answer. */
static void put_damaged(text_buffer *out, const history *q)
{
    text_puts(out, ",");
    series_put_damaged(out, q->damaged, q->damaged_count);
    text_puts(out, "}");
}

void history_json(text_buffer *out, const history *q)
{
    switch (q->kind) {
    case HISTORY_POINTS:
        put_points(out, q);
        break;
    case HISTORY_SUMMARY:
        put_summary(out, q);
        break;
    case HISTORY_WORST:
        put_worst(out, q);
        break;
    }
    put_damaged(out, q);
}
