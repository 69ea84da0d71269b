/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"
#include "meshpingd/admin_cli.h"
#include "meshpingd/breached.h"
#include "meshpingd/filling.h"
#include "meshpingd/keys.h"
#include "meshpingd/listener.h"
#include "meshpingd/maintain.h"
#include "meshpingd/pin_change.h"
#include "meshpingd/promptness.h"
#include "meshpingd/server.h"
#include "meshpingd/web.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_MS 1000
#define TURN_MS (1000 / SERVER_TURNS_A_SECOND)
#define COMPLETIONS_US 300 /* of what was stored, in one turn: requests and frames wait no longer for it */

/* Exit codes: 0 after a signal, 1 the system is in the way (port, directory, database), 2 usage or configuration. */
#define EXIT_SYSTEM 1
#define EXIT_USAGE 2

static void usage(FILE *file)
{
    fputs("usage: meshpingd [--config FILE] [--state-dir DIR] [--listen ADDR:PORT] [--check-config]\n"
          "       meshpingd admin create --name NAME --password-file FILE [--config FILE] [--state-dir DIR]\n"
          "       meshpingd maintain check|backup|restore|vacuum|export ...   (see meshpingd maintain --help)\n"
          "       meshpingd routes\n"
          "\n"
          "The Meshping server: keeps what agents measure and shows the mesh. Runs in the foreground.\n"
          "\n"
          "  --config FILE        read FILE (see --sample-config); other flags go over it\n"
          "  --state-dir DIR      where database, keys and certificate are kept\n"
          "  --listen ADDR:PORT   where to listen (default [::]:8443)\n"
          "  --advertise LIST     HOST:PORT[, ...] under which agents reach this server\n"
          "  --log-level LEVEL    debug, info, warning or error\n"
          "  --check-config       say whether the configuration is good, and exit\n"
          "  --sample-config      print a config file with every key and its default\n"
          "  --version, --help\n",
          file);
}

static meshping_status look_at_breached_passwords(const char *path, meshping_error *err)
{
    breached_about about;
    meshping_error why = {0};
    if (!*path)
        return MESHPING_OK;
    meshping_status status = breached_check(&about, path, &why);
    if (status != MESHPING_OK)
        return meshping_error_set(err, status, "breached_passwords: %.100s: %s", path, why.message);
    if (breached_is_partial(&about))
        log_warning("server",
                    "breached_passwords: %s is a part of a list: its hashes are those from %02X%02X%02X... to "
                    "%02X%02X%02X..., others are not found",
                    path, about.first[0], about.first[1], about.first[2], about.last[0], about.last[1], about.last[2]);
    return MESHPING_OK;
}

/* -1: go on; else the exit code. */
static int read_options(server *s, int argc, char **argv)
{
    server_config *config = &s->config;
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"state-dir", required_argument, NULL, 's'},
        {"listen", required_argument, NULL, 'l'},
        {"advertise", required_argument, NULL, 'a'},
        {"log-level", required_argument, NULL, 'L'},
        {"check-config", no_argument, NULL, 'C'},
        {"sample-config", no_argument, NULL, 'S'},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const char *const keys[] = {['s'] = "state_dir", ['l'] = "listen", ['a'] = "advertise", ['L'] = "log_level"};
    meshping_error err;
    meshping_address address;
    uint16_t port;
    bool check = false;
    config_defaults(server_config_keys, config);
    for (int pass = 0; pass < 2; pass++) { /* the file first, so that flags go over it */
        int option;
        optind = 1;
        opterr = pass == 0;
        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
            meshping_status status = MESHPING_OK;
            switch (option) {
            case '?':
                return EXIT_USAGE;
            case 'h':
                usage(stdout);
                return 0;
            case 'V':
                printf("meshpingd %s\n", meshping_version());
                return 0;
            case 'S':
                config_print_sample(server_config_keys, stdout);
                return 0;
            case 'C':
                check = true;
                break;
            case 'c':
                if (pass == 0)
                    status = settings_take_file(&s->settings, config, optarg, &err);
                break;
            default:
                if (pass == 1)
                    status = settings_take_option(&s->settings, config, keys[option], optarg, &err);
                break;
            }
            if (status != MESHPING_OK) {
                fprintf(stderr, "meshpingd: %s\n", err.message);
                return EXIT_USAGE;
            }
        }
    }
    if (optind < argc) {
        fprintf(stderr, "meshpingd: unexpected argument \"%s\"; see meshpingd --help\n", argv[optind]);
        return EXIT_USAGE;
    }
    if (server_config_check(config, &err) != MESHPING_OK ||
        server_advertise_check(config->advertise, &err) != MESHPING_OK ||
        listener_parse(&address, &port, config->listen, &err) != MESHPING_OK ||
        log_init_name(config->log_level, &err) != MESHPING_OK ||
        look_at_breached_passwords(config->breached_passwords, &err) != MESHPING_OK) {
        fprintf(stderr, "meshpingd: %s\n", err.message);
        return EXIT_USAGE;
    }
    if (check)
        puts("the configuration is good");
    return check ? 0 : -1;
}

