/* SPDX-License-Identifier: Apache-2.0 */
/* Who may come in: sessions, passwords off the loop, throttles, the set-up code. Used by the HTTP side only. */
#ifndef MESHPINGD_AUTH_H
#define MESHPINGD_AUTH_H

#include "common/cidr.h"
#include "meshpingd/http.h"
#include "meshpingd/password.h"
#include "meshpingd/throttle.h"

#define AUTH_COOKIE "__Host-meshping"
#define AUTH_SESSIONS_MAX 1024  /* in memory; the longest unused makes room, it lives on in the store */
#define AUTH_JOBS_RUNNING_MAX 2 /* scrypts at a time: 128 MiB and a core each */
#define AUTH_JOBS_WAITING_MAX 8 /* behind them; more get 429 */
#define AUTH_SAVE_MS 300000     /* a session's last use is written this often */
#define AUTH_SETUP_CODE_MAX 32

typedef struct auth_session {
    uint8_t token_hash[32];
    char user[65], role[16], csrf[65];
    int64_t created_ms, last_used_ms, saved_ms;
    uint64_t user_id;
} auth_session;

typedef struct auth_job auth_job;
/* x is never NULL: a job whose client went away is dropped without a call. */
typedef void (*auth_job_done)(http_exchange *x, auth_job *job);

struct auth_job {
    uv_work_t work;
    struct http_state *state; /* NULL: the server stops */
    http_exchange *exchange;  /* NULL: the client went away */
    auth_job *next;           /* waiting */
    auth_job_done done;
    bool running, encode; /* encode: make `stored`, else compare with it */
    bool nobody;          /* compare with nothing, at the same cost */
    char *password;
    size_t password_length;
    uint8_t salt[PASSWORD_SALT_LEN];
    char stored[PASSWORD_TEXT_MAX];
    meshping_user_record user;
    bool matches;
    meshping_status status;
    meshping_error error;
};

struct live_viewer;

struct http_state {
    server *server;
    uv_timer_t timer;
    bool timer_open;
    auth_session *sessions;
    size_t session_count;
    throttle accounts, addresses;
    auth_job *waiting, *running_jobs[AUTH_JOBS_RUNNING_MAX];
    size_t waiting_count;
    bool setup_needed;
    char setup_code[AUTH_SETUP_CODE_MAX];
    int64_t next_expiry_ms;
    cidr_list metrics_allow;     /* of the configuration */
    struct live_viewer *viewers; /* live_ws.c */
    size_t viewer_count;
};

/* ---- sessions ---- */
/* The session of a cookie's token, with its last use set to now; NULL: none, or it has ended. Borrowed, short-lived. */
auth_session *auth_session_find(struct http_state *state, const char *token);
/* Makes a session and the answer's cookie; an earlier session of this exchange ends. */
meshping_status auth_session_begin(http_exchange *x, const meshping_user_record *user, meshping_error *err);
/* Ends it in memory, in the store and on its live sockets, and takes the cookie back. */
void auth_session_end(http_exchange *x);
/* True while the session of this hash lives; for live sockets. */
bool auth_session_alive(struct http_state *state, const uint8_t token_hash[32]);

/* ---- passwords ---- */
/*
 * Runs scrypt in a worker. stored NULL and not encode: nobody has the name. LIMIT: the queue is full; NOMEM, CRYPTO.
 * `user` goes back to `done` in the job.
 */
meshping_status auth_job_start(http_exchange *x, bool encode, const char *stored, const char *password, size_t length,
                               const meshping_user_record *user, auth_job_done done, meshping_error *err);
/* The exchange ends: what it waited for is dropped. */
void auth_job_abandon(http_exchange *x);

/* ---- throttle ---- */
/* Milliseconds that this client must wait before it may try `account` (NULL: the set-up code). */
int64_t auth_wait_ms(const http_exchange *x, const char *account);
void auth_try_begin(const http_exchange *x, const char *account);
void auth_try_failed(const http_exchange *x, const char *account);
void auth_try_succeeded(const http_exchange *x, const char *account);

/* ---- set-up ---- */
/* Looks again whether there is a user. */
bool auth_setup_needed(struct http_state *state);
bool auth_setup_code_matches(const struct http_state *state, const char *code);
/* The first administrator is there: the code and its file go. */
void auth_setup_finish(struct http_state *state);
/* Path of the file with the code. */
void auth_setup_path(char *path, size_t size, const char *state_dir);

meshping_status auth_start(struct http_state *state, meshping_error *err);
void auth_stop(struct http_state *state);
/* Each second. */
void auth_tick(struct http_state *state);

/* ---- live_ws.c ---- */
/* Closes the session's live sockets with 4401. */
void live_ws_session_ended(struct http_state *state, const uint8_t token_hash[32]);
/* Each second: sockets whose session has ended, and viewers that read nothing. */
void live_ws_tick(struct http_state *state);
void live_ws_stop(struct http_state *state);
/* LWS_CALLBACK_HTTP_CONFIRM_UPGRADE on LIVE_PATH: 0 goes on, else what that callback must return. */
int live_ws_confirm_upgrade(server *s, struct lws *wsi);

#endif
