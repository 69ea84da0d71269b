/* SPDX-License-Identifier: Apache-2.0 */
/* The passphrase: docs/PROTOCOL.md, Passphrase. Base 32 as Douglas Crockford describes it. */
#include "core/passphrase.h"

#include "base/bytes.h"
#include "core/crypto.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define PREFIX "MP1"
#define FORMAT 1
#define GROUP 6
#define TAG_LEN 5
#define HEAD_LEN (1 + MESHPING_PASSPHRASE_KEY_LEN)
#define BODY_MAX (2 + MESHPING_HOST_MAX + 2 + MESHPING_PIN_LEN)
#define RAW_MAX (HEAD_LEN + BODY_MAX + TAG_LEN)
#define CODE_MAX ((RAW_MAX * 8 + 4) / 5)
#define TYPE_DNS 1
#define TYPE_IPV4 4
#define TYPE_IPV6 6

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static int digit_of(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'I' || c == 'L')
        return 1;
    if (c == 'O')
        return 0;
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static meshping_status seal_key(uint8_t out[32], const uint8_t *key)
{
    return meshping__hkdf(out, key, MESHPING_PASSPHRASE_KEY_LEN, NULL, 0, "meshping/1 addr");
}

meshping_status meshping_passphrase_tid(uint8_t tid[MESHPING_TID_LEN], const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN])
{
    uint8_t full[32];
    meshping_status status = meshping__hkdf(full, key, MESHPING_PASSPHRASE_KEY_LEN, NULL, 0, "meshping/1 tid");
    if (status == MESHPING_OK)
        memcpy(tid, full, MESHPING_TID_LEN);
    OPENSSL_cleanse(full, sizeof full);
    return status;
}

/* type | address | port | pin; returns its length */
static size_t body_encode(uint8_t *body, const meshping_passphrase *passphrase, const char *host)
{
    meshping_address address;
    size_t n = 0;
    if (meshping_address_parse(&address, host, NULL) == MESHPING_OK) {
        size_t length = address.family == MESHPING_FAMILY_IPV4 ? 4 : 16;
        body[n++] = address.family == MESHPING_FAMILY_IPV4 ? TYPE_IPV4 : TYPE_IPV6;
        memcpy(body + n, address.bytes, length);
        n += length;
    } else {
        size_t length = strlen(host);
        body[n++] = TYPE_DNS;
        body[n++] = (uint8_t)length;
        memcpy(body + n, host, length);
        n += length;
    }
    body[n++] = (uint8_t)(passphrase->port >> 8);
    body[n++] = (uint8_t)passphrase->port;
    memcpy(body + n, passphrase->pin, MESHPING_PIN_LEN);
    return n + MESHPING_PIN_LEN;
}

meshping_status meshping_passphrase_encode(char *text, const meshping_passphrase *passphrase, meshping_error *err)
{
    char host[MESHPING_HOST_MAX];
    uint8_t raw[RAW_MAX], body[BODY_MAX], key[32];
    text[0] = '\0';
    meshping_status status = meshping_host_canonical(host, passphrase->host, err);
    if (status != MESHPING_OK)
        return status;
    if (strchr(host, '%'))
        return meshping_error_set(err, MESHPING_INVALID, "%s: an address with a zone is good on one host only", host);
    if (!passphrase->port)
        return meshping_error_set(err, MESHPING_INVALID, "the server's port must not be 0");
    size_t body_length = body_encode(body, passphrase, host);
    raw[0] = FORMAT << 4;
    memcpy(raw + 1, passphrase->key, MESHPING_PASSPHRASE_KEY_LEN);
    status = seal_key(key, passphrase->key);
    if (status == MESHPING_OK)
        status = meshping__aead_seal(MESHPING__CHACHA20_POLY1305, raw + HEAD_LEN, raw + HEAD_LEN + body_length, TAG_LEN,
                                     key, NULL, raw, 1, body, body_length);
    OPENSSL_cleanse(key, sizeof key);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "cannot make a passphrase: OpenSSL failed");

    size_t length = HEAD_LEN + body_length + TAG_LEN;
    char *at = text + sprintf(text, PREFIX);
    uint32_t bits = 0;
    unsigned have = 0, written = 0;
    for (size_t i = 0; i < length || have > 0;) {
        if (have < 5 && i < length) {
            bits = (bits << 8) | raw[i++];
            have += 8;
            continue;
        }
        uint32_t digit = have >= 5 ? bits >> (have - 5) : bits << (5 - have);
        have = have >= 5 ? have - 5 : 0;
        bits &= (1u << have) - 1;
        if (written++ % GROUP == 0)
            *at++ = '-';
        *at++ = alphabet[digit & 31];
    }
    *at = '\0';
    OPENSSL_cleanse(raw, sizeof raw);
    return MESHPING_OK;
}

