/* SPDX-License-Identifier: Apache-2.0 */
/*
 * meshping-sim: a TUN device behind which hosts answer pings with seeded delay, jitter, loss and bad replies, and a log
 * of what really happened. For tests and the demo; needs root (or CAP_NET_ADMIN) and iproute2.
 */
#include "packets.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOSTS_MAX 4096
#define PENDING_MAX 1000000
#define PACKET_MAX 65536
#define BURST 256 /* packets read before those due are written */

extern char **environ;

typedef struct pending {
    int64_t due_ns, read_ns;
    int64_t empty_ns; /* when nothing was there to read yet: the request came after it */
    uint8_t *packet;
    size_t length;
    const char *what; /* static text for the log */
    request about;    /* its packet pointer is not valid any more */
} pending;

typedef struct sim {
    int tun;
    char device[IFNAMSIZ];
    profile *hosts;
    size_t host_count;
    pending *heap;
    size_t heap_count, heap_capacity;
    meshping_address router4, router6;
    FILE *log;
    uint64_t random, seed;
    bool busy; /* polls without sleeping */
    int64_t started_ns, empty_ns;
    uint64_t requests, written, overflows;
} sim;

static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

static int64_t read_mono(void)
{
    return meshping_now_read().mono_ns;
}

static uint32_t draw(sim *s)
{
    uint64_t z = s->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) >> 32);
}

static bool chance(sim *s, double probability)
{
    return probability > 0 && draw(s) < probability * 4294967296.0;
}

static int run_ip(const char *const *arguments)
{
    pid_t child;
    int status = 0;
    if (posix_spawnp(&child, "ip", NULL, NULL, (char *const *)(uintptr_t)arguments, environ) != 0)
        return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define IP(...) run_ip((const char *const[]){"ip", __VA_ARGS__, NULL})

static bool open_device(sim *s)
{
    struct ifreq request_device = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    memcpy(request_device.ifr_name, s->device, IFNAMSIZ);
    s->tun = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (s->tun < 0 || ioctl(s->tun, TUNSETIFF, &request_device) != 0) {
        fprintf(stderr, "meshping-sim: cannot make the device %s: %s\n", s->device, strerror(errno));
        return false;
    }
    return IP("link", "set", s->device, "txqueuelen", "20000", "up") == 0;
}

static bool add_routes(const sim *s)
{
    for (size_t i = 0; i < s->host_count; i++) {
        char text[MESHPING_ADDRESS_TEXT_MAX], network[MESHPING_ADDRESS_TEXT_MAX + 8];
        snprintf(network, sizeof network, "%s/%u", meshping_address_format(&s->hosts[i].network, text),
                 s->hosts[i].prefix);
        if (IP("route", "replace", network, "dev", s->device) != 0)
            return false;
    }
    return true;
}

static void log_line(sim *s, const request *about, const char *event, const char *detail, int64_t hold_ns,
                     int64_t hold_max_ns)
{
    char from[MESHPING_ADDRESS_TEXT_MAX], to[MESHPING_ADDRESS_TEXT_MAX];
    if (!s->log)
        return;
    fprintf(s->log,
            "{\"time_ns\":%lld,\"source\":\"%s\",\"target\":\"%s\",\"id\":%u,\"seq\":%u,\"event\":\"%s\",\"what\":"
            "\"%s\",\"hold_us\":%.3f,\"hold_max_us\":%.3f}\n",
            (long long)meshping_now_read().unix_ns, meshping_address_format(&about->from, from),
            meshping_address_format(&about->to, to), about->identifier, about->sequence, event, detail,
            (double)hold_ns / 1000.0, (double)hold_max_ns / 1000.0);
}

static void swap(pending *a, pending *b)
{
    pending c = *a;
    *a = *b;
    *b = c;
}

/* Takes `packet` over. */
static void push(sim *s, const pending *one)
{
    if (s->heap_count == s->heap_capacity && s->heap_count < PENDING_MAX) {
        size_t capacity = s->heap_capacity ? s->heap_capacity * 2 : 1024;
        pending *grown = realloc(s->heap, capacity * sizeof *grown);
        if (grown) {
            s->heap = grown;
            s->heap_capacity = capacity;
        }
    }
    if (s->heap_count == s->heap_capacity) {
        s->overflows++;
        free(one->packet);
        return;
    }
    size_t at = s->heap_count++;
    s->heap[at] = *one;
    for (; at && s->heap[at].due_ns < s->heap[(at - 1) / 2].due_ns; at = (at - 1) / 2)
        swap(&s->heap[at], &s->heap[(at - 1) / 2]);
}

static pending pop(sim *s)
{
    pending first = s->heap[0];
    s->heap[0] = s->heap[--s->heap_count];
    s->heap[s->heap_count].packet = NULL; /* it has moved */
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < s->heap_count && s->heap[child].due_ns < s->heap[least].due_ns)
                least = child;
        if (least == at)
            return first;
        swap(&s->heap[at], &s->heap[least]);
        at = least;
    }
}

