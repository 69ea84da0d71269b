/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations_have_a_unit_and_bounds),
        cmocka_unit_test(test_sizes_may_have_a_unit_and_nought_is_none),
        cmocka_unit_test(test_numbers_texts_and_keys_are_checked),
        cmocka_unit_test(test_the_sample_file_tells_bounds_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
