/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BYTES 16384
#define MASKED 0x80
#define FINAL 0x80
#define TEXT_FRAME 1
#define BINARY_FRAME 2
#define CLOSE_FRAME 8

static const char upgrade_request[] = "GET " MESHPING_AGENT_PATH " HTTP/1.1\r\n"
                                      "Host: " MESHPING_AGENT_SNI "\r\n"
                                      "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                      "Sec-WebSocket-Version: 13\r\n"
                                      "Sec-WebSocket-Protocol: " MESHPING_SUBPROTOCOL "\r\n\r\n";

/* ---- bytes ---- */

static uint8_t *room(wire_bytes *bytes, size_t more)
{
    if (bytes->length + more > bytes->capacity) {
        bytes->capacity = bytes->length + more;
        bytes->data = realloc(bytes->data, bytes->capacity);
        if (!bytes->data)
            abort();
    }
    return bytes->data + bytes->length;
}

static void drop(wire_bytes *bytes)
{
    free(bytes->data);
    *bytes = (wire_bytes){0};
}

static void take_off(wire_bytes *bytes, size_t length)
{
    bytes->length -= length;
    memmove(bytes->data, bytes->data + length, bytes->length);
}

/* ---- opening and closing ---- */

SSL_CTX *wire_tls(void)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL); /* the load is not about the pin */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1);
    return ctx;
}

void wire_close(wire *w, const char *why)
{
    if (w->phase == WIRE_CLOSED)
        return;
    snprintf(w->why, sizeof w->why, "%s", why);
    SSL_free(w->tls);
    close(w->fd);
    w->tls = NULL;
    w->phase = WIRE_CLOSED;
    w->out_sent = 0;
    drop(&w->in);
    drop(&w->out);
}

static void watch(const wire *w, uint32_t events, void *user)
{
    struct epoll_event event = {.events = events, .data.ptr = user};
    epoll_ctl(w->epoll, EPOLL_CTL_MOD, w->fd, &event);
}

bool wire_connect(wire *w, SSL_CTX *ctx, int epoll, const struct sockaddr_in *source, const struct sockaddr_in *server,
                  void *user)
{
    int yes = 1;
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = user};
    w->epoll = epoll;
    w->tls = NULL;
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (w->fd < 0) {
        snprintf(w->why, sizeof w->why, "socket: %s", strerror(errno));
        return false;
    }
    w->phase = WIRE_TCP;
    /* many sources and one server: a port may serve each of them */
    setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(w->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    bool good = bind(w->fd, (const struct sockaddr *)source, sizeof *source) == 0 &&
                (connect(w->fd, (const struct sockaddr *)server, sizeof *server) == 0 || errno == EINPROGRESS) &&
                epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event) == 0;
    if (good) {
        w->tls = SSL_new(ctx);
        good = w->tls && SSL_set_fd(w->tls, w->fd) == 1 && SSL_set_tlsext_host_name(w->tls, MESHPING_AGENT_SNI) == 1;
    }
    if (!good)
        wire_close(w, strerror(errno));
    return good;
}

/* ---- sending ---- */

static void flush(wire *w, void *user)
{
    while (w->phase >= WIRE_UPGRADE && w->out_sent < w->out.length) {
        int put = SSL_write(w->tls, w->out.data + w->out_sent, (int)(w->out.length - w->out_sent));
        if (put > 0) {
            w->out_sent += (size_t)put;
            continue;
        }
        int error = SSL_get_error(w->tls, put);
        if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ) {
            ERR_clear_error();
            wire_close(w, "the server takes nothing any more");
            return;
        }
        watch(w, EPOLLIN | EPOLLOUT, user);
        return;
    }
    if (w->phase < WIRE_UPGRADE || !w->out.data)
        return;
    w->out_sent = 0;
    drop(&w->out);
    watch(w, EPOLLIN, user);
}

