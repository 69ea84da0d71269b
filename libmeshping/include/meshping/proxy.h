/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol, version 2 (HAProxy's doc/proxy-protocol.txt): what a proxy that passes a TCP connection on says
 * before it of whose it is. Pure; any bytes are safe.
 */
#ifndef MESHPING_PROXY_H
#define MESHPING_PROXY_H

#include <meshping/address.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_PROXY_HEAD_LEN 16                                             /* of every header */
#define MESHPING_PROXY_BODY_MAX 2048                                           /* addresses and extensions after it */
#define MESHPING_PROXY_MAX (MESHPING_PROXY_HEAD_LEN + MESHPING_PROXY_BODY_MAX) /* the longest that is taken */

typedef struct meshping_proxy_header {
    size_t length;           /* so many bytes are needed; once it was read: so many are the header */
    bool complete;           /* it was read */
    bool own;                /* the proxy speaks for itself (LOCAL), or does not say for whom: no source */
    meshping_address source; /* whose connection it is; an IPv4-mapped address is IPv4 */
    uint16_t port;           /* its port */
} meshping_proxy_header;

/*
 * Reads what has come so far of a connection. OK and not complete: come again with out->length bytes, and read no more
 * than those from the socket. NOT_FOUND: this is no such header. UNSUPPORTED: a header of version 1, or of a connection
 * that is not TCP over IP. LIMIT: it is too long. PROTOCOL: it is damaged (a checksum, CRC-32C, is checked when there).
 */
MESHPING_API meshping_status meshping_proxy_read(meshping_proxy_header *out, const uint8_t *bytes, size_t length,
                                                 meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
