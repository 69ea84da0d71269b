/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/json_body.h"

#include <meshping/store.h>

#include <stdio.h>
#include <string.h>

/* A whole number of 0..max; absent fields leave *value as it is. */
static meshping_status take_number(json_object *item, const char *name, uint32_t max, uint32_t *value,
                                   meshping_error *err)
{
    json_object *field;
    if (!json_object_object_get_ex(item, name, &field))
        return MESHPING_OK;
    if (!json_object_is_type(field, json_type_int))
        return meshping_error_set(err, MESHPING_INVALID, "\"%s\" must be a whole number", name);
    int64_t number = json_object_get_int64(field);
    if (number < 0 || number > max)
        return meshping_error_set(err, MESHPING_INVALID, "\"%s\" must be 0 to %u, not %lld", name, max,
                                  (long long)number);
    *value = (uint32_t)number;
    return MESHPING_OK;
}

static meshping_status take_flag(json_object *item, const char *name, bool *value, meshping_error *err)
{
    json_object *field;
    if (!json_object_object_get_ex(item, name, &field))
        return MESHPING_OK;
    if (!json_object_is_type(field, json_type_boolean))
        return meshping_error_set(err, MESHPING_INVALID, "\"%s\" must be true or false", name);
    *value = json_object_get_boolean(field);
    return MESHPING_OK;
}

static meshping_status take_source(json_object *item, meshping_address *source, meshping_error *err)
{
    char text[MESHPING_ADDRESS_TEXT_MAX] = "";
    meshping_status status = json_body_take_text(item, "source", false, text, sizeof text, err);
    if (status == MESHPING_OK && text[0] && meshping_address_parse(source, text, NULL) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_INVALID, "\"source\" must be an IP address, not '%s'", text);
    return status;
}

static meshping_status take_labels(json_object *item, char *labels, meshping_error *err)
{
    json_object *field;
    return json_object_object_get_ex(item, "labels", &field) ? json_body_labels(labels, field, err) : MESHPING_OK;
}

/* {"reason", "until_ms"}; null is no pause. */
static meshping_status take_pause(json_object *item, meshping_target *target, meshping_error *err)
{
    json_object *field, *until;
    if (!json_object_object_get_ex(item, "paused", &field) || !field)
        return MESHPING_OK;
    if (!json_object_is_type(field, json_type_object))
        return meshping_error_set(err, MESHPING_INVALID, "\"paused\" must be an object: {\"reason\":\"moved\"}");
    meshping_status status = json_body_fields(field, "reason until_ms", "a pause", err);
    if (status == MESHPING_OK)
        status = json_body_take_text(field, "reason", true, target->pause_reason, sizeof target->pause_reason, err);
    if (status == MESHPING_OK && !target->pause_reason[0])
        return meshping_error_set(err, MESHPING_INVALID, "a pause needs a reason");
    if (status != MESHPING_OK || !json_object_object_get_ex(field, "until_ms", &until) || !until)
        return status;
    if (!json_object_is_type(until, json_type_int))
        return meshping_error_set(err, MESHPING_INVALID, "\"until_ms\" must be a whole number");
    target->paused_until_ms = json_object_get_int64(until); /* checked with the whole target */
    return MESHPING_OK;
}

/* A table that is exported and imported again has no spaces around its cells. */
static void trim(char *text)
{
    size_t skip = strspn(text, " "), length = strlen(text + skip);
    while (length && text[skip + length - 1] == ' ')
        length--;
    memmove(text, text + skip, length);
    text[length] = 0;
}

static meshping_status from_object(meshping_target *target, json_object *item, meshping_error *err)
{
    uint32_t size = target->size, dscp = target->dscp, ttl = target->ttl, family = target->family,
             lossy = target->lossy_percent, id = 0;
    meshping_status status;
    /* an "id" comes with what GET gave; the store finds it again by the host */
    if ((status = json_body_take_text(item, "address", true, target->host, sizeof target->host, err)) != MESHPING_OK ||
        (status = json_body_take_text(item, "name", false, target->name, sizeof target->name, err)) != MESHPING_OK ||
        (status = take_number(item, "id", UINT32_MAX, &id, err)) != MESHPING_OK ||
        (status = take_number(item, "interval_ms", UINT32_MAX, &target->interval_ms, err)) != MESHPING_OK ||
        (status = take_number(item, "timeout_ms", UINT32_MAX, &target->timeout_ms, err)) != MESHPING_OK ||
        (status = take_number(item, "size", UINT16_MAX, &size, err)) != MESHPING_OK ||
        (status = take_number(item, "dscp", 63, &dscp, err)) != MESHPING_OK ||
        (status = take_number(item, "family", 6, &family, err)) != MESHPING_OK ||
        (status = take_number(item, "ttl", UINT8_MAX, &ttl, err)) != MESHPING_OK ||
        (status = take_flag(item, "dont_fragment", &target->dont_fragment, err)) != MESHPING_OK ||
        (status = take_source(item, &target->source, err)) != MESHPING_OK ||
        (status = json_body_take_text(item, "interface", false, target->interface, sizeof target->interface, err)) !=
            MESHPING_OK ||
        (status = take_number(item, "slow_ms", MESHPING_SLOW_MS_MAX, &target->slow_ms, err)) != MESHPING_OK ||
        (status = take_number(item, "lossy_percent", 100, &lossy, err)) != MESHPING_OK ||
        (status = take_labels(item, target->labels, err)) != MESHPING_OK ||
        (status = take_pause(item, target, err)) != MESHPING_OK ||
        (status = json_body_fields(item,
                                   "address name id interval_ms timeout_ms size dscp ttl dont_fragment source "
                                   "interface family slow_ms lossy_percent labels paused",
                                   "a target", err)) != MESHPING_OK)
        return status;
    trim(target->name);
    target->size = (uint16_t)size;
    target->dscp = (uint8_t)dscp;
    target->family = (uint8_t)family; /* checked with the whole target */
    target->ttl = (uint8_t)ttl;
    target->lossy_percent = (uint8_t)lossy;
    return MESHPING_OK;
}

