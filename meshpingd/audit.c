/* SPDX-License-Identifier: Apache-2.0 */
/* One row of the audit log for each request that changes something: http.h says how. */
#include "common/log.h"
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/looks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void http_audit_begin(http_exchange *x)
{
    meshping_audit_record *row = &x->audit;
    if (!x->route->action || x->audited)
        return;
    if (!row->unix_ms) {
        row->unix_ms = server_unix_ms();
        http_peer_text(x, row->address);
        http_text_copy(row->action, sizeof row->action, x->route->action);
        http_text_copy(row->object, sizeof row->object, x->params.count ? x->params.value[0] : "");
        looks_clean(row->object);
        if (x->identity.present)
            http_audit_who(x, x->identity.user_id, x->identity.user, x->identity.is_token ? "token" : "session");
        if (x->identity.is_token)
            snprintf(row->via, sizeof row->via, "token %s", x->identity.token_name);
    }
    meshping_store_audit_begin(x->server->store, row);
}

void http_audit_end(http_exchange *x)
{
    meshping_error err = {0};
    if (!x->route->action || x->audited)
        return;
    x->audited = meshping_store_audit_end(x->server->store);
    if (x->audited || !x->status || x->status >= 400)
        return;
    x->audited = true; /* nothing in the store changed with it */
    if (meshping_store_audit_add(x->server->store, &x->audit, &err) != MESHPING_OK)
        log_error("http", "%s by %s was not logged: %s", x->audit.action, x->audit.user, err.message);
}

void http_audit_nothing(http_exchange *x)
{
    meshping_store_audit_end(x->server->store);
    x->audited = true;
}

void http_audit_object(http_exchange *x, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(x->audit.object, sizeof x->audit.object, format, args);
    va_end(args);
    looks_clean(x->audit.object);
}

void http_audit_detail(http_exchange *x, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(x->audit.detail, sizeof x->audit.detail, format, args);
    va_end(args);
    looks_clean(x->audit.detail);
}

void http_audit_who(http_exchange *x, uint64_t user_id, const char *user, const char *via)
{
    x->audit.user_id = user_id;
    http_text_copy(x->audit.user, sizeof x->audit.user, user);
    http_text_copy(x->audit.via, sizeof x->audit.via, via);
}
