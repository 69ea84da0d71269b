/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/clock.h>

/* Any two times of the wire are apart by less than this: no sum below overflows. */
#define TIME_MAX_US (INT64_C(1) << 58)

static int64_t aged_error_us(const meshping_clock *clock, unsigned i, int64_t mono_us)
{
    int64_t age_us = mono_us > clock->exchanges[i].mono_us ? mono_us - clock->exchanges[i].mono_us : 0;
    return clock->exchanges[i].error_us + age_us / 1000000 * MESHPING_CLOCK_DRIFT_PPM;
}

bool meshping_clock_read(const meshping_clock *clock, int64_t mono_us, int64_t *offset_us, int64_t *error_us)
{
    unsigned best = 0;
    if (!clock->count)
        return false;
    for (unsigned i = 1; i < clock->count; i++)
        if (aged_error_us(clock, i, mono_us) < aged_error_us(clock, best, mono_us))
            best = i;
    *offset_us = clock->exchanges[best].offset_us;
    *error_us = aged_error_us(clock, best, mono_us);
    return true;
}

static bool in_range(int64_t time_us)
{
    return time_us > -TIME_MAX_US && time_us < TIME_MAX_US;
}

meshping_status meshping_clock_add(meshping_clock *clock, int64_t sent_us, int64_t arrived_us, int64_t answered_us,
                                   int64_t received_us, int64_t mono_us)
{
    int64_t before_us, error_before_us;
    if (!in_range(sent_us) || !in_range(arrived_us) || !in_range(answered_us) || !in_range(received_us) ||
        received_us < sent_us || answered_us < arrived_us || received_us - sent_us < answered_us - arrived_us)
        return MESHPING_INVALID;
    int64_t way_us = (received_us - sent_us) - (answered_us - arrived_us);
    int64_t offset_us = ((arrived_us - sent_us) + (answered_us - received_us)) / 2, error_us = way_us / 2 + 1;
    if (meshping_clock_read(clock, mono_us, &before_us, &error_before_us)) {
        int64_t apart_us = offset_us > before_us ? offset_us - before_us : before_us - offset_us;
        if (apart_us > error_us + error_before_us)
            clock->count = clock->next = 0;
    }
    clock->exchanges[clock->next].offset_us = offset_us;
    clock->exchanges[clock->next].error_us = error_us;
    clock->exchanges[clock->next].mono_us = mono_us;
    clock->next = (clock->next + 1) % MESHPING_CLOCK_WINDOW;
    if (clock->count < MESHPING_CLOCK_WINDOW)
        clock->count++;
    return MESHPING_OK;
}
