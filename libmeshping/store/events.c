/* SPDX-License-Identifier: Apache-2.0 */
/* Settings, and the log of what happened. */
#include "store/internal.h"

#include "base/alloc.h"

#define EVENTS_MAX 100000 /* kept; the oldest go first */

meshping_status meshping_store_setting(meshping_store *store, const char *key, char **value, meshping_error *err)
{
    sqlite3_stmt *row;
    meshping_status status =
        meshping__sql_query(&store->sql, &row, err, "SELECT value FROM settings WHERE key = ?1", "t", key);
    if (status == MESHPING_OK)
        status = meshping__sql_step(&store->sql, row, err);
    if (status == MESHPING_NOT_FOUND)
        return meshping_error_set(err, MESHPING_NOT_FOUND, "no setting %s", key);
    if (status != MESHPING_OK)
        return status;
    const char *text = (const char *)sqlite3_column_text(row, 0);
    char *copy = text ? meshping__strdup(text) : NULL;
    sqlite3_reset(row);
    if (!copy)
        return meshping__no_memory(err);
    *value = copy;
    return MESHPING_OK;
}

meshping_status meshping__setting_save(meshping__sql *sql, const char *key, const char *value, meshping_error *err)
{
    return meshping__sql_run(sql, err,
                             "INSERT INTO settings(key, value) VALUES(?1, ?2)"
                             " ON CONFLICT(key) DO UPDATE SET value = excluded.value",
                             "tt", key, value);
}

meshping_status meshping_store_setting_save(meshping_store *store, const char *key, const char *value,
                                            meshping_error *err)
{
    if (!key || !*key || !value)
        return meshping_error_set(err, MESHPING_INVALID, "a setting needs a key and a value");
    return meshping__setting_save(&store->sql, key, value, err);
}

meshping_status meshping_store_settings_save(meshping_store *store, const meshping_setting *settings, size_t count,
                                             meshping_error *err)
{
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    for (size_t i = 0; i < count && status == MESHPING_OK; i++)
        status = settings[i].value
                     ? meshping_store_setting_save(store, settings[i].key, settings[i].value, err)
                     : meshping__sql_run(&store->sql, err, "DELETE FROM settings WHERE key = ?1", "t", settings[i].key);
    return meshping__sql_end(&store->sql, status, err);
}

meshping_status meshping_store_event_add(meshping_store *store, int64_t unix_ms, const char *kind, uint64_t agent_id,
                                         const char *user, const char *text, meshping_error *err)
{
    meshping_status status = meshping__sql_begin(&store->sql, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping__sql_run(&store->sql, err,
                               "INSERT INTO events(unix_ms, agent_id, kind, user, text) VALUES(?1, ?2, ?3, ?4, ?5)",
                               "iittt", unix_ms, (int64_t)agent_id, kind, user ? user : "", text);
    if (status == MESHPING_OK)
        status = meshping__sql_run(&store->sql, err, "DELETE FROM events WHERE id <= ?1", "i",
                                   sqlite3_last_insert_rowid(store->sql.db) - EVENTS_MAX);
    return meshping__sql_end(&store->sql, status, err);
}

static const char *read_event(sqlite3_stmt *row, void *item)
{
    meshping_event_record *event = item;
    *event = (meshping_event_record){
        .id = (uint64_t)sqlite3_column_int64(row, 0),
        .unix_ms = sqlite3_column_int64(row, 1),
        .agent_id = (uint64_t)sqlite3_column_int64(row, 2),
    };
    meshping__sql_text(row, 3, event->kind, sizeof event->kind);
    meshping__sql_text(row, 4, event->user, sizeof event->user);
    meshping__sql_text(row, 5, event->text, sizeof event->text);
    return NULL;
}

meshping_status meshping_store_events(meshping_store *store, uint64_t before_id, size_t limit,
                                      meshping_event_record **records, size_t *count, meshping_error *err)
{
    sqlite3_stmt *row = NULL;
    meshping_status status = meshping__sql_query(
        &store->sql, &row, err,
        "SELECT id, unix_ms, agent_id, kind, user, text FROM events WHERE id < ?1 ORDER BY id DESC LIMIT ?2", "ii",
        before_id && before_id < INT64_MAX ? (int64_t)before_id : INT64_MAX,
        (int64_t)(limit < EVENTS_MAX ? limit : EVENTS_MAX));
    return meshping__sql_rows(&store->sql, status, row, read_event, sizeof **records, (void **)records, count, err);
}
