/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/clock_notes.h"

#include <stdlib.h>
#include <string.h>

void clock_notes_dispose(clock_notes *notes)
{
    free(notes->items);
    *notes = (clock_notes){0};
}

void clock_notes_begin(clock_notes *notes)
{
    notes->known = true;
    notes->since_us = INT64_MIN;
}

/* How many are before at_us. */
static size_t before(const clock_notes *notes, int64_t at_us)
{
    size_t count = notes->count; /* most questions are about the newest */
    while (count && notes->items[count - 1].at_unix_us >= at_us)
        count--;
    return count;
}

/* The oldest go; the first that stays is the last before any time after it. */
static void drop_first(clock_notes *notes, size_t count)
{
    if (!count)
        return;
    notes->count -= count;
    memmove(notes->items, notes->items + count, notes->count * sizeof *notes->items);
    if (notes->since_us <= notes->items[0].at_unix_us)
        notes->since_us = notes->items[0].at_unix_us + 1;
}

static bool make_room(clock_notes *notes)
{
    if (notes->count < notes->capacity)
        return true;
    size_t capacity = notes->capacity ? 2 * notes->capacity : 4;
    meshping_clock_note *grown = realloc(notes->items, capacity * sizeof *grown);
    if (!grown)
        return false;
    notes->items = grown;
    notes->capacity = capacity;
    return true;
}

/* Of two with one time the first stays, as in the store. */
static void insert(clock_notes *notes, const meshping_clock_note *note)
{
    size_t at = before(notes, note->at_unix_us);
    if (at < notes->count && notes->items[at].at_unix_us == note->at_unix_us)
        return;
    if (!make_room(notes)) {
        notes->lost = true;
        return;
    }
    memmove(&notes->items[at + 1], &notes->items[at], (notes->count - at) * sizeof *notes->items);
    notes->items[at] = *note;
    notes->count++;
    if (notes->count > CLOCK_NOTES_MAX)
        drop_first(notes, 1);
}

void clock_notes_add(clock_notes *notes, const meshping_clock_note *note, int64_t oldest_us)
{
    insert(notes, note);
    size_t old = before(notes, oldest_us);
    if (old > 1)
        drop_first(notes, old - 1); /* the last of them tells the clock from then on */
}

void clock_notes_adopt(clock_notes *notes, const meshping_clock_note *stored, size_t count, int64_t since_us)
{
    if (notes->known)
        return;
    if (notes->since_us < since_us)
        notes->since_us = since_us;
    notes->known = true;
    for (size_t i = 0; i < count; i++)
        insert(notes, &stored[i]);
}

bool clock_notes_from(const clock_notes *notes, int64_t from_us, const meshping_clock_note **out, size_t *count)
{
    if (!notes->known || notes->lost || from_us < notes->since_us)
        return false;
    size_t first = before(notes, from_us);
    first -= first > 0;
    *out = notes->count ? notes->items + first : NULL;
    *count = notes->count - first;
    return true;
}
