/* SPDX-License-Identifier: Apache-2.0 */
/* Control messages: docs/PROTOCOL.md, Messages. One encode and one decode function an event. */
#include <meshping/protocol.h>

#include "base/alloc.h"
#include "core/json.h"
#include "core/message.h"
#include "core/readable.h"
#include <string.h>

#define ID_MAX MESHPING__ID_MAX

const char *meshping_event_name(unsigned event)
{
    switch (event) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_EVENT_##name:                                                                                        \
        return text;
        MESHPING_EVENT_MAP(XX)
#undef XX
    }
    return "unknown";
}

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

/* ---- ranges ---- */

static json_object *ranges_encode(const meshping_range *ranges, size_t count)
{
    json_object *array = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        json_object *pair = json_object_new_array_ext(2);
        json_object_array_add(pair, json_object_new_int64((int64_t)ranges[i].first));
        json_object_array_add(pair, json_object_new_int64((int64_t)ranges[i].last));
        json_object_array_add(array, pair);
    }
    return array;
}

/* Ascending, apart, at most MESHPING_RANGES_MAX. */
static size_t ranges_decode(meshping__fields *fields, meshping_range *ranges)
{
    json_object *array = meshping__field_array(fields, "ranges", MESHPING_RANGES_MAX);
    size_t count = array ? json_object_array_length(array) : 0;
    for (size_t i = 0; i < count; i++) {
        json_object *pair = json_object_array_get_idx(array, i);
        if (!json_object_is_type(pair, json_type_array) || json_object_array_length(pair) != 2) {
            meshping__field_fail(fields, "ranges", "is not a list of pairs");
            return 0;
        }
        int64_t bounds[2];
        for (size_t k = 0; k < 2; k++) {
            json_object *bound = json_object_array_get_idx(pair, k);
            bounds[k] = json_object_is_type(bound, json_type_int) ? json_object_get_int64(bound) : 0;
        }
        if (bounds[0] < 1 || bounds[1] < bounds[0] || bounds[1] > (int64_t)ID_MAX ||
            (i && (uint64_t)bounds[0] <= ranges[i - 1].last)) {
            meshping__field_fail(fields, "ranges", "is not ascending");
            return 0;
        }
        ranges[i] = (meshping_range){(uint64_t)bounds[0], (uint64_t)bounds[1]};
    }
    return count;
}

/* ---- welcome ---- */

static void welcome_encode(json_object *data, const meshping_welcome *m)
{
    add_u64(data, "version", m->version);
    add(data, "server_id", meshping__json_hex64(m->server_id));
    add(data, "nonce_s", meshping__json_bytes(m->nonce_s, sizeof m->nonce_s));
    add_u64(data, "time_ms", (uint64_t)m->time_unix_ms);
}

static void welcome_decode(meshping__fields *f, meshping_welcome *m)
{
    m->version = (uint32_t)meshping__field_u64(f, "version", 1, UINT32_MAX);
    m->server_id = meshping__field_hex64(f, "server_id", true);
    meshping__field_bytes(f, "nonce_s", m->nonce_s, sizeof m->nonce_s);
    m->time_unix_ms = meshping__field_time(f, "time_ms", true);
}

/* ---- handshake ---- */

static void handshake_encode(json_object *data, const meshping_handshake *m)
{
    add_text(data, "mode", m->enrol ? "enrol" : "resume");
    if (m->enrol)
        add(data, "tid", meshping__json_bytes(m->tid, sizeof m->tid));
    else if (m->ticket_length)
        add(data, "ticket", meshping__json_bytes(m->ticket, m->ticket_length));
    add(data, "public_key", meshping__json_bytes(m->public_key, sizeof m->public_key));
    add(data, "nonce_a", meshping__json_bytes(m->nonce_a, sizeof m->nonce_a));
    add(data, "info", meshping__json_bytes(m->info, m->info_length));
    add(data, "signature", meshping__json_bytes(m->signature, sizeof m->signature));
}

static void handshake_decode(meshping__fields *f, meshping_handshake *m)
{
    char mode[16];
    meshping__field_text(f, "mode", mode, sizeof mode, true);
    m->enrol = strcmp(mode, "enrol") == 0;
    if (!m->enrol && strcmp(mode, "resume") != 0)
        meshping__field_fail(f, "mode", "is neither enrol nor resume");
    if (m->enrol)
        meshping__field_bytes(f, "tid", m->tid, sizeof m->tid);
    else if (meshping__field_has(f, "ticket")) {
        meshping__field_bytes(f, "ticket", m->ticket, sizeof m->ticket);
        m->ticket_length = sizeof m->ticket;
    }
    meshping__field_bytes(f, "public_key", m->public_key, sizeof m->public_key);
    meshping__field_bytes(f, "nonce_a", m->nonce_a, sizeof m->nonce_a);
    m->info_length = meshping__field_bytes_up_to(f, "info", m->info, sizeof m->info);
    meshping__field_bytes(f, "signature", m->signature, sizeof m->signature);
}

