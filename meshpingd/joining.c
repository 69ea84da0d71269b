/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/joining.h"

#include "common/log.h"
#include "meshpingd/looks.h"
#include "meshpingd/planning.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED_RETRY_S 30
#define RATE_RETRY_S 60
#define CLOSE_TRY_AGAIN 1013

/* ---- tickets: stored, then told ---- */

typedef struct stored_ticket {
    server *server;
    uint64_t agent_id, serial;
} stored_ticket;

static void on_stored(void *user, meshping_status status, const char *error)
{
    const stored_ticket stored = *(stored_ticket *)user;
    agent_entry *agent = server_agent_by_id(stored.server, stored.agent_id);
    agent_connection *c = agent ? agent->connection : NULL;
    free(user);
    if (status != MESHPING_OK)
        log_error("store", "a join ticket cannot be stored: %s", error);
    if (!c || !c->ticket_due || agent->record.ticket_issued != stored.serial)
        return; /* it went meanwhile, or has a newer one */
    c->ticket_due = false;
    c->ticket_serial = stored.serial;
    c->ticket_since_ms = server_mono_ms(); /* what the disk took is not the agent's delay */
    if (status == MESHPING_OK)
        agents_tell_state(stored.server, agent);
    else
        connection_refuse(c, CLOSE_TRY_AGAIN, "its join ticket cannot be stored");
}

static void issue(agent_connection *c, uint64_t presented)
{
    meshping_agent_record *record = &c->agent->record;
    meshping_error err = {0};
    record->ticket_issued = meshping_ticket_next(record->ticket_issued, presented, meshping_now_read().unix_ns / 1000);
    c->ticket_due = c->ticket_given = true;
    c->ticket_since_ms = server_mono_ms();
    stored_ticket *wait = malloc(sizeof *wait);
    meshping_status status = wait ? MESHPING_OK : meshping_error_set(&err, MESHPING_NOMEM, "out of memory");
    if (wait) {
        *wait = (stored_ticket){c->server, record->id, record->ticket_issued};
        status = meshping_store_submit_ticket(c->server->store, record, on_stored, wait, &err);
    }
    if (status == MESHPING_OK)
        return;
    free(wait);
    log_error("store", "a join ticket cannot be stored: %s", err.message);
    connection_refuse(c, CLOSE_TRY_AGAIN, "its join ticket cannot be stored");
}

/* Nobody waits for it: until it is written the one before is good as well. */
static void keep_confirmed(const agent_connection *c)
{
    meshping_error err;
    if (meshping_store_submit_ticket(c->server->store, &c->agent->record, NULL, NULL, &err) != MESHPING_OK)
        log_error("store", "a confirmed join ticket is not stored: %s", err.message);
}

bool joining_is_waiting(const agent_connection *c)
{
    return c->ticket_due || c->ticket_serial;
}

void joining_approved(agent_entry *agent)
{
    if (agent->connection && !agent->connection->ticket_given)
        issue(agent->connection, agent->record.ticket_confirmed);
}

void joining_renew(agent_connection *c)
{
    issue(c, 0);
}

void joining_joined(agent_connection *c, const meshping_joined *joined)
{
    if (!c->ticket_serial && joined->serial == c->agent->record.ticket_confirmed)
        return; /* it was told twice */
    if (!c->ticket_serial || joined->serial != c->ticket_serial) {
        connection_refuse(c, 1008, "joined with a ticket that it was not given");
        return;
    }
    c->ticket_serial = 0;
    c->agent->record.ticket_confirmed = joined->serial;
    keep_confirmed(c);
    agents_tell_state(c->server, c->agent);
}

/* ---- refusing ---- */

/* Of enrolments: a passphrase that is none, a handshake that fits nothing. */
static void count_failure(agent_connection *c)
{
    meshping_address peer;
    c->server->counters.enrolments_failed++;
    if (meshping_address_parse(&peer, c->peer, NULL) == MESHPING_OK)
        rate_add(&c->server->failed_enrolments, &peer, server_mono_ms());
}

static bool failed_too_often(const agent_connection *c)
{
    meshping_address peer;
    return meshping_address_parse(&peer, c->peer, NULL) == MESHPING_OK &&
           rate_count(&c->server->failed_enrolments, &peer, server_mono_ms()) >=
               (unsigned)c->server->config.failed_enrolments_max;
}

static void refuse(agent_connection *c, const char *code, const char *message, uint32_t retry)
{
    meshping_message refused = {.event = MESHPING_EVENT_REFUSED};
    snprintf(refused.u.refused.code, sizeof refused.u.refused.code, "%s", code);
    snprintf(refused.u.refused.message, sizeof refused.u.refused.message, "%s", message);
    refused.u.refused.retry_s = retry;
    connection_send(c, &refused);
    c->close_after = true;
}

