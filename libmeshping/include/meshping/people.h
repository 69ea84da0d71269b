/* SPDX-License-Identifier: Apache-2.0 */
/*
 * People, as the store keeps them: users with their roles, web sessions, one-time links, API tokens, and the audit log
 * of what they did. Threads and durability as in store.h: one thread, every write is durable when it returns.
 */
#ifndef MESHPING_PEOPLE_H
#define MESHPING_PEOPLE_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

struct meshping_store;

/* ---- roles ---- */

/* Each may what the ones before it may. */
typedef enum meshping_role {
    MESHPING_ROLE_NONE = 0,
    MESHPING_ROLE_VIEWER = 1,   /* reads */
    MESHPING_ROLE_OPERATOR = 2, /* and changes targets */
    MESHPING_ROLE_ADMIN = 3,    /* and agents, users, passphrases */
} meshping_role;

/* "viewer"; "" for NONE. Static storage. */
MESHPING_API const char *meshping_role_name(meshping_role role);
/* INVALID: no role's name ("" and "none" are none). */
MESHPING_API meshping_status meshping_role_parse(meshping_role *out, const char *name);

/* ---- users ---- */

#define MESHPING_USER_NAME_MAX 65
#define MESHPING_USER_EMAIL_MAX 255
#define MESHPING_TOKEN_HASH_LEN 32 /* SHA-256 of what the client holds */

typedef struct meshping_user_record {
    uint64_t id;                       /* 0: new */
    char name[MESHPING_USER_NAME_MAX]; /* unique, case-sensitive */
    char password[256];                /* "scrypt$N$r$p$salt$hash", never the password; "": invited, cannot sign in */
    meshping_role role;
    char email[MESHPING_USER_EMAIL_MAX]; /* "": none */
    bool disabled;                       /* cannot sign in, and no token of his works */
    int64_t created_ms;
    int64_t signed_in_ms; /* last time; 0: never */
} meshping_user_record;

MESHPING_API meshping_status meshping_store_user_count(struct meshping_store *store, size_t *count,
                                                       meshping_error *err);
/* All users by name; *records is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_users(struct meshping_store *store, meshping_user_record **records,
                                                  size_t *count, meshping_error *err);
MESHPING_API meshping_status meshping_store_user_by_name(struct meshping_store *store, const char *name,
                                                         meshping_user_record *out, meshping_error *err);
MESHPING_API meshping_status meshping_store_user_by_id(struct meshping_store *store, uint64_t id,
                                                       meshping_user_record *out, meshping_error *err);
/*
 * Inserts (id 0; EXISTS when the name is taken) or updates. end_sessions: in the same transaction all web sessions and
 * one-time links of the user go. STATE: no administrator who can sign in would be left. NOT_FOUND: no such id.
 */
MESHPING_API meshping_status meshping_store_user_save(struct meshping_store *store, meshping_user_record *user,
                                                      bool end_sessions, meshping_error *err);

/* ---- web sessions ---- */

typedef struct meshping_web_session_record {
    uint8_t token_hash[MESHPING_TOKEN_HASH_LEN]; /* of the cookie */
    uint64_t user_id;
    char csrf[65];
    int64_t created_ms, last_used_ms;
    int64_t confirmed_ms; /* the password was typed last */
    char address[64];     /* of the client that signed in */
    char agent[128];      /* its User-Agent, cleaned */
} meshping_web_session_record;

/* NOT_FOUND: the user does not exist. */
MESHPING_API meshping_status meshping_store_web_session_save(struct meshping_store *store,
                                                             const meshping_web_session_record *session,
                                                             meshping_error *err);
/* Notes when it was used last; nobody's change, so that no audit row goes with it. NOT_FOUND. */
MESHPING_API meshping_status meshping_store_web_session_used(struct meshping_store *store,
                                                             const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                                             int64_t last_used_ms, meshping_error *err);
MESHPING_API meshping_status meshping_store_web_session(struct meshping_store *store,
                                                        const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                                        meshping_web_session_record *out, meshping_error *err);
/* A user's, last used first; *records is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_web_sessions(struct meshping_store *store, uint64_t user_id,
                                                         meshping_web_session_record **records, size_t *count,
                                                         meshping_error *err);
MESHPING_API meshping_status meshping_store_web_session_delete(struct meshping_store *store,
                                                               const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                                               meshping_error *err);
/* All of a user but `except` (NULL: all). */
MESHPING_API meshping_status meshping_store_web_sessions_delete(struct meshping_store *store, uint64_t user_id,
                                                                const uint8_t *except, meshping_error *err);
/* Deletes those created before created_ms or last used before used_ms. */
MESHPING_API meshping_status meshping_store_web_sessions_expire(struct meshping_store *store, int64_t created_ms,
                                                                int64_t used_ms, meshping_error *err);

/* ---- one-time links: who holds one may set the user's password ---- */

typedef struct meshping_link_record {
    uint8_t token_hash[MESHPING_TOKEN_HASH_LEN];
    uint64_t user_id;
    int64_t created_ms, expires_ms;
} meshping_link_record;

