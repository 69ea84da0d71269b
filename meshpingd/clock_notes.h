/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store has noted of one agent's clock in the recent past, in memory: so that the last hour of a pair is
 * answered without the disk. Pure. Zero is a valid one, of which nothing is known yet. For one thread at a time.
 */
#ifndef MESHPINGD_CLOCK_NOTES_H
#define MESHPINGD_CLOCK_NOTES_H

#include <meshping/store.h>

#define CLOCK_NOTES_MAX 1024u /* over ten seconds apart, as often as a clock is measured: for three hours */

typedef struct clock_notes {
    meshping_clock_note *items; /* ascending by at_unix_us, each time once */
    size_t count, capacity;
    int64_t since_us; /* if known: for questions from here on all that is stored is here, and the last note before */
    bool known;
    bool lost; /* there was no memory for one: the store is asked from then on */
} clock_notes;

void clock_notes_dispose(clock_notes *notes);
/* Nothing of this agent was ever stored. */
void clock_notes_begin(clock_notes *notes);
/* A note that has just been stored. What no question from oldest_us on needs goes. */
void clock_notes_add(clock_notes *notes, const meshping_clock_note *note, int64_t oldest_us);
/* What meshping_store_clocks had from since_us on; notes that were stored meanwhile are here already, or both. */
void clock_notes_adopt(clock_notes *notes, const meshping_clock_note *stored, size_t count, int64_t since_us);
/*
 * As meshping_store_clocks from from_us on without an end; *out is the notes' own, until they change. False: it is not
 * known here.
 */
bool clock_notes_from(const clock_notes *notes, int64_t from_us, const meshping_clock_note **out, size_t *count);

#endif
