/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler a method and a path have. Pure. */
#ifndef MESHPINGD_ROUTER_H
#define MESHPINGD_ROUTER_H

#include <meshping/people.h>

typedef enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_DELETE = 1 << 4,
    HTTP_PATCH = 1 << 5,
    HTTP_OTHER = 1 << 6, /* a method that no route has */
} http_method;

/* Who may take a route. What is not set is closed to all. */
typedef enum http_access {
    HTTP_NOBODY = 0,
    HTTP_ANYONE, /* without signing in */
    HTTP_VIEWER, /* this role, and those above it: meshping_role */
    HTTP_OPERATOR,
    HTTP_ADMIN,
} http_access;

#define HTTP_METHODS_TEXT_MAX 64
#define HTTP_PARAMS_MAX 2
#define HTTP_PARAM_MAX 300

/* What stood in the places of "*" in the pattern, in order. */
typedef struct http_params {
    char value[HTTP_PARAMS_MAX][HTTP_PARAM_MAX];
    size_t count;
} http_params;

struct http_exchange;
typedef void (*http_handler)(struct http_exchange *x);

enum http_route_flag {
    HTTP_ROUTE_PAGE = 1 << 0,     /* a page: the shell for everybody, its data come by the API */
    HTTP_ROUTE_JSON = 1 << 1,     /* wants a JSON object as body */
    HTTP_ROUTE_BIG = 1 << 2,      /* a body of up to HTTP_BODY_MAX, else HTTP_BODY_SMALL_MAX */
    HTTP_ROUTE_ORIGINAL = 1 << 3, /* one of the original's: its own form of errors */
    HTTP_ROUTE_SESSION = 1 << 4,  /* by a session only, not by an API token */
    HTTP_ROUTE_FRESH = 1 << 5,    /* a session must have typed its password lately: AUTH_FRESH_MS */
    HTTP_ROUTE_SOCKET = 1 << 6,   /* a WebSocket: a plain request is told so */
};

typedef struct http_route {
    const char *pattern; /* "/api/v1/agents/" "*" "/approve": a "*" takes one non-empty segment */
    http_handler handler;
    unsigned method; /* one http_method; GET takes HEAD as well */
    http_access access;
    unsigned flags;
    const char *action; /* what the audit log calls it; NULL where nothing is changed */
    const char *fields; /* of the JSON object that it takes, "user password"; NULL: none, or the handler looks itself */
} http_route;

/* Whether one of this role may take it; NONE is somebody who is not known. */
bool http_access_allows(http_access access, meshping_role role);
/* "viewer"; "anyone". Static storage. */
const char *http_access_name(http_access access);
/* "GET"; static storage. */
const char *http_method_name(http_method method);
/*
 * The route, or NULL; a path that a pattern without "*" is has no other. *allowed: the methods that
 * the path has, 0: there is no such path. A parameter over HTTP_PARAM_MAX - 1 bytes fits no route.
 */
const http_route *http_route_find(const http_route *routes, size_t count, http_method method, const char *path,
                                  http_params *params, unsigned *allowed);
/* "GET, HEAD, POST" for an Allow header into text[HTTP_METHODS_TEXT_MAX]. */
const char *http_methods_text(char *text, unsigned allowed);

#endif
