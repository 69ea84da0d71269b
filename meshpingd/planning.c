/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/planning.h"

#include "common/log.h"
#include "meshpingd/pushing.h"
#include <meshping/utf8.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000 /* a plan that could not be made, or not with all agents */
#define TOLD_EACH_MS 60000
#define PREVIEW_IDS (UINT64_C(1) << 63) /* ids of the store are below */

void planning_due(server *s)
{
    s->plan_due = true;
    s->plan_incomplete = false;
    s->plan_retry_ms = 0; /* at once */
}

/* ---- peers: the agents of meshes ---- */

typedef struct peer_list {
    plan_peer *peers;
    agent_entry **agents; /* of each */
    char (*names)[MESHPING_TARGET_NAME_MAX];
    char (*addresses)[MESHPING_ADDRESS_TEXT_MAX];
    size_t count;
} peer_list;

static void dispose_peers(peer_list *list)
{
    free(list->peers);
    free(list->agents);
    free(list->names);
    free(list->addresses);
}

/* Cut between characters, where the agent's own name is longer than a target's may be. */
static void title_of(const agent_entry *agent, char out[MESHPING_TARGET_NAME_MAX])
{
    const char *text = agent->record.name[0] ? agent->record.name : agent->record.host_name;
    size_t length = meshping_utf8_fit(text, strlen(text), MESHPING_TARGET_NAME_MAX);
    memcpy(out, text, length);
    out[length] = 0;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    do
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    while (*text++);
    return hash;
}

/* Whether others are to ping it, and where. */
static bool is_peer(const agent_entry *agent, const meshping_rule *rules, size_t rule_count,
                    char address[MESHPING_ADDRESS_TEXT_MAX])
{
    const meshping_agent_record *record = &agent->record;
    return record->state == MESHPING_AGENT_APPROVED && meshping_rules_mesh(rules, rule_count, record->labels) &&
           meshping_registry_mesh_address(address, record->advertised_address, record->observed_address);
}

/* All that the plan knows of an agent as a peer; 0: it is none. */
static uint64_t peer_key(const server *s, const agent_entry *agent)
{
    char address[MESHPING_ADDRESS_TEXT_MAX], name[MESHPING_TARGET_NAME_MAX];
    if (!is_peer(agent, s->rules, s->rule_count, address))
        return 0;
    title_of(agent, name);
    uint64_t hash = hash_text(UINT64_C(14695981039346656037), name);
    return hash_text(hash_text(hash, address), agent->record.labels) | 1;
}

/* Ids of those that never were a target, in one transaction. */
static meshping_status name_targets(server *s, const peer_list *list, meshping_error *err)
{
    size_t count = 0;
    meshping_status status = MESHPING_OK;
    uint64_t *ids = calloc(2 * (list->count + 1), sizeof *ids);
    if (!ids)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    uint64_t *targets = ids + list->count + 1;
    for (size_t i = 0; i < list->count; i++)
        if (!list->agents[i]->mesh_target_id)
            ids[count++] = list->agents[i]->record.id;
    if (count)
        status = meshping_store_agent_targets(s->store, ids, count, targets, err);
    for (size_t i = 0; status == MESHPING_OK && i < count; i++)
        server_agent_by_id(s, ids[i])->mesh_target_id = targets[i];
    free(ids);
    return status;
}

static meshping_status find_peers(server *s, const meshping_rule *rules, size_t rule_count, peer_list *out,
                                  meshping_error *err)
{
    size_t most = s->agent_count + 1;
    *out = (peer_list){.peers = calloc(most, sizeof *out->peers),
                       .agents = calloc(most, sizeof(agent_entry *)),
                       .names = calloc(most, sizeof *out->names),
                       .addresses = calloc(most, sizeof *out->addresses)};
    if (!out->peers || !out->agents || !out->names || !out->addresses)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu agents", s->agent_count);
    for (size_t i = 0; i < s->agent_count; i++) {
        if (!is_peer(s->agents[i], rules, rule_count, out->addresses[out->count]))
            continue;
        title_of(s->agents[i], out->names[out->count]);
        out->agents[out->count++] = s->agents[i];
    }
    return MESHPING_OK;
}

/* `ids_from`: the ids of those that have none, for a plan that is only looked at; 0: they are left out. */
static void fill_peers(peer_list *list, uint64_t ids_from)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const agent_entry *agent = list->agents[i];
        uint64_t id = agent->mesh_target_id ? agent->mesh_target_id : ids_from ? ids_from + i : 0;
        if (id)
            list->peers[count++] =
                (plan_peer){agent->record.id, id, list->names[i], list->addresses[i], agent->record.labels};
    }
    list->count = count;
}

