/* SPDX-License-Identifier: Apache-2.0 */
/* `meshping-agent ping`: the probe engine without a server. */
#include "ping.h"

#include "ping_options.h"
#include "ping_stats.h"
#include <errno.h>
#include <meshping/privileges.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TIMESTAMPS_READY_MS 5

typedef struct ping_run {
    ping_options options;
    meshping_prober *prober;
    ping_stats *stats;         /* one a target, by id - 1 */
    uint64_t verdicts, wanted; /* wanted 0: until Ctrl-C */
    bool live;                 /* a line a probe, for a person */
} ping_run;

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static void format_time(char *out, size_t size, int64_t unix_us)
{
    time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t used = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + used, size - used, ".%03uZ", (unsigned)(unix_us % 1000000 / 1000));
}

static void print_flags(uint16_t flags)
{
    static const struct {
        uint16_t flag;
        const char *name;
    } names[] = {
        {MESHPING_FLAG_LATE_SEND, "late_send"}, {MESHPING_FLAG_CLOCK, "clock"},
        {MESHPING_FLAG_RX_DROPS, "rx_drops"},   {MESHPING_FLAG_COARSE_TIME, "coarse_time"},
        {MESHPING_FLAG_DUPLICATE, "duplicate"},
    };
    const char *comma = "";
    putchar('[');
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (flags & names[i].flag) {
            printf("%s\"%s\"", comma, names[i].name);
            comma = ",";
        }
    putchar(']');
}

/* Targets have passed meshping_host_canonical: nothing in them needs escaping. */
static void print_json_probe(const char *target, const meshping_probe_result *result)
{
    char address[MESHPING_ADDRESS_TEXT_MAX], from[MESHPING_ADDRESS_TEXT_MAX], when[40];
    const meshping_sample *sample = &result->sample;
    bool ok = sample->outcome == MESHPING_OUTCOME_OK;

    format_time(when, sizeof when, result->sent_unix_ns ? result->sent_unix_ns / 1000 : sample->slot_unix_us);
    printf("{\"target\":\"%s\",\"address\":\"%s\",\"seq\":%llu,\"timestamp\":\"%s\",\"result\":\"%s\",\"latency\":%.3f,"
           "\"reason\":\"%s\",\"flags\":",
           target, meshping_address_format(&result->address, address), (unsigned long long)result->sequence, when,
           ok ? "ok" : "fail", ok ? sample->rtt_us / 1000.0 : 0.0, ok ? "" : meshping_outcome_name(sample->outcome));
    print_flags(sample->flags);
    if (meshping_outcome_classify(sample->outcome) == MESHPING_CLASS_LOCAL_ERROR)
        printf(",\"local_error\":true");
    if (result->via_loopback)
        printf(",\"via_loopback\":true");
    if (result->sys_errno)
        printf(",\"error\":\"%s\"", strerrorname_np(result->sys_errno));
    if (!ok && result->from.family)
        printf(",\"from\":\"%s\",\"icmp_type\":%u,\"icmp_code\":%u", meshping_address_format(&result->from, from),
               result->icmp_type, result->icmp_code);
    if (result->mtu)
        printf(",\"mtu\":%u", result->mtu);
    puts("}");
}

static void print_live(const char *target, const meshping_probe_result *result)
{
    char address[MESHPING_ADDRESS_TEXT_MAX], from[MESHPING_ADDRESS_TEXT_MAX];
    meshping_address_format(&result->address, address);
    printf("%s%s%s%s : [%llu], ", target, strcmp(address, target) && *address ? " (" : "",
           strcmp(address, target) ? address : "", strcmp(address, target) && *address ? ")" : "",
           (unsigned long long)result->sequence);
    if (result->sample.outcome == MESHPING_OUTCOME_OK)
        printf("%.3f ms", result->sample.rtt_us / 1000.0);
    else
        printf("%s", meshping_outcome_name(result->sample.outcome));
    if (result->sys_errno)
        printf(": %s", strerror(result->sys_errno));
    else if (result->sample.outcome != MESHPING_OUTCOME_OK && result->from.family)
        printf(" (%s, type %u code %u)", meshping_address_format(&result->from, from), result->icmp_type,
               result->icmp_code);
    if (result->sample.flags & MESHPING_FLAG_CLOCK)
        printf(" (the clock was set)");
    putchar('\n');
}

static void on_result(void *user, const meshping_probe_result *result)
{
    ping_run *run = user;
    size_t index = result->target_id - 1;
    run->verdicts++;
    ping_stats_add(&run->stats[index], result);
    if (run->options.json)
        print_json_probe(run->options.labels[index], result);
    else if (run->live)
        print_live(run->options.labels[index], result);
}

static void print_json_summary(const char *target, const ping_stats *stats, const ping_summary *summary,
                               const meshping_prober_target_stats *counts)
{
    printf("{\"target\":\"%s\",\"summary\":true,\"sent\":%llu,\"received\":%llu,\"lost\":%llu,\"local_errors\":%llu,"
           "\"duplicates\":%llu,\"late\":%llu,\"rejected\":%llu,",
           target, (unsigned long long)stats->sent, (unsigned long long)stats->received,
           (unsigned long long)stats->lost, (unsigned long long)stats->local_errors,
           (unsigned long long)counts->duplicates, (unsigned long long)counts->late,
           (unsigned long long)counts->rejected);
    printf("\"min\":%.3f,\"avg\":%.3f,\"max\":%.3f,\"p50\":%.3f,\"p95\":%.3f,\"p99\":%.3f,\"jitter\":%.3f}\n",
           summary->min, summary->avg, summary->max, summary->p50, summary->p95, summary->p99, summary->jitter);
}

