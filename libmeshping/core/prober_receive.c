/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back: is it the reply, whose, and how long did it take. Nothing in a packet is trusted before the cookie.
 */
#include "core/prober_impl.h"

#include "base/alloc.h"
#include <endian.h>
#include <string.h>

#define CLOCK_TOLERANCE_NS 100000 /* what two readings of two clocks, one after the other, may differ by */

static uint64_t get_be64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return be64toh(value);
}

static bool same_host(const meshping_address *a, const meshping_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0 &&
           (a->scope_id == b->scope_id || a->scope_id == 0 || b->scope_id == 0);
}

/* An answer to a probe from a given address goes to that address. */
static bool meant_for_source(meshping_prober *prober, const meshping__flight *flight, const meshping_address *to)
{
    const meshping__probe_target *target = meshping__prober_target_of(prober, flight);
    if (!target || !target->way || !target->way->source.family || !to->family)
        return true;
    return same_host(to, &target->way->source);
}

/*
 * The round-trip time: the kernel's receive stamp against the wall clock at sending. Both clocks were read at both
 * ends, so a step of the wall clock shows as a change of their difference; then the monotonic clock decides.
 * *in_time: it came within the timeout, even where the exact time is in doubt.
 */
static int64_t measure_rtt_ns(const meshping__flight *flight, const meshping__rx *rx, int64_t timeout_ns,
                              uint16_t *flags, bool *in_time)
{
    int64_t mono = rx->read_mono_ns - flight->sent_mono_ns;
    int64_t wall = rx->stamp_unix_ns - flight->sent_unix_ns;
    int64_t step = (rx->read_unix_ns - rx->read_mono_ns) - (flight->sent_unix_ns - flight->sent_mono_ns);
    if (mono < 0)
        mono = 0;
    *in_time = mono <= timeout_ns;
    if (rx->stamp_unix_ns == 0) {
        *flags |= MESHPING_FLAG_COARSE_TIME;
        return mono;
    }
    if (step <= CLOCK_TOLERANCE_NS && step >= -CLOCK_TOLERANCE_NS && wall >= 0 && wall <= mono + CLOCK_TOLERANCE_NS) {
        *in_time = wall <= timeout_ns;
        return wall;
    }
    *flags |= MESHPING_FLAG_CLOCK;
    if (*in_time)
        return mono;
    /* It was read late, so `mono` says little: the stamp was made either before the step or after it. */
    int64_t candidates[2] = {wall, wall - step};
    for (int i = 0; i < 2; i++)
        if (candidates[i] >= 0 && candidates[i] <= timeout_ns) {
            *in_time = true;
            return candidates[i];
        }
    return mono;
}

/* Where a flight's target counts what is not a plain reply; NULL when it is gone, or there is no memory. */
static meshping__oddities *oddities_of(meshping_prober *prober, const meshping__flight *flight)
{
    meshping__probe_target *target = flight ? meshping__prober_target_of(prober, flight) : NULL;
    if (target && !target->oddities)
        target->oddities = meshping__calloc(1, sizeof *target->oddities);
    return target ? target->oddities : NULL;
}

static void reject(meshping_prober *prober, const meshping__flight *flight, meshping_reject reason)
{
    meshping__oddities *oddities = oddities_of(prober, flight);
    prober->stats.rejected_by[reason]++;
    if (oddities)
        oddities->rejected_by[reason]++;
}

static void count_late(meshping_prober *prober, const meshping__flight *flight)
{
    meshping__oddities *oddities = oddities_of(prober, flight);
    prober->stats.late++;
    if (oddities)
        oddities->late++;
}

