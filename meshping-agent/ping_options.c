/* SPDX-License-Identifier: Apache-2.0 */
#include "ping_options.h"

#include "ping_range.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

const char ping_usage[] =
    "Usage: meshping-agent ping [OPTION...] [TARGET...]\n"
    "Probes targets by ICMP echo, without a server, and sums up round-trip times and losses of each.\n"
    "\n"
    "Targets\n"
    "  TARGET                  an address, a host name, or a range: 10.0.0.0/24 is 10.0.0.1 to 10.0.0.254 (of IPv6 "
    "all\n"
    "                          addresses of the prefix); at most 1000000 in all\n"
    "  -f, --file FILE         more of them, one a line, '#' starts a comment; '-': standard input\n"
    "  -4, -6                  IPv4 or IPv6 only\n"
    "      --both              each host name twice, by IPv4 and by IPv6 (default: the address that comes first)\n"
    "\n"
    "Probes\n"
    "  -c, --count N           of each target, 0: until Ctrl-C (default 1; one target on a terminal: 0)\n"
    "  -i, --interval SECONDS  between a target's probes, 0.1 to 3600, the targets spread over it (default 1);\n"
    "                          0: as fast as the replies come home\n"
    "  -W, --timeout SECONDS   wait for a reply, 0.01 to 60 (default 3)\n"
    "  -s, --size BYTES        ICMP payload, 16 to 65000 (default 56)\n"
    "      --dscp N            0 to 63 (default 0)\n"
    "      --ttl N             time to live, 1 to 255 (default: the system's)\n"
    "  -S, --source ADDRESS    send from this address of this host\n"
    "  -I, --interface NAME    send by this interface\n"
    "  -M, --dont-fragment     a packet that does not fit the path is lost as too_big, not sent in fragments\n"
    "\n"
    "Output\n"
    "      --json              one JSON line a probe, then one a target\n"
    "      --stats             at the end, what was received in all: duplicates, late and rejected packets by reason\n"
    "  -h, --help\n"
    "\n"
    "On a terminal each probe is a line; of over 100 targets a progress line is shown instead. Ctrl-C ends the "
    "probing\n"
    "and sums up. Times are milliseconds; p50, p95, p99 are percentiles by nearest rank; jitter is the mean absolute\n"
    "difference of consecutive round-trip times (the D of RFC 3550). Loss counts targets' misses only, never trouble "
    "of\n"
    "this host, which is counted as local errors: not sent, sent too late, own link or gateway down, replies dropped "
    "here.\n"
    "\n"
    "Needs CAP_NET_RAW, or a net.ipv4.ping_group_range that holds the user's group.\n"
    "Exit: 0 every target answered, 1 some did not, 2 usage or system error.\n"
    "Examples: meshping-agent ping -c 10 192.0.2.1        meshping-agent ping --json -c 3 -i 0.2 -f hosts.txt\n"
    "          meshping-agent ping -i 0 10.0.0.0/24       echo host.example | meshping-agent ping --both -f -\n";

MESHPING_PRINTF(1, 2) static bool complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("meshping-agent ping: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

static bool parse_seconds(const char *option, const char *text, uint32_t *out_ms, double min, double max, bool zero)
{
    char *end, range[96];
    errno = 0;
    double value = strtod(text, &end);
    if (end != text && *end == 0 && errno == 0 && isfinite(value) &&
        ((zero && value == 0) || (value >= min && value <= max))) {
        *out_ms = (uint32_t)lround(value * 1000);
        return true;
    }
    snprintf(range, sizeof range, "%s%g to %g seconds, not '%.20s'", zero ? "0 or " : "", min, max, text);
    return complain("%s takes %s", option, range);
}

static bool parse_number(const char *option, const char *text, uint64_t *out, uint64_t min, uint64_t max)
{
    char *end, range[96];
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && *end == 0 && errno == 0 && value >= min && value <= max) {
        *out = value;
        return true;
    }
    snprintf(range, sizeof range, "%llu to %llu, not '%.20s'", (unsigned long long)min, (unsigned long long)max, text);
    return complain("%s takes a whole number from %s", option, range);
}

