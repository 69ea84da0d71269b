/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's rules about agents: their states and what moves them, join tickets, addresses, who is let in and as
 * what. Pure: what is stored, the time and the keys are arguments. docs/PROTOCOL.md, Identity and States.
 */
#ifndef MESHPING_REGISTRY_H
#define MESHPING_REGISTRY_H

#include <meshping/address.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_AGENT_TEXT_MAX 256       /* an agent's host name, version, address texts, with the NUL */
#define MESHPING_AGENT_ADDRESSES_MAX 1024 /* the text of its approved ranges, with the NUL */
#define MESHPING_PENDING_LAPSE_MS (INT64_C(7) * 86400 * 1000) /* an unseen pending agent is forgotten after that */

/* ---- states ---- */

#define MESHPING_AGENT_STATE_MAP(XX)                                                                                   \
    XX(0, PENDING, "pending")                                                                                          \
    XX(1, APPROVED, "approved")                                                                                        \
    XX(2, HOLD, "hold")                                                                                                \
    XX(3, BLACKLISTED, "blacklisted")

typedef enum meshping_agent_state {
#define XX(value, name, text) MESHPING_AGENT_##name = (value),
    MESHPING_AGENT_STATE_MAP(XX)
#undef XX
} meshping_agent_state;

#define MESHPING_AGENT_ACTION_MAP(XX)                                                                                  \
    XX(0, APPROVE, "approve")                 /* an administrator approves, or releases from hold */                   \
    XX(1, REJECT, "reject")                   /* an administrator blacklists */                                        \
    XX(2, SET_HOLD, "hold")                   /* an administrator holds */                                             \
    XX(3, ADDRESS_CHANGED, "address_changed") /* the observed address left the approved set */                         \
    XX(4, COPY_FOUND, "copy_found")           /* its ticket is an old one: two have this key, or one is a backup */    \
    XX(5, REINSTATE, "reinstate")             /* an administrator takes back a blacklisting: pending again */

typedef enum meshping_agent_action {
#define XX(value, name, text) MESHPING_ACTION_##name = (value),
    MESHPING_AGENT_ACTION_MAP(XX)
#undef XX
} meshping_agent_action;

MESHPING_API const char *meshping_agent_state_name(unsigned state);
/* INVALID: no such name. */
MESHPING_API meshping_status meshping_agent_state_parse(meshping_agent_state *out, const char *name);
MESHPING_API const char *meshping_agent_action_name(unsigned action);
/*
 * The state after an action. STATE: the action is not possible in `state`, *out is untouched. An action that changes
 * nothing (an address change while pending or on hold) is OK with *out = state.
 */
MESHPING_API meshping_status meshping_agent_state_next(meshping_agent_state *out, meshping_agent_state state,
                                                       meshping_agent_action action);

/* ---- join tickets ---- */

#define MESHPING_TICKET_LEN 40 /* u64 serial, big-endian | HMAC-SHA-256 */
#define MESHPING_TICKET_KEY_LEN 32

/* A ticket of `serial` (not 0) for the agent of this public key. CRYPTO. */
MESHPING_API meshping_status meshping_ticket_make(uint8_t ticket[MESHPING_TICKET_LEN],
                                                  const uint8_t ticket_key[MESHPING_TICKET_KEY_LEN],
                                                  const uint8_t public_key[32], uint64_t serial);
/* CRYPTO: not made with this ticket key for this agent. */
MESHPING_API meshping_status meshping_ticket_open(uint64_t *serial, const uint8_t ticket[MESHPING_TICKET_LEN],
                                                  const uint8_t ticket_key[MESHPING_TICKET_KEY_LEN],
                                                  const uint8_t public_key[32]);
/* The serial of a new ticket: above the last issued and the one presented, and no less than the microseconds. */
MESHPING_API uint64_t meshping_ticket_next(uint64_t last, uint64_t presented, int64_t unix_us);

/* ---- who is let in ---- */

