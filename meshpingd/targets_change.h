/* SPDX-License-Identifier: Apache-2.0 */
/* One list of targets beside another. Pure. */
#ifndef MESHPINGD_TARGETS_CHANGE_H
#define MESHPINGD_TARGETS_CHANGE_H

#include "common/text.h"
#include <meshping/target.h>

/* By host and family, of pointers to targets. */
int targets_compare(const void *a, const void *b);
/* In that order; the caller's (free). NULL: out of memory. */
const meshping_target **targets_sorted(const meshping_target_list *list);
/* "12 targets, 1 added, 0 removed; paused: 192.0.2.1 (new line card, until ...); resumed: ...": for the audit log. */
void targets_change_text(text_buffer *out, const meshping_target_list *before, const meshping_target_list *after,
                         int64_t now_ms);

#endif
