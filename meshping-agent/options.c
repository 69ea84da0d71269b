/* SPDX-License-Identifier: Apache-2.0 */
#include "meshping-agent/options.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define DEFAULT_STATE_DIR "/var/lib/meshping-agent"

const config_key agent_config_keys[] = {
    CONFIG_KEY_TEXT(agent_config, state_dir, DEFAULT_STATE_DIR, "Where key, server and target list are kept (0700)"),
    CONFIG_KEY_TEXT(agent_config, passphrase_file, "",
                    "File with the passphrase of the server's page \"Add an agent\"; needed until the first join"),
    CONFIG_KEY_TEXT(agent_config, host_name, "", "Name to show on the server; empty: the system's"),
    CONFIG_KEY_TEXT(agent_config, advertise, "",
                    "IP address at which the agents of a mesh ping this host; empty: the one that the server sees"),
    CONFIG_KEY_TEXT(agent_config, log_level, "info", "debug, info, warning or error"),
    CONFIG_KEY_NUMBER(agent_config, buffer_s, 1, 604800, "1800",
                      "How long results are kept while the server is away, in seconds"),
    CONFIG_KEY_NUMBER(agent_config, buffer_kib, 1, 4194304, "65536", "How many KiB of them at most"),
    CONFIG_KEY_NUMBER(agent_config, buffer_blocks, 1, 10000000, "100000",
                      "And how many blocks; what does not fit is dropped, oldest first, and told as a gap"),
    CONFIG_KEY_END,
};

static void usage(FILE *file)
{
    fputs("usage: meshping-agent run --config FILE\n"
          "       meshping-agent run --passphrase-file FILE --state-dir DIR\n"
          "\n"
          "Joins a Meshping server, pings the targets it gives, and reports. Runs in the foreground.\n"
          "\n"
          "  --config FILE           read FILE (see --sample-config); other flags go over it\n"
          "  --passphrase-file FILE  the passphrase to join with; - asks for it, or reads standard input\n"
          "  --state-dir DIR         where key, server and target list are kept (default " DEFAULT_STATE_DIR ")\n"
          "  --host-name NAME        name to show on the server\n"
          "  --advertise ADDRESS     where the agents of a mesh ping this host\n"
          "  --log-level LEVEL       debug, info, warning or error\n"
          "  --sample-config         print a config file with every key and its default\n"
          "  --help                  this text\n",
          file);
}

static int bad(const meshping_error *err)
{
    fprintf(stderr, "meshping-agent: %s\n", err->message);
    return 2;
}

int agent_options_read(agent_config *config, int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"passphrase-file", required_argument, NULL, 'p'},
        {"state-dir", required_argument, NULL, 's'},
        {"host-name", required_argument, NULL, 'n'},
        {"advertise", required_argument, NULL, 'a'},
        {"log-level", required_argument, NULL, 'l'},
        {"sample-config", no_argument, NULL, 'S'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static const char *const keys[] = {
        ['p'] = "passphrase_file", ['s'] = "state_dir", ['n'] = "host_name", ['a'] = "advertise", ['l'] = "log_level"};
    meshping_error err;
    config_defaults(agent_config_keys, config);
    /* the file first, whatever the order, so that flags go over it */
    for (int pass = 0; pass < 2; pass++) {
        int option;
        optind = 1;
        opterr = pass == 0;
        while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
            meshping_status status = MESHPING_OK;
            if (option == '?')
                return 2;
            if (option == 'h') {
                usage(stdout);
                return 0;
            }
            if (option == 'S') {
                config_print_sample(agent_config_keys, stdout);
                return 0;
            }
            if (option == 'c' && pass == 0)
                status = config_load(agent_config_keys, config, NULL, optarg, &err);
            else if (option != 'c' && pass == 1)
                status = config_set(agent_config_keys, config, keys[option], optarg, &err);
            if (status != MESHPING_OK)
                return bad(&err);
        }
    }
    if (optind < argc) {
        /* not echoed: it may be a passphrase */
        fputs("meshping-agent: run takes no arguments; the passphrase is read from --passphrase-file\n", stderr);
        return 2;
    }
    if (!config->state_dir[0]) {
        fputs("meshping-agent: state_dir must not be empty\n", stderr);
        return 2;
    }
    return -1;
}

static struct termios asked_on; /* the terminal as it was, also for who gives up at the prompt */

static void give_up(int number)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &asked_on);
    raise(number); /* SA_RESETHAND: for good, once this returns */
}

static meshping_status ask(char *text, meshping_error *err)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction before[sizeof signals / sizeof *signals], quit = {.sa_handler = give_up, .sa_flags = SA_RESETHAND};
    bool terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &asked_on) == 0;
    if (terminal) {
        struct termios quiet = asked_on;
        fputs("Passphrase: ", stderr);
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            sigaction(signals[i], &quit, &before[i]);
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    char *got = fgets(text, MESHPING_PASSPHRASE_TEXT_MAX, stdin);
    if (terminal) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &asked_on);
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
            sigaction(signals[i], &before[i], NULL);
        fputc('\n', stderr);
    }
    return got ? MESHPING_OK : meshping_error_set(err, MESHPING_INVALID, "no passphrase came on standard input");
}

meshping_status agent_passphrase_read(char *text, const agent_config *config, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (!config->passphrase_file[0])
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no passphrase_file is set");
    if (strcmp(config->passphrase_file, "-") == 0) {
        status = ask(text, err);
    } else {
        FILE *file = fopen(config->passphrase_file, "re");
        if (!file)
            return meshping_error_set_errno(err, errno == ENOENT ? MESHPING_NOT_FOUND : MESHPING_PERMISSION, errno,
                                            "cannot read the passphrase file %s", config->passphrase_file);
        if (!fgets(text, MESHPING_PASSPHRASE_TEXT_MAX, file))
            status =
                meshping_error_set(err, MESHPING_INVALID, "the passphrase file %s is empty", config->passphrase_file);
        fclose(file);
    }
    if (status == MESHPING_OK)
        text[strcspn(text, "\r\n")] = '\0';
    return status;
}
