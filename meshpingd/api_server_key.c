/* SPDX-License-Identifier: Apache-2.0 */
/* docs/API.md, The server's key. */
#include "meshpingd/http.h"
#include "meshpingd/pin_change.h"

static void respond(http_exchange *x, meshping_status status, const meshping_error *err)
{
    if (status == MESHPING_OK)
        http_respond_json(x, 200, pin_change_json(x->server));
    else
        http_respond_error(x, err);
}

void api_server_key_get(http_exchange *x)
{
    respond(x, MESHPING_OK, NULL);
}

void api_server_key_begin(http_exchange *x)
{
    meshping_error err = {0};
    respond(x, pin_change_begin(x->server, x->identity.user, &err), &err);
}

void api_server_key_switch(http_exchange *x)
{
    json_object *value = NULL;
    meshping_error err = {0};
    json_object_object_get_ex(x->json, "give_up", &value);
    if (value && !json_object_is_type(value, json_type_boolean)) {
        http_respond_problem(x, 400, "\"give_up\" must be true or false");
        return;
    }
    http_audit_detail(x, "%s", json_object_get_boolean(value) ? "the rest is given up" : "");
    respond(x, pin_change_switch(x->server, json_object_get_boolean(value), x->identity.user, &err), &err);
}

void api_server_key_abort(http_exchange *x)
{
    meshping_error err = {0};
    respond(x, pin_change_abort(x->server, x->identity.user, &err), &err);
}
