/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server keeps: agents, targets, settings, events, and sample blocks (users: people.h). SQL stays behind it.
 * meshping_store_open opens SQLite (WAL, synchronous=FULL); other backends come behind the same calls.
 *
 * Threads: use a store from one thread. It owns one writer thread, which groups submitted blocks into transactions;
 * completions run in the caller's thread, from meshping_store_process(). All other writes are synchronous and durable
 * when they return. Usable without the daemon, and for reading beside a running one (read_only).
 */
#ifndef MESHPING_STORE_H
#define MESHPING_STORE_H

#include <meshping/address.h>
#include <meshping/assignment.h>
#include <meshping/block.h>
#include <meshping/buffer.h>
#include <meshping/cache.h>
#include <meshping/people.h>
#include <meshping/registry.h>
#include <meshping/rollup.h>
#include <meshping/series.h>
#include <meshping/target.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct meshping_store meshping_store;

typedef struct meshping_store_options {
    size_t struct_size;
    const char *path;       /* the database file */
    bool read_only;         /* no writer; several processes may read */
    uint32_t commit_ms;     /* longest wait for a group; default 50, at most 200 */
    size_t queue_bytes_max; /* submitted and not yet committed; default 64 MiB */
    /*
     * The writer thread joins the blocks of an agent when the oldest was received this long ago (default 600; three
     * times that where there are fewer than 8,192 samples), and what came of it again, by hours, after long_after_s
     * (default 7200); each up to a quarter sooner, by the agent's id, so that agents that began together are not due
     * together. seal_after_s 0: never; then nothing expires either.
     */
    uint32_t seal_after_s, long_after_s;
    uint64_t quarantine_bytes_max; /* of one agent on hold, a gap for 128; default MESHPING_QUARANTINE_BYTES_MAX */
} meshping_store_options;

MESHPING_API void meshping_store_options_init(meshping_store_options *options);
/*
 * Opens or creates the database (mode 0600) and brings its schema up to date. BUSY: another server has it open;
 * PERMISSION, IO: with the path; CORRUPT: not ours, or damaged; UNSUPPORTED: a newer schema, the version is named.
 */
MESHPING_API meshping_status meshping_store_open(meshping_store **out, const meshping_store_options *options,
                                                 meshping_error *err);
/* Commits what was submitted, runs its completions, closes. */
MESHPING_API void meshping_store_close(meshping_store *store);

/* ---- blocks ---- */

/* How far an agent's clock was ahead of the server's, give or take error_us. */
typedef struct meshping_clock_note {
    int64_t at_unix_us; /* on the server's clock; 0: nothing to note */
    int64_t offset_us, error_us;
} meshping_clock_note;

typedef struct meshping_block_write {
    uint64_t agent_id;
    uint64_t epoch;
    uint64_t sequence;
    uint8_t *bytes; /* ownership passes to the store with MESHPING_OK */
    size_t length;
    int64_t received_unix_us;
    /* offset_us: what is known of it (0: nothing), stored with the block; a note of its own in the same transaction */
    meshping_clock_note clock;
    char source[MESHPING_ADDRESS_TEXT_MAX]; /* observed address: an agent on hold has a quarantine for each */
    bool released;                          /* out of quarantine: stored for an approved agent only, never put back */
} meshping_block_write;

typedef struct meshping_block_done {
    meshping_status status; /* OK: durable. LIMIT: a 33rd range, not taken. Otherwise: not stored, message in error */
    bool failed;            /* it was not this block: the database could not be written (CORRUPT: where it belongs) */
    bool stored;            /* false with OK: this sequence was there already, nothing was written */
    const meshping_block_write *write; /* bytes borrowed until the callback returns */
    meshping_stored_block block;       /* when stored: the same block, as the cache takes it */
    const meshping_range *ranges;      /* what is now received of this agent's epoch, ascending */
    size_t range_count;
    const char *error;
    bool quarantined;          /* the agent is on hold: durable, and kept apart; LIMIT: its quarantine is full */
    uint64_t quarantine_bytes; /* in the agent's quarantine now, when quarantined */
    bool noted;                /* write->clock is now among what meshping_store_clocks tells */
    const meshping_gap *gap;   /* of meshping_store_submit_gap; NULL: it was a block */
    int64_t epoch_first_us;    /* when stored and not quarantined: its epoch's first slot; INT64_MIN: not known */
} meshping_block_done;

