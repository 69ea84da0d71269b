/* SPDX-License-Identifier: Apache-2.0 */
/* Backup and restore of the state directory: the database, and every key file beside it. */
#include "common/hex.h"
#include "meshpingd/maintain.h"
#include "meshpingd/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FILES_MAX 256
#define NAME_MAX_BYTES 256
#define SUM_TEXT 65 /* SHA-256 as hex */

typedef struct file_list {
    size_t count;
    char names[FILES_MAX][NAME_MAX_BYTES];
} file_list;

static meshping_status failed(meshping_error *err, const char *what, const char *path)
{
    int code = errno;
    bool permission = code == EACCES || code == EPERM || code == EROFS;
    return meshping_error_set_errno(err, permission ? MESHPING_PERMISSION : MESHPING_IO, code, "cannot %s %s", what,
                                    path);
}

static meshping_status join(char path[MAINTAIN_PATH_MAX], const char *directory, const char *name, meshping_error *err)
{
    if (snprintf(path, MAINTAIN_PATH_MAX, "%s/%s", directory, name) < MAINTAIN_PATH_MAX)
        return MESHPING_OK;
    return meshping_error_set(err, MESHPING_INVALID, "%s/%s: the path is too long", directory, name);
}

static meshping_status sync_directory(const char *path, meshping_error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    meshping_status status = good ? MESHPING_OK : failed(err, "sync", path);
    if (fd >= 0)
        close(fd);
    return status;
}

static void remove_directory(const char *path)
{
    char name[MAINTAIN_PATH_MAX];
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] != '.' && join(name, path, entry->d_name, NULL) == MESHPING_OK)
            unlink(name);
    if (directory)
        closedir(directory);
    rmdir(path);
}

static bool is_database(const char *name)
{
    return strncmp(name, SERVER_DATABASE_NAME, sizeof SERVER_DATABASE_NAME - 1) == 0;
}

static bool ends_in(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/*
 * Every file of the directory but the database's own, what lasts no longer than the process (the lock, the set-up
 * code), and what was being written.
 */
static bool is_key_file(const char *name)
{
    return name[0] != '.' && !is_database(name) && strcmp(name, "setup-code") != 0 && !ends_in(name, ".new") &&
           strcmp(name, MAINTAIN_SUMS_NAME) != 0 && strcmp(name, MAINTAIN_PENDING_NAME) != 0;
}

static bool is_to_move(const char *name)
{
    return is_key_file(name) || (is_database(name) && !ends_in(name, ".lock"));
}

static meshping_status list_files(file_list *out, const char *path, bool (*wanted)(const char *name),
                                  meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    char file[MAINTAIN_PATH_MAX];
    struct dirent *entry;
    struct stat st;
    out->count = 0;
    DIR *directory = opendir(path);
    if (!directory)
        return failed(err, "read", path);
    while (status == MESHPING_OK && (entry = readdir(directory))) {
        if (!wanted(entry->d_name) || join(file, path, entry->d_name, NULL) != MESHPING_OK || lstat(file, &st) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        if (out->count == FILES_MAX)
            status = meshping_error_set(err, MESHPING_LIMIT, "%s holds more than %d files", path, FILES_MAX);
        else
            snprintf(out->names[out->count++], NAME_MAX_BYTES, "%s", entry->d_name);
    }
    closedir(directory);
    return status;
}

/* ---- files ---- */

static bool write_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length) {
        ssize_t put = write(fd, bytes, length);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        length -= (size_t)put;
    }
    return true;
}

/*
 * Reads a file to its end; into `to` (-1: nowhere), its SHA-256 as hex into sum. `watch` hears of it. Not OK: errno
 * says why.
 */
static meshping_status pump(int from, int to, char sum[SUM_TEXT], const meshping_maintain_watch *watch,
                            const char *stage, uint64_t total)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned digest_length = 0;
    uint64_t done = 0;
    size_t size = 1 << 20;
    uint8_t *bytes = malloc(size);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    meshping_status status =
        bytes && hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 ? MESHPING_OK : MESHPING_NOMEM;
    errno = ENOMEM;
    while (status == MESHPING_OK) {
        ssize_t got = read(from, bytes, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 || (got > 0 && to >= 0 && !write_all(to, bytes, (size_t)got)))
            status = MESHPING_IO;
        if (got <= 0)
            break;
        EVP_DigestUpdate(hash, bytes, (size_t)got);
        done += (uint64_t)got;
        if (watch && watch->progress && !watch->progress(watch->user, stage, done, total)) {
            errno = EINTR;
            status = MESHPING_STATE;
        }
    }
    if (status == MESHPING_OK && EVP_DigestFinal_ex(hash, digest, &digest_length) == 1)
        hex_put(sum, digest, digest_length);
    EVP_MD_CTX_free(hash);
    free(bytes);
    return status;
}

