/* SPDX-License-Identifier: Apache-2.0 */
/* Users, as administrators see and change them. Nobody but the user himself ever chooses his password. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/user_names.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#define USERS_MAX 1000
#define HOUR_MS INT64_C(3600000)

static json_object *user_json(const meshping_user_record *user)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "id", json_object_new_uint64(user->id));
    json_object_object_add(json, "name", json_object_new_string(user->name));
    json_object_object_add(json, "role", json_object_new_string(meshping_role_name(user->role)));
    json_object_object_add(json, "email", json_object_new_string(user->email));
    json_object_object_add(json, "disabled", json_object_new_boolean(user->disabled));
    json_object_object_add(json, "invited", json_object_new_boolean(!user->password[0]));
    json_object_object_add(json, "created_ms", json_object_new_int64(user->created_ms));
    json_object_object_add(json, "signed_in_ms", json_object_new_int64(user->signed_in_ms));
    return json;
}

void api_users_list(http_exchange *x)
{
    meshping_user_record *records = NULL;
    meshping_error err = {0};
    size_t count = 0;
    if (meshping_store_users(x->server->store, &records, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        json_object_array_add(list, user_json(&records[i]));
    meshping_free(records);
    json_object_object_add(json, "users", list);
    http_respond_json(x, 200, json);
}

/* ---- one-time links ---- */

