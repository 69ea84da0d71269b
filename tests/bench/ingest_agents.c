/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thousand agents in one process: each has its own TLS 1.3 connection, its own key and handshake, and sends a block
 * of one round of all targets every 5 seconds, spread over the 5 seconds as real ones are.
 */
#include "ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#define WINDOW 64 /* frames of one agent that may wait for their ack */
#define CONNECTING_MAX 32
#define STATUS_MS 10000
#define DRAIN_MS 30000
#define RECEIVE_BYTES 16384
#define MASKED 0x80
#define TEXT_FRAME 1
#define BINARY_FRAME 2
#define CLOSE_FRAME 8

typedef struct load load;

typedef struct agent {
    load *load;
    SSL *tls;
    uint32_t number;
    bool upgraded, approved, lost;
    uint64_t epoch, sequence, acked;
    double sent_ms[WINDOW];
    double next_ms, status_ms;
    int64_t round_us; /* Unix time up to which the next block tells */
    meshping_binding binding;
    uint8_t ticket[MESHPING_TICKET_LEN];
    bool has_ticket;
    uint8_t *in, *out;
    size_t in_length, in_capacity, out_length, out_sent, out_capacity;
} agent;

struct load {
    const ingest_mesh *mesh;
    SSL_CTX *ctx;
    int epoll;
    agent *agents;
    meshping_block_builder *builder;
    uint32_t connecting, approved;
    double *ack_ms;
    size_t ack_count, ack_capacity;
    ingest_load *out;
};

static void fail(agent *a, const char *why)
{
    if (!a->lost)
        fprintf(stderr, "meshping-bench ingest: agent %u: %s\n", a->number, why);
    a->lost = true;
}

/* ---- bytes ---- */

static void *room(uint8_t **bytes, size_t *capacity, size_t need)
{
    if (need > *capacity) {
        *capacity = need + need / 2;
        *bytes = realloc(*bytes, *capacity);
        if (!*bytes)
            abort();
    }
    return *bytes;
}

static void flush(agent *a)
{
    while (!a->lost && a->out_sent < a->out_length) {
        int put = SSL_write(a->tls, a->out + a->out_sent, (int)(a->out_length - a->out_sent));
        if (put > 0) {
            a->out_sent += (size_t)put;
            continue;
        }
        int error = SSL_get_error(a->tls, put);
        if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
            fail(a, "the server takes nothing any more");
        break;
    }
    if (a->out_sent == a->out_length)
        a->out_sent = a->out_length = 0;
    struct epoll_event event = {.events = a->out_length ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = a};
    epoll_ctl(a->load->epoll, EPOLL_CTL_MOD, SSL_get_fd(a->tls), &event);
}

/* RFC 6455, 5.2: a client's frames are masked. */
static void send_frame(agent *a, uint8_t opcode, const uint8_t *head, size_t head_length, const uint8_t *body,
                       size_t body_length)
{
    size_t length = head_length + body_length;
    uint8_t mask[4];
    RAND_bytes(mask, sizeof mask);
    room(&a->out, &a->out_capacity, a->out_length + 14 + length);
    uint8_t *at = a->out + a->out_length;
    *at++ = 0x80 | opcode;
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
    a->out_length = (size_t)(at + length - a->out);
    flush(a);
}

static void send_message(agent *a, const meshping_message *message)
{
    char *text = NULL;
    size_t length = 0;
    if (meshping_message_encode(&text, &length, message, NULL) != MESHPING_OK)
        abort();
    send_frame(a, TEXT_FRAME, NULL, 0, (const uint8_t *)text, length);
    meshping_free(text);
}

/* ---- what the server says ---- */

static void answer_welcome(agent *a, const meshping_welcome *welcome)
{
    uint8_t seed[MESHPING_KEY_LEN];
    meshping_message message = {.event = MESHPING_EVENT_HANDSHAKE};
    meshping_agent_info info = {.address = "127.0.0.1", .version = "bench", .epoch = a->epoch};
    meshping_error err;
    ingest_agent_seed(seed, a->number);
    snprintf(info.host_name, sizeof info.host_name, "bench-%u", a->number);
    a->binding.server_id = welcome->server_id;
    memcpy(a->binding.nonce_s, welcome->nonce_s, sizeof a->binding.nonce_s);
    RAND_bytes(a->binding.nonce_a, sizeof a->binding.nonce_a);
    if (meshping_identity_public(a->binding.public_key, seed) != MESHPING_OK ||
        meshping_handshake_resume(&message.u.handshake, &a->binding, seed, a->has_ticket ? a->ticket : NULL, &info,
                                  &err) != MESHPING_OK)
        abort();
    send_message(a, &message);
}