/* The sum of a file as it is on disk. */
static meshping_status sum_file(const char *path, char sum[SUM_TEXT], const maintain_options *options,
                                const char *stage, meshping_error *err)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    meshping_status status =
        fd >= 0 && fstat(fd, &st) == 0 ? pump(fd, -1, sum, &options->watch, stage, (uint64_t)st.st_size) : MESHPING_IO;
    if (status != MESHPING_OK)
        status = status == MESHPING_STATE ? meshping_error_set(err, status, "ended early") : failed(err, "read", path);
    if (fd >= 0)
        close(fd);
    return status;
}

/* A new file, for its owner's eyes alone and on the disk when the call returns. `like`: whose it is to be; NULL: ours.
 */
static meshping_status copy_file(const char *from, const char *to, char sum[SUM_TEXT], const struct stat *like,
                                 const maintain_options *options, const char *stage, meshping_error *err)
{
    struct stat st = {0};
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1;
    meshping_status status = MESHPING_OK;
    if (in < 0 || fstat(in, &st) != 0) {
        status = failed(err, "read", from);
        goto out;
    }
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0600);
    if (out < 0) {
        status = failed(err, "make", to);
        goto out;
    }
    status = pump(in, out, sum, &options->watch, stage, (uint64_t)st.st_size);
    if (status == MESHPING_OK &&
        ((like && geteuid() == 0 && fchown(out, like->st_uid, like->st_gid) != 0) || fsync(out) != 0))
        status = MESHPING_IO;
    if (status != MESHPING_OK)
        status = status == MESHPING_STATE ? meshping_error_set(err, status, "ended early") : failed(err, "write", to);
out:
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0 && status == MESHPING_OK)
        status = failed(err, "write", to);
    return status;
}

/* ---- backup ---- */

/* Writes one line of the sums after the file was read back from where it is kept. */
static meshping_status note_sum(FILE *sums, const char *directory, const char *name, const char *expected,
                                const maintain_options *options, meshping_error *err)
{
    char path[MAINTAIN_PATH_MAX], sum[SUM_TEXT] = "";
    meshping_status status = join(path, directory, name, err);
    if (status == MESHPING_OK)
        status = sum_file(path, sum, options, "reading back", err);
    if (status == MESHPING_OK && expected && strcmp(sum, expected) != 0)
        return meshping_error_set(err, MESHPING_IO, "%s was not written as it was read", path);
    if (status == MESHPING_OK && fprintf(sums, "%s  %s\n", sum, name) < 0)
        return failed(err, "write in", directory);
    return status;
}

static meshping_status backup_keys(const char *directory, FILE *sums, const maintain_options *options,
                                   meshping_error *err)
{
    char from[MAINTAIN_PATH_MAX], to[MAINTAIN_PATH_MAX], sum[SUM_TEXT] = "";
    file_list *files = malloc(sizeof *files);
    if (!files)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = list_files(files, options->state_dir, is_key_file, err);
    for (size_t i = 0; status == MESHPING_OK && i < files->count; i++) {
        status = join(from, options->state_dir, files->names[i], err);
        if (status == MESHPING_OK)
            status = join(to, directory, files->names[i], err);
        if (status == MESHPING_OK)
            status = copy_file(from, to, sum, NULL, options, "key files", err);
        if (status == MESHPING_OK)
            status = note_sum(sums, directory, files->names[i], sum, options, err);
    }
    free(files);
    return status;
}

typedef struct copy_check {
    const meshping_maintain_watch *watch;
    char first[MESHPING_ERROR_MESSAGE_MAX]; /* what is wrong */
} copy_check;

static bool pass_on(void *user, const char *stage, uint64_t done, uint64_t total)
{
    const copy_check *check = user;
    return check->watch->progress(check->watch->user, stage, done, total);
}

static void first_finding(void *user, const char *text)
{
    copy_check *check = user;
    if (!check->first[0])
        snprintf(check->first, sizeof check->first, "%s", text);
}

/* Pages and checksums of a copy. */
static meshping_status check_copy(const char *path, const maintain_options *options, meshping_error *err)
{
    copy_check check = {.watch = &options->watch};
    meshping_store_checked checked;
    meshping_maintain_watch watch = {.progress = pass_on, .finding = first_finding, .user = &check};
    meshping_status status = meshping_store_check(path, true, &watch, &checked, err);
    if (status == MESHPING_OK && checked.findings)
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: %s", path, check.first);
    return status;
}

