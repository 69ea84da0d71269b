/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/rekeying.h"

#include "common/log.h"
#include "meshpingd/joining.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define CLOSE_NOT_NOW 1008
#define CLOSE_TRY_AGAIN 1013

static void note(server *s, const agent_entry *agent, const char *kind, const char *user, const char *text)
{
    log_info("agents", "%016llx %s%s%s", (unsigned long long)agent->record.id, text, *user ? ", by " : "", user);
    meshping_store_event_add(s->store, server_unix_ms(), kind, agent->record.id, *user ? user : NULL, text, NULL);
}

/* Row and index; no ticket of the old key is good for the new one, and the agent has none yet: serial 0. */
static meshping_status set_key(server *s, agent_entry *agent, const uint8_t key[MESHPING_KEY_LEN], meshping_error *err)
{
    meshping_agent_record record = agent->record;
    memcpy(record.public_key, key, MESHPING_KEY_LEN);
    record.ticket_issued = record.ticket_confirmed = 0;
    meshping_status status = meshping_store_agent_succeed(s->store, 0, &record, err);
    if (status != MESHPING_OK)
        return status;
    agent_index_remove(&s->agent_index, agent, agent->record.id, agent->record.public_key);
    agent->record = record;
    if (agent_index_add(&s->agent_index, agent, record.id, key) != MESHPING_OK) /* there is room: one went */
        log_error("agents", "out of memory: %s is found again after a restart", record.host_name);
    s->live_version++;
    return MESHPING_OK;
}

/* ---- asking ---- */

meshping_status rekeying_ask(server *s, uint64_t agent_id, const agent_decision *seen, const char *user,
                             meshping_error *err)
{
    meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE, .type = MESHPING_SERVER_MESSAGE_REKEY};
    agent_entry *agent = server_agent_by_id(s, agent_id);
    if (!agent)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such agent");
    meshping_status status = server_agent_check_seen(agent, seen, err);
    if (status != MESHPING_OK)
        return status;
    if (agent->record.state != MESHPING_AGENT_APPROVED)
        return meshping_error_set(err, MESHPING_STATE, "only an approved agent gets a new key; this one is %s",
                                  meshping_agent_state_name(agent->record.state));
    agent_connection *c = agent->connection;
    if (!c || c->closing)
        return meshping_error_set(err, MESHPING_STATE,
                                  "the agent makes its new key itself: try again when it is connected");
    if (joining_is_waiting(c))
        return meshping_error_set(err, MESHPING_STATE, "the agent is just connecting: try again in a moment");
    if (RAND_bytes(c->rekey_nonce, sizeof c->rekey_nonce) != 1)
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers to be had");
    c->rekey_asked = true;
    snprintf(c->rekey_user, sizeof c->rekey_user, "%s", user ? user : "");
    memcpy(message.u.rekey_request.nonce, c->rekey_nonce, sizeof c->rekey_nonce);
    connection_send(c, &message);
    return MESHPING_OK;
}

/* ---- the answer ---- */

/* NULL: the key may be taken; else why not. */
static const char *why_not(server *s, const uint8_t key[MESHPING_KEY_LEN])
{
    if (server_agent_by_key(s, key))
        return "the new key is another agent's";
    if (revocations_new_key(&s->revocations, key) ||
        revocations_has(&s->revocations, REVOCATION_RETIRE, key, MESHPING_KEY_LEN) ||
        revocations_has(&s->revocations, REVOCATION_BLACKLIST, key, MESHPING_KEY_LEN))
        return "the new key was retired or blacklisted before";
    return NULL;
}

static void refuse(agent_connection *c, const char *why)
{
    char text[512];
    snprintf(text, sizeof text, "%.200s: its new key is refused: %s", c->agent->record.host_name, why);
    note(c->server, c->agent, "rekey_refused", c->rekey_user, text);
    connection_refuse(c, CLOSE_NOT_NOW, "its new key is refused: %s", why);
}

/* The file first: who reads it at the next start finishes what a crash cut short. */
static meshping_status commit(agent_connection *c, const uint8_t key[MESHPING_KEY_LEN], meshping_error *err)
{
    server *s = c->server;
    uint8_t old[MESHPING_KEY_LEN];
    memcpy(old, c->agent->record.public_key, sizeof old);
    meshping_status status = revocations_rekey(&s->revocations, old, key, server_unix_ms(), err);
    if (status != MESHPING_OK)
        return status;
    status = set_key(s, c->agent, key, err);
    if (status != MESHPING_OK && revocations_rekey(&s->revocations, old, old, server_unix_ms(), NULL) != MESHPING_OK)
        log_error("agents", "%s: neither its new key nor that it has none can be stored; a restart decides for the new",
                  c->agent->record.host_name);
    return status;
}

void rekeying_answer(agent_connection *c, const meshping_rekey *rekey)
{
    meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE, .type = MESHPING_SERVER_MESSAGE_REKEYED};
    char text[512], before[MESHPING_FINGERPRINT_MAX], after[MESHPING_FINGERPRINT_MAX];
    meshping_agent_record *record = &c->agent->record;
    meshping_error err = {0};
    if (!c->rekey_asked || record->state != MESHPING_AGENT_APPROVED) {
        connection_refuse(c, CLOSE_NOT_NOW, "a new key that it was not asked for (it is %s)",
                          meshping_agent_state_name(record->state));
        return;
    }
    c->rekey_asked = false; /* one answer to each request */
    if (meshping_rekey_check(rekey, &c->binding, c->rekey_nonce, record->public_key, &err) != MESHPING_OK) {
        refuse(c, err.message);
        return;
    }
    const char *why = why_not(c->server, rekey->public_key);
    if (why) {
        refuse(c, why);
        return;
    }
    meshping_identity_fingerprint(before, record->public_key);
    if (commit(c, rekey->public_key, &err) != MESHPING_OK) {
        connection_refuse(c, CLOSE_TRY_AGAIN, "its new key cannot be stored: %s", err.message);
        return;
    }
    snprintf(text, sizeof text, "%.200s has a new key: %s -> %s", record->host_name, before,
             meshping_identity_fingerprint(after, record->public_key));
    note(c->server, c->agent, "rekey", c->rekey_user, text);
    memcpy(message.u.rekeyed.public_key, record->public_key, MESHPING_KEY_LEN);
    connection_send(c, &message);
    joining_renew(c);
}

/* ---- at the start ---- */

meshping_status rekeying_redo(server *s, meshping_error *err)
{
    for (size_t i = 0; i < s->agent_count; i++) {
        agent_entry *agent = s->agents[i];
        const uint8_t *last = NULL, *next = agent->record.public_key;
        /* a chain: it had several since; never longer than there are lines */
        for (size_t step = 0; step <= s->revocations.count; step++) {
            next = revocations_new_key(&s->revocations, next);
            if (!next)
                break;
            last = next;
        }
        if (!last)
            continue;
        char text[512];
        uint8_t key[MESHPING_KEY_LEN];
        memcpy(key, last, sizeof key);
        meshping_status status = set_key(s, agent, key, err);
        snprintf(text, sizeof text, "%.200s: the database has an older key of it: %s", agent->record.host_name,
                 status == MESHPING_OK ? "the newer one is in force" : "and another agent has the newer one");
        if (status != MESHPING_OK && status != MESHPING_EXISTS)
            return status;
        note(s, agent, "rekey", "", text);
    }
    return MESHPING_OK;
}