/* Earlier links of the same user end. NOT_FOUND: the user does not exist. */
MESHPING_API meshping_status meshping_store_link_add(struct meshping_store *store, const meshping_link_record *link,
                                                     meshping_error *err);
/* NOT_FOUND: unknown, used, or expired at now_ms. */
MESHPING_API meshping_status meshping_store_link(struct meshping_store *store,
                                                 const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN], int64_t now_ms,
                                                 meshping_link_record *out, meshping_error *err);
/*
 * Sets the password (the stored form) of the link's user, in one transaction with the end of the link and of all his
 * sessions; *user as he is then. NOT_FOUND as above; STATE: he is disabled.
 */
MESHPING_API meshping_status meshping_store_link_use(struct meshping_store *store,
                                                     const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN], int64_t now_ms,
                                                     const char *password, meshping_user_record *user,
                                                     meshping_error *err);

/* ---- API tokens ---- */

typedef struct meshping_token_record {
    uint64_t id; /* 0: new */
    uint8_t token_hash[MESHPING_TOKEN_HASH_LEN];
    uint64_t user_id;
    char user[MESHPING_USER_NAME_MAX]; /* read only */
    char name[65];                     /* for people */
    meshping_role role;
    int64_t created_ms, expires_ms;
    int64_t used_ms; /* last time, about; 0: never */
} meshping_token_record;

/* NOT_FOUND: the user does not exist. */
MESHPING_API meshping_status meshping_store_token_add(struct meshping_store *store, meshping_token_record *token,
                                                      meshping_error *err);
/* NOT_FOUND; expired ones are given too. */
MESHPING_API meshping_status meshping_store_token(struct meshping_store *store,
                                                  const uint8_t token_hash[MESHPING_TOKEN_HASH_LEN],
                                                  meshping_token_record *out, meshping_error *err);
/* Those of a user (0: of all), newest first; *records is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_tokens(struct meshping_store *store, uint64_t user_id,
                                                   meshping_token_record **records, size_t *count, meshping_error *err);
/* NOT_FOUND: no such token, or of another user than user_id (0: of any). */
MESHPING_API meshping_status meshping_store_token_delete(struct meshping_store *store, uint64_t id, uint64_t user_id,
                                                         meshping_error *err);
MESHPING_API meshping_status meshping_store_token_used(struct meshping_store *store, uint64_t id, int64_t used_ms,
                                                       meshping_error *err);
/* Links and tokens that expired before expired_ms. */
MESHPING_API meshping_status meshping_store_credentials_expire(struct meshping_store *store, int64_t expired_ms,
                                                               meshping_error *err);

/* ---- audit log: who did what, when, from where ---- */

#define MESHPING_AUDIT_SCAN_MAX 20000 /* rows that one search looks at */

/* Rows are never changed, and deleted by meshping_store_audit_expire only: triggers in the database see to that. */
typedef struct meshping_audit_record {
    uint64_t id; /* ascending */
    int64_t unix_ms;
    uint64_t user_id; /* 0: nobody who is known */
    char user[MESHPING_USER_NAME_MAX];
    char via[80];     /* "session", "token NAME", "link", ... */
    char address[64]; /* of the client */
    char action[48];  /* "user.change" */
    char object[320]; /* what it was done to */
    char detail[512];
} meshping_audit_record;

MESHPING_API meshping_status meshping_store_audit_add(struct meshping_store *store, const meshping_audit_record *record,
                                                      meshping_error *err);
/*
 * The store's next transaction that changes something takes this row with it: both are there or neither. `record` is
 * borrowed, and may be filled in, until meshping_store_audit_end.
 */
MESHPING_API void meshping_store_audit_begin(struct meshping_store *store, const meshping_audit_record *record);
/* True when a transaction has taken it; when not, none will. */
MESHPING_API bool meshping_store_audit_end(struct meshping_store *store);

typedef struct meshping_audit_query {
    uint64_t before_id;     /* 0: from the newest on */
    size_t limit;           /* 1 or more */
    int64_t from_ms, to_ms; /* from_ms <= time < to_ms; to_ms 0: no end */
    const char *user;       /* exactly; NULL: any */
    const char *action;     /* that begin so; NULL: any */
    const char *text;       /* anywhere in the row, ASCII letters in either case; NULL: any */
} meshping_audit_query;
/*
 * Newest first, of the next MESHPING_AUDIT_SCAN_MAX rows. *records is the caller's (meshping_free). *next_id: the
 * before_id of the next page, 0: that was all.
 */
MESHPING_API meshping_status meshping_store_audit(struct meshping_store *store, const meshping_audit_query *query,
                                                  meshping_audit_record **records, size_t *count, uint64_t *next_id,
                                                  meshping_error *err);
/* Deletes at most `most` rows that are older than before_ms, the oldest first. */
MESHPING_API meshping_status meshping_store_audit_expire(struct meshping_store *store, int64_t before_ms, size_t most,
                                                         meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
