/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/password.h"

#include "common/hex.h"
#include "meshpingd/http_text.h"
#include "meshpingd/looks.h"
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#define SCRYPT_R 8
#define SCRYPT_P 1

static size_t count_characters(const char *text, size_t length)
{
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

meshping_status password_check(const char *password, size_t length, const char *user_name, meshping_error *err)
{
    if (strlen(password) != length || !http_text_is_utf8(password))
        return meshping_error_set(err, MESHPING_INVALID, "the password must be UTF-8 text");
    size_t characters = count_characters(password, length);
    if (characters < PASSWORD_CHARS_MIN)
        return meshping_error_set(err, MESHPING_INVALID,
                                  "the password has %zu characters, it needs at least %d: take a few words", characters,
                                  PASSWORD_CHARS_MIN);
    if (characters > PASSWORD_CHARS_MAX || length > PASSWORD_BYTES_MAX)
        return meshping_error_set(err, MESHPING_INVALID, "the password has %zu characters, at most %d are allowed",
                                  characters, PASSWORD_CHARS_MAX);
    if (password_is_common(password, length, user_name))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "the password is one of those that are tried first (common words, names, keys in a "
                                  "row): add a few words that do not belong together");
    return MESHPING_OK;
}

meshping_status password_refuse_breached(meshping_error *err)
{
    return meshping_error_set(err, MESHPING_INVALID,
                              "the password was found in a list of breached passwords: choose another one");
}

meshping_status password_check_name(const char *name, size_t length, meshping_error *err)
{
    if (length == 0 || length > 64)
        return meshping_error_set(err, MESHPING_INVALID, "the user's name must have 1 to 64 bytes, not %zu", length);
    if (strlen(name) != length || !http_text_is_utf8(name))
        return meshping_error_set(err, MESHPING_INVALID, "the user's name must be UTF-8 text");
    if (!looks_whole(name))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "the user's name holds a control character, or another one that is not seen");
    if (name[0] == ' ' || name[length - 1] == ' ' || strstr(name, "  "))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "the user's name starts or ends with a space, or has two in a row");
    return MESHPING_OK;
}

static bool derive(uint8_t hash[PASSWORD_HASH_LEN], const char *password, size_t length, uint64_t n,
                   const uint8_t salt[PASSWORD_SALT_LEN])
{
    /* 128 * N * r of scratch, and some for OpenSSL's own bookkeeping (its default of 32 MiB refuses N = 2^17) */
    uint64_t memory_max = 128 * n * SCRYPT_R + (UINT64_C(1) << 20);
    return EVP_PBE_scrypt(password, length, salt, PASSWORD_SALT_LEN, n, SCRYPT_R, SCRYPT_P, memory_max, hash,
                          PASSWORD_HASH_LEN) == 1;
}

meshping_status password_encode(char *text, const char *password, size_t length, uint64_t n,
                                const uint8_t salt[PASSWORD_SALT_LEN], meshping_error *err)
{
    uint8_t hash[PASSWORD_HASH_LEN];
    if (!derive(hash, password, length, n, salt))
        return meshping_error_set(err, MESHPING_CRYPTO, "the password could not be hashed (scrypt needs 128 MiB)");
    char *at = text + sprintf(text, "scrypt$%" PRIu64 "$%d$%d$", n, SCRYPT_R, SCRYPT_P);
    hex_put(at, salt, PASSWORD_SALT_LEN);
    at[2 * PASSWORD_SALT_LEN] = '$';
    hex_put(at + 2 * PASSWORD_SALT_LEN + 1, hash, PASSWORD_HASH_LEN);
    OPENSSL_cleanse(hash, sizeof hash);
    return MESHPING_OK;
}

meshping_status password_verify(bool *matches, const char *text, const char *password, size_t length,
                                meshping_error *err)
{
    uint8_t salt[PASSWORD_SALT_LEN] = {0}, wanted[PASSWORD_HASH_LEN] = {0}, hash[PASSWORD_HASH_LEN];
    uint64_t n = PASSWORD_SCRYPT_N;
    *matches = false;
    if (text) {
        uint64_t r = 0, p = 0;
        int end = 0;
        size_t hex = 2 * (PASSWORD_SALT_LEN + PASSWORD_HASH_LEN) + 1;
        if (sscanf(text, "scrypt$%" SCNu64 "$%" SCNu64 "$%" SCNu64 "$%n", &n, &r, &p, &end) != 3 || end == 0 ||
            r != SCRYPT_R || p != SCRYPT_P || n < 2 || n > 2 * PASSWORD_SCRYPT_N || (n & (n - 1)) != 0 ||
            strlen(text + end) != hex || text[end + 2 * PASSWORD_SALT_LEN] != '$' ||
            !hex_get(salt, PASSWORD_SALT_LEN, text + end) ||
            !hex_get(wanted, PASSWORD_HASH_LEN, text + end + 2 * PASSWORD_SALT_LEN + 1))
            return meshping_error_set(err, MESHPING_CORRUPT, "the stored password is damaged");
    }
    if (!derive(hash, password, length, n, salt))
        return meshping_error_set(err, MESHPING_CRYPTO, "the password could not be checked (scrypt needs 128 MiB)");
    *matches = CRYPTO_memcmp(hash, wanted, sizeof hash) == 0 && text != NULL;
    OPENSSL_cleanse(hash, sizeof hash);
    return MESHPING_OK;
}
