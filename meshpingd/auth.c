/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, throttles and the set-up code. Passwords are in auth_password.c. */
#include "meshpingd/auth.h"

#include "common/log.h"
#include "meshpingd/http_text.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOKEN_BYTES 32
#define TOKEN_TEXT_LEN 43 /* base64url of 32 bytes */

/* ---- sessions ---- */

/* 256 random bits as base64url into text[TOKEN_TEXT_LEN + 1]. */
static bool make_token(char *text)
{
    uint8_t random[TOKEN_BYTES];
    char base64[4 * ((TOKEN_BYTES + 2) / 3) + 1];
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    EVP_EncodeBlock((unsigned char *)base64, random, sizeof random);
    for (size_t i = 0; i < TOKEN_TEXT_LEN; i++)
        text[i] = base64[i] == '+' ? '-' : base64[i] == '/' ? '_' : base64[i];
    text[TOKEN_TEXT_LEN] = 0;
    OPENSSL_cleanse(random, sizeof random);
    OPENSSL_cleanse(base64, sizeof base64);
    return true;
}

static bool hash_token(uint8_t hash[32], const char *token)
{
    return EVP_Digest(token, strlen(token), hash, NULL, EVP_sha256(), NULL) == 1;
}

static bool has_ended(const struct http_state *state, int64_t created_ms, int64_t last_used_ms, int64_t now_ms)
{
    const server_config *config = &state->server->config;
    return now_ms - created_ms >= config->session_hours * INT64_C(3600000) ||
           now_ms - last_used_ms >= config->session_idle_hours * INT64_C(3600000);
}

/* By the hash: what a guesser learns from the time of the comparison is about a hash that he cannot choose. */
static auth_session *find_by_hash(struct http_state *state, const uint8_t hash[32])
{
    for (size_t i = 0; i < state->session_count; i++)
        if (memcmp(state->sessions[i].token_hash, hash, 32) == 0)
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
    meshping_web_session_record record = {
        .user_id = session->user_id, .created_ms = session->created_ms, .last_used_ms = session->last_used_ms};
    memcpy(record.token_hash, session->token_hash, sizeof record.token_hash);
    http_text_copy(record.csrf, sizeof record.csrf, session->csrf);
    if (meshping_store_web_session_save(state->server->store, &record, &err) != MESHPING_OK)
        log_warning("http", "a session's last use was not saved: %s", err.message);
    session->saved_ms = session->last_used_ms;
}

static auth_session *remember(struct http_state *state, const meshping_web_session_record *record,
                              const meshping_user_record *user)
{
    if (state->session_count == AUTH_SESSIONS_MAX) {
        auth_session *oldest = &state->sessions[0];
        for (size_t i = 1; i < state->session_count; i++)
            if (state->sessions[i].last_used_ms < oldest->last_used_ms)
                oldest = &state->sessions[i];
        if (oldest->last_used_ms != oldest->saved_ms)
            save(state, oldest);
        forget(state, oldest);
    }
    auth_session *session = &state->sessions[state->session_count++];
    *session = (auth_session){.user_id = record->user_id,
                              .created_ms = record->created_ms,
                              .last_used_ms = record->last_used_ms,
                              .saved_ms = record->last_used_ms};
    memcpy(session->token_hash, record->token_hash, sizeof session->token_hash);
    http_text_copy(session->csrf, sizeof session->csrf, record->csrf);
    http_text_copy(session->user, sizeof session->user, user->name);
    http_text_copy(session->role, sizeof session->role, user->role);
    return session;
}

static auth_session *load(struct http_state *state, const uint8_t hash[32])
{
    meshping_web_session_record record;
    meshping_user_record user;
    auth_session *session = find_by_hash(state, hash);
    if (session)
        return session;
    if (meshping_store_web_session(state->server->store, hash, &record, NULL) != MESHPING_OK ||
        meshping_store_user_by_id(state->server->store, record.user_id, &user, NULL) != MESHPING_OK)
        return NULL;
    return remember(state, &record, &user);
}

static void end(struct http_state *state, auth_session *session)
{
    meshping_error err;
    uint8_t hash[32];
    memcpy(hash, session->token_hash, sizeof hash);
    forget(state, session);
    if (meshping_store_web_session_delete(state->server->store, hash, &err) != MESHPING_OK &&
        err.status != MESHPING_NOT_FOUND)
        log_error("http", "an ended session was not deleted: %s", err.message);
    live_ws_session_ended(state, hash);
}

auth_session *auth_session_find(struct http_state *state, const char *token)
{
    uint8_t hash[32];
    int64_t now_ms = server_unix_ms();
    if (strlen(token) != TOKEN_TEXT_LEN || !hash_token(hash, token))
        return NULL;
    auth_session *session = load(state, hash);
    if (!session)
        return NULL;
    if (has_ended(state, session->created_ms, session->last_used_ms, now_ms)) {
        end(state, session);
        return NULL;
    }
    session->last_used_ms = now_ms;
    if (now_ms - session->saved_ms >= AUTH_SAVE_MS)
        save(state, session);
    return session;
}

