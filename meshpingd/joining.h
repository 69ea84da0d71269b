/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection becomes an agent's: docs/PROTOCOL.md, Handshake and Identity, the server's side. */
#ifndef MESHPINGD_JOINING_H
#define MESHPINGD_JOINING_H

#include "meshpingd/connection.h"

void joining_handshake(agent_connection *c, const meshping_handshake *handshake);
void joining_joined(agent_connection *c, const meshping_joined *joined);
/* True while the agent has a ticket that it has not confirmed: it is told, and its data taken, only after that. */
bool joining_is_waiting(const agent_connection *c);
/* An administrator approved it: it gets a ticket now, unless it has one of this connection. */
void joining_approved(agent_entry *agent);
/* Its key has changed: a ticket of the new one. */
void joining_renew(agent_connection *c);
/* Puts it on hold when its address is not approved (any more). */
meshping_status joining_check_address(agent_connection *c, meshping_error *err);
/* Ends the connections that come from blocked addresses. */
void joining_drop_blocked(server *s);

#endif
