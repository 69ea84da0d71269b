/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many agents on one real meshpingd: what a connection holds, what reports cost, how long until all are back after the
 * server was killed, and whether anyone waits while others are served.
 */
#include "agents.h"

#include "bench.h"
#include "crowd.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <meshping/store.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_LIMIT 512
#define DESCRIPTORS_BESIDE 256
#define READY_MS 60000
#define SETTLE_MS 3000
#define BARE_AGENTS 2000 /* of the bare server: each costs the same */

typedef struct bench {
    uint32_t agents, targets, seconds;
    bool json, keep, failed;
    char directory[64];
    char server[PATH_LIMIT];
    struct sockaddr_in address;
    pid_t pid;
    double started_ms, ready_ms;
} bench;

static void figure(const bench *b, const char *name, double value, const char *unit, double peer_value)
{
    bench_figure out = {"agents", name, unit, value, peer_value > 0 ? "a bare libwebsockets server" : NULL, peer_value};
    bench_print(&out, b->json);
}

static bool said(const char *what, const char *why)
{
    fprintf(stderr, "meshping-bench agents: %s: %s\n", what, why);
    return false;
}

/* ---- the mesh ---- */

static meshping_status seed_agents(const bench *b, meshping_store *store, meshping_error *err)
{
    meshping_agent_record *records = calloc(b->agents, sizeof *records), **all = calloc(b->agents, sizeof *all);
    int64_t now_ms = meshping_now_read().unix_ns / 1000000;
    meshping_status status = records && all ? MESHPING_OK : MESHPING_NOMEM;
    for (uint32_t i = 0; i < b->agents && status == MESHPING_OK; i++) {
        uint8_t seed[MESHPING_KEY_LEN];
        struct in_addr address = crowd_address(i);
        all[i] = &records[i];
        records[i] =
            (meshping_agent_record){.id = i + 1, .state = MESHPING_AGENT_APPROVED, .first_seen_ms = now_ms + i};
        inet_ntop(AF_INET, &address, records[i].approved_addresses, sizeof records[i].approved_addresses);
        snprintf(records[i].host_name, sizeof records[i].host_name, "bench-%u", i);
        crowd_seed(seed, i);
        status = meshping_identity_public(records[i].public_key, seed);
    }
    if (status == MESHPING_OK)
        status = meshping_store_agents_save(store, all, b->agents, err);
    free(records);
    free(all);
    return status;
}

static bool seed_store(const bench *b)
{
    char path[PATH_LIMIT];
    meshping_error err = {0};
    meshping_store *store = NULL;
    meshping_store_options options;
    meshping_target_list list = {0};
    snprintf(path, sizeof path, "%s/meshping.db", b->directory);
    meshping_store_options_init(&options);
    options.path = path;
    meshping_status status = meshping_store_open(&store, &options, &err);
    for (uint32_t t = 0; t < b->targets && status == MESHPING_OK; t++) {
        meshping_target target;
        meshping_target_init(&target);
        snprintf(target.host, sizeof target.host, "198.18.%u.%u", t / 250, t % 250 + 1);
        status = meshping_target_list_append(&list, &target, &err);
    }
    if (status == MESHPING_OK)
        status = meshping_store_targets_save(store, &list, &err);
    meshping_target_list_dispose(&list);
    if (status == MESHPING_OK)
        status = seed_agents(b, store, &err);
    if (store)
        meshping_store_close(store);
    return status == MESHPING_OK || said("seeding", err.message);
}

/* ---- processes ---- */

static bool pick_port(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)address, sizeof *address) == 0 &&
                getsockname(fd, (struct sockaddr *)address, &length) == 0;
    if (fd >= 0)
        close(fd);
    return good || said("port", strerror(errno));
}

static bool answers(const bench *b)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && connect(fd, (const struct sockaddr *)&b->address, sizeof b->address) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

static void become_server(const bench *b, bool bare)
{
    char log[PATH_LIMIT], listen_at[64], certificate[PATH_LIMIT], key[PATH_LIMIT];
    uint16_t port = ntohs(b->address.sin_port);
    snprintf(log, sizeof log, "%s/log", b->directory);
    snprintf(listen_at, sizeof listen_at, "127.0.0.1:%u", port);
    snprintf(certificate, sizeof certificate, "%s/server.crt", b->directory);
    snprintf(key, sizeof key, "%s/server.key", b->directory);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
        _exit(127);
    if (bare)
        _exit(bare_serve(port, certificate, key));
    execl(b->server, b->server, "--state-dir", b->directory, "--listen", listen_at, "--log-level", "warning",
          (char *)NULL);
    perror(b->server);
    _exit(127);
}

