/* SPDX-License-Identifier: Apache-2.0 */
/* Identity and the agent's handshake: docs/PROTOCOL.md, Handshake. */
#include <meshping/protocol.h>

#include "base/bytes.h"
#include "core/crypto.h"
#include "core/json.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define INFO_TAG_LEN 16

meshping_status meshping_identity_public(uint8_t public_key[MESHPING_KEY_LEN], const uint8_t seed[MESHPING_KEY_LEN])
{
    size_t length = MESHPING_KEY_LEN;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, MESHPING_KEY_LEN);
    bool good = key && EVP_PKEY_get_raw_public_key(key, public_key, &length) == 1;
    EVP_PKEY_free(key);
    return good ? MESHPING_OK : MESHPING_CRYPTO;
}

const char *meshping_identity_fingerprint(char *text, const uint8_t public_key[MESHPING_KEY_LEN])
{
    uint8_t digest[32];
    char *at = text;
    *text = '\0';
    if (meshping__sha256(digest, public_key, MESHPING_KEY_LEN) != MESHPING_OK)
        return text;
    for (size_t i = 0; i < 16; i++)
        at += sprintf(at, i && i % 2 == 0 ? " %02X" : "%02X", digest[i]);
    return text;
}

/*
 * The encodings of the points of small order on edwards25519 (y, any sign), the non-canonical ones too. A key that is
 * one of them makes one signature verify for any message.
 */
static const uint8_t small_order[][32] = {
    {0x00},
    {0x01},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
};

meshping_status meshping_identity_check(const uint8_t public_key[MESHPING_KEY_LEN])
{
    uint8_t y[MESHPING_KEY_LEN];
    memcpy(y, public_key, sizeof y);
    y[MESHPING_KEY_LEN - 1] &= 0x7f;
    for (size_t i = 0; i < sizeof small_order / sizeof *small_order; i++)
        if (memcmp(y, small_order[i], sizeof y) == 0)
            return MESHPING_CRYPTO;
    return MESHPING_OK;
}

static void put_field(meshping__bytes *bytes, const void *data, size_t length)
{
    /* u16 big-endian, as the fields' order is that of the wire */
    uint8_t prefix[2] = {(uint8_t)(length >> 8), (uint8_t)length};
    meshping__bytes_put(bytes, prefix, 2);
    meshping__bytes_put(bytes, data, length);
}

/* Version, server, and the server's end of this connection: what every signature is bound to. */
static void put_connection(meshping__bytes *out, const meshping_binding *binding)
{
    uint8_t version[4] = {0, 0, 0, MESHPING_PROTOCOL_VERSION}, server_id[8];
    for (int i = 0; i < 8; i++)
        server_id[i] = (uint8_t)(binding->server_id >> (56 - 8 * i));
    put_field(out, version, sizeof version);
    put_field(out, server_id, sizeof server_id);
    put_field(out, binding->ekm, MESHPING_EKM_LEN);
    put_field(out, binding->nonce_s, MESHPING_NONCE_LEN);
}

/* What is signed. NOMEM. */
static meshping_status transcript(meshping__bytes *out, const meshping_handshake *handshake,
                                  const meshping_binding *binding)
{
    const char *label = handshake->enrol ? "meshping/1 enrol" : "meshping/1 resume";
    put_field(out, label, strlen(label));
    put_connection(out, binding);
    put_field(out, handshake->nonce_a, MESHPING_NONCE_LEN);
    put_field(out, handshake->public_key, MESHPING_KEY_LEN);
    if (handshake->enrol)
        put_field(out, handshake->tid, MESHPING_TID_LEN);
    else
        put_field(out, handshake->ticket, handshake->ticket_length);
    put_field(out, handshake->info, handshake->info_length);
    return out->failed ? MESHPING_NOMEM : MESHPING_OK;
}

static meshping_status sign(meshping_handshake *handshake, const meshping_binding *binding,
                            const uint8_t seed[MESHPING_KEY_LEN], meshping_error *err)
{
    meshping__bytes data = {0};
    meshping_status status = transcript(&data, handshake, binding);
    if (status == MESHPING_OK)
        status = meshping__ed25519_sign(handshake->signature, seed, data.data, data.length);
    meshping__bytes_dispose(&data);
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "cannot sign the handshake");
}

