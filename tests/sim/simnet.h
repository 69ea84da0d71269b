/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated internet in simulated time, behind the probe engine's transport seam: hosts with delay, jitter, loss,
 * duplicates, ICMP errors and forged replies, all from one seed. It keeps the truth about every probe, worked out from
 * what it puts on the wire, never from what the engine says.
 */
#ifndef MESHPING_TESTS_SIMNET_H
#define MESHPING_TESTS_SIMNET_H

#include "core/transport.h"
#include <meshping/probe.h>

/* Replies that must never count. */
typedef enum sim_forgery {
    SIM_WRONG_SOURCE,
    SIM_WRONG_COOKIE,
    SIM_WRONG_NUMBER,
    SIM_WRONG_FILLER,
    SIM_BAD_CHECKSUM,
    SIM_CUT_PAYLOAD,
    SIM_CUT_IDENTITY,
    SIM_CUT_HEADER,
    SIM_TOO_LONG,
    SIM_WRONG_SEQUENCE,
    SIM_WRONG_IDENTIFIER,
    SIM_WRONG_TYPE,
    SIM_WRONG_CODE,
    SIM_REFLECTED_REQUEST,
    SIM_BAD_IP_HEADER, /* IPv4 only: its length field runs over the packet */
    SIM_EMPTY,
    SIM_ERROR_WRONG_DESTINATION,
    SIM_ERROR_WRONG_COOKIE,
    SIM_ERROR_CUT_QUOTE,
    SIM_ERROR_OTHER_PROTOCOL,
    SIM_OTHER_HOSTS_COOKIE, /* well-formed, with the cookie of a probe to another host */
    SIM_OTHER_HOSTS_REPLY,  /* what another host would rightly answer */
    SIM_SWAPPED_IDENTITY,   /* number and cookie in each other's place */
    SIM_ZERO_PAYLOAD,
    SIM_STRAY, /* of an earlier number, long forgotten, right in all but the cookie */
    SIM_ERROR_WRONG_NUMBER,
    SIM_ERROR_ABOUT_REPLY, /* quotes an echo reply */
    SIM_ERROR_BAD_CHECKSUM,
    SIM_GARBAGE,
    SIM_FORGERIES,
} sim_forgery;

typedef struct sim_host {
    meshping_address address;
    int64_t delay_ns, jitter_ns;      /* round trip: delay + uniform [0, jitter) */
    double loss, duplicate, straggle; /* probabilities; a straggler comes after 1 to 4 s more */
    double error;                     /* an ICMP error instead of a reply */
    double error_and_reply;           /* an ICMP error, and then the reply */
    double forge;                     /* a forged packet more, before whatever else comes */
    int only_forgery;                 /* -1: any */
    bool down;
} sim_host;

/* What really happened to one probe. */
typedef struct sim_truth {
    int64_t sent_mono_ns;  /* unique: the key */
    int64_t reply_mono_ns; /* of the first valid reply; 0: none */
    int64_t error_mono_ns; /* of the last ICMP error before that; 0: none */
    uint32_t valid_replies;
    uint8_t error_type, error_code;
    uint16_t error_mtu;
    meshping_address error_from;
    bool own_down; /* sent while this host's own network was down */
    bool judged;
} sim_truth;

typedef struct sim_net sim_net;
struct sim_net {
    meshping__transport transport; /* first: what the engine sees */
    uint64_t random;
    int64_t mono_ns;   /* now */
    int64_t offset_ns; /* wall clock - monotonic; change it to set the clock */
    sim_host *hosts;
    size_t host_count;
    struct sim_packet *packets; /* a heap by arrival */
    size_t packet_count, packet_capacity;
    sim_truth *truths;
    size_t truth_count, truth_capacity;
    uint8_t buffers[64][2048];      /* of the packets being received */
    uint64_t forged[SIM_FORGERIES]; /* sent of each kind */
    uint64_t sent;
    int send_errno; /* every send fails with it */
    bool no_stamps;
    uint64_t drops_v4, drops_v6;
    /* this host's own network: between these times nothing leaves or arrives, and blame() knows */
    int64_t own_down_from_ns, own_down_to_ns; /* to <= from: never */
    uint8_t own_outcome;                      /* what blame() says then; 0: it does not know */
    bool gateway_down;                        /* instead of replies, `unreachable` from our own address */
    int64_t send_cost_ns;                     /* simulated time that a send takes; at least 1 */
    /* names */
    const char *name; /* the one name there is */
    meshping_address name_addresses[4];
    size_t name_count; /* 0: look-ups fail */
    int64_t name_delay_ns;
    struct {
        uint64_t token;
        int64_t due_ns;
        bool known;
    } lookups[64];
    size_t lookup_count;
    uint64_t lookups_started;
    struct sim_net *mirror; /* every packet arrives there too, as on two engines of one host */
    bool closed;
    struct {
        meshping_address to;
        size_t length;
        uint8_t bytes[1500];
    } last[2];            /* the packet sent before, of IPv4 and of IPv6 */
    meshping__tx last_tx; /* what was sent last; its pointers may be stale */
};

void sim_init(sim_net *net, uint64_t seed, unsigned number_bits);
void sim_dispose(sim_net *net); /* after the prober was freed */
sim_host *sim_add_host(sim_net *net, const char *address);
uint32_t sim_random(sim_net *net, uint32_t below);
meshping_now sim_now(const sim_net *net);
/* Runs engine and net for so long; each event is processed at its time. */
void sim_run(sim_net *net, meshping_prober *prober, int64_t duration_ns);
/* Lets time pass without running the engine. */
void sim_sleep(sim_net *net, int64_t duration_ns);
sim_truth *sim_find(sim_net *net, int64_t sent_mono_ns); /* NULL: no such packet */

#endif
