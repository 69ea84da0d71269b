/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are this host's own: what comes from one of them says nothing of the network. */
#ifndef MESHPING_PLATFORM_OWN_ADDRESSES_H
#define MESHPING_PLATFORM_OWN_ADDRESSES_H

#include <meshping/address.h>

typedef struct meshping__own_addresses {
    meshping_address *sorted; /* owned */
    size_t count, capacity;
    int64_t read_mono_ns; /* 0: never */
} meshping__own_addresses;

void meshping__own_addresses_dispose(meshping__own_addresses *own);
/* Reads them again when that is more than a second ago. Where that fails, they are as they were. */
void meshping__own_addresses_update(meshping__own_addresses *own, int64_t now_mono_ns);
bool meshping__own_addresses_have(const meshping__own_addresses *own, const meshping_address *address);

#endif