static meshping_status info_key(uint8_t key[32], const uint8_t *passphrase_key, const meshping_binding *binding,
                                const uint8_t nonce_a[MESHPING_NONCE_LEN])
{
    uint8_t salted[MESHPING_EKM_LEN + 2 * MESHPING_NONCE_LEN], salt[32];
    memcpy(salted, binding->ekm, MESHPING_EKM_LEN);
    memcpy(salted + MESHPING_EKM_LEN, binding->nonce_s, MESHPING_NONCE_LEN);
    memcpy(salted + MESHPING_EKM_LEN + MESHPING_NONCE_LEN, nonce_a, MESHPING_NONCE_LEN);
    meshping_status status = meshping__sha256(salt, salted, sizeof salted);
    if (status == MESHPING_OK)
        status = meshping__hkdf(key, passphrase_key, MESHPING_PASSPHRASE_KEY_LEN, salt, sizeof salt, "meshping/1 info");
    return status;
}

static void info_ad(uint8_t ad[MESHPING_TID_LEN + MESHPING_KEY_LEN], const meshping_handshake *handshake)
{
    memcpy(ad, handshake->tid, MESHPING_TID_LEN);
    memcpy(ad + MESHPING_TID_LEN, handshake->public_key, MESHPING_KEY_LEN);
}

static meshping_status start(meshping_handshake *out, const meshping_binding *binding, bool enrol,
                             const meshping_agent_info *info, char **json, size_t *length, meshping_error *err)
{
    memset(out, 0, sizeof *out);
    out->enrol = enrol;
    memcpy(out->public_key, binding->public_key, MESHPING_KEY_LEN);
    memcpy(out->nonce_a, binding->nonce_a, MESHPING_NONCE_LEN);
    meshping_status status = meshping__info_encode(json, length, info);
    if (status == MESHPING_OK && *length > MESHPING_INFO_MAX - INFO_TAG_LEN) {
        meshping_free(*json);
        status = MESHPING_LIMIT;
    }
    return status == MESHPING_OK ? status
                                 : meshping_error_set(err, status, "the agent's host name and address are too long");
}

meshping_status meshping_handshake_enrol(meshping_handshake *out, const meshping_binding *binding,
                                         const uint8_t seed[MESHPING_KEY_LEN],
                                         const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN],
                                         const meshping_agent_info *info, meshping_error *err)
{
    char *json = NULL;
    size_t length = 0;
    uint8_t one_time[32], ad[MESHPING_TID_LEN + MESHPING_KEY_LEN];
    meshping_status status = start(out, binding, true, info, &json, &length, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping_passphrase_tid(out->tid, key);
    if (status == MESHPING_OK)
        status = info_key(one_time, key, binding, out->nonce_a);
    info_ad(ad, out);
    if (status == MESHPING_OK)
        status = meshping__aead_seal(MESHPING__CHACHA20_POLY1305, out->info, out->info + length, INFO_TAG_LEN, one_time,
                                     NULL, ad, sizeof ad, (const uint8_t *)json, length);
    out->info_length = length + INFO_TAG_LEN;
    OPENSSL_cleanse(one_time, sizeof one_time);
    meshping_free(json);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "cannot encrypt the handshake");
    return sign(out, binding, seed, err);
}

meshping_status meshping_handshake_resume(meshping_handshake *out, const meshping_binding *binding,
                                          const uint8_t seed[MESHPING_KEY_LEN], const uint8_t *ticket,
                                          const meshping_agent_info *info, meshping_error *err)
{
    char *json = NULL;
    size_t length = 0;
    meshping_status status = start(out, binding, false, info, &json, &length, err);
    if (status != MESHPING_OK)
        return status;
    if (ticket) {
        memcpy(out->ticket, ticket, MESHPING_TICKET_LEN);
        out->ticket_length = MESHPING_TICKET_LEN;
    }
    memcpy(out->info, json, length);
    out->info_length = length;
    meshping_free(json);
    return sign(out, binding, seed, err);
}