/* The agents that there are go on meanwhile: some of them come before the server is ready. */
static bool start_server(bench *b, bool bare, crowd *agents)
{
    b->started_ms = crowd_now_ms();
    b->pid = fork();
    if (b->pid == 0)
        become_server(b, bare);
    while (b->pid > 0 && !answers(b)) {
        if (waitpid(b->pid, NULL, WNOHANG) != 0 || crowd_now_ms() > b->started_ms + READY_MS) {
            b->pid = 0;
            return said("the server does not start; its log", b->directory);
        }
        if (agents)
            crowd_pass(agents, crowd_now_ms() + 20);
        else
            usleep(20000);
    }
    b->ready_ms = crowd_now_ms();
    return b->pid > 0;
}

static void end_server(bench *b, int number)
{
    if (b->pid > 0) {
        kill(b->pid, number);
        waitpid(b->pid, NULL, 0);
    }
    b->pid = 0;
}

static double resident_kb(pid_t pid)
{
    char path[64], line[256];
    double value = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "RssAnon:", 8) == 0)
            value = strtod(line + 8, NULL);
    if (file)
        fclose(file);
    return value;
}

static double cpu_s(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (file && !fgets(text, sizeof text, file))
        text[0] = '\0';
    if (file)
        fclose(file);
    const char *at = strrchr(text, ')');
    if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        return 0;
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* ---- the parts ---- */

static bool all_in(const bench *b, crowd *c, bool drained, double until_ms, const char *what)
{
    crowd_figures figures;
    if (crowd_run(c, drained, until_ms))
        return true;
    crowd_look(c, &figures);
    fprintf(stderr,
            "meshping-bench agents: %s: %u of %u are connected; the last trouble: %s; the server's log: %s/log\n", what,
            figures.connected, b->agents, figures.last_trouble, b->directory);
    return false;
}

static double spread_ms(const bench *b)
{
    return 1000.0 * b->agents / 250;
}

/* KB a connection of a server that has nothing but connections. */
static double run_bare(bench *b)
{
    uint32_t agents = b->agents < BARE_AGENTS ? b->agents : BARE_AGENTS;
    crowd_options options = {.agents = agents, .targets = b->targets, .silent = true};
    double kb = 0, before = 0;
    if (!pick_port(&b->address) || !start_server(b, true, NULL))
        return 0;
    options.server = b->address;
    crowd *c = crowd_new(&options);
    before = resident_kb(b->pid);
    if (c && all_in(b, c, false, crowd_now_ms() + spread_ms(b) + 60000, "a bare server"))
        kb = (resident_kb(b->pid) - before) / agents;
    crowd_free(c);
    end_server(b, SIGTERM);
    return kb;
}

static bool join(bench *b, crowd *c, double bare_kb)
{
    crowd_figures figures;
    double before_kb = resident_kb(b->pid), before_s = cpu_s(b->pid);
    if (!all_in(b, c, false, crowd_now_ms() + spread_ms(b) + 120000, "joining"))
        return false;
    figure(b, "join_cpu", (cpu_s(b->pid) - before_s) / b->agents * 1e3, "ms an agent", 0);
    crowd_look(c, &figures);
    figure(b, "join_slowest", figures.join_max_ms, "ms", 0);
    crowd_pass(c, crowd_now_ms() + SETTLE_MS);
    figure(b, "memory", (resident_kb(b->pid) - before_kb) / b->agents, "KB an agent", bare_kb);
    return true;
}

static bool load(bench *b, crowd *c)
{
    crowd_figures figures;
    crowd_begin(c);
    crowd_report(c, true);
    crowd_pass(c, crowd_now_ms() + 10000); /* each has reported before it counts */
    crowd_begin(c);
    double from_ms = crowd_now_ms(), before_s = cpu_s(b->pid);
    crowd_pass(c, from_ms + b->seconds * 1000.0);
    double wall_s = (crowd_now_ms() - from_ms) / 1000;
    double used_s = cpu_s(b->pid) - before_s;
    crowd_look(c, &figures);
    figure(b, "load_cpu", 100 * used_s / wall_s, "% of a core", 0);
    figure(b, "load_samples", (double)figures.blocks_acked * b->targets / wall_s, "samples/s", 0);
    figure(b, "ack_p50", figures.ack_p50_ms, "ms", 0);
    figure(b, "ack_p99", figures.ack_p99_ms, "ms", 0);
    figure(b, "ack_max", figures.ack_max_ms, "ms", 0);
    figure(b, "acks_fewest", figures.acks_min, "of one agent", 0);
    figure(b, "acks_most", figures.acks_max, "of one agent", 0);
    figure(b, "starved", figures.starved, "agents", 0);
    figure(b, "lost_connections", (double)figures.connections_lost, "connections", 0);
    figure(b, "resident", resident_kb(b->pid) / 1024, "MiB", 0);
    return true;
}

static bool restart(bench *b, crowd *c)
{
    crowd_figures figures;
    crowd_begin(c);
    double killed_ms = crowd_now_ms();
    end_server(b, SIGKILL);
    if (!start_server(b, false, c))
        return false;
    if (!all_in(b, c, false, killed_ms + 300000, "coming back"))
        return false;
    double cpu = cpu_s(b->pid);
    crowd_look(c, &figures);
    double back_ms = figures.last_joined_ms;
    crowd_report(c, false);
    if (!all_in(b, c, true, crowd_now_ms() + 60000, "draining"))
        return false;
    double drained_ms = crowd_now_ms();
    crowd_look(c, &figures);
    figure(b, "restart_ready", (b->ready_ms - killed_ms) / 1000, "s", 0);
    figure(b, "restart_all_back", (back_ms - killed_ms) / 1000, "s", 0);
    figure(b, "restart_drained", (drained_ms - killed_ms) / 1000, "s", 0);
    figure(b, "restart_cpu", cpu, "s", 0);
    figure(b, "restart_failed_tries", (double)figures.connects_failed, "connections", 0);
    figure(b, "restart_ack_max", figures.ack_max_ms / 1000, "s", 0);
    return true;
}

static bool run(bench *b)
{
    bool good = false;
    if (!seed_store(b) || !pick_port(&b->address) || !start_server(b, false, NULL))
        return false;
    end_server(b, SIGTERM); /* it has made its certificate: the bare one serves the same */
    double bare_kb = run_bare(b);
    if (!bare_kb || !pick_port(&b->address) || !start_server(b, false, NULL))
        return false;
    crowd_options options = {.agents = b->agents, .targets = b->targets, .server = b->address};
    crowd *c = crowd_new(&options);
    if (c)
        good = join(b, c, bare_kb) && load(b, c) && restart(b, c);
    crowd_free(c);
    end_server(b, SIGTERM);
    return good;
}

/* ---- the command ---- */

static bool raise_limit(const bench *b)
{
    struct rlimit limit;
    rlim_t need = b->agents + DESCRIPTORS_BESIDE;
    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= need)
        return true;
    if (limit.rlim_max < need)
        limit.rlim_max = need;
    limit.rlim_cur = need;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 || said("file descriptors (ulimit -Hn)", strerror(errno));
}

