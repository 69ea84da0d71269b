/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as one object: what it knows (agents, targets, cells, the last hour) and what may be done to it. The HTTP
 * side and the agents' side both work through these calls; everything runs on the one libuv loop unless said otherwise.
 */
#ifndef MESHPINGD_SERVER_H
#define MESHPINGD_SERVER_H

#include "common/text.h"
#include "meshpingd/agent_index.h"
#include "meshpingd/alarms.h"
#include "meshpingd/clock_notes.h"
#include "meshpingd/config.h"
#include "meshpingd/descriptors.h"
#include "meshpingd/past.h"
#include "meshpingd/rate.h"
#include "meshpingd/revocations.h"
#include "meshpingd/settings.h"
#include "meshpingd/target_notes.h"
#include "meshpingd/target_updates.h"
#include <json-c/json.h>
#include <meshping/cache.h>
#include <meshping/cell.h>
#include <meshping/cidr.h>
#include <meshping/clock.h>
#include <meshping/protocol.h>
#include <meshping/store.h>
#include <uv.h>

#define SERVER_DATABASE_NAME "meshping.db" /* in state_dir */

struct lws_context;
struct agent_connection;
struct plan;
struct http_state; /* http.c: login throttles, the scrypt queue */

typedef struct agent_entry {
    meshping_agent_record record;
    struct agent_connection *connection;        /* NULL: not connected */
    bool online;                                /* heard of within 15 s */
    uint64_t buffered_samples, dropped_samples; /* as the agent says */
    uint64_t targets_revision;                  /* the list it has applied */
    target_notes notes;                         /* what it says of its targets */
    bool has_load;
    meshping_agent_load load;        /* as it says */
    int64_t heard_ms;                /* last word, monotonic clock; 0: not since the start */
    int64_t last_seen_ms;            /* the same on the wall clock, for people */
    meshping_clock clock;            /* its clock against ours */
    meshping_clock_note clock_noted; /* what of it is in the store; at 0: of before the start, if at all */
    int64_t clock_noted_mono_us;
    clock_notes clocks;        /* what the store has of it, of the time that the cache has */
    past past;                 /* the same of what it dropped, and of its starts */
    uint64_t quarantine_bytes; /* what it sent on hold */
    bool quarantine_stale;     /* to be counted anew */
    bool clock_skewed;         /* by more than a second */
    meshping_pins pins;        /* by which it knows the server, as it said last; pin_change.c */
    bool pins_known;           /* it said so */
    bool same_host_name;       /* another agent has it too; live.c keeps it */
    bool unsaved;              /* what it says of itself: written with the next tick */
    bool seen_unsaved;         /* last_seen_ms could not be written */
    uint64_t *row;             /* what it pings: bits of server.plan's columns; NULL: nothing */
    uint64_t mesh_target_id;   /* the target that it is to others of its mesh; 0: not known yet */
    uint64_t peer_key;         /* planning.c: as what it stands in the plan */
    meshping_cell *cells;      /* one a column of server.plan; NULL until the first sample */
    struct shown_cell *shown;  /* live.c: what viewers were told of each */
    size_t cell_count;
} agent_entry;

typedef struct server_counters {
    uint64_t samples[MESHPING_OUTCOME_COUNT]; /* stored, by outcome */
    uint64_t samples_late;
    uint64_t blocks, blocks_duplicate, blocks_refused;
    uint64_t enrolments_failed, connections_refused;
    uint64_t http_requests, http_errors, logins_failed, logins_throttled, logins_busy;
} server_counters;

#define PROBING_KEPT 64 /* requests, the newest */

/* probing.c */
typedef struct probings {
    struct probing_request *kept[PROBING_KEPT]; /* by id modulo their number */
    uint64_t last_id;
    int64_t thousandths; /* of probes that may be asked for at once */
    int64_t counted_ms;  /* monotonic: when they were; 0: never */
} probings;