/* RFC 6455 section 5.2: a client's frames are masked. */
static void send_frame(wire *w, uint8_t opcode, const uint8_t *head, size_t head_length, const uint8_t *body,
                       size_t body_length, void *user)
{
    size_t length = head_length + body_length;
    uint8_t mask[4];
    if (w->phase != WIRE_OPEN)
        return;
    RAND_bytes(mask, sizeof mask);
    uint8_t *at = room(&w->out, 14 + length);
    *at++ = FINAL | opcode;
    if (length < 126) {
        *at++ = MASKED | (uint8_t)length;
    } else if (length < 65536) {
        *at++ = MASKED | 126;
        *at++ = (uint8_t)(length >> 8);
        *at++ = (uint8_t)length;
    } else {
        *at++ = MASKED | 127;
        for (int shift = 56; shift >= 0; shift -= 8)
            *at++ = (uint8_t)((uint64_t)length >> shift);
    }
    memcpy(at, mask, sizeof mask);
    at += sizeof mask;
    if (head_length)
        memcpy(at, head, head_length);
    memcpy(at + head_length, body, body_length);
    for (size_t i = 0; i < length; i++)
        at[i] ^= mask[i % 4];
    w->out.length = (size_t)(at + length - w->out.data);
    flush(w, user);
}

void wire_send(wire *w, const meshping_message *message, void *user)
{
    char *text = NULL;
    size_t length = 0;
    if (meshping_message_encode(&text, &length, message, NULL) != MESHPING_OK)
        abort();
    send_frame(w, TEXT_FRAME, NULL, 0, (const uint8_t *)text, length, user);
    meshping_free(text);
}

void wire_send_block(wire *w, uint64_t epoch, uint64_t sequence, const uint8_t *block, size_t length, void *user)
{
    uint8_t header[MESHPING_FRAME_HEADER_LEN];
    meshping_frame_header_encode(header, epoch, sequence, (uint32_t)length);
    send_frame(w, BINARY_FRAME, header, sizeof header, block, length, user);
}

void wire_resume(wire *w, const meshping_welcome *welcome, const uint8_t seed[MESHPING_KEY_LEN],
                 const meshping_agent_info *info, void *user)
{
    meshping_message message = {.event = MESHPING_EVENT_HANDSHAKE};
    meshping_binding binding = {.server_id = welcome->server_id};
    memcpy(binding.ekm, w->ekm, sizeof binding.ekm);
    memcpy(binding.nonce_s, welcome->nonce_s, sizeof binding.nonce_s);
    RAND_bytes(binding.nonce_a, sizeof binding.nonce_a);
    if (meshping_identity_public(binding.public_key, seed) != MESHPING_OK ||
        meshping_handshake_resume(&message.u.handshake, &binding, seed, w->has_ticket ? w->ticket : NULL, info, NULL) !=
            MESHPING_OK)
        abort();
    wire_send(w, &message, user);
}

/* ---- receiving ---- */

static void join(wire *w, const uint8_t ticket[MESHPING_TICKET_LEN], void *user)
{
    meshping_message message = {.event = MESHPING_EVENT_JOINED};
    memcpy(w->ticket, ticket, sizeof w->ticket);
    w->has_ticket = true;
    for (size_t i = 0; i < 8; i++)
        message.u.joined.serial = message.u.joined.serial << 8 | ticket[i];
    wire_send(w, &message, user);
}

static void on_text(wire *w, const uint8_t *text, size_t length, wire_message_fn fn, void *user)
{
    meshping_message message;
    meshping_error err;
    if (meshping_message_decode(&message, (const char *)text, length, &err) != MESHPING_OK) {
        wire_close(w, err.message);
        return;
    }
    if (message.event == MESHPING_EVENT_REGISTRATION_STATUS && message.u.registration_status.has_ticket)
        join(w, message.u.registration_status.ticket, user);
    else
        fn(user, &message);
    meshping_message_dispose(&message);
}

