/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/probing.h"

#include "meshpingd/joining.h"
#include "meshpingd/planning.h"
#include <stdlib.h>
#include <string.h>

#define CLOSE_NOT_ASKED 1008
#define ANSWER_MS 5000 /* on its way, beside the target's timeout */

typedef struct probing_pair {
    uint64_t agent_id, target_id;
    bool answered;
    meshping_probe_answer answer;
} probing_pair;

struct probing_request {
    uint64_t id;
    int64_t asked_ms;
    int64_t deadline_ms; /* monotonic: who has not answered then is not waited for */
    size_t count;
    probing_pair pairs[MESHPING_PROBE_NOW_MAX];
};

/* ---- who is asked ---- */

/* NULL: it can be asked; else why not. */
static const char *why_not(const agent_entry *agent)
{
    const agent_connection *c = agent->connection;
    if (agent->record.state != MESHPING_AGENT_APPROVED)
        return "only an approved agent is asked";
    if (!c || c->closing)
        return "the agent is not connected";
    return joining_is_waiting(c) ? "the agent is just connecting: try again in a moment" : NULL;
}

static bool add_pair(probing_request *request, uint64_t agent_id, uint64_t target_id)
{
    if (request->count == MESHPING_PROBE_NOW_MAX)
        return false;
    request->pairs[request->count++] = (probing_pair){.agent_id = agent_id, .target_id = target_id};
    return true;
}

static meshping_status too_many(meshping_error *err)
{
    return meshping_error_set(err, MESHPING_LIMIT, "these are more than %d probes: name both agent and target",
                              MESHPING_PROBE_NOW_MAX);
}

static meshping_status pairs_of_agent(const plan *p, probing_request *request, const agent_entry *agent,
                                      uint64_t target_id, meshping_error *err)
{
    const char *why = why_not(agent);
    if (why)
        return meshping_error_set(err, MESHPING_STATE, "%s", why);
    for (size_t k = 0; agent->row && k < p->targets.count; k++)
        if ((!target_id || p->targets.items[k].id == target_id) && plan_pings(p, agent->row, k) &&
            !add_pair(request, agent->record.id, p->targets.items[k].id))
            return too_many(err);
    return request->count ? MESHPING_OK
                          : meshping_error_set(err, MESHPING_STATE, "the agent does not ping %s now",
                                               target_id ? "this target" : "anything");
}

static meshping_status pairs_of_target(server *s, const plan *p, probing_request *request, uint64_t target_id,
                                       meshping_error *err)
{
    size_t column = plan_column_of(p, target_id);
    for (size_t i = 0; i < s->agent_count; i++) {
        const agent_entry *agent = s->agents[i];
        if (agent->row && !why_not(agent) && agent->connection->probe_count < MESHPING_PROBE_NOW_MAX &&
            plan_pings(p, agent->row, column) && !add_pair(request, agent->record.id, target_id))
            return too_many(err);
    }
    return request->count
               ? MESHPING_OK
               : meshping_error_set(err, MESHPING_STATE, "no connected, approved agent pings this target now");
}

static meshping_status find_pairs(server *s, probing_request *request, uint64_t agent_id, uint64_t target_id,
                                  meshping_error *err)
{
    const plan *p = planning_now(s);
    const agent_entry *agent = agent_id ? server_agent_by_id(s, agent_id) : NULL;
    if (agent_id && !agent)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "there is no agent with this id");
    if (target_id && plan_column_of(p, target_id) == SIZE_MAX)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "there is no target with this id");
    return agent ? pairs_of_agent(p, request, agent, target_id, err) : pairs_of_target(s, p, request, target_id, err);
}

/* ---- how often ---- */

/* 0: so many probes may be asked for now, and are counted; else in how many milliseconds. */
static int64_t take_tokens(probings *all, size_t count)
{
    int64_t now_ms = server_mono_ms(), most = PROBING_BURST * INT64_C(1000);
    if (!all->counted_ms)
        all->thousandths = most;
    else
        all->thousandths += (now_ms - all->counted_ms) * PROBING_A_SECOND;
    if (all->thousandths > most)
        all->thousandths = most;
    all->counted_ms = now_ms;
    int64_t missing = (int64_t)count * 1000 - all->thousandths;
    if (missing > 0)
        return (missing + PROBING_A_SECOND - 1) / PROBING_A_SECOND;
    all->thousandths -= (int64_t)count * 1000;
    return 0;
}

static bool has_room(server *s, const probing_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        const agent_entry *agent = server_agent_by_id(s, request->pairs[i].agent_id);
        size_t more = 0;
        for (size_t k = 0; k < request->count; k++)
            more += request->pairs[k].agent_id == request->pairs[i].agent_id;
        if (agent->connection->probe_count + more > MESHPING_PROBE_NOW_MAX)
            return false;
    }
    return true;
}

/* ---- asking ---- */

