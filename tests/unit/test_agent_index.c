/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/agent_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define AGENTS 1000

struct agent_entry {
    uint64_t id;
    uint8_t key[MESHPING_KEY_LEN];
};

static struct agent_entry agents[AGENTS];

static struct agent_entry *find_key(const agent_index *index, const uint8_t *key)
{
    size_t at = 0;
    struct agent_entry *found;
    while ((found = agent_index_by_key(index, key, &at)))
        if (memcmp(found->key, key, sizeof found->key) == 0)
            break;
    return found;
}

static void check(const agent_index *index, size_t from, size_t to)
{
    for (size_t i = 0; i < AGENTS; i++) {
        bool in = i >= from && i < to;
        assert_ptr_equal(agent_index_by_id(index, agents[i].id), in ? &agents[i] : NULL);
        assert_ptr_equal(find_key(index, agents[i].key), in ? &agents[i] : NULL);
    }
}

static void test_each_agent_is_found_by_its_id_and_its_key_until_it_is_removed(void **state)
{
    agent_index index = {0};
    (void)state;
    assert_null(agent_index_by_id(&index, 1));
    for (size_t i = 0; i < AGENTS; i++) {
        agents[i].id = i % 3 ? i + 1 : (i + 1) << 40; /* alike in their low bits, or in their high ones */
        agents[i].key[i % MESHPING_KEY_LEN] = (uint8_t)(1 + i / MESHPING_KEY_LEN);
        assert_int_equal(agent_index_add(&index, &agents[i], agents[i].id, agents[i].key), MESHPING_OK);
    }
    check(&index, 0, AGENTS);
    for (size_t i = 0; i < AGENTS / 2; i++)
        agent_index_remove(&index, &agents[i], agents[i].id, agents[i].key);
    check(&index, AGENTS / 2, AGENTS);
    for (size_t i = AGENTS / 2; i < AGENTS; i++)
        agent_index_remove(&index, &agents[i], agents[i].id, agents[i].key);
    check(&index, 0, 0);
    agent_index_dispose(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_agent_is_found_by_its_id_and_its_key_until_it_is_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
