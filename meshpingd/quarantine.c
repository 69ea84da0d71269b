/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/quarantine.h"

#include "common/log.h"
#include "meshpingd/samples.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CREDIT_BYTES ((uint64_t)4 << 20)
#define BLOCK_BYTES_MAX ((uint64_t)1 << 20)
#define UNDER_WAY_MAX 256
#define TICK_BYTES ((size_t)4 << 20)

/* A source that was decided upon, on its way to the other samples. */
typedef struct releasing {
    server *server;
    meshping_quarantine_source source;
    uint64_t after_id; /* the last row submitted; of one that is not kept, how many ranges were */
    size_t under_way;
    bool ended, again; /* no row is left to submit; some were not stored: from the start, what is there is known */
    bool gaps;         /* of one that is kept: its blocks are there, its gaps follow */
    struct releasing *next;
} releasing;

static releasing *first; /* one loop, one thread */

/* ---- ranges ---- */

/* Ascending, apart; what would be a 33rd is left out: it is sent again, and is known then. */
static void add_range(meshping_range *ranges, size_t *count, meshping_range more)
{
    size_t from = 0, to;
    while (from < *count && ranges[from].last + 1 < more.first)
        from++;
    for (to = from; to < *count && ranges[to].first <= more.last + 1; to++) {
        more.first = ranges[to].first < more.first ? ranges[to].first : more.first;
        more.last = ranges[to].last > more.last ? ranges[to].last : more.last;
    }
    if (to == from && *count == MESHPING_RANGES_MAX)
        return;
    memmove(&ranges[from + 1], &ranges[to], (*count - to) * sizeof *ranges);
    *count = *count - (to - from) + 1;
    ranges[from] = more;
}

void quarantine_add_ranges(const agent_connection *c, meshping_range *ranges, size_t *count)
{
    for (const releasing *r = first; r; r = r->next)
        if (r->source.agent_id == c->agent->record.id && r->source.epoch == c->epoch)
            for (size_t i = 0; i < r->source.range_count; i++)
                add_range(ranges, count, r->source.ranges[i]);
}

/* ---- on hold ---- */

uint64_t quarantine_credit(const server *s, const agent_entry *agent)
{
    /* one block may be under way beyond the credit */
    uint64_t used = agent->quarantine_bytes + BLOCK_BYTES_MAX;
    uint64_t limit = (uint64_t)s->config.quarantine_max_size, left = used < limit ? limit - used : 0;
    return left < CREDIT_BYTES ? left : CREDIT_BYTES;
}

/* As the store has it: what is told of a block may be from before a decision. */
static void recount(const server *s, agent_entry *agent)
{
    meshping_quarantine_source *sources = NULL;
    meshping_error err = {0};
    size_t count = 0;
    if (meshping_store_quarantine(s->store, agent->record.id, &sources, &count, &err) != MESHPING_OK) {
        log_error("store", "the quarantine of %s cannot be read: %s", agent->record.host_name, err.message);
        return;
    }
    agent->quarantine_bytes = 0;
    for (size_t i = 0; i < count; i++)
        agent->quarantine_bytes += sources[i].bytes;
    meshping_free(sources);
}

void quarantine_note(const server *s, agent_entry *agent, const meshping_block_done *done)
{
    if (!agent || !done->quarantined)
        return;
    bool had_credit = quarantine_credit(s, agent) != 0;
    agent->quarantine_bytes = done->quarantine_bytes;
    agent->quarantine_stale = true; /* counted with the next tick: at each block it would be a reading of the disk */
    if (had_credit && !quarantine_credit(s, agent))
        log_warning("agents", "%s: its quarantine is full (%llu MiB): it keeps the rest until it is decided upon",
                    agent->record.host_name, (unsigned long long)(s->config.quarantine_max_size >> 20));
}

/* ---- deciding ---- */

static void tell(server *s, const agent_entry *agent, const meshping_quarantine_source *source, const char *what,
                 const char *user)
{
    char text[512];
    snprintf(text, sizeof text, "%.200s: %s: %" PRIu64 " samples in %" PRIu64 " blocks from %s, epoch %016" PRIx64,
             agent->record.host_name, what, source->samples, source->blocks, source->address, source->epoch);
    log_info("agents", "%016" PRIx64 " %s%s%s", agent->record.id, text, user ? ", by " : "", user ? user : "");
    meshping_store_event_add(s->store, server_unix_ms(), "quarantine", agent->record.id, user, text, NULL);
}

