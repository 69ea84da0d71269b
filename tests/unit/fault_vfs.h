/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's view of the disk with faults in it: the system's own VFS, but the n-th call (of the kinds asked for) fails,
 * once or from then on. And SQLite's allocations, counted and failing likewise.
 */
#ifndef TESTS_FAULT_VFS_H
#define TESTS_FAULT_VFS_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum fault_kind {
    FAULT_OPEN = 1 << 0,
    FAULT_READ = 1 << 1,
    FAULT_WRITE = 1 << 2,
    FAULT_SYNC = 1 << 3,
    FAULT_TRUNCATE = 1 << 4,
    FAULT_DELETE = 1 << 5,
    FAULT_SHM = 1 << 6, /* the index of the write-ahead log */
    FAULT_LOCK = 1 << 7,
    FAULT_SIZE = 1 << 8,
    FAULT_ALL = (1 << 9) - 1,
};

/* Several threads do I/O: the count is one for all. */
typedef struct fault_plan {
    unsigned kinds;
    _Atomic bool for_good; /* from the n-th on, till it is taken back */
    bool full;             /* writes say that the disk is full, not that it is broken */
    _Atomic long count;
    _Atomic long at; /* the call that fails, from 1; 0: none */
    _Atomic long failed;
} fault_plan;

static fault_plan fault_io, fault_memory;

static inline bool fault_due(fault_plan *plan)
{
    long at = plan->at, now = ++plan->count;
    if (!at || now < at || (now > at && !plan->for_good))
        return false;
    plan->failed++;
    return true;
}

static inline void fault_begin(fault_plan *plan, long at, bool for_good)
{
    plan->for_good = for_good;
    plan->count = plan->failed = 0;
    plan->at = at;
}

static inline bool fault_io_due(enum fault_kind kind)
{
    return (fault_io.kinds & kind) && fault_due(&fault_io);
}

/* ---- files ---- */

typedef struct fault_file {
    sqlite3_file base;
    sqlite3_file *real;
} fault_file;

static inline sqlite3_file *fault_real(sqlite3_file *file)
{
    return ((fault_file *)file)->real;
}

static inline int fault_close(sqlite3_file *file)
{
    sqlite3_file *real = fault_real(file);
    int rc = real->pMethods ? real->pMethods->xClose(real) : SQLITE_OK;
    free(real);
    return rc;
}

static inline int fault_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 at)
{
    if (fault_io_due(FAULT_READ))
        return SQLITE_IOERR_READ;
    return fault_real(file)->pMethods->xRead(fault_real(file), bytes, length, at);
}

/* Half of what a failing write had to write is on the disk: nobody promises that nothing is. */
static inline int fault_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 at)
{
    sqlite3_file *real = fault_real(file);
    if (fault_io_due(FAULT_WRITE)) {
        real->pMethods->xWrite(real, bytes, length / 2, at);
        return fault_io.full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
    }
    return real->pMethods->xWrite(real, bytes, length, at);
}

static inline int fault_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (fault_io_due(FAULT_TRUNCATE))
        return SQLITE_IOERR_TRUNCATE;
    return fault_real(file)->pMethods->xTruncate(fault_real(file), size);
}

static inline int fault_sync(sqlite3_file *file, int flags)
{
    if (fault_io_due(FAULT_SYNC))
        return SQLITE_IOERR_FSYNC;
    return fault_real(file)->pMethods->xSync(fault_real(file), flags);
}

static inline int fault_size(sqlite3_file *file, sqlite3_int64 *size)
{
    if (fault_io_due(FAULT_SIZE))
        return SQLITE_IOERR_FSTAT;
    return fault_real(file)->pMethods->xFileSize(fault_real(file), size);
}

static inline int fault_lock(sqlite3_file *file, int level)
{
    if (fault_io_due(FAULT_LOCK))
        return SQLITE_IOERR_LOCK;
    return fault_real(file)->pMethods->xLock(fault_real(file), level);
}

static inline int fault_unlock(sqlite3_file *file, int level)
{
    return fault_real(file)->pMethods->xUnlock(fault_real(file), level);
}

static inline int fault_reserved(sqlite3_file *file, int *out)
{
    return fault_real(file)->pMethods->xCheckReservedLock(fault_real(file), out);
}

static inline int fault_control(sqlite3_file *file, int op, void *argument)
{
    return fault_real(file)->pMethods->xFileControl(fault_real(file), op, argument);
}

