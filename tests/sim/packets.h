/* SPDX-License-Identifier: Apache-2.0 */
/* IP packets of meshping-sim: taking echo requests apart, writing answers, good and bad ones. */
#ifndef MESHPING_TESTS_PACKETS_H
#define MESHPING_TESTS_PACKETS_H

#include "profile.h"

typedef struct request {
    meshping_address from, to;
    uint16_t identifier, sequence;
    const uint8_t *packet; /* with its IP header */
    size_t length;
    size_t header; /* bytes of the IP header */
} request;

/* True for a well-formed, unfragmented ICMP or ICMPv6 echo request. */
bool packet_parse(request *out, const uint8_t *packet, size_t length);
/* Both write a packet of the returned length into out, which has room for length + 256. */
size_t packet_reply(uint8_t *out, const request *req);
size_t packet_forge(uint8_t *out, const request *req, profile_forgery kind, uint32_t random);
/* An ICMP error from `router` that quotes the request; code as in RFC 792 (host unreachable 1, prohibited 13). */
size_t packet_error(uint8_t *out, const request *req, const meshping_address *router, bool prohibited);

#endif