typedef void (*meshping_block_done_fn)(void *user, const meshping_block_done *done);
/* OK: durable. Otherwise not stored, and `error` says why. */
typedef void (*meshping_done_fn)(void *user, meshping_status status, const char *error);

/*
 * Queues one block. Block and received ranges commit in one transaction; then `fn` is called from
 * meshping_store_process(). LIMIT: the queue is full (the bytes stay the caller's); CORRUPT: not a sample block; NOMEM.
 */
MESHPING_API meshping_status meshping_store_submit_block(meshping_store *store, const meshping_block_write *write,
                                                         meshping_block_done_fn fn, void *user, meshping_error *err);
/* Queues a gap: fills its sequences in the ranges, idempotently. `fn` as above; write has no bytes. */
MESHPING_API meshping_status meshping_store_submit_gap(meshping_store *store, const meshping_block_write *write,
                                                       const meshping_gap *gap, meshping_block_done_fn fn, void *user,
                                                       meshping_error *err);

/* Blocks of the journal were joined. Completions of these blocks ran before. */
typedef struct meshping_store_sealed {
    uint64_t agent_id;
    int64_t first_id, last_id;           /* this agent's blocks with these numbers, and between, are gone from it */
    const meshping_stored_block *blocks; /* and these in their place; borrowed until the callback returns */
    size_t count;
} meshping_store_sealed;

typedef struct meshping_store_watcher {
    /* Either may be NULL. Both are called from meshping_store_process(). */
    void (*sealed)(void *user, const meshping_store_sealed *sealed);
    /* Work of the writer thread failed that nobody asked for (sealing): it is tried again later. */
    void (*trouble)(void *user, meshping_status status, const char *message);
    void *user;
} meshping_store_watcher;
/* One watcher a store; NULL: none. Call it before the first block is submitted. */
MESHPING_API void meshping_store_watch(meshping_store *store, const meshping_store_watcher *watcher);

/* Readable when completions wait. */
MESHPING_API int meshping_store_fd(const meshping_store *store);
/* Runs the waiting completions, and what the watcher is to be told, in the order in which it happened. */
MESHPING_API void meshping_store_process(meshping_store *store);
/*
 * The same, one at least, until budget_us have passed: what is left waits, and the descriptor stays readable. For a
 * loop that has others to serve in between.
 */
MESHPING_API void meshping_store_process_for(meshping_store *store, int64_t budget_us);
/* Received ranges of an epoch, ascending; ranges[MESHPING_RANGES_MAX]. */
MESHPING_API meshping_status meshping_store_ranges(meshping_store *store, uint64_t agent_id, uint64_t epoch,
                                                   meshping_range *ranges, size_t *count, meshping_error *err);

/* ---- quarantine: what agents on hold sent, by epoch and observed address ---- */

#define MESHPING_QUARANTINE_BYTES_MAX ((uint64_t)64 << 20) /* an agent's, unless set otherwise */

typedef struct meshping_quarantine_source {
    uint64_t id, agent_id, epoch;
    char address[MESHPING_ADDRESS_TEXT_MAX];
    int decided; /* 0: not yet; 1: kept, on its way to the other samples; -1: not kept, it is to become gaps */
    uint64_t blocks, samples, bytes;
    meshping_range ranges[MESHPING_RANGES_MAX]; /* received */
    size_t range_count;
    int64_t first_unix_us, last_unix_us, updated_unix_us; /* slots; last receipt */
} meshping_quarantine_source;

/* One row of a source: a block, or (no bytes) a gap. */
typedef struct meshping_quarantined {
    uint64_t id;
    meshping_gap gap; /* of a block: its sequence, span and count, reason 0 */
    int64_t received_unix_us, clock_offset_us;
    uint8_t *bytes; /* the caller's (meshping_free) */
    size_t length;
} meshping_quarantined;

/* What an epoch's agent on hold need not send again: the epoch's ranges, and those of its quarantine. */
MESHPING_API meshping_status meshping_store_quarantine_ranges(meshping_store *store, uint64_t agent_id, uint64_t epoch,
                                                              const char *address, meshping_range *ranges,
                                                              size_t *count, meshping_error *err);