typedef enum answer_kind { ANSWER_REPLY, ANSWER_UNREACHABLE, ANSWER_PROHIBITED, ANSWER_FORGED } answer_kind;

static void answer(sim *s, const request *req, answer_kind kind, profile_forgery forgery, const char *what,
                   int64_t read_ns, int64_t delay_ns)
{
    pending one = {
        .due_ns = read_ns + delay_ns, .read_ns = read_ns, .empty_ns = s->empty_ns, .what = what, .about = *req};
    one.packet = malloc(req->length + 256);
    if (!one.packet) {
        s->overflows++;
        return;
    }
    const meshping_address *router = req->to.family == MESHPING_FAMILY_IPV4 ? &s->router4 : &s->router6;
    if (kind == ANSWER_REPLY)
        one.length = packet_reply(one.packet, req);
    else if (kind == ANSWER_FORGED)
        one.length = packet_forge(one.packet, req, forgery, draw(s));
    else
        one.length = packet_error(one.packet, req, router->family ? router : &req->to, kind == ANSWER_PROHIBITED);
    push(s, &one);
}

static const profile *find_host(const sim *s, const meshping_address *address)
{
    for (size_t i = 0; i < s->host_count; i++)
        if (profile_covers(&s->hosts[i], address))
            return &s->hosts[i];
    return NULL;
}

static void take_request(sim *s, const request *req, int64_t read_ns)
{
    const profile *host = find_host(s, &req->to);
    if (!host)
        return;
    s->requests++;
    int64_t delay = host->delay_ns + (int64_t)((double)host->jitter_ns * draw(s) / 4294967296.0);
    bool forged = chance(s, host->forge);
    if (forged) {
        profile_forgery kind = host->kind == FORGE_ANY ? (profile_forgery)(draw(s) % FORGE_COUNT) : host->kind;
        answer(s, req, ANSWER_FORGED, kind, profile_forgery_name(kind), read_ns, delay / 2);
    }
    const char *fate = "reply";
    if (host->flap_ns && (read_ns - s->started_ns) / host->flap_ns % 2 == 1)
        fate = "down";
    else if (chance(s, host->loss) || (forged && host->instead))
        fate = "lost";
    else if (chance(s, host->unreachable))
        fate = "unreachable";
    else if (chance(s, host->prohibited))
        fate = "prohibited";
    log_line(s, req, "request", fate, 0, 0);
    if (fate[0] == 'u' || fate[0] == 'p')
        answer(s, req, fate[0] == 'u' ? ANSWER_UNREACHABLE : ANSWER_PROHIBITED, FORGE_ANY, fate, read_ns, delay);
    if (strcmp(fate, "reply") != 0)
        return;
    const char *what = "reply";
    if (chance(s, host->late)) {
        delay += host->late_ns;
        what = "late";
    } else if (chance(s, host->reorder)) {
        delay += host->delay_ns + host->jitter_ns + 1000000;
        what = "reordered";
    }
    answer(s, req, ANSWER_REPLY, FORGE_ANY, what, read_ns, delay);
    if (chance(s, host->duplicate))
        answer(s, req, ANSWER_REPLY, FORGE_ANY, "duplicate", read_ns, delay + 100000);
}

static void write_one(sim *s, const pending *one)
{
    int64_t held_ns = read_mono() - one->read_ns; /* before the write: a reply is never there sooner */
    if (write(s->tun, one->packet, one->length) == (ssize_t)one->length) {
        s->written++;
        log_line(s, &one->about, "answer", one->what, held_ns, read_mono() - one->empty_ns);
    } else {
        s->overflows++;
        log_line(s, &one->about, "failed", one->what, 0, 0);
    }
}

static void write_due(sim *s)
{
    while (s->heap_count && s->heap[0].due_ns <= read_mono()) {
        pending one = pop(s);
        write_one(s, &one);
        free(one.packet);
    }
}

static bool serve(sim *s)
{
    static uint8_t packet[PACKET_MAX];
    s->started_ns = read_mono();
    while (!stop_asked) {
        struct pollfd watched = {.fd = s->tun, .events = POLLIN};
        int64_t wait_ns = s->heap_count ? s->heap[0].due_ns - read_mono() : 1000000000;
        if (wait_ns > 0 && !s->busy) {
            struct timespec wait = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
            if (ppoll(&watched, 1, &wait, NULL) < 0 && errno != EINTR)
                return false;
        }
        for (int i = 0; i < BURST; i++) {
            int64_t asked_ns = read_mono();
            ssize_t length = read(s->tun, packet, sizeof packet);
            request req;
            if (length < 0) {
                s->empty_ns = asked_ns;
                break;
            }
            if (packet_parse(&req, packet, (size_t)length))
                take_request(s, &req, read_mono());
        }
        write_due(s);
    }
    return true;
}

