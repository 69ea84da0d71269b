/* SPDX-License-Identifier: Apache-2.0 */
/* Samples on their way through the server: from the store into cells and hour cache, and the answers about a pair. */
#include "meshpingd/samples.h"

#include "common/log.h"
#include "meshpingd/filling.h"
#include "meshpingd/plan.h"
#include "meshpingd/storing.h"
#include <inttypes.h>
#include <stdlib.h>

/* More than the hour that is asked for, so that a question about it is answered without the disk. */
#define CACHE_SPAN_US (HOUR_US + INT64_C(600000000))
#define HOUR_US INT64_C(3600000000)
#define NEWEST_LOOK_US INT64_C(60000000) /* most have one so shortly before */
#define CACHE_AGENTS_A_TURN 3
#define WINDOW_LEAST_US INT64_C(90000000)

/* ---- cells ---- */

typedef struct taker {
    server *server;
    agent_entry *agent;
    bool live;        /* it has just come, and counts */
    bool seldom;      /* not live: only targets that are seldom probed, else only all others */
    int64_t ahead_us; /* how far the agent's clock is, when it is wrong */
    meshping_sample *samples;
    size_t capacity;
} taker;

/*
 * Which sample is the newest is told on our clock: one whose agent's clock was set back is not an old one, and nothing
 * comes from the future.
 */
static void add_to_cell(const taker *t, meshping_cell *cell, const meshping_sample *sample, int64_t received_unix_us)
{
    meshping_sample here = *sample;
    here.slot_unix_us -= t->ahead_us;
    if (here.slot_unix_us > received_unix_us)
        here.slot_unix_us = received_unix_us;
    meshping_cell_add(cell, &here, received_unix_us);
}

static void count_sample(taker *t, const meshping_sample *sample)
{
    server_counters *counters = &t->server->counters;
    if (sample->outcome < MESHPING_OUTCOME_COUNT)
        counters->samples[sample->outcome]++;
    if (sample->flags & MESHPING_FLAG_LATE_DATA)
        counters->samples_late++;
}

/* How long the last verdicts take to come, which a cell remembers. */
static int64_t window_us(const meshping_target *target)
{
    return (int64_t)target->interval_ms * 1000 * (MESHPING_CELL_WINDOW + 3);
}

