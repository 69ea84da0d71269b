/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_AGENT_PING_H
#define MESHPING_AGENT_PING_H

/* `meshping-agent ping ...`: argv[0] is "ping". Returns 0: all reachable, 1: some not, 2: usage or system error. */
int ping_main(int argc, char **argv);

#endif
