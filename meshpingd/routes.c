/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that the server answers to, and who may ask it: the one place where roles are given out. The same list in
 * words is docs/API.md, for programs docs/openapi.json; tests hold the three together. meshpingd routes prints it.
 */
#include "meshpingd/admin_cli.h"
#include "meshpingd/http.h"
#include <stdio.h>

#define API "/api/v1"
#define JSON HTTP_ROUTE_JSON
#define SESSION HTTP_ROUTE_SESSION
#define FRESH (HTTP_ROUTE_FRESH | SESSION) /* no token: what it could make would outlive it */
#define ORIGINAL HTTP_ROUTE_ORIGINAL

const http_route http_routes[] = {
    {"/healthz", health_get, HTTP_GET, HTTP_ANYONE, 0, NULL, NULL},
    {"/readyz", ready_get, HTTP_GET, HTTP_ANYONE, 0, NULL, NULL},
    {"/metrics", metrics_get, HTTP_GET, HTTP_ANYONE, 0, NULL, NULL}, /* by its own token or address */

    {API "/session", api_session_get, HTTP_GET, HTTP_ANYONE, 0, NULL, NULL},
    {API "/session", api_session_create, HTTP_POST, HTTP_ANYONE, JSON, "session.begin", "user password"},
    {API "/session", api_session_delete, HTTP_DELETE, HTTP_VIEWER, SESSION, "session.end", NULL},
    {API "/session/confirm", api_session_confirm, HTTP_POST, HTTP_VIEWER, JSON | SESSION, "session.confirm",
     "password"},
    {API "/setup", api_setup, HTTP_POST, HTTP_ANYONE, JSON, "user.set_up", "code user password"},
    {API "/password-reset", api_password_reset, HTTP_POST, HTTP_ANYONE, JSON, NULL, "user"}, /* the row is the link's */
    {API "/links/open", api_link_open, HTTP_POST, HTTP_ANYONE, JSON, NULL, "token"},
    {API "/links/use", api_link_use, HTTP_POST, HTTP_ANYONE, JSON, "user.password", "token password"},

    {API "/profile", api_profile_get, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/profile", api_profile_put, HTTP_PUT, HTTP_VIEWER, JSON | FRESH, "user.change", "email"},
    {API "/password", api_password_put, HTTP_PUT, HTTP_VIEWER, JSON | SESSION, "user.password", "current password"},
    {API "/sessions", api_sessions_list, HTTP_GET, HTTP_VIEWER, SESSION, NULL, NULL},
    {API "/sessions", api_sessions_end_others, HTTP_DELETE, HTTP_VIEWER, FRESH, "session.end", NULL},
    {API "/sessions/*", api_session_end, HTTP_DELETE, HTTP_VIEWER, FRESH, "session.end", NULL},
    {API "/tokens", api_tokens_list, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/tokens", api_token_create, HTTP_POST, HTTP_VIEWER, JSON | FRESH, "token.create", "name role days"},
    {API "/tokens/*", api_token_delete, HTTP_DELETE, HTTP_VIEWER, 0, "token.delete", NULL},

    {API "/users", api_users_list, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},
    {API "/users", api_user_create, HTTP_POST, HTTP_ADMIN, JSON | FRESH, "user.create", "name role email disabled"},
    {API "/users/*", api_user_change, HTTP_PATCH, HTTP_ADMIN, JSON | FRESH, "user.change", "name role email disabled"},
    {API "/users/*/link", api_user_link, HTTP_POST, HTTP_ADMIN, FRESH, "user.link", NULL},
    {API "/users/*/sessions", api_user_sign_out, HTTP_DELETE, HTTP_ADMIN, 0, "user.sign_out", NULL},
    {API "/audit", api_audit_list, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},

    {API "/openapi.json", openapi_get, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},

    {API "/agents", api_agents_list, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/agents/approve", api_agents_approve, HTTP_POST, HTTP_ADMIN, JSON | HTTP_ROUTE_BIG, "agent.approve",
     "agents"},
    {API "/agents/*", api_agent_change, HTTP_PATCH, HTTP_ADMIN, JSON, "agent.change", "name labels"},
    {API "/agents/*/approve", api_agent_approve, HTTP_POST, HTTP_ADMIN, JSON, "agent.approve",
     "fingerprint revision addresses successor_of keep"},
    {API "/agents/*/reject", api_agent_reject, HTTP_POST, HTTP_ADMIN, JSON, "agent.reject",
     "fingerprint revision block_address revoke_passphrase"},
    {API "/agents/*/hold", api_agent_hold, HTTP_POST, HTTP_ADMIN, JSON, "agent.hold", "fingerprint revision"},
    {API "/agents/*/reinstate", api_agent_reinstate, HTTP_POST, HTTP_ADMIN, JSON, "agent.reinstate",
     "fingerprint revision"},
    {API "/agents/*/rekey", api_agent_rekey, HTTP_POST, HTTP_ADMIN, JSON, "agent.rekey", "fingerprint revision"},
    {API "/agents/*/targets", api_agent_targets, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/agents/*/quarantine", api_agent_quarantine, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},
    {API "/agents/*/addresses", api_agent_addresses, HTTP_PUT, HTTP_ADMIN, JSON, "agent.addresses",
     "addresses revision"},
    {API "/blocked", api_blocked_get, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},
    {API "/blocked", api_blocked_put, HTTP_PUT, HTTP_ADMIN, JSON, "agent.block", "addresses"},

    {API "/probes", api_probe_ask, HTTP_POST, HTTP_OPERATOR, JSON, "probe.ask", "agent target"},
    {API "/probes/*", api_probe_get, HTTP_GET, HTTP_OPERATOR, 0, NULL, NULL},

    {API "/targets", api_targets_get, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/targets", api_targets_put, HTTP_PUT, HTTP_OPERATOR, JSON | HTTP_ROUTE_BIG, "targets.replace", "targets"},
    {API "/targets/preview", api_targets_preview, HTTP_POST, HTTP_OPERATOR, JSON | HTTP_ROUTE_BIG, NULL,
     "targets"}, /* a question */

    {API "/rules", api_rules_get, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/rules", api_rules_put, HTTP_PUT, HTTP_OPERATOR, JSON | HTTP_ROUTE_BIG, "rules.replace", "rules"},
    {API "/rules/preview", api_rules_preview, HTTP_POST, HTTP_OPERATOR, JSON | HTTP_ROUTE_BIG, NULL,
     "rules"}, /* a question */

    {API "/passphrases", api_passphrases_list, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},
    {API "/passphrases", api_passphrase_create, HTTP_POST, HTTP_ADMIN, JSON, "passphrase.create",
     "advertise label hours uses preapprove preapprove_from"},
    {API "/passphrases/*/rotate", api_passphrase_rotate, HTTP_POST, HTTP_ADMIN, JSON, "passphrase.rotate", ""},
    {API "/passphrases/*", api_passphrase_revoke, HTTP_DELETE, HTTP_ADMIN, 0, "passphrase.revoke", NULL},

    {API "/matrix", api_matrix, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/series", api_series, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/history", api_history, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/summary", api_summary, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/summary", api_summary_of_pairs, HTTP_POST, HTTP_VIEWER, JSON | HTTP_ROUTE_BIG, NULL,
     "pairs from_ms to_ms"}, /* a question */
    {API "/worst", api_worst, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/events", api_events, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/server", api_server, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/about", api_about, HTTP_GET, HTTP_VIEWER, 0, NULL, NULL},
    {API "/settings", api_settings_get, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},
    {API "/settings", api_settings_patch, HTTP_PATCH, HTTP_ADMIN, JSON | FRESH, "settings.change", NULL},
    {API "/settings/test-mail", api_settings_test_mail, HTTP_POST, HTTP_ADMIN, JSON | FRESH, "settings.test_mail",
     "to"},
    {API "/server/key", api_server_key_get, HTTP_GET, HTTP_ADMIN, 0, NULL, NULL},
    {API "/server/key/begin", api_server_key_begin, HTTP_POST, HTTP_ADMIN, JSON | FRESH, "server.key_begin", ""},
    {API "/server/key/switch", api_server_key_switch, HTTP_POST, HTTP_ADMIN, JSON | FRESH, "server.key_switch",
     "give_up"},
    {API "/server/key/abort", api_server_key_abort, HTTP_POST, HTTP_ADMIN, JSON | FRESH, "server.key_abort", ""},
    {LIVE_PATH, live_get, HTTP_GET, HTTP_VIEWER, HTTP_ROUTE_SOCKET, NULL, NULL},

    /* the original's */
    {"/admin/update_targets", original_update_targets, HTTP_POST, HTTP_OPERATOR, HTTP_ROUTE_BIG | ORIGINAL,
     "targets.replace", "targets"},
    {"/admin/approve/*", original_approve, HTTP_POST, HTTP_ADMIN, ORIGINAL, "agent.approve", NULL},
    {"/admin/reject/*", original_reject, HTTP_POST, HTTP_ADMIN, ORIGINAL, "agent.reject", NULL},
    {"/monitoring/*/*", original_monitoring, HTTP_GET, HTTP_VIEWER, ORIGINAL, NULL, NULL},

    {"/", page_get, HTTP_GET, HTTP_ANYONE, HTTP_ROUTE_PAGE, NULL, NULL},
    {"/admin", page_get, HTTP_GET, HTTP_ANYONE, HTTP_ROUTE_PAGE, NULL, NULL},
    {"/admin/targets", page_get, HTTP_GET, HTTP_ANYONE, HTTP_ROUTE_PAGE, NULL, NULL},
};
const size_t http_route_count = sizeof http_routes / sizeof http_routes[0];

int routes_main(void)
{
    for (size_t i = 0; i < http_route_count; i++) {
        const http_route *route = &http_routes[i];
        printf("%s %s %s%s%s%s %s %s\n", http_method_name((http_method)route->method), route->pattern,
               http_access_name(route->access), route->flags & HTTP_ROUTE_SESSION ? ",session" : "",
               route->flags & HTTP_ROUTE_FRESH ? ",fresh" : "", route->flags & HTTP_ROUTE_SOCKET ? ",socket" : "",
               route->action ? route->action : "-", route->fields ? route->fields : "");
    }
    return 0;
}