static meshping_status release(server *s, const meshping_quarantine_source *source, meshping_error *err)
{
    releasing *r = calloc(1, sizeof *r);
    if (!r)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    *r = (releasing){.server = s, .source = *source, .next = first};
    first = r;
    return MESHPING_OK;
}

static bool is_named(const meshping_quarantine_source *source, const uint64_t *keep, size_t keep_count,
                     const char *addresses)
{
    if (keep_count == SIZE_MAX)
        return meshping_registry_address_ok(addresses, source->address);
    for (size_t i = 0; i < keep_count; i++)
        if (keep[i] == source->id)
            return true;
    return false;
}

/* NULL: none of this epoch and address was decided upon. */
static const releasing *find_decided(const meshping_quarantine_source *source)
{
    for (const releasing *r = first; r; r = r->next)
        if (r->source.agent_id == source->agent_id && r->source.epoch == source->epoch &&
            strcmp(r->source.address, source->address) == 0)
            return r;
    return NULL;
}

/* What was undecided in `before` and is not any more; read again, since more may have come until it was decided. */
static meshping_status release_decided(server *s, const agent_entry *agent, const meshping_quarantine_source *before,
                                       size_t count, const char *user, meshping_error *err)
{
    meshping_quarantine_source *sources = NULL;
    size_t now_count = 0;
    meshping_status status = meshping_store_quarantine(s->store, agent->record.id, &sources, &now_count, err);
    for (size_t i = 0; i < count && i < now_count && status == MESHPING_OK; i++) { /* by id: new ones are behind */
        if (before[i].decided || !sources[i].decided)
            continue;
        status = release(s, &sources[i], err);
        if (status == MESHPING_OK)
            tell(s, agent, &sources[i], sources[i].decided > 0 ? "kept out of quarantine" : "not kept, told as a gap",
                 user);
    }
    meshping_free(sources);
    return status;
}

meshping_status quarantine_decide(server *s, agent_entry *agent, const uint64_t *keep, size_t keep_count,
                                  const char *addresses, const char *user, meshping_error *err)
{
    meshping_quarantine_source *sources = NULL;
    size_t count = 0, named = 0;
    meshping_status status = meshping_store_quarantine(s->store, agent->record.id, &sources, &count, err);
    for (size_t i = 0; i < count; i++)
        named += !sources[i].decided && is_named(&sources[i], keep, keep_count, addresses);
    if (status == MESHPING_OK && keep_count != SIZE_MAX && named != keep_count)
        status = meshping_error_set(err, MESHPING_NOT_FOUND, "of the sources to keep some are not this agent's");
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        if (!sources[i].decided)
            status = meshping_store_quarantine_decide(s->store, sources[i].id,
                                                      is_named(&sources[i], keep, keep_count, addresses), err);
    if (status == MESHPING_OK)
        status = release_decided(s, agent, sources, count, user, err);
    meshping_free(sources);
    return status;
}

meshping_status quarantine_decide_rest(server *s, const agent_entry *agent, const char *user, meshping_error *err)
{
    meshping_quarantine_source *sources = NULL;
    size_t count = 0;
    meshping_status status = meshping_store_quarantine(s->store, agent->record.id, &sources, &count, err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        const releasing *same = find_decided(&sources[i]);
        bool keep = same ? same->source.decided > 0
                         : meshping_registry_address_ok(agent->record.approved_addresses, sources[i].address);
        if (!sources[i].decided)
            status = meshping_store_quarantine_decide(s->store, sources[i].id, keep, err);
    }
    if (status == MESHPING_OK)
        status = release_decided(s, agent, sources, count, user, err);
    meshping_free(sources);
    return status;
}

