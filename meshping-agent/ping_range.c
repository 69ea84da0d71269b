/* SPDX-License-Identifier: Apache-2.0 */
#include "ping_range.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Addresses of a prefix; UINT64_MAX: more than can be counted. */
static uint64_t size_of(uint8_t family, unsigned prefix)
{
    unsigned bits = (family == MESHPING_FAMILY_IPV4 ? 32 : 128) - prefix;
    if (bits >= 64)
        return UINT64_MAX;
    uint64_t all = UINT64_C(1) << bits;
    return family == MESHPING_FAMILY_IPV4 && prefix < 31 ? all - 2 : all;
}

static meshping_status too_large(const char *text, uint8_t family, unsigned prefix, uint64_t most, meshping_error *err)
{
    unsigned enough = prefix;
    uint64_t size = size_of(family, prefix);
    char many[32] = "over 10^18";
    while (size_of(family, enough) > most)
        enough++;
    if (size < UINT64_C(1000000000000000000))
        snprintf(many, sizeof many, "%llu", (unsigned long long)size);
    return meshping_error_set(err, MESHPING_LIMIT,
                              "%.60s is %s addresses, at most %llu are allowed: name a smaller range, /%u or longer",
                              text, many, (unsigned long long)most, enough);
}

meshping_status ping_range_parse(ping_range *out, const char *text, uint64_t most, meshping_error *err)
{
    char address[MESHPING_ADDRESS_TEXT_MAX];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (!slash || length >= sizeof address)
        return meshping_error_set(err, MESHPING_INVALID, "'%.60s' is no range of addresses", text);
    memcpy(address, text, length);
    address[length] = 0;
    if (meshping_address_parse(&out->first, address, NULL) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_INVALID,
                                  "'%.60s': before the '/' of a range stands an IP address, as in 192.0.2.0/24", text);
    bool v4 = out->first.family == MESHPING_FAMILY_IPV4;
    unsigned bits = v4 ? 32 : 128;
    char *end;
    unsigned long prefix = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end || prefix > bits)
        return meshping_error_set(err, MESHPING_INVALID, "'%.60s': the prefix of IPv%u is a number from 0 to %u", text,
                                  out->first.family, bits);
    out->count = size_of(out->first.family, (unsigned)prefix);
    if (out->count > most)
        return too_large(text, out->first.family, (unsigned)prefix, most, err);
    for (unsigned bit = (unsigned)prefix; bit < bits; bit++)
        out->first.bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    if (v4 && prefix < 31)
        out->first.bytes[3] |= 1; /* the bits behind the prefix were cleared just now */
    return MESHPING_OK;
}

void ping_range_at(const ping_range *range, uint64_t index, meshping_address *out)
{
    *out = range->first;
    for (int i = range->first.family == MESHPING_FAMILY_IPV4 ? 3 : 15; i >= 0 && index; i--) {
        index += out->bytes[i];
        out->bytes[i] = (uint8_t)index;
        index >>= 8;
    }
}