static meshping_status fill_backup(const char *directory, const maintain_options *options, meshping_error *err)
{
    char from[MAINTAIN_PATH_MAX], to[MAINTAIN_PATH_MAX], sums_path[MAINTAIN_PATH_MAX];
    meshping_status status = join(from, options->state_dir, SERVER_DATABASE_NAME, err);
    if (status == MESHPING_OK)
        status = join(to, directory, SERVER_DATABASE_NAME, err);
    if (status == MESHPING_OK)
        status = join(sums_path, directory, MAINTAIN_SUMS_NAME, err);
    if (status == MESHPING_OK)
        status = meshping_store_backup(from, to, &options->watch, err);
    if (status == MESHPING_OK)
        status = check_copy(to, options, err);
    if (status != MESHPING_OK)
        return status;
    FILE *sums = fopen(sums_path, "wxe");
    if (!sums)
        return failed(err, "make", sums_path);
    /* after the database: of what is revoked meanwhile the backup knows rather too much */
    status = backup_keys(directory, sums, options, err);
    if (status == MESHPING_OK)
        status = note_sum(sums, directory, SERVER_DATABASE_NAME, NULL, options, err);
    if (status == MESHPING_OK && (fflush(sums) != 0 || fsync(fileno(sums)) != 0))
        status = failed(err, "write", sums_path);
    if (fclose(sums) != 0 && status == MESHPING_OK)
        status = failed(err, "write", sums_path);
    return status == MESHPING_OK ? sync_directory(directory, err) : status;
}

/* "/a/b" of "/a/b/c" or "/a/b/c/"; "." of "c". */
static void parent_of(char parent[MAINTAIN_PATH_MAX], const char *path)
{
    snprintf(parent, MAINTAIN_PATH_MAX, "%s", path);
    char *slash = strrchr(parent, '/');
    if (!slash)
        snprintf(parent, MAINTAIN_PATH_MAX, ".");
    else
        slash[slash == parent] = 0;
}

meshping_status maintain_backup(const maintain_options *options, meshping_error *err)
{
    char to[MAINTAIN_PATH_MAX], directory[MAINTAIN_PATH_MAX], parent[MAINTAIN_PATH_MAX];
    struct stat st;
    size_t length = strlen(options->to);
    while (length > 1 && options->to[length - 1] == '/')
        length--;
    if (snprintf(to, sizeof to, "%.*s", (int)length, options->to) >= (int)sizeof to - 8)
        return meshping_error_set(err, MESHPING_INVALID, "--to: the path is too long");
    if (lstat(to, &st) == 0)
        return meshping_error_set(err, MESHPING_EXISTS, "%s is there already: a backup replaces nothing", to);
    snprintf(directory, sizeof directory, "%s.XXXXXX", to);
    if (!mkdtemp(directory)) /* 0700 */
        return failed(err, "make", to);
    meshping_status status = fill_backup(directory, options, err);
    if (status == MESHPING_OK && renameat2(AT_FDCWD, directory, AT_FDCWD, to, RENAME_NOREPLACE) != 0)
        status = failed(err, "make", to);
    if (status != MESHPING_OK) {
        remove_directory(directory);
        return status;
    }
    parent_of(parent, to);
    return sync_directory(parent, err);
}

/* ---- restore ---- */

meshping_status maintain_check_pending(const char *state_dir, meshping_error *err)
{
    char path[MAINTAIN_PATH_MAX];
    struct stat st;
    meshping_status status = join(path, state_dir, MAINTAIN_PENDING_NAME, err);
    if (status == MESHPING_OK && lstat(path, &st) == 0)
        status = meshping_error_set(
            err, MESHPING_STATE, "a restore into %s did not come to its end: run it again (meshpingd maintain restore)",
            state_dir);
    return status;
}

