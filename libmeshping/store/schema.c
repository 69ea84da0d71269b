/* SPDX-License-Identifier: Apache-2.0 */
/* The tables, and how an older file is brought up to date: user_version counts the migrations that it has had. */
#include "store/internal.h"

#include "store/lazy.h"

#include <inttypes.h>
#include <string.h>

#define APPLICATION_ID 1297109809 /* "MPS1" */

/* Migration i leads from version i to i + 1; one that has been released is never edited. */
static const char *const migrations[] = {
    "PRAGMA application_id = 1297109809;"
    "CREATE TABLE agents("
    " id INTEGER PRIMARY KEY,"
    " public_key BLOB NOT NULL UNIQUE CHECK(length(public_key) = 32),"
    " state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 3),"
    " host_name TEXT NOT NULL, version TEXT NOT NULL,"
    " reported_address TEXT NOT NULL, observed_address TEXT NOT NULL, approved_addresses TEXT NOT NULL,"
    " reason TEXT NOT NULL,"
    " first_seen_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL, state_changed_ms INTEGER NOT NULL,"
    " revision INTEGER NOT NULL) STRICT;"
    /* ranges: u64 first, u64 last each, little-endian: one small row, written with every block */
    "CREATE TABLE epochs("
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
    " epoch INTEGER NOT NULL, updated_us INTEGER NOT NULL, ranges BLOB NOT NULL,"
    " PRIMARY KEY(agent_id, epoch)) STRICT, WITHOUT ROWID;"
    /* keep_us: what retention goes by: store.h, expire */
    "CREATE TABLE blocks("
    " id INTEGER PRIMARY KEY,"
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
    " epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, received_us INTEGER NOT NULL, keep_us INTEGER NOT NULL,"
    " sample_count INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " UNIQUE(agent_id, epoch, sequence)) STRICT;"
    "CREATE INDEX blocks_by_time ON blocks(agent_id, last_us, first_us);"
    "CREATE INDEX blocks_by_age ON blocks(keep_us);"
    "CREATE TABLE gaps("
    " id INTEGER PRIMARY KEY,"
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
    " epoch INTEGER NOT NULL, first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, keep_us INTEGER NOT NULL,"
    " sample_count INTEGER NOT NULL, reason INTEGER NOT NULL) STRICT;"
    "CREATE INDEX gaps_by_agent ON gaps(agent_id, epoch, first_sequence);"
    "CREATE INDEX gaps_by_age ON gaps(keep_us);"
    /* every host that ever was a target: its id is its own for good */
    "CREATE TABLE target_hosts("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, host TEXT NOT NULL, family INTEGER NOT NULL, UNIQUE(host, family)) STRICT;"
    "CREATE TABLE targets("
    " position INTEGER PRIMARY KEY,"
    " id INTEGER NOT NULL UNIQUE REFERENCES target_hosts(id),"
    " name TEXT NOT NULL, interval_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL,"
    " size INTEGER NOT NULL, dscp INTEGER NOT NULL, ttl INTEGER NOT NULL) STRICT;"
    "CREATE TABLE counters(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "INSERT INTO counters VALUES('targets_revision', 0);"
    "CREATE TABLE users("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL, role TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE web_sessions("
    " token_hash BLOB PRIMARY KEY CHECK(length(token_hash) = 32),"
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " csrf TEXT NOT NULL, created_ms INTEGER NOT NULL, last_used_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE passphrases("
    " id INTEGER PRIMARY KEY, tid BLOB NOT NULL UNIQUE CHECK(length(tid) = 8),"
    " sealed_key BLOB NOT NULL, label TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, uses_max INTEGER NOT NULL, uses INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL) STRICT;"
    "CREATE TABLE settings(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE events("
    " id INTEGER PRIMARY KEY, unix_ms INTEGER NOT NULL, agent_id INTEGER NOT NULL,"
    " kind TEXT NOT NULL, user TEXT NOT NULL, text TEXT NOT NULL) STRICT;"
    "PRAGMA user_version = 1;",
    /* what was in `blocks`, joined: long blocks of the targets first_target to last_target */
    "CREATE TABLE sealed("
    " id INTEGER PRIMARY KEY,"
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
    " first_target INTEGER NOT NULL, last_target INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, received_us INTEGER NOT NULL, keep_us INTEGER NOT NULL,"
    " sample_count INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;"
    "CREATE INDEX sealed_by_time ON sealed(agent_id, last_us, first_us, first_target, last_target);"
    "CREATE INDEX sealed_by_age ON sealed(keep_us);"
    "PRAGMA user_version = 2;",
    /* sealed in two steps: level 1 short, level 2 long. The journal is read by agent in the order of its ids */
    "ALTER TABLE sealed ADD COLUMN level INTEGER NOT NULL DEFAULT 2 CHECK(level BETWEEN 1 AND 2);"
    "CREATE INDEX sealed_short ON sealed(agent_id, id, received_us, sample_count) WHERE level = 1;"
    "DROP INDEX sealed_by_time;"
    "CREATE INDEX sealed_by_time"
    " ON sealed(agent_id, last_us, first_us, first_target, last_target, received_us, level);"
    "CREATE INDEX blocks_by_agent ON blocks(agent_id, id, first_us, last_us, received_us, sample_count);"
    "DROP INDEX blocks_by_time;"
    "DROP INDEX blocks_by_age;"
    "PRAGMA user_version = 3;",
    /* who may do what, and who did what */
    "ALTER TABLE users ADD COLUMN email TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE users ADD COLUMN signed_in_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE web_sessions ADD COLUMN confirmed_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE web_sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE web_sessions ADD COLUMN agent TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX web_sessions_by_user ON web_sessions(user_id);"
    "CREATE TABLE links("
    " token_hash BLOB PRIMARY KEY CHECK(length(token_hash) = 32),"
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tokens("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " token_hash BLOB NOT NULL UNIQUE CHECK(length(token_hash) = 32),"
    " user_id INTEGER NOT NULL REFERENCES users(id) ON DELETE CASCADE,"
    " name TEXT NOT NULL, role TEXT NOT NULL,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE audit("
    " id INTEGER PRIMARY KEY AUTOINCREMENT, unix_ms INTEGER NOT NULL, user_id INTEGER NOT NULL, user TEXT NOT NULL,"
    " via TEXT NOT NULL, address TEXT NOT NULL, action TEXT NOT NULL, object TEXT NOT NULL, detail TEXT NOT NULL)"
    " STRICT;"
    /* rows up to this id may be deleted: retention moves it first */
    "INSERT INTO counters VALUES('audit_expired', 0);"
    "CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN"
    " SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
    "CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit"
    " WHEN old.id > (SELECT value FROM counters WHERE name = 'audit_expired') BEGIN"
    " SELECT RAISE(ABORT, 'the audit log is append-only'); END;"
    "PRAGMA user_version = 4;",
    "CREATE TABLE tickets("
    " agent_id INTEGER PRIMARY KEY REFERENCES agents(id) ON DELETE CASCADE,"
    " issued INTEGER NOT NULL, confirmed INTEGER NOT NULL) STRICT;"
    "ALTER TABLE agents ADD COLUMN tid BLOB NOT NULL DEFAULT x'';" /* of the passphrase that it joined with */
    "ALTER TABLE passphrases ADD COLUMN advertise TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE passphrases ADD COLUMN preapprove_max INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE passphrases ADD COLUMN preapprove_uses INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE passphrases ADD COLUMN preapprove_from TEXT NOT NULL DEFAULT '';"
    "PRAGMA user_version = 5;",
    "ALTER TABLE targets ADD COLUMN dont_fragment INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE targets ADD COLUMN source TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE targets ADD COLUMN interface TEXT NOT NULL DEFAULT '';"
    "PRAGMA user_version = 6;",
    /* keep_period: what retention goes by: rollups.c */
    "CREATE TABLE rollups("
    " id INTEGER PRIMARY KEY,"
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
    " target_group INTEGER NOT NULL, period INTEGER NOT NULL, keep_period INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " UNIQUE(agent_id, target_group, period)) STRICT;"
    "CREATE INDEX rollups_by_age ON rollups(keep_period);"
    "PRAGMA user_version = 7;",
    /* what explains a missing stretch: first slot of an epoch, the agents' clocks, when there was no server */
    "ALTER TABLE epochs ADD COLUMN first_us INTEGER;"
    "CREATE TABLE clocks("
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE, at_us INTEGER NOT NULL,"
    " offset_us INTEGER NOT NULL, error_us INTEGER NOT NULL, PRIMARY KEY(agent_id, at_us)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX clocks_by_age ON clocks(at_us);"
    "CREATE TABLE pauses(from_us INTEGER PRIMARY KEY, to_us INTEGER NOT NULL) STRICT;"
    "PRAGMA user_version = 8;",
    /* what agents on hold sent; kept: 0, or once it was decided upon, its id (kept) or -id (to become gaps) */
    "CREATE TABLE quarantine_sources("
    " id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " agent_id INTEGER NOT NULL REFERENCES agents(id) ON DELETE CASCADE,"
    " epoch INTEGER NOT NULL, address TEXT NOT NULL, kept INTEGER NOT NULL DEFAULT 0, ranges BLOB NOT NULL,"
    " blocks INTEGER NOT NULL, samples INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, updated_us INTEGER NOT NULL,"
    " UNIQUE(agent_id, epoch, address, kept)) STRICT;"
    "CREATE TABLE quarantine("
    " id INTEGER PRIMARY KEY,"
    " source_id INTEGER NOT NULL REFERENCES quarantine_sources(id) ON DELETE CASCADE,"
    " first_sequence INTEGER NOT NULL, last_sequence INTEGER NOT NULL,"
    " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, received_us INTEGER NOT NULL,"
    " sample_count INTEGER NOT NULL, reason INTEGER NOT NULL, bytes BLOB NOT NULL) STRICT;"
    "CREATE INDEX quarantine_by_source ON quarantine(source_id, id);"
    "PRAGMA user_version = 9;",
    /* being deleted: remove.h */
    "ALTER TABLE agents ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE quarantine_sources ADD COLUMN leaving INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 10;",
    /* tables that never had a row are not there: lazy.h */
    "PRAGMA user_version = 11;",
    /* labels, and who pings what; revision 1 of the rules: rules.c */
    "ALTER TABLE agents ADD COLUMN name TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE agents ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE agents ADD COLUMN advertised_address TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE targets ADD COLUMN labels TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE targets ADD COLUMN slow_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE targets ADD COLUMN lossy_percent INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE rules("
    " position INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL CHECK(kind BETWEEN 0 AND 1),"
    " agents TEXT NOT NULL, targets TEXT NOT NULL) STRICT;"
    "INSERT INTO counters VALUES('rules_revision', 1);"
    "PRAGMA user_version = 12;",
    /* how far the agent's clock was ahead when the block came: late data is marked by it */
    "ALTER TABLE blocks ADD COLUMN clock_offset_us INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE quarantine ADD COLUMN clock_offset_us INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 13;",
    "ALTER TABLE targets ADD COLUMN pause_reason TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE targets ADD COLUMN paused_until_ms INTEGER NOT NULL DEFAULT 0;"
    "PRAGMA user_version = 14;",
    /* when targets were paused, and why; to_ms 0: until somebody resumes it */
    "CREATE TABLE target_pauses("
    " target_id INTEGER NOT NULL, from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, reason TEXT NOT NULL,"
    " PRIMARY KEY(target_id, from_ms)) STRICT, WITHOUT ROWID;"
    "INSERT INTO target_pauses SELECT id, CAST(strftime('%s', 'now') AS INTEGER) * 1000, paused_until_ms, pause_reason"
    " FROM targets WHERE pause_reason <> '';"
    "PRAGMA user_version = 15;",
};

