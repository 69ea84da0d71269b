/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/registry.h>
#include <string.h>

#define STATE_COUNT 4
#define ACTION_COUNT 5
#define NO (-1)
#define P MESHPING_AGENT_PENDING
#define A MESHPING_AGENT_APPROVED
#define H MESHPING_AGENT_HOLD
#define B MESHPING_AGENT_BLACKLISTED

/* docs/PROTOCOL.md, States. Rows: the state now; columns: APPROVE, REJECT, SET_HOLD, ADDRESS_CHANGED, REINSTATE. */
static const signed char transitions[STATE_COUNT][ACTION_COUNT] = {
    [P] = {A, B, NO, P, NO},
    [A] = {NO, B, H, H, NO},
    [H] = {A, B, NO, H, NO},
    [B] = {NO, NO, NO, B, P},
};

static const char *const state_names[STATE_COUNT] = {
#define XX(value, name, text) [value] = text,
    MESHPING_AGENT_STATE_MAP(XX)
#undef XX
};

const char *meshping_agent_state_name(unsigned state)
{
    return state < STATE_COUNT ? state_names[state] : "unknown";
}

meshping_status meshping_agent_state_parse(meshping_agent_state *out, const char *name)
{
    for (unsigned i = 0; i < STATE_COUNT; i++)
        if (strcmp(name, state_names[i]) == 0) {
            *out = (meshping_agent_state)i;
            return MESHPING_OK;
        }
    return MESHPING_INVALID;
}

const char *meshping_agent_action_name(unsigned action)
{
    switch (action) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_ACTION_##name:                                                                                       \
        return text;
        MESHPING_AGENT_ACTION_MAP(XX)
#undef XX
    }
    return "unknown";
}

meshping_status meshping_agent_state_next(meshping_agent_state *out, meshping_agent_state state,
                                          meshping_agent_action action)
{
    if ((unsigned)state >= STATE_COUNT || (unsigned)action >= ACTION_COUNT)
        return MESHPING_INVALID;
    signed char next = transitions[state][action];
    if (next == NO)
        return MESHPING_STATE;
    *out = (meshping_agent_state)next;
    return MESHPING_OK;
}
