/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http_text.h"

#include "common/hex.h"
#include <meshping/utf8.h>
#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

void http_text_copy(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = 0;
}

void http_text_clean(char *text)
{
    for (char *at = text; *at;) {
        uint32_t character;
        size_t length = meshping_utf8_read(&character, at);
        if (length == 0 || (length == 1 && meshping_utf8_is_control(character))) {
            *at = '?';
            length = 1;
        }
        at += length;
    }
}

bool http_text_is_utf8(const char *text)
{
    uint32_t character;
    for (size_t length; *text; text += length)
        if ((length = meshping_utf8_read(&character, text)) == 0)
            return false;
    return true;
}

bool http_text_is_email(const char *text, size_t size)
{
    size_t length = strlen(text), at = strcspn(text, "@");
    if (length == 0)
        return true;
    if (length >= size || at == 0 || at == length || strchr(text + at + 1, '@') || length - at < 2 ||
        text[at + 1] == '.' || text[length - 1] == '.')
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || strchr("<>()[]\\,;:\"", *c))
            return false;
    return strspn(text + at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == length - at - 1;
}

bool http_cookie_get(const char *header, const char *name, char *value, size_t size)
{
    size_t name_length = strlen(name);
    bool found = false;
    for (const char *at = header; *at;) {
        at += strspn(at, " \t;");
        size_t length = strcspn(at, ";");
        if (length > name_length && at[name_length] == '=' && memcmp(at, name, name_length) == 0) {
            const char *begin = at + name_length + 1;
            size_t value_length = length - name_length - 1;
            while (value_length && (begin[value_length - 1] == ' ' || begin[value_length - 1] == '\t'))
                value_length--;
            if (value_length >= size)
                return false;
            if (found && (strlen(value) != value_length || memcmp(value, begin, value_length) != 0))
                return false;
            memcpy(value, begin, value_length);
            value[value_length] = 0;
            found = true;
        }
        at += length;
    }
    return found;
}

const char *http_bearer(const char *authorization)
{
    size_t scheme = strcspn(authorization, " \t");
    if (scheme != strlen("Bearer") || strncasecmp(authorization, "Bearer", scheme) != 0)
        return NULL;
    return authorization + scheme + strspn(authorization + scheme, " ");
}

bool http_content_length_parse(const char *header, uint64_t *length)
{
    uint64_t value = 0;
    if (!*header)
        return false;
    for (const char *at = header; *at; at++) {
        if (*at < '0' || *at > '9')
            return false;
        value = value * 10 + (uint64_t)(*at - '0');
        if (value > (UINT64_C(1) << 53))
            return false;
    }
    *length = value;
    return true;
}

static bool is_zero_quality(const char *parameters, size_t length)
{
    for (size_t i = 0; i + 2 < length; i++)
        if ((parameters[i] == 'q' || parameters[i] == 'Q') && parameters[i + 1] == '=') {
            for (i += 2; i < length && parameters[i] != ' ' && parameters[i] != ';'; i++)
                if (parameters[i] != '0' && parameters[i] != '.')
                    return false;
            return true;
        }
    return false;
}

bool http_accepts_gzip(const char *header)
{
    int gzip = -1, any = -1;
    for (const char *at = header; *at;) {
        at += strspn(at, ", \t");
        size_t length = strcspn(at, ",");
        size_t coding = strcspn(at, ",; \t");
        bool wanted = !is_zero_quality(at + coding, length - coding);
        if ((coding == 4 && strncasecmp(at, "gzip", 4) == 0) || (coding == 6 && strncasecmp(at, "x-gzip", 6) == 0))
            gzip = wanted;
        else if (coding == 1 && *at == '*')
            any = wanted;
        at += length;
    }
    return gzip >= 0 ? gzip == 1 : any == 1;
}

bool http_token_listed(const char *header, const char *token)
{
    size_t length;
    for (const char *at = header; *(at += strspn(at, ", \t")); at += length) {
        length = strcspn(at, ", \t");
        if (length == strlen(token) && strncasecmp(at, token, length) == 0)
            return true;
    }
    return false;
}

bool http_media_type_is(const char *header, const char *type)
{
    size_t length = strcspn(header, "; \t");
    return length == strlen(type) && strncasecmp(header, type, length) == 0;
}

http_etag_found http_etag_listed(const char *header, const char *etag, bool strongly)
{
    http_etag_found found = HTTP_ETAG_ABSENT;
    if (strcmp(header, "*") == 0)
        return HTTP_ETAG_LISTED;
    for (const char *at = header; *(at += strspn(at, ", \t"));) {
        bool weak = strncmp(at, "W/", 2) == 0;
        const char *tag = weak ? at + 2 : at;
        size_t length = *tag == '"' ? strcspn(tag + 1, "\"") + 2 : 0;
        if (length == 0 || tag[length - 1] != '"' || (tag[length] && !strchr(", \t", tag[length])))
            return HTTP_ETAG_MALFORMED;
        if (length == strlen(etag) && memcmp(tag, etag, length) == 0 && !(weak && strongly))
            found = HTTP_ETAG_LISTED;
        at = tag + length;
    }
    return found;
}

bool http_text_equal_constant_time(const char *a, const char *b)
{
    size_t length = strlen(a);
    return length == strlen(b) && CRYPTO_memcmp(a, b, length) == 0;
}

bool http_id_parse(const char *text, uint64_t *id)
{
    uint8_t bytes[8];
    if (strlen(text) != 2 * sizeof bytes || !hex_get(bytes, sizeof bytes, text))
        return false;
    *id = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        *id = *id << 8 | bytes[i];
    return true;
}

bool http_number_parse(const char *text, uint64_t *number)
{
    return http_content_length_parse(text, number) && *number > 0 && *number <= HTTP_NUMBER_MAX;
}
