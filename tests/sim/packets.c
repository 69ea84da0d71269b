/* SPDX-License-Identifier: Apache-2.0 */
#include "packets.h"

#include "core/icmp.h"
#include <string.h>

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define QUOTE_MAX 548 /* RFC 1812: as much as fits 576 bytes */

static uint16_t get_be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void put_be16(uint8_t *at, size_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

bool packet_parse(request *out, const uint8_t *packet, size_t length)
{
    *out = (request){.packet = packet, .length = length};
    if (length >= IPV4_HEADER && packet[0] >> 4 == 4) {
        out->header = (size_t)(packet[0] & 15) * 4;
        if (packet[9] != 1 || (get_be16(packet + 6) & 0x3fff) != 0)
            return false;
        out->from.family = out->to.family = MESHPING_FAMILY_IPV4;
        memcpy(out->from.bytes, packet + 12, 4);
        memcpy(out->to.bytes, packet + 16, 4);
    } else if (length >= IPV6_HEADER && packet[0] >> 4 == 6) {
        out->header = IPV6_HEADER;
        if (packet[6] != 58)
            return false;
        out->from.family = out->to.family = MESHPING_FAMILY_IPV6;
        memcpy(out->from.bytes, packet + 8, 16);
        memcpy(out->to.bytes, packet + 24, 16);
    } else {
        return false;
    }
    if (out->header < IPV4_HEADER || length < out->header + MESHPING__ICMP_HEADER)
        return false;
    const uint8_t *icmp = packet + out->header;
    out->identifier = get_be16(icmp + 4);
    out->sequence = get_be16(icmp + 6);
    return icmp[0] == (out->to.family == MESHPING_FAMILY_IPV4 ? 8 : 128) && icmp[1] == 0;
}

static size_t header_of(uint8_t family)
{
    return family == MESHPING_FAMILY_IPV4 ? IPV4_HEADER : IPV6_HEADER;
}

/* Puts the IP header before `length` bytes of ICMP at out + header_of(family), and the checksums. */
static size_t finish(uint8_t *out, const meshping_address *from, const meshping_address *to, size_t length)
{
    size_t header = header_of(from->family);
    uint8_t *icmp = out + header;
    memset(out, 0, header);
    bool v4 = from->family == MESHPING_FAMILY_IPV4;
    if (v4) {
        out[0] = 0x45;
        put_be16(out + 2, header + length);
        out[8] = 64;
        out[9] = 1;
        memcpy(out + 12, from->bytes, 4);
        memcpy(out + 16, to->bytes, 4);
        put_be16(out + 10, meshping__icmp_checksum(out, header, NULL, NULL));
    } else {
        out[0] = 0x60;
        put_be16(out + 4, length);
        out[6] = 58;
        out[7] = 64;
        memcpy(out + 8, from->bytes, 16);
        memcpy(out + 24, to->bytes, 16);
    }
    icmp[2] = icmp[3] = 0;
    put_be16(icmp + 2, meshping__icmp_checksum(icmp, length, v4 ? NULL : from, v4 ? NULL : to));
    return header + length;
}

static size_t copy_icmp(uint8_t *out, const request *req)
{
    size_t length = req->length - req->header;
    uint8_t *icmp = out + header_of(req->to.family);
    memcpy(icmp, req->packet + req->header, length);
    icmp[0] = req->to.family == MESHPING_FAMILY_IPV4 ? 0 : 129;
    return length;
}

size_t packet_reply(uint8_t *out, const request *req)
{
    size_t length = copy_icmp(out, req);
    return finish(out, &req->to, &req->from, length);
}

size_t packet_error(uint8_t *out, const request *req, const meshping_address *router, bool prohibited)
{
    bool v4 = router->family == MESHPING_FAMILY_IPV4;
    size_t header = header_of(router->family), quote = req->length < QUOTE_MAX ? req->length : QUOTE_MAX;
    uint8_t *icmp = out + header;
    memset(icmp, 0, MESHPING__ICMP_HEADER);
    icmp[0] = v4 ? 3 : 1;
    icmp[1] = v4 ? (prohibited ? 13 : 1) : (prohibited ? 1 : 3);
    memcpy(icmp + MESHPING__ICMP_HEADER, req->packet, quote);
    return finish(out, router, &req->from, MESHPING__ICMP_HEADER + quote);
}

/* An ICMP error, wrong in what it quotes. */
static size_t forge_error(uint8_t *out, const request *req, profile_forgery kind, uint8_t flip)
{
    size_t header = header_of(req->to.family), written = packet_error(out, req, &req->to, false);
    bool v4 = req->to.family == MESHPING_FAMILY_IPV4;
    uint8_t *icmp = out + header, *quoted = icmp + MESHPING__ICMP_HEADER, *quoted_icmp = quoted + req->header;
    if (kind == FORGE_FOREIGN_ERROR)
        quoted[v4 ? 19 : 39] ^= flip;
    else if (kind == FORGE_ERROR_WRONG_COOKIE)
        quoted_icmp[MESHPING__ICMP_HEADER + 8] ^= flip;
    else if (kind == FORGE_ERROR_WRONG_NUMBER)
        quoted_icmp[MESHPING__ICMP_HEADER + 7] ^= flip;
    else if (kind == FORGE_ERROR_WRONG_SEQUENCE)
        quoted_icmp[6] ^= flip;
    else if (kind == FORGE_ERROR_ABOUT_REPLY)
        quoted_icmp[0] = v4 ? 0 : 129;
    written = finish(out, &req->to, &req->from, written - header);
    if (kind == FORGE_ERROR_BAD_CHECKSUM)
        icmp[2] ^= flip;
    return written;
}

size_t packet_forge(uint8_t *out, const request *req, profile_forgery kind, uint32_t random)
{
    size_t header = header_of(req->to.family), length = copy_icmp(out, req), payload = length - MESHPING__ICMP_HEADER;
    uint8_t *icmp = out + header, flip = (uint8_t)(1 + random % 254);
    bool v4 = req->to.family == MESHPING_FAMILY_IPV4;
    meshping_address from = req->to;

    if ((kind == FORGE_WRONG_PAYLOAD || kind == FORGE_TRUNCATED) && payload <= 16)
        kind = FORGE_TOO_LONG;
    switch (kind) {
    case FORGE_WRONG_SOURCE:
        from.bytes[v4 ? 3 : 15] ^= flip;
        break;
    case FORGE_WRONG_COOKIE:
        icmp[MESHPING__ICMP_HEADER + 8 + random / 256 % 8] ^= flip;
        break;
    case FORGE_WRONG_PAYLOAD:
        icmp[MESHPING__ICMP_HEADER + 16 + random / 256 % (payload - 16)] ^= flip;
        break;
    case FORGE_TRUNCATED:
        length = MESHPING__ICMP_HEADER + 16 + random / 256 % (payload - 16);
        break;
    case FORGE_TOO_LONG:
        memset(icmp + length, 0x5a, 16);
        length += 1 + random / 256 % 16;
        break;
    case FORGE_WRONG_ID:
        icmp[4] ^= flip;
        break;
    case FORGE_WRONG_SEQUENCE:
        icmp[6] ^= flip;
        break;
    case FORGE_WRONG_TYPE:
        icmp[0] = v4 ? 14 : 130;
        break;
    case FORGE_REFLECTED:
        icmp[0] = v4 ? 8 : 128;
        break;
    case FORGE_WRONG_CODE:
        icmp[1] = flip;
        break;
    case FORGE_WRONG_NUMBER:
        icmp[MESHPING__ICMP_HEADER + random / 256 % 8] ^= flip;
        break;
    case FORGE_WRONG_LAST_BYTE:
        icmp[length - 1] ^= flip;
        break;
    case FORGE_WRONG_ENGINE:
        icmp[5] ^= (uint8_t)(1 + random % 15);
        break;
    case FORGE_CUT_IDENTITY:
        length = MESHPING__ICMP_HEADER + random / 256 % 16;
        break;
    case FORGE_ZERO_PAYLOAD:
        memset(icmp + MESHPING__ICMP_HEADER, 0, payload);
        break;
    case FORGE_SWAPPED_IDENTITY:
        memcpy(icmp + MESHPING__ICMP_HEADER, req->packet + req->header + MESHPING__ICMP_HEADER + 8, 8);
        memcpy(icmp + MESHPING__ICMP_HEADER + 8, req->packet + req->header + MESHPING__ICMP_HEADER, 8);
        break;
    case FORGE_FOREIGN_ERROR:
    case FORGE_ERROR_WRONG_COOKIE:
    case FORGE_ERROR_WRONG_NUMBER:
    case FORGE_ERROR_WRONG_SEQUENCE:
    case FORGE_ERROR_ABOUT_REPLY:
    case FORGE_ERROR_BAD_CHECKSUM:
        return forge_error(out, req, kind, flip);
    default:
        break;
    }
    size_t written = finish(out, &from, &req->from, length);
    if (kind == FORGE_BAD_CHECKSUM)
        icmp[2] ^= flip;
    return written;
}
