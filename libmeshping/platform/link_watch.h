/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells when this host's network may be back: a link that was down is up, an address or a default route is new
 * (rtnetlink(7)). For who waits to try again; whose fault a miss is, is network_watch.h's question. Needs no privilege.
 */
#ifndef MESHPING_PLATFORM_LINK_WATCH_H
#define MESHPING_PLATFORM_LINK_WATCH_H

#include <meshping/common.h>

typedef struct meshping__link_watch meshping__link_watch;

/* NOMEM, IO: nothing will be told. */
meshping_status meshping__link_watch_new(meshping__link_watch **out, meshping_error *err);
void meshping__link_watch_free(meshping__link_watch *watch);
int meshping__link_watch_fd(const meshping__link_watch *watch);
/* Takes all that waits; true: the network may be back. Never blocks. */
bool meshping__link_watch_take(meshping__link_watch *watch);
/* The same of one datagram: any bytes are safe. */
bool meshping__link_watch_read(meshping__link_watch *watch, const void *bytes, size_t length);

#endif
