/* SPDX-License-Identifier: Apache-2.0 */
/* Between the two halves of the simulated internet: simnet.c, its clockwork, and simforge.c, its packets. */
#ifndef MESHPING_TESTS_SIMNET_IMPL_H
#define MESHPING_TESTS_SIMNET_IMPL_H

#include "simnet.h"

#define SIM_MESSAGE_MAX 1500

typedef struct sim_packet {
    int64_t arrival_ns;
    meshping__rx rx; /* bytes are set on receipt */
    size_t length;
    uint8_t bytes[SIM_MESSAGE_MAX];
} sim_packet;

/* Puts a packet on its way to us. */
void sim_push(sim_net *net, const sim_packet *packet);
/* The address that this host has. */
const meshping_address *sim_own_address(uint8_t family);
/* Sets the checksum of the ICMP message at `start`. */
void sim_put_checksum(sim_packet *packet, size_t start);
void sim_make_reply(sim_packet *packet, const meshping__tx *tx, int64_t arrival_ns);
/* An ICMP error of a router that quotes `quote` bytes of the request's ICMP message. */
void sim_make_error(sim_packet *packet, const meshping__tx *tx, uint8_t type, uint8_t code, size_t quote,
                    int64_t arrival_ns);
/* Sends a packet of this kind, and counts it. */
void sim_forge(sim_net *net, const meshping__tx *tx, sim_forgery kind, int64_t arrival_ns);

#endif
