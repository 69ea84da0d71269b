/* SPDX-License-Identifier: Apache-2.0 */
#include "core/icmp.h"

#include <endian.h>
#include <meshping/sample.h>
#include <string.h>

enum { V4_ECHO_REPLY = 0, V4_UNREACHABLE = 3, V4_ECHO = 8, V4_TIME_EXCEEDED = 11, V4_PARAMETER = 12 };
enum {
    V6_UNREACHABLE = 1,
    V6_TOO_BIG = 2,
    V6_TIME_EXCEEDED = 3,
    V6_PARAMETER = 4,
    V6_ECHO = 128,
    V6_ECHO_REPLY = 129,
};
enum { PROTOCOL_ICMP = 1, PROTOCOL_FRAGMENT = 44, PROTOCOL_ICMPV6 = 58 };
#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define FRAGMENT_HEADER 8

static uint16_t get_be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_be16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put_be64(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, sizeof value);
}

/* Sum of 16-bit words in memory order: RFC 1071 section 2 (B), byte order does not matter until the end. */
static uint64_t add_words(uint64_t sum, const uint8_t *bytes, size_t length)
{
    for (; length >= 8; bytes += 8, length -= 8) {
        uint64_t words;
        memcpy(&words, bytes, 8);
        sum += (words & UINT32_MAX) + (words >> 32);
    }
    for (; length >= 4; bytes += 4, length -= 4) {
        uint32_t word;
        memcpy(&word, bytes, 4);
        sum += word;
    }
    if (length) {
        uint32_t word = 0;
        memcpy(&word, bytes, length);
        sum += word;
    }
    return sum;
}

