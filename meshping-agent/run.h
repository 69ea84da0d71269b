/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_AGENT_RUN_H
#define MESHPING_AGENT_RUN_H

/* `meshping-agent run ...`: the daemon. Returns the exit code: 0 after a signal, 2 usage or system error. */
int run_main(int argc, char **argv);

#endif