#define VERSION ((int64_t)(sizeof migrations / sizeof migrations[0]))

int64_t meshping_store_schema_version(void)
{
    return VERSION;
}

const char *meshping_store_engine_version(void)
{
    return sqlite3_libversion();
}

static meshping_status use_wal(meshping__sql *sql, meshping_error *err)
{
    sqlite3_stmt *statement;
    char mode[16] = "";
    meshping_status status = meshping__sql_query(sql, &statement, err, "PRAGMA journal_mode = WAL", "");
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status != MESHPING_OK)
        return status;
    meshping__sql_text(statement, 0, mode, sizeof mode);
    sqlite3_reset(statement);
    if (strcmp(mode, "wal") != 0)
        return meshping_error_set(err, MESHPING_UNSUPPORTED,
                                  "%s: no write-ahead log is possible there (mode %s): use a local file system",
                                  sql->path, mode);
    return MESHPING_OK;
}

/*
 * ROLLBACK is prepared now, after all that makes SQLite prepare anew: when memory has run out there would be no way out
 * of a transaction, and nobody else could write.
 */
static meshping_status prepare_way_out(meshping__sql *sql, meshping_error *err)
{
    meshping_status status = meshping__sql_begin(sql, err);
    if (status == MESHPING_OK)
        meshping__sql_end(sql, MESHPING_STATE, NULL);
    return status;
}

