/* SPDX-License-Identifier: Apache-2.0 */
/* IP addresses in one canonical form: an IPv4-mapped IPv6 address is IPv4 (RFC 4291 section 2.5.5.2). */
#ifndef MESHPING_ADDRESS_H
#define MESHPING_ADDRESS_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sockaddr;

#define MESHPING_ADDRESS_TEXT_MAX 64 /* longest text with zone, and its NUL */
#define MESHPING_HOST_MAX 254        /* a host name (RFC 1035: 253) and its NUL */

typedef enum meshping_family {
    MESHPING_FAMILY_NONE = 0,
    MESHPING_FAMILY_IPV4 = 4,
    MESHPING_FAMILY_IPV6 = 6,
} meshping_family;

typedef struct meshping_address {
    uint8_t family;    /* meshping_family */
    uint8_t bytes[16]; /* network order; IPv4 uses the first 4, the rest is 0 */
    uint32_t scope_id; /* interface index of a link-local IPv6 address, else 0 */
} meshping_address;

/*
 * Parses "192.0.2.1", "2001:db8::1", "fe80::1%2", "fe80::1%eth0". The zone is kept as an interface index; a name is
 * looked up with if_nametoindex. INVALID: not an IP address.
 */
MESHPING_API meshping_status meshping_address_parse(meshping_address *out, const char *text, meshping_error *err);
/* Canonical text (RFC 5952) into a caller's buffer of MESHPING_ADDRESS_TEXT_MAX bytes; returns `text`. */
MESHPING_API const char *meshping_address_format(const meshping_address *address, char *text);
MESHPING_API bool meshping_address_equal(const meshping_address *a, const meshping_address *b);
/* True for 127.0.0.0/8 and ::1. */
MESHPING_API bool meshping_address_is_loopback(const meshping_address *address);
/* From sockaddr_in or sockaddr_in6; an IPv4-mapped address becomes IPv4. INVALID: another family. */
MESHPING_API meshping_status meshping_address_from_sockaddr(meshping_address *out, const struct sockaddr *sa);

/*
 * Canonical form of a target or server name into out[MESHPING_HOST_MAX]: an IP address in RFC 5952 text, or a host
 * name (RFC 1123, underscores allowed) in lower case without its last dot. Text that is meant as an address but is
 * none ("256.1.1.1", "10.1", "1:2:3") is refused, never taken for a name. INVALID with the reason.
 */
MESHPING_API meshping_status meshping_host_canonical(char *out, const char *text, meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
