/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/problem.h"
#include "meshpingd/targets_change.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* `selector` NULL: all of them. */
static void respond_list(http_exchange *x, const meshping_selector *selector)
{
    const meshping_target_list *list = &x->server->targets;
    json_object *json = json_object_new_object();
    json_object *targets = json_object_new_array_ext((int)list->count + 1);
    for (size_t i = 0; i < list->count; i++)
        if (!selector || meshping_selector_matches(selector, list->items[i].labels))
            json_object_array_add(targets, live_target_json(&list->items[i]));
    json_object_object_add(json, "revision", json_object_new_uint64(list->revision));
    json_object_object_add(json, "limit", json_object_new_uint64(list->limit ? list->limit : MESHPING_TARGETS_MAX));
    json_object_object_add(json, "targets", targets);
    http_etag(x, list->revision);
    http_respond_json(x, 200, json);
}

/* The list looks another way since, though nobody has changed it. */
static bool has_resumed(const meshping_target_list *list)
{
    int64_t now_ms = server_unix_ms();
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].pause_reason[0] && !meshping_target_is_paused(&list->items[i], now_ms))
            return true;
    return false;
}

void api_targets_get(http_exchange *x)
{
    meshping_selector selector;
    const meshping_target_list *list = &x->server->targets;
    if (http_query_only(x, "selector") && http_query_selector(x, "selector", &selector) &&
        (has_resumed(list) || !http_not_modified(x, list->revision)))
        respond_list(x, &selector);
}

bool api_targets_take(http_exchange *x, meshping_target_list *list)
{
    server *s = x->server;
    meshping_error err = {0};
    meshping_target defaults;
    size_t index, limit = s->targets.limit ? s->targets.limit : MESHPING_TARGETS_MAX;
    meshping_target_init(&defaults);
    defaults.interval_ms = (uint32_t)s->config.interval_ms;
    defaults.timeout_ms = (uint32_t)s->config.timeout_ms;
    meshping_status status = targets_json_parse(list, &index, x->json, false, &defaults, limit, &err);
    if (status == MESHPING_OK)
        return true;
    json_object *problem = problem_json(400, err.message);
    if (problem && index != SIZE_MAX)
        json_object_object_add(problem, "index", json_object_new_uint64(index));
    http_respond_problem_json(x, status == MESHPING_NOMEM ? 500 : 400, problem);
    return false;
}

void api_targets_describe(http_exchange *x, const meshping_target_list *list)
{
    text_buffer text = {0};
    targets_change_text(&text, &x->server->targets, list, server_unix_ms());
    http_audit_detail(x, "%s", text.data ? text.data : "");
    text_dispose(&text);
}

void api_targets_put(http_exchange *x)
{
    server *s = x->server;
    meshping_error err = {0};
    meshping_target_list list;
    if (!http_may_change(x, s->targets.revision, "the list of targets") || !api_targets_take(x, &list))
        return;
    api_targets_describe(x, &list);
    meshping_status status = server_targets_replace(s, &list, x->identity.user, &err);
    if (status == MESHPING_EXISTS)
        http_respond_problem(x, 400, "%s", err.message);
    else if (status != MESHPING_OK)
        http_respond_error(x, &err);
    else
        respond_list(x, NULL);
}