meshping_status meshping__schema_prepare_writer(meshping__sql *sql, meshping_error *err)
{
    meshping_status status = meshping__sql_exec(sql,
                                                "PRAGMA synchronous = FULL;"
                                                "PRAGMA foreign_keys = ON;"
                                                "PRAGMA wal_autocheckpoint = 16000;"
                                                "PRAGMA journal_size_limit = 67108864;",
                                                err);
    return status == MESHPING_OK ? prepare_way_out(sql, err) : status;
}

meshping_status meshping__schema_migrate(meshping__sql *sql, int64_t version, int64_t to, meshping_error *err)
{
    for (; version < to && version < VERSION; version++) {
        meshping_status status = meshping__sql_begin(sql, err);
        if (status != MESHPING_OK)
            return status;
        status = meshping__sql_end(sql, meshping__sql_exec(sql, migrations[version], err), err);
        if (status != MESHPING_OK)
            return status;
    }
    return MESHPING_OK;
}

int meshping__schema_build(sqlite3 *db, int64_t version)
{
    int rc = SQLITE_OK;
    for (int64_t i = 0; rc == SQLITE_OK && i < version && i < VERSION; i++)
        rc = sqlite3_exec(db, migrations[i], NULL, NULL, NULL);
    return rc;
}

#define LAZY_SINCE 11