/* ---- registration_status, refused ---- */

static void registration_status_encode(json_object *data, const meshping_registration_status *m)
{
    add_text(data, "status", meshping_agent_state_name(m->state));
    add_text(data, "message", m->message);
    if (m->agent_id)
        add(data, "agent_id", meshping__json_hex64(m->agent_id));
    add(data, "epoch", meshping__json_hex64(m->epoch));
    add(data, "ranges", ranges_encode(m->ranges, m->range_count));
    add_u64(data, "credit", m->credit_bytes);
    add_u64(data, "retry_s", m->retry_s);
    if (m->has_ticket)
        add(data, "ticket", meshping__json_bytes(m->ticket, sizeof m->ticket));
}

static void registration_status_decode(meshping__fields *f, meshping_registration_status *m)
{
    char state[16];
    meshping__field_text(f, "status", state, sizeof state, true);
    if (f->status == MESHPING_OK && meshping_agent_state_parse(&m->state, state) != MESHPING_OK)
        meshping__field_fail(f, "status", "is none that this version knows");
    meshping__field_text(f, "message", m->message, sizeof m->message, false);
    m->agent_id = meshping__field_hex64(f, "agent_id", false);
    m->epoch = meshping__field_hex64(f, "epoch", true);
    m->range_count = ranges_decode(f, m->ranges);
    m->credit_bytes = meshping__field_u64(f, "credit", 0, ID_MAX);
    m->retry_s = (uint32_t)meshping__field_u64_or(f, "retry_s", UINT32_MAX, 0);
    m->has_ticket = meshping__field_has(f, "ticket");
    if (m->has_ticket)
        meshping__field_bytes(f, "ticket", m->ticket, sizeof m->ticket);
}

static void joined_encode(json_object *data, const meshping_joined *m)
{
    add(data, "serial", meshping__json_hex64(m->serial));
}

static void joined_decode(meshping__fields *f, meshping_joined *m)
{
    m->serial = meshping__field_hex64(f, "serial", true);
}

static void refused_encode(json_object *data, const meshping_refused *m)
{
    add_text(data, "code", m->code);
    add_text(data, "message", m->message);
    add_u64(data, "retry_s", m->retry_s);
}

static void refused_decode(meshping__fields *f, meshping_refused *m)
{
    meshping__field_text(f, "code", m->code, sizeof m->code, true);
    meshping__field_text(f, "message", m->message, sizeof m->message, false);
    m->retry_s = (uint32_t)meshping__field_u64_or(f, "retry_s", UINT32_MAX, 0);
}

/* ---- the small ones ---- */

static void data_received_encode(json_object *data, const meshping_data_received *m)
{
    add(data, "epoch", meshping__json_hex64(m->epoch));
    add(data, "ranges", ranges_encode(m->ranges, m->range_count));
    add_u64(data, "credit", m->credit_bytes);
}

static void data_received_decode(meshping__fields *f, meshping_data_received *m)
{
    m->epoch = meshping__field_hex64(f, "epoch", true);
    m->range_count = ranges_decode(f, m->ranges);
    m->credit_bytes = meshping__field_u64(f, "credit", 0, ID_MAX);
}

static void gap_encode(json_object *data, const meshping_gap_message *m)
{
    add(data, "epoch", meshping__json_hex64(m->epoch));
    add_u64(data, "first", m->gap.first_sequence);
    add_u64(data, "last", m->gap.last_sequence);
    add_u64(data, "from_us", (uint64_t)m->gap.first_unix_us);
    add_u64(data, "to_us", (uint64_t)m->gap.last_unix_us);
    add_u64(data, "samples", m->gap.sample_count);
    add_text(data, "reason", meshping_gap_reason_name(m->gap.reason));
}

