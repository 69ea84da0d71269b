/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says of itself and of its probing. docs/PROTOCOL.md, Control messages. */
#include "core/message.h"

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

static void add_u64(json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_int64((int64_t)value));
}

static void add_text(json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

void meshping__targets_applied_encode(json_object *data, const meshping_targets_applied *m)
{
    add_u64(data, "revision", m->revision);
    add_u64(data, "count", m->count);
}

void meshping__targets_applied_decode(meshping__fields *f, meshping_targets_applied *m)
{
    m->revision = meshping__field_u64(f, "revision", 0, MESHPING__ID_MAX);
    m->count = (uint32_t)meshping__field_u64(f, "count", 0, UINT32_MAX);
}

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
    meshping__field_text(f, "address", m->address, sizeof m->address, false);
}
