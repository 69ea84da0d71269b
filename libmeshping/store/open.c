/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT_MS_MAX 200

void meshping_store_options_init(meshping_store_options *options)
{
    *options = (meshping_store_options){
        .struct_size = sizeof *options,
        .commit_ms = 50,
        .queue_bytes_max = (size_t)64 << 20,
        .seal_after_s = 600,
        .long_after_s = 7200,
        .quarantine_bytes_max = MESHPING_QUARANTINE_BYTES_MAX,
    };
}

static meshping_status check_options(const meshping_store_options *options, meshping_error *err)
{
    if (options->struct_size < sizeof *options)
        return meshping_error_set(err, MESHPING_INVALID, "store options: call meshping_store_options_init first");
    if (!options->path || !*options->path)
        return meshping_error_set(err, MESHPING_INVALID, "store options: a path is needed");
    if (options->commit_ms > COMMIT_MS_MAX)
        return meshping_error_set(err, MESHPING_INVALID, "store options: commit_ms is %u, at most %d is allowed",
                                  options->commit_ms, COMMIT_MS_MAX);
    if (options->queue_bytes_max == 0)
        return meshping_error_set(err, MESHPING_INVALID, "store options: queue_bytes_max must be above 0");
    return MESHPING_OK;
}

/*
 * SQLite would make the file readable for all. An existing file is not opened here: closing a second descriptor of it
 * would drop the POSIX locks that another connection of this process holds.
 */
static meshping_status create_private(const char *path, meshping_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0) {
        close(fd);
        return MESHPING_OK;
    }
    if (errno == EEXIST)
        return MESHPING_OK;
    bool permission = errno == EACCES || errno == EPERM || errno == EROFS;
    return meshping_error_set_errno(err, permission ? MESHPING_PERMISSION : MESHPING_IO, errno, "cannot create %s",
                                    path);
}

/* SQLite says "unable to open database file" for all of these. */
static meshping_status check_accessible(const char *path, bool read_only, meshping_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return meshping_error_set_errno(err, errno == EACCES ? MESHPING_PERMISSION : MESHPING_IO, errno,
                                        "cannot open %s", path);
    if (!S_ISREG(st.st_mode))
        return meshping_error_set(err, MESHPING_INVALID, "%s is not a regular file", path);
    if (faccessat(AT_FDCWD, path, read_only ? R_OK : R_OK | W_OK, AT_EACCESS) != 0)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot open %s", path);
    return MESHPING_OK;
}

meshping_status meshping_store_open(meshping_store **out, const meshping_store_options *options, meshping_error *err)
{
    meshping_status status = check_options(options, err);
    if (status != MESHPING_OK)
        return status;
    meshping_store *store = meshping__calloc(1, sizeof *store);
    if (!store)
        return meshping__no_memory(err);
    store->lock_fd = -1;
    store->writer.event_fd = -1;
    store->read_only = options->read_only;
    store->path = meshping__strdup(options->path);
    if (!store->path) {
        meshping_store_close(store);
        return meshping__no_memory(err);
    }
    if (!options->read_only) {
        status = meshping__lock_take(&store->lock_fd, store->path, err);
        if (status == MESHPING_OK)
            status = create_private(store->path, err);
    }
    if (status == MESHPING_OK)
        status = check_accessible(store->path, options->read_only, err);
    if (status == MESHPING_OK)
        status = meshping__sql_open(&store->sql, store->path, options->read_only, err);
    if (status == MESHPING_OK)
        status = meshping__schema_open(&store->sql, options->read_only, err);
    if (status == MESHPING_OK && !options->read_only)
        status = meshping__writer_start(&store->writer, store->path, options, err);
    if (status != MESHPING_OK) {
        meshping_store_close(store);
        return status;
    }
    *out = store;
    return MESHPING_OK;
}

void meshping_store_close(meshping_store *store)
{
    if (!store)
        return;
    if (store->writer.started)
        meshping__sql_settle(&store->sql); /* else the writer waits for it in vain */
    meshping__writer_stop(&store->writer);
    meshping_store_process(store);
    meshping__writer_dispose(&store->writer);
    meshping__sql_close(&store->sql);
    if (store->lock_fd >= 0)
        close(store->lock_fd); /* after the last write */
    meshping_block_reader_free(store->reader);
    meshping__damages_dispose(&store->damages);
    meshping__free(store->path);
    meshping__free(store);
}

static uint64_t file_bytes(const char *path, const char *suffix)
{
    char name[4096];
    struct stat st;
    int length = snprintf(name, sizeof name, "%s%s", path, suffix);
    if (length < 0 || (size_t)length >= sizeof name || stat(name, &st) != 0)
        return 0;
    return (uint64_t)st.st_size;
}

void meshping_store_get_stats(meshping_store *store, meshping_store_stats *out)
{
    *out = (meshping_store_stats){0};
    if (!store->read_only) {
        pthread_mutex_lock(&store->writer.mutex);
        *out = store->writer.stats;
        out->queued_bytes = store->writer.queued_bytes;
        pthread_mutex_unlock(&store->writer.mutex);
    }
    out->file_bytes = file_bytes(store->path, "") + file_bytes(store->path, "-wal");
}
