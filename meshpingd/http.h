/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 for browsers and scripts, docs/API.md: one exchange is one request and its answer. Everything runs on the
 * server's loop. A handler answers with exactly one http_respond* call, at once or later (auth.c: after scrypt).
 */
#ifndef MESHPINGD_HTTP_H
#define MESHPINGD_HTTP_H

#include "common/text.h"
#include "meshpingd/router.h"
#include "meshpingd/server.h"
#include "meshpingd/throttle.h"
#include <json-c/json.h>
#include <libwebsockets.h>

/* ---- for web.c: the protocol table; entry 0 must be http_callback ---- */
/* The headers for safety, for what libwebsockets answers by itself. */
const struct lws_protocol_vhost_options *http_safety_options(void);
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
extern const size_t http_per_session_size;
#define LIVE_SUBPROTOCOL "meshping.live.v1"
#define LIVE_PATH "/live"
int live_ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);
extern const size_t live_ws_per_session_size;

/* ---- limits ---- */
#define HTTP_BODY_MAX (4u << 20)         /* a list of 10,000 targets */
#define HTTP_BODY_SMALL_MAX 8192u        /* everything else */
#define HTTP_BODY_DISCARD_MAX (8u << 20) /* of a body that nobody wants, so that the client reads the answer */
#define HTTP_BODY_TIME_MS 60000          /* for a whole body */
#define HTTP_LINGER_S 5                  /* how long an answered connection is read out before it is closed */
#define HTTP_QUERY_MAX 8
#define HTTP_TIME_MS_MAX INT64_C(64060588800000) /* the year 4000 */
#define HTTP_KNOWN_MAX 97                        /* auth_known.c: a cookie of 96 digits */
#define HTTP_CHUNK_BYTES 16384                   /* one lws_write */

typedef struct http_query {
    char name[32];
    char value[MESHPING_SELECTOR_MAX];
} http_query;

/* Who asks; a copy, since the session may end while the exchange waits. */
typedef struct http_identity {
    bool present;
    bool is_token; /* an API token; else a session */
    uint64_t user_id;
    meshping_role role; /* a token's is no higher than its user's */
    char user[MESHPING_USER_NAME_MAX], csrf[65], token_name[65];
    uint8_t token_hash[MESHPING_TOKEN_HASH_LEN]; /* of the cookie, or of the API token */
    int64_t confirmed_ms;                        /* a session's password was typed last */
    int64_t expires_ms;                          /* of a token */
} http_identity;

typedef struct http_exchange {
    server *server;
    struct lws *wsi;
    http_method method;
    const http_route *route;
    http_params params;
    char path[1024];
    char host[300], origin[320], content_type[128], csrf[80], fetch_site[32];
    char if_match[128], if_none_match[128], authorization[300], session_token[64], user_agent[512];
    char known[HTTP_KNOWN_MAX]; /* the cookie of a browser that a user has signed in with */
    bool accepts_gzip, keep_alive;
    http_query query[HTTP_QUERY_MAX];
    size_t query_count;
    meshping_address peer;
    http_identity identity;

    uint64_t body_expected;
    char *body;
    size_t body_length, body_capacity;
    bool body_complete;
    int64_t begun_ms;
    json_object *json; /* the body, when the route has HTTP_ROUTE_JSON; an object */

    int status;          /* 0: no answer yet */
    text_buffer headers; /* of the answer, each with its line end */
    char *answer;        /* owned unless answer_borrowed */
    bool answer_borrowed, cacheable, close_after, head_sent, no_linger;
    size_t answer_length, answer_sent;

    bool account_charged; /* auth_try_begin has counted a try of an account, whose key this is */
    uint8_t account_key[THROTTLE_KEY_LEN];
    bool trusted;               /* who tries a password shows that the account is his: auth_must_wait */
    struct auth_job *job;       /* the scrypt that this exchange waits for */
    struct reader_job *reading; /* the read of the store, likewise */
    struct mail_job *mailing;   /* and the e-mail */

    meshping_audit_record audit; /* of a route with an action */
    bool audited;
} http_exchange;

