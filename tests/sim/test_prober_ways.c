/* SPDX-License-Identifier: Apache-2.0 */
/* The way a target asks for: source address, interface, no fragments. In simulated time; this host is 192.0.2.254. */
#include "engine.h"
#include <errno.h>

static meshping_target from(const char *source)
{
    meshping_target target = engine_target(1, "198.18.0.1");
    assert_int_equal(meshping_address_parse(&target.source, source, NULL), MESHPING_OK);
    return target;
}

static void test_what_a_target_asks_for_goes_with_each_packet(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 20 * MS);
    sim_run(&e.net, e.prober, 3 * SECOND);
    assert_null(e.net.last_tx.source);
    assert_null(e.net.last_tx.interface);
    assert_false(e.net.last_tx.dont_fragment);
    meshping_target target = from("192.0.2.254");
    snprintf(target.interface, sizeof target.interface, "eth7");
    target.dont_fragment = true;
    engine_set(&e, &target);
    sim_run(&e.net, e.prober, 3 * SECOND);
    assert_true(meshping_address_equal(e.net.last_tx.source, &target.source));
    assert_string_equal(e.net.last_tx.interface, "eth7");
    assert_true(e.net.last_tx.dont_fragment);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_OK), e.count);
    engine_close(&e);
}

static void test_a_reply_to_another_address_than_the_source_is_not_the_reply(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 20 * MS);
    meshping_target target = from("192.0.2.7"); /* but replies come to 192.0.2.254 */
    engine_set(&e, &target);
    sim_run(&e.net, e.prober, 20 * SECOND);
    assert_true(e.count >= 16);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_TIMEOUT), e.count);
    meshping_prober_stats stats;
    meshping_prober_get_stats(e.prober, &stats);
    assert_true(stats.rejected_by[MESHPING_REJECT_SOURCE] >= e.count);
    assert_int_equal(stats.rejected, stats.rejected_by[MESHPING_REJECT_SOURCE]);
    engine_close(&e);
}

static void test_a_changed_way_forgets_probes_in_the_air(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 500 * MS);
    while (e.net.packet_count == 0)
        sim_run(&e.net, e.prober, 50 * MS);
    size_t before = e.count;
    meshping_target target = from("192.0.2.254");
    engine_set(&e, &target);
    e.net.hosts[0].down = true;
    sim_run(&e.net, e.prober, 5 * SECOND);
    assert_true(e.count > before);
    for (size_t i = before; i < e.count; i++)
        assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_TIMEOUT);
    /* the same way again is no change */
    e.net.hosts[0].down = false;
    while (e.net.packet_count == 0)
        sim_run(&e.net, e.prober, 50 * MS);
    before = e.count;
    engine_set(&e, &target);
    sim_run(&e.net, e.prober, 600 * MS);
    assert_int_equal(e.results[before].sample.outcome, MESHPING_OUTCOME_OK);
    engine_close(&e);
}

static void test_too_big_for_the_own_link_is_too_big_when_whole_was_asked_for(void **state)
{
    (void)state;
    engine e;
    one_host(&e, 20 * MS);
    e.net.send_errno = EMSGSIZE;
    sim_run(&e.net, e.prober, 3 * SECOND);
    assert_int_equal(engine_count(&e, 1, MESHPING_OUTCOME_SEND_ERROR), e.count);
    size_t before = e.count;
    meshping_target target = engine_target(1, "198.18.0.1");
    target.dont_fragment = true;
    engine_set(&e, &target);
    sim_run(&e.net, e.prober, 3 * SECOND);
    assert_true(e.count > before);
    for (size_t i = before; i < e.count; i++) {
        assert_int_equal(e.results[i].sample.outcome, MESHPING_OUTCOME_TOO_BIG);
        assert_int_equal(e.results[i].mtu, 1500);
        assert_int_equal(e.results[i].sys_errno, EMSGSIZE);
        assert_int_equal(e.results[i].from.family, MESHPING_FAMILY_NONE);
    }
    engine_close(&e);
}

static void test_a_name_is_resolved_to_the_family_of_the_source(void **state)
{
    (void)state;
    engine e;
    engine_open(&e);
    sim_add_host(&e.net, "198.18.0.9");
    e.net.name = "two.example";
    e.net.name_count = 2;
    assert_int_equal(meshping_address_parse(&e.net.name_addresses[0], "2001:db8::9", NULL), MESHPING_OK);
    assert_int_equal(meshping_address_parse(&e.net.name_addresses[1], "198.18.0.9", NULL), MESHPING_OK);
    meshping_target target = from("192.0.2.254");
    snprintf(target.host, sizeof target.host, "two.example");
    engine_set(&e, &target);
    sim_run(&e.net, e.prober, 5 * SECOND);
    assert_true(engine_count(&e, 1, MESHPING_OUTCOME_OK) >= 3);
    engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_target_asks_for_goes_with_each_packet),
        cmocka_unit_test(test_a_reply_to_another_address_than_the_source_is_not_the_reply),
        cmocka_unit_test(test_a_changed_way_forgets_probes_in_the_air),
        cmocka_unit_test(test_too_big_for_the_own_link_is_too_big_when_whole_was_asked_for),
        cmocka_unit_test(test_a_name_is_resolved_to_the_family_of_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