/* A host name, in the one form in which meshping_passphrase_encode writes it, and no address. */
static bool is_canonical_name(const char *name)
{
    char canonical[MESHPING_HOST_MAX];
    meshping_address address;
    return meshping_host_canonical(canonical, name, NULL) == MESHPING_OK && strcmp(canonical, name) == 0 &&
           !strchr(name, '%') && meshping_address_parse(&address, name, NULL) != MESHPING_OK;
}

static bool body_decode(meshping_passphrase *out, const uint8_t *body, size_t length)
{
    meshping__reader reader = meshping__reader_of(body, length);
    uint8_t type = meshping__read_u8(&reader);
    size_t address_length = type == TYPE_IPV4 ? 4 : type == TYPE_IPV6 ? 16 : 0;
    if (type == TYPE_DNS)
        address_length = meshping__read_u8(&reader);
    const uint8_t *address = meshping__read(&reader, address_length);
    const uint8_t *port = meshping__read(&reader, 2);
    const uint8_t *pin = meshping__read(&reader, MESHPING_PIN_LEN);
    if (reader.failed || reader.at != reader.end || address_length == 0)
        return false;
    if (type == TYPE_DNS) {
        char name[MESHPING_HOST_MAX] = {0};
        if (address_length >= sizeof name || memchr(address, 0, address_length))
            return false;
        memcpy(name, address, address_length);
        if (!is_canonical_name(name))
            return false;
        memcpy(out->host, name, sizeof name);
    } else {
        meshping_address parsed = {.family = type}, again;
        memcpy(parsed.bytes, address, address_length);
        meshping_address_format(&parsed, out->host);
        /* an IPv4-mapped address is to be written as IPv4 */
        if (meshping_address_parse(&again, out->host, NULL) != MESHPING_OK || again.family != type)
            return false;
    }
    out->port = (uint16_t)(port[0] << 8 | port[1]);
    memcpy(out->pin, pin, MESHPING_PIN_LEN);
    return out->port != 0;
}

/* The last key and what was derived from it: most of a typo search leaves the key as it is. Zero is empty. */
typedef struct derived_key {
    bool filled;
    uint8_t from[MESHPING_PASSPHRASE_KEY_LEN];
    uint8_t key[32];
} derived_key;

static bool derive(derived_key *cache, const uint8_t *from)
{
    if (cache->filled && memcmp(cache->from, from, sizeof cache->from) == 0)
        return true;
    memcpy(cache->from, from, sizeof cache->from);
    cache->filled = seal_key(cache->key, from) == MESHPING_OK;
    return cache->filled;
}

static bool raw_decode(meshping_passphrase *out, const uint8_t *raw, size_t length, derived_key *cache)
{
    uint8_t body[BODY_MAX];
    if (length < HEAD_LEN + 1 + TAG_LEN || length > sizeof body + HEAD_LEN + TAG_LEN || raw[0] != FORMAT << 4)
        return false;
    size_t body_length = length - HEAD_LEN - TAG_LEN;
    memset(out, 0, sizeof *out);
    memcpy(out->key, raw + 1, MESHPING_PASSPHRASE_KEY_LEN);
    bool good = derive(cache, out->key) &&
                meshping__aead_open(MESHPING__CHACHA20_POLY1305, body, cache->key, NULL, raw, 1, raw + HEAD_LEN,
                                    body_length, raw + HEAD_LEN + body_length, TAG_LEN) == MESHPING_OK &&
                body_decode(out, body, body_length);
    if (!good)
        OPENSSL_cleanse(out, sizeof *out);
    return good;
}

bool meshping__passphrase_open(meshping_passphrase *out, const uint8_t *raw, size_t length)
{
    derived_key cache = {0};
    bool good = raw_decode(out, raw, length, &cache);
    OPENSSL_cleanse(&cache, sizeof cache);
    return good;
}

