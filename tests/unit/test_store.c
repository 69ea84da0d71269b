/* SPDX-License-Identifier: Apache-2.0 */
/* Targets, rules, passphrases, settings and events, through the store's public interface only. */
#include "store_fixture.h"

/* ---- targets ---- */

static void put(meshping_target_list *list, const char *host, uint64_t id)
{
    meshping_target target;
    meshping_target_init(&target);
    snprintf(target.host, sizeof target.host, "%s", host);
    target.id = id;
    assert_int_equal(meshping_target_list_add(list, &target, NULL), MESHPING_OK);
}

static uint64_t id_of(const meshping_target_list *list, const char *host)
{
    const meshping_target *target = meshping_target_list_by_host(list, host);
    assert_non_null(target);
    return target->id;
}

static void test_targets_are_kept_in_order_with_all_their_fields(void **state)
{
    fixture *f = *state;
    meshping_target_list list = {0}, back = {0};
    assert_int_equal(meshping_store_targets(f->store, &back, NULL), MESHPING_OK);
    assert_int_equal(back.count, 0);
    assert_int_equal(back.revision, 0);
    meshping_target target;
    meshping_target_init(&target);
    strcpy(target.host, "2001:db8::1");
    strcpy(target.name, "caf\xc3\xa9 \"gateway\"");
    target.interval_ms = 100;
    target.timeout_ms = 60000;
    target.size = 65000;
    target.dscp = 63;
    target.dont_fragment = true;
    assert_int_equal(meshping_address_parse(&target.source, "2001:db8::7", NULL), MESHPING_OK);
    strcpy(target.interface, "wg-office.2");
    target.ttl = 255;
    target.family = MESHPING_FAMILY_IPV6;
    strcpy(target.pause_reason, "moving \"house\"");
    target.paused_until_ms = MESHPING_PAUSE_UNTIL_MS_MAX;
    assert_int_equal(meshping_target_list_add(&list, &target, NULL), MESHPING_OK);
    put(&list, "192.0.2.1", 0);
    put(&list, "a.example", 0);
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    assert_int_equal(list.revision, 1);
    fixture_reopen(f);
    assert_int_equal(meshping_store_targets(f->store, &back, NULL), MESHPING_OK);
    assert_int_equal(back.count, 3);
    assert_int_equal(back.revision, 1);
    const meshping_target *t = &back.items[0];
    assert_int_equal(t->id, list.items[0].id);
    assert_string_equal(t->host, "2001:db8::1");
    assert_string_equal(t->name, target.name);
    assert_int_equal(t->interval_ms, 100);
    assert_int_equal(t->timeout_ms, 60000);
    assert_int_equal(t->size, 65000);
    assert_int_equal(t->dscp, 63);
    assert_true(t->dont_fragment && meshping_address_equal(&t->source, &target.source));
    assert_string_equal(t->interface, "wg-office.2");
    assert_int_equal(t->ttl, 255);
    assert_int_equal(t->family, MESHPING_FAMILY_IPV6);
    assert_string_equal(t->pause_reason, target.pause_reason);
    assert_true(t->paused_until_ms == MESHPING_PAUSE_UNTIL_MS_MAX);
    assert_true(!back.items[1].pause_reason[0] && !back.items[1].paused_until_ms);
    assert_string_equal(back.items[1].host, "192.0.2.1");
    assert_string_equal(back.items[2].host, "a.example");
    meshping_target_list_dispose(&list);
    meshping_target_list_dispose(&back);
}

static void test_an_id_stays_with_its_host_for_good(void **state)
{
    fixture *f = *state;
    meshping_target_list list = {0};
    put(&list, "192.0.2.1", 0);
    put(&list, "192.0.2.2", 0);
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    uint64_t one = id_of(&list, "192.0.2.1"), two = id_of(&list, "192.0.2.2");
    assert_true(one != 0 && two != 0 && one != two);
    list.count = 0; /* all go, then another comes */
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    put(&list, "192.0.2.3", 0);
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    uint64_t three = id_of(&list, "192.0.2.3");
    assert_true(three != one && three != two);
    fixture_reopen(f);
    put(&list, "192.0.2.2", 0); /* and one comes back */
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    assert_int_equal(id_of(&list, "192.0.2.2"), two);
    assert_int_equal(id_of(&list, "192.0.2.3"), three);
    assert_int_equal(list.revision, 4);
    meshping_target_list_dispose(&list);
}

