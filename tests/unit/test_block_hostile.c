/* SPDX-License-Identifier: Apache-2.0 */
#include "block_fixture.h"

#include "base/bytes.h"
#include <zlib.h>
#include <zstd.h>

/* A forger computes the checksum too: then the structure has to be refused by itself. */
static meshping_status read_forged(const uint8_t *body, size_t length, char *message)
{
    uint8_t *bytes = malloc(length + 4);
    uint32_t crc = (uint32_t)crc32_z(0, body, length);
    memcpy(bytes, body, length);
    for (size_t i = 0; i < 4; i++)
        bytes[length + i] = (uint8_t)(crc >> (8 * i));
    meshping_block_reader *reader = NULL;
    meshping_error err = {0};
    meshping_status status = meshping_block_reader_new(&reader, bytes, length + 4, &err);
    for (size_t i = 0; status == MESHPING_OK && i < meshping_block_reader_target_count(reader); i++) {
        meshping_block_entry entry;
        size_t count;
        assert_int_equal(meshping_block_reader_entry(reader, i, &entry), MESHPING_OK);
        meshping_sample *samples = malloc(entry.sample_count * sizeof *samples);
        status = meshping_block_reader_samples(reader, i, samples, entry.sample_count, &count, &err);
        free(samples);
    }
    if (status != MESHPING_OK)
        snprintf(message, MESHPING_ERROR_MESSAGE_MAX, "%s", err.message);
    meshping_block_reader_free(reader);
    free(bytes);
    return status;
}

/* Target 9, replies of 8 us in slots 1 and 6. Each case differs from it in what it says. */
static const uint8_t good_body[] = {
    'M', 2,    1,    2,                                                 /* 0: magic, version, targets, samples */
    0,   9,    0,    2,                                                 /* 4: id, count */
    0,   0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0, 0, 5, /* 8: slot, 18: kind, 20: extent */
    1,   10,                                                            /* 22: the chunk's targets, its length */
    4,   4,    0,    0,    1,    0,                                     /* 24: runs of outcomes, of flags; parameters */
    2,   2,    16,   0,                                                 /* 30: symbols */
};

static void test_forged_blocks_are_refused_with_the_reason(void **unused)
{
    (void)unused;
    static const struct {
        const char *reason;
        uint8_t patches[8]; /* place and byte; place 0 ends them */
        uint8_t insert_at, insert;
    } cases[] = {
        {"version", {1, 1}, 0, 0},
        {"target count", {2, 0}, 0, 0},
        {"target count", {2, 3}, 0, 0},
        {"target count", {2, 0xff}, 3, 0xff},
        {"sample count", {3, 0xff, 4, 0xff}, 5, 0x7f},
        {"sample count", {3, 1}, 0, 0},
        {"add up", {3, 3}, 0, 0},
        {"directory", {4, 57}, 0, 0},
        {"directory", {20, 60}, 0, 0},
        {"ids", {5, 0}, 0, 0},
        {"kind", {19, 2}, 0, 0},
        {"sample count", {7, 0}, 0, 0},
        {"slot is out", {17, 3}, 0, 0},
        {"slots are out", {21, 0}, 0, 0},
        {"slots are out", {3, 1, 7, 1, 19, 1}, 0, 0}, /* one sample cannot be irregular */
        {"slots are out", {3, 1, 7, 1}, 0, 0},        /* nor have a step */
        {"table", {22, 0}, 0, 0},
        {"table", {22, 2}, 0, 0},
        {"chunks are cut", {23, 11}, 0, 0},
        {"after the end", {23, 9}, 0, 0},
        {"chunk is damaged", {24, 100}, 0, 0},
        {"chunk is damaged", {25, 5}, 0, 0}, /* longer than what it holds */
        {"chunk is damaged", {25, 3}, 0, 0}, /* no zstd frame */
        {"chunk is damaged", {30, 3}, 0, 0}, /* more symbols than samples */
        {"outcomes", {26, 1}, 0, 0},
        {"flags", {27, 1}, 0, 0},
        {"results", {28, 0}, 0, 0},
        {"results", {28, 2}, 0, 0},
        {"results", {29, 25}, 0, 0},  /* 25 low bits */
        {"results", {29, 4}, 0, 0},   /* low bits that are not there */
        {"results", {32, 17}, 0, 0},  /* -9 us */
        {"results", {32, 255}, 0, 0}, /* an escape that is not there */
        {"results", {30, 1, 31, 1}, 0, 0},
        {"results", {23, 11}, 34, 0}, /* a byte of low bits too many */
        {"after a chunk", {23, 11, 24, 5, 25, 5}, 30, 0},
        {"slots are damaged", {19, 1}, 0, 0}, /* 1 step of distance 1 does not reach the extent */
    };
    char message[MESHPING_ERROR_MESSAGE_MAX] = "";
    if (read_forged(good_body, sizeof good_body, message) != MESHPING_OK)
        fail_msg("%s", message);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t body[sizeof good_body + 1];
        size_t length = sizeof good_body, at = cases[i].insert_at;
        memcpy(body, good_body, length);
        for (size_t j = 0; cases[i].patches[j]; j += 2)
            body[cases[i].patches[j]] = cases[i].patches[j + 1];
        if (at) {
            memmove(body + at + 1, body + at, length - at);
            body[at] = cases[i].insert;
            length++;
        }
        message[0] = 0;
        meshping_status status = read_forged(body, length, message);
        if (status != MESHPING_CORRUPT || !strstr(message, cases[i].reason))
            fail_msg("case %zu (%s): %s, %s", i, cases[i].reason, meshping_status_name(status), message);
    }
}