static meshping_status from_string(meshping_target *target, const char *text, meshping_error *err)
{
    text += strspn(text, " \t");
    size_t length = strcspn(text, " \t");
    if (length == 0)
        return meshping_error_set(err, MESHPING_INVALID, "it is empty, an address or host name is needed");
    if (length >= sizeof target->host)
        return meshping_error_set(err, MESHPING_INVALID, "the address has %zu bytes, at most %zu are allowed", length,
                                  sizeof target->host - 1);
    memcpy(target->host, text, length);
    target->host[length] = 0;
    const char *name = text + length + strspn(text + length, " \t");
    size_t name_length = strlen(name);
    while (name_length && (name[name_length - 1] == ' ' || name[name_length - 1] == '\t'))
        name_length--;
    if (name_length >= sizeof target->name)
        return meshping_error_set(err, MESHPING_INVALID, "the name has %zu bytes, at most %zu are allowed", name_length,
                                  sizeof target->name - 1);
    memcpy(target->name, name, name_length);
    target->name[name_length] = 0;
    return MESHPING_OK;
}

/* The first pair of equal hosts, by a table of hashes, so that 10,000 targets take no time; the second's index. */
static size_t find_duplicate(const meshping_target_list *list, size_t *first)
{
    enum { SLOTS = 1 << 15 };
    static uint16_t table[SLOTS]; /* index + 1; one loop, one thread */
    if (list->count >= SLOTS / 2)
        return SIZE_MAX;
    memset(table, 0, sizeof table);
    for (size_t i = 0; i < list->count; i++) {
        const meshping_target *target = &list->items[i];
        uint32_t hash = 2166136261u ^ target->family;
        for (const char *at = target->host; *at; at++)
            hash = (hash ^ (unsigned char)*at) * 16777619u;
        for (uint32_t slot = hash % SLOTS;; slot = (slot + 1) % SLOTS) {
            if (!table[slot]) {
                table[slot] = (uint16_t)(i + 1);
                break;
            }
            const meshping_target *other = &list->items[table[slot] - 1];
            if (other->family == target->family && strcmp(other->host, target->host) == 0) {
                *first = table[slot] - 1u;
                return i;
            }
        }
    }
    return SIZE_MAX;
}

meshping_status targets_json_parse(meshping_target_list *out, size_t *index, json_object *body, bool strings_only,
                                   const meshping_target *defaults, size_t limit, meshping_error *err)
{
    meshping_error inner = {0};
    meshping_target_list list = {.limit = limit};
    meshping_status status = MESHPING_OK;
    json_object *targets = NULL;
    *out = (meshping_target_list){0};
    *index = SIZE_MAX;
    if (!json_object_is_type(body, json_type_object) || !json_object_object_get_ex(body, "targets", &targets))
        return meshping_error_set(err, MESHPING_INVALID, "\"targets\" is missing");
    if (!json_object_is_type(targets, json_type_array))
        return meshping_error_set(err, MESHPING_INVALID, "\"targets\" must be a list");
    size_t count = json_object_array_length(targets);
    if (count > limit)
        return meshping_error_set(err, MESHPING_LIMIT, "%zu targets are over the limit of %zu", count, limit);

    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        json_object *item = json_object_array_get_idx(targets, i);
        const char *string = json_body_string(item);
        meshping_target target = *defaults;
        if (string)
            status = from_string(&target, string, &inner);
        else if (!strings_only && json_object_is_type(item, json_type_object))
            status = from_object(&target, item, &inner);
        else
            status = meshping_error_set(&inner, MESHPING_INVALID,
                                        strings_only ? "it must be a string" : "it must be a string or an object");
        if (status == MESHPING_OK)
            status = meshping_target_list_append(&list, &target, &inner);
        if (status == MESHPING_OK)
            status = meshping_target_check(&list.items[list.count - 1], &inner);
        if (status != MESHPING_OK)
            *index = i;
    }
    if (status == MESHPING_OK) {
        size_t first = 0, second = find_duplicate(&list, &first);
        if (second != SIZE_MAX) {
            *index = second;
            status = meshping_error_set(&inner, MESHPING_EXISTS, "%s is there already, as target %zu",
                                        list.items[second].host, first + 1);
        }
    }
    if (status == MESHPING_OK) {
        status = meshping_store_targets_check(&list, err); /* as a PUT will, so that a preview says no likewise */
    } else {
        meshping_error_set(err, status, "target %zu: %s", *index + 1, inner.message);
    }
    if (status != MESHPING_OK) {
        meshping_target_list_dispose(&list);
        return status;
    }
    *out = list;
    return MESHPING_OK;
}
