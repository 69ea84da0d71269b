/* SPDX-License-Identifier: Apache-2.0 */
#include "core/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define ZONE_MAX 15 /* IFNAMSIZ without its NUL */
#define LABEL_MAX 63

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_alpha(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_mapped(const uint8_t *bytes)
{
    static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(bytes, prefix, sizeof prefix) == 0;
}

bool meshping__needs_zone(const meshping_address *address)
{
    const uint8_t *b = address->bytes;
    return address->family == MESHPING_FAMILY_IPV6 &&
           ((b[0] == 0xfe && (b[1] & 0xc0) == 0x80) || (b[0] == 0xff && (b[1] & 0x0f) == 0x02));
}

static void set_ipv6(meshping_address *out, const uint8_t *bytes)
{
    *out = (meshping_address){0};
    if (is_mapped(bytes)) {
        out->family = MESHPING_FAMILY_IPV4;
        memcpy(out->bytes, bytes + 12, 4);
    } else {
        out->family = MESHPING_FAMILY_IPV6;
        memcpy(out->bytes, bytes, 16);
    }
}

/* Four decimal octets without leading zeros, as inet_pton has it, but without its cost: lists are long. */
static bool parse_ipv4(uint8_t *bytes, const char *at)
{
    for (unsigned octet = 0; octet < 4; octet++) {
        unsigned value = 0;
        if (octet && *at++ != '.')
            return false;
        const char *start = at;
        for (; is_digit(*at) && at - start < 3; at++)
            value = value * 10 + (unsigned)(*at - '0');
        if (at == start || value > 255 || (*start == '0' && at - start > 1))
            return false;
        bytes[octet] = (uint8_t)value;
    }
    return *at == 0;
}

static size_t format_ipv4(char *out, const uint8_t *bytes)
{
    char *at = out;
    for (unsigned octet = 0; octet < 4; octet++) {
        unsigned value = bytes[octet];
        if (octet)
            *at++ = '.';
        if (value >= 100)
            *at++ = (char)('0' + value / 100);
        if (value >= 10)
            *at++ = (char)('0' + value / 10 % 10);
        *at++ = (char)('0' + value % 10);
    }
    *at = 0;
    return (size_t)(at - out);
}

/*
 * Splits "address%zone" and parses the address. *zone points into `text` behind the '%', or is NULL.
 */
static bool parse_split(meshping_address *out, const char **zone, const char *text)
{
    char plain[INET6_ADDRSTRLEN];
    uint8_t bytes[16];

    *zone = NULL;
    *out = (meshping_address){.family = MESHPING_FAMILY_IPV4};
    if (parse_ipv4(out->bytes, text))
        return true;
    const char *percent = strchr(text, '%');
    size_t length = percent ? (size_t)(percent - text) : strlen(text);
    if (length == 0 || length >= sizeof plain)
        return false;
    *zone = percent ? percent + 1 : NULL;
    memcpy(plain, text, length);
    plain[length] = 0;
    if (inet_pton(AF_INET6, plain, bytes) != 1)
        return false;
    set_ipv6(out, bytes);
    if (!percent)
        return true;
    size_t zone_length = strlen(*zone);
    if (zone_length == 0 || zone_length > ZONE_MAX || !meshping__needs_zone(out))
        return false;
    return meshping__interface_name_ok(*zone);
}

bool meshping__interface_name_ok(const char *name)
{
    for (const char *c = name; *c; c++)
        if (!is_alpha(*c) && !is_digit(*c) && !strchr("._-@", *c))
            return false;
    return true;
}

meshping_status meshping_address_parse(meshping_address *out, const char *text, meshping_error *err)
{
    meshping_address address;
    const char *zone;

    if (!parse_split(&address, &zone, text))
        return meshping_error_set(err, MESHPING_INVALID, "'%.80s' is not an IP address", text);
    if (zone) {
        char *end;
        unsigned long index = strtoul(zone, &end, 10);
        if (!is_digit(*zone) || *end || index > UINT32_MAX)
            index = if_nametoindex(zone);
        if (index == 0)
            return meshping_error_set(err, MESHPING_INVALID, "'%.80s': there is no interface '%s' here", text, zone);
        address.scope_id = (uint32_t)index;
    }
    *out = address;
    return MESHPING_OK;
}

const char *meshping_address_format(const meshping_address *address, char *text)
{
    text[0] = 0;
    if (address->family == MESHPING_FAMILY_IPV4) {
        format_ipv4(text, address->bytes);
    } else if (address->family == MESHPING_FAMILY_IPV6) {
        inet_ntop(AF_INET6, address->bytes, text, MESHPING_ADDRESS_TEXT_MAX);
        size_t length = strlen(text);
        if (address->scope_id)
            snprintf(text + length, MESHPING_ADDRESS_TEXT_MAX - length, "%%%u", address->scope_id);
    }
    return text;
}

bool meshping_address_equal(const meshping_address *a, const meshping_address *b)
{
    return a->family == b->family && a->scope_id == b->scope_id && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

bool meshping_address_is_loopback(const meshping_address *address)
{
    static const uint8_t loopback6[16] = {[15] = 1};
    if (address->family == MESHPING_FAMILY_IPV4)
        return address->bytes[0] == 127;
    return address->family == MESHPING_FAMILY_IPV6 && memcmp(address->bytes, loopback6, sizeof loopback6) == 0;
}

meshping_status meshping_address_from_sockaddr(meshping_address *out, const struct sockaddr *sa)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, sa, sizeof in);
        *out = (meshping_address){.family = MESHPING_FAMILY_IPV4};
        memcpy(out->bytes, &in.sin_addr, 4);
        return MESHPING_OK;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, sa, sizeof in6);
        set_ipv6(out, in6.sin6_addr.s6_addr);
        if (meshping__needs_zone(out))
            out->scope_id = in6.sin6_scope_id;
        return MESHPING_OK;
    }
    return MESHPING_INVALID;
}

