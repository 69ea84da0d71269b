/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/filling.h"

#include "common/log.h"
#include "meshpingd/storing.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct filling {
    uv_work_t work;
    server *server; /* NULL: it stops */
    char path[sizeof(((server_config *)0)->state_dir) + sizeof SERVER_DATABASE_NAME + 1];
    meshping_store *store; /* opened by the worker */
    uint64_t *agent_ids;
    size_t count, next;
    int64_t since_us, begun_ms;
    /* of the agent at hand */
    meshping_cache_load *load;
    meshping_status status;
    meshping_error error;
    uint64_t load_blocks, load_damaged;
    meshping_clock_note *clocks;
    size_t clock_count;
    bool clocks_read; /* else the disk goes on to tell them */
    meshping_stored_gap *gaps;
    meshping_epoch_start *starts;
    size_t gap_count, start_count;
    bool past_read; /* the same */
    /* of all */
    uint64_t blocks, damaged, failed;
} filling;

static void forget_notes(filling *f)
{
    meshping_free(f->clocks);
    meshping_free(f->gaps);
    meshping_free(f->starts);
    f->clocks = NULL;
    f->gaps = NULL;
    f->starts = NULL;
    f->clock_count = f->gap_count = f->start_count = 0;
}

static void filling_free(filling *f)
{
    meshping_cache_load_free(f->load);
    forget_notes(f);
    meshping_store_close(f->store);
    free(f->agent_ids);
    free(f);
}

/* ---- in a worker ---- */

static meshping_status take(void *user, const meshping_stored_block *block)
{
    filling *f = user;
    meshping_status status = meshping_cache_load_add(f->load, block);
    f->load_blocks++;
    f->load_damaged += status == MESHPING_CORRUPT;
    return status == MESHPING_CORRUPT ? MESHPING_OK : status;
}

static void work(uv_work_t *request)
{
    filling *f = request->data;
    uint64_t agent_id = f->agent_ids[f->next];
    f->status = MESHPING_OK;
    f->load_blocks = f->load_damaged = 0;
    if (!f->store) {
        meshping_store_options options;
        meshping_store_options_init(&options);
        options.path = f->path;
        options.read_only = true;
        f->status = meshping_store_open(&f->store, &options, &f->error);
    }
    if (f->status == MESHPING_OK && meshping_cache_load_new(&f->load, agent_id) != MESHPING_OK)
        f->status = meshping_error_set(&f->error, MESHPING_NOMEM, "out of memory");
    if (f->status == MESHPING_OK)
        f->status = meshping_store_visit_blocks(f->store, agent_id, f->since_us, INT64_MAX, take, f, &f->error);
    f->clocks_read =
        f->status == MESHPING_OK && meshping_store_clocks(f->store, agent_id, f->since_us, INT64_MAX, &f->clocks,
                                                          &f->clock_count, NULL) == MESHPING_OK;
    f->past_read =
        f->status == MESHPING_OK &&
        meshping_store_gaps(f->store, agent_id, f->since_us, INT64_MAX, &f->gaps, &f->gap_count, NULL) == MESHPING_OK &&
        meshping_store_starts(f->store, agent_id, f->since_us, INT64_MAX, &f->starts, &f->start_count, NULL) ==
            MESHPING_OK;
}

/* ---- on the loop ---- */

static void tell(const filling *f)
{
    meshping_cache_stats stats;
    meshping_cache_get_stats(f->server->cache, &stats);
    log_info("store",
             "the last hour is here: %" PRIu64 " samples in %" PRIu64 " blocks, %.1f MB; it took %" PRId64 " ms",
             stats.samples, stats.blocks, (double)stats.bytes / 1e6, server_mono_ms() - f->begun_ms);
    if (f->damaged)
        log_error("store", "%" PRIu64 " of %" PRIu64 " stored blocks are damaged, their samples are shown as lost",
                  f->damaged, f->blocks);
    storing_damaged(f->server, f->damaged);
    if (f->failed)
        log_error("store", "the last hour of %" PRIu64 " agents could not be read into memory: the disk answers",
                  f->failed);
}

static void after_work(uv_work_t *request, int cancelled);

static void go_on(filling *f)
{
    server *s = f->server;
    while (f->next < f->count && !server_agent_by_id(s, f->agent_ids[f->next]))
        f->next++;
    if (f->next < f->count) {
        meshping_cache_await(s->cache, f->agent_ids[f->next]); /* it is awaited: what is joined from now on counts */
        uv_queue_work(&s->loop, &f->work, work, after_work);
        return;
    }
    tell(f);
    s->filling = NULL;
    filling_free(f);
}

/* The load is the cache's, or of no use. */
static void settle(filling *f)
{
    meshping_status status = f->status;
    agent_entry *agent = server_agent_by_id(f->server, f->agent_ids[f->next]);
    if (f->clocks_read && agent)
        clock_notes_adopt(&agent->clocks, f->clocks, f->clock_count, f->since_us);
    if (f->past_read && agent)
        past_adopt(&agent->past, f->gaps, f->gap_count, f->starts, f->start_count, f->since_us);
    forget_notes(f);
    if (status == MESHPING_OK)
        status = meshping_cache_adopt(f->server->cache, f->load);
    if (status == MESHPING_OK) {
        f->load = NULL;
        f->blocks += f->load_blocks;
        f->damaged += f->load_damaged;
    }
    meshping_cache_load_free(f->load);
    f->load = NULL;
    if (status == MESHPING_STATE)
        return; /* joined meanwhile: once more */
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND && f->failed++ == 0)
        log_error("store", "the last hour of agent %016" PRIx64 " cannot be read: %s", f->agent_ids[f->next],
                  f->status != MESHPING_OK ? f->error.message : meshping_status_text(status));
    f->next++;
}

static void after_work(uv_work_t *request, int cancelled)
{
    filling *f = request->data;
    (void)cancelled; /* nobody cancels */
    if (!f->server) {
        filling_free(f);
        return;
    }
    settle(f);
    go_on(f);
}

meshping_status filling_start(server *s, int64_t since_us, meshping_error *err)
{
    filling *f = calloc(1, sizeof *f);
    if (f)
        f->agent_ids = calloc(s->agent_count ? s->agent_count : 1, sizeof *f->agent_ids);
    if (!f || !f->agent_ids) {
        free(f);
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    }
    f->server = s;
    f->work.data = f;
    f->since_us = since_us;
    f->begun_ms = server_mono_ms();
    snprintf(f->path, sizeof f->path, "%s/%s", s->config.state_dir, SERVER_DATABASE_NAME);
    for (; f->count < s->agent_count; f->count++) {
        f->agent_ids[f->count] = s->agents[f->count]->record.id;
        if (meshping_cache_await(s->cache, f->agent_ids[f->count]) != MESHPING_OK) {
            filling_free(f);
            return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        }
    }
    s->filling = f;
    go_on(f);
    return MESHPING_OK;
}

void filling_stop(server *s)
{
    if (s->filling)
        s->filling->server = NULL;
    s->filling = NULL;
}