/* One whole frame off w->in; 0: none is there, else its length. The server's are not masked, and below 64 KiB. */
static size_t take_frame(wire *w, const uint8_t *at, size_t left, wire_message_fn fn, void *user)
{
    size_t head = 2, length;
    if (left < 4)
        return 0;
    length = at[1] & 0x7f;
    if (length == 126) {
        head = 4;
        length = (size_t)at[2] << 8 | at[3];
    } else if (length == 127) {
        wire_close(w, "the server sent a frame over 64 KiB");
        return 0;
    }
    if (left < head + length)
        return 0;
    if ((at[0] & 0x0f) == TEXT_FRAME) {
        on_text(w, at + head, length, fn, user);
    } else if ((at[0] & 0x0f) == CLOSE_FRAME) {
        char reason[160];
        snprintf(reason, sizeof reason, "closed by the server: %.*s", length > 2 ? (int)length - 2 : 0,
                 (const char *)at + head + 2);
        wire_close(w, reason);
    }
    return head + length;
}

static void take_frames(wire *w, wire_message_fn fn, void *user)
{
    wire_bytes bytes = w->in; /* a callback that closes must not free what is read */
    size_t used = 0, one = 1;
    w->in = (wire_bytes){0};
    while (w->phase == WIRE_OPEN && one) {
        one = take_frame(w, bytes.data + used, bytes.length - used, fn, user);
        used += one;
    }
    if (w->phase == WIRE_OPEN && used < bytes.length) {
        take_off(&bytes, used);
        w->in = bytes;
    } else {
        drop(&bytes);
    }
}

static void take_upgrade(wire *w)
{
    uint8_t *end = memmem(w->in.data, w->in.length, "\r\n\r\n", 4);
    if (!end)
        return;
    if (w->in.length < 12 || memcmp(w->in.data, "HTTP/1.1 101", 12) != 0) {
        wire_close(w, "the upgrade was refused");
        return;
    }
    take_off(&w->in, (size_t)(end + 4 - w->in.data));
    w->phase = WIRE_OPEN;
}

static void receive(wire *w, wire_message_fn fn, void *user)
{
    static uint8_t buffer[RECEIVE_BYTES];
    bool ended = false;
    for (;;) {
        int got = SSL_read(w->tls, buffer, sizeof buffer);
        if (got <= 0) {
            int error = SSL_get_error(w->tls, got);
            ended = error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE;
            break;
        }
        memcpy(room(&w->in, (size_t)got), buffer, (size_t)got);
        w->in.length += (size_t)got;
    }
    if (w->phase == WIRE_UPGRADE && w->in.length)
        take_upgrade(w);
    if (w->phase == WIRE_OPEN && w->in.length)
        take_frames(w, fn, user);
    if (ended && w->phase != WIRE_CLOSED) {
        ERR_clear_error();
        wire_close(w, "the server closed the connection");
    }
}

static void shake_hands(wire *w, void *user)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    int done = SSL_connect(w->tls);
    if (done != 1) {
        int error = SSL_get_error(w->tls, done);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
            watch(w, error == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT, user);
            return;
        }
        ERR_clear_error();
        wire_close(w, "the TLS handshake failed");
        return;
    }
    if (SSL_export_keying_material(w->tls, w->ekm, sizeof w->ekm, label, sizeof label - 1, NULL, 0, 0) != 1) {
        wire_close(w, "no keying material");
        return;
    }
    w->phase = WIRE_UPGRADE;
    memcpy(room(&w->out, sizeof upgrade_request - 1), upgrade_request, sizeof upgrade_request - 1);
    w->out.length = sizeof upgrade_request - 1;
    flush(w, user);
}

void wire_ready(wire *w, uint32_t events, wire_message_fn fn, void *user)
{
    if (w->phase == WIRE_TCP) {
        int code = 0;
        socklen_t length = sizeof code;
        getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &code, &length);
        if (code) {
            wire_close(w, strerror(code));
            return;
        }
        w->phase = WIRE_TLS;
    }
    if (w->phase == WIRE_TLS) {
        shake_hands(w, user);
        return;
    }
    if (w->phase != WIRE_CLOSED && events & EPOLLOUT)
        flush(w, user);
    if (w->phase != WIRE_CLOSED && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(w, fn, user);
}
