/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent finds out about its own host: its load, and which targets cannot be measured from it as they are. */
#ifndef MESHPING_AGENT_ABOUT_H
#define MESHPING_AGENT_ABOUT_H

#include <meshping/clock.h>
#include <meshping/protocol.h>

typedef struct load_meter {
    int64_t cpu_ns, mono_ns; /* at the last reading */
    uint64_t late_probes, overloaded;
} load_meter;

void load_meter_start(load_meter *meter);
/* The process's share of a processor is that since the last reading. False: it cannot be had. */
bool load_meter_read(load_meter *meter, meshping_agent_load *out);

/* Into refused[], which has room for all of the list. SIZE_MAX: nobody knows now. */
size_t about_refusals(const meshping_target_list *list, meshping_refused_target *refused);

#endif
