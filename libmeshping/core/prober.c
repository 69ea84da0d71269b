/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's life and its clockwork: what is due, what has timed out, what is sent. */
#include "core/prober_impl.h"

#include "base/alloc.h"
#include "core/schedule.h"
#include "core/siphash.h"
#include <endian.h>
#include <errno.h>
#include <string.h>

#define CLOCK_STEP_NS 10000000    /* the wall clock went this far from the schedule: a step */
#define DROPS_CHECK_NS 100000000  /* how often the sockets are asked for drops while probes fly */
#define LOCAL_RETRY_NS 1000000000 /* unpaced: pause of a target that could not be sent to */
#define QUEUE_FULL_RETRY_NS 10000000
#define GATHER_NS 2000000 /* how long a probe may wait for others, so that many targets do not cost a wake-up each; */
#define GATHER_PROBES 4   /* but for about so many only: a burst's packets wait for each other on their way; */
#define GATHER_FROM 1500  /* and not where there are fewer a second */

void meshping_prober_options_init(meshping_prober_options *options)
{
    *options = (meshping_prober_options){
        .struct_size = sizeof *options,
        .max_targets = 100000,
        .late_send_ms = 100,
        .paced = true,
        .in_flight = 512,
    };
}

meshping_status meshping__prober_new(meshping_prober **out, const meshping_prober_options *options,
                                     meshping__transport *transport, const uint8_t key[16], meshping_error *err)
{
    meshping_prober *prober = NULL;
    meshping_status status = MESHPING_OK;

    if (!options->on_result || options->struct_size > sizeof *options) {
        status = meshping_error_set(err, MESHPING_INVALID, "prober: options without a callback, or of a newer version");
        goto out;
    }
    prober = meshping__calloc(1, sizeof *prober);
    if (!prober || meshping__flights_init(&prober->flights, transport->number_bits) != MESHPING_OK) {
        status = meshping_error_set(err, MESHPING_NOMEM, "prober: out of memory");
        goto out;
    }
    meshping_prober_options_init(&prober->options);
    memcpy(&prober->options, options, options->struct_size);
    if (prober->options.in_flight == 0)
        prober->options.in_flight = 1;
    memcpy(prober->key, key, sizeof prober->key);
    prober->transport = transport;
    prober->free_head = UINT32_MAX;
    prober->drops_v4_mono_ns = prober->drops_v6_mono_ns = INT64_MIN;
    prober->drops_checked_mono_ns = prober->stepped_mono_ns = INT64_MIN;
    *out = prober;
    prober = NULL;
    transport = NULL;
out:
    if (transport)
        transport->close(transport);
    if (prober)
        meshping__flights_dispose(&prober->flights);
    meshping__free(prober);
    return status;
}

void meshping_prober_free(meshping_prober *prober)
{
    if (!prober)
        return;
    prober->transport->close(prober->transport);
    meshping__prober_free_targets(prober);
    meshping__flights_dispose(&prober->flights);
    meshping__free(prober->tx_bytes);
    meshping__free(prober);
}

const char *meshping_reject_name(unsigned reject)
{
    static const char *const names[] = {
#define XX(name, text) text,
        MESHPING_REJECT_MAP(XX)
#undef XX
    };
    return reject < MESHPING_REJECT_COUNT ? names[reject] : "unknown";
}

int meshping_prober_fd(const meshping_prober *prober)
{
    return prober->transport->fd;
}

void meshping_prober_get_stats(const meshping_prober *prober, meshping_prober_stats *out)
{
    *out = prober->stats;
    for (unsigned i = 0; i < MESHPING_REJECT_COUNT; i++)
        out->rejected += out->rejected_by[i];
    out->rx_drops = prober->drops_v4 + prober->drops_v6;
    out->in_flight = prober->flights.count;
    out->targets = prober->target_count;
}

static bool window_open(const meshping_prober *prober)
{
    return prober->options.paced || prober->flights.count < prober->options.in_flight;
}

