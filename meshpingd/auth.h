/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may come in: sessions, API tokens, passwords off the loop, throttles, the set-up code. Used by the HTTP side
 * only.
 */
#ifndef MESHPINGD_AUTH_H
#define MESHPINGD_AUTH_H

#include "meshpingd/http.h"
#include "meshpingd/mail.h"
#include "meshpingd/password.h"
#include "meshpingd/throttle.h"
#include <meshping/cidr.h>

#define AUTH_COOKIE "__Host-meshping"
#define AUTH_KNOWN_COOKIE "__Host-meshping-known"
#define AUTH_SESSIONS_MAX 1024   /* in memory; the longest unused makes room, it lives on in the store */
#define AUTH_SESSIONS_A_USER 20  /* the longest unused one ends when there would be more */
#define AUTH_TOKENS_A_USER 100   /* API tokens */
#define AUTH_FRESH_MS 900000     /* so long a typed password opens routes with HTTP_ROUTE_FRESH */
#define AUTH_JOBS_RUNNING_MAX 2  /* scrypts at a time: 128 MiB and a core each */
#define AUTH_JOBS_WAITING_MAX 8  /* behind them; more get 429 */
#define AUTH_JOBS_TRUSTED_MAX 8  /* places more, before all others, for those whose account it is */
#define AUTH_KNOWN_DAYS 180      /* so long a browser is known */
#define AUTH_SAVE_MS 300000      /* a session's or token's last use is written this often */
#define AUTH_REFUSED_MS 60000    /* failed sign-ins are summed up in the audit log this often */
#define AUTH_INVITE_HOURS 72     /* how long one-time links work: an invitation, */
#define AUTH_RESET_HOURS 24      /* and a new password */
#define AUTH_TOKEN_PREFIX "mpt_" /* of API tokens, so that a search through files finds them */
#define AUTH_SETUP_CODE_MAX 32
#define AUTH_TOKEN_TEXT_LEN 43 /* base64url of 32 random bytes */

typedef struct auth_session {
    meshping_web_session_record record;
    int64_t saved_ms; /* record.last_used_ms in the store */
    char user[MESHPING_USER_NAME_MAX];
    meshping_role role;
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
    bool trusted;         /* before those who are not */
    uint32_t failures;    /* of its address, when it came */
    bool nobody;          /* compare with nothing, at the same cost */
    char *password;
    size_t password_length;
    char *breached_passwords; /* encode: no password of this list; NULL: there is none */
    bool list_failed;         /* it could not be used, error says why */
    uint8_t salt[PASSWORD_SALT_LEN];
    char stored[PASSWORD_TEXT_MAX];
    meshping_user_record user;
    bool matches;
    meshping_status status;
    meshping_error error;
};

struct live_viewer;

/* Somebody says that he has forgotten his password (mail_reset.c). */
typedef struct auth_reset {
    char name[MESHPING_USER_NAME_MAX], address[MESHPING_ADDRESS_TEXT_MAX];
} auth_reset;

struct http_state {
    server *server;
    uv_timer_t timer;
    bool timer_open;
    auth_session *sessions;
    size_t session_count;
    throttle accounts, addresses;
    uint64_t refused; /* sign-ins, since the audit log was told last */
    int64_t refused_told_ms;
    char refused_address[MESHPING_ADDRESS_TEXT_MAX]; /* of the last one */
    struct readers *readers;                         /* readers.c */
    auth_reset resets[MAIL_RESETS_WAITING_MAX];
    size_t reset_count;
    throttle reset_mails; /* by account */
    auth_job *waiting, *running_jobs[AUTH_JOBS_RUNNING_MAX];
    size_t waiting_count;
    bool setup_needed;
    char setup_code[AUTH_SETUP_CODE_MAX];
    int64_t next_expiry_ms;
    struct breached_look *breached_look; /* auth_breached.c */
    int64_t breached_due_ms;
    meshping_cidr_list metrics_allow; /* of the configuration */
    struct live_viewer *viewers;      /* live_ws.c */
    size_t viewer_count;
};

/* ---- sessions (auth_sessions.c) ---- */
/* The session of a cookie's token, with its last use set to now; NULL: none, or it has ended. Borrowed, short-lived. */
auth_session *auth_session_find(struct http_state *state, const char *token);
/*
 * Makes a session, which becomes the exchange's identity, and the answer's cookie; an earlier one of this exchange
 * ends, and the user's longest unused one when there are too many.
 */
