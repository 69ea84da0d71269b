/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's set of targets: added, changed, removed while probes fly; nothing changes when a step fails. */
#include "core/prober_impl.h"

#include "base/alloc.h"
#include "core/schedule.h"
#include "core/target.h"
#include <string.h>

#define REMEMBERED_MAX 65536 /* probes that memory is set aside for, beyond two a target */

/* What a new or changed target needs, made before anything is changed. */
typedef struct prepared {
    bool other;         /* host or way are not the present target's */
    char *host;         /* owned; as the target's */
    meshping__way *way; /* owned */
    uint32_t index;     /* of the present target, MESHPING__IDMAP_NONE: new */
    uint32_t queue;
    int64_t phase_ns;
    meshping_address address;
    bool is_name, zoned;
} prepared;

static meshping_status no_memory(meshping_error *err)
{
    return meshping_error_set(err, MESHPING_NOMEM, "prober: out of memory");
}

static meshping_status grow_places(meshping_prober *prober, uint32_t places)
{
    if (meshping__heap_reserve(&prober->due, places) != MESHPING_OK ||
        meshping__heap_reserve(&prober->lookups, places) != MESHPING_OK ||
        meshping__idmap_reserve(&prober->by_id, places) != MESHPING_OK)
        return MESHPING_NOMEM;
    if (places <= prober->target_capacity)
        return MESHPING_OK;
    uint32_t capacity = prober->target_capacity * 2 > places ? prober->target_capacity * 2 : places;
    meshping__probe_target *targets = meshping__realloc(prober->targets, (size_t)capacity * sizeof *targets);
    if (!targets)
        return MESHPING_NOMEM;
    memset(targets + prober->target_capacity, 0, (capacity - prober->target_capacity) * sizeof *targets);
    prober->targets = targets;
    prober->target_capacity = capacity;
    return MESHPING_OK;
}

/* How many of a target's probes are remembered: those that may be in the air, and about two rounds of finished ones. */
static uint32_t rounds_of(const meshping_target *target)
{
    return 2 + target->timeout_ms / target->interval_ms;
}

/* Room for `added` more targets, whose messages are up to `size` bytes of payload. */
static meshping_status reserve(meshping_prober *prober, uint32_t added, uint16_t size, uint32_t rounds)
{
    uint32_t places = prober->target_count + added;
    size_t stride = MESHPING__ICMP_HEADER + (size_t)size;

    if (places < prober->target_places)
        places = prober->target_places;
    if (grow_places(prober, places) != MESHPING_OK)
        return MESHPING_NOMEM;
    /* so that a duplicate is known as one, however old its probe; within reason, as most probes are short in the air */
    uint64_t flights = (uint64_t)places * rounds;
    if (flights > REMEMBERED_MAX)
        flights = (uint64_t)places * 2 > REMEMBERED_MAX ? (uint64_t)places * 2 : REMEMBERED_MAX;
    if (meshping__flights_reserve(&prober->flights, flights < UINT32_MAX ? (uint32_t)flights : UINT32_MAX) !=
        MESHPING_OK)
        return MESHPING_NOMEM;
    if (stride > prober->tx_stride) {
        uint8_t *bytes = meshping__realloc(prober->tx_bytes, stride * MESHPING__PROBER_BATCH);
        if (!bytes)
            return MESHPING_NOMEM;
        prober->tx_bytes = bytes;
        prober->tx_stride = stride;
    }
    return prober->transport->reserve(prober->transport, stride);
}

/* The family of the addresses that a name may have. */
static uint8_t family_of(const meshping_target *target)
{
    return target->family ? target->family : target->source.family;
}

static bool same_way(const meshping__way *way, const meshping_target *target)
{
    static const meshping__way none;
    if (!way)
        way = &none;
    return meshping_address_equal(&way->source, &target->source) && strcmp(way->interface, target->interface) == 0;
}

/* Is the target the one that was there? `host`: its canonical text. */
static bool same_host(const meshping__probe_target *target, const char *host, const prepared *how)
{
    if (target->host)
        return strcmp(target->host, host) == 0;
    return !how->is_name && !how->zoned && meshping_address_equal(&target->address, &how->address);
}

static void forget(prepared *how)
{
    meshping__free(how->host);
    meshping__free(how->way);
}