/* By name: who it was before is told apart from a stranger, for the right one has the new key. */
static void refuse_rekeyed(agent_connection *c, const meshping_agent_info *info)
{
    log_warning("agents", "%s (%s) comes with a key that this agent has not had since it was given a new one", c->peer,
                info->host_name);
    refuse(c, "rekeyed", "this agent has another key now", REFUSED_RETRY_S);
}

static void bad_handshake(agent_connection *c, const meshping_error *err)
{
    connection_refuse(c, 1008, "bad handshake: %s", err->message);
}

/* ---- letting in ---- */

static void alarm_restored(agent_connection *c, const char *host_name, uint64_t id)
{
    server *s = c->server;
    char text[512];
    snprintf(text, sizeof text,
             "database restored: %.200s has a join ticket that this database knows nothing of; what was acknowledged "
             "after the backup is gone",
             host_name);
    meshping_store_event_add(s->store, server_unix_ms(), "alarm", id, NULL, text, NULL);
    alarm_raise(&s->alarms, ALARM_RESTORED, server_unix_ms(), text);
}

static bool put_text(char *out, const char *text)
{
    if (strcmp(out, text) == 0)
        return false;
    snprintf(out, MESHPING_AGENT_TEXT_MAX, "%s", text);
    return true;
}

/* An address, or nothing: what an agent says is not trusted to be one. */
static bool put_advertised(meshping_agent_record *record, const char *text)
{
    meshping_address address;
    char canonical[MESHPING_ADDRESS_TEXT_MAX] = "";
    if (text[0] && meshping_address_parse(&address, text, NULL) == MESHPING_OK && !address.scope_id)
        meshping_address_format(&address, canonical);
    if (strcmp(record->advertised_address, canonical) == 0)
        return false;
    log_info("agents", "%s is to be pinged at %s", record->host_name, canonical[0] ? canonical : "where it comes from");
    memcpy(record->advertised_address, canonical, sizeof canonical);
    return true;
}

/*
 * What the agent says of itself; the row is written when something in it has changed: at once where a person has yet to
 * decide by it, else with the next tick, many at once.
 */
static meshping_status note_info(agent_connection *c, const meshping_agent_info *info, meshping_error *err)
{
    agent_entry *agent = c->agent;
    meshping_agent_record *record = &agent->record;
    bool changed = put_text(record->host_name, info->host_name);
    changed |= put_text(record->version, info->version);
    changed |= put_text(record->reported_address, info->address);
    changed |= put_text(record->observed_address, c->peer);
    changed |= put_advertised(record, info->advertise);
    c->server->live_version++;
    if (!changed && record->revision) /* ten thousand that come back as they were are no transaction each */
        return MESHPING_OK;
    c->server->names_changed = true;
    record->last_seen_ms = agent->last_seen_ms;
    if (record->revision && record->state == MESHPING_AGENT_APPROVED) {
        agent->unsaved = true;
        planning_agent(c->server, agent, false);
        return MESHPING_OK;
    }
    return server_agent_save(c->server, agent, err);
}

static void become(agent_connection *c, agent_entry *agent, uint64_t epoch)
{
    if (agent->connection) {
        agent_connection *older = agent->connection;
        agent->connection = NULL;
        connection_refuse(older, 1000, "a newer connection of the same agent took its place");
    }
    agent->connection = c;
    c->agent = agent;
    c->epoch = epoch;
    agents_heard(c);
    server_clock_recall(c->server, agent);
    agent->has_load = false;
    agent->online = true; /* now, not with the next tick: what it sends in between is live */
    c->status_ms = 0;     /* but with that its clock is asked for */
}

meshping_status joining_check_address(agent_connection *c, meshping_error *err)
{
    char reason[MESHPING_AGENT_TEXT_MAX];
    meshping_agent_record *record = &c->agent->record;
    if (record->state != MESHPING_AGENT_APPROVED || meshping_registry_address_ok(record->approved_addresses, c->peer))
        return MESHPING_OK;
    snprintf(reason, sizeof reason, "it comes from %s now", c->peer);
    return server_agent_move(c->server, c->agent, MESHPING_ACTION_ADDRESS_CHANGED, reason, NULL, err);
}

static meshping_status hold(agent_connection *c, meshping_entry entry, meshping_error *err)
{
    if (entry == MESHPING_ENTRY_MOVED)
        return joining_check_address(c, err);
    return server_agent_move(c->server, c->agent, MESHPING_ACTION_COPY_FOUND,
                             "its join ticket is an old one: there is a copy of it, or it was restored from a backup",
                             NULL, err);
}

