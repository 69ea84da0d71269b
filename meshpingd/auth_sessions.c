/* SPDX-License-Identifier: Apache-2.0 */
/* Web sessions: those in use are in memory, all are in the store. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"

#include <openssl/crypto.h>
#include <string.h>

static bool has_ended(const struct http_state *state, const auth_session *session, int64_t now_ms)
{
    const server_config *config = &state->server->config;
    return now_ms - session->record.created_ms >= config->session_hours * INT64_C(3600000) ||
           now_ms - session->record.last_used_ms >= config->session_idle_hours * INT64_C(3600000);
}

/* By the hash: what a guesser learns from the time of the comparison is about a hash that he cannot choose. */
static auth_session *find_by_hash(struct http_state *state, const uint8_t *hash)
{
    for (size_t i = 0; i < state->session_count; i++)
        if (memcmp(state->sessions[i].record.token_hash, hash, MESHPING_TOKEN_HASH_LEN) == 0)
            return &state->sessions[i];
    return NULL;
}

static void forget(struct http_state *state, auth_session *session)
{
    *session = state->sessions[--state->session_count];
    OPENSSL_cleanse(&state->sessions[state->session_count], sizeof *session);
}

static void save(struct http_state *state, auth_session *session)
{
    meshping_error err;
    const meshping_web_session_record *record = &session->record;
    if (record->last_used_ms == session->saved_ms)
        return;
    if (meshping_store_web_session_used(state->server->store, record->token_hash, record->last_used_ms, &err) !=
        MESHPING_OK)
        log_warning("http", "a session's last use was not saved: %s", err.message);
    session->saved_ms = record->last_used_ms;
}

static auth_session *remember(struct http_state *state, const meshping_web_session_record *record,
                              const meshping_user_record *user)
{
    if (state->session_count == AUTH_SESSIONS_MAX) {
        auth_session *oldest = &state->sessions[0];
        for (size_t i = 1; i < state->session_count; i++)
            if (state->sessions[i].record.last_used_ms < oldest->record.last_used_ms)
                oldest = &state->sessions[i];
        save(state, oldest);
        forget(state, oldest);
    }
    auth_session *session = &state->sessions[state->session_count++];
    *session = (auth_session){.record = *record, .saved_ms = record->last_used_ms, .role = user->role};
    http_text_copy(session->user, sizeof session->user, user->name);
    return session;
}

static auth_session *load(struct http_state *state, const uint8_t *hash)
{
    meshping_web_session_record record;
    meshping_user_record user;
    auth_session *session = find_by_hash(state, hash);
    if (session)
        return session;
    if (meshping_store_web_session(state->server->store, hash, &record, NULL) != MESHPING_OK ||
        meshping_store_user_by_id(state->server->store, record.user_id, &user, NULL) != MESHPING_OK || user.disabled)
        return NULL;
    return remember(state, &record, &user);
}

meshping_status auth_session_end_by_hash(struct http_state *state, const uint8_t hash[MESHPING_TOKEN_HASH_LEN],
                                         meshping_error *err)
{
    uint8_t copy[MESHPING_TOKEN_HASH_LEN]; /* the caller's may be the session's own */
    memcpy(copy, hash, sizeof copy);
    meshping_status status = meshping_store_web_session_delete(state->server->store, copy, err);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND)
        log_error("http", "an ended session was not deleted: %s", err->message);
    auth_session *session = find_by_hash(state, copy);
    if (session && (status == MESHPING_OK || status == MESHPING_NOT_FOUND))
        forget(state, session);
    live_ws_ended(state, copy);
    return status;
}

auth_session *auth_session_find(struct http_state *state, const char *token)
{
    meshping_error err;
    uint8_t hash[MESHPING_TOKEN_HASH_LEN];
    int64_t now_ms = server_unix_ms();
    if (strlen(token) != AUTH_TOKEN_TEXT_LEN || !auth_token_hash(hash, token))
        return NULL;
    auth_session *session = load(state, hash);
    if (!session)
        return NULL;
    if (has_ended(state, session, now_ms)) {
        auth_session_end_by_hash(state, hash, &err);
        return NULL;
    }
    session->record.last_used_ms = now_ms;
    if (now_ms - session->saved_ms >= AUTH_SAVE_MS)
        save(state, session);
    return session;
}

