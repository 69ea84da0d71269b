/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agents as the server knows them: their rows, and what administrators and the registry's rules do to them. The
 * rules themselves are pure, in <meshping/registry.h>.
 */
#include "common/log.h"
#include "meshpingd/connection.h"
#include "meshpingd/joining.h"
#include "meshpingd/pin_change.h"
#include "meshpingd/planning.h"
#include "meshpingd/quarantine.h"
#include "meshpingd/rekeying.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKED_SETTING "blocked_addresses"
#define LAPSE_EVERY_MS 60000

/* ---- rows ---- */

static meshping_status append_agent(server *s, agent_entry *entry)
{
    agent_entry **grown = realloc(s->agents, (s->agent_count + 1) * sizeof *grown);
    if (!grown)
        return MESHPING_NOMEM;
    s->agents = grown;
    if (agent_index_add(&s->agent_index, entry, entry->record.id, entry->record.public_key) != MESHPING_OK)
        return MESHPING_NOMEM;
    s->names_changed = true;
    s->agents[s->agent_count++] = entry;
    s->live_version++;
    return MESHPING_OK;
}

/* Takes the entry out of the list and frees it; nobody may hold it. */
static void drop_agent(server *s, agent_entry *entry)
{
    for (size_t i = 0; i < s->agent_count; i++)
        if (s->agents[i] == entry) {
            memmove(&s->agents[i], &s->agents[i + 1], (s->agent_count - i - 1) * sizeof *s->agents);
            s->agent_count--;
            break;
        }
    agent_index_remove(&s->agent_index, entry, entry->record.id, entry->record.public_key);
    s->names_changed = true;
    s->live_version++;
    live_forget(entry);
    target_notes_dispose(&entry->notes);
    clock_notes_dispose(&entry->clocks);
    past_dispose(&entry->past);
    planning_agent(s, entry, true);
    free(entry);
}

agent_entry *server_agent_by_id(server *s, uint64_t id)
{
    return agent_index_by_id(&s->agent_index, id);
}

agent_entry *server_agent_by_key(server *s, const uint8_t public_key[MESHPING_KEY_LEN])
{
    size_t at = 0;
    agent_entry *agent;
    while ((agent = agent_index_by_key(&s->agent_index, public_key, &at)))
        if (memcmp(agent->record.public_key, public_key, MESHPING_KEY_LEN) == 0)
            return agent;
    return NULL;
}

bool server_agent_has_row(const agent_entry *agent)
{
    return agent->record.state == MESHPING_AGENT_APPROVED || agent->record.state == MESHPING_AGENT_HOLD;
}

meshping_status server_agent_save(server *s, agent_entry *agent, meshping_error *err)
{
    s->live_version++;
    meshping_status status = meshping_store_agent_save(s->store, &agent->record, err);
    agent->unsaved &= status != MESHPING_OK;
    if (status == MESHPING_OK)
        planning_agent(s, agent, false);
    return status;
}