/* An agent's sources (0: all agents'), oldest first; *sources is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_quarantine(meshping_store *store, uint64_t agent_id,
                                                       meshping_quarantine_source **sources, size_t *count,
                                                       meshping_error *err);
/*
 * Decided: its rows (kept), or gaps in their place, are to be submitted (released), then it is deleted (as an agent is,
 * in small steps). Nothing is added to it any more.
 */
MESHPING_API meshping_status meshping_store_quarantine_decide(meshping_store *store, uint64_t source_id, bool keep,
                                                              meshping_error *err);
MESHPING_API meshping_status meshping_store_quarantine_delete(meshping_store *store, uint64_t source_id,
                                                              meshping_error *err);
/* The next row with an id above after_id; NOT_FOUND: there is none. */
MESHPING_API meshping_status meshping_store_quarantine_next(meshping_store *store, uint64_t source_id,
                                                            uint64_t after_id, meshping_quarantined *out,
                                                            meshping_error *err);

/*
 * A pair's samples with from_us <= slot < to_us. *out is the caller's (meshping_series_dispose). OK also when some of
 * the blocks are damaged: they are listed. LIMIT: over 4 million samples; CORRUPT: the database itself is.
 */
MESHPING_API meshping_status meshping_store_series(meshping_store *store, uint64_t agent_id, uint64_t target_id,
                                                   int64_t from_us, int64_t to_us, meshping_series *out,
                                                   meshping_error *err);

/*
 * The same, from the cache of this store as far as it reaches (meshping_cache_reach at now_unix_us), else from the
 * database: one answer without a seam, each slot once.
 */
MESHPING_API meshping_status meshping_store_series_cached(meshping_store *store, meshping_cache *cache,
                                                          uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                                          int64_t to_us, int64_t now_unix_us, meshping_series *out,
                                                          meshping_error *err);

/* ---- queries over any length of time ---- */

/*
 * What is older than raw samples are kept, roll-ups of whole hours answer; what is not rolled up yet is added from the
 * journal, so that every stored sample counts once whatever the moment. Each call reads one snapshot. A block, a row of
 * roll-ups or a page that is damaged is left out and told by meshping_store_damaged. All of them: IO, CORRUPT (nothing
 * can be read), NOMEM. They may take long: use a store of your own (read_only) in a thread of your own.
 */

#define MESHPING_DAMAGED_MAX 1000u

/*
 * What the last of these calls could not read and left out, each once, at most MESHPING_DAMAGED_MAX; the store's, until
 * the next one.
 */
MESHPING_API void meshping_store_damaged(const meshping_store *store, const meshping_damage **damaged, size_t *count);

/*
 * A pair's time from_us..to_us as at most max_points points, ascending. *step_us is meshping_points_step(); the range
 * is widened to its multiples. A step below an hour needs raw samples: an hour of which some are gone comes as one
 * point. INVALID: see meshping_points_step; LIMIT: too many samples to be read at once. *points is the caller's
 * (meshping_free), NULL when there are none.
 */
MESHPING_API meshping_status meshping_store_points(meshping_store *store, uint64_t agent_id, uint64_t target_id,
                                                   int64_t from_us, int64_t to_us, size_t max_points,
                                                   meshping_point **points, size_t *count, int64_t *step_us,
                                                   meshping_error *err);

/* agent_id 0: all agents; target_id 0: all targets. */
typedef struct meshping_pair {
    uint64_t agent_id, target_id;
} meshping_pair;

#define MESHPING_PAIRS_MAX 10000u /* of one group */

/*
 * Everything of a group of pairs (a pair that is named twice counts once) with *from_us <= slot < *to_us; the current
 * hour is as far as it is stored. An end within an hour of which some raw samples are gone, or too many would have to
 * be read (over 16 million), is moved to the whole hour: *from_us and *to_us are set to what the answer is of. *out is
 * set anew. INVALID: no pair or over MESHPING_PAIRS_MAX, or the times as in meshping_points_step.
 */
MESHPING_API meshping_status meshping_store_group(meshping_store *store, const meshping_pair *pairs, size_t pair_count,
                                                  int64_t *from_us, int64_t *to_us, meshping_rollup *out,
                                                  meshping_error *err);

#define MESHPING_WORST_MAX 1000u

