/* SPDX-License-Identifier: Apache-2.0 */
/* What `meshping-agent ping` was asked for. */
#ifndef MESHPING_AGENT_PING_OPTIONS_H
#define MESHPING_AGENT_PING_OPTIONS_H

#include <meshping/target.h>

#define PING_TARGETS_MAX 1000000
#define PING_COUNT_MAX 1000000000

typedef struct ping_options {
    bool json;
    bool help;
    uint64_t count; /* 0: until Ctrl-C */
    bool count_given;
    uint32_t interval_ms;         /* 0: as fast as replies come home */
    meshping_target model;        /* timeout, size, dscp, ttl, family of all targets */
    meshping_target_list targets; /* ids 1, 2, 3, ... */
    char **labels;                /* targets as they were written, one each */
} ping_options;

extern const char ping_usage[];

/* Returns false after one line to stderr. ping_options_dispose is due in either case. */
bool ping_options_parse(ping_options *options, int argc, char **argv);
void ping_options_dispose(ping_options *options);

#endif