/* Copies what SHA256SUMS names, each checked; CORRUPT: it is not what was backed up. */
static meshping_status stage_files(const char *stage, const maintain_options *options, const struct stat *like,
                                   bool *database, meshping_error *err)
{
    char line[NAME_MAX_BYTES + SUM_TEXT + 8], path[MAINTAIN_PATH_MAX], to[MAINTAIN_PATH_MAX], sum[SUM_TEXT] = "";
    meshping_status status = join(path, options->from_backup, MAINTAIN_SUMS_NAME, err);
    FILE *sums = status == MESHPING_OK ? fopen(path, "re") : NULL;
    if (!sums)
        return status == MESHPING_OK ? meshping_error_set_errno(err, MESHPING_INVALID, errno, "%s is no backup: %s",
                                                                options->from_backup, MAINTAIN_SUMS_NAME)
                                     : status;
    while (status == MESHPING_OK && fgets(line, sizeof line, sums)) {
        line[strcspn(line, "\n")] = 0;
        const char *name = strlen(line) > SUM_TEXT + 1 ? line + SUM_TEXT + 1 : "";
        if (!name[0] || strchr(name, '/') || !(is_key_file(name) || strcmp(name, SERVER_DATABASE_NAME) == 0)) {
            status = meshping_error_set(err, MESHPING_CORRUPT, "%s: a line that no backup writes", path);
            break;
        }
        char from[MAINTAIN_PATH_MAX];
        status = join(from, options->from_backup, name, err);
        if (status == MESHPING_OK)
            status = join(to, stage, name, err);
        if (status == MESHPING_OK)
            status = copy_file(from, to, sum, like, options, "copying", err);
        if (status == MESHPING_OK && strncmp(sum, line, SUM_TEXT - 1) != 0)
            status =
                meshping_error_set(err, MESHPING_CORRUPT, "%s is not what was backed up: its SHA-256 is another", from);
        *database = *database || strcmp(name, SERVER_DATABASE_NAME) == 0;
    }
    fclose(sums);
    return status;
}

#define REVOCATIONS_NAME "revocations"
#define REVOCATIONS_MAX ((size_t)64 << 20)

/* The file as a text with a newline before it; "\n" when there is none. NULL: it cannot be read. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t size = 0;
    FILE *all = open_memstream(&text, &size);
    bool good = all && (file || errno == ENOENT) && fputc('\n', all) != EOF;
    char buffer[4096];
    size_t got;
    while (good && file && (got = fread(buffer, 1, sizeof buffer, file)) > 0)
        good = fwrite(buffer, 1, got, all) == got && size < REVOCATIONS_MAX;
    good = good && !(file && ferror(file));
    if (file)
        fclose(file);
    if (all && fclose(all) != 0)
        good = false;
    if (!good) {
        free(text);
        return NULL;
    }
    return text;
}

/* Who was blacklisted or revoked after the backup stays so: those lines are taken over, behind the backup's own. */
static meshping_status keep_revocations(const char *stage, const char *state_dir, const struct stat *like,
                                        meshping_error *err)
{
    char from[MAINTAIN_PATH_MAX], to[MAINTAIN_PATH_MAX];
    meshping_status status = join(from, state_dir, REVOCATIONS_NAME, err);
    if (status == MESHPING_OK)
        status = join(to, stage, REVOCATIONS_NAME, err);
    if (status != MESHPING_OK)
        return status;
    char *now = read_text(from), *then = read_text(to);
    if (!now || !then)
        status = failed(err, "read", now ? to : from);
    int fd = status == MESHPING_OK && now[1] ? open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    bool good = status == MESHPING_OK && (fd >= 0 || !now[1]);
    for (char *line = good ? now : NULL; line && line[1];) {
        char *end = strchr(line + 1, '\n'), kept = 0;
        if (end) { /* a line that was not ended was not promised either */
            kept = end[1];
            end[1] = 0;
            if (!strstr(then, line))
                good = write_all(fd, (const uint8_t *)line + 1, strlen(line + 1));
            end[1] = kept;
        }
        line = good ? end : NULL;
    }
    if (fd >= 0 && ((geteuid() == 0 && fchown(fd, like->st_uid, like->st_gid) != 0) || fsync(fd) != 0))
        good = false;
    if (status == MESHPING_OK && !good)
        status = failed(err, "write", to);
    if (fd >= 0)
        close(fd);
    free(now);
    free(then);
    return status;
}

static meshping_status move_files(const char *from, const char *to, const file_list *files, meshping_error *err)
{
    char old[MAINTAIN_PATH_MAX], new[MAINTAIN_PATH_MAX];
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; status == MESHPING_OK && i < files->count; i++) {
        status = join(old, from, files->names[i], err);
        if (status == MESHPING_OK)
            status = join(new, to, files->names[i], err);
        if (status == MESHPING_OK && rename(old, new) != 0)
            status = failed(err, "move", old);
    }
    return status == MESHPING_OK ? sync_directory(to, err) : status;
}