/* At 0, 16, 32, 64, ...: room for twice as many. A target is its family and its text only, for lists are long. */
static bool keep_label(ping_options *options, const char *text, size_t size, uint8_t family)
{
    size_t count = options->target_count;
    if (count == 0 || (count >= 16 && (count & (count - 1)) == 0)) {
        size_t *labels = realloc(options->labels, (count ? 2 * count : 16) * sizeof *labels);
        if (!labels)
            return complain("out of memory");
        options->labels = labels;
    }
    if (options->text_room - options->text_used < size + 1) {
        size_t room = options->text_room * 2 + 4096;
        char *grown = realloc(options->text, room);
        if (!grown)
            return complain("out of memory");
        options->text = grown;
        options->text_room = room;
    }
    options->text[options->text_used++] = (char)family;
    options->labels[count] = options->text_used;
    memcpy(options->text + options->text_used, text, size);
    options->text_used += size;
    options->target_count++;
    return true;
}

/* Where a target was written: a line of a file, or line 0: the command. */
typedef struct place {
    const char *file;
    unsigned line;
} place;

static bool complain_at(place where, const char *what)
{
    return where.line ? complain("%.120s:%u: %s", where.file, where.line, what) : complain("target: %s", what);
}

static bool is_name(const char *text)
{
    meshping_address address;
    return !strchr(text, '%') && meshping_address_parse(&address, text, NULL) != MESHPING_OK;
}

static bool add_one(ping_options *options, const char *text, place where)
{
    meshping_error err;
    meshping_target *target = &options->one;
    size_t length = strlen(text);
    unsigned times = options->both && is_name(text) ? 2 : 1;

    err.status = MESHPING_OK;
    if (length >= sizeof target->host)
        meshping_error_set(&err, MESHPING_INVALID, "'%.40s...' is too long for a target", text);
    else if (options->target_count + times > PING_TARGETS_MAX)
        meshping_error_set(&err, MESHPING_LIMIT, "at most %d targets are allowed", PING_TARGETS_MAX);
    else
        memcpy(target->host, text, length + 1);
    if (err.status == MESHPING_OK)
        err.status = meshping_target_check(target, &err);
    if (err.status != MESHPING_OK)
        return complain_at(where, err.message);
    if (times == 1)
        return keep_label(options, text, length + 1, target->family);
    return keep_label(options, text, length + 1, MESHPING_FAMILY_IPV4) &&
           keep_label(options, text, length + 1, MESHPING_FAMILY_IPV6);
}

static bool add_target(ping_options *options, const char *text, place where)
{
    meshping_error err = {0};
    ping_range range;
    char address[MESHPING_ADDRESS_TEXT_MAX];
    if (!strchr(text, '/') || options->target_count == PING_TARGETS_MAX) /* says that there is no room */
        return add_one(options, text, where);
    if (ping_range_parse(&range, text, PING_TARGETS_MAX - options->target_count, &err) != MESHPING_OK)
        return complain_at(where, err.message);
    for (uint64_t i = 0; i < range.count; i++) {
        meshping_address one;
        ping_range_at(&range, i, &one);
        if (!add_one(options, meshping_address_format(&one, address), where))
            return false;
    }
    return true;
}

const meshping_target *ping_options_target(ping_options *options, size_t index)
{
    const char *label = ping_options_label(options, index);
    options->one.id = index + 1;
    options->one.family = ping_options_family(options, index);
    memcpy(options->one.host, label, strlen(label) + 1);
    return &options->one;
}

static bool add_line(ping_options *options, char *line, place where)
{
    char *rest = NULL;
    line[strcspn(line, "#\r\n")] = 0;
    const char *word = strtok_r(line, " \t", &rest);
    if (!word)
        return true;
    if (strtok_r(NULL, " \t", &rest))
        return complain_at(where, "more than one word in a line: one target a line");
    return add_target(options, word, where);
}

static bool add_file(ping_options *options, const char *path)
{
    bool from_stdin = strcmp(path, "-") == 0, good = true;
    char line[LINE_MAX_BYTES];
    FILE *file = from_stdin ? stdin : fopen(path, "r");
    place where = {.file = from_stdin ? "standard input" : path};

    if (!file)
        return complain("cannot read %s: %s", path, strerror(errno));
    while (good && fgets(line, sizeof line, file)) {
        where.line++;
        if (!strchr(line, '\n') && !feof(file))
            good = complain_at(where, "the line is too long");
        else
            good = add_line(options, line, where);
    }
    if (good && ferror(file))
        good = complain("cannot read %s: %s", path, strerror(errno));
    if (!from_stdin)
        fclose(file);
    return good;
}

enum { OPTION_JSON = 256, OPTION_DSCP, OPTION_TTL, OPTION_BOTH, OPTION_STATS };

