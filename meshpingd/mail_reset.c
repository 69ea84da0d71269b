/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forgotten password: the answer is out before the name is looked up, on a later turn of the loop, so it tells
 * neither by its words nor by its time whether there is such a user.
 */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/mail.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define MINUTE_MS INT64_C(60000)

void mail_reset_ask(struct http_state *state, const char *name, const char *address)
{
    if (state->reset_count == MAIL_RESETS_WAITING_MAX || strlen(name) >= sizeof state->resets[0].name)
        return;
    auth_reset *reset = &state->resets[state->reset_count++];
    http_text_copy(reset->name, sizeof reset->name, name);
    http_text_copy(reset->address, sizeof reset->address, address);
}

static meshping_status add_link(struct http_state *state, const meshping_user_record *user, const char *address,
                                char *token, meshping_error *err)
{
    meshping_link_record link = {.user_id = user->id, .created_ms = server_unix_ms()};
    meshping_audit_record row = {
        .unix_ms = link.created_ms, .via = "e-mail", .action = "user.link", .detail = "for a new password, mailed"};
    link.expires_ms = link.created_ms + MAIL_RESET_MINUTES * MINUTE_MS;
    http_text_copy(row.address, sizeof row.address, address);
    http_text_copy(row.object, sizeof row.object, user->name);
    if (!auth_token_make(token) || !auth_token_hash(link.token_hash, token))
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers");
    meshping_store_audit_begin(state->server->store, &row);
    meshping_status status = meshping_store_link_add(state->server->store, &link, err);
    meshping_store_audit_end(state->server->store);
    return status;
}

/* Nobody, without an address, disabled, or mailed to often enough: nothing happens. */
static void reset_one(struct http_state *state, const auth_reset *reset)
{
    const server_config *config = &state->server->config;
    meshping_user_record user;
    meshping_error err = {0};
    uint8_t key[THROTTLE_KEY_LEN];
    char token[AUTH_TOKEN_TEXT_LEN + 1];
    text_buffer text = {0};
    int64_t now_ms = server_unix_ms();
    if (meshping_store_user_by_name(state->server->store, reset->name, &user, &err) != MESHPING_OK || user.disabled ||
        !user.email[0])
        return;
    throttle_key(key, "reset", user.name, strlen(user.name));
    if (throttle_wait_ms(&state->reset_mails, key, now_ms) > 0)
        return;
    throttle_begin(&state->reset_mails, key, now_ms);
    if (add_link(state, &user, reset->address, token, &err) != MESHPING_OK) {
        log_error("mail", "a link was not made: %s", err.message);
        return;
    }
    text_printf(&text,
                "Hello %s,\r\n\r\nsomebody at %s asked for a new password for your account on Meshping.\r\n"
                "If it was you, choose one here; the link works once, for %d minutes:\r\n\r\n%s/#/link/%s\r\n\r\n"
                "If it was not you, do nothing: your password stays as it is.\r\n",
                user.name, reset->address, MAIL_RESET_MINUTES, config->public_url, token);
    OPENSSL_cleanse(token, sizeof token);
    if (text.failed ||
        mail_send(state->server, user.email, "A new password for Meshping", text.data, &err) != MESHPING_OK)
        log_error("mail", "an e-mail was not sent: %s", text.failed ? "out of memory" : err.message);
    if (text.data)
        OPENSSL_cleanse(text.data, text.length);
    text_dispose(&text);
}

void mail_reset_tick(struct http_state *state)
{
    size_t now = 0;
    while (now < state->reset_count && state->server->mails_running < MAIL_RUNNING_MAX)
        reset_one(state, &state->resets[now++]);
    state->reset_count -= now;
    memmove(state->resets, state->resets + now, state->reset_count * sizeof state->resets[0]);
}