static void print_summary(const char *target, const ping_stats *stats, const ping_summary *summary,
                          const meshping_prober_target_stats *counts)
{
    uint64_t judged = stats->received + stats->lost;
    printf("%s : xmt/rcv/%%loss = %llu/%llu/%.3g%%", target, (unsigned long long)stats->sent,
           (unsigned long long)stats->received, judged ? 100.0 * (double)stats->lost / (double)judged : 0.0);
    if (stats->received)
        printf(", min/avg/max = %.3f/%.3f/%.3f", summary->min, summary->avg, summary->max);
    if (stats->received > 1)
        printf(", p50/p95/p99 = %.3f/%.3f/%.3f, jitter = %.3f", summary->p50, summary->p95, summary->p99,
               summary->jitter);
    if (stats->local_errors)
        printf(", local errors = %llu", (unsigned long long)stats->local_errors);
    if (counts->duplicates || counts->late || counts->rejected)
        printf(", dup/late/rejected = %llu/%llu/%llu", (unsigned long long)counts->duplicates,
               (unsigned long long)counts->late, (unsigned long long)counts->rejected);
    putchar('\n');
}

static bool print_summaries(ping_run *run)
{
    bool all_reachable = true;
    for (size_t i = 0; i < run->options.targets.count; i++) {
        meshping_prober_target_stats counts = {0};
        ping_summary summary;
        (void)meshping_prober_get_target_stats(run->prober, i + 1, &counts);
        ping_stats_summarise(&run->stats[i], &summary);
        (run->options.json ? print_json_summary : print_summary)(run->options.labels[i], &run->stats[i], &summary,
                                                                 &counts);
        if (run->stats[i].received == 0)
            all_reachable = false;
    }
    return all_reachable;
}

static void wait_for_work(const ping_run *run, const sigset_t *unblocked)
{
    struct pollfd watched = {.fd = meshping_prober_fd(run->prober), .events = POLLIN};
    int64_t deadline = meshping_prober_deadline_ns(run->prober);
    int64_t wait_ns = deadline == INT64_MAX ? INT64_C(3600000000000) : deadline - meshping_now_read().mono_ns;
    if (wait_ns <= 0)
        return;
    struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
    fflush(stdout);
    (void)ppoll(&watched, 1, &wait, unblocked);
}

static void probe(ping_run *run)
{
    sigset_t ours, before;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigemptyset(&ours);
    sigaddset(&ours, SIGINT);
    sigaddset(&ours, SIGTERM);
    /* delivered only within ppoll: none is missed between the test and the wait */
    sigprocmask(SIG_BLOCK, &ours, &before);
    while (!stop_asked && (run->wanted == 0 || run->verdicts < run->wanted)) {
        meshping_now now = meshping_now_read();
        meshping_prober_process(run->prober, &now);
        if (run->wanted == 0 || run->verdicts < run->wanted)
            wait_for_work(run, &before);
        sigset_t pending;
        if (sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM)))
            break; /* flat out, ppoll is not reached */
    }
}

static bool start(ping_run *run, meshping_error *err)
{
    meshping_prober_options options;
    meshping_prober_options_init(&options);
    options.on_result = on_result;
    options.user = run;
    options.max_targets = PING_TARGETS_MAX;
    options.paced = run->options.interval_ms != 0;
    options.probes_per_target = run->options.count;
    options.start_now = true;
    run->stats = calloc(run->options.targets.count, sizeof *run->stats);
    if (!run->stats) {
        meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        return false;
    }
    if (meshping_prober_new(&run->prober, &options, err) != MESHPING_OK || meshping_privileges_drop(err) != MESHPING_OK)
        return false;
    /* the kernel starts to stamp packets a moment after a first socket has asked for it */
    (void)poll(NULL, 0, TIMESTAMPS_READY_MS);
    meshping_now now = meshping_now_read();
    return meshping_prober_set_targets(run->prober, &run->options.targets, &now, err) == MESHPING_OK;
}

int ping_main(int argc, char **argv)
{
    ping_run run = {0};
    meshping_error err = {0};
    int code = 2;

    if (!ping_options_parse(&run.options, argc, argv))
        goto out;
    if (run.options.help) {
        fputs(ping_usage, stdout);
        code = 0;
        goto out;
    }
    run.live = !run.options.json && isatty(STDOUT_FILENO);
    if (run.live && run.options.targets.count == 1 && !run.options.count_given)
        run.options.count = 0;
    run.wanted = run.options.count * run.options.targets.count;
    if (!start(&run, &err)) {
        fprintf(stderr, "meshping-agent ping: %s\n", err.message);
        goto out;
    }
    probe(&run);
    code = print_summaries(&run) ? 0 : 1;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "meshping-agent ping: cannot write the output: %s\n", strerror(errno));
        code = 2;
    }
out:
    for (size_t i = 0; run.stats && i < run.options.targets.count; i++)
        ping_stats_dispose(&run.stats[i]);
    free(run.stats);
    meshping_prober_free(run.prober);
    ping_options_dispose(&run.options);
    return code;
}
