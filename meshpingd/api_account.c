/* SPDX-License-Identifier: Apache-2.0 */
/* What everybody may do with his own account: profile, password, sessions. */
#include "common/hex.h"
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"

#include <stdio.h>
#include <string.h>

#define SESSION_ID_BYTES 8 /* of the hash: enough to tell one's sessions apart, and of no use to anybody */

/* ---- profile ---- */

static bool load_self(http_exchange *x, meshping_user_record *user)
{
    meshping_error err = {0};
    if (meshping_store_user_by_id(x->server->store, x->identity.user_id, user, &err) == MESHPING_OK)
        return true;
    http_respond_error(x, &err);
    return false;
}

static void respond_profile(http_exchange *x, const meshping_user_record *user)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "user", json_object_new_string(user->name));
    json_object_object_add(json, "role", json_object_new_string(meshping_role_name(x->identity.role)));
    json_object_object_add(json, "email", json_object_new_string(user->email));
    json_object_object_add(json, "created_ms", json_object_new_int64(user->created_ms));
    json_object_object_add(json, "signed_in_ms", json_object_new_int64(user->signed_in_ms));
    http_respond_json(x, 200, json);
}

void api_profile_get(http_exchange *x)
{
    meshping_user_record user;
    if (load_self(x, &user))
        respond_profile(x, &user);
}

void api_profile_put(http_exchange *x)
{
    bool ok;
    meshping_user_record user;
    meshping_error err = {0};
    const char *email = http_json_string(x, "email", &ok);
    if (!ok)
        return;
    if (!email || !http_text_is_email(email, sizeof user.email)) {
        http_respond_problem(x, 400, "\"email\" must be an address such as anna@example.org, or empty");
        return;
    }
    if (!load_self(x, &user))
        return;
    http_audit_object(x, "%s", user.name);
    http_audit_detail(x, "e-mail: %s -> %s", user.email, email);
    http_text_copy(user.email, sizeof user.email, email);
    if (meshping_store_user_save(x->server->store, &user, false, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        respond_profile(x, &user);
}

/* ---- own password ---- */

static void new_password_made(http_exchange *x, auth_job *job)
{
    meshping_error err = {0};
    meshping_user_record user;
    if (!auth_session_alive(x->server->http, x->identity.token_hash)) {
        http_respond_problem(x, 401, "sign in first");
        return;
    }
    if (!load_self(x, &user))
        return;
    http_text_copy(user.password, sizeof user.password, job->stored);
    http_audit_object(x, "%s", user.name);
    http_audit_detail(x, "his own");
    if (meshping_store_user_save(x->server->store, &user, true, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_sessions_ended(x->server->http, user.id, NULL);
    if (auth_session_begin(x, &user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 200, api_identity_json(x));
}

static void current_password_checked(http_exchange *x, auth_job *job)
{
    bool ok;
    if (!job->matches) {
        auth_try_failed(x, job->user.name);
        http_respond_problem(x, 403, "the current password is wrong");
        return;
    }
    auth_try_succeeded(x, job->user.name);
    auth_job_start(x, true, NULL, http_json_string(x, "password", &ok), &job->user, new_password_made);
}

void api_password_put(http_exchange *x)
{
    meshping_user_record user;
    meshping_error err = {0};
    const char *current = http_json_needed(x, "current");
    const char *password = current ? http_json_needed(x, "password") : NULL;
    if (!password)
        return;
    if (password_check(password, strlen(password), x->identity.user, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    if (auth_must_wait(x, x->identity.user) || !load_self(x, &user))
        return;
    auth_job_start(x, false, user.password, current, &user, current_password_checked);
    if (!x->status)
        auth_try_begin(x, user.name);
}

/* ---- own sessions ---- */

static bool load_sessions(http_exchange *x, meshping_web_session_record **records, size_t *count)
{
    meshping_error err = {0};
    auth_sessions_save(x->server->http);
    if (meshping_store_web_sessions(x->server->store, x->identity.user_id, records, count, &err) == MESHPING_OK)
        return true;
    http_respond_error(x, &err);
    return false;
}

void api_sessions_list(http_exchange *x)
{
    char id[2 * SESSION_ID_BYTES + 1];
    meshping_web_session_record *records;
    size_t count;
    if (!load_sessions(x, &records, &count))
        return;
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        const meshping_web_session_record *record = &records[i];
        json_object *one = json_object_new_object();
        bool own = memcmp(record->token_hash, x->identity.token_hash, sizeof record->token_hash) == 0;
        json_object_object_add(one, "id", json_object_new_string(hex_put(id, record->token_hash, SESSION_ID_BYTES)));
        json_object_object_add(one, "current", json_object_new_boolean(own));
        json_object_object_add(one, "created_ms", json_object_new_int64(record->created_ms));
        json_object_object_add(one, "last_used_ms", json_object_new_int64(record->last_used_ms));
        json_object_object_add(one, "address", json_object_new_string(record->address));
        json_object_object_add(one, "agent", json_object_new_string(record->agent));
        json_object_array_add(list, one);
    }
    meshping_free(records);
    json_object_object_add(json, "sessions", list);
    http_respond_json(x, 200, json);
}

void api_session_end(http_exchange *x)
{
    char id[2 * SESSION_ID_BYTES + 1];
    meshping_web_session_record *records;
    meshping_error err = {0};
    size_t count, found = 0;
    http_audit_object(x, "%s", x->identity.user);
    http_audit_detail(x, "session %s", x->params.value[0]);
    if (!load_sessions(x, &records, &count))
        return;
    while (found < count && strcmp(hex_put(id, records[found].token_hash, SESSION_ID_BYTES), x->params.value[0]) != 0)
        found++;
    if (found == count)
        http_respond_problem(x, 404, "you have no session with this id");
    else if (auth_session_end_by_hash(x->server->http, records[found].token_hash, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_empty(x, 204);
    meshping_free(records);
}

void api_sessions_end_others(http_exchange *x)
{
    meshping_error err = {0};
    http_audit_object(x, "%s", x->identity.user);
    http_audit_detail(x, "all but this one");
    if (meshping_store_web_sessions_delete(x->server->store, x->identity.user_id, x->identity.token_hash, &err) !=
        MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_sessions_ended(x->server->http, x->identity.user_id, x->identity.token_hash);
    http_respond_empty(x, 204);
}
