/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of address ranges: "10.0.0.0/8, 2001:db8::/32, 192.0.2.1". */
#ifndef MESHPING_COMMON_CIDR_H
#define MESHPING_COMMON_CIDR_H

#include <meshping/address.h>

#define CIDR_LIST_MAX 64 /* most ranges in a list */

typedef struct cidr {
    uint8_t family; /* meshping_family */
    uint8_t bytes[16];
    uint8_t prefix_bits;
} cidr;

typedef struct cidr_list {
    cidr items[CIDR_LIST_MAX];
    size_t count;
} cidr_list;

/* One range; without "/" the whole address. INVALID: no address, a prefix out of range, or bits set beyond the prefix.
 */
meshping_status cidr_parse(cidr *out, const char *text, meshping_error *err);
/* Ranges with commas or spaces between; an empty text is an empty list. INVALID names the range, LIMIT. */
meshping_status cidr_list_parse(cidr_list *out, const char *text, meshping_error *err);
/* An IPv4-mapped range or address counts as IPv4. */
bool cidr_contains(const cidr *range, const meshping_address *address);
bool cidr_list_contains(const cidr_list *list, const meshping_address *address);

#endif