static void gap_decode(meshping__fields *f, meshping_gap_message *m)
{
    char reason[32];
    m->epoch = meshping__field_hex64(f, "epoch", true);
    m->gap.first_sequence = meshping__field_u64(f, "first", 1, ID_MAX);
    m->gap.last_sequence = meshping__field_u64(f, "last", m->gap.first_sequence, ID_MAX);
    m->gap.first_unix_us = meshping__field_time(f, "from_us", true);
    m->gap.last_unix_us = meshping__field_time(f, "to_us", true);
    m->gap.sample_count = meshping__field_u64_or(f, "samples", ID_MAX, 0);
    meshping__field_text(f, "reason", reason, sizeof reason, true);
    for (unsigned i = 1; i <= MESHPING_GAP_SERVER_LOST; i++)
        if (strcmp(reason, meshping_gap_reason_name(i)) == 0)
            m->gap.reason = (meshping_gap_reason)i;
    if (!m->gap.reason)
        meshping__field_fail(f, "reason", "is none that this version knows");
    else if (m->gap.last_unix_us < m->gap.first_unix_us)
        meshping__field_fail(f, "to_us", "is before from_us");
}

static void rekey_encode(json_object *data, const meshping_rekey *m)
{
    add(data, "public_key", meshping__json_bytes(m->public_key, sizeof m->public_key));
    add(data, "old_signature", meshping__json_bytes(m->old_signature, sizeof m->old_signature));
    add(data, "new_signature", meshping__json_bytes(m->new_signature, sizeof m->new_signature));
}

static void rekey_decode(meshping__fields *f, meshping_rekey *m)
{
    meshping__field_bytes(f, "public_key", m->public_key, sizeof m->public_key);
    meshping__field_bytes(f, "old_signature", m->old_signature, sizeof m->old_signature);
    meshping__field_bytes(f, "new_signature", m->new_signature, sizeof m->new_signature);
}

static meshping_status monitoring_data_encode(json_object *data, const meshping_monitoring_data *m, meshping_error *err)
{
    json_object *samples = NULL;
    meshping_status status = meshping__readable_encode(&samples, m->block, m->block_length, err);
    add(data, "epoch", meshping__json_hex64(m->epoch));
    add_u64(data, "sequence", m->sequence);
    add(data, "samples", samples);
    return status;
}

static void monitoring_data_decode(meshping__fields *f, meshping_monitoring_data *m)
{
    m->epoch = meshping__field_hex64(f, "epoch", true);
    m->sequence = meshping__field_u64(f, "sequence", 1, ID_MAX);
    json_object *samples = meshping__field_array(f, "samples", MESHPING__READABLE_SAMPLES_MAX);
    if (samples)
        f->status = meshping__readable_decode(&m->block, &m->block_length, samples, f->err);
}

/* ---- dispatch ---- */

static meshping_status body_encode(json_object *data, const meshping_message *message, meshping_error *err)
{
    switch (message->event) {
    case MESHPING_EVENT_WELCOME:
        welcome_encode(data, &message->u.welcome);
        return MESHPING_OK;
    case MESHPING_EVENT_HANDSHAKE:
        handshake_encode(data, &message->u.handshake);
        return MESHPING_OK;
    case MESHPING_EVENT_REGISTRATION_STATUS:
        registration_status_encode(data, &message->u.registration_status);
        return MESHPING_OK;
    case MESHPING_EVENT_REFUSED:
        refused_encode(data, &message->u.refused);
        return MESHPING_OK;
    case MESHPING_EVENT_SERVER_MESSAGE:
        return meshping__server_message_encode(data, message, err);
    case MESHPING_EVENT_TARGETS_APPLIED:
        meshping__targets_applied_encode(data, &message->u.targets_applied);
        return MESHPING_OK;
    case MESHPING_EVENT_STATUS:
        meshping__status_encode(data, &message->u.status);
        return MESHPING_OK;
    case MESHPING_EVENT_MONITORING_DATA:
        return monitoring_data_encode(data, &message->u.monitoring_data, err);
    case MESHPING_EVENT_DATA_RECEIVED:
        data_received_encode(data, &message->u.data_received);
        return MESHPING_OK;
    case MESHPING_EVENT_GAP:
        gap_encode(data, &message->u.gap);
        return MESHPING_OK;
    case MESHPING_EVENT_JOINED:
        joined_encode(data, &message->u.joined);
        return MESHPING_OK;
    case MESHPING_EVENT_REKEY:
        rekey_encode(data, &message->u.rekey);
        return MESHPING_OK;
    case MESHPING_EVENT_PIN_STORED:
        meshping__pins_encode(data, &message->u.pins);
        return MESHPING_OK;
    case MESHPING_EVENT_PROBE_RESULT:
        meshping__probe_answer_encode(data, &message->u.probe_answer);
        return MESHPING_OK;
    }
    return meshping_error_set(err, MESHPING_INVALID, "there is no event %u", (unsigned)message->event);
}