static int64_t min_of(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t gather_ns(const meshping_prober *prober)
{
    if (!prober->options.paced || prober->probes_per_s < GATHER_FROM)
        return 0;
    return min_of(GATHER_NS, (int64_t)(GATHER_PROBES * 1e9 / prober->probes_per_s));
}

int64_t meshping_prober_deadline_ns(const meshping_prober *prober)
{
    if (prober->more_to_do || prober->step_suspected || prober->extra_count)
        return prober->now_mono_ns;
    int64_t deadline = meshping__flights_deadline_ns(&prober->flights);
    if (window_open(prober)) {
        int64_t due = meshping__heap_min(&prober->due);
        deadline = min_of(deadline, due != INT64_MAX ? due + gather_ns(prober) : due);
    }
    if (prober->resolving < MESHPING__RESOLVING_MAX)
        deadline = min_of(deadline, meshping__heap_min(&prober->lookups));
    return min_of(deadline, prober->transport->deadline_ns(prober->transport, prober->now_mono_ns));
}

uint64_t meshping__prober_cookie(const meshping_prober *prober, uint64_t number, const meshping_address *address,
                                 uint16_t size)
{
    uint8_t bytes[27];
    uint64_t number_le = htole64(number);
    memcpy(bytes, &number_le, 8);
    memcpy(bytes + 8, address->bytes, 16);
    bytes[24] = address->family;
    bytes[25] = (uint8_t)size;
    bytes[26] = (uint8_t)(size >> 8);
    return meshping__siphash(prober->key, bytes, sizeof bytes);
}

meshping__probe_target *meshping__prober_target_of(meshping_prober *prober, const meshping__flight *flight)
{
    meshping__probe_target *target = &prober->targets[flight->target];
    return target->id && target->generation == flight->generation ? target : NULL;
}

/* Unpaced: the target is free for its next probe. */
static void requeue(meshping_prober *prober, uint32_t index, uint8_t outcome)
{
    const meshping__probe_target *target = &prober->targets[index];
    if (prober->options.paced ||
        (prober->options.probes_per_target && target->sequence >= prober->options.probes_per_target))
        return;
    int64_t pause = 0;
    if (meshping_outcome_classify(outcome) == MESHPING_CLASS_LOCAL_ERROR)
        pause = outcome == MESHPING_OUTCOME_QUEUE_FULL ? QUEUE_FULL_RETRY_NS : LOCAL_RETRY_NS;
    meshping__heap_set(&prober->due, index, prober->now_mono_ns + pause);
}

/* Counts a result and hands it out. `index`: its target's place. */
static void emit(meshping_prober *prober, uint32_t index, meshping_probe_result *result)
{
    uint8_t outcome = result->sample.outcome;
    if (meshping_outcome_classify(outcome) == MESHPING_CLASS_LOCAL_ERROR)
        prober->stats.local_errors++;
    if (!result->extra)
        requeue(prober, index, outcome);
    prober->options.on_result(prober->options.user, result);
}

void meshping__prober_conclude(meshping_prober *prober, meshping__flight *flight, meshping_probe_result *result)
{
    meshping__probe_target *target = meshping__prober_target_of(prober, flight);
    uint32_t index = flight->target;
    bool ok = result->sample.outcome == MESHPING_OUTCOME_OK;

    result->sequence = flight->sequence;
    result->extra = flight->extra;
    result->sample.slot_unix_us = flight->slot_unix_ns / 1000;
    result->sample.flags |= ok ? flight->flags : (uint16_t)(flight->flags & ~MESHPING_FLAG_COARSE_TIME);
    result->address = flight->address;
    result->sent_unix_ns = flight->sent_unix_ns;
    result->sent_mono_ns = flight->sent_mono_ns;
    meshping__flights_finish(&prober->flights, flight, ok ? MESHPING__FLIGHT_ANSWERED : MESHPING__FLIGHT_MISSED);
    if (!target) {
        if (flight->extra) /* what was asked is answered */
            emit(prober, index, result);
        return;
    }
    result->target_id = target->id;
    if (ok) {
        prober->stats.received++;
        target->received++;
    } else if (meshping_outcome_classify(result->sample.outcome) == MESHPING_CLASS_FAIL) {
        meshping__prober_doubt_address(prober, index);
    }
    emit(prober, index, result);
}

/* A result without a flight: nothing could be sent for the slot. */
static void emit_unsent(meshping_prober *prober, uint32_t index, int64_t slot_unix_ns, uint8_t outcome)
{
    meshping__probe_target *target = &prober->targets[index];
    meshping_probe_result result = {
        .target_id = target->id,
        .sequence = target->sequence++,
        .sample = {.slot_unix_us = slot_unix_ns / 1000, .outcome = outcome},
        .address = target->address,
        .done_mono_ns = prober->now_mono_ns,
    };
    emit(prober, index, &result);
}

static void check_drops(meshping_prober *prober, int64_t mono_ns)
{
    if (prober->flights.count == 0)
        return;
    if (mono_ns < prober->drops_checked_mono_ns + DROPS_CHECK_NS &&
        mono_ns < meshping__flights_deadline_ns(&prober->flights))
        return;
    prober->drops_checked_mono_ns = mono_ns;
    uint64_t v4 = prober->transport->drops(prober->transport, MESHPING_FAMILY_IPV4);
    uint64_t v6 = prober->transport->drops(prober->transport, MESHPING_FAMILY_IPV6);
    if (v4 != prober->drops_v4)
        prober->drops_v4_mono_ns = mono_ns;
    if (v6 != prober->drops_v6)
        prober->drops_v6_mono_ns = mono_ns;
    prober->drops_v4 = v4;
    prober->drops_v6 = v6;
}

/* Before a miss is the target's: was it this host that could not send in time, not hear, or not reach its network? */
static void suspect_oneself(meshping_prober *prober, const meshping__flight *flight, meshping_sample *sample)
{
    /* what a router said was heard in spite of all that; what this host says of itself is blame()'s to judge */
    if (!flight->error_outcome &&
        ((sample->flags & MESHPING_FLAG_RX_DROPS) || (flight->flags & MESHPING_FLAG_LATE_SEND)))
        sample->outcome = MESHPING_OUTCOME_OVERLOADED;
    const meshping__probe_target *target = meshping__prober_target_of(prober, flight);
    const meshping__way *way = target ? target->way : NULL;
    meshping__miss miss = {
        .to = &flight->address,
        .source = way && way->source.family ? &way->source : NULL,
        .interface = way && way->interface[0] ? way->interface : NULL,
        .error_from = &flight->error_from,
        .sent_mono_ns = flight->sent_mono_ns,
    };
    uint8_t own = prober->transport->blame(prober->transport, &miss);
    if (own)
        sample->outcome = own;
}

static void expire(meshping_prober *prober, int64_t mono_ns)
{
    meshping__flight *flight;
    check_drops(prober, mono_ns);
    while (meshping__flights_deadline_ns(&prober->flights) <= mono_ns &&
           (flight = meshping__flights_first(&prober->flights)) != NULL) {
        bool v4 = flight->address.family == MESHPING_FAMILY_IPV4;
        meshping_probe_result result = {
            .sample = {.outcome = flight->error_outcome ? flight->error_outcome : (uint8_t)MESHPING_OUTCOME_TIMEOUT},
            .from = flight->error_from,
            .icmp_type = flight->error_type,
            .icmp_code = flight->error_code,
            .mtu = flight->error_mtu,
            .via_loopback = flight->error_via_loopback,
            .done_mono_ns = mono_ns,
        };
        if (flight->sent_mono_ns <= (v4 ? prober->drops_v4_mono_ns : prober->drops_v6_mono_ns))
            result.sample.flags |= MESHPING_FLAG_RX_DROPS;
        if (flight->sent_mono_ns <= prober->stepped_mono_ns)
            result.sample.flags |= MESHPING_FLAG_CLOCK;
        suspect_oneself(prober, flight, &result.sample);
        meshping__prober_conclude(prober, flight, &result);
    }
}

static uint8_t send_outcome(const meshping__tx *packet)
{
    switch (packet->sys_errno) {
    case EMSGSIZE: /* whole was asked for: the path, which begins with the link here, is too narrow for it */
        return packet->dont_fragment ? MESHPING_OUTCOME_TOO_BIG : MESHPING_OUTCOME_SEND_ERROR;
    case ENOBUFS:
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
        return MESHPING_OUTCOME_QUEUE_FULL;
    default:
        return MESHPING_OUTCOME_SEND_ERROR;
    }
}

static void send_batch(meshping_prober *prober, meshping__tx *packets, const uint64_t *numbers, size_t count)
{
    prober->transport->send(prober->transport, packets, count, !prober->options.paced);
    for (size_t i = 0; i < count; i++) {
        meshping__flight *flight = meshping__flights_get(&prober->flights, numbers[i]);
        flight->sent_mono_ns = packets[i].sent_mono_ns;
        flight->sent_unix_ns = packets[i].sent_unix_ns;
        if (packets[i].held_up)
            flight->flags |= MESHPING_FLAG_COARSE_TIME;
        if (!prober->options.paced || flight->extra)
            flight->slot_unix_ns = flight->sent_unix_ns;
        else if (flight->sent_mono_ns + prober->offset_ns - flight->slot_unix_ns >
                 (int64_t)prober->options.late_send_ms * 1000000)
            flight->flags |= MESHPING_FLAG_LATE_SEND;
        if (packets[i].sys_errno == 0) {
            meshping__probe_target *target = meshping__prober_target_of(prober, flight);
            prober->stats.sent++;
            if (target)
                target->sent++;
            meshping__flights_launch(&prober->flights, flight);
        }
    }
    /* only now the failures: their callbacks may do what they like */
    for (size_t i = 0; i < count; i++) {
        meshping__flight *flight = meshping__flights_get(&prober->flights, numbers[i]);
        if (packets[i].sys_errno == 0 || !flight || flight->state != MESHPING__FLIGHT_SENDING)
            continue;
        meshping_probe_result result = {
            .sample = {.outcome = send_outcome(&packets[i])},
            .sys_errno = packets[i].sys_errno,
            .mtu = packets[i].mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)packets[i].mtu,
            .done_mono_ns = packets[i].sent_mono_ns,
        };
        meshping__prober_conclude(prober, flight, &result);
    }
}

