/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/selector.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void canonical(const char *text, const char *wanted)
{
    char out[MESHPING_LABELS_MAX];
    meshping_error err = {0};
    if (meshping_labels_parse(out, text, &err) != MESHPING_OK)
        fail_msg("\"%s\": %s", text, err.message);
    assert_string_equal(out, wanted);
}

static void no_labels(const char *text, meshping_status wanted)
{
    char out[MESHPING_LABELS_MAX] = "as=before";
    meshping_error err = {0};
    if (meshping_labels_parse(out, text, &err) != wanted)
        fail_msg("\"%s\" gives \"%s\" (%s)", text, out, err.message);
    assert_string_equal(out, "as=before");
    assert_true(err.message[0] != 0);
}

static void test_labels_are_sorted_and_without_blanks(void **state)
{
    (void)state;
    canonical("", "");
    canonical("  \n ", "");
    canonical("group=core", "group=core");
    canonical(" site = fra ,\tgroup=core,", "group=core,site=fra");
    canonical("empty=,B=2,a.b-c_d/x=Y.1-2_3", "B=2,a.b-c_d/x=Y.1-2_3,empty=");
}

static void test_what_is_no_label_is_refused_and_named(void **state)
{
    static const char *const bad[] = {
        "group",     "=core",        "group=co re", "group=core site=fra",
        "group=<b>", "-a=b",         "a-=b",        "a=-b",
        "a=b-",      "a=b/c",        "/a=b",        "a/=b",
        "a/b/c=d",   "a=b,,c=d",     "a=b,a=c",     "a==b",
        "a=b;c=d",   "gr\xc3\xbc=x", "a=\xff",      ",a=b",
        "a=\"b\"",   "<script>=a",   "a=b,c",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        no_labels(bad[i], MESHPING_INVALID);
}

static void test_label_limits_hold_at_their_edge(void **state)
{
    char text[2000], part[100];
    (void)state;
    memset(part, 'x', sizeof part);
    snprintf(text, sizeof text, "%.63s=%.63s", part, part);
    canonical(text, text);
    snprintf(text, sizeof text, "%.64s=a", part);
    no_labels(text, MESHPING_LIMIT);
    snprintf(text, sizeof text, "a=%.64s", part);
    no_labels(text, MESHPING_LIMIT);
    for (size_t count = MESHPING_LABEL_COUNT_MAX; count <= MESHPING_LABEL_COUNT_MAX + 1; count++) {
        size_t used = 0;
        for (size_t i = 0; i < count; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%sk%02zu=v", i ? "," : "", i);
        if (count == MESHPING_LABEL_COUNT_MAX)
            canonical(text, text);
        else
            no_labels(text, MESHPING_LIMIT);
    }
    /* 255 characters together, and 256 */
    snprintf(text, sizeof text, "a=%.60s,b=%.60s,c=%.60s,d=%.60s,e=%.1s", part, part, part, part, part);
    assert_int_equal(strlen(text), 255);
    canonical(text, text);
    snprintf(text, sizeof text, "a=%.60s,b=%.60s,c=%.60s,d=%.60s,e=%.2s", part, part, part, part, part);
    no_labels(text, MESHPING_LIMIT);
}

static void test_labels_are_read_one_by_one_and_by_key(void **state)
{
    const char *at = "a=1,b=,c=3";
    meshping_label label;
    char value[MESHPING_LABEL_PART_MAX] = "kept";
    (void)state;
    assert_true(meshping_labels_next(&at, &label));
    assert_string_equal(label.key, "a");
    assert_string_equal(label.value, "1");
    assert_true(meshping_labels_next(&at, &label));
    assert_string_equal(label.key, "b");
    assert_string_equal(label.value, "");
    assert_true(meshping_labels_next(&at, &label));
    assert_string_equal(label.value, "3");
    assert_false(meshping_labels_next(&at, &label));
    assert_false(meshping_labels_get("aa=1", "a", value));
    assert_string_equal(value, "kept");
    assert_true(meshping_labels_get("aa=1,b=2", "b", value));
    assert_string_equal(value, "2");
}

static bool selects(const char *selector, const char *labels)
{
    meshping_selector parsed;
    meshping_error err = {0};
    if (meshping_selector_parse(&parsed, selector, &err) != MESHPING_OK)
        fail_msg("\"%s\": %s", selector, err.message);
    return meshping_selector_matches(&parsed, labels);
}

static void test_selectors_mean_what_they_mean_in_kubernetes(void **state)
{
    static const struct {
        const char *selector, *labels;
        bool wanted;
    } cases[] = {
        {"", "", true},
        {"", "a=b", true},
        {"  ", "a=b", true},
        {"a=b", "a=b", true},
        {"a==b", "a=b", true},
        {" a = b ", "a=b", true},
        {"a=b", "a=c", false},
        {"a=b", "", false},
        {"a=", "a=", true},
        {"a=", "a=b", false},
        {"a=", "", false},
        {"a!=b", "a=c", true},
        {"a!=b", "a=b", false},
        {"a!=b", "", true}, /* no such key: not equal */
        {"a in (b,c)", "a=c", true},
        {"a in ( b , c )", "a=b", true},
        {"a in (b,c)", "a=d", false},
        {"a in (b,c)", "", false},
        {"a in (b,)", "a=", true},
        {"a notin (b,c)", "a=d", true},
        {"a notin (b,c)", "a=b", false},
        {"a notin (b,c)", "", true},
        {"a", "a=", true},
        {"a", "aa=b", false},
        {"!a", "", true},
        {"! a", "a=b", false},
        {"in in (in)", "in=in", true},
        {"in", "in=x", true},
        {"a=b,c!=d", "a=b,c=e", true},
        {"a=b,c!=d", "a=b,c=d", false},
        {"a,!c,d notin (x)", "a=1,d=y", true},
        {"a=b,a=c", "a=b", false},
        {"example.com/role in (router)", "example.com/role=router", true},
        {"A=b", "a=b", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (selects(cases[i].selector, cases[i].labels) != cases[i].wanted)
            fail_msg("\"%s\" on \"%s\"", cases[i].selector, cases[i].labels);
}

static void test_a_bad_selector_says_what_was_expected_and_where(void **state)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"a b", "character 3"},
        {"a=b c=d", "character 5"},
        {"a in", "'('"},
        {"a in b", "'('"},
        {"a in ()", "a value"},
        {"a in (b", "',' or ')'"},
        {"a in (b c)", "','"},
        {",", "a label's key"},
        {"a,", "a label's key"},
        {"a,,b", "a label's key"},
        {"=b", "a label's key"},
        {"!", "a label's key"},
        {"a<b", "="},
        {"a=-b", "must begin"},
        {"a=b/c", "no '/'"},
        {"/a", "must begin"},
        {"!a=b", "',' or the end"},
        {"<script>", "character 1"},
        {"a=<b>", "character 3"},
        {"a=b)", "character 4"},
        {"a notin b", "'('"},
        {"a !b", "="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        meshping_selector out = {.term_count = 77};
        meshping_error err = {0};
        assert_int_equal(meshping_selector_parse(&out, cases[i].text, &err), MESHPING_INVALID);
        assert_int_equal(out.term_count, 77);
        if (!strstr(err.message, cases[i].word))
            fail_msg("\"%s\": \"%s\" has no \"%s\"", cases[i].text, err.message, cases[i].word);
    }
}

static void test_selector_limits_hold_at_their_edge(void **state)
{
    char text[1200] = "";
    meshping_selector out;
    (void)state;
    for (size_t count = MESHPING_SELECTOR_TERMS_MAX; count <= MESHPING_SELECTOR_TERMS_MAX + 1; count++) {
        size_t used = 0;
        for (size_t i = 0; i < count; i++)
            used += (size_t)snprintf(text + used, sizeof text - used, "%sk%02zu", i ? "," : "", i);
        assert_int_equal(meshping_selector_parse(&out, text, NULL),
                         count == MESHPING_SELECTOR_TERMS_MAX ? MESHPING_OK : MESHPING_LIMIT);
    }
    /* as many values as there is room for text: all of them are looked at */
    size_t used = (size_t)snprintf(text, sizeof text, "a in (b");
    while (used < MESHPING_SELECTOR_MAX - 4)
        text[used++] = ',';
    strcpy(text + used, "cc)");
    assert_int_equal(strlen(text), MESHPING_SELECTOR_MAX - 1);
    assert_true(selects(text, "a=cc") && selects(text, "a=") && selects(text, "a=b") && !selects(text, "a=c"));
    memmove(text + 1, text, strlen(text) + 1);
    text[0] = ' ';
    assert_int_equal(meshping_selector_parse(&out, text, NULL), MESHPING_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_are_sorted_and_without_blanks),
        cmocka_unit_test(test_what_is_no_label_is_refused_and_named),
        cmocka_unit_test(test_label_limits_hold_at_their_edge),
        cmocka_unit_test(test_labels_are_read_one_by_one_and_by_key),
        cmocka_unit_test(test_selectors_mean_what_they_mean_in_kubernetes),
        cmocka_unit_test(test_a_bad_selector_says_what_was_expected_and_where),
        cmocka_unit_test(test_selector_limits_hold_at_their_edge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
