/* SPDX-License-Identifier: Apache-2.0 */
#include "store/remove.h"

#include <inttypes.h>

/* Its id may be another agent's by now: that one's rows stay. */
#define LEAVES "(SELECT leaving FROM agents WHERE id = ?1)"

/* What belongs to an agent, and how much of it goes at once: about as much as retention takes. ?1 agent, ?2 rows. */
static const struct part {
    const char *text;
    int64_t rows;
} agent_parts[] = {
    {"DELETE FROM blocks WHERE id IN (SELECT id FROM blocks WHERE agent_id = ?1 AND " LEAVES " LIMIT ?2)", 16},
    {"DELETE FROM sealed WHERE id IN (SELECT id FROM sealed WHERE agent_id = ?1 AND " LEAVES " LIMIT ?2)", 4},
    {"DELETE FROM rollups WHERE id IN (SELECT id FROM rollups WHERE agent_id = ?1 AND " LEAVES " LIMIT ?2)", 32},
    {"DELETE FROM quarantine WHERE id IN (SELECT q.id FROM quarantine_sources s CROSS JOIN quarantine q"
     " ON q.source_id = s.id WHERE s.agent_id = ?1 AND " LEAVES " LIMIT ?2)",
     16},
    {"DELETE FROM quarantine_sources WHERE id IN (SELECT id FROM quarantine_sources WHERE agent_id = ?1 AND " LEAVES
     " LIMIT ?2)",
     200},
    {"DELETE FROM gaps WHERE id IN (SELECT id FROM gaps WHERE agent_id = ?1 AND " LEAVES " LIMIT ?2)", 200},
    {"DELETE FROM epochs WHERE agent_id = ?1 AND epoch IN (SELECT epoch FROM epochs WHERE agent_id = ?1 AND " LEAVES
     " LIMIT ?2)",
     200},
    {"DELETE FROM clocks WHERE agent_id = ?1 AND at_us IN (SELECT at_us FROM clocks WHERE agent_id = ?1 AND " LEAVES
     " LIMIT ?2)",
     200},
    {"DELETE FROM agents WHERE id = ?1 AND leaving AND ?2", 1},
};

static const struct part source_parts[] = {
    {"DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE source_id = ?1 LIMIT ?2)", 16},
    {"DELETE FROM quarantine_sources WHERE id = ?1 AND leaving AND ?2", 1},
};

/* The first part that has rows left loses some. NOT_FOUND: none has. */
static meshping_status delete_some(meshping__sql *sql, const struct part *parts, size_t count, int64_t id,
                                   meshping_error *err)
{
    for (size_t i = 0; i < count; i++) {
        meshping_status status = meshping__sql_run(sql, err, parts[i].text, "ii", id, parts[i].rows);
        if (status != MESHPING_OK || meshping__sql_changes(sql))
            return status;
    }
    return MESHPING_NOT_FOUND;
}

static meshping_status delete_agent_rows(meshping__sql *sql, int64_t agent_id, meshping_error *err)
{
    return delete_some(sql, agent_parts, sizeof agent_parts / sizeof *agent_parts, agent_id, err);
}

meshping_status meshping__remove_mark_agent(meshping__sql *sql, uint64_t agent_id, meshping_error *err)
{
    meshping_status status = meshping__sql_run(
        sql, err, "UPDATE agents SET leaving = 1, public_key = randomblob(32) WHERE id = ?1 AND NOT leaving", "i",
        (int64_t)agent_id);
    if (status == MESHPING_OK && meshping__sql_changes(sql) == 0)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no agent %016" PRIx64, agent_id);
    return status;
}

meshping_status meshping__remove_mark_source(meshping__sql *sql, uint64_t source_id, meshping_error *err)
{
    /* `kept` is part of the key: the agent may begin another one of this epoch and address at once */
    return meshping__sql_run(sql, err, "UPDATE quarantine_sources SET leaving = 1, kept = id WHERE id = ?1", "i",
                             (int64_t)source_id);
}

meshping_status meshping__remove_step(meshping__sql *sql, meshping__removal *removal, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    if (removal->look && !removal->agent_id)
        status = meshping__sql_number(sql, "SELECT id FROM agents WHERE leaving LIMIT 1", &removal->agent_id, err);
    if (status == MESHPING_OK && removal->look && !removal->agent_id && !removal->source_id)
        status = meshping__sql_number(sql, "SELECT id FROM quarantine_sources WHERE leaving LIMIT 1",
                                      &removal->source_id, err);
    if (status != MESHPING_OK)
        return status;
    if (removal->agent_id) {
        status = delete_agent_rows(sql, removal->agent_id, err);
        if (status == MESHPING_NOT_FOUND) {
            removal->agent_id = 0;
            status = MESHPING_OK;
        }
        return status;
    }
    if (removal->source_id) {
        status = delete_some(sql, source_parts, sizeof source_parts / sizeof *source_parts, removal->source_id, err);
        if (status == MESHPING_NOT_FOUND) {
            removal->source_id = 0;
            status = MESHPING_OK;
        }
        return status;
    }
    removal->look = false;
    return MESHPING_NOT_FOUND;
}

meshping_status meshping__remove_rest(meshping__sql *sql, uint64_t agent_id, meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(sql, &statement, err, "SELECT 1 FROM agents WHERE id = ?1 AND leaving",
                                                 "i", (int64_t)agent_id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_OK)
        sqlite3_reset(statement);
    const struct meshping_audit_record *audit = sql->audit;
    sql->audit = NULL; /* it belongs to what the caller is about to do */
    while (status == MESHPING_OK)
        status = delete_agent_rows(sql, (int64_t)agent_id, err);
    sql->audit = audit;
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}
