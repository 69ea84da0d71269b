/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `meshpingd maintain`, and how it shows that it goes on. */
#include "meshpingd/maintain.h"

#include "meshpingd/config.h"
#include "meshpingd/server.h"
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define EXIT_FOUND 3
#define SHOW_EVERY_NS INT64_C(100000000)   /* on a terminal */
#define LINE_EVERY_NS INT64_C(10000000000) /* elsewhere */
#define FINDINGS_SHOWN 1000

static const char usage_text[] =
    "usage: meshpingd maintain check   [--quick]\n"
    "       meshpingd maintain backup  --to DIRECTORY\n"
    "       meshpingd maintain restore --from DIRECTORY\n"
    "       meshpingd maintain vacuum\n"
    "       meshpingd maintain export  [--agent AGENT]... [--target TARGET]... [--from TIME] [--until TIME]\n"
    "                                  [--format csv|json] [--output FILE]\n"
    "\n"
    "  check    reads the whole database: pages, every block's checksum and samples, received ranges; names what is\n"
    "           damaged and what that means; --quick leaves the samples undecoded. Beside a running server too.\n"
    "  backup   copies database and key files into the new DIRECTORY (0700, files 0600) and reads them back. Beside a\n"
    "           running server too. Who has the backup has the server's keys: keep it as you keep them.\n"
    "  restore  puts a backup back; refused while a server runs. What was there is kept in\n"
    "           STATE_DIR/before-restore-TIME until you remove it.\n"
    "  vacuum   writes the database anew without free pages; refused while a server runs. Needs free space of twice\n"
    "           its size.\n"
    "  export   writes samples to standard output or FILE, by agent, time and target. Beside a running server too.\n"
    "           AGENT: id, host name or name; TARGET: id, address or name; TIME: RFC 3339 (2026-01-31T23:00:00Z) or\n"
    "           -24h, -90m, -7d; --until is not included. csv: with a header line; json: an object a line.\n"
    "\n"
    "  --state-dir DIR    the server's state directory (default: the configuration's)\n"
    "  --config FILE      take state_dir from FILE (default /etc/meshping/meshpingd.conf, if it is there)\n"
    "  --quiet            no progress, only what is wrong\n"
    "\n"
    "exit status: 0 done; 1 it could not be done; 2 usage; 3 check found damage, or export had to leave some out\n";

/* ---- progress ---- */

typedef struct showing {
    bool terminal, quiet, dirty; /* dirty: a line on the terminal is not ended */
    FILE *findings_to;
    const char *stage;
    int64_t started_ns, shown_ns;
    uint64_t findings;
} showing;

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static void end_line(showing *s)
{
    if (s->dirty)
        fputc('\n', stderr);
    s->dirty = false;
}

