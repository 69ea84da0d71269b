/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session's parts: state_dir.c (files), link.c (libwebsockets), delivery.c (what goes out), session_targets.c (what
 * is to be probed), probe_now.c (what is to be probed once), session_about.c (what is told of them), rekey.c (its key),
 * pins.c (the server's), session.c (the rest).
 */
#ifndef MESHPING_NET_INTERNAL_H
#define MESHPING_NET_INTERNAL_H

#include "base/bytes.h"
#include "platform/link_watch.h"
#include "platform/resolver.h"
#include <libwebsockets.h>
#include <meshping/session.h>
#include <uv.h>

#define OUTBOX_MAX 64 /* control messages waiting; more means the server does not read: the connection ends */

/* ---- state_dir.c ---- */

typedef struct server_state {
    char host[MESHPING_HOST_MAX];
    uint16_t port;
    meshping_pins pins;                       /* the server's key, and the one that will take its place */
    uint8_t passphrase_pin[MESHPING_PIN_LEN]; /* of the passphrase that it joined with, whatever came since */
    uint64_t server_id;                       /* 0: never met */
    bool enrolled;                            /* the server knows our key: resume needs no passphrase */
    uint8_t family;  /* of the address at which it answered last; MESHPING_FAMILY_NONE: never */
    bool has_ticket; /* the last join ticket, shown when resuming */
    uint8_t ticket[MESHPING_TICKET_LEN];
} server_state;

/*
 * Makes the directory (0700) when it is missing; checks that it can be written. *lock_fd holds its lock until it is
 * closed: two agents of one identity would drive each other out of the server.
 */
meshping_status meshping__state_dir_open(int *lock_fd, const char *path, meshping_error *err);
/* Reads the seed, or makes and stores one. */
meshping_status meshping__state_identity(uint8_t seed[MESHPING_KEY_LEN], const char *dir, meshping_error *err);
/* A seed that is to take the identity's place: stored beside it, read back (NOT_FOUND: there is none), put in place. */
meshping_status meshping__state_next_save(const uint8_t seed[MESHPING_KEY_LEN], const char *dir, meshping_error *err);
meshping_status meshping__state_next_load(uint8_t seed[MESHPING_KEY_LEN], const char *dir, meshping_error *err);
meshping_status meshping__state_next_take(const char *dir, meshping_error *err);
/* NOT_FOUND when there is none yet. */
meshping_status meshping__state_server_load(server_state *out, const char *dir, meshping_error *err);
meshping_status meshping__state_server_save(const server_state *state, const char *dir, meshping_error *err);
/* NOT_FOUND when there is none yet. *out must be zeroed. */
meshping_status meshping__state_targets_load(meshping_target_list *out, const char *dir, meshping_error *err);
meshping_status meshping__state_targets_save(const meshping_target_list *list, const char *dir, meshping_error *err);
meshping_status meshping__random(void *out, size_t length);

/* ---- delivery.c: which block goes next; docs/PROTOCOL.md, Delivery ---- */

typedef struct sent_block {
    uint64_t sequence;
    size_t length;
} sent_block;

typedef struct delivery {
    meshping_buffer *buffer;
    uint64_t credit_bytes;
    sent_block *sent; /* on this connection, not yet acknowledged */
    size_t sent_count, sent_capacity;
    size_t sent_bytes;
    uint64_t next_live;    /* first sequence that counts as live and was not sent */
    uint64_t next_backlog; /* first older one that was not sent */
    uint64_t backlog_end;  /* backlog is below this */
    bool open;             /* the server takes data on this connection */
    bool ranges_full;      /* it has as many ranges as it keeps: only what closes the lowest hole is sent */
} delivery;

void meshping__delivery_start(delivery *d, uint64_t credit_bytes);
void meshping__delivery_stop(delivery *d);
void meshping__delivery_dispose(delivery *d);
void meshping__delivery_ack(delivery *d, const meshping_range *ranges, size_t count, uint64_t credit_bytes);
/* The block to send now; NOT_FOUND: nothing to send or no credit. Marks nothing. */
meshping_status meshping__delivery_next(delivery *d, meshping_buffer_block *out);
/* It was sent. NOMEM: it is not noted, and will be sent again. */
meshping_status meshping__delivery_sent(delivery *d, const meshping_buffer_block *block);

/* ---- session ---- */

typedef struct outbox_item {
    char *text; /* LWS_PRE bytes of room before it */
    size_t length;
} outbox_item;

typedef struct asked_probe {
    uint64_t tag; /* of this session, for who probes */
    uint64_t request, target_id;
} asked_probe;

struct meshping_session {
    meshping_session_options options;
    char *state_dir;
    int lock_fd;
    char *host_name;
    char advertise[MESHPING_ADDRESS_TEXT_MAX];
    uint8_t seed[MESHPING_KEY_LEN];
    uint8_t public_key[MESHPING_KEY_LEN];
    char fingerprint[MESHPING_FINGERPRINT_MAX];
    server_state server;
    server_state former; /* enrolled: the server that was ours before a passphrase with a key that was not known here */
    bool server_unsaved; /* the passphrase names another address than the file */
    bool join_unsaved;   /* the server took us, and the file does not say so yet */
    bool has_key;        /* a passphrase's key is at hand */
    uint8_t key[MESHPING_PASSPHRASE_KEY_LEN];
    meshping_target_list targets;  /* in force */
    meshping_target_list incoming; /* parts of a newer revision: of all of it, or of what changed */
    uint64_t *incoming_removed;
    size_t incoming_removed_count;
    uint32_t incoming_part;
    bool incoming_delta;
    bool targets_told;                /* by this connection's server: what a delta may change */
    bool applying;                    /* on_targets is being called: targets_applied comes after it */
    meshping_refused_target *refused; /* of the targets in force */
    size_t refused_count;
    meshping_address *told; /* one a target in force: what the server was told that its name is; NULL: nothing yet */
    asked_probe extras[MESHPING_PROBE_NOW_MAX]; /* asked for on this connection, and not answered */
    size_t extra_count;
    uint64_t extra_tag;

    /* link.c */
    uv_loop_t loop;
    bool loop_open;
    struct lws_context *lws;
    struct lws *wsi;
    meshping__resolver *resolver;
    int names_fd; /* the resolver's epoll set */
    uv_poll_t names_poll;
    bool names_poll_open;
    bool resolving;
    uint8_t connecting_family;
    meshping__link_watch *links; /* NULL: not to be had */
    uv_poll_t links_poll;
    bool links_poll_open;
    meshping__bytes received;
    outbox_item outbox[OUTBOX_MAX];
    size_t outbox_count;
    char close_reason[256]; /* not empty: the connection is to end */

    /* session.c */
    meshping_link link;
    bool welcomed, answered; /* of this connection */
    meshping_binding binding;
    char local_address[MESHPING_ADDRESS_TEXT_MAX]; /* of this connection */
    meshping_now now;
    int64_t connect_at_ns; /* when to try; INT64_MAX while connected or connecting */
    int64_t deadline_ns;   /* of connecting and authentication; INT64_MAX: none */
    int64_t answered_ns;   /* when the handshake was answered */
    int64_t heard_ns;      /* last word of the server */
    int64_t status_at_ns;  /* next status to send */
    int64_t pinged_ns;     /* when the last ping went out */
    uint64_t ping_id;      /* 0: none outstanding */
    uint64_t ping_counter;
    uint32_t backoff_ms;
    uint32_t failures;      /* connections in a row that were not answered */
    int64_t retry_floor_ns; /* not before: the server refused this agent */
    int64_t hurry_until_ns; /* the network came back just now, and the next try is drawn already */
    uint32_t retry_s;
    delivery delivery;
};

/* link.c */
meshping_status meshping__link_open(meshping_session *session, meshping_error *err);
void meshping__link_close(meshping_session *session);
/* Starts a connection; its end comes as meshping__session_lost. */
void meshping__link_connect(meshping_session *session);
/* Ends the connection, if any, with a reason for the log. */
void meshping__link_drop(meshping_session *session, const char *reason);
/* Queues a message for sending. */
void meshping__link_send(meshping_session *session, const meshping_message *message);
/* Takes a finished look-up of the server's name; call it now and then while session->resolving. */
void meshping__link_resolve(meshping_session *session);
void meshping__link_want_write(meshping_session *session);

/* retry.c */
#define MESHPING__FAMILY_FAILURES 3 /* then another family is tried */
/* Sets when the server is tried again, random in a span that grows; returns in how many milliseconds. */
int64_t meshping__retry_after_loss(meshping_session *session, bool refused);
/* Sooner, when it waits: random in the first span. */
void meshping__retry_network_back(meshping_session *session);
/* Which of the server's addresses is next, after so many failures in a row; family: the good one. NULL: none is there.
 */
const meshping_address *meshping__retry_address(const meshping_address *addresses, size_t count, uint8_t family,
                                                uint32_t failures);

/* session_targets.c */
/* Forgets the parts that have come. */
void meshping__targets_drop_incoming(meshping_session *session);
/* Parts come in order; part 0 starts anew, so that a newer revision may follow half of an older one. */
void meshping__targets_update(meshping_session *session, const meshping_target_update *update);
/* An agent that is not, or no more, approved has no targets. On hold it goes on with those it has. */
void meshping__targets_forget(meshping_session *session);

/* probe_now.c: probes beside the schedule */
void meshping__probes_asked(meshping_session *session, const meshping_probe_now *asked);

/* session_about.c: what the server is told of the targets beside samples */
/* Says targets_applied. */
void meshping__about_applied(meshping_session *session);
/* The load, and addresses that have changed: resolved is the caller's (meshping__free). */
void meshping__about_status(meshping_session *session, meshping_status_message *status);
/* The list is another one, or who was told has gone. */
void meshping__about_forget_told(meshping_session *session);

/* pins.c: by which keys the server is known */
/* Whether a server with this key is ours. */
bool meshping__pins_match(meshping_session *session, const uint8_t pin[MESHPING_PIN_LEN]);
/* The server says by which keys it is to be known: durable, then answered. */
void meshping__pins_told(meshping_session *session, const meshping_pins *pins);
/* Whether a passphrase is of the server that is stored, though that one's key may have changed since. */
bool meshping__pins_are_of(const server_state *state, const uint8_t passphrase_pin[MESHPING_PIN_LEN]);
/* A server with another key than any known, met by a new passphrase: when it is the former one, what it gave is good.
 */
void meshping__pins_recognise(meshping_session *session, uint64_t server_id);

/* rekey.c: another key for this agent */
/* Makes one, stores it, and proves both to the server. */
void meshping__rekey_asked(meshping_session *session, const meshping_rekey_request *request);
/* The server has it. */
void meshping__rekey_done(meshping_session *session, const meshping_rekeyed *rekeyed);
/* The server refuses the old key by name: an answer of its was lost. False: there is no new one. */
bool meshping__rekey_refused(meshping_session *session);

/* session.c, called by the others */
/* One line for the log, whatever the link's state is. */
void meshping__session_tell(meshping_session *session, const char *message);
void meshping__session_established(meshping_session *session);
void meshping__session_message(meshping_session *session, const char *text, size_t length);
void meshping__session_lost(meshping_session *session, const char *reason);

#endif
