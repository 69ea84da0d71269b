/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/problem.h"

#include "meshpingd/http_text.h"
#include <stdlib.h>
#include <string.h>

const char *problem_title(int http_status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == http_status)
            return titles[i].title;
    return "Error";
}

json_object *problem_json(int http_status, const char *detail)
{
    json_object *problem = json_object_new_object();
    char *clean = strdup(detail);
    if (!problem || !clean) {
        json_object_put(problem);
        free(clean);
        return NULL;
    }
    http_text_clean(clean);
    json_object_object_add(problem, "type", json_object_new_string("about:blank"));
    json_object_object_add(problem, "title", json_object_new_string(problem_title(http_status)));
    json_object_object_add(problem, "status", json_object_new_int(http_status));
    json_object_object_add(problem, "detail", json_object_new_string(clean));
    free(clean);
    return problem;
}

int problem_http_status(meshping_status status)
{
    switch (status) {
    case MESHPING_OK:
        return 200;
    case MESHPING_INVALID:
    case MESHPING_LIMIT:
    case MESHPING_PROTOCOL:
    case MESHPING_UNSUPPORTED:
        return 400;
    case MESHPING_NOT_FOUND:
        return 404;
    case MESHPING_EXISTS:
    case MESHPING_STATE:
        return 409;
    case MESHPING_PERMISSION:
        return 403;
    case MESHPING_BUSY:
        return 503;
    default:
        return 500;
    }
}