/* ---- the answer ---- */
/* Adds a header line to the answer. The value must hold no line end (it is cut there). */
void http_header(http_exchange *x, const char *name, const char *format, ...) MESHPING_PRINTF(3, 4);
/* Cache-Control and what may be kept; without it an answer is "no-store". */
void http_cache(http_exchange *x, const char *control);
/* body: malloc'd, taken. */
void http_respond(http_exchange *x, int status, const char *content_type, char *body, size_t length);
/* body: must outlive the exchange. */
void http_respond_borrowed(http_exchange *x, int status, const char *content_type, const char *body, size_t length);
void http_respond_text(http_exchange *x, int status, const char *content_type, text_buffer *body); /* taken */
void http_respond_empty(http_exchange *x, int status);
/* json: taken; NULL is 500. */
void http_respond_json(http_exchange *x, int status, json_object *json);
/* RFC 9457; on the original's routes {"error": ...}. */
void http_respond_problem(http_exchange *x, int status, const char *format, ...) MESHPING_PRINTF(3, 4);
void http_respond_problem_json(http_exchange *x, int status, json_object *problem); /* taken */
/* The problem of a failed library call. */
void http_respond_error(http_exchange *x, const meshping_error *err);
/* 429 with Retry-After, rounded up to seconds. */
void http_respond_busy(http_exchange *x, int64_t wait_ms, const char *why);

/* {"user", "role", "csrf"} of who asks (api_session.c). */
json_object *api_identity_json(const http_exchange *x);

/* ---- the audit log (audit.c) ---- */
/*
 * Around what may change something for a route with an action: the first transaction in between takes the exchange's
 * row with it. A change that was answered well and took none has its row written by itself.
 */
void http_audit_begin(http_exchange *x);
void http_audit_end(http_exchange *x);
/* What the row says it was done to, and how, before the change. */
void http_audit_object(http_exchange *x, const char *format, ...) MESHPING_PRINTF(2, 3);
void http_audit_detail(http_exchange *x, const char *format, ...) MESHPING_PRINTF(2, 3);
/* No row: the request asked for what is already so. */
void http_audit_nothing(http_exchange *x);
/* Who it was, when that is known only now: signing in, links. */
void http_audit_who(http_exchange *x, uint64_t user_id, const char *user, const char *via);

/* ---- the request ---- */
/* Fills the exchange from the request's head. 0, or the status of a problem with the reason in *why. */
int http_copy_head(http_exchange *x, const char **why);
/* NULL: not there. */
const char *http_query_get(const http_exchange *x, const char *name);
/* names: "agent, target". False: the query has a parameter that is none of these, and a 400 was sent. */
bool http_query_only(http_exchange *x, const char *names);
/* A whole number of min..max of the query; absent: *value stays. False: a 400 was sent. */
bool http_query_number(http_exchange *x, const char *name, uint64_t min, uint64_t max, uint64_t *value);
/* A selector of the query; absent: everything. False: a 400 was sent. */
bool http_query_selector(http_exchange *x, const char *name, meshping_selector *out);
/* Answers with ETag: "revision". */
void http_etag(http_exchange *x, uint64_t revision);
/* Before a change: If-Match must name it, If-None-Match must not. False: a 400, or a 412 about `what`, was sent. */
bool http_may_change(http_exchange *x, uint64_t revision, const char *what);
/* Before the answer to a GET: true when If-None-Match names it, and a 304 was sent. */
bool http_not_modified(http_exchange *x, uint64_t revision);
/* A string field of the body: NULL when absent; *ok = false (and a 400 is sent) when it is there and is no string. */
const char *http_json_string(http_exchange *x, const char *name, bool *ok);
/* The same of a field that must be there; NULL: a 400 was sent. */
const char *http_json_needed(http_exchange *x, const char *name);
/* true or false; absent: *value stays. False: a 400 was sent. */
bool http_json_flag(http_exchange *x, const char *name, bool *value);
/* A whole number of min..max; `absent` when it is not there; *ok as above. */
int64_t http_json_number(http_exchange *x, const char *name, int64_t absent, int64_t min, int64_t max, bool *ok);
/* The peer's address as text of MESHPING_ADDRESS_TEXT_MAX. */
const char *http_peer_text(const http_exchange *x, char *text_out);
/* True when `origin` is "https://" and exactly this host. */
bool http_origin_is_own(const char *origin, const char *host);
/* A header into to[size]; "" when absent; false when it does not fit. */
bool http_copy_header(struct lws *wsi, char *to, size_t size, enum lws_token_indexes token);
bool http_copy_peer(struct lws *wsi, meshping_address *out);
/* Answers an Upgrade request with a problem; returns what LWS_CALLBACK_HTTP_CONFIRM_UPGRADE must return. */
int http_refuse_upgrade(struct lws *wsi, int status, const char *detail);

