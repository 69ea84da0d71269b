/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frames of an agent's connection: libwebsockets' callback, limits on what is declared before anything is
 * allocated, and sending one message a writable callback.
 */
#include "meshpingd/connection.h"

#include "common/log.h"
#include "meshpingd/agents.h"
#include "meshpingd/peers.h"
#include "meshpingd/web.h"
#include <meshping/block.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX (MESHPING_FRAME_HEADER_LEN + MESHPING_BLOCK_BYTES_MAX)
#define CLOSE_UNSUPPORTED 1003
#define CLOSE_TOO_BIG 1009
#define SPARED_MS 5000 /* none is cut short before: with all agents coming back the server is slow */
#define ENDING_TICKS 1
#define CLOSE_TRY_AGAIN 1013

const size_t agents_per_session_size = sizeof(agent_connection *);

static agent_connection *connections; /* all of them; one loop, one thread */
static agent_connection *next_in_turn;
static size_t connection_total;
static size_t unauthenticated;
static size_t reassembling; /* bytes allocated for frames that are not whole yet */

agent_connection *connection_first(void)
{
    return connections;
}

agent_connection *connection_in_turn(void)
{
    agent_connection *c = next_in_turn ? next_in_turn : connections;
    next_in_turn = c ? c->next : NULL;
    return c;
}

size_t connection_count(void)
{
    return connection_total;
}

/* ---- ending ---- */

void connection_refuse(agent_connection *c, uint16_t code, const char *format, ...)
{
    char reason[256];
    va_list args;
    if (c->closing)
        return;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    c->closing = true;
    c->server->counters.connections_refused++;
    log_warning("agents", "%s %s: connection ended: %s", c->peer,
                c->agent ? c->agent->record.host_name : "(not joined)", reason);
    /* a control frame holds 125 bytes, two of them the code */
    size_t length = strlen(reason) < 120 ? strlen(reason) : 120;
    lws_close_reason(c->wsi, code, (unsigned char *)reason, length);
}

/*
 * Ends those that were refused outside their own receive callback. Not by -1 from the writable callback, which
 * libwebsockets takes for a failed write and then sends no close frame; and not at once, since it frees the connection
 * under whoever refused it.
 */
void connection_bury(void)
{
    for (agent_connection *c = connections, *next; c; c = next) {
        next = c->next;
        if (c->ending && c->ending_ticks++ < ENDING_TICKS)
            continue; /* its close frame goes out, and may be answered */
        if (c->closing)
            lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    }
}

/* ---- sending ---- */

typedef struct queued_message {
    struct queued_message *next;
    size_t length;
    uint8_t bytes[]; /* LWS_PRE of room, then the text */
} queued_message;

void connection_send_text(agent_connection *c, const char *text, size_t length)
{
    if (c->closing)
        return;
    if (c->outbox_count == CONNECTION_OUTBOX_MAX) {
        connection_refuse(c, 1008, "it does not read what it is sent");
        return;
    }
    queued_message *queued = malloc(sizeof *queued + LWS_PRE + length);
    if (!queued) {
        connection_refuse(c, 1011, "out of memory");
        return;
    }
    queued->next = NULL;
    queued->length = length;
    memcpy(queued->bytes + LWS_PRE, text, length);
    *(c->outbox ? &c->outbox_last->next : &c->outbox) = queued;
    c->outbox_last = queued;
    c->outbox_count++;
    lws_callback_on_writable(c->wsi);
}

void connection_send(agent_connection *c, const meshping_message *message)
{
    char *text = NULL;
    size_t length = 0;
    if (meshping_message_encode(&text, &length, message, NULL) == MESHPING_OK)
        connection_send_text(c, text, length);
    else
        connection_refuse(c, 1011, "out of memory");
    meshping_free(text);
}

/* The oldest, which is the caller's then; NULL: none. */
static queued_message *next_queued(agent_connection *c)
{
    queued_message *queued = c->outbox;
    if (queued) {
        c->outbox = queued->next;
        c->outbox_count--;
    }
    return queued;
}