static void fill_packet(meshping_prober *prober, uint32_t index, meshping__flight *flight, meshping__tx *packet,
                        uint8_t *bytes)
{
    meshping__probe_target *target = &prober->targets[index];
    const meshping__transport *transport = prober->transport;
    bool v4 = target->address.family == MESHPING_FAMILY_IPV4;
    uint32_t wire = (uint32_t)flight->number & ((UINT32_C(1) << transport->number_bits) - 1);
    uint16_t identifier = (uint16_t)((v4 ? transport->identifier_v4 : transport->identifier_v6) | wire >> 16);

    flight->target = index;
    flight->generation = target->generation;
    flight->queue = target->queue;
    flight->size = target->size;
    flight->address = target->address;
    if (!flight->extra)
        flight->sequence = target->sequence++;
    flight->cookie = meshping__prober_cookie(prober, flight->number, &flight->address, flight->size);
    meshping__icmp_build_echo(bytes, target->address.family, identifier, (uint16_t)wire, flight->number, flight->cookie,
                              target->size);
    *packet = (meshping__tx){
        .to = target->address,
        .bytes = bytes,
        .length = MESHPING__ICMP_HEADER + (size_t)target->size,
        .dscp = target->dscp,
        .ttl = target->ttl,
        .dont_fragment = target->dont_fragment,
    };
    if (target->way) {
        packet->source = target->way->source.family ? &target->way->source : NULL;
        packet->interface = target->way->interface[0] ? target->way->interface : NULL;
    }
}