static meshping_status make_entry(server *s, const uint8_t public_key[MESHPING_KEY_LEN], agent_entry **out,
                                  meshping_error *err)
{
    agent_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    do {
        if (RAND_bytes((unsigned char *)&entry->record.id, sizeof entry->record.id) != 1) {
            free(entry);
            return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers to be had");
        }
    } while (!entry->record.id || server_agent_by_id(s, entry->record.id));
    clock_notes_begin(&entry->clocks);
    past_begin(&entry->past);
    memcpy(entry->record.public_key, public_key, MESHPING_KEY_LEN);
    entry->record.state = MESHPING_AGENT_PENDING;
    entry->record.first_seen_ms = entry->record.last_seen_ms = entry->record.state_changed_ms = server_unix_ms();
    if (append_agent(s, entry) != MESHPING_OK) {
        free(entry);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    *out = entry;
    return MESHPING_OK;
}

meshping_status server_agent_create(server *s, const uint8_t public_key[MESHPING_KEY_LEN], agent_entry **out,
                                    meshping_error *err)
{
    size_t pending = 0;
    for (size_t i = 0; i < s->agent_count; i++)
        pending += s->agents[i]->record.state == MESHPING_AGENT_PENDING;
    if (pending >= (size_t)s->config.pending_max)
        return meshping_error_set(err, MESHPING_LIMIT, "%d agents are pending already", s->config.pending_max);
    return make_entry(s, public_key, out, err);
}

void server_agent_forget(server *s, agent_entry *agent)
{
    drop_agent(s, agent);
}

/* ---- loading ---- */

/* What was blacklisted after the backup was made stays so. */
static meshping_status apply_blacklisting(server *s, const revocation *item, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    agent_entry *agent = server_agent_by_key(s, item->bytes);
    if (agent && agent->record.state == MESHPING_AGENT_BLACKLISTED)
        return MESHPING_OK;
    if (!agent) {
        status = make_entry(s, item->bytes, &agent, err);
        if (status != MESHPING_OK)
            return status;
        snprintf(agent->record.host_name, sizeof agent->record.host_name, "(known before the restore)");
    }
    agent->record.state = MESHPING_AGENT_BLACKLISTED;
    agent->record.state_changed_ms = item->unix_ms;
    snprintf(agent->record.reason, sizeof agent->record.reason,
             "by the file of revocations: the database is older than the blacklisting");
    log_warning("agents", "%016llx %s stays blacklisted: %s", (unsigned long long)agent->record.id,
                agent->record.host_name, agent->record.reason);
    meshping_store_event_add(s->store, server_unix_ms(), "alarm", agent->record.id, NULL, agent->record.reason, NULL);
    return server_agent_save(s, agent, err);
}

/* A retired key in the database means the same; its successor comes back as one known before the restore. */
static meshping_status apply_revocation(server *s, const revocation *item, meshping_error *err)
{
    meshping_passphrase_record passphrase;
    if (item->kind == REVOCATION_BLACKLIST || (item->kind == REVOCATION_RETIRE && server_agent_by_key(s, item->bytes)))
        return apply_blacklisting(s, item, err);
    if (item->kind != REVOCATION_REVOKE ||
        meshping_store_passphrase(s->store, item->bytes, &passphrase, NULL) != MESHPING_OK || passphrase.revoked)
        return MESHPING_OK;
    passphrase.revoked = true;
    log_warning("agents", "passphrase %s stays revoked: the database is older", passphrase.label);
    return meshping_store_passphrase_save(s->store, &passphrase, err);
}

static meshping_status load_blocked(server *s, meshping_error *err)
{
    char *text = NULL;
    meshping_status status = meshping_store_setting(s->store, BLOCKED_SETTING, &text, err);
    if (status == MESHPING_OK)
        status = meshping_cidr_list_parse(&s->blocked, text, err);
    meshping_free(text);
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

meshping_status server_load_agents(server *s, meshping_error *err)
{
    meshping_agent_record *records = NULL;
    size_t count = 0;
    meshping_status status = meshping_store_agents(s->store, &records, &count, err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        agent_entry *entry = calloc(1, sizeof *entry);
        if (entry)
            entry->record = records[i];
        status = entry ? append_agent(s, entry) : MESHPING_NOMEM;
        if (status != MESHPING_OK)
            free(entry);
    }
    meshping_free(records);
    if (status == MESHPING_OK)
        status = load_blocked(s, err);
    if (status == MESHPING_OK)
        status = revocations_open(&s->revocations, s->config.state_dir, err);
    if (status == MESHPING_OK)
        status = rekeying_redo(s, err); /* what else is said is of the newer keys too */
    for (size_t i = 0; i < s->revocations.count && status == MESHPING_OK; i++)
        status = apply_revocation(s, &s->revocations.items[i], err);
    return status;
}

/* ---- moving ---- */

/* What a move writes down beside the row, so that an older database does not undo it. */
static meshping_status record_revocation(server *s, const agent_entry *agent, meshping_agent_action action,
                                         meshping_error *err)
{
    if (action != MESHPING_ACTION_REJECT && action != MESHPING_ACTION_REINSTATE)
        return MESHPING_OK;
    return revocations_add(&s->revocations,
                           action == MESHPING_ACTION_REJECT ? REVOCATION_BLACKLIST : REVOCATION_REINSTATE,
                           agent->record.public_key, MESHPING_KEY_LEN, server_unix_ms(), err);
}

static void tell_move(server *s, const agent_entry *agent, meshping_agent_state before, meshping_agent_action action,
                      const char *user)
{
    char text[512];
    const meshping_agent_record *record = &agent->record;
    snprintf(text, sizeof text, "%s: %s -> %s%s%s", record->host_name, meshping_agent_state_name(before),
             meshping_agent_state_name(record->state), *record->reason ? ": " : "", record->reason);
    log_info("agents", "%016llx %s%s%s", (unsigned long long)record->id, text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), meshping_agent_action_name(action), record->id, user, text,
                             NULL);
}

/* What came into quarantine between the decision and the approved row. */
static void decide_rest(server *s, const agent_entry *agent, const char *user)
{
    meshping_error err;
    if (quarantine_decide_rest(s, agent, user, &err) != MESHPING_OK)
        log_error("store", "%s: some of its quarantine is decided upon at the next start: %s", agent->record.host_name,
                  err.message);
}

/* `decision`: of an administrator. */
static meshping_status move(server *s, agent_entry *agent, meshping_agent_action action, const char *reason,
                            const agent_decision *decision, const char *user, meshping_error *err)
{
    const char *addresses = decision->addresses;
    meshping_agent_record *record = &agent->record, before = *record;
    meshping_agent_state next;
    meshping_status status = MESHPING_OK;
    if (meshping_agent_state_next(&next, record->state, action) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_STATE, "an agent that is %s cannot be moved by %s",
                                  meshping_agent_state_name(record->state), meshping_agent_action_name(action));
    if (next == record->state)
        return MESHPING_OK;
    if (action == MESHPING_ACTION_APPROVE && addresses)
        status = meshping_registry_addresses(record->approved_addresses, addresses, err);
    else if (action == MESHPING_ACTION_APPROVE)
        status = meshping_registry_offer(record->approved_addresses, record->approved_addresses,
                                         record->observed_address, err);
    if (status == MESHPING_OK && action == MESHPING_ACTION_APPROVE)
        status =
            quarantine_decide(s, agent, decision->keep, decision->keep_count, record->approved_addresses, user, err);
    if (status == MESHPING_OK)
        status = record_revocation(s, agent, action, err);
    record->state = next;
    record->state_changed_ms = server_unix_ms();
    snprintf(record->reason, sizeof record->reason, "%s", reason);
    if (status == MESHPING_OK)
        status = server_agent_save(s, agent, err);
    if (status != MESHPING_OK) {
        *record = before;
        return status;
    }
    tell_move(s, agent, before.state, action, user);
    if (action == MESHPING_ACTION_REJECT)
        quarantine_delete(s, agent, user);
    if (action == MESHPING_ACTION_APPROVE) {
        decide_rest(s, agent, user);
        joining_approved(agent);
    }
    agents_tell_state(s, agent);
    return MESHPING_OK;
}

meshping_status server_agent_move(server *s, agent_entry *agent, meshping_agent_action action, const char *reason,
                                  const char *user, meshping_error *err)
{
    static const agent_decision by_rule = {.keep_count = SIZE_MAX};
    return move(s, agent, action, reason, &by_rule, user, err);
}

/* ---- administrators ---- */

/* The pending agent takes over the id and the history of another one, whose key is retired. */
static meshping_status succeed(server *s, agent_entry *agent, const agent_decision *decision, const char *user,
                               meshping_error *err)
{
    const char *addresses = decision->addresses;
    agent_entry *old = server_agent_by_id(s, decision->successor_of);
    meshping_agent_record *young = &agent->record, record;
    if (!old || !meshping_registry_may_succeed(young->state, old->record.state))
        return meshping_error_set(err, MESHPING_STATE, "only a pending agent can succeed, and only one that is not");
    record = *young;
    record.id = old->record.id;
    record.revision = old->record.revision;
    record.first_seen_ms = old->record.first_seen_ms;
    record.state = MESHPING_AGENT_APPROVED;
    record.state_changed_ms = server_unix_ms();
    snprintf(record.reason, sizeof record.reason, "successor of %.200s", old->record.host_name);
    memcpy(record.name, old->record.name, sizeof record.name);
    memcpy(record.labels, old->record.labels, sizeof record.labels);
    meshping_status status = addresses
                                 ? meshping_registry_addresses(record.approved_addresses, addresses, err)
                                 : meshping_registry_offer(record.approved_addresses, "", record.observed_address, err);
    if (status == MESHPING_OK && !revocations_has(&s->revocations, REVOCATION_BLACKLIST, old->record.public_key,
                                                  MESHPING_KEY_LEN)) /* which says more */
        status = revocations_add(&s->revocations, REVOCATION_RETIRE, old->record.public_key, MESHPING_KEY_LEN,
                                 record.state_changed_ms, err);
    if (status == MESHPING_OK) /* what the old key sent on hold */
        status = quarantine_decide(s, old, decision->keep, decision->keep_count, record.approved_addresses, user, err);
    if (status == MESHPING_OK)
        status = meshping_store_agent_succeed(s->store, young->id, &record, err);
    if (status != MESHPING_OK)
        return status;
    if (old->connection) {
        agent_connection *c = old->connection;
        old->connection = NULL;
        connection_refuse(c, 1008, "another key took this agent's place");
    }
    meshping_agent_state before = young->state;
    agent_index_remove(&s->agent_index, old, old->record.id, old->record.public_key);
    old->record = record;
    old->connection = agent->connection;
    for (agent_connection *c = connection_first(); c; c = c->next)
        if (c->agent == agent) /* that one, and those whose place it took and that are not buried yet */
            c->agent = old;
    /* all that is known of the machine is known of the new one */
    old->heard_ms = agent->heard_ms;
    old->last_seen_ms = agent->last_seen_ms;
    old->online = agent->online;
    old->buffered_samples = agent->buffered_samples;
    old->dropped_samples = agent->dropped_samples;
    old->has_load = agent->has_load;
    old->load = agent->load;
    target_notes_dispose(&old->notes); /* told anew, with its list */
    old->clock = agent->clock;
    old->clock_noted = agent->clock_noted;
    old->clock_noted_mono_us = agent->clock_noted_mono_us;
    old->clock_skewed = agent->clock_skewed;
    pin_change_moved(s, old, agent);
    agent->connection = NULL;
    drop_agent(s, agent);
    if (agent_index_add(&s->agent_index, old, record.id, record.public_key) !=
        MESHPING_OK) /* there is room: two went */
        log_error("agents", "out of memory: %s is found again after a restart", record.host_name);
    planning_agent(s, old, false);
    tell_move(s, old, before, MESHPING_ACTION_APPROVE, user);
    decide_rest(s, old, user);
    joining_approved(old);
    agents_tell_state(s, old);
    return MESHPING_OK;
}

static meshping_status after_reject(server *s, const agent_entry *agent, const agent_decision *decision,
                                    const char *user, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (decision->revoke_passphrase && agent->record.has_tid) {
        status = server_passphrase_revoke(s, agent->record.tid, user, err);
        if (status == MESHPING_NOT_FOUND)
            status = MESHPING_OK;
    }
    if (status == MESHPING_OK && decision->block_address) {
        meshping_cidr_list list = s->blocked;
        meshping_address address;
        char text[MESHPING_CIDR_LIST_MAX * MESHPING_CIDR_TEXT_MAX];
        status = meshping_address_parse(&address, agent->record.observed_address, err);
        if (status == MESHPING_OK && list.count == MESHPING_CIDR_LIST_MAX)
            status = meshping_error_set(err, MESHPING_LIMIT, "%d ranges are blocked already", MESHPING_CIDR_LIST_MAX);
        if (status == MESHPING_OK && !meshping_cidr_list_contains(&list, &address)) {
            meshping_cidr_of_peer(&list.items[list.count++], &address);
            status = meshping_cidr_list_format(&list, text, sizeof text, err);
            if (status == MESHPING_OK)
                status = server_block_addresses(s, text, user, err);
        }
    }
    return status;
}

meshping_status server_agent_check_seen(const agent_entry *agent, const agent_decision *seen, meshping_error *err)
{
    char own[MESHPING_FINGERPRINT_MAX];
    if (seen->fingerprint &&
        strcmp(seen->fingerprint, meshping_identity_fingerprint(own, agent->record.public_key)) != 0)
        return meshping_error_set(err, MESHPING_STATE, "the agent's fingerprint is another one: look again");
    if (seen->revision && seen->revision != agent->record.revision)
        return meshping_error_set(err, MESHPING_STATE, "the agent has changed since you looked: look again");
    return MESHPING_OK;
}

/* Somebody may have blocked it since the other one looked; approved, it could not connect. */
static meshping_status check_not_blocked(const server *s, const agent_entry *agent, meshping_error *err)
{
    meshping_address address;
    const char *text = agent->record.observed_address;
    if (!*text || meshping_address_parse(&address, text, NULL) != MESHPING_OK ||
        !meshping_cidr_list_contains(&s->blocked, &address))
        return MESHPING_OK;
    return meshping_error_set(err, MESHPING_STATE, "its address %s is blocked: unblock it first", text);
}

meshping_status server_agent_act(server *s, uint64_t id, meshping_agent_action action, const agent_decision *decision,
                                 const char *user, meshping_error *err)
{
    agent_entry *agent = server_agent_by_id(s, id);
    if (!agent)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such agent");
    meshping_status status = server_agent_check_seen(agent, decision, err);
    if (status == MESHPING_OK && action == MESHPING_ACTION_APPROVE)
        status = check_not_blocked(s, agent, err);
    if (status != MESHPING_OK)
        return status;
    if (action == MESHPING_ACTION_APPROVE && decision->successor_of)
        return succeed(s, agent, decision, user, err);
    status = move(s, agent, action, "", decision, user, err);
    if (status == MESHPING_OK && action == MESHPING_ACTION_REJECT)
        status = after_reject(s, agent, decision, user, err);
    return status;
}

meshping_status server_agent_addresses(server *s, uint64_t id, const char *addresses, uint64_t revision,
                                       const char *user, meshping_error *err)
{
    char text[512];
    agent_entry *agent = server_agent_by_id(s, id);
    if (!agent)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no such agent");
    meshping_agent_record *record = &agent->record, before = *record;
    if (revision && revision != record->revision)
        return meshping_error_set(err, MESHPING_STATE, "the agent has changed since you looked: look again");
    if (record->state != MESHPING_AGENT_APPROVED && record->state != MESHPING_AGENT_HOLD)
        return meshping_error_set(err, MESHPING_STATE, "an agent that is %s has no approved addresses",
                                  meshping_agent_state_name(record->state));
    meshping_status status = meshping_registry_addresses(record->approved_addresses, addresses, err);
    if (status == MESHPING_OK)
        status = server_agent_save(s, agent, err);
    if (status != MESHPING_OK) {
        *record = before;
        return status;
    }
    snprintf(text, sizeof text, "%.120s: approved addresses are %.360s", record->host_name, record->approved_addresses);
    log_info("agents", "%016llx %s%s%s", (unsigned long long)id, text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), "addresses", id, user, text, NULL);
    if (agent->connection)
        status = joining_check_address(agent->connection, err);
    return status;
}

