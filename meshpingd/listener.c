/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/listener.h"

#include "common/log.h"
#include "meshpingd/peers.h"
#include <errno.h>
#include <fcntl.h>
#include <meshping/proxy.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAITING_MAX 512  /* connections that have not said a byte yet */
#define PAUSE_MS 1000    /* after descriptors ran out */
#define ACCEPTS_A_TURN 8 /* then those who are further on have their turn: see incoming */
#define ACCEPT_EACH_MS 4 /* but after a long turn as many as come back in that time: docs/PROTOCOL.md, retry_s */
#define ACCEPTS_MAX 32
#define DEAD_AFTER_MS 60000     /* what was sent is not acknowledged for so long: the kernel ends the connection */
#define SPARED_MS 2000          /* none that speaks TLS is cut short before: it takes some round trips */
#define TLS_HANDSHAKE_RECORD 22 /* RFC 8446 section 5.1 */
#define PROXY_FIRST_BYTE '\r'
#define TELL_EVERY_MS 60000

/* A connection that has not said anything yet. */
typedef struct waiting {
    listener *owner;
    struct waiting *next, **link;
    uv_poll_t poll;
    uv_timer_t timer;
    int fd;
    int open_handles;
    uint64_t accepted_ms;
    meshping_address address;             /* whose it is */
    char peer[MESHPING_ADDRESS_TEXT_MAX]; /* the same, for the log */
    bool trusted;                         /* a proxy that may say whose it is, and has not yet */
    uint8_t header[MESHPING_PROXY_MAX];   /* what has come of that */
    size_t header_length;
} waiting;

struct listener {
    uv_loop_t *loop;
    listener_options options;
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;
    waiting *first;
    size_t count;
    uint64_t told_ms, crowded_ms, silent_ms, turn_ms;
};

meshping_status listener_parse(meshping_address *address, uint16_t *port, const char *text, meshping_error *err)
{
    char host[MESHPING_HOST_MAX];
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
        return meshping_error_set(err, MESHPING_INVALID, "listen: \"%s\" is not ADDR:PORT", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    char *bare = host;
    if (*bare == '[' && bare[strlen(bare) - 1] == ']') {
        bare[strlen(bare) - 1] = '\0';
        bare++;
    } else if (strchr(bare, ':')) {
        return meshping_error_set(err, MESHPING_INVALID, "listen: write an IPv6 address as [ADDR]:PORT");
    }
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end || number > 65535)
        return meshping_error_set(err, MESHPING_INVALID, "listen: \"%s\" is not a port", colon + 1);
    if (meshping_address_parse(address, bare, NULL) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_INVALID, "listen: \"%s\" is not an IP address", bare);
    *port = (uint16_t)number;
    return MESHPING_OK;
}

/* ---- connections that wait for their first byte ---- */

static void handle_closed(uv_handle_t *handle)
{
    waiting *w = handle->data;
    if (--w->open_handles == 0)
        free(w);
}

/* Forgets the connection; its descriptor is the caller's. */
static int release(waiting *w)
{
    int fd = w->fd;
    w->fd = -1;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->owner->count--;
    uv_poll_stop(&w->poll);
    uv_close((uv_handle_t *)&w->poll, handle_closed);
    uv_close((uv_handle_t *)&w->timer, handle_closed);
    return fd;
}

static void too_slow(uv_timer_t *timer)
{
    waiting *w = timer->data;
    log_debug("listener", "%s did not begin TLS within %d s: closed", w->peer,
              (int)(w->owner->options.limit_ms / 1000));
    close(release(w));
}

