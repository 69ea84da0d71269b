/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in and out, the password again, and the first administrator. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/problem.h"

#include <string.h>

json_object *api_identity_json(const http_exchange *x)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "user", json_object_new_string(x->identity.user));
    json_object_object_add(json, "role", json_object_new_string(meshping_role_name(x->identity.role)));
    json_object_object_add(json, "csrf", json_object_new_string(x->identity.csrf));
    return json;
}

void api_session_get(http_exchange *x)
{
    if (x->identity.present) {
        http_respond_json(x, 200, api_identity_json(x));
        return;
    }
    json_object *problem = problem_json(401, "sign in first");
    if (problem)
        json_object_object_add(problem, "mail", json_object_new_boolean(mail_is_configured(&x->server->config)));
    if (problem)
        json_object_object_add(problem, "setup_needed", json_object_new_boolean(auth_setup_needed(x->server->http)));
    http_respond_problem_json(x, 401, problem);
}

/* ---- signing in and out ---- */

static void password_checked(http_exchange *x, auth_job *job)
{
    meshping_error err = {0};
    char address[MESHPING_ADDRESS_TEXT_MAX];
    meshping_user_record user;
    uint64_t known;
    if (!job->matches) {
        bool ok;
        auth_try_failed(x, http_json_string(x, "user", &ok)); /* of an unknown user too */
        http_respond_problem(x, 401, "the user's name or the password is wrong");
        return;
    }
    auth_try_succeeded(x, job->user.name);
    /* as he is now: it took a while */
    if (meshping_store_user_by_id(x->server->store, job->user.id, &user, &err) != MESHPING_OK || user.disabled ||
        strcmp(user.password, job->user.password) != 0) {
        http_respond_problem(x, 401, "the user's name or the password is wrong");
        return;
    }
    http_audit_who(x, user.id, user.name, "password");
    http_audit_object(x, "%s", user.name);
    if (auth_session_begin(x, &user, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    user.signed_in_ms = server_unix_ms();
    if (meshping_store_user_save(x->server->store, &user, false, &err) != MESHPING_OK)
        log_warning("http", "the time of a sign-in was not saved: %s", err.message);
    if (!auth_known_user(x, &known) || known != user.id)
        auth_known_give(x, user.id);
    log_info("http", "%s signed in from %s", user.name, http_peer_text(x, address));
    http_respond_json(x, 200, api_identity_json(x));
}

void api_session_create(http_exchange *x)
{
    meshping_user_record user = {0};
    meshping_error err = {0};
    const char *name = http_json_needed(x, "user");
    const char *password = name ? http_json_needed(x, "password") : NULL;
    if (!password || auth_must_wait(x, name))
        return;
    meshping_status status = meshping_store_user_by_name(x->server->store, name, &user, &err);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND && status != MESHPING_INVALID) {
        http_respond_error(x, &err);
        return;
    }
    /* who may not sign in is answered as one who does not exist, at the same cost */
    bool may = status == MESHPING_OK && !user.disabled && user.password[0];
    auth_job_start(x, false, may ? user.password : NULL, password, &user, password_checked);
    if (!x->status)
        auth_try_begin(x, name);
    else if (x->status == 429) /* nothing was tried, but who fills the queue from one address does not keep it full */
        auth_try_begin(x, NULL);
}

void api_session_delete(http_exchange *x)
{
    meshping_error err = {0};
    http_audit_object(x, "%s", x->identity.user);
    if (auth_session_end(x, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_empty(x, 204);
}

/* ---- the password again, for what needs a fresh one ---- */

static void confirmed(http_exchange *x, auth_job *job)
{
    meshping_error err = {0};
    if (!job->matches) {
        auth_try_failed(x, job->user.name);
        http_respond_problem(x, 403, "the password is wrong");
        return;
    }
    auth_try_succeeded(x, job->user.name);
    if (!auth_session_alive(x->server->http, x->identity.token_hash)) {
        http_respond_problem(x, 401, "sign in first");
        return;
    }
    http_audit_object(x, "%s", x->identity.user);
    if (auth_session_begin(x, &job->user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 200, api_identity_json(x));
}

void api_session_confirm(http_exchange *x)
{
    meshping_user_record user;
    meshping_error err = {0};
    const char *password = http_json_needed(x, "password");
    if (!password || auth_must_wait(x, x->identity.user))
        return;
    if (meshping_store_user_by_id(x->server->store, x->identity.user_id, &user, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_job_start(x, false, user.password, password, &user, confirmed);
    if (!x->status)
        auth_try_begin(x, user.name);
}

/* ---- the first administrator ---- */

static void password_made(http_exchange *x, auth_job *job)
{
    meshping_error err = {0};
    char address[MESHPING_ADDRESS_TEXT_MAX];
    meshping_user_record user = job->user;
    if (!auth_setup_needed(x->server->http)) {
        http_respond_problem(x, 409, "there is an administrator already: sign in");
        return;
    }
    http_text_copy(user.password, sizeof user.password, job->stored);
    http_audit_who(x, 0, user.name, "set-up code");
    http_audit_object(x, "%s", user.name);
    http_audit_detail(x, "first administrator");
    if (meshping_store_user_save(x->server->store, &user, false, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_setup_finish(x->server->http);
    auth_known_give(x, user.id);
    log_info("http", "%s is the first administrator, set up from %s", user.name, http_peer_text(x, address));
    if (auth_session_begin(x, &user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 201, api_identity_json(x));
}

void api_setup(http_exchange *x)
{
    meshping_error err = {0};
    meshping_user_record user = {.role = MESHPING_ROLE_ADMIN, .created_ms = server_unix_ms()};
    const char *code = http_json_needed(x, "code");
    const char *name = code ? http_json_needed(x, "user") : NULL;
    const char *password = name ? http_json_needed(x, "password") : NULL;
    if (!password)
        return;
    if (!auth_setup_needed(x->server->http)) {
        http_respond_problem(x, 409, "there is an administrator already: sign in");
        return;
    }
    if (auth_must_wait(x, NULL))
        return;
    auth_try_begin(x, NULL);
    if (!auth_setup_code_matches(x->server->http, code)) {
        auth_try_failed(x, NULL);
        http_respond_problem(x, 403,
                             "the set-up code is wrong: it is in the log and in setup-code in the state directory");
        return;
    }
    auth_try_succeeded(x, NULL);
    if (password_check_name(name, strlen(name), &err) != MESHPING_OK ||
        password_check(password, strlen(password), name, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    http_text_copy(user.name, sizeof user.name, name);
    auth_job_start(x, true, NULL, password, &user, password_made);
}
