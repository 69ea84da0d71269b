/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct values {
    int64_t keep, limit;
    int count;
    char text[8];
} values;

static const config_key keys[] = {
    CONFIG_KEY_DURATION(values, keep, 600, INT64_C(630720000), "24h", "How long"),
    CONFIG_KEY_SIZE(values, limit, INT64_C(16) << 20, INT64_C(64) << 40, "0", "How much"),
    CONFIG_KEY_NUMBER(values, count, 1, 10, "3", "How many"),
    CONFIG_KEY_TEXT(values, text, "abc", "What"),
    CONFIG_KEY_END,
};

static void assert_refused(const char *name, const char *value, const char *why)
{
    values v;
    meshping_error err = {0};
    config_defaults(keys, &v);
    values before = v;
    assert_int_equal(config_set(keys, &v, name, value, &err), MESHPING_INVALID);
    if (!strstr(err.message, why))
        fail_msg("%s = %s: \"%s\" does not say \"%s\"", name, value, err.message, why);
    assert_memory_equal(&v, &before, sizeof v);
}

static void test_durations_have_a_unit_and_bounds(void **unused)
{
    (void)unused;
    static const struct {
        const char *text;
        int64_t seconds;
    } good[] = {{"10m", 600}, {"600s", 600}, {"90m", 5400}, {"24h", 86400}, {"7d", 604800}, {"20y", 630720000}};
    values v = {0};
    config_defaults(keys, &v);
    assert_int_equal(v.keep, 86400);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(config_set(keys, &v, "keep", good[i].text, NULL), MESHPING_OK);
        assert_int_equal(v.keep, good[i].seconds);
    }
    assert_refused("keep", "24", "is not a time like");
    assert_refused("keep", "", "is not a time like");
    assert_refused("keep", "h", "is not a time like");
    assert_refused("keep", "24hours", "is not a time like");
    assert_refused("keep", "24 h", "is not a time like");
    assert_refused("keep", "24w", "is not a time like");
    assert_refused("keep", "1.5h", "is not a time like");
    assert_refused("keep", "9223372036854775807y", "is not a time like");
    assert_refused("keep", "9m", "is not between 10m and 20y");
    assert_refused("keep", "599s", "is not between 10m and 20y");
    assert_refused("keep", "21y", "is not between 10m and 20y");
    assert_refused("keep", "-1h", "is not between 10m and 20y");
    assert_refused("keep", "0", "is not between 10m and 20y");
}

static void test_sizes_may_have_a_unit_and_nought_is_none(void **unused)
{
    (void)unused;
    values v = {0};
    config_defaults(keys, &v);
    assert_int_equal(v.limit, 0);
    assert_int_equal(config_set(keys, &v, "limit", "16M", NULL), MESHPING_OK);
    assert_int_equal(v.limit, 16 << 20);
    assert_int_equal(config_set(keys, &v, "limit", "20G", NULL), MESHPING_OK);
    assert_int_equal(v.limit, INT64_C(20) << 30);
    assert_int_equal(config_set(keys, &v, "limit", "16777217", NULL), MESHPING_OK);
    assert_int_equal(v.limit, (16 << 20) + 1);
    assert_int_equal(config_set(keys, &v, "limit", "0", NULL), MESHPING_OK);
    assert_int_equal(v.limit, 0);
    assert_refused("limit", "16777215", "is not between 16M and 64T");
    assert_refused("limit", "65T", "is not between 16M and 64T");
    assert_refused("limit", "20g", "is not a size like");
    assert_refused("limit", "20GB", "is not a size like");
    assert_refused("limit", "G", "is not a size like");
    assert_refused("limit", "9000000000000T", "is not a size like");
}

static void test_numbers_texts_and_keys_are_checked(void **unused)
{
    (void)unused;
    assert_refused("count", "0", "0 is not between 1 and 10");
    assert_refused("count", "11", "11 is not between 1 and 10");
    assert_refused("count", "3x", "is not a whole number");
    assert_refused("text", "12345678", "is longer than 7 bytes");
    assert_refused("kep", "24h", "did you mean \"keep\"?");
    assert_refused("something", "24h", "unknown key");
}

static void test_the_sample_file_tells_bounds_in_words(void **unused)
{
    (void)unused;
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    assert_non_null(file);
    config_print_sample(keys, file);
    fclose(file);
    assert_non_null(strstr(text, "# How long (10m to 20y)\n#keep = 24h\n"));
    assert_non_null(strstr(text, "# How much (16M to 64T)\n#limit = 0\n"));
    assert_non_null(strstr(text, "# How many (1 to 10)\n#count = 3\n"));
    assert_non_null(strstr(text, "# What\n#text = abc\n"));
    free(text);
}

static void test_a_value_is_told_as_it_would_stand_in_a_file(void **unused)
{
    (void)unused;
    static const char *const good[][2] = {{"keep", "1d"},   {"keep", "90m"},       {"keep", "2y"}, {"limit", "0"},
                                          {"limit", "20G"}, {"limit", "16777217"}, {"count", "7"}, {"text", "x y"}};
    char text[CONFIG_VALUE_MAX];
    values v = {0};
    config_defaults(keys, &v);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(config_set(keys, &v, good[i][0], good[i][1], NULL), MESHPING_OK);
        assert_string_equal(config_format(config_find(keys, good[i][0]), &v, text), good[i][1]);
    }
    assert_null(config_find(keys, "kep"));
    assert_string_equal(config_format_bound(config_find(keys, "keep"), 600, text), "10m");
    assert_string_equal(config_format_bound(config_find(keys, "text"), 0, text), "");
}

static void test_what_stands_in_a_file_is_known_by_its_key(void **unused)
{
    (void)unused;
    char path[] = "/tmp/test_config.XXXXXX";
    int fd = mkstemp(path);
    static const char lines[] = "# a file\ncount = 3\ntext =\n";
    bool given[sizeof keys / sizeof keys[0]] = {false};
    values v;
    config_defaults(keys, &v);
    assert_true(fd >= 0 && write(fd, lines, sizeof lines - 1) == (ssize_t)sizeof lines - 1);
    close(fd);
    assert_int_equal(config_load(keys, &v, given, path, NULL), MESHPING_OK);
    unlink(path);
    assert_false(given[0] || given[1]);
    assert_true(given[2] && given[3]); /* though it is the default, and nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_have_a_unit_and_bounds),
        cmocka_unit_test(test_sizes_may_have_a_unit_and_nought_is_none),
        cmocka_unit_test(test_numbers_texts_and_keys_are_checked),
        cmocka_unit_test(test_the_sample_file_tells_bounds_in_words),
        cmocka_unit_test(test_a_value_is_told_as_it_would_stand_in_a_file),
        cmocka_unit_test(test_what_stands_in_a_file_is_known_by_its_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