static int writeable(agent_connection *c)
{
    if (c->closing)
        return 0; /* connection_bury's turn */
    if (!c->outbox_count && c->ack_due) {
        meshping_message ack;
        c->ack_due = false;
        agents_ack(c, &ack);
        connection_send(c, &ack);
    }
    if (!c->outbox_count && !c->close_after)
        agents_next_targets(c); /* one at a time: a list that changes quickly never piles up */
    if (c->closing)
        return 0;
    if (!c->outbox_count)
        return c->close_after ? -1 : 0;
    queued_message *queued = next_queued(c);
    int missing = (int)queued->length - lws_write(c->wsi, queued->bytes + LWS_PRE, queued->length, LWS_WRITE_TEXT);
    free(queued);
    if (missing > 0)
        return -1;
    if (c->outbox_count || c->ack_due || c->targets_due || c->close_after)
        lws_callback_on_writable(c->wsi);
    return 0;
}

/* ---- receiving ---- */

static bool within_limits(agent_connection *c, size_t length)
{
    bool binary = lws_frame_is_binary(c->wsi);
    size_t declared = c->received_length + length + lws_remaining_packet_payload(c->wsi);
    size_t limit = !c->agent ? MESHPING_HELLO_MAX : binary ? FRAME_MAX : MESHPING_JSON_MAX;
    if (binary && !c->agent)
        connection_refuse(c, CLOSE_UNSUPPORTED, "a binary frame before the handshake");
    else if (declared > limit)
        connection_refuse(c, CLOSE_TOO_BIG, "a %s frame of %zu bytes; at most %zu are taken",
                          binary ? "binary" : "text", declared, limit);
    else if (!lws_remaining_packet_payload(c->wsi) && !lws_is_final_fragment(c->wsi))
        connection_refuse(c, CLOSE_UNSUPPORTED, "a message in fragments");
    return !c->closing;
}

/* A part of a frame; all of it is allocated with the first, out of what all connections may take together. */
static bool keep(agent_connection *c, const void *in, size_t length)
{
    size_t whole = c->received_length + length + lws_remaining_packet_payload(c->wsi);
    if (!c->received) {
        if (whole > (uint64_t)c->server->config.reassembly_max_size - reassembling) {
            connection_refuse(c, CLOSE_TRY_AGAIN, "no room for its frame of %zu bytes now: others have %zu", whole,
                              reassembling);
            return false;
        }
        c->received = malloc(whole);
        if (!c->received) {
            connection_refuse(c, CLOSE_TRY_AGAIN, "out of memory");
            return false;
        }
        c->received_capacity = whole;
        reassembling += whole;
    }
    memcpy(c->received + c->received_length, in, length);
    c->received_length += length;
    return true;
}

static void let_go(agent_connection *c)
{
    free(c->received);
    reassembling -= c->received_capacity;
    c->received = NULL;
    c->received_length = c->received_capacity = 0;
}

static void take(agent_connection *c, const uint8_t *frame, size_t length)
{
    if (!c->agent || !lws_frame_is_binary(c->wsi))
        agents_message(c, (const char *)frame, length);
    else
        agents_block(c, frame, length);
}

/* Most frames come whole and are never copied. */
static int receive(agent_connection *c, const void *in, size_t length)
{
    if (c->closing || !within_limits(c, length))
        return -1;
    bool whole = !lws_remaining_packet_payload(c->wsi);
    if (whole && !c->received) {
        take(c, length ? in : (const void *)"", length);
    } else if (keep(c, in, length) && whole) {
        take(c, c->received, c->received_length);
        let_go(c);
    }
    return c->closing ? -1 : 0;
}

/* ---- opening ---- */

/*
 * Whoever opens many and says nothing must not keep agents out, whose handshake takes a round trip: the one that has
 * had longest goes. False: all of them are new.
 */
static bool make_room(const server *s)
{
    agent_connection *oldest = NULL;
    for (agent_connection *c = connections; c; c = c->next) /* the newest first */
        if (!c->agent && !c->closing)
            oldest = c;
    if (!oldest || server_mono_ms() - oldest->opened_ms < SPARED_MS)
        return false;
    connection_refuse(oldest, 1013, "it has not authenticated yet, and %d others wait as well",
                      s->config.unauthenticated_max);
    return true;
}

