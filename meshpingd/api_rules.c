/* SPDX-License-Identifier: Apache-2.0 */
/* Rules: which agents ping what. */
#include "meshpingd/http.h"
#include "meshpingd/json_body.h"
#include "meshpingd/planning.h"
#include "meshpingd/problem.h"

#include <stdlib.h>
#include <string.h>

void api_rules_get(http_exchange *x)
{
    const server *s = x->server;
    if (http_not_modified(x, s->rules_revision))
        return;
    json_object *json = json_object_new_object(), *rules = json_object_new_array();
    for (size_t i = 0; i < s->rule_count; i++) {
        const meshping_rule *rule = &s->rules[i];
        json_object *item = json_object_new_object();
        json_object_object_add(item, "name", json_object_new_string(rule->name));
        json_object_object_add(item, "kind", json_object_new_string(meshping_rule_kind_name(rule->kind)));
        json_object_object_add(item, "agents", json_object_new_string(rule->agents));
        json_object_object_add(item, "targets", json_object_new_string(rule->targets));
        json_object_array_add(rules, item);
    }
    json_object_object_add(json, "revision", json_object_new_uint64(s->rules_revision));
    json_object_object_add(json, "limit", json_object_new_int(MESHPING_RULES_MAX));
    json_object_object_add(json, "rules", rules);
    http_etag(x, s->rules_revision);
    http_respond_json(x, 200, json);
}

/* The rules of the body, the caller's (free); NULL: answered. */
static meshping_rule *take_rules(http_exchange *x, size_t *count)
{
    meshping_error err = {0};
    meshping_rule *rules;
    size_t index;
    meshping_status status = rules_json_parse(&rules, count, &index, x->json, &err);
    if (status == MESHPING_OK)
        return rules;
    json_object *problem = problem_json(400, err.message);
    if (problem && index != SIZE_MAX)
        json_object_object_add(problem, "index", json_object_new_uint64(index));
    http_respond_problem_json(x, status == MESHPING_NOMEM ? 500 : 400, problem);
    return NULL;
}

static const meshping_rule *rule_named(const meshping_rule *rules, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(rules[i].name, name) == 0)
            return &rules[i];
    return NULL;
}

/* "2 rules, 1 before; set core (mesh, agents group=core, targets all); removed all" */
static void describe(http_exchange *x, const meshping_rule *rules, size_t count)
{
    const server *s = x->server;
    text_buffer text = {0};
    text_printf(&text, "%zu rules, %zu before", count, s->rule_count);
    for (size_t i = 0; i < count; i++) {
        const meshping_rule *rule = &rules[i], *old = rule_named(s->rules, s->rule_count, rule->name);
        if (!old || old->kind != rule->kind || strcmp(old->agents, rule->agents) != 0 ||
            strcmp(old->targets, rule->targets) != 0)
            text_printf(&text, "; set %s (%s, agents %s, targets %s)", rule->name, meshping_rule_kind_name(rule->kind),
                        rule->agents[0] ? rule->agents : "all", rule->targets[0] ? rule->targets : "all");
    }
    for (size_t i = 0; i < s->rule_count; i++)
        if (!rule_named(rules, count, s->rules[i].name))
            text_printf(&text, "; removed %s", s->rules[i].name);
    http_audit_detail(x, "%s", text.data ? text.data : "");
    text_dispose(&text);
}

void api_rules_put(http_exchange *x)
{
    meshping_error err = {0};
    size_t count;
    if (!http_may_change(x, x->server->rules_revision, "the list of rules"))
        return;
    meshping_rule *rules = take_rules(x, &count);
    if (!rules)
        return;
    describe(x, rules, count);
    meshping_status status = planning_set_rules(x->server, rules, count, x->identity.user, &err);
    free(rules);
    if (status != MESHPING_OK)
        http_respond_error(x, &err);
    else
        api_rules_get(x);
}

void api_rules_preview(http_exchange *x)
{
    meshping_error err = {0};
    planning_difference difference;
    size_t count;
    meshping_rule *rules = take_rules(x, &count);
    if (!rules)
        return;
    meshping_status status = planning_preview(x->server, rules, count, NULL, &difference, &err);
    free(rules);
    if (status != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object();
    json_object_object_add(json, "revision", json_object_new_uint64(x->server->rules_revision));
    planning_difference_json(json, &difference);
    http_respond_json(x, 200, json);
}
