/* SPDX-License-Identifier: Apache-2.0 */
/* Loading, clocks, time. Agents are in roster.c, samples in samples.c, targets and passphrases in lists.c. */
#include "meshpingd/server.h"

#include "common/log.h"
#include "meshpingd/connection.h"
#include "meshpingd/planning.h"
#include "meshpingd/probing.h"
#include "meshpingd/quarantine.h"
#include "meshpingd/samples.h"
#include "meshpingd/storing.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    if (status == MESHPING_CORRUPT) { /* this pause is not explained; what is shown goes on */
        storing_unreadable(s, err->message);
        status = MESHPING_OK;
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

void server_note_alive(server *s)
{
    char text[32];
    s->alive_mono_ms = server_mono_ms();
    snprintf(text, sizeof text, "%lld", (long long)server_unix_ms());
    meshping_store_submit_setting(s->store, ALIVE_KEY, text, NULL, NULL, NULL);
}

meshping_status server_load(server *s, meshping_error *err)
{
    meshping_cell_thresholds_init(&s->thresholds);
    s->thresholds.slow_rtt_us = (uint32_t)s->config.slow_ms * 1000;
    s->thresholds.lossy_count = (uint32_t)s->config.lossy_count;
    s->thresholds.stale_intervals = (uint32_t)s->config.stale_intervals;
    s->started_unix_ms = server_unix_ms();
    meshping_status status = load_server_id(s, err);
    if (status == MESHPING_OK)
        status = note_pause(s, err);
    if (status == MESHPING_OK)
        status = meshping_store_targets(s->store, &s->targets, err);
    if (status == MESHPING_OK)
        status = server_load_agents(s, err);
    s->updates.revision = (uint64_t)server_unix_ms(); /* agents have seen lower ones only */
    if (status == MESHPING_OK)
        status = planning_load(s, err);
    if (status == MESHPING_OK)
        status = quarantine_load(s, err);
    if (status == MESHPING_OK)
        status = samples_load(s, err);
    return status;
}

void server_dispose(server *s)
{
    for (size_t i = 0; i < s->agent_count; i++) {
        live_forget(s->agents[i]);
        clock_notes_dispose(&s->agents[i]->clocks);
        past_dispose(&s->agents[i]->past);
        target_notes_dispose(&s->agents[i]->notes);
        free(s->agents[i]->row);
        free(s->agents[i]);
    }
    free(s->agents);
    s->agents = NULL;
    s->agent_count = 0;
    agent_index_dispose(&s->agent_index);
    revocations_dispose(&s->revocations);
    rate_dispose(&s->failed_enrolments);
    target_updates_dispose(&s->updates);
    quarantine_dispose(s);
    probing_dispose(s);
    meshping_target_list_dispose(&s->targets);
    meshping_free(s->pauses);
    meshping_free(s->target_pauses);
    planning_dispose(s);
    text_dispose(&s->live_changes);
    meshping_cache_free(s->cache);
    s->cache = NULL;
    meshping_block_reader_free(s->block_reader);
    s->block_reader = NULL;
}

/* ---- clocks ---- */

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

meshping_clock_note server_clock_note(agent_entry *agent)
{
    meshping_now now = meshping_now_read();
    meshping_clock_note note = {0}, *noted = &agent->clock_noted;
    if (!meshping_clock_read(&agent->clock, now.mono_ns / 1000, &note.offset_us, &note.error_us)) {
        note.offset_us = noted->offset_us;
        return note;
    }
    bool due = !noted->at_unix_us || now.mono_ns / 1000 - agent->clock_noted_mono_us >= CLOCK_EVERY_US ||
               apart(note.offset_us, noted->offset_us) > note.error_us + noted->error_us + CLOCK_CHANGE_US;
    if (!due)
        return note;
    note.at_unix_us = now.unix_ns / 1000;
    agent->clock_noted = note;
    agent->clock_noted_mono_us = now.mono_ns / 1000;
    return note;
}

