/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/utf8.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* In so many bytes, whether that is the shortest form or not. */
static void write_in(char text[5], uint32_t c, size_t length)
{
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    memset(text, 0, 5);
    for (size_t i = length; i-- > 1; c >>= 6)
        text[i] = (char)(0x80 | (c & 0x3f));
    text[0] = (char)(first[length] | c);
}

static size_t shortest(uint32_t c)
{
    return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

static void test_each_character_is_read_in_its_shortest_form_alone(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x200000; c++)
        for (size_t length = shortest(c); length <= 4; length++) {
            char text[5];
            uint32_t read = 7;
            bool good = length == shortest(c) && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
            write_in(text, c, length);
            assert_int_equal(meshping_utf8_read(&read, text), good ? length : 0);
            assert_int_equal(read, good ? c : 0);
            if (length > 1) { /* cut, and the NUL after it is not passed */
                text[length - 1] = 0;
                assert_int_equal(meshping_utf8_read(&read, text), 0);
            }
        }
}

static void test_what_begins_no_character_is_none(void **state)
{
    (void)state;
    for (unsigned byte = 0x80; byte < 0x100; byte++) {
        char text[] = {(char)byte, 'a', 0};
        uint32_t read = 7;
        assert_int_equal(meshping_utf8_read(&read, text), 0);
        assert_int_equal(read, 0);
    }
}

static void test_a_text_that_is_cut_ends_with_a_whole_character(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"; /* of 1, 2, 3, 4 and 1 bytes */
    static const size_t fits[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};
    for (size_t size = 1; size <= sizeof fits / sizeof *fits; size++)
        assert_int_equal(meshping_utf8_fit(text, strlen(text), size), fits[size - 1]);
    assert_int_equal(meshping_utf8_fit("", 0, 1), 0);
    assert_int_equal(meshping_utf8_fit("\x80\x80\x80", 3, 3), 0); /* no character at all */
}

static void test_controls_are_those_of_ascii_and_latin_1(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x3000; c++)
        assert_int_equal(meshping_utf8_is_control(c), c <= 0x1f || (c >= 0x7f && c <= 0x9f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_character_is_read_in_its_shortest_form_alone),
        cmocka_unit_test(test_what_begins_no_character_is_none),
        cmocka_unit_test(test_a_text_that_is_cut_ends_with_a_whole_character),
        cmocka_unit_test(test_controls_are_those_of_ascii_and_latin_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
