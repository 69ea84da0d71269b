/* SPDX-License-Identifier: Apache-2.0 */
/* What the server is told of this agent's targets beside samples: what cannot be measured, and the names' addresses. */
#include "net/internal.h"

#include "base/alloc.h"
#include <string.h>

/* ---- targets_applied ---- */

void meshping__about_applied(meshping_session *session)
{
    size_t at = 0, count = session->refused_count;
    meshping_message message = {.event = MESHPING_EVENT_TARGETS_APPLIED};
    meshping_targets_applied *applied = &message.u.targets_applied;
    applied->revision = session->targets.revision;
    applied->count = (uint32_t)session->targets.count;
    applied->parts = count ? (uint32_t)((count + MESHPING_REFUSED_MAX - 1) / MESHPING_REFUSED_MAX) : 1;
    do {
        applied->refused = session->refused + at;
        applied->refused_count = count - at < MESHPING_REFUSED_MAX ? count - at : MESHPING_REFUSED_MAX;
        at += applied->refused_count;
        meshping__link_send(session, &message);
        applied->part++;
    } while (at < count);
}

static bool same_refusals(const meshping_session *session, const meshping_refused_target *refused, size_t count)
{
    if (count != session->refused_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (refused[i].target_id != session->refused[i].target_id || refused[i].why != session->refused[i].why)
            return false;
    return true;
}

meshping_status meshping_session_refuse(meshping_session *session, const meshping_refused_target *refused, size_t count)
{
    if (same_refusals(session, refused, count))
        return MESHPING_OK;
    meshping_refused_target *copy = meshping__calloc(count ? count : 1, sizeof *copy);
    if (!copy)
        return MESHPING_NOMEM;
    if (count)
        memcpy(copy, refused, count * sizeof *copy);
    meshping__free(session->refused);
    session->refused = copy;
    session->refused_count = count;
    if (session->targets_told && !session->applying)
        meshping__about_applied(session);
    return MESHPING_OK;
}

/* ---- status ---- */

void meshping__about_forget_told(meshping_session *session)
{
    meshping__free(session->told);
    session->told = NULL;
}

static bool is_name(const meshping_target *target)
{
    meshping_address address;
    return !strchr(target->host, '%') && meshping_address_parse(&address, target->host, NULL) != MESHPING_OK;
}

/* Names that have another address than was told: `told`, one a target; room for MESHPING_RESOLVED_MAX in `out`. */
static size_t changed_addresses(const meshping_session *session, meshping_address *told, meshping_resolved_target *out)
{
    const meshping_session_callbacks *callbacks = &session->options.callbacks;
    size_t count = 0;
    for (size_t i = 0; i < session->targets.count && count < MESHPING_RESOLVED_MAX; i++) {
        const meshping_target *target = &session->targets.items[i];
        meshping_address now = {0};
        if (!is_name(target))
            continue;
        if (!callbacks->on_address(callbacks->user, target->id, &now))
            now = (meshping_address){0};
        if (meshping_address_equal(&now, &told[i]))
            continue;
        told[i] = now;
        out[count] = (meshping_resolved_target){.target_id = target->id};
        if (now.family)
            meshping_address_format(&now, out[count].address);
        count++;
    }
    return count;
}

void meshping__about_status(meshping_session *session, meshping_status_message *status)
{
    const meshping_session_callbacks *callbacks = &session->options.callbacks;
    status->has_load = callbacks->on_load && callbacks->on_load(callbacks->user, &status->load);
    if (!session->targets_told || !callbacks->on_address || !session->targets.count)
        return;
    if (!session->told)
        session->told = meshping__calloc(session->targets.count, sizeof *session->told);
    status->resolved = session->told ? meshping__calloc(MESHPING_RESOLVED_MAX, sizeof *status->resolved) : NULL;
    if (status->resolved)
        status->resolved_count = changed_addresses(session, session->told, status->resolved);
}
