/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/router.h"

#include <stdio.h>
#include <string.h>

const char *http_method_name(http_method method)
{
    switch (method) {
    case HTTP_GET:
        return "GET";
    case HTTP_HEAD:
        return "HEAD";
    case HTTP_POST:
        return "POST";
    case HTTP_PUT:
        return "PUT";
    case HTTP_DELETE:
        return "DELETE";
    case HTTP_PATCH:
        return "PATCH";
    case HTTP_OTHER:
        break;
    }
    return "OTHER";
}

bool http_access_allows(http_access access, meshping_role role)
{
    switch (access) {
    case HTTP_ANYONE:
        return true;
    case HTTP_VIEWER:
        return role >= MESHPING_ROLE_VIEWER;
    case HTTP_OPERATOR:
        return role >= MESHPING_ROLE_OPERATOR;
    case HTTP_ADMIN:
        return role >= MESHPING_ROLE_ADMIN;
    case HTTP_NOBODY:
        break;
    }
    return false;
}

const char *http_access_name(http_access access)
{
    switch (access) {
    case HTTP_ANYONE:
        return "anyone";
    case HTTP_VIEWER:
        return "viewer";
    case HTTP_OPERATOR:
        return "operator";
    case HTTP_ADMIN:
        return "admin";
    case HTTP_NOBODY:
        break;
    }
    return "nobody";
}

static bool fits(const char *pattern, const char *path, http_params *params)
{
    params->count = 0;
    while (*pattern) {
        if (*pattern != '*') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t length = strcspn(path, "/");
        if (length == 0 || length >= HTTP_PARAM_MAX || params->count == HTTP_PARAMS_MAX)
            return false;
        memcpy(params->value[params->count], path, length);
        params->value[params->count++][length] = 0;
        path += length;
        pattern++;
    }
    return *path == 0;
}

static bool is_literal(const char *pattern, const char *path)
{
    return strcmp(pattern, path) == 0 && !strchr(pattern, '*');
}

const http_route *http_route_find(const http_route *routes, size_t count, http_method method, const char *path,
                                  http_params *params, unsigned *allowed)
{
    bool literal = false; /* "agents/approve" is no agent */
    for (size_t i = 0; i < count; i++)
        literal = literal || is_literal(routes[i].pattern, path);
    *allowed = 0;
    params->count = 0;
    for (size_t i = 0; i < count; i++) {
        http_params found = {.count = 0};
        if (literal ? !is_literal(routes[i].pattern, path) : !fits(routes[i].pattern, path, &found))
            continue;
        unsigned methods = routes[i].method == HTTP_GET ? (unsigned)HTTP_GET | HTTP_HEAD : routes[i].method;
        *allowed |= methods;
        if (methods & method) {
            *params = found;
            return &routes[i];
        }
    }
    return NULL;
}

const char *http_methods_text(char *text, unsigned allowed)
{
    size_t used = 0;
    text[0] = 0;
    for (unsigned method = HTTP_GET; method < HTTP_OTHER; method <<= 1)
        if (allowed & method)
            used += (size_t)snprintf(text + used, HTTP_METHODS_TEXT_MAX - used, "%s%s", used ? ", " : "",
                                     http_method_name((http_method)method));
    return text;
}
