/* SPDX-License-Identifier: Apache-2.0 */
/* The original's routes with its bodies and status codes, for scripts that were written for it. */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/plan.h"
#include "meshpingd/readers.h"
#include "meshpingd/samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOUR_US INT64_C(3600000000)

static json_object *success(void)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "status", json_object_new_string("success"));
    return json;
}

void original_update_targets(http_exchange *x)
{
    server *s = x->server;
    meshping_error err = {0};
    meshping_target defaults;
    meshping_target_list list;
    size_t index, limit = s->targets.limit ? s->targets.limit : MESHPING_TARGETS_MAX;
    if (x->body_length == 0) {
        http_respond_problem(x, 400, "No JSON body");
        return;
    }
    /* fields that it does not know it passes over, as the original does */
    if (json_body_parse(&x->json, x->body, x->body_length, &err) != MESHPING_OK) {
        http_respond_problem(x, 400, "%s", err.message);
        return;
    }
    meshping_target_init(&defaults);
    defaults.interval_ms = (uint32_t)s->config.interval_ms;
    defaults.timeout_ms = (uint32_t)s->config.timeout_ms;
    if (targets_json_parse(&list, &index, x->json, true, &defaults, limit, &err) != MESHPING_OK) {
        http_respond_problem(x, err.status == MESHPING_NOMEM ? 500 : 400, "%s", err.message);
        return;
    }
    /* the original's targets have no settings: what people set here since is not undone by its scripts */
    if (targets_keep(&list, &s->targets, &err) != MESHPING_OK) {
        meshping_target_list_dispose(&list);
        http_respond_problem(x, err.status == MESHPING_NOMEM ? 500 : 400, "%s", err.message);
        return;
    }
    api_targets_describe(x, &list);
    if (server_targets_replace(s, &list, x->identity.user, &err) != MESHPING_OK) {
        http_respond_problem(x, err.status == MESHPING_EXISTS || err.status == MESHPING_INVALID ? 400 : 500, "%s",
                             err.message);
        return;
    }
    json_object *json = success(), *targets = NULL;
    json_object_object_get_ex(x->json, "targets", &targets);
    json_object_object_add(json, "targets", json_object_get(targets)); /* echoed as they came */
    http_respond_json(x, 200, json);
}

static void act(http_exchange *x, meshping_agent_action action)
{
    static const agent_decision nothing_seen = {.keep_count = SIZE_MAX};
    uint64_t id;
    meshping_error err = {0};
    const agent_entry *agent = http_id_parse(x->params.value[0], &id) ? server_agent_by_id(x->server, id) : NULL;
    if (!agent) {
        http_respond_problem(x, 404, "Agent not found");
        return;
    }
    http_audit_detail(x, "%s", agent->record.host_name);
    if (server_agent_act(x->server, id, action, &nothing_seen, x->identity.user, &err) != MESHPING_OK)
        http_respond_error(x, &err);
    else
        http_respond_json(x, 200, success());
}

void original_approve(http_exchange *x)
{
    act(x, MESHPING_ACTION_APPROVE);
}

void original_reject(http_exchange *x)
{
    act(x, MESHPING_ACTION_REJECT);
}

/* By id, or by address or host name as the original had it. */
static const meshping_target *find_target(const server *s, const char *name)
{
    uint64_t id;
    char host[MESHPING_HOST_MAX];
    const meshping_target *target = NULL;
    if (http_number_parse(name, &id))
        target = plan_target(s->plan, id);
    if (!target && meshping_host_canonical(host, name, NULL) == MESHPING_OK)
        target = meshping_target_list_by_host(&s->plan->targets, host);
    return target;
}

/* The last hour: in the cache, unless there was no memory for it, or the agent's clock is ahead. */
typedef struct question {
    samples_part part;
    meshping_status status;
    meshping_error error;
} question;

static void respond_samples(http_exchange *x, const meshping_series *found)
{
    text_buffer body = {0};
    bool first = true;
    text_puts(&body, "[");
    for (size_t i = 0; i < found->count; i++) {
        const meshping_sample *sample = &found->samples[i];
        /* the original knows two results; what the agent could not measure is neither */
        if (meshping_outcome_classify(sample->outcome) == MESHPING_CLASS_LOCAL_ERROR)
            continue;
        bool ok = sample->outcome == MESHPING_OUTCOME_OK;
        char at[32];
        time_t seconds = (time_t)(sample->slot_unix_us / 1000000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &tm);
        text_printf(&body, "%s{\"timestamp\":\"%s.%03dZ\",\"result\":\"%s\",\"latency\":%.3f}", first ? "" : ",", at,
                    (int)(sample->slot_unix_us / 1000 % 1000), ok ? "ok" : "fail", ok ? sample->rtt_us / 1000.0 : 0.0);
        first = false;
    }
    text_puts(&body, "]");
    http_respond_text(x, 200, "application/json", &body);
}

static void run(void *data, meshping_store *store)
{
    question *q = data;
    q->status = samples_part_complete(&q->part, store, &q->error);
}

static void answer(http_exchange *x, void *data)
{
    question *q = data;
    if (q->status == MESHPING_OK)
        respond_samples(x, &q->part.found);
    else
        http_respond_error(x, &q->error);
}

static void let_go(void *data)
{
    question *q = data;
    samples_part_dispose(&q->part);
    free(q);
}

void original_monitoring(http_exchange *x)
{
    uint64_t agent_id;
    question *q;
    meshping_error err = {0};
    const meshping_target *target = find_target(x->server, x->params.value[1]);
    if (!http_id_parse(x->params.value[0], &agent_id) || !server_agent_by_id(x->server, agent_id)) {
        http_respond_problem(x, 404, "Agent not found");
        return;
    }
    if (!target) {
        http_respond_problem(x, 404, "Target not found");
        return;
    }
    int64_t now_us = server_unix_ms() * 1000;
    q = calloc(1, sizeof *q);
    if (!q) {
        http_respond_problem(x, 500, "out of memory");
        return;
    }
    if (samples_part_take(&q->part, x->server, agent_id, target->id, now_us - HOUR_US, now_us + 1, &err) !=
        MESHPING_OK) {
        http_respond_error(x, &err);
        let_go(q);
    } else if (samples_part_is_complete(&q->part)) {
        respond_samples(x, &q->part.found);
        let_go(q);
    } else {
        readers_ask(x, &(reader_question){.data = q, .run = run, .answer = answer, .free = let_go});
    }
}
