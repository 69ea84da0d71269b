/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_CORE_TARGET_H
#define MESHPING_CORE_TARGET_H

#include <meshping/target.h>

/*
 * meshping_target_check, which also tells the canonical host (MESHPING_HOST_MAX bytes) and its address, see
 * meshping__host_parse.
 */
meshping_status meshping__target_check(char *host, meshping_address *address, const meshping_target *target,
                                       meshping_error *err);
/* Why no host can have this address, "a multicast address"; NULL: one can. Static storage. */
const char *meshping__not_a_hosts(const meshping_address *address);
/* A name for people: at most MESHPING_TARGET_NAME_MAX - 1 bytes of UTF-8 without control characters; may be empty. */
meshping_status meshping__name_check(const char *name, meshping_error *err);

#endif
