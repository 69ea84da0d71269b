/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "base/alloc.h"
#include <inttypes.h>
#include <meshping/protocol.h>
#include <meshping/utf8.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

bool meshping_json_is_strict(const char *text, size_t length)
{
    bool quoted = false;
    for (size_t i = 0; i < length;) {
        char at[5] = {0};
        uint32_t character;
        memcpy(at, text + i, length - i < 4 ? length - i : 4);
        size_t step = meshping_utf8_read(&character, at);
        if (step == 0 || (quoted ? character < 0x20 : character == 'N' || character == 'I' || character == '\''))
            return false;
        quoted ^= at[0] == '"';
        i += quoted && at[0] == '\\' ? 2 : step; /* what is escaped begins or ends nothing */
    }
    return true;
}

json_object *meshping__json_parse(const char *text, size_t length, meshping_error *err)
{
    json_object *object = NULL;
    if (length > INT32_MAX) {
        meshping_error_set(err, MESHPING_PROTOCOL, "the message is too long");
        return NULL;
    }
    json_tokener *tokener = json_tokener_new_ex(MESHPING__JSON_DEPTH_MAX);
    if (!tokener) {
        meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    object = json_tokener_parse_ex(tokener, text, (int)length);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    if (error == json_tokener_continue) {
        /* a bare number ends only with the text */
        object = json_tokener_parse_ex(tokener, "", 1);
        error = json_tokener_get_error(tokener);
        end = length;
    }
    if (error != json_tokener_success || end != length) {
        json_object_put(object);
        object = NULL;
        meshping_error_set(err, MESHPING_PROTOCOL, "not JSON: %s",
                           error == json_tokener_success ? "something follows the value"
                                                         : json_tokener_error_desc(error));
    } else if (!meshping_json_is_strict(text, length)) {
        json_object_put(object);
        object = NULL;
        meshping_error_set(err, MESHPING_PROTOCOL, "not JSON: a control character, a number that is none, or no UTF-8");
    } else if (!object) {
        meshping_error_set(err, MESHPING_PROTOCOL, "the JSON is null"); /* which json-c has no object for */
    }
    json_tokener_free(tokener);
    return object;
}

void meshping__field_fail(meshping__fields *fields, const char *name, const char *what)
{
    if (fields->status != MESHPING_OK)
        return;
    fields->status = meshping_error_set(fields->err, MESHPING_PROTOCOL, "field \"%s\": %s", name, what);
}

bool meshping__field_has(const meshping__fields *fields, const char *name)
{
    json_object *value = NULL;
    return json_object_object_get_ex(fields->object, name, &value) && value;
}

static json_object *get(meshping__fields *fields, const char *name, json_type type, bool required)
{
    json_object *value = NULL;
    if (fields->status != MESHPING_OK)
        return NULL;
    if (!json_object_object_get_ex(fields->object, name, &value) || !value) {
        if (required)
            meshping__field_fail(fields, name, "is missing");
        return NULL;
    }
    if (!json_object_is_type(value, type)) {
        meshping__field_fail(fields, name, "has the wrong type");
        return NULL;
    }
    return value;
}

static uint64_t number(meshping__fields *fields, const char *name, json_object *value, uint64_t min, uint64_t max)
{
    int64_t number = json_object_get_int64(value);
    if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
        meshping__field_fail(fields, name, "is out of bounds");
        return min;
    }
    return (uint64_t)number;
}

uint64_t meshping__field_u64(meshping__fields *fields, const char *name, uint64_t min, uint64_t max)
{
    json_object *value = get(fields, name, json_type_int, true);
    return value ? number(fields, name, value, min, max) : min;
}

uint64_t meshping__field_u64_or(meshping__fields *fields, const char *name, uint64_t max, uint64_t fallback)
{
    json_object *value = get(fields, name, json_type_int, false);
    return value ? number(fields, name, value, 0, max) : fallback;
}

int64_t meshping__field_time(meshping__fields *fields, const char *name, bool required)
{
    json_object *value = get(fields, name, json_type_int, required);
    int64_t time = value ? json_object_get_int64(value) : 0;
    if (time < -MESHPING__JSON_TIME_MAX || time > MESHPING__JSON_TIME_MAX) {
        meshping__field_fail(fields, name, "is out of bounds");
        return 0;
    }
    return time;
}

uint64_t meshping__field_hex64(meshping__fields *fields, const char *name, bool required)
{
    json_object *value = get(fields, name, json_type_string, required);
    if (!value)
        return 0;
    const char *text = json_object_get_string(value);
    uint64_t result = 0;
    if (json_object_get_string_len(value) != 16 || strspn(text, "0123456789abcdef") != 16) {
        meshping__field_fail(fields, name, "is not 16 hex digits");
        return 0;
    }
    sscanf(text, "%16" SCNx64, &result);
    return result;
}

