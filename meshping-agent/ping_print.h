/* SPDX-License-Identifier: Apache-2.0 */
/* What `meshping-agent ping` writes to standard output: a line a probe, a line a target. */
#ifndef MESHPING_AGENT_PING_PRINT_H
#define MESHPING_AGENT_PING_PRINT_H

#include "ping_stats.h"

/* `target`: as the user wrote it; it has passed meshping_host_canonical. */
void ping_print_json(const char *target, const meshping_probe_result *result);
void ping_print_live(const char *target, const meshping_probe_result *result);
/* `family`: of a name that is pinged by both, else 0. */
void ping_print_json_summary(const char *target, uint8_t family, const ping_stats *stats, const ping_summary *summary,
                             const meshping_prober_target_stats *counts);
void ping_print_summary(const char *target, uint8_t family, const ping_stats *stats, const ping_summary *summary,
                        const meshping_prober_target_stats *counts);
/* What the whole engine has counted. */
void ping_print_totals(bool json, const meshping_prober_stats *stats);

#endif
