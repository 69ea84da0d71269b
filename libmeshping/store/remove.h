/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting an agent with all of its data, or a quarantine, without holding the writer for long: its row is marked
 * (column `leaving`), and from then on it is in no answer; then its rows go, some in each short transaction, and the
 * marked row is the last. Whoever is killed in between goes on there after the next start.
 */
#ifndef MESHPING_STORE_REMOVE_H
#define MESHPING_STORE_REMOVE_H

#include "store/sql.h"

/* In a query whose ?1 is the agent: no row, if it is being deleted. */
#define MESHPING__AGENT_STAYS "(SELECT NOT leaving FROM agents WHERE id = ?1)"

typedef struct meshping__removal {
    bool look;         /* there may be rows that are marked */
    int64_t agent_id;  /* the agent, or with 0 ... */
    int64_t source_id; /* ... the quarantine, that is being deleted; 0: none */
} meshping__removal;

/* Inside a transaction or as one. The agent's key is free for another at once. NOT_FOUND: there is no such agent. */
meshping_status meshping__remove_mark_agent(meshping__sql *sql, uint64_t agent_id, meshping_error *err);
meshping_status meshping__remove_mark_source(meshping__sql *sql, uint64_t source_id, meshping_error *err);
/* OK: some rows went. NOT_FOUND: nothing is left that is marked. */
meshping_status meshping__remove_step(meshping__sql *sql, meshping__removal *removal, meshping_error *err);
/* All steps of one agent, if it is marked, so that its id is free. */
meshping_status meshping__remove_rest(meshping__sql *sql, uint64_t agent_id, meshping_error *err);

#endif
