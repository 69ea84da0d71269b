/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire between agent and server: passphrase, identity, control messages, block frames. Pure computation: random
 * bytes and time are arguments. docs/PROTOCOL.md is the authority.
 */
#ifndef MESHPING_PROTOCOL_H
#define MESHPING_PROTOCOL_H

#include <meshping/buffer.h>
#include <meshping/registry.h>
#include <meshping/target.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_PROTOCOL_VERSION 1
#define MESHPING_SUBPROTOCOL "meshping.agent.v1"
#define MESHPING_AGENT_PATH "/agent"
#define MESHPING_AGENT_SNI "agents.meshping"
#define MESHPING_JSON_MAX 65536 /* longest control message after authentication */
#define MESHPING_HELLO_MAX 4096 /* and before it */

/* ---- passphrase ---- */

#define MESHPING_PASSPHRASE_KEY_LEN 16
#define MESHPING_PIN_LEN 16 /* SHA-256(SubjectPublicKeyInfo), first 16 bytes */
#define MESHPING_TID_LEN 8
#define MESHPING_PASSPHRASE_TEXT_MAX 640

typedef struct meshping_passphrase {
    uint8_t key[MESHPING_PASSPHRASE_KEY_LEN]; /* K, random */
    char host[MESHPING_HOST_MAX];             /* the server's advertised address or name, canonical */
    uint16_t port;
    uint8_t pin[MESHPING_PIN_LEN];
} meshping_passphrase;

/* "MP1-XXXXXX-..." into text[MESHPING_PASSPHRASE_TEXT_MAX]. INVALID: host or port; CRYPTO. */
MESHPING_API meshping_status meshping_passphrase_encode(char *text, const meshping_passphrase *passphrase,
                                                        meshping_error *err);
/*
 * Reads what a person typed: any case, spaces and dashes anywhere, I and L as 1, O as 0. INVALID says which group is
 * wrong where that can be found out (a group of the wrong length, one changed character, two swapped neighbours).
 * The error never holds the passphrase.
 */
MESHPING_API meshping_status meshping_passphrase_decode(meshping_passphrase *out, const char *text,
                                                        meshping_error *err);
/* tid: names the passphrase to the server without revealing its key. */
MESHPING_API meshping_status meshping_passphrase_tid(uint8_t tid[MESHPING_TID_LEN],
                                                     const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN]);

/* ---- identity: Ed25519 (RFC 8032) ---- */

#define MESHPING_KEY_LEN 32
#define MESHPING_SIGNATURE_LEN 64
#define MESHPING_NONCE_LEN 32
#define MESHPING_EKM_LEN 32
#define MESHPING_FINGERPRINT_MAX 48

/* Public key of a 32-byte private seed. */
MESHPING_API meshping_status meshping_identity_public(uint8_t public_key[MESHPING_KEY_LEN],
                                                      const uint8_t seed[MESHPING_KEY_LEN]);
/* "3F2A 91C0 ..." : the first 16 bytes of SHA-256(public key) in hex, grouped by 4; text[MESHPING_FINGERPRINT_MAX]. */
MESHPING_API const char *meshping_identity_fingerprint(char *text, const uint8_t public_key[MESHPING_KEY_LEN]);
/* CRYPTO: a key of small order; such keys verify anything. (A key that is no point at all verifies nothing.) */
MESHPING_API meshping_status meshping_identity_check(const uint8_t public_key[MESHPING_KEY_LEN]);

/* What both ends know of one connection; every key and signature binds to it. */
typedef struct meshping_binding {
    uint64_t server_id;
    uint8_t ekm[MESHPING_EKM_LEN]; /* RFC 9266 tls-exporter */
    uint8_t nonce_s[MESHPING_NONCE_LEN];
    uint8_t nonce_a[MESHPING_NONCE_LEN];
    uint8_t public_key[MESHPING_KEY_LEN];
} meshping_binding;

/* ---- control messages (JSON text frames) ---- */

