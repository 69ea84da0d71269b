/* SPDX-License-Identifier: Apache-2.0 */
/* One ICMP socket of one family: raw where the process may, else the kernel's unprivileged ping socket. */
#ifndef MESHPING_PLATFORM_ICMP_SOCKET_H
#define MESHPING_PLATFORM_ICMP_SOCKET_H

#include "core/transport.h"
#include <netinet/in.h>

typedef union meshping__socket_name {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
} meshping__socket_name;

#define MESHPING__ICMP_IDENTIFIER_BITS 4 /* low bits of a raw socket's identifiers that count on */

enum meshping__fragmenting { MESHPING__FRAGMENTING_UNSET = 0, MESHPING__WHOLE, MESHPING__FRAGMENTS };

enum meshping__stamping { MESHPING__STAMPING_UNSET = 0, MESHPING__STAMPING_ON, MESHPING__STAMPING_OFF };

typedef struct meshping__icmp_socket {
    int fd; /* -1: this host lacks the family, or it was refused */
    uint8_t family;
    bool raw;
    uint16_t identifier;
    int open_errno;        /* why fd is -1 */
    uint64_t drops;        /* for want of room */
    uint32_t drops_seen;   /* the kernel's counter */
    uint32_t fill_high;    /* most bytes seen waiting since the drops were last asked for */
    uint32_t receive_room; /* SO_RCVBUF */
    uint8_t fragmenting;   /* the mode it is in */
    int64_t send_ns;       /* what a packet of many in one system call takes at least; 0: not known yet */
    uint8_t stamping;      /* whether the kernel is asked when a packet left: meshping__stamping */
    uint32_t stamps_due;   /* packets of which it has not said so yet */
} meshping__icmp_socket;

/*
 * Opens it; fd is -1 with open_errno set where that is not possible. A raw socket gets `identifier` (its low
 * MESHPING__ICMP_IDENTIFIER_BITS are 0), a ping socket gets one from the kernel.
 */
void meshping__icmp_socket_open(meshping__icmp_socket *sock, uint8_t family, uint16_t identifier);
void meshping__icmp_socket_close(meshping__icmp_socket *sock);
socklen_t meshping__to_name(meshping__socket_name *name, const meshping_address *address);
/* A UDP socket, connected: the kernel has chosen route and source, nothing is sent. `interface`: NULL: any. -1: errno.
 */
int meshping__udp_connect(const meshping_address *to, const char *interface);
/*
 * Transmit timestamps (SO_TIMESTAMPING): when the driver took the packet. The kernel hands them out by the error queue,
 * which has to be emptied: see _take. Raw sockets only, whose error queue holds nothing else. _start: once; _take: what
 * waits there; the number of stamps, the last one in *unix_ns.
 */
void meshping__icmp_socket_stamps_start(meshping__icmp_socket *sock);
unsigned meshping__icmp_socket_stamps_take(meshping__icmp_socket *sock, int64_t *unix_ns);
/* Notes how full the receive queue is: call before emptying it. */
void meshping__icmp_socket_note_fill(meshping__icmp_socket *sock);
/* Packets dropped for want of room, since the start. */
uint64_t meshping__icmp_socket_drops(meshping__icmp_socket *sock);

#endif
