/* SPDX-License-Identifier: Apache-2.0 */
#include "core/flights.h"

#include "base/alloc.h"

#define CAPACITY_FIRST 512u
#define QUEUES_MAX 60000u /* as many as there are timeouts, MESHPING_TIMEOUT_MS_MAX */

meshping_status meshping__flights_init(meshping__flights *flights, unsigned number_bits)
{
    *flights = (meshping__flights){.capacity = CAPACITY_FIRST, .next_number = 1};
    flights->capacity_max = UINT32_C(1) << number_bits;
    flights->slots = meshping__calloc(flights->capacity, sizeof *flights->slots);
    return flights->slots ? MESHPING_OK : MESHPING_NOMEM;
}

void meshping__flights_dispose(meshping__flights *flights)
{
    meshping__free(flights->slots);
    meshping__free(flights->queues);
    meshping__idmap_dispose(&flights->queue_of);
    meshping__heap_dispose(&flights->heads);
    *flights = (meshping__flights){0};
}

meshping_status meshping__flights_reserve(meshping__flights *flights, uint32_t wanted)
{
    uint32_t capacity = flights->capacity;
    while (capacity < wanted && capacity < flights->capacity_max)
        capacity *= 2;
    if (capacity == flights->capacity)
        return MESHPING_OK;
    meshping__flight *slots = meshping__calloc(capacity, sizeof *slots);
    if (!slots)
        return MESHPING_NOMEM;
    /* numbers that differ modulo the old capacity differ modulo the new one */
    for (uint32_t i = 0; i < flights->capacity; i++)
        if (flights->slots[i].number)
            slots[flights->slots[i].number & (capacity - 1)] = flights->slots[i];
    meshping__free(flights->slots);
    flights->slots = slots;
    flights->capacity = capacity;
    return MESHPING_OK;
}

meshping_status meshping__flights_queue(meshping__flights *flights, uint32_t *out, uint32_t timeout_ms)
{
    uint32_t found = meshping__idmap_get(&flights->queue_of, timeout_ms);
    if (found != MESHPING__IDMAP_NONE) {
        *out = found;
        return MESHPING_OK;
    }
    uint32_t index = flights->queue_count;
    if (index >= QUEUES_MAX)
        return MESHPING_LIMIT;
    if (index == flights->queue_capacity) {
        uint32_t capacity = index ? index * 2 : 4;
        void *queues = meshping__realloc(flights->queues, capacity * sizeof *flights->queues);
        if (!queues)
            return MESHPING_NOMEM;
        flights->queues = queues;
        flights->queue_capacity = capacity;
    }
    if (meshping__heap_reserve(&flights->heads, index + 1) != MESHPING_OK ||
        meshping__idmap_reserve(&flights->queue_of, index + 1) != MESHPING_OK)
        return MESHPING_NOMEM;
    flights->queues[index].timeout_ns = (int64_t)timeout_ms * 1000000;
    flights->queues[index].first = flights->queues[index].last = 0;
    meshping__idmap_put(&flights->queue_of, timeout_ms, index);
    flights->queue_count++;
    *out = index;
    return MESHPING_OK;
}

static bool is_busy(const meshping__flight *flight)
{
    return flight->state == MESHPING__FLIGHT_SENDING || flight->state == MESHPING__FLIGHT_FLYING;
}

static meshping__flight *slot_of(const meshping__flights *flights, uint64_t number)
{
    return &flights->slots[number & (flights->capacity - 1)];
}

meshping__flight *meshping__flights_take(meshping__flights *flights)
{
    /* at most half full, so that a free number is near and finished flights are remembered for a while */
    if (flights->count >= flights->capacity / 2)
        (void)meshping__flights_reserve(flights, flights->capacity * 2);
    if (flights->count >= flights->capacity)
        return NULL;
    /* no number's low 32 bits are 0: that stands for "none" where neighbours are named */
    while (is_busy(slot_of(flights, flights->next_number)) || (uint32_t)flights->next_number == 0)
        flights->next_number++;
    meshping__flight *flight = slot_of(flights, flights->next_number);
    *flight = (meshping__flight){.number = flights->next_number++, .state = MESHPING__FLIGHT_SENDING};
    flights->count++;
    return flight;
}

meshping__flight *meshping__flights_get(const meshping__flights *flights, uint64_t number)
{
    meshping__flight *flight = slot_of(flights, number);
    return number && flight->number == number ? flight : NULL;
}

meshping__flight *meshping__flights_on_wire(const meshping__flights *flights, uint32_t wire)
{
    meshping__flight *flight = slot_of(flights, wire);
    uint32_t mask = flights->capacity_max - 1;
    return flight->number && (flight->number & mask) == (wire & mask) ? flight : NULL;
}

static void update_head(meshping__flights *flights, uint32_t queue)
{
    uint64_t first = flights->queues[queue].first;
    if (first)
        meshping__heap_set(&flights->heads, queue,
                           slot_of(flights, first)->sent_mono_ns + flights->queues[queue].timeout_ns);
    else
        meshping__heap_remove(&flights->heads, queue);
}

void meshping__flights_launch(meshping__flights *flights, meshping__flight *flight)
{
    struct meshping__timeout_queue *queue = &flights->queues[flight->queue];
    flight->state = MESHPING__FLIGHT_FLYING;
    flight->before = (uint32_t)queue->last;
    flight->after = 0;
    if (queue->last)
        slot_of(flights, queue->last)->after = (uint32_t)flight->number;
    queue->last = flight->number;
    if (!queue->first) {
        queue->first = flight->number;
        update_head(flights, flight->queue);
    }
}

void meshping__flights_finish(meshping__flights *flights, meshping__flight *flight, meshping__flight_state state)
{
    if (flight->state == MESHPING__FLIGHT_FLYING) {
        struct meshping__timeout_queue *queue = &flights->queues[flight->queue];
        meshping__flight *before = flight->before ? slot_of(flights, flight->before) : NULL;
        meshping__flight *after = flight->after ? slot_of(flights, flight->after) : NULL;
        if (before)
            before->after = flight->after;
        if (after)
            after->before = flight->before;
        else
            queue->last = before ? before->number : 0;
        if (queue->first == flight->number) {
            queue->first = after ? after->number : 0;
            update_head(flights, flight->queue);
        }
    }
    if (is_busy(flight))
        flights->count--;
    flight->state = (uint8_t)state;
}

meshping__flight *meshping__flights_first(const meshping__flights *flights)
{
    if (flights->heads.count == 0)
        return NULL;
    return slot_of(flights, flights->queues[meshping__heap_top(&flights->heads)].first);
}