#define MESHPING_EVENT_MAP(XX)                                                                                         \
    XX(1, WELCOME, "welcome")                                                                                          \
    XX(2, HANDSHAKE, "handshake")                                                                                      \
    XX(3, REGISTRATION_STATUS, "registration_status")                                                                  \
    XX(4, REFUSED, "refused")                                                                                          \
    XX(5, SERVER_MESSAGE, "server_message")                                                                            \
    XX(6, TARGETS_APPLIED, "targets_applied")                                                                          \
    XX(7, STATUS, "status")                                                                                            \
    XX(8, MONITORING_DATA, "monitoring_data")                                                                          \
    XX(9, DATA_RECEIVED, "data_received")                                                                              \
    XX(10, GAP, "gap")                                                                                                 \
    XX(11, JOINED, "joined")                                                                                           \
    XX(12, REKEY, "rekey")                                                                                             \
    XX(13, PIN_STORED, "pin_stored")                                                                                   \
    XX(14, PROBE_RESULT, "probe_result")

typedef enum meshping_event {
#define XX(value, name, text) MESHPING_EVENT_##name = (value),
    MESHPING_EVENT_MAP(XX)
#undef XX
} meshping_event;

MESHPING_API const char *meshping_event_name(unsigned event);

typedef struct meshping_welcome {
    uint32_t version;
    uint64_t server_id;
    uint8_t nonce_s[MESHPING_NONCE_LEN];
    int64_t time_unix_ms;
} meshping_welcome;

#define MESHPING_INFO_MAX 1024 /* encrypted or plain info in a handshake */

typedef struct meshping_handshake {
    bool enrol;                          /* else resume */
    uint8_t tid[MESHPING_TID_LEN];       /* enrol */
    uint8_t ticket[MESHPING_TICKET_LEN]; /* resume */
    size_t ticket_length;                /* MESHPING_TICKET_LEN; 0: none */
    uint8_t public_key[MESHPING_KEY_LEN];
    uint8_t nonce_a[MESHPING_NONCE_LEN];
    uint8_t info[MESHPING_INFO_MAX]; /* enrol: ciphertext and tag; resume: the info's JSON */
    size_t info_length;
    uint8_t signature[MESHPING_SIGNATURE_LEN];
} meshping_handshake;

/* What an agent says of itself. */
typedef struct meshping_agent_info {
    char host_name[MESHPING_AGENT_TEXT_MAX];
    char address[MESHPING_AGENT_TEXT_MAX];
    char advertise[MESHPING_ADDRESS_TEXT_MAX]; /* the address that others are to ping it at; empty: none */
    char version[MESHPING_AGENT_TEXT_MAX];
    uint64_t epoch; /* of its buffer */
} meshping_agent_info;

typedef struct meshping_registration_status {
    meshping_agent_state state;
    char message[MESHPING_AGENT_TEXT_MAX];
    uint64_t agent_id; /* 0 until approved */
    uint64_t epoch;    /* to which the ranges belong */
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t range_count;
    uint64_t credit_bytes; /* unacked bytes allowed; 0: send no data */
    uint32_t retry_s;
    uint8_t ticket[MESHPING_TICKET_LEN]; /* a new one, to be stored and answered with joined */
    bool has_ticket;
} meshping_registration_status;

typedef struct meshping_joined {
    uint64_t serial; /* of the ticket that is stored */
} meshping_joined;

typedef struct meshping_refused {
    char code[64];
    char message[MESHPING_AGENT_TEXT_MAX];
    uint32_t retry_s;
} meshping_refused;

/* ---- server_message ---- */

#define MESHPING_SERVER_MESSAGE_MAP(XX)                                                                                \
    XX(0, UPDATE_TARGETS, "update_targets")                                                                            \
    XX(1, REKEY, "rekey")           /* make a new key */                                                               \
    XX(2, REKEYED, "rekeyed")       /* the new key is in force */                                                      \
    XX(3, PIN_CHANGE, "pin_change") /* by which keys the server is to be known */                                      \
    XX(4, PROBE_NOW, "probe_now")   /* one probe beside the schedule */

