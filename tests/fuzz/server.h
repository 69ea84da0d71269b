/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole server in this process, for targets that fuzz what it answers: its routes, store and libwebsockets, only
 * without TLS. There is one administrator with a session that never ends, a second user, two agents and two targets.
 */
#ifndef MESHPING_TESTS_FUZZ_SERVER_H
#define MESHPING_TESTS_FUZZ_SERVER_H

#include <stddef.h>

/* What signs the administrator in: also in the corpus. */
#define FUZZ_COOKIE "__Host-meshping=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define FUZZ_CSRF "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"
#define FUZZ_PASSWORD "thunder walrus ladder" /* of both users */
#define FUZZ_AGENTS 0xa1                      /* a pending one, and the next an approved one */

/*
 * Starts the server with the first call; sends the bytes over a connection of its own, reads what comes, closes it, and
 * aborts unless that is what an HTTP server of ours may say: whole heads, our safety headers, no 500, JSON that is
 * JSON, nothing of the request in a header line. must_answer: the request is whole, so there has to be an answer.
 */
void server_ask(const void *bytes, size_t length, int must_answer);

#endif
