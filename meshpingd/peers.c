/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/peers.h"

#include <stdlib.h>
#include <string.h>

typedef struct peer_entry {
    meshping_address address;
    uint64_t accepted_ms;
    bool known;
} peer_entry;

static peer_entry *peers; /* by descriptor; one loop, one thread */
static size_t capacity;

meshping_status peers_note(int fd, const meshping_address *address, uint64_t accepted_ms)
{
    size_t at = (size_t)fd;
    if (at >= capacity) {
        size_t wanted = capacity ? capacity : 64;
        while (wanted <= at)
            wanted *= 2;
        peer_entry *grown = realloc(peers, wanted * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        memset(grown + capacity, 0, (wanted - capacity) * sizeof *grown);
        peers = grown;
        capacity = wanted;
    }
    peers[at] = (peer_entry){*address, accepted_ms, true};
    return MESHPING_OK;
}

const meshping_address *peers_address(int fd)
{
    return fd >= 0 && (size_t)fd < capacity && peers[fd].known ? &peers[fd].address : NULL;
}

uint64_t peers_accepted_ms(int fd)
{
    return fd >= 0 && (size_t)fd < capacity ? peers[fd].accepted_ms : 0;
}

void peers_dispose(void)
{
    free(peers);
    peers = NULL;
    capacity = 0;
}

/* "192.0.2.7", "[2001:db8::7]:443", "192.0.2.7:443" */
static bool parse(meshping_address *out, const char *text, size_t length)
{
    char copy[MESHPING_ADDRESS_TEXT_MAX + 16], *bare = copy;
    if (!length || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (*copy == '[') {
        bare++;
        bare[strcspn(bare, "]")] = '\0';
    } else if (strchr(copy, ':') == strrchr(copy, ':')) {
        copy[strcspn(copy, ":")] = '\0';
    }
    return meshping_address_parse(out, bare, NULL) == MESHPING_OK;
}

meshping_address peers_forwarded(const meshping_address *peer, const char *header, const meshping_cidr_list *trusted)
{
    meshping_address known = *peer;
    size_t end = strlen(header);
    /* from the right: each proxy adds at the end whom it heard, so what a stranger wrote is on the left */
    while (meshping_cidr_list_contains(trusted, &known)) {
        while (end && strchr(" \t,", header[end - 1]))
            end--;
        size_t begin = end;
        meshping_address before;
        while (begin && !strchr(" \t,", header[begin - 1]))
            begin--;
        if (!parse(&before, header + begin, end - begin))
            break;
        known = before;
        end = begin;
    }
    return known;
}
