/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/rate.h"

#include <stdlib.h>
#include <string.h>

void rate_dispose(rate *r)
{
    free(r->entries);
    r->entries = NULL;
}

static bool is_peer(const rate_entry *entry, const meshping_cidr *peer)
{
    return entry->count && entry->peer.family == peer->family &&
           memcmp(entry->peer.bytes, peer->bytes, sizeof peer->bytes) == 0;
}

static bool is_over(const rate_entry *entry, int64_t now_ms)
{
    return now_ms - entry->begun_ms >= RATE_SPAN_MS || now_ms < entry->begun_ms;
}

static rate_entry *find(const rate *r, const meshping_cidr *peer)
{
    for (size_t i = 0; r->entries && i < RATE_PEERS; i++)
        if (is_peer(&r->entries[i], peer))
            return &r->entries[i];
    return NULL;
}

static rate_entry *quietest(const rate *r)
{
    rate_entry *best = &r->entries[0];
    for (size_t i = 0; i < RATE_PEERS && best->count; i++)
        if (!r->entries[i].count || r->entries[i].last_ms < best->last_ms)
            best = &r->entries[i];
    return best;
}

void rate_add(rate *r, const meshping_address *address, int64_t now_ms)
{
    meshping_cidr peer;
    if (!r->entries)
        r->entries = calloc(RATE_PEERS, sizeof *r->entries);
    if (!r->entries)
        return;
    meshping_cidr_of_peer(&peer, address);
    rate_entry *entry = find(r, &peer);
    if (!entry)
        entry = quietest(r);
    if (!is_peer(entry, &peer) || is_over(entry, now_ms))
        *entry = (rate_entry){.peer = peer, .begun_ms = now_ms};
    if (entry->count < RATE_MOST)
        entry->count++;
    entry->last_ms = now_ms;
}

unsigned rate_count(const rate *r, const meshping_address *address, int64_t now_ms)
{
    meshping_cidr peer;
    meshping_cidr_of_peer(&peer, address);
    const rate_entry *entry = find(r, &peer);
    return entry && !is_over(entry, now_ms) ? entry->count : 0;
}
