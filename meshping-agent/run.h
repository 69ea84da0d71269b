/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_AGENT_RUN_H
#define MESHPING_AGENT_RUN_H

/* `meshping-agent run ...`: argv[0] is "run". Returns the process's exit code. */
int run_main(int argc, char **argv);

#endif
