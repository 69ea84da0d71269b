/* SPDX-License-Identifier: Apache-2.0 */
/* The store over SQLite. The caller's thread owns `sql`, the writer thread `writer`'s connection; `mutex` the rest. */
#ifndef MESHPING_STORE_INTERNAL_H
#define MESHPING_STORE_INTERNAL_H

#include "store/damages.h"
#include "store/ranges.h"
#include "store/remove.h"
#include "store/retain.h"
#include "store/seal.h"
#include "store/sql.h"

#include <meshping/store.h>
#include <pthread.h>

/* What the watcher is to be told, in the list of completions. */
typedef struct meshping__notice {
    meshping_status status; /* not OK: trouble, else sealed */
    char message[MESHPING_ERROR_MESSAGE_MAX];
    meshping_store_sealed sealed; /* its blocks and their bytes are the notice's */
} meshping__notice;

typedef struct meshping__request meshping__request; /* requests.c */

typedef struct meshping__write {
    struct meshping__write *next;
    meshping__notice *notice;   /* not NULL: no write at all */
    meshping__request *request; /* not NULL: neither block nor gap */
    meshping_block_write write;
    bool is_gap;
    meshping_gap gap;
    int64_t first_us, last_us;
    size_t sample_count;
    size_t cost_bytes;
    int64_t queued_mono_ns;
    meshping_block_done_fn fn;
    void *user;
    /* the outcome */
    meshping_status status;
    bool failed;
    bool stored;
    bool on_hold, quarantined, noted;
    uint64_t quarantine_bytes, quarantine_bytes_max;
    int64_t id;
    int64_t epoch_first_us;
    meshping__ranges ranges;
    char error[MESHPING_ERROR_MESSAGE_MAX];
} meshping__write;

typedef struct meshping__write_list {
    meshping__write *head, *tail;
    size_t bytes;
} meshping__write_list;

typedef struct meshping__writer {
    meshping__sql sql;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool started;
    bool stopping;
    meshping__write_list queue, done;
    size_t queued_bytes; /* of both lists and of what is being committed */
    meshping_store_stats stats;
    int64_t last_id; /* of a block in the journal: none is given twice, even when the journal was empty meanwhile */
    uint32_t commit_ms;
    meshping__sealer sealer; /* the thread's */
    bool seals;
    int64_t newest_us, newest_mono_ns; /* latest time of receipt, and when it came: the clock that sealing goes by */
    int64_t seal_mono_ns;              /* not before */
    uint64_t seal_longest_us;
    bool sealed; /* nothing was due at the last look, and no block has come since */
    meshping_store_watcher watcher;
    meshping_retention retention; /* the goal of retention, under the mutex; the rest of it is the thread's */
    meshping__retained retained;
    int64_t retain_mono_ns, retain_next_ns; /* not before; INT64_MAX: there is nothing to do */
    uint64_t retain_longest_us, retain_errors;
    bool retains, retain_done; /* there is a goal; it is reached */
    meshping__removal removal; /* the thread's; `removes` under the mutex: it is to look for more */
    bool removes;
    size_t queue_bytes_max;
    uint64_t quarantine_bytes_max;
    int event_fd; /* set when `done` is not empty */
} meshping__writer;

struct meshping_store {
    char *path;
    bool read_only;
    int lock_fd;
    meshping__sql sql;
    meshping__writer writer;
    meshping__write_list completions; /* taken from the writer, not told yet */
    meshping_block_reader *reader;    /* of what is submitted; made by the first block */
    meshping__damages damages;        /* of the last query */
};

/* schema.c: MESHPING_OK when `sql` is ours and, unless read_only, brought up to date. */
meshping_status meshping__schema_open(meshping__sql *sql, bool read_only, meshping_error *err);
/* MESHPING_OK: ours, and not newer than this program; *current: no older either. Changes nothing. */
meshping_status meshping__schema_identify(meshping__sql *sql, bool *current, meshping_error *err);
/* Leads from `version` to version `to`, or the newest, each in a transaction of its own. */
meshping_status meshping__schema_migrate(meshping__sql *sql, int64_t version, int64_t to, meshping_error *err);
#define MESHPING__SCHEMA_NEWEST INT64_MAX
/* All tables of a version in an empty database, for lazy.c. Returns SQLite's code. */
int meshping__schema_build(sqlite3 *db, int64_t version);
/* What every writing connection needs. */
meshping_status meshping__schema_prepare_writer(meshping__sql *sql, meshping_error *err);

/* lock.c: the file PATH.lock, locked as long as the descriptor *out is open. BUSY names the process that has it. */
meshping_status meshping__lock_take(int *out, const char *path, meshping_error *err);

/* writer.c */
meshping_status meshping__writer_start(meshping__writer *writer, const char *path,
                                       const meshping_store_options *options, meshping_error *err);
/* Behind what is queued; item->cost_bytes has what is counted beside the item and its block. On an error *item stays
 * the caller's. */
meshping_status meshping__writer_enqueue(meshping_store *store, meshping__write *item, meshping_error *err);
/* Commits what is queued and ends the thread; completions stay in `done`. */
void meshping__writer_stop(meshping__writer *writer);
void meshping__writer_dispose(meshping__writer *writer);
/* apply.c: the journal's highest id; MESHPING__ID_UNKNOWN when it cannot be read. */
#define MESHPING__ID_UNKNOWN INT64_C(-1)
meshping_status meshping__find_last_id(meshping__sql *sql, int64_t *last_id, meshping_error *err);
/* Commits a list in one transaction and fills in each outcome; blocks' ids go on from *last_id. */
void meshping__apply(meshping__sql *sql, meshping__write *list, int64_t *last_id, meshping_store_stats *stats);
/* requests.c: in the transaction of its group; an error is the database's, and so the whole group's. */
meshping_status meshping__request_run(meshping__sql *sql, const meshping__request *request, meshping_error *err);
void meshping__request_tell(const meshping__write *item);
/* agents.c: the ticket serials in it, when its key is still this one. */
meshping_status meshping__ticket_save(meshping__sql *sql, const meshping_agent_record *record, meshping_error *err);
/* events.c */
meshping_status meshping__setting_save(meshping__sql *sql, const char *key, const char *value, meshping_error *err);
/* quarantine.c: the write of an agent on hold, whose epoch's own ranges are in item->ranges. */
meshping_status meshping__quarantine_apply(meshping__sql *sql, meshping__write *item, meshping_error *err);
/* writer_seal.c: a piece of sealing when it is time, in the thread, mutex not held. NULL or what is to be told of it.
 */
meshping__write *meshping__writer_seal(meshping__writer *writer);
void meshping__notice_tell(const meshping__notice *notice, const meshping_store_watcher *watcher);
void meshping__notice_free(meshping__notice *notice);
/* writer_retain.c: one step of removing, or of retention towards `goal` (NULL: none), in the thread, mutex not held. As
 * above. */
meshping__write *meshping__writer_retain(meshping__writer *writer, const meshping_retention *goal);
/* From the caller's thread: something was marked for removal. */
void meshping__writer_remove(meshping__writer *writer);
/* For the watcher; NULL: no memory. */
meshping__write *meshping__notice_trouble(meshping_status status, const char *message);

#endif