static const char usage[] =
    "Usage: meshping-sim --device NAME --host HOST... [--address ADDRESS/PREFIX...] [--router ADDRESS...]\n"
    "       [--seed N] [--log FILE] [--busy]\n"
    "Answers pings behind a new TUN device. Adds a route for each HOST and prints `ready` when it answers.\n"
    "  --address  of this side of the device\n"
    "  --router   where ICMP errors come from, one a family, not an address of this side (default: the host)\n"
    "  --log      what really happened, JSON lines: a `request` with its fate, an `answer` with the time it was held,\n"
    "             from its reading on, and at most: from when it was not there yet until it was written\n"
    "  --busy     never sleeps: takes a processor, and no time to wake up\n"
    "  --seed     same seed, same fates for the same order of requests (default 1)\n\n";

static bool add_address(const sim *s, const char *text)
{
    if (strchr(text, ':'))
        return IP("-6", "address", "add", text, "dev", s->device, "nodad") == 0;
    return IP("address", "add", text, "dev", s->device) == 0;
}

static bool set_router(sim *s, const char *text)
{
    meshping_error err;
    meshping_address router;
    if (meshping_address_parse(&router, text, &err) != MESHPING_OK) {
        fprintf(stderr, "meshping-sim: --router: %s\n", err.message);
        return false;
    }
    *(router.family == MESHPING_FAMILY_IPV4 ? &s->router4 : &s->router6) = router;
    return true;
}

static bool add_host(sim *s, const char *text)
{
    meshping_error err;
    profile parsed;
    if (s->host_count == HOSTS_MAX) {
        fprintf(stderr, "meshping-sim: at most %d hosts are allowed\n", HOSTS_MAX);
        return false;
    }
    if (profile_parse(&parsed, text, &err) != MESHPING_OK) {
        fprintf(stderr, "meshping-sim: --host: %s\n", err.message);
        return false;
    }
    profile *grown = realloc(s->hosts, (s->host_count + 1) * sizeof *grown);
    if (!grown)
        return false;
    s->hosts = grown;
    s->hosts[s->host_count++] = parsed;
    return true;
}

static bool parse_options(sim *s, int argc, char **argv, const char **addresses, size_t *address_count,
                          const char **log)
{
    static const struct option options[] = {
        {"device", required_argument, NULL, 'd'},  {"host", required_argument, NULL, 'h'},
        {"address", required_argument, NULL, 'a'}, {"router", required_argument, NULL, 'r'},
        {"seed", required_argument, NULL, 's'},    {"log", required_argument, NULL, 'l'},
        {"busy", no_argument, NULL, 'b'},          {NULL, 0, NULL, 0},
    };
    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (code == 'd' && strlen(optarg) < IFNAMSIZ)
            memcpy(s->device, optarg, strlen(optarg) + 1);
        else if (code == 'a' && *address_count < 8)
            addresses[(*address_count)++] = optarg;
        else if (code == 's')
            s->seed = strtoull(optarg, NULL, 10);
        else if (code == 'l')
            *log = optarg;
        else if (code == 'b')
            s->busy = true;
        else if (code == 'r') {
            if (!set_router(s, optarg))
                return false;
        } else if (code != 'h' || !add_host(s, optarg))
            return false;
    }
    return optind == argc && s->device[0] && s->host_count;
}

int main(int argc, char **argv)
{
    sim s = {.tun = -1, .seed = 1};
    const char *addresses[8], *log = NULL;
    size_t address_count = 0;
    bool good = false;

    if (!parse_options(&s, argc, argv, addresses, &address_count, &log)) {
        fputs(usage, stderr);
        fputs(profile_help, stderr);
        free(s.hosts);
        return 2;
    }
    s.random = s.seed;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    (void)prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
    if (log && !(s.log = fopen(log, "w"))) {
        fprintf(stderr, "meshping-sim: cannot write %s: %s\n", log, strerror(errno));
        goto out;
    }
    if (!open_device(&s))
        goto out;
    for (size_t i = 0; i < address_count; i++)
        if (!add_address(&s, addresses[i]))
            goto out;
    if (!add_routes(&s))
        goto out;
    if (s.log)
        fprintf(s.log, "{\"event\":\"start\",\"seed\":%llu}\n", (unsigned long long)s.seed);
    puts("ready");
    fflush(stdout);
    good = serve(&s);
    if (s.log)
        fprintf(s.log, "{\"event\":\"end\",\"requests\":%llu,\"written\":%llu,\"overflows\":%llu}\n",
                (unsigned long long)s.requests, (unsigned long long)s.written, (unsigned long long)s.overflows);
out:
    for (size_t i = 0; i < s.heap_count; i++)
        free(s.heap[i].packet);
    free(s.heap);
    free(s.hosts);
    if (s.log && fclose(s.log) != 0)
        good = false;
    if (s.tun >= 0)
        close(s.tun);
    return good ? 0 : 1;
}
