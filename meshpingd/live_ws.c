/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Browsers' live view: one text is built for all and shared; each viewer has a short queue of texts. Who reads too
 * slowly loses deltas, never truth: what he has missed is thrown away and a fresh snapshot follows.
 */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"

#include <stdlib.h>
#include <string.h>

#define VIEWERS_MAX 256
#define QUEUE_MAX 4          /* messages behind, then a snapshot instead */
#define FRAGMENT_BYTES 32768 /* one lws_write */
#define RX_BYTES_MAX 4096    /* a browser has nothing to say here */
#define STUCK_MS 30000       /* without one byte taken */
#define CLOSE_SESSION_ENDED 4401

typedef struct shared_text {
    unsigned references;
    text_buffer text;
} shared_text;

typedef struct live_viewer {
    struct live_viewer *next;
    server *server;
    struct lws *wsi;
    http_identity identity;
    shared_text *queue[QUEUE_MAX];
    size_t queued, sent; /* sent: bytes of queue[0] */
    size_t from;         /* what was found of the changes before his snapshot is in it: so many bytes of the text */
    bool needs_snapshot, session_ended;
    int64_t progress_ms;
    size_t received;
} live_viewer;

/* Of each connection; libwebsockets zeroes it. */
typedef struct live_per_session {
    live_viewer *viewer;
} live_per_session;
const size_t live_ws_per_session_size = sizeof(live_per_session);

/* ---- texts ---- */

/* Takes the text. NULL: it had failed, or there is no memory. */
static shared_text *text_new(text_buffer *text)
{
    shared_text *shared = text->failed ? NULL : malloc(sizeof *shared);
    if (shared)
        *shared = (shared_text){.references = 1, .text = *text};
    else
        text_dispose(text);
    *text = (text_buffer){0};
    return shared;
}

static void text_release(shared_text *shared)
{
    if (shared && --shared->references == 0) {
        text_dispose(&shared->text);
        free(shared);
    }
}

/* For one of them; where he is the only one, what comes next goes by it. */
static shared_text *snapshot_text(server *s)
{
    text_buffer text = {0};
    live_put_snapshot_message(s, &text, live_ws_viewers(s) == 1);
    return text_new(&text);
}

/* ---- queue ---- */

static void queue_clear(live_viewer *viewer, bool keep_begun)
{
    size_t keep = keep_begun && viewer->queued && viewer->sent ? 1 : 0;
    for (size_t i = keep; i < viewer->queued; i++)
        text_release(viewer->queue[i]);
    viewer->queued = keep;
    if (!keep)
        viewer->sent = 0;
}

static void enqueue(live_viewer *viewer, shared_text *shared)
{
    if (viewer->queued == 0)
        viewer->progress_ms = server_unix_ms();
    shared->references++;
    viewer->queue[viewer->queued++] = shared;
    lws_callback_on_writable(viewer->wsi);
}

/* Of a text of changes: without those before `from`. */
static shared_text *text_rest(const text_buffer *text, size_t from)
{
    text_buffer rest = {0};
    text_puts(&rest, LIVE_CHANGES_BEGIN);
    from += from > strlen(LIVE_CHANGES_BEGIN) && text->data[from] == ',';
    text_add(&rest, text->data + from, text->length - from);
    return text_new(&rest);
}

/* NULL: no memory. A reference of its own. */
static shared_text *text_for(live_viewer *viewer, shared_text *shared)
{
    size_t from = viewer->from;
    viewer->from = 0;
    if (from && from <= shared->text.length)
        return text_rest(&shared->text, from);
    shared->references++;
    return shared;
}

void live_ws_broadcast(server *s, text_buffer *text, bool snapshot)
{
    if (!live_ws_viewers(s)) {
        text_dispose(text);
        return;
    }
    shared_text *shared = text_new(text);
    if (!shared) { /* out of memory: a delta lost is a snapshot due */
        for (live_viewer *viewer = s->http->viewers; viewer; viewer = viewer->next) {
            viewer->needs_snapshot = true;
            lws_callback_on_writable(viewer->wsi);
        }
        return;
    }
    for (live_viewer *viewer = s->http->viewers; viewer; viewer = viewer->next) {
        if (viewer->session_ended)
            continue;
        if (snapshot)
            viewer->from = 0;
        shared_text *own = text_for(viewer, shared);
        if (snapshot) {
            queue_clear(viewer, true);
            viewer->needs_snapshot = false;
            enqueue(viewer, own);
        } else if (own && !viewer->needs_snapshot && viewer->queued < QUEUE_MAX) {
            enqueue(viewer, own);
        } else {
            queue_clear(viewer, true);
            viewer->needs_snapshot = true;
            lws_callback_on_writable(viewer->wsi);
        }
        text_release(own);
    }
    text_release(shared);
}