/* ---- pauses ---- */

/* Of each target; the caller's. NULL: out of memory. */
static bool *paused_of(const meshping_target_list *list, int64_t now_ms)
{
    bool *paused = calloc(list->count + 1, sizeof *paused);
    for (size_t i = 0; paused && i < list->count; i++)
        paused[i] = meshping_target_is_paused(&list->items[i], now_ms);
    return paused;
}

/* When the next one ends; 0: none does by itself. */
static int64_t next_resume(const meshping_target_list *list, int64_t now_ms)
{
    int64_t next = 0;
    for (size_t i = 0; i < list->count; i++) {
        int64_t end = list->items[i].paused_until_ms;
        if (end && meshping_target_is_paused(&list->items[i], now_ms) && (!next || end < next))
            next = end;
    }
    return next;
}

/* In the log, among the events and in the audit log: nobody did it. */
static void note_resumed(server *s, int64_t now_ms)
{
    char text[512];
    size_t count = 0;
    const meshping_target *first = NULL;
    for (size_t i = 0; i < s->targets.count; i++) {
        const meshping_target *target = &s->targets.items[i];
        if (!target->paused_until_ms || target->paused_until_ms < s->plan_resume_ms || target->paused_until_ms > now_ms)
            continue;
        first = first ? first : target;
        count++;
    }
    if (!first)
        return;
    snprintf(text, sizeof text, "the pause of %s is over (%s)%s", first->host, first->pause_reason,
             count > 1 ? ", and others' with it" : "");
    log_info("targets", "%s", text);
    meshping_store_event_add(s->store, now_ms, "targets", 0, NULL, text, NULL);
    meshping_audit_record row = {.unix_ms = now_ms, .via = "server", .action = "targets.resume"};
    snprintf(row.object, sizeof row.object, "%s", first->host);
    snprintf(row.detail, sizeof row.detail, "%s", text);
    meshping_store_audit_add(s->store, &row, NULL);
}

static void resume(server *s, int64_t now_ms)
{
    if (!s->plan_resume_ms || now_ms < s->plan_resume_ms)
        return;
    note_resumed(s, now_ms);
    s->plan_resume_ms = 0;
    planning_due(s);
}

/* ---- plans ---- */

/* Whether trouble is told now: what is tried each second is told each minute. */
static bool is_told(server *s)
{
    int64_t now_ms = server_mono_ms();
    if (s->plan_told_ms && now_ms - s->plan_told_ms < TOLD_EACH_MS)
        return false;
    s->plan_told_ms = now_ms;
    return true;
}

static size_t count_bits(const uint64_t *row, size_t words)
{
    size_t count = 0;
    for (size_t i = 0; i < words; i++)
        count += (size_t)__builtin_popcountll(row[i]);
    return count;
}

/*
 * What an agent is to ping. An agent refuses a longer list than it may have, so that it would have none: what is over
 * is left out, agents of meshes first, which are the last columns. False: something was.
 */
static bool make_row(const plan *p, const agent_entry *agent, uint64_t *row)
{
    size_t words = plan_words(p);
    memset(row, 0, words * sizeof *row);
    meshping_assignment_row(p->assignment, agent->record.id, agent->record.labels, row);
    size_t count = count_bits(row, words);
    if (count <= MESHPING_TARGETS_MAX)
        return true;
    for (size_t i = words; count > MESHPING_TARGETS_MAX; i--)
        for (; row[i - 1] && count > MESHPING_TARGETS_MAX; count--)
            row[i - 1] &= ~(UINT64_C(1) << (63 - __builtin_clzll(row[i - 1])));
    return false;
}

static void tell_cut(const agent_entry *agent)
{
    log_error("targets", "%016llx %s is to ping more than %d targets and pings so many of them: narrow the rules",
              (unsigned long long)agent->record.id, agent->record.host_name, MESHPING_TARGETS_MAX);
}

/*
 * *complete: no peer had to be left out because its id could not be stored. NULL: the plan is only looked at, and
 * nothing is stored.
 */
