/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Care of a store's file, beside the server or while it is stopped: check, copy, compact. All calls block until they
 * are done; use them from a program or a thread of their own, never on a store that the same process has open.
 */
#ifndef MESHPING_MAINTAIN_H
#define MESHPING_MAINTAIN_H

#include <meshping/store.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_maintain_watch {
    /* How far a stage has come; total 0: nobody knows how long it takes. False ends the work with MESHPING_STATE. */
    bool (*progress)(void *user, const char *stage, uint64_t done, uint64_t total);
    /* One thing that is wrong, and what it means, as a line of text. Only of meshping_store_check. */
    void (*finding)(void *user, const char *text);
    void *user;
} meshping_maintain_watch; /* any of it may be NULL */

typedef struct meshping_store_checked {
    uint64_t journal_blocks, sealed_blocks, samples, epochs, gaps, rollups;
    uint64_t findings;
} meshping_store_checked;

/*
 * Reads all of it: pages and indexes, references between tables, every block's checksum and (unless `quick`) samples
 * against what its row says, received ranges against the blocks and gaps that they must hold. Works beside a running
 * server, and changes nothing. OK also with findings: they are counted in *out. CORRUPT: so damaged that it cannot be
 * opened; UNSUPPORTED: a newer schema (of an older one pages and references are checked); STATE: `progress` ended it.
 */
MESHPING_API meshping_status meshping_store_check(const char *path, bool quick, const meshping_maintain_watch *watch,
                                                  meshping_store_checked *out, meshping_error *err);
/*
 * Copies the database as it is at one moment to the new file `to` (mode 0600, durable when the call returns), beside a
 * running server, which is not held up. EXISTS: `to` is there; on any error there is none afterwards.
 */
MESHPING_API meshping_status meshping_store_backup(const char *path, const char *to,
                                                   const meshping_maintain_watch *watch, meshping_error *err);
/*
 * Writes the file anew without free pages. BUSY: a server runs. Needs free space of twice its size; when there is not
 * enough (IO), or the process dies, the file is as it was.
 */
MESHPING_API meshping_status meshping_store_vacuum(const char *path, const meshping_maintain_watch *watch,
                                                   meshping_error *err);
/* What keeps servers off the file as long as *fd is open (close() ends it). BUSY: one runs, named by its process id. */
MESHPING_API meshping_status meshping_store_lock(int *fd, const char *path, meshping_error *err);

/* One target's samples of a stretch of the time, ascending, no slot twice; borrowed. Not OK ends the scan with that. */
typedef meshping_status (*meshping_scan_fn)(void *user, uint64_t target_id, const meshping_sample *samples,
                                            size_t count);
/*
 * All samples of an agent with from_us <= slot < to_us, some of the time at once (an hour, less where there are many):
 * by stretch, then target, then slot. Each stretch is read at one moment. A damaged block is left out and told to
 * watch->finding (watch may be NULL). IO, CORRUPT (the database itself), NOMEM.
 */
MESHPING_API meshping_status meshping_store_scan(meshping_store *store, uint64_t agent_id, int64_t from_us,
                                                 int64_t to_us, meshping_scan_fn fn,
                                                 const meshping_maintain_watch *watch, void *user, meshping_error *err);
/*
 * Every host that ever was a target, by id, with the name that the list has for it now; *out is replaced. Samples may
 * be of any of them.
 */
MESHPING_API meshping_status meshping_store_all_targets(meshping_store *store, meshping_target_list *out,
                                                        meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
