/* SPDX-License-Identifier: Apache-2.0 */
#include "ping_print.h"

#include "line.h"
#include <string.h>

static void add_flags(text_line *line, uint16_t flags)
{
    static const struct {
        uint16_t flag;
        const char *name;
    } names[] = {
        {MESHPING_FLAG_LATE_SEND, "late_send"},
        {MESHPING_FLAG_CLOCK, "clock"},
        {MESHPING_FLAG_RX_DROPS, "rx_drops"},
        {MESHPING_FLAG_COARSE_TIME, "coarse_time"},
    };
    const char *before = "\"";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag) {
            line_text(line, before);
            line_text(line, names[i].name);
            line_text(line, "\"");
            before = ",\"";
        }
}

static void add_count(text_line *line, const char *before, uint64_t number)
{
    line_text(line, before);
    line_number(line, number);
}

static void add_time(text_line *line, const char *before, uint64_t us)
{
    line_text(line, before);
    line_ms(line, us);
}

static void add_errno(text_line *line, int sys_errno)
{
    if (sys_errno == 0)
        return;
    line_text(line, ",\"error\":\"");
    line_text(line, strerrorname_np(sys_errno));
    line_text(line, "\"");
}

/* Nothing in a target needs escaping. */
void ping_print_json(const char *target, const meshping_probe_result *result)
{
    text_line line;
    const meshping_sample *sample = &result->sample;
    bool ok = sample->outcome == MESHPING_OUTCOME_OK;

    line.length = 0;
    line_text(&line, "{\"target\":\"");
    line_text(&line, target);
    line_text(&line, "\",\"address\":\"");
    line_address(&line, &result->address);
    add_count(&line, "\",\"seq\":", result->sequence);
    line_text(&line, ",\"timestamp\":\"");
    line_time(&line, result->sent_unix_ns ? result->sent_unix_ns / 1000 : sample->slot_unix_us);
    line_text(&line, ok ? "\",\"result\":\"ok\",\"latency\":" : "\",\"result\":\"fail\",\"latency\":");
    line_ms(&line, ok ? sample->rtt_us : 0);
    line_text(&line, ",\"reason\":\"");
    line_text(&line, ok ? "" : meshping_outcome_name(sample->outcome));
    line_text(&line, "\",\"flags\":[");
    add_flags(&line, sample->flags);
    line_text(&line, "]");
    if (meshping_outcome_classify(sample->outcome) == MESHPING_CLASS_LOCAL_ERROR)
        line_text(&line, ",\"local_error\":true");
    if (result->via_loopback)
        line_text(&line, ",\"via_loopback\":true");
    add_errno(&line, result->sys_errno);
    if (!ok && result->from.family) {
        line_text(&line, ",\"from\":\"");
        line_address(&line, &result->from);
        add_count(&line, "\",\"icmp_type\":", result->icmp_type);
        add_count(&line, ",\"icmp_code\":", result->icmp_code);
    }
    if (result->mtu)
        add_count(&line, ",\"mtu\":", result->mtu);
    line_text(&line, "}");
    line_end(&line, stdout);
}

void ping_print_live(const char *target, const meshping_probe_result *result)
{
    char address[MESHPING_ADDRESS_TEXT_MAX];
    const meshping_sample *sample = &result->sample;
    bool ok = sample->outcome == MESHPING_OUTCOME_OK;
    text_line line;

    line.length = 0;
    line_text(&line, target);
    if (*meshping_address_format(&result->address, address) && strcmp(address, target) != 0) {
        line_text(&line, " (");
        line_text(&line, address);
        line_text(&line, ")");
    }
    add_count(&line, " : [", result->sequence);
    line_text(&line, "], ");
    if (ok) {
        line_ms(&line, sample->rtt_us);
        line_text(&line, " ms");
    } else {
        line_text(&line, meshping_outcome_name(sample->outcome));
    }
    if (result->sys_errno) {
        line_text(&line, ": ");
        line_text(&line, strerror(result->sys_errno));
    } else if (!ok && result->from.family) {
        line_text(&line, " (");
        line_address(&line, &result->from);
        add_count(&line, ", type ", result->icmp_type);
        add_count(&line, " code ", result->icmp_code);
        line_text(&line, ")");
    }
    if (sample->flags & MESHPING_FLAG_CLOCK)
        line_text(&line, " (the clock was set)");
    line_end(&line, stdout);
}

/* How many misses of a class, and why: "timeout 2, unreachable 1". */
static void add_misses(text_line *line, const char *title, uint64_t count, const ping_stats *stats,
                       meshping_outcome_class class)
{
    const char *before = " (";
    if (count == 0)
        return;
    add_count(line, title, count);
    for (unsigned i = 0; stats->misses && i < MESHPING_OUTCOME_COUNT; i++) {
        if (!stats->misses[i] || meshping_outcome_classify(i) != class)
            continue;
        line_text(line, before);
        line_text(line, meshping_outcome_name(i));
        add_count(line, " ", stats->misses[i]);
        before = ", ";
    }
    if (!stats->misses)
        return;
    if (class == MESHPING_CLASS_LOCAL_ERROR && stats->sys_errno) {
        line_text(line, ": ");
        line_text(line, strerror(stats->sys_errno));
    }
    line_text(line, ")");
}

