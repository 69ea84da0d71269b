/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors: as many as the system grants, and the last of them for administrators. The kernel gives the lowest
 * free number, so a connection's number tells how many are taken. Once agents have all of theirs, the oldest that said
 * nothing make room, and the next agents are turned away instead of upgraded; with half of the reserve in use already
 * at their TLS hello, before that has cost anything. Whoever else comes is let in. Agents come back by themselves.
 */
#ifndef MESHPINGD_DESCRIPTORS_H
#define MESHPINGD_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DESCRIPTORS_MAX (1 << 18) /* more are not asked for: libwebsockets has a table of them */

typedef struct descriptor_limit {
    int limit; /* of this process */
    int agents_below;
    int half_below; /* half of the reserve: from there on agents end at their hello */
    uint64_t told_ms;
} descriptor_limit;

/* The reserve is as asked for, but at most a quarter of the limit: a server is there for its agents, too. */
void descriptors_split(descriptor_limit *d, int limit, int reserved);
/* Raises the soft limit to the hard one; before the first connection. */
void descriptors_open(descriptor_limit *d, int reserved);
/* Says so in the log when that cannot be enough for so many agents and strangers. */
void descriptors_check(const descriptor_limit *d, size_t agents, size_t strangers);
/* Only the reserve is left: this one of an agent is turned away, with one line a minute. now_ms: monotonic. */
bool descriptors_refuse_agent(descriptor_limit *d, int fd, uint64_t now_ms);

#endif
