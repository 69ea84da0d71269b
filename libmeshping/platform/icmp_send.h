/* SPDX-License-Identifier: Apache-2.0 */
/* Sending on an ICMP socket, with times that can be trusted. */
#ifndef MESHPING_PLATFORM_ICMP_SEND_H
#define MESHPING_PLATFORM_ICMP_SEND_H

#include "platform/icmp_socket.h"

/* Both clocks at one moment, as nearly as can be had. */
meshping_now meshping__read_clocks(void);
/* Sends packets of the socket's family; see meshping__transport's send. */
void meshping__icmp_send(meshping__icmp_socket *sock, meshping__tx *packets, size_t count, bool together);

#endif
