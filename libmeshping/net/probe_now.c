/* SPDX-License-Identifier: Apache-2.0 */
/* Probes beside the schedule, asked for by the server: each is answered once, on the connection that asked. */
#include "net/internal.h"

#include <string.h>

static void answer(meshping_session *session, size_t at, meshping_probe_answer *found)
{
    meshping_message message = {.event = MESHPING_EVENT_PROBE_RESULT};
    found->request = session->extras[at].request;
    found->target_id = session->extras[at].target_id;
    message.u.probe_answer = *found;
    session->extras[at] = session->extras[--session->extra_count];
    meshping__link_send(session, &message);
}

static void unprobed(meshping_session *session, size_t at, meshping_unprobed why)
{
    meshping_probe_answer found = {.unprobed = why};
    answer(session, at, &found);
}

void meshping__probes_asked(meshping_session *session, const meshping_probe_now *asked)
{
    for (size_t i = 0; i < asked->target_count; i++) {
        if (session->extra_count == MESHPING_PROBE_NOW_MAX) {
            meshping__link_drop(session, "the server asks for more probes than this agent answers at once");
            return;
        }
        size_t at = session->extra_count++;
        uint64_t tag = ++session->extra_tag;
        session->extras[at] = (asked_probe){tag, asked->request, asked->targets[i]};
        meshping_status status =
            session->options.callbacks.on_probe_now
                ? session->options.callbacks.on_probe_now(session->options.callbacks.user, asked->targets[i], tag)
                : MESHPING_LIMIT;
        if (status != MESHPING_OK)
            unprobed(session, at,
                     status == MESHPING_NOT_FOUND ? MESHPING_UNPROBED_UNKNOWN_TARGET : MESHPING_UNPROBED_BUSY);
    }
}

void meshping_session_probed(meshping_session *session, uint64_t tag, const meshping_probe_answer *found)
{
    meshping_probe_answer copy = *found;
    for (size_t i = 0; i < session->extra_count; i++)
        if (session->extras[i].tag == tag) {
            answer(session, i, &copy);
            return;
        }
}
