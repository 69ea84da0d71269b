/* SPDX-License-Identifier: Apache-2.0 */
/* What the mesh shows: matrix, events, the server itself. A pair's series: api_series.c. */
#include "common/hex.h"
#include "meshpingd/http.h"
#include "meshpingd/http_text.h"
#include "meshpingd/keys.h"
#include "meshpingd/looks.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX 1000
#define ADDRESSES_MAX 64

void api_matrix(http_exchange *x)
{
    text_buffer text = {0};
    live_put_snapshot(x->server, &text, false);
    http_respond_text(x, 200, "application/json", &text);
}

/* ---- events ---- */

void api_events(http_exchange *x)
{
    uint64_t limit = 100, before = 0;
    size_t count = 0;
    meshping_event_record *records = NULL;
    meshping_error err = {0};
    if (!http_query_only(x, "limit, before") || !http_query_number(x, "limit", 1, EVENTS_MAX, &limit) ||
        !http_query_number(x, "before", 0, HTTP_NUMBER_MAX, &before))
        return;
    /* one more than is shown tells whether there is a next page */
    if (meshping_store_events(x->server->store, before, (size_t)limit + 1, &records, &count, &err) != MESHPING_OK) {
        http_respond_error(x, &err);
        return;
    }
    json_object *json = json_object_new_object(), *events = json_object_new_array();
    bool more = count > limit;
    count -= more;
    for (size_t i = 0; i < count; i++) {
        char agent[17] = "";
        json_object *event = json_object_new_object();
        if (records[i].agent_id)
            snprintf(agent, sizeof agent, "%016" PRIx64, records[i].agent_id);
        looks_clean(records[i].text);
        json_object_object_add(event, "time_ms", json_object_new_int64(records[i].unix_ms));
        json_object_object_add(event, "kind", json_object_new_string(records[i].kind));
        json_object_object_add(event, "agent", json_object_new_string(agent));
        json_object_object_add(event, "user", json_object_new_string(records[i].user));
        json_object_object_add(event, "text", json_object_new_string(records[i].text));
        json_object_array_add(events, event);
    }
    json_object_object_add(json, "events", events);
    json_object_object_add(json, "next", more ? json_object_new_uint64(records[count - 1].id) : NULL);
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
    json_object_object_add(json, "version", json_object_new_string(meshping_version()));
    json_object_object_add(json, "server_id", json_object_new_string(id));
    json_object_object_add(json, "started_ms", json_object_new_int64(s->started_unix_ms));
    json_object_object_add(json, "advertise", advertised(s));
    json_object_object_add(json, "addresses", own_addresses(listen_port(s)));
    json_object_object_add(json, "port", json_object_new_int(listen_port(s)));
    json_object_object_add(json, "pin", json_object_new_string(hex_put(pin, s->keys->pins.pin, MESHPING_PIN_LEN)));
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
