/* SPDX-License-Identifier: Apache-2.0 */
/* The least that libwebsockets can do on libuv with TLS 1.3: what a connection costs before there is any Meshping. */
#include "agents.h"

#include <libwebsockets.h>
#include <meshping/protocol.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdlib.h>
#include <uv.h>

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    (void)in;
    (void)length;
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS && user) {
        SSL_CTX_set_min_proto_version(user, TLS1_3_VERSION);
        SSL_CTX_set_num_tickets(user, 0);
    }
    return lws_callback_http_dummy(wsi, reason, user, in, length);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int bare_serve(uint16_t port, const char *certificate, const char *key)
{
    static const struct lws_protocols protocols[] = {
        {"http", callback, 0, 0, 0, NULL, 0},
        {MESHPING_SUBPROTOCOL, callback, 0, 0, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    uv_loop_t loop;
    uv_signal_t ending;
    void *loops[] = {&loop};
    struct lws_context_creation_info info = {.port = port, .protocols = protocols, .iface = "127.0.0.1"};
    info.foreign_loops = loops;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    info.ssl_cert_filepath = certificate;
    info.ssl_private_key_filepath = key;
    lws_set_log_level(LLL_ERR, NULL);
    uv_loop_init(&loop);
    uv_signal_init(&loop, &ending);
    uv_signal_start(&ending, on_signal, SIGTERM);
    if (!lws_create_context(&info))
        return 1;
    uv_run(&loop, UV_RUN_DEFAULT);
    return 0; /* the process ends: what it holds goes with it */
}
