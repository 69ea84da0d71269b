/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/problem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void respond_list(http_exchange *x)
{
    const meshping_target_list *list = &x->server->targets;
    json_object *json = json_object_new_object();
    json_object *targets = json_object_new_array_ext((int)list->count + 1);
    for (size_t i = 0; i < list->count; i++)
        json_object_array_add(targets, live_target_json(&list->items[i]));
    json_object_object_add(json, "revision", json_object_new_uint64(list->revision));
    json_object_object_add(json, "limit", json_object_new_uint64(list->limit ? list->limit : MESHPING_TARGETS_MAX));
    json_object_object_add(json, "targets", targets);
    http_header(x, "ETag", "\"%" PRIu64 "\"", list->revision);
    http_respond_json(x, 200, json);
}

void api_targets_get(http_exchange *x)
{
    respond_list(x);
}

/* If-Match: "3", or * for any. */
static bool parse_if_match(const char *header, uint64_t *revision)
{
    char number[24];
    size_t length = strlen(header);
    *revision = 0;
    if (length == 0 || strcmp(header, "*") == 0)
        return true;
    if (length < 3 || length - 2 >= sizeof number || header[0] != '"' || header[length - 1] != '"')
        return false;
    memcpy(number, header + 1, length - 2);
    number[length - 2] = 0;
    return http_content_length_parse(number, revision);
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

void api_targets_put(http_exchange *x)
{
    server *s = x->server;
    meshping_error err = {0};
    meshping_target_list list;
    uint64_t expected;
    if (!parse_if_match(x->if_match, &expected)) {
        http_respond_problem(x, 400, "If-Match must be the ETag that GET gave, such as \"3\"");
        return;
    }
    /* revision 0 (nothing stored yet) is a state like others, and 0 means "not checked" to the server */
    if ((expected || (x->if_match[0] == '"')) && expected != s->targets.revision) {
        http_respond_problem(x, 412, "somebody has changed the targets meanwhile: load them again");
        return;
    }
    if (!api_targets_take(x, &list))
        return;
    meshping_status status = server_targets_replace(s, &list, expected, x->identity.user, &err);
    if (status == MESHPING_STATE)
        http_respond_problem(x, 412, "somebody has changed the targets meanwhile: load them again");
    else if (status == MESHPING_EXISTS)
        http_respond_problem(x, 400, "%s", err.message);
    else if (status != MESHPING_OK)
        http_respond_error(x, &err);
    else
        respond_list(x);
}
