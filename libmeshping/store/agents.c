/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/alloc.h"
#include "core/target.h"
#include <inttypes.h>

#define COLUMNS                                                                                                        \
    "id, public_key, state, host_name, version, reported_address, observed_address, approved_addresses, reason,"       \
    " first_seen_ms, last_seen_ms, state_changed_ms, revision, tid,"                                                   \
    " name, labels, advertised_address"

static const char *read_agent(sqlite3_stmt *row, void *item)
{
    meshping_agent_record *out = item;
    *out = (meshping_agent_record){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .state = (meshping_agent_state)sqlite3_column_int(row, 2),
        .first_seen_ms = sqlite3_column_int64(row, 9),
        .last_seen_ms = sqlite3_column_int64(row, 10),
        .state_changed_ms = sqlite3_column_int64(row, 11),
        .revision = (uint64_t)sqlite3_column_int64(row, 12),
        .ticket_issued = (uint64_t)sqlite3_column_int64(row, 17),
        .ticket_confirmed = (uint64_t)sqlite3_column_int64(row, 18),
    };
    out->has_tid = meshping__sql_blob(row, 13, out->tid, sizeof out->tid);
    meshping__sql_text(row, 3, out->host_name, sizeof out->host_name);
    meshping__sql_text(row, 4, out->version, sizeof out->version);
    meshping__sql_text(row, 5, out->reported_address, sizeof out->reported_address);
    meshping__sql_text(row, 6, out->observed_address, sizeof out->observed_address);
    meshping__sql_text(row, 7, out->approved_addresses, sizeof out->approved_addresses);
    meshping__sql_text(row, 8, out->reason, sizeof out->reason);
    meshping__sql_text(row, 14, out->name, sizeof out->name);
    meshping__sql_text(row, 15, out->labels, sizeof out->labels);
    meshping__sql_text(row, 16, out->advertised_address, sizeof out->advertised_address);
    return meshping__sql_blob(row, 1, out->public_key, sizeof out->public_key) ? NULL : "an agent's key is damaged";
}

meshping_status meshping_store_agents(meshping_store *store, meshping_agent_record **records, size_t *count,
                                      meshping_error *err)
{
    sqlite3_stmt *statement = NULL;
    meshping_status status =
        meshping__sql_query(&store->sql, &statement, err,
                            "SELECT " COLUMNS ", coalesce(t.issued, 0), coalesce(t.confirmed, 0) FROM agents"
                            " LEFT JOIN tickets t ON t.agent_id = id WHERE NOT leaving ORDER BY first_seen_ms, id",
                            "");
    return meshping__sql_rows(&store->sql, status, statement, read_agent, sizeof **records, (void **)records, count,
                              err);
}

/* OK: the agent of this id exists; *revision is what is stored. */
static meshping_status stored_revision(meshping__sql *sql, uint64_t id, int64_t *revision, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        sql, &statement, err, "SELECT revision FROM agents WHERE id = ?1 AND NOT leaving", "i", (int64_t)id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_OK) {
        *revision = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return status;
}

