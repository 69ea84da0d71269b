/* SPDX-License-Identifier: Apache-2.0 */
/* One server a database. The kernel drops the lock with the last descriptor, so a killed server leaves none behind. */
#include "store/internal.h"

#include "base/alloc.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static meshping_status open_failed(int sys_errno, const char *name, meshping_error *err)
{
    bool permission = sys_errno == EACCES || sys_errno == EPERM || sys_errno == EROFS;
    return meshping_error_set_errno(err, permission ? MESHPING_PERMISSION : MESHPING_IO, sys_errno,
                                    "cannot open the lock file %s", name);
}

static meshping_status taken(int fd, const char *path, meshping_error *err)
{
    char text[32] = "";
    ssize_t length = pread(fd, text, sizeof text - 1, 0);
    long pid = length > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return meshping_error_set(err, MESHPING_BUSY,
                                  "%s: another server (process %ld) has it open: stop that one first", path, pid);
    return meshping_error_set(err, MESHPING_BUSY, "%s: another server has it open: stop that one first", path);
}

/* For people only: a full disk, which makes this fail, must not keep the server from starting. */
static bool write_pid(int fd)
{
    char pid[32];
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    return ftruncate(fd, 0) == 0 && pwrite(fd, pid, (size_t)length, 0) == length;
}

/* Root may be first (maintain, admin): the lock must not keep the server out, which is another user. */
static void give_to_owner(int fd, const char *path)
{
    struct stat st;
    if (geteuid() == 0 && stat(path, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) != 0)
        return; /* the server will say what it cannot open */
}

meshping_status meshping__lock_take(int *out, const char *path, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    size_t size = strlen(path) + sizeof ".lock";
    char *name = meshping__malloc(size);
    int fd = -1;
    if (!name)
        return meshping__no_memory(err);
    snprintf(name, size, "%s.lock", path);
    fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        status = open_failed(errno, name, err);
        goto out;
    }
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        int sys_errno = errno;
        if (sys_errno == EAGAIN || sys_errno == EACCES)
            status = taken(fd, path, err);
        else
            status = meshping_error_set_errno(err, MESHPING_IO, sys_errno, "cannot lock %s", name);
        goto out;
    }
    give_to_owner(fd, path);
    (void)write_pid(fd);
    *out = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    meshping__free(name);
    return status;
}
