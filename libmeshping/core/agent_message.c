/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says of itself and of its probing. docs/PROTOCOL.md, Control messages. */
#include "core/message.h"

#include "base/alloc.h"
#include "core/address.h"
#include <meshping/sample.h>
#include <string.h>

const char *meshping_unprobed_name(unsigned unprobed)
{
    switch (unprobed) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_UNPROBED_##name:                                                                                     \
        return text;
        MESHPING_UNPROBED_MAP(XX)
#undef XX
    }
    return "unknown";
}

const char *meshping_refusal_name(unsigned refusal)
{
    switch (refusal) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_REFUSAL_##name:                                                                                      \
        return text;
        MESHPING_REFUSAL_MAP(XX)
#undef XX
    }
    return "unknown";
}

static void add_u64(json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_int64((int64_t)value));
}

static void add_text(json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

/* ---- targets_applied ---- */

void meshping__targets_applied_encode(json_object *data, const meshping_targets_applied *m)
{
    add_u64(data, "revision", m->revision);
    add_u64(data, "count", m->count);
    if (!m->refused_count)
        return;
    json_object *refused = json_object_new_array_ext((int)m->refused_count);
    for (size_t i = 0; i < m->refused_count; i++) {
        json_object *one = json_object_new_object();
        add_u64(one, "target", m->refused[i].target_id);
        add_text(one, "reason", meshping_refusal_name(m->refused[i].why));
        json_object_array_add(refused, one);
    }
    add_u64(data, "part", m->part);
    add_u64(data, "parts", m->parts);
    json_object_object_add(data, "refused", refused);
}

/* Room for what the array holds; NULL: there is nothing to read. */
static void *make_room(meshping__fields *f, const json_object *array, size_t size, size_t *count)
{
    *count = array ? json_object_array_length(array) : 0;
    void *room = *count ? meshping__calloc(*count, size) : NULL;
    if (*count && !room) {
        f->status = meshping_error_set(f->err, MESHPING_NOMEM, "out of memory");
        *count = 0;
    }
    return room;
}

static void refused_target_decode(meshping__fields *parent, json_object *object, meshping_refused_target *out)
{
    char name[32];
    meshping__fields f = {object, parent->err, MESHPING_OK};
    if (!json_object_is_type(object, json_type_object)) {
        meshping__field_fail(parent, "refused", "is not a list of objects");
        return;
    }
    out->target_id = meshping__field_u64(&f, "target", 1, MESHPING__ID_MAX);
    meshping__field_text(&f, "reason", name, sizeof name, true);
    for (unsigned i = MESHPING_REFUSAL_NO_IPV4; f.status == MESHPING_OK && i <= MESHPING_REFUSAL_LIMIT; i++)
        if (strcmp(name, meshping_refusal_name(i)) == 0)
            out->why = (meshping_refusal)i;
    if (!out->why)
        meshping__field_fail(&f, "reason", "is none that this version knows");
    parent->status = f.status;
}

void meshping__targets_applied_decode(meshping__fields *f, meshping_targets_applied *m)
{
    m->revision = meshping__field_u64(f, "revision", 0, MESHPING__ID_MAX);
    m->count = (uint32_t)meshping__field_u64(f, "count", 0, UINT32_MAX);
    m->parts = meshping__field_has(f, "parts") ? (uint32_t)meshping__field_u64(f, "parts", 1, MESHPING__PARTS_MAX) : 1;
    m->part = (uint32_t)meshping__field_u64_or(f, "part", m->parts - 1, 0);
    json_object *array =
        meshping__field_has(f, "refused") ? meshping__field_array(f, "refused", MESHPING_REFUSED_MAX) : NULL;
    m->refused = make_room(f, array, sizeof *m->refused, &m->refused_count);
    for (size_t i = 0; i < m->refused_count && f->status == MESHPING_OK; i++)
        refused_target_decode(f, json_object_array_get_idx(array, i), &m->refused[i]);
}

/* ---- status ---- */

void meshping__status_encode(json_object *data, const meshping_status_message *m)
{
    add_u64(data, "time_us", (uint64_t)m->time_unix_us);
    if (m->ping)
        add_u64(data, "ping", m->ping);
    if (m->pong)
        add_u64(data, "pong", m->pong);
    if (m->echo_unix_us)
        add_u64(data, "echo_us", (uint64_t)m->echo_unix_us);
    add_u64(data, "buffered_samples", m->buffered_samples);
    add_u64(data, "dropped_samples", m->dropped_samples);
    add_u64(data, "retry_s", m->retry_s);
    if (m->has_load) {
        json_object *load = json_object_new_object();
        add_u64(load, "cpu_permille", m->load.cpu_permille);
        add_u64(load, "load_permille", m->load.load_permille);
        add_u64(load, "late_probes", m->load.late_probes);
        add_u64(load, "overloaded", m->load.overloaded);
        json_object_object_add(data, "load", load);
    }
    if (!m->resolved_count)
        return;
    json_object *resolved = json_object_new_array_ext((int)m->resolved_count);
    for (size_t i = 0; i < m->resolved_count; i++) {
        json_object *one = json_object_new_object();
        add_u64(one, "target", m->resolved[i].target_id);
        add_text(one, "address", m->resolved[i].address);
        json_object_array_add(resolved, one);
    }
    json_object_object_add(data, "resolved", resolved);
}

static void load_decode(meshping__fields *parent, meshping_agent_load *load)
{
    meshping__fields f = {json_object_object_get(parent->object, "load"), parent->err, MESHPING_OK};
    if (!json_object_is_type(f.object, json_type_object)) {
        meshping__field_fail(parent, "load", "is not an object");
        return;
    }
    load->cpu_permille = (uint32_t)meshping__field_u64(&f, "cpu_permille", 0, UINT32_MAX);
    load->load_permille = (uint32_t)meshping__field_u64(&f, "load_permille", 0, UINT32_MAX);
    load->late_probes = meshping__field_u64(&f, "late_probes", 0, MESHPING__ID_MAX);
    load->overloaded = meshping__field_u64(&f, "overloaded", 0, MESHPING__ID_MAX);
    if (f.status != MESHPING_OK)
        parent->status = f.status;
}

/* With its zone, which is the agent's and need not be here. */
static void address_decode(meshping__fields *f, char out[MESHPING_ADDRESS_TEXT_MAX], bool required)
{
    char plain[MESHPING_ADDRESS_TEXT_MAX];
    meshping_address address;
    meshping__field_text(f, "address", out, MESHPING_ADDRESS_TEXT_MAX, required);
    if (f->status != MESHPING_OK || !out[0])
        return;
    size_t length = strcspn(out, "%");
    memcpy(plain, out, length);
    plain[length] = 0;
    if (meshping_address_parse(&address, plain, NULL) != MESHPING_OK ||
        (out[length] && !meshping__interface_name_ok(out + length + 1)))
        meshping__field_fail(f, "address", "is not an IP address");
}

static void resolved_target_decode(meshping__fields *parent, json_object *object, meshping_resolved_target *out)
{
    meshping__fields f = {object, parent->err, MESHPING_OK};
    if (!json_object_is_type(object, json_type_object)) {
        meshping__field_fail(parent, "resolved", "is not a list of objects");
        return;
    }
    out->target_id = meshping__field_u64(&f, "target", 1, MESHPING__ID_MAX);
    address_decode(&f, out->address, true);
    parent->status = f.status;
}

void meshping__status_decode(meshping__fields *f, meshping_status_message *m)
{
    m->time_unix_us = meshping__field_time(f, "time_us", true);
    m->ping = meshping__field_u64_or(f, "ping", MESHPING__ID_MAX, 0);
    m->pong = meshping__field_u64_or(f, "pong", MESHPING__ID_MAX, 0);
    m->echo_unix_us = meshping__field_time(f, "echo_us", false);
    m->buffered_samples = meshping__field_u64_or(f, "buffered_samples", MESHPING__ID_MAX, 0);
    m->dropped_samples = meshping__field_u64_or(f, "dropped_samples", MESHPING__ID_MAX, 0);
    m->retry_s = (uint32_t)meshping__field_u64_or(f, "retry_s", UINT32_MAX, 0);
    m->has_load = meshping__field_has(f, "load");
    if (m->has_load)
        load_decode(f, &m->load);
    json_object *array =
        meshping__field_has(f, "resolved") ? meshping__field_array(f, "resolved", MESHPING_RESOLVED_MAX) : NULL;
    m->resolved = make_room(f, array, sizeof *m->resolved, &m->resolved_count);
    for (size_t i = 0; i < m->resolved_count && f->status == MESHPING_OK; i++)
        resolved_target_decode(f, json_object_array_get_idx(array, i), &m->resolved[i]);
}

/* ---- probe_result ---- */

void meshping__probe_answer_encode(json_object *data, const meshping_probe_answer *m)
{
    add_u64(data, "request", m->request);
    add_u64(data, "target", m->target_id);
    if (m->unprobed) {
        add_text(data, "unprobed", meshping_unprobed_name(m->unprobed));
        return;
    }
    add_text(data, "outcome", meshping_outcome_name(m->outcome));
    if (m->outcome == MESHPING_OUTCOME_OK)
        add_u64(data, "rtt_us", m->rtt_us);
    if (m->sent_unix_us)
        add_u64(data, "sent_us", (uint64_t)m->sent_unix_us);
    if (m->address[0])
        add_text(data, "address", m->address);
}

static void outcome_decode(meshping__fields *f, meshping_probe_answer *m)
{
    char name[32];
    meshping__field_text(f, "outcome", name, sizeof name, true);
    for (m->outcome = 0; m->outcome < MESHPING_OUTCOME_COUNT; m->outcome++)
        if (strcmp(name, meshping_outcome_name(m->outcome)) == 0 && strcmp(name, "unknown") != 0)
            return;
    m->outcome = 0;
    meshping__field_fail(f, "outcome", "is none that this version knows");
}

static void unprobed_decode(meshping__fields *f, meshping_probe_answer *m)
{
    char name[32];
    meshping__field_text(f, "unprobed", name, sizeof name, true);
    for (unsigned i = MESHPING_UNPROBED_UNKNOWN_TARGET; i <= MESHPING_UNPROBED_BUSY; i++)
        if (strcmp(name, meshping_unprobed_name(i)) == 0)
            m->unprobed = (meshping_unprobed)i;
    if (!m->unprobed)
        meshping__field_fail(f, "unprobed", "is none that this version knows");
}

void meshping__probe_answer_decode(meshping__fields *f, meshping_probe_answer *m)
{
    m->request = meshping__field_u64(f, "request", 1, MESHPING__ID_MAX);
    m->target_id = meshping__field_u64(f, "target", 1, MESHPING__ID_MAX);
    if (meshping__field_has(f, "unprobed")) {
        unprobed_decode(f, m);
        return;
    }
    outcome_decode(f, m);
    if (m->outcome == MESHPING_OUTCOME_OK)
        m->rtt_us = (uint32_t)meshping__field_u64(f, "rtt_us", 0, MESHPING_RTT_US_MAX);
    m->sent_unix_us = meshping__field_time(f, "sent_us", false);
    address_decode(f, m->address, false);
}
