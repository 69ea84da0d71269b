/* SPDX-License-Identifier: Apache-2.0 */
/* `meshping-agent ping`: the probe engine without a server. */
#include "ping.h"

#include "ping_options.h"
#include "ping_print.h"
#include "ping_stats.h"
#include <errno.h>
#include <meshping/privileges.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMESTAMPS_READY_MS 5
#define OUTPUT_BYTES (64 << 10) /* written at once, and before each wait */
#define LIVE_TARGETS_MAX 100    /* of more, nobody reads the lines */
#define PROGRESS_MS 200

typedef struct ping_run {
    ping_options options;
    meshping_prober *prober;
    ping_stats *stats;         /* one a target, by id - 1 */
    uint64_t verdicts, wanted; /* wanted 0: until Ctrl-C */
    uint64_t unanswered;
    bool live;     /* a line a probe, for a person */
    bool progress; /* instead of them, for a person with many targets */
    int64_t progress_due_ns;
} ping_run;

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static void on_result(void *user, const meshping_probe_result *result)
{
    ping_run *run = user;
    size_t index = result->target_id - 1;
    run->verdicts++;
    run->unanswered += result->sample.outcome != MESHPING_OUTCOME_OK;
    ping_stats_add(&run->stats[index], result);
    if (run->options.json)
        ping_print_json(ping_options_label(&run->options, index), result);
    else if (run->live)
        ping_print_live(ping_options_label(&run->options, index), result);
}

static bool print_summaries(ping_run *run)
{
    bool all_reachable = true;
    for (size_t i = 0; i < run->options.target_count; i++) {
        meshping_prober_target_stats counts = {0};
        ping_summary summary;
        (void)meshping_prober_get_target_stats(run->prober, i + 1, &counts);
        ping_stats_summarise(&run->stats[i], &summary);
        (run->options.json ? ping_print_json_summary : ping_print_summary)(
            ping_options_label(&run->options, i), run->options.both ? ping_options_family(&run->options, i) : 0,
            &run->stats[i], &summary, &counts);
        if (run->stats[i].received == 0)
            all_reachable = false;
    }
    if (run->options.stats) {
        meshping_prober_stats totals;
        meshping_prober_get_stats(run->prober, &totals);
        ping_print_totals(run->options.json, &totals);
    }
    return all_reachable;
}

/* One line that is written again and again; `last`: it goes. */
static void show_progress(ping_run *run, bool last)
{
    int64_t now_ns = meshping_now_read().mono_ns;
    if (!run->progress || (!last && now_ns < run->progress_due_ns))
        return;
    run->progress_due_ns = now_ns + PROGRESS_MS * INT64_C(1000000);
    if (last)
        fputs("\r\033[K", stderr);
    else if (run->wanted)
        fprintf(stderr, "\r\033[K%llu of %llu probes are done (%u %%), %llu without an answer",
                (unsigned long long)run->verdicts, (unsigned long long)run->wanted,
                (unsigned)(run->verdicts * 100 / run->wanted), (unsigned long long)run->unanswered);
    else
        fprintf(stderr, "\r\033[K%llu probes are done, %llu without an answer; Ctrl-C ends",
                (unsigned long long)run->verdicts, (unsigned long long)run->unanswered);
}

static void wait_for_work(const ping_run *run, const sigset_t *unblocked)
{
    struct pollfd watched = {.fd = meshping_prober_fd(run->prober), .events = POLLIN};
    int64_t deadline = meshping_prober_deadline_ns(run->prober);
    int64_t wait_ns = deadline == INT64_MAX ? INT64_C(3600000000000) : deadline - meshping_now_read().mono_ns;
    if (run->progress && wait_ns > PROGRESS_MS * INT64_C(1000000))
        wait_ns = PROGRESS_MS * INT64_C(1000000);
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
        show_progress(run, false);
        if (run->wanted == 0 || run->verdicts < run->wanted)
            wait_for_work(run, &before);
        sigset_t pending;
        if (sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM)))
            break; /* flat out, ppoll is not reached */
    }
    show_progress(run, true);
}

/* Their first probes are spread evenly over the interval. */
static bool add_targets(ping_run *run, meshping_error *err)
{
    size_t count = run->options.target_count;
    meshping_now start = meshping_now_read();
    if (meshping_prober_reserve(run->prober, (uint32_t)count, err) != MESHPING_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        int64_t delay_ns = (int64_t)(run->options.interval_ms * 1e6 / (double)count * (double)i);
        meshping_now first = {.mono_ns = start.mono_ns + delay_ns, .unix_ns = start.unix_ns + delay_ns};
        if (meshping_prober_set_target(run->prober, ping_options_target(&run->options, i), &first, err) != MESHPING_OK)
            return false;
    }
    return true;
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
    run->stats = calloc(run->options.target_count, sizeof *run->stats);
    if (!run->stats) {
        meshping_error_set(err, MESHPING_NOMEM, "out of memory");
        return false;
    }
    if (meshping_prober_new(&run->prober, &options, err) != MESHPING_OK || meshping_privileges_drop(err) != MESHPING_OK)
        return false;
    /* the kernel starts to stamp packets a moment after a first socket has asked for it */
    (void)poll(NULL, 0, TIMESTAMPS_READY_MS);
    return add_targets(run, err);
}

int ping_main(int argc, char **argv)
{
    static char output[OUTPUT_BYTES]; /* stdout's until the process ends */
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
    bool terminal = !run.options.json && isatty(STDOUT_FILENO), many = run.options.target_count > LIVE_TARGETS_MAX;
    run.live = terminal && !many;
    if (!terminal)
        (void)setvbuf(stdout, output, _IOFBF, sizeof output); /* without memory of ours glibc takes a page's */
    run.progress = many && isatty(STDERR_FILENO);
    if (terminal && run.options.target_count == 1 && !run.options.count_given)
        run.options.count = 0;
    run.wanted = run.options.count * run.options.target_count;
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
    for (size_t i = 0; run.stats && i < run.options.target_count; i++)
        ping_stats_dispose(&run.stats[i]);
    free(run.stats);
    meshping_prober_free(run.prober);
    ping_options_dispose(&run.options);
    return code;
}
