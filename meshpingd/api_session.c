/* SPDX-License-Identifier: Apache-2.0 */
/* Signing in and out, and the first administrator. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/problem.h"

#include <string.h>

static json_object *identity_json(const http_exchange *x)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "user", json_object_new_string(x->identity.user));
    json_object_object_add(json, "role", json_object_new_string(x->identity.role));
    json_object_object_add(json, "csrf", json_object_new_string(x->identity.csrf));
    return json;
}

void api_session_get(http_exchange *x)
{
    if (x->identity.present) {
        http_respond_json(x, 200, identity_json(x));
        return;
    }
    json_object *problem = problem_json(401, "sign in first");
    if (problem)
        json_object_object_add(problem, "setup_needed", json_object_new_boolean(auth_setup_needed(x->server->http)));
    http_respond_problem_json(x, 401, problem);
}

static void add_event(http_exchange *x, const char *kind, const char *user, const char *what)
{
    char address[MESHPING_ADDRESS_TEXT_MAX], line[256];
    meshping_error err;
    snprintf(line, sizeof line, "%s from %s", what, http_peer_text(x, address));
    if (meshping_store_event_add(x->server->store, server_unix_ms(), kind, 0, user, line, &err) != MESHPING_OK)
        log_warning("http", "an event was not stored: %s", err.message);
}

/* 429 when the client must wait before it may try. */
static bool must_wait(http_exchange *x, const char *account)
{
    int64_t wait_ms = auth_wait_ms(x, account);
    if (wait_ms > 0)
        http_respond_busy(x, wait_ms, "too many failed tries");
    return wait_ms > 0;
}

static void start_job(http_exchange *x, bool encode, const char *stored, const char *password,
                      const meshping_user_record *user, auth_job_done done)
{
    meshping_error err = {0};
    meshping_status status = auth_job_start(x, encode, stored, password, strlen(password), user, done, &err);
    if (status == MESHPING_LIMIT)
        http_respond_busy(x, 3000, err.message);
    else if (status != MESHPING_OK)
        http_respond_error(x, &err);
}

static void password_checked(http_exchange *x, auth_job *job)
{
    meshping_error err = {0};
    char address[MESHPING_ADDRESS_TEXT_MAX];
    if (!job->matches) {
        bool ok;
        x->server->counters.logins_failed++;
        auth_try_failed(x, http_json_string(x, "user", &ok)); /* of an unknown user too */
        /* no name: people type their password there */
        log_warning("http", "a sign-in from %s failed", http_peer_text(x, address));
        http_respond_problem(x, 401, "the user's name or the password is wrong");
        return;
    }
    auth_try_succeeded(x, job->user.name);
    if (auth_session_begin(x, &job->user, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    log_info("http", "%s signed in from %s", job->user.name, http_peer_text(x, address));
    add_event(x, "sign_in", job->user.name, "signed in");
    http_respond_json(x, 200, identity_json(x));
}

void api_session_create(http_exchange *x)
{
    bool ok;
    meshping_user_record user = {0};
    meshping_error err = {0};
    const char *name = http_json_string(x, "user", &ok);
    if (!ok)
        return;
    const char *password = http_json_string(x, "password", &ok);
    if (!ok)
        return;
    if (!name || !password) {
        http_respond_problem(x, 400, "\"user\" and \"password\" are needed");
        return;
    }
    if (must_wait(x, name))
        return;
    meshping_status status = meshping_store_user_by_name(x->server->store, name, &user, &err);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND && status != MESHPING_INVALID) {
        http_respond_error(x, &err);
        return;
    }
    start_job(x, false, status == MESHPING_OK ? user.password : NULL, password, &user, password_checked);
    if (!x->status) /* it is being tried; what was sent away does not count */
        auth_try_begin(x, name);
}

void api_session_delete(http_exchange *x)
{
    add_event(x, "sign_out", x->identity.user, "signed out");
    auth_session_end(x);
    http_respond_empty(x, 204);
}

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
    if (meshping_store_user_save(x->server->store, &user, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    auth_setup_finish(x->server->http);
    log_info("http", "%s is the first administrator, set up from %s", user.name, http_peer_text(x, address));
    add_event(x, "set_up", user.name, "first administrator made");
    if (auth_session_begin(x, &user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 201, identity_json(x));
}

void api_setup(http_exchange *x)
{
    bool ok;
    meshping_error err = {0};
    meshping_user_record user = {.role = "admin", .created_ms = server_unix_ms()};
    const char *code = http_json_string(x, "code", &ok);
    if (!ok)
        return;
    const char *name = http_json_string(x, "user", &ok);
    if (!ok)
        return;
    const char *password = http_json_string(x, "password", &ok);
    if (!ok)
        return;
    if (!code || !name || !password) {
        http_respond_problem(x, 400, "\"code\", \"user\" and \"password\" are needed");
        return;
    }
    if (!auth_setup_needed(x->server->http)) {
        http_respond_problem(x, 409, "there is an administrator already: sign in");
        return;
    }
    if (must_wait(x, NULL))
        return;
    auth_try_begin(x, NULL);
    if (!auth_setup_code_matches(x->server->http, code)) {
        x->server->counters.logins_failed++;
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
    start_job(x, true, NULL, password, &user, password_made);
}
