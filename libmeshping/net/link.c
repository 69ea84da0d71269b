/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libwebsockets' odd corners, on the agent's side. It runs on a private libuv loop, whose backend descriptor is what
 * the library hands out: external poll is not built into Debian's libwebsockets. TLS 1.3 only; the server is known by
 * its key (the pin), never by name or date.
 */
#include "net/internal.h"

#include "base/alloc.h"
#include <errno.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_S 10
/*
 * A whole TLS record at once (RFC 8446 section 5.1): what is left of one in OpenSSL's buffer makes no socket readable,
 * and on libuv libwebsockets 4.1.6 comes back for it only once; a long message would hang.
 */
#define RECORD_BYTES 16384

static meshping_session *session_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

/* Runs in the handshake, before anything is sent: the certificate's key must be the pinned one. */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
    meshping_session *session = arg;
    unsigned char *spki = NULL, digest[SHA256_DIGEST_LENGTH];
    X509 *certificate = X509_STORE_CTX_get0_cert(store);
    int length = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki) : -1;
    bool good = length > 0 && SHA256(spki, (size_t)length, digest) && meshping__pins_match(session, digest);
    OPENSSL_free(spki);
    X509_STORE_CTX_set_error(store, good ? X509_V_OK : X509_V_ERR_APPLICATION_VERIFICATION);
    if (!good)
        snprintf(session->close_reason, sizeof session->close_reason,
                 "the server's key is not the one of the passphrase: another server, or someone in between; if its "
                 "administrator changed the server's key while this agent was away, give it a new passphrase and "
                 "restart it");
    return good;
}

static bool export_key(struct lws *wsi, uint8_t ekm[MESHPING_EKM_LEN])
{
    static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 */
    SSL *ssl = lws_get_ssl(wsi);
    return ssl && SSL_version(ssl) >= TLS1_3_VERSION &&
           SSL_export_keying_material(ssl, ekm, MESHPING_EKM_LEN, label, sizeof label - 1, NULL, 0, 0) == 1;
}

static void note_local_address(meshping_session *session, struct lws *wsi)
{
    struct sockaddr_storage sa;
    socklen_t length = sizeof sa;
    meshping_address address;
    session->local_address[0] = '\0';
    if (getsockname(lws_get_socket_fd(wsi), (struct sockaddr *)&sa, &length) == 0 &&
        meshping_address_from_sockaddr(&address, (struct sockaddr *)&sa) == MESHPING_OK)
        meshping_address_format(&address, session->local_address);
}

static int established(meshping_session *session, struct lws *wsi)
{
    if (!export_key(wsi, session->binding.ekm)) {
        snprintf(session->close_reason, sizeof session->close_reason, "the connection is not TLS 1.3");
        return -1;
    }
    note_local_address(session, wsi);
    meshping__session_established(session);
    return 0;
}

static int receive(meshping_session *session, struct lws *wsi, const void *in, size_t length)
{
    if (lws_frame_is_binary(wsi)) {
        snprintf(session->close_reason, sizeof session->close_reason, "the server sent a binary frame");
        return -1;
    }
    if (session->received.length + length + lws_remaining_packet_payload(wsi) > MESHPING_JSON_MAX) {
        snprintf(session->close_reason, sizeof session->close_reason, "the server sent a message of over %d bytes",
                 MESHPING_JSON_MAX);
        return -1;
    }
    meshping__bytes_put(&session->received, in, length);
    if (session->received.failed)
        return -1;
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi))
        return 0;
    meshping__session_message(session, (const char *)session->received.data, session->received.length);
    session->received.length = 0;
    return session->close_reason[0] ? -1 : 0;
}

static int write_control(meshping_session *session, struct lws *wsi)
{
    outbox_item item = session->outbox[0];
    session->outbox_count--;
    memmove(session->outbox, session->outbox + 1, session->outbox_count * sizeof *session->outbox);
    int put = lws_write(wsi, (unsigned char *)item.text + LWS_PRE, item.length, LWS_WRITE_TEXT);
    meshping__free(item.text);
    return put < (int)item.length ? -1 : 0;
}

static int write_block(meshping_session *session, struct lws *wsi)
{
    meshping_buffer_block block;
    if (meshping__delivery_next(&session->delivery, &block) != MESHPING_OK)
        return 0;
    size_t length = MESHPING_FRAME_HEADER_LEN + block.length;
    uint8_t *frame = meshping__malloc(LWS_PRE + length);
    if (!frame)
        return 0; /* the next status tries again */
    meshping_frame_header_encode(frame + LWS_PRE, meshping_buffer_epoch(session->delivery.buffer), block.sequence,
                                 (uint32_t)block.length);
    memcpy(frame + LWS_PRE + MESHPING_FRAME_HEADER_LEN, block.bytes, block.length);
    int put = -1;
    if (meshping__delivery_sent(&session->delivery, &block) == MESHPING_OK)
        put = lws_write(wsi, frame + LWS_PRE, length, LWS_WRITE_BINARY);
    meshping__free(frame);
    return put < (int)length ? -1 : 0;
}

