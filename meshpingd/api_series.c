/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pair's samples of up to a day. What the hour cache has is taken on the loop, and when that is all, answered there;
 * the rest, and what explains missing stretches, is read by a reader (readers.c), which also writes the answer's text.
 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/plan.h"
#include "meshpingd/readers.h"
#include "meshpingd/samples.h"
#include "meshpingd/series.h"
#include "meshpingd/storing.h"

#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)
#define SERIES_SPAN_MAX_MS (24 * HOUR_MS)
#define SERIES_DELIVERY_MS 10000 /* from a probe's verdict to here, at the longest in a sound session */

typedef struct question {
    series out;
    samples_part part;
    meshping_status status;
    meshping_error error;
    text_buffer body;
} question;

/* ---- in a worker ---- */

/* The newest slot before from_ms, within a day; so that a gap that began before the window is seen in it. */
static int64_t newest_before(meshping_store *store, const series *out)
{
    static const int64_t looks_ms[] = {60000, HOUR_MS, SERIES_SPAN_MAX_MS};
    for (size_t i = 0; i < sizeof looks_ms / sizeof looks_ms[0]; i++) {
        meshping_series found;
        int64_t slot_ms = INT64_MIN;
        if (meshping_store_series(store, out->agent_id, out->target_id, (out->from_ms - looks_ms[i]) * 1000,
                                  out->from_ms * 1000, &found, NULL) == MESHPING_OK &&
            found.count)
            slot_ms = found.samples[found.count - 1].slot_unix_us / 1000;
        meshping_series_dispose(&found);
        if (slot_ms != INT64_MIN)
            return slot_ms;
    }
    return INT64_MIN;
}

/* By how much the agent's clock was behind and ahead at most: a window on it is elsewhere by the server's clock. */
static void clock_span_us(const meshping_clock_note *clocks, size_t count, int64_t *least_us, int64_t *most_us)
{
    *least_us = *most_us = 0;
    for (size_t i = 0; i < count; i++) {
        *least_us = i && *least_us < clocks[i].offset_us ? *least_us : clocks[i].offset_us;
        *most_us = i && *most_us > clocks[i].offset_us ? *most_us : clocks[i].offset_us;
    }
}

/* What explains the stretches without samples, if any, from the newest before the window to its end; the clock. */
static meshping_status explain(meshping_store *store, series *out, meshping_error *err)
{
    meshping_stored_gap *dropped = NULL;
    meshping_epoch_start *starts = NULL;
    meshping_pause *pauses = NULL;
    meshping_clock_note *clocks = NULL;
    meshping_target_pause *target_pauses = NULL;
    int64_t from_us = (out->before_ms != INT64_MIN ? out->before_ms : out->from_ms) * 1000, to_us = out->to_ms * 1000;
    const bool gaps = series_has_gaps(out);
    int64_t least_us = 0, most_us = 0;
    meshping_status status =
        meshping_store_clocks(store, out->agent_id, from_us, INT64_MAX, &clocks, &out->clock_count, err);
    if (status == MESHPING_OK)
        clock_span_us(clocks, out->clock_count, &least_us, &most_us);
    if (gaps && status == MESHPING_OK)
        status = meshping_store_gaps(store, out->agent_id, from_us, to_us, &dropped, &out->dropped_count, err);
    if (gaps && status == MESHPING_OK)
        status = meshping_store_starts(store, out->agent_id, from_us, to_us, &starts, &out->start_count, err);
    if (gaps && status == MESHPING_OK)
        status = meshping_store_pauses(store, from_us - most_us, to_us - least_us, &pauses, &out->pause_count, err);
    if (gaps && status == MESHPING_OK)
        status = meshping_store_target_pauses(store, out->target_id, (from_us - most_us) / 1000,
                                              (to_us - least_us) / 1000, &target_pauses, &out->target_pause_count, err);
    out->dropped = dropped;
    out->starts = starts;
    out->pauses = pauses;
    out->clocks = clocks;
    out->target_pauses = target_pauses;
    /* where a page is damaged there is no explanation, but the samples that can be read are shown */
    return status == MESHPING_CORRUPT ? MESHPING_OK : status;
}

