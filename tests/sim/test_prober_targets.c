/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's promises about its set of targets, in simulated time: changes, names, many in the air. */
#include "engine.h"

static void test_a_removed_target_is_silent_and_its_reply_goes_to_nobody(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 500 * MS);
    while (e.net.packet_count == 0)
        sim_run(&e.net, e.prober, 50 * MS);
    size_t before = e.count;
    assert_int_equal(meshping_prober_remove_target(e.prober, 1), MESHPING_OK);
    assert_int_equal(meshping_prober_remove_target(e.prober, 1), MESHPING_NOT_FOUND);
    e.net.hosts[0].down = true; /* the same id, the same host, but the reply in the air is not its own */
    meshping_target again = engine_target(1, "198.18.0.1");
    engine_set(&e, &again);
    sim_run(&e.net, e.prober, 5 * SECOND);
    assert_true(e.count > before);
    for (size_t i = before; i < e.count; i++)
        assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_TIMEOUT);
    meshping_prober_target_stats stats;
    assert_int_equal(meshping_prober_get_target_stats(e.prober, 1, &stats), MESHPING_OK);
    assert_int_equal(stats.received, 0);
    engine_close(&e);
}

static void test_a_changed_host_forgets_probes_in_the_air(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 500 * MS);
    sim_add_host(&e.net, "198.18.0.2")->down = true;
    while (e.net.packet_count == 0)
        sim_run(&e.net, e.prober, 50 * MS);
    size_t before = e.count;
    meshping_target changed = engine_target(1, "198.18.0.2");
    engine_set(&e, &changed);
    sim_run(&e.net, e.prober, 6 * SECOND);
    assert_true(e.count > before);
    char text[MESHPING_ADDRESS_TEXT_MAX];
    for (size_t i = before; i < e.count; i++) {
        assert_string_equal(meshping_address_format(&e.results[i].address, text), "198.18.0.2");
        assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_TIMEOUT);
    }
    engine_close(&e);
}

static void test_a_new_list_leaves_unchanged_targets_alone(void **state)
{
    (void)state;
    engine e;
    meshping_target_list list = {0};
    engine_open(&e);
    for (unsigned i = 1; i <= 3; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.0.%u", i);
        sim_add_host(&e.net, host)->delay_ns = 600 * MS;
        meshping_target target = engine_target(i, host);
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    meshping_now now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, NULL), MESHPING_OK);
    sim_run(&e.net, e.prober, 5 * SECOND);
    /* drop 2, change the size of 3; 1 and 3 have probes in the air or will have */
    list.items[1] = list.items[2];
    list.items[1].size = 1000;
    list.count = 2;
    now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, NULL), MESHPING_OK);
    size_t second = engine_count(&e, 2, -1);
    sim_run(&e.net, e.prober, 5 * SECOND);
    assert_int_equal(engine_count(&e, 2, -1), second);
    for (uint64_t id = 1; id <= 3; id += 2) {
        int64_t last = 0;
        assert_true(engine_count(&e, id, MESHPING_OUTCOME_OK) >= 8);
        for (size_t i = 0; i < e.count; i++) {
            if (e.results[i].target_id != id)
                continue;
            assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_OK);
            if (last)
                assert_int_equal(e.results[i].sample.slot_unix_us - last, 1000000);
            last = e.results[i].sample.slot_unix_us;
        }
    }
    meshping_target_list_dispose(&list);
    engine_close(&e);
}

