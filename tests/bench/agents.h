/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_BENCH_AGENTS_H
#define MESHPING_BENCH_AGENTS_H

#include <stdint.h>

/* Runs a libwebsockets server that does nothing on 127.0.0.1:port, until SIGTERM; for a process of its own. */
int bare_serve(uint16_t port, const char *certificate, const char *key);

#endif
