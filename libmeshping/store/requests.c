/* SPDX-License-Identifier: Apache-2.0 */
/* Small writes that go with the next group of blocks, for a thread that must not wait for the disk. */
#include "store/internal.h"

#include "base/alloc.h"
#include <string.h>

struct meshping__request {
    meshping_status (*run)(meshping__sql *sql, const meshping__request *request, meshping_error *err);
    meshping_done_fn fn;
    size_t count;
    _Alignas(meshping_agent_seen) char data[];
};

meshping_status meshping__request_run(meshping__sql *sql, const meshping__request *request, meshping_error *err)
{
    return request->run(sql, request, err);
}

void meshping__request_tell(const meshping__write *item)
{
    const meshping__request *request = item->request;
    if (request->fn)
        request->fn(item->user, item->status, item->error);
}

/* Takes the request over, NULL too. */
static meshping_status submit(meshping_store *store, meshping__request *request, size_t bytes, meshping_done_fn fn,
                              void *user, meshping_error *err)
{
    meshping__write *item = request ? meshping__calloc(1, sizeof *item) : NULL;
    if (!item) {
        meshping__free(request);
        return meshping__no_memory(err);
    }
    request->fn = fn;
    item->request = request;
    item->user = user;
    item->cost_bytes = bytes;
    meshping_status status = meshping__writer_enqueue(store, item, err);
    if (status != MESHPING_OK) {
        meshping__free(request);
        meshping__free(item);
    }
    return status;
}

/* ---- settings ---- */

static meshping_status save_setting(meshping__sql *sql, const meshping__request *request, meshping_error *err)
{
    return meshping__setting_save(sql, request->data, request->data + strlen(request->data) + 1, err);
}

meshping_status meshping_store_submit_setting(meshping_store *store, const char *key, const char *value,
                                              meshping_done_fn fn, void *user, meshping_error *err)
{
    if (!key || !*key || !value)
        return meshping_error_set(err, MESHPING_INVALID, "a setting needs a key and a value");
    size_t key_bytes = strlen(key) + 1, value_bytes = strlen(value) + 1;
    size_t bytes = sizeof(meshping__request) + key_bytes + value_bytes;
    meshping__request *request = meshping__malloc(bytes);
    if (request) {
        request->run = save_setting;
        request->count = 1;
        memcpy(request->data, key, key_bytes);
        memcpy(request->data + key_bytes, value, value_bytes);
    }
    return submit(store, request, bytes, fn, user, err);
}

/* ---- when agents were seen ---- */

static meshping_status save_seen(meshping__sql *sql, const meshping__request *request, meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; i < request->count && status == MESHPING_OK; i++) {
        meshping_agent_seen seen;
        memcpy(&seen, request->data + i * sizeof seen, sizeof seen);
        status = meshping__sql_run(sql, err, "UPDATE agents SET last_seen_ms = ?2 WHERE id = ?1 AND last_seen_ms < ?2",
                                   "ii", (int64_t)seen.agent_id, seen.last_seen_ms);
    }
    return status;
}

meshping_status meshping_store_submit_seen(meshping_store *store, const meshping_agent_seen *seen, size_t count,
                                           meshping_done_fn fn, void *user, meshping_error *err)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, sizeof *seen, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(meshping__request), &bytes))
        return meshping__no_memory(err);
    meshping__request *request = meshping__malloc(bytes);
    if (request) {
        request->run = save_seen;
        request->count = count;
        if (count)
            memcpy(request->data, seen, count * sizeof *seen);
    }
    return submit(store, request, bytes, fn, user, err);
}

/* ---- join tickets ---- */

static meshping_status save_ticket(meshping__sql *sql, const meshping__request *request, meshping_error *err)
{
    meshping_agent_record record;
    memcpy(&record, request->data, sizeof record);
    return meshping__ticket_save(sql, &record, err);
}

meshping_status meshping_store_submit_ticket(meshping_store *store, const meshping_agent_record *record,
                                             meshping_done_fn fn, void *user, meshping_error *err)
{
    size_t bytes = sizeof(meshping__request) + sizeof *record;
    meshping__request *request = meshping__malloc(bytes);
    if (request) {
        request->run = save_ticket;
        request->count = 1;
        memcpy(request->data, record, sizeof *record);
    }
    return submit(store, request, bytes, fn, user, err);
}