typedef struct server {
    uv_loop_t loop;
    server_config config;
    settings settings; /* where each of it comes from */
    descriptor_limit descriptors;
    struct lws_context *lws;
    struct http_state *http;
    meshping_store *store;
    meshping_cache *cache;
    meshping_block_reader *block_reader; /* samples.c: for what comes in */
    struct filling *filling;             /* NULL: the cache has the last hour of all agents */
    agent_entry **agents;                /* ordered by first_seen; never NULL inside */
    size_t agent_count;
    agent_index agent_index;
    bool names_changed; /* who shares a host name with another is to be worked out anew */
    meshping_target_list targets;
    meshping_pause *pauses; /* times without a server that questions about what the cache has may need */
    size_t pause_count;
    meshping_target_pause *target_pauses; /* the same of targets, by target; samples_take_pauses */
    size_t target_pause_count;
    bool target_pauses_known; /* else the disk tells them */
    bool pauses_known;        /* the same of `pauses` */
    meshping_rule *rules;
    size_t rule_count;
    uint64_t rules_revision;
    struct plan *plan; /* what is pinged by whom, planning.h; the columns of all cells */
    bool plan_due;
    bool plan_incomplete;   /* agents of meshes were left out */
    int64_t plan_retry_ms;  /* planning.c: not before, monotonic clock */
    int64_t plan_told_ms;   /* when its trouble was told last */
    int64_t plan_resume_ms; /* when the next pause ends; 0: none does */
    target_updates updates;
    probings probes;
    meshping_cell_thresholds thresholds;
    server_counters counters;
    alarms alarms;
    bool seen_failed;        /* when agents were seen could not be written: of all that were on their way */
    int64_t trial_ms;        /* storing.c: when one agent is let try again, monotonic */
    uint64_t trial_agent_id; /* the last that was */
    uint64_t server_id;
    struct server_keys *keys; /* main's; pin_change.c changes them */
    struct web *web;
    uint8_t seal_key[32];                        /* seals passphrase keys in the database */
    uint8_t ticket_key[MESHPING_TICKET_KEY_LEN]; /* makes join tickets */
    revocations revocations;
    rate failed_enrolments;
    meshping_cidr_list trusted_proxies;
    meshping_cidr_list blocked;  /* no agent may come from there */
    uint64_t live_version;       /* counts up when agents or targets changed: the next live message is a snapshot */
    uint64_t live_shown_version; /* of the last snapshot that viewers got */
    text_buffer live_changes;    /* live.c: since the last message, of as many agents as were looked at */
    size_t live_looked;
    int64_t started_unix_ms;
    int64_t retained_ms;        /* monotonic: when the store was last told what it need not keep */
    int64_t offline_changed_ms; /* monotonic: offline_s was set while the server ran */
    int64_t alive_mono_ms;      /* when the store last heard that there is a server */
    unsigned mails_running;     /* mail.c */
    bool ready;
} server;

/* ---- as a whole (server.c) ---- */
/* Loads agents, targets and the last hour from s->store. */
meshping_status server_load(server *s, meshping_error *err);
void server_dispose(server *s);
/* So that the next start knows since when there was none. */
void server_note_alive(server *s);
/* Each second: who is offline, what is due; then live_tick. */
void server_tick(server *s);
/* So many times a second: what is looked at for all agents, a part of them at a time. */
#define SERVER_TURNS_A_SECOND 40
void server_turn(server *s);
/* From when on an agent that was heard then is silent: nobody is blamed for what an earlier offline_s allowed. */
int64_t server_silent_since(const server *s, int64_t heard_ms);

