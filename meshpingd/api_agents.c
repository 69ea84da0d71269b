/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/looks.h"
#include "meshpingd/planning.h"
#include "meshpingd/quarantine.h"
#include "meshpingd/rekeying.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define TOGETHER_MAX 256 /* approved by one request */
#define KEEP_MAX 256     /* sources named by one approval */

/* False: a 400 was sent. */
static bool query_state(http_exchange *x, bool *any, meshping_agent_state *state)
{
    const char *text = http_query_get(x, "state");
    *any = text == NULL;
    if (*any || meshping_agent_state_parse(state, text) == MESHPING_OK)
        return true;
    http_respond_problem(x, 400, "\"state\" must be pending, approved, hold or blacklisted");
    return false;
}

void api_agents_list(http_exchange *x)
{
    server *s = x->server;
    meshping_selector selector;
    meshping_agent_state state = MESHPING_AGENT_PENDING;
    bool any;
    if (!http_query_only(x, "selector, state") || !http_query_selector(x, "selector", &selector) ||
        !query_state(x, &any, &state))
        return;
    json_object *json = json_object_new_object();
    json_object *agents = json_object_new_array_ext((int)s->agent_count + 1);
    planning_now(s);
    for (size_t i = 0; i < s->agent_count; i++)
        if ((any || s->agents[i]->record.state == state) &&
            meshping_selector_matches(&selector, s->agents[i]->record.labels))
            json_object_array_add(agents, live_agent_json(s, s->agents[i]));
    json_object_object_add(json, "agents", agents);
    http_respond_json(x, 200, json);
}

/* false: it was answered. */
static bool take_decision(http_exchange *x, agent_decision *out)
{
    bool ok;
    *out = (agent_decision){.keep_count = SIZE_MAX};
    out->fingerprint = http_json_string(x, "fingerprint", &ok);
    if (!ok)
        return false;
    out->revision = (uint64_t)http_json_number(x, "revision", 0, 1, INT64_MAX, &ok);
    if (!ok)
        return false;
    out->addresses = http_json_string(x, "addresses", &ok);
    if (!ok)
        return false;
    const char *predecessor = http_json_string(x, "successor_of", &ok);
    if (!ok)
        return false;
    if (predecessor && !http_id_parse(predecessor, &out->successor_of)) {
        http_respond_problem(x, 400, "\"successor_of\" must be an agent's id");
        return false;
    }
    return http_json_flag(x, "block_address", &out->block_address) &&
           http_json_flag(x, "revoke_passphrase", &out->revoke_passphrase);
}

/* The agent of the path; NULL: it was answered. */
static agent_entry *agent_of_path(http_exchange *x)
{
    uint64_t id;
    agent_entry *agent = http_id_parse(x->params.value[0], &id) ? server_agent_by_id(x->server, id) : NULL;
    if (!agent)
        http_respond_problem(x, 404, "there is no agent with this id");
    return agent;
}

/* "keep": a list of sources of its quarantine. false: it was answered. */
static bool take_keep(http_exchange *x, uint64_t keep[KEEP_MAX], agent_decision *out)
{
    json_object *list = NULL;
    if (!json_object_object_get_ex(x->json, "keep", &list) || !list)
        return true;
    size_t count = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : SIZE_MAX;
    bool good = count <= KEEP_MAX;
    for (size_t i = 0; good && i < count; i++) {
        json_object *id = json_object_array_get_idx(list, i);
        good = json_object_is_type(id, json_type_int) && json_object_get_int64(id) > 0;
        keep[i] = json_object_get_uint64(id);
    }
    if (!good) {
        http_respond_problem(x, 400, "\"keep\" must be a list of at most %d sources' ids", KEEP_MAX);
        return false;
    }
    out->keep = keep;
    out->keep_count = count;
    return true;
}

static void describe_decision(http_exchange *x, const agent_entry *agent, const agent_decision *decision)
{
    char kept[32] = "", successor[48] = "";
    if (decision->keep_count != SIZE_MAX)
        snprintf(kept, sizeof kept, "; keeps %zu sources", decision->keep_count);
    if (decision->successor_of)
        snprintf(successor, sizeof successor, "; successor of %016" PRIx64, decision->successor_of);
    http_audit_detail(x, "%.120s%s%s%s%s%s%.240s", agent->record.host_name, successor, kept,
                      decision->block_address ? "; its address is blocked" : "",
                      decision->revoke_passphrase ? "; its passphrase is revoked" : "",
                      decision->addresses ? "; from " : "", decision->addresses ? decision->addresses : "");
}