static void test_a_wrong_list_leaves_the_old_one(void **state)
{
    fixture *f = *state;
    meshping_error err = {0};
    meshping_target_list good = {0}, bad = {0}, back = {0};
    put(&good, "192.0.2.1", 0);
    assert_int_equal(meshping_store_targets_save(f->store, &good, NULL), MESHPING_OK);
    uint64_t id = good.items[0].id;
    put(&bad, "192.0.2.9", 0);
    put(&bad, "192.0.2.1", id + 1000); /* another id than it has */
    assert_int_equal(meshping_store_targets_save(f->store, &bad, &err), MESHPING_INVALID);
    assert_true(strlen(err.message) > 10);
    assert_int_equal(bad.items[0].id, 0);
    bad.count = 0;
    put(&bad, "192.0.2.8", id); /* an id of another host */
    assert_int_equal(meshping_store_targets_save(f->store, &bad, NULL), MESHPING_INVALID);
    bad.count = 0;
    put(&bad, "192.0.2.8", 0);
    bad.items[0].interval_ms = 1;
    assert_int_equal(meshping_store_targets_save(f->store, &bad, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_targets(f->store, &back, NULL), MESHPING_OK);
    assert_int_equal(back.count, 1);
    assert_int_equal(back.revision, 1);
    assert_int_equal(back.items[0].id, id);
    meshping_target_list_dispose(&good);
    meshping_target_list_dispose(&bad);
    meshping_target_list_dispose(&back);
}

static void test_an_agent_is_one_target_for_good(void **state)
{
    fixture *f = *state;
    uint64_t first, second, again;
    meshping_target_list list = {0};
    meshping_target target;
    meshping_error err = {0};
    meshping_target_init(&target);
    strcpy(target.host, "192.0.2.1");
    const uint64_t one = AGENT, both[] = {AGENT, UINT64_MAX};
    assert_int_equal(meshping_store_agent_targets(f->store, &one, 1, &first, NULL), MESHPING_OK);
    assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    uint64_t ids[2];
    assert_int_equal(meshping_store_agent_targets(f->store, both, 2, ids, NULL), MESHPING_OK);
    assert_int_equal(ids[0], first);
    second = ids[1];
    assert_true(first && second && first != second && list.items[0].id != first && list.items[0].id != second);
    fixture_reopen(f);
    assert_int_equal(meshping_store_agent_targets(f->store, &one, 1, &again, NULL), MESHPING_OK);
    assert_int_equal(again, first);
    /* its name is for it alone */
    snprintf(target.host, sizeof target.host, "agent-%016llx.invalid", (unsigned long long)AGENT);
    assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_targets_save(f->store, &list, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "target 2"));
    strcpy(list.items[1].host, "agent-1.invalid"); /* anything else is */
    assert_int_equal(meshping_store_targets_save(f->store, &list, &err), MESHPING_OK);
    meshping_target_list_dispose(&list);
}

static void test_a_new_database_lets_all_agents_ping_all_targets(void **state)
{
    fixture *f = *state;
    meshping_rule *rules;
    size_t count;
    uint64_t revision;
    assert_int_equal(meshping_store_rules(f->store, &rules, &count, &revision, NULL), MESHPING_OK);
    assert_int_equal(count, 1);
    assert_int_equal(revision, 1);
    assert_int_equal(rules[0].kind, MESHPING_RULE_TARGETS);
    assert_true(rules[0].name[0] && !rules[0].agents[0] && !rules[0].targets[0]);
    meshping_free(rules);
}