/* An agent whose signature was good, and what the server has stored of its key. */
typedef struct meshping_arrival {
    bool known;                 /* the key is in the registry; else the next three do not count */
    bool rekeyed;               /* this agent has another key since: whatever it shows, it is refused */
    meshping_agent_state state; /* as stored */
    uint64_t issued, confirmed; /* serials of its last tickets; 0: none */
    bool enrol;                 /* it proved a passphrase; else it resumes */
    bool ticket_bad;            /* it showed a ticket that this server did not make for it */
    uint64_t presented;         /* the serial of a good ticket; 0: it showed none */
    bool address_approved;      /* where it comes from is in the approved set */
} meshping_arrival;

#define MESHPING_ENTRY_MAP(XX)                                                                                         \
    XX(0, ADMITTED, "admitted")         /* in the stored state */                                                      \
    XX(1, NEW, "new")                   /* a new pending agent */                                                      \
    XX(2, KNOWN_BEFORE, "known_before") /* the same, with a ticket of ours: known before a restore */                  \
    XX(3, COPY, "copy")                 /* on hold: its ticket is neither the issued nor the confirmed one */          \
    XX(4, MOVED, "moved")               /* on hold: it comes from an address that is not approved */                   \
    XX(5, UNKNOWN_KEY, "unknown_key")   /* refused: neither known nor with a passphrase */                             \
    XX(6, BAD_TICKET, "bad_ticket")     /* refused, nothing changes */                                                 \
    XX(7, REKEYED, "rekeyed")           /* refused: the agent has another key */

typedef enum meshping_entry {
#define XX(value, name, text) MESHPING_ENTRY_##name = (value),
    MESHPING_ENTRY_MAP(XX)
#undef XX
} meshping_entry;

typedef struct meshping_admission {
    meshping_entry entry;
    meshping_agent_state state; /* from now on; of no use when refused */
    uint64_t confirmed;         /* to be stored */
    bool ticket_good;           /* it gets a new ticket, when its state is approved or hold */
    bool restored;              /* its ticket is newer than any issued: the database is an older one. An alarm. */
} meshping_admission;

MESHPING_API const char *meshping_entry_name(unsigned entry);
MESHPING_API void meshping_registry_admit(meshping_admission *out, const meshping_arrival *arrival);

/* ---- addresses ---- */

/* Whether `observed` (an address as text) is in `approved` (ranges as text). Text that is neither: false. */
MESHPING_API bool meshping_registry_address_ok(const char *approved, const char *observed);
/*
 * The set that approval offers, into out[MESHPING_AGENT_ADDRESSES_MAX]: what is approved already but for the observed
 * address's family, and the observed address (meshping_cidr_of_peer). INVALID, LIMIT: *out is untouched.
 */
MESHPING_API meshping_status meshping_registry_offer(char *out, const char *approved, const char *observed,
                                                     meshping_error *err);
/*
 * An administrator's text as the canonical set, into out[MESHPING_AGENT_ADDRESSES_MAX]. INVALID: no ranges, or not
 * any; LIMIT: too many or too long. *out is untouched then.
 */
MESHPING_API meshping_status meshping_registry_addresses(char *out, const char *text, meshping_error *err);

/* A pending agent that was not seen for MESHPING_PENDING_LAPSE_MS is to be forgotten. */
MESHPING_API bool meshping_registry_lapsed(meshping_agent_state state, int64_t last_seen_ms, int64_t now_ms);
/*
 * Where the other agents of a mesh ping an agent, to out[MESHPING_ADDRESS_TEXT_MAX], canonical: the address that it
 * advertises, but for an IPv6 one of some link alone, and loopback only when it comes from there; else the one it comes
 * from, unless that is of its own host alone (loopback, link-local). false and "": there is none.
 */
MESHPING_API bool meshping_registry_mesh_address(char *out, const char *advertised, const char *observed);
/* Whether an agent in `state` may hand its id and history on to a pending agent of another key (a re-imaged host). */
MESHPING_API bool meshping_registry_may_succeed(meshping_agent_state successor, meshping_agent_state predecessor);

#ifdef __cplusplus
}
#endif
#endif