typedef struct meshping_pair_point {
    uint64_t agent_id, target_id;
    meshping_point point; /* from_us, to_us: the whole hours asked for */
} meshping_pair_point;

/*
 * The worst pairs of all in the hours that from_us..to_us touches, worst first: by the share of losses among verdicts
 * (permille 0; those without a loss are left out), or by a percentile of the round-trip time (1..1000; those without
 * a reply are left out). The agents' own trouble counts for nothing. INVALID: limit 0 or over MESHPING_WORST_MAX,
 * permille over 1000, or the times. *worst is the caller's (meshping_free), NULL when there are none.
 */
MESHPING_API meshping_status meshping_store_worst(meshping_store *store, unsigned permille, int64_t from_us,
                                                  int64_t to_us, size_t limit, meshping_pair_point **worst,
                                                  size_t *count, meshping_error *err);

typedef struct meshping_pair_sample {
    uint64_t agent_id, target_id;
    meshping_sample sample;
} meshping_pair_sample;

/*
 * The newest sample of every pair of an agent (0: of all), of those with a slot at or after since_us; by agent, then
 * target. *last is the caller's (meshping_free), NULL when there are none.
 */
MESHPING_API meshping_status meshping_store_last(meshping_store *store, uint64_t agent_id, int64_t since_us,
                                                 meshping_pair_sample **last, size_t *count, meshping_error *err);

/*
 * An agent's stored blocks with a sample at or after from_us, in the order in which they were stored (joined ones, then
 * the journal's), out of one snapshot: for filling a cache. Only those that were received in the window_us before the
 * newest of them; INT64_MAX: all. One that cannot be read comes with bytes NULL, length 0 and sample_count 0. Ends with
 * the first status of fn that is not OK.
 */
typedef meshping_status (*meshping_block_visit_fn)(void *user, const meshping_stored_block *block);
MESHPING_API meshping_status meshping_store_visit_blocks(meshping_store *store, uint64_t agent_id, int64_t from_us,
                                                         int64_t window_us, meshping_block_visit_fn fn, void *user,
                                                         meshping_error *err);

typedef struct meshping_stored_gap {
    uint64_t epoch;
    meshping_gap gap;
} meshping_stored_gap;
/* Gaps of an agent that overlap from_us..to_us; *gaps is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_gaps(meshping_store *store, uint64_t agent_id, int64_t from_us,
                                                 int64_t to_us, meshping_stored_gap **gaps, size_t *count,
                                                 meshping_error *err);
typedef struct meshping_epoch_start {
    uint64_t epoch;
    int64_t first_unix_us; /* its first slot */
} meshping_epoch_start;
/*
 * The agent's epochs that began in from_us..to_us, ascending by time: where its process was started. *starts is the
 * caller's (meshping_free).
 */
MESHPING_API meshping_status meshping_store_starts(meshping_store *store, uint64_t agent_id, int64_t from_us,
                                                   int64_t to_us, meshping_epoch_start **starts, size_t *count,
                                                   meshping_error *err);
/* What was noted of an agent's clock in from_us..to_us, and the last note before; *notes is the caller's. */
MESHPING_API meshping_status meshping_store_clocks(meshping_store *store, uint64_t agent_id, int64_t from_us,
                                                   int64_t to_us, meshping_clock_note **notes, size_t *count,
                                                   meshping_error *err);
/* A time without a server, which it notes when it is back. */
typedef struct meshping_pause {
    int64_t from_unix_us, to_unix_us;
} meshping_pause;
MESHPING_API meshping_status meshping_store_pause_add(meshping_store *store, const meshping_pause *pause,
                                                      meshping_error *err);
/* Those that overlap from_us..to_us; *pauses is the caller's. */
MESHPING_API meshping_status meshping_store_pauses(meshping_store *store, int64_t from_us, int64_t to_us,
                                                   meshping_pause **pauses, size_t *count, meshping_error *err);
/* A time in which a target was paused; to_ms 0: it lasts until somebody resumes it. Unix milliseconds. */
typedef struct meshping_target_pause {
    int64_t from_ms, to_ms;
    char reason[MESHPING_TARGET_NAME_MAX];
    uint64_t target_id;
} meshping_target_pause;
/*
 * Those of a target (0: of all, by target) that overlap from_ms..to_ms, ascending, as lists saved them; *pauses is the
 * caller's.
 */
