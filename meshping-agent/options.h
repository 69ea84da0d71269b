/* SPDX-License-Identifier: Apache-2.0 */
/* What `meshping-agent run` is told: a config file, flags over it, and the passphrase. */
#ifndef MESHPING_AGENT_OPTIONS_H
#define MESHPING_AGENT_OPTIONS_H

#include "common/config.h"
#include <meshping/protocol.h>

typedef struct agent_config {
    char state_dir[512];
    char passphrase_file[512];
    char host_name[MESHPING_AGENT_TEXT_MAX];
    char advertise[MESHPING_ADDRESS_TEXT_MAX]; /* where agents of a mesh find this host */
    char log_level[16];
    int buffer_s, buffer_kib, buffer_blocks; /* of what the server has not acknowledged */
} agent_config;

extern const config_key agent_config_keys[];

/*
 * Reads arguments. Returns -1 to go on, else the exit code (0 after --help, 2 after one clear line on stderr).
 */
int agent_options_read(agent_config *config, int argc, char **argv);
/*
 * The passphrase from config->passphrase_file ("-": a prompt without echo on a terminal, else the first line of
 * standard input) into text[MESHPING_PASSPHRASE_TEXT_MAX]. NOT_FOUND: none is configured, or the file is not there.
 */
meshping_status agent_passphrase_read(char *text, const agent_config *config, meshping_error *err);

#endif