/* One lws_write a writable callback. */
static int writeable(meshping_session *session, struct lws *wsi)
{
    meshping_buffer_block block;
    if (session->close_reason[0])
        return -1;
    int result = session->outbox_count ? write_control(session, wsi) : write_block(session, wsi);
    if (result == 0 && (session->outbox_count || meshping__delivery_next(&session->delivery, &block) == MESHPING_OK))
        lws_callback_on_writable(wsi);
    return result;
}

/* A close frame's payload: a code of two bytes, then text. */
static void note_close_reason(meshping_session *session, const char *payload, size_t length)
{
    if (session->close_reason[0] || length <= 2)
        return;
    snprintf(session->close_reason, sizeof session->close_reason, "the server closed the connection: %.*s",
             (int)(length - 2), payload + 2);
}

static void lost(meshping_session *session, const char *reason)
{
    char kept[sizeof session->close_reason];
    snprintf(kept, sizeof kept, "%s", session->close_reason[0] ? session->close_reason : reason);
    session->wsi = NULL;
    session->close_reason[0] = '\0';
    session->received.length = 0;
    for (size_t i = 0; i < session->outbox_count; i++)
        meshping__free(session->outbox[i].text);
    session->outbox_count = 0;
    meshping__session_lost(session, kept);
}

static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t length)
{
    meshping_session *session = session_of(wsi);
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS: {
        SSL_CTX *ctx = user;
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
        SSL_CTX_set_cert_verify_callback(ctx, verify_pin, session);
        return 0;
    }
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        lost(session, in && length ? (const char *)in : "no connection");
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        return established(session, wsi);
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(session, wsi, in, length);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return writeable(session, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        note_close_reason(session, in, length);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        lost(session, "the server closed the connection");
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {MESHPING_SUBPROTOCOL, callback, 0, RECORD_BYTES, 0, NULL, 0},
    {NULL, NULL, 0, 0, 0, NULL, 0},
};

static void connect_to(meshping_session *session, const meshping_address *to)
{
    char address[MESHPING_ADDRESS_TEXT_MAX];
    struct lws_client_connect_info info = {0};
    meshping_address_format(to, address);
    session->connecting_family = to->family;
    info.context = session->lws;
    info.address = address;
    info.port = session->server.port;
    info.path = MESHPING_AGENT_PATH;
    info.host = MESHPING_AGENT_SNI; /* Host and SNI: the server's permanent key, whatever its name is */
    info.protocol = MESHPING_SUBPROTOCOL;
    info.ssl_connection = LCCSCF_USE_SSL;
    info.alpn = "http/1.1";
    info.pwsi = &session->wsi;
    session->close_reason[0] = '\0';
    /* on failure libwebsockets has called back already, or not at all */
    if (!lws_client_connect_via_info(&info) && session->connect_at_ns == INT64_MAX)
        lost(session, "no connection");
}

void meshping__link_resolve(meshping_session *session)
{
    meshping__resolution found;
    while (session->resolving && meshping__resolver_take(session->resolver, &found)) {
        session->resolving = false;
        if (found.count)
            connect_to(session, meshping__retry_address(found.addresses, found.count, session->server.family,
                                                        session->failures));
        else
            lost(session, "the server's name cannot be resolved");
    }
}

static void on_names(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    meshping__link_resolve(poll->data);
}

static meshping_status open_resolver(meshping_session *session, meshping_error *err)
{
    session->names_fd = epoll_create1(EPOLL_CLOEXEC);
    if (session->names_fd < 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot make an epoll set");
    meshping_status status = meshping__resolver_new(&session->resolver, session->names_fd, err);
    if (status != MESHPING_OK)
        return status;
    if (uv_poll_init(&session->loop, &session->names_poll, session->names_fd) != 0)
        return meshping_error_set(err, MESHPING_IO, "cannot watch the resolver");
    session->names_poll.data = session;
    session->names_poll_open = true;
    uv_poll_start(&session->names_poll, UV_READABLE, on_names);
    return MESHPING_OK;
}

static void on_links(uv_poll_t *poll, int status, int events)
{
    meshping_session *session = poll->data;
    (void)status;
    (void)events;
    if (meshping__link_watch_take(session->links))
        meshping__retry_network_back(session);
}

/* Without it a returned network is found by the next try. */
static void open_links(meshping_session *session)
{
    if (meshping__link_watch_new(&session->links, NULL) != MESHPING_OK ||
        uv_poll_init(&session->loop, &session->links_poll, meshping__link_watch_fd(session->links)) != 0)
        return;
    session->links_poll.data = session;
    session->links_poll_open = true;
    uv_poll_start(&session->links_poll, UV_READABLE, on_links);
}

static void close_links(meshping_session *session)
{
    if (session->links_poll_open)
        uv_close((uv_handle_t *)&session->links_poll, NULL);
    session->links_poll_open = false;
}

static void close_resolver(meshping_session *session)
{
    if (session->names_poll_open)
        uv_close((uv_handle_t *)&session->names_poll, NULL);
    session->names_poll_open = false;
}

void meshping__link_connect(meshping_session *session)
{
    meshping_address address;
    if (meshping_address_parse(&address, session->server.host, NULL) == MESHPING_OK) {
        connect_to(session, &address);
        return;
    }
    if (meshping__resolver_start(session->resolver, 0, session->server.host, MESHPING_FAMILY_NONE) != MESHPING_OK) {
        lost(session, "the server's name cannot be resolved: out of memory");
        return;
    }
    session->resolving = true;
    meshping__link_resolve(session);
}

void meshping__link_drop(meshping_session *session, const char *reason)
{
    if (!session->wsi)
        return;
    if (!session->close_reason[0])
        snprintf(session->close_reason, sizeof session->close_reason, "%s", reason);
    lws_set_timeout(session->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

void meshping__link_want_write(meshping_session *session)
{
    if (session->wsi && session->welcomed)
        lws_callback_on_writable(session->wsi);
}

void meshping__link_send(meshping_session *session, const meshping_message *message)
{
    char *text = NULL, *padded = NULL;
    size_t length = 0;
    if (!session->wsi || session->close_reason[0])
        return;
    if (session->outbox_count == OUTBOX_MAX) {
        meshping__link_drop(session, "the server takes nothing any more");
        return;
    }
    if (meshping_message_encode(&text, &length, message, NULL) == MESHPING_OK)
        padded = meshping__malloc(LWS_PRE + length);
    if (!padded) {
        meshping_free(text);
        meshping__link_drop(session, "out of memory");
        return;
    }
    memcpy(padded + LWS_PRE, text, length);
    meshping_free(text);
    session->outbox[session->outbox_count++] = (outbox_item){padded, length};
    lws_callback_on_writable(session->wsi);
}

meshping_status meshping__link_open(meshping_session *session, meshping_error *err)
{
    void *loops[] = {&session->loop};
    struct lws_context_creation_info info = {0};
    lws_set_log_level(0, NULL);
    if (uv_loop_init(&session->loop) != 0)
        return meshping_error_set(err, MESHPING_NOMEM, "cannot make an event loop");
    session->loop_open = true;
    meshping_status status = open_resolver(session, err);
    if (status != MESHPING_OK)
        return status;
    open_links(session);
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = protocols;
    info.foreign_loops = loops;
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.user = session;
    info.alpn = "http/1.1";
    info.timeout_secs = CONNECT_TIMEOUT_S;
    info.pt_serv_buf_size = RECORD_BYTES + LWS_PRE;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    session->lws = lws_create_context(&info);
    if (!session->lws)
        return meshping_error_set(err, MESHPING_IO,
                                  "cannot start libwebsockets on libuv (is libwebsockets-evlib-uv installed?)");
    return MESHPING_OK;
}

void meshping__link_close(meshping_session *session)
{
    /* on a loop of ours the first destroy only starts it; once its handles are closed, the second ends it */
    if (session->lws)
        lws_context_destroy(session->lws);
    if (session->loop_open) {
        close_resolver(session);
        close_links(session);
        while (uv_run(&session->loop, UV_RUN_DEFAULT) != 0)
            ;
        if (session->lws)
            lws_context_destroy(session->lws);
        session->lws = NULL;
        uv_run(&session->loop, UV_RUN_NOWAIT); /* what the second one closed */
        uv_loop_close(&session->loop);
        session->loop_open = false;
        meshping__link_watch_free(session->links);
        session->links = NULL;
        meshping__resolver_free(session->resolver);
        session->resolver = NULL;
        if (session->names_fd >= 0)
            close(session->names_fd);
        session->names_fd = -1;
    }
    meshping__bytes_dispose(&session->received);
    for (size_t i = 0; i < session->outbox_count; i++)
        meshping__free(session->outbox[i].text);
    session->outbox_count = 0;
}
