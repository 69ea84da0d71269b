/* SPDX-License-Identifier: Apache-2.0 */
/* Browsers that have the live view open: what the server sends is read and thrown away. */
#include "ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SSL *open_view(SSL_CTX *ctx, uint16_t port)
{
    static const char request[] = "GET /live HTTP/1.1\r\nHost: localhost\r\nOrigin: https://localhost\r\n"
                                  "Cookie: __Host-meshping=" INGEST_TOKEN "\r\nConnection: Upgrade\r\n"
                                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: bWVzaHBpbmctYmVuY2gtMDA=\r\n"
                                  "Sec-WebSocket-Protocol: meshping.live.v1\r\n\r\n";
    char answer[16] = "";
    SSL *tls = ingest_connect(ctx, port, "localhost");
    if (tls && SSL_write(tls, request, sizeof request - 1) == sizeof request - 1 &&
        SSL_read(tls, answer, sizeof answer - 1) > 0 && strncmp(answer, "HTTP/1.1 101", 12) == 0 &&
        fcntl(SSL_get_fd(tls), F_SETFL, O_NONBLOCK) == 0)
        return tls;
    fprintf(stderr, "meshping-bench ingest: no live view: %.15s\n", answer);
    SSL_free(tls);
    return NULL;
}

/* What there is. False: the connection has ended. */
static bool drain(SSL *tls, uint64_t *bytes)
{
    static char room[1 << 16];
    for (;;) {
        int got = SSL_read(tls, room, sizeof room);
        if (got <= 0)
            return SSL_get_error(tls, got) == SSL_ERROR_WANT_READ;
        *bytes += (uint64_t)got;
    }
}

bool ingest_run_views(const ingest_mesh *mesh, uint32_t views, int stop, uint64_t *bytes)
{
    SSL_CTX *ctx = ingest_tls();
    SSL *tls[INGEST_VIEWS_MAX] = {NULL};
    struct pollfd fds[INGEST_VIEWS_MAX + 1] = {{.fd = stop, .events = POLLIN}};
    bool good = ctx != NULL;
    *bytes = 0;
    for (uint32_t i = 0; good && i < views; i++) {
        tls[i] = open_view(ctx, mesh->port);
        good = tls[i] != NULL;
        if (good)
            fds[i + 1] = (struct pollfd){.fd = SSL_get_fd(tls[i]), .events = POLLIN};
    }
    while (good && !fds[0].revents) {
        good = poll(fds, views + 1, -1) >= 0 || errno == EINTR;
        for (uint32_t i = 0; good && i < views; i++)
            good = !fds[i + 1].revents || drain(tls[i], bytes);
    }
    for (uint32_t i = 0; i < views; i++)
        SSL_free(tls[i]);
    SSL_CTX_free(ctx);
    return good;
}
