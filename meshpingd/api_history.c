/* SPDX-License-Identifier: Apache-2.0 */
/* History over any length of time: the questions come in here, readers.c has them answered off the loop. */
#include "meshpingd/history.h"
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/plan.h"
#include "meshpingd/readers.h"
#include "meshpingd/storing.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)

/* from_ms and to_ms; the last 24 hours when absent. A problem is sent when it is false. */
static bool take_times(http_exchange *x, history *q)
{
    uint64_t from_ms, to_ms = (uint64_t)server_unix_ms();
    if (!http_query_number(x, "to_ms", 1, (uint64_t)HTTP_TIME_MS_MAX, &to_ms))
        return false;
    from_ms = to_ms > (uint64_t)DAY_MS ? to_ms - (uint64_t)DAY_MS : 0;
    if (!http_query_number(x, "from_ms", 0, (uint64_t)HTTP_TIME_MS_MAX, &from_ms))
        return false;
    if (from_ms >= to_ms) {
        http_respond_problem(x, 400, "from_ms must be before to_ms");
        return false;
    }
    q->from_ms = (int64_t)from_ms;
    q->to_ms = (int64_t)to_ms;
    return true;
}

/* "agent" and "target"; absent: 0. */
static bool take_pair(http_exchange *x, meshping_pair *pair)
{
    const char *agent = http_query_get(x, "agent"), *target = http_query_get(x, "target");
    *pair = (meshping_pair){0};
    if ((agent && !(http_id_parse(agent, &pair->agent_id) && server_agent_by_id(x->server, pair->agent_id))) ||
        (target && !(http_number_parse(target, &pair->target_id) && plan_target(x->server->plan, pair->target_id)))) {
        http_respond_problem(x, 404, "there is no such agent or target");
        return false;
    }
    return true;
}

static void run(void *data, meshping_store *store)
{
    history_run(data, store);
}

static void answer(http_exchange *x, void *data)
{
    const history *q = data;
    text_buffer body = {0};
    if (q->status != MESHPING_OK) {
        http_respond_error(x, &q->error);
        return;
    }
    storing_damaged(x->server, q->damaged_count);
    history_json(&body, q);
    http_respond_text(x, 200, "application/json", &body);
}

static void let_go(void *data)
{
    history_free(data);
}

static void ask(http_exchange *x, history *q)
{
    readers_ask(x, &(reader_question){.data = q, .run = run, .answer = answer, .free = let_go});
}

static history *question(http_exchange *x, history_kind kind)
{
    history *q = calloc(1, sizeof *q);
    if (!q)
        http_respond_problem(x, 500, "out of memory");
    else
        q->kind = kind;
    return q;
}

void api_history(http_exchange *x)
{
    meshping_pair pair;
    uint64_t points = HISTORY_POINTS_DEFAULT;
    if (!http_query_only(x, "agent, target, from_ms, to_ms, points"))
        return;
    if (!http_query_get(x, "agent") || !http_query_get(x, "target")) {
        http_respond_problem(x, 400, "\"agent\" and \"target\" are needed");
        return;
    }
    history *q = question(x, HISTORY_POINTS);
    if (!q)
        return;
    if (!take_pair(x, &pair) || !take_times(x, q) ||
        !http_query_number(x, "points", MESHPING_POINTS_MIN, HISTORY_POINTS_MAX, &points)) {
        history_free(q);
        return;
    }
    q->agent_id = pair.agent_id;
    q->target_id = pair.target_id;
    q->max_points = (size_t)points;
    ask(x, q);
}