static meshping_status make_aside(char aside[MAINTAIN_PATH_MAX], const char *state_dir, const struct stat *like,
                                  meshping_error *err)
{
    char stamp[64];
    struct tm tm;
    time_t now = time(NULL);
    gmtime_r(&now, &tm);
    for (int i = 0;; i++) {
        size_t length = strftime(stamp, sizeof stamp, "before-restore-%Y%m%dT%H%M%SZ", &tm);
        if (i)
            snprintf(stamp + length, sizeof stamp - length, "-%d", i);
        meshping_status status = join(aside, state_dir, stamp, err);
        if (status != MESHPING_OK)
            return status;
        if (mkdir(aside, 0700) == 0)
            break;
        if (errno != EEXIST || i == 100)
            return failed(err, "make", aside);
    }
    if (geteuid() == 0 && chown(aside, like->st_uid, like->st_gid) != 0)
        return failed(err, "make", aside);
    return MESHPING_OK;
}

static meshping_status mark(const char *state_dir, meshping_error *err)
{
    char path[MAINTAIN_PATH_MAX];
    meshping_status status = join(path, state_dir, MAINTAIN_PENDING_NAME, err);
    int fd = status == MESHPING_OK ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (status == MESHPING_OK && (fd < 0 || fsync(fd) != 0))
        status = failed(err, "make", path);
    if (fd >= 0)
        close(fd);
    return status == MESHPING_OK ? sync_directory(state_dir, err) : status;
}

static meshping_status unmark(const char *state_dir, meshping_error *err)
{
    char path[MAINTAIN_PATH_MAX];
    meshping_status status = join(path, state_dir, MAINTAIN_PENDING_NAME, err);
    if (status == MESHPING_OK && unlink(path) != 0)
        status = failed(err, "remove", path);
    return status == MESHPING_OK ? sync_directory(state_dir, err) : status;
}

/* The old files go aside, the staged ones take their place; while that lasts no server starts. */
static meshping_status swap(const char *stage, const maintain_options *options, const struct stat *like, char *aside,
                            meshping_error *err)
{
    file_list *files = malloc(sizeof *files);
    if (!files)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    meshping_status status = make_aside(aside, options->state_dir, like, err);
    if (status == MESHPING_OK)
        status = mark(options->state_dir, err);
    if (status == MESHPING_OK)
        status = list_files(files, options->state_dir, is_to_move, err);
    if (status == MESHPING_OK)
        status = move_files(options->state_dir, aside, files, err);
    if (status == MESHPING_OK)
        status = list_files(files, stage, is_to_move, err);
    if (status == MESHPING_OK)
        status = move_files(stage, options->state_dir, files, err);
    if (status == MESHPING_OK)
        status = unmark(options->state_dir, err);
    free(files);
    return status;
}

meshping_status maintain_restore(const maintain_options *options, char *aside, meshping_error *err)
{
    char database[MAINTAIN_PATH_MAX], stage[MAINTAIN_PATH_MAX], copy[MAINTAIN_PATH_MAX];
    struct stat like;
    int lock = -1;
    bool has_database = false;
    aside[0] = stage[0] = 0;
    if (mkdir(options->state_dir, 0700) != 0 && errno != EEXIST)
        return failed(err, "make", options->state_dir);
    if (stat(options->state_dir, &like) != 0)
        return failed(err, "read", options->state_dir);
    meshping_status status = join(database, options->state_dir, SERVER_DATABASE_NAME, err);
    if (status == MESHPING_OK)
        status = meshping_store_lock(&lock, database, err);
    if (status == MESHPING_OK)
        status = join(stage, options->state_dir, ".restore-XXXXXX", err);
    if (status != MESHPING_OK || !mkdtemp(stage)) {
        status = status == MESHPING_OK ? failed(err, "make", stage) : status;
        stage[0] = 0;
        goto out;
    }
    status = stage_files(stage, options, &like, &has_database, err);
    if (status == MESHPING_OK && !has_database)
        status = meshping_error_set(err, MESHPING_INVALID, "%s is no backup: there is no database in it",
                                    options->from_backup);
    if (status == MESHPING_OK)
        status = join(copy, stage, SERVER_DATABASE_NAME, err);
    if (status == MESHPING_OK)
        status = check_copy(copy, options, err);
    if (status == MESHPING_OK)
        status = keep_revocations(stage, options->state_dir, &like, err);
    if (status == MESHPING_OK)
        status = swap(stage, options, &like, aside, err);
out:
    if (stage[0])
        remove_directory(stage);
    if (lock >= 0)
        close(lock);
    return status;
}
