/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/past.h"

#include <stdlib.h>
#include <string.h>

void past_dispose(past *p)
{
    free(p->gaps);
    free(p->starts);
    *p = (past){0};
}

void past_begin(past *p)
{
    p->known = true;
    p->since_us = INT64_MIN;
}

static bool make_room(void **items, size_t *capacity, size_t count, size_t size)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? 2 * *capacity : 4;
    void *grown = realloc(*items, wanted * size);
    if (!grown)
        return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

/* Of times up to here not all is here any more. */
static void forget_until(past *p, int64_t at_us)
{
    if (at_us != INT64_MAX && p->since_us <= at_us)
        p->since_us = at_us + 1;
}

/* ---- gaps ---- */

static bool is_within(const meshping_stored_gap *inner, const meshping_stored_gap *outer)
{
    return inner->epoch == outer->epoch && inner->gap.first_sequence >= outer->gap.first_sequence &&
           inner->gap.last_sequence <= outer->gap.last_sequence;
}

static void remove_gap(past *p, size_t at)
{
    p->gap_count--;
    memmove(&p->gaps[at], &p->gaps[at + 1], (p->gap_count - at) * sizeof *p->gaps);
}

static void drop_gap(past *p, size_t at)
{
    forget_until(p, p->gaps[at].gap.last_unix_us);
    remove_gap(p, at);
}

/* Behind those with the same first slot, as they are in the store. */
static void insert_gap(past *p, const meshping_stored_gap *gap)
{
    size_t at;
    for (size_t i = 0; i < p->gap_count; i++)
        if (is_within(gap, &p->gaps[i]) && !is_within(&p->gaps[i], gap))
            return; /* a longer one has come since, which is told first when it was read from the disk */
    for (size_t i = p->gap_count; i-- > 0;)
        if (is_within(&p->gaps[i], gap))
            remove_gap(p, i);
    if (!make_room((void **)&p->gaps, &p->gap_capacity, p->gap_count, sizeof *p->gaps)) {
        p->lost = true;
        return;
    }
    for (at = p->gap_count; at > 0 && p->gaps[at - 1].gap.first_unix_us > gap->gap.first_unix_us;)
        at--;
    memmove(&p->gaps[at + 1], &p->gaps[at], (p->gap_count - at) * sizeof *p->gaps);
    p->gaps[at] = *gap;
    p->gap_count++;
    if (p->gap_count > PAST_GAPS_MAX)
        drop_gap(p, 0);
}

void past_add_gap(past *p, const meshping_stored_gap *gap, int64_t oldest_us)
{
    insert_gap(p, gap);
    for (size_t i = p->gap_count; i-- > 0;)
        if (p->gaps[i].gap.last_unix_us < oldest_us)
            drop_gap(p, i);
}

/* ---- starts ---- */

static void remove_start(past *p, size_t at)
{
    p->start_count--;
    memmove(&p->starts[at], &p->starts[at + 1], (p->start_count - at) * sizeof *p->starts);
}

static void drop_first_start(past *p)
{
    forget_until(p, p->starts[0].first_unix_us);
    remove_start(p, 0);
}

static bool is_before(const meshping_epoch_start *a, const meshping_epoch_start *b)
{
    return a->first_unix_us < b->first_unix_us || (a->first_unix_us == b->first_unix_us && a->epoch < b->epoch);
}

static void insert_start(past *p, const meshping_epoch_start *start)
{
    size_t at = p->start_count;
    while (at > 0 && p->starts[at - 1].epoch != start->epoch)
        at--;
    if (at > 0 && p->starts[at - 1].first_unix_us <= start->first_unix_us)
        return; /* most of what comes */
    if (at > 0)
        remove_start(p, at - 1);
    if (!make_room((void **)&p->starts, &p->start_capacity, p->start_count, sizeof *p->starts)) {
        p->lost = true;
        return;
    }
    for (at = p->start_count; at > 0 && is_before(start, &p->starts[at - 1]);)
        at--;
    memmove(&p->starts[at + 1], &p->starts[at], (p->start_count - at) * sizeof *p->starts);
    p->starts[at] = *start;
    p->start_count++;
    if (p->start_count > PAST_STARTS_MAX)
        drop_first_start(p);
}

void past_add_start(past *p, const meshping_epoch_start *start, int64_t oldest_us)
{
    if (start->first_unix_us == INT64_MIN)
        return;
    insert_start(p, start); /* however old: it may have been here with a later slot, or be read with one (past_adopt) */
    while (p->known && p->start_count && p->starts[0].first_unix_us < oldest_us)
        drop_first_start(p);
}

/* ---- reading ---- */

void past_adopt(past *p, const meshping_stored_gap *gaps, size_t gap_count, const meshping_epoch_start *starts,
                size_t start_count, int64_t since_us)
{
    past live = *p;
    if (p->known)
        return;
    *p = (past){.since_us = live.since_us < since_us ? since_us : live.since_us, .known = true, .lost = live.lost};
    for (size_t i = 0; i < gap_count; i++)
        insert_gap(p, &gaps[i]);
    for (size_t i = 0; i < live.gap_count; i++)
        insert_gap(p, &live.gaps[i]);
    for (size_t i = 0; i < start_count; i++)
        insert_start(p, &starts[i]);
    for (size_t i = 0; i < live.start_count; i++)
        insert_start(p, &live.starts[i]);
    past_dispose(&live);
}

bool past_begins_after(const past *p, int64_t at_us)
{
    return p->known && !p->lost && p->since_us == INT64_MIN &&
           (p->start_count == 0 || p->starts[0].first_unix_us >= at_us);
}

bool past_read(const past *p, int64_t from_us, int64_t to_us, past_view *out)
{
    size_t first = 0, last, gaps = p->gap_count;
    if (!p->known || p->lost || from_us < p->since_us)
        return false;
    while (gaps && p->gaps[gaps - 1].gap.first_unix_us >= to_us)
        gaps--;
    while (first < p->start_count && p->starts[first].first_unix_us < from_us)
        first++;
    for (last = first; last < p->start_count && p->starts[last].first_unix_us < to_us;)
        last++;
    *out = (past_view){p->gaps, gaps, first < last ? &p->starts[first] : NULL, last - first};
    return true;
}
