/* SPDX-License-Identifier: Apache-2.0 */
#include "document.h"
#include <meshping/registry.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const meshping_agent_state states[] = {MESHPING_AGENT_PENDING, MESHPING_AGENT_APPROVED, MESHPING_AGENT_HOLD,
                                              MESHPING_AGENT_BLACKLISTED};
static const meshping_agent_action actions[] = {MESHPING_ACTION_APPROVE, MESHPING_ACTION_REJECT,
                                                MESHPING_ACTION_SET_HOLD, MESHPING_ACTION_ADDRESS_CHANGED,
                                                MESHPING_ACTION_REINSTATE};

static void assert_moves(meshping_agent_state from, meshping_agent_action action, const char *to)
{
    meshping_agent_state next = (meshping_agent_state)77;
    meshping_status status = meshping_agent_state_next(&next, from, action);
    const char *got = status == MESHPING_OK ? meshping_agent_state_name(next) : "-";
    if (strcmp(got, to) != 0)
        fail_msg("%s, %s: %s, not %s", meshping_agent_state_name(from), meshping_agent_action_name(action), got, to);
    if (status != MESHPING_OK) {
        assert_int_equal(status, MESHPING_STATE);
        assert_int_equal(next, 77); /* untouched */
    }
}

static void test_every_action_in_every_state(void **unused)
{
    (void)unused;
    static const char *const table[4][5] = {
        /*               approve     reject         hold    address_changed reinstate */
        /* pending */ {"approved", "blacklisted", "-", "pending", "-"},
        /* approved */ {"-", "blacklisted", "hold", "hold", "-"},
        /* hold */ {"approved", "blacklisted", "-", "hold", "-"},
        /* blacklisted */ {"-", "-", "-", "blacklisted", "pending"},
    };
    for (size_t s = 0; s < 4; s++)
        for (size_t a = 0; a < 5; a++)
            assert_moves(states[s], actions[a], table[s][a]);
}

/* The table of docs/PROTOCOL.md, States: its head names the actions, each row a state. */
static void test_the_document_has_the_same_table(void **unused)
{
    (void)unused;
    char *document = document_read("docs/PROTOCOL.md");
    assert_non_null(document);
    char *head = strstr(document, "| state | approve | reject | hold | address_changed | reinstate |\n");
    assert_non_null(head);
    char *save = NULL, *line;
    assert_non_null(strtok_r(strchr(head, '\n') + 1, "\n", &save)); /* | --- | --- |... */
    for (size_t s = 0; s < 4; s++) {
        char cells[6][32];
        line = strtok_r(NULL, "\n", &save);
        assert_non_null(line);
        assert_int_equal(sscanf(line, "| %31s | %31s | %31s | %31s | %31s | %31s |", cells[0], cells[1], cells[2],
                                cells[3], cells[4], cells[5]),
                         6);
        assert_string_equal(cells[0], meshping_agent_state_name(states[s]));
        for (size_t a = 0; a < 5; a++)
            assert_moves(states[s], actions[a], cells[a + 1]);
    }
    free(document);
}

static void test_only_an_administrator_brings_a_blacklisted_agent_back(void **unused)
{
    (void)unused;
    meshping_agent_state state = MESHPING_AGENT_BLACKLISTED;
    assert_int_equal(meshping_agent_state_next(&state, state, MESHPING_ACTION_APPROVE), MESHPING_STATE);
    assert_int_equal(meshping_agent_state_next(&state, state, MESHPING_ACTION_ADDRESS_CHANGED), MESHPING_OK);
    assert_int_equal(state, MESHPING_AGENT_BLACKLISTED);
    assert_int_equal(meshping_agent_state_next(&state, state, MESHPING_ACTION_REINSTATE), MESHPING_OK);
    assert_int_equal(state, MESHPING_AGENT_PENDING); /* and must be approved anew */
}

static void test_names_are_read_back(void **unused)
{
    (void)unused;
    for (size_t s = 0; s < 4; s++) {
        meshping_agent_state state = (meshping_agent_state)77;
        assert_int_equal(meshping_agent_state_parse(&state, meshping_agent_state_name(states[s])), MESHPING_OK);
        assert_int_equal(state, states[s]);
    }
    meshping_agent_state state = MESHPING_AGENT_HOLD;
    static const char *const wrong[] = {"", "Approved", "approved ", "approve", "unknown"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(meshping_agent_state_parse(&state, wrong[i]), MESHPING_INVALID);
        assert_int_equal(state, MESHPING_AGENT_HOLD);
    }
}

static void test_numbers_outside_the_lists_are_harmless(void **unused)
{
    (void)unused;
    meshping_agent_state state = MESHPING_AGENT_HOLD;
    assert_string_equal(meshping_agent_state_name(4), "unknown");
    assert_string_equal(meshping_agent_state_name(UINT32_MAX), "unknown");
    assert_string_equal(meshping_agent_action_name(5), "unknown");
    assert_int_equal(meshping_agent_state_next(&state, (meshping_agent_state)4, MESHPING_ACTION_REJECT),
                     MESHPING_INVALID);
    assert_int_equal(meshping_agent_state_next(&state, MESHPING_AGENT_PENDING, (meshping_agent_action)5),
                     MESHPING_INVALID);
    assert_int_equal(state, MESHPING_AGENT_HOLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_action_in_every_state),
        cmocka_unit_test(test_the_document_has_the_same_table),
        cmocka_unit_test(test_only_an_administrator_brings_a_blacklisted_agent_back),
        cmocka_unit_test(test_names_are_read_back),
        cmocka_unit_test(test_numbers_outside_the_lists_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
