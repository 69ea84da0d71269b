/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/json_body.h"

#include "meshpingd/looks.h"
#include <limits.h>
#include <meshping/protocol.h>
#include <stdio.h>
#include <stdlib.h>
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
    else if (!meshping_json_is_strict(text, length))
        status = meshping_error_set(err, MESHPING_INVALID,
                                    "not JSON: single quotes, NaN, a control character, or not UTF-8 (RFC 8259)");
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

meshping_status json_body_take_text(json_object *item, const char *name, bool needed, char *to, size_t size,
                                    meshping_error *err)
{
    json_object *field;
    if (!json_object_object_get_ex(item, name, &field)) {
        if (needed)
            return meshping_error_set(err, MESHPING_INVALID, "\"%s\" is missing", name);
        return MESHPING_OK;
    }
    const char *text = json_body_string(field);
    if (!text)
        return meshping_error_set(err, MESHPING_INVALID, "\"%s\" must be a string", name);
    if (strlen(text) >= size)
        return meshping_error_set(err, MESHPING_INVALID, "\"%s\" has %zu bytes, at most %zu are allowed", name,
                                  strlen(text), size - 1);
    if (looks_turned(text)) /* an address beside it would be shown as another one */
        return meshping_error_set(err, MESHPING_INVALID, "\"%s\" holds a character that turns around what follows it",
                                  name);
    memcpy(to, text, strlen(text) + 1);
    return MESHPING_OK;
}

static bool has_word(const char *words, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = words; length && (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == 0 || at[length] == ' ') && !strchr(word, ' '))
            return true;
    return false;
}

meshping_status json_body_fields(json_object *object, const char *fields, const char *of, meshping_error *err)
{
    json_object_object_foreach(object, key, unused)
    {
        (void)unused;
        if (!has_word(fields, key))
            return meshping_error_set(err, MESHPING_INVALID, "\"%.40s\" is not a field of %s", key, of);
    }
    return MESHPING_OK;
}

/* One pair must be one label, whatever it holds. */
static bool is_word(const char *text)
{
    return text[strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./")] == 0;
}

meshping_status json_body_labels(char *out, json_object *value, meshping_error *err)
{
    char text[MESHPING_LABEL_COUNT_MAX * 2 * (MESHPING_LABEL_PART_MAX + 1)] = "";
    size_t used = 0;
    if (value && !json_object_is_type(value, json_type_object))
        return meshping_error_set(err, MESHPING_INVALID,
                                  "\"labels\" must be an object of strings: {\"group\":\"core\"}");
    if (value && json_object_object_length(value) > MESHPING_LABEL_COUNT_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "\"labels\": more than %d labels", MESHPING_LABEL_COUNT_MAX);
    for (struct json_object_iterator at = value ? json_object_iter_begin(value) : (struct json_object_iterator){0},
                                     end = value ? json_object_iter_end(value) : at;
         value && !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
        const char *key = json_object_iter_peek_name(&at), *word = json_body_string(json_object_iter_peek_value(&at));
        if (!word)
            return meshping_error_set(err, MESHPING_INVALID, "\"labels\": the value of \"%.40s\" must be a string",
                                      key);
        if (!is_word(key) || !is_word(word))
            return meshping_error_set(err, MESHPING_INVALID,
                                      "\"labels\": \"%.40s=%.40s\" may have letters, digits, '-', '_', '.' alone", key,
                                      word);
        int length = snprintf(text + used, sizeof text - used, "%s%s=%s", used ? "," : "", key, word);
        if (length < 0 || (size_t)length >= sizeof text - used)
            return meshping_error_set(err, MESHPING_LIMIT, "\"labels\": \"%.40s=%.40s\" is too long", key, word);
        used += (size_t)length;
    }
    meshping_error inner = {0};
    meshping_status status = meshping_labels_parse(out, text, &inner);
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "\"labels\": %s", inner.message);
}

/* ---- rules ---- */

static meshping_status rule_parse(meshping_rule *rule, json_object *item, meshping_error *err)
{
    char kind[16] = "";
    meshping_status status;
    *rule = (meshping_rule){0};
    if (!json_object_is_type(item, json_type_object))
        return meshping_error_set(err, MESHPING_INVALID, "it must be an object");
    if ((status = json_body_fields(item, "name kind agents targets", "a rule", err)) != MESHPING_OK ||
        (status = json_body_take_text(item, "name", false, rule->name, sizeof rule->name, err)) != MESHPING_OK ||
        (status = json_body_take_text(item, "kind", false, kind, sizeof kind, err)) != MESHPING_OK ||
        (status = json_body_take_text(item, "agents", false, rule->agents, sizeof rule->agents, err)) != MESHPING_OK ||
        (status = json_body_take_text(item, "targets", false, rule->targets, sizeof rule->targets, err)) != MESHPING_OK)
        return status;
    if (strcmp(kind, "mesh") == 0)
        rule->kind = MESHPING_RULE_MESH;
    else if (strcmp(kind, "targets") != 0)
        return meshping_error_set(err, MESHPING_INVALID, "\"kind\" must be targets or mesh");
    return meshping_rule_check(rule, err);
}

meshping_status rules_json_parse(meshping_rule **out, size_t *count, size_t *index, json_object *body,
                                 meshping_error *err)
{
    json_object *list = NULL;
    meshping_status status = MESHPING_OK;
    *out = NULL;
    *index = SIZE_MAX;
    if (!json_object_object_get_ex(body, "rules", &list) || !json_object_is_type(list, json_type_array))
        return meshping_error_set(err, MESHPING_INVALID, "\"rules\" must be a list");
    *count = json_object_array_length(list);
    if (*count > MESHPING_RULES_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "%zu rules, at most %d are allowed", *count, MESHPING_RULES_MAX);
    meshping_rule *rules = calloc(*count + 1, sizeof *rules);
    if (!rules)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    for (size_t i = 0; i < *count && status == MESHPING_OK; i++) {
        meshping_error inner = {0};
        status = rule_parse(&rules[i], json_object_array_get_idx(list, i), &inner);
        if (status == MESHPING_OK)
            continue;
        *index = i;
        meshping_error_set(err, status, "rule %zu: %s", i + 1, inner.message);
    }
    if (status != MESHPING_OK) {
        free(rules);
        return status;
    }
    *out = rules;
    return MESHPING_OK;
}