meshping_status server_agent_describe(server *s, agent_entry *agent, const char *name, const char *labels,
                                      const char *user, meshping_error *err)
{
    char text[512];
    meshping_agent_record *record = &agent->record, before = *record;
    if (name && strlen(name) >= sizeof record->name)
        return meshping_error_set(err, MESHPING_INVALID, "name is longer than %zu bytes", sizeof record->name - 1);
    if (name)
        snprintf(record->name, sizeof record->name, "%s", name);
    if (labels)
        snprintf(record->labels, sizeof record->labels, "%s", labels);
    meshping_status status = server_agent_save(s, agent, err);
    if (status != MESHPING_OK) {
        *record = before;
        return status;
    }
    planning_now(s);
    snprintf(text, sizeof text, "%.120s: name \"%s\", labels %s", record->host_name, record->name,
             record->labels[0] ? record->labels : "none");
    log_info("agents", "%016llx %s%s%s", (unsigned long long)record->id, text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), "describe", record->id, user, text, NULL);
    return MESHPING_OK;
}

meshping_status server_block_addresses(server *s, const char *text, const char *user, meshping_error *err)
{
    char event[512], canonical[MESHPING_CIDR_LIST_MAX * MESHPING_CIDR_TEXT_MAX];
    meshping_cidr_list list;
    meshping_status status = meshping_cidr_list_parse(&list, text, err);
    if (status == MESHPING_OK)
        status = meshping_cidr_list_format(&list, canonical, sizeof canonical, err);
    if (status == MESHPING_OK)
        status = meshping_store_setting_save(s->store, BLOCKED_SETTING, canonical, err);
    if (status != MESHPING_OK)
        return status;
    s->blocked = list;
    snprintf(event, sizeof event, "blocked: %.400s", *canonical ? canonical : "none");
    meshping_store_event_add(s->store, server_unix_ms(), "block", 0, user, event, NULL);
    log_info("agents", "%s%s%s", event, user ? ", by " : "", user ? user : "");
    joining_drop_blocked(s);
    return MESHPING_OK;
}

/* ---- time ---- */

void server_lapse(server *s)
{
    static int64_t looked_ms;
    int64_t now_ms = server_unix_ms(), mono_ms = server_mono_ms();
    if (looked_ms && mono_ms - looked_ms < LAPSE_EVERY_MS)
        return;
    looked_ms = mono_ms;
    for (size_t i = s->agent_count; i-- > 0;) {
        agent_entry *agent = s->agents[i];
        meshping_error err;
        char text[512];
        int64_t seen_ms =
            agent->record.last_seen_ms > agent->last_seen_ms ? agent->record.last_seen_ms : agent->last_seen_ms;
        if (agent->connection || !meshping_registry_lapsed(agent->record.state, seen_ms, now_ms))
            continue;
        if (meshping_store_agent_delete(s->store, agent->record.id, &err) != MESHPING_OK) {
            log_error("store", "cannot forget a pending agent: %s", err.message);
            return;
        }
        snprintf(text, sizeof text, "%s: pending and not seen for 7 days: forgotten", agent->record.host_name);
        log_info("agents", "%016llx %s", (unsigned long long)agent->record.id, text);
        meshping_store_event_add(s->store, now_ms, "lapse", agent->record.id, NULL, text, NULL);
        drop_agent(s, agent);
    }
}
