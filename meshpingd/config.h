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
    int64_t retention;           /* raw samples, seconds; default 24 h */
    int64_t rollup_retention;    /* roll-ups, seconds; default 90 days */
    int64_t database_max_size;   /* bytes; 0: no limit */
    int interval_ms, timeout_ms; /* of targets that set none */
    int slow_ms;                 /* cells are slow above this */
    int lossy_count;
    int stale_intervals;
    int offline_s; /* silence after which an agent is offline; default 15 */
    int pending_max, unauthenticated_max, failed_enrolments_max; /* limits on strangers */
    int authentication_s;                  /* from the connection to the handshake, or to the first request */
    char trusted_proxies[512];             /* CIDRs: their PROXY headers and X-Forwarded-For count */
    int descriptors_reserved;              /* for administrators */
    int64_t quarantine_max_size;           /* bytes, of what an agent sends on hold */
    int64_t reassembly_max_size;           /* bytes, of all frames that are not whole yet */
    int session_idle_hours, session_hours; /* web sessions */
    char public_url[256], smtp_url[512], smtp_from[256], smtp_user[256]; /* e-mail: mail.h */
    char smtp_password_file[512], smtp_ca_file[512];
    bool smtp_password_kept;      /* no key: the database has it, settings.h */
    char breached_passwords[512]; /* a file, breached.h; empty: none */
    int audit_days;               /* how long the audit log is kept */
} server_config;

extern const config_key server_config_keys[];
/* What no key can know by itself. INVALID with the reason. */
meshping_status server_config_check(const server_config *config, meshping_error *err);
#define SERVER_CONFIG_FILE "/etc/meshping/meshpingd.conf"
/* For commands beside the server: the defaults, and over them `file`; NULL: SERVER_CONFIG_FILE, if it is there. */
meshping_status server_config_read(server_config *config, const char *file, meshping_error *err);

#endif
