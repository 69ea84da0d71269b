/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One ping to each of N loopback addresses, as fast as replies come home: `meshping-agent ping`, the engine alone,
 * fping and a bare sendmmsg/recvmmsg loop that does nothing else, in turn, several times; medians. Each in a process of
 * its own, whose CPU is user + system from its start to its end: reading the list and a line a target are in it, for
 * fping
 * (-q) as for ours. As root all this happens in a network namespace of its own, where no one else's packets are.
 */
#include "probe_peers.h"

#include "bench.h"
#include "core/icmp.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/icmp.h>
#include <meshping/probe.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SOL_RAW
#define SOL_RAW 255
#endif
#define RUNS_MAX 99
#define BARE_BATCH 64

enum { FPING, OURS, BARE, ENGINE, SUBJECTS }; /* neighbours in time: those that are near each other */

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

bool bench_measure(bench_cost *out, const char *const *command, const char *output, bool (*work)(void *), void *user)
{
    int64_t started = meshping_now_read().mono_ns;
    struct rusage usage;
    int status;
    pid_t child = fork();
    if (child == 0 && work)
        _exit(work(user) ? 0 : 1);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(output ? open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execvp(command[0], (char *const *)(uintptr_t)command);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return false;
    out->wall_s = (double)(meshping_now_read().mono_ns - started) / 1e9;
    out->cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static unsigned address_of(unsigned target)
{
    return 0x7f000001u + target; /* 127.0.0.1 and on */
}

static const char *text_of(unsigned target, char text[INET_ADDRSTRLEN])
{
    struct in_addr address = {.s_addr = htonl(address_of(target))};
    return inet_ntop(AF_INET, &address, text, INET_ADDRSTRLEN);
}

static bool write_targets(probe_bench *bench)
{
    snprintf(bench->list, sizeof bench->list, "/tmp/meshping-bench-XXXXXX");
    int fd = mkstemp(bench->list);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    char text[INET_ADDRSTRLEN];
    if (!file)
        return false;
    for (unsigned i = 0; i < bench->targets; i++)
        fprintf(file, "%s\n", text_of(i, text));
    return fclose(file) == 0;
}

/* What nobody else's pings disturb; without the right to it, the namespace that we are in. */
static void take_own_network(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (unshare(CLONE_NEWNET) != 0)
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)ioctl(fd, SIOCSIFFLAGS, &loopback);
        close(fd);
    }
}

typedef struct bare {
    struct mmsghdr in[BARE_BATCH], out[BARE_BATCH];
    struct iovec in_vectors[BARE_BATCH], out_vectors[BARE_BATCH];
    struct sockaddr_in to[BARE_BATCH];
    uint8_t received[BARE_BATCH][256], sent[BARE_BATCH][64];
} bare;

/* The least that a ping costs here: build, send, receive, count; nothing is checked, timed or kept. */
static bool bare_loop(void *user)
{
    unsigned targets = ((const probe_bench *)user)->targets, sent = 0, received = 0, idle = 0;
    static bare b;
    struct icmp_filter only_replies = {.data = ~(1u << ICMP_ECHOREPLY)};
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    if (fd < 0 || setsockopt(fd, SOL_RAW, ICMP_FILTER, &only_replies, sizeof only_replies) != 0)
        return false;
    for (size_t i = 0; i < BARE_BATCH; i++) {
        b.in_vectors[i] = (struct iovec){b.received[i], sizeof b.received[i]};
        b.out_vectors[i] = (struct iovec){b.sent[i], sizeof b.sent[i]};
        b.in[i].msg_hdr = (struct msghdr){.msg_iov = &b.in_vectors[i], .msg_iovlen = 1};
        b.out[i].msg_hdr = (struct msghdr){
            .msg_name = &b.to[i], .msg_namelen = sizeof b.to[i], .msg_iov = &b.out_vectors[i], .msg_iovlen = 1};
    }
    while (received < targets && idle < 1000) {
        unsigned batch = targets - sent < BARE_BATCH ? targets - sent : BARE_BATCH;
        for (unsigned i = 0; i < batch; i++) {
            uint32_t address = htonl(address_of(sent + i));
            b.to[i] = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = address};
            meshping__icmp_build_echo(b.sent[i], MESHPING_FAMILY_IPV4, 0x4242, (uint16_t)(sent + i), sent + i, 0, 56);
        }
        int went = batch ? sendmmsg(fd, b.out, batch, 0) : 0;
        int came = recvmmsg(fd, b.in, BARE_BATCH, MSG_DONTWAIT, NULL);
        sent += went > 0 ? (unsigned)went : 0;
        received += came > 0 ? (unsigned)came : 0;
        idle = came > 0 ? 0 : idle + 1;
    }
    close(fd);
    return received == targets;
}

static void count_replies(void *user, const meshping_probe_result *result)
{
    uint32_t *counts = user; /* verdicts, replies */
    counts[0]++;
    counts[1] += result->sample.outcome == MESHPING_OUTCOME_OK;
}