meshping_status meshping_message_encode(char **text, size_t *length, const meshping_message *message,
                                        meshping_error *err)
{
    meshping_status status = MESHPING_NOMEM;
    json_object *object = json_object_new_object(), *data = json_object_new_object();
    const char *encoded = NULL;
    *text = NULL;
    *length = 0;
    if (object && data) {
        status = body_encode(data, message, err);
        add_text(object, "event", meshping_event_name(message->event));
        add(object, "data", data);
        data = NULL;
    }
    if (status == MESHPING_OK)
        encoded = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, length);
    if (encoded)
        *text = meshping__strdup(encoded);
    if (status == MESHPING_OK && !*text)
        status = MESHPING_NOMEM;
    if (status == MESHPING_NOMEM) {
        *length = 0;
        meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    json_object_put(data);
    json_object_put(object);
    return status;
}

static void body_decode(meshping__fields *fields, meshping_message *out)
{
    switch (out->event) {
    case MESHPING_EVENT_WELCOME:
        welcome_decode(fields, &out->u.welcome);
        break;
    case MESHPING_EVENT_HANDSHAKE:
        handshake_decode(fields, &out->u.handshake);
        break;
    case MESHPING_EVENT_REGISTRATION_STATUS:
        registration_status_decode(fields, &out->u.registration_status);
        break;
    case MESHPING_EVENT_REFUSED:
        refused_decode(fields, &out->u.refused);
        break;
    case MESHPING_EVENT_SERVER_MESSAGE:
        meshping__server_message_decode(fields, out);
        break;
    case MESHPING_EVENT_TARGETS_APPLIED:
        meshping__targets_applied_decode(fields, &out->u.targets_applied);
        break;
    case MESHPING_EVENT_STATUS:
        meshping__status_decode(fields, &out->u.status);
        break;
    case MESHPING_EVENT_MONITORING_DATA:
        monitoring_data_decode(fields, &out->u.monitoring_data);
        break;
    case MESHPING_EVENT_DATA_RECEIVED:
        data_received_decode(fields, &out->u.data_received);
        break;
    case MESHPING_EVENT_GAP:
        gap_decode(fields, &out->u.gap);
        break;
    case MESHPING_EVENT_JOINED:
        joined_decode(fields, &out->u.joined);
        break;
    case MESHPING_EVENT_REKEY:
        rekey_decode(fields, &out->u.rekey);
        break;
    case MESHPING_EVENT_PIN_STORED:
        meshping__pins_decode(fields, &out->u.pins);
        break;
    default: /* probe_result */
        meshping__probe_answer_decode(fields, &out->u.probe_answer);
        break;
    }
}

static bool event_parse(meshping_event *out, const char *name)
{
    for (unsigned i = MESHPING_EVENT_WELCOME; i <= MESHPING_EVENT_PROBE_RESULT; i++)
        if (strcmp(meshping_event_name(i), name) == 0) {
            *out = (meshping_event)i;
            return true;
        }
    return false;
}

meshping_status meshping_message_decode(meshping_message *out, const char *text, size_t length, meshping_error *err)
{
    char name[32];
    json_object *data = NULL;
    memset(out, 0, sizeof *out);
    json_object *object = meshping__json_parse(text, length, err);
    if (!object)
        return MESHPING_PROTOCOL;
    meshping__fields fields = {object, err, MESHPING_OK};
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, "data", &data) ||
        !json_object_is_type(data, json_type_object)) {
        fields.status = meshping_error_set(err, MESHPING_PROTOCOL, "a message is {\"event\": NAME, \"data\": {...}}");
        goto out;
    }
    meshping__field_text(&fields, "event", name, sizeof name, true);
    if (fields.status != MESHPING_OK)
        goto out;
    if (!event_parse(&out->event, name)) {
        fields.status = meshping_error_set(err, MESHPING_PROTOCOL, "unknown event \"%s\"", name);
        goto out;
    }
    fields.object = data;
    body_decode(&fields, out);
out:
    if (fields.status != MESHPING_OK)
        meshping_message_dispose(out);
    json_object_put(object);
    return fields.status;
}

void meshping_message_dispose(meshping_message *message)
{
    if (message->event == MESHPING_EVENT_SERVER_MESSAGE && message->type == MESHPING_SERVER_MESSAGE_UPDATE_TARGETS) {
        meshping_target_list_dispose(&message->u.target_update.list);
        meshping__free(message->u.target_update.removed);
    }
    if (message->event == MESHPING_EVENT_TARGETS_APPLIED)
        meshping__free(message->u.targets_applied.refused);
    if (message->event == MESHPING_EVENT_STATUS)
        meshping__free(message->u.status.resolved);
    if (message->event == MESHPING_EVENT_MONITORING_DATA)
        meshping__free(message->u.monitoring_data.block);
    memset(message, 0, sizeof *message);
}