/* ,"reasons":{"timeout":2,"send_error":1},"error":"ENETUNREACH" */
static void add_json_misses(text_line *line, const ping_stats *stats)
{
    const char *before = ",\"reasons\":{\"";
    for (unsigned i = 0; i < MESHPING_OUTCOME_COUNT; i++) {
        if (!stats->misses[i])
            continue;
        line_text(line, before);
        line_text(line, meshping_outcome_name(i));
        add_count(line, "\":", stats->misses[i]);
        before = ",\"";
    }
    line_text(line, "}");
    add_errno(line, stats->sys_errno);
}

/* {"cookie":3}: the reasons that there were. */
static void add_reasons(text_line *line, const uint32_t *by)
{
    const char *before = "{\"";
    for (unsigned i = 0; i < MESHPING_REJECT_COUNT; i++) {
        if (!by[i])
            continue;
        line_text(line, before);
        line_text(line, meshping_reject_name(i));
        add_count(line, "\":", by[i]);
        before = ",\"";
    }
    line_text(line, "}");
}

void ping_print_json_summary(const char *target, uint8_t family, const ping_stats *stats, const ping_summary *summary,
                             const meshping_prober_target_stats *counts)
{
    text_line line;
    line.length = 0;
    line_text(&line, "{\"target\":\"");
    line_text(&line, target);
    line_text(&line, "\"");
    if (family)
        add_count(&line, ",\"family\":", family);
    add_count(&line, ",\"summary\":true,\"sent\":", stats->sent);
    add_count(&line, ",\"received\":", stats->received);
    add_count(&line, ",\"lost\":", stats->lost);
    add_count(&line, ",\"local_errors\":", stats->local_errors);
    if (stats->misses)
        add_json_misses(&line, stats);
    add_count(&line, ",\"duplicates\":", counts->duplicates);
    add_count(&line, ",\"late\":", counts->late);
    add_count(&line, ",\"rejected\":", counts->rejected);
    if (counts->rejected) {
        line_text(&line, ",\"rejected_by\":");
        add_reasons(&line, counts->rejected_by);
    }
    add_time(&line, ",\"min\":", summary->min);
    add_time(&line, ",\"avg\":", summary->avg);
    add_time(&line, ",\"max\":", summary->max);
    add_time(&line, ",\"p50\":", summary->p50);
    add_time(&line, ",\"p95\":", summary->p95);
    add_time(&line, ",\"p99\":", summary->p99);
    add_time(&line, ",\"jitter\":", summary->jitter);
    line_text(&line, "}");
    line_end(&line, stdout);
}

static void add_loss(text_line *line, uint64_t lost, uint64_t judged)
{
    char text[32] = "0";
    if (lost)
        snprintf(text, sizeof text, "%.3g", 100.0 * (double)lost / (double)judged);
    line_text(line, text);
    line_text(line, "%");
}

void ping_print_summary(const char *target, uint8_t family, const ping_stats *stats, const ping_summary *summary,
                        const meshping_prober_target_stats *counts)
{
    text_line line;
    line.length = 0;
    line_text(&line, target);
    if (family)
        line_text(&line, family == MESHPING_FAMILY_IPV4 ? " (IPv4)" : " (IPv6)");
    add_count(&line, " : xmt/rcv/%loss = ", stats->sent);
    add_count(&line, "/", stats->received);
    line_text(&line, "/");
    add_loss(&line, stats->lost, stats->received + stats->lost);
    if (stats->received) {
        add_time(&line, ", min/avg/max = ", summary->min);
        add_time(&line, "/", summary->avg);
        add_time(&line, "/", summary->max);
    }
    if (stats->received > 1) {
        add_time(&line, ", p50/p95/p99 = ", summary->p50);
        add_time(&line, "/", summary->p95);
        add_time(&line, "/", summary->p99);
        add_time(&line, ", jitter = ", summary->jitter);
    }
    add_misses(&line, ", lost = ", stats->lost, stats, MESHPING_CLASS_FAIL);
    add_misses(&line, ", local errors = ", stats->local_errors, stats, MESHPING_CLASS_LOCAL_ERROR);
    if (counts->duplicates || counts->late || counts->rejected) {
        add_count(&line, ", dup/late/rejected = ", counts->duplicates);
        add_count(&line, "/", counts->late);
        add_count(&line, "/", counts->rejected);
    }
    line_end(&line, stdout);
}

void ping_print_totals(bool json, const meshping_prober_stats *stats)
{
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {
        {"sent", stats->sent},       {"received", stats->received},         {"duplicates", stats->duplicates},
        {"late", stats->late},       {"local_errors", stats->local_errors}, {"rx_drops", stats->rx_drops},
        {"foreign", stats->foreign}, {"rejected", stats->rejected},
    };
    text_line line;
    line.length = 0;
    line_text(&line, json ? "{\"totals\":true" : "totals :");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        line_text(&line, json ? ",\"" : i ? ", " : " ");
        line_text(&line, counts[i].name);
        add_count(&line, json ? "\":" : " = ", counts[i].count);
    }
    line_text(&line, json ? ",\"rejected_by\":{" : " (");
    for (unsigned i = 0; i < MESHPING_REJECT_COUNT; i++) {
        line_text(&line, i ? json ? ",\"" : ", " : json ? "\"" : "");
        line_text(&line, meshping_reject_name(i));
        add_count(&line, json ? "\":" : " ", stats->rejected_by[i]);
    }
    line_text(&line, json ? "}}" : ")");
    line_end(&line, stdout);
}
