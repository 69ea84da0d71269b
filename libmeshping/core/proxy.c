/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/proxy.h>

#include <netinet/in.h>
#include <string.h>

#define VERSION 2
#define COMMAND_LOCAL 0
#define COMMAND_PROXY 1
#define FAMILY_UNSPECIFIED 0x00
#define FAMILY_TCP4 0x11
#define FAMILY_TCP6 0x21
#define TCP4_LEN 12 /* two addresses, two ports */
#define TCP6_LEN 36
#define TYPE_CRC32C 0x03
#define CRC_LEN 4

static const uint8_t signature[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
static const char version_1[] = "PROXY ";

static size_t shorter(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t number16(const uint8_t *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* RFC 3720 appendix B.4 (Castagnoli), over the whole header with the checksum's own bytes as zeros. */
static uint32_t crc32c(const uint8_t *bytes, size_t length, size_t zero_at)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < length; i++) {
        crc ^= i >= zero_at && i < zero_at + CRC_LEN ? 0 : bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

/* Extensions: type, length, value. They must fill the rest exactly. */
static meshping_status check_extensions(const uint8_t *bytes, size_t at, size_t length, meshping_error *err)
{
    while (at < length) {
        if (length - at < 3 || length - at - 3 < number16(bytes + at + 1))
            return meshping_error_set(err, MESHPING_PROTOCOL, "an extension of the PROXY header is cut off");
        size_t value = at + 3, value_length = number16(bytes + at + 1);
        if (bytes[at] == TYPE_CRC32C) {
            uint32_t crc = 0;
            for (size_t i = 0; i < CRC_LEN && value_length == CRC_LEN; i++)
                crc = crc << 8 | bytes[value + i];
            if (value_length != CRC_LEN || crc != crc32c(bytes, length, value))
                return meshping_error_set(err, MESHPING_PROTOCOL, "the PROXY header's checksum is wrong");
        }
        at = value + value_length;
    }
    return MESHPING_OK;
}

static void take_source4(meshping_proxy_header *out, const uint8_t *body)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    memcpy(&sa.sin_addr, body, 4);
    meshping_address_from_sockaddr(&out->source, (struct sockaddr *)&sa);
    out->port = (uint16_t)number16(body + 8);
}

static void take_source6(meshping_proxy_header *out, const uint8_t *body)
{
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
    memcpy(&sa.sin6_addr, body, 16);
    meshping_address_from_sockaddr(&out->source, (struct sockaddr *)&sa);
    out->port = (uint16_t)number16(body + 32);
}

/* All of it is there. */
static meshping_status read_whole(meshping_proxy_header *out, const uint8_t *bytes, meshping_error *err)
{
    uint8_t command = bytes[12] & 0x0f, family = bytes[13];
    const uint8_t *body = bytes + MESHPING_PROXY_HEAD_LEN;
    size_t body_length = out->length - MESHPING_PROXY_HEAD_LEN, needed = family == FAMILY_TCP4 ? TCP4_LEN : TCP6_LEN;
    out->complete = true;
    if (command == COMMAND_LOCAL || family == FAMILY_UNSPECIFIED) {
        out->own = true; /* what follows is to be ignored */
        return MESHPING_OK;
    }
    if (family != FAMILY_TCP4 && family != FAMILY_TCP6)
        return meshping_error_set(err, MESHPING_UNSUPPORTED, "a PROXY header of a connection that is not TCP over IP");
    if (body_length < needed)
        return meshping_error_set(err, MESHPING_PROTOCOL, "a PROXY header too short for its addresses");
    if (family == FAMILY_TCP4)
        take_source4(out, body);
    else
        take_source6(out, body);
    return check_extensions(bytes, MESHPING_PROXY_HEAD_LEN + needed, out->length, err);
}

meshping_status meshping_proxy_read(meshping_proxy_header *out, const uint8_t *bytes, size_t length,
                                    meshping_error *err)
{
    *out = (meshping_proxy_header){.length = MESHPING_PROXY_HEAD_LEN};
    if (length && memcmp(bytes, version_1, shorter(length, sizeof version_1 - 1)) == 0 &&
        length >= sizeof version_1 - 1)
        return meshping_error_set(err, MESHPING_UNSUPPORTED,
                                  "a PROXY header of version 1: let the proxy send version 2");
    if (length && memcmp(bytes, signature, shorter(length, sizeof signature)) != 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no PROXY header");
    if (length < MESHPING_PROXY_HEAD_LEN)
        return MESHPING_OK;
    if (bytes[12] >> 4 != VERSION || (bytes[12] & 0x0f) > COMMAND_PROXY)
        return meshping_error_set(err, MESHPING_PROTOCOL, "a PROXY header of version %u, command %u", bytes[12] >> 4,
                                  bytes[12] & 0x0f);
    if (number16(bytes + 14) > MESHPING_PROXY_BODY_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "a PROXY header of %zu bytes; at most %d are taken",
                                  number16(bytes + 14) + MESHPING_PROXY_HEAD_LEN, MESHPING_PROXY_MAX);
    out->length += number16(bytes + 14);
    return length < out->length ? MESHPING_OK : read_whole(out, bytes, err);
}
