/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe engine: ICMP and ICMPv6 echo (RFC 792, RFC 4443) to many targets on one socket a family.
 *
 * It owns no thread and no loop. Watch meshping_prober_fd() for reading, wake at meshping_prober_deadline_ns(), and
 * call meshping_prober_process() at either. Results come through the callback, from within process().
 *
 * A target's probe is due at slots: the Unix times t with t mod interval = phase, where the phase is a hash of the
 * target's host, so it is stable across restarts and list changes and spreads targets over the interval.
 */
#ifndef MESHPING_PROBE_H
#define MESHPING_PROBE_H

#include <meshping/sample.h>
#include <meshping/target.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_prober meshping_prober;

typedef struct meshping_probe_result {
    uint64_t target_id;
    uint64_t sequence;        /* of the target's probes in this engine, from 0; `extra`: its tag */
    meshping_sample sample;   /* slot, outcome, RTT, flags */
    meshping_address address; /* what was probed; family NONE when unresolved */
    meshping_address from;    /* who answered: the target, or the router of an ICMP error; family NONE when nobody */
    uint8_t icmp_type, icmp_code; /* of the ICMP error behind the outcome, else 0 */
    uint16_t mtu;                 /* next-hop MTU of a too_big, else 0 */
    int sys_errno;                /* of a send error, else 0 */
    int64_t sent_unix_ns;         /* 0: not tried; with sys_errno it was tried, and nothing left */
    int64_t sent_mono_ns;
    int64_t done_mono_ns; /* when the verdict fell */
    bool via_loopback;    /* the reply came over the loopback interface: it says nothing of the agent's network */
    bool extra;           /* of meshping_prober_probe_now: of no slot, and no sample of the target's series */
} meshping_probe_result;

/* Called from within meshping_prober_process(); may call any function of this prober but _free and _process. */
typedef void (*meshping_probe_fn)(void *user, const meshping_probe_result *result);

/* A host name has another address now. `from`: the one before, family NONE: there was none. As meshping_probe_fn. */
typedef void (*meshping_address_fn)(void *user, uint64_t target_id, const char *host, const meshping_address *from,
                                    const meshping_address *to);

typedef struct meshping_prober_options {
    size_t struct_size;
    meshping_probe_fn on_result; /* required */
    void *user;
    uint32_t max_targets;       /* default 100,000 */
    uint32_t late_send_ms;      /* a send later than this carries MESHPING_FLAG_LATE_SEND; default 100 */
    uint64_t seed;              /* 0: random. Fixes identifiers and cookies, for tests */
    bool paced;                 /* default true: slots as above. false: each target's probes are sent as fast as
                                   replies come home, `in_flight` at once over all targets (ping --interval 0) */
    uint32_t in_flight;         /* with paced = false; default 512 */
    uint64_t probes_per_target; /* stop a target after so many; 0: no end (default) */
    uint64_t phase_key; /* shifts the phases, so that agents with different keys do not hit a target at the same moment;
                           default 0 */
    bool start_now;     /* paced: instead of by hash, set_targets() spreads its new targets evenly from `now` on over
                           the shortest interval, set_target() starts at its `now`, which may lie ahead (ping); default
                       false */
    meshping_address_fn on_address; /* may be NULL (default) */
} meshping_prober_options;

MESHPING_API void meshping_prober_options_init(meshping_prober_options *options);

/* Why a packet was not taken for a reply. What does not carry our identifier is another program's, and not rejected. */
#define MESHPING_REJECT_MAP(XX)                                                                                        \
    XX(SHORT, "short")       /* no room for the header or for the 16 bytes that identify a probe */                    \
    XX(CHECKSUM, "checksum") /* the ICMP checksum; of ICMPv6 the kernel drops these before us */                       \
    XX(COOKIE, "cookie")     /* cookie or payload altered */                                                           \
    XX(SOURCE, "source")     /* not from the address that was probed */                                                \
    XX(LENGTH, "length")     /* not as long as the request */                                                          \
    XX(UNKNOWN, "unknown")   /* our identifier, but no probe of ours */                                                \
    XX(TYPE, "type")         /* our identifier, but no echo reply */                                                   \
    XX(QUOTE, "quote")       /* an ICMP error that quotes no echo request, or too little of it */

typedef enum meshping_reject {
#define XX(name, text) MESHPING_REJECT_##name,
    MESHPING_REJECT_MAP(XX)
#undef XX
        MESHPING_REJECT_COUNT
} meshping_reject;

