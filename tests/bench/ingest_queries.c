/* SPDX-License-Identifier: Apache-2.0 */
/* TLS to the server, and what a person at the page asks while samples come in. */
#include "ingest.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_EVERY_MS 100
#define DAY_EVERY 4 /* one question in so many is for 24 hours */
#define ANSWER_MAX ((size_t)64 << 20)
#define HOUR_MS INT64_C(3600000)

SSL_CTX *ingest_tls(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx)
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    return ctx; /* the server is our own child on loopback: its key is not what is measured here */
}

SSL *ingest_connect(SSL_CTX *ctx, uint16_t port, const char *sni)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *tls = SSL_new(ctx);
    if (fd >= 0 && tls && connect(fd, (struct sockaddr *)&to, sizeof to) == 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        SSL_set_fd(tls, fd);
        SSL_set_alpn_protos(tls, alpn, sizeof alpn - 1);
        if (sni)
            SSL_set_tlsext_host_name(tls, sni);
        if (SSL_connect(tls) == 1)
            return tls;
    }
    SSL_free(tls);
    if (fd >= 0)
        close(fd);
    return NULL;
}

int ingest_get(SSL *tls, const char *path, char **body, size_t *length)
{
    char request[512], *text = NULL;
    size_t got = 0, capacity = 0, want = 0, head = 0;
    int status = -1;
    *body = NULL;
    int sent = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: localhost\r\nCookie: __Host-meshping=" INGEST_TOKEN "\r\n\r\n", path);
    if (!tls || SSL_write(tls, request, sent) != sent)
        return -1;
    while (!head || got < want) {
        if (got + 65536 > capacity) {
            capacity = 2 * capacity + 65536 + 1;
            char *grown = capacity <= ANSWER_MAX ? realloc(text, capacity) : NULL;
            if (!grown)
                goto out;
            text = grown;
        }
        int more = SSL_read(tls, text + got, (int)(capacity - got - 1));
        if (more <= 0)
            goto out;
        got += (size_t)more;
        text[got] = 0;
        char *end = head ? NULL : strstr(text, "\r\n\r\n");
        if (!end)
            continue;
        head = (size_t)(end + 4 - text);
        char *field = strcasestr(text, "\r\ncontent-length:");
        if (!field || field > end)
            goto out;
        want = head + strtoull(field + 17, NULL, 10);
    }
    if (sscanf(text, "HTTP/1.1 %d", &status) != 1)
        goto out;
    *length = want - head;
    memmove(text, text + head, *length);
    text[*length] = 0;
    *body = text;
    text = NULL;
out:
    free(text);
    return status;
}

/* The server says in its log that the hour is in its memory. */
static bool is_loaded(const ingest_mesh *mesh)
{
    char path[INGEST_PATH_MAX + 20], line[1024];
    bool found = false;
    snprintf(path, sizeof path, "%s/server.log", mesh->directory);
    FILE *file = fopen(path, "re");
    while (file && !found && fgets(line, sizeof line, file))
        found = strstr(line, "the last hour is here") != NULL;
    if (file)
        fclose(file);
    return found;
}

bool ingest_run_queries(const ingest_mesh *mesh, uint32_t day_agents, int stop, ingest_queries *out)
{
    SSL_CTX *ctx = ingest_tls();
    SSL *tls = ctx ? ingest_connect(ctx, mesh->port, "localhost") : NULL;
    size_t capacity = (size_t)mesh->seconds * 1000 / ASK_EVERY_MS + 1000, loads = 0, hours = 0, days = 0;
    double *hour_ms = calloc(capacity, sizeof *hour_ms), *day_ms = calloc(capacity, sizeof *day_ms),
           *load_ms = calloc(capacity, sizeof *load_ms);
    struct pollfd until = {.fd = stop, .events = POLLIN};
    bool good = tls && hour_ms && day_ms && load_ms, loaded = false;
    *out = (ingest_queries){0};
    srand(1);
    for (size_t i = 1; good && i < capacity && poll(&until, 1, ASK_EVERY_MS) == 0; i++) {
        bool day = day_agents && i % DAY_EVERY == 0;
        char path[256], *body = NULL;
        size_t length = 0;
        int64_t now_ms = meshping_now_read().unix_ns / 1000000, span_ms = day ? 24 * HOUR_MS : HOUR_MS;
        uint32_t agent = (uint32_t)rand() % (day ? day_agents : mesh->agents);
        snprintf(path, sizeof path, "/api/v1/series?agent=%016llx&target=%u&from_ms=%lld&to_ms=%lld",
                 (unsigned long long)ingest_agent_id(agent), (uint32_t)rand() % mesh->targets + 1,
                 (long long)(now_ms - span_ms + 5000), (long long)now_ms);
        loaded = loaded || is_loaded(mesh);
        double start_ms = ingest_now_ms();
        int status = ingest_get(tls, path, &body, &length);
        double took_ms = ingest_now_ms() - start_ms;
        if (status != 200) {
            if (!out->failed++)
                fprintf(stderr, "meshping-bench ingest: GET %s: %d %s\n", path, status, body ? body : "");
            good = status > 0;
        } else if (day) {
            day_ms[days++] = took_ms;
        } else if (!loaded) {
            load_ms[loads++] = took_ms;
        } else {
            hour_ms[hours++] = took_ms;
        }
        free(body);
    }
    out->hour = ingest_latency_of(hour_ms, hours);
    out->day = ingest_latency_of(day_ms, days);
    out->loading = ingest_latency_of(load_ms, loads);
    free(load_ms);
    free(hour_ms);
    free(day_ms);
    SSL_free(tls);
    SSL_CTX_free(ctx);
    return good;
}