static bool show_progress(void *user, const char *stage, uint64_t done, uint64_t total)
{
    showing *s = user;
    int64_t now_ns = meshping_now_read().mono_ns;
    bool begins = !s->stage || strcmp(s->stage, stage) != 0;
    if (begins) {
        end_line(s);
        s->stage = stage;
        s->started_ns = now_ns;
    }
    bool ends = total && done >= total && s->dirty;
    if (s->quiet || (!begins && !ends && now_ns - s->shown_ns < (s->terminal ? SHOW_EVERY_NS : LINE_EVERY_NS)))
        return !interrupted;
    s->shown_ns = now_ns;
    if (s->terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%s", stage);
    if (total)
        fprintf(stderr, ": %" PRIu64 " of %" PRIu64 " (%u %%)", done, total,
                (unsigned)(100.0 * (double)done / (double)total));
    else if (done)
        fprintf(stderr, ": %" PRIu64, done);
    if (now_ns - s->started_ns > 1000000000)
        fprintf(stderr, ", %" PRId64 " s", (now_ns - s->started_ns) / 1000000000);
    if (s->terminal)
        s->dirty = true;
    else
        fputc('\n', stderr);
    fflush(stderr);
    return !interrupted;
}

static void show_finding(void *user, const char *text)
{
    showing *s = user;
    end_line(s);
    if (++s->findings <= FINDINGS_SHOWN)
        fprintf(s->findings_to, "damaged: %s\n", text);
}

/* ---- options ---- */

static bool parse_number(const char *text, const char **end, int digits, int *out)
{
    *out = 0;
    for (int i = 0; i < digits; i++, text++) {
        if (*text < '0' || *text > '9')
            return false;
        *out = *out * 10 + (*text - '0');
    }
    *end = text;
    return true;
}

/* "2026-01-31T23:59:58.5Z", "...+01:00", "2026-01-31" (UTC), or "-24h" before now. */
static bool parse_time(const char *text, int64_t *out_us)
{
    static const struct {
        char unit;
        int64_t us;
    } units[] = {{'s', 1000000}, {'m', 60000000}, {'h', 3600000000}, {'d', 86400000000}};
    int year, month, day, hour = 0, minute = 0, second = 0, zone_hour = 0, zone_minute = 0;
    int64_t micros = 0;
    const char *at = text;
    if (*text == '-') {
        char *end;
        unsigned long long count = strtoull(text + 1, &end, 10);
        for (size_t i = 0; i < sizeof units / sizeof *units; i++)
            if (end > text + 1 && end[0] == units[i].unit && !end[1] && count < 100000000) {
                *out_us = meshping_now_read().unix_ns / 1000 - (int64_t)count * units[i].us;
                return true;
            }
        return false;
    }
    if (!parse_number(at, &at, 4, &year) || *at++ != '-' || !parse_number(at, &at, 2, &month) || *at++ != '-' ||
        !parse_number(at, &at, 2, &day))
        return false;
    if (*at) {
        if ((*at != 'T' && *at != 't' && *at != ' ') || !parse_number(at + 1, &at, 2, &hour) || *at++ != ':' ||
            !parse_number(at, &at, 2, &minute) || *at++ != ':' || !parse_number(at, &at, 2, &second))
            return false;
        if (*at == '.') {
            int64_t scale = 100000;
            for (at++; *at >= '0' && *at <= '9'; at++, scale /= 10)
                micros += (*at - '0') * scale;
        }
        bool west = *at == '-';
        if (*at == '+' || west) {
            if (!parse_number(at + 1, &at, 2, &zone_hour) || *at++ != ':' || !parse_number(at, &at, 2, &zone_minute))
                return false;
            zone_hour = west ? zone_hour : -zone_hour;
            zone_minute = west ? zone_minute : -zone_minute;
        } else if (*at != 'Z' && *at != 'z') {
            return false; /* whose time it is must be said */
        } else {
            at++;
        }
    }
    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    if (*at || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return false;
    struct tm date = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday};
    timegm(&date);
    if (date.tm_mday != day || abs(zone_hour) > 23 || abs(zone_minute) > 59) /* 31 June; +99:99 */
        return false;
    *out_us = ((int64_t)timegm(&tm) + zone_hour * 3600 + zone_minute * 60) * 1000000 + micros;
    return true;
}

typedef struct words {
    const char *command, *config_file, *state_dir, *format, *from, *until;
} words;

MESHPING_PRINTF(1, 2) static bool usage_error(const char *format, ...)
{
    va_list args;
    fputs("meshpingd maintain: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("; see meshpingd maintain --help\n", stderr);
    return false;
}

static bool add_filter(const char **list, size_t *count, const char *value)
{
    if (*count == MAINTAIN_FILTERS_MAX)
        return usage_error("more than 64 of one kind: %s", value);
    list[(*count)++] = value;
    return true;
}

static bool take_option(maintain_options *o, words *w, int option)
{
    switch (option) {
    case 's':
        w->state_dir = optarg;
        break;
    case 'c':
        w->config_file = optarg;
        break;
    case 'q':
        o->quiet = true;
        break;
    case 'Q':
        o->quick = true;
        break;
    case 't':
        o->to = optarg;
        break;
    case 'f':
        w->from = optarg;
        break;
    case 'u':
        w->until = optarg;
        break;
    case 'F':
        w->format = optarg;
        break;
    case 'o':
        o->output = optarg;
        break;
    case 'a':
        return add_filter(o->agents, &o->agent_count, optarg);
    case 'T':
        return add_filter(o->targets, &o->target_count, optarg);
    default:
        return false;
    }
    return true;
}

/* What belongs to another command is a mistake, not something to pass over. */
static bool check_words(maintain_options *o, const words *w)
{
    bool is_export = strcmp(w->command, "export") == 0;
    bool is_restore = strcmp(w->command, "restore") == 0;
    if (o->quick && strcmp(w->command, "check") != 0)
        return usage_error("--quick does not go with %s", w->command);
    if ((o->to != NULL) != (strcmp(w->command, "backup") == 0))
        return o->to ? usage_error("--to does not go with %s", w->command)
                     : usage_error("%s needs --to DIRECTORY", w->command);
    if (o->to && !*o->to)
        return usage_error("--to is empty");
    if (is_restore && (!w->from || !*w->from))
        return usage_error("%s needs --from DIRECTORY", w->command);
    if (w->from && !is_restore && !is_export)
        return usage_error("--from does not go with %s", w->command);
    if (!is_export && (w->until || w->format || o->output || o->agent_count || o->target_count))
        return usage_error("options of export do not go with %s", w->command);
    if (is_restore)
        o->from_backup = w->from;
    o->from_us = INT64_MIN;
    o->to_us = INT64_MAX;
    if (is_export && w->from && !parse_time(w->from, &o->from_us))
        return usage_error("--from: \"%s\" is no time", w->from);
    if (w->until && !parse_time(w->until, &o->to_us))
        return usage_error("--until: \"%s\" is no time", w->until);
    if (w->format && strcmp(w->format, "csv") != 0 && strcmp(w->format, "json") != 0)
        return usage_error("--format: \"%s\" is neither csv nor json", w->format);
    o->json = w->format && strcmp(w->format, "json") == 0;
    return true;
}

static bool find_state_dir(maintain_options *o, const words *w)
{
    static server_config config; /* large */
    meshping_error err = {0};
    if (!w->state_dir && server_config_read(&config, w->config_file, &err) != MESHPING_OK)
        return usage_error("%s", err.message);
    int length = snprintf(o->state_dir, sizeof o->state_dir, "%s", w->state_dir ? w->state_dir : config.state_dir);
    if (length <= 0 || (size_t)length >= sizeof o->state_dir)
        return usage_error("%s", "--state-dir is empty or too long");
    return true;
}

/* -1: go on; else the exit status. */
static int parse(maintain_options *o, words *w, int argc, char **argv)
{
    static const struct option options[] = {
        {"state-dir", required_argument, NULL, 's'},
        {"config", required_argument, NULL, 'c'},
        {"quiet", no_argument, NULL, 'q'},
        {"quick", no_argument, NULL, 'Q'},
        {"to", required_argument, NULL, 't'},
        {"from", required_argument, NULL, 'f'},
        {"until", required_argument, NULL, 'u'},
        {"format", required_argument, NULL, 'F'},
        {"output", required_argument, NULL, 'o'},
        {"agent", required_argument, NULL, 'a'},
        {"target", required_argument, NULL, 'T'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const char *const commands[] = {"check", "backup", "restore", "vacuum", "export"};
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'h') {
            fputs(usage_text, stdout);
            return 0;
        }
        if (!take_option(o, w, option))
            return EXIT_USAGE;
    }
    for (size_t i = 0; optind < argc && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[optind], commands[i]) == 0)
            w->command = commands[i];
    if (!w->command) {
        if (optind < argc)
            usage_error("\"%s\" is none of its commands", argv[optind]);
        else
            fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    if (optind + 1 < argc) {
        usage_error("unexpected argument \"%s\"", argv[optind + 1]);
        return EXIT_USAGE;
    }
    return check_words(o, w) && find_state_dir(o, w) ? -1 : EXIT_USAGE;
}

/* ---- commands ---- */

static const char *database_of(const maintain_options *o)
{
    static char path[MAINTAIN_PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", o->state_dir, SERVER_DATABASE_NAME);
    return path;
}

static int check(const maintain_options *o, showing *s, meshping_error *err)
{
    meshping_store_checked found;
    meshping_status status = meshping_store_check(database_of(o), o->quick, &o->watch, &found, err);
    end_line(s);
    if (status == MESHPING_CORRUPT) { /* so damaged that it does not open: that is what was asked */
        printf("damaged: %s: nothing of it can be read; restore a backup\n", err->message);
        return EXIT_FOUND;
    }
    if (status != MESHPING_OK)
        return EXIT_FAILED;
    if (found.findings > FINDINGS_SHOWN)
        printf("and %" PRIu64 " more\n", found.findings - FINDINGS_SHOWN);
    if (!o->quiet || found.findings)
        printf("%s: %" PRIu64 " samples in %" PRIu64 " sealed and %" PRIu64 " journal blocks, %" PRIu64
               " rows of roll-ups, %" PRIu64 " epochs, %" PRIu64 " gaps: %s\n",
               database_of(o), found.samples, found.sealed_blocks, found.journal_blocks, found.rollups, found.epochs,
               found.gaps, found.findings ? "damaged, see above" : "sound");
    return found.findings ? EXIT_FOUND : 0;
}

static double megabytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (double)st.st_size / 1e6 : 0;
}

static int run(const maintain_options *o, const words *w, showing *s, meshping_error *err)
{
    char aside[MAINTAIN_PATH_MAX];
    uint64_t samples = 0;
    double before = megabytes(database_of(o));
    meshping_status status;
    if (strcmp(w->command, "check") == 0)
        return check(o, s, err);
    if (strcmp(w->command, "backup") == 0) {
        status = maintain_backup(o, err);
        end_line(s);
        if (status == MESHPING_OK && !o->quiet)
            printf("%s: backed up, and read back\n", o->to);
    } else if (strcmp(w->command, "restore") == 0) {
        status = maintain_restore(o, aside, err);
        end_line(s);
        if (status == MESHPING_OK && !o->quiet)
            printf("%s: restored from %s; what was there is in %s\n", o->state_dir, o->from_backup, aside);
    } else if (strcmp(w->command, "vacuum") == 0) {
        status = meshping_store_vacuum(database_of(o), &o->watch, err);
        end_line(s);
        if (status == MESHPING_OK && !o->quiet)
            printf("%s: %.1f MB, was %.1f MB\n", database_of(o), megabytes(database_of(o)), before);
    } else {
        status = maintain_export(o, &samples, err);
        end_line(s);
        if (status == MESHPING_OK && !o->quiet)
            fprintf(stderr, "%" PRIu64 " samples\n", samples);
        if (status == MESHPING_OK && s->findings)
            return EXIT_FOUND;
    }
    return status == MESHPING_OK ? 0 : EXIT_FAILED;
}

int maintain_main(int argc, char **argv)
{
    maintain_options o = {0};
    words w = {0};
    meshping_error err = {0};
    struct sigaction action = {.sa_handler = on_signal};
    static char name[] = "meshpingd maintain";
    argv[0] = name; /* getopt's messages begin with it */
    int code = parse(&o, &w, argc, argv);
    if (code >= 0)
        return code;
    showing s = {.terminal = isatty(STDERR_FILENO),
                 .quiet = o.quiet,
                 .findings_to = strcmp(w.command, "check") == 0 ? stdout : stderr};
    o.watch = (meshping_maintain_watch){show_progress, show_finding, &s};
    umask(077);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    code = run(&o, &w, &s, &err);
    end_line(&s);
    if (code == EXIT_FAILED)
        fprintf(stderr, "meshpingd maintain %s: %s\n", w.command, err.message);
    if (fflush(stdout) != 0 && code == 0) {
        fprintf(stderr, "meshpingd maintain %s: standard output: %s\n", w.command, strerror(errno));
        code = EXIT_FAILED;
    }
    return code;
}