static void act(http_exchange *x, meshping_agent_action action)
{
    agent_decision decision;
    uint64_t keep[KEEP_MAX];
    meshping_error err = {0};
    if (!take_decision(x, &decision) || !take_keep(x, keep, &decision))
        return;
    agent_entry *agent = agent_of_path(x);
    if (!agent)
        return;
    uint64_t id = agent->record.id;
    describe_decision(x, agent, &decision);
    if (server_agent_act(x->server, id, action, &decision, x->identity.user, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    if (decision.successor_of)
        id = decision.successor_of;
    http_respond_json(x, 200, live_agent_json(x->server, server_agent_by_id(x->server, id)));
}

void api_agent_approve(http_exchange *x)
{
    act(x, MESHPING_ACTION_APPROVE);
}

void api_agent_reject(http_exchange *x)
{
    act(x, MESHPING_ACTION_REJECT);
}

void api_agent_hold(http_exchange *x)
{
    act(x, MESHPING_ACTION_SET_HOLD);
}

void api_agent_reinstate(http_exchange *x)
{
    act(x, MESHPING_ACTION_REINSTATE);
}

void api_agent_rekey(http_exchange *x)
{
    agent_decision seen;
    meshping_error err = {0};
    if (!take_decision(x, &seen))
        return;
    agent_entry *agent = agent_of_path(x);
    if (!agent)
        return;
    http_audit_detail(x, "%s", agent->record.host_name);
    if (rekeying_ask(x->server, agent->record.id, &seen, x->identity.user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 202, live_agent_json(x->server, agent));
}

/* ---- name and labels ---- */

void api_agent_change(http_exchange *x)
{
    bool ok;
    char labels[MESHPING_LABELS_MAX];
    meshping_error err = {0};
    json_object *value = NULL;
    const char *name = http_json_string(x, "name", &ok);
    if (!ok)
        return;
    bool labelled = json_object_object_get_ex(x->json, "labels", &value);
    if (labelled && json_body_labels(labels, value, &err) != MESHPING_OK) {
        http_respond_problem(x, 400, "%s", err.message);
        return;
    }
    agent_entry *agent = agent_of_path(x);
    if (!agent || !http_may_change(x, agent->record.revision, "this agent"))
        return;
    if (name && looks_turned(name)) {
        http_respond_problem(x, 400, "\"name\" holds a character that turns around what follows it");
        return;
    }
    if (!name && !labelled) {
        http_respond_problem(x, 400, "\"name\" or \"labels\" is needed");
        return;
    }
    http_audit_detail(x, "%s%s%s%s", name ? "name " : "", name ? name : "", labelled ? " labels " : "",
                      labelled ? labels : "");
    if (server_agent_describe(x->server, agent, name, labelled ? labels : NULL, x->identity.user, &err) !=
        MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    http_etag(x, agent->record.revision);
    http_respond_json(x, 200, live_agent_json(x->server, agent));
}

/* ---- many at once ---- */

/* What was seen of one agent; each is needed here, for nobody looks at each of many twice. */
static meshping_status approve_one(http_exchange *x, json_object *item, json_object *result, meshping_error *err)
{
    json_object *id_value = NULL, *fingerprint = NULL, *revision = NULL;
    agent_decision decision = {.keep_count = SIZE_MAX};
    uint64_t id;
    if (!json_object_is_type(item, json_type_object))
        return meshping_error_set(err, MESHPING_INVALID, "not an object");
    meshping_status status = json_body_fields(item, "id fingerprint revision", "an agent's approval", err);
    if (status != MESHPING_OK)
        return status;
    json_object_object_get_ex(item, "id", &id_value);
    json_object_object_get_ex(item, "fingerprint", &fingerprint);
    json_object_object_get_ex(item, "revision", &revision);
    const char *id_text = json_body_string(id_value);
    json_object_object_add(result, "id", json_object_new_string(id_text ? id_text : ""));
    decision.fingerprint = json_body_string(fingerprint);
    decision.revision = json_object_is_type(revision, json_type_int) ? json_object_get_uint64(revision) : 0;
    if (!id_text || !http_id_parse(id_text, &id) || !decision.fingerprint || !decision.revision)
        return meshping_error_set(err, MESHPING_INVALID, "\"id\", \"fingerprint\" and \"revision\" are needed");
    return server_agent_act(x->server, id, MESHPING_ACTION_APPROVE, &decision, x->identity.user, err);
}

/* Of those that are asked for; who was approved, and who finds no room here, is in the agents' events. */
static void audit_many(http_exchange *x, json_object *list)
{
    char text[sizeof x->audit.detail - 80];
    size_t length = 0, named = 0, count = json_object_array_length(list);
    for (; named < count; named++) {
        json_object *value = NULL;
        json_object_object_get_ex(json_object_array_get_idx(list, named), "id", &value);
        const char *id = json_body_string(value);
        size_t more = id ? strlen(id) + 2 : 3;
        if (length + more >= sizeof text)
            break;
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s", named ? ", " : ": ", id ? id : "?");
    }
    if (named < count)
        http_audit_detail(x, "%zu at once%.*s and %zu more", count, (int)length, text, count - named);
    else
        http_audit_detail(x, "%zu at once%.*s", count, (int)length, text);
}

void api_agents_approve(http_exchange *x)
{
    json_object *list = NULL;
    if (!json_object_object_get_ex(x->json, "agents", &list) || !json_object_is_type(list, json_type_array) ||
        json_object_array_length(list) > TOGETHER_MAX) {
        http_respond_problem(x, 400, "\"agents\" must be a list of at most %d", TOGETHER_MAX);
        return;
    }
    json_object *json = json_object_new_object(), *results = json_object_new_array();
    size_t approved = 0;
    audit_many(x, list);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        meshping_error err = {0};
        json_object *result = json_object_new_object();
        bool good = approve_one(x, json_object_array_get_idx(list, i), result, &err) == MESHPING_OK;
        approved += good;
        json_object_object_add(result, "approved", json_object_new_boolean(good));
        if (!good)
            json_object_object_add(result, "detail", json_object_new_string(err.message));
        json_object_array_add(results, result);
    }
    json_object_object_add(json, "approved", json_object_new_int64((int64_t)approved));
    json_object_object_add(json, "results", results);
    http_respond_json(x, 200, json);
}

/* What it says of its targets, beside samples: those of which it says something. */
void api_agent_targets(http_exchange *x)
{
    uint64_t only = 0;
    if (!http_query_only(x, "target") || !http_query_number(x, "target", 1, HTTP_NUMBER_MAX, &only))
        return;
    agent_entry *agent = agent_of_path(x);
    if (!agent)
        return;
    const plan *p = planning_now(x->server);
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < agent->notes.count; i++) {
        const target_note *note = &agent->notes.items[i];
        size_t column = plan_column_of(p, note->target_id);
        if ((only && note->target_id != only) || column == SIZE_MAX || !agent->row ||
            !plan_pings(p, agent->row, column))
            continue;
        json_object *one = json_object_new_object();
        json_object_object_add(one, "target", json_object_new_int64((int64_t)note->target_id));
        if (note->refused)
            json_object_object_add(one, "refused", json_object_new_string(meshping_refusal_name(note->refused)));
        if (note->address[0])
            json_object_object_add(one, "address", json_object_new_string(note->address));
        json_object_array_add(list, one);
    }
    json_object_object_add(json, "targets_revision", json_object_new_int64((int64_t)agent->targets_revision));
    json_object_object_add(json, "targets", list);
    http_respond_json(x, 200, json);
}

void api_agent_quarantine(http_exchange *x)
{
    meshping_error err = {0};
    agent_entry *agent = agent_of_path(x);
    if (!agent)
        return;
    json_object *json = quarantine_json(x->server, agent, &err);
    if (json)
        http_respond_json(x, 200, json);
    else
        http_respond_error(x, &err);
}

/* ---- addresses ---- */

void api_agent_addresses(http_exchange *x)
{
    bool ok;
    meshping_error err = {0};
    const char *addresses = http_json_string(x, "addresses", &ok);
    if (!ok)
        return;
    int64_t revision = http_json_number(x, "revision", 0, 1, INT64_MAX, &ok);
    if (!ok)
        return;
    if (!addresses) {
        http_respond_problem(x, 400, "\"addresses\" is needed: \"10.0.0.0/8, 2001:db8::/64\"");
        return;
    }
    agent_entry *agent = agent_of_path(x);
    if (!agent)
        return;
    http_audit_detail(x, "%.120s: %.180s -> %.180s", agent->record.host_name, agent->record.approved_addresses,
                      addresses);
    if (server_agent_addresses(x->server, agent->record.id, addresses, (uint64_t)revision, x->identity.user, &err) !=
        MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 200, live_agent_json(x->server, agent));
}

void api_blocked_get(http_exchange *x)
{
    char text[MESHPING_CIDR_LIST_MAX * MESHPING_CIDR_TEXT_MAX];
    json_object *json = json_object_new_object();
    meshping_cidr_list_format(&x->server->blocked, text, sizeof text, NULL);
    json_object_object_add(json, "addresses", json_object_new_string(text));
    http_respond_json(x, 200, json);
}

void api_blocked_put(http_exchange *x)
{
    bool ok;
    char before[MESHPING_CIDR_LIST_MAX * MESHPING_CIDR_TEXT_MAX];
    meshping_error err = {0};
    const char *addresses = http_json_string(x, "addresses", &ok);
    if (!ok)
        return;
    if (!addresses) {
        http_respond_problem(x, 400, "\"addresses\" is needed: \"192.0.2.0/24, 2001:db8::/64\", or \"\"");
        return;
    }
    meshping_cidr_list_format(&x->server->blocked, before, sizeof before, NULL);
    http_audit_detail(x, "%.240s -> %.240s", *before ? before : "none", *addresses ? addresses : "none");
    if (server_block_addresses(x->server, addresses, x->identity.user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        api_blocked_get(x);
}
