/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/target.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static meshping_target target_of(const char *host)
{
    meshping_target target;
    meshping_target_init(&target);
    snprintf(target.host, sizeof target.host, "%s", host);
    return target;
}

static void test_defaults_pass_the_check_once_a_host_is_given(void **state)
{
    (void)state;
    meshping_target target = target_of("192.0.2.1");
    assert_int_equal(target.interval_ms, 5000);
    assert_int_equal(target.timeout_ms, 3000);
    assert_int_equal(target.size, 56);
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
    target.host[0] = 0;
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
}

#define CHECK_LIMITS(field, low, high)                                                                                 \
    do {                                                                                                               \
        meshping_target t = target_of("192.0.2.1");                                                                    \
        meshping_error err = {0};                                                                                      \
        t.field = (low);                                                                                               \
        assert_int_equal(meshping_target_check(&t, &err), MESHPING_OK);                                                \
        t.field = (high);                                                                                              \
        assert_int_equal(meshping_target_check(&t, &err), MESHPING_OK);                                                \
        t.field = (high) + 1;                                                                                          \
        assert_int_equal(meshping_target_check(&t, &err), MESHPING_INVALID);                                           \
        assert_non_null(strstr(err.message, #field));                                                                  \
        if ((low) > 0) {                                                                                               \
            t.field = (low)-1;                                                                                         \
            assert_int_equal(meshping_target_check(&t, &err), MESHPING_INVALID);                                       \
        }                                                                                                              \
    } while (0)

static void test_each_field_has_limits_and_the_error_names_it(void **state)
{
    (void)state;
    CHECK_LIMITS(interval_ms, MESHPING_INTERVAL_MS_MIN, MESHPING_INTERVAL_MS_MAX);
    CHECK_LIMITS(timeout_ms, MESHPING_TIMEOUT_MS_MIN, MESHPING_TIMEOUT_MS_MAX);
    CHECK_LIMITS(size, MESHPING_SIZE_MIN, MESHPING_SIZE_MAX);
    CHECK_LIMITS(dscp, 0, 63);
    CHECK_LIMITS(id, 0, (UINT64_C(1) << 53) - 1);
}

static void test_targets_that_can_never_answer_are_refused(void **state)
{
    static const char *const hosts[] = {"0.0.0.0", "::", "224.0.0.1", "ff02::1", "ff02::1%eth0", "255.255.255.255"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        meshping_target target = target_of(hosts[i]);
        meshping_error err = {0};
        assert_int_equal(meshping_target_check(&target, &err), MESHPING_INVALID);
        assert_non_null(strstr(err.message, hosts[i]));
    }
}

static void test_a_family_must_fit_the_address(void **state)
{
    (void)state;
    meshping_target target = target_of("192.0.2.1");
    target.family = 6;
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
    target.family = 4;
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
    target = target_of("example.org");
    target.family = 6;
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
    target.family = 5;
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
}

static void test_a_link_local_address_says_which_link(void **state)
{
    (void)state;
    meshping_error err = {0};
    meshping_target target = target_of("fe80::1");
    assert_int_equal(meshping_target_check(&target, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "fe80::1%eth0"));
    memcpy(target.interface, "eth0", 5);
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
    target = target_of("fe80::1%eth7");
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
    target = target_of("FEBF::1"); /* the last of fe80::/10 */
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
    target = target_of("fec0::1");
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
}

static void test_a_source_is_a_hosts_address_of_the_targets_family(void **state)
{
    static const struct {
        const char *host, *source;
        uint8_t family;
        meshping_status status;
    } cases[] = {
        {"192.0.2.1", "192.0.2.2", 0, MESHPING_OK},         {"2001:db8::1", "2001:db8::2", 0, MESHPING_OK},
        {"192.0.2.1", "2001:db8::2", 0, MESHPING_INVALID},  {"example.org", "2001:db8::2", 0, MESHPING_OK},
        {"example.org", "192.0.2.2", 6, MESHPING_INVALID},  {"example.org", "192.0.2.2", 4, MESHPING_OK},
        {"192.0.2.1", "0.0.0.0", 0, MESHPING_INVALID},      {"192.0.2.1", "224.0.0.1", 0, MESHPING_INVALID},
        {"2001:db8::1", "ff02::1", 0, MESHPING_INVALID},    {"fe80::1%eth0", "fe80::2", 0, MESHPING_OK},
        {"fe80::1%eth0", "fe80::2%1", 0, MESHPING_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_target target = target_of(cases[i].host);
        meshping_error err = {0};
        target.family = cases[i].family;
        assert_int_equal(meshping_address_parse(&target.source, cases[i].source, NULL), MESHPING_OK);
        assert_int_equal(meshping_target_check(&target, &err), cases[i].status);
        assert_true(cases[i].status == MESHPING_OK || strstr(err.message, "source"));
    }
}

static void test_an_interface_is_a_short_name(void **state)
{
    static const struct {
        const char *name;
        meshping_status status;
    } cases[] = {
        {"eth0", MESHPING_OK},
        {"wg-office.2", MESHPING_OK},
        {"veth1@if_2", MESHPING_OK},
        {"a b", MESHPING_INVALID},
        {"eth0/1", MESHPING_INVALID},
        {"\"", MESHPING_INVALID},
        {"fifteen-letters", MESHPING_OK},
    };
    (void)state;
    meshping_target target = target_of("192.0.2.1");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(target.interface, sizeof target.interface, "%s", cases[i].name);
        assert_int_equal(meshping_target_check(&target, NULL), cases[i].status);
    }
    memset(target.interface, 'i', sizeof target.interface);
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
}

static void test_names_are_utf8_without_control_characters(void **state)
{
    static const struct {
        const char *name;
        meshping_status status;
    } cases[] = {
        {"Z\xc3\xbcrich core", MESHPING_OK},    {"\xe2\x82\xac", MESHPING_OK},
        {"\xf0\x9f\x98\x80", MESHPING_OK},      {"\xc3", MESHPING_INVALID},
        {"\xc0\xaf", MESHPING_INVALID},         {"\xed\xa0\x80", MESHPING_INVALID},
        {"\xf4\x90\x80\x80", MESHPING_INVALID}, {"two\nlines", MESHPING_INVALID},
        {"\xc2\x85", MESHPING_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        meshping_target target = target_of("192.0.2.1");
        snprintf(target.name, sizeof target.name, "%s", cases[i].name);
        assert_int_equal(meshping_target_check(&target, NULL), cases[i].status);
    }
    meshping_target target = target_of("192.0.2.1");
    memset(target.name, 'n', sizeof target.name);
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
}

static void test_adding_makes_canonical_and_refuses_the_same_host(void **state)
{
    meshping_target_list list = {0};
    meshping_error err = {0};
    (void)state;
    meshping_target target = target_of("2001:DB8::0:1");
    assert_int_equal(meshping_target_list_add(&list, &target, &err), MESHPING_OK);
    target = target_of("Example.org.");
    assert_int_equal(meshping_target_list_add(&list, &target, &err), MESHPING_OK);
    assert_string_equal(list.items[0].host, "2001:db8::1");
    assert_non_null(meshping_target_list_by_host(&list, "example.org"));
    target = target_of("2001:db8::1");
    assert_int_equal(meshping_target_list_add(&list, &target, &err), MESHPING_EXISTS);
    assert_non_null(strstr(err.message, "number 1"));
    target = target_of("256.1.1.1");
    assert_int_equal(meshping_target_list_add(&list, &target, &err), MESHPING_INVALID);
    assert_int_equal(list.count, 2);
    meshping_target_list_dispose(&list);
    assert_null(list.items);
}

static void test_a_list_takes_its_limit_and_not_one_more(void **state)
{
    meshping_target_list list = {.limit = 20};
    meshping_error err = {0};
    (void)state;
    for (unsigned i = 1; i <= 21; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.51.100.%u", i);
        meshping_target target = target_of(host);
        target.id = i;
        assert_int_equal(meshping_target_list_add(&list, &target, &err), i <= 20 ? MESHPING_OK : MESHPING_LIMIT);
    }
    assert_non_null(strstr(err.message, "20"));
    assert_int_equal(list.count, 20);
    assert_int_equal(meshping_target_list_check(&list, NULL), MESHPING_OK);
    list.limit = 19;
    assert_int_equal(meshping_target_list_check(&list, NULL), MESHPING_LIMIT);
    assert_string_equal(meshping_target_list_by_id(&list, 7)->host, "198.51.100.7");
    assert_null(meshping_target_list_by_id(&list, 99));
    meshping_target_list_dispose(&list);
}

static void test_the_check_of_a_whole_list_names_both_places(void **state)
{
    static const char *const hosts[] = {"192.0.2.1", "example.org", "192.0.2.2", "EXAMPLE.org"};
    meshping_target_list list = {0};
    meshping_error err = {0};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        meshping_target target = target_of(hosts[i]);
        assert_int_equal(meshping_target_list_append(&list, &target, &err), MESHPING_OK);
    }
    assert_int_equal(meshping_target_list_check(&list, &err), MESHPING_EXISTS);
    assert_non_null(strstr(err.message, "targets 2 and 4"));
    list.items[3].family = 6; /* the same name by another family is another target */
    assert_int_equal(meshping_target_list_check(&list, &err), MESHPING_OK);
    list.items[0].id = list.items[2].id = 5;
    assert_int_equal(meshping_target_list_check(&list, &err), MESHPING_EXISTS);
    assert_non_null(strstr(err.message, "targets 1 and 3"));
    list.items[0].id = 6;
    list.items[1].size = 3;
    assert_int_equal(meshping_target_list_check(&list, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "target 2"));
    meshping_target_list_dispose(&list);
}

static void test_a_copy_is_independent(void **state)
{
    meshping_target_list list = {.revision = 9}, copy = {0};
    (void)state;
    meshping_target target = target_of("192.0.2.1");
    assert_int_equal(meshping_target_list_add(&list, &target, NULL), MESHPING_OK);
    assert_int_equal(meshping_target_list_copy(&copy, &list), MESHPING_OK);
    list.items[0].size = 99;
    assert_int_equal(copy.items[0].size, 56);
    assert_int_equal(copy.revision, 9);
    target = target_of("192.0.2.2");
    assert_int_equal(meshping_target_list_add(&copy, &target, NULL), MESHPING_OK);
    assert_int_equal(list.count, 1);
    meshping_target_list_dispose(&list);
    assert_int_equal(meshping_target_list_copy(&copy, &list), MESHPING_OK); /* an empty list replaces */
    assert_int_equal(copy.count, 0);
    meshping_target_list_dispose(&copy);
}

static meshping_target_list list_of(const char *hosts, uint64_t first_id)
{
    meshping_target_list list = {0};
    for (const char *at = hosts; *at; at++) {
        meshping_target target = target_of("");
        snprintf(target.host, sizeof target.host, "%c.example", *at);
        target.id = first_id++;
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    return list;
}

static const char *text_of(const meshping_target_list *list)
{
    static char text[200];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < list->count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d%c", i ? " " : "", (int)list->items[i].id,
                                 list->items[i].host[0]);
    return text;
}

static void test_a_patch_removes_replaces_and_adds(void **state)
{
    (void)state;
    meshping_target_list list = list_of("abcd", 1), changed = list_of("Xef", 3), none = {.revision = 8};
    const uint64_t removed[] = {4, 1};
    changed.items[1].id = 9; /* 3X 9e 5f */
    changed.revision = 7;
    assert_int_equal(meshping_target_list_patch(&list, &changed, removed, 2, NULL), MESHPING_OK);
    assert_string_equal(text_of(&list), "2b 3x 9e 5f");
    assert_int_equal(list.revision, 7);
    assert_int_equal(meshping_target_list_patch(&list, &none, NULL, 0, NULL), MESHPING_OK);
    assert_string_equal(text_of(&list), "2b 3x 9e 5f");
    const uint64_t all[] = {2, 3, 5, 9};
    assert_int_equal(meshping_target_list_patch(&list, &none, all, 4, NULL), MESHPING_OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(meshping_target_list_patch(&list, &changed, NULL, 0, NULL), MESHPING_OK);
    assert_string_equal(text_of(&list), "3x 9e 5f");
    meshping_target_list_dispose(&list);
    meshping_target_list_dispose(&changed);
}

static void test_a_patch_that_does_not_fit_changes_nothing(void **state)
{
    (void)state;
    meshping_target_list list = list_of("ab", 1), changed = list_of("cd", 3), none = {0};
    const uint64_t unknown[] = {1, 3}, twice[] = {1, 1};
    meshping_error err = {0};
    assert_int_equal(meshping_target_list_patch(&list, &none, unknown, 2, &err), MESHPING_INVALID);
    assert_int_equal(meshping_target_list_patch(&list, &none, twice, 2, &err), MESHPING_INVALID);
    changed.items[1].id = 3;
    assert_int_equal(meshping_target_list_patch(&list, &changed, NULL, 0, &err), MESHPING_EXISTS);
    changed.items[1].id = 4;
    list.limit = 3;
    assert_int_equal(meshping_target_list_patch(&list, &changed, NULL, 0, &err), MESHPING_LIMIT);
    assert_string_equal(text_of(&list), "1a 2b");
    list.limit = 4;
    assert_int_equal(meshping_target_list_patch(&list, &changed, NULL, 0, &err), MESHPING_OK);
    meshping_target_list_dispose(&list);
    meshping_target_list_dispose(&changed);
}

static void test_an_agent_may_be_given_a_host_twice_but_not_an_id(void **state)
{
    (void)state;
    meshping_target_list list = list_of("aa", 1);
    assert_int_equal(meshping_target_list_check(&list, NULL), MESHPING_EXISTS);
    assert_int_equal(meshping_target_list_check_ids(&list, NULL), MESHPING_OK);
    list.items[1].id = 1;
    assert_int_equal(meshping_target_list_check_ids(&list, NULL), MESHPING_EXISTS);
    meshping_target_list_dispose(&list);
}

static void test_a_pause_has_a_reason_and_ends_at_its_end(void **state)
{
    (void)state;
    meshping_target target = target_of("192.0.2.1");
    meshping_error why = {0};
    assert_false(meshping_target_is_paused(&target, 1000));
    target.paused_until_ms = 1000;
    assert_int_equal(meshping_target_check(&target, &why), MESHPING_INVALID);
    assert_non_null(strstr(why.message, "needs a reason"));
    snprintf(target.pause_reason, sizeof target.pause_reason, "moving");
    assert_true(meshping_target_is_paused(&target, 999));
    assert_false(meshping_target_is_paused(&target, 1000));
    target.paused_until_ms = 0;
    assert_true(meshping_target_is_paused(&target, INT64_MAX));
    static const int64_t ends[] = {-1, 0, MESHPING_PAUSE_UNTIL_MS_MAX, MESHPING_PAUSE_UNTIL_MS_MAX + 1};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        target.paused_until_ms = ends[i];
        assert_int_equal(meshping_target_check(&target, NULL), i == 1 || i == 2 ? MESHPING_OK : MESHPING_INVALID);
    }
    target.paused_until_ms = 0;
    memset(target.pause_reason, 'x', sizeof target.pause_reason);
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_INVALID);
    target.pause_reason[MESHPING_TARGET_NAME_MAX - 1] = 0;
    assert_int_equal(meshping_target_check(&target, NULL), MESHPING_OK);
    target.pause_reason[3] = '\n';
    assert_int_equal(meshping_target_check(&target, &why), MESHPING_INVALID);
    assert_non_null(strstr(why.message, "reason of the pause"));
}

static void test_labels_and_thresholds_are_checked_with_the_target(void **state)
{
    (void)state;
    meshping_target_list list = {0};
    meshping_target target = target_of("192.0.2.1");
    meshping_error why = {0};
    CHECK_LIMITS(slow_ms, 0, MESHPING_SLOW_MS_MAX);
    CHECK_LIMITS(lossy_percent, 0, 100);
    snprintf(target.labels, sizeof target.labels, "site = fra, group=core");
    assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    assert_string_equal(list.items[0].labels, "group=core,site=fra");
    snprintf(target.labels, sizeof target.labels, "<b>");
    assert_int_equal(meshping_target_check(&target, &why), MESHPING_INVALID);
    assert_non_null(strstr(why.message, "label"));
    assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_INVALID);
    meshping_target_list_dispose(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_pass_the_check_once_a_host_is_given),
        cmocka_unit_test(test_each_field_has_limits_and_the_error_names_it),
        cmocka_unit_test(test_targets_that_can_never_answer_are_refused),
        cmocka_unit_test(test_a_family_must_fit_the_address),
        cmocka_unit_test(test_a_link_local_address_says_which_link),
        cmocka_unit_test(test_a_source_is_a_hosts_address_of_the_targets_family),
        cmocka_unit_test(test_an_interface_is_a_short_name),
        cmocka_unit_test(test_names_are_utf8_without_control_characters),
        cmocka_unit_test(test_adding_makes_canonical_and_refuses_the_same_host),
        cmocka_unit_test(test_a_list_takes_its_limit_and_not_one_more),
        cmocka_unit_test(test_the_check_of_a_whole_list_names_both_places),
        cmocka_unit_test(test_a_copy_is_independent),
        cmocka_unit_test(test_a_patch_removes_replaces_and_adds),
        cmocka_unit_test(test_a_patch_that_does_not_fit_changes_nothing),
        cmocka_unit_test(test_an_agent_may_be_given_a_host_twice_but_not_an_id),
        cmocka_unit_test(test_a_pause_has_a_reason_and_ends_at_its_end),
        cmocka_unit_test(test_labels_and_thresholds_are_checked_with_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