/* The engine without the program around it: no list to read, no statistics, no output. */
static bool engine_alone(void *user)
{
    uint32_t targets = ((const probe_bench *)user)->targets, counts[2] = {0};
    meshping_prober *prober;
    meshping_prober_options options;
    meshping_target target;
    char text[INET_ADDRSTRLEN];

    meshping_prober_options_init(&options);
    options.on_result = count_replies;
    options.user = counts;
    options.max_targets = targets;
    options.paced = false;
    options.probes_per_target = 1;
    if (meshping_prober_new(&prober, &options, NULL) != MESHPING_OK ||
        meshping_prober_reserve(prober, targets, NULL) != MESHPING_OK)
        return false;
    meshping_target_init(&target);
    meshping_now now = meshping_now_read();
    for (uint32_t i = 0; i < targets; i++) {
        target.id = i + 1;
        snprintf(target.host, sizeof target.host, "%s", text_of(i, text));
        if (meshping_prober_set_target(prober, &target, &now, NULL) != MESHPING_OK)
            return false;
    }
    while (counts[0] < targets) {
        struct pollfd watched = {.fd = meshping_prober_fd(prober), .events = POLLIN};
        now = meshping_now_read();
        meshping_prober_process(prober, &now);
        if (counts[0] < targets && meshping_prober_deadline_ns(prober) > now.mono_ns)
            (void)poll(&watched, 1, 1);
    }
    meshping_prober_free(prober);
    return counts[1] == targets;
}

static void print_ratios(const probe_bench *bench, const char *subject, const double *cpu, const double *wall,
                         const char *peer, const double *peer_cpu, const double *peer_wall)
{
    char name[2][64];
    snprintf(name[0], sizeof name[0], "%s_cpu_per_ping", subject);
    snprintf(name[1], sizeof name[1], "%s_wall", subject);
    bench_print(
        &(bench_figure){"probe", name[0], "us", *cpu * 1e6 / bench->targets, peer, *peer_cpu * 1e6 / bench->targets},
        bench->json);
    bench_print(&(bench_figure){"probe", name[1], "s", *wall, peer, *peer_wall}, bench->json);
}

static bool run(probe_bench *bench)
{
    const char *const ours[] = {bench->agent, "ping", "-i", "0", "-c", "1", "-f", bench->list, NULL};
    const char *const fping[] = {"fping", "-q", "-i", "0", "-c", "1", "-t", "3000", "-f", bench->list, NULL};
    const struct {
        const char *const *command;
        bool (*work)(void *);
        const char *failed;
    } subjects[SUBJECTS] = {
        {fping, NULL, NULL},
        {ours, NULL, "meshping-agent ping: not every loopback address answered, or no right to ping"},
        {NULL, bare_loop, "the bare loop: no raw socket, or replies were lost"},
        {NULL, engine_alone, "the engine: not every loopback address answered, or no right to ping"},
    };
    double cpu[SUBJECTS][RUNS_MAX], wall[SUBJECTS][RUNS_MAX];
    bool with_fping = true;

    for (unsigned i = 0; i < bench->runs; i++)
        for (size_t k = 0; k < SUBJECTS; k++) {
            bench_cost one = {0};
            if ((k != FPING || with_fping) &&
                !bench_measure(&one, subjects[k].command, NULL, subjects[k].work, bench)) {
                if (subjects[k].failed) {
                    fprintf(stderr, "meshping-bench: %s\n", subjects[k].failed);
                    return false;
                }
                with_fping = false;
            }
            cpu[k][i] = one.cpu_s;
            wall[k][i] = one.wall_s;
        }
    for (size_t k = 0; k < SUBJECTS; k++) {
        cpu[k][0] = bench_median(cpu[k], bench->runs);
        wall[k][0] = bench_median(wall[k], bench->runs);
    }
    print_ratios(bench, "ping", cpu[OURS], wall[OURS], with_fping ? "fping" : NULL, cpu[FPING], wall[FPING]);
    print_ratios(bench, "ping", cpu[OURS], wall[OURS], "bare_loop", cpu[BARE], wall[BARE]);
    print_ratios(bench, "engine", cpu[ENGINE], wall[ENGINE], "bare_loop", cpu[BARE], wall[BARE]);
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
    probe_bench bench = {.targets = 50000, .runs = 7};

    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;
        if (code == 'j') {
            bench.json = true;
        } else if (code == 't' && number >= 1 && number <= 1000000) {
            bench.targets = (unsigned)number;
        } else if (code == 'r' && number >= 1 && number <= RUNS_MAX) {
            bench.runs = (unsigned)number;
        } else {
            fputs("Usage: meshping-bench probe [--json] [--targets 50000] [--runs 7]\n", code == 'h' ? stdout : stderr);
            return code == 'h' ? 0 : 2;
        }
    }
    find_agent(&bench);
    take_own_network();
    if (!write_targets(&bench)) {
        fprintf(stderr, "meshping-bench: cannot write a list of targets: %s\n", strerror(errno));
        return 2;
    }
    bool good = run(&bench) && smokeping_compare(bench.agent, bench.targets < 1000 ? bench.targets : 1000, bench.json);
    unlink(bench.list);
    return good ? 0 : 1;
}
