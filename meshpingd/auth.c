/* SPDX-License-Identifier: Apache-2.0 */
/* Throttles, the set-up code, and what is done each second. Sessions and passwords have files of their own. */
#include "meshpingd/auth.h"

#include "common/log.h"
#include "meshpingd/http_text.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AUDIT_EXPIRE 10000 /* rows, each hour */

/* ---- throttle ---- */

static void address_key(uint8_t key[THROTTLE_KEY_LEN], const http_exchange *x)
{
    /* one household, or one attacker, has a /64 */
    throttle_key(key, "address", x->peer.bytes, x->peer.family == MESHPING_FAMILY_IPV6 ? 8 : 4);
}

static bool is_signed_in(const http_exchange *x, const char *account)
{
    return x->identity.present && !x->identity.is_token && strcmp(x->identity.user, account) == 0;
}

/* Whether the client shows that it is his account, by a session of it or as a known browser. */
static bool is_trusted(const http_exchange *x, const char *account)
{
    meshping_user_record user;
    uint64_t id;
    if (is_signed_in(x, account))
        return true;
    return auth_known_user(x, &id) &&
           meshping_store_user_by_name(x->server->store, account, &user, NULL) == MESHPING_OK && user.id == id;
}

static void account_key(uint8_t key[THROTTLE_KEY_LEN], const http_exchange *x, const char *account)
{
    if (!x->trusted)
        throttle_key(key, "account", account, strlen(account));
    else if (is_signed_in(x, account)) /* each by itself: who has stolen one keeps no other one out */
        throttle_key(key, "session", x->identity.token_hash, sizeof x->identity.token_hash);
    else
        throttle_key(key, "known", x->known, strlen(x->known));
}

bool auth_must_wait(http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    int64_t now_ms = server_unix_ms(), wait_ms = 0;
    x->trusted = account && is_trusted(x, account);
    if (!x->trusted) {
        address_key(key, x);
        wait_ms = throttle_wait_ms(&x->server->http->addresses, key, now_ms);
    }
    if (account) {
        account_key(key, x, account);
        int64_t account_ms = throttle_wait_ms(&x->server->http->accounts, key, now_ms);
        if (account_ms > wait_ms)
            wait_ms = account_ms;
    }
    if (wait_ms > 0) {
        x->server->counters.logins_throttled++;
        http_respond_busy(x, wait_ms, "too many failed tries");
    }
    return wait_ms > 0;
}

uint32_t auth_address_failures(const http_exchange *x)
{
    uint8_t key[THROTTLE_KEY_LEN];
    address_key(key, x);
    return throttle_failures(&x->server->http->addresses, key, server_unix_ms());
}

void auth_try_begin(http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    if (!x->trusted) {
        address_key(key, x);
        throttle_begin(&x->server->http->addresses, key, server_unix_ms());
    }
    if (account) {
        account_key(x->account_key, x, account);
        throttle_begin(&x->server->http->accounts, x->account_key, server_unix_ms());
        x->account_charged = true;
    }
}

void auth_try_withdraw(http_exchange *x)
{
    if (x->account_charged)
        throttle_succeeded(&x->server->http->accounts, x->account_key, false);
    x->account_charged = false;
}

void auth_try_failed(const http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    struct http_state *state = x->server->http;
    char address[MESHPING_ADDRESS_TEXT_MAX];
    x->server->counters.logins_failed++;
    state->refused++;
    http_peer_text(x, state->refused_address);
    /* no name: people type their password there */
    log_warning("http", "a sign-in from %s failed", http_peer_text(x, address));
    if (!x->trusted) {
        address_key(key, x);
        throttle_failed(&x->server->http->addresses, key, server_unix_ms());
    }
    if (account) {
        account_key(key, x, account);
        throttle_failed(&x->server->http->accounts, key, server_unix_ms());
    }
}

void auth_try_succeeded(const http_exchange *x, const char *account)
{
    uint8_t key[THROTTLE_KEY_LEN];
    if (!x->trusted) {
        address_key(key, x);
        throttle_succeeded(&x->server->http->addresses, key, false);
    }
    if (account) {
        account_key(key, x, account);
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

/* One row for many: a flood of wrong passwords must not wash the log away. */
static void tell_refused(struct http_state *state, int64_t now_ms)
{
    meshping_error err;
    meshping_audit_record row = {.unix_ms = now_ms, .via = "password", .action = "session.refused"};
    if (!state->refused)
        return;
    http_text_copy(row.address, sizeof row.address, state->refused_address);
    snprintf(row.detail, sizeof row.detail, "%llu failed tries, the last one from this address",
             (unsigned long long)state->refused);
    state->refused_told_ms = now_ms;
    if (meshping_store_audit_add(state->server->store, &row, &err) == MESHPING_OK)
        state->refused = 0;
    else
        log_error("http", "failed tries were not logged: %s", err.message);
}

meshping_status auth_start(struct http_state *state, meshping_error *err)
{
    state->sessions = calloc(AUTH_SESSIONS_MAX, sizeof *state->sessions);
    if (!state->sessions || throttle_init(&state->accounts, &throttle_accounts) != MESHPING_OK ||
        throttle_init(&state->addresses, &throttle_addresses) != MESHPING_OK ||
        throttle_init(&state->reset_mails, &throttle_reset_mails) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    return begin_setup(state, err);
}

void auth_stop(struct http_state *state)
{
    if (state->sessions) {
        auth_sessions_save(state);
        tell_refused(state, server_unix_ms());
    }
    auth_breached_stop(state);
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
    throttle_dispose(&state->reset_mails);
    OPENSSL_cleanse(state->setup_code, sizeof state->setup_code);
}

static void expire(struct http_state *state, int64_t now_ms)
{
    const server_config *config = &state->server->config;
    meshping_store *store = state->server->store;
    meshping_error err;
    auth_sessions_save(state);
    if (meshping_store_web_sessions_expire(store, now_ms - config->session_hours * INT64_C(3600000),
                                           now_ms - config->session_idle_hours * INT64_C(3600000),
                                           &err) != MESHPING_OK ||
        meshping_store_credentials_expire(store, now_ms, &err) != MESHPING_OK)
        log_warning("http", "old sessions and tokens were not deleted: %s", err.message);
}

void auth_tick(struct http_state *state)
{
    int64_t now_ms = server_unix_ms();
    meshping_error err;
    auth_sessions_tick(state, now_ms);
    if (now_ms - state->refused_told_ms >= AUTH_REFUSED_MS)
        tell_refused(state, now_ms);
    mail_reset_tick(state);
    auth_breached_tick(state, now_ms);
    if (now_ms >= state->next_expiry_ms) {
        state->next_expiry_ms = now_ms + 3600000;
        expire(state, now_ms);
        if (meshping_store_audit_expire(state->server->store,
                                        now_ms - state->server->config.audit_days * INT64_C(86400000), AUDIT_EXPIRE,
                                        &err) != MESHPING_OK)
            log_error("http", "old rows of the audit log were not deleted: %s", err.message);
    }
}