static inline int fault_sector(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xSectorSize(fault_real(file));
}

static inline int fault_device(sqlite3_file *file)
{
    return fault_real(file)->pMethods->xDeviceCharacteristics(fault_real(file));
}

static inline int fault_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    if (fault_io_due(FAULT_SHM))
        return SQLITE_IOERR_SHMMAP;
    return fault_real(file)->pMethods->xShmMap(fault_real(file), page, size, extend, out);
}

static inline int fault_shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    return fault_real(file)->pMethods->xShmLock(fault_real(file), offset, n, flags);
}

static inline void fault_shm_barrier(sqlite3_file *file)
{
    fault_real(file)->pMethods->xShmBarrier(fault_real(file));
}

static inline int fault_shm_unmap(sqlite3_file *file, int delete)
{
    return fault_real(file)->pMethods->xShmUnmap(fault_real(file), delete);
}

static const sqlite3_io_methods fault_methods = {
    .iVersion = 2, /* no memory-mapped reads: they would pass by here */
    .xClose = fault_close,
    .xRead = fault_read,
    .xWrite = fault_write,
    .xTruncate = fault_truncate,
    .xSync = fault_sync,
    .xFileSize = fault_size,
    .xLock = fault_lock,
    .xUnlock = fault_unlock,
    .xCheckReservedLock = fault_reserved,
    .xFileControl = fault_control,
    .xSectorSize = fault_sector,
    .xDeviceCharacteristics = fault_device,
    .xShmMap = fault_shm_map,
    .xShmLock = fault_shm_lock,
    .xShmBarrier = fault_shm_barrier,
    .xShmUnmap = fault_shm_unmap,
};

static sqlite3_vfs fault_vfs, *fault_below;

static inline int fault_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    fault_file *f = (fault_file *)file;
    (void)vfs;
    f->base.pMethods = NULL;
    if (fault_io_due(FAULT_OPEN))
        return SQLITE_CANTOPEN;
    f->real = calloc(1, (size_t)fault_below->szOsFile);
    if (!f->real)
        return SQLITE_NOMEM;
    int rc = fault_below->xOpen(fault_below, name, f->real, flags, out);
    if (rc == SQLITE_OK) {
        f->base.pMethods = &fault_methods;
        return rc;
    }
    if (f->real->pMethods)
        f->real->pMethods->xClose(f->real);
    free(f->real);
    return rc;
}

static inline int fault_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    if (fault_io_due(FAULT_DELETE))
        return SQLITE_IOERR_DELETE;
    return fault_below->xDelete(fault_below, name, sync);
}

/* ---- memory ---- */

static sqlite3_mem_methods fault_memory_below;
static _Atomic long fault_memory_live; /* SQLite's allocations that were not freed */

static inline void *fault_sqlite_malloc(int size)
{
    if (fault_due(&fault_memory))
        return NULL;
    void *memory = fault_memory_below.xMalloc(size);
    fault_memory_live += memory != NULL;
    return memory;
}

static inline void fault_sqlite_free(void *memory)
{
    fault_memory_live -= memory != NULL;
    fault_memory_below.xFree(memory);
}

static inline void *fault_sqlite_realloc(void *memory, int size)
{
    return fault_due(&fault_memory) ? NULL : fault_memory_below.xRealloc(memory, size);
}

/* Before the first use of SQLite in the process. False: it is too late. */
static inline bool fault_install(void)
{
    sqlite3_mem_methods methods;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &fault_memory_below) != SQLITE_OK)
        return false;
    methods = fault_memory_below;
    methods.xMalloc = fault_sqlite_malloc;
    methods.xFree = fault_sqlite_free;
    methods.xRealloc = fault_sqlite_realloc;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK || sqlite3_initialize() != SQLITE_OK)
        return false;
    fault_below = sqlite3_vfs_find(NULL);
    fault_vfs = *fault_below; /* what is not named here is the system's own, with its own pAppData */
    fault_vfs.zName = "fault";
    fault_vfs.szOsFile = sizeof(fault_file);
    fault_vfs.pNext = NULL;
    fault_vfs.xOpen = fault_open;
    fault_vfs.xDelete = fault_delete;
    return sqlite3_vfs_register(&fault_vfs, 1) == SQLITE_OK;
}

#endif
