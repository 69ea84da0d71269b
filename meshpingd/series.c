/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/series.h"

#include "common/outcome.h"

#include <inttypes.h>
#include <json-c/json.h>

static int64_t slot_ms(const meshping_sample *sample)
{
    return sample->slot_unix_us / 1000;
}

/* Of a gap between the slots from_ms and to_ms, both of which there are. */
static bool overlaps(int64_t from_ms, int64_t to_ms, int64_t first_us, int64_t last_us)
{
    return last_us / 1000 > from_ms && first_us / 1000 < to_ms;
}

static const meshping_stored_gap *dropped_in(const series *s, int64_t from_ms, int64_t to_ms)
{
    const meshping_stored_gap *most = NULL;
    for (size_t i = 0; i < s->dropped_count; i++) {
        const meshping_gap *gap = &s->dropped[i].gap;
        if (overlaps(from_ms, to_ms, gap->first_unix_us, gap->last_unix_us) &&
            (!most || gap->sample_count > most->gap.sample_count))
            most = &s->dropped[i];
    }
    return most;
}

/*
 * A moment of the server's clock as the agent's clock showed it: what the server noted by its own is matched with
 * slots, which are the agent's. Before the first note that one counts; without any, the clocks are taken for the same.
 */
static int64_t agents_us(const series *s, int64_t server_us)
{
    int64_t offset_us = 0;
    for (size_t i = 0; i < s->clock_count && (i == 0 || s->clocks[i].at_unix_us <= server_us); i++)
        offset_us = s->clocks[i].offset_us;
    return server_us + offset_us;
}

static bool server_was_away(const series *s, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < s->pause_count; i++)
        if (overlaps(from_ms, to_ms, agents_us(s, s->pauses[i].from_unix_us), agents_us(s, s->pauses[i].to_unix_us)))
            return true;
    return false;
}

/* Its first slot ends the gap, or lies within it: other targets of the agent may have been earlier. */
static bool agent_was_restarted(const series *s, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < s->start_count; i++)
        if (s->starts[i].first_unix_us / 1000 > from_ms && s->starts[i].first_unix_us / 1000 <= to_ms)
            return true;
    return false;
}

/*
 * What the disk has spoiled was no pause of the agent's; what it says that it dropped is certain, and when the server
 * was away meanwhile, that is why; a restart explains what nobody dropped.
 */
static const char *reason_of(const series *s, const meshping_stored_gap *dropped, int64_t from_ms, int64_t to_ms,
                             bool at_end)
{
    for (size_t i = 0; i < s->damaged_count; i++)
        if (s->damaged[i].last_unix_us / 1000 >= from_ms && s->damaged[i].first_unix_us / 1000 <= to_ms)
            return "damaged";
    if (dropped)
        return dropped->gap.reason != MESHPING_GAP_SERVER_LOST && dropped->gap.reason != MESHPING_GAP_REFUSED &&
                       server_was_away(s, from_ms, to_ms)
                   ? "server_away"
                   : "connection_trouble";
    if (agent_was_restarted(s, from_ms, to_ms))
        return "agent_restarted";
    if (at_end && s->agent_away)
        return "agent_away";
    return server_was_away(s, from_ms, to_ms) ? "server_away" : "connection_trouble";
}

/* Nobody pinged: with the whole pause, of which the gap may be a part. */
static void put_paused(text_buffer *out, const series *s, size_t *gaps, int64_t from_ms, int64_t to_ms,
                       const meshping_target_pause *pause)
{
    if (to_ms <= s->from_ms)
        return;
    json_object *reason = json_object_new_string(pause->reason);
    text_printf(out, "%s{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",\"reason\":\"paused\",\"pause\":{\"reason\":%s",
                *gaps ? "," : "", from_ms > s->from_ms ? from_ms : s->from_ms, to_ms,
                reason ? json_object_to_json_string_ext(reason, JSON_C_TO_STRING_PLAIN) : "\"\"");
    text_printf(out, ",\"from_ms\":%" PRId64, pause->from_ms);
    if (pause->to_ms)
        text_printf(out, ",\"until_ms\":%" PRId64, pause->to_ms);
    text_puts(out, "}}");
    json_object_put(reason);
    ++*gaps;
}

static void put_gap(text_buffer *out, const series *s, size_t *gaps, int64_t from_ms, int64_t to_ms, bool at_end)
{
    if (to_ms <= s->from_ms) /* a part of the stretch that ended before the window */
        return;
    const meshping_stored_gap *dropped = dropped_in(s, from_ms, to_ms);
    text_printf(out, "%s{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",\"reason\":\"%s\"", *gaps ? "," : "",
                from_ms > s->from_ms ? from_ms : s->from_ms, to_ms, reason_of(s, dropped, from_ms, to_ms, at_end));
    if (dropped)
        text_printf(out, ",\"cause\":\"%s\"", meshping_gap_reason_name((unsigned)dropped->gap.reason));
    text_puts(out, "}");
    ++*gaps;
}

static int64_t gap_least_ms(const series *s)
{
    return (int64_t)s->interval_ms * 5 / 2;
}

