/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Browsers in which a user has signed in before: what they try for him is counted apart, so that nobody who guesses at
 * his name keeps him out (OWASP's "device cookies"). The cookie is no way in: it says whose tries these are, in a form
 * that only this server can make.
 */
#include "common/hex.h"
#include "meshpingd/auth.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <string.h>

#define LABEL "meshping known browser"
#define MAC_LEN 32
#define DAY_MS INT64_C(86400000)

/* "ID TIME MAC", 16, 16 and 64 hex digits without the spaces. */
static bool make(char text[HTTP_KNOWN_MAX], const server *s, uint64_t user_id, int64_t issued_ms)
{
    char said[sizeof LABEL + 32];
    uint8_t mac[MAC_LEN];
    unsigned length = 0;
    int said_length = snprintf(said, sizeof said, LABEL "%016" PRIx64 "%016" PRIx64, user_id, (uint64_t)issued_ms);
    if (!HMAC(EVP_sha256(), s->seal_key, sizeof s->seal_key, (const uint8_t *)said, (size_t)said_length, mac, &length))
        return false;
    hex_put(text + sprintf(text, "%s", said + strlen(LABEL)), mac, sizeof mac);
    return true;
}

bool auth_known_user(const http_exchange *x, uint64_t *user_id)
{
    char wanted[HTTP_KNOWN_MAX];
    uint64_t issued_ms;
    int64_t now_ms = server_unix_ms();
    return strlen(x->known) == sizeof x->known - 1 &&
           sscanf(x->known, "%16" SCNx64 "%16" SCNx64, user_id, &issued_ms) == 2 && issued_ms <= (uint64_t)now_ms &&
           now_ms - (int64_t)issued_ms < AUTH_KNOWN_DAYS * DAY_MS &&
           make(wanted, x->server, *user_id, (int64_t)issued_ms) && CRYPTO_memcmp(wanted, x->known, sizeof wanted) == 0;
}

void auth_known_give(http_exchange *x, uint64_t user_id)
{
    char text[HTTP_KNOWN_MAX];
    if (make(text, x->server, user_id, server_unix_ms()))
        http_header(x, "Set-Cookie", AUTH_KNOWN_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%lld",
                    text, (long long)(AUTH_KNOWN_DAYS * DAY_MS / 1000));
}
