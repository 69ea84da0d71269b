/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/proxy.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\xc0\x00\x02\x07\xc6\x33\x64\x01\x30\x39\x20\xfb" /* 192.0.2.7:12345 to 198.51.100.1:8443 */
#define TCP6                                                                                                           \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"                                                                       \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x30\x39\x20\xfb"
#define MAPPED                                                                                                         \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x07"                                                                       \
    "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc6\x33\x64\x01\x30\x39\x20\xfb"

static uint8_t buffer[1 << 17];

/* Header of version and command, family, and a body; returns its length. */
static size_t header(uint8_t command, uint8_t family, const char *body, size_t length)
{
    memcpy(buffer, SIGNATURE, 12);
    buffer[12] = command;
    buffer[13] = family;
    buffer[14] = (uint8_t)(length >> 8);
    buffer[15] = (uint8_t)length;
    memcpy(buffer + 16, body, length);
    return 16 + length;
}
#define HEADER(command, family, body) header(command, family, body, sizeof(body) - 1)

static meshping_status read_bytes(meshping_proxy_header *out, size_t length, meshping_error *err)
{
    uint8_t *exact = malloc(length ? length : 1); /* so that a sanitizer sees one byte too far */
    memcpy(exact, buffer, length);
    meshping_status status = meshping_proxy_read(out, exact, length, err);
    free(exact);
    return status;
}

static void assert_refused(size_t length, meshping_status wanted, const char *words)
{
    meshping_proxy_header out;
    meshping_error err = {0};
    assert_int_equal(read_bytes(&out, length, &err), wanted);
    if (!strstr(err.message, words))
        fail_msg("\"%s\" does not say \"%s\"", err.message, words);
}

static void assert_source(size_t length, const char *address, unsigned port)
{
    meshping_proxy_header out;
    char text[MESHPING_ADDRESS_TEXT_MAX];
    assert_int_equal(read_bytes(&out, length, NULL), MESHPING_OK);
    assert_true(out.complete && !out.own);
    assert_int_equal(out.length, length);
    assert_string_equal(meshping_address_format(&out.source, text), address);
    assert_int_equal(out.port, port);
}

static void test_the_source_of_both_families_is_read(void **unused)
{
    (void)unused;
    assert_source(HEADER(0x21, 0x11, TCP4), "192.0.2.7", 12345);
    assert_source(HEADER(0x21, 0x21, TCP6), "2001:db8::7", 12345);
    assert_source(HEADER(0x21, 0x21, MAPPED), "192.0.2.7", 12345);
}

static void test_local_and_unspecified_are_the_proxys_own(void **unused)
{
    (void)unused;
    static const struct {
        uint8_t command, family;
        const char *body;
        size_t length;
    } cases[] = {
        {0x20, 0, "", 0}, {0x20, 0x11, TCP4, 12}, {0x20, 0x31, "rubbish", 7}, {0x21, 0, "", 0}, {0x21, 0, "\4", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_proxy_header out;
        size_t length = header(cases[i].command, cases[i].family, cases[i].body, cases[i].length);
        assert_int_equal(read_bytes(&out, length, NULL), MESHPING_OK);
        assert_true(out.complete && out.own && out.length == length && out.source.family == MESHPING_FAMILY_NONE);
    }
}

static void test_it_may_come_a_byte_at_a_time_and_never_asks_for_what_follows(void **unused)
{
    (void)unused;
    size_t whole = HEADER(0x21, 0x11, TCP4 "\x04\x00\x01x");
    memcpy(buffer + whole, "\x16\x03\x01", 3);
    for (size_t length = 0; length < whole; length++) {
        meshping_proxy_header out;
        assert_int_equal(read_bytes(&out, length, NULL), MESHPING_OK);
        assert_false(out.complete);
        assert_int_equal(out.length, length < 16 ? 16 : whole);
    }
    meshping_proxy_header out;
    assert_int_equal(read_bytes(&out, whole + 3, NULL), MESHPING_OK);
    assert_true(out.complete && out.length == whole);
}

static void test_what_is_no_header_is_told_from_one_by_its_first_bytes(void **unused)
{
    (void)unused;
    static const char *const others[] = {"\x16\x03\x01", "GET / HTTP/1.1\r\n", "\r\n\r\nQ", "\r\n\r\n\r", "PROX",
                                         "POST / "};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        memcpy(buffer, others[i], strlen(others[i]));
        assert_refused(strlen(others[i]), MESHPING_NOT_FOUND, "no PROXY header");
    }
    static const char text[] = "PROXY TCP4 192.0.2.7 198.51.100.1 12345 8443\r\n";
    memcpy(buffer, text, sizeof text - 1);
    assert_refused(sizeof text - 1, MESHPING_UNSUPPORTED, "version 1");
}