void server_clock_recall(server *s, agent_entry *agent)
{
    meshping_clock_note *notes = NULL;
    size_t count = 0;
    int64_t now_us = server_unix_ms() * 1000;
    if (agent->clock.count || agent->clock_noted.at_unix_us)
        return;
    /* without it: as if its clock were right, until it is measured in a moment */
    if (meshping_store_clocks(s->store, agent->record.id, now_us, now_us, &notes, &count, NULL) == MESHPING_OK && count)
        agent->clock_noted.offset_us = notes[count - 1].offset_us;
    meshping_free(notes);
}

/* ---- time ---- */

static void on_seen_saved(void *user, meshping_status status, const char *error)
{
    server *s = user;
    s->seen_failed = s->seen_failed || status != MESHPING_OK;
    if (status != MESHPING_OK)
        log_debug("store", "when agents were seen is not written yet: %s", error);
}

/*
 * Who went offline is noted at once, who is there each five minutes; a part of a large crowd with each tick. What
 * failed is tried again once samples can be stored; it is rare, so it is not kept whose it was.
 */
static void save_seen(server *s)
{
    meshping_agent_seen seen[SEEN_A_TICK];
    size_t count = 0;
    if (alarm_is_raised(&s->alarms, ALARM_STORE))
        return;
    for (size_t i = 0; i < s->agent_count && s->seen_failed; i++)
        s->agents[i]->seen_unsaved = true;
    s->seen_failed = false;
    for (size_t i = 0; i < s->agent_count && count < SEEN_A_TICK; i++) {
        agent_entry *agent = s->agents[i];
        int64_t unsaved_ms = agent->last_seen_ms - agent->record.last_seen_ms;
        if (agent->last_seen_ms &&
            (unsaved_ms > SEEN_EVERY_MS || (unsaved_ms && !agent->online) || agent->seen_unsaved)) {
            agent->record.last_seen_ms = agent->last_seen_ms;
            agent->seen_unsaved = false;
            seen[count++] = (meshping_agent_seen){agent->record.id, agent->last_seen_ms};
        }
    }
    if (count && meshping_store_submit_seen(s->store, seen, count, on_seen_saved, s, NULL) != MESHPING_OK)
        for (size_t i = 0; i < count; i++)
            server_agent_by_id(s, seen[i].agent_id)->seen_unsaved = true;
}

/* What agents said of themselves when they connected; what cannot be written now is written later. */
static void save_changed(server *s)
{
    meshping_agent_record *records[SEEN_A_TICK];
    agent_entry *changed[SEEN_A_TICK];
    meshping_error err;
    size_t count = 0;
    for (size_t i = 0; i < s->agent_count && count < SEEN_A_TICK; i++)
        if (s->agents[i]->unsaved) {
            changed[count] = s->agents[i];
            records[count++] = &s->agents[i]->record;
        }
    if (!count)
        return;
    if (meshping_store_agents_save(s->store, records, count, &err) != MESHPING_OK) {
        log_debug("store", "what %zu agents say of themselves is not written yet: %s", count, err.message);
        return;
    }
    for (size_t i = 0; i < count; i++)
        changed[i]->unsaved = false;
}

int64_t server_silent_since(const server *s, int64_t heard_ms)
{
    return heard_ms > s->offline_changed_ms ? heard_ms : s->offline_changed_ms;
}

static void update_online(server *s)
{
    int64_t limit_ms = server_mono_ms() - (int64_t)s->config.offline_s * 1000;
    for (size_t i = 0; i < s->agent_count; i++) {
        agent_entry *agent = s->agents[i];
        int64_t since_ms = agent->online ? server_silent_since(s, agent->heard_ms) : agent->heard_ms;
        bool online = agent->heard_ms && since_ms > limit_ms;
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
    connection_bury();
    storing_tick(s);
    update_online(s);
    save_changed(s);
    save_seen(s);
    server_lapse(s);
    quarantine_tick(s);
    if (server_mono_ms() - s->alive_mono_ms >= ALIVE_EVERY_MS)
        server_note_alive(s);
    planning_now(s);
    server_retain(s);
    live_tick(s);
}

void server_turn(server *s)
{
    agents_turn();
    samples_turn(s);
    live_turn(s);
}
