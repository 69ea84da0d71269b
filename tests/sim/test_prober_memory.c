/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of memory: each allocation of the engine's life fails, once, or it and all after it. Nothing crashes, nothing
 * leaks, a call that failed changed nothing, and no probe has two verdicts or a wrong one.
 */
#include "engine.h"

static long countdown; /* allocations until one fails */
static bool for_good;  /* and so do all after it */
static long made, live, failed;

static bool refuse(void)
{
    made++;
    countdown--;
    bool no = for_good ? countdown < 0 : countdown == -1;
    failed += no;
    return no;
}

static void *counted_malloc(size_t size)
{
    void *memory = refuse() ? NULL : malloc(size);
    live += memory != NULL;
    return memory;
}

static void *counted_realloc(void *memory, size_t size)
{
    if (refuse())
        return NULL;
    void *grown = realloc(memory, size);
    live += !memory && grown;
    return grown;
}

static void counted_free(void *memory)
{
    live -= memory != NULL;
    free(memory);
}

static void begin(long allowed, bool good)
{
    countdown = allowed;
    for_good = good;
    made = live = failed = 0;
    assert_int_equal(meshping_set_allocator(counted_malloc, counted_realloc, counted_free), MESHPING_OK);
}

static void end(void)
{
    assert_int_equal(live, 0);
    assert_int_equal(meshping_set_allocator(NULL, NULL, NULL), MESHPING_OK);
}

#define TARGETS 300

static void fill_list(meshping_target *items)
{
    for (unsigned i = 0; i < TARGETS; i++) {
        char host[32];
        snprintf(host, sizeof host,
                 i % 3 == 0   ? "198.18.1.%u"
                 : i % 3 == 1 ? "2001:db8::%x"
                              : "h%u.example",
                 i % 250 + 1);
        items[i] = engine_target(i + 1, host);
        items[i].timeout_ms = 1000 + i % 20;
        items[i].interval_ms = 200;
    }
}

static size_t target_count(const engine *e)
{
    meshping_prober_stats stats;
    meshping_prober_get_stats(e->prober, &stats);
    return stats.targets;
}

static meshping_status set_one(engine *e, uint64_t id, const char *host, uint16_t size)
{
    meshping_target target = engine_target(id, host);
    meshping_now now = sim_now(&e->net);
    target.size = size;
    size_t before = target_count(e);
    meshping_address address, was = {0};
    bool had = meshping_prober_target_address(e->prober, id, &was) == MESHPING_OK;
    meshping_status status = meshping_prober_set_target(e->prober, &target, &now, NULL);
    if (status != MESHPING_OK) { /* as it was */
        assert_int_equal(status, MESHPING_NOMEM);
        assert_int_equal(target_count(e), before);
        assert_int_equal(meshping_prober_target_address(e->prober, id, &address) == MESHPING_OK, had);
        assert_true(!had || meshping_address_equal(&address, &was));
    }
    return status;
}

static void check_results(engine *e)
{
    for (size_t i = 0; i < e->count; i++) {
        const meshping_probe_result *r = &e->results[i];
        if (!r->sent_mono_ns || r->sys_errno)
            continue;
        sim_truth *truth = sim_find(&e->net, r->sent_mono_ns);
        assert_non_null(truth);
        assert_false(truth->judged);
        truth->judged = true;
        assert_int_equal(r->sample.outcome == MESHPING_OUTCOME_OK,
                         truth->reply_mono_ns && truth->reply_mono_ns <= r->done_mono_ns);
    }
}