typedef enum meshping_server_message_type {
#define XX(value, name, text) MESHPING_SERVER_MESSAGE_##name = (value),
    MESHPING_SERVER_MESSAGE_MAP(XX)
#undef XX
} meshping_server_message_type;

#define MESHPING_UPDATE_REMOVED_MAX 1000 /* of one part */

/* update_targets: part `part` of `parts` of one revision; the whole list, or what changed. */
typedef struct meshping_target_update {
    uint64_t revision;
    uint32_t part, parts; /* part counts from 0 */
    bool is_delta;
    uint64_t base;             /* of a delta: the revision that it changes */
    meshping_target_list list; /* of a delta: targets that are new, or changed */
    uint64_t *removed;         /* of a delta: ids of targets that go; owned as the list is (meshping_free) */
    size_t removed_count;
} meshping_target_update;

/* server_message rekey: the agent is to make a new key and answer with event rekey. */
typedef struct meshping_rekey_request {
    uint8_t nonce[MESHPING_NONCE_LEN]; /* random, for this request */
} meshping_rekey_request;

/* server_message rekeyed: from now on the agent is known by this key. */
typedef struct meshping_rekeyed {
    uint8_t public_key[MESHPING_KEY_LEN];
} meshping_rekeyed;

#define MESHPING_PROBE_NOW_MAX 32 /* extra probes of an agent that are not answered yet */

/* server_message probe_now: one probe each, at once, beside the schedule; each is answered by event probe_result. */
typedef struct meshping_probe_now {
    uint64_t request;
    uint64_t targets[MESHPING_PROBE_NOW_MAX];
    size_t target_count;
} meshping_probe_now;

/* By which keys the server is to be known: server_message pin_change, and the agent's pin_stored with the same. */
typedef struct meshping_pins {
    uint8_t pin[MESHPING_PIN_LEN];
    uint8_t next[MESHPING_PIN_LEN]; /* as good as `pin`; all zero: none */
} meshping_pins;

/* Event rekey: a new key, and both keys' signatures: meshping_rekey_make. */
typedef struct meshping_rekey {
    uint8_t public_key[MESHPING_KEY_LEN];
    uint8_t old_signature[MESHPING_SIGNATURE_LEN];
    uint8_t new_signature[MESHPING_SIGNATURE_LEN];
} meshping_rekey;

/* Why an agent cannot measure a target of its list. */
#define MESHPING_REFUSAL_MAP(XX)                                                                                       \
    XX(1, NO_IPV4, "no_ipv4")           /* its host has no such address */                                             \
    XX(2, NO_IPV6, "no_ipv6")           /* its host has no such address */                                             \
    XX(3, NO_INTERFACE, "no_interface") /* of this name, of the target or of its address's zone */                     \
    XX(4, NO_SOURCE, "no_source")       /* its host does not send from the target's source */                          \
    XX(5, INVALID, "invalid")           /* the target makes no sense to it */                                          \
    XX(6, LIMIT, "limit")               /* it has enough others */

typedef enum meshping_refusal {
    MESHPING_REFUSAL_NONE = 0,
#define XX(value, name, text) MESHPING_REFUSAL_##name = (value),
    MESHPING_REFUSAL_MAP(XX)
#undef XX
} meshping_refusal;

MESHPING_API const char *meshping_refusal_name(unsigned refusal);

#define MESHPING_REFUSED_MAX 1000 /* of one part */

typedef struct meshping_refused_target {
    uint64_t target_id;
    meshping_refusal why;
} meshping_refused_target;

/* Part `part` of `parts`; `refused` of all parts together is all that the agent cannot measure. */
typedef struct meshping_targets_applied {
    uint64_t revision;
    uint32_t count; /* of the list, with those refused */
    uint32_t part, parts;
    meshping_refused_target *refused; /* owned as the list of an update is (meshping_free) */
    size_t refused_count;
} meshping_targets_applied;

#define MESHPING_RESOLVED_MAX 500 /* of one status */

