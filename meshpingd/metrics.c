/* SPDX-License-Identifier: Apache-2.0 */
/* What monitoring systems see: /healthz, /readyz, and /metrics as Prometheus text 0.0.4. */
#include "common/log.h"
#include "meshpingd/auth.h"
#include "meshpingd/http_text.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <unistd.h>

#define TOKEN_MIN 16
#define TOKEN_MAX 256

void health_get(http_exchange *x)
{
    http_respond_borrowed(x, 200, "text/plain; charset=utf-8", "ok\n", 3);
}

void ready_get(http_exchange *x)
{
    static const char failing[] = "samples cannot be stored\n";
    if (x->server->ready && alarm_is_raised(&x->server->alarms, ALARM_STORE))
        http_respond_borrowed(x, 503, "text/plain; charset=utf-8", failing, sizeof failing - 1);
    else if (x->server->ready)
        http_respond_borrowed(x, 200, "text/plain; charset=utf-8", "ready\n", 6);
    else
        http_respond_borrowed(x, 503, "text/plain; charset=utf-8", "starting\n", 9);
}

/* ---- access ---- */

/* Read each time, so that a new token needs no restart. */
static bool token_matches(const http_exchange *x)
{
    char token[TOKEN_MAX + 2];
    const char *path = x->server->config.metrics_token_file, *given = http_bearer(x->authorization);
    if (!path[0] || !given)
        return false;
    FILE *file = fopen(path, "re");
    if (!file) {
        log_warning("http", "metrics_token_file %s cannot be read", path);
        return false;
    }
    size_t length = fread(token, 1, sizeof token - 1, file);
    fclose(file);
    token[length] = 0;
    token[strcspn(token, "\r\n")] = 0;
    if (strlen(token) < TOKEN_MIN || length > TOKEN_MAX) {
        log_warning("http", "metrics_token_file %s: a token needs %d to %d characters", path, TOKEN_MIN, TOKEN_MAX);
        return false;
    }
    return http_text_equal_constant_time(given, token);
}

static bool address_allowed(const http_exchange *x)
{
    return x->peer.family != MESHPING_FAMILY_NONE &&
           meshping_cidr_list_contains(&x->server->http->metrics_allow, &x->peer);
}

/* ---- the text ---- */

