/* SPDX-License-Identifier: Apache-2.0 */
/* API tokens: for programs, in the name of a user and with his role or a lower one. */
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/looks.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define DAYS_MAX 366
#define DAYS_DEFAULT 90
#define DAY_MS INT64_C(86400000)

static json_object *token_json(const meshping_token_record *token)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "id", json_object_new_uint64(token->id));
    json_object_object_add(json, "user", json_object_new_string(token->user));
    json_object_object_add(json, "name", json_object_new_string(token->name));
    json_object_object_add(json, "role", json_object_new_string(meshping_role_name(token->role)));
    json_object_object_add(json, "created_ms", json_object_new_int64(token->created_ms));
    json_object_object_add(json, "expires_ms", json_object_new_int64(token->expires_ms));
    json_object_object_add(json, "used_ms", json_object_new_int64(token->used_ms));
    return json;
}

/* One's own; administrators see everybody's. */
void api_tokens_list(http_exchange *x)
{
    meshping_token_record *records = NULL;
    meshping_error err = {0};
    size_t count = 0;
    uint64_t whose = x->identity.role == MESHPING_ROLE_ADMIN ? 0 : x->identity.user_id;
    if (meshping_store_tokens(x->server->store, whose, &records, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        json_object_array_add(list, token_json(&records[i]));
    meshping_free(records);
    json_object_object_add(json, "tokens", list);
    http_respond_json(x, 200, json);
}

/* False: the user has as many as he may, or it cannot be known; answered then. */
static bool has_room(http_exchange *x)
{
    meshping_token_record *records = NULL;
    meshping_error err = {0};
    size_t count = 0;
    if (meshping_store_tokens(x->server->store, x->identity.user_id, &records, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return false;
    }
    meshping_free(records);
    if (count >= AUTH_TOKENS_A_USER)
        http_respond_problem(x, 409, "you have %d tokens already: delete one first", AUTH_TOKENS_A_USER);
    return count < AUTH_TOKENS_A_USER;
}

void api_token_create(http_exchange *x)
{
    bool ok;
    char text[sizeof AUTH_TOKEN_PREFIX + AUTH_TOKEN_TEXT_LEN] = AUTH_TOKEN_PREFIX;
    meshping_error err = {0};
    meshping_token_record token = {.user_id = x->identity.user_id, .created_ms = server_unix_ms()};
    const char *name = http_json_string(x, "name", &ok);
    if (!ok)
        return;
    const char *role = http_json_string(x, "role", &ok);
    if (!ok)
        return;
    int64_t days = http_json_number(x, "days", DAYS_DEFAULT, 1, DAYS_MAX, &ok);
    if (!ok)
        return;
    if (!name || password_check_name(name, strlen(name), &err) != MESHPING_OK) {
        http_respond_problem(x, 400, "\"name\" must have 1 to 64 bytes of text");
        return;
    }
    if (looks_turned(name)) {
        http_respond_problem(x, 400, "\"name\" holds a character that turns around what follows it");
        return;
    }
    if (!role || meshping_role_parse(&token.role, role) != MESHPING_OK) {
        http_respond_problem(x, 400, "\"role\" must be viewer, operator or admin");
        return;
    }
    if (token.role > x->identity.role) {
        http_respond_problem(x, 403, "a token's role cannot be higher than your own");
        return;
    }
    if (!has_room(x))
        return;
    token.expires_ms = token.created_ms + days * DAY_MS;
    http_text_copy(token.name, sizeof token.name, name);
    http_text_copy(token.user, sizeof token.user, x->identity.user);
    http_audit_object(x, "%s", token.name);
    http_audit_detail(x, "role %s, %" PRId64 " days", role, days);
    if (!auth_token_make(text + strlen(AUTH_TOKEN_PREFIX)) || !auth_token_hash(token.token_hash, text)) {
        http_respond_problem(x, 500, "no random numbers");
        return;
    }
    if (meshping_store_token_add(x->server->store, &token, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = token_json(&token);
    json_object_object_add(json, "token", json_object_new_string(text));
    OPENSSL_cleanse(text, sizeof text);
    http_respond_json(x, 201, json);
}

/* A program may end what it came with; what is another one's is for who signs in, or administrates. */
static bool may_delete(const http_exchange *x, const meshping_token_record *token)
{
    return !x->identity.is_token || x->identity.role == MESHPING_ROLE_ADMIN ||
           memcmp(token->token_hash, x->identity.token_hash, sizeof token->token_hash) == 0;
}

void api_token_delete(http_exchange *x)
{
    uint64_t id, whose = x->identity.role == MESHPING_ROLE_ADMIN ? 0 : x->identity.user_id;
    meshping_token_record *records = NULL;
    const meshping_token_record *token = NULL;
    meshping_error err = {0};
    size_t count = 0;
    if (http_number_parse(x->params.value[0], &id)) {
        if (meshping_store_tokens(x->server->store, whose, &records, &count, &err) != MESHPING_OK) {
            http_respond_error(x, &err);
            return;
        }
        for (size_t i = 0; i < count; i++)
            if (records[i].id == id && may_delete(x, &records[i]))
                token = &records[i];
    }
    if (!token) {
        http_respond_problem(x, 404, "there is no token with this id");
    } else {
        http_audit_object(x, "%s", token->name);
        http_audit_detail(x, "of %s", token->user);
        if (meshping_store_token_delete(x->server->store, id, whose, &err) != MESHPING_OK) {
            http_respond_error(x, &err);
        } else {
            live_ws_ended(x->server->http, token->token_hash);
            http_respond_empty(x, 204);
        }
    }
    meshping_free(records);
}
