/* SPDX-License-Identifier: Apache-2.0 */
/* The real world behind the probe engine: two ICMP sockets, a resolver, one epoll set over all. */
#ifndef MESHPING_PLATFORM_TRANSPORT_H
#define MESHPING_PLATFORM_TRANSPORT_H

#include "core/transport.h"

/* PERMISSION: neither kind of socket is allowed; the message names the ways out. */
meshping_status meshping__transport_new(meshping__transport **out, uint16_t identifier, meshping_error *err);

#endif