/* The samples are there. */
static void show(question *q)
{
    const meshping_series *found = &q->part.found;
    q->out.samples = found->samples;
    q->out.count = found->count;
    q->out.damaged = found->damaged;
    q->out.damaged_count = found->damaged_count;
    q->out.before_ms = INT64_MIN;
}

/* There may be one before the window after which some are missing. */
static bool misses_first(const series *out)
{
    return out->count == 0 || out->samples[0].slot_unix_us / 1000 - out->from_ms > (int64_t)out->interval_ms * 5 / 2;
}

static void run(void *data, meshping_store *store)
{
    question *q = data;
    series *out = &q->out;
    q->status = samples_part_complete(&q->part, store, &q->error);
    const meshping_series *found = &q->part.found;
    if (q->status != MESHPING_OK)
        return;
    if (found->count > SERIES_POINTS_MAX) {
        q->status = meshping_error_set(&q->error, MESHPING_INVALID,
                                       "%zu samples are over the limit of %d: ask for a shorter time", found->count,
                                       SERIES_POINTS_MAX);
        return;
    }
    show(q);
    if (misses_first(out))
        out->before_ms = newest_before(store, out);
    q->status = explain(store, out, &q->error);
    if (q->status == MESHPING_OK)
        series_json(&q->body, out);
}

/* ---- on the loop ---- */

static void answer(http_exchange *x, void *data)
{
    question *q = data;
    storing_damaged(x->server, q->part.found.damaged_count);
    if (q->status == MESHPING_OK)
        http_respond_text(x, 200, "application/json", &q->body);
    else
        http_respond_error(x, &q->error);
}

static void let_go(void *data)
{
    question *q = data;
    meshping_free((void *)q->out.dropped);
    meshping_free((void *)q->out.starts);
    meshping_free((void *)q->out.pauses);
    meshping_free((void *)q->out.clocks);
    meshping_free((void *)q->out.target_pauses);
    samples_part_dispose(&q->part);
    text_dispose(&q->body);
    free(q);
}

/* What an answer that is given at once may hold: writing it takes half a millisecond. */
#define AT_ONCE_MAX 2000u

/* Of the target in the server's list of pauses. */
static void take_target_pauses(const server *s, series *out)
{
    size_t first = 0, end;
    while (first < s->target_pause_count && s->target_pauses[first].target_id < out->target_id)
        first++;
    for (end = first; end < s->target_pause_count && s->target_pauses[end].target_id == out->target_id;)
        end++;
    out->target_pauses = first < end ? &s->target_pauses[first] : NULL;
    out->target_pause_count = end - first;
}

/* As explain(), of what is in memory; none of it is the question's. False: a part of it is on the disk only. */
static bool explain_at_once(const server *s, const agent_entry *agent, series *out)
{
    past_view view;
    int64_t least_us, most_us, from_us = (out->before_ms != INT64_MIN ? out->before_ms : out->from_ms) * 1000;
    if (!clock_notes_from(&agent->clocks, from_us, &out->clocks, &out->clock_count))
        return false;
    if (!series_has_gaps(out))
        return true;
    clock_span_us(out->clocks, out->clock_count, &least_us, &most_us);
    if (!s->pauses_known || !s->target_pauses_known || from_us < samples_oldest_us(s) ||
        from_us - most_us < samples_oldest_us(s) || !past_read(&agent->past, from_us, out->to_ms * 1000, &view))
        return false;
    out->dropped = view.gaps;
    out->dropped_count = view.gap_count;
    out->starts = view.starts;
    out->start_count = view.start_count;
    out->pauses = s->pauses;
    out->pause_count = s->pause_count;
    take_target_pauses(s, out);
    return true;
}