/* The handshake was good: this connection is this agent's. A newer session displaces the older. */
static void let_in(agent_connection *c, agent_entry *agent, const meshping_agent_info *info,
                   const meshping_arrival *arrival, const meshping_admission *admission)
{
    server *s = c->server;
    meshping_agent_record *record = &agent->record;
    meshping_error err = {0};
    become(c, agent, info->epoch);
    meshping_status status = note_info(c, info, &err);
    if (status != MESHPING_OK) {
        connection_refuse(c, CLOSE_TRY_AGAIN, "the store does not take it: %s", err.message);
        if (!record->revision) {
            agent->connection = NULL;
            c->agent = NULL;
            server_agent_forget(s, agent);
        }
        return;
    }
    log_info("agents", "%016llx %s connected from %s, %s", (unsigned long long)record->id, record->host_name, c->peer,
             meshping_agent_state_name(record->state));
    if (admission->restored)
        alarm_restored(c, record->host_name, record->id);
    bool confirmed = record->ticket_confirmed != admission->confirmed;
    record->ticket_confirmed = admission->confirmed;
    if (record->ticket_issued < admission->confirmed)
        record->ticket_issued = admission->confirmed;
    if (admission->ticket_good &&
        (admission->state == MESHPING_AGENT_APPROVED || admission->state == MESHPING_AGENT_HOLD))
        issue(c, arrival->presented);
    else if (confirmed)
        keep_confirmed(c);
    bool moves = admission->entry == MESHPING_ENTRY_MOVED || admission->entry == MESHPING_ENTRY_COPY;
    if (moves)
        status = hold(c, admission->entry, &err); /* the move tells it */
    if (status != MESHPING_OK)
        connection_refuse(c, CLOSE_TRY_AGAIN, "the store does not take it: %s", err.message);
    else if (!moves)
        agents_tell_state(s, agent);
}

static void fill_arrival(agent_connection *c, meshping_arrival *out, agent_entry *agent,
                         const meshping_handshake *handshake)
{
    server *s = c->server;
    bool retired = revocations_has(&s->revocations, REVOCATION_RETIRE, handshake->public_key, MESHPING_KEY_LEN);
    *out = (meshping_arrival){.enrol = handshake->enrol,
                              .known = agent != NULL,
                              .rekeyed = revocations_new_key(&s->revocations, handshake->public_key) != NULL};
    if (agent) {
        out->state = agent->record.state;
        out->issued = agent->record.ticket_issued;
        out->confirmed = agent->record.ticket_confirmed;
        out->address_approved = meshping_registry_address_ok(agent->record.approved_addresses, c->peer);
    }
    /* the ticket of a retired key is good for nothing */
    if (handshake->ticket_length && (agent || !retired))
        out->ticket_bad = meshping_ticket_open(&out->presented, handshake->ticket, s->ticket_key,
                                               handshake->public_key) != MESHPING_OK;
}

/* A pending agent of this key, one use of the passphrase spent (NULL: it has shown a ticket of ours instead). */
static agent_entry *make_pending(agent_connection *c, const meshping_handshake *handshake,
                                 const meshping_agent_info *info, meshping_passphrase_record *passphrase)
{
    server *s = c->server;
    meshping_error err;
    char text[512];
    agent_entry *agent = NULL;
    meshping_status status = server_agent_create(s, handshake->public_key, &agent, &err);
    if (status == MESHPING_OK && passphrase) {
        passphrase->uses++;
        agent->record.has_tid = true;
        memcpy(agent->record.tid, passphrase->tid, sizeof agent->record.tid);
        status = meshping_store_passphrase_save(s->store, passphrase, &err);
    }
    if (status != MESHPING_OK) {
        if (agent)
            server_agent_forget(s, agent);
        log_warning("agents", "%s wants to join and cannot: %s", c->peer, err.message);
        refuse(c, "later", "the server takes no new agents now", REFUSED_RETRY_S);
        return NULL;
    }
    if (!passphrase)
        snprintf(agent->record.reason, sizeof agent->record.reason, "known before the database was restored");
    snprintf(text, sizeof text, "%.200s asks to join from %s%s%s", info->host_name, c->peer, passphrase ? "" : ": ",
             agent->record.reason);
    meshping_store_event_add(s->store, server_unix_ms(), "enrol", agent->record.id, NULL, text, NULL);
    return agent;
}

/* The first so many from a network are approved at once, when the passphrase says so. */
static void preapprove(agent_connection *c, agent_entry *agent, meshping_passphrase_record *passphrase)
{
    char reason[MESHPING_AGENT_TEXT_MAX];
    meshping_error err = {0};
    server *s = c->server;
    if (passphrase->preapprove_uses >= passphrase->preapprove_max ||
        !meshping_registry_address_ok(passphrase->preapprove_from, c->peer))
        return;
    passphrase->preapprove_uses++;
    meshping_status status = meshping_store_passphrase_save(s->store, passphrase, &err);
    snprintf(reason, sizeof reason, "approved beforehand: %u of %u from %.120s", passphrase->preapprove_uses,
             passphrase->preapprove_max, passphrase->preapprove_from);
    if (status == MESHPING_OK)
        status = server_agent_move(s, agent, MESHPING_ACTION_APPROVE, reason, NULL, &err);
    if (status != MESHPING_OK)
        log_error("agents", "%s is not approved beforehand: %s", agent->record.host_name, err.message);
}

