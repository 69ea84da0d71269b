/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/config.h"

#include <errno.h>
#include <meshping/cidr.h>
#include <unistd.h>

#define MINUTE INT64_C(60)
#define DAY (24 * 60 * MINUTE)
#define YEAR (365 * DAY)
#define FRAME_MAX (INT64_C(1) << 20)

const config_key server_config_keys[] = {
    CONFIG_KEY_TEXT(server_config, state_dir, "/var/lib/meshpingd",
                    "Where database, keys and certificate are kept (0700)"),
    CONFIG_KEY_TEXT(server_config, listen, "[::]:8443", "ADDR:PORT to listen on; [::] is both families"),
    CONFIG_KEY_TEXT(server_config, advertise, "",
                    "HOST:PORT[, ...] under which agents reach this server; passphrases carry it"),
    CONFIG_KEY_TEXT(server_config, certificate_file, "",
                    "PEM chain that browsers get; empty: a self-signed one. SIGHUP reads it anew"),
    CONFIG_KEY_TEXT(server_config, key_file, "", "PEM private key of certificate_file"),
    CONFIG_KEY_TEXT(server_config, metrics_allow, "127.0.0.0/8, ::1", "CIDRs that may read /metrics without a token"),
    CONFIG_KEY_TEXT(server_config, metrics_token_file, "", "File with the bearer token for /metrics"),
    CONFIG_KEY_TEXT(server_config, log_level, "info", "debug, info, warning or error"),
    CONFIG_KEY_DURATION(server_config, retention, 10 * MINUTE, 20 * YEAR, "24h",
                        "How long every sample is kept: 90m, 24h, 7d, 2y"),
    CONFIG_KEY_DURATION(server_config, rollup_retention, DAY, 20 * YEAR, "90d",
                        "How long each hour's counts, extremes and histogram are kept; at least as long as samples"),
    CONFIG_KEY_SIZE(server_config, database_max_size, INT64_C(16) << 20, INT64_C(64) << 40, "0",
                    "Above this size of the database the oldest samples go before their time; 0: no limit"),
    CONFIG_KEY_NUMBER(server_config, interval_ms, 100, 3600000, "5000", "How often a target is pinged, in ms"),
    CONFIG_KEY_NUMBER(server_config, timeout_ms, 10, 60000, "3000", "How long a reply is waited for, in ms"),
    CONFIG_KEY_NUMBER(server_config, slow_ms, 1, 60000, "100", "A cell is slow above this round-trip time, in ms"),
    CONFIG_KEY_NUMBER(server_config, lossy_count, 1, 12, "1", "A cell is lossy from so many lost of its last 12"),
    CONFIG_KEY_NUMBER(server_config, stale_intervals, 1, 100, "3", "A cell is stale after so many silent intervals"),
    CONFIG_KEY_NUMBER(server_config, offline_s, 5, 3600, "15", "An agent is offline after so many silent seconds"),
    CONFIG_KEY_NUMBER(server_config, pending_max, 1, 100000, "256", "So many agents may wait for approval"),
    CONFIG_KEY_NUMBER(server_config, unauthenticated_max, 1, 100000, "512",
                      "So many agents' connections may wait for their handshake"),
    CONFIG_KEY_NUMBER(
        server_config, authentication_s, 1, 60, "10",
        "A connection has so many seconds, from its begin, for an agent's handshake or its first request"),
    CONFIG_KEY_TEXT(server_config, trusted_proxies, "",
                    "CIDRs of proxies that say for whom they connect: PROXY version 2; X-Forwarded-For, of browsers"),
    CONFIG_KEY_NUMBER(server_config, failed_enrolments_max, 1, 250, "5",
                      "An address with so many failed enrolments in a minute waits for the next one"),
    CONFIG_KEY_NUMBER(server_config, descriptors_reserved, 0, 4096, "64",
                      "So many open files are kept for administrators: agents wait when there are no others"),
    CONFIG_KEY_SIZE(server_config, quarantine_max_size, 2 * FRAME_MAX, INT64_C(64) << 30, "64M",
                    "So much of an agent on hold is kept until somebody decides; it keeps the rest itself"),
    CONFIG_KEY_SIZE(server_config, reassembly_max_size, 2 * FRAME_MAX, INT64_C(64) << 30, "64M",
                    "Memory for what agents have sent a part of; who would need more is sent away for now"),
    CONFIG_KEY_NUMBER(server_config, session_idle_hours, 1, 720, "12", "A sign-in ends after so many idle hours"),
    CONFIG_KEY_NUMBER(server_config, session_hours, 1, 8760, "168", "and after so many hours in any case"),
    CONFIG_KEY_TEXT(server_config, public_url, "", "https://HOST[:PORT] of this page; links in e-mails begin so"),
    CONFIG_KEY_TEXT(server_config, smtp_url, "",
                    "smtps://HOST:PORT, or smtp://HOST:PORT with STARTTLS; without it no e-mail is sent"),
    CONFIG_KEY_TEXT(server_config, smtp_from, "", "The sender of e-mails"),
    CONFIG_KEY_TEXT(server_config, smtp_user, "", "For signing in at the SMTP server"),
    CONFIG_KEY_TEXT(server_config, smtp_password_file, "", "File with the password for that"),
    CONFIG_KEY_TEXT(server_config, smtp_ca_file, "", "PEM file of whom to trust for it; else the system's"),
    CONFIG_KEY_TEXT(
        server_config, breached_passwords, "",
        "File of breached passwords' SHA-1 hashes (Have I Been Pwned's): none of them is taken as a new one"),
    CONFIG_KEY_NUMBER(server_config, audit_days, 1, 36500, "730", "How long the audit log is kept, in days"),
    CONFIG_KEY_END,
};

meshping_status server_config_check(const server_config *config, meshping_error *err)
{
    if (!config->state_dir[0])
        return meshping_error_set(err, MESHPING_INVALID, "state_dir must not be empty");
    meshping_cidr_list list;
    meshping_error why = {0};
    if (meshping_cidr_list_parse(&list, config->trusted_proxies, &why) != MESHPING_OK)
        return meshping_error_set(err, MESHPING_INVALID, "trusted_proxies: %s", why.message);
    if (config->rollup_retention < config->retention)
        return meshping_error_set(err, MESHPING_INVALID, "rollup_retention must be at least as long as retention");
    return MESHPING_OK;
}

meshping_status server_config_read(server_config *config, const char *file, meshping_error *err)
{
    config_defaults(server_config_keys, config);
    if (!file && access(SERVER_CONFIG_FILE, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return MESHPING_OK;
    return config_load(server_config_keys, config, NULL, file ? file : SERVER_CONFIG_FILE, err);
}
