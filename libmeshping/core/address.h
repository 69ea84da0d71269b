/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_CORE_ADDRESS_H
#define MESHPING_CORE_ADDRESS_H

#include <meshping/address.h>

/*
 * meshping_host_canonical, which tells the address as well: family NONE for a name. A zone is in the text only, the
 * address has no scope.
 */
meshping_status meshping__host_parse(char *out, meshping_address *address, const char *text, meshping_error *err);
/*
 * Link-local IPv6 unicast (fe80::/10) and multicast of link scope (ff02::/16): the address alone does not say which
 * host it is (RFC 4007).
 */
bool meshping__needs_zone(const meshping_address *address);
/* True for the empty name too: none is asked for. */
bool meshping__interface_name_ok(const char *name);

#endif
