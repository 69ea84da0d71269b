/* SPDX-License-Identifier: Apache-2.0 */
/* Names: looked up in the background, again each minute, sooner after failures; an old address outlives a failure. */
#include "core/prober_impl.h"

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

/* The address in use stays as long as it is among the answers: a round-robin name is no reason to wander. */
static void choose_address(meshping__probe_target *target, const meshping__resolution *resolution)
{
    const meshping_address *chosen = NULL;
    for (size_t i = 0; i < resolution->count; i++) {
        if (target->family && resolution->addresses[i].family != target->family)
            continue;
        if (meshping_address_equal(&resolution->addresses[i], &target->address))
            return;
        if (!chosen)
            chosen = &resolution->addresses[i];
    }
    if (chosen)
        target->address = *chosen;
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
    if (resolution->count) {
        target->resolve_failures = 0;
        choose_address(target, resolution);
    } else {
        unsigned shift = target->resolve_failures < 6 ? target->resolve_failures : 6;
        target->resolve_failures++;
        again_ns = SECOND_NS << shift;
        if (again_ns > FAILURE_MAX_NS)
            again_ns = FAILURE_MAX_NS;
    }
    meshping__heap_set(&prober->lookups, index, now->mono_ns + again_ns);
    if (!target->waiting)
        return;
    target->waiting = false;
    int64_t unix_ns = now->mono_ns + prober->offset_ns;
    if (prober->options.start_now && prober->options.paced && target->next_slot_unix_ns < unix_ns)
        target->phase_ns = (unix_ns + 999) / 1000 * 1000 % target->interval_ns; /* its moment passed meanwhile */
    meshping__prober_schedule(prober, index, now);
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