/* Moves a paced target on by `slots`, or out of the schedule when its last probe is taken. */
static void advance(meshping_prober *prober, uint32_t index, int64_t slots, uint64_t taken)
{
    meshping__probe_target *target = &prober->targets[index];
    uint64_t limit = prober->options.probes_per_target;
    target->next_slot_unix_ns += slots * target->interval_ns;
    if (limit && target->sequence + taken >= limit)
        meshping__heap_remove(&prober->due, index);
    else
        meshping__heap_set(&prober->due, index, target->next_slot_unix_ns - prober->offset_ns);
}

/* Slots that went by whole while this process did not run: a later one is due already. */
static int64_t missed_slots(const meshping_prober *prober, const meshping__probe_target *target)
{
    int64_t late_ns = prober->now_mono_ns + prober->offset_ns - target->next_slot_unix_ns;
    return prober->options.paced && late_ns > 0 ? late_ns / target->interval_ns : 0;
}

/* Nobody can say how the target was at a missed slot: one result for each, the oldest first, one a call. */
static void report_missed_slot(meshping_prober *prober, uint32_t index)
{
    meshping__probe_target *target = &prober->targets[index];
    int64_t slot = target->next_slot_unix_ns;
    int64_t missed = missed_slots(prober, target);
    int64_t skip = missed > MESHPING__MISSED_SLOTS_MAX ? missed - MESHPING__MISSED_SLOTS_MAX : 0;
    advance(prober, index, skip + 1, 1);
    emit_unsent(prober, index, slot + skip * target->interval_ns, MESHPING_OUTCOME_OVERLOADED);
}

