/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blacklistings, revocations and changed keys in a file beside the keys, one line each, so that a database from a
 * backup brings nobody back: "TIME_MS KIND HEX". docs/PROTOCOL.md, Identity.
 */
#ifndef MESHPINGD_REVOCATIONS_H
#define MESHPINGD_REVOCATIONS_H

#include <meshping/common.h>

#define REVOCATION_BYTES_MAX 64

typedef enum revocation_kind {
    REVOCATION_REINSTATE, /* of a public key: takes a blacklisting back */
    REVOCATION_BLACKLIST, /* of a public key */
    REVOCATION_RETIRE,    /* of a public key: another one took its place */
    REVOCATION_REVOKE,    /* of a passphrase's tid */
    REVOCATION_REKEY,     /* of a public key, and the one that its agent has instead: 64 bytes; twice the same: back */
} revocation_kind;

typedef struct revocation {
    revocation_kind kind;
    uint8_t bytes[REVOCATION_BYTES_MAX];
    size_t length;
    int64_t unix_ms;
} revocation;

typedef struct revocations {
    char path[600];
    revocation *items; /* the last word about each, in no order */
    size_t count;
} revocations;

/* Reads STATE_DIR/revocations, if there is one. A damaged line is passed over with a warning. PERMISSION, NOMEM. */
meshping_status revocations_open(revocations *r, const char *state_dir, meshping_error *err);
void revocations_dispose(revocations *r);
/* Appends and syncs. IO, NOMEM: then nothing has changed. */
meshping_status revocations_add(revocations *r, revocation_kind kind, const uint8_t *bytes, size_t length,
                                int64_t unix_ms, meshping_error *err);
/* Whether the last word about `bytes` is `kind`. */
bool revocations_has(const revocations *r, revocation_kind kind, const uint8_t *bytes, size_t length);
/* The agent of the key `from` has the key `to` from now on. As revocations_add. */
meshping_status revocations_rekey(revocations *r, const uint8_t from[32], const uint8_t to[32], int64_t unix_ms,
                                  meshping_error *err);
/* The key that the agent of this one has instead; NULL: it has this one, or there is no word about it. */
const uint8_t *revocations_new_key(const revocations *r, const uint8_t public_key[32]);

#endif