meshping_status meshping_handshake_open(meshping_agent_info *out, const meshping_handshake *handshake,
                                        const meshping_binding *binding, const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN],
                                        meshping_error *err)
{
    meshping__bytes data = {0};
    uint8_t plain[MESHPING_INFO_MAX], one_time[32], ad[MESHPING_TID_LEN + MESHPING_KEY_LEN];
    size_t length = handshake->info_length;
    if (meshping_identity_check(handshake->public_key) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_CRYPTO, "the agent's key is of small order");
    meshping_status status = transcript(&data, handshake, binding);
    if (status == MESHPING_OK)
        status = meshping__ed25519_verify(handshake->signature, handshake->public_key, data.data, data.length);
    meshping__bytes_dispose(&data);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "the signature does not fit the agent's key and this connection");
    if (!handshake->enrol)
        return meshping__info_decode(out, (const char *)handshake->info, length, err);
    if (!key || length < INFO_TAG_LEN)
        return meshping_error_set(err, MESHPING_CRYPTO, "the encrypted part is too short");
    length -= INFO_TAG_LEN;
    info_ad(ad, handshake);
    status = info_key(one_time, key, binding, handshake->nonce_a);
    if (status == MESHPING_OK)
        status = meshping__aead_open(MESHPING__CHACHA20_POLY1305, plain, one_time, NULL, ad, sizeof ad, handshake->info,
                                     length, handshake->info + length, INFO_TAG_LEN);
    OPENSSL_cleanse(one_time, sizeof one_time);
    if (status != MESHPING_OK)
        return meshping_error_set(err, MESHPING_CRYPTO, "the passphrase's key does not open what the agent sent");
    return meshping__info_decode(out, (const char *)plain, length, err);
}

/* ---- another key ---- */

/* What both keys sign. NOMEM. */
static meshping_status rekey_transcript(meshping__bytes *out, const meshping_binding *binding,
                                        const uint8_t nonce[MESHPING_NONCE_LEN],
                                        const uint8_t old_key[MESHPING_KEY_LEN],
                                        const uint8_t new_key[MESHPING_KEY_LEN])
{
    static const char label[] = "meshping/1 rekey";
    put_field(out, label, sizeof label - 1);
    put_connection(out, binding);
    put_field(out, nonce, MESHPING_NONCE_LEN);
    put_field(out, old_key, MESHPING_KEY_LEN);
    put_field(out, new_key, MESHPING_KEY_LEN);
    return out->failed ? MESHPING_NOMEM : MESHPING_OK;
}

meshping_status meshping_rekey_make(meshping_rekey *out, const meshping_binding *binding,
                                    const uint8_t nonce[MESHPING_NONCE_LEN], const uint8_t old_seed[MESHPING_KEY_LEN],
                                    const uint8_t new_seed[MESHPING_KEY_LEN], meshping_error *err)
{
    uint8_t old_key[MESHPING_KEY_LEN];
    meshping__bytes data = {0};
    memset(out, 0, sizeof *out);
    meshping_status status = meshping_identity_public(old_key, old_seed);
    if (status == MESHPING_OK)
        status = meshping_identity_public(out->public_key, new_seed);
    if (status == MESHPING_OK)
        status = rekey_transcript(&data, binding, nonce, old_key, out->public_key);
    if (status == MESHPING_OK)
        status = meshping__ed25519_sign(out->old_signature, old_seed, data.data, data.length);
    if (status == MESHPING_OK)
        status = meshping__ed25519_sign(out->new_signature, new_seed, data.data, data.length);
    meshping__bytes_dispose(&data);
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "cannot sign for the new key");
}

meshping_status meshping_rekey_check(const meshping_rekey *rekey, const meshping_binding *binding,
                                     const uint8_t nonce[MESHPING_NONCE_LEN], const uint8_t old_key[MESHPING_KEY_LEN],
                                     meshping_error *err)
{
    meshping__bytes data = {0};
    if (memcmp(rekey->public_key, old_key, MESHPING_KEY_LEN) == 0)
        return meshping_error_set(err, MESHPING_CRYPTO, "the new key is the old one");
    if (meshping_identity_check(rekey->public_key) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_CRYPTO, "the new key is of small order");
    meshping_status status = rekey_transcript(&data, binding, nonce, old_key, rekey->public_key);
    if (status != MESHPING_OK)
        meshping_error_set(err, status, "out of memory");
    else if (meshping__ed25519_verify(rekey->old_signature, old_key, data.data, data.length) != MESHPING_OK)
        status = meshping_error_set(err, MESHPING_CRYPTO, "the old key's signature does not fit this request");
    else if (meshping__ed25519_verify(rekey->new_signature, rekey->public_key, data.data, data.length) != MESHPING_OK)
        status = meshping_error_set(err, MESHPING_CRYPTO, "the new key's signature does not fit this request");
    meshping__bytes_dispose(&data);
    return status;
}
