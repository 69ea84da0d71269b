/* SPDX-License-Identifier: Apache-2.0 */
/* The small grammars of HTTP that libwebsockets leaves to us. Pure. */
#ifndef MESHPINGD_HTTP_TEXT_H
#define MESHPINGD_HTTP_TEXT_H

#include <meshping/common.h>

/* Copies what fits, always with a NUL. */
void http_text_copy(char *to, size_t size, const char *from);
/* Control characters and bytes that are not UTF-8 become '?'. In place. */
void http_text_clean(char *text);
bool http_text_is_utf8(const char *text);
/* "" (none), or LOCAL@DOMAIN in plain ASCII that needs no quoting anywhere, of less than `size` bytes. */
bool http_text_is_email(const char *text, size_t size);
/*
 * The value of cookie `name` into value[size] (RFC 6265, section 5.4); false: not there, does not fit, or there twice
 * with different values (a second one may have been planted).
 */
bool http_cookie_get(const char *header, const char *name, char *value, size_t size);
/*
 * What follows the scheme Bearer, in any case, and its spaces (RFC 9110, section 11.4) in an Authorization header: ""
 * or what is no token when it is malformed. NULL: another scheme, or none.
 */
const char *http_bearer(const char *authorization);
/* Digits only (RFC 9110, section 8.6). false: anything else, or over 2^53. */
bool http_content_length_parse(const char *header, uint64_t *length);
/* True when an Accept-Encoding header takes gzip: listed or "*", and not with q=0. */
bool http_accepts_gzip(const char *header);
/* True when `token` is one of a list such as Connection's, in whatever case. */
bool http_token_listed(const char *header, const char *token);
/* True when the media type before any ";" is `type`. */
bool http_media_type_is(const char *header, const char *type);
/*
 * Whether If-Match (compared strongly: no weak tag is meant) or If-None-Match names `etag` (with its quotes), or is
 * "*": RFC 9110, sections 8.8.3.2 and 13.1. An empty header names none.
 */
typedef enum http_etag_found { HTTP_ETAG_ABSENT, HTTP_ETAG_LISTED, HTTP_ETAG_MALFORMED } http_etag_found;
http_etag_found http_etag_listed(const char *header, const char *etag, bool strongly);
/* Both as bytes, in a time that does not depend on where they differ. */
bool http_text_equal_constant_time(const char *a, const char *b);
#define HTTP_NUMBER_MAX ((UINT64_C(1) << 53) - 1) /* JSON readers have doubles */
/* An agent's id: exactly 16 hex digits. A number: 1..2^53-1, digits only. */
bool http_id_parse(const char *text, uint64_t *id);
bool http_number_parse(const char *text, uint64_t *number);

#endif