bool auth_session_alive(struct http_state *state, const uint8_t token_hash[32])
{
    const auth_session *session = load(state, token_hash);
    return session && !has_ended(state, session->created_ms, session->last_used_ms, server_unix_ms());
}

meshping_status auth_session_begin(http_exchange *x, const meshping_user_record *user, meshping_error *err)
{
    struct http_state *state = x->server->http;
    char token[TOKEN_TEXT_LEN + 1];
    meshping_web_session_record record = {.user_id = user->id, .created_ms = server_unix_ms()};
    record.last_used_ms = record.created_ms;
    if (!make_token(token) || !make_token(record.csrf) || !hash_token(record.token_hash, token))
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers");
    meshping_status status = meshping_store_web_session_save(x->server->store, &record, err);
    if (status != MESHPING_OK)
        return status;
    if (x->identity.present) {
        auth_session *earlier = find_by_hash(state, x->identity.token_hash);
        if (earlier)
            end(state, earlier);
    }
    const auth_session *session = remember(state, &record, user);
    x->identity.present = true;
    http_text_copy(x->identity.user, sizeof x->identity.user, session->user);
    http_text_copy(x->identity.role, sizeof x->identity.role, session->role);
    http_text_copy(x->identity.csrf, sizeof x->identity.csrf, session->csrf);
    memcpy(x->identity.token_hash, session->token_hash, sizeof x->identity.token_hash);
    http_header(x, "Set-Cookie", AUTH_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict", token);
    OPENSSL_cleanse(token, sizeof token);
    return MESHPING_OK;
}

void auth_session_end(http_exchange *x)
{
    struct http_state *state = x->server->http;
    auth_session *session = find_by_hash(state, x->identity.token_hash);
    if (session)
        end(state, session);
    http_header(x, "Set-Cookie", AUTH_COOKIE "=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
}

/* ---- throttle ---- */

static void address_key(uint8_t key[THROTTLE_KEY_LEN], const http_exchange *x)
{
    /* one household, or one attacker, has a /64 */
    throttle_key(key, "address", x->peer.bytes, x->peer.family == MESHPING_FAMILY_IPV6 ? 8 : 4);
}

int64_t auth_wait_ms(const http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    int64_t now_ms = server_unix_ms(), wait_ms;
    address_key(key, x);
    wait_ms = throttle_wait_ms(&x->server->http->addresses, key, now_ms);
    if (account) {
        throttle_key(key, "account", account, strlen(account));
        int64_t account_ms = throttle_wait_ms(&x->server->http->accounts, key, now_ms);
        if (account_ms > wait_ms)
            wait_ms = account_ms;
    }
    return wait_ms;
}

void auth_try_begin(const http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    address_key(key, x);
    throttle_begin(&x->server->http->addresses, key, server_unix_ms());
    if (account) {
        throttle_key(key, "account", account, strlen(account));
        throttle_begin(&x->server->http->accounts, key, server_unix_ms());
    }
}

void auth_try_failed(const http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    address_key(key, x);
    throttle_failed(&x->server->http->addresses, key, server_unix_ms());
    if (account) {
        throttle_key(key, "account", account, strlen(account));
        throttle_failed(&x->server->http->accounts, key, server_unix_ms());
    }
}

void auth_try_succeeded(const http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    address_key(key, x);
    throttle_succeeded(&x->server->http->addresses, key, false);
    if (account) {
        throttle_key(key, "account", account, strlen(account));
        throttle_succeeded(&x->server->http->accounts, key, true);
    }
}

/* ---- set-up code ---- */

void auth_setup_path(char *path, size_t size, const char *state_dir)
{
    snprintf(path, size, "%s/setup-code", state_dir);
}

/* 100 random bits in Crockford's letters, in groups of five. */
static bool make_setup_code(char code[AUTH_SETUP_CODE_MAX])
{
    static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t random[20];
    size_t at = 0;
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    for (size_t i = 0; i < sizeof random; i++) {
        if (i && i % 5 == 0)
            code[at++] = '-';
        code[at++] = letters[random[i] % 32];
    }
    code[at] = 0;
    return true;
}

static meshping_status write_setup_code(const struct http_state *state, const char *path, meshping_error *err)
{
    char temporary[600], line[AUTH_SETUP_CODE_MAX + 1];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int length = snprintf(line, sizeof line, "%s\n", state->setup_code);
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "%s", temporary);
    bool written = write(fd, line, (size_t)length) == length;
    int error = errno;
    close(fd);
    if (!written || rename(temporary, path) != 0) {
        if (written)
            error = errno;
        unlink(temporary);
        return meshping_error_set_errno(err, MESHPING_IO, error, "%s", path);
    }
    return MESHPING_OK;
}

bool auth_setup_needed(struct http_state *state)
{
    size_t count = 0;
    if (state->setup_needed && meshping_store_user_count(state->server->store, &count, NULL) == MESHPING_OK && count)
        auth_setup_finish(state);
    return state->setup_needed;
}

bool auth_setup_code_matches(const struct http_state *state, const char *code)
{
    char typed[AUTH_SETUP_CODE_MAX], wanted[AUTH_SETUP_CODE_MAX];
    size_t length = 0, wanted_length = 0;
    for (const char *at = state->setup_code; *at; at++)
        if (*at != '-')
            wanted[wanted_length++] = *at;
    wanted[wanted_length] = 0;
    for (const char *at = code; *at && length < sizeof typed - 1; at++) {
        char c = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
        if (c == '-' || c == ' ' || c == '\n' || c == '\r')
            continue;
        typed[length++] = c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c;
    }
    typed[length] = 0;
    return wanted_length > 0 && http_text_equal_constant_time(typed, wanted);
}

void auth_setup_finish(struct http_state *state)
{
    char path[600];
    auth_setup_path(path, sizeof path, state->server->config.state_dir);
    unlink(path);
    state->setup_needed = false;
    OPENSSL_cleanse(state->setup_code, sizeof state->setup_code);
}

static meshping_status begin_setup(struct http_state *state, meshping_error *err)
{
    char path[600];
    size_t count = 0;
    auth_setup_path(path, sizeof path, state->server->config.state_dir);
    meshping_status status = meshping_store_user_count(state->server->store, &count, err);
    if (status != MESHPING_OK)
        return status;
    if (count) {
        unlink(path); /* "admin create" was faster */
        return MESHPING_OK;
    }
    if (!make_setup_code(state->setup_code))
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers");
    status = write_setup_code(state, path, err);
    if (status != MESHPING_OK)
        return status;
    state->setup_needed = true;
    log_info("setup", "there is no administrator yet: open the page and enter the set-up code %s (also in %s)",
             state->setup_code, path);
    return MESHPING_OK;
}

/* ---- start, stop, each second ---- */

meshping_status auth_start(struct http_state *state, meshping_error *err)
{
    state->sessions = calloc(AUTH_SESSIONS_MAX, sizeof *state->sessions);
    if (!state->sessions || throttle_init(&state->accounts, 5, 1000, 30000) != MESHPING_OK ||
        throttle_init(&state->addresses, 10, 1000, 300000) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    return begin_setup(state, err);
}

void auth_stop(struct http_state *state)
{
    for (size_t i = 0; i < state->session_count; i++)
        if (state->sessions[i].last_used_ms != state->sessions[i].saved_ms)
            save(state, &state->sessions[i]);
    while (state->waiting) {
        auth_job *job = state->waiting;
        if (job->exchange)
            auth_job_abandon(job->exchange);
    }
    for (size_t i = 0; i < AUTH_JOBS_RUNNING_MAX; i++)
        if (state->running_jobs[i]) {
            state->running_jobs[i]->state = NULL;
            if (state->running_jobs[i]->exchange)
                state->running_jobs[i]->exchange->job = NULL;
            state->running_jobs[i]->exchange = NULL;
        }
    if (state->sessions)
        OPENSSL_cleanse(state->sessions, AUTH_SESSIONS_MAX * sizeof *state->sessions);
    free(state->sessions);
    state->sessions = NULL;
    throttle_dispose(&state->accounts);
    throttle_dispose(&state->addresses);
    OPENSSL_cleanse(state->setup_code, sizeof state->setup_code);
}

void auth_tick(struct http_state *state)
{
    const server_config *config = &state->server->config;
    int64_t now_ms = server_unix_ms();
    meshping_error err;
    for (size_t i = state->session_count; i-- > 0;)
        if (has_ended(state, state->sessions[i].created_ms, state->sessions[i].last_used_ms, now_ms))
            end(state, &state->sessions[i]);
    if (now_ms < state->next_expiry_ms)
        return;
    state->next_expiry_ms = now_ms + 3600000;
    /* what memory knows better must not be taken for unused */
    for (size_t i = 0; i < state->session_count; i++)
        if (state->sessions[i].last_used_ms != state->sessions[i].saved_ms)
            save(state, &state->sessions[i]);
    if (meshping_store_web_sessions_expire(state->server->store, now_ms - config->session_hours * INT64_C(3600000),
                                           now_ms - config->session_idle_hours * INT64_C(3600000), &err) != MESHPING_OK)
        log_warning("http", "old sessions were not deleted: %s", err.message);
}
