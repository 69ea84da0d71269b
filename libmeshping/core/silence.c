/* SPDX-License-Identifier: Apache-2.0 */
#include "core/silence.h"

#include <string.h>

static bool is_long(int64_t from_ns, int64_t to_ns)
{
    return to_ns - from_ns >= MESHPING__SILENCE_SHORTEST_NS;
}

static void insert(meshping__silences *s, size_t at, int64_t from_ns, int64_t to_ns)
{
    if (s->count == MESHPING__SILENCES_MAX) {
        if (at == 0)
            return; /* older than all that is remembered */
        memmove(&s->items[0], &s->items[1], (--s->count) * sizeof *s->items);
        at--;
    }
    memmove(&s->items[at + 1], &s->items[at], (s->count++ - at) * sizeof *s->items);
    s->items[at] = (meshping__silence){from_ns, to_ns};
}

/* Splits the silence that this moment lies in. */
static void split(meshping__silences *s, int64_t at_ns)
{
    for (size_t i = s->count; i-- > 0 && s->items[i].to_ns > at_ns;) {
        meshping__silence whole = s->items[i];
        if (whole.from_ns >= at_ns)
            continue;
        memmove(&s->items[i], &s->items[i + 1], (--s->count - i) * sizeof *s->items);
        if (is_long(at_ns, whole.to_ns))
            insert(s, i, at_ns, whole.to_ns);
        if (is_long(whole.from_ns, at_ns))
            insert(s, i < s->count ? i : s->count, whole.from_ns, at_ns);
        return;
    }
}

void meshping__silences_hear(meshping__silences *silences, int64_t at_ns)
{
    if (at_ns <= silences->heard_ns) {
        split(silences, at_ns);
        return;
    }
    if (silences->heard_ns && is_long(silences->heard_ns, at_ns))
        insert(silences, silences->count, silences->heard_ns, at_ns);
    silences->heard_ns = at_ns;
}

void meshping__silences_take(meshping__silences *silences, int64_t sent_ns, int64_t done_ns)
{
    int64_t tenth = sent_ns / MESHPING__SILENCE_TALLY_NS;
    size_t place = (size_t)tenth % MESHPING__SILENCE_TALLIES;
    if (silences->tally_of[place] != tenth) {
        silences->tally_of[place] = tenth;
        silences->tallies[place] = 0;
    }
    silences->tallies[place]++;
    meshping__silences_hear(silences, done_ns);
    meshping__silences_hear(silences, sent_ns);
}

bool meshping__silences_at(const meshping__silences *silences, int64_t at_ns, meshping__silence *out)
{
    for (size_t i = silences->count; i-- > 0 && silences->items[i].to_ns > at_ns;)
        if (silences->items[i].from_ns < at_ns) {
            *out = silences->items[i];
            return true;
        }
    return false;
}

double meshping__silences_rate(const meshping__silences *silences, int64_t from_ns, int64_t to_ns)
{
    int64_t first = (from_ns + MESHPING__SILENCE_TALLY_NS - 1) / MESHPING__SILENCE_TALLY_NS;
    int64_t end = to_ns / MESHPING__SILENCE_TALLY_NS, tenths = end - first;
    uint64_t sum = 0;
    if (tenths <= 0)
        return 0;
    for (int64_t tenth = first; tenth < end; tenth++) {
        size_t place = (size_t)tenth % MESHPING__SILENCE_TALLIES;
        sum += silences->tally_of[place] == tenth ? silences->tallies[place] : 0;
    }
    return (double)sum * 1e9 / ((double)tenths * MESHPING__SILENCE_TALLY_NS);
}