void quarantine_delete(server *s, agent_entry *agent, const char *user)
{
    meshping_quarantine_source *sources = NULL;
    meshping_error err = {0};
    size_t count = 0;
    meshping_status status = meshping_store_quarantine(s->store, agent->record.id, &sources, &count, &err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        if (sources[i].decided) /* on its way since an earlier approval */
            continue;
        status = meshping_store_quarantine_delete(s->store, sources[i].id, &err);
        if (status == MESHPING_OK)
            tell(s, agent, &sources[i], "deleted out of quarantine", user);
    }
    if (status != MESHPING_OK)
        log_error("store", "the quarantine of %s cannot be deleted: %s", agent->record.host_name, err.message);
    meshping_free(sources);
    recount(s, agent);
}

/* ---- on the way ---- */

static void released(void *user, const meshping_block_done *done)
{
    releasing *r = user;
    server *s = r->server;
    agent_entry *agent = server_agent_by_id(s, r->source.agent_id);
    r->under_way--;
    if (done->status != MESHPING_OK)
        r->again = true;
    if (done->status == MESHPING_OK && agent)
        samples_take_past(agent, done);
    if (done->status == MESHPING_OK && done->stored && done->write->bytes) {
        s->counters.blocks++;
        samples_take(s, &done->block);
    }
    agent_connection *c = agent ? agent->connection : NULL;
    if (!c || c->closing || c->epoch != done->write->epoch || done->status != MESHPING_OK)
        return;
    c->range_count = done->range_count;
    memcpy(c->ranges, done->ranges, done->range_count * sizeof *c->ranges);
}

static meshping_status submit(releasing *r, meshping_block_write *write, const meshping_gap *gap)
{
    write->agent_id = r->source.agent_id;
    write->epoch = r->source.epoch;
    write->sequence = gap->first_sequence;
    write->released = true;
    r->under_way++;
    meshping_status status = write->bytes ? meshping_store_submit_block(r->server->store, write, released, r, NULL)
                                          : meshping_store_submit_gap(r->server->store, write, gap, released, r, NULL);
    if (status != MESHPING_OK)
        r->under_way--;
    return status;
}

/* OK: one more is under way, or passed over; NOT_FOUND: there was none. */
static meshping_status submit_row(releasing *r, size_t *bytes)
{
    meshping_quarantined row = {0};
    meshping_status status = meshping_store_quarantine_next(r->server->store, r->source.id, r->after_id, &row, NULL);
    if (status != MESHPING_OK)
        return status;
    if ((row.bytes == NULL) != r->gaps) { /* its turn is another */
        meshping_free(row.bytes);
        r->after_id = row.id;
        return MESHPING_OK;
    }
    meshping_block_write write = {.bytes = row.bytes,
                                  .length = row.length,
                                  .received_unix_us = row.received_unix_us,
                                  .clock = {.offset_us = row.clock_offset_us}};
    status = submit(r, &write, &row.gap);
    if (status != MESHPING_OK)
        meshping_free(row.bytes);
    else
        r->after_id = row.id;
    *bytes += row.length;
    return status;
}

/* In place of what is not kept. */
static meshping_status submit_gap(releasing *r)
{
    const meshping_quarantine_source *source = &r->source;
    if (r->after_id >= source->range_count)
        return MESHPING_NOT_FOUND;
    meshping_block_write write = {.received_unix_us = source->updated_unix_us};
    meshping_gap gap = {.first_sequence = source->ranges[r->after_id].first,
                        .last_sequence = source->ranges[r->after_id].last,
                        .first_unix_us = source->first_unix_us,
                        .last_unix_us = source->last_unix_us,
                        .sample_count = r->after_id == 0 ? source->samples : 0,
                        .reason = MESHPING_GAP_REFUSED};
    meshping_status status = submit(r, &write, &gap);
    r->after_id += status == MESHPING_OK;
    return status;
}

static void go_on(releasing *r)
{
    size_t bytes = 0;
    meshping_status status = MESHPING_OK;
    while (!r->ended && status == MESHPING_OK && r->under_way < UNDER_WAY_MAX && bytes < TICK_BYTES)
        status = r->source.decided > 0 ? submit_row(r, &bytes) : submit_gap(r);
    if (status == MESHPING_NOT_FOUND)
        r->ended = true;
}