/* A whole life. True: no allocation failed in it. */
static bool live_through(long allowed, bool good, const meshping_target *items)
{
    static const uint8_t key[16] = "memory";
    engine e = {0};
    meshping_prober_options options = engine_options(&e);
    meshping_target_list list = {.items = (meshping_target *)(uintptr_t)items, .count = TARGETS};
    sim_init(&e.net, 5, 20);
    for (unsigned i = 0; i < TARGETS; i++)
        if (i % 3 != 2) {
            sim_host *host = sim_add_host(&e.net, items[i].host);
            host->delay_ns = 1 + i * MS;
            host->error = i % 7 == 0 ? 0.5 : 0;
            host->duplicate = host->forge = 0.2;
            host->loss = 0.1;
        }
    e.net.name = "h3.example";
    e.net.name_count = 1;
    assert_int_equal(meshping_address_parse(&e.net.name_addresses[0], "198.18.1.1", NULL), MESHPING_OK);
    begin(allowed, good);
    meshping_status status = meshping__prober_new(&e.prober, &options, &e.net.transport, key, NULL);
    if (status != MESHPING_OK) {
        assert_int_equal(status, MESHPING_NOMEM);
        assert_true(e.net.closed);
    } else {
        meshping_now now = sim_now(&e.net);
        (void)set_one(&e, 1000, "198.18.1.1", 56);
        status = meshping_prober_set_targets(e.prober, &list, &now, NULL);
        if (status != MESHPING_OK) {
            assert_int_equal(status, MESHPING_NOMEM);
            assert_true(target_count(&e) <= 1);
        } else {
            assert_int_equal(target_count(&e), TARGETS);
        }
        sim_run(&e.net, e.prober, 1500 * MS);
        (void)set_one(&e, 2, "other.example", 56);
        (void)set_one(&e, 1, "198.18.1.4", 1200);
        (void)set_one(&e, 2000, "2001:db8::77", 1300);
        (void)meshping_prober_remove_target(e.prober, 4);
        e.net.send_errno = 101;
        sim_run(&e.net, e.prober, 300 * MS);
        e.net.send_errno = 0;
        list.count = TARGETS / 2;
        now = sim_now(&e.net);
        (void)meshping_prober_set_targets(e.prober, &list, &now, NULL);
        sim_run(&e.net, e.prober, 500 * MS);
        check_results(&e);
    }
    bool whole = failed == 0;
    meshping_prober_free(e.prober);
    end();
    sim_dispose(&e.net);
    free(e.results);
    return whole;
}

static void test_each_allocation_of_an_engines_life_may_fail(void **state)
{
    meshping_target items[TARGETS];
    (void)state;
    fill_list(items);
    for (int good = 0; good < 2; good++) {
        long allowed = 0;
        while (!live_through(allowed, good, items))
            allowed++;
        print_message("%ld allocations, each failed %s\n", made, good ? "with all after it" : "once");
        assert_true(made > 300);
    }
}

/* The real sockets and the resolver as well, where this user may have them. */
static void test_each_allocation_on_real_sockets_may_fail(void **state)
{
    (void)state;
    bool succeeded = false;
    for (long allowed = 0; !succeeded; allowed++) {
        engine e = {0};
        meshping_error err = {0};
        meshping_prober_options options = engine_options(&e);
        options.start_now = true;
        begin(allowed, false);
        meshping_status status = meshping_prober_new(&e.prober, &options, &err);
        if (status == MESHPING_PERMISSION) {
            end();
            skip();
        }
        if (status == MESHPING_OK) {
            meshping_now now = meshping_now_read();
            meshping_target local = engine_target(1, "127.0.0.1"), named = engine_target(2, "localhost");
            local.size = 4000;
            status = meshping_prober_set_target(e.prober, &local, &now, &err);
            if (status == MESHPING_OK)
                status = meshping_prober_set_target(e.prober, &named, &now, &err);
            for (int i = 0; i < 50; i++) {
                now = meshping_now_read();
                meshping_prober_process(e.prober, &now);
            }
        }
        assert_true(status == MESHPING_OK || status == MESHPING_NOMEM);
        assert_true(status == MESHPING_OK || failed == 1);
        succeeded = failed == 0;
        meshping_prober_free(e.prober);
        end();
        free(e.results);
        assert_true(allowed < 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_of_an_engines_life_may_fail),
        cmocka_unit_test(test_each_allocation_on_real_sockets_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
