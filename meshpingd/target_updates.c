/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/target_updates.h"

#include <stdlib.h>
#include <string.h>

#define TARGETS_A_PART 100

/* ---- views ---- */

target_view *target_view_keep(target_view *view)
{
    view->holders++;
    return view;
}

void target_view_drop(target_view *view)
{
    if (!view || --view->holders)
        return;
    plan_drop(view->plan);
    free(view->row);
    free(view);
}

static bool is_of(const target_view *view, const plan *p, const uint64_t *row)
{
    return view->plan == p && memcmp(view->row, row, plan_words(p) * sizeof *row) == 0;
}

static target_view *view_new(target_updates *all, plan *p, const uint64_t *row)
{
    size_t size = plan_words(p) * sizeof *row;
    target_view *view = calloc(1, sizeof *view);
    uint64_t *copy = malloc(size);
    if (!view || !copy) {
        free(view);
        free(copy);
        return NULL;
    }
    memcpy(copy, row, size);
    *view = (target_view){.holders = 1, .plan = plan_keep(p), .row = copy, .revision = ++all->revision};
    return view;
}

/* One that other agents have already, if it is newer than what this one was told. */
static target_view *view_get(target_updates *all, plan *p, const uint64_t *row, uint64_t base)
{
    for (size_t i = 0; i < TARGET_UPDATES_KEPT; i++)
        if (all->kept[i] && is_of(all->kept[i]->now, p, row) && all->kept[i]->now->revision > base)
            return target_view_keep(all->kept[i]->now);
    return view_new(all, p, row);
}

/* ---- updates ---- */

void target_update_drop(target_update *update)
{
    if (!update || --update->holders)
        return;
    for (uint32_t i = 0; i < update->count && update->parts; i++)
        meshping_free(update->parts[i].text);
    free(update->parts);
    plan_change_dispose(&update->change);
    target_view_drop(update->before);
    target_view_drop(update->now);
    free(update);
}

void target_updates_dispose(target_updates *all)
{
    for (size_t i = 0; i < TARGET_UPDATES_KEPT; i++)
        target_update_drop(all->kept[i]);
    *all = (target_updates){.revision = all->revision};
}

static uint32_t parts_of(size_t count, size_t a_part)
{
    return (uint32_t)((count + a_part - 1) / a_part);
}

static bool fill(target_update *update)
{
    const target_view *before = update->before, *now = update->now;
    if (plan_compare(&update->change, before ? before->plan : NULL, before ? before->row : NULL, now->plan, now->row) !=
        MESHPING_OK)
        return false;
    update->count = parts_of(update->change.removed_count, MESHPING_UPDATE_REMOVED_MAX) +
                    parts_of(update->change.changed_count, TARGETS_A_PART);
    if (!update->count && !before)
        update->count = 1; /* an empty list is one, too */
    update->parts = calloc(update->count + 1, sizeof *update->parts);
    return update->parts != NULL;
}

static target_update *update_new(target_updates *all, target_view *before, uint64_t base, plan *now,
                                 const uint64_t *row)
{
    target_update *update = calloc(1, sizeof *update);
    if (!update)
        return NULL;
    *update = (target_update){.holders = 1, .base = base, .now = view_get(all, now, row, base)};
    if (before)
        update->before = target_view_keep(before);
    if (update->now && fill(update))
        return update;
    target_update_drop(update);
    return NULL;
}

target_update *target_updates_get(target_updates *all, target_view *before, uint64_t base, plan *now,
                                  const uint64_t *row)
{
    target_update *update = NULL;
    for (size_t i = 0; i < TARGET_UPDATES_KEPT && !update; i++) {
        target_update *kept = all->kept[i];
        if (kept && kept->before == before && kept->base == base && is_of(kept->now, now, row))
            update = kept;
    }
    if (!update) {
        update = update_new(all, before, base, now, row);
        if (!update)
            return NULL;
        target_update_drop(all->kept[all->next]);
        all->kept[all->next] = update; /* the first holder */
        all->next = (all->next + 1) % TARGET_UPDATES_KEPT;
    }
    update->holders++;
    return update;
}

/* First what goes, then what comes. */
static void fill_part(const target_update *update, uint32_t part, meshping_target_update *out, meshping_target *room)
{
    const plan_change *change = &update->change;
    uint32_t removing = parts_of(change->removed_count, MESHPING_UPDATE_REMOVED_MAX);
    *out = (meshping_target_update){.revision = update->now->revision,
                                    .part = part,
                                    .parts = update->count,
                                    .is_delta = update->before != NULL,
                                    .base = update->base};
    out->list.items = room;
    if (part < removing) {
        size_t first = (size_t)part * MESHPING_UPDATE_REMOVED_MAX, rest = change->removed_count - first;
        out->removed = change->removed + first;
        out->removed_count = rest < MESHPING_UPDATE_REMOVED_MAX ? rest : MESHPING_UPDATE_REMOVED_MAX;
        return;
    }
    size_t first = (size_t)(part - removing) * TARGETS_A_PART, rest = change->changed_count - first;
    out->list.count = rest < TARGETS_A_PART ? rest : TARGETS_A_PART;
    for (size_t i = 0; i < out->list.count; i++)
        room[i] = update->now->plan->targets.items[change->changed[first + i]];
}

const target_part *target_update_part(target_update *update, uint32_t part)
{
    target_part *out = &update->parts[part];
    meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE};
    if (out->text)
        return out;
    meshping_target *room = malloc(TARGETS_A_PART * sizeof *room);
    if (!room)
        return NULL;
    fill_part(update, part, &message.u.target_update, room);
    meshping_status status = meshping_message_encode(&out->text, &out->length, &message, NULL);
    free(room);
    return status == MESHPING_OK ? out : NULL;
}