/* To what a target's host name has resolved; an empty address: to none now. */
typedef struct meshping_resolved_target {
    uint64_t target_id;
    char address[MESHPING_ADDRESS_TEXT_MAX];
} meshping_resolved_target;

/* An agent's own load, as measured by it. */
typedef struct meshping_agent_load {
    uint32_t cpu_permille;  /* time of one processor that its process took since the last status */
    uint32_t load_permille; /* its host's load average of the last minute */
    uint64_t late_probes;   /* since its start: sent more than 100 ms after their slot */
    uint64_t overloaded;    /* since its start: samples of outcome overloaded */
} meshping_agent_load;

typedef struct meshping_status_message {
    int64_t time_unix_us;                       /* the sender's clock now */
    uint64_t ping;                              /* to be echoed as pong; 0: none */
    uint64_t pong;                              /* of the other's ping; 0: none */
    int64_t echo_unix_us;                       /* with pong: when the ping came, on the sender's clock; 0: none */
    uint64_t buffered_samples, dropped_samples; /* agent */
    uint32_t retry_s;                           /* server */
    bool has_load;                              /* agent */
    meshping_agent_load load;
    meshping_resolved_target *resolved; /* agent: those that have changed; owned likewise */
    size_t resolved_count;
} meshping_status_message;

/* Why there was no probe. */
#define MESHPING_UNPROBED_MAP(XX)                                                                                      \
    XX(1, UNKNOWN_TARGET, "unknown_target") /* not, or no more, among those that the agent measures */                 \
    XX(2, BUSY, "busy")                     /* too many are under way */

typedef enum meshping_unprobed {
    MESHPING_UNPROBED_NONE = 0, /* there was one */
#define XX(value, name, text) MESHPING_UNPROBED_##name = (value),
    MESHPING_UNPROBED_MAP(XX)
#undef XX
} meshping_unprobed;

MESHPING_API const char *meshping_unprobed_name(unsigned unprobed);

/* What an extra probe found. It is of no slot, and no sample of the target's series. */
typedef struct meshping_probe_answer {
    uint64_t request;
    uint64_t target_id;
    meshping_unprobed unprobed;              /* then the rest is 0 */
    uint8_t outcome;                         /* meshping_outcome */
    uint32_t rtt_us;                         /* of an answer */
    int64_t sent_unix_us;                    /* on the agent's clock; 0: nothing was sent */
    char address[MESHPING_ADDRESS_TEXT_MAX]; /* that was probed, with the agent's own zones; empty: there was none */
} meshping_probe_answer;

typedef struct meshping_data_received {
    uint64_t epoch;
    meshping_range ranges[MESHPING_RANGES_MAX];
    size_t range_count;
    uint64_t credit_bytes;
} meshping_data_received;

typedef struct meshping_gap_message {
    uint64_t epoch;
    meshping_gap gap;
} meshping_gap_message;

/* The readable form of a block. */
typedef struct meshping_monitoring_data {
    uint64_t epoch;
    uint64_t sequence;
    uint8_t *block; /* owned; a sample block made of the message's list */
    size_t block_length;
} meshping_monitoring_data;

typedef struct meshping_message {
    meshping_event event;
    meshping_server_message_type type; /* of server_message */
    union {
        meshping_welcome welcome;
        meshping_handshake handshake;
        meshping_registration_status registration_status;
        meshping_refused refused;
        meshping_target_update target_update; /* server_message: update_targets */
        meshping_rekey_request rekey_request; /* server_message: rekey */
        meshping_rekeyed rekeyed;             /* server_message: rekeyed */
        meshping_pins pins;                   /* server_message: pin_change; event pin_stored */
        meshping_probe_now probe_now;         /* server_message: probe_now */
        meshping_probe_answer probe_answer;   /* event probe_result */
        meshping_targets_applied targets_applied;
        meshping_status_message status;
        meshping_monitoring_data monitoring_data;
        meshping_data_received data_received;
        meshping_gap_message gap;
        meshping_joined joined;
        meshping_rekey rekey;
    } u;
} meshping_message;

