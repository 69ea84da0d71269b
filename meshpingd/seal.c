/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/seal.h"

#include <limits.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define NONCE_LEN 12
#define TAG_LEN 16

bool seal_close(uint8_t *out, const uint8_t key[SEAL_KEY_LEN], const void *what, size_t what_length, const void *plain,
                size_t length)
{
    uint8_t *nonce = out, *body = nonce + NONCE_LEN, *tag = body + length;
    int done;
    if (length > INT_MAX || what_length > INT_MAX)
        return false;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx && RAND_bytes(nonce, NONCE_LEN) == 1 &&
                EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
                EVP_EncryptUpdate(ctx, NULL, &done, what, (int)what_length) == 1 &&
                EVP_EncryptUpdate(ctx, body, &done, plain, (int)length) == 1 &&
                EVP_EncryptFinal_ex(ctx, body + done, &done) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return good;
}

bool seal_open(uint8_t *out, const uint8_t key[SEAL_KEY_LEN], const void *what, size_t what_length,
               const uint8_t *sealed, size_t sealed_length)
{
    int done;
    if (sealed_length < SEAL_OVERHEAD || sealed_length > INT_MAX || what_length > INT_MAX)
        return false;
    const uint8_t *nonce = sealed, *body = nonce + NONCE_LEN, *tag = sealed + sealed_length - TAG_LEN;
    int length = (int)(sealed_length - SEAL_OVERHEAD);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good = ctx && EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, (void *)(uintptr_t)tag) == 1 &&
                EVP_DecryptUpdate(ctx, NULL, &done, what, (int)what_length) == 1 &&
                EVP_DecryptUpdate(ctx, out, &done, body, length) == 1 &&
                EVP_DecryptFinal_ex(ctx, out + done, &done) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return good;
}