void meshping__field_text(meshping__fields *fields, const char *name, char *out, size_t size, bool required)
{
    json_object *value = get(fields, name, json_type_string, required);
    out[0] = '\0';
    if (!value)
        return;
    const char *text = json_object_get_string(value);
    size_t length = (size_t)json_object_get_string_len(value);
    if (length >= size) {
        meshping__field_fail(fields, name, "is too long");
        return;
    }
    /* json-c looks at UTF-8's shape only; what it lets through would end a browser's WebSocket */
    for (size_t i = 0; i < length;) {
        uint32_t character;
        size_t step = meshping_utf8_read(&character, text + i);
        if (step == 0 || meshping_utf8_is_control(character)) {
            meshping__field_fail(fields, name, step ? "has a control character" : "is not UTF-8");
            return;
        }
        i += step;
    }
    memcpy(out, text, length);
    out[length] = '\0';
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

size_t meshping__field_bytes_up_to(meshping__fields *fields, const char *name, uint8_t *out, size_t size)
{
    json_object *value = get(fields, name, json_type_string, true);
    if (!value)
        return 0;
    const char *text = json_object_get_string(value);
    size_t length = (size_t)json_object_get_string_len(value), used = 0;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < length; i++) {
        int digit = sextet(text[i]);
        if (digit < 0) {
            meshping__field_fail(fields, name, "is not base64url");
            return 0;
        }
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            if (used == size) {
                meshping__field_fail(fields, name, "is too long");
                return 0;
            }
            out[used++] = (uint8_t)(bits >> have);
            bits &= (1u << have) - 1;
        }
    }
    /* one encoding for one value: no loose bits, no lone digit */
    if (have >= 6 || bits != 0) {
        meshping__field_fail(fields, name, "is not base64url");
        return 0;
    }
    return used;
}

void meshping__field_bytes(meshping__fields *fields, const char *name, uint8_t *out, size_t length)
{
    size_t used = meshping__field_bytes_up_to(fields, name, out, length);
    if (fields->status == MESHPING_OK && used != length)
        meshping__field_fail(fields, name, "has the wrong length");
}

bool meshping__field_flag(meshping__fields *fields, const char *name)
{
    json_object *value = get(fields, name, json_type_boolean, false);
    return value && json_object_get_boolean(value);
}

json_object *meshping__field_array(meshping__fields *fields, const char *name, size_t max)
{
    json_object *value = get(fields, name, json_type_array, true);
    if (value && json_object_array_length(value) > max) {
        meshping__field_fail(fields, name, "has too many items");
        return NULL;
    }
    return value;
}

json_object *meshping__json_hex64(uint64_t value)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, value);
    return json_object_new_string(text);
}

json_object *meshping__json_bytes(const uint8_t *bytes, size_t length)
{
    json_object *value = NULL;
    char *text = meshping__malloc(length / 3 * 4 + 5);
    if (!text)
        return NULL;
    int used = EVP_EncodeBlock((unsigned char *)text, bytes, (int)length);
    while (used > 0 && text[used - 1] == '=')
        used--;
    for (int i = 0; i < used; i++)
        text[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    value = json_object_new_string_len(text, used);
    meshping__free(text);
    return value;
}

meshping_status meshping__info_encode(char **json, size_t *length, const meshping_agent_info *info)
{
    json_object *object = json_object_new_object();
    *json = NULL;
    if (!object)
        return MESHPING_NOMEM;
    json_object_object_add(object, "host", json_object_new_string(info->host_name));
    json_object_object_add(object, "address", json_object_new_string(info->address));
    if (info->advertise[0])
        json_object_object_add(object, "advertise", json_object_new_string(info->advertise));
    json_object_object_add(object, "version", json_object_new_string(info->version));
    json_object_object_add(object, "epoch", meshping__json_hex64(info->epoch));
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, length);
    if (text)
        *json = meshping__strdup(text);
    json_object_put(object);
    return *json ? MESHPING_OK : MESHPING_NOMEM;
}

meshping_status meshping__info_decode(meshping_agent_info *out, const char *json, size_t length, meshping_error *err)
{
    meshping__fields fields = {meshping__json_parse(json, length, err), err, MESHPING_OK};
    memset(out, 0, sizeof *out);
    if (!fields.object)
        return MESHPING_PROTOCOL;
    if (!json_object_is_type(fields.object, json_type_object))
        meshping__field_fail(&fields, "info", "is not an object");
    meshping__field_text(&fields, "host", out->host_name, sizeof out->host_name, true);
    meshping__field_text(&fields, "address", out->address, sizeof out->address, false);
    meshping__field_text(&fields, "advertise", out->advertise, sizeof out->advertise, false);
    meshping__field_text(&fields, "version", out->version, sizeof out->version, true);
    out->epoch = meshping__field_hex64(&fields, "epoch", true);
    if (fields.status == MESHPING_OK && (!out->host_name[0] || !out->epoch))
        meshping__field_fail(&fields, "host", "must not be empty, nor the epoch 0");
    json_object_put(fields.object);
    return fields.status;
}
