/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading where nothing can be written: SQLite keeps an index of its log in a file, and without a server it is not
 * there and cannot be made on a full or read-only file system. When nothing is in the log either, and no server runs
 * that would write, the database is all in one file and does not change.
 */
#include "store/sql.h"

#include "base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "PATH-wal", for meshping__free; NULL: no memory. */
static char *beside(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *name = meshping__malloc(size);
    if (name)
        snprintf(name, size, "%s%s", path, suffix);
    return name;
}

/* What a crash left to be done, or may have. */
static bool has_log(const char *path, const char *suffix)
{
    struct stat st;
    char *name = beside(path, suffix);
    bool has = !name || (stat(name, &st) == 0 ? st.st_size > 0 : errno != ENOENT);
    meshping__free(name);
    return has;
}

static bool has_server(const char *path)
{
    char *name = beside(path, ".lock");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool has = !name || (fd < 0 ? errno != ENOENT : fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK);
    if (fd >= 0)
        close(fd);
    meshping__free(name);
    return has;
}

static bool cannot_write(sqlite3 *db)
{
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_CANTOPEN:
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_IOERR:
        return true;
    default:
        return false;
    }
}

/* Whatever is in the path stands for itself. */
static char *uri_of(const char *path)
{
    static const char head[] = "file:", tail[] = "?immutable=1", digits[] = "0123456789abcdef";
    char *uri = meshping__malloc(sizeof head + 3 * strlen(path) + sizeof tail), *at = uri;
    if (!uri)
        return NULL;
    memcpy(at, head, sizeof head - 1);
    at += sizeof head - 1;
    for (; *path; path++) {
        *at++ = '%';
        *at++ = digits[(unsigned char)*path >> 4];
        *at++ = digits[(unsigned char)*path & 15];
    }
    memcpy(at, tail, sizeof tail);
    return uri;
}

int meshping__sql_open_frozen(sqlite3 **db, const char *path, int flags)
{
    if (sqlite3_exec(*db, "PRAGMA schema_version", NULL, NULL, NULL) == SQLITE_OK || !cannot_write(*db) ||
        has_server(path) || has_log(path, "-wal") || has_log(path, "-journal"))
        return SQLITE_OK;
    char *uri = uri_of(path);
    if (!uri)
        return SQLITE_NOMEM;
    sqlite3_close(*db);
    int rc = sqlite3_open_v2(uri, db, flags | SQLITE_OPEN_URI, NULL);
    meshping__free(uri);
    return rc;
}