static meshping_status try_plan(server *s, plan **out, const meshping_rule *rules, size_t rule_count,
                                const meshping_target_list *list, bool *complete, meshping_error *err)
{
    meshping_error unnamed = {0};
    peer_list peers = {0};
    plan_input input = {.list = list ? list : &s->targets,
                        .rules = rules ? rules : s->rules,
                        .rule_count = rules ? rule_count : s->rule_count,
                        .thresholds = s->thresholds};
    meshping_target_init(&input.defaults);
    input.defaults.interval_ms = (uint32_t)s->config.interval_ms;
    input.defaults.timeout_ms = (uint32_t)s->config.timeout_ms;
    bool *paused = paused_of(input.list, server_unix_ms());
    if (!paused)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory for %zu targets", input.list->count);
    input.paused = paused;
    meshping_status status = find_peers(s, input.rules, input.rule_count, &peers, err);
    if (status == MESHPING_OK && complete) {
        *complete = name_targets(s, &peers, &unnamed) == MESHPING_OK;
        if (!*complete && is_told(s))
            log_error("targets", "the newest agents of meshes are not pinged yet: %s", unnamed.message);
    }
    if (status == MESHPING_OK) {
        fill_peers(&peers, complete ? 0 : PREVIEW_IDS);
        input.peers = peers.peers;
        input.peer_count = peers.count;
        status = plan_make(out, &input, err);
    }
    dispose_peers(&peers);
    free(paused);
    return status;
}

static bool make_rows(server *s, const plan *p, uint64_t ***out)
{
    uint64_t **rows = calloc(s->agent_count + 1, sizeof(uint64_t *));
    bool good = rows != NULL;
    for (size_t i = 0; good && i < s->agent_count; i++) {
        const agent_entry *agent = s->agents[i];
        if (!server_agent_has_row(agent))
            continue;
        rows[i] = malloc(plan_words(p) * sizeof **rows);
        good = rows[i] != NULL;
        if (good && !make_row(p, agent, rows[i]))
            tell_cut(agent);
    }
    for (size_t i = 0; !good && rows && i < s->agent_count; i++)
        free(rows[i]);
    if (!good)
        free(rows);
    *out = rows;
    return good;
}

static meshping_status renew(server *s, meshping_error *err)
{
    plan *made = NULL, *before = s->plan;
    uint64_t **rows;
    bool complete = true;
    int64_t now_ms = server_unix_ms(); /* before the plan: a pause that ends meanwhile is looked at again */
    meshping_status status = try_plan(s, &made, NULL, 0, NULL, &complete, err);
    if (status != MESHPING_OK)
        return status;
    if (!complete && s->plan_incomplete) { /* as it was, and is in force */
        plan_drop(made);
        return MESHPING_OK;
    }
    if (!make_rows(s, made, &rows)) {
        plan_drop(made);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < s->agent_count; i++) {
        free(s->agents[i]->row);
        s->agents[i]->row = rows[i];
        s->agents[i]->peer_key = peer_key(s, s->agents[i]);
    }
    free(rows);
    s->plan = made;
    s->plan_due = s->plan_incomplete = !complete;
    s->plan_resume_ms = next_resume(&s->targets, now_ms);
    s->live_version++;
    if (before)
        live_refit(s, before);
    plan_drop(before);
    for (size_t i = 0; i < s->agent_count; i++)
        agents_tell_targets(s, s->agents[i]);
    return MESHPING_OK;
}

const plan *planning_now(server *s)
{
    meshping_error err = {0};
    int64_t now_ms = server_mono_ms();
    resume(s, server_unix_ms());
    if (!s->plan_due || now_ms < s->plan_retry_ms)
        return s->plan;
    if (renew(s, &err) != MESHPING_OK && is_told(s))
        log_error("targets", "who pings what cannot be worked out, it stays as it was: %s", err.message);
    s->plan_retry_ms = s->plan_due ? now_ms + RETRY_MS : 0;
    if (!s->plan_due)
        s->plan_told_ms = 0;
    return s->plan;
}

void planning_agent(server *s, agent_entry *agent, bool gone)
{
    uint64_t key = gone ? 0 : peer_key(s, agent);
    bool has = !gone && server_agent_has_row(agent);
    if (!s->plan)
        return; /* loading */
    if (key != agent->peer_key)
        planning_due(s);
    agent->peer_key = key;
    if (!has) {
        free(agent->row);
        agent->row = NULL;
        return;
    }
    if (!agent->row)
        agent->row = malloc(plan_words(s->plan) * sizeof *agent->row);
    if (!agent->row)
        planning_due(s);
    else if (!make_row(s->plan, agent, agent->row))
        tell_cut(agent);
    agents_tell_targets(s, agent);
}

meshping_status planning_load(server *s, meshping_error *err)
{
    meshping_status status = meshping_store_rules(s->store, &s->rules, &s->rule_count, &s->rules_revision, err);
    return status == MESHPING_OK ? renew(s, err) : status;
}

