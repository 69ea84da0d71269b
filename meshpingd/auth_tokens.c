/* SPDX-License-Identifier: Apache-2.0 */
/* What clients hold (cookies, API tokens, one-time links), and whom it names. The store has hashes only. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>
#include <strings.h>

#define TOKEN_BYTES 32

bool auth_token_make(char *text)
{
    uint8_t random[TOKEN_BYTES];
    char base64[4 * ((TOKEN_BYTES + 2) / 3) + 1];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)base64, random, sizeof random);
    for (size_t i = 0; i < AUTH_TOKEN_TEXT_LEN; i++)
        text[i] = base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i];
    text[AUTH_TOKEN_TEXT_LEN] = 0;
    OPENSSL_cleanse(random, sizeof random);
    OPENSSL_cleanse(base64, sizeof base64);
    return true;
}

bool auth_token_hash(uint8_t hash[MESHPING_TOKEN_HASH_LEN], const char *text)
{
    return EVP_Digest(text, strlen(text), hash, NULL, EVP_sha256(), NULL) == 1;
}

/* Looked up each time: a token that is revoked, or whose user is, ends at once. */
static bool identify_token(server *s, const char *text, http_identity *out)
{
    meshping_token_record token;
    meshping_user_record user;
    meshping_error err;
    uint8_t hash[MESHPING_TOKEN_HASH_LEN];
    int64_t now_ms = server_unix_ms();
    size_t prefix = strlen(AUTH_TOKEN_PREFIX);
    if (strncmp(text, AUTH_TOKEN_PREFIX, prefix) != 0 || strlen(text) != prefix + AUTH_TOKEN_TEXT_LEN ||
        !auth_token_hash(hash, text) || meshping_store_token(s->store, hash, &token, NULL) != MESHPING_OK ||
        token.expires_ms <= now_ms || meshping_store_user_by_id(s->store, token.user_id, &user, NULL) != MESHPING_OK ||
        user.disabled)
        return false;
    if (now_ms - token.used_ms >= AUTH_SAVE_MS &&
        meshping_store_token_used(s->store, token.id, now_ms, &err) != MESHPING_OK)
        log_warning("http", "a token's last use was not saved: %s", err.message);
    *out = (http_identity){.present = true,
                           .is_token = true,
                           .user_id = user.id,
                           .role = token.role < user.role ? token.role : user.role,
                           .expires_ms = token.expires_ms};
    http_text_copy(out->user, sizeof out->user, user.name);
    http_text_copy(out->token_name, sizeof out->token_name, token.name);
    memcpy(out->token_hash, hash, sizeof out->token_hash);
    return true;
}

bool auth_identify(server *s, const char *authorization, const char *session_token, http_identity *out)
{
    *out = (http_identity){0};
    const char *token = http_bearer(authorization);
    if (token)
        return identify_token(s, token, out);
    const auth_session *session = auth_session_find(s->http, session_token);
    if (!session)
        return false;
    *out = (http_identity){.present = true,
                           .user_id = session->record.user_id,
                           .role = session->role,
                           .confirmed_ms = session->record.confirmed_ms};
    http_text_copy(out->user, sizeof out->user, session->user);
    http_text_copy(out->csrf, sizeof out->csrf, session->record.csrf);
    memcpy(out->token_hash, session->record.token_hash, sizeof out->token_hash);
    return true;
}
