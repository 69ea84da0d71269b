/* SPDX-License-Identifier: Apache-2.0 */
/* Loading, samples, time. Agents are in roster.c, targets and passphrases in lists.c. */
#include "meshpingd/server.h"

#include "common/log.h"
#include "meshpingd/storing.h"
#include <meshping/block.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_US INT64_C(3600000000)
#define CACHE_PAIRS_A_TICK 2000
#define AHEAD_US INT64_C(30000000) /* the cache's samples are within this of now */
#define SEEN_A_TICK 500
#define ALIVE_KEY "alive_ms"
#define ALIVE_EVERY_MS 10000
#define CLOCK_EVERY_US INT64_C(300000000) /* an offset is noted again */
#define CLOCK_CHANGE_US 500               /* or when it moved by more than this and the errors */
#define SEEN_EVERY_MS 300000

int64_t server_unix_ms(void)
{
    return meshping_now_read().unix_ns / 1000000;
}

int64_t server_mono_ms(void)
{
    return meshping_now_read().mono_ns / 1000000;
}

/* ---- loading ---- */

static void take_block(server *s, uint64_t agent_id, const uint8_t *bytes, size_t length, int64_t received_unix_us,
                       bool journal, bool live);

static meshping_status load_block(void *user, const meshping_stored_block *block)
{
    take_block(user, block->agent_id, block->bytes, block->length, block->received_unix_us, block->id != 0, false);
    return MESHPING_OK;
}

static void on_trouble(void *user, meshping_status status, const char *message)
{
    (void)user;
    (void)status;
    log_error("store", "sealing or deleting old samples failed, it is tried again: %s", message);
}

static meshping_status load_server_id(server *s, meshping_error *err)
{
    char *text = NULL, made[17];
    meshping_status status = meshping_store_setting(s->store, "server_id", &text, err);
    if (status == MESHPING_OK) {
        s->server_id = strtoull(text, NULL, 16);
        meshping_free(text);
        return MESHPING_OK;
    }
    if (status != MESHPING_NOT_FOUND)
        return status;
    if (RAND_bytes((unsigned char *)&s->server_id, sizeof s->server_id) != 1)
        return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers to be had");
    return meshping_store_setting_save(s->store, "server_id", live_agent_id(made, s->server_id), err);
}