static meshping_status open_state_dir(const char *path, meshping_error *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot make the state directory %s", path);
    if (stat(path, &st) != 0 || access(path, R_OK | W_OK | X_OK) != 0)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot write in the state directory %s",
                                        path);
    if (!S_ISDIR(st.st_mode))
        return meshping_error_set(err, MESHPING_IO, "the state directory %s is not a directory", path);
    return MESHPING_OK;
}

static meshping_status open_store(server *s, meshping_error *err)
{
    char path[sizeof s->config.state_dir + sizeof SERVER_DATABASE_NAME + 1];
    meshping_store_options options;
    meshping_store_options_init(&options);
    snprintf(path, sizeof path, "%s/%s", s->config.state_dir, SERVER_DATABASE_NAME);
    options.path = path;
    options.quarantine_bytes_max = (uint64_t)s->config.quarantine_max_size;
    if (s->config.retention < 3600) /* only what is sealed goes */
        options.seal_after_s = (uint32_t)(s->config.retention / 6);
    return meshping_store_open(&s->store, &options, err);
}

/* ---- the loop ---- */

static void on_store(uv_poll_t *poll, int status, int events)
{
    server *s = poll->data;
    (void)status;
    (void)events;
    meshping_store_process_for(s->store, COMPLETIONS_US);
}

static void on_tick(uv_timer_t *timer)
{
    server_tick(timer->data);
}

static void on_turn(uv_timer_t *timer)
{
    server_turn(timer->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
    server *s = handle->data;
    log_info("server", "%s: ending", number == SIGINT ? "SIGINT" : "SIGTERM");
    uv_stop(&s->loop);
}

static void on_hangup(uv_signal_t *handle, int number)
{
    meshping_error err = {0};
    (void)number;
    if (web_reload(handle->data, &err) == MESHPING_OK)
        log_info("web", "SIGHUP: the certificate was read anew");
    else
        log_error("web", "SIGHUP: the old certificate stays: %s", err.message);
}

typedef struct watches {
    uv_poll_t store;
    uv_timer_t tick, turn;
    uv_signal_t sigint, sigterm, sighup;
} watches;

static meshping_status watch(watches *w, server *s, web *pages)
{
    int failed = uv_poll_init(&s->loop, &w->store, meshping_store_fd(s->store));
    failed |= uv_timer_init(&s->loop, &w->tick);
    failed |= uv_timer_init(&s->loop, &w->turn);
    failed |= uv_signal_init(&s->loop, &w->sigint);
    failed |= uv_signal_init(&s->loop, &w->sigterm);
    failed |= uv_signal_init(&s->loop, &w->sighup);
    w->store.data = w->tick.data = w->turn.data = w->sigint.data = w->sigterm.data = s;
    w->sighup.data = pages;
    failed |= uv_poll_start(&w->store, UV_READABLE, on_store);
    failed |= uv_timer_start(&w->tick, on_tick, TICK_MS, TICK_MS);
    failed |= uv_timer_start(&w->turn, on_turn, TURN_MS, TURN_MS);
    failed |= uv_signal_start(&w->sigint, on_signal, SIGINT);
    failed |= uv_signal_start(&w->sigterm, on_signal, SIGTERM);
    failed |= uv_signal_start(&w->sighup, on_hangup, SIGHUP);
    return failed ? MESHPING_IO : MESHPING_OK;
}

/* Only our own: libwebsockets closes its handles itself. */
static void unwatch(watches *w)
{
    uv_handle_t *handles[] = {(uv_handle_t *)&w->store,  (uv_handle_t *)&w->tick,    (uv_handle_t *)&w->turn,
                              (uv_handle_t *)&w->sigint, (uv_handle_t *)&w->sigterm, (uv_handle_t *)&w->sighup};
    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++)
        if (handles[i]->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handles[i]))
            uv_close(handles[i], NULL);
}

