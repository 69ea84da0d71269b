/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/block.h>
#include <meshping/protocol.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER MESHPING_FRAME_HEADER_LEN
#define SEQUENCE_MAX ((UINT64_C(1) << 53) - 1)

/* What the decoder says of `length` bytes of a frame whose block has `declared` bytes. */
static meshping_status decode(uint8_t *frame, size_t length, meshping_error *err)
{
    uint64_t epoch, sequence;
    const uint8_t *block;
    size_t block_length;
    return meshping_frame_header_decode(frame, length, &epoch, &sequence, &block, &block_length, err);
}

static void assert_refused(uint8_t *frame, size_t length, const char *words)
{
    meshping_error err = {0};
    assert_int_equal(decode(frame, length, &err), MESHPING_PROTOCOL);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void test_a_header_reads_back_as_it_was_written(void **unused)
{
    (void)unused;
    uint8_t frame[HEADER + 3] = {0};
    uint64_t epoch, sequence;
    const uint8_t *block;
    size_t block_length;
    meshping_frame_header_encode(frame, UINT64_MAX, SEQUENCE_MAX, 3);
    assert_int_equal(meshping_frame_header_decode(frame, sizeof frame, &epoch, &sequence, &block, &block_length, NULL),
                     MESHPING_OK);
    assert_true(epoch == UINT64_MAX && sequence == SEQUENCE_MAX);
    assert_ptr_equal(block, frame + HEADER);
    assert_int_equal(block_length, 3);
}

/* docs/PROTOCOL.md, Block frames. */
static void test_the_bytes_are_those_of_the_document(void **unused)
{
    (void)unused;
    static const uint8_t expected[HEADER] = {1,    1,    0,    0,    0x0e, 0, 0, 0, 0x88, 0x77, 0x66, 0x55,
                                             0x44, 0x33, 0x22, 0x11, 2,    1, 0, 0, 0,    0,    0,    0};
    uint8_t header[HEADER];
    meshping_frame_header_encode(header, 0x1122334455667788, 0x0102, 14);
    assert_memory_equal(header, expected, HEADER);
}

static void test_every_shorter_frame_is_refused(void **unused)
{
    (void)unused;
    for (size_t length = 0; length < HEADER + 5; length++) {
        uint8_t *frame = malloc(length ? length : 1); /* so that a sanitizer sees one byte too far */
        uint8_t header[HEADER];
        meshping_frame_header_encode(header, 1, 1, 5);
        memcpy(frame, header, length < HEADER ? length : HEADER);
        assert_refused(frame, length, length < HEADER ? "too short" : "declares 5 bytes");
        free(frame);
    }
}

static void test_the_declared_length_must_be_the_frames(void **unused)
{
    (void)unused;
    uint8_t frame[HEADER + 10] = {0};
    meshping_frame_header_encode(frame, 1, 1, 10);
    assert_int_equal(decode(frame, sizeof frame, NULL), MESHPING_OK);
    meshping_frame_header_encode(frame, 1, 1, 9);
    assert_refused(frame, sizeof frame, "declares 9 bytes and has 10");
    meshping_frame_header_encode(frame, 1, 1, UINT32_MAX);
    assert_refused(frame, sizeof frame, "declares 4294967295");
}

static void test_the_longest_block_passes_and_one_byte_more_does_not(void **unused)
{
    (void)unused;
    uint8_t *frame = calloc(1, HEADER + MESHPING_BLOCK_BYTES_MAX + 1);
    assert_non_null(frame);
    for (uint32_t length = MESHPING_BLOCK_BYTES_MAX - 1; length <= MESHPING_BLOCK_BYTES_MAX; length++) {
        meshping_frame_header_encode(frame, 1, 1, length);
        assert_int_equal(decode(frame, HEADER + length, NULL), MESHPING_OK);
    }
    meshping_frame_header_encode(frame, 1, 1, MESHPING_BLOCK_BYTES_MAX + 1);
    assert_refused(frame, HEADER + MESHPING_BLOCK_BYTES_MAX + 1, "declares");
    free(frame);
}

static void test_another_version_or_kind_is_refused(void **unused)
{
    (void)unused;
    uint8_t frame[HEADER];
    for (size_t i = 0; i < 4; i++) {
        meshping_frame_header_encode(frame, 1, 1, 0);
        assert_int_equal(decode(frame, sizeof frame, NULL), MESHPING_OK);
        frame[i]++;
        assert_refused(frame, sizeof frame, "unknown version or kind");
    }
}

static void test_epoch_and_sequence_have_bounds(void **unused)
{
    (void)unused;
    static const struct {
        uint64_t epoch, sequence;
        bool good;
    } cases[] = {{1, 1, true},
                 {0, 1, false},
                 {1, 0, false},
                 {1, SEQUENCE_MAX - 1, true},
                 {1, SEQUENCE_MAX, true},
                 {1, SEQUENCE_MAX + 1, false},
                 {1, UINT64_MAX, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t frame[HEADER];
        meshping_frame_header_encode(frame, cases[i].epoch, cases[i].sequence, 0);
        if (cases[i].good)
            assert_int_equal(decode(frame, sizeof frame, NULL), MESHPING_OK);
        else
            assert_refused(frame, sizeof frame, "out of bounds");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_header_reads_back_as_it_was_written),
        cmocka_unit_test(test_the_bytes_are_those_of_the_document),
        cmocka_unit_test(test_every_shorter_frame_is_refused),
        cmocka_unit_test(test_the_declared_length_must_be_the_frames),
        cmocka_unit_test(test_the_longest_block_passes_and_one_byte_more_does_not),
        cmocka_unit_test(test_another_version_or_kind_is_refused),
        cmocka_unit_test(test_epoch_and_sequence_have_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