meshping_status auth_session_begin(http_exchange *x, const meshping_user_record *user, meshping_error *err);
/* Ends the exchange's own, in memory, in the store and on its live sockets, and takes the cookie back. */
meshping_status auth_session_end(http_exchange *x, meshping_error *err);
/* The same for one by its hash, that may be unknown here. */
meshping_status auth_session_end_by_hash(struct http_state *state, const uint8_t hash[MESHPING_TOKEN_HASH_LEN],
                                         meshping_error *err);
/* The store has ended all sessions of a user but `except` (or NULL): memory and live sockets follow. */
void auth_sessions_ended(struct http_state *state, uint64_t user_id, const uint8_t *except);
/* True while the session of this hash lives; for live sockets. */
bool auth_session_alive(struct http_state *state, const uint8_t hash[MESHPING_TOKEN_HASH_LEN]);
/* Writes what memory knows better, before something in the store goes by it. */
void auth_sessions_save(struct http_state *state);
/* Each second, and before the end. */
void auth_sessions_tick(struct http_state *state, int64_t now_ms);

/* ---- what clients hold (auth_tokens.c) ---- */
/* 256 random bits as base64url into text[AUTH_TOKEN_TEXT_LEN + 1]. */
bool auth_token_make(char *text);
bool auth_token_hash(uint8_t hash[MESHPING_TOKEN_HASH_LEN], const char *text);
/* Who an Authorization or Cookie header names; false: nobody. A header that names a token is not passed over. */
bool auth_identify(server *s, const char *authorization, const char *session_token, http_identity *out);

/* ---- passwords (auth_password.c) ---- */
/*
 * Runs scrypt in a worker and then `done`, to which `user` goes in the job. stored NULL and not encode: nobody has the
 * name. Answers the exchange itself when it cannot: 429 when the queue is full; encode: 400 when the password is in the
 * list of breached ones, 503 when that cannot be used.
 */
void auth_job_start(http_exchange *x, bool encode, const char *stored, const char *password,
                    const meshping_user_record *user, auth_job_done done);
/* The exchange ends: what it waited for is dropped. */
void auth_job_abandon(http_exchange *x);

/* ---- the list of breached passwords (auth_breached.c) ---- */
/* It could not be used: the alarm. */
void auth_breached_failed(struct http_state *state, const meshping_error *err);
void auth_breached_tick(struct http_state *state, int64_t now_ms);
void auth_breached_stop(struct http_state *state);

/* ---- throttle ---- */
/*
 * True when this client must wait before it may try `account` (NULL: none in particular): 429 is sent then. Who is
 * signed in as `account`, or was in this browser, is trusted: his tries are counted apart from those of all others.
 */
bool auth_must_wait(http_exchange *x, const char *account);
/* How many tries from this client's address failed of late. */
uint32_t auth_address_failures(const http_exchange *x);
void auth_try_begin(http_exchange *x, const char *account);
/* No password was tried after all: nothing is held against the account. */
void auth_try_withdraw(http_exchange *x);
void auth_try_failed(const http_exchange *x, const char *account);
void auth_try_succeeded(const http_exchange *x, const char *account);

/* ---- known browsers (auth_known.c) ---- */
/* Whose the browser is, by its cookie; false: it has none of ours, or an old one. */
bool auth_known_user(const http_exchange *x, uint64_t *user_id);
/* From now on the browser is known as this user's. */
void auth_known_give(http_exchange *x, uint64_t user_id);

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
/* Closes the live sockets of this session or API token with 4401. */
void live_ws_ended(struct http_state *state, const uint8_t hash[MESHPING_TOKEN_HASH_LEN]);
/* All of a user but those of `except` (or NULL). */
void live_ws_user_ended(struct http_state *state, uint64_t user_id, const uint8_t *except);
/* Each second: sockets whose session has ended, and viewers that read nothing. */
void live_ws_tick(struct http_state *state);
void live_ws_stop(struct http_state *state);
/* LWS_CALLBACK_HTTP_CONFIRM_UPGRADE on LIVE_PATH: 0 goes on, else what that callback must return. */
int live_ws_confirm_upgrade(server *s, struct lws *wsi);

#endif
