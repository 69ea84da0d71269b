/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes in the air. Each has a number, counted up over all targets; it lives in the slot `number mod capacity`, and
 * stays there after its verdict until the slot is needed, so that duplicates and late replies are known as such.
 * Timeouts: one queue for each distinct timeout, in order of sending, and a heap over the queues' heads.
 */
#ifndef MESHPING_CORE_FLIGHTS_H
#define MESHPING_CORE_FLIGHTS_H

#include "core/heap.h"
#include "core/idmap.h"
#include <meshping/address.h>

typedef enum meshping__flight_state {
    MESHPING__FLIGHT_NONE = 0,
    MESHPING__FLIGHT_SENDING, /* has its number, not yet its time */
    MESHPING__FLIGHT_FLYING,
    MESHPING__FLIGHT_ANSWERED,
    MESHPING__FLIGHT_MISSED, /* timed out, failed, or no longer wanted */
} meshping__flight_state;

typedef struct meshping__flight {
    uint64_t number; /* from 1 */
    uint64_t cookie;
    uint64_t sequence; /* of its target */
    int64_t slot_unix_ns;
    int64_t sent_mono_ns, sent_unix_ns;
    meshping_address address;
    uint32_t target;     /* index, and */
    uint32_t generation; /* what tells it from a later target of the same index */
    uint32_t queue;
    uint32_t before, after; /* neighbours in the timeout's queue, low bits of their numbers; 0: none */
    uint16_t size;
    uint8_t state; /* meshping__flight_state */
    uint8_t flags; /* meshping_sample_flag, those known at sending */
    /* what an ICMP error said: provisional until the timeout */
    uint8_t error_outcome, error_type, error_code;
    bool error_via_loopback;
    bool extra; /* of no slot; `sequence` is its tag */
    uint16_t error_mtu;
    meshping_address error_from;
} meshping__flight;

typedef struct meshping__flights {
    meshping__flight *slots;
    uint32_t capacity;     /* a power of two */
    uint32_t capacity_max; /* 2^bits of the number that fit on the wire */
    uint32_t count;        /* sending or flying */
    uint64_t next_number;
    struct meshping__timeout_queue {
        int64_t timeout_ns;
        uint64_t first, last; /* numbers; 0: empty */
    } * queues;
    uint32_t queue_count, queue_capacity;
    meshping__idmap queue_of; /* timeout in ms -> queue */
    meshping__heap heads;     /* queue -> deadline of its first flight */
} meshping__flights;

meshping_status meshping__flights_init(meshping__flights *flights, unsigned number_bits);
void meshping__flights_dispose(meshping__flights *flights);
/* Room for `wanted` flights (or as many as numbers allow). NOMEM: as it was. */
meshping_status meshping__flights_reserve(meshping__flights *flights, uint32_t wanted);
/* The queue of a timeout, made when new. NOMEM. */
meshping_status meshping__flights_queue(meshping__flights *flights, uint32_t *out, uint32_t timeout_ms);
/* A new flight in state SENDING; NULL: all numbers are in the air, or no memory. Pointers to others become invalid. */
meshping__flight *meshping__flights_take(meshping__flights *flights);
/* The flight with this number, flying or finished; NULL: its slot was used again. */
meshping__flight *meshping__flights_get(const meshping__flights *flights, uint64_t number);
/* The flight whose number ends in these bits of the wire; NULL. */
meshping__flight *meshping__flights_on_wire(const meshping__flights *flights, uint32_t wire);
/* Its times are known: it flies until sent_mono_ns + timeout. */
void meshping__flights_launch(meshping__flights *flights, meshping__flight *flight);
/* Ends a flight, sent or not. */
void meshping__flights_finish(meshping__flights *flights, meshping__flight *flight, meshping__flight_state state);
/* The flight that times out first, NULL: none is in the air. */
meshping__flight *meshping__flights_first(const meshping__flights *flights);
static inline int64_t meshping__flights_deadline_ns(const meshping__flights *flights)
{
    return meshping__heap_min(&flights->heads);
}

#endif