MESHPING_API meshping_status meshping_store_target_pauses(meshping_store *store, uint64_t target_id, int64_t from_ms,
                                                          int64_t to_ms, meshping_target_pause **pauses, size_t *count,
                                                          meshping_error *err);
/*
 * Deletes at most max_blocks joined blocks whose last slot is before before_us (what is in the journal stays until it
 * is joined), and when no more of these are left the gaps, notes of clocks and pauses before it, and epochs without
 * blocks in the journal or gaps that were silent for a day more; gives free pages back. As the agent's clock may be
 * wrong, a last slot counts as no later than its receipt, and no earlier than an hour before that.
 */
MESHPING_API meshping_status meshping_store_expire(meshping_store *store, int64_t before_us, size_t max_blocks,
                                                   size_t *deleted, meshping_error *err);
/* What need not be kept any longer. Times are Unix microseconds; INT64_MIN: all of it stays. */
typedef struct meshping_retention {
    int64_t raw_before_us;     /* samples before go: a block when the last in it is before; see meshping_store_expire */
    int64_t rollups_before_us; /* roll-ups before go, 12 hours at a time */
    uint64_t size_max_bytes;   /* of the database's pages in use; 0: no limit */
    /* over the limit the oldest samples before this go as well, and then the oldest roll-ups before that */
    int64_t spare_raw_before_us, spare_rollups_before_us;
} meshping_retention;

/*
 * The writer thread brings the database there in small steps between its commits, and gives free pages back; what it
 * has done is in meshping_store_stats, what fails goes to the watcher. Nothing goes that is not rolled up. Call it now
 * and again with later times; returns at once. PERMISSION: opened for reading only.
 */
MESHPING_API meshping_status meshping_store_retain(meshping_store *store, const meshping_retention *goal,
                                                   meshping_error *err);

typedef enum meshping_size_state {
    MESHPING_SIZE_GOOD = 0,
    MESHPING_SIZE_HIGH = 1, /* from 90 % of the limit on: samples go before their time, or will soon */
    MESHPING_SIZE_OVER = 2, /* over the limit, and nothing is left that may go */
} meshping_size_state;

/* Counters for metrics. */
typedef struct meshping_store_stats {
    uint64_t blocks_written, samples_written, duplicates, commits, commit_errors;
    uint64_t journal_blocks, journal_samples; /* not joined yet */
    uint64_t seals, long_seals;               /* times that blocks of an agent were joined, and joined again */
    uint64_t seal_errors;                     /* of these failed, and were or will be tried again */
    uint64_t damaged_blocks;                  /* that sealing came upon */
    uint64_t seal_longest_us;                 /* the longest that a piece of joining held the writer */
    bool sealed;                              /* nothing is due to be joined, as of the last look and all commits */
    size_t queued_bytes;
    uint64_t file_bytes;
    /* of meshping_store_retain() */
    bool retained;                             /* the last goal is reached */
    bool removing;                             /* something that was deleted is not gone from the file yet */
    uint64_t used_bytes;                       /* pages in use, of the last look; 0: none yet */
    meshping_size_state size_state;            /* against the limit, likewise */
    uint64_t expired_blocks, expired_rollups;  /* rows deleted */
    uint64_t cut_blocks, cut_rollups;          /* of these before their time, for the limit */
    uint64_t retain_errors, retain_longest_us; /* the longest that one step held the writer */
    uint64_t damaged_rollups;                  /* rows that could not be read and began anew */
} meshping_store_stats;
MESHPING_API void meshping_store_get_stats(meshping_store *store, meshping_store_stats *out);
/* Of every database that this library has opened for writing. */
MESHPING_API int64_t meshping_store_schema_version(void);
/* SQLite's, as it runs; static storage. */
MESHPING_API const char *meshping_store_engine_version(void);

/* ---- agents ---- */