static const struct option long_options[] = {
    {"count", required_argument, NULL, 'c'},
    {"interval", required_argument, NULL, 'i'},
    {"timeout", required_argument, NULL, 'W'},
    {"size", required_argument, NULL, 's'},
    {"dscp", required_argument, NULL, OPTION_DSCP},
    {"ttl", required_argument, NULL, OPTION_TTL},
    {"source", required_argument, NULL, 'S'},
    {"interface", required_argument, NULL, 'I'},
    {"dont-fragment", no_argument, NULL, 'M'},
    {"file", required_argument, NULL, 'f'},
    {"json", no_argument, NULL, OPTION_JSON},
    {"both", no_argument, NULL, OPTION_BOTH},
    {"stats", no_argument, NULL, OPTION_STATS},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* What is wrong with the argument that getopt_long did not take. */
static bool bad_option(int code, char **argv)
{
    const char *text = argv[optind - 1];
    char letter[3] = {'-', (char)optopt, 0};
    if (optopt && optopt < 256 && strncmp(text, "--", 2) != 0)
        text = letter;
    if (code == ':')
        return complain("%s needs a value, see --help", text);
    return complain("unknown option %s, see --help", text);
}

static bool parse_option(ping_options *options, int code, const char **file)
{
    uint64_t number = 0;
    bool good = true;
    switch (code) {
    case 'c':
        options->count_given = true;
        return parse_number("--count", optarg, &options->count, 0, PING_COUNT_MAX);
    case 'i':
        return parse_seconds("--interval", optarg, &options->interval_ms, 0.1, 3600, true);
    case 'W':
        return parse_seconds("--timeout", optarg, &options->model.timeout_ms, 0.01, 60, false);
    case 's':
        good = parse_number("--size", optarg, &number, MESHPING_SIZE_MIN, MESHPING_SIZE_MAX);
        options->model.size = (uint16_t)number;
        return good;
    case OPTION_DSCP:
        good = parse_number("--dscp", optarg, &number, 0, 63);
        options->model.dscp = (uint8_t)number;
        return good;
    case OPTION_TTL:
        good = parse_number("--ttl", optarg, &number, 1, 255);
        options->model.ttl = (uint8_t)number;
        return good;
    case 'S':
        if (meshping_address_parse(&options->model.source, optarg, NULL) != MESHPING_OK)
            return complain("--source takes an IP address of this host, not '%.60s'", optarg);
        return true;
    case 'I':
        if (strlen(optarg) >= sizeof options->model.interface || !*optarg)
            return complain("--interface takes the name of an interface, not '%.60s'", optarg);
        memcpy(options->model.interface, optarg, strlen(optarg) + 1);
        return true;
    case 'M':
        options->model.dont_fragment = true;
        return true;
    case '4':
    case '6':
        if (options->model.family && options->model.family != code - '0')
            return complain("-4 and -6 exclude each other");
        options->model.family = (uint8_t)(code - '0');
        return true;
    case 'f':
        if (*file)
            return complain("--file is given twice");
        *file = optarg;
        return true;
    case OPTION_JSON:
        options->json = true;
        return true;
    case OPTION_BOTH:
        options->both = true;
        return true;
    case OPTION_STATS:
        options->stats = true;
        return true;
    default:
        options->help = true;
        return true;
    }
}

bool ping_options_parse(ping_options *options, int argc, char **argv)
{
    const char *file = NULL;
    int code;

    *options = (ping_options){.count = 1, .interval_ms = 1000};
    meshping_target_init(&options->model);
    opterr = 0;
    optind = 1;
    while ((code = getopt_long(argc, argv, ":c:i:W:s:S:I:M46f:h", long_options, NULL)) != -1) {
        if (code == '?' || code == ':')
            return bad_option(code, argv);
        if (!parse_option(options, code, &file))
            return false;
    }
    if (options->help)
        return true;
    if (options->both && options->model.family)
        return complain("--both and -%u exclude each other", options->model.family);
    options->model.interval_ms = options->interval_ms ? options->interval_ms : 1000;
    options->one = options->model;
    for (int i = optind; i < argc; i++)
        if (!add_target(options, argv[i], (place){0}))
            return false;
    if (file && !add_file(options, file))
        return false;
    if (options->target_count == 0)
        return complain(
            "no targets: name some (192.0.2.1 host.example 10.0.0.0/24), or a file with --file; see --help");
    return true;
}

void ping_options_dispose(ping_options *options)
{
    free(options->labels);
    free(options->text);
}