static void find_server(bench *b)
{
    ssize_t length = readlink("/proc/self/exe", b->server, sizeof b->server - 16);
    b->server[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(b->server, '/');
    strcpy(slash ? slash + 1 : b->server, "meshpingd");
}

static void usage(FILE *out)
{
    fputs("Usage: meshping-bench agents [--json] [--agents N] [--targets N] [--seconds N] [--server PATH] [--keep]\n"
          "  --agents N     10000\n"
          "  --targets N    100, in each report, every 5 seconds\n"
          "  --seconds N    60, of reports that are measured\n"
          "  --server PATH  meshpingd beside this program\n"
          "  --keep         leave the server's state in /tmp\n",
          out);
}

static bool read_number(uint32_t *out, const char *text, uint32_t max)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || end == text || value < 1 || value > max)
        return said(text, "not a number, or out of bounds");
    *out = (uint32_t)value;
    return true;
}

static void clear(const bench *b)
{
    char command[PATH_LIMIT];
    snprintf(command, sizeof command, "rm -rf '%s'", b->directory);
    if (!b->keep && system(command) != 0)
        said("cannot remove", b->directory);
}

int agents_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},          {"agents", required_argument, NULL, 'a'},
        {"targets", required_argument, NULL, 't'}, {"seconds", required_argument, NULL, 's'},
        {"server", required_argument, NULL, 'S'},  {"keep", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    bench b = {.agents = 10000, .targets = 100, .seconds = 60};
    int option;
    find_server(&b);
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        bool good = true;
        switch (option) {
        case 'j':
            b.json = true;
            break;
        case 'a':
            good = read_number(&b.agents, optarg, 60000);
            break;
        case 't':
            good = read_number(&b.targets, optarg, 10000);
            break;
        case 's':
            good = read_number(&b.seconds, optarg, 86400);
            break;
        case 'S':
            snprintf(b.server, sizeof b.server, "%s", optarg);
            break;
        case 'k':
            b.keep = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            good = false;
        }
        if (!good) {
            usage(stderr);
            return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    strcpy(b.directory, "/tmp/meshping-agents-XXXXXX");
    if (!raise_limit(&b) || !mkdtemp(b.directory))
        return 1;
    bool good = run(&b);
    b.keep |= !good;
    clear(&b);
    return good ? 0 : 1;
}
