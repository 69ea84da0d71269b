/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that the server answers to; docs/API.md has the same list in words. */
#include "meshpingd/http.h"

#define API "/api/v1"

const http_route http_routes[] = {
    {"/healthz", health_get, HTTP_GET, HTTP_ROUTE_OPEN},
    {"/readyz", ready_get, HTTP_GET, HTTP_ROUTE_OPEN},
    {"/metrics", metrics_get, HTTP_GET, HTTP_ROUTE_OPEN},

    {API "/session", api_session_get, HTTP_GET, HTTP_ROUTE_OPEN},
    {API "/session", api_session_create, HTTP_POST, HTTP_ROUTE_OPEN | HTTP_ROUTE_JSON},
    {API "/session", api_session_delete, HTTP_DELETE, 0},
    {API "/setup", api_setup, HTTP_POST, HTTP_ROUTE_OPEN | HTTP_ROUTE_JSON},

    {API "/agents", api_agents_list, HTTP_GET, 0},
    {API "/agents/*/approve", api_agent_approve, HTTP_POST, HTTP_ROUTE_JSON},
    {API "/agents/*/reject", api_agent_reject, HTTP_POST, HTTP_ROUTE_JSON},
    {API "/agents/*/hold", api_agent_hold, HTTP_POST, HTTP_ROUTE_JSON},
    {API "/agents/*/reinstate", api_agent_reinstate, HTTP_POST, HTTP_ROUTE_JSON},

    {API "/targets", api_targets_get, HTTP_GET, 0},
    {API "/targets", api_targets_put, HTTP_PUT, HTTP_ROUTE_JSON | HTTP_ROUTE_BIG},

    {API "/passphrases", api_passphrases_list, HTTP_GET, 0},
    {API "/passphrases", api_passphrase_create, HTTP_POST, HTTP_ROUTE_JSON},
    {API "/passphrases/*", api_passphrase_revoke, HTTP_DELETE, 0},

    {API "/matrix", api_matrix, HTTP_GET, 0},
    {API "/series", api_series, HTTP_GET, 0},
    {API "/events", api_events, HTTP_GET, 0},
    {API "/server", api_server, HTTP_GET, 0},

    /* the original's */
    {"/admin/update_targets", original_update_targets, HTTP_POST, HTTP_ROUTE_BIG | HTTP_ROUTE_ORIGINAL},
    {"/admin/approve/*", original_approve, HTTP_POST, HTTP_ROUTE_ORIGINAL},
    {"/admin/reject/*", original_reject, HTTP_POST, HTTP_ROUTE_ORIGINAL},
    {"/monitoring/*/*", original_monitoring, HTTP_GET, HTTP_ROUTE_ORIGINAL},

    {"/", page_get, HTTP_GET, HTTP_ROUTE_OPEN | HTTP_ROUTE_PAGE},
    {"/admin", page_get, HTTP_GET, HTTP_ROUTE_OPEN | HTTP_ROUTE_PAGE},
    {"/admin/targets", page_get, HTTP_GET, HTTP_ROUTE_OPEN | HTTP_ROUTE_PAGE},
};
const size_t http_route_count = sizeof http_routes / sizeof http_routes[0];
