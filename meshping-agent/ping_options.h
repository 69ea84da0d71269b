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
    bool both; /* host names stand in the list twice in a row: IPv4, IPv6 */
    bool stats;
    uint64_t count; /* 0: until Ctrl-C */
    bool count_given;
    uint32_t interval_ms;  /* 0: as fast as replies come home */
    meshping_target model; /* timeout, size, dscp, ttl, family of all targets */
    meshping_target one;   /* the model with the host that is worked on: it is large, and lists are long */
    size_t target_count;
    size_t *labels; /* targets as they were written: where in `text`, behind a byte with the family */
    char *text;
    size_t text_used, text_room;
} ping_options;

extern const char ping_usage[];

/* Returns false after one line to stderr. ping_options_dispose is due in either case. */
bool ping_options_parse(ping_options *options, int argc, char **argv);
void ping_options_dispose(ping_options *options);
/* The target at `index` as it was written. */
static inline const char *ping_options_label(const ping_options *options, size_t index)
{
    return options->text + options->labels[index];
}
/* The family wanted of it; 0: any. */
static inline uint8_t ping_options_family(const ping_options *options, size_t index)
{
    return (uint8_t)options->text[options->labels[index] - 1];
}
/* The target at `index`, with the id index + 1; until the next call. */
const meshping_target *ping_options_target(ping_options *options, size_t index);

#endif
