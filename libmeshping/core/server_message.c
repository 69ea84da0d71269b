/* SPDX-License-Identifier: Apache-2.0 */
/* server_message: what the server tells an agent to do. docs/PROTOCOL.md, Control messages. */
#include "core/message.h"

#include "base/alloc.h"
#include <string.h>

#define PART_TARGETS_MAX 1000u
#define TYPE_COUNT 5

static const char *const type_names[TYPE_COUNT] = {
#define XX(value, name, text) [value] = text,
    MESHPING_SERVER_MESSAGE_MAP(XX)
#undef XX
};

static void add(json_object *object, const char *name, json_object *value)
{
    json_object_object_add(object, name, value);
}

static void add_u64(json_object *object, const char *name, uint64_t value)
{
    add(object, name, json_object_new_int64((int64_t)value));
}

static void add_text(json_object *object, const char *name, const char *value)
{
    add(object, name, json_object_new_string(value));
}

/* ---- update_targets ---- */

static json_object *target_encode(const meshping_target *target)
{
    json_object *object = json_object_new_object();
    add_u64(object, "id", target->id);
    add_text(object, "address", target->host);
    if (target->name[0])
        add_text(object, "name", target->name);
    add_u64(object, "interval_ms", target->interval_ms);
    add_u64(object, "timeout_ms", target->timeout_ms);
    add_u64(object, "size", target->size);
    add_u64(object, "dscp", target->dscp);
    if (target->ttl)
        add_u64(object, "ttl", target->ttl);
    if (target->family)
        add_u64(object, "family", target->family);
    if (target->dont_fragment)
        add(object, "dont_fragment", json_object_new_boolean(true));
    if (target->source.family) {
        char text[MESHPING_ADDRESS_TEXT_MAX];
        add_text(object, "source", meshping_address_format(&target->source, text));
    }
    if (target->interface[0])
        add_text(object, "interface", target->interface);
    return object;
}

static void update_encode(json_object *data, const meshping_target_update *m)
{
    json_object *array = json_object_new_array_ext((int)m->list.count);
    for (size_t i = 0; i < m->list.count; i++)
        json_object_array_add(array, target_encode(&m->list.items[i]));
    add_u64(data, "revision", m->revision);
    add_u64(data, "part", m->part);
    add_u64(data, "parts", m->parts);
    add(data, "targets", array);
    if (!m->is_delta)
        return;
    json_object *removed = json_object_new_array_ext((int)m->removed_count);
    for (size_t i = 0; i < m->removed_count; i++)
        json_object_array_add(removed, json_object_new_uint64(m->removed[i]));
    add_u64(data, "base", m->base);
    add(data, "removed", removed);
}

static void target_decode(meshping__fields *parent, json_object *object, meshping_target_list *list)
{
    meshping_target target;
    meshping__fields f = {object, parent->err, MESHPING_OK};
    meshping_target_init(&target);
    if (!json_object_is_type(object, json_type_object)) {
        meshping__field_fail(parent, "targets", "is not a list of objects");
        return;
    }
    target.id = meshping__field_u64(&f, "id", 1, MESHPING__ID_MAX);
    meshping__field_text(&f, "address", target.host, sizeof target.host, true);
    meshping__field_text(&f, "name", target.name, sizeof target.name, false);
    target.interval_ms = (uint32_t)meshping__field_u64_or(&f, "interval_ms", UINT32_MAX, target.interval_ms);
    target.timeout_ms = (uint32_t)meshping__field_u64_or(&f, "timeout_ms", UINT32_MAX, target.timeout_ms);
    target.size = (uint16_t)meshping__field_u64_or(&f, "size", UINT16_MAX, target.size);
    target.dscp = (uint8_t)meshping__field_u64_or(&f, "dscp", UINT8_MAX, 0);
    target.ttl = (uint8_t)meshping__field_u64_or(&f, "ttl", UINT8_MAX, 0);
    target.family = (uint8_t)meshping__field_u64_or(&f, "family", UINT8_MAX, 0);
    target.dont_fragment = meshping__field_flag(&f, "dont_fragment");
    char source[MESHPING_ADDRESS_TEXT_MAX];
    meshping__field_text(&f, "source", source, sizeof source, false);
    if (source[0] && meshping_address_parse(&target.source, source, NULL) != MESHPING_OK)
        meshping__field_fail(&f, "source", "is not an IP address");
    meshping__field_text(&f, "interface", target.interface, sizeof target.interface, false);
    if (f.status == MESHPING_OK)
        f.status = meshping_target_list_append(list, &target, parent->err);
    if (f.status != MESHPING_OK)
        parent->status = f.status == MESHPING_NOMEM ? MESHPING_NOMEM : MESHPING_PROTOCOL;
}

static void removed_decode(meshping__fields *f, meshping_target_update *m)
{
    json_object *array = meshping__field_array(f, "removed", MESHPING_UPDATE_REMOVED_MAX);
    size_t count = array ? json_object_array_length(array) : 0;
    if (f->status == MESHPING_OK && count && !(m->removed = meshping__calloc(count, sizeof *m->removed)))
        f->status = meshping_error_set(f->err, MESHPING_NOMEM, "out of memory");
    for (size_t i = 0; i < count && f->status == MESHPING_OK; i++) {
        json_object *id = json_object_array_get_idx(array, i);
        m->removed[i] = json_object_is_type(id, json_type_int) ? json_object_get_uint64(id) : 0;
        if (m->removed[i] < 1 || m->removed[i] > MESHPING__ID_MAX) /* json-c makes 0 of what is below */
            meshping__field_fail(f, "removed", "is not a list of targets' ids");
        m->removed_count++;
    }
}