/* Digits to a passphrase; false when they are none, for whatever reason. */
static bool digits_decode(meshping_passphrase *out, const uint8_t *digits, size_t count, derived_key *cache)
{
    uint8_t raw[RAW_MAX];
    size_t length = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < count; i++) {
        bits = (bits << 5) | digits[i];
        have += 5;
        if (have >= 8) {
            if (length == sizeof raw)
                return false;
            have -= 8;
            raw[length++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    bool good = bits == 0 && have < 5 && raw_decode(out, raw, length, cache);
    OPENSSL_cleanse(raw, sizeof raw);
    return good;
}

/* Which digit is wrong: one that was changed, or the first of two swapped neighbours; SIZE_MAX: more than that. */
static size_t find_typo(uint8_t *digits, size_t count, bool *swapped)
{
    meshping_passphrase found;
    derived_key cache = {0};
    size_t at = SIZE_MAX;
    for (size_t i = 0; i + 1 < count && at == SIZE_MAX; i++) {
        uint8_t first = digits[i];
        digits[i] = digits[i + 1];
        digits[i + 1] = first;
        if (digits[i] != digits[i + 1] && digits_decode(&found, digits, count, &cache)) {
            *swapped = true;
            at = i;
        }
        digits[i + 1] = digits[i];
        digits[i] = first;
    }
    for (size_t i = 0; i < count && at == SIZE_MAX; i++) {
        uint8_t kept = digits[i];
        for (uint8_t other = 0; other < 32 && at == SIZE_MAX; other++) {
            digits[i] = other;
            if (other != kept && digits_decode(&found, digits, count, &cache)) {
                *swapped = false;
                at = i;
            }
        }
        digits[i] = kept;
    }
    OPENSSL_cleanse(&found, sizeof found);
    OPENSSL_cleanse(&cache, sizeof cache);
    return at;
}

/*
 * Groups as they were typed, to name the one of a wrong length. Returns its number from 1; 0: none stands out, or the
 * text has no groups.
 */
static size_t odd_group(const char *text)
{
    size_t group = 0, length = 0, odd = 0;
    bool last_short = false;
    for (;; text++) {
        if (digit_of(*text) >= 0) {
            length++;
            continue;
        }
        if (length) {
            group++;
            if (last_short && !odd)
                odd = group - 1; /* only the last group may be short */
            last_short = length < GROUP;
            if (length > GROUP && !odd)
                odd = group;
            length = 0;
        }
        if (!*text)
            return group > 1 ? odd : 0;
    }
}

meshping_status meshping_passphrase_decode(meshping_passphrase *out, const char *text, meshping_error *err)
{
    uint8_t digits[CODE_MAX + 1] = {0};
    derived_key cache = {0};
    size_t count = 0;
    bool swapped = false;
    while (*text == ' ' || *text == '\t' || *text == '\n' || *text == '\r')
        text++;
    if ((text[0] != 'M' && text[0] != 'm') || (text[1] != 'P' && text[1] != 'p') || digit_of(text[2]) < 0)
        return meshping_error_set(err, MESHPING_INVALID, "not a Meshping passphrase: it starts with %s-", PREFIX);
    if (digit_of(text[2]) != 1)
        return meshping_error_set(err, MESHPING_INVALID, "this passphrase is of a newer format; update this agent");
    text += 3;
    for (const char *at = text; *at; at++) {
        if (*at == '-' || *at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')
            continue;
        int digit = digit_of(*at);
        if (digit < 0)
            return meshping_error_set(err, MESHPING_INVALID,
                                      "the passphrase has a character that none has, in group %zu", count / GROUP + 1);
        if (count >= CODE_MAX)
            return meshping_error_set(err, MESHPING_INVALID, "the passphrase is too long");
        digits[count++] = (uint8_t)digit;
    }
    bool good = digits_decode(out, digits, count, &cache);
    OPENSSL_cleanse(&cache, sizeof cache);
    if (good) {
        OPENSSL_cleanse(digits, sizeof digits);
        return MESHPING_OK;
    }
    /* first the typo: where it is does not depend on how the text was typed in groups, or whether at all */
    size_t typo = find_typo(digits, count, &swapped);
    size_t group = typo == SIZE_MAX ? odd_group(text) : 0;
    OPENSSL_cleanse(digits, sizeof digits);
    if (group)
        return meshping_error_set(err, MESHPING_INVALID, "group %zu of the passphrase does not have %d characters",
                                  group, GROUP);
    if (typo == SIZE_MAX)
        return meshping_error_set(err, MESHPING_INVALID,
                                  "the passphrase is mistyped in more than one place, or cut short: type it anew");
    if (swapped)
        return meshping_error_set(err, MESHPING_INVALID, "two neighbouring characters are swapped in group %zu",
                                  typo / GROUP + 1);
    return meshping_error_set(err, MESHPING_INVALID, "group %zu of the passphrase has a wrong character",
                              typo / GROUP + 1);
}
