/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ping to each of N loopback addresses, as fast as replies come home: `meshping-agent ping`, fping and a bare
 * sendmsg/recvmmsg loop that does nothing else, in turn, several times; medians. CPU is user + system of the process.
 */
#include "bench.h"
#include "core/icmp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX 99
#define BARE_WINDOW 64

typedef struct cost {
    double cpu_us, wall_s;
} cost;

typedef struct probe_bench {
    unsigned targets, runs;
    bool json;
    char list[64]; /* file of targets */
    char agent[4096];
} probe_bench;

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Runs a program to its end without its output; false: it could not be started, or failed. */
static bool measure(cost *out, const char *const *command)
{
    int64_t started = meshping_now_read().mono_ns;
    struct rusage usage;
    int status;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execvp(command[0], (char *const *)(uintptr_t)command);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    out->wall_s = (double)(meshping_now_read().mono_ns - started) / 1e9;
    out->cpu_us = (seconds(usage.ru_utime) + seconds(usage.ru_stime)) * 1e6;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static unsigned address_of(unsigned target)
{
    return 0x7f000001u + target; /* 127.0.0.1 and on */
}

static bool write_targets(probe_bench *bench)
{
    snprintf(bench->list, sizeof bench->list, "/tmp/meshping-bench-XXXXXX");
    int fd = mkstemp(bench->list);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file)
        return false;
    for (unsigned i = 0; i < bench->targets; i++) {
        struct in_addr address = {.s_addr = htonl(address_of(i))};
        char text[INET_ADDRSTRLEN];
        fprintf(file, "%s\n", inet_ntop(AF_INET, &address, text, sizeof text));
    }
    return fclose(file) == 0;
}

/* The least that a ping costs here: build, send, receive, count; nothing is checked or kept. */
static bool bare_loop(unsigned targets)
{
    static uint8_t buffers[BARE_WINDOW][256];
    struct mmsghdr messages[BARE_WINDOW] = {0};
    struct iovec vectors[BARE_WINDOW];
    uint8_t packet[64];
    unsigned sent = 0, received = 0;
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP), on = 1, idle = 0;
    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    for (size_t i = 0; i < BARE_WINDOW; i++) {
        vectors[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    while (received < targets && idle < 1000) {
        for (unsigned i = 0; i < BARE_WINDOW / 2 && sent < targets; i++, sent++) {
            struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address_of(sent))};
            meshping__icmp_build_echo(packet, MESHPING_FAMILY_IPV4, 0x4242, (uint16_t)sent, sent, sent, 56);
            if (sendto(fd, packet, sizeof packet, 0, (struct sockaddr *)&to, sizeof to) < 0)
                break;
        }
        int count = recvmmsg(fd, messages, BARE_WINDOW, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++)
            received += buffers[i][20] == 0; /* the raw socket sees the requests too */
        idle = count > 0 ? 0 : idle + 1;
    }
    close(fd);
    return received == targets;
}

static bool measure_bare(cost *out, unsigned targets)
{
    int64_t started = meshping_now_read().mono_ns;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    bool good = bare_loop(targets);
    getrusage(RUSAGE_SELF, &after);
    out->wall_s = (double)(meshping_now_read().mono_ns - started) / 1e9;
    out->cpu_us =
        (seconds(after.ru_utime) - seconds(before.ru_utime) + seconds(after.ru_stime) - seconds(before.ru_stime)) * 1e6;
    return good;
}

static bool run(const probe_bench *bench)
{
    const char *const ours[] = {bench->agent, "ping", "-i", "0", "-c", "1", "-f", bench->list, NULL};
    const char *const fping[] = {"fping", "-q", "-i", "0", "-c", "1", "-t", "3000", "-f", bench->list, NULL};
    double cpu[3][RUNS_MAX], wall[3][RUNS_MAX];
    cost one;
    bool with_fping = true;

    for (unsigned i = 0; i < bench->runs; i++) {
        if (!measure(&one, ours)) {
            fprintf(stderr,
                    "meshping-bench: %s ping failed: not every loopback address answered, or no right to ping\n",
                    bench->agent);
            return false;
        }
        cpu[0][i] = one.cpu_us / bench->targets;
        wall[0][i] = one.wall_s;
        with_fping = with_fping && measure(&one, fping);
        cpu[1][i] = one.cpu_us / bench->targets;
        wall[1][i] = one.wall_s;
        if (!measure_bare(&one, bench->targets)) {
            fprintf(stderr, "meshping-bench: the bare loop failed: no raw socket, or replies were lost\n");
            return false;
        }
        cpu[2][i] = one.cpu_us / bench->targets;
        wall[2][i] = one.wall_s;
    }
    double ours_cpu = bench_median(cpu[0], bench->runs), ours_wall = bench_median(wall[0], bench->runs);
    const char *peer = with_fping ? "fping" : NULL;
    bench_print(&(bench_figure){"probe", "cpu_per_ping", "us", ours_cpu, peer, bench_median(cpu[1], bench->runs)},
                bench->json);
    bench_print(&(bench_figure){"probe", "wall", "s", ours_wall, peer, bench_median(wall[1], bench->runs)},
                bench->json);
    bench_print(
        &(bench_figure){"probe", "cpu_per_ping_bare", "us", ours_cpu, "bare_loop", bench_median(cpu[2], bench->runs)},
        bench->json);
    bench_print(&(bench_figure){"probe", "wall_bare", "s", ours_wall, "bare_loop", bench_median(wall[2], bench->runs)},
                bench->json);
    return true;
}

/* The program beside this one; else the one in PATH. */
static void find_agent(probe_bench *bench)
{
    char self[4000] = "";
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = 0;
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = 0;
    snprintf(bench->agent, sizeof bench->agent, "%s/meshping-agent", self);
    if (access(bench->agent, X_OK) != 0)
        snprintf(bench->agent, sizeof bench->agent, "meshping-agent");
}

int probe_main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"targets", required_argument, NULL, 't'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    probe_bench bench = {.targets = 20000, .runs = 3};

    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (code == 'j') {
            bench.json = true;
        } else if (code == 't' && number >= 1 && number <= 1000000) {
            bench.targets = (unsigned)number;
        } else if (code == 'r' && number >= 1 && number <= RUNS_MAX) {
            bench.runs = (unsigned)number;
        } else {
            fputs("Usage: meshping-bench probe [--json] [--targets 20000] [--runs 3]\n", code == 'h' ? stdout : stderr);
            return code == 'h' ? 0 : 2;
        }
    }
    find_agent(&bench);
    if (!write_targets(&bench)) {
        fprintf(stderr, "meshping-bench: cannot write a list of targets: %s\n", strerror(errno));
        return 2;
    }
    bool good = run(&bench);
    unlink(bench.list);
    return good ? 0 : 1;
}