static void refresh_zone(meshping__probe_target *target)
{
    if (target->zoned && meshping_address_parse(&target->address, target->host, NULL) != MESHPING_OK)
        target->address = (meshping_address){0}; /* its interface is not there now */
}

/* Sends one batch of what is due. False: nothing was. */
static bool send_due(meshping_prober *prober)
{
    meshping__tx packets[MESHPING__PROBER_BATCH];
    uint64_t numbers[MESHPING__PROBER_BATCH];
    size_t count = 0;
    bool any = false;

    for (unsigned steps = 0; steps < 4 * MESHPING__PROBER_BATCH && count < MESHPING__PROBER_BATCH; steps++) {
        if (!window_open(prober) || meshping__heap_min(&prober->due) > prober->now_mono_ns)
            break;
        uint32_t index = meshping__heap_top(&prober->due);
        meshping__probe_target *target = &prober->targets[index];
        int64_t slot = target->next_slot_unix_ns;
        bool missed = missed_slots(prober, target) > 0;
        any = true;
        refresh_zone(target);
        if (count && (missed || target->address.family == MESHPING_FAMILY_NONE))
            break; /* a callback might move the packets' memory: first send what is there */
        if (missed) {
            report_missed_slot(prober, index);
            continue;
        }
        if (prober->options.paced)
            advance(prober, index, 1, 1);
        else
            meshping__heap_remove(&prober->due, index);
        if (target->address.family == MESHPING_FAMILY_NONE) {
            emit_unsent(prober, index, prober->options.paced ? slot : prober->now_mono_ns + prober->offset_ns,
                        MESHPING_OUTCOME_UNRESOLVED);
            continue;
        }
        meshping__flight *flight = meshping__flights_take(&prober->flights);
        if (!flight) {
            if (count)
                send_batch(prober, packets, numbers, count);
            count = 0;
            emit_unsent(prober, index, slot, MESHPING_OUTCOME_OVERLOADED); /* more in the air than numbers */
            continue;
        }
        flight->slot_unix_ns = slot;
        fill_packet(prober, index, flight, &packets[count], prober->tx_bytes + count * prober->tx_stride);
        numbers[count++] = flight->number;
    }
    if (count)
        send_batch(prober, packets, numbers, count);
    return any;
}

