/* SPDX-License-Identifier: Apache-2.0 */
/* One-time links: who holds one chooses the password of its user, once. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"

#include <string.h>

/* The link of the body's "token"; false: answered. Guessing is hopeless, and slowed down all the same. */
static bool find_link(http_exchange *x, meshping_link_record *link, meshping_user_record *user)
{
    uint8_t hash[MESHPING_TOKEN_HASH_LEN];
    meshping_error err = {0};
    const char *token = http_json_needed(x, "token");
    if (!token || auth_must_wait(x, NULL))
        return false;
    auth_try_begin(x, NULL);
    meshping_status status = strlen(token) == AUTH_TOKEN_TEXT_LEN && auth_token_hash(hash, token)
                                 ? meshping_store_link(x->server->store, hash, server_unix_ms(), link, &err)
                                 : MESHPING_NOT_FOUND;
    if (status == MESHPING_OK)
        status = meshping_store_user_by_id(x->server->store, link->user_id, user, &err);
    if (status == MESHPING_OK && !user->disabled) {
        auth_try_succeeded(x, NULL);
        x->trusted = true;
        return true;
    }
    if (status == MESHPING_OK || status == MESHPING_NOT_FOUND) {
        auth_try_failed(x, NULL);
        http_respond_problem(x, 404, "the link was used, has expired, or never was one: ask for a new one");
    } else {
        http_respond_error(x, &err);
    }
    return false;
}

/* The same for every name: mail_reset.c looks whose it is, later. */
void api_password_reset(http_exchange *x)
{
    char address[MESHPING_ADDRESS_TEXT_MAX];
    const char *name = http_json_needed(x, "user");
    if (!name)
        return;
    if (!mail_is_configured(&x->server->config)) {
        http_respond_problem(x, 404, "this server sends no e-mail: ask an administrator for a link");
        return;
    }
    if (auth_must_wait(x, NULL))
        return;
    auth_try_begin(x, NULL); /* counts as a failed one: nobody needs many */
    mail_reset_ask(x->server->http, name, http_peer_text(x, address));
    http_respond_empty(x, 202);
}

void api_link_open(http_exchange *x)
{
    meshping_link_record link;
    meshping_user_record user;
    if (!find_link(x, &link, &user))
        return;
    json_object *json = json_object_new_object();
    json_object_object_add(json, "user", json_object_new_string(user.name));
    json_object_object_add(json, "invited", json_object_new_boolean(!user.password[0]));
    json_object_object_add(json, "expires_ms", json_object_new_int64(link.expires_ms));
    http_respond_json(x, 200, json);
}

static void password_made(http_exchange *x, auth_job *job)
{
    bool ok;
    uint8_t hash[MESHPING_TOKEN_HASH_LEN];
    char address[MESHPING_ADDRESS_TEXT_MAX];
    meshping_error err = {0};
    meshping_user_record user;
    http_audit_who(x, job->user.id, job->user.name, "link");
    http_audit_object(x, "%s", job->user.name);
    http_audit_detail(x, "%s", job->user.password[0] ? "new password" : "first password");
    auth_token_hash(hash, http_json_string(x, "token", &ok));
    meshping_status status =
        meshping_store_link_use(x->server->store, hash, server_unix_ms(), job->stored, &user, &err);
    if (status == MESHPING_NOT_FOUND || status == MESHPING_STATE) {
        http_respond_problem(x, 404, "the link was used, has expired, or never was one: ask for a new one");
        return;
    }
    if (status != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_sessions_ended(x->server->http, user.id, NULL);
    auth_known_give(x, user.id); /* even while others guess at his name he gets in from here */
    log_info("http", "%s chose a password by a link, from %s", user.name, http_peer_text(x, address));
    http_respond_empty(x, 204);
}

void api_link_use(http_exchange *x)
{
    meshping_link_record link;
    meshping_user_record user;
    meshping_error err = {0};
    const char *password = http_json_needed(x, "password");
    if (!password || !find_link(x, &link, &user))
        return;
    if (password_check(password, strlen(password), user.name, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        auth_job_start(x, true, NULL, password, &user, password_made);
}