/* A valid reply to a known flight. */
static void accept_reply(meshping_prober *prober, meshping__flight *flight, const meshping__rx *rx)
{
    meshping_probe_result result = {.from = rx->from, .via_loopback = rx->via_loopback};
    bool in_time;

    if (flight->state == MESHPING__FLIGHT_ANSWERED) {
        meshping__oddities *oddities = oddities_of(prober, flight);
        prober->stats.duplicates++;
        if (oddities)
            oddities->duplicates++;
        return;
    }
    int64_t rtt_ns =
        measure_rtt_ns(flight, rx, prober->flights.queues[flight->queue].timeout_ns, &result.sample.flags, &in_time);
    if (flight->state != MESHPING__FLIGHT_FLYING || !in_time) {
        count_late(prober, flight);
        return;
    }
    int64_t rtt_us = (rtt_ns + 500) / 1000;
    result.sample.outcome = MESHPING_OUTCOME_OK;
    result.sample.rtt_us = rtt_us > (int64_t)MESHPING_RTT_US_MAX ? MESHPING_RTT_US_MAX : (uint32_t)rtt_us;
    result.done_mono_ns = rx->read_mono_ns;
    meshping__prober_conclude(prober, flight, &result);
}

/* Our identifier, but the slot knows nothing of it (any more): late, if the cookie is of our making. */
static void stray_reply(meshping_prober *prober, const meshping__icmp_message *message, const meshping__rx *rx)
{
    uint64_t number = get_be64(message->payload), cookie = get_be64(message->payload + 8);
    if (message->payload_length <= UINT16_MAX && number < prober->flights.next_number &&
        meshping__prober_cookie(prober, number, &rx->from, (uint16_t)message->payload_length) == cookie)
        count_late(prober, NULL);
    else
        reject(prober, NULL, MESHPING_REJECT_UNKNOWN);
}

static void take_reply(meshping_prober *prober, const meshping__icmp_message *message, const meshping__rx *rx,
                       uint32_t wire, meshping__flight *flight)
{
    if (message->payload_length < MESHPING__ICMP_IDENTITY) {
        reject(prober, flight, MESHPING_REJECT_SHORT);
        return;
    }
    uint64_t number = get_be64(message->payload), cookie = get_be64(message->payload + 8);
    if (((number ^ wire) & (prober->flights.capacity_max - 1)) != 0) {
        reject(prober, NULL, MESHPING_REJECT_UNKNOWN); /* header and payload name different probes */
        return;
    }
    if (!flight || flight->number != number) {
        stray_reply(prober, message, rx);
        return;
    }
    if (flight->cookie != cookie)
        reject(prober, flight, MESHPING_REJECT_COOKIE);
    else if (!same_host(&rx->from, &flight->address) || !meant_for_source(prober, flight, &rx->to))
        reject(prober, flight, MESHPING_REJECT_SOURCE);
    else if (rx->truncated || message->payload_length != flight->size)
        reject(prober, flight, MESHPING_REJECT_LENGTH);
    else if (!meshping__icmp_filler_ok(message->payload, message->payload_length))
        reject(prober, flight, MESHPING_REJECT_COOKIE);
    else
        accept_reply(prober, flight, rx);
}

/*
 * An ICMP error: kept with the flight until the timeout, for a valid reply may still come and wins. Of the quoted
 * packet only 8 bytes of ICMP are sure (RFC 792); where more is quoted, it has to be ours as well.
 */
static void take_error(meshping_prober *prober, const meshping__icmp_message *message, const meshping__rx *rx,
                       meshping__flight *flight)
{
    uint8_t type = rx->is_error ? rx->error_type : message->type;
    uint8_t code = rx->is_error ? rx->error_code : message->code;
    const meshping_address *quoted_to = rx->is_error ? &rx->to : &message->quoted_to;

    if (!flight || !same_host(quoted_to, &flight->address)) {
        reject(prober, NULL, MESHPING_REJECT_UNKNOWN);
        return;
    }
    if ((message->payload_length >= 8 && get_be64(message->payload) != flight->number) ||
        (message->payload_length >= 16 && get_be64(message->payload + 8) != flight->cookie)) {
        reject(prober, NULL, MESHPING_REJECT_COOKIE);
        return;
    }
    if (flight->state != MESHPING__FLIGHT_FLYING)
        return;
    flight->error_outcome = meshping__icmp_outcome(rx->family, type, code);
    flight->error_type = type;
    flight->error_code = code;
    flight->error_mtu = rx->is_error ? (uint16_t)rx->error_info : message->mtu;
    flight->error_from = rx->from;
    flight->error_via_loopback = rx->via_loopback;
}

