/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's small parts: packets, keyed hash, heap, id map, slots. */
#include "core/heap.h"
#include "core/icmp.h"
#include "core/idmap.h"
#include "core/schedule.h"
#include "core/siphash.h"
#include <meshping/sample.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_siphash_gives_the_papers_value(void **state)
{
    uint8_t key[16], message[15];
    (void)state;
    for (uint8_t i = 0; i < 16; i++)
        key[i] = i;
    memcpy(message, key, 15);
    /* Aumasson and Bernstein, SipHash, appendix A */
    assert_true(meshping__siphash(key, message, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void test_the_checksum_is_that_of_rfc_1071(void **state)
{
    static const uint8_t words[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}; /* section 3: sum ddf2 */
    static const uint8_t odd[] = {0x01, 0x02, 0x03};
    (void)state;
    assert_int_equal(meshping__icmp_checksum(words, sizeof words, NULL, NULL), 0xffff - 0xddf2);
    assert_int_equal(meshping__icmp_checksum(odd, sizeof odd, NULL, NULL), 0xffff - (0x0102 + 0x0300));
}

static void test_an_echo_request_is_what_rfc_792_says(void **state)
{
    uint8_t bytes[8 + 24];
    (void)state;
    meshping__icmp_build_echo(bytes, MESHPING_FAMILY_IPV4, 0x1234, 0x5678, UINT64_C(0x0102030405060708),
                              UINT64_C(0x1112131415161718), 24);
    static const uint8_t expected[] = {8,    0,    0,    0,    0x12, 0x34, 0x56, 0x78, 1,  2,  3,  4,  5,  6,  7,  8,
                                       0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 16, 17, 18, 19, 20, 21, 22, 23};
    assert_int_equal(meshping__icmp_checksum(bytes, sizeof bytes, NULL, NULL), 0);
    bytes[2] = bytes[3] = 0;
    assert_memory_equal(bytes, expected, sizeof bytes);
    assert_true(meshping__icmp_filler_ok(bytes + 8, 24));
    bytes[31]++;
    assert_false(meshping__icmp_filler_ok(bytes + 8, 24));
    meshping__icmp_build_echo(bytes, MESHPING_FAMILY_IPV6, 1, 2, 3, 4, 24);
    assert_int_equal(bytes[0], 128);
    assert_int_equal(bytes[2] | bytes[3], 0); /* the kernel's */
}

static void test_errors_are_told_apart_by_type_and_code(void **state)
{
    static const struct {
        uint8_t family, type, code;
        int outcome;
    } cases[] = {
        {4, 3, 0, MESHPING_OUTCOME_UNREACHABLE}, {4, 3, 1, MESHPING_OUTCOME_UNREACHABLE},
        {4, 3, 3, MESHPING_OUTCOME_UNREACHABLE}, {4, 3, 4, MESHPING_OUTCOME_TOO_BIG},
        {4, 3, 9, MESHPING_OUTCOME_PROHIBITED},  {4, 3, 10, MESHPING_OUTCOME_PROHIBITED},
        {4, 3, 13, MESHPING_OUTCOME_PROHIBITED}, {4, 11, 0, MESHPING_OUTCOME_TIME_EXCEEDED},
        {4, 12, 0, MESHPING_OUTCOME_ICMP_ERROR}, {6, 1, 0, MESHPING_OUTCOME_UNREACHABLE},
        {6, 1, 1, MESHPING_OUTCOME_PROHIBITED},  {6, 1, 3, MESHPING_OUTCOME_UNREACHABLE},
        {6, 1, 5, MESHPING_OUTCOME_PROHIBITED},  {6, 1, 6, MESHPING_OUTCOME_PROHIBITED},
        {6, 2, 0, MESHPING_OUTCOME_TOO_BIG},     {6, 3, 0, MESHPING_OUTCOME_TIME_EXCEEDED},
        {6, 4, 1, MESHPING_OUTCOME_ICMP_ERROR},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(meshping__icmp_outcome(cases[i].family, cases[i].type, cases[i].code), cases[i].outcome);
        assert_true(meshping__icmp_is_error(cases[i].family, cases[i].type));
    }
    assert_false(meshping__icmp_is_error(4, 0));
    assert_false(meshping__icmp_is_error(4, 5)); /* a redirect: the packet went on */
    assert_false(meshping__icmp_is_error(6, 129));
}

static void test_a_quoted_packet_is_found_behind_options_and_fragment_headers(void **state)
{
    uint8_t v4[8 + 24 + 8] = {3, 4, 0, 0, 0, 0, 0x05, 0x78}; /* MTU 1400 */
    uint8_t v6[8 + 40 + 8 + 16] = {2, 0, 0, 0, 0, 0, 0x05, 0x00};
    meshping__icmp_message message;
    (void)state;
    v4[8] = 0x46; /* 4 bytes of options */
    v4[8 + 9] = 1;
    v4[8 + 16] = 198;
    v4[8 + 24] = 8;
    v4[8 + 24 + 5] = 7;
    v4[8 + 24 + 7] = 9;
    assert_int_equal(meshping__icmp_parse(&message, 4, false, v4, sizeof v4), MESHPING__ICMP_ERROR);
    assert_int_equal(message.identifier, 7);
    assert_int_equal(message.sequence, 9);
    assert_int_equal(message.mtu, 1400);
    assert_int_equal(message.quoted_to.bytes[0], 198);
    assert_int_equal(message.payload_length, 0);
    assert_int_equal(meshping__icmp_parse(&message, 4, false, v4, sizeof v4 - 1), MESHPING__ICMP_BAD_QUOTE);
    v4[8 + 6] = 0x20;
    v4[8 + 7] = 0x01; /* a later fragment: what follows is no ICMP header */
    assert_int_equal(meshping__icmp_parse(&message, 4, false, v4, sizeof v4), MESHPING__ICMP_BAD_QUOTE);

    v6[8] = 0x60;
    v6[8 + 6] = 44;
    v6[8 + 24] = 0x20;
    v6[8 + 40] = 58;
    v6[8 + 48] = 128;
    v6[8 + 48 + 7] = 3;
    assert_int_equal(meshping__icmp_parse(&message, 6, false, v6, sizeof v6), MESHPING__ICMP_ERROR);
    assert_int_equal(message.sequence, 3);
    assert_int_equal(message.mtu, 1280);
    assert_int_equal(message.payload_length, 8);
}

static void test_slots_repeat_at_the_interval_from_the_phase(void **state)
{
    (void)state;
    assert_true(meshping__schedule_slot_ns(100, 10, 3) == 103);
    assert_true(meshping__schedule_slot_ns(103, 10, 3) == 103);
    assert_true(meshping__schedule_slot_ns(104, 10, 3) == 113);
    assert_true(meshping__schedule_slot_ns(-104, 10, 3) == -97);
    assert_true(meshping__schedule_slot_ns(-97, 10, 3) == -97);
    for (int i = 0; i < 1000; i++) {
        char host[32];
        snprintf(host, sizeof host, "192.0.2.%d", i);
        int64_t phase = meshping__schedule_phase_ns(host, 0, 5000000000);
        assert_in_range(phase, 0, 4999999999);
        assert_int_equal(phase % 1000, 0);
    }
}

static void test_phases_fill_the_interval_evenly(void **state)
{
    unsigned tenths[10] = {0};
    (void)state;
    for (int i = 0; i < 10000; i++) {
        char host[32];
        snprintf(host, sizeof host, "10.1.%d.%d", i / 250, i % 250);
        tenths[meshping__schedule_phase_ns(host, 7, 5000000000) / 500000000]++;
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(tenths[i], 850, 1150); /* 1000 expected, 30 is one standard deviation */
}

static void test_a_heap_gives_the_least_first_under_any_changes(void **state)
{
    meshping__heap heap = {0};
    int64_t keys[300];
    bool in[300] = {false};
    uint32_t seed = 12345;
    (void)state;
    assert_int_equal(meshping__heap_reserve(&heap, 300), MESHPING_OK);
    assert_true(meshping__heap_min(&heap) == INT64_MAX);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t item = (seed >> 8) % 300;
        if ((seed >> 20) % 3) {
            keys[item] = seed % 1000;
            in[item] = true;
            meshping__heap_set(&heap, item, keys[item]);
        } else {
            in[item] = false;
            meshping__heap_remove(&heap, item);
        }
        int64_t least = INT64_MAX;
        for (int i = 0; i < 300; i++)
            if (in[i] && keys[i] < least)
                least = keys[i];
        assert_true(meshping__heap_min(&heap) == least);
        if (heap.count)
            assert_true(in[meshping__heap_top(&heap)] && keys[meshping__heap_top(&heap)] == least);
    }
    meshping__heap_dispose(&heap);
}

static void test_an_id_map_finds_what_was_put_after_any_removals(void **state)
{
    meshping__idmap map = {0};
    uint32_t values[500];
    uint32_t seed = 99;
    (void)state;
    memset(values, 0xff, sizeof values);
    assert_int_equal(meshping__idmap_get(&map, 5), MESHPING__IDMAP_NONE);
    assert_int_equal(meshping__idmap_reserve(&map, 500), MESHPING_OK);
    for (int step = 0; step < 20000; step++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t at = (seed >> 8) % 500;
        uint64_t id = (at + 1) * UINT64_C(0x100000001);
        if ((seed >> 20) % 2) {
            values[at] = seed & 0xffff;
            meshping__idmap_put(&map, id, values[at]);
        } else {
            values[at] = MESHPING__IDMAP_NONE;
            meshping__idmap_remove(&map, id);
        }
        uint32_t other = (seed >> 3) % 500;
        assert_int_equal(meshping__idmap_get(&map, (other + 1) * UINT64_C(0x100000001)), values[other]);
    }
    meshping__idmap_dispose(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_gives_the_papers_value),
        cmocka_unit_test(test_the_checksum_is_that_of_rfc_1071),
        cmocka_unit_test(test_an_echo_request_is_what_rfc_792_says),
        cmocka_unit_test(test_errors_are_told_apart_by_type_and_code),
        cmocka_unit_test(test_a_quoted_packet_is_found_behind_options_and_fragment_headers),
        cmocka_unit_test(test_slots_repeat_at_the_interval_from_the_phase),
        cmocka_unit_test(test_phases_fill_the_interval_evenly),
        cmocka_unit_test(test_a_heap_gives_the_least_first_under_any_changes),
        cmocka_unit_test(test_an_id_map_finds_what_was_put_after_any_removals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