static void family(text_buffer *out, const char *name, const char *type, const char *help)
{
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(text_buffer *out, const char *name, const char *type, const char *help, uint64_t value)
{
    family(out, name, type, help);
    text_printf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_agents(text_buffer *out, const server *s)
{
    size_t by_state[4] = {0}, online = 0;
    for (size_t i = 0; i < s->agent_count; i++) {
        unsigned state = s->agents[i]->record.state;
        if (state < 4)
            by_state[state]++;
        online += s->agents[i]->online;
    }
    family(out, "meshping_agents", "gauge", "Agents by status.");
    for (unsigned state = 0; state < 4; state++)
        text_printf(out, "meshping_agents{status=\"%s\"} %zu\n", meshping_agent_state_name(state), by_state[state]);
    one(out, "meshping_agents_online", "gauge", "Agents heard of lately.", online);
    one(out, "meshping_targets", "gauge", "Targets in the list.", s->targets.count);
}

static void put_samples(text_buffer *out, const server_counters *counters)
{
    static const char *results[] = {"ok", "fail", "local_error"};
    family(out, "meshping_samples_total", "counter", "Samples stored, by result and outcome.");
    for (unsigned outcome = 0; outcome < MESHPING_OUTCOME_COUNT; outcome++) {
        if (strcmp(meshping_outcome_name(outcome), "unknown") == 0)
            continue;
        text_printf(out, "meshping_samples_total{result=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                    results[meshping_outcome_classify(outcome)], meshping_outcome_name(outcome),
                    counters->samples[outcome]);
    }
    one(out, "meshping_samples_late_total", "counter", "Samples stored that came over 30 s after their slot.",
        counters->samples_late);
    one(out, "meshping_blocks_total", "counter", "Sample blocks stored.", counters->blocks);
    one(out, "meshping_blocks_duplicate_total", "counter", "Sample blocks that were there already.",
        counters->blocks_duplicate);
    one(out, "meshping_blocks_refused_total", "counter", "Sample blocks refused.", counters->blocks_refused);
}

static void put_store(text_buffer *out, meshping_store *store, uint64_t max_bytes)
{
    meshping_store_stats stats = {0};
    meshping_store_get_stats(store, &stats);
    one(out, "meshping_store_blocks_written_total", "counter", "Blocks committed to the database.",
        stats.blocks_written);
    one(out, "meshping_store_samples_written_total", "counter", "Samples committed to the database.",
        stats.samples_written);
    one(out, "meshping_store_duplicates_total", "counter", "Submitted blocks that the database had.", stats.duplicates);
    one(out, "meshping_store_commits_total", "counter", "Transactions committed.", stats.commits);
    one(out, "meshping_store_commit_errors_total", "counter", "Transactions that failed.", stats.commit_errors);
    one(out, "meshping_store_journal_blocks", "gauge", "Blocks as agents sent them, not joined yet.",
        stats.journal_blocks);
    one(out, "meshping_store_journal_samples", "gauge", "Samples in these.", stats.journal_samples);
    one(out, "meshping_store_seals_total", "counter", "Times that an agent's blocks were joined.", stats.seals);
    one(out, "meshping_store_long_seals_total", "counter", "Times that joined blocks were joined again.",
        stats.long_seals);
    one(out, "meshping_store_seal_errors_total", "counter", "Times that joining blocks failed.", stats.seal_errors);
    one(out, "meshping_store_damaged_blocks_total", "counter", "Damaged blocks that joining came upon.",
        stats.damaged_blocks);
    one(out, "meshping_store_damaged_rollups_total", "counter", "Damaged rows of roll-ups, which began anew.",
        stats.damaged_rollups);
    one(out, "meshping_store_expired_blocks_total", "counter", "Joined blocks deleted by retention.",
        stats.expired_blocks);
    one(out, "meshping_store_expired_rollups_total", "counter", "Rows of roll-ups deleted by retention.",
        stats.expired_rollups);
    one(out, "meshping_store_cut_blocks_total", "counter", "Joined blocks deleted before their time, for the size.",
        stats.cut_blocks);
    one(out, "meshping_store_cut_rollups_total", "counter", "Rows of roll-ups deleted before their time.",
        stats.cut_rollups);
    one(out, "meshping_store_retention_errors_total", "counter", "Times that retention failed.", stats.retain_errors);
    one(out, "meshping_store_retention_longest_microseconds", "gauge", "The longest that it held the writer.",
        stats.retain_longest_us);
    one(out, "meshping_store_used_bytes", "gauge", "Pages of the database in use.", stats.used_bytes);
    one(out, "meshping_store_max_bytes", "gauge", "What database_max_size allows; 0: no limit.", max_bytes);
    one(out, "meshping_store_queued_bytes", "gauge", "Submitted and not yet committed.", stats.queued_bytes);
    one(out, "meshping_store_file_bytes", "gauge", "Size of the database file.", stats.file_bytes);
}

static void put_alarms(text_buffer *out, const server *s)
{
    family(out, "meshping_alarm", "gauge", "1: raised; the log, the API and the page say why.");
    for (unsigned kind = 0; kind < ALARM_KINDS; kind++)
        text_printf(out, "meshping_alarm{kind=\"%s\"} %d\n", alarm_name(kind), alarm_is_raised(&s->alarms, kind));
}

static void put_server(text_buffer *out, const server *s)
{
    const server_counters *counters = &s->counters;
    one(out, "meshping_enrolments_failed_total", "counter", "Agents' enrolments that failed.",
        counters->enrolments_failed);
    one(out, "meshping_connections_refused_total", "counter", "Agents' connections refused.",
        counters->connections_refused);
    one(out, "meshping_http_requests_total", "counter", "HTTP requests.", counters->http_requests);
    one(out, "meshping_http_errors_total", "counter", "HTTP answers with a status of 400 or above.",
        counters->http_errors);
    one(out, "meshping_logins_failed_total", "counter", "Sign-ins and set-ups that failed.", counters->logins_failed);
    one(out, "meshping_logins_throttled_total", "counter", "Sign-ins sent away unlooked at, for too many failed ones.",
        counters->logins_throttled);
    one(out, "meshping_logins_busy_total", "counter",
        "Sign-ins sent away unlooked at, as too many waited for their turn.", counters->logins_busy);
    one(out, "meshping_viewers", "gauge", "Browsers with a live view.", live_ws_viewers(s));
    meshping_cache_stats cache;
    meshping_cache_get_stats(s->cache, &cache);
    one(out, "meshping_cache_bytes", "gauge", "Memory of the hour cache.", cache.bytes);
    one(out, "meshping_cache_samples", "gauge", "Samples in it.", cache.samples);
    one(out, "meshping_cache_journal_bytes", "gauge", "Of its memory, for blocks that are not joined yet.",
        cache.journal_bytes);
    family(out, "meshping_build_info", "gauge", "The server's version.");
    text_printf(out, "meshping_build_info{version=\"%s\"} 1\n", meshping_version());
}

static void put_process(text_buffer *out, const server *s)
{
    struct rusage usage = {0};
    uint64_t pages = 0, descriptors = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file) {
        if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
            pages = 0;
        fclose(file);
    }
    DIR *dir = opendir("/proc/self/fd");
    if (dir) {
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
            descriptors += entry->d_name[0] != '.';
        closedir(dir);
        descriptors--; /* the folder's own */
    }
    getrusage(RUSAGE_SELF, &usage);
    family(out, "process_start_time_seconds", "gauge", "Start of the process since the Unix epoch.");
    text_printf(out, "process_start_time_seconds %.3f\n", (double)s->started_unix_ms / 1000);
    one(out, "process_resident_memory_bytes", "gauge", "Resident memory.", pages * (uint64_t)sysconf(_SC_PAGESIZE));
    family(out, "process_cpu_seconds_total", "counter", "User and system time spent.");
    text_printf(out, "process_cpu_seconds_total %.6f\n",
                (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                    (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
    one(out, "process_open_fds", "gauge", "Open file descriptors.", descriptors);
}

void metrics_get(http_exchange *x)
{
    text_buffer out = {0};
    if (!token_matches(x) && !address_allowed(x)) {
        http_respond_problem(x, 403, "/metrics needs the token of metrics_token_file, or an address of metrics_allow");
        return;
    }
    put_agents(&out, x->server);
    put_samples(&out, &x->server->counters);
    put_store(&out, x->server->store, (uint64_t)x->server->config.database_max_size);
    put_alarms(&out, x->server);
    put_server(&out, x->server);
    put_process(&out, x->server);
    http_respond_text(x, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}
