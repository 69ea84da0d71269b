/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/target_notes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 4

void target_notes_dispose(target_notes *notes)
{
    free(notes->items);
    *notes = (target_notes){0};
}

/* Of the first that is not below. */
static size_t place_of(const target_notes *notes, uint64_t target_id)
{
    size_t low = 0, high = notes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (notes->items[middle].target_id < target_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const target_notes *notes, size_t place, uint64_t target_id)
{
    return place < notes->count && notes->items[place].target_id == target_id;
}

static target_note *note_of(target_notes *notes, uint64_t target_id)
{
    size_t place = place_of(notes, target_id);
    if (is_at(notes, place, target_id))
        return &notes->items[place];
    if (notes->count == MESHPING_TARGETS_MAX)
        return NULL;
    if (notes->count == notes->capacity) {
        size_t capacity = notes->capacity ? notes->capacity * 2 : CAPACITY_FIRST;
        target_note *items = realloc(notes->items, capacity * sizeof *items);
        if (!items)
            return NULL;
        notes->items = items;
        notes->capacity = capacity;
    }
    target_note *note = &notes->items[place];
    memmove(note + 1, note, (notes->count - place) * sizeof *note);
    *note = (target_note){.target_id = target_id};
    notes->count++;
    return note;
}

void target_notes_refuse(target_notes *notes, uint64_t target_id, meshping_refusal why)
{
    target_note *note = note_of(notes, target_id);
    if (!note)
        return;
    notes->refused_count += !note->refused;
    note->refused = (uint8_t)why;
}

void target_notes_resolve(target_notes *notes, uint64_t target_id, const char *address)
{
    target_note *note = note_of(notes, target_id);
    if (note)
        snprintf(note->address, sizeof note->address, "%s", address);
}

static void drop_empty(target_notes *notes)
{
    size_t kept = 0;
    for (size_t i = 0; i < notes->count; i++)
        if (notes->items[i].refused || notes->items[i].address[0])
            notes->items[kept++] = notes->items[i];
    notes->count = kept;
    if (!kept)
        target_notes_dispose(notes);
}

void target_notes_clear_refused(target_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        notes->items[i].refused = MESHPING_REFUSAL_NONE;
    notes->refused_count = 0;
    drop_empty(notes);
}

void target_notes_clear_addresses(target_notes *notes)
{
    for (size_t i = 0; i < notes->count; i++)
        notes->items[i].address[0] = '\0';
    drop_empty(notes);
}

const target_note *target_notes_find(const target_notes *notes, uint64_t target_id)
{
    size_t place = place_of(notes, target_id);
    return is_at(notes, place, target_id) ? &notes->items[place] : NULL;
}