/*
 * A stretch without samples: what a pause of the target covers is that pause's, as are ends too short to be a gap (an
 * agent hears of a pause a moment later). `known`: samples were there before; without them only pauses are told.
 */
static void put_stretch(text_buffer *out, const series *s, size_t *gaps, int64_t from_ms, int64_t to_ms, bool known,
                        bool at_end)
{
    int64_t at_ms = from_ms, least_ms = gap_least_ms(s);
    for (size_t i = 0; i < s->target_pause_count && at_ms < to_ms; i++) {
        const meshping_target_pause *pause = &s->target_pauses[i];
        int64_t begin_ms = agents_us(s, pause->from_ms * 1000) / 1000;
        int64_t end_ms = pause->to_ms ? agents_us(s, pause->to_ms * 1000) / 1000 : to_ms;
        if (begin_ms < at_ms)
            begin_ms = at_ms;
        if (end_ms > to_ms)
            end_ms = to_ms;
        if (begin_ms >= end_ms)
            continue;
        if (begin_ms - at_ms <= least_ms)
            begin_ms = at_ms;
        else if (known)
            put_gap(out, s, gaps, at_ms, begin_ms, false);
        if (to_ms - end_ms <= least_ms)
            end_ms = to_ms;
        put_paused(out, s, gaps, begin_ms, end_ms, pause);
        at_ms = end_ms;
    }
    if (known && at_ms < to_ms)
        put_gap(out, s, gaps, at_ms, to_ms, at_end);
}

/*
 * A gap lies between two samples over 2.5 intervals apart. Before the first sample that ever came there is none (the
 * pair did not exist) but for pauses, and at the end one begins only when the missing samples would have come by now.
 * False: there is nothing of that. `out` NULL: nothing is written.
 */
static bool put_gaps(text_buffer *out, const series *s)
{
    bool found = false;
    bool known = s->before_ms != INT64_MIN;
    int64_t last_ms = known ? s->before_ms : s->from_ms;
    size_t gaps = 0;
    for (size_t i = 0; i < s->count; i++) {
        int64_t at_ms = slot_ms(&s->samples[i]);
        if (at_ms - last_ms > gap_least_ms(s)) {
            found = true;
            if (out)
                put_stretch(out, s, &gaps, last_ms, at_ms, known, false);
        }
        last_ms = at_ms;
        known = true;
    }
    int64_t end_ms = s->to_ms < s->settled_ms ? s->to_ms : s->settled_ms;
    if (end_ms - last_ms > gap_least_ms(s)) {
        found = true;
        if (out)
            put_stretch(out, s, &gaps, last_ms, end_ms, known, true);
    }
    return found;
}

bool series_has_gaps(const series *s)
{
    return put_gaps(NULL, s);
}

void series_put_damaged(text_buffer *out, const meshping_damage *damaged, size_t count)
{
    text_puts(out, "\"damaged\":[");
    for (size_t i = 0; i < count; i++)
        text_printf(out, "%s{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 "}", i ? "," : "",
                    damaged[i].first_unix_us / 1000, damaged[i].last_unix_us / 1000);
    text_puts(out, "]");
}

void series_json(text_buffer *out, const series *s)
{
    char name[OUTCOME_TEXT_MAX];
    text_printf(out,
                "{\"agent\":\"%016" PRIx64 "\",\"target\":%" PRIu64 ",\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64
                ",\"interval_ms\":%" PRIu32 ",\"time_ms\":[",
                s->agent_id, s->target_id, s->from_ms, s->to_ms, s->interval_ms);
    for (size_t i = 0; i < s->count; i++) {
        text_puts(out, i ? "," : "");
        text_number(out, slot_ms(&s->samples[i]));
    }
    text_puts(out, "],\"rtt_us\":[");
    for (size_t i = 0; i < s->count; i++) {
        text_puts(out, i ? "," : "");
        if (s->samples[i].outcome == MESHPING_OUTCOME_OK)
            text_number(out, s->samples[i].rtt_us);
        else
            text_puts(out, "null");
    }
    text_puts(out, "],\"outcome\":[");
    for (size_t i = 0; i < s->count; i++) {
        text_puts(out, i ? ",\"" : "\"");
        text_puts(out, outcome_text(name, s->samples[i].outcome));
        text_puts(out, "\"");
    }
    text_puts(out, "],\"flags\":[");
    for (size_t i = 0; i < s->count; i++) {
        text_puts(out, i ? "," : "");
        text_number(out, s->samples[i].flags);
    }
    text_puts(out, "],\"gaps\":[");
    put_gaps(out, s);
    text_puts(out, "],");
    series_put_damaged(out, s->damaged, s->damaged_count);
    text_puts(out, ",\"clock\":[");
    for (size_t i = 0; i < s->clock_count; i++)
        text_printf(out, "%s{\"time_ms\":%" PRId64 ",\"offset_us\":%" PRId64 ",\"error_us\":%" PRId64 "}", i ? "," : "",
                    s->clocks[i].at_unix_us / 1000, s->clocks[i].offset_us, s->clocks[i].error_us);
    text_puts(out, "]}");
}