static void test_a_bad_list_changes_nothing(void **state)
{
    (void)state;
    engine e = {0};
    meshping_error err = {0};
    meshping_prober_options options = engine_options(&e);
    options.max_targets = 3;
    engine_open_with(&e, 20, &options);
    meshping_target items[4];
    meshping_target_list list = {.items = items, .count = 3};
    for (unsigned i = 0; i < 4; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.0.%u", i + 1);
        items[i] = engine_target(i + 1, host);
    }
    meshping_now now = sim_now(&e.net);
    for (list.count = 2; list.count <= 4; list.count++)
        assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, &err),
                         list.count <= 3 ? MESHPING_OK : MESHPING_LIMIT);
    assert_int_equal(meshping_prober_set_target(e.prober, &items[3], &now, &err), MESHPING_LIMIT);
    list.count = 2;
    items[1].timeout_ms = 1;
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, &err), MESHPING_INVALID);
    assert_non_null(strstr(err.message, "target 2"));
    items[1] = items[0];
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, &err), MESHPING_INVALID);
    items[1].id = 0;
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, &err), MESHPING_INVALID);
    meshping_prober_stats stats;
    meshping_prober_get_stats(e.prober, &stats);
    assert_int_equal(stats.targets, 3);
    engine_close(&e);
}

static void name_is(engine *e, const char *address)
{
    e->net.name = "db.example";
    e->net.name_count = address != NULL;
    if (address)
        assert_int_equal(meshping_address_parse(&e->net.name_addresses[0], address, NULL), MESHPING_OK);
}

static void test_an_unresolved_name_is_the_agents_trouble_and_blocks_nobody(void **state)
{
    (void)state;
    engine e;
    one_host(&e, MS);
    name_is(&e, NULL);
    e.net.name_delay_ns = 200 * MS;
    meshping_target named = engine_target(2, "db.example");
    engine_set(&e, &named);
    sim_run(&e.net, e.prober, 30 * SECOND);
    assert_true(engine_count(&e, 1, MESHPING_OUTCOME_OK) >= 29);
    assert_true(engine_count(&e, 2, -1) >= 28);
    assert_int_equal(engine_count(&e, 2, MESHPING_OUTCOME_UNRESOLVED), engine_count(&e, 2, -1));
    assert_true(e.net.lookups_started >= 4 && e.net.lookups_started < 10); /* 1, 2, 4, 8, ... s apart */
    sim_add_host(&e.net, "198.18.0.9");
    name_is(&e, "198.18.0.9"); /* it appears */
    sim_run(&e.net, e.prober, 60 * SECOND);
    assert_int_equal(e.results[e.count - 1].sample.outcome, MESHPING_OUTCOME_OK);
    assert_true(engine_count(&e, 2, MESHPING_OUTCOME_OK) > 20);
    engine_close(&e);
}

static void test_a_resolved_name_keeps_its_address_when_the_resolver_fails(void **state)
{
    (void)state;
    engine e;
    engine_open(&e);
    sim_add_host(&e.net, "198.18.0.9");
    name_is(&e, "198.18.0.9");
    meshping_target named = engine_target(2, "db.example");
    engine_set(&e, &named);
    sim_run(&e.net, e.prober, 5 * SECOND);
    name_is(&e, NULL);
    sim_run(&e.net, e.prober, 300 * SECOND);
    assert_true(e.net.lookups_started > 4);
    assert_true(engine_count(&e, 2, MESHPING_OUTCOME_OK) > 300);
    assert_int_equal(engine_count(&e, 2, MESHPING_OUTCOME_OK), e.count);
    engine_close(&e);
}

static char moves[256];

static void note_move(void *user, uint64_t target_id, const char *host, const meshping_address *from,
                      const meshping_address *to)
{
    char before[MESHPING_ADDRESS_TEXT_MAX], after[MESHPING_ADDRESS_TEXT_MAX];
    size_t used = strlen(moves);
    (void)user;
    snprintf(moves + used, sizeof moves - used, "%llu %s %s>%s;", (unsigned long long)target_id, host,
             meshping_address_format(from, before), meshping_address_format(to, after));
}

