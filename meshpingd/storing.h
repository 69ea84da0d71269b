/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when samples cannot be stored: acks stop, agents get credit 0 and keep what they have, the alarm is
 * raised. Now and then one agent is let try; once a block of its is durable, all may send again. docs/PROTOCOL.md,
 * Delivery.
 */
#ifndef MESHPINGD_STORING_H
#define MESHPINGD_STORING_H

#include "meshpingd/connection.h"

/* Bytes that the connection's agent may have unacknowledged. */
uint64_t storing_credit(const agent_connection *c);
/* A block or gap of the agent (NULL: gone) was not stored. */
void storing_failed(server *s, agent_entry *agent, const meshping_block_done *done);
/* A block is durable. */
void storing_worked(server *s);
/* The store takes no more for the moment: the connection waits a second. */
void storing_full(agent_connection *c, const meshping_error *err);
/* What was received could not be read: without it the agent is given no credit, for some seconds. */
void storing_unread(agent_connection *c, const meshping_error *err);
/* The database cannot be read in places. */
void storing_unreadable(server *s, const char *why);
/* So many stored blocks or roll-ups cannot be read (0: none), and were left out. */
void storing_damaged(server *s, uint64_t count);
/* Each second. */
void storing_tick(server *s);

#endif