/* True: it is all there. */
static bool finish(releasing *r)
{
    server *s = r->server;
    meshping_error err;
    if (!r->ended || r->under_way)
        return false;
    if (r->again || (r->source.decided > 0 && !r->gaps)) {
        r->gaps |= !r->again;
        r->ended = r->again = false;
        r->after_id = 0;
        return false;
    }
    if (meshping_store_quarantine_delete(s->store, r->source.id, &err) != MESHPING_OK) {
        log_error("store", "a quarantine that was decided upon cannot be deleted: %s", err.message);
        return false;
    }
    agent_entry *agent = server_agent_by_id(s, r->source.agent_id);
    if (agent)
        recount(s, agent);
    return true;
}

/*
 * A gap must not take the place of a block of the same number from a source that is kept: an agent that moved on while
 * it was on hold does not find among the ranges what it sent from elsewhere, and tells that as lost.
 */
static bool has_to_wait(const releasing *gaps)
{
    bool refused = gaps->source.decided < 0;
    for (const releasing *r = first; r && (refused || gaps->gaps); r = r->next)
        if (r->source.decided > 0 && (refused || !r->gaps) && r->source.agent_id == gaps->source.agent_id &&
            r->source.epoch == gaps->source.epoch)
            return true;
    return false;
}

static void recount_stale(server *s)
{
    for (size_t i = 0; i < s->agent_count; i++)
        if (s->agents[i]->quarantine_stale) {
            s->agents[i]->quarantine_stale = false;
            recount(s, s->agents[i]);
        }
}

void quarantine_tick(server *s)
{
    recount_stale(s);
    for (releasing **at = &first; *at;) {
        releasing *r = *at;
        const agent_entry *agent = server_agent_by_id(s, r->source.agent_id);
        if ((!agent || agent->record.state == MESHPING_AGENT_APPROVED) && !has_to_wait(r))
            go_on(r);
        if (!finish(r)) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        free(r);
    }
}

meshping_status quarantine_load(server *s, meshping_error *err)
{
    meshping_quarantine_source *sources = NULL;
    size_t count = 0;
    meshping_status status = meshping_store_quarantine(s->store, 0, &sources, &count, err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) {
        agent_entry *agent = server_agent_by_id(s, sources[i].agent_id);
        if (agent)
            agent->quarantine_bytes += sources[i].bytes;
        if (sources[i].decided)
            status = release(s, &sources[i], err);
    }
    for (size_t i = 0; i < count && status == MESHPING_OK; i++) { /* an approval was cut short */
        const agent_entry *agent = server_agent_by_id(s, sources[i].agent_id);
        if (agent && agent->record.state == MESHPING_AGENT_APPROVED && !sources[i].decided)
            status = quarantine_decide_rest(s, agent, NULL, err);
    }
    meshping_free(sources);
    return status;
}

void quarantine_dispose(server *s)
{
    (void)s;
    while (first) {
        releasing *r = first;
        first = r->next;
        free(r);
    }
}

/* ---- telling ---- */

static void add_number(json_object *object, const char *name, int64_t value)
{
    json_object_object_add(object, name, json_object_new_int64(value));
}

json_object *quarantine_json(server *s, const agent_entry *agent, meshping_error *err)
{
    meshping_quarantine_source *sources = NULL;
    size_t count = 0;
    char epoch[17];
    if (meshping_store_quarantine(s->store, agent->record.id, &sources, &count, err) != MESHPING_OK)
        return NULL;
    json_object *json = json_object_new_object(), *list = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        const meshping_quarantine_source *source = &sources[i];
        json_object *one = json_object_new_object();
        add_number(one, "id", (int64_t)source->id);
        json_object_object_add(one, "epoch", json_object_new_string(live_agent_id(epoch, source->epoch)));
        json_object_object_add(one, "address", json_object_new_string(source->address));
        json_object_object_add(one, "decided", json_object_new_boolean(source->decided != 0));
        add_number(one, "blocks", (int64_t)source->blocks);
        add_number(one, "samples", (int64_t)source->samples);
        add_number(one, "bytes", (int64_t)source->bytes);
        add_number(one, "first_ms", source->first_unix_us / 1000);
        add_number(one, "last_ms", source->last_unix_us / 1000);
        json_object_array_add(list, one);
    }
    meshping_free(sources);
    json_object_object_add(json, "sources", list);
    add_number(json, "limit_bytes", s->config.quarantine_max_size);
    return json;
}
