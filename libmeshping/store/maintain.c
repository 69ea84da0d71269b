/* SPDX-License-Identifier: Apache-2.0 */
/* Copying and compacting a database: meshping/maintain.h. */
#include "store/maintain.h"

#include "base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEPS_A_CALL 200000 /* SQLite's instructions between two calls of the progress handler: some milliseconds */
#define PAGES_A_STEP 256

void meshping__watch_stage(meshping__watching *watching, const char *stage, uint64_t total)
{
    watching->stage = stage;
    watching->done = 0;
    watching->total = total;
    meshping__watch_step(watching, 0);
}

bool meshping__watch_step(meshping__watching *watching, uint64_t more)
{
    const meshping_maintain_watch *watch = watching->watch;
    watching->done += more;
    if (watch && watch->progress && !watch->progress(watch->user, watching->stage, watching->done, watching->total))
        watching->stopped = true;
    return !watching->stopped;
}

static int go_on(void *user)
{
    return !meshping__watch_step(user, 0);
}

meshping_status meshping__maintain_open(meshping__sql *sql, const char *path, meshping__watching *watching,
                                        meshping_error *err)
{
    struct stat st;
    *sql = (meshping__sql){0};
    if (stat(path, &st) != 0) /* SQLite's own words would not name the reason */
        return meshping_error_set_errno(err, errno == EACCES ? MESHPING_PERMISSION : MESHPING_IO, errno,
                                        "cannot open %s", path);
    meshping_status status = meshping__sql_open(sql, path, true, err);
    if (status == MESHPING_OK)
        status = meshping__schema_identify(sql, &watching->current, err);
    if (status != MESHPING_OK) {
        meshping__sql_close(sql);
        return status;
    }
    meshping__watch_stage(watching, "opening", 0);
    sqlite3_progress_handler(sql->db, STEPS_A_CALL, go_on, watching);
    return MESHPING_OK;
}

/* ---- copying ---- */

static meshping_status copy_pages(sqlite3_backup *backup, meshping__sql *to, meshping__watching *watching,
                                  meshping_error *err)
{
    int rc;
    do {
        rc = sqlite3_backup_step(backup, PAGES_A_STEP);
        watching->total = (uint64_t)sqlite3_backup_pagecount(backup);
        watching->done = watching->total - (uint64_t)sqlite3_backup_remaining(backup);
        if (!meshping__watch_step(watching, 0))
            return meshping_error_set(err, MESHPING_STATE, "ended early");
    } while (rc == SQLITE_OK);
    return rc == SQLITE_DONE ? MESHPING_OK : meshping__sql_error(to, rc, err);
}

static meshping_status copy(meshping__sql *from, meshping__sql *to, meshping__watching *watching, meshping_error *err)
{
    int64_t pages;
    /* One snapshot for all steps: without it each commit of the server would begin the copy anew. */
    meshping_status status = meshping__sql_exec(from, "BEGIN", err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(from, "SELECT count(*) FROM sqlite_schema", &pages, err);
    if (status != MESHPING_OK)
        return status;
    meshping__watch_stage(watching, "copying", 0);
    sqlite3_backup *backup = sqlite3_backup_init(to->db, "main", from->db, "main");
    if (backup) {
        status = copy_pages(backup, to, watching, err);
        int rc = sqlite3_backup_finish(backup);
        if (status == MESHPING_OK && rc != SQLITE_OK)
            status = meshping__sql_error(to, rc, err);
    } else {
        status = meshping__sql_error(to, sqlite3_errcode(to->db), err);
    }
    meshping__sql_exec(from, "COMMIT", NULL);
    return status;
}

meshping_status meshping_store_backup(const char *path, const char *to, const meshping_maintain_watch *watch,
                                      meshping_error *err)
{
    meshping__watching watching = {.watch = watch};
    meshping__sql source, target = {0};
    meshping_status status = meshping__maintain_open(&source, path, &watching, err);
    if (status != MESHPING_OK)
        return status;
    int fd = open(to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        int code = errno;
        meshping__sql_close(&source);
        return meshping_error_set_errno(err, code == EEXIST ? MESHPING_EXISTS : MESHPING_IO, code, "cannot make %s",
                                        to);
    }
    close(fd);
    status = meshping__sql_open(&target, to, false, err);
    if (status == MESHPING_OK) /* one file, whole: nothing beside it that could be forgotten */
        status = meshping__sql_exec(&target, "PRAGMA synchronous = FULL; PRAGMA journal_mode = DELETE", err);
    if (status == MESHPING_OK)
        status = copy(&source, &target, &watching, err);
    if (status == MESHPING_OK)
        status = meshping__sql_exec(&target, "PRAGMA journal_mode = DELETE", err); /* the copied header says WAL */
    meshping__sql_close(&target);
    meshping__sql_close(&source);
    if (status != MESHPING_OK)
        unlink(to);
    return status;
}

/* ---- compacting ---- */

meshping_status meshping_store_lock(int *fd, const char *path, meshping_error *err)
{
    return meshping__lock_take(fd, path, err);
}

#define SMALL_BYTES (INT64_C(4) << 20)

/*
 * Of a small file the pages that are half empty are a good part, in a large one small pages cost time. VACUUM changes
 * their size only without a write-ahead log, which cannot be left while somebody else reads: then they stay as they
 * are.
 */
static meshping_status choose_page_size(meshping__sql *sql, meshping_error *err)
{
    int64_t bytes = 0, pages = 0, free_pages = 0;
    meshping_status status = meshping__sql_number(sql, "PRAGMA page_size", &bytes, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(sql, "PRAGMA page_count", &pages, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(sql, "PRAGMA freelist_count", &free_pages, err);
    bool small = (pages - free_pages) * bytes < SMALL_BYTES;
    if (status != MESHPING_OK || bytes == (small ? 512 : 1024))
        return status;
    status = meshping__sql_exec(sql, "PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE", err);
    if (status == MESHPING_OK)
        status = meshping__sql_exec(sql, small ? "PRAGMA page_size = 512" : "PRAGMA page_size = 1024", err);
    return status == MESHPING_BUSY ? MESHPING_OK : status;
}

meshping_status meshping_store_vacuum(const char *path, const meshping_maintain_watch *watch, meshping_error *err)
{
    meshping__watching watching = {.watch = watch};
    meshping__sql sql;
    int lock = -1;
    meshping_status status = meshping__maintain_open(&sql, path, &watching, err); /* ours, and of this version */
    if (status != MESHPING_OK)
        return status;
    meshping__sql_close(&sql);
    status = meshping__lock_take(&lock, path, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping__sql_open(&sql, path, false, err);
    if (status == MESHPING_OK)
        status = meshping__schema_prepare_writer(&sql, err);
    if (status == MESHPING_OK)
        status = choose_page_size(&sql, err);
    if (status == MESHPING_OK) {
        meshping__watch_stage(&watching, "compacting", 0);
        sqlite3_progress_handler(sql.db, STEPS_A_CALL, go_on, &watching);
        status = meshping__sql_exec(&sql, "VACUUM", err);
        sqlite3_progress_handler(sql.db, 0, NULL, NULL);
        if (watching.stopped)
            status = meshping_error_set(err, MESHPING_STATE, "ended early");
    }
    if (status == MESHPING_OK)
        status = meshping__sql_exec(&sql, "PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE)", err);
    meshping__sql_close(&sql);
    close(lock);
    return status;
}