static void join(agent *a, const uint8_t ticket[MESHPING_TICKET_LEN])
{
    meshping_message message = {.event = MESHPING_EVENT_JOINED};
    memcpy(a->ticket, ticket, sizeof a->ticket);
    a->has_ticket = true;
    for (size_t i = 0; i < 8; i++)
        message.u.joined.serial = message.u.joined.serial << 8 | ticket[i];
    send_message(a, &message);
}

static void note_acks(agent *a, const meshping_data_received *received)
{
    double now_ms = ingest_now_ms();
    uint64_t upto = received->range_count ? received->ranges[0].last : 0; /* we send in order, so there is one range */
    for (; a->acked < upto && a->acked < a->sequence; a->acked++) {
        load *l = a->load;
        if (l->ack_count == l->ack_capacity) {
            l->ack_capacity = l->ack_capacity ? 2 * l->ack_capacity : 65536;
            l->ack_ms = realloc(l->ack_ms, l->ack_capacity * sizeof *l->ack_ms);
            if (!l->ack_ms)
                abort();
        }
        l->ack_ms[l->ack_count++] = now_ms - a->sent_ms[(a->acked + 1) % WINDOW];
        l->out->frames_acked++;
        l->mesh->acked[a->number]++;
        l->out->samples_acked += l->mesh->targets;
    }
}

static void on_message(agent *a, const char *text, size_t length)
{
    meshping_message message, reply = {0};
    meshping_error err;
    if (meshping_message_decode(&message, text, length, &err) != MESHPING_OK) {
        fail(a, err.message);
        return;
    }
    switch (message.event) {
    case MESHPING_EVENT_WELCOME:
        answer_welcome(a, &message.u.welcome);
        break;
    case MESHPING_EVENT_REGISTRATION_STATUS:
        if (message.u.registration_status.state != MESHPING_AGENT_APPROVED)
            fail(a, "it is not approved");
        else if (message.u.registration_status.has_ticket)
            join(a, message.u.registration_status.ticket);
        else if (!a->approved) {
            a->approved = true;
            a->load->approved++;
            a->load->connecting--;
        }
        break;
    case MESHPING_EVENT_SERVER_MESSAGE:
        if (message.u.target_update.part + 1 == message.u.target_update.parts) {
            reply.event = MESHPING_EVENT_TARGETS_APPLIED;
            reply.u.targets_applied.revision = message.u.target_update.revision;
            reply.u.targets_applied.count = a->load->mesh->targets;
            send_message(a, &reply);
        }
        break;
    case MESHPING_EVENT_DATA_RECEIVED:
        note_acks(a, &message.u.data_received);
        break;
    case MESHPING_EVENT_STATUS:
        if (message.u.status.ping) {
            reply.event = MESHPING_EVENT_STATUS;
            reply.u.status.time_unix_us = reply.u.status.echo_unix_us = meshping_now_read().unix_ns / 1000;
            reply.u.status.pong = message.u.status.ping;
            send_message(a, &reply);
        }
        break;
    case MESHPING_EVENT_REFUSED:
        fail(a, message.u.refused.message);
        break;
    default:
        break;
    }
    meshping_message_dispose(&message);
}

/* Takes one whole frame off a->in; false: none is there. */
static bool take_frame(agent *a)
{
    size_t head = 2, length;
    if (a->in_length < 2)
        return false;
    length = a->in[1] & 0x7f;
    if (length == 126) {
        head = 4;
        if (a->in_length < head)
            return false;
        length = (size_t)a->in[2] << 8 | a->in[3];
    } else if (length == 127) {
        head = 10;
        if (a->in_length < head)
            return false;
        length = 0;
        for (size_t i = 2; i < 10; i++)
            length = length << 8 | a->in[i];
    }
    if (a->in_length < head + length)
        return false;
    if ((a->in[0] & 0x0f) == TEXT_FRAME) {
        on_message(a, (const char *)a->in + head, length);
    } else if ((a->in[0] & 0x0f) == CLOSE_FRAME) {
        char reason[130];
        snprintf(reason, sizeof reason, "closed by the server: %.*s", length > 2 ? (int)length - 2 : 0,
                 (const char *)a->in + head + 2);
        fail(a, reason);
    }
    a->in_length -= head + length;
    memmove(a->in, a->in + head + length, a->in_length);
    return true;
}

