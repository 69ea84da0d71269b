/* SPDX-License-Identifier: Apache-2.0 */
/* What the mesh shows: matrix, series, events, the server itself. */
#include "meshpingd/http.h"
#include "meshpingd/samples.h"
#include "meshpingd/http_text.h"
#include "meshpingd/series.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)
#define SERIES_SPAN_MAX_MS (24 * HOUR_MS)
#define SERIES_DELIVERY_MS 10000 /* from a probe's verdict to here, at the longest in a sound session */
#define EVENTS_MAX 1000
#define ADDRESSES_MAX 64

void api_matrix(http_exchange *x)
{
    http_respond_json(x, 200, live_snapshot_json(x->server));
}

/* ---- series ---- */

/* Absent: true and *value unchanged. */
static bool take_ms(http_exchange *x, const char *name, int64_t *value)
{
    uint64_t number;
    const char *text = http_query_get(x, name);
    if (!text)
        return true;
    if (!http_content_length_parse(text, &number)) {
        http_respond_problem(x, 400, "\"%s\" must be a time in Unix milliseconds", name);
        return false;
    }
    *value = (int64_t)number;
    return true;
}

/* The newest slot before from_ms, within a day; so that a gap that began before the window is seen in it. */
static int64_t newest_before(server *s, uint64_t agent_id, uint64_t target_id, int64_t from_ms)
{
    static const int64_t looks_ms[] = {60000, HOUR_MS, SERIES_SPAN_MAX_MS};
    for (size_t i = 0; i < sizeof looks_ms / sizeof looks_ms[0]; i++) {
        meshping_series found;
        int64_t slot_ms = INT64_MIN;
        if (samples_series(s, agent_id, target_id, (from_ms - looks_ms[i]) * 1000, from_ms * 1000, &found, NULL) ==
                MESHPING_OK &&
            found.count)
            slot_ms = found.samples[found.count - 1].slot_unix_us / 1000;
        meshping_series_dispose(&found);
        if (slot_ms != INT64_MIN)
            return slot_ms;
    }
    return INT64_MIN;
}

/* What explains the stretches without samples, from the newest sample before the window to its end. */
static meshping_status explain(server *s, series *out, meshping_error *err)
{
    meshping_stored_gap *dropped = NULL;
    int64_t *starts_us = NULL;
    meshping_pause *pauses = NULL;
    meshping_clock_note *clocks = NULL;
    int64_t from_us = (out->before_ms != INT64_MIN ? out->before_ms : out->from_ms) * 1000, to_us = out->to_ms * 1000;
    meshping_status status =
        meshping_store_gaps(s->store, out->agent_id, from_us, to_us, &dropped, &out->dropped_count, err);
    if (status == MESHPING_OK)
        status = meshping_store_starts(s->store, out->agent_id, from_us, to_us, &starts_us, &out->start_count, err);
    if (status == MESHPING_OK)
        status = meshping_store_pauses(s->store, from_us, to_us, &pauses, &out->pause_count, err);
    if (status == MESHPING_OK) /* by the server's clock; a window on the agent's may be elsewhere */
        status = meshping_store_clocks(s->store, out->agent_id, from_us, INT64_MAX, &clocks, &out->clock_count, err);
    out->dropped = dropped;
    out->starts_us = starts_us;
    out->pauses = pauses;
    out->clocks = clocks;
    return status;
}

static void explained(series *out)
{
    meshping_free((void *)out->dropped);
    meshping_free((void *)out->starts_us);
    meshping_free((void *)out->pauses);
    meshping_free((void *)out->clocks);
}

/* Now, as an agent sees it whose clock is wrong: its samples carry its own time. */
static int64_t agents_now_ms(const agent_entry *agent)
{
    int64_t offset_us, error_us;
    if (!agent->clock_skewed || !meshping_clock_read(&agent->clock, server_mono_ms() * 1000, &offset_us, &error_us))
        return server_unix_ms();
    return server_unix_ms() + offset_us / 1000;
}