static void test_a_name_that_moved_is_followed_soon_after_a_miss_and_recorded_once(void **state)
{
    (void)state;
    engine e = {0};
    char text[MESHPING_ADDRESS_TEXT_MAX];
    meshping_address now_at;
    meshping_prober_options options = engine_options(&e);
    options.on_address = note_move;
    moves[0] = 0;
    engine_open_with(&e, 20, &options);
    sim_add_host(&e.net, "198.18.0.9");
    sim_add_host(&e.net, "198.18.0.10");
    name_is(&e, "198.18.0.9");
    meshping_target named = engine_target(2, "db.example");
    engine_set(&e, &named);
    sim_run(&e.net, e.prober, 15 * SECOND);
    e.net.hosts[0].down = true;
    name_is(&e, "198.18.0.10");
    sim_run(&e.net, e.prober, 10 * SECOND); /* far from the minute */
    assert_int_equal(meshping_prober_target_address(e.prober, 2, &now_at), MESHPING_OK);
    assert_string_equal(meshping_address_format(&now_at, text), "198.18.0.10");
    assert_int_equal(e.results[e.count - 1].sample.outcome, MESHPING_OUTCOME_OK);
    sim_run(&e.net, e.prober, 200 * SECOND);
    assert_string_equal(moves, "2 db.example >198.18.0.9;2 db.example 198.18.0.9>198.18.0.10;");
    /* and each result says where its probe went */
    assert_int_equal(e.results[0].address.bytes[3], 9);
    assert_int_equal(e.results[e.count - 1].address.bytes[3], 10);
    engine_close(&e);
}

static void test_a_name_is_pinged_by_both_families_as_two_targets(void **state)
{
    (void)state;
    engine e;
    engine_open(&e);
    sim_add_host(&e.net, "198.18.0.9");
    sim_add_host(&e.net, "2001:db8::9");
    name_is(&e, "198.18.0.9");
    assert_int_equal(meshping_address_parse(&e.net.name_addresses[1], "2001:db8::9", NULL), MESHPING_OK);
    e.net.name_count = 2;
    meshping_target named = engine_target(4, "db.example");
    named.family = MESHPING_FAMILY_IPV4;
    engine_set(&e, &named);
    named.id = named.family = MESHPING_FAMILY_IPV6;
    engine_set(&e, &named);
    sim_run(&e.net, e.prober, 10 * SECOND);
    name_is(&e, "198.18.0.9"); /* its IPv6 address is gone from the name, and stays in use until there is another */
    sim_run(&e.net, e.prober, 100 * SECOND);
    assert_true(engine_count(&e, 4, MESHPING_OUTCOME_OK) > 90 && engine_count(&e, 6, MESHPING_OUTCOME_OK) > 90);
    for (size_t i = 0; i < e.count; i++)
        assert_int_equal(e.results[i].address.family, e.results[i].target_id);
    engine_close(&e);
}

static void test_a_round_robin_name_does_not_wander(void **state)
{
    (void)state;
    engine e;
    engine_open(&e);
    sim_add_host(&e.net, "198.18.0.9");
    sim_add_host(&e.net, "198.18.0.10");
    name_is(&e, "198.18.0.9");
    meshping_target named = engine_target(2, "db.example");
    engine_set(&e, &named);
    sim_run(&e.net, e.prober, 5 * SECOND);
    e.net.name_addresses[1] = e.net.name_addresses[0];
    name_is(&e, "198.18.0.10");
    e.net.name_count = 2;
    sim_run(&e.net, e.prober, 130 * SECOND);
    for (size_t i = 0; i < e.count; i++)
        assert_int_equal(e.results[i].address.bytes[3], 9);
    engine_close(&e);
}

static void test_flat_out_every_probe_ends_once_and_the_window_holds(void **state)
{
    (void)state;
    engine e = {0};
    meshping_prober_options options = engine_options(&e);
    options.paced = false;
    options.in_flight = 50;
    options.probes_per_target = 40;
    engine_open_with(&e, 20, &options);
    meshping_target_list list = {0};
    for (unsigned i = 0; i < 200; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.0.%u", i + 1);
        sim_host *h = sim_add_host(&e.net, host);
        h->jitter_ns = 20 * MS;
        h->loss = 0.02;
        meshping_target target = engine_target(i + 1, host);
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    meshping_now now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, NULL), MESHPING_OK);
    for (int i = 0; i < 4000 && e.count < 8000; i++) {
        meshping_prober_stats stats;
        sim_run(&e.net, e.prober, 50 * MS);
        meshping_prober_get_stats(e.prober, &stats);
        assert_true(stats.in_flight <= 50);
    }
    assert_int_equal(e.count, 8000);
    for (uint64_t id = 1; id <= 200; id++)
        assert_int_equal(engine_count(&e, id, -1), 40);
    assert_true(engine_count(&e, 0, MESHPING_OUTCOME_TIMEOUT) > 0);
    assert_int_equal(meshping_prober_deadline_ns(e.prober), INT64_MAX); /* nothing is left to do */
    meshping_target_list_dispose(&list);
    engine_close(&e);
}

