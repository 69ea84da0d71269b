/* SPDX-License-Identifier: Apache-2.0 */
/* A control message from anyone. What is accepted must come out of the encoder, be accepted again, and then stay. */
#include <meshping/protocol.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_ranges(const meshping_range *ranges, size_t count)
{
    check(count <= MESHPING_RANGES_MAX);
    for (size_t i = 0; i < count; i++)
        check(ranges[i].first > (i ? ranges[i - 1].last : 0) && ranges[i].first <= ranges[i].last);
}

static void check_bounds(const meshping_message *m)
{
    if (m->event == MESHPING_EVENT_REGISTRATION_STATUS)
        check_ranges(m->u.registration_status.ranges, m->u.registration_status.range_count);
    if (m->event == MESHPING_EVENT_DATA_RECEIVED)
        check_ranges(m->u.data_received.ranges, m->u.data_received.range_count);
    if (m->event == MESHPING_EVENT_HANDSHAKE)
        check(m->u.handshake.info_length <= MESHPING_INFO_MAX);
    if (m->event == MESHPING_EVENT_SERVER_MESSAGE && m->type == MESHPING_SERVER_MESSAGE_UPDATE_TARGETS) {
        check(m->u.target_update.part < m->u.target_update.parts);
        for (size_t i = 0; i < m->u.target_update.list.count; i++)
            check(meshping_target_check(&m->u.target_update.list.items[i], NULL) == MESHPING_OK);
    }
    if (m->event == MESHPING_EVENT_GAP)
        check(m->u.gap.gap.first_sequence && m->u.gap.gap.first_sequence <= m->u.gap.gap.last_sequence &&
              m->u.gap.gap.first_unix_us <= m->u.gap.gap.last_unix_us);
    if (m->event == MESHPING_EVENT_MONITORING_DATA)
        check(m->u.monitoring_data.block && m->u.monitoring_data.block_length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    meshping_message first, second;
    meshping_error err = {0};
    char *once, *twice;
    size_t once_length, twice_length;
    if (size > MESHPING_JSON_MAX)
        return 0;
    if (meshping_message_decode(&first, (const char *)data, size, &err) != MESHPING_OK) {
        check(err.status != MESHPING_OK && err.message[0]);
        return 0;
    }
    check_bounds(&first);
    check(meshping_message_encode(&once, &once_length, &first, &err) == MESHPING_OK);
    check(meshping_message_decode(&second, once, once_length, &err) == MESHPING_OK);
    check(meshping_message_encode(&twice, &twice_length, &second, &err) == MESHPING_OK);
    check(once_length == twice_length && memcmp(once, twice, once_length) == 0);
    meshping_free(once);
    meshping_free(twice);
    meshping_message_dispose(&first);
    meshping_message_dispose(&second);
    return 0;
}
