/* SPDX-License-Identifier: Apache-2.0 */
/* The target list as the server tells it, part by part, and as it is kept. */
#include "net/internal.h"

#include "base/alloc.h"
#include <stdio.h>
#include <string.h>

void meshping__targets_drop_incoming(meshping_session *session)
{
    meshping_target_list_dispose(&session->incoming);
    meshping__free(session->incoming_removed);
    session->incoming_removed = NULL;
    session->incoming_removed_count = 0;
}

/* The new list in place of what came in. */
static meshping_status complete(meshping_session *session, meshping_error *err)
{
    if (!session->incoming_delta) /* a host may be there twice, as a target and as an agent of a mesh */
        return meshping_target_list_check_ids(&session->incoming, err);
    meshping_target_list list = {0};
    meshping_status status = meshping_target_list_copy(&list, &session->targets);
    if (status == MESHPING_OK)
        status = meshping_target_list_patch(&list, &session->incoming, session->incoming_removed,
                                            session->incoming_removed_count, err);
    if (status != MESHPING_OK) {
        meshping_target_list_dispose(&list);
        return status;
    }
    meshping__targets_drop_incoming(session);
    session->incoming = list;
    return MESHPING_OK;
}

static void apply_targets(meshping_session *session)
{
    meshping_error err = {0};
    char message[MESHPING_ERROR_MESSAGE_MAX + 64];
    if (complete(session, &err) != MESHPING_OK) {
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
    session->targets_told = true;
    session->applying = true;
    meshping__about_forget_told(session);
    if (session->options.callbacks.on_targets)
        session->options.callbacks.on_targets(session->options.callbacks.user, &session->targets);
    session->applying = false;
    meshping__about_applied(session);
}

/* NULL: it is in. */
static const char *take_part(meshping_session *session, const meshping_target_update *update)
{
    size_t count = session->incoming_removed_count + update->removed_count;
    for (size_t i = 0; i < update->list.count; i++)
        if (meshping_target_list_append(&session->incoming, &update->list.items[i], NULL) != MESHPING_OK)
            return "the server sent more targets than this agent takes";
    if (!update->removed_count)
        return NULL;
    if (count > session->targets.count)
        return "the server takes more targets away than there are";
    uint64_t *removed = meshping__realloc(session->incoming_removed, count * sizeof *removed);
    if (!removed)
        return "out of memory";
    memcpy(removed + session->incoming_removed_count, update->removed, update->removed_count * sizeof *removed);
    session->incoming_removed = removed;
    session->incoming_removed_count = count;
    return NULL;
}

void meshping__targets_update(meshping_session *session, const meshping_target_update *update)
{
    if (update->part == 0) {
        meshping__targets_drop_incoming(session);
        session->incoming.revision = update->revision;
        session->incoming_part = 0;
        session->incoming_delta = update->is_delta;
    }
    if (update->part != session->incoming_part || update->revision != session->incoming.revision ||
        update->is_delta != session->incoming_delta) {
        meshping__link_drop(session, "the server sent a target list out of order");
        return;
    }
    if (update->is_delta && (!session->targets_told || update->base != session->targets.revision)) {
        meshping__link_drop(session, "the server sent changes of a target list that this agent does not have");
        return;
    }
    session->incoming_part++;
    const char *trouble = take_part(session, update);
    if (trouble)
        meshping__link_drop(session, trouble);
    else if (session->incoming_part == update->parts)
        apply_targets(session);
}

void meshping__targets_forget(meshping_session *session)
{
    session->targets_told = false;
    if (!session->targets.count)
        return;
    meshping__about_forget_told(session);
    meshping_target_list_dispose(&session->targets);
    meshping__state_targets_save(&session->targets, session->state_dir, NULL);
    if (session->options.callbacks.on_targets)
        session->options.callbacks.on_targets(session->options.callbacks.user, &session->targets);
}
