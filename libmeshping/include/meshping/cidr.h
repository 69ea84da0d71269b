/* SPDX-License-Identifier: Apache-2.0 */
/* Address ranges, and lists of them: "10.0.0.0/8, 2001:db8::/32, 192.0.2.1". */
#ifndef MESHPING_CIDR_H
#define MESHPING_CIDR_H

#include <meshping/address.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_CIDR_LIST_MAX 64 /* most ranges in a list */
#define MESHPING_CIDR_TEXT_MAX 50 /* longest text of a range, and its NUL */

typedef struct meshping_cidr {
    uint8_t family; /* meshping_family */
    uint8_t bytes[16];
    uint8_t prefix_bits;
} meshping_cidr;

typedef struct meshping_cidr_list {
    meshping_cidr items[MESHPING_CIDR_LIST_MAX];
    size_t count;
} meshping_cidr_list;

/* One range; without "/" the whole address. INVALID: no address, a prefix out of range, or bits set beyond the prefix.
 */
MESHPING_API meshping_status meshping_cidr_parse(meshping_cidr *out, const char *text, meshping_error *err);
/* Ranges with commas or spaces between; an empty text is an empty list. INVALID names the range, LIMIT. */
MESHPING_API meshping_status meshping_cidr_list_parse(meshping_cidr_list *out, const char *text, meshping_error *err);
/* "10.0.0.0/8", "192.0.2.1" (a whole address has no prefix) into text[MESHPING_CIDR_TEXT_MAX]; returns `text`. */
MESHPING_API const char *meshping_cidr_format(const meshping_cidr *range, char *text);
/* The list with ", " between into out[size]. LIMIT: it does not fit, out is then empty. */
MESHPING_API meshping_status meshping_cidr_list_format(const meshping_cidr_list *list, char *out, size_t size,
                                                       meshping_error *err);
/* An IPv4-mapped range or address counts as IPv4. */
MESHPING_API bool meshping_cidr_contains(const meshping_cidr *range, const meshping_address *address);
MESHPING_API bool meshping_cidr_list_contains(const meshping_cidr_list *list, const meshping_address *address);
/*
 * What counts as one peer in sets and rates: an IPv4 address, the /64 of an IPv6 address; but the whole of one that
 * stands for an IPv4 address (64:ff9b::/96, RFC 6052) or is link-local: their /64 are all of IPv4, and the whole link.
 */
MESHPING_API void meshping_cidr_of_peer(meshping_cidr *out, const meshping_address *address);

#ifdef __cplusplus
}
#endif
#endif