static meshping_status prepare(meshping_prober *prober, const meshping_target *target, prepared *out,
                               meshping_error *err)
{
    char host[MESHPING_HOST_MAX];
    *out = (prepared){.index = meshping__idmap_get(&prober->by_id, target->id)};
    meshping_status status = meshping__target_check(host, &out->address, target, err);
    if (status != MESHPING_OK)
        return status;
    if (target->id == 0)
        return meshping_error_set(err, MESHPING_INVALID, "target %s has no id", target->host);
    status = meshping__flights_queue(&prober->flights, &out->queue, target->timeout_ms);
    if (status != MESHPING_OK)
        return no_memory(err);
    out->is_name = out->address.family == MESHPING_FAMILY_NONE;
    out->zoned = strchr(host, '%') != NULL;
    if (!prober->options.start_now)
        out->phase_ns =
            meshping__schedule_phase_ns(host, prober->options.phase_key, (int64_t)target->interval_ms * 1000000);
    const meshping__probe_target *present = out->index != MESHPING__IDMAP_NONE ? &prober->targets[out->index] : NULL;
    if (present && same_host(present, host, out) && present->family == family_of(target) &&
        same_way(present->way, target))
        return MESHPING_OK;
    out->other = true;
    if (out->is_name || out->zoned) {
        out->host = meshping__strdup(host);
        if (!out->host)
            return no_memory(err);
    }
    if (!same_way(NULL, target)) {
        out->way = meshping__calloc(1, sizeof *out->way);
        if (!out->way)
            return no_memory(err);
        out->way->source = target->source;
        memcpy(out->way->interface, target->interface, sizeof out->way->interface);
    }
    return MESHPING_OK;
}

void meshping__prober_schedule(meshping_prober *prober, uint32_t index, const meshping_now *now)
{
    meshping__probe_target *target = &prober->targets[index];
    uint64_t limit = prober->options.probes_per_target;

    if (target->waiting || (limit && target->sequence >= limit))
        return;
    if (!prober->options.paced) {
        meshping__heap_set(&prober->due, index, now->mono_ns);
        return;
    }
    int64_t unix_ns = now->mono_ns + prober->offset_ns;
    target->next_slot_unix_ns = meshping__schedule_slot_ns(unix_ns, target->interval_ns, target->phase_ns);
    meshping__heap_set(&prober->due, index, target->next_slot_unix_ns - prober->offset_ns);
}

static uint32_t take_place(meshping_prober *prober)
{
    uint32_t index = prober->free_head;
    if (index == UINT32_MAX)
        return prober->target_places++;
    prober->free_head = prober->targets[index].next_free;
    return index;
}

static void set_phase(meshping_prober *prober, meshping__probe_target *target, const prepared *how,
                      const meshping_now *now, int64_t delay_ns)
{
    if (!prober->options.start_now) {
        target->phase_ns = how->phase_ns;
        return;
    }
    target->next_slot_unix_ns = (now->mono_ns + prober->offset_ns + delay_ns + 999) / 1000 * 1000;
    target->phase_ns = target->next_slot_unix_ns % target->interval_ns;
}

/* Cannot fail: all was prepared. delay_ns: with start_now, when its first probe is due. */
static void apply(meshping_prober *prober, const meshping_target *from, prepared *how, const meshping_now *now,
                  int64_t delay_ns)
{
    uint32_t index = how->index;
    int64_t interval_ns = (int64_t)from->interval_ms * 1000000;
    bool is_new = index == MESHPING__IDMAP_NONE;

    if (is_new) {
        index = take_place(prober);
        prober->targets[index] = (meshping__probe_target){.id = from->id};
        meshping__idmap_put(&prober->by_id, from->id, index);
        prober->target_count++;
    }
    meshping__probe_target *target = &prober->targets[index];
    bool new_interval = target->interval_ns != interval_ns;
    prober->probes_per_s += 1e9 / (double)interval_ns - (is_new ? 0 : 1e9 / (double)target->interval_ns);
    target->interval_ns = interval_ns;
    target->queue = how->queue;
    target->size = from->size;
    target->dscp = from->dscp;
    target->ttl = from->ttl;
    target->dont_fragment = from->dont_fragment;
    target->mark = prober->mark;
    if (how->other) {
        meshping__free(target->host);
        target->host = how->host;
        how->host = NULL;
        meshping__free(target->way);
        target->way = how->way;
        how->way = NULL;
        target->family = family_of(from);
        target->generation = ++prober->generation;
        target->address = how->address;
        target->is_name = target->waiting = how->is_name;
        target->zoned = how->zoned;
        target->sent = target->received = 0;
        meshping__free(target->oddities);
        target->oddities = NULL;
        if (target->resolving)
            prober->resolving--; /* its answer will find another generation */
        target->resolving = false;
        target->resolve_failures = 0;
        meshping__heap_remove(&prober->due, index);
        meshping__heap_remove(&prober->lookups, index);
        if (how->is_name)
            meshping__heap_set(&prober->lookups, index, prober->now_mono_ns); /* also when it starts later */
    } else if (!new_interval || !prober->options.paced) {
        return;
    }
    set_phase(prober, target, how, now, delay_ns);
    meshping__prober_schedule(prober, index, now);
}

