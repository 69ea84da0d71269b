/* SPDX-License-Identifier: Apache-2.0 */
/* The target list as the server tells it, part by part, and as it is kept. */
#include "net/internal.h"

#include <stdio.h>

static void apply_targets(meshping_session *session)
{
    meshping_error err;
    char message[MESHPING_ERROR_MESSAGE_MAX + 64];
    meshping_message reply = {.event = MESHPING_EVENT_TARGETS_APPLIED};
    if (meshping_target_list_check(&session->incoming, &err) != MESHPING_OK) {
        meshping__link_drop(session, err.message);
        return;
    }
    /* a full disk is no reason to measure what is not wanted any more; the server sends the list with each session */
    if (meshping__state_targets_save(&session->incoming, session->state_dir, &err) != MESHPING_OK) {
        snprintf(message, sizeof message, "the new target list is in force, but a restart forgets it: %s", err.message);
        meshping__session_tell(session, message);
    }
    meshping_target_list_dispose(&session->targets);
    session->targets = session->incoming;
    session->incoming = (meshping_target_list){0};
    if (session->options.callbacks.on_targets)
        session->options.callbacks.on_targets(session->options.callbacks.user, &session->targets);
    reply.u.targets_applied.revision = session->targets.revision;
    reply.u.targets_applied.count = (uint32_t)session->targets.count;
    meshping__link_send(session, &reply);
}

void meshping__targets_update(meshping_session *session, const meshping_target_update *update)
{
    if (update->part == 0) {
        meshping_target_list_dispose(&session->incoming);
        session->incoming.revision = update->revision;
        session->incoming_part = 0;
    }
    if (update->part != session->incoming_part || update->revision != session->incoming.revision) {
        meshping__link_drop(session, "the server sent a target list out of order");
        return;
    }
    session->incoming_part++;
    for (size_t i = 0; i < update->list.count; i++)
        if (meshping_target_list_append(&session->incoming, &update->list.items[i], NULL) != MESHPING_OK) {
            meshping__link_drop(session, "the server sent more targets than this agent takes");
            return;
        }
    if (session->incoming_part == update->parts)
        apply_targets(session);
}

void meshping__targets_forget(meshping_session *session)
{
    if (!session->targets.count)
        return;
    meshping_target_list_dispose(&session->targets);
    meshping__state_targets_save(&session->targets, session->state_dir, NULL);
    if (session->options.callbacks.on_targets)
        session->options.callbacks.on_targets(session->options.callbacks.user, &session->targets);
}