/* 100 replies of 0 us, whose symbols are `stored` bytes that claim to be `whole`. */
static meshping_status read_symbols(uint64_t whole, const void *stored, size_t length, char *message)
{
    meshping__bytes body = {0}, chunk = {0};
    static const uint8_t meta[] = {4, 4, 0, 0, 1, 0};
    meshping__bytes_put(&chunk, meta, sizeof meta);
    meshping__bytes_varint(&chunk, whole);
    meshping__bytes_varint(&chunk, length);
    meshping__bytes_put(&chunk, stored, length);
    meshping__bytes_put(&body, good_body, 22);
    meshping__bytes_u8(&body, 1);
    meshping__bytes_varint(&body, chunk.length);
    meshping__bytes_put(&body, chunk.data, chunk.length);
    body.data[3] = body.data[7] = 100;
    meshping_status status = read_forged(body.data, body.length, message);
    meshping__bytes_dispose(&body);
    meshping__bytes_dispose(&chunk);
    return status;
}

static void test_a_frame_that_lies_about_its_size_is_refused(void **unused)
{
    (void)unused;
    static const uint8_t zeros[1000];
    uint8_t frame[4000];
    char message[MESHPING_ERROR_MESSAGE_MAX];
    size_t length = ZSTD_compress(frame, sizeof frame, zeros, 100, 1);
    assert_true(length < 100);
    assert_int_equal(read_symbols(100, frame, length, message), MESHPING_OK);
    assert_int_equal(read_symbols(99, frame, length, message), MESHPING_CORRUPT);
    assert_int_equal(read_symbols((uint64_t)1 << 40, frame, length, message), MESHPING_CORRUPT);
    assert_int_equal(read_symbols(100, frame, length - 1, message), MESHPING_CORRUPT);
    memcpy(frame + length, frame, length); /* a frame after the frame */
    assert_int_equal(read_symbols(100, frame, 2 * length, message), MESHPING_CORRUPT);
    length = ZSTD_compress(frame, sizeof frame, zeros, 1000, 1);
    assert_int_equal(read_symbols(100, frame, length, message), MESHPING_CORRUPT);
    assert_int_equal(read_symbols(1000, frame, length, message), MESHPING_CORRUPT); /* true, but too many */
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    length = ZSTD_compress2(context, frame, sizeof frame, zeros, 100); /* one that does not say */
    ZSTD_freeCCtx(context);
    assert_int_equal(read_symbols(100, frame, length, message), MESHPING_CORRUPT);
}

/* The most that a block can claim, in the fewest bytes: a million samples, 65,536 targets. */
static void test_memory_to_read_is_bounded_whatever_a_block_claims(void **unused)
{
    (void)unused;
    static const uint8_t many_targets[] = {'M', 2, 0x80, 0x80, 4, 0x80, 0x80, 4, /* 65,536 of both */
                                           0,   1, 0,    1,    0, 0,    0,    0, 0, 0, 0x80, 0x80, 4, 0};
    uint8_t bytes[sizeof many_targets + 4];
    memcpy(bytes, many_targets, sizeof many_targets);
    uint32_t crc = (uint32_t)crc32_z(0, many_targets, sizeof many_targets);
    for (size_t i = 0; i < 4; i++)
        bytes[sizeof many_targets + i] = (uint8_t)(crc >> (8 * i));
    allocations_left = SIZE_MAX;
    largest = 0;
    meshping_set_allocator(scarce_malloc, scarce_realloc, free);
    meshping_block_reader *reader = open_block(bytes, sizeof bytes);
    assert_int_equal(meshping_block_reader_target_count(reader), 65536);
    meshping_sample sample;
    size_t count;
    assert_int_equal(meshping_block_reader_samples(reader, 65535, &sample, 1, &count, NULL), MESHPING_CORRUPT);
    meshping_block_reader_free(reader);
    meshping_set_allocator(NULL, NULL, NULL);
    assert_true(largest <= (size_t)4 << 20);
}

static void test_one_targets_samples_are_a_small_part_of_a_long_block(void **unused)
{
    (void)unused;
    meshping_block_builder *builder = new_builder();
    for (uint64_t t = 1; t <= 100; t++)
        for (int i = 0; i < 720; i++)
            add(builder, t, reply(T0 + i * STEP, (uint32_t)(1000 * t) + (uint32_t)(i % 7)));
    size_t length, count;
    uint8_t *bytes = finish(builder, &length);
    meshping_block_builder_free(builder);
    meshping_sample samples[720];
    allocations_left = SIZE_MAX;
    meshping_set_allocator(scarce_malloc, scarce_realloc, free);
    meshping_block_reader *reader = open_block(bytes, length);
    largest = 0;
    assert_int_equal(meshping_block_reader_samples(reader, 57, samples, 720, &count, NULL), MESHPING_OK);
    assert_true(largest <= (8192 + 720) * sizeof *samples); /* not the 72,000 that are in it */
    for (uint32_t i = 0; i < 720; i++)
        assert_int_equal(samples[i].rtt_us, 58000 + i % 7);
    meshping_block_reader_free(reader);
    meshping_set_allocator(NULL, NULL, NULL);
    meshping_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forged_blocks_are_refused_with_the_reason),
        cmocka_unit_test(test_a_frame_that_lies_about_its_size_is_refused),
        cmocka_unit_test(test_memory_to_read_is_bounded_whatever_a_block_claims),
        cmocka_unit_test(test_one_targets_samples_are_a_small_part_of_a_long_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
