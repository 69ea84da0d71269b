/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: what is allowed, and scrypt (RFC 7914) to keep and check them. Pure, slow on purpose: about 0.4 s. */
#ifndef MESHPINGD_PASSWORD_H
#define MESHPINGD_PASSWORD_H

#include <meshping/common.h>

#define PASSWORD_CHARS_MIN 12
#define PASSWORD_CHARS_MAX 128
#define PASSWORD_BYTES_MAX 512
#define PASSWORD_SALT_LEN 16
#define PASSWORD_HASH_LEN 32
#define PASSWORD_TEXT_MAX 256 /* "scrypt$131072$8$1$<salt hex>$<hash hex>" */
#define PASSWORD_SCRYPT_N (UINT64_C(1) << 17)

/* INVALID with a sentence for the person: too short, too long, not UTF-8, or common. */
meshping_status password_check(const char *password, size_t length, const char *user_name, meshping_error *err);
/* INVALID with the sentence for one that breached_find has found. */
meshping_status password_refuse_breached(meshping_error *err);
/*
 * True when the password is one that many have: parts of a list, runs of keys, repetitions and the user's name, with
 * little else. No rule of composition: length of what nobody else has is all that counts.
 */
bool password_is_common(const char *password, size_t length, const char *user_name);
/* A user's name: 1 to 64 bytes of UTF-8 that are all seen (looks.h), no space at an end, no two in a row. */
meshping_status password_check_name(const char *name, size_t length, meshping_error *err);
/* Into text[PASSWORD_TEXT_MAX]. n: a power of two, PASSWORD_SCRYPT_N but in tests. CRYPTO. */
meshping_status password_encode(char *text, const char *password, size_t length, uint64_t n,
                                const uint8_t salt[PASSWORD_SALT_LEN], meshping_error *err);
/*
 * *matches: whether the password is the one of `text`, compared in constant time. CORRUPT: not such a text, or with
 * costs over twice of ours. text NULL: nobody has this name: costs the same, and *matches is false.
 */
meshping_status password_verify(bool *matches, const char *text, const char *password, size_t length,
                                meshping_error *err);

#endif
