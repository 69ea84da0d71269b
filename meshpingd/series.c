/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/series.h"

#include <inttypes.h>

static int64_t slot_ms(const meshping_sample *sample)
{
    return sample->slot_unix_us / 1000;
}

/* What the disk has spoiled was no pause of the agent's. */
static const char *reason_of(const series *s, int64_t from_ms, int64_t to_ms)
{
    for (size_t i = 0; i < s->damaged_count; i++)
        if (s->damaged[i].last_unix_us / 1000 >= from_ms && s->damaged[i].first_unix_us / 1000 <= to_ms)
            return "damaged";
    return "connection_trouble";
}

static void put_gap(text_buffer *out, const series *s, size_t *gaps, int64_t from_ms, int64_t to_ms)
{
    text_printf(out, "%s{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 ",\"reason\":\"%s\"}", *gaps ? "," : "", from_ms,
                to_ms, reason_of(s, from_ms, to_ms));
    ++*gaps;
}

/*
 * A gap lies between two samples over 2.5 intervals apart. Before the first sample that ever came there is none (the
 * pair did not exist), and at the end one begins only when the missing samples would have come by now.
 */
static void put_gaps(text_buffer *out, const series *s)
{
    int64_t most_ms = (int64_t)s->interval_ms * 5 / 2;
    int64_t last_ms = s->before_ms;
    size_t gaps = 0;
    for (size_t i = 0; i < s->count; i++) {
        int64_t at_ms = slot_ms(&s->samples[i]);
        if (last_ms != INT64_MIN && at_ms - last_ms > most_ms)
            put_gap(out, s, &gaps, last_ms > s->from_ms ? last_ms : s->from_ms, at_ms);
        last_ms = at_ms;
    }
    int64_t end_ms = s->to_ms < s->settled_ms ? s->to_ms : s->settled_ms;
    if (last_ms != INT64_MIN && end_ms - last_ms > most_ms)
        put_gap(out, s, &gaps, last_ms > s->from_ms ? last_ms : s->from_ms, end_ms);
}

void series_json(text_buffer *out, const series *s)
{
    text_printf(out,
                "{\"agent\":\"%016" PRIx64 "\",\"target\":%" PRIu64 ",\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64
                ",\"interval_ms\":%" PRIu32 ",\"time_ms\":[",
                s->agent_id, s->target_id, s->from_ms, s->to_ms, s->interval_ms);
    for (size_t i = 0; i < s->count; i++)
        text_printf(out, "%s%" PRId64, i ? "," : "", slot_ms(&s->samples[i]));
    text_puts(out, "],\"rtt_us\":[");
    for (size_t i = 0; i < s->count; i++) {
        text_puts(out, i ? "," : "");
        if (s->samples[i].outcome == MESHPING_OUTCOME_OK)
            text_printf(out, "%" PRIu32, s->samples[i].rtt_us);
        else
            text_puts(out, "null");
    }
    text_puts(out, "],\"outcome\":[");
    for (size_t i = 0; i < s->count; i++)
        text_printf(out, "%s\"%s\"", i ? "," : "", meshping_outcome_name(s->samples[i].outcome));
    text_puts(out, "],\"flags\":[");
    for (size_t i = 0; i < s->count; i++)
        text_printf(out, "%s%u", i ? "," : "", s->samples[i].flags);
    text_puts(out, "],\"gaps\":[");
    put_gaps(out, s);
    text_puts(out, "],\"damaged\":[");
    for (size_t i = 0; i < s->damaged_count; i++)
        text_printf(out, "%s{\"from_ms\":%" PRId64 ",\"to_ms\":%" PRId64 "}", i ? "," : "",
                    s->damaged[i].first_unix_us / 1000, s->damaged[i].last_unix_us / 1000);
    text_puts(out, "]}");
}