/* ---- agents ---- */
agent_entry *server_agent_by_id(server *s, uint64_t id);
agent_entry *server_agent_by_key(server *s, const uint8_t public_key[MESHPING_KEY_LEN]);
/* Approved or on hold: it is in the matrix. */
bool server_agent_has_row(const agent_entry *agent);
/* What an administrator decides about an agent, and on what he saw. */
typedef struct agent_decision {
    const char *fingerprint; /* as he saw it; NULL: not checked */
    uint64_t revision;       /* of the row; 0: not checked */
    const char *addresses;   /* approve: the ranges it may come from; NULL: what meshping_registry_offer says */
    const uint64_t *keep;    /* approve: sources of its quarantine, server_quarantine_json; the rest becomes gaps */
    size_t keep_count;       /* SIZE_MAX: those of approved addresses */
    uint64_t successor_of;   /* approve: takes over that agent's id and history; 0: nobody's */
    bool block_address;      /* reject: no agent may come from its address any more */
    bool revoke_passphrase;  /* reject: nor join with the passphrase that it used */
} agent_decision;
/*
 * Approve, reject, hold, reinstate. STATE: the agent is not as it was seen, or the action is impossible; NOT_FOUND;
 * INVALID: the addresses. `user`: who did it, for the log of events. A connected agent is told at once.
 */
meshping_status server_agent_act(server *s, uint64_t id, meshping_agent_action action, const agent_decision *decision,
                                 const char *user, meshping_error *err);
/* STATE: the agent is not as it was seen (fingerprint, revision). */
meshping_status server_agent_check_seen(const agent_entry *agent, const agent_decision *seen, meshping_error *err);
/* Sets the ranges that an approved or held agent may come from; one that is connected from elsewhere is held. */
meshping_status server_agent_addresses(server *s, uint64_t id, const char *addresses, uint64_t revision,
                                       const char *user, meshping_error *err);
/* What people call it (empty: its host name) and its labels, canonical; NULL: as before. INVALID, NOT_FOUND. */
meshping_status server_agent_describe(server *s, agent_entry *agent, const char *name, const char *labels,
                                      const char *user, meshping_error *err);
/* The ranges that no agent may come from (replaces them); connections from there end. INVALID, LIMIT. */
meshping_status server_block_addresses(server *s, const char *text, const char *user, meshping_error *err);
/* Rows, blocked addresses, and what the file of revocations says. */
meshping_status server_load_agents(server *s, meshping_error *err);
/* Forgets pending agents that were not seen for 7 days; looks once a minute. */
void server_lapse(server *s);
/* Takes an entry that is not stored out again. */
void server_agent_forget(server *s, agent_entry *agent);
/* Makes a pending agent of a handshake. LIMIT: 256 are pending already. */
meshping_status server_agent_create(server *s, const uint8_t public_key[MESHPING_KEY_LEN], agent_entry **out,
                                    meshping_error *err);
/* Stores the entry's record and tells the viewers. */
meshping_status server_agent_save(server *s, agent_entry *agent, meshping_error *err);
/* Applies an action that no administrator took (address_changed), with its reason. */
meshping_status server_agent_move(server *s, agent_entry *agent, meshping_agent_action action, const char *reason,
                                  const char *user, meshping_error *err);
/*
 * What is to be stored of the agent's clock with what comes now: its offset, or until that was measured the last one
 * stored; and a note of it, when it has changed or five minutes have gone.
 */
meshping_clock_note server_clock_note(agent_entry *agent);
/* It is here again: reads what its clock was before this server's start, unless that is known. */
void server_clock_recall(server *s, agent_entry *agent);

/* ---- targets ---- */
/*
 * Replaces the list (taken over: *list is empty afterwards, on errors too) and pushes what changes to the agents. The
 * old list stays on any error.
 */
meshping_status server_targets_replace(server *s, meshping_target_list *list, const char *user, meshping_error *err);
/* ---- passphrases ---- */
typedef struct passphrase_request {
    const char *advertise;       /* "HOST:PORT"; NULL: the first of config.advertise */
    const char *label;           /* may be NULL */
    uint32_t hours;              /* 0: 24; the API takes up to 8760 */
    uint32_t uses;               /* 0: 50; the API takes up to 100,000 */
    uint32_t preapprove;         /* the first so many are approved at once ... */
    const char *preapprove_from; /* ... when they come from these ranges; needed then */
} passphrase_request;
/* Whether config.advertise is a list of HOST:PORT; empty is good. */
meshping_status server_advertise_check(const char *list, meshping_error *err);
/* Not stored yet. text[MESHPING_PASSPHRASE_TEXT_MAX] is the only time the passphrase is seen. */
meshping_status server_passphrase_make(server *s, const passphrase_request *request, char *text,
                                       meshping_passphrase_record *record, meshping_error *err);
