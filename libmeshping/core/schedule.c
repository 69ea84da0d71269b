/* SPDX-License-Identifier: Apache-2.0 */
#include "core/schedule.h"

#include "core/siphash.h"
#include <string.h>

int64_t meshping__schedule_phase_ns(const char *host, uint64_t key, int64_t interval_ns)
{
    uint8_t bytes[16] = "meshping";
    for (unsigned i = 0; i < 8; i++)
        bytes[8 + i] = (uint8_t)(key >> (8 * i));
    uint64_t hash = meshping__siphash(bytes, host, strlen(host));
    /* the upper half of a product instead of a remainder: neighbours in hash are neighbours in phase at any interval */
    uint64_t interval_us = (uint64_t)interval_ns / 1000;
    return (int64_t)((unsigned __int128)hash * interval_us >> 64) * 1000;
}

int64_t meshping__schedule_slot_ns(int64_t unix_ns, int64_t interval_ns, int64_t phase_ns)
{
    int64_t into = (unix_ns - phase_ns) % interval_ns;
    if (into < 0)
        into += interval_ns; /* before 1970 */
    return into == 0 ? unix_ns : unix_ns - into + interval_ns;
}
