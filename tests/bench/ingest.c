/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full mesh's samples through a real meshpingd: real TLS sessions, real frames, a real file, acks after the commit.
 * The server, the agents and the reader are processes of their own, so the CPU of each is its own.
 */
#include "ingest.h"

#include "bench.h"
#include "store_peers.h"
#include <errno.h>
#include <getopt.h>
#include <meshping/store.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_S 120

/* ---- the server ---- */

typedef struct server_process {
    pid_t pid;
    double ready_ms; /* from its start to 200 on /readyz */
} server_process;

static bool read_port(const char *log, uint16_t *port)
{
    char line[1024];
    unsigned number = 0;
    FILE *file = fopen(log, "re");
    while (file && !number && fgets(line, sizeof line, file)) {
        char *at = strstr(line, "(port ");
        if (at)
            sscanf(at, "(port %u)", &number);
    }
    if (file)
        fclose(file);
    *port = (uint16_t)number;
    return number != 0;
}

static bool is_ready(uint16_t port)
{
    char *body = NULL;
    size_t length;
    SSL_CTX *ctx = ingest_tls();
    SSL *tls = ctx ? ingest_connect(ctx, port, "localhost") : NULL;
    int status = tls ? ingest_get(tls, "/readyz", &body, &length) : -1;
    free(body);
    if (tls)
        close(SSL_get_fd(tls));
    SSL_free(tls);
    SSL_CTX_free(ctx);
    return status == 200;
}

static bool start_server(ingest_setting *o, server_process *server)
{
    char log[INGEST_PATH_MAX + 20];
    double start_ms = ingest_now_ms();
    snprintf(log, sizeof log, "%s/server.log", o->mesh.directory);
    unlink(log);
    server->pid = fork();
    if (server->pid == 0) {
        FILE *file = freopen(log, "w", stderr);
        if (file)
            execl(o->meshpingd, "meshpingd", "--state-dir", o->mesh.directory, "--listen", "127.0.0.1:0", (char *)NULL);
        perror(o->meshpingd);
        _exit(127);
    }
    while (ingest_now_ms() - start_ms < READY_S * 1000) {
        struct timespec pause = {.tv_nsec = 5000000};
        if (waitpid(server->pid, NULL, WNOHANG) != 0)
            break;
        if (read_port(log, &o->mesh.port) && is_ready(o->mesh.port)) {
            server->ready_ms = ingest_now_ms() - start_ms;
            return true;
        }
        nanosleep(&pause, NULL);
    }
    fprintf(stderr, "meshping-bench ingest: %s did not become ready; its log is %s\n", o->meshpingd, log);
    return false;
}

