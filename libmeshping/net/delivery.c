/* SPDX-License-Identifier: Apache-2.0 */
#include "net/internal.h"

#include "base/alloc.h"

void meshping__delivery_start(delivery *d, uint64_t credit_bytes)
{
    meshping_buffer_stats stats;
    meshping_buffer_get_stats(d->buffer, &stats);
    d->open = true;
    d->credit_bytes = credit_bytes;
    d->sent_count = 0;
    d->sent_bytes = 0;
    /* what was made before this connection is backlog, but for the newest block, which is the live picture */
    d->backlog_end = stats.last_sequence;
    d->next_live = stats.last_sequence;
    d->next_backlog = 0;
}

void meshping__delivery_stop(delivery *d)
{
    d->open = d->ranges_full = false;
    d->sent_count = 0;
    d->sent_bytes = 0;
    d->credit_bytes = 0;
}

void meshping__delivery_dispose(delivery *d)
{
    meshping__free(d->sent);
    d->sent = NULL;
    d->sent_count = d->sent_capacity = 0;
}

static bool covers(const meshping_range *ranges, size_t count, uint64_t sequence)
{
    for (size_t i = 0; i < count; i++)
        if (sequence >= ranges[i].first && sequence <= ranges[i].last)
            return true;
    return false;
}

void meshping__delivery_ack(delivery *d, const meshping_range *ranges, size_t count, uint64_t credit_bytes)
{
    size_t kept = 0;
    d->credit_bytes = credit_bytes;
    d->ranges_full = count >= MESHPING_RANGES_MAX;
    for (size_t i = 0; i < count; i++)
        meshping_buffer_ack(d->buffer, ranges[i].first, ranges[i].last);
    for (size_t i = 0; i < d->sent_count; i++) {
        if (covers(ranges, count, d->sent[i].sequence))
            d->sent_bytes -= d->sent[i].length;
        else
            d->sent[kept++] = d->sent[i];
    }
    d->sent_count = kept;
}

/* One block may always be under way while there is any credit, so that one below its length does not stop everything.
 */
static bool has_credit(const delivery *d, size_t length, uint64_t share_bytes)
{
    return d->credit_bytes && (d->sent_bytes == 0 || d->sent_bytes + length <= share_bytes);
}

static bool find_live(const delivery *d, meshping_buffer_block *out)
{
    return meshping_buffer_find(d->buffer, d->next_live, out) == MESHPING_OK;
}

static bool find_backlog(const delivery *d, meshping_buffer_block *out)
{
    return meshping_buffer_find(d->buffer, d->next_backlog, out) == MESHPING_OK && out->sequence < d->backlog_end;
}

meshping_status meshping__delivery_next(delivery *d, meshping_buffer_block *out)
{
    meshping_buffer_block oldest;
    if (!d->open)
        return MESHPING_NOT_FOUND;
    /* a server with all its ranges in use could not take a block that begins another */
    bool holes = d->ranges_full && meshping_buffer_find(d->buffer, 0, &oldest) == MESHPING_OK &&
                 oldest.sequence < d->backlog_end;
    if (!holes && find_live(d, out))
        return has_credit(d, out->length, d->credit_bytes) ? MESHPING_OK : MESHPING_NOT_FOUND;
    if (find_backlog(d, out))
        return has_credit(d, out->length, d->credit_bytes / 2) ? MESHPING_OK : MESHPING_NOT_FOUND;
    return MESHPING_NOT_FOUND;
}

meshping_status meshping__delivery_sent(delivery *d, const meshping_buffer_block *block)
{
    if (d->sent_count == d->sent_capacity) {
        size_t capacity = d->sent_capacity ? d->sent_capacity * 2 : 16;
        sent_block *grown = meshping__realloc(d->sent, capacity * sizeof *grown);
        if (!grown)
            return MESHPING_NOMEM;
        d->sent = grown;
        d->sent_capacity = capacity;
    }
    d->sent[d->sent_count++] = (sent_block){block->sequence, block->length};
    d->sent_bytes += block->length;
    if (block->sequence >= d->backlog_end)
        d->next_live = block->sequence + 1;
    else
        d->next_backlog = block->sequence + 1;
    return MESHPING_OK;
}
