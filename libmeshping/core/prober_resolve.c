/* SPDX-License-Identifier: Apache-2.0 */
/* Names: looked up in the background, again each minute, sooner after failures; an old address outlives a failure. */
#include "core/prober_impl.h"

#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define AGAIN_NS (60 * SECOND_NS)
#define DOUBT_NS (10 * SECOND_NS)       /* after a miss, when the address is older than this */
#define FAILURE_MAX_NS (60 * SECOND_NS) /* 1, 2, 4, ... seconds after failures of the resolver */

void meshping__prober_doubt_address(meshping_prober *prober, uint32_t index)
{
    meshping__probe_target *target = &prober->targets[index];
    if (!target->is_name || target->resolving)
        return;
    int64_t wanted = target->resolved_mono_ns + DOUBT_NS;
    if (prober->lookups.places[index] && prober->lookups.entries[prober->lookups.places[index] - 1].key > wanted)
        meshping__heap_set(&prober->lookups, index, wanted);
}

/*
 * The address to use from now on: the one in use, as long as it is among the answers, for a round-robin name is no
 * reason to wander; else the first. NULL: none of the family wanted.
 */
static const meshping_address *choose_address(const meshping__probe_target *target,
                                              const meshping__resolution *resolution)
{
    const meshping_address *chosen = NULL;
    for (size_t i = 0; i < resolution->count; i++) {
        if (target->family && resolution->addresses[i].family != target->family)
            continue;
        if (meshping_address_equal(&resolution->addresses[i], &target->address))
            return &resolution->addresses[i];
        if (!chosen)
            chosen = &resolution->addresses[i];
    }
    return chosen;
}

/* What was just changed is told last: the callback may change targets. */
static void tell_address(const meshping_prober *prober, const meshping__probe_target *target,
                         const meshping_address *from)
{
    char host[MESHPING_HOST_MAX];
    meshping_address to = target->address;
    size_t length = strlen(target->host);
    if (!prober->options.on_address || meshping_address_equal(from, &to))
        return;
    memcpy(host, target->host, length + 1);
    prober->options.on_address(prober->options.user, target->id, host, from, &to);
}

static void take_resolution(meshping_prober *prober, const meshping__resolution *resolution, const meshping_now *now)
{
    uint32_t index = (uint32_t)resolution->token, generation = (uint32_t)(resolution->token >> 32);
    if (index >= prober->target_places)
        return;
    meshping__probe_target *target = &prober->targets[index];
    if (target->id == 0 || target->generation != generation || !target->resolving)
        return; /* asked for a target that is gone */
    target->resolving = false;
    target->resolved_mono_ns = now->mono_ns;
    prober->resolving--;
    int64_t again_ns = AGAIN_NS;
    const meshping_address before = target->address, *chosen = choose_address(target, resolution);
    if (chosen) {
        target->resolve_failures = 0;
        target->address = *chosen;
    } else {
        unsigned shift = target->resolve_failures < 6 ? target->resolve_failures : 6;
        target->resolve_failures++;
        again_ns = SECOND_NS << shift;
        if (again_ns > FAILURE_MAX_NS)
            again_ns = FAILURE_MAX_NS;
    }
    meshping__heap_set(&prober->lookups, index, now->mono_ns + again_ns);
    if (target->waiting) {
        int64_t unix_ns = now->mono_ns + prober->offset_ns;
        target->waiting = false;
        if (prober->options.start_now && prober->options.paced && target->next_slot_unix_ns < unix_ns)
            target->phase_ns = (unix_ns + 999) / 1000 * 1000 % target->interval_ns; /* its moment passed meanwhile */
        meshping__prober_schedule(prober, index, now);
    }
    tell_address(prober, target, &before);
}

void meshping__prober_resolve(meshping_prober *prober, const meshping_now *now)
{
    meshping__resolution resolution;
    for (;;) {
        while (prober->transport->resolved(prober->transport, &resolution))
            take_resolution(prober, &resolution, now);
        if (prober->resolving >= MESHPING__RESOLVING_MAX || meshping__heap_min(&prober->lookups) > now->mono_ns)
            return;
        while (prober->resolving < MESHPING__RESOLVING_MAX && meshping__heap_min(&prober->lookups) <= now->mono_ns) {
            uint32_t index = meshping__heap_top(&prober->lookups);
            meshping__probe_target *target = &prober->targets[index];
            meshping__heap_remove(&prober->lookups, index);
            target->resolving = true;
            prober->resolving++;
            uint64_t token = (uint64_t)target->generation << 32 | index;
            if (prober->transport->resolve(prober->transport, token, target->host, target->family) != MESHPING_OK) {
                resolution = (meshping__resolution){.token = token};
                take_resolution(prober, &resolution, now);
            }
        }
    }
}
