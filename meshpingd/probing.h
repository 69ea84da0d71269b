/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "Ping this now": one probe beside the schedule, asked of approved agents, and what they found. It is no sample: it is
 * shown to who asked, kept in memory for a while, and stored nowhere. docs/PROTOCOL.md, probe_now.
 */
#ifndef MESHPINGD_PROBING_H
#define MESHPINGD_PROBING_H

#include "meshpingd/connection.h"

#define PROBING_BURST 64   /* probes that may be asked for at once, by all users together */
#define PROBING_A_SECOND 4 /* and then so many */

typedef struct probing_request probing_request;

/*
 * agent_id 0: all agents that ping the target; target_id 0: all targets of the agent; not both. At most
 * MESHPING_PROBE_NOW_MAX probes. NOT_FOUND; STATE: the agent is not approved or not connected, or does not ping the
 * target now; LIMIT: they are too many; with *wait_ms not 0 too many were asked for lately: again after that. *out is
 * the server's.
 */
meshping_status probing_ask(server *s, uint64_t agent_id, uint64_t target_id, const probing_request **out,
                            int64_t *wait_ms, meshping_error *err);
/* NULL: there is none, or not any more. */
const probing_request *probing_find(const server *s, uint64_t id);
/* docs/API.md, Probe. */
json_object *probing_json(const probing_request *request);
/* An agent's answer; to what it was not asked ends its connection. */
void probing_answer(agent_connection *c, const meshping_probe_answer *answer);
void probing_dispose(server *s);

#endif
