/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/looks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void test_what_people_see_is_whole(void **state)
{
    static const char *const names[] = {"",
                                        "anna",
                                        "Zo\xc3\xab M.",
                                        "\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0",
                                        "\xe7\x8e\x8b",
                                        "\xf0\x9f\x98\x80",
                                        "\xe2\x82\xac 5",
                                        "#x? <b>"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_true(looks_whole(names[i]));
}

static void test_what_nobody_sees_is_found_and_becomes_a_question_mark(void **state)
{
    static const struct {
        const char *text, *clean;
    } cases[] = {
        {"a\xe2\x80\x8b"
         "b",
         "a?b"},
        {"\xe2\x80\xae"
         "core",
         "?core"},
        {"a\xc2\xa0", "a?"},
        {"a\xc2\xad"
         "b",
         "a?b"},
        {"e\xcc\x81", "e?"},
        {"a\n\x7f", "a??"},
        {"\xe3\x80\x80", "?"},
        {"\xef\xbb\xbf"
         "a",
         "?a"},
        {"\xef\xbf\xbf", "?"},
        {"\xf3\xa0\x81\x81", "?"},
        {"\xee\x80\x80", "?"},
        {"\xc2\x85", "?"},
        {"\xff"
         "a",
         "?a"},
        {"\xc3", "?"},
        {"\xe2\x80", "??"},
        {"\xc0\xaf", "??"},
        {"\xed\xa0\x80", "???"},
        {"\xf4\x90\x80\x80", "????"},
        {"\xe0\x80\x80", "???"},
        {"\xf0\x9f\x98", "???"},
        {"\xe2\x81\xa6z\xe2\x81\xa9", "?z?"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        snprintf(text, sizeof text, "%s", cases[i].text);
        assert_false(looks_whole(text));
        looks_clean(text);
        assert_string_equal(text, cases[i].clean);
        assert_true(looks_whole(text));
    }
}

static void test_what_turns_the_text_behind_it_around_is_found(void **state)
{
    static const char *const turned[] = {"\xe2\x80\xaa", "a\xe2\x80\xae", "\xe2\x81\xa6z", "a \xe2\x81\xa9"};
    static const char *const good[] = {
        "", "a", "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\xa5", "\xe2\x81\xaa", "\xd7\x90\xe2\x80\x8f", "\xff"};
    (void)state;
    for (size_t i = 0; i < sizeof turned / sizeof *turned; i++)
        assert_true(looks_turned(turned[i]));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_false(looks_turned(good[i]));
}

static void test_two_that_may_be_taken_for_each_other_compare_equal(void **state)
{
    static const char *const same[][2] = {
        {"anna", "ANNA"},
        {"anna", "\xd0\xb0nn\xd0\xb0"},               /* Cyrillic a */
        {"coco", "\xd1\x81\xd0\xbe\xd1\x81\xd0\xbe"}, /* all Cyrillic */
        {"NOC", "\xce\x9d\xce\x9f"
                "C"}, /* Greek N and O */
        {"Ivan", "lvan"},
        {"ivan", "Ivan"},
        {"ivan", "lvan"},
        {"corner", "comer"},
        {"CORNER", "comer"},
        {"norrn", "nor\xd0\xbc"}, /* a Cyrillic m */
        {"vvatson", "Watson"},
        {"wrnr", "vvmr"},
        {"\xd0\xba", "k"},
        {"noc0", "NOCO"},
        {"anna", "\xef\xbd\x81nna"},                      /* wide */
        {"Anna1", "\xf0\x9d\x90\x80nna\xf0\x9d\x9f\x8f"}, /* mathematical */
        {"J\xc3\xbcrgen", "J\xc3\x9cRGEN"},
        {"\xc5\x81ukasz", "\xc5\x82ukasz"},
        {"\xc5\xbd", "\xc5\xbe"},
        {"\xc5\xb8", "\xc3\xbf"},
        {"\xd0\x96\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0", "\xd0\xb6\xd0\xb0\xd0\xbd\xd0\xbd\xd0\xb0"},
        {"\xd0\x84va", "\xd1\x94va"},
        {"\xce\xa3\xce\xbf\xcf\x86", "\xcf\x82\xce\xbf\xcf\x86"},
        {"a-b", "a\xe2\x80\x93"
                "b"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        assert_int_equal(looks_compare(same[i][0], same[i][1]), 0);
        assert_int_equal(looks_compare(same[i][1], same[i][0]), 0);
    }
}

static void test_others_are_in_an_order(void **state)
{
    static const char *const names[] = {"",  "anna", "annab", "bert", "b\xc3\xa9rt", "m", "mr",
                                        "r", "rx",   "w",     "xo",   "xp",          "z", "\xd0\xb6"};
    static const size_t count = sizeof names / sizeof *names;
    (void)state;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < count; k++)
            assert_int_equal(looks_compare(names[i], names[k]), i == k ? 0 : i < k ? -1 : 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_people_see_is_whole),
        cmocka_unit_test(test_what_nobody_sees_is_found_and_becomes_a_question_mark),
        cmocka_unit_test(test_what_turns_the_text_behind_it_around_is_found),
        cmocka_unit_test(test_two_that_may_be_taken_for_each_other_compare_equal),
        cmocka_unit_test(test_others_are_in_an_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
