/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP and ICMPv6 messages as bytes (RFC 792, RFC 4443): building echo requests, taking received ones apart.
 * What is received comes from anybody: nothing here trusts a length.
 */
#ifndef MESHPING_CORE_ICMP_H
#define MESHPING_CORE_ICMP_H

#include <meshping/address.h>

#define MESHPING__ICMP_HEADER 8    /* bytes of an echo header */
#define MESHPING__ICMP_IDENTITY 16 /* bytes of payload that identify a probe: number, then cookie, big-endian */

/*
 * Writes an echo request with payload: number | cookie | filler, `size` bytes (at least 16), into out[8 + size].
 * The checksum is set for IPv4; for IPv6 it is left 0, the kernel knows the source address and fills it in.
 */
void meshping__icmp_build_echo(uint8_t *out, uint8_t family, uint16_t identifier, uint16_t sequence, uint64_t number,
                               uint64_t cookie, uint16_t size);
/* True when the bytes behind the first 16 of a payload are the filler that build_echo writes. */
bool meshping__icmp_filler_ok(const uint8_t *payload, size_t size);

/* The Internet checksum (RFC 1071) over the message, with the pseudo-header of IPv6 where both addresses are given. */
uint16_t meshping__icmp_checksum(const uint8_t *bytes, size_t length, const meshping_address *from,
                                 const meshping_address *to);

typedef enum meshping__icmp_kind {
    MESHPING__ICMP_OTHER = 0,  /* well-formed, but no ICMP */
    MESHPING__ICMP_OTHER_TYPE, /* neither echo reply nor error; the identifier is set, where it would be in a reply */
    MESHPING__ICMP_BAD_QUOTE,  /* an error that quotes no echo request, or too little of it */
    MESHPING__ICMP_SHORT,      /* ends within a header */
    MESHPING__ICMP_ECHO_REPLY, /* identifier, sequence, payload are set */
    MESHPING__ICMP_ERROR,      /* an error that quotes an echo request; the same of the quoted packet, and quoted_to */
} meshping__icmp_kind;

typedef struct meshping__icmp_message {
    uint8_t family;
    uint8_t type, code;
    uint16_t identifier, sequence;
    uint16_t mtu;               /* of a "too big", else 0 */
    meshping_address quoted_to; /* destination of the quoted packet */
    const uint8_t *icmp;        /* the whole ICMP message, within the bytes given */
    size_t icmp_length;
    const uint8_t *payload; /* of the echo reply or of the quoted request (often cut) */
    size_t payload_length;
} meshping__icmp_message;

/*
 * Takes a received message apart. `ip_header`: the bytes start with an IPv4 header (raw IPv4 sockets). Does not look
 * at the checksum. An error's quote is followed through IPv4 options and an IPv6 fragment header.
 */
meshping__icmp_kind meshping__icmp_parse(meshping__icmp_message *out, uint8_t family, bool ip_header,
                                         const uint8_t *bytes, size_t length);
/* What an ICMP error says: a meshping_outcome of class FAIL. */
uint8_t meshping__icmp_outcome(uint8_t family, uint8_t type, uint8_t code);
/* True for the types that report an error about a packet of ours. */
bool meshping__icmp_is_error(uint8_t family, uint8_t type);

#endif
