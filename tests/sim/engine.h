/* SPDX-License-Identifier: Apache-2.0 */
/* A probe engine on a simulated internet, with its results kept: what the engine's tests share. */
#ifndef MESHPING_TESTS_ENGINE_H
#define MESHPING_TESTS_ENGINE_H

#include "core/prober.h"
#include "simnet.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)
#define MS INT64_C(1000000)

typedef struct engine {
    sim_net net;
    meshping_prober *prober;
    meshping_probe_result *results;
    size_t count, capacity;
    void (*hook)(struct engine *engine, const meshping_probe_result *result); /* called with each result */
    uint64_t seed;
} engine;

static inline void engine_on_result(void *user, const meshping_probe_result *result)
{
    engine *e = user;
    if (e->count == e->capacity) {
        e->capacity = e->capacity ? e->capacity * 2 : 64;
        e->results = realloc(e->results, e->capacity * sizeof *e->results);
        assert_non_null(e->results);
    }
    e->results[e->count++] = *result;
    if (e->hook)
        e->hook(e, result);
}

static inline uint64_t engine_seed(void)
{
    const char *text = getenv("MESHPING_TEST_SEED");
    return text ? strtoull(text, NULL, 10) : 20261123;
}

static inline meshping_prober_options engine_options(engine *e)
{
    meshping_prober_options options;
    meshping_prober_options_init(&options);
    options.on_result = engine_on_result;
    options.user = e;
    return options;
}

static inline void engine_open_with(engine *e, unsigned number_bits, const meshping_prober_options *options)
{
    static const uint8_t key[16] = "sixteen test key";
    sim_init(&e->net, e->seed ? e->seed : engine_seed(), number_bits);
    assert_int_equal(meshping__prober_new(&e->prober, options, &e->net.transport, key, NULL), MESHPING_OK);
}

static inline void engine_open(engine *e)
{
    *e = (engine){0};
    meshping_prober_options options = engine_options(e);
    engine_open_with(e, 20, &options);
}

static inline void engine_close(engine *e)
{
    meshping_prober_free(e->prober);
    assert_true(e->net.closed);
    sim_dispose(&e->net);
    free(e->results);
    *e = (engine){0};
}

static inline meshping_target engine_target(uint64_t id, const char *host)
{
    meshping_target target;
    meshping_target_init(&target);
    target.id = id;
    target.interval_ms = 1000;
    snprintf(target.host, sizeof target.host, "%s", host);
    return target;
}

static inline void engine_set(engine *e, const meshping_target *target)
{
    meshping_now now = sim_now(&e->net);
    assert_int_equal(meshping_prober_set_target(e->prober, target, &now, NULL), MESHPING_OK);
}

static inline size_t engine_count(const engine *e, uint64_t id, int outcome)
{
    size_t found = 0;
    for (size_t i = 0; i < e->count; i++)
        found += (id == 0 || e->results[i].target_id == id) && (outcome < 0 || e->results[i].sample.outcome == outcome);
    return found;
}

/* An engine with one target and its host. */
static inline sim_host *one_host(engine *e, int64_t delay_ns)
{
    engine_open(e);
    sim_host *host = sim_add_host(&e->net, "198.18.0.1");
    host->delay_ns = delay_ns;
    meshping_target target = engine_target(1, "198.18.0.1");
    engine_set(e, &target);
    return host;
}

#endif
