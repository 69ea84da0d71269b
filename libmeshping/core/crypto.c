/* SPDX-License-Identifier: Apache-2.0 */
#include "core/crypto.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

meshping_status meshping__hkdf(uint8_t out[32], const uint8_t *key, size_t key_length, const uint8_t *salt,
                               size_t salt_length, const char *info)
{
    size_t info_length = 0;
    while (info[info_length])
        info_length++;
    OSSL_PARAM params[5];
    size_t n = 0;
    params[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)key, key_length);
    params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, info_length);
    if (salt_length)
        params[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, (void *)salt, salt_length);
    params[n] = OSSL_PARAM_construct_end();
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    meshping_status status = ctx && EVP_KDF_derive(ctx, out, 32, params) == 1 ? MESHPING_OK : MESHPING_CRYPTO;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return status;
}

static const EVP_CIPHER *cipher_of(meshping__aead aead)
{
    return aead == MESHPING__AES_256_GCM ? EVP_aes_256_gcm() : EVP_chacha20_poly1305();
}

static const uint8_t zero_nonce[12];

meshping_status meshping__aead_seal(meshping__aead aead, uint8_t *out, uint8_t *tag, size_t tag_length,
                                    const uint8_t key[32], const uint8_t *nonce, const uint8_t *ad, size_t ad_length,
                                    const uint8_t *in, size_t length)
{
    meshping_status status = MESHPING_CRYPTO;
    int done = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_EncryptInit_ex(ctx, cipher_of(aead), NULL, key, nonce ? nonce : zero_nonce) != 1)
        goto out;
    if (ad_length && EVP_EncryptUpdate(ctx, NULL, &done, ad, (int)ad_length) != 1)
        goto out;
    if (EVP_EncryptUpdate(ctx, out, &done, in, (int)length) != 1)
        goto out;
    if (EVP_EncryptFinal_ex(ctx, out + done, &done) != 1)
        goto out;
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)tag_length, tag) != 1)
        goto out;
    status = MESHPING_OK;
out:
    EVP_CIPHER_CTX_free(ctx);
    return status;
}

meshping_status meshping__aead_open(meshping__aead aead, uint8_t *out, const uint8_t key[32], const uint8_t *nonce,
                                    const uint8_t *ad, size_t ad_length, const uint8_t *in, size_t length,
                                    const uint8_t *tag, size_t tag_length)
{
    meshping_status status = MESHPING_CRYPTO;
    int done = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!ctx || EVP_DecryptInit_ex(ctx, cipher_of(aead), NULL, key, nonce ? nonce : zero_nonce) != 1)
        goto out;
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag_length, (void *)tag) != 1)
        goto out;
    if (ad_length && EVP_DecryptUpdate(ctx, NULL, &done, ad, (int)ad_length) != 1)
        goto out;
    if (EVP_DecryptUpdate(ctx, out, &done, in, (int)length) != 1)
        goto out;
    if (EVP_DecryptFinal_ex(ctx, out + done, &done) != 1)
        goto out;
    status = MESHPING_OK;
out:
    EVP_CIPHER_CTX_free(ctx);
    return status;
}

meshping_status meshping__sha256(uint8_t out[32], const uint8_t *data, size_t length)
{
    return EVP_Digest(data, length, out, NULL, EVP_sha256(), NULL) == 1 ? MESHPING_OK : MESHPING_CRYPTO;
}

meshping_status meshping__hmac_sha256(uint8_t out[32], const uint8_t *key, size_t key_length, const uint8_t *data,
                                      size_t length)
{
    unsigned out_length = 32;
    return HMAC(EVP_sha256(), key, (int)key_length, data, length, out, &out_length) ? MESHPING_OK : MESHPING_CRYPTO;
}

meshping_status meshping__ed25519_sign(uint8_t signature[64], const uint8_t seed[32], const uint8_t *data,
                                       size_t length)
{
    size_t signature_length = 64;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    meshping_status status = key && ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
                                     EVP_DigestSign(ctx, signature, &signature_length, data, length) == 1
                                 ? MESHPING_OK
                                 : MESHPING_CRYPTO;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return status;
}

meshping_status meshping__ed25519_verify(const uint8_t signature[64], const uint8_t public_key[32], const uint8_t *data,
                                         size_t length)
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, 32);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    meshping_status status = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
                                     EVP_DigestVerify(ctx, signature, 64, data, length) == 1
                                 ? MESHPING_OK
                                 : MESHPING_CRYPTO;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return status;
}