typedef struct meshping_agent_record {
    uint64_t id;            /* random; for people as 16 hex digits */
    uint8_t public_key[32]; /* Ed25519: the identity; unique */
    meshping_agent_state state;
    char host_name[MESHPING_AGENT_TEXT_MAX]; /* as the agent reports it */
    char version[MESHPING_AGENT_TEXT_MAX];
    char reported_address[MESHPING_AGENT_TEXT_MAX];        /* as the agent sees itself */
    char observed_address[MESHPING_AGENT_TEXT_MAX];        /* as the server saw it last */
    char approved_addresses[MESHPING_AGENT_ADDRESSES_MAX]; /* ranges as meshping_cidr_list_parse reads them */
    char reason[MESHPING_AGENT_TEXT_MAX];                  /* of the state, for people */
    int64_t first_seen_ms, last_seen_ms, state_changed_ms;
    uint64_t revision;                                  /* counts up on each save; 0: not stored yet */
    char name[MESHPING_TARGET_NAME_MAX];                /* what people call it; empty: its host name */
    char labels[MESHPING_LABELS_MAX];                   /* canonical */
    char advertised_address[MESHPING_ADDRESS_TEXT_MAX]; /* where it wants to be pinged, as it says; may be empty */
    uint8_t tid[8];                                     /* of the passphrase that it joined with */
    bool has_tid;
    uint64_t ticket_issued, ticket_confirmed; /* serials; 0: none. Saved by meshping_store_submit_ticket only */
} meshping_agent_record;

/* All agents by first_seen; *records is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_agents(meshping_store *store, meshping_agent_record **records,
                                                   size_t *count, meshping_error *err);
/*
 * Inserts (revision 0) or updates the row of record->id and sets record->revision. STATE: the stored revision is
 * another one (somebody was faster), EXISTS: the public key belongs to another id.
 */
MESHPING_API meshping_status meshping_store_agent_save(meshping_store *store, meshping_agent_record *record,
                                                       meshping_error *err);
/* The same for many in one transaction: all or none; the error is that of the first which cannot be saved. */
MESHPING_API meshping_status meshping_store_agents_save(meshping_store *store, meshping_agent_record *const *records,
                                                        size_t count, meshping_error *err);
typedef struct meshping_agent_seen {
    uint64_t agent_id;
    int64_t last_seen_ms;
} meshping_agent_seen;
/*
 * Queues a change of last_seen_ms alone, of all in one transaction; revisions stay, agents that are gone are passed
 * over, and so are those that were saved with a later one meanwhile. As meshping_store_submit_setting.
 */
MESHPING_API meshping_status meshping_store_submit_seen(meshping_store *store, const meshping_agent_seen *seen,
                                                        size_t count, meshping_done_fn fn, void *user,
                                                        meshping_error *err);
/*
 * Queues the agent's ticket serials, as meshping_store_submit_setting. The revision stays; an agent that is gone, or
 * has another key by then, is passed over.
 */
MESHPING_API meshping_status meshping_store_submit_ticket(meshping_store *store, const meshping_agent_record *record,
                                                          meshping_done_fn fn, void *user, meshping_error *err);
/*
 * In one transaction: the row successor_id (0: none) goes, and record, with that one's key, takes the place of the row
 * record->id, its ticket serials with it. Errors as of meshping_store_agent_save.
 */
MESHPING_API meshping_status meshping_store_agent_succeed(meshping_store *store, uint64_t successor_id,
                                                          meshping_agent_record *record, meshping_error *err);
/*
 * The agent and everything of it: nobody sees any of it from now on, and the writer thread deletes it in small steps
 * (meshping_store_stats, removing), after a restart too. Its key may come again at once.
 */
MESHPING_API meshping_status meshping_store_agent_delete(meshping_store *store, uint64_t agent_id, meshping_error *err);

/* ---- targets ---- */

MESHPING_API meshping_status meshping_store_targets(meshping_store *store, meshping_target_list *out,
                                                    meshping_error *err);
/* What meshping_target_list_check asks, and that no host is the name by which an agent of a mesh is kept: INVALID. */
MESHPING_API meshping_status meshping_store_targets_check(const meshping_target_list *list, meshping_error *err);
/*
 * Replaces the list in one transaction. Targets with id 0 get the id that the same host had before, or a new one (an
 * id is never used for another host); list->revision is counted up and set. The list is checked first.
 */
MESHPING_API meshping_status meshping_store_targets_save(meshping_store *store, meshping_target_list *list,
                                                         meshping_error *err);

/*
 * The targets that agents are to the others of their meshes, each in target_ids[]: an id, given with the first call,
 * stays with the agent whatever its address. No target of a list ever has it. One transaction.
 */