/* 16 bits on the wire, as with a ping socket, and slow probes among fast ones: numbers wrap over those in the air. */
static void test_sequence_numbers_wrap_without_a_mix_up(void **state)
{
    (void)state;
    engine e = {0};
    meshping_prober_options options = engine_options(&e);
    options.paced = false;
    options.in_flight = 64;
    options.probes_per_target = 3000;
    engine_open_with(&e, 16, &options);
    meshping_target_list list = {0};
    for (unsigned i = 0; i < 64; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.0.%u", i + 1);
        sim_host *h = sim_add_host(&e.net, host);
        h->delay_ns = i < 4 ? 2900 * MS : MS;
        h->jitter_ns = 100 * 1000;
        meshping_target target = engine_target(i + 1, host);
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    meshping_now now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, NULL), MESHPING_OK);
    sim_run(&e.net, e.prober, 12 * SECOND);
    assert_true(e.net.sent > 170000); /* twice round and more */
    assert_true(e.count >= 60 * 3000);
    for (size_t i = 0; i < e.count; i++) {
        assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_OK);
        if (e.results[i].target_id <= 4)
            assert_in_range(e.results[i].sample.rtt_us, 2900000, 2901000);
        else
            assert_in_range(e.results[i].sample.rtt_us, 1000, 1200);
    }
    meshping_target_list_dispose(&list);
    engine_close(&e);
}

/* As bad as it gets: the same identifier by chance, the same targets, the same numbers; only the keys differ. */
static void test_two_engines_of_one_host_never_take_each_others_replies(void **state)
{
    static const uint8_t keys[2][17] = {"one engine's key", "the other's key."};
    (void)state;
    engine e[2] = {0};
    for (int i = 0; i < 2; i++) {
        meshping_prober_options options = engine_options(&e[i]);
        sim_init(&e[i].net, 1, 20);
        assert_int_equal(meshping__prober_new(&e[i].prober, &options, &e[i].net.transport, keys[i], NULL), MESHPING_OK);
        for (uint64_t id = 1; id <= 100; id++) {
            char host[32];
            snprintf(host, sizeof host, id % 2 ? "198.18.0.%u" : "2001:db8::%x", (unsigned)id);
            sim_host *h = sim_add_host(&e[i].net, host);
            h->delay_ns = 300 * MS;
            h->down = i == 1; /* the second hears nothing but what is for the first */
            h->error_and_reply = 0.5;
            meshping_target target = engine_target(id, host);
            engine_set(&e[i], &target);
        }
    }
    assert_int_equal(e[0].net.transport.identifier_v4, e[1].net.transport.identifier_v4);
    e[0].net.mirror = &e[1].net;
    for (int step = 0; step < 2000; step++)
        for (int i = 0; i < 2; i++)
            sim_run(&e[i].net, e[i].prober, 10 * MS);
    assert_true(engine_count(&e[0], 0, MESHPING_OUTCOME_OK) > 1800);
    assert_int_equal(engine_count(&e[0], 0, MESHPING_OUTCOME_OK), e[0].count);
    assert_true(e[1].count > 1500);
    meshping_prober_stats stats;
    meshping_prober_get_stats(e[1].prober, &stats);
    assert_int_equal(stats.received + stats.duplicates + stats.late, 0);
    assert_true(stats.rejected_by[MESHPING_REJECT_COOKIE] + stats.rejected_by[MESHPING_REJECT_UNKNOWN] > 1800);
    /* 8 bytes of a quote are the same in both: an error may be taken for one's own, and is provisional */
    assert_int_equal(engine_count(&e[1], 0, MESHPING_OUTCOME_OK), 0);
    for (int i = 0; i < 2; i++)
        engine_close(&e[i]);
}

