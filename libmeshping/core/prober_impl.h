/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the probe engine, shared by core/prober*.c. */
#ifndef MESHPING_CORE_PROBER_IMPL_H
#define MESHPING_CORE_PROBER_IMPL_H

#include "core/flights.h"
#include "core/icmp.h"
#include "core/prober.h"
#include "core/transport.h"

#define MESHPING__PROBER_BATCH 64         /* packets handed to the transport at once, each way */
#define MESHPING__PROBER_ROUNDS_MAX 64    /* receive-expire-send rounds within one process() */
#define MESHPING__PROBER_RECEIVE_MAX 4096 /* packets taken before sending gets its turn */
#define MESHPING__MISSED_SLOTS_MAX 720    /* of one target, reported after a sleep; older ones are skipped */
#define MESHPING__RESOLVING_MAX 64        /* names looked up at once */

/* How a target wants to be reached, where the routes are not to decide. */
typedef struct meshping__way {
    meshping_address source;                /* family NONE: any */
    char interface[MESHPING_INTERFACE_MAX]; /* empty: any */
} meshping__way;

/* What most targets never have. */
typedef struct meshping__oddities {
    uint64_t duplicates, late;
    uint32_t rejected_by[MESHPING_REJECT_COUNT];
} meshping__oddities;

typedef struct meshping__probe_target {
    uint64_t id;                  /* 0: this place is free */
    char *host;                   /* owned; a name, or an address with a zone; NULL: `address` says it */
    meshping__way *way;           /* owned; NULL: the routes decide */
    meshping__oddities *oddities; /* owned; NULL: none */
    uint64_t sent, received;
    uint64_t sequence;
    int64_t interval_ns, phase_ns;
    int64_t next_slot_unix_ns;
    int64_t resolved_mono_ns; /* the last answer of the resolver */
    meshping_address address;
    uint32_t generation; /* changes with host and way: results of older flights are dropped */
    uint32_t queue;      /* of its timeout */
    uint32_t mark;       /* the last set_targets() that named it */
    uint32_t next_free;
    uint32_t resolve_failures; /* in a row */
    uint16_t size;
    uint8_t dscp, ttl, family;
    bool dont_fragment;
    bool is_name;   /* needs the resolver */
    bool zoned;     /* a literal with a zone: its interface may come and go */
    bool resolving; /* a look-up is under way */
    bool waiting;   /* not scheduled before its first look-up is through */
} meshping__probe_target;

struct meshping_prober {
    meshping_prober_options options;
    meshping__transport *transport; /* owned */
    uint8_t key[16];                /* of the cookies */
    meshping__probe_target *targets;
    uint32_t target_count;    /* in use */
    uint32_t target_places;   /* used ones and free ones up to the highest in use */
    uint32_t target_capacity; /* allocated */
    uint32_t free_head;       /* of the free places, UINT32_MAX: none */
    uint32_t generation;      /* last given */
    uint32_t mark;
    double probes_per_s; /* of all targets, by their intervals */
    meshping__idmap by_id;
    meshping__heap due;     /* target -> CLOCK_MONOTONIC time of its next probe */
    meshping__heap lookups; /* target -> when its name wants to be looked up */
    uint32_t resolving;
    meshping__flights flights;
    uint8_t *tx_bytes; /* MESHPING__PROBER_BATCH messages of tx_stride */
    size_t tx_stride;
    int64_t offset_ns; /* wall clock - monotonic clock, as the schedule has it */
    bool offset_known, step_suspected, more_to_do;
    struct meshping__extra {
        uint64_t target_id, tag;
    } extras[MESHPING_EXTRA_MAX]; /* to be sent, the oldest first */
    uint32_t extra_count;
    int64_t now_mono_ns; /* of the last process() */
    uint64_t drops_v4, drops_v6;
    int64_t drops_v4_mono_ns, drops_v6_mono_ns; /* when the last drop was noticed; INT64_MIN: never */
    int64_t drops_checked_mono_ns;
    int64_t stepped_mono_ns; /* when the wall clock was last seen to be set; INT64_MIN: never */
    meshping_prober_stats stats;
};

/* The target of a flight, NULL when it was removed or has another host now. */
meshping__probe_target *meshping__prober_target_of(meshping_prober *prober, const meshping__flight *flight);
/* Cookie of a probe: keyed hash of its number, address and size. */
uint64_t meshping__prober_cookie(const meshping_prober *prober, uint64_t number, const meshping_address *address,
                                 uint16_t size);
/* Ends a flight and hands out its result (sequence, slot and times are filled in here). The callback may change
 * targets: pointers to targets and flights are invalid afterwards. */
void meshping__prober_conclude(meshping_prober *prober, meshping__flight *flight, meshping_probe_result *result);
/* Takes what has come. True: nothing is waiting any more. */
bool meshping__prober_receive(meshping_prober *prober);
/* Puts a target's next probe into the schedule, at or after now. */
void meshping__prober_schedule(meshping_prober *prober, uint32_t index, const meshping_now *now);
/* Starts look-ups that are due, takes the results of others. */
void meshping__prober_resolve(meshping_prober *prober, const meshping_now *now);
/* A probe of a named target failed: its address may have changed. */
void meshping__prober_doubt_address(meshping_prober *prober, uint32_t index);
void meshping__prober_free_targets(meshping_prober *prober);

#endif
