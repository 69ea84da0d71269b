/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hour cache as it was before the server's start, agent by agent, read in a worker while the server serves: of an
 * agent that is not here yet the store answers.
 */
#ifndef MESHPINGD_FILLING_H
#define MESHPINGD_FILLING_H

#include "meshpingd/server.h"

/* Before anything else is put into the cache: all of the agents are awaited. Samples from since_us on are loaded. */
meshping_status filling_start(server *s, int64_t since_us, meshping_error *err);
/* What runs ends by itself, on the loop. */
void filling_stop(server *s);

#endif
