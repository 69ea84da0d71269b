/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What explains where samples of one agent are missing, of the recent past and in memory: what it dropped, and where
 * its process was started. So the last hour of a pair is answered without the disk also where a part of it is missing.
 * Pure. Zero is a valid one, of which nothing is known yet. For one thread at a time.
 */
#ifndef MESHPINGD_PAST_H
#define MESHPINGD_PAST_H

#include <meshping/store.h>

#define PAST_GAPS_MAX 1024u /* the oldest go */
#define PAST_STARTS_MAX 256u

typedef struct past {
    meshping_stored_gap *gaps; /* ascending by first slot, none within another of its epoch */
    size_t gap_count, gap_capacity;
    meshping_epoch_start *starts; /* ascending by first slot, each epoch once */
    size_t start_count, start_capacity;
    int64_t since_us; /* if known: for questions from here on all that is stored is here */
    bool known;
    bool lost; /* there was no memory for something: the store is asked from then on */
} past;

void past_dispose(past *p);
/* Nothing of this agent was ever stored. */
void past_begin(past *p);
/* A gap that has just been stored: takes the place of those within it. What no question from oldest_us on needs goes.
 */
void past_add_gap(past *p, const meshping_stored_gap *gap, int64_t oldest_us);
/* The first slot of the epoch of what has just been stored; it may be earlier than it was. INT64_MIN: not known. */
void past_add_start(past *p, const meshping_epoch_start *start, int64_t oldest_us);
/* What meshping_store_gaps and _starts had from since_us on, with all that was stored meanwhile, or some of it. */
void past_adopt(past *p, const meshping_stored_gap *gaps, size_t gap_count, const meshping_epoch_start *starts,
                size_t start_count, int64_t since_us);

/* All that was ever stored of this agent has slots from at_us on. */
bool past_begins_after(const past *p, int64_t at_us);

typedef struct past_view {
    const meshping_stored_gap *gaps; /* before to_us, and some that ended before from_us */
    size_t gap_count;
    const meshping_epoch_start *starts; /* as meshping_store_starts */
    size_t start_count;
} past_view;
/* What is in the view is the past's own, until it changes. False: it is not known here. */
bool past_read(const past *p, int64_t from_us, int64_t to_us, past_view *out);

#endif
