/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The callback of libwebsockets' "http" protocol: from request to exchange, through the checks that every request
 * passes, to its handler, and the answer out again in chunks, one lws_write a writable callback.
 */
#include "meshpingd/http.h"

#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/peers.h"
#include "meshpingd/problem.h"
#include "meshpingd/readers.h"
#include "meshpingd/web.h"
#include <meshping/protocol.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

/* Of each connection; libwebsockets zeroes it. */
typedef struct http_per_session {
    http_exchange *exchange;
    bool lingering; /* answered and to be closed: what still comes is thrown away, so that the client can read */
    size_t discarded;
    int64_t linger_end_ms;
} http_per_session;
const size_t http_per_session_size = sizeof(http_per_session);

static const struct {
    const char *name, *value;
} safety[] = {
    {"Content-Security-Policy:",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
     "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"},
    {"X-Content-Type-Options:", "nosniff"},
    {"Referrer-Policy:", "no-referrer"},
    {"Strict-Transport-Security:", "max-age=31536000"},
    {"Cross-Origin-Opener-Policy:", "same-origin"},
    {"Cross-Origin-Resource-Policy:", "same-origin"},
};
#define SAFETY_COUNT (sizeof safety / sizeof safety[0])

/* Of what the server answers itself. */
static const char *safety_headers(void)
{
    static char text[768];
    size_t used = strlen(text);
    for (size_t i = used ? SAFETY_COUNT : 0; i < SAFETY_COUNT; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s %s\r\n", safety[i].name, safety[i].value);
    return text;
}

const struct lws_protocol_vhost_options *http_safety_options(void)
{
    static struct lws_protocol_vhost_options options[SAFETY_COUNT + 1] = {{NULL, NULL, "Cache-Control:", "no-store"}};
    for (size_t i = 0; i < SAFETY_COUNT; i++) {
        options[i + 1] = (struct lws_protocol_vhost_options){NULL, NULL, safety[i].name, safety[i].value};
        options[i].next = &options[i + 1];
    }
    return options;
}

static server *server_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

static void exchange_free(http_exchange *x)
{
    if (!x)
        return;
    auth_job_abandon(x);
    readers_abandon(x);
    mail_test_abandon(x);
    json_object_put(x->json);
    if (x->body)
        OPENSSL_cleanse(x->body, x->body_length); /* may hold a password */
    free(x->body);
    if (!x->answer_borrowed)
        free(x->answer);
    text_dispose(&x->headers);
    free(x);
}

/* ---- checks before the body ---- */

/* Is the unsafe request our own page's? Sec-Fetch-Site and Origin come from the browser and cannot be forged there. */
static bool is_cross_site(const http_exchange *x)
{
    if (x->fetch_site[0] && strcmp(x->fetch_site, "same-origin") != 0 && strcmp(x->fetch_site, "none") != 0)
        return true;
    return x->origin[0] && !http_origin_is_own(x->origin, x->host);
}

static uint64_t body_limit(const http_exchange *x)
{
    return x->identity.present && x->route->flags & HTTP_ROUTE_BIG ? HTTP_BODY_MAX : HTTP_BODY_SMALL_MAX;
}

static bool is_unsafe(const http_exchange *x)
{
    return x->method != HTTP_GET && x->method != HTTP_HEAD;
}

/* Who asks, and whether the route is for him; else it was answered. */
static bool check_access(http_exchange *x)
{
    const http_route *route = x->route;
    bool known = auth_identify(x->server, x->authorization, x->session_token, &x->identity);
    if (route->access == HTTP_ANYONE)
        return true;
    if (!known) {
        http_respond_problem(x, 401, "sign in first");
        return false;
    }
    if (!http_access_allows(route->access, x->identity.role)) {
        log_info("http", "%s %s was refused to %s, who is %s", http_method_name(x->method), x->path, x->identity.user,
                 meshping_role_name(x->identity.role));
        http_respond_problem(x, 403, "this needs the role %s", http_access_name(route->access));
        return false;
    }
    if (x->identity.is_token) { /* no cookie, so nobody else's page can make a browser send it */
        if (route->flags & HTTP_ROUTE_SESSION)
            http_respond_problem(x, 403, "API tokens may not do this: sign in");
        return !x->status;
    }
    if (is_unsafe(x) && !http_text_equal_constant_time(x->csrf, x->identity.csrf)) {
        http_respond_problem(x, 403, "the header X-CSRF-Token is missing or wrong");
        return false;
    }
    if (route->flags & HTTP_ROUTE_FRESH && server_unix_ms() - x->identity.confirmed_ms >= AUTH_FRESH_MS) {
        json_object *problem = problem_json(403, "type your password again first");
        if (problem)
            json_object_object_add(problem, "confirm", json_object_new_boolean(true));
        http_respond_problem_json(x, 403, problem);
        return false;
    }
    return true;
}

/* True when the request may go on to its handler; else it was answered. */
static bool check_head(http_exchange *x)
{
    unsigned allowed;
    x->route = http_route_find(http_routes, http_route_count, x->method, x->path, &x->params, &allowed);
    if (!x->route) {
        char methods[HTTP_METHODS_TEXT_MAX];
        if (!is_unsafe(x) && !allowed && page_asset(x))
            return false;
        if (allowed) {
            http_header(x, "Allow", "%s", http_methods_text(methods, allowed));
            http_respond_problem(x, 405, "this path takes %s", methods);
        } else {
            http_respond_problem(x, 404, "there is nothing at this path");
        }
        return false;
    }
    if (is_unsafe(x) && is_cross_site(x)) {
        http_respond_problem(x, 403, "requests from other sites are refused");
        return false;
    }
    if (!check_access(x))
        return false;
    if (x->body_expected > body_limit(x)) {
        http_respond_problem(x, 413, "the body has %llu bytes, at most %llu are allowed",
                             (unsigned long long)x->body_expected, (unsigned long long)body_limit(x));
        return false;
    }
    if (x->body_expected && (x->content_type[0] || x->route->flags & HTTP_ROUTE_JSON) &&
        !http_media_type_is(x->content_type, "application/json")) {
        http_respond_problem(x, 415, "the body must be application/json");
        return false;
    }
    return true;
}

/* ---- the body is there ---- */

static void dispatch(http_exchange *x)
{
    meshping_error err = {0};
    x->body_complete = true;
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
    /* again, as the head may be old by now: who has gone meanwhile does nothing any more */
    if (x->status || (x->body_expected && !check_access(x)))
        return;
    if (x->route->flags & HTTP_ROUTE_JSON) {
        if (json_body_parse(&x->json, x->body ? x->body : "", x->body_length, &err) != MESHPING_OK) {
            http_respond_error(x, &err);
            return;
        }
        if (!json_object_is_type(x->json, json_type_object)) {
            http_respond_problem(x, 400, "the body must be a JSON object");
            return;
        }
        if (x->route->fields && json_body_fields(x->json, x->route->fields, "this request", &err) != MESHPING_OK) {
            http_respond_error(x, &err);
            return;
        }
    }
    http_audit_begin(x);
    x->route->handler(x);
    http_audit_end(x);
}

/* Whether the client waits for a word before it sends the body; one of HTTP/1.0 cannot (RFC 9110, section 10.1.1). */
static bool expects_continue(struct lws *wsi)
{
    char expect[24], version[16];
    return http_copy_header(wsi, expect, sizeof expect, WSI_TOKEN_HTTP_EXPECT) &&
           strcasecmp(expect, "100-continue") == 0 && http_copy_header(wsi, version, sizeof version, WSI_TOKEN_HTTP) &&
           strcmp(version, "HTTP/1.0") != 0;
}

static int send_continue(struct lws *wsi)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    unsigned char buffer[LWS_PRE + sizeof line];
    memcpy(buffer + LWS_PRE, line, sizeof line);
    return lws_write(wsi, buffer + LWS_PRE, sizeof line - 1, LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

static int begin_exchange(struct lws *wsi, http_per_session *session)
{
    const char *why;
    server *s = server_of(wsi);
    if (!session || session->exchange || !s || !s->http)
        return -1;
    web_known(wsi);
    http_exchange *x = calloc(1, sizeof *x);
    if (!x)
        return -1;
    x->server = s;
    x->wsi = wsi;
    x->begun_ms = server_unix_ms();
    session->exchange = x;
    s->counters.http_requests++;

    int problem = http_copy_head(x, &why);
    if (problem) {
        x->no_linger = false;
        http_respond_problem(x, problem, "%s", why);
    } else if (check_head(x)) {
        if (x->body_expected == 0)
            dispatch(x);
        else if (expects_continue(wsi))
            return send_continue(wsi);
    } else if (x->status && (x->body_expected > HTTP_BODY_SMALL_MAX || expects_continue(wsi))) {
        x->close_after = true; /* cheaper than to read what nobody wants; and it may wait with the body for our word */
    }
    return 0;
}

static int take_body(http_per_session *session, const void *in, size_t length)
{
    http_exchange *x = session->exchange;
    if (session->lingering || (x && x->status && !x->body_complete)) {
        session->discarded += length;
        return session->discarded > HTTP_BODY_DISCARD_MAX ||
                       (session->lingering && server_unix_ms() > session->linger_end_ms)
                   ? -1
                   : 0;
    }
    if (!x || x->body_complete || length == 0)
        return 0;
    if (length > x->body_expected - x->body_length || server_unix_ms() - x->begun_ms > HTTP_BODY_TIME_MS)
        return -1;
    if (length > x->body_capacity - x->body_length) {
        size_t capacity = x->body_capacity ? x->body_capacity * 2 : 1024;
        while (capacity < x->body_length + length)
            capacity *= 2;
        char *body = realloc(x->body, capacity);
        if (!body)
            return -1;
        x->body = body;
        x->body_capacity = capacity;
    }
    memcpy(x->body + x->body_length, in, length);
    x->body_length += length;
    return 0;
}

static int body_ends(http_per_session *session)
{
    http_exchange *x = session->exchange;
    if (session->lingering)
        return -1;
    /* libwebsockets says this again when the client pipelines its next request */
    if (x && !x->status && !x->body_complete && x->body_length == x->body_expected) {
        dispatch(x);
    } else if (x && x->status && !x->body_complete) {
        x->body_complete = true;
        lws_callback_on_writable(x->wsi);
    }
    return 0;
}

/* ---- sending ---- */

static size_t put_head(http_exchange *x, char *to, size_t size)
{
    char date[64];
    time_t now = (time_t)(server_unix_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    int length = snprintf(to, size, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%sConnection: %s\r\n\r\n", x->status,
                          problem_title(x->status), date, x->headers.data ? x->headers.data : "", safety_headers(),
                          x->close_after ? "close" : "keep-alive");
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

/*
 * libwebsockets 4.1.6 must never take a request with a body from what it has read ahead (its lws_http_action reads the
 * head again as the body, and may not end): a client that sends its next request before the answer loses the
 * connection. True when any connection has such bytes; seldom another one, and then closing ours does little harm.
 */
static bool is_read_ahead(struct lws *wsi)
{
    return lws_service_adjust_timeout(lws_get_context(wsi), 1, 0) == 0;
}

/* The answer is out: on to the next request, or the end. */
static int finish(struct lws *wsi, http_per_session *session)
{
    http_exchange *x = session->exchange;
    bool linger = !x->body_complete && !x->no_linger && x->body_expected > 0;
    /* while a long answer to a request with a body goes out, libwebsockets goes on reading */
    bool close_after = x->close_after || (x->body_expected > 0 && is_read_ahead(wsi));
    lws_set_timer_usecs(wsi, LWS_SET_TIMER_USEC_CANCEL);
    session->exchange = NULL;
    session->discarded = 0;
    exchange_free(x);
    if (!close_after)
        return lws_http_transaction_completed(wsi) ? -1 : 0;
    if (!linger)
        return -1;
    session->lingering = true;
    session->linger_end_ms = server_unix_ms() + HTTP_LINGER_S * 1000;
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, HTTP_LINGER_S);
    return 0;
}

/* One part, the first with the head. False: the connection cannot go on. */
static bool write_part(struct lws *wsi, http_exchange *x)
{
    static unsigned char buffer[LWS_PRE + HTTP_CHUNK_BYTES]; /* the loop's one thread */
    size_t length = 0, left;
    if (!x->head_sent) {
        x->close_after = x->close_after || is_read_ahead(wsi);
        length = put_head(x, (char *)buffer + LWS_PRE, HTTP_CHUNK_BYTES);
        if (length == 0)
            return false;
        x->head_sent = true;
        if (x->method == HTTP_HEAD || x->status == 204 || x->status == 304)
            x->answer_sent = x->answer_length;
    }
    left = x->answer_length - x->answer_sent;
    size_t now = left < HTTP_CHUNK_BYTES - length ? left : HTTP_CHUNK_BYTES - length;
    if (now) {
        memcpy(buffer + LWS_PRE + length, x->answer + x->answer_sent, now);
        x->answer_sent += now;
        length += now;
    }
    bool last = x->answer_sent == x->answer_length;
    return lws_write(wsi, buffer + LWS_PRE, length, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) >= (int)length;
}

static int write_answer(struct lws *wsi, http_per_session *session)
{
    http_exchange *x = session->exchange;
    if (!x || !x->status)
        return 0;
    if (!x->head_sent && x->body_expected > 0 && !x->body_complete && !x->close_after)
        return 0; /* refused by its head: the rest of a small body first, so that the connection can go on */
    if (!write_part(wsi, x))
        return -1;
    /* an hour of a pair is two parts: the second need not wait for all that the loop has to do in between */
    if (x->answer_sent < x->answer_length && !lws_send_pipe_choked(wsi) && !write_part(wsi, x))
        return -1;
    if (x->answer_sent == x->answer_length)
        return finish(wsi, session);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, 30);
    lws_set_timer_usecs(wsi, 2 * LWS_USEC_PER_SEC);
    lws_callback_on_writable(wsi);
    return 0;
}

/*
 * The client has taken nothing for 2 s. While an answer goes out libwebsockets reads nothing, so if there is something
 * to read (the next request, or the end of the stream) the loop would spin on it: such a client is cut off.
 */
static int check_stalled(struct lws *wsi)
{
    char byte;
    return recv(lws_get_socket_fd(wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ? -1 : 0;
}

/* TLS and the first request's head were not there within the time that a connection has. */
static int too_late(struct lws *wsi, web_end why)
{
    char text[MESHPING_ADDRESS_TEXT_MAX] = "?";
    const meshping_address *peer = peers_address(lws_get_socket_fd(wsi));
    if (peer)
        meshping_address_format(peer, text);
    if (why == WEB_END_CROWDED)
        log_debug("web", "%s has not made a request: closed, others want in", text);
    else
        log_info("web", "%s did not make a request within %d s: closed", text, server_of(wsi)->config.authentication_s);
    return -1;
}

/* ---- upgrades ---- */

int http_refuse_upgrade(struct lws *wsi, int status, const char *detail)
{
    static unsigned char buffer[LWS_PRE + 2048];
    json_object *problem = problem_json(status, detail);
    const char *body = problem ? json_object_to_json_string_ext(problem, JSON_C_TO_STRING_PLAIN) : "{}";
    int length = snprintf((char *)buffer + LWS_PRE, sizeof buffer - LWS_PRE,
                          "HTTP/1.1 %d %s\r\nContent-Type: " PROBLEM_CONTENT_TYPE
                          "\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n%s%sConnection: close\r\n\r\n%s",
                          status, problem_title(status), strlen(body), safety_headers(),
                          status == 401 ? "WWW-Authenticate: Bearer\r\n" : "", body);
    json_object_put(problem);
    if (length > 0 && (size_t)length < sizeof buffer - LWS_PRE)
        (void)lws_write(wsi, buffer + LWS_PRE, (size_t)length, LWS_WRITE_HTTP_HEADERS);
    return -1;
}

/* `in` of this callback points to freed memory (CVE-2025-11677): only the headers are looked at. */
static int confirm_upgrade(struct lws *wsi)
{
    char upgrade[32], *uri = NULL;
    int length = 0;
    server *s = server_of(wsi);
    if (!lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE))
        return -1; /* libwebsockets has answered an unknown upgrade itself, and dropped the headers */
    if (!http_copy_header(wsi, upgrade, sizeof upgrade, WSI_TOKEN_UPGRADE) || strcasecmp(upgrade, "websocket") != 0)
        return http_refuse_upgrade(wsi, 400, "only websocket upgrades are served");
    if (lws_http_get_uri_and_method(wsi, &uri, &length) != LWSHUMETH_GET)
        return http_refuse_upgrade(wsi, 400, "a websocket starts with GET");
    if ((size_t)length == strlen(MESHPING_AGENT_PATH) && memcmp(uri, MESHPING_AGENT_PATH, (size_t)length) == 0)
        return 0; /* the agents' protocol looks for itself */
    s->counters.http_requests++;
    web_known(wsi);
    if ((size_t)length == strlen(LIVE_PATH) && memcmp(uri, LIVE_PATH, (size_t)length) == 0)
        return live_ws_confirm_upgrade(s, wsi);
    return http_refuse_upgrade(wsi, 404, "there is no websocket at this path");
}

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    http_per_session *session = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return begin_exchange(wsi, session);
    case LWS_CALLBACK_HTTP_BODY:
        return take_body(session, in, len);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return body_ends(session);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return write_answer(wsi, session);
    case LWS_CALLBACK_TIMER:
        /* 4.1.6 runs one that is taken back, too */
        return session->exchange && session->exchange->head_sent ? check_stalled(wsi) : 0;
    case LWS_CALLBACK_USER:
        return too_late(wsi, (web_end)len);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return confirm_upgrade(wsi);
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return -1; /* a websocket without a subprotocol would land here */
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (session && session->exchange) {
            exchange_free(session->exchange);
            session->exchange = NULL;
        }
        return 0;
    default:
        return 0;
    }
}

/* ---- start and stop ---- */

static void on_timer(uv_timer_t *timer)
{
    struct http_state *state = timer->data;
    auth_tick(state);
    live_ws_tick(state);
}

meshping_status http_start(server *s, meshping_error *err)
{
    struct http_state *state = calloc(1, sizeof *state);
    if (!state)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    state->server = s;
    s->http = state;
    meshping_error why = {0};
    meshping_status status = meshping_cidr_list_parse(&state->metrics_allow, s->config.metrics_allow, &why);
    if (status != MESHPING_OK)
        meshping_error_set(err, status, "metrics_allow: %s", why.message);
    else
        status = mail_check(&s->config, err);
    if (status == MESHPING_OK)
        status = auth_start(state, err);
    if (status == MESHPING_OK)
        status = readers_start(&state->readers, s, err);
    if (status == MESHPING_OK) {
        uv_timer_init(&s->loop, &state->timer);
        state->timer.data = state;
        state->timer_open = true;
        uv_timer_start(&state->timer, on_timer, 1000, 1000);
    } else {
        http_stop(s);
    }
    return status;
}

static void free_state(uv_handle_t *timer)
{
    free(timer->data);
}

/* Sockets that are still open lose their exchanges when the context is destroyed. */
void http_stop(server *s)
{
    struct http_state *state = s->http;
    if (!state)
        return;
    s->http = NULL;
    live_ws_stop(state);
    auth_stop(state);
    readers_stop(state->readers);
    if (state->timer_open)
        uv_close((uv_handle_t *)&state->timer, free_state);
    else
        free(state);
}
