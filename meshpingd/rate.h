/* SPDX-License-Identifier: Apache-2.0 */
/* How often something happened to a peer within the last minute: an IPv4 address or an IPv6 /64 is one peer. Pure. */
#ifndef MESHPINGD_RATE_H
#define MESHPINGD_RATE_H

#include <meshping/cidr.h>

#define RATE_PEERS 4096 /* remembered at once; the one that was quiet longest makes room */
#define RATE_SPAN_MS 60000
#define RATE_MOST 255 /* counted of one peer */

typedef struct rate_entry {
    meshping_cidr peer;
    uint8_t count; /* 0: free */
    int64_t begun_ms, last_ms;
} rate_entry;

typedef struct rate {
    rate_entry *entries; /* RATE_PEERS; NULL until the first */
} rate;

void rate_dispose(rate *r);
/* Counts one more; without memory nothing is counted. */
void rate_add(rate *r, const meshping_address *address, int64_t now_ms);
/* How many there were since the first of the last RATE_SPAN_MS; a new minute begins after that. */
unsigned rate_count(const rate *r, const meshping_address *address, int64_t now_ms);

#endif
