/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/json_body.h"

#include <limits.h>
#include <string.h>

meshping_status json_body_parse(json_object **out, const char *text, size_t length, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    json_tokener *tokener;
    json_object *json = NULL;
    *out = NULL;
    if (length > INT_MAX - 1)
        return meshping_error_set(err, MESHPING_LIMIT, "the body is too long");
    tokener = json_tokener_new_ex(JSON_BODY_DEPTH);
    if (!tokener)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);

    json = json_tokener_parse_ex(tokener, text, (int)length);
    enum json_tokener_error error = json_tokener_get_error(tokener);
    size_t end = json_tokener_get_parse_end(tokener);
    if (error == json_tokener_continue && length > 0) {
        /* a number at the very end waits for what may follow; a NUL ends it */
        json = json_tokener_parse_ex(tokener, "", 1);
        error = json_tokener_get_error(tokener);
    }
    if (length == 0)
        status = meshping_error_set(err, MESHPING_INVALID, "the body is empty, JSON is needed");
    else if (error == json_tokener_continue)
        status = meshping_error_set(err, MESHPING_INVALID, "the JSON text ends too early");
    else if (error == json_tokener_error_depth)
        status = meshping_error_set(err, MESHPING_INVALID, "the JSON is nested more than %d deep", JSON_BODY_DEPTH);
    else if (error != json_tokener_success)
        status =
            meshping_error_set(err, MESHPING_INVALID, "not JSON: %s at byte %zu", json_tokener_error_desc(error), end);
    else
        for (size_t i = end; i < length && status == MESHPING_OK; i++)
            if (!strchr(" \t\r\n", text[i]) || text[i] == 0)
                status = meshping_error_set(err, MESHPING_INVALID, "not JSON: something follows it at byte %zu", i);
    json_tokener_free(tokener);
    if (status != MESHPING_OK) {
        json_object_put(json);
        return status;
    }
    *out = json;
    return MESHPING_OK;
}

const char *json_body_string(json_object *value)
{
    if (!json_object_is_type(value, json_type_string))
        return NULL;
    const char *string = json_object_get_string(value);
    return strlen(string) == (size_t)json_object_get_string_len(value) ? string : NULL;
}