/* A person decides by these texts, and they are an unknown machine's: all of them is seen. */
static meshping_status open_handshake(meshping_agent_info *info, const meshping_handshake *handshake,
                                      const agent_connection *c, const uint8_t *key, meshping_error *err)
{
    meshping_status status = meshping_handshake_open(info, handshake, &c->binding, key, err);
    if (status == MESHPING_OK) {
        looks_clean(info->host_name);
        looks_clean(info->version);
        looks_clean(info->address);
    }
    return status;
}

static void enrol(agent_connection *c, const meshping_handshake *handshake)
{
    uint8_t key[MESHPING_PASSPHRASE_KEY_LEN];
    meshping_passphrase_record passphrase;
    meshping_agent_info info;
    meshping_arrival arrival;
    meshping_admission admission;
    meshping_error err;
    server *s = c->server;
    agent_entry *agent = server_agent_by_key(s, handshake->public_key);
    bool known = agent != NULL; /* a known key spends no use */
    if (failed_too_often(c)) {
        log_warning("agents", "%s has failed to enrol %d times within a minute: refused for now", c->peer,
                    s->config.failed_enrolments_max);
        refuse(c, "later", "too many enrolments failed from this address: wait a minute", RATE_RETRY_S);
        return;
    }
    if (server_passphrase_open(s, handshake->tid, known, key, &passphrase) != MESHPING_OK) {
        count_failure(c);
        refuse(c, "passphrase", "the passphrase is not known here, has expired or was revoked", REFUSED_RETRY_S);
        return;
    }
    meshping_status status = open_handshake(&info, handshake, c, key, &err);
    OPENSSL_cleanse(key, sizeof key);
    if (status != MESHPING_OK) {
        count_failure(c);
        bad_handshake(c, &err);
        return;
    }
    fill_arrival(c, &arrival, agent, handshake);
    meshping_registry_admit(&admission, &arrival);
    if (admission.entry == MESHPING_ENTRY_REKEYED) {
        refuse_rekeyed(c, &info);
        return;
    }
    if (!known)
        agent = make_pending(c, handshake, &info, &passphrase);
    if (!agent)
        return;
    let_in(c, agent, &info, &arrival, &admission);
    if (!known && c->agent == agent && !c->closing)
        preapprove(c, agent, &passphrase);
}

static void resume(agent_connection *c, const meshping_handshake *handshake)
{
    meshping_agent_info info;
    meshping_arrival arrival;
    meshping_admission admission;
    meshping_error err;
    if (open_handshake(&info, handshake, c, NULL, &err) != MESHPING_OK) {
        bad_handshake(c, &err);
        return;
    }
    agent_entry *agent = server_agent_by_key(c->server, handshake->public_key);
    fill_arrival(c, &arrival, agent, handshake);
    meshping_registry_admit(&admission, &arrival);
    if (admission.entry == MESHPING_ENTRY_REKEYED) {
        refuse_rekeyed(c, &info);
        return;
    }
    if (admission.entry == MESHPING_ENTRY_UNKNOWN_KEY) {
        log_warning("agents", "%s (%s) resumes with a key that is not known here", c->peer, info.host_name);
        refuse(c, "unknown_key", "this agent's key is not known here: it needs a passphrase", REFUSED_RETRY_S);
        return;
    }
    if (admission.entry == MESHPING_ENTRY_BAD_TICKET) {
        log_warning("agents", "%s (%s) shows a join ticket that is not of this server's making", c->peer,
                    info.host_name);
        refuse(c, "ticket", "this agent's join ticket is not of this server's making: it needs a passphrase",
               REFUSED_RETRY_S);
        return;
    }
    if (admission.entry == MESHPING_ENTRY_KNOWN_BEFORE)
        agent = make_pending(c, handshake, &info, NULL);
    if (agent)
        let_in(c, agent, &info, &arrival, &admission);
}

void joining_handshake(agent_connection *c, const meshping_handshake *handshake)
{
    if (handshake->enrol)
        enrol(c, handshake);
    else
        resume(c, handshake);
}

void joining_drop_blocked(server *s)
{
    meshping_address address;
    for (agent_connection *c = connection_first(); c; c = c->next)
        if (meshping_address_parse(&address, c->peer, NULL) == MESHPING_OK &&
            meshping_cidr_list_contains(&s->blocked, &address))
            connection_refuse(c, 1008, "its address is blocked");
}
