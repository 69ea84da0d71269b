/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/target_parts.h"

#include <stdlib.h>

#define TARGETS_A_PART 100

void target_parts_dispose(target_parts *p)
{
    for (uint32_t i = 0; p->parts && i < p->count; i++)
        meshping_free(p->parts[i].text);
    free(p->parts);
    *p = (target_parts){0};
}

uint32_t target_parts_count(const meshping_target_list *list)
{
    return list->count ? (uint32_t)((list->count + TARGETS_A_PART - 1) / TARGETS_A_PART) : 1;
}

static bool fit(target_parts *p, const meshping_target_list *list)
{
    if (p->parts && p->revision == list->revision)
        return true;
    target_parts_dispose(p);
    p->parts = calloc(target_parts_count(list), sizeof *p->parts);
    if (!p->parts)
        return false;
    p->count = target_parts_count(list);
    p->revision = list->revision;
    return true;
}

const target_part *target_parts_get(target_parts *p, const meshping_target_list *list, uint32_t part)
{
    if (!fit(p, list) || part >= p->count)
        return NULL;
    target_part *out = &p->parts[part];
    if (out->text)
        return out;
    size_t first = (size_t)part * TARGETS_A_PART, rest = list->count - first;
    meshping_message message = {.event = MESHPING_EVENT_SERVER_MESSAGE};
    meshping_target_update *update = &message.u.target_update;
    update->revision = list->revision;
    update->part = part;
    update->parts = p->count;
    update->list.items = list->items ? list->items + first : NULL;
    update->list.count = rest < TARGETS_A_PART ? rest : TARGETS_A_PART;
    return meshping_message_encode(&out->text, &out->length, &message, NULL) == MESHPING_OK ? out : NULL;
}