void api_series(http_exchange *x)
{
    server *s = x->server;
    uint64_t agent_id, target_id;
    meshping_series found;
    meshping_error err = {0};
    text_buffer body = {0};
    int64_t now_ms;
    series out = {0};
    agent_entry *entry = NULL;
    const char *agent = http_query_get(x, "agent"), *target_text = http_query_get(x, "target");
    const meshping_target *target = NULL;
    if (!agent || !target_text) {
        http_respond_problem(x, 400, "\"agent\" and \"target\" are needed");
        return;
    }
    if (http_id_parse(agent, &agent_id) && (entry = server_agent_by_id(s, agent_id)) &&
        http_number_parse(target_text, &target_id))
        target = meshping_target_list_by_id(&s->targets, target_id);
    if (!target) {
        http_respond_problem(x, 404, "there is no such agent or target");
        return;
    }
    out.to_ms = now_ms = agents_now_ms(entry);
    if (!take_ms(x, "to_ms", &out.to_ms))
        return;
    out.from_ms = out.to_ms > HOUR_MS ? out.to_ms - HOUR_MS : 0;
    if (!take_ms(x, "from_ms", &out.from_ms))
        return;
    if (out.from_ms >= out.to_ms || out.to_ms - out.from_ms > SERIES_SPAN_MAX_MS) {
        http_respond_problem(x, 400, "from_ms must be before to_ms, by 24 hours at most");
        return;
    }
    if (samples_series(s, agent_id, target_id, out.from_ms * 1000, out.to_ms * 1000, &found, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    if (found.count > SERIES_POINTS_MAX) {
        http_respond_problem(x, 400, "%zu samples are over the limit of %d: ask for a shorter time", found.count,
                             SERIES_POINTS_MAX);
        goto out;
    }
    out.agent_id = agent_id;
    out.target_id = target_id;
    out.interval_ms = target->interval_ms;
    out.timeout_ms = target->timeout_ms;
    out.samples = found.samples;
    out.count = found.count;
    out.damaged = found.damaged;
    out.damaged_count = found.damaged_count;
    out.settled_ms = now_ms - target->timeout_ms - SERIES_DELIVERY_MS;
    out.before_ms = INT64_MIN;
    if (out.count == 0 || found.samples[0].slot_unix_us / 1000 - out.from_ms > (int64_t)target->interval_ms * 5 / 2)
        out.before_ms = newest_before(s, agent_id, target_id, out.from_ms);
    out.agent_away = !entry->online;
    if (explain(s, &out, &err) == MESHPING_OK) {
        series_json(&body, &out);
        http_respond_text(x, 200, "application/json", &body);
    } else {
        http_respond_error(x, &err);
    }
    explained(&out);
out:
    meshping_series_dispose(&found);
}

/* ---- events ---- */

void api_events(http_exchange *x)
{
    uint64_t limit = 100;
    size_t count = 0;
    meshping_event_record *records = NULL;
    meshping_error err = {0};
    const char *text_limit = http_query_get(x, "limit");
    if (text_limit && (!http_number_parse(text_limit, &limit) || limit > EVENTS_MAX)) {
        http_respond_problem(x, 400, "\"limit\" must be 1 to %d", EVENTS_MAX);
        return;
    }
    if (meshping_store_events(x->server->store, (size_t)limit, &records, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object(), *events = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        char agent[17] = "";
        json_object *event = json_object_new_object();
        if (records[i].agent_id)
            snprintf(agent, sizeof agent, "%016" PRIx64, records[i].agent_id);
        http_text_clean(records[i].text);
        json_object_object_add(event, "time_ms", json_object_new_int64(records[i].unix_ms));
        json_object_object_add(event, "kind", json_object_new_string(records[i].kind));
        json_object_object_add(event, "agent", json_object_new_string(agent));
        json_object_object_add(event, "user", json_object_new_string(records[i].user));
        json_object_object_add(event, "text", json_object_new_string(records[i].text));
        json_object_array_add(events, event);
    }
    json_object_object_add(json, "events", events);
    meshping_free(records);
    http_respond_json(x, 200, json);
}

/* ---- server ---- */

static int listen_port(const server *s)
{
    const char *colon = strrchr(s->config.listen, ':');
    return colon ? atoi(colon + 1) : 0;
}

static json_object *advertised(const server *s)
{
    json_object *list = json_object_new_array();
    for (const char *at = s->config.advertise; *at;) {
        at += strspn(at, ", \t");
        size_t length = strcspn(at, ", \t");
        if (length)
            json_object_array_add(list, json_object_new_string_len(at, (int)length));
        at += length;
    }
    return list;
}

/* The addresses under which agents might find this server: of all interfaces that are up, but for link-local ones. */
static json_object *own_addresses(int port)
{
    struct ifaddrs *interfaces = NULL;
    json_object *list = json_object_new_array();
    if (getifaddrs(&interfaces) != 0)
        return list;
    for (int loopback = 0; loopback < 2; loopback++)
        for (const struct ifaddrs *at = interfaces; at; at = at->ifa_next) {
            char text_address[MESHPING_ADDRESS_TEXT_MAX], one[MESHPING_ADDRESS_TEXT_MAX + 16];
            meshping_address address;
            if (!at->ifa_addr || !(at->ifa_flags & IFF_UP) ||
                meshping_address_from_sockaddr(&address, at->ifa_addr) != MESHPING_OK || address.scope_id != 0 ||
                meshping_address_is_loopback(&address) != (loopback == 1) ||
                json_object_array_length(list) >= ADDRESSES_MAX)
                continue;
            meshping_address_format(&address, text_address);
            snprintf(one, sizeof one, address.family == MESHPING_FAMILY_IPV6 ? "[%s]:%d" : "%s:%d", text_address, port);
            json_object_array_add(list, json_object_new_string(one));
        }
    freeifaddrs(interfaces);
    return list;
}

static json_object *database(const server *s)
{
    meshping_store_stats stats = {0};
    json_object *json = json_object_new_object();
    meshping_store_get_stats(s->store, &stats);
    json_object_object_add(json, "file_bytes", json_object_new_uint64(stats.file_bytes));
    json_object_object_add(json, "used_bytes", json_object_new_uint64(stats.used_bytes));
    json_object_object_add(json, "max_bytes", json_object_new_int64(s->config.database_max_size));
    json_object_object_add(json, "cut_blocks", json_object_new_uint64(stats.cut_blocks));
    return json;
}

void api_server(http_exchange *x)
{
    const server *s = x->server;
    char id[17], pin[2 * MESHPING_PIN_LEN + 1];
    json_object *json = json_object_new_object(), *thresholds = json_object_new_object();
    snprintf(id, sizeof id, "%016" PRIx64, s->server_id);
    for (size_t i = 0; i < MESHPING_PIN_LEN; i++)
        snprintf(pin + 2 * i, 3, "%02x", s->pin[i]);
    json_object_object_add(json, "version", json_object_new_string(meshping_version()));
    json_object_object_add(json, "server_id", json_object_new_string(id));
    json_object_object_add(json, "started_ms", json_object_new_int64(s->started_unix_ms));
    json_object_object_add(json, "advertise", advertised(s));
    json_object_object_add(json, "addresses", own_addresses(listen_port(s)));
    json_object_object_add(json, "port", json_object_new_int(listen_port(s)));
    json_object_object_add(json, "pin", json_object_new_string(pin));
    json_object_object_add(json, "retention_s", json_object_new_int64(s->config.retention));
    json_object_object_add(json, "rollup_retention_s", json_object_new_int64(s->config.rollup_retention));
    json_object_object_add(json, "database", database(s));
    json_object_object_add(thresholds, "slow_rtt_us", json_object_new_uint64(s->thresholds.slow_rtt_us));
    json_object_object_add(thresholds, "lossy_count", json_object_new_uint64(s->thresholds.lossy_count));
    json_object_object_add(thresholds, "stale_intervals", json_object_new_uint64(s->thresholds.stale_intervals));
    json_object_object_add(json, "thresholds", thresholds);
    json_object_object_add(json, "alarms", alarms_json(&s->alarms));
    json_object_object_add(json, "viewers", json_object_new_uint64(live_ws_viewers(s)));
    http_respond_json(x, 200, json);
}