/* More in the air than numbers: an honest local error, and it recovers. */
static void test_more_in_the_air_than_numbers_is_overload_and_not_loss(void **state)
{
    (void)state;
    engine e = {0};
    meshping_prober_options options = engine_options(&e);
    engine_open_with(&e, 12, &options); /* 4,096 numbers */
    meshping_target_list list = {0};
    for (unsigned i = 0; i < 2000; i++) {
        char host[32];
        snprintf(host, sizeof host, "198.18.%u.%u", i / 250, i % 250 + 1);
        meshping_target target = engine_target(i + 1, host); /* nobody answers: three seconds in the air each */
        assert_int_equal(meshping_target_list_append(&list, &target, NULL), MESHPING_OK);
    }
    meshping_now now = sim_now(&e.net);
    assert_int_equal(meshping_prober_set_targets(e.prober, &list, &now, NULL), MESHPING_OK);
    sim_run(&e.net, e.prober, 12 * SECOND);
    size_t timeouts = engine_count(&e, 0, MESHPING_OUTCOME_TIMEOUT);
    size_t overloaded = engine_count(&e, 0, MESHPING_OUTCOME_OVERLOADED);
    assert_true(timeouts > 4096 && overloaded > 2000);
    assert_int_equal(timeouts + overloaded, e.count);
    assert_true(e.count + 4096 >= 2000 * 11);
    meshping_target_list_dispose(&list);
    engine_close(&e);
}

static void remove_from_callback(engine *e, const meshping_probe_result *result)
{
    meshping_now now = sim_now(&e->net);
    meshping_target other = engine_target(result->target_id + 1000, "198.18.0.1");
    other.size = (uint16_t)(100 + e->count); /* makes the packets' memory grow */
    assert_int_equal(meshping_prober_remove_target(e->prober, result->target_id), MESHPING_OK);
    assert_int_equal(meshping_prober_set_target(e->prober, &other, &now, NULL), MESHPING_OK);
}

static void test_a_callback_may_change_the_targets(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 10 * MS);
    sim_add_host(&e.net, "198.18.0.2")->down = true;
    name_is(&e, NULL);
    for (uint64_t id = 2; id < 40; id++) {
        meshping_target target = engine_target(id, id % 3 ? id % 3 == 1 ? "198.18.0.1" : "198.18.0.2" : "db.example");
        engine_set(&e, &target);
    }
    e.hook = remove_from_callback;
    sim_run(&e.net, e.prober, 20 * SECOND);
    assert_true(e.count > 300);
    meshping_prober_stats stats;
    meshping_prober_get_stats(e.prober, &stats);
    assert_int_equal(stats.targets, 39);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_removed_target_is_silent_and_its_reply_goes_to_nobody),
        cmocka_unit_test(test_a_changed_host_forgets_probes_in_the_air),
        cmocka_unit_test(test_a_new_list_leaves_unchanged_targets_alone),
        cmocka_unit_test(test_a_bad_list_changes_nothing),
        cmocka_unit_test(test_an_unresolved_name_is_the_agents_trouble_and_blocks_nobody),
        cmocka_unit_test(test_a_resolved_name_keeps_its_address_when_the_resolver_fails),
        cmocka_unit_test(test_a_name_that_moved_is_followed_soon_after_a_miss_and_recorded_once),
        cmocka_unit_test(test_a_name_is_pinged_by_both_families_as_two_targets),
        cmocka_unit_test(test_a_round_robin_name_does_not_wander),
        cmocka_unit_test(test_flat_out_every_probe_ends_once_and_the_window_holds),
        cmocka_unit_test(test_sequence_numbers_wrap_without_a_mix_up),
        cmocka_unit_test(test_two_engines_of_one_host_never_take_each_others_replies),
        cmocka_unit_test(test_more_in_the_air_than_numbers_is_overload_and_not_loss),
        cmocka_unit_test(test_a_callback_may_change_the_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
