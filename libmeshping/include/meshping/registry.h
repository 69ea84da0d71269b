/* SPDX-License-Identifier: Apache-2.0 */
/* The states of an agent on the server, and what moves it between them. Pure; docs/PROTOCOL.md, States. */
#ifndef MESHPING_REGISTRY_H
#define MESHPING_REGISTRY_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MESHPING_AGENT_TEXT_MAX 256 /* an agent's host name, version, address texts, with the NUL */

#define MESHPING_AGENT_STATE_MAP(XX)                                                                                   \
    XX(0, PENDING, "pending")                                                                                          \
    XX(1, APPROVED, "approved")                                                                                        \
    XX(2, HOLD, "hold")                                                                                                \
    XX(3, BLACKLISTED, "blacklisted")

typedef enum meshping_agent_state {
#define XX(value, name, text) MESHPING_AGENT_##name = (value),
    MESHPING_AGENT_STATE_MAP(XX)
#undef XX
} meshping_agent_state;

#define MESHPING_AGENT_ACTION_MAP(XX)                                                                                  \
    XX(0, APPROVE, "approve")                 /* an administrator approves, or releases from hold */                   \
    XX(1, REJECT, "reject")                   /* an administrator blacklists */                                        \
    XX(2, SET_HOLD, "hold")                   /* an administrator holds */                                             \
    XX(3, ADDRESS_CHANGED, "address_changed") /* the observed address left the approved set */                         \
    XX(4, REINSTATE, "reinstate")             /* an administrator takes back a blacklisting: pending again */

typedef enum meshping_agent_action {
#define XX(value, name, text) MESHPING_ACTION_##name = (value),
    MESHPING_AGENT_ACTION_MAP(XX)
#undef XX
} meshping_agent_action;

MESHPING_API const char *meshping_agent_state_name(unsigned state);
/* INVALID: no such name. */
MESHPING_API meshping_status meshping_agent_state_parse(meshping_agent_state *out, const char *name);
MESHPING_API const char *meshping_agent_action_name(unsigned action);
/*
 * The state after an action. STATE: the action is not possible in `state`, *out is untouched. An action that changes
 * nothing (an address change while pending or on hold) is OK with *out = state.
 */
MESHPING_API meshping_status meshping_agent_state_next(meshping_agent_state *out, meshping_agent_state state,
                                                       meshping_agent_action action);

#ifdef __cplusplus
}
#endif
#endif
