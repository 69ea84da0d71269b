/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's session with its server: connects, pins, enrols or resumes, delivers the buffer, takes targets in, and
 * reconnects by itself. It owns no thread and no loop: watch meshping_session_fd(), wake at the deadline, call process.
 *
 * libwebsockets' log level is the process's own; meshping_session_new switches its output off.
 *
 * State in state_dir (mode 0700): `identity.key` (Ed25519 seed, 0600), `identity.next` (one that is to take its place,
 * when the server asked for a new key), `server.json` (address, pin, server and agent
 * id, 0600), and `targets.jsonl`, the last list, so that a restart without the server goes on pinging.
 */
#ifndef MESHPING_SESSION_H
#define MESHPING_SESSION_H

#include <meshping/buffer.h>
#include <meshping/protocol.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_session meshping_session;

#define MESHPING_LINK_MAP(XX)                                                                                          \
    XX(0, DISCONNECTED, "disconnected") /* waiting to try again */                                                     \
    XX(1, CONNECTING, "connecting")                                                                                    \
    XX(2, PENDING, "pending") /* connected, waiting for an administrator */                                            \
    XX(3, HOLD, "hold")                                                                                                \
    XX(4, BLACKLISTED, "blacklisted")                                                                                  \
    XX(5, APPROVED, "approved") /* connected and delivering */                                                         \
    XX(6, REFUSED, "refused")   /* the passphrase is unknown, expired or revoked; tried again, slowly */

typedef enum meshping_link {
#define XX(value, name, text) MESHPING_LINK_##name = (value),
    MESHPING_LINK_MAP(XX)
#undef XX
} meshping_link;

MESHPING_API const char *meshping_link_name(unsigned link);

/* All are called from within meshping_session_process(); any may be NULL. */
typedef struct meshping_session_callbacks {
    void *user;
    /* The link's state changed; `message` is one line for a log. */
    void (*on_link)(void *user, meshping_link link, const char *message);
    /* A complete new list; borrowed. */
    void (*on_targets)(void *user, const meshping_target_list *targets);
    /* A connection was lost: what was asked by meshping_session_ping will not be answered. */
    void (*on_lost)(void *user);
    /* The server answered something that was sent at sent_mono_ns: evidence for isolation.h. */
    void (*on_answer)(void *user, int64_t sent_mono_ns, int64_t received_mono_ns);
    /*
     * The server asks for one probe of a target, now, beside its schedule: meshping_prober_probe_now with this tag,
     * then meshping_session_probed. NOT_FOUND: there is no such target; any other error: there are too many.
     */
    meshping_status (*on_probe_now)(void *user, uint64_t target_id, uint64_t tag);
    /* For a regular status: the agent's own load; false: not known. */
    bool (*on_load)(void *user, meshping_agent_load *out);
    /* For the same: what a target's host name is now; false: nothing. */
    bool (*on_address)(void *user, uint64_t target_id, meshping_address *out);
} meshping_session_callbacks;

typedef struct meshping_session_options {
    size_t struct_size;
    const char *state_dir;   /* required; made when missing */
    const char *passphrase;  /* needed until the first join; NULL afterwards */
    const char *host_name;   /* NULL: the system's */
    const char *advertise;   /* the IP address that the agents of a mesh are to ping; NULL: what the server sees */
    meshping_buffer *buffer; /* required; borrowed, must outlive the session */
    meshping_session_callbacks callbacks;
    uint32_t silence_ms;     /* no word from the server for so long ends the connection; default 15,000 */
    uint32_t backoff_max_ms; /* default 60,000 */
} meshping_session_options;

MESHPING_API void meshping_session_options_init(meshping_session_options *options);
/* INVALID: no passphrase and never joined, or a bad one; advertise is none; PERMISSION, IO: the state directory, with
 * its path. */
MESHPING_API meshping_status meshping_session_new(meshping_session **out, const meshping_session_options *options,
                                                  meshping_error *err);
MESHPING_API void meshping_session_free(meshping_session *session);
MESHPING_API int meshping_session_fd(const meshping_session *session);
MESHPING_API int64_t meshping_session_deadline_ns(const meshping_session *session);
/* Never blocks. */
MESHPING_API void meshping_session_process(meshping_session *session, const meshping_now *now);
/* New blocks are in the buffer: send what credit allows. */
MESHPING_API void meshping_session_wake(meshping_session *session);
/*
 * Asks the server for a sign of life now; the answer comes as on_answer. At most one a second goes out. True when an
 * answer may be waited for; false without a living session.
 */
MESHPING_API bool meshping_session_ping(meshping_session *session, const meshping_now *now);
/*
 * All targets of the list in force that cannot be measured as they are, and why; ids ascend. From within on_targets it
 * goes with the answer to the list; else the server is told at once when it is not what it was. NOMEM: as it was.
 */
MESHPING_API meshping_status meshping_session_refuse(meshping_session *session, const meshping_refused_target *refused,
                                                     size_t count);
/* What an extra probe found; request and target_id of the answer are filled in. An unknown tag: who asked has gone. */
MESHPING_API void meshping_session_probed(meshping_session *session, uint64_t tag, const meshping_probe_answer *found);
/* The list in force (the stored one before the first update). Borrowed until process() is next called. */
MESHPING_API const meshping_target_list *meshping_session_targets(const meshping_session *session);
MESHPING_API meshping_link meshping_session_link(const meshping_session *session);
/* Fingerprint of this agent's key, as the approval page shows it. Borrowed. */
MESHPING_API const char *meshping_session_fingerprint(const meshping_session *session);

#ifdef __cplusplus
}
#endif
#endif
