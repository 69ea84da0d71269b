/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which key the server shows to whom. Agents say `agents.meshping` in their TLS hello and meet the permanent P-256 key,
 * for they know the server by it; everybody else meets the configured certificate, or a self-signed one of the same
 * key. TLS 1.3 only, no tickets, no early data, whoever comes.
 */
#ifndef MESHPINGD_CERTIFICATES_H
#define MESHPINGD_CERTIFICATES_H

#include "meshpingd/config.h"
#include "meshpingd/descriptors.h"
#include "meshpingd/keys.h"
#include <openssl/ssl.h>

typedef struct certificates {
    const descriptor_limit *descriptors;  /* borrowed */
    SSL_CTX *agents;                      /* ours */
    SSL_CTX *browsers;                    /* libwebsockets'; NULL until certificates_take */
    char certificate_path[KEYS_PATH_MAX]; /* of the browsers' */
    char key_path[KEYS_PATH_MAX];
    char agents_certificate_path[KEYS_PATH_MAX], agents_key_path[KEYS_PATH_MAX];
} certificates;

/* INVALID: certificate_file and key_file are not both there, cannot be read, or do not belong together. */
meshping_status certificates_open(certificates *out, const server_config *config, const server_keys *keys,
                                  const descriptor_limit *files, meshping_error *err);
void certificates_dispose(certificates *c);
/* Prepares libwebsockets' TLS context, which has the browsers' certificate already. */
void certificates_take(certificates *c, SSL_CTX *ctx);
/* Reads the browsers' certificate anew; connections go on with what they have. On errors the old one stays. */
meshping_status certificates_reload(certificates *c, meshping_error *err);

/* Reads the agents' key anew, after it was changed, and the browsers' when theirs is the same. */
meshping_status certificates_reload_agents(certificates *c, meshping_error *err);

#endif
