/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/own_addresses.h"

#include "base/alloc.h"
#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define AGAIN_NS INT64_C(1000000000)

/* Without the zone: a link-local address that is ours on any link is ours. */
static int compare(const void *left, const void *right)
{
    const meshping_address *a = left, *b = right;
    return a->family != b->family ? a->family - b->family : memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

void meshping__own_addresses_dispose(meshping__own_addresses *own)
{
    meshping__free(own->sorted);
    *own = (meshping__own_addresses){0};
}

static bool add(meshping__own_addresses *own, const struct sockaddr *sa)
{
    meshping_address address;
    if (meshping_address_from_sockaddr(&address, sa) != MESHPING_OK)
        return true;
    if (own->count == own->capacity) {
        size_t capacity = own->capacity ? own->capacity * 2 : 16;
        meshping_address *grown = meshping__realloc(own->sorted, capacity * sizeof *grown);
        if (!grown)
            return false;
        own->sorted = grown;
        own->capacity = capacity;
    }
    own->sorted[own->count++] = address;
    return true;
}

void meshping__own_addresses_update(meshping__own_addresses *own, int64_t now_mono_ns)
{
    meshping__own_addresses fresh = {.read_mono_ns = now_mono_ns};
    struct ifaddrs *all = NULL;
    bool good;

    if (own->read_mono_ns && now_mono_ns - own->read_mono_ns < AGAIN_NS)
        return;
    own->read_mono_ns = now_mono_ns;
    good = getifaddrs(&all) == 0;
    for (const struct ifaddrs *one = all; good && one; one = one->ifa_next)
        good = !one->ifa_addr || add(&fresh, one->ifa_addr);
    freeifaddrs(all);
    if (!good) {
        meshping__own_addresses_dispose(&fresh);
        return;
    }
    if (fresh.count)
        qsort(fresh.sorted, fresh.count, sizeof *fresh.sorted, compare);
    meshping__own_addresses_dispose(own);
    *own = fresh;
}

bool meshping__own_addresses_have(const meshping__own_addresses *own, const meshping_address *address)
{
    return own->count && bsearch(address, own->sorted, own->count, sizeof *own->sorted, compare) != NULL;
}