static void test_other_versions_commands_and_families_are_refused(void **unused)
{
    (void)unused;
    assert_refused(HEADER(0x31, 0x11, TCP4), MESHPING_PROTOCOL, "version 3");
    assert_refused(HEADER(0x11, 0x11, TCP4), MESHPING_PROTOCOL, "version 1");
    assert_refused(HEADER(0x22, 0x11, TCP4), MESHPING_PROTOCOL, "command 2");
    static const uint8_t families[] = {0x01, 0x02, 0x10, 0x12, 0x20, 0x22, 0x31, 0x32, 0x41, 0xff};
    for (size_t i = 0; i < sizeof families; i++)
        assert_refused(header(0x21, families[i], TCP6, 36), MESHPING_UNSUPPORTED, "not TCP over IP");
    assert_refused(header(0x21, 0x11, TCP4, 11), MESHPING_PROTOCOL, "too short");
    assert_refused(header(0x21, 0x21, TCP6, 35), MESHPING_PROTOCOL, "too short");
    assert_refused(header(0x21, 0x21, TCP6, 12), MESHPING_PROTOCOL, "too short");
}

static void test_a_header_may_have_2048_bytes_after_its_head(void **unused)
{
    (void)unused;
    static char body[4096];
    for (size_t length = 2047; length <= 2049; length++) {
        memset(body, 0, sizeof body);
        memcpy(body, TCP4, 12);
        body[12] = 0x04; /* of no meaning */
        body[13] = (char)((length - 15) >> 8);
        body[14] = (char)(length - 15);
        size_t whole = header(0x21, 0x11, body, length);
        if (length <= MESHPING_PROXY_BODY_MAX) {
            assert_source(whole, "192.0.2.7", 12345);
        } else {
            assert_refused(whole, MESHPING_LIMIT, "2065 bytes");
            assert_refused(16, MESHPING_LIMIT, "at most 2064"); /* before any of it is waited for */
        }
    }
}

static void test_extensions_must_be_whole(void **unused)
{
    (void)unused;
    assert_source(HEADER(0x21, 0x11, TCP4 "\x04\x00\x00\x05\x00\x02xy"), "192.0.2.7", 12345);
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x04"), MESHPING_PROTOCOL, "cut off");
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x04\x00"), MESHPING_PROTOCOL, "cut off");
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x04\x00\x01"), MESHPING_PROTOCOL, "cut off");
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x04\x00\x00\x05\x00\x03xy"), MESHPING_PROTOCOL, "cut off");
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x04\xff\xff\x05\x00\x03xy"), MESHPING_PROTOCOL, "cut off");
}

/* Bit by bit from the other end, not as the code does it. */
static uint32_t crc32c(const uint8_t *bytes, size_t length)
{
    uint64_t rest = 0xffffffff;
    for (size_t i = 0; i < length; i++)
        for (int bit = 0; bit < 8; bit++) {
            unsigned in = (bytes[i] >> bit & 1) ^ (rest & 1);
            rest >>= 1;
            if (in)
                rest ^= 0x82f63b78;
        }
    return (uint32_t)~rest;
}

static void test_a_checksum_is_checked_when_there_is_one(void **unused)
{
    (void)unused;
    assert_int_equal(crc32c((const uint8_t *)"123456789", 9), 0xe3069283);
    size_t whole = HEADER(0x21, 0x11, TCP4 "\x05\x00\x01z\x03\x00\x04\0\0\0\0\x04\x00\x00"), says = whole - 10,
           sum = whole - 7;
    uint32_t crc = crc32c(buffer, whole);
    for (size_t i = 0; i < 4; i++)
        buffer[sum + i] = (uint8_t)(crc >> (24 - 8 * i));
    assert_source(whole, "192.0.2.7", 12345);
    for (size_t at = 16; at < whole; at++) { /* whatever was changed on the way */
        uint8_t before = buffer[at];
        meshping_proxy_header out;
        buffer[at] ^= 0x40;
        if (at != says) /* where it says that there is one */
            assert_int_not_equal(read_bytes(&out, whole, NULL), MESHPING_OK);
        buffer[at] = before;
    }
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x03\x00\x00"), MESHPING_PROTOCOL, "checksum");
    assert_refused(HEADER(0x21, 0x11, TCP4 "\x03\x00\x05\0\0\0\0\0"), MESHPING_PROTOCOL, "checksum");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_source_of_both_families_is_read),
        cmocka_unit_test(test_local_and_unspecified_are_the_proxys_own),
        cmocka_unit_test(test_it_may_come_a_byte_at_a_time_and_never_asks_for_what_follows),
        cmocka_unit_test(test_what_is_no_header_is_told_from_one_by_its_first_bytes),
        cmocka_unit_test(test_other_versions_commands_and_families_are_refused),
        cmocka_unit_test(test_a_header_may_have_2048_bytes_after_its_head),
        cmocka_unit_test(test_extensions_must_be_whole),
        cmocka_unit_test(test_a_checksum_is_checked_when_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
