/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent's connection for load generators: non-blocking TCP, TLS 1.3, WebSocket, the handshake. It measures nothing
 * and keeps nothing but the join ticket; thousands fit into one process and one epoll set.
 */
#ifndef MESHPING_BENCH_WIRE_H
#define MESHPING_BENCH_WIRE_H

#include <meshping/protocol.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

typedef enum wire_phase { WIRE_CLOSED, WIRE_TCP, WIRE_TLS, WIRE_UPGRADE, WIRE_OPEN } wire_phase;

typedef struct wire_bytes {
    uint8_t *data;
    size_t length, capacity;
} wire_bytes;

typedef struct wire {
    int fd, epoll;
    SSL *tls;
    wire_phase phase;
    wire_bytes in, out; /* given back while empty */
    size_t out_sent;
    uint8_t ekm[MESHPING_EKM_LEN];
    uint8_t ticket[MESHPING_TICKET_LEN]; /* the last one given: shown by the next connection */
    bool has_ticket;
    char why[160]; /* why it closed */
} wire;

/* For all connections; NULL: out of memory. */
SSL_CTX *wire_tls(void);
/*
 * Starts a connection from `source` (port 0: any) to `server`; false: it failed at once, w->why says how. `user` comes
 * back in epoll_event.data.ptr. w must be zeroed before its first use.
 */
bool wire_connect(wire *w, SSL_CTX *ctx, int epoll, const struct sockaddr_in *source, const struct sockaddr_in *server,
                  void *user);
/* Not told: a status with a join ticket, which is answered here; the one that counts follows. */
typedef void (*wire_message_fn)(void *user, const meshping_message *message);
/* What epoll said. Each message that came is told; on the way out w->phase may be WIRE_CLOSED. */
void wire_ready(wire *w, uint32_t events, wire_message_fn fn, void *user);
void wire_send(wire *w, const meshping_message *message, void *user);
void wire_send_block(wire *w, uint64_t epoch, uint64_t sequence, const uint8_t *block, size_t length, void *user);
/* The answer to a welcome, mode resume. */
void wire_resume(wire *w, const meshping_welcome *welcome, const uint8_t seed[MESHPING_KEY_LEN],
                 const meshping_agent_info *info, void *user);
void wire_close(wire *w, const char *why);

#endif
