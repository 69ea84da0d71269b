/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agents on hold sent: kept apart in the store by epoch and observed address until an administrator decides, then
 * taken to the other samples piece by piece, through the same door as every block, or told as gaps.
 */
#ifndef MESHPINGD_QUARANTINE_H
#define MESHPINGD_QUARANTINE_H

#include "meshpingd/connection.h"

/* Goes on with what was decided before the last end. */
meshping_status quarantine_load(server *s, meshping_error *err);
void quarantine_dispose(server *s); /* after the store was closed */
/* Bytes that the agent on hold may send. */
uint64_t quarantine_credit(const server *s, const agent_entry *agent);
/* A block was stored there, or there is no room for it. */
void quarantine_note(const server *s, agent_entry *agent, const meshping_block_done *done);
/*
 * An approval decides what is undecided: `keep` names the sources kept (keep_count of them), the rest becomes gaps; a
 * keep_count of SIZE_MAX keeps what came from `addresses`. The agent may still be on hold: nothing moves before it is
 * approved. NOT_FOUND: a source is not this agent's; nothing was decided then.
 */
meshping_status quarantine_decide(server *s, agent_entry *agent, const uint64_t *keep, size_t keep_count,
                                  const char *addresses, const char *user, meshping_error *err);
/*
 * Once the row says approved: what came between the decision and that goes where the rest of its epoch and address
 * went, or, when there was none, by the approved addresses.
 */
meshping_status quarantine_decide_rest(server *s, const agent_entry *agent, const char *user, meshping_error *err);
/* A rejection deletes all of it. */
void quarantine_delete(server *s, agent_entry *agent, const char *user);
/* Adds what is decided upon and on its way to the ranges that the agent is told, so that they never shrink. */
void quarantine_add_ranges(const agent_connection *c, meshping_range *ranges, size_t *count);
/* Each second: takes some more along. */
void quarantine_tick(server *s);
/* The agent's sources as docs/API.md; NULL with *err. */
json_object *quarantine_json(server *s, const agent_entry *agent, meshping_error *err);

#endif
