/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: their head, their headers for safety, problems. Sending is in http.c. */
#include "common/log.h"
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void http_header(http_exchange *x, const char *name, const char *format, ...)
{
    char value[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    value[strcspn(value, "\r\n")] = 0;
    text_printf(&x->headers, "%s: %s\r\n", name, value);
}

void http_cache(http_exchange *x, const char *control)
{
    x->cacheable = true;
    http_header(x, "Cache-Control", "%s", control);
}

static void respond(http_exchange *x, int status, const char *content_type, char *body, size_t length, bool borrowed)
{
    if (x->status) { /* a handler answered twice: the first answer stands */
        log_error("http", "second answer to %s %s dropped", http_method_name(x->method), x->path);
        if (!borrowed)
            free(body);
        return;
    }
    x->status = status;
    x->answer = body;
    x->answer_borrowed = borrowed;
    x->answer_length = length;
    if (!x->cacheable)
        http_header(x, "Cache-Control", "no-store");
    if (content_type)
        http_header(x, "Content-Type", "%s", content_type);
    if (status != 204 && status != 304)
        http_header(x, "Content-Length", "%zu", length);
    if (status == 401) /* RFC 9110, section 15.5.2: how to ask; RFC 6750, section 3 */
        http_header(x, "WWW-Authenticate", http_bearer(x->authorization) ? "Bearer error=\"invalid_token\"" : "Bearer");
    if (status >= 400)
        x->server->counters.http_errors++;
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, 30);
    lws_callback_on_writable(x->wsi);
}

void http_respond(http_exchange *x, int status, const char *content_type, char *body, size_t length)
{
    respond(x, status, content_type, body, length, false);
}

void http_respond_borrowed(http_exchange *x, int status, const char *content_type, const char *body, size_t length)
{
    respond(x, status, content_type, (char *)(uintptr_t)body, length, true);
}

void http_respond_empty(http_exchange *x, int status)
{
    respond(x, status, NULL, NULL, 0, true);
}

void http_respond_text(http_exchange *x, int status, const char *content_type, text_buffer *body)
{
    if (body->failed) {
        text_dispose(body);
        http_respond_problem(x, 500, "out of memory");
        return;
    }
    http_respond(x, status, content_type, body->data, body->length);
    *body = (text_buffer){0};
}

static void respond_json_as(http_exchange *x, int status, const char *content_type, json_object *json)
{
    static const char failed[] = "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,"
                                 "\"detail\":\"out of memory\"}";
    size_t length = 0;
    char *copy = NULL;
    if (json) {
        const char *string =
            json_object_to_json_string_length(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &length);
        copy = string ? malloc(length + 1) : NULL;
        if (copy)
            memcpy(copy, string, length + 1);
    }
    json_object_put(json);
    if (copy)
        http_respond(x, status, content_type, copy, length);
    else
        http_respond_borrowed(x, 500, PROBLEM_CONTENT_TYPE, failed, sizeof failed - 1);
}

void http_respond_json(http_exchange *x, int status, json_object *json)
{
    respond_json_as(x, status, "application/json", json);
}

void http_respond_problem_json(http_exchange *x, int status, json_object *problem)
{
    respond_json_as(x, status, PROBLEM_CONTENT_TYPE, problem);
}

/* By any method: who speaks to one of these knows the original's errors, also where the request did not get as far. */
static bool is_original(const http_exchange *x)
{
    unsigned allowed;
    http_params params;
    const http_route *route = x->route;
    for (unsigned method = HTTP_GET; !route && method < HTTP_OTHER; method <<= 1)
        route = http_route_find(http_routes, http_route_count, (http_method)method, x->path, &params, &allowed);
    return route && route->flags & HTTP_ROUTE_ORIGINAL;
}

void http_respond_problem(http_exchange *x, int status, const char *format, ...)
{
    char detail[512];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    if (is_original(x)) {
        json_object *error = json_object_new_object();
        http_text_clean(detail);
        json_object_object_add(error, "error", json_object_new_string(detail));
        http_respond_json(x, status, error);
        return;
    }
    http_respond_problem_json(x, status, problem_json(status, detail));
}

void http_respond_error(http_exchange *x, const meshping_error *err)
{
    int status = problem_http_status(err->status);
    if (status == 500)
        log_error("http", "%s %s: %s", http_method_name(x->method), x->path, err->message);
    http_respond_problem(x, status, "%s", err->message);
}

void http_respond_busy(http_exchange *x, int64_t wait_ms, const char *why)
{
    long long seconds = (long long)((wait_ms + 999) / 1000);
    http_header(x, "Retry-After", "%lld", seconds > 0 ? seconds : 1);
    http_respond_problem(x, 429, "%s: try again in %lld s", why, seconds > 0 ? seconds : 1);
}
