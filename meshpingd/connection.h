/* SPDX-License-Identifier: Apache-2.0 */
/* One agent's connection, between agents.c (what is said) and connection.c (frames, limits, sending). */
#ifndef MESHPINGD_CONNECTION_H
#define MESHPINGD_CONNECTION_H

#include "meshpingd/pushing.h"
#include "meshpingd/server.h"
#include <libwebsockets.h>

#define CONNECTION_OUTBOX_MAX 64 /* messages waiting */

typedef struct asked_of_agent {
    uint64_t request, target_id;
} asked_of_agent;

typedef struct agent_connection {
    server *server;
    struct lws *wsi;
    agent_entry *agent; /* NULL until authenticated */
    char peer[MESHPING_ADDRESS_TEXT_MAX];
    meshping_binding binding;
    int64_t opened_ms, heard_ms, status_ms, gap_told_ms;
    uint64_t epoch;
    uint64_t ping_counter;
    meshping_now pinged; /* when the last ping was sent; its number is ping_counter */

    uint8_t *received;
    size_t received_length, received_capacity;

    struct queued_message *outbox, *outbox_last; /* the oldest first */
    size_t outbox_count;
    bool targets_due; /* there may be something to tell: pushing.h */
    target_push push;
    uint64_t noted_revision; /* of the last targets_applied; 0: none */
    size_t refused_before;   /* how many it refused before the one that is coming in */
    bool paused;             /* storing.c: no credit for now, and what comes is not taken */
    int64_t resume_ms;       /* monotonic; 0: when the store works again */
    bool ack_due;            /* ranges below are to be told */
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t range_count;

    /* joining.c */
    bool ticket_due;         /* a ticket was issued: to be stored, then told */
    bool ticket_given;       /* on this connection */
    uint64_t ticket_serial;  /* told and not confirmed; 0: none */
    int64_t ticket_since_ms; /* monotonic */

    meshping_pins pins_told; /* pin_change.c: on this connection */

    /* rekeying.c */
    bool rekey_asked; /* and not answered */
    uint8_t rekey_nonce[MESHPING_NONCE_LEN];
    char rekey_user[MESHPING_USER_NAME_MAX]; /* who asked for it */

    asked_of_agent probes[MESHPING_PROBE_NOW_MAX]; /* probing.c: not answered yet */
    size_t probe_count;

    bool close_after;                      /* once the outbox is empty */
    bool closing, ending;                  /* refused; and libwebsockets is about to say so */
    unsigned ending_ticks;                 /* since when it is */
    struct agent_connection *next, **link; /* of all connections */
} agent_connection;

/* Queues a message; a full queue ends the connection. */
void connection_send(agent_connection *c, const meshping_message *message);
/* The same of one that is encoded already; it is copied. */
void connection_send_text(agent_connection *c, const char *text, size_t length);
/* Ends it with a WebSocket close code, and one log line; it stays valid until the callback or the tick is over. */
void connection_refuse(agent_connection *c, uint16_t code, const char *format, ...) MESHPING_PRINTF(3, 4);

/* agents.c, called by connection.c: */
void agents_opened(agent_connection *c);
void agents_message(agent_connection *c, const char *text, size_t length);
void agents_block(agent_connection *c, const uint8_t *frame, size_t length);
void agents_closed(agent_connection *c);
/* Tells state, ranges and credit; what is not acknowledged is sent again when credit comes after none. */
void agents_tell_status(agent_connection *c);
/* A word of the agent. */
void agents_heard(agent_connection *c);
/* The acknowledgement that is due. */
void agents_ack(agent_connection *c, meshping_message *out);
/* Each second: ends the refused ones that are still there. */
void connection_bury(void);
/* Queues the next part of the target list, if one is due. */
void agents_next_targets(agent_connection *c);
agent_connection *connection_first(void);
/* The next of all connections, and after the last the first; NULL: there is none. */
agent_connection *connection_in_turn(void);
size_t connection_count(void);

#endif
