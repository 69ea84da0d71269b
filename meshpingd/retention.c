/* SPDX-License-Identifier: Apache-2.0 */
/* What the store need not keep any longer, and the alarm when its size limit is near. */
#include "meshpingd/server.h"

#include <stdio.h>

#define EVERY_MS 5000
#define SECOND_US INT64_C(1000000)
/* What the size limit never takes. */
#define SPARE_RAW_US (3600 * SECOND_US)
#define SPARE_ROLLUPS_US (7 * 86400 * SECOND_US)

/* In 10 MiB, so that the alarm's text does not change all the time. */
static unsigned long long rounded_mib(uint64_t bytes)
{
    return (unsigned long long)(bytes >> 20) / 10 * 10;
}

static void look_at_size(server *s)
{
    char text[256];
    meshping_store_stats stats;
    unsigned long long most_mib = (unsigned long long)s->config.database_max_size >> 20;
    meshping_store_get_stats(s->store, &stats);
    if (stats.size_state == MESHPING_SIZE_GOOD) {
        alarm_clear(&s->alarms, ALARM_SIZE, server_unix_ms());
        return;
    }
    if (stats.size_state == MESHPING_SIZE_HIGH)
        snprintf(text, sizeof text,
                 "the database is near its limit of %llu MiB: the oldest samples go before their time; raise"
                 " database_max_size or lower retention",
                 most_mib);
    else
        snprintf(text, sizeof text,
                 "the database has over %llu MiB, its limit is %llu, and nothing is left that may go; raise"
                 " database_max_size",
                 rounded_mib(stats.used_bytes), most_mib);
    alarm_raise(&s->alarms, ALARM_SIZE, server_unix_ms(), text);
}

void server_retain(server *s)
{
    int64_t now_ms = server_mono_ms();
    if (s->retained_ms && now_ms - s->retained_ms < EVERY_MS)
        return;
    s->retained_ms = now_ms;
    int64_t now_us = server_unix_ms() * 1000;
    const meshping_retention goal = {
        .raw_before_us = now_us - s->config.retention * SECOND_US,
        .rollups_before_us = now_us - s->config.rollup_retention * SECOND_US,
        .size_max_bytes = (uint64_t)s->config.database_max_size,
        .spare_raw_before_us = now_us - SPARE_RAW_US,
        .spare_rollups_before_us = now_us - SPARE_ROLLUPS_US,
    };
    meshping_store_retain(s->store, &goal, NULL);
    look_at_size(s);
}