static void take_upgrade(agent *a)
{
    room(&a->in, &a->in_capacity, a->in_length + 1);
    a->in[a->in_length] = 0;
    char *end = strstr((char *)a->in, "\r\n\r\n");
    if (!end)
        return;
    if (strncmp((char *)a->in, "HTTP/1.1 101", 12) != 0) {
        fail(a, "the upgrade was refused");
        return;
    }
    size_t head = (size_t)(end + 4 - (char *)a->in);
    a->in_length -= head;
    memmove(a->in, a->in + head, a->in_length);
    a->upgraded = true;
}

static void receive(agent *a)
{
    for (;;) {
        room(&a->in, &a->in_capacity, a->in_length + RECEIVE_BYTES);
        int got = SSL_read(a->tls, a->in + a->in_length, RECEIVE_BYTES);
        if (got <= 0) {
            int error = SSL_get_error(a->tls, got);
            if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
                fail(a, "the server closed the connection");
            break;
        }
        a->in_length += (size_t)got;
    }
    if (!a->upgraded)
        take_upgrade(a);
    while (a->upgraded && !a->lost && take_frame(a))
        ;
    if (a->out_length && !a->lost)
        flush(a);
}

/* ---- what the agents do ---- */

static void connect_agent(load *l, agent *a)
{
    static const char label[] = "EXPORTER-Channel-Binding",
                      request[] = "GET " MESHPING_AGENT_PATH " HTTP/1.1\r\n"
                                  "Host: " MESHPING_AGENT_SNI "\r\n"
                                  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                  "Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Protocol: " MESHPING_SUBPROTOCOL "\r\n\r\n";
    a->load = l;
    RAND_bytes((unsigned char *)&a->epoch, sizeof a->epoch);
    a->tls = ingest_connect(l->ctx, l->mesh->port, MESHPING_AGENT_SNI);
    if (!a->tls || SSL_export_keying_material(a->tls, a->binding.ekm, MESHPING_EKM_LEN, label, sizeof label - 1, NULL,
                                              0, 0) != 1) {
        fail(a, "no TLS connection");
        return;
    }
    int fd = SSL_get_fd(a->tls);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = a};
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &event);
    memcpy(room(&a->out, &a->out_capacity, sizeof request), request, sizeof request - 1);
    a->out_length = sizeof request - 1;
    l->connecting++;
    flush(a);
}

/* The newest slot of every target. */
static void send_round(agent *a)
{
    load *l = a->load;
    uint8_t *bytes = NULL, header[MESHPING_FRAME_HEADER_LEN];
    size_t length = 0;
    int64_t round = a->round_us / INGEST_STEP_US;
    for (uint32_t t = 0; t < l->mesh->targets; t++) {
        meshping_sample sample = ingest_sample(a->number, t, round);
        if (sample.slot_unix_us > a->round_us)
            sample = ingest_sample(a->number, t, round - 1);
        if (meshping_block_builder_add(l->builder, t + 1, &sample) != MESHPING_OK)
            abort();
    }
    if (meshping_block_builder_finish(l->builder, &bytes, &length) != MESHPING_OK)
        abort();
    a->round_us += INGEST_STEP_US;
    meshping_frame_header_encode(header, a->epoch, ++a->sequence, (uint32_t)length);
    if (a->sequence - a->acked >= WINDOW)
        fail(a, "more than 64 frames without an ack");
    a->sent_ms[a->sequence % WINDOW] = ingest_now_ms();
    l->out->frames_sent++;
    l->out->samples_sent += l->mesh->targets;
    l->out->bytes_sent += sizeof header + length;
    send_frame(a, BINARY_FRAME, header, sizeof header, bytes, length);
    meshping_free(bytes);
}

