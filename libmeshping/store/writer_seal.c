/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing as the writer thread does it: in pieces, between commits, and what the caller's thread is told of it. */
#include "store/internal.h"

#include "base/alloc.h"
#include <stdio.h>

#define PIECE_NS INT64_C(10000000)          /* then a commit may be due */
#define IDLE_NS INT64_C(1000000000)         /* nothing is due */
#define RETRY_NS (INT64_C(30) * 1000000000) /* after an error */

static meshping__write *notice_new(void)
{
    meshping__write *item = meshping__calloc(1, sizeof *item);
    meshping__notice *notice = item ? meshping__calloc(1, sizeof *notice) : NULL;
    if (!notice) {
        meshping__free(item);
        return NULL;
    }
    item->notice = notice;
    return item;
}

void meshping__notice_free(meshping__notice *notice)
{
    if (!notice)
        return;
    for (size_t i = 0; i < notice->sealed.count; i++)
        meshping__free((void *)notice->sealed.blocks[i].bytes);
    meshping__free((void *)notice->sealed.blocks);
    meshping__free(notice);
}

void meshping__notice_tell(const meshping__notice *notice, const meshping_store_watcher *watcher)
{
    if (notice->status != MESHPING_OK && watcher->trouble)
        watcher->trouble(watcher->user, notice->status, notice->message);
    if (notice->status == MESHPING_OK && watcher->sealed)
        watcher->sealed(watcher->user, &notice->sealed);
}

/* NULL: nothing to tell, or no memory: a cache that is not told keeps what it has. */
static meshping__write *tell_sealed(const meshping__seal_result *result)
{
    meshping__write *item = result->blocks && result->from == MESHPING__LEVEL_JOURNAL ? notice_new() : NULL;
    if (!item)
        return NULL;
    meshping_store_sealed *sealed = &item->notice->sealed;
    meshping_stored_block *blocks = meshping__calloc(result->count, sizeof *blocks);
    bool whole = blocks;
    *sealed = (meshping_store_sealed){
        .agent_id = result->agent_id, .first_id = result->first_id, .last_id = result->last_id, .blocks = blocks};
    for (; whole && sealed->count < result->count; sealed->count++) {
        const meshping__merged *from = &result->blocks[sealed->count];
        uint8_t *bytes = meshping__memdup(from->bytes, from->length);
        blocks[sealed->count] = (meshping_stored_block){.agent_id = result->agent_id,
                                                        .received_unix_us = result->received_us,
                                                        .first_unix_us = from->first_us,
                                                        .last_unix_us = from->last_us,
                                                        .first_target = from->first_target,
                                                        .last_target = from->last_target,
                                                        .sample_count = (uint32_t)from->sample_count,
                                                        .checked = true,
                                                        .bytes = bytes,
                                                        .length = from->length};
        whole = bytes;
    }
    if (whole)
        return item;
    meshping__notice_free(item->notice);
    meshping__free(item);
    return NULL;
}

meshping__write *meshping__notice_trouble(meshping_status status, const char *message)
{
    meshping__write *item = notice_new();
    if (!item)
        return NULL;
    item->notice->status = status;
    snprintf(item->notice->message, sizeof item->notice->message, "%s", message);
    return item;
}

static int64_t clock_us(const meshping__writer *writer, int64_t mono_ns)
{
    int64_t now_us;
    if (__builtin_add_overflow(writer->newest_us, (mono_ns - writer->newest_mono_ns) / 1000, &now_us))
        return INT64_MAX;
    return now_us;
}

/* Works for PIECE_NS, or to the end of a job, and then pauses as long: commits and other threads come first. */
meshping__write *meshping__writer_seal(meshping__writer *writer)
{
    int64_t start_ns = meshping_now_read().mono_ns, now_ns = start_ns;
    meshping__seal_result result = {0};
    meshping_status status = MESHPING_OK;
    meshping_error err = {0};
    while (status == MESHPING_OK && !result.agent_id && now_ns - start_ns < PIECE_NS) {
        status = meshping__sealer_step(&writer->sealer, clock_us(writer, now_ns), &result, &err);
        now_ns = meshping_now_read().mono_ns;
    }
    writer->sealed = status == MESHPING_NOT_FOUND;
    if (now_ns - start_ns > (int64_t)writer->seal_longest_us * 1000)
        writer->seal_longest_us = (uint64_t)((now_ns - start_ns) / 1000);
    if (status == MESHPING_OK || status == MESHPING_CORRUPT) /* one agent's blocks: others go on */
        writer->seal_mono_ns = now_ns + (now_ns - start_ns);
    else
        writer->seal_mono_ns = now_ns + (status == MESHPING_NOT_FOUND ? IDLE_NS : RETRY_NS);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND)
        return meshping__notice_trouble(status, err.message);
    return tell_sealed(&result);
}
