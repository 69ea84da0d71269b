/* SPDX-License-Identifier: Apache-2.0 */
#include "store_peers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- files ---- */

static double sum;

static int add_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)path;
    (void)where;
    if (kind == FTW_F)
        sum += (double)st->st_size;
    return 0;
}

static int remove_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

double bench_directory_bytes(const char *directory)
{
    sum = 0;
    nftw(directory, add_file, 16, FTW_PHYS);
    return sum;
}

void bench_directory_remove(const char *directory)
{
    nftw(directory, remove_file, 16, FTW_PHYS | FTW_DEPTH);
}

/* ---- a row a sample ---- */

static bool insert_rows(const bench_series *all, sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_exec(db,
                             "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                             "CREATE TABLE samples(pair INTEGER, slot_us INTEGER, rtt_us INTEGER,"
                             " PRIMARY KEY(pair, slot_us)) WITHOUT ROWID; BEGIN",
                             NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(db, "INSERT INTO samples VALUES(?1, ?2, ?3)", -1, &statement, NULL) == SQLITE_OK;
    for (size_t series = 0; good && series < all->series; series++)
        for (size_t i = 0; good && i < all->starts[series + 1] - all->starts[series]; i++) {
            meshping_sample sample = bench_sample(all, series, i);
            sqlite3_bind_int64(statement, 1, (int64_t)series + 1);
            sqlite3_bind_int64(statement, 2, sample.slot_unix_us);
            if (sample.outcome)
                sqlite3_bind_null(statement, 3);
            else
                sqlite3_bind_int64(statement, 3, sample.rtt_us);
            good = sqlite3_step(statement) == SQLITE_DONE && sqlite3_reset(statement) == SQLITE_OK;
        }
    sqlite3_finalize(statement);
    return good && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

bool bench_store_rows(const bench_series *all, const char *directory, double *bytes)
{
    char path[BENCH_PATH_MAX];
    sqlite3 *db = NULL;
    snprintf(path, sizeof path, "%s/rows.db", directory);
    bool good = mkdir(directory, 0700) == 0 && sqlite3_open(path, &db) == SQLITE_OK && insert_rows(all, db);
    if (!good)
        fprintf(stderr, "meshping-bench store: %s: %s\n", path, db ? sqlite3_errmsg(db) : "cannot create it");
    sqlite3_close(db); /* moves the WAL into the file */
    *bytes = bench_directory_bytes(directory);
    return good;
}

/* ---- VictoriaMetrics ---- */

static pid_t start(const char *const *command)
{
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        execvp(command[0], (char *const *)(uintptr_t)command);
        _exit(127);
    }
    return child;
}

static bool run(const char *const *command)
{
    int status;
    pid_t child = start(command);
    return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool request(unsigned port, const char *path, const char *body)
{
    char url[128], data[BENCH_PATH_MAX + 1];
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    snprintf(data, sizeof data, "@%s", body ? body : "");
    const char *const get[] = {"curl", "-sSf", "--noproxy", "*", url, NULL};
    const char *const post[] = {"curl", "-sSf", "--noproxy", "*", "-T", data + 1, "-X", "POST", url, NULL};
    return run(body ? post : get);
}

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = bind(fd, (struct sockaddr *)&address, length) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &length) == 0;
    close(fd);
    return good ? ntohs(address.sin_port) : 0;
}

/* Its import format: a line a series, milliseconds with 3 decimals; what was lost is left out. */
static bool write_import(const bench_series *all, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return false;
    for (size_t series = 0; series < all->series; series++) {
        size_t length = all->starts[series + 1] - all->starts[series];
        fprintf(file, "{\"metric\":{\"__name__\":\"rtt\",\"agent\":\"1\",\"target\":\"%zu\"},\"values\":[", series + 1);
        const char *comma = "";
        for (size_t i = 0; i < length; i++) {
            meshping_sample sample = bench_sample(all, series, i);
            if (sample.outcome == MESHPING_OUTCOME_OK) {
                fprintf(file, "%s%.3f", comma, sample.rtt_us / 1000.0);
                comma = ",";
            }
        }
        comma = "";
        fputs("],\"timestamps\":[", file);
        for (size_t i = 0; i < length; i++) {
            meshping_sample sample = bench_sample(all, series, i);
            if (sample.outcome == MESHPING_OUTCOME_OK) {
                fprintf(file, "%s%lld", comma, (long long)(sample.slot_unix_us / 1000));
                comma = ",";
            }
        }
        fputs("]}\n", file);
    }
    return fclose(file) == 0;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static bool feed(unsigned port, const char *import)
{
    int tries = 100;
    while (tries > 0 && !request(port, "/health", NULL)) {
        pause_ms(100);
        tries--;
    }
    bool good = tries > 0 && request(port, "/api/v1/import", import) && request(port, "/internal/force_flush", NULL) &&
                request(port, "/internal/force_merge", NULL);
    pause_ms(5000); /* it merges in the background */
    return good;
}

bool bench_store_victoria(const bench_series *all, const char *directory, double *bytes)
{
    char listen[64], path[BENCH_PATH_MAX + 32], import[BENCH_PATH_MAX + 32];
    int status;
    unsigned port = free_port();
    snprintf(listen, sizeof listen, "-httpListenAddr=127.0.0.1:%u", port);
    snprintf(path, sizeof path, "-storageDataPath=%s", directory);
    snprintf(import, sizeof import, "%s.jsonl", directory);
    const char *const command[] = {"victoria-metrics", listen, path, "-retentionPeriod=100y", NULL};
    const char *const installed[] = {"victoria-metrics", "-version", NULL};
    if (!run(installed)) {
        fputs("meshping-bench store: victoria-metrics is not installed: left out\n", stderr);
        return false;
    }
    if (!write_import(all, import))
        return false;
    pid_t child = start(command);
    bool good = child > 0 && feed(port, import);
    if (child > 0) {
        kill(child, SIGINT); /* it writes out what it has in memory */
        waitpid(child, &status, 0);
    }
    unlink(import);
    if (!good)
        fputs("meshping-bench store: victoria-metrics did not take the series: left out\n", stderr);
    /* not `cache`: it is filled anew when it is missing */
    snprintf(path, sizeof path, "%s/data", directory);
    *bytes = bench_directory_bytes(path);
    snprintf(path, sizeof path, "%s/indexdb", directory);
    *bytes += bench_directory_bytes(path);
    return good;
}