/* True when `label` is a number as inet_aton reads one: decimal, octal or 0x hexadecimal. */
static bool is_number(const char *label, size_t length)
{
    bool hex = length >= 2 && label[0] == '0' && (label[1] == 'x' || label[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < length; i++)
        if (hex ? !is_hex(label[i]) : !is_digit(label[i]))
            return false;
    return length > 0;
}

static meshping_status refuse(meshping_error *err, const char *text, const char *why)
{
    return meshping_error_set(err, MESHPING_INVALID, "'%.80s' %s", text, why);
}

/* What people paste instead of an address gets a hint of its own. */
static meshping_status refuse_address(meshping_error *err, const char *text)
{
    if (text[0] == '[')
        return refuse(err, text, "is not an IP address: write an IPv6 address without brackets and port");
    if (strchr(text, '/'))
        return refuse(err, text, "is not an address or host name: leave out scheme, path and prefix length");
    if (strchr(text, '%'))
        return refuse(err, text,
                      "is not an IP address: only a link-local IPv6 address takes a zone, as in fe80::1%eth0");
    const char *colon = strchr(text, ':');
    if (colon && !strchr(colon + 1, ':'))
        return refuse(err, text, "is not an IP address: leave out the port");
    return refuse(err, text, "is not an IP address (192.0.2.1, 2001:db8::1) and reads like one");
}

static meshping_status canonical_name(char *out, const char *text, meshping_error *err)
{
    size_t length = strlen(text);
    if (length && text[length - 1] == '.')
        length--;
    if (length == 0)
        return refuse(err, text, "is not a host name");
    if (length >= MESHPING_HOST_MAX)
        return refuse(err, text, "is longer than a host name may be (253 characters)");
    char name[MESHPING_HOST_MAX];
    size_t label = 0; /* where the current label starts */
    for (size_t i = 0; i <= length; i++) {
        char c = i < length ? text[i] : '.';
        if (c == '.') {
            if (i == label)
                return refuse(err, text, "is not a host name: it has an empty part between dots");
            if (i - label > LABEL_MAX)
                return refuse(err, text, "is not a host name: a part is longer than 63 characters");
            if (text[label] == '-' || text[i - 1] == '-')
                return refuse(err, text, "is not a host name: a part starts or ends with '-'");
            if (i < length)
                label = i + 1;
        } else if ((unsigned char)c >= 0x80) {
            return refuse(err, text, "is not a host name: write it in its ASCII form (xn--...)");
        } else if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '_') {
            return refuse(err, text, "is not a host name: letters, digits, '-', '_' and dots are allowed");
        }
        name[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    name[length] = 0;
    /* "10.1" and "256.1.1.1" would be taken for addresses by some resolvers: no top-level domain is a number. */
    if (is_number(text + label, length - label))
        return refuse_address(err, text);
    memcpy(out, name, length + 1);
    return MESHPING_OK;
}

meshping_status meshping__host_parse(char *out, meshping_address *address, const char *text, meshping_error *err)
{
    const char *zone;

    *address = (meshping_address){0};
    if (!*text)
        return meshping_error_set(err, MESHPING_INVALID, "the address or host name is empty");
    meshping_address found;
    if (parse_split(&found, &zone, text)) {
        *address = found;
        if (found.family == MESHPING_FAMILY_IPV4 && !strchr(text, ':'))
            memcpy(out, text, strlen(text) + 1); /* there is one way to write it, and this is it */
        else
            meshping_address_format(&found, out);
        if (zone) { /* stays as text: it names an interface of the host that will use it, which may not be this one */
            size_t length = strlen(out);
            snprintf(out + length, MESHPING_HOST_MAX - length, "%%%s", zone);
        }
        return MESHPING_OK;
    }
    if (strpbrk(text, ":/%[]"))
        return refuse_address(err, text);
    return canonical_name(out, text, err);
}

meshping_status meshping_host_canonical(char *out, const char *text, meshping_error *err)
{
    meshping_address address;
    return meshping__host_parse(out, &address, text, err);
}
