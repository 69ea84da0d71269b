/* SPDX-License-Identifier: Apache-2.0 */
/* The few primitives of the protocol, over OpenSSL 3.0's EVP. Pure: keys, nonces and random bytes are arguments. */
#ifndef MESHPING_CORE_CRYPTO_H
#define MESHPING_CORE_CRYPTO_H

#include <meshping/common.h>

#define MESHPING__AEAD_TAG_MAX 16

typedef enum meshping__aead { MESHPING__CHACHA20_POLY1305, MESHPING__AES_256_GCM } meshping__aead;

/* HKDF-SHA256 (RFC 5869), 32 bytes out; salt may be NULL with length 0. CRYPTO. */
meshping_status meshping__hkdf(uint8_t out[32], const uint8_t *key, size_t key_length, const uint8_t *salt,
                               size_t salt_length, const char *info);
/* out: length bytes, then tag: tag_length (4..16) bytes. A NULL nonce is 12 zeros, for keys used once. CRYPTO. */
meshping_status meshping__aead_seal(meshping__aead aead, uint8_t *out, uint8_t *tag, size_t tag_length,
                                    const uint8_t key[32], const uint8_t *nonce, const uint8_t *ad, size_t ad_length,
                                    const uint8_t *in, size_t length);
/* CRYPTO: the tag does not fit; out is then not to be used. */
meshping_status meshping__aead_open(meshping__aead aead, uint8_t *out, const uint8_t key[32], const uint8_t *nonce,
                                    const uint8_t *ad, size_t ad_length, const uint8_t *in, size_t length,
                                    const uint8_t *tag, size_t tag_length);
meshping_status meshping__sha256(uint8_t out[32], const uint8_t *data, size_t length);
meshping_status meshping__hmac_sha256(uint8_t out[32], const uint8_t *key, size_t key_length, const uint8_t *data,
                                      size_t length);
meshping_status meshping__ed25519_sign(uint8_t signature[64], const uint8_t seed[32], const uint8_t *data,
                                       size_t length);
/* CRYPTO: not this key's signature. */
meshping_status meshping__ed25519_verify(const uint8_t signature[64], const uint8_t public_key[32], const uint8_t *data,
                                         size_t length);

#endif
