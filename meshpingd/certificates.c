/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/certificates.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HELLO_STALE_MS 5000 /* agents give up after 10 s: libmeshping/net/link.c */

/* Set on every context: on one that SNI chooses later, alone, it would let TLS 1.2 through. */
static void harden(SSL_CTX *ctx)
{
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
}

/* HTTP/1.1 or nothing: over h2 two sessions would share a connection, and its keying material. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length, const unsigned char *in,
                           unsigned in_length, void *arg)
{
    static const unsigned char http11[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_length, http11, sizeof http11 - 1, in, in_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/*
 * Who has waited so long for his turn, in the kernel's queue, is about to give up: his handshake would be for nothing,
 * and make those behind him wait as long. That is how a server under more load than it can take lets nobody in at all.
 */
static bool is_stale(int fd)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_last_data_recv > HELLO_STALE_MS;
}

/*
 * Exactly the agents' name: libwebsockets would take any name that this one begins with. Agents that are
 * too many or too late end here, before the handshake has cost anything.
 */
static int choose_key(SSL *ssl, int *alert, void *arg)
{
    const certificates *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name || strcmp(name, MESHPING_AGENT_SNI) != 0)
        return SSL_TLSEXT_ERR_OK;
    if (SSL_get_fd(ssl) >= c->descriptors->half_below || is_stale(SSL_get_fd(ssl))) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    SSL_set_SSL_CTX(ssl, c->agents);
    return SSL_TLSEXT_ERR_OK;
}

/* A password prompt would stop the server. */
static int no_password(char *text, int size, int writing, void *user)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

static meshping_status load(SSL_CTX *ctx, const char *certificate, const char *key, meshping_error *err)
{
    const char *what = NULL;
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1)
        what = certificate;
    else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        what = key;
    if (!what)
        return MESHPING_OK;
    unsigned long code = ERR_peek_error();
    const char *why = ERR_GET_LIB(code) == ERR_LIB_SYS ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return meshping_error_set(err, MESHPING_INVALID, "%s cannot be used: %s", what, why ? why : "unknown");
}

/* The pair is good, seen in a context that nobody uses. */
static meshping_status check(const char *certificate, const char *key, meshping_error *err)
{
    SSL_CTX *scratch = SSL_CTX_new(TLS_server_method());
    if (!scratch)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = load(scratch, certificate, key, err);
    SSL_CTX_free(scratch);
    return status;
}

meshping_status certificates_open(certificates *out, const server_config *config, const server_keys *keys,
                                  const descriptor_limit *files, meshping_error *err)
{
    bool own = !config->certificate_file[0] && !config->key_file[0];
    *out = (certificates){.descriptors = files};
    if (!own && (!config->certificate_file[0] || !config->key_file[0]))
        return meshping_error_set(err, MESHPING_INVALID, "certificate_file and key_file go together");
    snprintf(out->certificate_path, sizeof out->certificate_path, "%s",
             own ? keys->certificate_path : config->certificate_file);
    snprintf(out->key_path, sizeof out->key_path, "%s", own ? keys->key_path : config->key_file);
    snprintf(out->agents_certificate_path, sizeof out->agents_certificate_path, "%s", keys->certificate_path);
    snprintf(out->agents_key_path, sizeof out->agents_key_path, "%s", keys->key_path);
    out->agents = SSL_CTX_new(TLS_server_method());
    if (!out->agents)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    harden(out->agents);
    SSL_CTX_set_alpn_select_cb(out->agents, choose_protocol, NULL);
    meshping_status status = load(out->agents, keys->certificate_path, keys->key_path, err);
    if (status == MESHPING_OK)
        status = check(out->certificate_path, out->key_path, err);
    return status;
}

void certificates_dispose(certificates *c)
{
    SSL_CTX_free(c->agents);
    *c = (certificates){0};
}

void certificates_take(certificates *c, SSL_CTX *ctx)
{
    c->browsers = ctx;
    harden(ctx);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    SSL_CTX_set_tlsext_servername_callback(ctx, choose_key);
    SSL_CTX_set_tlsext_servername_arg(ctx, c);
}

meshping_status certificates_reload(certificates *c, meshping_error *err)
{
    meshping_status status = check(c->certificate_path, c->key_path, err);
    return status == MESHPING_OK ? load(c->browsers, c->certificate_path, c->key_path, err) : status;
}

meshping_status certificates_reload_agents(certificates *c, meshping_error *err)
{
    meshping_status status = check(c->agents_certificate_path, c->agents_key_path, err);
    if (status == MESHPING_OK)
        status = load(c->agents, c->agents_certificate_path, c->agents_key_path, err);
    if (status == MESHPING_OK && strcmp(c->key_path, c->agents_key_path) == 0)
        status = load(c->browsers, c->certificate_path, c->key_path, err);
    return status;
}
