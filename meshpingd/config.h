/* SPDX-License-Identifier: Apache-2.0 */
/* meshpingd's configuration: one table in config.c gives parser, --help and the sample file. */
#ifndef MESHPINGD_CONFIG_H
#define MESHPINGD_CONFIG_H

#include "common/config.h"

typedef struct server_config {
    char state_dir[512];                       /* database, keys, certificate; mode 0700 */
    char listen[128];                          /* ADDR:PORT; [v6]:PORT */
    char advertise[1024];                      /* HOST:PORT[, ...]: what passphrases carry; empty: the page asks */
    char certificate_file[512], key_file[512]; /* what browsers get; both or none */
    char metrics_allow[512];                   /* CIDRs that may read /metrics without a token */
    char metrics_token_file[512];
    char log_level[16];
    int retention_hours;         /* raw samples; default 24 */
    int interval_ms, timeout_ms; /* of targets that set none */
    int slow_ms;                 /* cells are slow above this */
    int lossy_count;
    int stale_intervals;
    int offline_s;                         /* silence after which an agent is offline; default 15 */
    int session_idle_hours, session_hours; /* web sessions */
    int audit_days;                        /* how long the audit log is kept */
} server_config;

extern const config_key server_config_keys[];

#endif