/* The offset must be there before the first target is scheduled, which is before the first process(). */
static void know_offset(meshping_prober *prober, const meshping_now *now)
{
    if (prober->offset_known)
        return;
    prober->offset_ns = now->unix_ns - now->mono_ns;
    prober->now_mono_ns = now->mono_ns;
    prober->offset_known = true;
}

meshping_status meshping_prober_reserve(meshping_prober *prober, uint32_t targets, meshping_error *err)
{
    if (targets > prober->options.max_targets)
        return meshping_error_set(err, MESHPING_LIMIT, "prober: at most %u targets are allowed",
                                  prober->options.max_targets);
    uint32_t added = targets > prober->target_count ? targets - prober->target_count : 0;
    return reserve(prober, added, MESHPING_SIZE_DEFAULT, 2) == MESHPING_OK ? MESHPING_OK : no_memory(err);
}

meshping_status meshping_prober_set_target(meshping_prober *prober, const meshping_target *target,
                                           const meshping_now *now, meshping_error *err)
{
    prepared how;
    meshping_status status = prepare(prober, target, &how, err);
    bool is_new = how.index == MESHPING__IDMAP_NONE;

    if (status != MESHPING_OK)
        goto out;
    if (is_new && prober->target_count >= prober->options.max_targets) {
        status = meshping_error_set(err, MESHPING_LIMIT, "prober: at most %u targets are allowed",
                                    prober->options.max_targets);
        goto out;
    }
    status = reserve(prober, is_new, target->size, rounds_of(target));
    if (status != MESHPING_OK) {
        no_memory(err);
        goto out;
    }
    know_offset(prober, now);
    apply(prober, target, &how, now, 0);
out:
    forget(&how);
    return status;
}

static void free_owned(const meshping__probe_target *target)
{
    meshping__free(target->host);
    meshping__free(target->way);
    meshping__free(target->oddities);
}

static void remove_at(meshping_prober *prober, uint32_t index)
{
    meshping__probe_target *target = &prober->targets[index];
    meshping__heap_remove(&prober->due, index);
    meshping__heap_remove(&prober->lookups, index);
    meshping__idmap_remove(&prober->by_id, target->id);
    if (target->resolving)
        prober->resolving--;
    prober->probes_per_s -= 1e9 / (double)target->interval_ns;
    free_owned(target);
    *target = (meshping__probe_target){.next_free = prober->free_head};
    prober->free_head = index;
    prober->target_count--;
}

meshping_status meshping_prober_remove_target(meshping_prober *prober, uint64_t target_id)
{
    uint32_t index = meshping__idmap_get(&prober->by_id, target_id);
    if (index == MESHPING__IDMAP_NONE)
        return MESHPING_NOT_FOUND;
    remove_at(prober, index);
    return MESHPING_OK;
}

static meshping_status check_ids(const meshping_target_list *list, meshping_error *err)
{
    meshping__idmap seen = {0};
    meshping_status status = MESHPING_OK;
    size_t ascending = 0;
    for (uint64_t last = 0; ascending < list->count && list->items[ascending].id > last; ascending++)
        last = list->items[ascending].id;
    if (ascending == list->count)
        return MESHPING_OK; /* as lists mostly are */
    if (meshping__idmap_reserve(&seen, list->count) != MESHPING_OK)
        return no_memory(err);
    for (size_t i = 0; i < list->count && status == MESHPING_OK; i++) {
        uint64_t id = list->items[i].id;
        uint32_t first = meshping__idmap_get(&seen, id);
        if (id == 0)
            status = meshping_error_set(err, MESHPING_INVALID, "target %zu has no id", i + 1);
        else if (first != MESHPING__IDMAP_NONE)
            status = meshping_error_set(err, MESHPING_INVALID, "targets %u and %zu have the same id %llu", first + 1,
                                        i + 1, (unsigned long long)id);
        else
            meshping__idmap_put(&seen, id, (uint32_t)i);
    }
    meshping__idmap_dispose(&seen);
    return status;
}