/* Exactly /agent, and nothing that a browser sends. Non-zero refuses the upgrade. */
static int filter(struct lws *wsi)
{
    char path[64] = "", version[8] = "";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) > 0) {
        log_warning("agents", "a request with Origin for the agents' endpoint: refused");
        return 1;
    }
    if (lws_hdr_copy(wsi, version, sizeof version, WSI_TOKEN_VERSION) <= 0 || strcmp(version, "13") != 0) {
        log_warning("agents", "a request for WebSocket version \"%s\", not 13: refused", version);
        return 1;
    }
    if (lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) <= 0 || strcmp(path, MESHPING_AGENT_PATH) != 0) {
        log_warning("agents", "a request for %s with the agents' subprotocol: refused", path);
        return 1;
    }
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS) > 0) {
        log_warning("agents", "a request for %s with a query: refused", path);
        return 1;
    }
    server *s = lws_context_user(lws_get_context(wsi));
    const meshping_address *peer = peers_address(lws_get_socket_fd(wsi));
    if (s->blocked.count && peer && meshping_cidr_list_contains(&s->blocked, peer)) {
        char text[MESHPING_ADDRESS_TEXT_MAX];
        log_warning("agents", "%s is blocked: refused", meshping_address_format(peer, text));
        return 1;
    }
    if (descriptors_refuse_agent(&s->descriptors, lws_get_socket_fd(wsi), (uint64_t)server_mono_ms()))
        return 1;
    if (unauthenticated >= (size_t)s->config.unauthenticated_max && !make_room(s)) {
        log_warning("agents", "%d connections have not authenticated yet: another one is refused",
                    s->config.unauthenticated_max);
        return 1;
    }
    return 0;
}

static bool bind_to_channel(agent_connection *c)
{
    static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 */
    SSL *ssl = lws_get_ssl(c->wsi);
    return ssl && SSL_version(ssl) >= TLS1_3_VERSION &&
           SSL_export_keying_material(ssl, c->binding.ekm, MESHPING_EKM_LEN, label, sizeof label - 1, NULL, 0, 0) == 1;
}

static void note_peer(agent_connection *c)
{
    const meshping_address *address = peers_address(lws_get_socket_fd(c->wsi));
    snprintf(c->peer, sizeof c->peer, "?");
    if (address)
        meshping_address_format(address, c->peer);
}

static int open_connection(struct lws *wsi, agent_connection **slot)
{
    agent_connection *c = calloc(1, sizeof *c);
    if (!c)
        return -1;
    *slot = c;
    c->server = lws_context_user(lws_get_context(wsi));
    c->wsi = wsi;
    c->next = connections;
    c->link = &connections;
    if (c->next)
        c->next->link = &c->next;
    connections = c;
    connection_total++;
    unauthenticated++;
    note_peer(c);
    if (!bind_to_channel(c)) {
        connection_refuse(c, 1008, "not TLS 1.3");
        return -1;
    }
    agents_opened(c);
    return c->closing ? -1 : 0;
}

static void close_connection(agent_connection **slot)
{
    agent_connection *c = *slot;
    *slot = NULL;
    if (!c)
        return;
    if (!c->agent)
        unauthenticated--;
    agents_closed(c);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    if (next_in_turn == c)
        next_in_turn = c->next;
    connection_total--;
    for (queued_message *queued; (queued = next_queued(c)) != NULL;)
        free(queued);
    pushing_forget(c);
    let_go(c);
    free(c);
}

int agents_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    agent_connection **slot = user;
    int result = 0;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return filter(wsi);
    case LWS_CALLBACK_ESTABLISHED:
        *slot = NULL;
        return open_connection(wsi, slot);
    case LWS_CALLBACK_RECEIVE:
        if (!*slot)
            return -1;
        bool was_known = (*slot)->agent != NULL;
        result = receive(*slot, in, len);
        (*slot)->ending = result < 0;
        if (!was_known && (*slot)->agent) {
            unauthenticated--;
            web_known(wsi);
        }
        return result;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return *slot ? writeable(*slot) : -1;
    case LWS_CALLBACK_USER:
        if (!*slot)
            return -1;
        if (len == WEB_END_CROWDED)
            connection_refuse(*slot, 1013, "it has not authenticated yet, and others want in");
        else
            connection_refuse(*slot, 1008, "it did not authenticate within %d s",
                              (*slot)->server->config.authentication_s);
        (*slot)->ending = true;
        return -1;
    case LWS_CALLBACK_CLOSED:
        close_connection(slot);
        return 0;
    default:
        return 0;
    }
}
