/* SPDX-License-Identifier: Apache-2.0 */
/* The packets of the simulated internet: good ones, errors, and those that must never count. */
#include "simnet_impl.h"

#include "core/icmp.h"
#include <string.h>

#define IPV4_HEADER 20
#define IPV6_HEADER 40
#define STRAY_BY 65536 /* numbers ago: the engine's memory of that probe is gone */

void sim_put_checksum(sim_packet *packet, size_t start)
{
    uint8_t *icmp = packet->bytes + start;
    icmp[2] = icmp[3] = 0;
    bool v6 = packet->rx.family == MESHPING_FAMILY_IPV6;
    uint16_t sum =
        meshping__icmp_checksum(icmp, packet->length - start, v6 ? &packet->rx.from : NULL, v6 ? &packet->rx.to : NULL);
    icmp[2] = (uint8_t)(sum >> 8);
    icmp[3] = (uint8_t)sum;
}

static size_t put_ipv4_header(uint8_t *out, const meshping_address *from, const meshping_address *to, size_t payload)
{
    memset(out, 0, IPV4_HEADER);
    out[0] = 0x45;
    out[2] = (uint8_t)((payload + IPV4_HEADER) >> 8);
    out[3] = (uint8_t)(payload + IPV4_HEADER);
    out[8] = 64;
    out[9] = 1;
    memcpy(out + 12, from->bytes, 4);
    memcpy(out + 16, to->bytes, 4);
    return IPV4_HEADER;
}

const meshping_address *sim_own_address(uint8_t family)
{
    static const meshping_address own4 = {.family = 4, .bytes = {192, 0, 2, 254}};
    static const meshping_address own6 = {.family = 6, .bytes = {0x20, 1, 0xd, 0xb8, [15] = 0xfe}};
    return family == MESHPING_FAMILY_IPV4 ? &own4 : &own6;
}

/* An empty packet from a host to us; returns where its ICMP message starts. */
static size_t begin(sim_packet *packet, const meshping_address *from, int64_t arrival_ns)
{
    memset(packet, 0, sizeof *packet);
    packet->arrival_ns = arrival_ns;
    packet->rx.family = from->family;
    packet->rx.from = *from;
    packet->rx.to = *sim_own_address(from->family);
    packet->rx.ip_header = from->family == MESHPING_FAMILY_IPV4;
    return packet->rx.ip_header ? IPV4_HEADER : 0;
}

static void finish(sim_packet *packet, size_t start, size_t icmp_length)
{
    packet->length = start + icmp_length;
    if (packet->rx.ip_header)
        put_ipv4_header(packet->bytes, &packet->rx.from, &packet->rx.to, icmp_length);
    if (icmp_length >= 4)
        sim_put_checksum(packet, start);
}

void sim_make_reply(sim_packet *packet, const meshping__tx *tx, int64_t arrival_ns)
{
    size_t start = begin(packet, &tx->to, arrival_ns);
    memcpy(packet->bytes + start, tx->bytes, tx->length);
    packet->bytes[start] = packet->rx.family == MESHPING_FAMILY_IPV4 ? 0 : 129;
    finish(packet, start, tx->length);
}

void sim_make_error(sim_packet *packet, const meshping__tx *tx, uint8_t type, uint8_t code, size_t quote,
                    int64_t arrival_ns)
{
    meshping_address router = tx->to;
    bool v4 = router.family == MESHPING_FAMILY_IPV4;
    router.bytes[v4 ? 3 : 15] ^= 0x80;
    size_t start = begin(packet, &router, arrival_ns);
    uint8_t *icmp = packet->bytes + start;
    icmp[0] = type;
    icmp[1] = code;
    size_t header = v4 ? IPV4_HEADER : IPV6_HEADER;
    if (v4) {
        put_ipv4_header(icmp + 8, sim_own_address(4), &tx->to, tx->length);
    } else {
        icmp[8] = 0x60;
        icmp[8 + 6] = 58;
        memcpy(icmp + 8 + 8, sim_own_address(6)->bytes, 16);
        memcpy(icmp + 8 + 24, tx->to.bytes, 16);
    }
    if (quote > tx->length)
        quote = tx->length;
    memcpy(icmp + 8 + header, tx->bytes, quote);
    finish(packet, start, 8 + header + quote);
}