static meshping_status prepare_list(meshping_prober *prober, const meshping_target_list *list, prepared *how,
                                    meshping_error *err)
{
    uint32_t added = 0;
    uint32_t rounds = 2;
    uint16_t size = MESHPING_SIZE_MIN;
    for (size_t i = 0; i < list->count; i++) {
        meshping_error inner = {0};
        meshping_status status = prepare(prober, &list->items[i], &how[i], &inner);
        if (status != MESHPING_OK)
            return meshping_error_set(err, status, "target %zu: %.200s", i + 1, inner.message);
        if (how[i].index == MESHPING__IDMAP_NONE)
            added++;
        if (list->items[i].size > size)
            size = list->items[i].size;
        if (rounds_of(&list->items[i]) > rounds)
            rounds = rounds_of(&list->items[i]);
    }
    return reserve(prober, added, size, rounds) == MESHPING_OK ? MESHPING_OK : no_memory(err);
}

meshping_status meshping_prober_set_targets(meshping_prober *prober, const meshping_target_list *list,
                                            const meshping_now *now, meshping_error *err)
{
    prepared *how = NULL;
    meshping_status status;

    if (list->count > prober->options.max_targets)
        return meshping_error_set(err, MESHPING_LIMIT, "%zu targets, at most %u are allowed", list->count,
                                  prober->options.max_targets);
    status = check_ids(list, err);
    if (status != MESHPING_OK)
        return status;
    how = meshping__calloc(list->count, sizeof *how);
    if (!how)
        return no_memory(err);
    status = prepare_list(prober, list, how, err);
    if (status != MESHPING_OK)
        goto out;
    know_offset(prober, now);
    prober->mark++;
    int64_t shortest_ns = INT64_MAX;
    for (size_t i = 0; i < list->count; i++)
        if ((int64_t)list->items[i].interval_ms * 1000000 < shortest_ns)
            shortest_ns = (int64_t)list->items[i].interval_ms * 1000000;
    for (size_t i = 0; i < list->count; i++)
        apply(prober, &list->items[i], &how[i], now, (int64_t)((double)shortest_ns / (double)list->count * (double)i));
    for (uint32_t i = 0; i < prober->target_places; i++)
        if (prober->targets[i].id && prober->targets[i].mark != prober->mark)
            remove_at(prober, i);
out:
    for (size_t i = 0; i < list->count; i++)
        forget(&how[i]);
    meshping__free(how);
    return status;
}

meshping_status meshping_prober_target_address(const meshping_prober *prober, uint64_t target_id, meshping_address *out)
{
    uint32_t index = meshping__idmap_get(&prober->by_id, target_id);
    if (index == MESHPING__IDMAP_NONE || prober->targets[index].address.family == MESHPING_FAMILY_NONE)
        return MESHPING_NOT_FOUND;
    *out = prober->targets[index].address;
    return MESHPING_OK;
}

meshping_status meshping_prober_get_target_stats(const meshping_prober *prober, uint64_t target_id,
                                                 meshping_prober_target_stats *out)
{
    uint32_t index = meshping__idmap_get(&prober->by_id, target_id);
    if (index == MESHPING__IDMAP_NONE)
        return MESHPING_NOT_FOUND;
    const meshping__probe_target *target = &prober->targets[index];
    *out = (meshping_prober_target_stats){.sent = target->sent, .received = target->received};
    if (target->oddities) {
        out->duplicates = target->oddities->duplicates;
        out->late = target->oddities->late;
        for (unsigned i = 0; i < MESHPING_REJECT_COUNT; i++)
            out->rejected += out->rejected_by[i] = target->oddities->rejected_by[i];
    }
    return MESHPING_OK;
}

void meshping__prober_free_targets(meshping_prober *prober)
{
    for (uint32_t i = 0; i < prober->target_places; i++)
        free_owned(&prober->targets[i]);
    meshping__free(prober->targets);
    meshping__idmap_dispose(&prober->by_id);
    meshping__heap_dispose(&prober->due);
    meshping__heap_dispose(&prober->lookups);
}