static void refuse_plain_text(int fd)
{
    static const char body[] = "This port speaks HTTPS only: use an https:// URL.\n";
    char answer[256];
    int length = snprintf(answer, sizeof answer,
                          "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          sizeof body - 1, body);
    char unread[2048];
    if (send(fd, answer, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT) == length)
        shutdown(fd, SHUT_WR);
    /* unread bytes would turn the close into a reset, and the answer would be lost */
    ssize_t ignored = recv(fd, unread, sizeof unread, MSG_DONTWAIT);
    (void)ignored;
    close(fd);
}

/* ---- PROXY headers ---- */

/* No more than the header is read: what follows is TLS's. False: there is more to come, or the connection is gone. */
static bool read_header(waiting *w)
{
    meshping_proxy_header header;
    meshping_error err = {0};
    for (;;) {
        if (meshping_proxy_read(&header, w->header, w->header_length, &err) != MESHPING_OK) {
            log_warning("listener", "%s, a trusted proxy, is refused: %s", w->peer, err.message);
            close(release(w));
            return false;
        }
        if (header.complete)
            break;
        ssize_t got = recv(w->fd, w->header + w->header_length, header.length - w->header_length, MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (got <= 0) {
            close(release(w));
            return false;
        }
        w->header_length += (size_t)got;
    }
    w->trusted = false; /* it has said it */
    if (!header.own) {
        w->address = header.source;
        meshping_address_format(&w->address, w->peer);
    }
    return true;
}

/* By who may not, in a version that is not read, or a second time. */
static bool is_header(int fd)
{
    uint8_t bytes[MESHPING_PROXY_HEAD_LEN];
    meshping_proxy_header header;
    ssize_t got = recv(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    return got > 0 && meshping_proxy_read(&header, bytes, (size_t)got, NULL) != MESHPING_NOT_FOUND;
}

static void refuse_other(waiting *w)
{
    if (!is_header(w->fd)) {
        log_warning("listener", "%s spoke plain text on the TLS port: refused", w->peer);
        refuse_plain_text(release(w));
        return;
    }
    if (w->trusted)
        log_warning("listener", "%s, a trusted proxy, is refused: it sends a PROXY header of version 1, not 2",
                    w->peer);
    else
        log_warning("listener", "%s sent a PROXY header, and is not in trusted_proxies (or said it twice): refused",
                    w->peer);
    close(release(w));
}

static void first_byte(uv_poll_t *poll, int status, int events)
{
    waiting *w = poll->data;
    unsigned char byte;
    /* who gave up while he waited is not worth a handshake */
    bool gone = status < 0 || (events & UV_DISCONNECT);
    ssize_t got = gone ? 0 : recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0 && w->trusted && (w->header_length || byte == PROXY_FIRST_BYTE)) {
        if (!read_header(w))
            return;
        got = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    listener *l = w->owner;
    bool is_tls = got > 0 && byte == TLS_HANDSHAKE_RECORD;
    if (got > 0 && !is_tls)
        refuse_other(w);
    else if (is_tls && peers_note(w->fd, &w->address, w->accepted_ms) == MESHPING_OK)
        l->options.adopt(l->options.user, release(w));
    else
        close(release(w));
}

static void wait_for_first_byte(listener *l, int fd, const struct sockaddr_storage *sa)
{
    int yes = 1;
    waiting *w = calloc(1, sizeof *w);
    if (!w) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &(unsigned){DEAD_AFTER_MS}, sizeof(unsigned));
    if (meshping_address_from_sockaddr(&w->address, (const struct sockaddr *)sa) == MESHPING_OK)
        meshping_address_format(&w->address, w->peer);
    w->trusted = meshping_cidr_list_contains(l->options.trusted_proxies, &w->address);
    w->accepted_ms = uv_now(l->loop);
    w->owner = l;
    w->fd = fd;
    w->poll.data = w->timer.data = w;
    uv_timer_init(l->loop, &w->timer);
    w->open_handles = 1;
    if (uv_poll_init(l->loop, &w->poll, fd) != 0) {
        uv_close((uv_handle_t *)&w->timer, handle_closed);
        close(fd);
        return;
    }
    w->open_handles = 2;
    w->next = l->first;
    w->link = &l->first;
    if (w->next)
        w->next->link = &w->next;
    l->first = w;
    l->count++;
    uv_timer_start(&w->timer, too_slow, l->options.limit_ms, 0);
    uv_poll_start(&w->poll, UV_READABLE | UV_DISCONNECT, first_byte);
}

/* Whoever opens many and says nothing must not keep others out: those speak within a round trip. */
static void drop_oldest(listener *l)
{
    uint64_t now_ms = uv_now(l->loop);
    waiting *oldest = l->first;
    while (oldest->next)
        oldest = oldest->next;
    if (!l->crowded_ms || now_ms - l->crowded_ms > TELL_EVERY_MS) {
        l->crowded_ms = now_ms;
        log_warning("listener", "%zu connections say nothing (the oldest is of %s): the oldest are closed", l->count,
                    oldest->peer);
    }
    close(release(oldest));
}

/* The same of those that got as far as TLS. False: all of them are new. */
static bool drop_silent(listener *l)
{
    uint64_t now_ms = uv_now(l->loop);
    if (now_ms < SPARED_MS || !l->options.make_room(l->options.user, now_ms - SPARED_MS))
        return false;
    if (!l->silent_ms || now_ms - l->silent_ms > TELL_EVERY_MS) {
        l->silent_ms = now_ms;
        log_warning("listener", "descriptors are scarce: connections that made no request within %d s are closed",
                    SPARED_MS / 1000);
    }
    return true;
}

/* Returns the new connection's descriptor: the one that came free, so that the highest number tells how many there are.
 */
static int make_room(listener *l, int fd)
{
    bool scarce = fd >= l->options.files->agents_below;
    if (scarce && drop_silent(l))
        return fd; /* the next one has its descriptor */
    scarce = scarce && l->count;
    if (!scarce && l->count < WAITING_MAX)
        return fd;
    drop_oldest(l);
    int lower = scarce ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (lower < 0)
        return fd;
    close(fd);
    return lower;
}

/* ---- accepting ---- */

static void incoming(uv_poll_t *poll, int status, int events);

static void resume(uv_timer_t *timer)
{
    listener *l = timer->data;
    uv_poll_start(&l->poll, UV_READABLE, incoming);
}

static void pause_accepting(listener *l, const char *why)
{
    uint64_t now_ms = uv_now(l->loop);
    if (!l->told_ms || now_ms - l->told_ms > TELL_EVERY_MS) {
        l->told_ms = now_ms;
        log_error("listener", "no new connections for now: %s", why);
    }
    uv_poll_stop(&l->poll);
    uv_timer_start(&l->pause, resume, PAUSE_MS, 0);
}

/*
 * A few a turn: when more want in than there is time for, they wait in the kernel's queue, in order, and those whose
 * handshake has begun end it. To take all at once and be late for each is how ten thousand agents never came back.
 */
static void incoming(uv_poll_t *poll, int status, int events)
{
    listener *l = poll->data;
    uint64_t now_ms = uv_now(l->loop), many = ACCEPTS_A_TURN + (now_ms - l->turn_ms) / ACCEPT_EACH_MS;
    (void)events;
    l->turn_ms = now_ms;
    for (uint64_t i = 0; status >= 0 && i < many && i < ACCEPTS_MAX; i++) {
        struct sockaddr_storage sa;
        socklen_t length = sizeof sa;
        int fd = accept4(l->fd, (struct sockaddr *)&sa, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            wait_for_first_byte(l, make_room(l, fd), &sa);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(l, strerror(errno));
            if (!drop_silent(l) && l->count) /* its descriptor is the next one's */
                drop_oldest(l);
        }
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

static socklen_t socket_address(struct sockaddr_storage *sa, const meshping_address *address, uint16_t port)
{
    memset(sa, 0, sizeof *sa);
    if (address->family == MESHPING_FAMILY_IPV4) {
        struct sockaddr_in *in = (struct sockaddr_in *)sa;
        in->sin_family = AF_INET;
        in->sin_port = htons(port);
        memcpy(&in->sin_addr, address->bytes, 4);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(port);
    in6->sin6_scope_id = address->scope_id;
    memcpy(&in6->sin6_addr, address->bytes, 16);
    return sizeof *in6;
}

static meshping_status open_socket(int *out, const meshping_address *address, uint16_t *port, meshping_error *err)
{
    struct sockaddr_storage sa;
    char text[MESHPING_ADDRESS_TEXT_MAX];
    int yes = 1, no = 0;
    socklen_t length = socket_address(&sa, address, *port);
    meshping_address_format(address, text);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        if (sa.ss_family == AF_INET6)
            setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
        if (bind(fd, (struct sockaddr *)&sa, length) == 0 && listen(fd, SOMAXCONN) == 0) {
            getsockname(fd, (struct sockaddr *)&sa, &length);
            *port = ntohs(sa.ss_family == AF_INET ? ((struct sockaddr_in *)&sa)->sin_port
                                                  : ((struct sockaddr_in6 *)&sa)->sin6_port);
            *out = fd;
            return MESHPING_OK;
        }
    }
    int code = errno;
    if (fd >= 0)
        close(fd);
    if (code == EADDRINUSE)
        return meshping_error_set(err, MESHPING_BUSY, "port %u on %s is taken: is another server running?", *port,
                                  text);
    return meshping_error_set_errno(err, code == EACCES ? MESHPING_PERMISSION : MESHPING_IO, code,
                                    "cannot listen on %s port %u", text, *port);
}

meshping_status listener_start(listener **out, uv_loop_t *loop, const listener_options *options,
                               const meshping_address *address, uint16_t *port, meshping_error *err)
{
    static const meshping_address any4 = {.family = MESHPING_FAMILY_IPV4};
    static const meshping_address any6 = {.family = MESHPING_FAMILY_IPV6};
    *out = NULL;
    listener *l = calloc(1, sizeof *l);
    if (!l)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = open_socket(&l->fd, address, port, err);
    /* a host without IPv6 still has a server */
    if (status == MESHPING_IO && meshping_address_equal(address, &any6))
        status = open_socket(&l->fd, &any4, port, err);
    if (status != MESHPING_OK) {
        free(l);
        return status;
    }
    l->loop = loop;
    l->options = *options;
    l->poll.data = l->pause.data = l;
    uv_timer_init(loop, &l->pause);
    if (uv_poll_init(loop, &l->poll, l->fd) != 0 || uv_poll_start(&l->poll, UV_READABLE, incoming) != 0)
        return meshping_error_set(err, MESHPING_IO, "cannot watch the listening socket");
    *out = l;
    return MESHPING_OK;
}

void listener_stop(listener *l)
{
    if (!l)
        return;
    while (l->first)
        close(release(l->first));
    uv_close((uv_handle_t *)&l->poll, NULL);
    uv_close((uv_handle_t *)&l->pause, NULL);
    close(l->fd);
}

void listener_free(listener *l)
{
    free(l);
}