/*
 * Without the disk and another thread: all samples are here, as is what explains where some are missing, and what was
 * noted of the agent's clock. False: it cannot be answered so.
 */
static bool answer_at_once(http_exchange *x, question *q, const agent_entry *agent)
{
    server *s = x->server;
    series asked = q->out, *out = &q->out;
    if (!samples_part_is_complete(&q->part) || q->part.found.count > AT_ONCE_MAX)
        return false;
    show(q);
    int64_t slot_us = INT64_MIN;
    bool known = !misses_first(out) || samples_newest_before(s, agent, out->target_id, out->from_ms * 1000, &slot_us);
    if (slot_us != INT64_MIN)
        out->before_ms = slot_us / 1000;
    known = known && explain_at_once(s, agent, out);
    if (known) {
        series_json(&q->body, out);
        answer(x, q);
    }
    q->out = asked; /* what was shown is the cache's and the server's */
    return known;
}

/* Now, as an agent sees it whose clock is wrong: its samples carry its own time. */
static int64_t agents_now_ms(const agent_entry *agent)
{
    int64_t offset_us, error_us;
    if (!agent->clock_skewed || !meshping_clock_read(&agent->clock, server_mono_ms() * 1000, &offset_us, &error_us))
        return server_unix_ms();
    return server_unix_ms() + offset_us / 1000;
}

static bool take_times(http_exchange *x, series *out)
{
    uint64_t from_ms, to_ms = (uint64_t)out->to_ms;
    if (!http_query_number(x, "to_ms", 0, HTTP_TIME_MS_MAX, &to_ms))
        return false;
    from_ms = to_ms > (uint64_t)HOUR_MS ? to_ms - (uint64_t)HOUR_MS : 0;
    if (!http_query_number(x, "from_ms", 0, HTTP_TIME_MS_MAX, &from_ms))
        return false;
    out->from_ms = (int64_t)from_ms;
    out->to_ms = (int64_t)to_ms;
    if (out->from_ms >= out->to_ms || out->to_ms - out->from_ms > SERIES_SPAN_MAX_MS) {
        http_respond_problem(x, 400, "from_ms must be before to_ms, by 24 hours at most");
        return false;
    }
    return true;
}

void api_series(http_exchange *x)
{
    server *s = x->server;
    series out = {0};
    agent_entry *entry = NULL;
    meshping_error err = {0};
    const char *agent = http_query_get(x, "agent"), *target_text = http_query_get(x, "target");
    const meshping_target *target = NULL;
    if (!http_query_only(x, "agent, target, from_ms, to_ms"))
        return;
    if (!agent || !target_text) {
        http_respond_problem(x, 400, "\"agent\" and \"target\" are needed");
        return;
    }
    if (http_id_parse(agent, &out.agent_id) && (entry = server_agent_by_id(s, out.agent_id)) &&
        http_number_parse(target_text, &out.target_id))
        target = plan_target(s->plan, out.target_id);
    if (!target) {
        http_respond_problem(x, 404, "there is no such agent or target");
        return;
    }
    int64_t now_ms = out.to_ms = agents_now_ms(entry);
    if (!take_times(x, &out))
        return;
    out.interval_ms = target->interval_ms;
    out.timeout_ms = target->timeout_ms;
    out.settled_ms = now_ms - target->timeout_ms - SERIES_DELIVERY_MS;
    out.agent_away = !entry->online;
    question *q = calloc(1, sizeof *q);
    if (!q) {
        http_respond_problem(x, 500, "out of memory");
        return;
    }
    if (samples_part_take(&q->part, s, out.agent_id, out.target_id, out.from_ms * 1000, out.to_ms * 1000, &err) !=
        MESHPING_OK) {
        http_respond_error(x, &err);
        let_go(q);
        return;
    }
    q->out = out;
    if (answer_at_once(x, q, entry)) {
        let_go(q);
        return;
    }
    readers_ask(x, &(reader_question){.data = q, .run = run, .answer = answer, .free = let_go});
}
