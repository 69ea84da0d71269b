/* SPDX-License-Identifier: Apache-2.0 */
/* The server's secrets in its state directory: TLS key and certificate, and the key that seals passphrases. */
#ifndef MESHPINGD_KEYS_H
#define MESHPINGD_KEYS_H

#include <meshping/protocol.h>

#define KEYS_PATH_MAX 600

typedef struct server_keys {
    char certificate_path[KEYS_PATH_MAX];
    char key_path[KEYS_PATH_MAX];
    char next_key_path[KEYS_PATH_MAX];
    meshping_pins pins;     /* of server.key, and of server.next.key while there is one */
    uint8_t seal_key[32];   /* seals passphrases' keys in the database */
    uint8_t ticket_key[32]; /* makes join tickets */
} server_keys;

/*
 * Reads what is there and makes what is missing: the agents' permanent P-256 key (server.key, 0600), a self-signed
 * certificate for it (server.crt) with `names` ("a, b:1") in it, seal.key and ticket.key (0400). A next key
 * (server.next.key) is read when it is there.
 */
meshping_status keys_open(server_keys *out, const char *state_dir, const char *names, meshping_error *err);
/* Makes the next key. STATE: there is one. */
meshping_status keys_next_make(server_keys *keys, meshping_error *err);
/* STATE: its file was removed by hand. */
meshping_status keys_next_check(const server_keys *keys, meshping_error *err);
meshping_status keys_next_drop(server_keys *keys, meshping_error *err);
/*
 * The files: the next key takes the place of the one in use, which is gone then, and a new certificate is made. One
 * rename decides; after an error it may be called again. The pins stay as they are until TLS uses the new key:
 */
meshping_status keys_next_take(server_keys *keys, const char *names, meshping_error *err);
void keys_next_taken(server_keys *keys);

#endif
