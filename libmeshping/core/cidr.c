/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/cidr.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    if (memcmp(a, b, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (a[bits / 8] & mask) == (b[bits / 8] & mask);
}

meshping_status meshping_cidr_parse(meshping_cidr *out, const char *text, meshping_error *err)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    meshping_cidr range = {0};
    if (length >= sizeof address)
        return meshping_error_set(err, MESHPING_INVALID, "\"%.64s\" is not an address range", text);
    memcpy(address, text, length);
    address[length] = 0;

    unsigned most;
    if (inet_pton(AF_INET, address, range.bytes) == 1) {
        range.family = MESHPING_FAMILY_IPV4;
        most = 32;
    } else if (inet_pton(AF_INET6, address, range.bytes) == 1) {
        range.family = MESHPING_FAMILY_IPV6;
        most = 128;
    } else {
        return meshping_error_set(err, MESHPING_INVALID, "\"%.64s\" is not an address range such as 10.0.0.0/8", text);
    }
    unsigned long bits = most;
    if (slash) {
        char *end = address;
        bits = slash[1] >= '0' && slash[1] <= '9' ? strtoul(slash + 1, &end, 10) : most + 1;
        if (bits > most || *end)
            return meshping_error_set(err, MESHPING_INVALID, "\"%.64s\": the prefix must be 0 to %u", text, most);
    }
    if (range.family == MESHPING_FAMILY_IPV6 && bits >= 96 && memcmp(range.bytes, mapped_prefix, 12) == 0) {
        memmove(range.bytes, range.bytes + 12, 4);
        memset(range.bytes + 4, 0, 12);
        range.family = MESHPING_FAMILY_IPV4;
        bits -= 96;
        most = 32;
    }
    range.prefix_bits = (uint8_t)bits;
    for (unsigned bit = (unsigned)bits; bit < most; bit++)
        if (range.bytes[bit / 8] & (0x80 >> bit % 8))
            return meshping_error_set(err, MESHPING_INVALID, "\"%.64s\": bits are set beyond the prefix", text);
    *out = range;
    return MESHPING_OK;
}

meshping_status meshping_cidr_list_parse(meshping_cidr_list *out, const char *text, meshping_error *err)
{
    meshping_cidr_list list = {0};
    for (const char *at = text; *at;) {
        char one[128];
        at += strspn(at, ", \t");
        size_t length = strcspn(at, ", \t");
        if (length == 0)
            break;
        if (length >= sizeof one)
            return meshping_error_set(err, MESHPING_INVALID, "\"%.64s\" is not an address range", at);
        memcpy(one, at, length);
        one[length] = 0;
        if (list.count == MESHPING_CIDR_LIST_MAX)
            return meshping_error_set(err, MESHPING_LIMIT, "more than %d address ranges", MESHPING_CIDR_LIST_MAX);
        meshping_status status = meshping_cidr_parse(&list.items[list.count], one, err);
        if (status != MESHPING_OK)
            return status;
        list.count++;
        at += length;
    }
    *out = list;
    return MESHPING_OK;
}

bool meshping_cidr_contains(const meshping_cidr *range, const meshping_address *address)
{
    const uint8_t *bytes = address->bytes;
    uint8_t family = address->family;
    if (family == MESHPING_FAMILY_IPV6 && memcmp(bytes, mapped_prefix, 12) == 0) {
        bytes += 12;
        family = MESHPING_FAMILY_IPV4;
    }
    return family == range->family && bits_equal(range->bytes, bytes, range->prefix_bits);
}

bool meshping_cidr_list_contains(const meshping_cidr_list *list, const meshping_address *address)
{
    for (size_t i = 0; i < list->count; i++)
        if (meshping_cidr_contains(&list->items[i], address))
            return true;
    return false;
}

const char *meshping_cidr_format(const meshping_cidr *range, char *text)
{
    bool ipv4 = range->family == MESHPING_FAMILY_IPV4;
    text[0] = '\0';
    if (!inet_ntop(ipv4 ? AF_INET : AF_INET6, range->bytes, text, INET6_ADDRSTRLEN))
        return text;
    if (range->prefix_bits < (ipv4 ? 32 : 128)) {
        size_t length = strlen(text);
        snprintf(text + length, MESHPING_CIDR_TEXT_MAX - length, "/%u", range->prefix_bits);
    }
    return text;
}

meshping_status meshping_cidr_list_format(const meshping_cidr_list *list, char *out, size_t size, meshping_error *err)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < list->count; i++) {
        char text[MESHPING_CIDR_TEXT_MAX];
        meshping_cidr_format(&list->items[i], text);
        size_t length = strlen(text) + (i ? 2 : 0);
        if (length >= size - used) {
            out[0] = '\0';
            return meshping_error_set(err, MESHPING_LIMIT, "the address ranges are too long together");
        }
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", text);
    }
    return MESHPING_OK;
}

void meshping_cidr_of_peer(meshping_cidr *out, const meshping_address *address)
{
    static const uint8_t translated[12] = {0x00, 0x64, 0xff, 0x9b};
    const uint8_t *b = address->bytes;
    *out = (meshping_cidr){.family = address->family};
    memcpy(out->bytes, b, sizeof out->bytes);
    if (address->family == MESHPING_FAMILY_IPV6 && memcmp(b, mapped_prefix, 12) == 0) {
        *out = (meshping_cidr){.family = MESHPING_FAMILY_IPV4};
        memcpy(out->bytes, b + 12, 4);
    }
    if (out->family == MESHPING_FAMILY_IPV4) {
        out->prefix_bits = 32;
    } else if (memcmp(b, translated, 12) == 0 || (b[0] == 0xfe && (b[1] & 0xc0) == 0x80)) {
        out->prefix_bits = 128;
    } else {
        out->prefix_bits = 64;
        memset(out->bytes + 8, 0, 8);
    }
}
