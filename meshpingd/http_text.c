/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/http_text.h"

#include <openssl/crypto.h>
#include <string.h>
#include <strings.h>

/* Length of the UTF-8 character at `at` (RFC 3629: no overlong form, no surrogate), 0 when there is none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    unsigned char c = at[0];
    if (c < 0x80)
        return 1;
    size_t length = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && at[1] < 0xa0) || (c == 0xed && at[1] > 0x9f) || (c == 0xf0 && at[1] < 0x90) ||
        (c == 0xf4 && at[1] > 0x8f))
        return 0;
    return length;
}

void http_text_copy(char *to, size_t size, const char *from)
{
    size_t length = strnlen(from, size - 1);
    memcpy(to, from, length);
    to[length] = 0;
}

void http_text_clean(char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        size_t one = utf8_length((const unsigned char *)text + i, length - i);
        if (one == 0 || (one == 1 && ((unsigned char)text[i] < 0x20 || text[i] == 0x7f))) {
            text[i] = '?';
            one = 1;
        }
        i += one;
    }
}

bool http_text_is_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        size_t one = utf8_length((const unsigned char *)text + i, length - i);
        if (one == 0)
            return false;
        i += one;
    }
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

bool http_media_type_is(const char *header, const char *type)
{
    size_t length = strcspn(header, "; \t");
    return length == strlen(type) && strncasecmp(header, type, length) == 0;
}

bool http_etag_listed(const char *header, const char *etag)
{
    for (const char *at = header; *at;) {
        at += strspn(at, ", \t");
        if (*at == '*')
            return true;
        if (strncmp(at, "W/", 2) == 0)
            at += 2;
        size_t length = strcspn(at, ", \t");
        if (length == strlen(etag) && memcmp(at, etag, length) == 0)
            return true;
        at += length;
    }
    return false;
}

bool http_text_equal_constant_time(const char *a, const char *b)
{
    size_t length = strlen(a);
    return length == strlen(b) && CRYPTO_memcmp(a, b, length) == 0;
}

bool http_id_parse(const char *text, uint64_t *id)
{
    uint64_t value = 0;
    if (strlen(text) != 16)
        return false;
    for (const char *at = text; *at; at++) {
        unsigned digit;
        if (*at >= '0' && *at <= '9')
            digit = (unsigned)(*at - '0');
        else if (*at >= 'a' && *at <= 'f')
            digit = (unsigned)(*at - 'a') + 10;
        else if (*at >= 'A' && *at <= 'F')
            digit = (unsigned)(*at - 'A') + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    *id = value;
    return true;
}

bool http_number_parse(const char *text, uint64_t *number)
{
    return http_content_length_parse(text, number) && *number > 0 && *number < (UINT64_C(1) << 53);
}