static void update_decode(meshping__fields *f, meshping_target_update *m)
{
    m->revision = meshping__field_u64(f, "revision", 0, MESHPING__ID_MAX);
    m->parts = (uint32_t)meshping__field_u64(f, "parts", 1, MESHPING__PARTS_MAX);
    m->part = (uint32_t)meshping__field_u64(f, "part", 0, m->parts - 1);
    json_object *array = meshping__field_array(f, "targets", PART_TARGETS_MAX);
    size_t count = array ? json_object_array_length(array) : 0;
    m->list.revision = m->revision;
    for (size_t i = 0; i < count && f->status == MESHPING_OK; i++)
        target_decode(f, json_object_array_get_idx(array, i), &m->list);
    m->is_delta = meshping__field_has(f, "base") || meshping__field_has(f, "removed");
    if (f->status != MESHPING_OK || !m->is_delta)
        return;
    m->base = meshping__field_u64(f, "base", 0, MESHPING__ID_MAX);
    removed_decode(f, m);
}

/* ---- keys ---- */

bool meshping_pins_have_next(const meshping_pins *pins)
{
    static const uint8_t none[MESHPING_PIN_LEN];
    return memcmp(pins->next, none, sizeof none) != 0;
}

void meshping__pins_encode(json_object *data, const meshping_pins *m)
{
    add(data, "pin", meshping__json_bytes(m->pin, sizeof m->pin));
    if (meshping_pins_have_next(m))
        add(data, "next", meshping__json_bytes(m->next, sizeof m->next));
}

void meshping__pins_decode(meshping__fields *f, meshping_pins *m)
{
    meshping__field_bytes(f, "pin", m->pin, sizeof m->pin);
    if (meshping__field_has(f, "next"))
        meshping__field_bytes(f, "next", m->next, sizeof m->next);
}

/* ---- probe_now ---- */

static void probe_now_encode(json_object *data, const meshping_probe_now *m)
{
    json_object *targets = json_object_new_array_ext((int)m->target_count);
    for (size_t i = 0; i < m->target_count; i++)
        json_object_array_add(targets, json_object_new_uint64(m->targets[i]));
    add_u64(data, "request", m->request);
    add(data, "targets", targets);
}

static void probe_now_decode(meshping__fields *f, meshping_probe_now *m)
{
    m->request = meshping__field_u64(f, "request", 1, MESHPING__ID_MAX);
    json_object *array = meshping__field_array(f, "targets", MESHPING_PROBE_NOW_MAX);
    m->target_count = array ? json_object_array_length(array) : 0;
    for (size_t i = 0; i < m->target_count; i++) {
        json_object *id = json_object_array_get_idx(array, i);
        m->targets[i] = json_object_is_type(id, json_type_int) ? json_object_get_uint64(id) : 0;
        if (m->targets[i] < 1 || m->targets[i] > MESHPING__ID_MAX)
            meshping__field_fail(f, "targets", "is not a list of targets' ids");
    }
}

/* ---- all of them ---- */

meshping_status meshping__server_message_encode(json_object *data, const meshping_message *message, meshping_error *err)
{
    if ((unsigned)message->type >= TYPE_COUNT)
        return meshping_error_set(err, MESHPING_INVALID, "there is no message of type %u", (unsigned)message->type);
    add_text(data, "type", type_names[message->type]);
    switch (message->type) {
    case MESHPING_SERVER_MESSAGE_UPDATE_TARGETS:
        update_encode(data, &message->u.target_update);
        break;
    case MESHPING_SERVER_MESSAGE_REKEY:
        add(data, "nonce", meshping__json_bytes(message->u.rekey_request.nonce, MESHPING_NONCE_LEN));
        break;
    case MESHPING_SERVER_MESSAGE_REKEYED:
        add(data, "public_key", meshping__json_bytes(message->u.rekeyed.public_key, MESHPING_KEY_LEN));
        break;
    case MESHPING_SERVER_MESSAGE_PIN_CHANGE:
        meshping__pins_encode(data, &message->u.pins);
        break;
    default: /* probe_now */
        probe_now_encode(data, &message->u.probe_now);
        break;
    }
    return MESHPING_OK;
}

/* False: none that this version knows. */
static bool type_parse(meshping_server_message_type *out, const char *name)
{
    for (unsigned i = 0; i < TYPE_COUNT; i++)
        if (strcmp(name, type_names[i]) == 0) {
            *out = (meshping_server_message_type)i;
            return true;
        }
    return false;
}

void meshping__server_message_decode(meshping__fields *f, meshping_message *out)
{
    char type[32];
    meshping__field_text(f, "type", type, sizeof type, true);
    if (f->status != MESHPING_OK)
        return;
    if (!type_parse(&out->type, type)) {
        meshping__field_fail(f, "type", "is none that this version knows");
        return;
    }
    switch (out->type) {
    case MESHPING_SERVER_MESSAGE_UPDATE_TARGETS:
        update_decode(f, &out->u.target_update);
        break;
    case MESHPING_SERVER_MESSAGE_REKEY:
        meshping__field_bytes(f, "nonce", out->u.rekey_request.nonce, MESHPING_NONCE_LEN);
        break;
    case MESHPING_SERVER_MESSAGE_REKEYED:
        meshping__field_bytes(f, "public_key", out->u.rekeyed.public_key, MESHPING_KEY_LEN);
        break;
    case MESHPING_SERVER_MESSAGE_PIN_CHANGE:
        meshping__pins_decode(f, &out->u.pins);
        break;
    default: /* probe_now */
        probe_now_decode(f, &out->u.probe_now);
        break;
    }
}