bool auth_session_alive(struct http_state *state, const uint8_t hash[MESHPING_TOKEN_HASH_LEN])
{
    const auth_session *session = load(state, hash);
    return session && !has_ended(state, session, server_unix_ms());
}

/* The new one is in the store already, and the last used. */
static void end_longest_unused(struct http_state *state, uint64_t user_id)
{
    meshping_web_session_record *records = NULL;
    meshping_error err;
    size_t count = 0;
    auth_sessions_save(state);
    if (meshping_store_web_sessions(state->server->store, user_id, &records, &count, NULL) == MESHPING_OK)
        for (size_t i = AUTH_SESSIONS_A_USER; i < count; i++)
            auth_session_end_by_hash(state, records[i].token_hash, &err);
    meshping_free(records);
}

meshping_status auth_session_begin(http_exchange *x, const meshping_user_record *user, meshping_error *err)
{
    struct http_state *state = x->server->http;
    http_identity earlier = x->identity;
    meshping_error ignored;
    char token[AUTH_TOKEN_TEXT_LEN + 1];
    meshping_web_session_record record = {.user_id = user->id, .created_ms = server_unix_ms()};
    record.last_used_ms = record.confirmed_ms = record.created_ms;
    http_peer_text(x, record.address);
    http_text_copy(record.agent, sizeof record.agent, x->user_agent);
    http_text_clean(record.agent);
    if (!auth_token_make(token) || !auth_token_make(record.csrf) || !auth_token_hash(record.token_hash, token))
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers");
    meshping_status status = meshping_store_web_session_save(x->server->store, &record, err);
    if (status != MESHPING_OK)
        return status;
    if (earlier.present && !earlier.is_token)
        auth_session_end_by_hash(state, earlier.token_hash, &ignored);
    end_longest_unused(state, user->id);
    const auth_session *session = remember(state, &record, user);
    x->identity = (http_identity){
        .present = true, .user_id = user->id, .role = session->role, .confirmed_ms = record.confirmed_ms};
    http_text_copy(x->identity.user, sizeof x->identity.user, session->user);
    http_text_copy(x->identity.csrf, sizeof x->identity.csrf, record.csrf);
    memcpy(x->identity.token_hash, record.token_hash, sizeof x->identity.token_hash);
    http_header(x, "Set-Cookie", AUTH_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict", token);
    OPENSSL_cleanse(token, sizeof token);
    return MESHPING_OK;
}

meshping_status auth_session_end(http_exchange *x, meshping_error *err)
{
    meshping_status status = auth_session_end_by_hash(x->server->http, x->identity.token_hash, err);
    if (status == MESHPING_OK || status == MESHPING_NOT_FOUND)
        http_header(x, "Set-Cookie", AUTH_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

void auth_sessions_ended(struct http_state *state, uint64_t user_id, const uint8_t *except)
{
    for (size_t i = state->session_count; i-- > 0;) {
        auth_session *session = &state->sessions[i];
        if (session->record.user_id == user_id &&
            (!except || memcmp(session->record.token_hash, except, MESHPING_TOKEN_HASH_LEN) != 0))
            forget(state, session);
    }
    live_ws_user_ended(state, user_id, except);
}

void auth_sessions_save(struct http_state *state)
{
    for (size_t i = 0; i < state->session_count; i++)
        save(state, &state->sessions[i]);
}

void auth_sessions_tick(struct http_state *state, int64_t now_ms)
{
    meshping_error err;
    for (size_t i = state->session_count; i-- > 0;)
        if (has_ended(state, &state->sessions[i], now_ms))
            auth_session_end_by_hash(state, state->sessions[i].record.token_hash, &err);
}
