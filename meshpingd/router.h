/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler a method and a path have. Pure. */
#ifndef MESHPINGD_ROUTER_H
#define MESHPINGD_ROUTER_H

#include <meshping/common.h>

typedef enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_POST = 1 << 2,
    HTTP_PUT = 1 << 3,
    HTTP_DELETE = 1 << 4,
    HTTP_OTHER = 1 << 5, /* a method that no route has */
} http_method;

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
    HTTP_ROUTE_OPEN = 1 << 0,     /* without a session */
    HTTP_ROUTE_PAGE = 1 << 1,     /* a page: the shell for everybody, its data come by the API */
    HTTP_ROUTE_JSON = 1 << 2,     /* wants a JSON object as body */
    HTTP_ROUTE_BIG = 1 << 3,      /* a body of up to HTTP_BODY_MAX, else HTTP_BODY_SMALL_MAX */
    HTTP_ROUTE_ORIGINAL = 1 << 4, /* one of the original's: its own form of errors */
};

typedef struct http_route {
    const char *pattern; /* "/api/v1/agents/" "*" "/approve": a "*" takes one non-empty segment */
    http_handler handler;
    unsigned method; /* one http_method; GET takes HEAD as well */
    unsigned flags;
} http_route;

/* "GET"; static storage. */
const char *http_method_name(http_method method);
/*
 * The route, or NULL. *allowed: the methods that the path has, 0: there is no such path. A parameter over
 * HTTP_PARAM_MAX - 1 bytes fits no route.
 */
const http_route *http_route_find(const http_route *routes, size_t count, http_method method, const char *path,
                                  http_params *params, unsigned *allowed);
/* "GET, HEAD, POST" for an Allow header into text[HTTP_METHODS_TEXT_MAX]. */
const char *http_methods_text(char *text, unsigned allowed);

#endif