/* From the version that the file has to the newest; what it has no rows of is made for the migrations only. */
static meshping_status bring_up(meshping__sql *sql, int64_t version, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (version == VERSION)
        return status;
    if (version >= LAZY_SINCE) {
        status = meshping__sql_begin(sql, err);
        if (status == MESHPING_OK)
            status = meshping__sql_end(sql, meshping__lazy_complete(sql, version, err), err);
    }
    if (status == MESHPING_OK)
        status = meshping__schema_migrate(sql, version, VERSION, err);
    if (status == MESHPING_OK)
        status = meshping__sql_begin(sql, err);
    if (status == MESHPING_OK)
        status = meshping__sql_end(sql, meshping__lazy_trim(sql, err), err);
    if (status == MESHPING_OK && version == 0)
        status = meshping__sql_exec(sql, "PRAGMA incremental_vacuum", err);
    return status == MESHPING_OK ? prepare_way_out(sql, err) : status;
}

/* MESHPING_OK: ours, or empty, and not newer than this program. */
static meshping_status identify(meshping__sql *sql, int64_t *version, bool *empty, meshping_error *err)
{
    int64_t application, tables;
    meshping_status status = meshping__sql_number(sql, "PRAGMA application_id", &application, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(sql, "PRAGMA user_version", version, err);
    if (status == MESHPING_OK)
        status = meshping__sql_number(sql, "SELECT count(*) FROM sqlite_master", &tables, err);
    if (status != MESHPING_OK)
        return status;
    *empty = application == 0 && *version == 0 && tables == 0;
    if (!*empty && application != APPLICATION_ID)
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: a database, but not one of meshping", sql->path);
    if (*version > VERSION)
        return meshping_error_set(err, MESHPING_UNSUPPORTED,
                                  "%s: its schema is version %" PRId64 ", this program knows up to %" PRId64
                                  ": use a newer meshpingd",
                                  sql->path, *version, VERSION);
    return MESHPING_OK;
}

meshping_status meshping__schema_identify(meshping__sql *sql, bool *current, meshping_error *err)
{
    int64_t version;
    bool empty;
    meshping_status status = identify(sql, &version, &empty, err);
    *current = status == MESHPING_OK && version == VERSION;
    if (status == MESHPING_OK && empty)
        return meshping_error_set(err, MESHPING_CORRUPT, "%s: an empty database", sql->path);
    return status;
}

meshping_status meshping__schema_open(meshping__sql *sql, bool read_only, meshping_error *err)
{
    int64_t version;
    bool empty;
    meshping_status status = identify(sql, &version, &empty, err);
    if (status != MESHPING_OK)
        return status;
    if (read_only && version < VERSION)
        return meshping_error_set(err, MESHPING_UNSUPPORTED,
                                  "%s: its schema is version %" PRId64 ", older than %" PRId64
                                  ": start meshpingd once to bring it up to date",
                                  sql->path, version, VERSION);
    if (read_only)
        return MESHPING_OK;
    /*
     * Both work only before the first page is written. Half a page is lost behind each block, and each table and index
     * has a page at least: more than compression gains, with 4,096 bytes a page.
     */
    if (empty)
        status = meshping__sql_exec(sql, "PRAGMA page_size = 1024; PRAGMA auto_vacuum = INCREMENTAL", err);
    if (status == MESHPING_OK)
        status = use_wal(sql, err);
    if (status == MESHPING_OK)
        status = meshping__schema_prepare_writer(sql, err);
    if (status == MESHPING_OK)
        status = bring_up(sql, version, err);
    return status;
}