/* How long there was no server, to within ALIVE_EVERY_MS. */
static meshping_status note_pause(server *s, meshping_error *err)
{
    char *text = NULL;
    meshping_pause pause = {.to_unix_us = server_unix_ms() * 1000};
    meshping_status status = meshping_store_setting(s->store, ALIVE_KEY, &text, err);
    if (status == MESHPING_OK) {
        pause.from_unix_us = strtoll(text, NULL, 10) * 1000;
        meshping_free(text);
        if (pause.from_unix_us < pause.to_unix_us)
            status = meshping_store_pause_add(s->store, &pause, err);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

void server_note_alive(server *s)
{
    char text[32];
    s->alive_mono_ms = server_mono_ms();
    snprintf(text, sizeof text, "%lld", (long long)server_unix_ms());
    meshping_store_setting_save(s->store, ALIVE_KEY, text, NULL);
}

meshping_status server_load(server *s, meshping_error *err)
{
    meshping_status status = meshping_cache_new(&s->cache, HOUR_US);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "out of memory");
    meshping_cell_thresholds_init(&s->thresholds);
    s->thresholds.slow_rtt_us = (uint32_t)s->config.slow_ms * 1000;
    s->thresholds.lossy_count = (uint32_t)s->config.lossy_count;
    s->thresholds.stale_intervals = (uint32_t)s->config.stale_intervals;
    s->started_unix_ms = server_unix_ms();
    meshping_store_watch(s->store, &(meshping_store_watcher){.trouble = on_trouble, .user = s});
    status = load_server_id(s, err);
    if (status == MESHPING_OK)
        status = note_pause(s, err);
    if (status == MESHPING_OK)
        status = meshping_store_targets(s->store, &s->targets, err);
    live_index(s);
    if (status == MESHPING_OK)
        status = server_load_agents(s, err);
    if (status == MESHPING_OK)
        status = meshping_store_visit_blocks(s->store, server_unix_ms() * 1000 - HOUR_US, load_block, s, err);
    return status;
}

void server_dispose(server *s)
{
    for (size_t i = 0; i < s->agent_count; i++) {
        live_forget(s->agents[i]);
        free(s->agents[i]);
    }
    free(s->agents);
    s->agents = NULL;
    s->agent_count = 0;
    agent_index_dispose(&s->agent_index);
    revocations_dispose(&s->revocations);
    meshping_target_list_dispose(&s->targets);
    free(s->columns);
    s->columns = NULL;
    meshping_cache_free(s->cache);
    s->cache = NULL;
}

/* ---- samples ---- */

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

meshping_clock_note server_clock_note(agent_entry *agent)
{
    meshping_now now = meshping_now_read();
    meshping_clock_note note = {0}, *noted = &agent->clock_noted;
    if (!meshping_clock_read(&agent->clock, now.mono_ns / 1000, &note.offset_us, &note.error_us))
        return note;
    bool due = !noted->at_unix_us || now.mono_ns / 1000 - agent->clock_noted_mono_us >= CLOCK_EVERY_US ||
               apart(note.offset_us, noted->offset_us) > note.error_us + noted->error_us + CLOCK_CHANGE_US;
    if (!due)
        return note;
    note.at_unix_us = now.unix_ns / 1000;
    agent->clock_noted = note;
    agent->clock_noted_mono_us = now.mono_ns / 1000;
    return note;
}

/*
 * Which sample is the newest is told on our clock: one whose agent's clock was set back is not an old one, and nothing
 * comes from the future.
 */
static void add_to_cell(const agent_entry *agent, meshping_cell *cell, const meshping_sample *sample,
                        int64_t received_unix_us)
{
    meshping_sample here = *sample;
    int64_t offset_us, error_us;
    if (meshping_clock_read(&agent->clock, server_mono_ms() * 1000, &offset_us, &error_us) &&
        llabs(offset_us) > MESHPING_CLOCK_SKEW_US)
        here.slot_unix_us -= offset_us;
    if (here.slot_unix_us > received_unix_us)
        here.slot_unix_us = received_unix_us;
    meshping_cell_add(cell, &here, received_unix_us);
}

static void take_sample(server *s, agent_entry *agent, uint64_t target_id, meshping_sample *sample,
                        int64_t received_unix_us, bool live)
{
    meshping_cache_add(s->cache, agent->record.id, target_id, sample, received_unix_us);
    meshping_cell *cell = live_cell(s, agent, target_id);
    if (cell)
        add_to_cell(agent, cell, sample, received_unix_us);
    if (!live)
        return;
    if (sample->outcome < MESHPING_OUTCOME_COUNT)
        s->counters.samples[sample->outcome]++;
    if (sample->flags & MESHPING_FLAG_LATE_DATA)
        s->counters.samples_late++;
}

static void take_block(server *s, uint64_t agent_id, const uint8_t *bytes, size_t length, int64_t received_unix_us,
                       bool journal, bool live)
{
    meshping_block_reader *reader = NULL;
    meshping_sample *samples = NULL;
    size_t capacity = 0;
    agent_entry *agent = server_agent_by_id(s, agent_id);
    if (!agent || meshping_block_reader_new(&reader, bytes, length, NULL) != MESHPING_OK)
        return;
    for (size_t i = 0; i < meshping_block_reader_target_count(reader); i++) {
        meshping_block_entry entry;
        size_t count = 0;
        if (meshping_block_reader_entry(reader, i, &entry) != MESHPING_OK)
            break;
        if (entry.sample_count > capacity) {
            meshping_sample *grown = realloc(samples, entry.sample_count * sizeof *samples);
            if (!grown)
                break;
            samples = grown;
            capacity = entry.sample_count;
        }
        if (!samples || meshping_block_reader_samples(reader, i, samples, capacity, &count, NULL) != MESHPING_OK)
            break;
        if (journal)
            meshping_samples_mark_late(samples, count, received_unix_us);
        for (size_t k = 0; k < count; k++)
            take_sample(s, agent, entry.target_id, &samples[k], received_unix_us, live);
    }
    free(samples);
    meshping_block_reader_free(reader);
}

void server_take_block(server *s, uint64_t agent_id, const uint8_t *bytes, size_t length, int64_t received_unix_us)
{
    take_block(s, agent_id, bytes, length, received_unix_us, true, true);
}

meshping_status server_series(server *s, uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us,
                              meshping_series *out, meshping_error *err)
{
    *out = (meshping_series){0};
    int64_t now_us = server_unix_ms() * 1000;
    /* a little less than the cache keeps, so that nothing is on its way out while it is read; and no wrong clock's time
     */
    if (from_us >= now_us - HOUR_US + 2000000 && to_us <= now_us + AHEAD_US)
        return meshping_cache_range(s->cache, agent_id, target_id, from_us, to_us, &out->samples, &out->count);
    return meshping_store_series(s->store, agent_id, target_id, from_us, to_us, out, err);
}

/* ---- time ---- */

/* Who went offline is noted at once, who is there each five minutes; a part of a large crowd with each tick. */
static void save_seen(server *s)
{
    meshping_agent_record *records[SEEN_A_TICK];
    size_t count = 0;
    for (size_t i = 0; i < s->agent_count && count < SEEN_A_TICK; i++) {
        agent_entry *agent = s->agents[i];
        int64_t unsaved_ms = agent->last_seen_ms - agent->record.last_seen_ms;
        if (agent->last_seen_ms && (unsaved_ms > SEEN_EVERY_MS || (unsaved_ms && !agent->online))) {
            agent->record.last_seen_ms = agent->last_seen_ms;
            records[count++] = &agent->record;
        }
    }
    if (count)
        meshping_store_agents_seen(s->store, records, count, NULL); /* for people: not worth more than this try */
}

static void update_online(server *s)
{
    int64_t limit_ms = server_mono_ms() - (int64_t)s->config.offline_s * 1000;
    for (size_t i = 0; i < s->agent_count; i++) {
        agent_entry *agent = s->agents[i];
        bool online = agent->heard_ms && agent->heard_ms > limit_ms;
        if (online == agent->online)
            continue;
        agent->online = online;
        s->live_version++;
        log_info("agents", "%016llx %s is %s", (unsigned long long)agent->record.id, agent->record.host_name,
                 online ? "online" : "offline");
    }
}

void server_tick(server *s)
{
    agents_tick(s);
    storing_tick(s);
    update_online(s);
    save_seen(s);
    server_lapse(s);
    if (server_mono_ms() - s->alive_mono_ms >= ALIVE_EVERY_MS)
        server_note_alive(s);
    meshping_cache_expire(s->cache, server_unix_ms() * 1000, CACHE_PAIRS_A_TICK);
    server_retain(s);
    live_tick(s);
}