static bool checksum_ok(const meshping__icmp_message *message, const meshping__rx *rx)
{
    if (rx->truncated)
        return true; /* cannot be told; the length gives it away */
    if (rx->family == MESHPING_FAMILY_IPV4)
        return meshping__icmp_checksum(message->icmp, message->icmp_length, NULL, NULL) == 0;
    if (rx->to.family != MESHPING_FAMILY_IPV6)
        return true; /* the kernel checked, and kept the destination to itself */
    return meshping__icmp_checksum(message->icmp, message->icmp_length, &rx->from, &rx->to) == 0;
}

/* A queued error carries our own message: the identifier in it is ours. */
static meshping__icmp_kind parse(meshping__icmp_message *message, const meshping__rx *rx)
{
    if (!rx->is_error)
        return meshping__icmp_parse(message, rx->family, rx->ip_header, rx->bytes, rx->length);
    *message = (meshping__icmp_message){.family = rx->family};
    if (rx->length < MESHPING__ICMP_HEADER || !meshping__icmp_is_error(rx->family, rx->error_type))
        return MESHPING__ICMP_OTHER;
    message->identifier = (uint16_t)(rx->bytes[4] << 8 | rx->bytes[5]);
    message->sequence = (uint16_t)(rx->bytes[6] << 8 | rx->bytes[7]);
    message->payload = rx->bytes + MESHPING__ICMP_HEADER;
    message->payload_length = rx->length - MESHPING__ICMP_HEADER;
    return MESHPING__ICMP_ERROR;
}

static void take_packet(meshping_prober *prober, const meshping__rx *rx)
{
    const meshping__transport *transport = prober->transport;
    uint16_t base = rx->family == MESHPING_FAMILY_IPV4 ? transport->identifier_v4 : transport->identifier_v6;
    uint16_t low = (uint16_t)((1u << (transport->number_bits - 16)) - 1);
    meshping__icmp_message message;
    meshping__icmp_kind kind = parse(&message, rx);

    if (kind == MESHPING__ICMP_SHORT)
        reject(prober, NULL, MESHPING_REJECT_SHORT);
    if (kind == MESHPING__ICMP_BAD_QUOTE)
        reject(prober, NULL, MESHPING_REJECT_QUOTE);
    if (kind == MESHPING__ICMP_SHORT || kind == MESHPING__ICMP_BAD_QUOTE || kind == MESHPING__ICMP_OTHER)
        return;
    if (((message.identifier ^ base) & (uint16_t)~low) != 0) {
        prober->stats.foreign++; /* another process's ping: nothing of ours is wrong */
        return;
    }
    if (kind == MESHPING__ICMP_OTHER_TYPE) {
        reject(prober, NULL, MESHPING_REJECT_TYPE);
        return;
    }
    uint32_t wire = (uint32_t)(message.identifier & low) << 16 | message.sequence;
    meshping__flight *flight = meshping__flights_on_wire(&prober->flights, wire);
    if (!rx->is_error && !checksum_ok(&message, rx)) {
        bool known = flight && kind == MESHPING__ICMP_ECHO_REPLY && same_host(&rx->from, &flight->address);
        reject(prober, known ? flight : NULL, MESHPING_REJECT_CHECKSUM);
        return;
    }
    if (kind == MESHPING__ICMP_ECHO_REPLY)
        take_reply(prober, &message, rx, wire, flight);
    else
        take_error(prober, &message, rx, flight);
}

bool meshping__prober_receive(meshping_prober *prober)
{
    meshping__rx packets[MESHPING__PROBER_BATCH];
    for (size_t total = 0; total < MESHPING__PROBER_RECEIVE_MAX;) {
        size_t count = prober->transport->receive(prober->transport, packets, MESHPING__PROBER_BATCH);
        if (count == 0)
            return true;
        /* a callback may change targets, whose removal touches flights but never the packets of this batch */
        for (size_t i = 0; i < count; i++)
            take_packet(prober, &packets[i]);
        total += count;
    }
    return false;
}