static void test_rules_are_replaced_together(void **state)
{
    fixture *f = *state;
    meshping_rule *back, rules[2] = {{.name = "<i>x</i>", .kind = MESHPING_RULE_MESH, .agents = "group=core"},
                                     {.kind = MESHPING_RULE_TARGETS, .agents = "site in (fra)", .targets = "!lab"}};
    size_t count;
    uint64_t revision = 0;
    meshping_error err = {0};
    assert_int_equal(meshping_store_rules_save(f->store, rules, 2, &revision, NULL), MESHPING_OK);
    assert_int_equal(revision, 2);
    strcpy(rules[1].agents, "site in");
    assert_int_equal(meshping_store_rules_save(f->store, rules, 2, &revision, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "rule 2"));
    fixture_reopen(f);
    assert_int_equal(meshping_store_rules(f->store, &back, &count, &revision, NULL), MESHPING_OK);
    assert_int_equal(count, 2);
    assert_int_equal(revision, 2);
    assert_string_equal(back[0].name, "<i>x</i>");
    assert_int_equal(back[0].kind, MESHPING_RULE_MESH);
    assert_string_equal(back[0].agents, "group=core");
    assert_string_equal(back[1].agents, "site in (fra)");
    assert_string_equal(back[1].targets, "!lab");
    meshping_free(back);
    assert_int_equal(meshping_store_rules_save(f->store, NULL, 0, &revision, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_rules(f->store, &back, &count, &revision, NULL), MESHPING_OK);
    assert_true(count == 0 && back == NULL && revision == 3);
}

static void test_ten_thousand_targets_fit(void **state)
{
    fixture *f = *state;
    meshping_target_list list = {0}, back = {0};
    meshping_target target;
    meshping_target_init(&target);
    for (int i = 0; i < MESHPING_TARGETS_MAX; i++) {
        snprintf(target.host, sizeof target.host, "10.1.%d.%d", i / 250, i % 250 + 1);
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    assert_int_equal(meshping_store_targets_save(f->store, &list, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_targets(f->store, &back, NULL), MESHPING_OK);
    assert_int_equal(back.count, MESHPING_TARGETS_MAX);
    assert_string_equal(back.items[9999].host, "10.1.39.250");
    meshping_target_list_dispose(&list);
    meshping_target_list_dispose(&back);
}

/* ---- passphrases ---- */

static void test_passphrases_are_listed_newest_first(void **state)
{
    fixture *f = *state;
    meshping_passphrase_record record = {
        .sealed_length = 44, .expires_ms = 9000, .uses_max = UINT32_MAX, .uses = 1, .tid = {1, 2, 3}};
    strcpy(record.label, "rack 7");
    memset(record.sealed_key, 0xee, record.sealed_length);
    for (uint8_t i = 0; i < 3; i++) {
        record.tid[7] = i;
        record.created_ms = i;
        assert_int_equal(meshping_store_passphrase_save(f->store, &record, NULL), MESHPING_OK);
    }
    record.uses = 2;
    record.revoked = true;
    assert_int_equal(meshping_store_passphrase_save(f->store, &record, NULL), MESHPING_OK); /* the same tid */
    fixture_reopen(f);
    meshping_passphrase_record *all, one;
    size_t count;
    assert_int_equal(meshping_store_passphrases(f->store, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 3);
    for (uint8_t i = 0; i < 3; i++)
        assert_int_equal(all[i].tid[7], 2 - i);
    assert_false(all[1].revoked);
    meshping_free(all);
    assert_int_equal(meshping_store_passphrase(f->store, record.tid, &one, NULL), MESHPING_OK);
    assert_true(one.revoked);
    assert_int_equal(one.uses, 2);
    assert_int_equal(one.uses_max, UINT32_MAX);
    assert_int_equal(one.expires_ms, 9000);
    assert_int_equal(one.sealed_length, 44);
    assert_memory_equal(one.sealed_key, record.sealed_key, 64);
    assert_string_equal(one.label, "rack 7");
    record.tid[0] = 99;
    assert_int_equal(meshping_store_passphrase(f->store, record.tid, &one, NULL), MESHPING_NOT_FOUND);
    record.sealed_length = sizeof record.sealed_key + 1;
    assert_int_equal(meshping_store_passphrase_save(f->store, &record, NULL), MESHPING_INVALID);
}

/* ---- settings, events ---- */

static void assert_setting(meshping_store *store, const char *key, const char *wanted)
{
    char *value = NULL;
    assert_int_equal(meshping_store_setting(store, key, &value, NULL), MESHPING_OK);
    assert_string_equal(value, wanted);
    meshping_free(value);
}

static void test_a_setting_can_go_with_the_next_group_of_blocks(void **state)
{
    fixture *f = *state;
    outcome o = {0}, block = {0};
    char text[] = "one";
    meshping_store_stats before, after;
    add_agent(f->store, AGENT, MESHPING_AGENT_APPROVED);
    meshping_store_get_stats(f->store, &before);
    assert_int_equal(meshping_store_submit_setting(f->store, "a", text, on_request, &o, NULL), MESHPING_OK);
    text[0] = '-'; /* it is copied */
    wait_done(f->store, &o, 1);
    assert_int_equal(o.status, MESHPING_OK);
    assert_setting(f->store, "a", "one");
    for (int i = 0; i < 3; i++)
        assert_int_equal(meshping_store_submit_setting(f->store, "a", i < 2 ? "not yet" : "", NULL, NULL, NULL),
                         MESHPING_OK);
    submit(f->store, 1, &block);
    wait_done(f->store, &block, 1);
    assert_int_equal(block.status, MESHPING_OK);
    assert_setting(f->store, "a", ""); /* in the order in which they were queued */
    meshping_store_get_stats(f->store, &after);
    assert_int_equal(after.duplicates, before.duplicates); /* those are of blocks */
    assert_int_equal(after.blocks_written, before.blocks_written + 1);
    assert_int_equal(meshping_store_submit_setting(f->store, "", "x", on_request, &o, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_submit_setting(f->store, NULL, "x", on_request, &o, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_submit_setting(f->store, "k", NULL, on_request, &o, NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_submit_setting(f->store, "last", "word", NULL, NULL, NULL), MESHPING_OK);
    fixture_reopen(f); /* which writes what is queued */
    assert_setting(f->store, "last", "word");
    assert_int_equal(o.calls, 1);
}

static void test_a_setting_is_what_was_saved_last(void **state)
{
    fixture *f = *state;
    char *value = NULL;
    assert_int_equal(meshping_store_setting(f->store, "server_id", &value, NULL), MESHPING_NOT_FOUND);
    assert_null(value);
    assert_int_equal(meshping_store_setting_save(f->store, "server_id", "one", NULL), MESHPING_OK);
    assert_int_equal(meshping_store_setting_save(f->store, "server_id", "", NULL), MESHPING_OK);
    assert_int_equal(meshping_store_setting_save(f->store, "other", "x'y", NULL), MESHPING_OK);
    assert_int_equal(meshping_store_setting_save(f->store, "", "x", NULL), MESHPING_INVALID);
    assert_int_equal(meshping_store_setting_save(f->store, "k", NULL, NULL), MESHPING_INVALID);
    fixture_reopen(f);
    assert_int_equal(meshping_store_setting(f->store, "server_id", &value, NULL), MESHPING_OK);
    assert_string_equal(value, "");
    meshping_free(value);
    assert_int_equal(meshping_store_setting(f->store, "other", &value, NULL), MESHPING_OK);
    assert_string_equal(value, "x'y");
    meshping_free(value);
}

static void test_several_settings_are_saved_together_or_not_at_all(void **state)
{
    fixture *f = *state;
    char *value = NULL;
    const meshping_setting good[] = {{"a", "1"}, {"b", "2"}}, half[] = {{"a", NULL}, {"", "x"}}, last[] = {{"a", NULL}};
    assert_int_equal(meshping_store_settings_save(f->store, good, 2, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_settings_save(f->store, half, 2, NULL), MESHPING_INVALID);
    fixture_reopen(f);
    assert_int_equal(meshping_store_setting(f->store, "a", &value, NULL), MESHPING_OK);
    assert_string_equal(value, "1");
    meshping_free(value);
    assert_int_equal(meshping_store_settings_save(f->store, last, 1, NULL), MESHPING_OK);
    assert_int_equal(meshping_store_setting(f->store, "a", &value, NULL), MESHPING_NOT_FOUND);
    assert_int_equal(meshping_store_setting(f->store, "b", &value, NULL), MESHPING_OK);
    meshping_free(value);
}

static void test_events_come_newest_first_cut_between_characters(void **state)
{
    fixture *f = *state;
    char text[10], longest[1200];
    for (size_t i = 0; i + 1 < sizeof longest; i += 2) /* two bytes a letter: the cut falls into one */
        memcpy(longest + i, "\xc3\xa4", 2);
    longest[1198] = 0;
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "event %d", i);
        assert_int_equal(meshping_store_event_add(f->store, i, "approve", AGENT, i == 4 ? NULL : "anna", text, NULL),
                         MESHPING_OK);
    }
    assert_int_equal(meshping_store_event_add(f->store, 5, "hold", 0, "bob", longest, NULL), MESHPING_OK);
    meshping_event_record *all;
    size_t count;
    assert_int_equal(meshping_store_events(f->store, 0, 3, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 3);
    assert_string_equal(all[0].kind, "hold");
    assert_int_equal(strlen(all[0].text), 510);
    assert_int_equal(all[0].agent_id, 0);
    assert_string_equal(all[1].text, "event 4");
    assert_string_equal(all[1].user, "");
    assert_string_equal(all[2].user, "anna");
    assert_true(all[2].unix_ms == 3 && all[2].agent_id == AGENT);
    uint64_t third = all[2].id;
    meshping_free(all);
    assert_int_equal(meshping_store_events(f->store, third, 2, &all, &count, NULL), MESHPING_OK);
    assert_true(count == 2 && strcmp(all[0].text, "event 2") == 0 && strcmp(all[1].text, "event 1") == 0);
    meshping_free(all);
    assert_int_equal(meshping_store_events(f->store, UINT64_MAX, SIZE_MAX, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 6);
    meshping_free(all);
    assert_int_equal(meshping_store_events(f->store, 0, 0, &all, &count, NULL), MESHPING_OK);
    assert_int_equal(count, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        T(test_targets_are_kept_in_order_with_all_their_fields),
        T(test_an_id_stays_with_its_host_for_good),
        T(test_a_wrong_list_leaves_the_old_one),
        T(test_ten_thousand_targets_fit),
        T(test_an_agent_is_one_target_for_good),
        T(test_a_new_database_lets_all_agents_ping_all_targets),
        T(test_rules_are_replaced_together),
        T(test_passphrases_are_listed_newest_first),
        T(test_a_setting_is_what_was_saved_last),
        T(test_a_setting_can_go_with_the_next_group_of_blocks),
        T(test_several_settings_are_saved_together_or_not_at_all),
        T(test_events_come_newest_first_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