static double cpu_seconds(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file && fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    if (file)
        fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static double peak_bytes(pid_t pid)
{
    char path[64], line[256];
    unsigned long kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && !kilobytes && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %lu", &kilobytes);
    if (file)
        fclose(file);
    return (double)kilobytes * 1024;
}

static bool stop_server(const server_process *server)
{
    int status = 0;
    kill(server->pid, SIGTERM);
    return waitpid(server->pid, &status, 0) == server->pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- the run ---- */

/* The hour that was filled in is told as it was measured. */
static bool check_hour(const ingest_setting *o, SSL *tls, uint32_t agent, uint32_t target)
{
    char path[256], *body = NULL, *want = NULL;
    size_t length = 0, size = 0;
    FILE *text = open_memstream(&want, &size);
    if (!text)
        return false;
    fputs("\"rtt_us\":[", text);
    for (int64_t round = o->filled_from + 1; round < o->filled_to; round++) {
        meshping_sample sample = ingest_sample(agent, target, round);
        if (round > o->filled_from + 1)
            fputc(',', text);
        if (sample.outcome == MESHPING_OUTCOME_OK)
            fprintf(text, "%u", sample.rtt_us);
        else
            fputs("null", text);
    }
    fputs("],", text);
    fclose(text);
    snprintf(path, sizeof path, "/api/v1/series?agent=%016llx&target=%u&from_ms=%lld&to_ms=%lld",
             (unsigned long long)ingest_agent_id(agent), target + 1,
             (long long)((o->filled_from + 1) * INGEST_STEP_US / 1000),
             (long long)(o->filled_to * INGEST_STEP_US / 1000));
    bool same = ingest_get(tls, path, &body, &length) == 200 && strstr(body, want);
    if (!same)
        fprintf(stderr, "meshping-bench ingest: GET %s is not what was stored: %.300s\n", path, body ? body : "");
    free(body);
    free(want);
    return same;
}

static bool check_hours(const ingest_setting *o)
{
    SSL_CTX *ctx = ingest_tls();
    SSL *tls = ctx ? ingest_connect(ctx, o->mesh.port, "localhost") : NULL;
    bool good = tls != NULL;
    for (uint32_t i = 0; good && i < 20; i++)
        good = check_hour(o, tls, i * 7919 % o->mesh.agents, i * 104729 % o->mesh.targets);
    if (tls)
        close(SSL_get_fd(tls));
    SSL_free(tls);
    SSL_CTX_free(ctx);
    return good;
}

/* What is stored of some pairs is what their agents sent, all of what was acked, once. */
static bool verify(const ingest_setting *o)
{
    meshping_store *store = NULL;
    meshping_store_options options;
    meshping_error err = {0};
    char path[INGEST_PATH_MAX + 20];
    bool good = true;
    meshping_store_options_init(&options);
    snprintf(path, sizeof path, "%s/meshping.db", o->mesh.directory);
    options.path = path;
    options.read_only = true;
    if (meshping_store_open(&store, &options, &err) != MESHPING_OK)
        return ingest_said(path, &err);
    for (uint32_t i = 0; good && i < 20; i++) {
        uint32_t agent = i * 7919 % o->mesh.agents, target = i * 104729 % o->mesh.targets;
        meshping_series back;
        size_t fresh = 0, want_fresh = 0;
        if (meshping_store_series(store, ingest_agent_id(agent), target + 1, INT64_MIN, INT64_MAX, &back, &err) !=
            MESHPING_OK)
            good = ingest_said("reading back", &err);
        good = good && back.damaged_count == 0;
        for (size_t k = 0; good && k < back.count; k++) {
            const meshping_sample *sample = &back.samples[k];
            meshping_sample want = ingest_sample(agent, target, sample->slot_unix_us / INGEST_STEP_US);
            good = want.slot_unix_us == sample->slot_unix_us && want.rtt_us == sample->rtt_us &&
                   want.outcome == sample->outcome;
            fresh += sample->slot_unix_us >= o->mesh.stored_us + INGEST_STEP_US;
        }
        meshping_sample last = ingest_sample_until(agent, target, o->mesh.acked_us[agent]);
        want_fresh = (size_t)(last.slot_unix_us / INGEST_STEP_US - o->filled_to);
        good = good && fresh == want_fresh;
        if (!good)
            fprintf(stderr, "meshping-bench ingest: agent %u, target %u: %zu samples, %zu were acked\n", agent, target,
                    fresh, want_fresh);
        meshping_series_dispose(&back);
    }
    meshping_store_close(store);
    return good;
}

typedef struct helpers {
    int ready[2], go[2], stop[2], load[2], queries[2], seen[2];
    pid_t agents, reader, viewer;
} helpers;

static bool start_helpers(const ingest_setting *o, helpers *h)
{
    if (pipe(h->ready) || pipe(h->go) || pipe(h->stop) || pipe(h->load) || pipe(h->queries) || pipe(h->seen))
        return false;
    h->agents = fork();
    if (h->agents == 0) {
        ingest_load result;
        bool good = ingest_run_agents(&o->mesh, h->ready[1], h->go[0], &result);
        _exit(good && write(h->load[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    h->reader = fork();
    if (h->reader == 0) {
        ingest_queries result;
        char byte;
        bool good = read(h->go[0], &byte, 1) == 1 && ingest_run_queries(&o->mesh, o->day_agents, h->stop[0], &result);
        _exit(good && write(h->queries[1], &result, sizeof result) == sizeof result ? 0 : 1);
    }
    h->viewer = fork();
    if (h->viewer == 0) {
        uint64_t bytes;
        char byte;
        bool good = read(h->go[0], &byte, 1) == 1 && ingest_run_views(&o->mesh, o->views, h->stop[0], &bytes);
        _exit(good && write(h->seen[1], &bytes, sizeof bytes) == sizeof bytes ? 0 : 1);
    }
    close(h->ready[1]);
    close(h->load[1]);
    close(h->queries[1]);
    close(h->seen[1]);
    return h->agents > 0 && h->reader > 0 && h->viewer > 0;
}

static void show(const ingest_setting *o, const char *figure, double value, const char *unit)
{
    bench_figure line = {.bench = "ingest", .figure = figure, .value = value, .unit = unit};
    bench_print(&line, o->json);
}

static void show_latency(const ingest_setting *o, const char *name, const ingest_latency *latency)
{
    char figure[64];
    if (!latency->count)
        return;
    snprintf(figure, sizeof figure, "%s, p50", name);
    show(o, figure, latency->p50_ms, "ms");
    snprintf(figure, sizeof figure, "%s, p99", name);
    show(o, figure, latency->p99_ms, "ms");
    snprintf(figure, sizeof figure, "%s, max", name);
    show(o, figure, latency->max_ms, "ms");
}

static bool measure(ingest_setting *o, const server_process *server)
{
    helpers h = {0};
    ingest_load load = {0};
    ingest_queries queries = {0};
    uint64_t seen = 0;
    char byte = 0;
    if (!start_helpers(o, &h))
        return false;
    bool good = read(h.ready[0], &byte, 1) == 1;
    double cpu_s = cpu_seconds(server->pid), start_ms = ingest_now_ms();
    good = write(h.go[1], "ggg", 3) == 3 && good;
    good = good && read(h.load[0], &load, sizeof load) == sizeof load;
    double wall_s = (ingest_now_ms() - start_ms) / 1000;
    cpu_s = cpu_seconds(server->pid) - cpu_s;
    if (write(h.stop[1], "s", 1) != 1 || read(h.queries[0], &queries, sizeof queries) != sizeof queries ||
        read(h.seen[0], &seen, sizeof seen) != sizeof seen)
        good = false;
    if (!good)
        kill(h.agents, SIGKILL);
    waitpid(h.agents, NULL, 0);
    waitpid(h.reader, NULL, 0);
    waitpid(h.viewer, NULL, 0);
    if (!good)
        return false;
    show(o, "sessions", (double)load.sessions, "agents");
    show(o, "samples sent a second", (double)load.samples_sent / o->mesh.seconds, "samples/s");
    show(o, "bytes sent a sample", (double)load.bytes_sent / (double)load.samples_sent, "bytes");
    show(o, "server's CPU", cpu_s / wall_s, "cores");
    show(o, "server's CPU a sample", cpu_s * 1e6 / (double)load.samples_sent, "us");
    show(o, "server's peak memory", peak_bytes(server->pid) / 1048576, "MiB");
    show(o, "agents' CPU (1 process)", load.cpu_s / wall_s, "cores");
    show_latency(o, "frame to ack", &load.ack);
    show_latency(o, "last hour of a pair, while it is loaded", &queries.loading);
    show_latency(o, "last hour of a pair", &queries.hour);
    show_latency(o, "24 h of a pair", &queries.day);
    if (o->views)
        show(o, "sent to a live view", (double)seen / o->views / wall_s / 1e6, "MB/s");
    show(o, "frames without an ack", (double)(load.frames_sent - load.frames_acked), "frames");
    if (load.lost_sessions || load.frames_sent != load.frames_acked || queries.failed) {
        fprintf(stderr, "meshping-bench ingest: %llu sessions lost, %llu questions failed\n",
                (unsigned long long)load.lost_sessions, (unsigned long long)queries.failed);
        good = false;
    }
    good = stop_server(server) && good;
    show(o, "state directory", bench_directory_bytes(o->mesh.directory) / 1048576, "MiB");
    return verify(o) && good;
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(ingest_setting *o)
{
    char directory[] = "/var/tmp/meshping-bench-XXXXXX";
    server_process server = {0};
    if (!mkdtemp(directory)) {
        perror("meshping-bench ingest: /var/tmp");
        return 1;
    }
    snprintf(o->mesh.directory, sizeof o->mesh.directory, "%s", directory);
    o->mesh.acked_us = mmap(NULL, o->mesh.agents * sizeof *o->mesh.acked_us, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    raise_descriptors();
    signal(SIGPIPE, SIG_IGN);
    bool good = o->mesh.acked_us != MAP_FAILED && ingest_prepare(o) && start_server(o, &server);
    if (good)
        show(o, o->hour ? "ready, an hour in the journal" : "ready", server.ready_ms, "ms");
    good = good && (!(o->hour || o->steady) || check_hours(o)) && measure(o, &server);
    if (server.pid > 0)
        kill(server.pid, SIGKILL);
    if (good || !getenv("MESHPING_BENCH_KEEP"))
        bench_directory_remove(directory);
    return good ? 0 : 1;
}

static void usage(FILE *out)
{
    fputs("Usage: meshping-bench ingest [--json] [--agents N] [--targets N] [--seconds N] [--hour | --steady]\n"
          "                             [--day-agents N] [--views N] [--meshpingd FILE]\n"
          "  --agents, --targets   the mesh: 1000 each; every agent sends a block of all targets every 5 s\n"
          "  --seconds             how long: 180\n"
          "  --hour                an hour of all pairs is in the journal before the server starts, none of it joined\n"
          "  --steady              that hour is there as a server has it that never stopped: joined as it came\n"
          "  --day-agents N        24 hours of the first N agents are there, for questions of 24 hours\n"
          "  --views N             so many live views are open\n"
          "  --meshpingd FILE      the server: the one beside this program\n",
          out);
}

static bool number(uint32_t *out, const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end || !*text || value < 1 || value > most)
        return false;
    *out = (uint32_t)value;
    return true;
}

int ingest_main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},
        {"agents", required_argument, NULL, 'a'},
        {"targets", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 's'},
        {"hour", no_argument, NULL, 'H'},
        {"steady", no_argument, NULL, 'S'},
        {"day-agents", required_argument, NULL, 'd'},
        {"views", required_argument, NULL, 'v'},
        {"meshpingd", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static char beside[INGEST_PATH_MAX];
    ingest_setting o = {.mesh = {.agents = 1000, .targets = 1000, .seconds = 180}, .meshpingd = beside};
    ssize_t length = readlink("/proc/self/exe", beside, sizeof beside - 16);
    char *name = length > 0 ? strrchr(beside, '/') : NULL;
    strcpy(name ? name + 1 : beside, "meshpingd");
    bool good = true;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'h') {
            usage(stdout);
            return 0;
        }
        if (option == 'j')
            o.json = true;
        else if (option == 'H')
            o.hour = true;
        else if (option == 'S')
            o.steady = true;
        else if (option == 'm')
            o.meshpingd = optarg;
        else if (option == 'a')
            good = good && number(&o.mesh.agents, optarg, 20000);
        else if (option == 't')
            good = good && number(&o.mesh.targets, optarg, MESHPING_TARGETS_MAX);
        else if (option == 's')
            good = good && number(&o.mesh.seconds, optarg, 86400);
        else if (option == 'v')
            good = good && number(&o.views, optarg, INGEST_VIEWS_MAX);
        else if (option == 'd')
            good = good && number(&o.day_agents, optarg, 20000);
        else
            good = false;
    }
    if (!good || optind != argc || o.day_agents > o.mesh.agents || (o.hour && o.steady)) {
        usage(stderr);
        return 2;
    }
    return run(&o);
}