/* "cookie"; "unknown" for a value outside the list. Static storage. */
MESHPING_API const char *meshping_reject_name(unsigned reject);

/* Counters since the start. */
typedef struct meshping_prober_stats {
    uint64_t sent;
    uint64_t received; /* valid, in time, first */
    uint64_t duplicates;
    uint64_t late;     /* valid replies after the timeout, or to a probe that is no longer wanted */
    uint64_t rejected; /* all reasons together */
    uint64_t rejected_by[MESHPING_REJECT_COUNT];
    uint64_t foreign;      /* another program's, by its identifier; the kernel's filter keeps most of them out */
    uint64_t local_errors; /* results of class LOCAL_ERROR */
    uint64_t rx_drops;     /* packets the sockets dropped (SO_RXQ_OVFL) */
    size_t in_flight;
    size_t targets;
} meshping_prober_stats;

/*
 * Opens the sockets: a raw ICMP socket a family, or, without CAP_NET_RAW, an unprivileged ICMP socket where
 * net.ipv4.ping_group_range allows it. PERMISSION names both ways out. A family the host lacks is not an error: its
 * targets end in send_error. After this call no privilege is needed any more.
 */
MESHPING_API meshping_status meshping_prober_new(meshping_prober **out, const meshping_prober_options *options,
                                                 meshping_error *err);
MESHPING_API void meshping_prober_free(meshping_prober *prober);
/* One descriptor to watch for reading (an epoll set of all that it waits for, the resolver's too). */
MESHPING_API int meshping_prober_fd(const meshping_prober *prober);
/* CLOCK_MONOTONIC time at which process() wants to run; INT64_MAX: only for descriptors. */
MESHPING_API int64_t meshping_prober_deadline_ns(const meshping_prober *prober);
/* Receives, times out, sends what is due. Never blocks. */
MESHPING_API void meshping_prober_process(meshping_prober *prober, const meshping_now *now);

/* Makes room for so many targets in all, which spares set_target() the growing. LIMIT (max_targets), NOMEM. */
MESHPING_API meshping_status meshping_prober_reserve(meshping_prober *prober, uint32_t targets, meshping_error *err);
/*
 * Adds the target, or changes the one with the same id. A change of host, source or interface forgets probes in
 * flight (no result); any other keeps them. INVALID, LIMIT (max_targets), NOMEM: the target is as it was.
 */
MESHPING_API meshping_status meshping_prober_set_target(meshping_prober *prober, const meshping_target *target,
                                                        const meshping_now *now, meshping_error *err);
/* Its probes in flight end without a result. NOT_FOUND. */
MESHPING_API meshping_status meshping_prober_remove_target(meshping_prober *prober, uint64_t target_id);
#define MESHPING_EXTRA_MAX 32 /* extra probes that wait to be sent */

/*
 * One probe more, beside the schedule, which stays as it is: sent with the next process(), which wants to run at once.
 * There is one result for each, with `extra` and the tag as its sequence, also when the target has gone or has another
 * host meanwhile: then target_id is 0, and the outcome `unresolved` with nothing sent if it went before. NOT_FOUND: no
 * such target; LIMIT: MESHPING_EXTRA_MAX wait.
 */
MESHPING_API meshping_status meshping_prober_probe_now(meshping_prober *prober, uint64_t target_id, uint64_t tag);
/* Makes the set equal to the list: unchanged targets keep schedule and flights. On error nothing is changed. */
MESHPING_API meshping_status meshping_prober_set_targets(meshping_prober *prober, const meshping_target_list *list,
                                                         const meshping_now *now, meshping_error *err);
MESHPING_API void meshping_prober_get_stats(const meshping_prober *prober, meshping_prober_stats *out);
/* Counters of one target, since it was added or its host changed; `rejected` holds those that name its probe. Without
 * memory duplicates, late and rejected ones are counted in the totals only. NOT_FOUND. */
typedef struct meshping_prober_target_stats {
    uint64_t sent, received, duplicates, late, rejected;
    uint32_t rejected_by[MESHPING_REJECT_COUNT];
} meshping_prober_target_stats;
MESHPING_API meshping_status meshping_prober_get_target_stats(const meshping_prober *prober, uint64_t target_id,
                                                              meshping_prober_target_stats *out);
/* What a target's host resolves to now; NOT_FOUND: no such target, or no address yet. */
MESHPING_API meshping_status meshping_prober_target_address(const meshping_prober *prober, uint64_t target_id,
                                                            meshping_address *out);

#ifdef __cplusplus
}
#endif
#endif