/* {"user", "token", "path", "expires_ms"}; NULL: answered. */
static json_object *make_link(http_exchange *x, const meshping_user_record *user)
{
    char token[AUTH_TOKEN_TEXT_LEN + 1], path[AUTH_TOKEN_TEXT_LEN + 16];
    meshping_error err = {0};
    meshping_link_record link = {.user_id = user->id, .created_ms = server_unix_ms()};
    link.expires_ms = link.created_ms + (user->password[0] ? AUTH_RESET_HOURS : AUTH_INVITE_HOURS) * HOUR_MS;
    if (!auth_token_make(token) || !auth_token_hash(link.token_hash, token)) {
        http_respond_problem(x, 500, "no random numbers");
        return NULL;
    }
    if (meshping_store_link_add(x->server->store, &link, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return NULL;
    }
    /* behind the "#": what stands there is in no log of a server or a proxy, and in no Referer */
    snprintf(path, sizeof path, "/#/link/%s", token);
    json_object *json = json_object_new_object();
    json_object_object_add(json, "user", user_json(user));
    json_object_object_add(json, "token", json_object_new_string(token));
    json_object_object_add(json, "path", json_object_new_string(path));
    json_object_object_add(json, "expires_ms", json_object_new_int64(link.expires_ms));
    OPENSSL_cleanse(token, sizeof token);
    OPENSSL_cleanse(path, sizeof path);
    return json;
}

/* ---- creating ---- */

/* The fields of a body into the user: absent ones stay. False: answered. */
static bool take_fields(http_exchange *x, meshping_user_record *user)
{
    bool ok;
    meshping_error err = {0};
    const char *name = http_json_string(x, "name", &ok);
    if (!ok)
        return false;
    const char *role = http_json_string(x, "role", &ok);
    if (!ok)
        return false;
    const char *email = http_json_string(x, "email", &ok);
    if (!ok)
        return false;
    if (name && password_check_name(name, strlen(name), &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return false;
    }
    if (role && meshping_role_parse(&user->role, role) != MESHPING_OK) {
        http_respond_problem(x, 400, "\"role\" must be viewer, operator or admin");
        return false;
    }
    if (email && !http_text_is_email(email, sizeof user->email)) {
        http_respond_problem(x, 400, "\"email\" must be an address such as anna@example.org, or empty");
        return false;
    }
    if (!http_json_flag(x, "disabled", &user->disabled))
        return false;
    if (name)
        http_text_copy(user->name, sizeof user->name, name);
    if (email)
        http_text_copy(user->email, sizeof user->email, email);
    return true;
}

void api_user_create(http_exchange *x)
{
    size_t count = 0;
    meshping_error err = {0};
    meshping_user_record user = {.created_ms = server_unix_ms()};
    if (!take_fields(x, &user))
        return;
    if (!user.name[0] || user.role == MESHPING_ROLE_NONE) {
        http_respond_problem(x, 400, "\"name\" and \"role\" are needed");
        return;
    }
    if (meshping_store_user_count(x->server->store, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    if (count >= USERS_MAX) {
        http_respond_problem(x, 409, "there are %d users already", USERS_MAX);
        return;
    }
    http_audit_object(x, "%s", user.name);
    http_audit_detail(x, "role %s, e-mail %s%s", meshping_role_name(user.role), user.email[0] ? user.email : "none",
                      user.disabled ? ", disabled" : "");
    if (user_name_free(x->server->store, user.name, 0, &err) != MESHPING_OK ||
        meshping_store_user_save(x->server->store, &user, false, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = make_link(x, &user);
    if (json)
        http_respond_json(x, 201, json);
}

/* ---- changing ---- */

static bool find_user(http_exchange *x, meshping_user_record *user)
{
    uint64_t id;
    meshping_error err = {0};
    if (!http_number_parse(x->params.value[0], &id) ||
        meshping_store_user_by_id(x->server->store, id, user, &err) == MESHPING_NOT_FOUND) {
        http_respond_problem(x, 404, "there is no user with this id");
        return false;
    }
    if (err.status == MESHPING_OK)
        return true;
    http_respond_error(x, &err);
    return false;
}

/* False: nothing is changed. */
static bool describe_change(http_exchange *x, const meshping_user_record *before, const meshping_user_record *after)
{
    text_buffer text = {0};
    if (strcmp(before->name, after->name) != 0)
        text_printf(&text, "; name %s -> %s", before->name, after->name);
    if (before->role != after->role)
        text_printf(&text, "; role %s -> %s", meshping_role_name(before->role), meshping_role_name(after->role));
    if (strcmp(before->email, after->email) != 0)
        text_printf(&text, "; e-mail %s -> %s", before->email, after->email);
    if (before->disabled != after->disabled)
        text_printf(&text, "; %s", after->disabled ? "disabled" : "enabled");
    bool changes = text.data != NULL;
    http_audit_object(x, "%s", before->name);
    if (changes)
        http_audit_detail(x, "%s", text.data + 2);
    text_dispose(&text);
    return changes;
}

void api_user_change(http_exchange *x)
{
    meshping_user_record before, user;
    meshping_error err = {0};
    if (!find_user(x, &before))
        return;
    user = before;
    if (!take_fields(x, &user))
        return;
    if (!describe_change(x, &before, &user)) {
        http_audit_nothing(x);
        http_respond_json(x, 200, user_json(&user));
        return;
    }
    /* whose rights change signs in anew; so does who gets another name, as sessions carry it */
    bool renamed = strcmp(user.name, before.name) != 0;
    bool ends = user.role != before.role || user.disabled || renamed;
    if ((renamed && user_name_free(x->server->store, user.name, user.id, &err) != MESHPING_OK) ||
        meshping_store_user_save(x->server->store, &user, ends, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    if (ends)
        auth_sessions_ended(x->server->http, user.id, NULL);
    log_info("http", "user %s was changed by %s: %s", before.name, x->identity.user, x->audit.detail);
    http_respond_json(x, 200, user_json(&user));
}

void api_user_link(http_exchange *x)
{
    meshping_user_record user;
    if (!find_user(x, &user))
        return;
    http_audit_object(x, "%s", user.name);
    http_audit_detail(x, "%s", user.password[0] ? "for a new password" : "invitation");
    if (user.disabled) {
        http_respond_problem(x, 409, "this user is disabled");
        return;
    }
    json_object *json = make_link(x, &user);
    if (json)
        http_respond_json(x, 201, json);
}

void api_user_sign_out(http_exchange *x)
{
    meshping_user_record user;
    meshping_error err = {0};
    if (!find_user(x, &user))
        return;
    http_audit_object(x, "%s", user.name);
    if (meshping_store_web_sessions_delete(x->server->store, user.id, NULL, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_sessions_ended(x->server->http, user.id, NULL);
    http_respond_empty(x, 204);
}
