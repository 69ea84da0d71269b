/* SPDX-License-Identifier: Apache-2.0 */
#include "probe_peers.h"

#include "bench.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 10
#define PORT 19374
#define ADDRESS_BYTES 16

static const char *const programs[] = {"/usr/bin/prometheus-smokeping-prober", "/usr/bin/smokeping_prober",
                                       "/usr/local/bin/smokeping_prober"};

typedef struct argument_list {
    char (*text)[ADDRESS_BYTES];
    const char **all; /* some of the caller's, then the addresses, then NULL */
} argument_list;

static bool make_arguments(argument_list *out, const char *const *first, size_t count, unsigned targets)
{
    out->text = calloc(targets, sizeof *out->text);
    out->all = calloc(count + targets + 1, sizeof *out->all);
    if (!out->text || !out->all)
        return false;
    memcpy(out->all, first, count * sizeof *out->all);
    for (unsigned i = 0; i < targets; i++) {
        snprintf(out->text[i], sizeof out->text[i], "127.0.%u.%u", (i + 1) >> 8 & 0xff, (i + 1) & 0xff);
        out->all[count + i] = out->text[i];
    }
    return true;
}

static void free_arguments(argument_list *arguments)
{
    free(arguments->text);
    free(arguments->all);
}

/* Sums the lines of /metrics that start with a name. */
static bool read_metrics(double *requests, double *responses)
{
    static const char ask[] = "GET /metrics HTTP/1.0\r\n\r\n";
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char line[4096];
    struct timeval patience = {.tv_sec = 5};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    FILE *stream = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!stream || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
        connect(fd, (struct sockaddr *)&server, sizeof server) != 0 ||
        write(fd, ask, sizeof ask - 1) != (ssize_t)(sizeof ask - 1)) {
        if (stream)
            fclose(stream);
        else if (fd >= 0)
            close(fd);
        return false;
    }
    *requests = *responses = 0;
    while (fgets(line, sizeof line, stream)) {
        const char *value = strrchr(line, ' ');
        if (value && strncmp(line, "smokeping_requests_total{", 25) == 0)
            *requests += strtod(value, NULL);
        else if (value && strncmp(line, "smokeping_response_duration_seconds_count{", 42) == 0)
            *responses += strtod(value, NULL);
    }
    fclose(stream);
    return true;
}

static bool run_smokeping(const char *program, unsigned targets, bench_cost *cost, double *missed)
{
    char listen[64];
    argument_list arguments;
    struct rusage usage;
    double requests = 0, responses = 0;
    snprintf(listen, sizeof listen, "--web.listen-address=127.0.0.1:%d", PORT);
    const char *const first[] = {program, listen, "--ping.interval=1s", "--log.level=error"};
    bool good = make_arguments(&arguments, first, 4, targets);
    pid_t child = good ? fork() : -1;
    if (child == 0) {
        execv(program, (char *const *)(uintptr_t)arguments.all);
        _exit(127);
    }
    free_arguments(&arguments);
    if (child < 0)
        return false;
    int64_t started = meshping_now_read().mono_ns;
    sleep(SECONDS);
    good = read_metrics(&requests, &responses);
    for (int i = 0; i < SECONDS && !good;
         i++) { /* it listens when it has started its pingers, which may take a while */
        sleep(1);
        good = read_metrics(&requests, &responses);
    }
    cost->wall_s = (double)(meshping_now_read().mono_ns - started) / 1e9;
    kill(child, SIGKILL);
    if (wait4(child, NULL, 0, &usage) != child || !good || requests <= 0)
        return false;
    cost->cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    /* what was sent in the last moment may still be answered */
    *missed = responses + targets >= requests ? 0 : 100 * (requests - targets - responses) / (requests - targets);
    return true;
}

/* Adds up the summaries that `ping --json` wrote. */
static bool read_summaries(const char *path, double *missed)
{
    char line[4096];
    double sent = 0, received = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    while (fgets(line, sizeof line, file)) {
        const char *a = strstr(line, "\"sent\":"), *b = strstr(line, "\"received\":");
        if (strstr(line, "\"summary\":true") && a && b) {
            sent += strtod(a + 7, NULL);
            received += strtod(b + 11, NULL);
        }
    }
    fclose(file);
    *missed = sent > 0 ? 100 * (sent - received) / sent : 0;
    return sent > 0;
}

bool smokeping_compare(const char *agent, unsigned targets, bool json)
{
    const char *program = NULL, *const first[] = {agent, "ping", "--json", "-i", "1", "-c", "10"};
    char output[] = "/tmp/meshping-bench-XXXXXX";
    argument_list arguments = {0};
    bench_cost ours = {0}, theirs = {0};
    double missed = 0, our_missed = 0;

    for (size_t i = 0; i < sizeof programs / sizeof *programs && !program; i++)
        if (access(programs[i], X_OK) == 0)
            program = programs[i];
    if (!program)
        return true;
    int fd = mkstemp(output);
    bool good = fd >= 0 && make_arguments(&arguments, first, 7, targets);
    good = good && bench_measure(&ours, arguments.all, output, NULL, NULL) && read_summaries(output, &our_missed);
    free_arguments(&arguments);
    if (fd >= 0) {
        close(fd);
        unlink(output);
    }
    if (!good || !run_smokeping(program, targets, &theirs, &missed)) {
        fprintf(stderr, "meshping-bench: %s could not be compared\n", good ? program : agent);
        return good;
    }
    bench_print(&(bench_figure){"probe", "cpu_percent_each_second", "% of a core", 100 * ours.cpu_s / ours.wall_s,
                                "smokeping_prober", 100 * theirs.cpu_s / theirs.wall_s},
                json);
    bench_print(&(bench_figure){"probe", "missed_each_second", "% of replies", our_missed, "smokeping_prober", missed},
                json);
    return true;
}