static void send_status(agent *a)
{
    meshping_message message = {.event = MESHPING_EVENT_STATUS};
    message.u.status.time_unix_us = meshping_now_read().unix_ns / 1000;
    message.u.status.ping = a->sequence + 1;
    send_message(a, &message);
}

static bool poll_once(load *l, int timeout_ms)
{
    struct epoll_event events[256];
    int count = epoll_wait(l->epoll, events, 256, timeout_ms);
    for (int i = 0; i < count; i++) {
        agent *a = events[i].data.ptr;
        if (a->lost)
            continue;
        if (events[i].events & EPOLLOUT)
            flush(a);
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP))
            receive(a);
        if (a->lost) {
            epoll_ctl(l->epoll, EPOLL_CTL_DEL, SSL_get_fd(a->tls), NULL);
            l->out->lost_sessions++;
        }
    }
    return count > 0;
}

/* False: one did not get in. */
static bool connect_all(load *l)
{
    uint32_t next = 0, agents = l->mesh->agents;
    double until_ms = ingest_now_ms() + 120000;
    while (l->approved < agents && ingest_now_ms() < until_ms) {
        for (; next < agents && l->connecting < CONNECTING_MAX; next++) {
            l->agents[next].number = next;
            connect_agent(l, &l->agents[next]);
            if (l->agents[next].lost)
                return false;
        }
        poll_once(l, 100);
        if (l->out->lost_sessions)
            return false;
    }
    return l->approved == agents;
}

static void send_until(load *l, double end_ms)
{
    double now_ms = ingest_now_ms(), step_ms = INGEST_STEP_US / 1000.0;
    int64_t now_us = meshping_now_read().unix_ns / 1000;
    uint32_t agents = l->mesh->agents;
    for (uint32_t i = 0; i < agents; i++) {
        l->agents[i].next_ms = now_ms + step_ms * i / agents;
        l->agents[i].round_us = now_us + INGEST_STEP_US * i / agents;
        l->agents[i].status_ms = now_ms + STATUS_MS * (double)i / agents;
    }
    while ((now_ms = ingest_now_ms()) < end_ms) {
        bool sent = false;
        for (uint32_t i = 0; i < agents; i++) {
            agent *a = &l->agents[i];
            if (!a->lost && a->next_ms <= now_ms) {
                a->next_ms += step_ms;
                send_round(a);
                sent = true;
            }
            if (!a->lost && a->status_ms <= now_ms) {
                a->status_ms += STATUS_MS;
                send_status(a);
            }
        }
        poll_once(l, sent ? 0 : 2);
    }
}

bool ingest_run_agents(const ingest_mesh *mesh, int ready, int go, ingest_load *out)
{
    load l = {.mesh = mesh, .ctx = ingest_tls(), .epoll = epoll_create1(EPOLL_CLOEXEC), .out = out};
    struct rusage before, after;
    char byte = 0;
    *out = (ingest_load){0};
    l.agents = calloc(mesh->agents, sizeof *l.agents);
    if (!l.agents || !l.ctx || l.epoll < 0 || meshping_block_builder_new(&l.builder) != MESHPING_OK)
        return false;
    if (!connect_all(&l))
        return false;
    out->sessions = l.approved;
    if (write(ready, &byte, 1) != 1 || read(go, &byte, 1) != 1)
        return false;
    getrusage(RUSAGE_SELF, &before);
    double end_ms = ingest_now_ms() + mesh->seconds * 1000.0;
    send_until(&l, end_ms);
    while (out->frames_acked < out->frames_sent && ingest_now_ms() < end_ms + DRAIN_MS)
        poll_once(&l, 100);
    getrusage(RUSAGE_SELF, &after);
    out->cpu_s =
        (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
        1e-6 * (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
                        before.ru_stime.tv_usec);
    out->ack = ingest_latency_of(l.ack_ms, l.ack_count);
    for (uint32_t i = 0; i < mesh->agents; i++) {
        close(SSL_get_fd(l.agents[i].tls));
        SSL_free(l.agents[i].tls);
        free(l.agents[i].in);
        free(l.agents[i].out);
    }
    free(l.agents);
    free(l.ack_ms);
    meshping_block_builder_free(l.builder);
    SSL_CTX_free(l.ctx);
    close(l.epoll);
    return true;
}
