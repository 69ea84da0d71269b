/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says: its head out of libwebsockets, its query, fields of its JSON body. */
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"
#include "meshpingd/json_body.h"
#include "meshpingd/peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

bool http_copy_header(struct lws *wsi, char *to, size_t size, enum lws_token_indexes token)
{
    to[0] = 0;
    int length = lws_hdr_total_length(wsi, token);
    if (length <= 0)
        return true;
    /* lws_hdr_copy wants room for the NUL, and gives -1 when there is none */
    if ((size_t)length >= size || lws_hdr_copy(wsi, to, (int)size, token) < 0) {
        to[0] = 0;
        return false;
    }
    /* white space around a value, which libwebsockets leaves, is no part of it (RFC 9110, section 5.5) */
    size_t before = strspn(to, " \t"), rest = strlen(to + before);
    memmove(to, to + before, rest + 1);
    while (rest > 0 && (to[rest - 1] == ' ' || to[rest - 1] == '\t'))
        to[--rest] = 0;
    return true;
}

static bool copy_custom_header(struct lws *wsi, char *to, size_t size, const char *name_with_colon)
{
    to[0] = 0;
    int length = lws_hdr_custom_length(wsi, name_with_colon, (int)strlen(name_with_colon));
    if (length <= 0)
        return true;
    if ((size_t)length >= size ||
        lws_hdr_custom_copy(wsi, to, (int)size, name_with_colon, (int)strlen(name_with_colon)) < 0) {
        to[0] = 0;
        return false;
    }
    return true;
}

bool http_copy_peer(struct lws *wsi, meshping_address *out)
{
    char forwarded[1024];
    const server *s = lws_context_user(lws_get_context(wsi));
    const meshping_address *peer = peers_address(lws_get_socket_fd(wsi));
    memset(out, 0, sizeof *out);
    if (!peer)
        return false;
    *out = *peer;
    if (meshping_cidr_list_contains(&s->trusted_proxies, peer) &&
        lws_hdr_total_length(wsi, WSI_TOKEN_X_FORWARDED_FOR) > 0) {
        memset(out, 0, sizeof *out); /* nobody is taken for the proxy because his header was too long */
        if (!http_copy_header(wsi, forwarded, sizeof forwarded, WSI_TOKEN_X_FORWARDED_FOR))
            return false;
        *out = peers_forwarded(peer, forwarded, &s->trusted_proxies);
    }
    return true;
}

bool http_origin_is_own(const char *origin, const char *host)
{
    static const char scheme[] = "https://";
    return host[0] && strncmp(origin, scheme, sizeof scheme - 1) == 0 &&
           strcasecmp(origin + sizeof scheme - 1, host) == 0;
}

static http_method method_of(int method)
{
    switch (method) {
    case LWSHUMETH_GET:
        return HTTP_GET;
    case LWSHUMETH_HEAD:
        return HTTP_HEAD;
    case LWSHUMETH_POST:
        return HTTP_POST;
    case LWSHUMETH_PUT:
        return HTTP_PUT;
    case LWSHUMETH_DELETE:
        return HTTP_DELETE;
    case LWSHUMETH_PATCH:
        return HTTP_PATCH;
    default:
        return HTTP_OTHER;
    }
}

static bool copy_query(http_exchange *x)
{
    char one[sizeof x->query[0].name + sizeof x->query[0].value];
    for (int i = 0; lws_hdr_fragment_length(x->wsi, WSI_TOKEN_HTTP_URI_ARGS, i) > 0; i++) {
        http_query *query = &x->query[x->query_count];
        if (x->query_count == HTTP_QUERY_MAX ||
            lws_hdr_copy_fragment(x->wsi, one, (int)sizeof one, WSI_TOKEN_HTTP_URI_ARGS, i) < 0)
            return false;
        size_t name = strcspn(one, "=");
        const char *value = one[name] ? one + name + 1 : "";
        if (name >= sizeof query->name || strlen(value) >= sizeof query->value)
            return false;
        memcpy(query->name, one, name);
        query->name[name] = 0;
        if (http_query_get(x, query->name)) /* there already: which one counts would be a guess */
            return false;
        http_text_copy(query->value, sizeof query->value, value);
        /* nothing behind the "?" or between two "&"; libwebsockets 4.1.6 makes a "/" of it at the end */
        if (*one && strcmp(one, "/") != 0)
            x->query_count++;
    }
    return true;
}