/* The target's samples into t->samples. STATE: they are not wanted, or damaged. */
static meshping_status read_entry(taker *t, const meshping_stored_block *block, const meshping_block_reader *reader,
                                  size_t i, const meshping_cell *cell, size_t *count)
{
    if (!t->live &&
        (!cell || (window_us(&t->server->plan->targets.items[cell - t->agent->cells]) > WINDOW_LEAST_US) != t->seldom))
        return MESHPING_STATE;
    meshping_block_entry entry;
    meshping_block_reader_entry(reader, i, &entry);
    if (!t->samples || entry.sample_count > t->capacity) {
        meshping_sample *grown = realloc(t->samples, entry.sample_count * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        t->samples = grown;
        t->capacity = entry.sample_count;
    }
    if (meshping_block_reader_samples(reader, i, t->samples, t->capacity, count, NULL) != MESHPING_OK)
        return MESHPING_STATE;
    if (block->id)
        meshping_samples_mark_late(t->samples, *count, block->received_agent_us);
    return MESHPING_OK;
}

static meshping_status take_block(taker *t, const meshping_stored_block *block, const meshping_block_reader *reader)
{
    int64_t offset_us, error_us;
    bool wrong = meshping_clock_read(&t->agent->clock, server_mono_ms() * 1000, &offset_us, &error_us) &&
                 llabs(offset_us) > MESHPING_CLOCK_SKEW_US;
    t->ahead_us = wrong ? offset_us : 0;
    for (size_t i = 0; i < meshping_block_reader_target_count(reader); i++) {
        meshping_block_entry entry;
        size_t count;
        meshping_block_reader_entry(reader, i, &entry);
        meshping_cell *cell = live_cell(t->server, t->agent, entry.target_id);
        meshping_status status = read_entry(t, block, reader, i, cell, &count);
        if (status == MESHPING_NOMEM)
            return status;
        for (size_t k = 0; status == MESHPING_OK && k < count; k++) {
            if (cell)
                add_to_cell(t, cell, &t->samples[k], block->received_unix_us);
            if (t->live)
                count_sample(t, &t->samples[k]);
        }
    }
    return MESHPING_OK;
}

void samples_take(server *s, const meshping_stored_block *block)
{
    taker t = {.server = s, .agent = server_agent_by_id(s, block->agent_id), .live = true};
    if (!t.agent)
        return;
    meshping_cache_add(s->cache, block, block->received_unix_us);
    if (meshping_block_reader_open(s->block_reader, block->bytes, block->length, NULL) == MESHPING_OK)
        take_block(&t, block, s->block_reader);
    free(t.samples);
}

void samples_take_clock(agent_entry *agent, const meshping_clock_note *note)
{
    clock_notes_add(&agent->clocks, note, server_unix_ms() * 1000 - CACHE_SPAN_US);
}

void samples_take_past(agent_entry *agent, const meshping_block_done *done)
{
    int64_t oldest_us = server_unix_ms() * 1000 - CACHE_SPAN_US;
    if (!done->stored || done->quarantined)
        return;
    if (done->gap)
        past_add_gap(&agent->past, &(meshping_stored_gap){done->write->epoch, *done->gap}, oldest_us);
    past_add_start(&agent->past, &(meshping_epoch_start){done->write->epoch, done->epoch_first_us}, oldest_us);
}

int64_t samples_oldest_us(const server *s)
{
    return s->started_unix_ms * 1000 - CACHE_SPAN_US;
}

void samples_take_pauses(server *s)
{
    int64_t oldest_ms = samples_oldest_us(s) / 1000;
    meshping_free(s->target_pauses);
    s->target_pauses_known = meshping_store_target_pauses(s->store, 0, oldest_ms, INT64_MAX, &s->target_pauses,
                                                          &s->target_pause_count, NULL) == MESHPING_OK;
    if (!s->target_pauses_known)
        s->target_pauses = NULL;
}

/* ---- what the writer thread does by itself ---- */

static void on_sealed(void *user, const meshping_store_sealed *sealed)
{
    server *s = user;
    meshping_cache_replace(s->cache, sealed->agent_id, sealed->first_id, sealed->last_id, sealed->blocks,
                           sealed->count);
    alarm_clear(&s->alarms, ALARM_SEAL, server_unix_ms());
}

static void on_trouble(void *user, meshping_status status, const char *message)
{
    server *s = user;
    char text[MESHPING_ERROR_MESSAGE_MAX];
    if (status == MESHPING_CORRUPT)
        storing_unreadable(s, message);
    snprintf(text, sizeof text, "stored blocks cannot be joined, or old ones deleted; it is tried again: %s", message);
    alarm_raise(&s->alarms, ALARM_SEAL, server_unix_ms(), text);
}

/* ---- at start ---- */

static meshping_status take_stored(void *user, const meshping_stored_block *block)
{
    taker *t = user;
    meshping_block_reader *reader = t->server->block_reader;
    if (meshping_block_reader_open(reader, block->bytes, block->length, NULL) != MESHPING_OK)
        return MESHPING_OK;
    return take_block(t, block, reader);
}

/* The newest blocks have what most cells remember; the few targets that are seldom probed need older ones. */
static meshping_status load_cells(server *s, int64_t since_us, meshping_error *err)
{
    taker t = {.server = s};
    meshping_status status = MESHPING_OK;
    int64_t most_us = 0;
    for (size_t i = 0; i < s->plan->targets.count; i++)
        most_us = window_us(&s->plan->targets.items[i]) > most_us ? window_us(&s->plan->targets.items[i]) : most_us;
    for (size_t i = 0; status == MESHPING_OK && i < s->agent_count; i++) {
        t.agent = s->agents[i];
        for (t.seldom = false; status == MESHPING_OK; t.seldom = true) {
            int64_t length_us = t.seldom ? most_us : WINDOW_LEAST_US;
            status =
                meshping_store_visit_blocks(s->store, t.agent->record.id, since_us, length_us, take_stored, &t, err);
            if (t.seldom || most_us <= WINDOW_LEAST_US)
                break;
        }
        if (status == MESHPING_CORRUPT) { /* its cells are without a past */
            log_error("store", "the newest samples of %s cannot be read: %s", t.agent->record.host_name, err->message);
            status = MESHPING_OK;
        }
    }
    free(t.samples);
    return status;
}

meshping_status samples_load(server *s, meshping_error *err)
{
    int64_t begun_ms = server_mono_ms(), since_us = samples_oldest_us(s);
    if (meshping_cache_new(&s->cache, CACHE_SPAN_US) != MESHPING_OK ||
        meshping_block_reader_make(&s->block_reader) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = load_cells(s, since_us, err);
    if (status == MESHPING_OK)
        status = meshping_store_pauses(s->store, since_us, INT64_MAX, &s->pauses, &s->pause_count, err);
    s->pauses_known = status == MESHPING_OK;
    if (status == MESHPING_CORRUPT) { /* the disk tells what it still can */
        storing_unreadable(s, err->message);
        status = MESHPING_OK;
    }
    if (status != MESHPING_OK)
        return status;
    samples_take_pauses(s);
    meshping_store_watch(s->store, &(meshping_store_watcher){on_sealed, on_trouble, s});
    log_info("store",
             "the newest samples are here in %" PRId64 " ms; the last hour comes from the disk until it is"
             " in memory",
             server_mono_ms() - begun_ms);
    return filling_start(s, since_us, err);
}

void samples_turn(server *s)
{
    meshping_cache_expire(s->cache, server_unix_ms() * 1000, CACHE_AGENTS_A_TURN);
}

/* ---- questions ---- */

meshping_status samples_part_take(samples_part *part, server *s, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                  int64_t to_us, meshping_error *err)
{
    *part = (samples_part){.agent_id = agent_id, .target_id = target_id, .from_us = from_us};
    part->seam_us = meshping_cache_seam(s->cache, agent_id, from_us, to_us, server_unix_ms() * 1000);
    meshping_status status = meshping_cache_series(s->cache, agent_id, target_id, part->seam_us, to_us, &part->found);
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "%s", meshping_status_text(status));
}

meshping_status samples_part_complete(samples_part *part, meshping_store *store, meshping_error *err)
{
    meshping_series older;
    if (samples_part_is_complete(part))
        return MESHPING_OK;
    meshping_status status =
        meshping_store_series(store, part->agent_id, part->target_id, part->from_us, part->seam_us, &older, err);
    if (status != MESHPING_OK)
        return status;
    if (meshping_series_append(&older, &part->found) != MESHPING_OK) {
        meshping_series_dispose(&older);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    part->found = older;
    part->seam_us = part->from_us;
    return MESHPING_OK;
}

bool samples_newest_before(server *s, const agent_entry *agent, uint64_t target_id, int64_t before_us, int64_t *slot_us)
{
    uint64_t id = agent->record.id;
    int64_t reach_us = meshping_cache_reach(s->cache, id, server_unix_ms() * 1000);
    int64_t close_us = before_us - NEWEST_LOOK_US > reach_us ? before_us - NEWEST_LOOK_US : reach_us;
    const int64_t looks_us[][2] = {{close_us, before_us}, {reach_us, close_us}};
    *slot_us = INT64_MIN;
    for (size_t i = 0; i < 2 && *slot_us == INT64_MIN; i++) {
        meshping_series found;
        if (looks_us[i][0] >= looks_us[i][1])
            continue;
        if (meshping_cache_series(s->cache, id, target_id, looks_us[i][0], looks_us[i][1], &found) != MESHPING_OK)
            return false;
        if (found.count)
            *slot_us = found.samples[found.count - 1].slot_unix_us;
        meshping_series_dispose(&found);
    }
    return *slot_us != INT64_MIN || past_begins_after(&agent->past, reach_us);
}

void samples_part_dispose(samples_part *part)
{
    meshping_series_dispose(&part->found);
}