void planning_dispose(server *s)
{
    plan_drop(s->plan);
    meshping_free(s->rules);
    s->plan = NULL;
    s->rules = NULL;
}

static meshping_status too_many(const agent_entry *agent, meshping_error *err)
{
    return meshping_error_set(err, MESHPING_LIMIT,
                              "%s would have more than %d targets, agents of its meshes among them: narrow the rules",
                              agent->record.host_name, MESHPING_TARGETS_MAX);
}

meshping_status planning_check(server *s, const meshping_rule *rules, size_t rule_count,
                               const meshping_target_list *list, meshping_error *err)
{
    plan *next = NULL;
    if ((list ? list : &s->targets)->count + s->agent_count <= MESHPING_TARGETS_MAX)
        return MESHPING_OK; /* whatever the rules are */
    meshping_status status = try_plan(s, &next, rules, rule_count, list, NULL, err);
    uint64_t *row = status == MESHPING_OK ? malloc(plan_words(next) * sizeof *row) : NULL;
    if (status == MESHPING_OK && !row)
        status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    for (size_t i = 0; status == MESHPING_OK && i < s->agent_count; i++)
        if (s->agents[i]->row && !make_row(next, s->agents[i], row))
            status = too_many(s->agents[i], err);
    free(row);
    plan_drop(next);
    return status;
}

meshping_status planning_set_rules(server *s, const meshping_rule *rules, size_t count, const char *user,
                                   meshping_error *err)
{
    char text[128];
    uint64_t revision;
    /* before they are stored: after it nothing may fail. As the library's own allocator here is malloc, so is this. */
    meshping_rule *saved = malloc((count + 1) * sizeof *saved);
    if (!saved)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = planning_check(s, rules, count, NULL, err);
    if (status == MESHPING_OK)
        status = meshping_store_rules_save(s->store, rules, count, &revision, err);
    if (status != MESHPING_OK) {
        free(saved);
        return status;
    }
    if (count)
        memcpy(saved, rules, count * sizeof *saved);
    meshping_free(s->rules);
    s->rules = saved;
    s->rule_count = count;
    s->rules_revision = revision;
    planning_due(s);
    planning_now(s);
    snprintf(text, sizeof text, "revision %llu of the rules: %zu", (unsigned long long)revision, count);
    log_info("targets", "%s%s%s", text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), "rules", 0, user, text, NULL);
    return MESHPING_OK;
}

/* ---- previews ---- */

static size_t pairs_of(const plan *p, const uint64_t *row)
{
    size_t count = 0;
    for (size_t k = 0; k < p->targets.count; k++)
        count += plan_pings(p, row, k);
    return count;
}

meshping_status planning_preview(server *s, const meshping_rule *rules, size_t rule_count,
                                 const meshping_target_list *list, planning_difference *out, meshping_error *err)
{
    plan *next = NULL;
    const plan *now = planning_now(s);
    meshping_status status = try_plan(s, &next, rules, rule_count, list, NULL, err);
    *out = (planning_difference){0};
    if (status != MESHPING_OK)
        return status;
    uint64_t *row = malloc(plan_words(next) * sizeof *row);
    if (!row) {
        plan_drop(next);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    for (size_t i = 0; status == MESHPING_OK && i < s->agent_count; i++) {
        const agent_entry *agent = s->agents[i];
        plan_change change;
        if (!agent->row)
            continue;
        if (!make_row(next, agent, row)) {
            status = too_many(agent, err);
            break;
        }
        if (plan_compare(&change, now, agent->row, next, row) != MESHPING_OK) {
            status = meshping_error_set(err, MESHPING_NOMEM, "out of memory");
            break;
        }
        size_t before = pairs_of(now, agent->row), after = pairs_of(next, row);
        out->before += before;
        out->after += after;
        out->removed += change.removed_count;
        out->added += after + change.removed_count - before;
        out->agents += change.changed_count || change.removed_count;
        plan_change_dispose(&change);
    }
    free(row);
    plan_drop(next);
    return status;
}

void planning_difference_json(json_object *object, const planning_difference *difference)
{
    json_object *pairs = json_object_new_object();
    json_object_object_add(pairs, "before", json_object_new_uint64(difference->before));
    json_object_object_add(pairs, "after", json_object_new_uint64(difference->after));
    json_object_object_add(pairs, "added", json_object_new_uint64(difference->added));
    json_object_object_add(pairs, "removed", json_object_new_uint64(difference->removed));
    json_object_object_add(object, "pairs", pairs);
    json_object_object_add(object, "agents", json_object_new_uint64(difference->agents));
}