static meshping_status save(meshping__sql *sql, const meshping_agent_record *record, meshping_error *err)
{
    int64_t revision = 0;
    meshping_status status = stored_revision(sql, record->id, &revision, err);
    if (status == MESHPING_NOT_FOUND && record->revision != 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no agent %016" PRIx64, record->id);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND)
        return status;
    if (revision != (int64_t)record->revision)
        return meshping_error_set(err, MESHPING_STATE, "agent %016" PRIx64 " was changed meanwhile: look again",
                                  record->id);
    status = meshping__sql_run(
        sql, err,
        "INSERT INTO agents(" COLUMNS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
        " ?15, ?16, ?17)"
        " ON CONFLICT(id) DO UPDATE SET public_key = excluded.public_key, state = excluded.state,"
        " host_name = excluded.host_name, version = excluded.version, reported_address = excluded.reported_address,"
        " observed_address = excluded.observed_address, approved_addresses = excluded.approved_addresses,"
        " reason = excluded.reason, first_seen_ms = excluded.first_seen_ms, last_seen_ms = excluded.last_seen_ms,"
        " state_changed_ms = excluded.state_changed_ms, revision = excluded.revision, tid = excluded.tid,"
        " name = excluded.name, labels = excluded.labels, advertised_address = excluded.advertised_address",
        "ibittttttiiiibttt", (int64_t)record->id, (const void *)record->public_key, sizeof record->public_key,
        (int64_t)record->state, record->host_name, record->version, record->reported_address, record->observed_address,
        record->approved_addresses, record->reason, record->first_seen_ms, record->last_seen_ms,
        record->state_changed_ms, (int64_t)record->revision + 1, (const void *)record->tid,
        record->has_tid ? sizeof record->tid : (size_t)0, record->name, record->labels, record->advertised_address);
    if (status == MESHPING_EXISTS)
        return meshping_error_set(err, MESHPING_EXISTS, "this public key belongs to another agent");
    return status;
}

static meshping_status check(const meshping_agent_record *record, meshping_error *err)
{
    char labels[MESHPING_LABELS_MAX];
    if (record->id == 0)
        return meshping_error_set(err, MESHPING_INVALID, "an agent's id must not be 0");
    if ((unsigned)record->state > MESHPING_AGENT_BLACKLISTED)
        return meshping_error_set(err, MESHPING_INVALID, "unknown agent state %u", (unsigned)record->state);
    meshping_status status = meshping__name_check(record->name, err);
    return status == MESHPING_OK ? meshping_labels_parse(labels, record->labels, err) : status;
}

meshping_status meshping_store_agents_save(meshping_store *store, meshping_agent_record *const *records, size_t count,
                                           meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        status = check(records[i], err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        if (records[i]->revision == 0) /* an id comes twice only by an administrator's restored list */
            status = meshping__remove_rest(&store->sql, records[i]->id, err);
    if (status == MESHPING_OK)
        status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        status = save(&store->sql, records[i], err);
    status = meshping__sql_end(&store->sql, status, err);
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        records[i]->revision++;
    return status;
}

meshping_status meshping_store_agent_save(meshping_store *store, meshping_agent_record *record, meshping_error *err)
{
    return meshping_store_agents_save(store, &record, 1, err);
}

meshping_status meshping_store_agent_delete(meshping_store *store, uint64_t agent_id, meshping_error *err)
{
    meshping_status status = meshping__remove_mark_agent(&store->sql, agent_id, err);
    if (status == MESHPING_OK)
        meshping__writer_remove(&store->writer);
    return status;
}

meshping_status meshping__ticket_save(meshping__sql *sql, const meshping_agent_record *record, meshping_error *err)
{
    return meshping__sql_run(sql, err,
                             "INSERT INTO tickets(agent_id, issued, confirmed) SELECT id, ?3, ?4 FROM agents"
                             " WHERE id = ?1 AND public_key = ?2 AND NOT leaving"
                             " ON CONFLICT(agent_id) DO UPDATE SET issued = excluded.issued,"
                             " confirmed = excluded.confirmed",
                             "ibii", (int64_t)record->id, record->public_key, sizeof record->public_key,
                             (int64_t)record->ticket_issued, (int64_t)record->ticket_confirmed);
}

static meshping_status succeed(meshping__sql *sql, uint64_t successor_id, const meshping_agent_record *record,
                               meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (successor_id)
        status = meshping__remove_mark_agent(sql, successor_id, err);
    if (status == MESHPING_NOT_FOUND) /* gone already */
        status = MESHPING_OK;
    if (status == MESHPING_OK)
        status = save(sql, record, err);
    if (status == MESHPING_OK)
        status = meshping__ticket_save(sql, record, err);
    return status;
}

meshping_status meshping_store_agent_succeed(meshping_store *store, uint64_t successor_id,
                                             meshping_agent_record *record, meshping_error *err)
{
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping__sql_end(&store->sql, succeed(&store->sql, successor_id, record, err), err);
    if (status == MESHPING_OK) {
        record->revision++;
        meshping__writer_remove(&store->writer);
    }
    return status;
}
