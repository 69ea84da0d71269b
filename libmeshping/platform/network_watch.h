/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel knows of this host's own network: its links, routes and gateways, by rtnetlink (rtnetlink(7)), and
 * whether it was suspended. For the question whose fault a miss is. Needs no privilege.
 */
#ifndef MESHPING_PLATFORM_NETWORK_WATCH_H
#define MESHPING_PLATFORM_NETWORK_WATCH_H

#include "core/transport.h"

#define MESHPING__LINKS_MAX 1024 /* interfaces watched; of those beyond nothing is claimed */

typedef struct meshping__network_watch meshping__network_watch;

/* Its descriptor joins the epoll set, with `data`. NOMEM, IO. */
meshping_status meshping__network_watch_new(meshping__network_watch **out, int epoll_fd, int data, meshping_error *err);
void meshping__network_watch_free(meshping__network_watch *watch);
/* Looks for a suspend and, where the epoll set has `told` of something, takes it. */
void meshping__network_watch_update(meshping__network_watch *watch, bool told);
/*
 * Did this host itself stand between a probe and its reply, from its sending until now? OVERLOADED: it was suspended;
 * ISOLATED: it has no route or interface, its link was down, or its gateway does not answer; 0: nothing is known.
 */
uint8_t meshping__network_watch_blame(meshping__network_watch *watch, const meshping__miss *miss);

#endif