MESHPING_API meshping_status meshping_store_agent_targets(meshping_store *store, const uint64_t *agent_ids,
                                                          size_t count, uint64_t *target_ids, meshping_error *err);

/* ---- rules: who pings what ---- */

/* In order; *rules is the caller's (meshping_free). A new database has one rule: all agents ping all targets. */
MESHPING_API meshping_status meshping_store_rules(meshping_store *store, meshping_rule **rules, size_t *count,
                                                  uint64_t *revision, meshping_error *err);
/* Replaces them in one transaction; *revision is the new one. INVALID, LIMIT: the rule is named by its number, from 1.
 */
MESHPING_API meshping_status meshping_store_rules_save(meshping_store *store, const meshping_rule *rules, size_t count,
                                                       uint64_t *revision, meshping_error *err);

/* ---- passphrases, settings, events; users and what is theirs: people.h ---- */

typedef struct meshping_passphrase_record {
    uint8_t tid[8];         /* names the passphrase without revealing it */
    uint8_t sealed_key[64]; /* K under the server's key file: nonce, ciphertext, tag */
    size_t sealed_length;
    char label[MESHPING_AGENT_TEXT_MAX];
    int64_t created_ms, expires_ms;
    uint32_t uses_max, uses;
    bool revoked;
    char advertise[MESHPING_AGENT_TEXT_MAX];            /* "HOST:PORT" that it carries */
    uint32_t preapprove_max, preapprove_uses;           /* so many are approved at once, so many were */
    char preapprove_from[MESHPING_AGENT_ADDRESSES_MAX]; /* ... who come from these ranges */
} meshping_passphrase_record;

/* Newest first; *records is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_passphrases(meshping_store *store, meshping_passphrase_record **records,
                                                        size_t *count, meshping_error *err);
MESHPING_API meshping_status meshping_store_passphrase(meshping_store *store, const uint8_t tid[8],
                                                       meshping_passphrase_record *out, meshping_error *err);
/* Inserts or updates by tid. */
MESHPING_API meshping_status meshping_store_passphrase_save(meshping_store *store,
                                                            const meshping_passphrase_record *record,
                                                            meshping_error *err);

/* Settings: small texts by key. NOT_FOUND; *value is the caller's (meshping_free). */
MESHPING_API meshping_status meshping_store_setting(meshping_store *store, const char *key, char **value,
                                                    meshping_error *err);
MESHPING_API meshping_status meshping_store_setting_save(meshping_store *store, const char *key, const char *value,
                                                         meshping_error *err);
/*
 * The same without waiting for the disk: queues it, with the next group of blocks it is written (key and value are
 * copied), then `fn` (may be NULL) is called from meshping_store_process(). INVALID, LIMIT: the queue is full, NOMEM,
 * PERMISSION: opened for reading only; then `fn` is not called.
 */
MESHPING_API meshping_status meshping_store_submit_setting(meshping_store *store, const char *key, const char *value,
                                                           meshping_done_fn fn, void *user, meshping_error *err);
typedef struct meshping_setting {
    const char *key, *value; /* value NULL: it goes */
} meshping_setting;
/* All of them in one transaction, or none. */
MESHPING_API meshping_status meshping_store_settings_save(meshping_store *store, const meshping_setting *settings,
                                                          size_t count, meshping_error *err);

/* Appends to the log of what happened (approvals, list changes, holds). agent_id 0, user NULL: none. */
MESHPING_API meshping_status meshping_store_event_add(meshping_store *store, int64_t unix_ms, const char *kind,
                                                      uint64_t agent_id, const char *user, const char *text,
                                                      meshping_error *err);
typedef struct meshping_event_record {
    uint64_t id;
    int64_t unix_ms;
    uint64_t agent_id;
    char kind[32];
    char user[65];
    char text[512];
} meshping_event_record;
/*
 * The newest `limit` events with an id below `before_id` (0: of all), newest first; *records is the caller's
 * (meshping_free).
 */
MESHPING_API meshping_status meshping_store_events(meshping_store *store, uint64_t before_id, size_t limit,
                                                   meshping_event_record **records, size_t *count, meshping_error *err);

#ifdef __cplusplus
}
#endif
#endif
