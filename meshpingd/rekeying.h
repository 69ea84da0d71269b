/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Another key for an agent that stays the same agent: docs/PROTOCOL.md, Another key. What has been written to the file
 * of revocations is decided; the database follows, at the next start if need be.
 */
#ifndef MESHPINGD_REKEYING_H
#define MESHPINGD_REKEYING_H

#include "meshpingd/connection.h"

/*
 * Asks a connected, approved agent for a new key; what the administrator saw is checked as by server_agent_act.
 * NOT_FOUND; STATE: it is not approved, not connected, or has not confirmed its ticket yet.
 */
meshping_status rekeying_ask(server *s, uint64_t agent_id, const agent_decision *seen, const char *user,
                             meshping_error *err);
/* Its answer: the new key is in force, or the connection ends. */
void rekeying_answer(agent_connection *c, const meshping_rekey *rekey);
/* At the start, before any other revocation counts: keys of the database that have been changed since it was written.
 */
meshping_status rekeying_redo(server *s, meshping_error *err);

#endif