static void run(server *s, uint16_t port)
{
    log_info("server", "meshpingd %s serves https on %s (port %u), state in %s: %zu agents, %zu targets",
             meshping_version(), s->config.listen, port, s->config.state_dir, s->agent_count, s->targets.count);
    descriptors_check(&s->descriptors, s->agent_count, (size_t)s->config.unauthenticated_max);
    s->ready = true;
    uv_run(&s->loop, UV_RUN_DEFAULT);
    s->ready = false;
    server_note_alive(s);
}

static int serve(server *s)
{
    static watches watching;
    server_keys keys = {0};
    meshping_error err = {0};
    web *w = NULL;
    uint16_t port = 0;
    descriptors_open(&s->descriptors, s->config.descriptors_reserved);
    uv_loop_init(&s->loop);
    meshping_status status = open_state_dir(s->config.state_dir, &err);
    if (status == MESHPING_OK)
        status = maintain_check_pending(s->config.state_dir, &err);
    if (status == MESHPING_OK)
        status = open_store(s, &err);
    promptness_ask(); /* but not of the store's thread, which joins blocks */
    if (status == MESHPING_OK)
        status = settings_load(s, &err);
    if (status == MESHPING_OK)
        status = keys_open(&keys, s->config.state_dir, s->config.advertise, &err);
    if (status == MESHPING_OK) {
        s->keys = &keys;
        memcpy(s->seal_key, keys.seal_key, sizeof s->seal_key);
        memcpy(s->ticket_key, keys.ticket_key, sizeof s->ticket_key);
        status = server_load(s, &err);
    }
    if (status == MESHPING_OK)
        status = pin_change_open(s, &err);
    if (status == MESHPING_OK)
        status = http_start(s, &err);
    if (status == MESHPING_OK)
        status = web_start(&w, s, &keys, &port, &err);
    if (status == MESHPING_OK)
        status = watch(&watching, s, w);
    if (status == MESHPING_OK)
        run(s, port);
    else
        log_error("server", "%s", err.message[0] ? err.message : meshping_status_text(status));
    filling_stop(s);
    http_stop(s);
    web_stop(w);
    unwatch(&watching);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    web_free(w);
    if (s->store)
        meshping_store_close(s->store);
    s->store = NULL;
    uv_loop_close(&s->loop);
    server_dispose(s);
    return status == MESHPING_OK ? 0 : EXIT_SYSTEM;
}

int main(int argc, char **argv)
{
    static server s;
    if (argc > 1 && strcmp(argv[1], "admin") == 0)
        return admin_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "maintain") == 0)
        return maintain_main(argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "routes") == 0)
        return routes_main();
    int code = read_options(&s, argc, argv);
    if (code >= 0)
        return code;
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    prctl(PR_SET_DUMPABLE, 0); /* keys are in memory: no core file, no other process's look */
    return serve(&s);
}