/* {"event": NAME, "data": {...}}; *text is the caller's (meshping_free), NUL-terminated; *length without the NUL. */
MESHPING_API meshping_status meshping_message_encode(char **text, size_t *length, const meshping_message *message,
                                                     meshping_error *err);
/*
 * Any bytes are safe. PROTOCOL with the reason: not JSON, unknown event, a field missing, of the wrong type or out of
 * bounds. Unknown fields are ignored. On MESHPING_OK dispose of the message.
 */
MESHPING_API meshping_status meshping_message_decode(meshping_message *out, const char *text, size_t length,
                                                     meshping_error *err);
MESHPING_API void meshping_message_dispose(meshping_message *message);

/* ---- handshake ---- */

/* Fills a handshake of mode enrol: info encrypted under the passphrase's key, everything signed by the seed. */
MESHPING_API meshping_status meshping_handshake_enrol(meshping_handshake *out, const meshping_binding *binding,
                                                      const uint8_t seed[MESHPING_KEY_LEN],
                                                      const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN],
                                                      const meshping_agent_info *info, meshping_error *err);
/* ticket: the last one stored, MESHPING_TICKET_LEN bytes; NULL: none yet. */
MESHPING_API meshping_status meshping_handshake_resume(meshping_handshake *out, const meshping_binding *binding,
                                                       const uint8_t seed[MESHPING_KEY_LEN], const uint8_t *ticket,
                                                       const meshping_agent_info *info, meshping_error *err);
/*
 * The server's side: checks key and signature against the binding (whose nonce_a and public_key are taken from the
 * handshake), then opens the info. `key` is needed for enrol only. CRYPTO: refused, the message is for the log.
 */
MESHPING_API meshping_status meshping_handshake_open(meshping_agent_info *out, const meshping_handshake *handshake,
                                                     const meshping_binding *binding,
                                                     const uint8_t key[MESHPING_PASSPHRASE_KEY_LEN],
                                                     meshping_error *err);

/* ---- another key for an agent ---- */

/*
 * Proves the old and the new key to the server that asked, on this connection: `binding` as of its handshake, but for
 * nonce_a and public_key, which do not count; `nonce` is the request's. CRYPTO.
 */
MESHPING_API meshping_status meshping_rekey_make(meshping_rekey *out, const meshping_binding *binding,
                                                 const uint8_t nonce[MESHPING_NONCE_LEN],
                                                 const uint8_t old_seed[MESHPING_KEY_LEN],
                                                 const uint8_t new_seed[MESHPING_KEY_LEN], meshping_error *err);
/*
 * The server's side. CRYPTO: the new key is the old one or of small order, or one of the two signatures does not fit
 * its key, this connection and this request; the message is for the log.
 */
MESHPING_API meshping_status meshping_rekey_check(const meshping_rekey *rekey, const meshping_binding *binding,
                                                  const uint8_t nonce[MESHPING_NONCE_LEN],
                                                  const uint8_t old_key[MESHPING_KEY_LEN], meshping_error *err);
/* Whether the pins name a next key. */
MESHPING_API bool meshping_pins_have_next(const meshping_pins *pins);

/*
 * False for JSON that json-c takes, though RFC 8259 does not, in texts that it found right: single quotes, NaN and
 * Infinity, control characters in strings, overlong forms of UTF-8 and surrogates.
 */
MESHPING_API bool meshping_json_is_strict(const char *text, size_t length);

/* ---- block frames (binary) ---- */

#define MESHPING_FRAME_HEADER_LEN 24
/* u8 version 1 | u8 kind 1 | u16 0 | u32 block length | u64 epoch | u64 sequence, little-endian, then the block. */
MESHPING_API void meshping_frame_header_encode(uint8_t header[MESHPING_FRAME_HEADER_LEN], uint64_t epoch,
                                               uint64_t sequence, uint32_t block_length);
MESHPING_API meshping_status meshping_frame_header_decode(const uint8_t *frame, size_t length, uint64_t *epoch,
                                                          uint64_t *sequence, const uint8_t **block,
                                                          size_t *block_length, meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
