/* SPDX-License-Identifier: Apache-2.0 */
/* The target list as agents are told it: each part is encoded once for all of them, when the first one needs it. */
#ifndef MESHPINGD_TARGET_PARTS_H
#define MESHPINGD_TARGET_PARTS_H

#include <meshping/protocol.h>

typedef struct target_part {
    char *text; /* NULL: not encoded yet */
    size_t length;
} target_part;

typedef struct target_parts {
    uint64_t revision; /* of the list that they are of */
    uint32_t count;
    target_part *parts;
} target_parts;

void target_parts_dispose(target_parts *p);
/* How many parts the list has; at least 1. */
uint32_t target_parts_count(const meshping_target_list *list);
/* Part `part` of the list as a message; it is valid until the list changes. NULL: out of memory. */
const target_part *target_parts_get(target_parts *p, const meshping_target_list *list, uint32_t part);

#endif