static void forge_error(sim_net *net, const meshping__tx *tx, sim_forgery kind, int64_t arrival_ns)
{
    sim_packet packet;
    bool v4 = tx->to.family == MESHPING_FAMILY_IPV4;
    size_t start = v4 ? IPV4_HEADER : 0, header = v4 ? IPV4_HEADER : IPV6_HEADER;
    size_t quote = kind == SIM_ERROR_CUT_QUOTE ? 4 : kind == SIM_ERROR_WRONG_NUMBER ? 16 : 64;
    sim_make_error(&packet, tx, v4 ? 3 : 1, v4 ? 1 : 3, quote, arrival_ns);
    uint8_t *quoted = packet.bytes + start + 8;
    if (kind == SIM_ERROR_WRONG_DESTINATION)
        quoted[v4 ? 18 : 38] ^= 0x55;
    else if (kind == SIM_ERROR_WRONG_COOKIE)
        quoted[header + 8 + 12] ^= 0x55;
    else if (kind == SIM_ERROR_OTHER_PROTOCOL)
        quoted[v4 ? 9 : 6] = 17;
    else if (kind == SIM_ERROR_WRONG_NUMBER)
        quoted[header + 8 + sim_random(net, 8)] ^= 0x55;
    else if (kind == SIM_ERROR_ABOUT_REPLY)
        quoted[header] = v4 ? 0 : 129;
    sim_put_checksum(&packet, start);
    if (kind == SIM_ERROR_BAD_CHECKSUM)
        packet.bytes[start + 2] ^= 0x55;
    sim_push(net, &packet);
}

static uint64_t get_number(const uint8_t *icmp)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number = number << 8 | icmp[8 + i];
    return number;
}

/* Another number, in header and payload. */
static void put_number(const sim_net *net, uint8_t *icmp, bool v4, uint64_t number)
{
    const meshping__transport *t = &net->transport;
    uint32_t wire = (uint32_t)number & ((UINT32_C(1) << t->number_bits) - 1);
    uint16_t identifier = (uint16_t)((v4 ? t->identifier_v4 : t->identifier_v6) | wire >> 16);
    for (unsigned i = 0; i < 8; i++)
        icmp[8 + i] = (uint8_t)(number >> (56 - 8 * i));
    icmp[4] = (uint8_t)(identifier >> 8);
    icmp[5] = (uint8_t)identifier;
    icmp[6] = (uint8_t)(wire >> 8);
    icmp[7] = (uint8_t)wire;
}

/* The packet sent before was to the same host, or there was none. */
static bool is_last(const sim_net *net, const meshping__tx *tx)
{
    const meshping_address *last = &net->last[tx->to.family != MESHPING_FAMILY_IPV4].to;
    return last->family == MESHPING_FAMILY_NONE || meshping_address_equal(last, &tx->to);
}

