/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/probing.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ID_MAX ((INT64_C(1) << 53) - 1)

/* Whom the audit log's row names: by name, as far as they are there. */
static void describe(http_exchange *x, uint64_t agent_id, uint64_t target_id)
{
    const agent_entry *agent = agent_id ? server_agent_by_id(x->server, agent_id) : NULL;
    const meshping_target *target = target_id ? plan_target(x->server->plan, target_id) : NULL;
    http_audit_detail(x, "%.200s to %.200s",
                      agent      ? agent->record.host_name
                      : agent_id ? "?"
                                 : "all agents",
                      target      ? target->host
                      : target_id ? "?"
                                  : "all targets");
}

void api_probe_ask(http_exchange *x)
{
    bool ok;
    uint64_t agent_id = 0;
    int64_t wait_ms;
    const probing_request *request;
    meshping_error err = {0};
    const char *agent = http_json_string(x, "agent", &ok);
    if (!ok)
        return;
    int64_t target_id = http_json_number(x, "target", 0, 1, ID_MAX, &ok);
    if (!ok)
        return;
    if ((agent && !http_id_parse(agent, &agent_id)) || (!agent && !target_id)) {
        http_respond_problem(x, 400, "\"agent\" (an agent's id), \"target\" (a target's id), or both are needed");
        return;
    }
    describe(x, agent_id, (uint64_t)target_id);
    if (probing_ask(x->server, agent_id, (uint64_t)target_id, &request, &wait_ms, &err) == MESHPING_OK)
        http_respond_json(x, 202, probing_json(request));
    else if (wait_ms)
        http_respond_busy(x, wait_ms, err.message);
    else
        http_respond_error(x, &err);
}

void api_probe_get(http_exchange *x)
{
    char *end;
    const char *text = x->params.value[0];
    uint64_t id = strtoull(text, &end, 10);
    const probing_request *request = *end || id == 0 ? NULL : probing_find(x->server, id);
    if (request)
        http_respond_json(x, 200, probing_json(request));
    else
        http_respond_problem(x, 404, "this server has no such request, or not any more");
}
