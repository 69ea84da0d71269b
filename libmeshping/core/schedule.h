/* SPDX-License-Identifier: Apache-2.0 */
/* When a target's probes are due: the Unix times t with t mod interval = phase. */
#ifndef MESHPING_CORE_SCHEDULE_H
#define MESHPING_CORE_SCHEDULE_H

#include <meshping/common.h>

/*
 * The phase in [0, interval), whole microseconds: a hash of the host, the same on every run; `key` shifts the phases
 * of one agent against those of another, so that a target is not hit by all agents at once.
 */
int64_t meshping__schedule_phase_ns(const char *host, uint64_t key, int64_t interval_ns);
/* The first slot at or after unix_ns. */
int64_t meshping__schedule_slot_ns(int64_t unix_ns, int64_t interval_ns, int64_t phase_ns);

#endif
