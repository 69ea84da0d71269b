/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of agents in one process, each from an address of its own in 127/8: they join, report a block of all
 * targets every 5 seconds, say and answer `status`, keep what is not acknowledged, and come back when they lost the
 * server, in the way docs/PROTOCOL.md asks of them.
 */
#ifndef MESHPING_BENCH_CROWD_H
#define MESHPING_BENCH_CROWD_H

#include <meshping/protocol.h>
#include <netinet/in.h>

typedef struct crowd_options {
    uint32_t agents, targets;
    struct sockaddr_in server;
    bool silent; /* only connections, no handshake: for a peer that is no meshpingd */
} crowd_options;

typedef struct crowd_figures {
    uint32_t connected; /* and approved */
    uint64_t connects_failed, connections_lost;
    uint64_t blocks_made, blocks_acked, blocks_resent;
    uint32_t starved;            /* agents of which a block made so far waited for its ack for more than an interval */
    uint32_t acks_min, acks_max; /* of one agent */
    double ack_p50_ms, ack_p99_ms, ack_max_ms; /* from a block's making to its ack */
    double join_max_ms;                        /* the slowest, from its last connect() to its approval */
    double last_joined_ms;                     /* when the last one got in */
    char last_trouble[160];
} crowd_figures;

typedef struct crowd crowd;

/* NULL: out of memory. Everybody connects within agents / 250 seconds of the first run. */
crowd *crowd_new(const crowd_options *options);
void crowd_free(crowd *c);
/* Lets them act until all are connected and, if asked for, all is acknowledged; at most until until_ms. */
bool crowd_run(crowd *c, bool drained, double until_ms);
/* Lets them act until then. */
void crowd_pass(crowd *c, double until_ms);
/* From now on they report, or make no new blocks any more. */
void crowd_report(crowd *c, bool on);
/* Forgets acks, latencies and failures up to now. */
void crowd_begin(crowd *c);
void crowd_look(crowd *c, crowd_figures *out);
/* The identity, and where it connects from. */
void crowd_seed(uint8_t seed[MESHPING_KEY_LEN], uint32_t number);
struct in_addr crowd_address(uint32_t number);
double crowd_now_ms(void);

#endif