uint16_t meshping__icmp_checksum(const uint8_t *bytes, size_t length, const meshping_address *from,
                                 const meshping_address *to)
{
    uint64_t sum = 0;
    if (from && to) {
        uint8_t tail[8] = {
            (uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length, 0, 0, 0,
            PROTOCOL_ICMPV6};
        sum = add_words(sum, from->bytes, 16);
        sum = add_words(sum, to->bytes, 16);
        sum = add_words(sum, tail, sizeof tail);
    }
    sum = add_words(sum, bytes, length);
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    uint16_t folded = (uint16_t)~sum;
    uint8_t memory[2];
    memcpy(memory, &folded, 2);
    return get_be16(memory);
}

/* The rest of the payload: byte i is i, modulo 256. */
#define RUN4(i) (i), (i) + 1, (i) + 2, (i) + 3
#define RUN16(i) RUN4(i), RUN4((i) + 4), RUN4((i) + 8), RUN4((i) + 12)
#define RUN64(i) RUN16(i), RUN16((i) + 16), RUN16((i) + 32), RUN16((i) + 48)
static const uint8_t filler[256] = {RUN64(0), RUN64(64), RUN64(128), RUN64(192)};

/* How many bytes of the filler stand in one piece from `at` on. */
static size_t filler_piece(size_t at, size_t size)
{
    size_t length = sizeof filler - at % sizeof filler;
    return length < size - at ? length : size - at;
}

void meshping__icmp_build_echo(uint8_t *out, uint8_t family, uint16_t identifier, uint16_t sequence, uint64_t number,
                               uint64_t cookie, uint16_t size)
{
    out[0] = family == MESHPING_FAMILY_IPV4 ? V4_ECHO : V6_ECHO;
    out[1] = out[2] = out[3] = 0;
    put_be16(out + 4, identifier);
    put_be16(out + 6, sequence);
    uint8_t *payload = out + MESHPING__ICMP_HEADER;
    put_be64(payload, number);
    put_be64(payload + 8, cookie);
    for (size_t at = MESHPING__ICMP_IDENTITY, length; at < size; at += length) {
        length = filler_piece(at, size);
        memcpy(payload + at, filler + at % sizeof filler, length);
    }
    if (family == MESHPING_FAMILY_IPV4)
        put_be16(out + 2, meshping__icmp_checksum(out, MESHPING__ICMP_HEADER + (size_t)size, NULL, NULL));
}

bool meshping__icmp_filler_ok(const uint8_t *payload, size_t size)
{
    for (size_t at = MESHPING__ICMP_IDENTITY, length; at < size; at += length) {
        length = filler_piece(at, size);
        if (memcmp(payload + at, filler + at % sizeof filler, length) != 0)
            return false;
    }
    return true;
}

bool meshping__icmp_is_error(uint8_t family, uint8_t type)
{
    if (family == MESHPING_FAMILY_IPV4)
        return type == V4_UNREACHABLE || type == V4_TIME_EXCEEDED || type == V4_PARAMETER;
    return type >= V6_UNREACHABLE && type <= V6_PARAMETER;
}

uint8_t meshping__icmp_outcome(uint8_t family, uint8_t type, uint8_t code)
{
    if (family == MESHPING_FAMILY_IPV4) {
        if (type == V4_TIME_EXCEEDED)
            return MESHPING_OUTCOME_TIME_EXCEEDED;
        if (type != V4_UNREACHABLE)
            return MESHPING_OUTCOME_ICMP_ERROR;
        if (code == 4)
            return MESHPING_OUTCOME_TOO_BIG;
        return code == 9 || code == 10 || code == 13 ? MESHPING_OUTCOME_PROHIBITED : MESHPING_OUTCOME_UNREACHABLE;
    }
    if (type == V6_TIME_EXCEEDED)
        return MESHPING_OUTCOME_TIME_EXCEEDED;
    if (type == V6_TOO_BIG)
        return MESHPING_OUTCOME_TOO_BIG;
    if (type != V6_UNREACHABLE)
        return MESHPING_OUTCOME_ICMP_ERROR;
    return code == 1 || code == 5 || code == 6 ? MESHPING_OUTCOME_PROHIBITED : MESHPING_OUTCOME_UNREACHABLE;
}

/* Finds the ICMP message behind a quoted IP header; NULL when it is cut before, or of another protocol. */
static const uint8_t *quoted_icmp(meshping__icmp_message *out, const uint8_t *quote, size_t length, size_t *left)
{
    size_t header;
    uint8_t protocol;

    out->quoted_to = (meshping_address){.family = out->family};
    if (out->family == MESHPING_FAMILY_IPV4) {
        if (length < IPV4_HEADER || quote[0] >> 4 != 4)
            return NULL;
        header = (size_t)(quote[0] & 0x0f) * 4;
        protocol = quote[9];
        memcpy(out->quoted_to.bytes, quote + 16, 4);
        if (header < IPV4_HEADER || (get_be16(quote + 6) & 0x1fff) != 0)
            return NULL; /* of later fragments no ICMP header is quoted */
        if (protocol != PROTOCOL_ICMP)
            return NULL;
    } else {
        if (length < IPV6_HEADER || quote[0] >> 4 != 6)
            return NULL;
        header = IPV6_HEADER;
        protocol = quote[6];
        memcpy(out->quoted_to.bytes, quote + 24, 16);
        if (protocol == PROTOCOL_FRAGMENT && length >= IPV6_HEADER + FRAGMENT_HEADER) {
            protocol = quote[IPV6_HEADER];
            if ((get_be16(quote + IPV6_HEADER + 2) & 0xfff8) != 0)
                return NULL;
            header += FRAGMENT_HEADER;
        }
        if (protocol != PROTOCOL_ICMPV6)
            return NULL;
    }
    if (length < header + MESHPING__ICMP_HEADER)
        return NULL;
    *left = length - header;
    return quote + header;
}

static meshping__icmp_kind parse_error(meshping__icmp_message *out)
{
    bool v4 = out->family == MESHPING_FAMILY_IPV4;
    size_t left;
    const uint8_t *quoted =
        quoted_icmp(out, out->icmp + MESHPING__ICMP_HEADER, out->icmp_length - MESHPING__ICMP_HEADER, &left);
    if (!quoted || quoted[0] != (v4 ? V4_ECHO : V6_ECHO))
        return MESHPING__ICMP_BAD_QUOTE;
    if (v4 && out->type == V4_UNREACHABLE && out->code == 4)
        out->mtu = get_be16(out->icmp + 6); /* RFC 1191 */
    if (!v4 && out->type == V6_TOO_BIG)
        out->mtu = out->icmp[4] || out->icmp[5] ? UINT16_MAX : get_be16(out->icmp + 6);
    out->identifier = get_be16(quoted + 4);
    out->sequence = get_be16(quoted + 6);
    out->payload = quoted + MESHPING__ICMP_HEADER;
    out->payload_length = left - MESHPING__ICMP_HEADER;
    return MESHPING__ICMP_ERROR;
}

meshping__icmp_kind meshping__icmp_parse(meshping__icmp_message *out, uint8_t family, bool ip_header,
                                         const uint8_t *bytes, size_t length)
{
    *out = (meshping__icmp_message){.family = family};
    if (ip_header) {
        size_t header = length ? (size_t)(bytes[0] & 0x0f) * 4 : 0;
        if (length < IPV4_HEADER || header < IPV4_HEADER || length < header)
            return MESHPING__ICMP_SHORT;
        if (bytes[0] >> 4 != 4 || bytes[9] != PROTOCOL_ICMP)
            return MESHPING__ICMP_OTHER;
        bytes += header;
        length -= header;
    }
    if (length < MESHPING__ICMP_HEADER)
        return MESHPING__ICMP_SHORT;
    out->icmp = bytes;
    out->icmp_length = length;
    out->type = bytes[0];
    out->code = bytes[1];
    if (meshping__icmp_is_error(family, bytes[0]))
        return parse_error(out);
    out->identifier = get_be16(bytes + 4);
    out->sequence = get_be16(bytes + 6);
    out->payload = bytes + MESHPING__ICMP_HEADER;
    out->payload_length = length - MESHPING__ICMP_HEADER;
    if (bytes[0] == (family == MESHPING_FAMILY_IPV4 ? V4_ECHO_REPLY : V6_ECHO_REPLY) && bytes[1] == 0)
        return MESHPING__ICMP_ECHO_REPLY;
    return MESHPING__ICMP_OTHER_TYPE;
}
