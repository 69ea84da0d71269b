/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/alarms.h"

#include "common/log.h"
#include <inttypes.h>
#include <stdio.h>

#define TELL_EVERY_MS 60000

const char *alarm_name(alarm_kind kind)
{
    static const char *const names[] = {
#define XX(name, text) text,
        ALARM_MAP(XX)
#undef XX
    };
    return names[kind];
}

void alarm_raise(alarms *all, alarm_kind kind, int64_t now_ms, const char *text)
{
    bool is_new = !all->items[kind].since_ms;
    if (is_new)
        all->items[kind].since_ms = now_ms;
    snprintf(all->items[kind].text, sizeof all->items[kind].text, "%s", text);
    if (!is_new && now_ms - all->items[kind].logged_ms < TELL_EVERY_MS && now_ms >= all->items[kind].logged_ms)
        return;
    all->items[kind].logged_ms = now_ms;
    log_error(alarm_name(kind), "%s", text);
}

bool alarm_clear(alarms *all, alarm_kind kind, int64_t now_ms)
{
    int64_t since_ms = all->items[kind].since_ms;
    if (!since_ms)
        return false;
    all->items[kind].since_ms = 0;
    log_info(alarm_name(kind), "over after %" PRId64 " s: %s", (now_ms - since_ms) / 1000, all->items[kind].text);
    return true;
}

bool alarm_is_raised(const alarms *all, alarm_kind kind)
{
    return all->items[kind].since_ms != 0;
}

json_object *alarms_json(const alarms *all)
{
    json_object *array = json_object_new_array();
    for (unsigned kind = 0; kind < ALARM_KINDS; kind++) {
        if (!alarm_is_raised(all, kind))
            continue;
        json_object *item = json_object_new_object();
        json_object_object_add(item, "kind", json_object_new_string(alarm_name(kind)));
        json_object_object_add(item, "text", json_object_new_string(all->items[kind].text));
        json_object_object_add(item, "since_ms", json_object_new_int64(all->items[kind].since_ms));
        json_object_array_add(array, item);
    }
    return array;
}
