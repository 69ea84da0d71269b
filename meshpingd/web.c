/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/web.h"

#include "common/log.h"
#include "meshpingd/agents.h"
#include "meshpingd/certificates.h"
#include "meshpingd/http.h"
#include "meshpingd/listener.h"
#include "meshpingd/peers.h"
#include "meshpingd/strangers.h"
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_S 10             /* of a stalled exchange, at least */
#define HEADER_BYTES_MAX 8192    /* of a request */
#define RECEIVE_BYTES 16384      /* handed up at once */
#define AGENT_RECEIVE_BYTES 2048 /* the same of an agent: each connection holds so much for as long as it lasts */

struct web {
    server *server;
    struct lws_context *context;
    struct lws_vhost *vhost;
    certificates certificates;
    listener *listener;
    strangers strangers;
    uv_timer_t limit; /* when the oldest stranger's time is over */
};

/* ---- connections that have yet to make a request, or to authenticate ---- */

void web_known(struct lws *wsi)
{
    web *w = ((server *)lws_context_user(lws_get_context(wsi)))->web;
    strangers_remove(&w->strangers, lws_get_opaque_user_data(wsi));
    lws_set_opaque_user_data(wsi, NULL);
}

/* Its protocol says why; then it is closed as from libwebsockets' own timers. */
static void end_stranger(struct lws *wsi, web_end why)
{
    const struct lws_protocols *protocol = lws_get_protocol(wsi);
    lws_set_opaque_user_data(wsi, NULL);
    if (!protocol || protocol->callback(wsi, LWS_CALLBACK_USER, lws_wsi_user(wsi), NULL, why) != 0)
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static uint64_t limit_ms(const web *w)
{
    return (uint64_t)w->server->config.authentication_s * 1000;
}

/* One timer for all: their time is the same. Who is adopted late may be the oldest, so it is set anew. */
static void watch_oldest(web *w);

static void on_limit(uv_timer_t *timer)
{
    web *w = timer->data;
    uint64_t now_ms = uv_now(timer->loop);
    struct lws *late;
    while (now_ms >= limit_ms(w) && (late = strangers_take(&w->strangers, now_ms - limit_ms(w))) != NULL)
        end_stranger(late, WEB_END_LATE);
    watch_oldest(w);
}

static void watch_oldest(web *w)
{
    if (!w->strangers.oldest)
        return;
    uint64_t now_ms = uv_now(&w->server->loop), due_ms = w->strangers.oldest->accepted_ms + limit_ms(w);
    uv_timer_start(&w->limit, on_limit, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* For the listener. */
static bool make_room(void *user, uint64_t accepted_until_ms)
{
    web *w = user;
    struct lws *oldest = strangers_take(&w->strangers, accepted_until_ms);
    if (oldest)
        end_stranger(oldest, WEB_END_CROWDED);
    return oldest != NULL;
}

/* ---- libwebsockets ---- */

static int first_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS) {
        web *w = in ? lws_vhost_user(in) : NULL;
        if (user && w)
            certificates_take(&w->certificates, user);
        return 0;
    }
    if (reason == LWS_CALLBACK_WSI_DESTROY && lws_get_opaque_user_data(wsi))
        web_known(wsi);
    return http_callback(wsi, reason, user, in, len);
}

static void take_log(int level, const char *line)
{
    char text[512];
    size_t length = strcspn(line, "\n");
    snprintf(text, sizeof text, "%.*s", (int)(length < sizeof text ? length : sizeof text - 1), line);
    /* what it calls errors are mostly peers that went away */
    log_line(level & LLL_ERR ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "lws", "%s", text);
}

static void adopt(void *user, int fd)
{
    web *w = user;
    uint64_t accepted_ms = peers_accepted_ms(fd);
    struct lws *wsi = lws_adopt_socket_vhost(w->vhost, fd);
    if (!wsi) {
        log_debug("web", "a connection ended before it was taken over");
        return;
    }
    /* one limit from the connection to its first request, or to an agent's handshake */
    stranger *one = strangers_add(&w->strangers, wsi, accepted_ms);
    lws_set_opaque_user_data(wsi, one);
    if (one)
        watch_oldest(w);
    else /* nobody would end it */
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static meshping_status create_context(web *w, meshping_error *err)
{
    /*
     * Without a policy libwebsockets sorts a timer of 300 s for each connection into one list: with ten thousand of
     * them that was half of a handshake. Silent agents are agents.c's matter, dead browsers the kernel's (listener.c).
     */
    static const lws_retry_bo_t no_validity_timer = {0};
    static struct lws_protocols protocols[4];
    void *loops[] = {&w->server->loop};
    struct lws_context_creation_info info = {0};
    protocols[0] = (struct lws_protocols){"http", first_callback, http_per_session_size, RECEIVE_BYTES, 0, NULL, 0};
    protocols[1] = (struct lws_protocols){
        MESHPING_SUBPROTOCOL, agents_callback, agents_per_session_size, AGENT_RECEIVE_BYTES, 0, NULL, 0};
    protocols[2] =
        (struct lws_protocols){LIVE_SUBPROTOCOL, live_ws_callback, live_ws_per_session_size, RECEIVE_BYTES, 0, NULL, 0};
    lws_set_log_level(LLL_ERR | LLL_WARN, take_log);
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN;
    info.foreign_loops = loops;
    info.user = w->server;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    info.max_http_header_data = HEADER_BYTES_MAX;
    info.server_string = "meshpingd";
    info.timeout_secs =
        (unsigned)(w->server->config.authentication_s > TIMEOUT_S ? w->server->config.authentication_s : TIMEOUT_S);
    /*
     * A whole TLS record at once: what is left of one in OpenSSL's buffer makes no socket readable, and on libuv
     * libwebsockets 4.1.6 comes back for it only once; a body or block of several reads would then hang.
     */
    info.pt_serv_buf_size = RECEIVE_BYTES + LWS_PRE;
    w->context = lws_create_context(&info);
    if (!w->context)
        return meshping_error_set(err, MESHPING_IO,
                                  "cannot start libwebsockets on libuv (is libwebsockets-evlib-uv installed?)");
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.vhost_name = "meshping";
    info.headers = http_safety_options();
    info.protocols = protocols;
    info.alpn = "http/1.1";
    info.user = w;
    info.retry_and_idle_policy = &no_validity_timer;
    info.ssl_cert_filepath = w->certificates.certificate_path;
    info.ssl_private_key_filepath = w->certificates.key_path;
    info.ssl_options_set = SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_TLSv1_2 | SSL_OP_NO_TICKET;
    w->vhost = lws_create_vhost(w->context, &info);
    if (!w->vhost)
        return meshping_error_set(err, MESHPING_IO, "libwebsockets does not take %s and %s",
                                  w->certificates.certificate_path, w->certificates.key_path);
    w->server->lws = w->context;
    return MESHPING_OK;
}

meshping_status web_start(web **out, server *s, const server_keys *keys, uint16_t *port, meshping_error *err)
{
    meshping_address address;
    *out = NULL;
    meshping_status status = listener_parse(&address, port, s->config.listen, err);
    if (status != MESHPING_OK)
        return status;
    web *w = calloc(1, sizeof *w);
    if (!w)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    w->server = s;
    s->web = w;
    *out = w;
    uv_timer_init(&s->loop, &w->limit);
    w->limit.data = w;
    status = certificates_open(&w->certificates, &s->config, keys, &s->descriptors, err);
    if (status == MESHPING_OK)
        status = create_context(w, err);
    listener_options options = {&s->descriptors, &s->trusted_proxies, limit_ms(w), adopt, make_room, w};
    if (status == MESHPING_OK)
        status = meshping_cidr_list_parse(&s->trusted_proxies, s->config.trusted_proxies, err);
    if (status == MESHPING_OK)
        status = listener_start(&w->listener, &s->loop, &options, &address, port, err);
    return status;
}

meshping_status web_reload(web *w, meshping_error *err)
{
    return certificates_reload(&w->certificates, err);
}

meshping_status web_reload_agents(web *w, meshping_error *err)
{
    return certificates_reload_agents(&w->certificates, err);
}

void web_stop(web *w)
{
    if (!w)
        return;
    listener_stop(w->listener);
    uv_close((uv_handle_t *)&w->limit, NULL);
    if (w->context)
        lws_context_destroy(w->context);
}

void web_free(web *w)
{
    if (!w)
        return;
    /* on a loop of ours the first destroy only starts it; once its handles are closed, the second ends it */
    if (w->context)
        lws_context_destroy(w->context);
    w->server->lws = NULL;
    certificates_dispose(&w->certificates);
    listener_free(w->listener);
    peers_dispose();
    free(w);
}