size_t live_ws_viewers(const server *s)
{
    return s->http ? s->http->viewer_count : 0;
}

/* ---- ends ---- */

/*
 * Not by -1 from the writable callback, which libwebsockets takes for a failed write and then sends no close frame.
 * The viewer may be freed before this returns.
 */
static void close_viewer(live_viewer *viewer)
{
    static char reason[] = "the session has ended";
    if (viewer->session_ended)
        return;
    viewer->session_ended = true;
    lws_close_reason(viewer->wsi, (enum lws_close_status)CLOSE_SESSION_ENDED, (unsigned char *)reason,
                     sizeof reason - 1);
    lws_set_timeout(viewer->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
}

void live_ws_ended(struct http_state *state, const uint8_t hash[MESHPING_TOKEN_HASH_LEN])
{
    for (live_viewer *viewer = state->viewers, *next; viewer; viewer = next) {
        next = viewer->next;
        if (memcmp(viewer->identity.token_hash, hash, MESHPING_TOKEN_HASH_LEN) == 0)
            close_viewer(viewer);
    }
}

void live_ws_user_ended(struct http_state *state, uint64_t user_id, const uint8_t *except)
{
    for (live_viewer *viewer = state->viewers, *next; viewer; viewer = next) {
        next = viewer->next;
        if (viewer->identity.user_id == user_id &&
            (!except || memcmp(viewer->identity.token_hash, except, MESHPING_TOKEN_HASH_LEN) != 0))
            close_viewer(viewer);
    }
}

static bool is_alive(struct http_state *state, const live_viewer *viewer, int64_t now_ms)
{
    return viewer->identity.is_token ? viewer->identity.expires_ms > now_ms
                                     : auth_session_alive(state, viewer->identity.token_hash);
}

void live_ws_tick(struct http_state *state)
{
    int64_t now_ms = server_unix_ms();
    for (live_viewer *viewer = state->viewers, *next; viewer; viewer = next) {
        next = viewer->next;
        viewer->received = 0;
        if (!is_alive(state, viewer, now_ms))
            close_viewer(viewer);
        else if (viewer->queued && now_ms - viewer->progress_ms > STUCK_MS)
            lws_set_timeout(viewer->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
    }
}

void live_ws_stop(struct http_state *state)
{
    while (state->viewers) {
        live_viewer *viewer = state->viewers;
        state->viewers = viewer->next;
        queue_clear(viewer, false);
        viewer->server = NULL; /* its socket still points here; freed when that closes */
        viewer->next = NULL;
    }
    state->viewer_count = 0;
}

static void viewer_free(live_viewer *viewer)
{
    struct http_state *state = viewer->server ? viewer->server->http : NULL;
    if (state)
        for (live_viewer **at = &state->viewers; *at; at = &(*at)->next)
            if (*at == viewer) {
                *at = viewer->next;
                state->viewer_count--;
                break;
            }
    queue_clear(viewer, false);
    free(viewer);
}

/* ---- the socket ---- */

/* A plain request for the socket's path. */
void live_get(http_exchange *x)
{
    http_header(x, "Upgrade", "websocket");
    http_respond_problem(x, 426, "this is a websocket, subprotocol " LIVE_SUBPROTOCOL);
}

/* 0: this request may become a live view; else the status and the reason why not. */
static int check_request(server *s, struct lws *wsi, const char **why, http_identity *identity)
{
    char origin[320], host[300], cookies[2048], authorization[300], token[64], *uri = NULL;
    int length = 0;
    unsigned allowed;
    http_params params;
    const http_route *route = http_route_find(http_routes, http_route_count, HTTP_GET, LIVE_PATH, &params, &allowed);
    *why = "sign in first";
    if (lws_http_get_uri_and_method(wsi, &uri, &length) != LWSHUMETH_GET || (size_t)length != strlen(LIVE_PATH) ||
        memcmp(uri, LIVE_PATH, (size_t)length) != 0 || !route) {
        *why = "the live view is at " LIVE_PATH;
        return 404;
    }
    if (!http_copy_header(wsi, authorization, sizeof authorization, WSI_TOKEN_HTTP_AUTHORIZATION) ||
        !http_copy_header(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) ||
        !http_copy_header(wsi, host, sizeof host, WSI_TOKEN_HOST) ||
        !(http_origin_is_own(origin, host) || (!origin[0] && http_bearer(authorization)))) {
        *why = "the Origin must be this server's own";
        return 403; /* a program with a token need not say one: no browser can send it */
    }
    if (!http_copy_header(wsi, cookies, sizeof cookies, WSI_TOKEN_HTTP_COOKIE))
        return 401;
    if (!http_cookie_get(cookies, AUTH_COOKIE, token, sizeof token))
        token[0] = 0;
    if (!auth_identify(s, authorization, token, identity))
        return 401;
    if (!http_access_allows(route->access, identity->role)) {
        *why = "your role does not allow this";
        return 403;
    }
    if (s->http->viewer_count >= VIEWERS_MAX) {
        *why = "too many live views are open";
        return 503;
    }
    return 0;
}

int live_ws_confirm_upgrade(server *s, struct lws *wsi)
{
    char protocols[128];
    http_identity identity;
    const char *why;
    if (!s->http)
        return -1;
    int problem = check_request(s, wsi, &why, &identity);
    if (problem)
        return http_refuse_upgrade(wsi, problem, why);
    if (!http_copy_header(wsi, protocols, sizeof protocols, WSI_TOKEN_PROTOCOL) ||
        strcmp(protocols, LIVE_SUBPROTOCOL) != 0)
        return http_refuse_upgrade(wsi, 400, "the subprotocol must be " LIVE_SUBPROTOCOL);
    return 0;
}

/* Checked again: libwebsockets chooses the protocol by name alone, whatever the path was. */
static int established(server *s, struct lws *wsi, live_per_session *per_session)
{
    http_identity identity;
    const char *why;
    if (!s->http || check_request(s, wsi, &why, &identity) != 0)
        return -1;
    live_viewer *viewer = calloc(1, sizeof *viewer);
    if (!viewer)
        return -1;
    viewer->server = s;
    viewer->wsi = wsi;
    viewer->needs_snapshot = true;
    viewer->progress_ms = server_unix_ms();
    viewer->identity = identity;
    viewer->next = s->http->viewers;
    s->http->viewers = viewer;
    s->http->viewer_count++;
    per_session->viewer = viewer;
    lws_callback_on_writable(wsi);
    return 0;
}

static int write_next(live_viewer *viewer)
{
    static unsigned char buffer[LWS_PRE + FRAGMENT_BYTES]; /* the loop's one thread */
    if (!viewer->server)
        return -1;
    if (viewer->session_ended)
        return 0; /* the close frame is next */
    if (viewer->queued == 0 && viewer->needs_snapshot) {
        shared_text *shared = snapshot_text(viewer->server);
        if (!shared)
            return -1;
        viewer->needs_snapshot = false;
        viewer->from = viewer->server->live_changes.length;
        enqueue(viewer, shared);
        text_release(shared);
    }
    if (viewer->queued == 0)
        return 0;
    shared_text *shared = viewer->queue[0];
    size_t length = shared->text.length - viewer->sent;
    if (length > FRAGMENT_BYTES)
        length = FRAGMENT_BYTES;
    bool first = viewer->sent == 0, last = viewer->sent + length == shared->text.length;
    memcpy(buffer + LWS_PRE, shared->text.data + viewer->sent, length);
    if (lws_write(viewer->wsi, buffer + LWS_PRE, length,
                  (enum lws_write_protocol)lws_write_ws_flags(LWS_WRITE_TEXT, first, last)) < (int)length)
        return -1;
    viewer->progress_ms = server_unix_ms();
    viewer->sent += length;
    if (last) {
        text_release(shared);
        memmove(viewer->queue, viewer->queue + 1, (viewer->queued - 1) * sizeof viewer->queue[0]);
        viewer->queued--;
        viewer->sent = 0;
    }
    if (viewer->queued || viewer->needs_snapshot)
        lws_callback_on_writable(viewer->wsi);
    return 0;
}

int live_ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    live_per_session *per_session = user;
    server *s = lws_context_user(lws_get_context(wsi));
    const char *why;
    http_identity identity;
    (void)in;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        return s->http && check_request(s, wsi, &why, &identity) == 0 ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
        return established(s, wsi, per_session);
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return per_session->viewer ? write_next(per_session->viewer) : -1;
    case LWS_CALLBACK_RECEIVE:
        /* nothing is expected; a little a second is put up with */
        if (!per_session->viewer || (per_session->viewer->received += len) > RX_BYTES_MAX) {
            lws_close_reason(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, NULL, 0);
            return -1;
        }
        return 0;
    case LWS_CALLBACK_CLOSED:
        if (per_session && per_session->viewer) {
            viewer_free(per_session->viewer);
            per_session->viewer = NULL;
        }
        return 0;
    default:
        return 0;
    }
}