void sim_forge(sim_net *net, const meshping__tx *tx, sim_forgery kind, int64_t arrival_ns)
{
    sim_packet packet;
    sim_make_reply(&packet, tx, arrival_ns);
    bool v4 = packet.rx.ip_header, sum = true;
    size_t start = v4 ? IPV4_HEADER : 0, icmp_length = packet.length - start;
    uint8_t *icmp = packet.bytes + start;

    if (kind == SIM_BAD_IP_HEADER && !v4)
        kind = SIM_WRONG_COOKIE;
    if (kind == SIM_WRONG_FILLER && icmp_length <= 24)
        kind = SIM_WRONG_COOKIE;
    if (kind == SIM_CUT_PAYLOAD && icmp_length <= 24)
        kind = SIM_CUT_IDENTITY;
    if (kind == SIM_STRAY && get_number(icmp) <= STRAY_BY)
        kind = SIM_WRONG_COOKIE;
    if ((kind == SIM_OTHER_HOSTS_COOKIE || kind == SIM_OTHER_HOSTS_REPLY) && is_last(net, tx))
        kind = SIM_WRONG_COOKIE;
    net->forged[kind]++;
    switch (kind) {
    case SIM_WRONG_SOURCE:
        packet.rx.from.bytes[v4 ? 2 : 14] ^= 0x40;
        break;
    case SIM_WRONG_COOKIE:
        icmp[16 + sim_random(net, 8)] ^= (uint8_t)(1 + sim_random(net, 255));
        break;
    case SIM_WRONG_NUMBER:
        icmp[8 + sim_random(net, 8)] ^= (uint8_t)(1 + sim_random(net, 255));
        break;
    case SIM_WRONG_FILLER:
        icmp[24 + sim_random(net, (uint32_t)icmp_length - 24)] ^= (uint8_t)(1 + sim_random(net, 255));
        break;
    case SIM_CUT_PAYLOAD:
        icmp_length = 24 + sim_random(net, (uint32_t)icmp_length - 24);
        break;
    case SIM_CUT_IDENTITY:
        icmp_length = 8 + sim_random(net, 16);
        break;
    case SIM_CUT_HEADER:
        icmp_length = 1 + sim_random(net, 7);
        break;
    case SIM_TOO_LONG:
        icmp_length += 1 + sim_random(net, 64);
        break;
    case SIM_WRONG_SEQUENCE:
        icmp[6] ^= 0x7f;
        break;
    case SIM_WRONG_IDENTIFIER:
        icmp[4] ^= 0x7f;
        break;
    case SIM_WRONG_TYPE:
        icmp[0] = v4 ? 14 : 131;
        break;
    case SIM_WRONG_CODE:
        icmp[1] = 1;
        break;
    case SIM_REFLECTED_REQUEST:
        icmp[0] = tx->bytes[0];
        break;
    case SIM_OTHER_HOSTS_COOKIE:
        memcpy(icmp + 16, net->last[!v4].bytes + 16, 8);
        break;
    case SIM_OTHER_HOSTS_REPLY:
        icmp_length = net->last[!v4].length;
        memcpy(icmp + 4, net->last[!v4].bytes + 4, icmp_length - 4);
        break;
    case SIM_SWAPPED_IDENTITY:
        memcpy(icmp + 8, tx->bytes + 16, 8);
        memcpy(icmp + 16, tx->bytes + 8, 8);
        break;
    case SIM_ZERO_PAYLOAD:
        memset(icmp + 8, 0, icmp_length - 8);
        break;
    case SIM_STRAY:
        put_number(net, icmp, v4, get_number(icmp) - STRAY_BY);
        break;
    case SIM_GARBAGE:
        for (size_t i = 0; i < icmp_length; i++)
            icmp[i] = (uint8_t)sim_random(net, 256);
        icmp[0] = v4 ? 0 : 129;
        icmp[4] = (uint8_t)~tx->bytes[4];
        break;
    case SIM_EMPTY:
        packet.length = 0;
        sim_push(net, &packet);
        return;
    default:
        break;
    }
    if ((kind >= SIM_ERROR_WRONG_DESTINATION && kind <= SIM_ERROR_OTHER_PROTOCOL) ||
        (kind >= SIM_ERROR_WRONG_NUMBER && kind <= SIM_ERROR_BAD_CHECKSUM)) {
        forge_error(net, tx, kind, arrival_ns);
        return;
    }
    sum = kind != SIM_BAD_CHECKSUM;
    if (v4)
        put_ipv4_header(packet.bytes, &packet.rx.from, &packet.rx.to, icmp_length);
    packet.length = start + icmp_length;
    if (icmp_length >= 4)
        sim_put_checksum(&packet, start);
    if (!sum)
        icmp[2 + sim_random(net, 2)] ^=
            (uint8_t)(1 + sim_random(net, 254)); /* never 0xff: -0 is 0 in this arithmetic */
    if (kind == SIM_BAD_IP_HEADER) {
        packet.bytes[0] = 0x4f;
        packet.length = 24 + sim_random(net, 8);
    }
    sim_push(net, &packet);
}
