/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says of single targets, beside samples: that it cannot measure one, or what a host name is. Pure. */
#ifndef MESHPINGD_TARGET_NOTES_H
#define MESHPINGD_TARGET_NOTES_H

#include <meshping/protocol.h>

typedef struct target_note {
    uint64_t target_id;
    uint8_t refused;                         /* meshping_refusal */
    char address[MESHPING_ADDRESS_TEXT_MAX]; /* empty: none was told */
} target_note;

/* Zeroed: none. At most one a target, MESHPING_TARGETS_MAX in all. */
typedef struct target_notes {
    target_note *items; /* ascending by target */
    size_t count, capacity;
    size_t refused_count;
} target_notes;

void target_notes_dispose(target_notes *notes);
/* Without memory, or room, nothing is noted. */
void target_notes_refuse(target_notes *notes, uint64_t target_id, meshping_refusal why);
void target_notes_resolve(target_notes *notes, uint64_t target_id, const char *address);
void target_notes_clear_refused(target_notes *notes);
void target_notes_clear_addresses(target_notes *notes);
/* NULL: nothing was said of it. */
const target_note *target_notes_find(const target_notes *notes, uint64_t target_id);

#endif
