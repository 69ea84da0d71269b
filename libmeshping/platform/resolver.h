/* SPDX-License-Identifier: Apache-2.0 */
/* Names by c-ares: never blocks on the network; /etc/hosts and /etc/resolv.conf are honoured. */
#ifndef MESHPING_PLATFORM_RESOLVER_H
#define MESHPING_PLATFORM_RESOLVER_H

#include "core/transport.h"

typedef struct meshping__resolver meshping__resolver;

/* Its sockets are added to the epoll set `epoll_fd`, which it does not own. */
meshping_status meshping__resolver_new(meshping__resolver **out, int epoll_fd, meshping_error *err);
void meshping__resolver_free(meshping__resolver *resolver);
meshping_status meshping__resolver_start(meshping__resolver *resolver, uint64_t token, const char *host,
                                         uint8_t family);
/* Lets c-ares work, then takes one finished look-up; false: none. */
bool meshping__resolver_take(meshping__resolver *resolver, meshping__resolution *out);
int64_t meshping__resolver_deadline_ns(meshping__resolver *resolver, int64_t now_mono_ns);

#endif
