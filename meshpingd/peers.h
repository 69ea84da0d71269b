/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose each open connection is, and since when: by descriptor, for that is all that libwebsockets keeps of it. The
 * socket's other end, unless a trusted proxy said of whom it is. The listener notes it before anybody asks.
 */
#ifndef MESHPINGD_PEERS_H
#define MESHPINGD_PEERS_H

#include <meshping/cidr.h>

/* NOMEM. Replaces what was known of an earlier connection with this descriptor. */
meshping_status peers_note(int fd, const meshping_address *address, uint64_t accepted_ms);
/* NULL: nothing is known of it. Borrowed until the next note. */
const meshping_address *peers_address(int fd);
/* On uv_now's clock. */
uint64_t peers_accepted_ms(int fd);
void peers_dispose(void);

/*
 * Of an X-Forwarded-For header that came from `peer`: the last address in it that is not a trusted proxy's. `peer` when
 * that one is not trusted, or when the header says nothing that can be read.
 */
meshping_address peers_forwarded(const meshping_address *peer, const char *header, const meshping_cidr_list *trusted);

#endif