int http_copy_head(http_exchange *x, const char **why)
{
    char *uri = NULL;
    int uri_length = 0;
    char text_length[24], transfer[64], connection[128], encodings[256], version[16], cookies[2048];
    struct lws *wsi = x->wsi;
    int method = lws_http_get_uri_and_method(wsi, &uri, &uri_length);
    *why = "";
    x->close_after = true; /* until the request is known to be sound */
    x->method = method_of(method);
    if (!http_copy_peer(wsi, &x->peer)) {
        *why = "X-Forwarded-For is too long";
        return 400;
    }
    if (method < 0 || uri_length <= 0 || (size_t)uri_length >= sizeof x->path) {
        *why = "the path is too long";
        return 414;
    }
    memcpy(x->path, uri, (size_t)uri_length);
    x->path[uri_length] = 0;
    if (strlen(x->path) != (size_t)uri_length) {
        *why = "the path holds a NUL or a semicolon"; /* of which libwebsockets makes one */
        return 400;
    }

    if (!http_copy_header(wsi, transfer, sizeof transfer, WSI_TOKEN_HTTP_TRANSFER_ENCODING) || transfer[0]) {
        *why = "Transfer-Encoding is not supported: send a Content-Length";
        return 411;
    }
    bool has_length = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0;
    if (has_length && (!http_copy_header(wsi, text_length, sizeof text_length, WSI_TOKEN_HTTP_CONTENT_LENGTH) ||
                       !http_content_length_parse(text_length, &x->body_expected))) {
        *why = "Content-Length is not a number";
        return 400;
    }
    if (!http_copy_header(wsi, x->host, sizeof x->host, WSI_TOKEN_HOST) || !x->host[0] || strpbrk(x->host, ", \t/@")) {
        *why = "a Host header is needed, and one only";
        return 400;
    }
    if (!http_copy_header(wsi, cookies, sizeof cookies, WSI_TOKEN_HTTP_COOKIE) ||
        !http_copy_header(wsi, x->origin, sizeof x->origin, WSI_TOKEN_ORIGIN) ||
        !http_copy_header(wsi, x->content_type, sizeof x->content_type, WSI_TOKEN_HTTP_CONTENT_TYPE) ||
        !http_copy_header(wsi, x->if_match, sizeof x->if_match, WSI_TOKEN_HTTP_IF_MATCH) ||
        !http_copy_header(wsi, x->if_none_match, sizeof x->if_none_match, WSI_TOKEN_HTTP_IF_NONE_MATCH) ||
        !http_copy_header(wsi, x->authorization, sizeof x->authorization, WSI_TOKEN_HTTP_AUTHORIZATION) ||
        !http_copy_header(wsi, encodings, sizeof encodings, WSI_TOKEN_HTTP_ACCEPT_ENCODING) ||
        !http_copy_header(wsi, connection, sizeof connection, WSI_TOKEN_CONNECTION) ||
        !http_copy_header(wsi, version, sizeof version, WSI_TOKEN_HTTP) ||
        !http_copy_header(wsi, x->user_agent, sizeof x->user_agent, WSI_TOKEN_HTTP_USER_AGENT) ||
        !copy_custom_header(wsi, x->csrf, sizeof x->csrf, "x-csrf-token:") ||
        !copy_custom_header(wsi, x->fetch_site, sizeof x->fetch_site, "sec-fetch-site:")) {
        *why = "a header is too long";
        return 431;
    }
    if (!copy_query(x)) {
        *why = "the query has too many parameters, one twice, or one is too long";
        return 400;
    }
    /* does not fit: then it is none of ours */
    if (!http_cookie_get(cookies, AUTH_COOKIE, x->session_token, sizeof x->session_token))
        x->session_token[0] = 0;
    if (!http_cookie_get(cookies, AUTH_KNOWN_COOKIE, x->known, sizeof x->known))
        x->known[0] = 0;
    x->accepts_gzip = http_accepts_gzip(encodings);
    /* of HTTP/1.0 libwebsockets itself keeps only what asks for that alone */
    x->keep_alive = strcmp(version, "HTTP/1.1") == 0 ? !http_token_listed(connection, "close")
                                                     : strcasecmp(connection, "keep-alive") == 0;
    x->close_after = !x->keep_alive;
    /* without a length libwebsockets would wait for 100 MiB of a POST; RFC 9112 says: no body */
    if (!has_length && (x->method == HTTP_POST || x->method == HTTP_PUT || x->method == HTTP_PATCH))
        x->close_after = x->no_linger = true;
    return 0;
}

const char *http_query_get(const http_exchange *x, const char *name)
{
    for (size_t i = 0; i < x->query_count; i++)
        if (strcmp(x->query[i].name, name) == 0)
            return x->query[i].value;
    return NULL;
}