/* Another one for the same address, label and limits. */
meshping_status server_passphrase_make_like(server *s, const meshping_passphrase_record *old, char *text,
                                            meshping_passphrase_record *record, meshping_error *err);
/* Stores one that was made. */
meshping_status server_passphrase_issue(server *s, const meshping_passphrase_record *record, const char *user,
                                        meshping_error *err);
#define PASSPHRASE_TEXT_MAX 512
/* "for 192.0.2.1:8443, 50 uses, 24 hours: rack 7" into text[PASSPHRASE_TEXT_MAX]. */
const char *server_passphrase_text(char *text, const meshping_passphrase_record *record);
meshping_status server_passphrase_revoke(server *s, const uint8_t tid[MESHPING_TID_LEN], const char *user,
                                         meshping_error *err);
/*
 * The key behind a tid, checked for use now; known_key: by an agent that spends no use. NOT_FOUND: unknown, revoked,
 * expired or used up (the log says which).
 */
meshping_status server_passphrase_open(server *s, const uint8_t tid[MESHPING_TID_LEN], bool known_key,
                                       uint8_t key[MESHPING_PASSPHRASE_KEY_LEN], meshping_passphrase_record *record);

/* ---- retention (retention.c) ---- */
/* Tells the store now and then what it need not keep; the alarm is raised when its size comes near its limit. */
void server_retain(server *s);

/* ---- agents' connections (agents.c) ---- */
void agents_tell_state(server *s, agent_entry *agent);   /* registration_status, and targets when approved */
void agents_tell_targets(server *s, agent_entry *agent); /* what is new to it of what it is to ping */
void agents_turn(void);                                  /* status messages, deadlines, silence */

/* ---- live (live.c) ---- */
/* Fits every agent's cells to the plan after it changed: states of targets that stay are kept. */
void live_refit(server *s, const struct plan *before);
/* The cell of a pair, making the agent's row on first use; NULL: unknown target, or out of memory. */
meshping_cell *live_cell(server *s, agent_entry *agent, uint64_t target_id);
void live_forget(agent_entry *agent);
/* "6f0c...", 16 hex digits into text[17]. */
const char *live_agent_id(char *text, uint64_t id);
/* One agent as docs/API.md, Agent. */
json_object *live_agent_json(server *s, const agent_entry *agent);
/* {"key": "value"} of canonical labels. */
json_object *live_labels_json(const char *labels);
json_object *live_target_json(const meshping_target *target);
/*
 * The whole matrix, docs/API.md, Live; and as the message with it. shown: all viewers get this one, so that what comes
 * next tells only what has changed since.
 */
void live_put_snapshot(server *s, text_buffer *out, bool shown);
void live_put_snapshot_message(server *s, text_buffer *out, bool shown);
/*
 * What has changed is looked for in turns, some agents in each, and each second every viewer gets one text of it, which
 * begins so (live_ws.c).
 */
#define LIVE_CHANGES_BEGIN "{\"event\":\"delta\",\"data\":{\"cells\":{"
void live_turn(server *s);
void live_tick(server *s);

/* ---- browsers' WebSocket (live_ws.c) ---- */
/*
 * Sends `text` (a JSON message; taken) to every signed-in viewer; snapshot: to those who wait for their first one as
 * well. One that failed for want of memory: each gets a snapshot when there is some.
 */
void live_ws_broadcast(server *s, text_buffer *text, bool snapshot);
size_t live_ws_viewers(const server *s);

/* ---- HTTP (http.c) ---- */
meshping_status http_start(server *s, meshping_error *err); /* after store and targets are there */
void http_stop(server *s);

/* Wall clock, milliseconds. */
int64_t server_unix_ms(void);
/* Monotonic, milliseconds. */
int64_t server_mono_ms(void);

#endif
