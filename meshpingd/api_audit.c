/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"

#include <string.h>

#define LIMIT_MAX 1000
#define LIMIT_DEFAULT 100

static json_object *row_json(const meshping_audit_record *row)
{
    json_object *json = json_object_new_object();
    json_object_object_add(json, "id", json_object_new_uint64(row->id));
    json_object_object_add(json, "time_ms", json_object_new_int64(row->unix_ms));
    json_object_object_add(json, "user", json_object_new_string(row->user));
    json_object_object_add(json, "via", json_object_new_string(row->via));
    json_object_object_add(json, "address", json_object_new_string(row->address));
    json_object_object_add(json, "action", json_object_new_string(row->action));
    json_object_object_add(json, "object", json_object_new_string(row->object));
    json_object_object_add(json, "detail", json_object_new_string(row->detail));
    return json;
}

void api_audit_list(http_exchange *x)
{
    meshping_audit_record *records = NULL;
    meshping_error err = {0};
    size_t count = 0;
    uint64_t limit = LIMIT_DEFAULT, before = 0, from_ms = 0, to_ms = 0, next = 0;
    if (!http_query_only(x, "limit, before, user, action, q, from_ms, to_ms"))
        return;
    if (!http_query_number(x, "limit", 1, LIMIT_MAX, &limit) ||
        !http_query_number(x, "before", 0, HTTP_NUMBER_MAX, &before) ||
        !http_query_number(x, "from_ms", 0, HTTP_TIME_MS_MAX, &from_ms) ||
        !http_query_number(x, "to_ms", 0, HTTP_TIME_MS_MAX, &to_ms))
        return;
    meshping_audit_query query = {.before_id = before,
                                  .limit = (size_t)limit,
                                  .from_ms = (int64_t)from_ms,
                                  .to_ms = (int64_t)to_ms,
                                  .user = http_query_get(x, "user"),
                                  .action = http_query_get(x, "action"),
                                  .text = http_query_get(x, "q")};
    if (meshping_store_audit(x->server->store, &query, &records, &count, &next, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++)
        json_object_array_add(list, row_json(&records[i]));
    meshping_free(records);
    json_object_object_add(json, "rows", list);
    json_object_object_add(json, "next", next ? json_object_new_uint64(next) : NULL);
    http_respond_json(x, 200, json);
}