bool http_query_only(http_exchange *x, const char *names)
{
    for (size_t i = 0; i < x->query_count; i++) {
        const char *name = x->query[i].name, *at = names;
        size_t length;
        while ((length = strcspn(at, ", ")) && !(strlen(name) == length && memcmp(at, name, length) == 0)) {
            at += length;
            at += strspn(at, ", ");
        }
        if (length == 0) {
            http_respond_problem(x, 400, "there is no parameter \"%s\" here, only %s", name, names);
            return false;
        }
    }
    return true;
}

bool http_query_number(http_exchange *x, const char *name, uint64_t min, uint64_t max, uint64_t *value)
{
    uint64_t number;
    const char *text = http_query_get(x, name);
    if (!text)
        return true;
    if (!http_content_length_parse(text, &number) || number < min || number > max) {
        http_respond_problem(x, 400, "\"%s\" must be a whole number from %" PRIu64 " to %" PRIu64, name, min, max);
        return false;
    }
    *value = number;
    return true;
}

bool http_query_selector(http_exchange *x, const char *name, meshping_selector *out)
{
    meshping_error err = {0};
    const char *text = http_query_get(x, name);
    if (meshping_selector_parse(out, text ? text : "", &err) == MESHPING_OK)
        return true;
    http_respond_problem(x, 400, "\"%s\": %s", name, err.message);
    return false;
}

typedef char etag_text[24];

static const char *etag_of(etag_text text, uint64_t revision)
{
    snprintf(text, sizeof(etag_text), "\"%" PRIu64 "\"", revision);
    return text;
}

void http_etag(http_exchange *x, uint64_t revision)
{
    etag_text etag;
    http_header(x, "ETag", "%s", etag_of(etag, revision));
}

bool http_may_change(http_exchange *x, uint64_t revision, const char *what)
{
    etag_text etag;
    http_etag_found found = http_etag_listed(x->if_match, etag_of(etag, revision), true);
    if (found == HTTP_ETAG_MALFORMED)
        http_respond_problem(x, 400, "If-Match must be the ETag that GET gave, such as \"3\"");
    else if (found == HTTP_ETAG_ABSENT && strstr(x->if_match, "W/"))
        http_respond_problem(x, 412, "If-Match takes no weak ETag (W/) for %s", what);
    else if (found == HTTP_ETAG_ABSENT && x->if_match[0])
        http_respond_problem(x, 412, "somebody has changed %s meanwhile: load it again", what);
    else if (http_etag_listed(x->if_none_match, etag, false) == HTTP_ETAG_LISTED)
        http_respond_problem(x, 412, "If-None-Match names %s as it is", what);
    return !x->status;
}

bool http_not_modified(http_exchange *x, uint64_t revision)
{
    etag_text etag;
    if ((x->method != HTTP_GET && x->method != HTTP_HEAD) ||
        http_etag_listed(x->if_none_match, etag_of(etag, revision), false) != HTTP_ETAG_LISTED)
        return false;
    http_etag(x, revision);
    http_respond_empty(x, 304);
    return true;
}

const char *http_json_string(http_exchange *x, const char *name, bool *ok)
{
    json_object *field;
    *ok = true;
    if (!json_object_object_get_ex(x->json, name, &field) || !field)
        return NULL;
    const char *string = json_body_string(field);
    if (!string) {
        *ok = false;
        http_respond_problem(x, 400, "\"%s\" must be a string", name);
    }
    return string;
}

const char *http_json_needed(http_exchange *x, const char *name)
{
    bool ok;
    const char *string = http_json_string(x, name, &ok);
    if (ok && !string)
        http_respond_problem(x, 400, "\"%s\" is needed", name);
    return string;
}

bool http_json_flag(http_exchange *x, const char *name, bool *value)
{
    json_object *field;
    if (!json_object_object_get_ex(x->json, name, &field) || !field)
        return true;
    if (!json_object_is_type(field, json_type_boolean)) {
        http_respond_problem(x, 400, "\"%s\" must be true or false", name);
        return false;
    }
    *value = json_object_get_boolean(field);
    return true;
}

int64_t http_json_number(http_exchange *x, const char *name, int64_t absent, int64_t min, int64_t max, bool *ok)
{
    json_object *field;
    *ok = true;
    if (!json_object_object_get_ex(x->json, name, &field) || !field)
        return absent;
    int64_t value = json_object_get_int64(field);
    if (!json_object_is_type(field, json_type_int) || value < min || value > max) {
        *ok = false;
        http_respond_problem(x, 400, "\"%s\" must be a whole number from %" PRId64 " to %" PRId64, name, min, max);
    }
    return value;
}

const char *http_peer_text(const http_exchange *x, char *text_out)
{
    if (x->peer.family == MESHPING_FAMILY_NONE)
        http_text_copy(text_out, MESHPING_ADDRESS_TEXT_MAX, "?");
    else
        meshping_address_format(&x->peer, text_out);
    return text_out;
}
