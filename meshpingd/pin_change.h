/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changing the server's key without losing an agent: docs/PROTOCOL.md, The server's key, and docs/OPERATIONS.md. That a
 * change is going on is a file, server.next.key; what each agent has stored is one line in the file `pins`, the last
 * one counts. A line that is lost is asked for again, so those are not synced.
 */
#ifndef MESHPINGD_PIN_CHANGE_H
#define MESHPINGD_PIN_CHANGE_H

#include "meshpingd/connection.h"

/* Reads what the agents said; after server_load. PERMISSION. A damaged line is passed over. */
meshping_status pin_change_open(server *s, meshping_error *err);
/* Tells the agent by which keys to know the server, when it does not know yet. */
void pin_change_tell(agent_connection *c);
/* It has stored that. */
void pin_change_stored(agent_connection *c, const meshping_pins *pins);
/* One agent takes the place of another: what its machine has stored goes along. */
void pin_change_moved(const server *s, agent_entry *to, const agent_entry *from);

/* Makes the next key and tells everybody. STATE: a change is going on. */
meshping_status pin_change_begin(server *s, const char *user, meshping_error *err);
/*
 * The next key takes the place of the one in use; open passphrases, which carry the old one, are revoked. STATE: none
 * is going on, or approved agents have not stored the next key and are not given up.
 */
meshping_status pin_change_switch(server *s, bool give_up, const char *user, meshping_error *err);
/* Forgets the next key; no agent will take it. STATE: no change is going on. */
meshping_status pin_change_abort(server *s, const char *user, meshping_error *err);
/* docs/API.md, The server's key. */
json_object *pin_change_json(server *s);

#endif
