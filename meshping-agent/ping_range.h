/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of addresses as targets: 192.0.2.0/24. */
#ifndef MESHPING_AGENT_PING_RANGE_H
#define MESHPING_AGENT_PING_RANGE_H

#include <meshping/address.h>

typedef struct ping_range {
    meshping_address first;
    uint64_t count;
} ping_range;

/*
 * "ADDRESS/PREFIX"; bits behind the prefix are of no account. Of IPv4 the hosts: without network and broadcast address,
 * but for /31 (RFC 3021) and /32. Of IPv6 all. INVALID: no address, no prefix; LIMIT: more than `most`, the message
 * says which prefix would do.
 */
meshping_status ping_range_parse(ping_range *out, const char *text, uint64_t most, meshping_error *err);
/* The address `index` after the first. */
void ping_range_at(const ping_range *range, uint64_t index, meshping_address *out);

#endif
