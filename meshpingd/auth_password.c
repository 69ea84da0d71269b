/* SPDX-License-Identifier: Apache-2.0 */
/* scrypt off the loop: a few at a time, a few behind them, the rest is sent away. */
#include "meshpingd/auth.h"

#include "common/log.h"
#include "meshpingd/breached.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 3000

static void job_free(auth_job *job)
{
    OPENSSL_cleanse(job->password, job->password_length);
    free(job->password);
    free(job->breached_passwords);
    OPENSSL_cleanse(job, sizeof *job);
    free(job);
}

static void encode(auth_job *job)
{
    bool found = false;
    if (job->breached_passwords)
        job->status = breached_find(&found, job->breached_passwords, job->password, job->password_length, &job->error);
    job->list_failed = job->status != MESHPING_OK;
    if (found)
        job->status = password_refuse_breached(&job->error);
    if (job->status == MESHPING_OK)
        job->status = password_encode(job->stored, job->password, job->password_length, PASSWORD_SCRYPT_N, job->salt,
                                      &job->error);
}

/* In a worker: only the job's own memory. */
static void work(uv_work_t *request)
{
    auth_job *job = request->data;
    if (job->encode)
        encode(job);
    else
        job->status = password_verify(&job->matches, job->nobody ? NULL : job->stored, job->password,
                                      job->password_length, &job->error);
}

static void after_work(uv_work_t *request, int cancelled);

static void start_waiting(struct http_state *state)
{
    for (size_t i = 0; i < AUTH_JOBS_RUNNING_MAX && state->waiting; i++) {
        if (state->running_jobs[i])
            continue;
        auth_job *job = state->waiting;
        state->waiting = job->next;
        state->waiting_count--;
        state->running_jobs[i] = job;
        job->next = NULL;
        job->running = true;
        job->work.data = job;
        uv_queue_work(&state->server->loop, &job->work, work, after_work);
    }
}

static void after_work(uv_work_t *request, int cancelled)
{
    auth_job *job = request->data;
    struct http_state *state = job->state;
    http_exchange *x = job->exchange;
    (void)cancelled; /* nobody cancels */
    if (state && job->list_failed) {
        log_error("http", "a password was not set: the list of breached ones: %s", job->error.message);
        auth_breached_failed(state, &job->error);
    }
    if (state)
        for (size_t i = 0; i < AUTH_JOBS_RUNNING_MAX; i++)
            if (state->running_jobs[i] == job)
                state->running_jobs[i] = NULL;
    if (x) {
        x->job = NULL;
        lws_rx_flow_control(x->wsi, 1);
        http_audit_begin(x);
        if (job->status == MESHPING_OK)
            job->done(x, job);
        else if (job->list_failed)
            http_respond_problem(x, 503,
                                 "no password can be set now, as the list of breached ones cannot be used: "
                                 "the server's log says why");
        else
            http_respond_error(x, &job->error);
        http_audit_end(x);
    }
    job_free(job);
    if (state)
        start_waiting(state);
}

static void take_out(struct http_state *state, auth_job *job)
{
    for (auth_job **at = &state->waiting; *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            state->waiting_count--;
            break;
        }
    job_free(job);
}

static void send_away(http_exchange *x)
{
    x->server->counters.logins_busy++;
    http_respond_busy(x, BUSY_MS, "too many sign in at once");
}

/*
 * Room for one more, if need be in the place of the stranger whose address has failed most, and more often than this
 * one: who tries without end from many addresses does not keep out who tries once.
 */
static bool has_room(struct http_state *state, const http_exchange *x, uint32_t failures)
{
    auth_job *worst = NULL;
    if (state->waiting_count < AUTH_JOBS_WAITING_MAX + (x->trusted ? AUTH_JOBS_TRUSTED_MAX : 0))
        return true;
    for (auth_job *job = state->waiting; job; job = job->next)
        if (!job->trusted && job->failures > (worst ? worst->failures : failures))
            worst = job;
    if (!worst)
        return false;
    http_exchange *other = worst->exchange;
    other->job = NULL;
    take_out(state, worst);
    lws_rx_flow_control(other->wsi, 1);
    auth_try_withdraw(other);
    send_away(other);
    return true;
}

static meshping_status start(http_exchange *x, bool encode, const char *stored, const char *password,
                             const meshping_user_record *user, auth_job_done done, meshping_error *err)
{
    struct http_state *state = x->server->http;
    auth_job **place = &state->waiting;
    uint32_t failures = x->trusted ? 0 : auth_address_failures(x);
    if (!has_room(state, x, failures))
        return MESHPING_LIMIT;
    const char *breached = encode ? x->server->config.breached_passwords : "";
    auth_job *job = calloc(1, sizeof *job);
    char *copy = strdup(password), *list = *breached ? strdup(breached) : NULL;
    if (!job || !copy || (*breached && !list)) {
        free(job);
        free(copy);
        free(list);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    *job = (auth_job){.state = state,
                      .exchange = x,
                      .done = done,
                      .encode = encode,
                      .trusted = x->trusted,
                      .failures = failures,
                      .password = copy,
                      .password_length = strlen(copy),
                      .breached_passwords = list,
                      .user = *user,
                      .nobody = !encode && !stored};
    if (stored)
        strncpy(job->stored, stored, sizeof job->stored - 1);
    if (encode && RAND_bytes(job->salt, sizeof job->salt) != 1) {
        job_free(job);
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers");
    }
    while (*place && (!job->trusted || (*place)->trusted))
        place = &(*place)->next;
    job->next = *place;
    *place = job;
    state->waiting_count++;
    x->job = job;
    lws_rx_flow_control(x->wsi, 0); /* a client that sends on must not keep the loop busy meanwhile */
    start_waiting(state);
    return MESHPING_OK;
}

void auth_job_start(http_exchange *x, bool encode, const char *stored, const char *password,
                    const meshping_user_record *user, auth_job_done done)
{
    meshping_error err = {0};
    meshping_status status = start(x, encode, stored, password, user, done, &err);
    if (status == MESHPING_LIMIT)
        send_away(x);
    else if (status != MESHPING_OK)
        http_respond_error(x, &err);
}

void auth_job_abandon(http_exchange *x)
{
    auth_job *job = x->job;
    if (!job)
        return;
    x->job = NULL;
    job->exchange = NULL;
    if (job->running)
        return; /* after_work frees it */
    take_out(job->state, job);
}
