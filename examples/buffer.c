/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's buffer by itself: results are kept for whoever is away, bounded by time, bytes and count. What must be
 * dropped is told as a gap, so that the receiver knows what it will never get.
 */
#include <meshping/block.h>
#include <meshping/buffer.h>
#include <stdio.h>

#define STEP_US 5000000

/* One reply of one target, as a block. */
static meshping_status make_block(uint8_t **bytes, size_t *length, int64_t slot_us)
{
    meshping_block_builder *builder = NULL;
    const meshping_sample sample = {.slot_unix_us = slot_us, .rtt_us = 250};
    meshping_status status = meshping_block_builder_new(&builder);
    if (status == MESHPING_OK)
        status = meshping_block_builder_add(builder, 1, &sample);
    if (status == MESHPING_OK)
        status = meshping_block_builder_finish(builder, bytes, length);
    meshping_block_builder_free(builder);
    return status;
}

static void show(const meshping_buffer *buffer, const char *when)
{
    meshping_buffer_stats stats;
    meshping_gap gap;
    meshping_buffer_get_stats(buffer, &stats);
    printf("%s: %zu blocks kept, %llu samples dropped\n", when, stats.blocks,
           (unsigned long long)stats.dropped_samples);
    for (size_t i = 0; meshping_buffer_gap(buffer, i, &gap) == MESHPING_OK; i++)
        printf("  gap: sequences %llu to %llu, %s\n", (unsigned long long)gap.first_sequence,
               (unsigned long long)gap.last_sequence, meshping_gap_reason_name((unsigned)gap.reason));
}

static meshping_status fill(meshping_buffer *buffer, int64_t start_us, int count)
{
    for (int i = 0; i < count; i++) {
        uint8_t *bytes = NULL;
        size_t length = 0;
        uint64_t sequence;
        int64_t slot_us = start_us + (int64_t)i * STEP_US;
        meshping_status status = make_block(&bytes, &length, slot_us);
        if (status == MESHPING_OK)
            status = meshping_buffer_push(buffer, bytes, length, 1, slot_us, slot_us, &sequence);
        if (status != MESHPING_OK) {
            meshping_free(bytes);
            return status;
        }
    }
    return MESHPING_OK;
}

int main(void)
{
    const int64_t start_us = INT64_C(1700000000000000);
    const meshping_range before_the_crash[] = {{1, 45}, {56, 60}};
    meshping_error err = {0};
    meshping_buffer *buffer = NULL;
    meshping_buffer_options options;
    meshping_buffer_options_init(&options); /* 30 minutes, 64 MiB, 100,000 blocks */
    options.epoch = 1;                      /* 64 random bits, in earnest */
    options.max_age_ms = 100000;
    options.max_blocks = 30;
    meshping_status status = meshping_buffer_new(&buffer, &options, &err);
    if (status == MESHPING_OK)
        status = fill(buffer, start_us, 60);
    if (status != MESHPING_OK)
        goto out;
    show(buffer, "60 results, 5 s apart, for 30 blocks of room");
    meshping_buffer_expire(buffer, start_us + (int64_t)60 * STEP_US);
    show(buffer, "what is older than 100 s has gone");
    meshping_buffer_ack(buffer, 1, 40); /* the receiver took the gaps in */
    meshping_buffer_ack(buffer, 51, 60);
    show(buffer, "the newest ten and the gaps are acknowledged");
    /* it comes back with an older database: what it had and has no more is a gap, too */
    status = meshping_buffer_reconcile(buffer, before_the_crash, 2);
    show(buffer, "the receiver was restored from a backup");
out:
    if (status != MESHPING_OK)
        fprintf(stderr, "buffer: %s\n", err.message[0] ? err.message : meshping_status_text(status));
    meshping_buffer_free(buffer);
    return status == MESHPING_OK ? 0 : 1;
}
