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

static void on_result(void *user, const meshping_probe_result *result)
{
    ping_run *run = user;
    size_t index = result->target_id - 1;
    run->verdicts++;
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
        (run->options.json ? ping_print_json_summary : ping_print_summary)(ping_options_label(&run->options, i),
                                                                           &run->stats[i], &summary, &counts);
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

/* Their first probes are spread evenly over the interval. */
static bool add_targets(ping_run *run, meshping_error *err)
{
    size_t count = run->options.target_count;
    meshping_now start = meshping_now_read();
    if (meshping_prober_reserve(run->prober, (uint32_t)count, err) != MESHPING_OK)
        return false;
    for (size_t i = 0; i < count; i++) {
        meshping_target target;
        int64_t delay_ns = (int64_t)(run->options.interval_ms * 1e6 / (double)count * (double)i);
        meshping_now first = {.mono_ns = start.mono_ns + delay_ns, .unix_ns = start.unix_ns + delay_ns};
        ping_options_target(&run->options, i, &target);
        if (meshping_prober_set_target(run->prober, &target, &first, err) != MESHPING_OK)
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
    if (run.live && run.options.target_count == 1 && !run.options.count_given)
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