void api_worst(http_exchange *x)
{
    uint64_t limit = HISTORY_WORST_DEFAULT;
    const char *by = http_query_get(x, "by");
    if (!http_query_only(x, "by, from_ms, to_ms, limit"))
        return;
    history *q = question(x, HISTORY_WORST);
    if (!q)
        return;
    for (size_t i = 0; i < history_order_count; i++)
        if (strcmp(by ? by : "loss", history_orders[i].name) == 0)
            q->order = &history_orders[i];
    if (!q->order)
        http_respond_problem(x, 400, "\"by\" must be " HISTORY_ORDERS_TEXT);
    if (!q->order || !take_times(x, q) || !http_query_number(x, "limit", 1, MESHPING_WORST_MAX, &limit)) {
        history_free(q);
        return;
    }
    q->limit = (size_t)limit;
    ask(x, q);
}

/* An agent's row, a target's column, one pair, or all. */
void api_summary(http_exchange *x)
{
    if (!http_query_only(x, "agent, target, from_ms, to_ms"))
        return;
    history *q = question(x, HISTORY_SUMMARY);
    if (!q)
        return;
    q->pairs = calloc(1, sizeof *q->pairs);
    q->pair_count = 1;
    if (!q->pairs)
        http_respond_problem(x, 500, "out of memory");
    if (!q->pairs || !take_pair(x, q->pairs) || !take_times(x, q)) {
        history_free(q);
        return;
    }
    ask(x, q);
}

/* {"agent": ID, "target": N}; either may be absent. On false a field that is too many is in `err`. */
static bool pair_of_json(meshping_pair *pair, json_object *item, meshping_error *err)
{
    json_object *field;
    *pair = (meshping_pair){0};
    if (!json_object_is_type(item, json_type_object) ||
        json_body_fields(item, "agent target", "a pair", err) != MESHPING_OK)
        return false;
    if (json_object_object_get_ex(item, "agent", &field) &&
        !(json_body_string(field) && http_id_parse(json_body_string(field), &pair->agent_id) && pair->agent_id))
        return false;
    if (json_object_object_get_ex(item, "target", &field)) {
        int64_t number = json_object_is_type(field, json_type_int) ? json_object_get_int64(field) : 0;
        if (number < 1 || number > INT64_C(1) << 53)
            return false;
        pair->target_id = (uint64_t)number;
    }
    return true;
}

static bool take_body_times(http_exchange *x, history *q)
{
    bool ok = true;
    int64_t now_ms = server_unix_ms();
    q->to_ms = http_json_number(x, "to_ms", now_ms, 1, HTTP_TIME_MS_MAX, &ok);
    if (ok)
        q->from_ms =
            http_json_number(x, "from_ms", q->to_ms > DAY_MS ? q->to_ms - DAY_MS : 0, 0, HTTP_TIME_MS_MAX, &ok);
    if (ok && q->from_ms >= q->to_ms) {
        http_respond_problem(x, 400, "from_ms must be before to_ms");
        ok = false;
    }
    return ok;
}

/* A list of pairs. */
void api_summary_of_pairs(http_exchange *x)
{
    json_object *list = NULL;
    if (!json_object_object_get_ex(x->json, "pairs", &list) || !json_object_is_type(list, json_type_array) ||
        json_object_array_length(list) < 1 || json_object_array_length(list) > MESHPING_PAIRS_MAX) {
        http_respond_problem(x, 400, "\"pairs\" must be a list of 1 to %u pairs", MESHPING_PAIRS_MAX);
        return;
    }
    history *q = question(x, HISTORY_SUMMARY);
    if (!q)
        return;
    q->pair_count = json_object_array_length(list);
    q->pairs = calloc(q->pair_count, sizeof *q->pairs);
    bool good = q->pairs;
    if (!good)
        http_respond_problem(x, 500, "out of memory");
    for (size_t i = 0; good && i < q->pair_count; i++) {
        meshping_error err = {.message = "must be an object with \"agent\" (16 hex digits), \"target\" or both"};
        good = pair_of_json(&q->pairs[i], json_object_array_get_idx(list, i), &err);
        if (!good)
            http_respond_problem(x, 400, "pair %zu: %s", i, err.message);
    }
    if (!good || !take_body_times(x, q)) {
        history_free(q);
        return;
    }
    ask(x, q);
}
