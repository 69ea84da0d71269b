/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of sample blocks share: blocks made and opened, and memory that runs out. */
#ifndef TESTS_BLOCK_FIXTURE_H
#define TESTS_BLOCK_FIXTURE_H

#include <meshping/block.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 1700000000000000LL
#define STEP 5000000LL

static inline meshping_sample reply(int64_t slot_us, uint32_t rtt_us)
{
    return (meshping_sample){.slot_unix_us = slot_us, .rtt_us = rtt_us};
}

static inline meshping_block_builder *new_builder(void)
{
    meshping_block_builder *builder = NULL;
    assert_int_equal(meshping_block_builder_new(&builder), MESHPING_OK);
    return builder;
}

static inline void add(meshping_block_builder *builder, uint64_t target_id, meshping_sample sample)
{
    assert_int_equal(meshping_block_builder_add(builder, target_id, &sample), MESHPING_OK);
}

static inline uint8_t *finish(meshping_block_builder *builder, size_t *length)
{
    uint8_t *bytes = NULL;
    assert_int_equal(meshping_block_builder_finish(builder, &bytes, length), MESHPING_OK);
    assert_true(*length <= MESHPING_BLOCK_BYTES_MAX);
    return bytes;
}

static inline meshping_block_reader *open_block(const uint8_t *bytes, size_t length)
{
    meshping_block_reader *reader = NULL;
    meshping_error err = {0};
    if (meshping_block_reader_new(&reader, bytes, length, &err) != MESHPING_OK)
        fail_msg("%s", err.message);
    return reader;
}

static size_t allocations_left;
static size_t largest;

static inline void *scarce_malloc(size_t size)
{
    largest = size > largest ? size : largest;
    return allocations_left && allocations_left-- ? malloc(size) : NULL;
}

static inline void *scarce_realloc(void *memory, size_t size)
{
    largest = size > largest ? size : largest;
    return allocations_left && allocations_left-- ? realloc(memory, size) : NULL;
}

#endif