static void send_extra(meshping_prober *prober, uint32_t index, uint64_t tag)
{
    meshping__probe_target *target = &prober->targets[index];
    meshping__tx packet;
    refresh_zone(target);
    meshping__flight *flight = target->address.family ? meshping__flights_take(&prober->flights) : NULL;
    if (!flight) {
        meshping_probe_result result = {
            .target_id = target->id,
            .sequence = tag,
            .extra = true,
            .sample.outcome = target->address.family ? MESHPING_OUTCOME_OVERLOADED : MESHPING_OUTCOME_UNRESOLVED,
            .address = target->address,
            .done_mono_ns = prober->now_mono_ns,
        };
        emit(prober, index, &result);
        return;
    }
    uint64_t number = flight->number;
    flight->extra = true;
    flight->sequence = tag;
    fill_packet(prober, index, flight, &packet, prober->tx_bytes);
    send_batch(prober, &packet, &number, 1);
}

/* What was asked for beside the schedule. True: something was. */
static bool send_extras(meshping_prober *prober)
{
    struct meshping__extra extras[MESHPING_EXTRA_MAX];
    uint32_t count = prober->extra_count;
    if (count == 0)
        return false;
    memcpy(extras, prober->extras, count * sizeof *extras); /* a callback may ask for more */
    prober->extra_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = meshping__idmap_get(&prober->by_id, extras[i].target_id);
        if (index != MESHPING__IDMAP_NONE) {
            send_extra(prober, index, extras[i].tag);
            continue;
        }
        meshping_probe_result gone = {
            .sequence = extras[i].tag,
            .extra = true,
            .sample = {.outcome = MESHPING_OUTCOME_UNRESOLVED},
            .done_mono_ns = prober->now_mono_ns,
        };
        prober->options.on_result(prober->options.user, &gone);
    }
    return true;
}

meshping_status meshping_prober_probe_now(meshping_prober *prober, uint64_t target_id, uint64_t tag)
{
    if (meshping__idmap_get(&prober->by_id, target_id) == MESHPING__IDMAP_NONE)
        return MESHPING_NOT_FOUND;
    if (prober->extra_count == MESHPING_EXTRA_MAX)
        return MESHPING_LIMIT;
    prober->extras[prober->extra_count++] = (struct meshping__extra){target_id, tag};
    return MESHPING_OK;
}

/*
 * The schedule follows the wall clock; when that is set, every target gets the next slot of the new time. A first
 * sight may be a reading torn by preemption: the next one, at once, confirms it.
 */
static void follow_clock(meshping_prober *prober, const meshping_now *now)
{
    int64_t offset = now->unix_ns - now->mono_ns;
    int64_t moved = offset - prober->offset_ns;
    if (!prober->offset_known) {
        prober->offset_ns = offset;
        prober->offset_known = true;
        return;
    }
    if (moved < CLOCK_STEP_NS && moved > -CLOCK_STEP_NS) {
        prober->step_suspected = false;
        return;
    }
    if (!prober->step_suspected) {
        prober->step_suspected = true;
        return;
    }
    prober->step_suspected = false;
    prober->stepped_mono_ns = now->mono_ns;
    prober->offset_ns = offset;
    if (!prober->options.paced)
        return;
    for (uint32_t i = 0; i < prober->target_places; i++)
        if (prober->targets[i].id && prober->due.places[i])
            meshping__prober_schedule(prober, i, now);
}

void meshping_prober_process(meshping_prober *prober, const meshping_now *now)
{
    prober->now_mono_ns = now->mono_ns;
    prober->more_to_do = false;
    follow_clock(prober, now);
    prober->transport->watch(prober->transport);
    meshping__prober_resolve(prober, now);
    for (unsigned round = 0;; round++) {
        /* verdicts only when every packet that came in time has been looked at */
        bool drained = meshping__prober_receive(prober);
        if (drained)
            expire(prober, now->mono_ns);
        else
            prober->more_to_do = true;
        bool asked = send_extras(prober);
        if (!send_due(prober) && !asked)
            break;
        if (round == MESHPING__PROBER_ROUNDS_MAX) {
            prober->more_to_do = true;
            break;
        }
    }
    prober->transport->rest(prober->transport);
}
