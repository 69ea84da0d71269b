/* SPDX-License-Identifier: Apache-2.0 */
/* Agents by id and by public key, for a server of ten thousand: every block and every handshake asks. */
#ifndef MESHPINGD_AGENT_INDEX_H
#define MESHPINGD_AGENT_INDEX_H

#include <meshping/protocol.h>

struct agent_entry;

typedef struct agent_index_slot {
    uint64_t hash;
    struct agent_entry *agent; /* NULL: free */
} agent_index_slot;

typedef struct agent_index {
    agent_index_slot *by_id, *by_key;
    size_t count, capacity; /* a power of two, at most half of it in use; 0: nothing yet */
} agent_index;

void agent_index_dispose(agent_index *index);
/* Adds one that is not there yet; its id and key stay as they are while it is in. NOMEM: as it was. */
meshping_status agent_index_add(agent_index *index, struct agent_entry *agent, uint64_t id,
                                const uint8_t public_key[MESHPING_KEY_LEN]);
/* Takes it out; it is there. */
void agent_index_remove(agent_index *index, const struct agent_entry *agent, uint64_t id,
                        const uint8_t public_key[MESHPING_KEY_LEN]);
struct agent_entry *agent_index_by_id(const agent_index *index, uint64_t id);
/* A candidate, whose key the caller compares; *at is 0 for the first and counts on. NULL: no more. */
struct agent_entry *agent_index_by_key(const agent_index *index, const uint8_t public_key[MESHPING_KEY_LEN],
                                       size_t *at);

#endif