/* ---- handlers, by file ---- */
extern const http_route http_routes[];
extern const size_t http_route_count;
/* api_session.c */
void api_session_get(http_exchange *x);
void api_session_create(http_exchange *x);
void api_session_delete(http_exchange *x);
void api_session_confirm(http_exchange *x);
void api_setup(http_exchange *x);
/* api_account.c */
void api_password_put(http_exchange *x);
void api_profile_get(http_exchange *x);
void api_profile_put(http_exchange *x);
void api_sessions_list(http_exchange *x);
void api_session_end(http_exchange *x);
void api_sessions_end_others(http_exchange *x);
/* api_tokens.c */
void api_tokens_list(http_exchange *x);
void api_token_create(http_exchange *x);
void api_token_delete(http_exchange *x);
/* api_users.c */
void api_users_list(http_exchange *x);
void api_user_create(http_exchange *x);
void api_user_change(http_exchange *x);
void api_user_link(http_exchange *x);
void api_user_sign_out(http_exchange *x);
/* api_links.c */
void api_password_reset(http_exchange *x);
void api_link_open(http_exchange *x);
void api_link_use(http_exchange *x);
/* openapi.c */
void openapi_get(http_exchange *x);
/* api_audit.c */
void api_audit_list(http_exchange *x);
/* api_agents.c */
void api_agents_list(http_exchange *x);
void api_agent_approve(http_exchange *x);
void api_agent_reject(http_exchange *x);
void api_agent_hold(http_exchange *x);
void api_agent_reinstate(http_exchange *x);
void api_agent_rekey(http_exchange *x);
void api_agents_approve(http_exchange *x);
void api_agent_change(http_exchange *x);
void api_agent_quarantine(http_exchange *x);
void api_agent_targets(http_exchange *x);
void api_agent_addresses(http_exchange *x);
void api_blocked_get(http_exchange *x);
void api_blocked_put(http_exchange *x);
/* api_probes.c */
void api_probe_ask(http_exchange *x);
void api_probe_get(http_exchange *x);
/* api_targets.c */
void api_targets_get(http_exchange *x);
void api_targets_put(http_exchange *x);
/* The list of the body into *list, the caller's; false: answered. */
bool api_targets_take(http_exchange *x, meshping_target_list *list);
/* What it would change, into the audit log's row. */
void api_targets_describe(http_exchange *x, const meshping_target_list *list);
/* api_targets_preview.c */
void api_targets_preview(http_exchange *x);
/* api_rules.c */
void api_rules_get(http_exchange *x);
void api_rules_put(http_exchange *x);
void api_rules_preview(http_exchange *x);
/* api_about.c */
void api_about(http_exchange *x);
/* api_settings.c */
void api_settings_get(http_exchange *x);
void api_settings_patch(http_exchange *x);
void api_settings_test_mail(http_exchange *x);
/* api_passphrases.c */
void api_passphrases_list(http_exchange *x);
void api_passphrase_create(http_exchange *x);
void api_passphrase_revoke(http_exchange *x);
void api_passphrase_rotate(http_exchange *x);
/* api_mesh.c */
void api_matrix(http_exchange *x);
void api_series(http_exchange *x);
void api_events(http_exchange *x);
void api_server(http_exchange *x);
/* api_server_key.c */
void api_server_key_get(http_exchange *x);
void api_server_key_begin(http_exchange *x);
void api_server_key_switch(http_exchange *x);
void api_server_key_abort(http_exchange *x);
/* api_history.c */
void api_history(http_exchange *x);
void api_summary(http_exchange *x);
void api_summary_of_pairs(http_exchange *x);
void api_worst(http_exchange *x);
/* api_original.c */
void original_update_targets(http_exchange *x);
void original_approve(http_exchange *x);
void original_reject(http_exchange *x);
void original_monitoring(http_exchange *x);
/* metrics.c */
void metrics_get(http_exchange *x);
void health_get(http_exchange *x);
void ready_get(http_exchange *x);
/* live_ws.c */
void live_get(http_exchange *x);
/* pages.c */
void page_get(http_exchange *x);
/* The bundle's file of x->path; false: there is none, nothing was sent. */
bool page_asset(http_exchange *x);

#endif
