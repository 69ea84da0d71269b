/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that were taken over and have neither made a request nor authenticated as an agent's, in the order in
 * which they were accepted: all have the same time for it, so that the first of the list is the next one whose time is
 * over, and the one that makes room. libwebsockets has timers of its own, but keeps them in one list that is walked
 * from its beginning: of ten thousand agents that come back that was a fifth of a handshake.
 */
#ifndef MESHPINGD_STRANGERS_H
#define MESHPINGD_STRANGERS_H

#include <stdint.h>

typedef struct stranger {
    struct stranger *older, *newer;
    void *connection;
    uint64_t accepted_ms;
} stranger;

typedef struct strangers {
    stranger *oldest, *newest;
} strangers;

/* NULL: out of memory. Those of one accepted_ms stay in the order in which they were added. */
stranger *strangers_add(strangers *all, void *connection, uint64_t accepted_ms);
/* It is known now, or gone; NULL is fine. */
void strangers_remove(strangers *all, stranger *one);
/* Takes the oldest out of the list if it was accepted at accepted_until_ms or before; its connection, or NULL. */
void *strangers_take(strangers *all, uint64_t accepted_until_ms);

#endif
