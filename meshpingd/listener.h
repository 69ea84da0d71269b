/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening socket. Ours, not libwebsockets': it says clearly when the port is taken, tells plain text from TLS
 * before any of it is read, counts connections, and pauses when descriptors run out (libwebsockets would log without
 * end).
 */
#ifndef MESHPINGD_LISTENER_H
#define MESHPINGD_LISTENER_H

#include "meshpingd/descriptors.h"
#include <meshping/cidr.h>
#include <uv.h>

typedef struct listener listener;

/* Takes over a connection whose first byte looks like TLS; whose it is and since when: peers.h. */
typedef void (*listener_adopt_fn)(void *user, int fd);

/* Ends the oldest connection that was accepted by then and has not made a request yet. False: there is none. */
typedef bool (*listener_make_room_fn)(void *user, uint64_t accepted_until_ms);

typedef struct listener_options {
    const descriptor_limit *files;             /* borrowed */
    const meshping_cidr_list *trusted_proxies; /* borrowed; a PROXY header counts from there, and from nobody else */
    uint64_t limit_ms;                         /* from the connection until it is taken over */
    listener_adopt_fn adopt;
    listener_make_room_fn make_room;
    void *user;
} listener_options;

/* "HOST:PORT" or "[v6]:PORT"; port 0 is any free one. */
meshping_status listener_parse(meshping_address *address, uint16_t *port, const char *text, meshping_error *err);
/* BUSY: somebody has the port; PERMISSION; IO. *port is the real one afterwards. */
meshping_status listener_start(listener **out, uv_loop_t *loop, const listener_options *options,
                               const meshping_address *address, uint16_t *port, meshping_error *err);
void listener_stop(listener *l); /* closes its handles; run the loop once more afterwards, then listener_free */
void listener_free(listener *l);

#endif