/* One message an agent; its pairs lie together. */
static void tell(server *s, const probing_request *request)
{
    for (size_t i = 0; i < request->count;) {
        meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE, .type = MESHPING_SERVER_MESSAGE_PROBE_NOW};
        meshping_probe_now *now = &message.u.probe_now;
        uint64_t agent_id = request->pairs[i].agent_id;
        agent_connection *c = server_agent_by_id(s, agent_id)->connection;
        now->request = request->id;
        for (; i < request->count && request->pairs[i].agent_id == agent_id; i++) {
            now->targets[now->target_count++] = request->pairs[i].target_id;
            c->probes[c->probe_count++] = (asked_of_agent){request->id, request->pairs[i].target_id};
        }
        connection_send(c, &message);
    }
}

meshping_status probing_ask(server *s, uint64_t agent_id, uint64_t target_id, const probing_request **out,
                            int64_t *wait_ms, meshping_error *err)
{
    probings *all = &s->probes;
    probing_request *request = calloc(1, sizeof *request);
    *wait_ms = 0;
    if (!request)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = find_pairs(s, request, agent_id, target_id, err);
    if (status == MESHPING_OK && !has_room(s, request))
        status = meshping_error_set(err, MESHPING_STATE, "the agent has not answered earlier ones yet");
    if (status == MESHPING_OK && (*wait_ms = take_tokens(all, request->count)) > 0)
        status = meshping_error_set(err, MESHPING_LIMIT, "too many probes were asked for");
    if (status != MESHPING_OK) {
        free(request);
        return status;
    }
    int64_t longest_ms = 0;
    for (size_t i = 0; i < request->count; i++) {
        const meshping_target *target = plan_target(s->plan, request->pairs[i].target_id);
        if (target->timeout_ms > longest_ms)
            longest_ms = target->timeout_ms;
    }
    if (!all->last_id)
        all->last_id = (uint64_t)server_unix_ms(); /* who still asks for one of before the start finds none */
    request->id = ++all->last_id;
    request->asked_ms = server_unix_ms();
    request->deadline_ms = server_mono_ms() + longest_ms + ANSWER_MS;
    free(all->kept[request->id % PROBING_KEPT]);
    all->kept[request->id % PROBING_KEPT] = request;
    tell(s, request);
    *out = request;
    return MESHPING_OK;
}

static probing_request *find(const server *s, uint64_t id)
{
    probing_request *request = s->probes.kept[id % PROBING_KEPT];
    return request && request->id == id ? request : NULL;
}

const probing_request *probing_find(const server *s, uint64_t id)
{
    return find(s, id);
}

/* ---- answers ---- */

void probing_answer(agent_connection *c, const meshping_probe_answer *answer)
{
    size_t at = 0;
    while (at < c->probe_count &&
           (c->probes[at].request != answer->request || c->probes[at].target_id != answer->target_id))
        at++;
    if (at == c->probe_count) {
        connection_refuse(c, CLOSE_NOT_ASKED, "an answer to a probe that it was not asked for");
        return;
    }
    c->probes[at] = c->probes[--c->probe_count];
    probing_request *request = find(c->server, answer->request);
    for (size_t i = 0; request && i < request->count; i++) {
        probing_pair *pair = &request->pairs[i];
        if (pair->agent_id == c->agent->record.id && pair->target_id == answer->target_id) {
            pair->answered = true;
            pair->answer = *answer;
        }
    }
}

static json_object *pair_json(const probing_pair *pair, bool over)
{
    char id[17];
    const meshping_probe_answer *answer = &pair->answer;
    json_object *object = json_object_new_object();
    const char *state = pair->answered ? answer->unprobed ? "not_probed" : "answered" : over ? "no_answer" : "waiting";
    json_object_object_add(object, "agent", json_object_new_string(live_agent_id(id, pair->agent_id)));
    json_object_object_add(object, "target", json_object_new_int64((int64_t)pair->target_id));
    json_object_object_add(object, "state", json_object_new_string(state));
    if (!pair->answered)
        return object;
    const char *found =
        answer->unprobed ? meshping_unprobed_name(answer->unprobed) : meshping_outcome_name(answer->outcome);
    json_object_object_add(object, answer->unprobed ? "reason" : "outcome", json_object_new_string(found));
    if (!answer->unprobed && answer->outcome == MESHPING_OUTCOME_OK)
        json_object_object_add(object, "rtt_us", json_object_new_int64(answer->rtt_us));
    if (answer->sent_unix_us > 0)
        json_object_object_add(object, "sent_ms", json_object_new_int64(answer->sent_unix_us / 1000));
    if (answer->address[0])
        json_object_object_add(object, "address", json_object_new_string(answer->address));
    return object;
}

json_object *probing_json(const probing_request *request)
{
    json_object *object = json_object_new_object(), *list = json_object_new_array_ext((int)request->count);
    bool over = server_mono_ms() > request->deadline_ms, waiting = false;
    for (size_t i = 0; i < request->count; i++) {
        waiting = waiting || !request->pairs[i].answered;
        json_object_array_add(list, pair_json(&request->pairs[i], over));
    }
    json_object_object_add(object, "id", json_object_new_int64((int64_t)request->id));
    json_object_object_add(object, "asked_ms", json_object_new_int64(request->asked_ms));
    json_object_object_add(object, "done", json_object_new_boolean(over || !waiting));
    json_object_object_add(object, "probes", list);
    return object;
}

void probing_dispose(server *s)
{
    for (size_t i = 0; i < PROBING_KEPT; i++)
        free(s->probes.kept[i]);
    s->probes = (probings){0};
}
