/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include "base/alloc.h"
#include <inttypes.h>
#include <meshping/maintain.h>
#include <stdio.h>
#include <string.h>

#define TARGET_ID_MAX ((INT64_C(1) << 53) - 1)

static meshping_status read_targets(meshping_store *store, meshping_target_list *list, meshping_error *err)
{
    sqlite3_stmt *row;
    int64_t revision;
    meshping_status status =
        meshping__sql_number(&store->sql, "SELECT value FROM counters WHERE name = 'targets_revision'", &revision, err);
    list->revision = (uint64_t)revision;
    if (status == MESHPING_OK)
        status = meshping__sql_query(
            &store->sql, &row, err,
            "SELECT t.id, h.host, h.family, t.name, t.interval_ms, t.timeout_ms, t.size,"
            " t.dscp, t.ttl, t.dont_fragment, t.source, t.interface, t.labels, t.slow_ms,"
            " t.lossy_percent, t.pause_reason, t.paused_until_ms FROM targets t JOIN target_hosts h USING(id)"
            " ORDER BY t.position",
            "");
    while (status == MESHPING_OK && (status = meshping__sql_step(&store->sql, row, err)) == MESHPING_OK) {
        meshping_target target;
        meshping_target_init(&target);
        target.id = (uint64_t)sqlite3_column_int64(row, 0);
        meshping__sql_text(row, 1, target.host, sizeof target.host);
        target.family = (uint8_t)sqlite3_column_int(row, 2);
        meshping__sql_text(row, 3, target.name, sizeof target.name);
        target.interval_ms = (uint32_t)sqlite3_column_int64(row, 4);
        target.timeout_ms = (uint32_t)sqlite3_column_int64(row, 5);
        target.size = (uint16_t)sqlite3_column_int(row, 6);
        target.dscp = (uint8_t)sqlite3_column_int(row, 7);
        target.ttl = (uint8_t)sqlite3_column_int(row, 8);
        target.dont_fragment = sqlite3_column_int(row, 9) != 0;
        char source[MESHPING_ADDRESS_TEXT_MAX];
        meshping__sql_text(row, 10, source, sizeof source);
        if (source[0])
            (void)meshping_address_parse(&target.source, source, NULL);
        meshping__sql_text(row, 11, target.interface, sizeof target.interface);
        meshping__sql_text(row, 12, target.labels, sizeof target.labels);
        target.slow_ms = (uint32_t)sqlite3_column_int64(row, 13);
        target.lossy_percent = (uint8_t)sqlite3_column_int(row, 14);
        meshping__sql_text(row, 15, target.pause_reason, sizeof target.pause_reason);
        target.paused_until_ms = sqlite3_column_int64(row, 16);
        status = meshping_target_list_append(list, &target, err);
        if (status != MESHPING_OK)
            sqlite3_reset(row);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

meshping_status meshping_store_targets(meshping_store *store, meshping_target_list *out, meshping_error *err)
{
    meshping_target_list list = {.limit = SIZE_MAX}; /* what was allowed when it was saved is shown */
    meshping_status status = read_targets(store, &list, err);
    if (status != MESHPING_OK) {
        meshping_target_list_dispose(&list);
        return status;
    }
    list.limit = out->limit;
    meshping_target_list_dispose(out);
    *out = list;
    return MESHPING_OK;
}

meshping_status meshping_store_all_targets(meshping_store *store, meshping_target_list *out, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_target_list list = {.limit = SIZE_MAX};
    meshping_status status = meshping__sql_query(&store->sql, &row, err,
                                                 "SELECT h.id, h.host, h.family, t.name FROM target_hosts h"
                                                 " LEFT JOIN targets t USING(id) ORDER BY h.id",
                                                 "");
    while (status == MESHPING_OK && (status = meshping__sql_step(&store->sql, row, err)) == MESHPING_OK) {
        meshping_target target;
        meshping_target_init(&target);
        target.id = (uint64_t)sqlite3_column_int64(row, 0);
        meshping__sql_text(row, 1, target.host, sizeof target.host);
        target.family = (uint8_t)sqlite3_column_int(row, 2);
        meshping__sql_text(row, 3, target.name, sizeof target.name);
        status = meshping_target_list_append(&list, &target, err);
        if (status != MESHPING_OK)
            sqlite3_reset(row);
    }
    if (status != MESHPING_NOT_FOUND) {
        meshping_target_list_dispose(&list);
        return status;
    }
    meshping_target_list_dispose(out);
    *out = list;
    return MESHPING_OK;
}

static meshping_status known_id(meshping__sql *sql, const meshping_target *target, int64_t *id, meshping_error *err)
{
    sqlite3_stmt *statement;
    *id = 0;
    meshping_status status =
        meshping__sql_query(sql, &statement, err, "SELECT id FROM target_hosts WHERE host = ?1 AND family = ?2", "ti",
                            target->host, (int64_t)target->family);
    if (status == MESHPING_OK)
        status = meshping__sql_step(sql, statement, err);
    if (status == MESHPING_OK) {
        *id = sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
    }
    return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
}

/* The id that this host has for good: the one it had, the one the caller chose, or a new one. */
static meshping_status settle_id(meshping__sql *sql, const meshping_target *target, int64_t *id, meshping_error *err)
{
    meshping_status status = known_id(sql, target, id, err);
    if (status != MESHPING_OK)
        return status;
    if (*id != 0 && target->id != 0 && (uint64_t)*id != target->id)
        return meshping_error_set(err, MESHPING_INVALID, "target %s has id %" PRId64 ", it cannot be %" PRIu64,
                                  target->host, *id, target->id);
    if (*id != 0)
        return MESHPING_OK;
    if (target->id != 0) {
        *id = (int64_t)target->id;
        status = meshping__sql_run(sql, err, "INSERT INTO target_hosts(id, host, family) VALUES(?1, ?2, ?3)", "iti",
                                   *id, target->host, (int64_t)target->family);
        if (status == MESHPING_EXISTS)
            return meshping_error_set(err, MESHPING_INVALID, "target %s: id %" PRIu64 " belongs to another host",
                                      target->host, target->id);
        return status;
    }
    status = meshping__sql_run(sql, err, "INSERT INTO target_hosts(host, family) VALUES(?1, ?2)", "ti", target->host,
                               (int64_t)target->family);
    *id = sqlite3_last_insert_rowid(sql->db);
    if (status == MESHPING_OK && *id > TARGET_ID_MAX)
        return meshping_error_set(err, MESHPING_LIMIT, "no target id is left");
    return status;
}

static meshping_status replace(meshping__sql *sql, const meshping_target_list *list, int64_t *ids, meshping_error *err)
{
    meshping_status status = meshping__sql_run(sql, err, "DELETE FROM targets", "");
    for (size_t i = 0; status == MESHPING_OK && i < list->count; i++) {
        const meshping_target *target = &list->items[i];
        char source[MESHPING_ADDRESS_TEXT_MAX];
        status = settle_id(sql, target, &ids[i], err);
        if (status == MESHPING_OK)
            status = meshping__sql_run(
                sql, err,
                "INSERT INTO targets(position, id, name, interval_ms, timeout_ms, size, dscp, ttl, dont_fragment,"
                " source, interface, labels, slow_ms, lossy_percent, pause_reason, paused_until_ms)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
                "iitiiiiiitttiiti", (int64_t)i, ids[i], target->name, (int64_t)target->interval_ms,
                (int64_t)target->timeout_ms, (int64_t)target->size, (int64_t)target->dscp, (int64_t)target->ttl,
                (int64_t)target->dont_fragment, meshping_address_format(&target->source, source), target->interface,
                target->labels, (int64_t)target->slow_ms, (int64_t)target->lossy_percent, target->pause_reason,
                target->paused_until_ms);
        if (status == MESHPING_EXISTS)
            return meshping_error_set(err, MESHPING_INVALID, "target %zu: id %" PRId64 " comes twice", i + 1, ids[i]);
    }
    if (status == MESHPING_OK)
        status =
            meshping__sql_run(sql, err, "UPDATE counters SET value = value + 1 WHERE name = 'targets_revision'", "");
    return status;
}

/*
 * Pauses as they are: those that the list has no more end now, those that it has anew begin. No row is looked for, and
 * no table made, where nothing was ever paused.
 */
static meshping_status note_pauses(meshping__sql *sql, const meshping_target_list *list, int64_t now_ms,
                                   meshping_error *err)
{
    int64_t noted = 0, paused = 0;
    meshping_status status = meshping__sql_number(sql, "SELECT count(*) FROM target_pauses", &noted, err);
    for (size_t i = 0; i < list->count; i++)
        paused += meshping_target_is_paused(&list->items[i], now_ms);
    if (status == MESHPING_OK && noted)
        status = meshping__sql_run(
            sql, err,
            "UPDATE target_pauses SET to_ms = ?1 WHERE (to_ms = 0 OR to_ms > ?1) AND NOT EXISTS (SELECT 1 FROM targets"
            " t WHERE t.id = target_id AND t.pause_reason = reason AND t.paused_until_ms = to_ms)",
            "i", now_ms);
    if (status == MESHPING_OK && paused)
        status = meshping__sql_run(
            sql, err,
            "INSERT OR REPLACE INTO target_pauses(target_id, from_ms, to_ms, reason)"
            " SELECT id, ?1, paused_until_ms, pause_reason FROM targets t WHERE pause_reason <> ''"
            " AND (paused_until_ms = 0 OR paused_until_ms > ?1) AND NOT EXISTS (SELECT 1 FROM target_pauses p"
            " WHERE p.target_id = t.id AND p.reason = t.pause_reason AND p.to_ms = t.paused_until_ms)",
            "i", now_ms);
    return status;
}

static const char *read_target_pause(sqlite3_stmt *row, void *item)
{
    meshping_target_pause *pause = item;
    *pause = (meshping_target_pause){.from_ms = sqlite3_column_int64(row, 0), .to_ms = sqlite3_column_int64(row, 1)};
    meshping__sql_text(row, 2, pause->reason, sizeof pause->reason);
    pause->target_id = (uint64_t)sqlite3_column_int64(row, 3);
    return NULL;
}

meshping_status meshping_store_target_pauses(meshping_store *store, uint64_t target_id, int64_t from_ms, int64_t to_ms,
                                             meshping_target_pause **pauses, size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status =
        meshping__sql_query(&store->sql, &row, err,
                            "SELECT from_ms, to_ms, reason, target_id FROM target_pauses"
                            " WHERE target_id BETWEEN ?1 AND iif(?1, ?1, 9223372036854775807) AND from_ms < ?3"
                            " AND (to_ms = 0 OR to_ms > ?2) AND (to_ms = 0 OR to_ms > from_ms)"
                            " ORDER BY target_id, from_ms",
                            "iii", (int64_t)target_id, from_ms, to_ms);
    return meshping__sql_rows(&store->sql, status, row, read_target_pause, sizeof **pauses, (void **)pauses, count,
                              err);
}

/* The name under which an agent of a mesh is a target: one that no host can have (RFC 2606, section 2). */
#define AGENT_HOST "agent-%016" PRIx64 ".invalid"

meshping_status meshping_store_targets_check(const meshping_target_list *list, meshping_error *err)
{
    meshping_status status = meshping_target_list_check(list, err);
    for (size_t i = 0; status == MESHPING_OK && i < list->count; i++) {
        uint64_t id;
        char host[MESHPING_HOST_MAX];
        if (sscanf(list->items[i].host, "agent-%16" SCNx64, &id) != 1)
            continue;
        snprintf(host, sizeof host, AGENT_HOST, id);
        if (strcmp(host, list->items[i].host) == 0)
            status = meshping_error_set(err, MESHPING_INVALID, "target %zu: %s is an agent's own name", i + 1, host);
    }
    return status;
}

meshping_status meshping_store_agent_targets(meshping_store *store, const uint64_t *agent_ids, size_t count,
                                             uint64_t *target_ids, meshping_error *err)
{
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    for (size_t i = 0; status == MESHPING_OK && i < count; i++) {
        int64_t id = 0;
        meshping_target target = {0};
        snprintf(target.host, sizeof target.host, AGENT_HOST, agent_ids[i]);
        status = settle_id(&store->sql, &target, &id, err);
        target_ids[i] = (uint64_t)id;
    }
    return meshping__sql_end(&store->sql, status, err);
}

meshping_status meshping_store_targets_save(meshping_store *store, meshping_target_list *list, meshping_error *err)
{
    meshping_status status = meshping_store_targets_check(list, err);
    if (status != MESHPING_OK)
        return status;
    int64_t revision = 0, *ids = meshping__calloc(list->count, sizeof *ids);
    if (!ids)
        return meshping__no_memory(err);
    status = meshping__sql_begin(&store->sql, err);
    if (status == MESHPING_OK) {
        status = replace(&store->sql, list, ids, err);
        if (status == MESHPING_OK)
            status = note_pauses(&store->sql, list, meshping_now_read().unix_ns / 1000000, err);
        if (status == MESHPING_OK)
            status = meshping__sql_number(&store->sql, "SELECT value FROM counters WHERE name = 'targets_revision'",
                                          &revision, err);
        status = meshping__sql_end(&store->sql, status, err);
    }
    for (size_t i = 0; status == MESHPING_OK && i < list->count; i++)
        list->items[i].id = (uint64_t)ids[i];
    if (status == MESHPING_OK)
        list->revision = (uint64_t)revision;
    meshping__free(ids);
    return status;
}
