/* SPDX-License-Identifier: Apache-2.0 */
/* The server's secrets in its state directory: TLS key and certificate, and the key that seals passphrases. */
#ifndef MESHPINGD_KEYS_H
#define MESHPINGD_KEYS_H

#include <meshping/protocol.h>

#define KEYS_PATH_MAX 600

typedef struct server_keys {
    char certificate_path[KEYS_PATH_MAX];
    char key_path[KEYS_PATH_MAX];
    uint8_t pin[MESHPING_PIN_LEN];
    uint8_t seal_key[32];   /* seals passphrases' keys in the database */
    uint8_t ticket_key[32]; /* makes join tickets */
} server_keys;

/*
 * Reads what is there and makes what is missing: the agents' permanent P-256 key (server.key, 0600), a self-signed
 * certificate for it (server.crt) with `names` ("a, b:1") in it, seal.key and ticket.key (0400).
 */
meshping_status keys_open(server_keys *out, const char *state_dir, const char *names, meshping_error *err);

#endif
