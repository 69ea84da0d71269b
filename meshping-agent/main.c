/* SPDX-License-Identifier: Apache-2.0 */
#include "ping.h"
#include "run.h"
#include <meshping/common.h>
#include <stdio.h>
#include <string.h>

static const char usage[] = "Usage: meshping-agent COMMAND [OPTION...]\n"
                            "\n"
                            "  run      join a server, probe its targets, report\n"
                            "  ping     probe targets from here, without a server\n"
                            "\n"
                            "  --help, --version; `meshping-agent COMMAND --help` tells more\n";

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (strcmp(command, "ping") == 0)
        return ping_main(argc - 1, argv + 1);
    if (strcmp(command, "run") == 0)
        return run_main(argc - 1, argv + 1);
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (strcmp(command, "--version") == 0) {
        printf("meshping-agent %s\n", meshping_version());
        return 0;
    }
    if (*command)
        fprintf(stderr, "meshping-agent: unknown command '%s': `run` and `ping` are known, see --help\n", command);
    else
        fprintf(stderr, "meshping-agent: no command: `run` and `ping` are known, see --help\n");
    return 2;
}
