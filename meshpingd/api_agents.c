/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"

#include <string.h>

void api_agents_list(http_exchange *x)
{
    json_object *json = json_object_new_object();
    json_object *agents = json_object_new_array_ext((int)x->server->agent_count + 1);
    for (size_t i = 0; i < x->server->agent_count; i++)
        json_object_array_add(agents, live_agent_json(x->server, x->server->agents[i]));
    json_object_object_add(json, "agents", agents);
    http_respond_json(x, 200, json);
}

static void act(http_exchange *x, meshping_agent_action action)
{
    bool ok;
    uint64_t id;
    meshping_error err = {0};
    const char *fingerprint = http_json_string(x, "fingerprint", &ok);
    if (!ok)
        return;
    int64_t revision = http_json_number(x, "revision", 0, 1, INT64_MAX, &ok);
    if (!ok)
        return;
    if (!http_id_parse(x->params.value[0], &id) || !server_agent_by_id(x->server, id)) {
        http_respond_problem(x, 404, "there is no agent with this id");
        return;
    }
    if (server_agent_act(x->server, id, action, fingerprint, (uint64_t)revision, x->identity.user, &err) !=
        MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
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
