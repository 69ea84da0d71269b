/* SPDX-License-Identifier: Apache-2.0 */
/* The newest sample of every pair: each agent's blocks from the newest back, of which only what is newer is decoded. */
#include "store/internal.h"
#include "store/pairs.h"
#include "store/places.h"

#include "base/alloc.h"
#include "core/idmap.h"
#include <stdlib.h>

typedef struct newest {
    meshping_pair_sample *items;
    size_t count, capacity;
    size_t first; /* of the agent that is being read */
    meshping__idmap places;
    int64_t since_us;
    meshping__damages *damages;
    meshping_sample *samples; /* scratch */
    size_t scratch;
} newest;

/* The pair's place in the list; SIZE_MAX: no memory. */
static size_t place_of(newest *n, uint64_t agent_id, uint64_t target_id, bool *fresh)
{
    uint32_t at = meshping__idmap_get(&n->places, target_id);
    *fresh = at == MESHPING__IDMAP_NONE;
    if (!*fresh)
        return at;
    if (!meshping__sql_room((void **)&n->items, &n->capacity, n->count, sizeof *n->items) ||
        meshping__idmap_reserve(&n->places, n->count + 1 - n->first) != MESHPING_OK)
        return SIZE_MAX;
    meshping__idmap_put(&n->places, target_id, (uint32_t)n->count);
    n->items[n->count] = (meshping_pair_sample){.agent_id = agent_id, .target_id = target_id};
    return n->count++;
}

static meshping_status take_entry(newest *n, uint64_t agent_id, const meshping_block_reader *reader, size_t i,
                                  const meshping__place *place, meshping_error *err)
{
    meshping_block_entry entry;
    size_t count = 0;
    bool fresh;
    meshping_block_reader_entry(reader, i, &entry);
    if (entry.last_unix_us < n->since_us)
        return MESHPING_OK;
    uint32_t known = meshping__idmap_get(&n->places, entry.target_id);
    if (known != MESHPING__IDMAP_NONE && n->items && n->items[known].sample.slot_unix_us >= entry.last_unix_us)
        return MESHPING_OK;
    if (!n->samples || entry.sample_count > n->scratch) {
        meshping_sample *grown = meshping__realloc(n->samples, entry.sample_count * sizeof *grown);
        if (!grown)
            return meshping__no_memory(err);
        n->samples = grown;
        n->scratch = entry.sample_count;
    }
    meshping_status status = meshping_block_reader_samples(reader, i, n->samples, n->scratch, &count, NULL);
    if (status != MESHPING_OK)
        return status == MESHPING_NOMEM ? meshping__no_memory(err) : MESHPING_CORRUPT;
    size_t at = place_of(n, agent_id, entry.target_id, &fresh);
    if (at == SIZE_MAX)
        return meshping__no_memory(err);
    n->items[at].sample = n->samples[count - 1];
    if (place->level == MESHPING__LEVEL_JOURNAL) /* as the agent sent it, who does not decide what is late */
        meshping_samples_mark_late(&n->items[at].sample, 1, place->received_agent_us);
    return MESHPING_OK;
}

/* CORRUPT: some of it cannot be read; the rest is taken. */
static meshping_status take_block(newest *n, uint64_t agent_id, const meshping__place *place, const uint8_t *bytes,
                                  size_t length, meshping_error *err)
{
    meshping_block_reader *reader = NULL;
    meshping_status status = meshping_block_reader_new(&reader, bytes, length, NULL);
    if (status != MESHPING_OK)
        return status == MESHPING_NOMEM ? meshping__no_memory(err) : MESHPING_CORRUPT;
    bool damaged = false;
    for (size_t i = 0; status == MESHPING_OK && i < meshping_block_reader_target_count(reader); i++) {
        status = take_entry(n, agent_id, reader, i, place, err);
        damaged = damaged || status == MESHPING_CORRUPT;
        if (status == MESHPING_CORRUPT)
            status = MESHPING_OK;
    }
    meshping_block_reader_free(reader);
    return status == MESHPING_OK && damaged ? MESHPING_CORRUPT : status;
}

static int compare(const void *left, const void *right)
{
    const meshping_pair_sample *a = left, *b = right;
    return a->target_id < b->target_id ? -1 : a->target_id > b->target_id;
}

/* An agent's blocks from the newest back. */
static meshping_status find_blocks(const newest *n, meshping__sql *sql, uint64_t agent_id, meshping__places *places,
                                   meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status = meshping__sql_query(
        sql, &statement, err,
        "SELECT 0, id, first_us, last_us FROM blocks WHERE agent_id = ?1 AND last_us >= ?2"
        " AND " MESHPING__AGENT_STAYS
        " UNION ALL SELECT level, id, first_us, last_us FROM sealed WHERE agent_id = ?1 AND last_us >= ?2"
        " AND " MESHPING__AGENT_STAYS " ORDER BY 4 DESC",
        "ii", (int64_t)agent_id, n->since_us);
    status = meshping__places_read(places, sql, status, statement, err);
    if (status == MESHPING_CORRUPT) {
        const meshping__place whole = {.first_us = n->since_us, .last_us = INT64_MAX};
        return meshping__place_damaged(&whole, MESHPING_DAMAGE_PAGE, n->damages, err);
    }
    return status;
}

static meshping_status take_agent(newest *n, meshping__sql *sql, uint64_t agent_id, meshping_error *err)
{
    meshping__places places = {0};
    n->first = n->count;
    meshping_status status = find_blocks(n, sql, agent_id, &places, err);
    for (size_t i = 0; status == MESHPING_OK && i < places.count; i++) {
        sqlite3_stmt *statement;
        const uint8_t *bytes;
        size_t length;
        status = meshping__place_bytes(&places.items[i], sql, &statement, &bytes, &length, err);
        if (status == MESHPING_OK) {
            status = take_block(n, agent_id, &places.items[i], bytes, length, err);
            sqlite3_reset(statement);
        }
        if (status == MESHPING_CORRUPT) /* what it had is not known */
            status = meshping__place_damaged(&places.items[i], MESHPING_DAMAGE_BLOCK, n->damages, err);
    }
    meshping__places_dispose(&places);
    meshping__idmap_dispose(&n->places);
    if (n->count > n->first)
        qsort(n->items + n->first, n->count - n->first, sizeof *n->items, compare);
    return status;
}

static meshping_status take_all(newest *n, meshping__sql *sql, uint64_t agent_id, meshping_error *err)
{
    uint64_t *ids = NULL;
    size_t count = 0;
    if (agent_id)
        return take_agent(n, sql, agent_id, err);
    meshping_status status = meshping__scan_agents(sql, &ids, &count, err);
    for (size_t i = 0; status == MESHPING_OK && i < count; i++)
        status = take_agent(n, sql, ids[i], err);
    meshping__free(ids);
    return status;
}

meshping_status meshping_store_last(meshping_store *store, uint64_t agent_id, int64_t since_us,
                                    meshping_pair_sample **last, size_t *count, meshping_error *err)
{
    newest n = {.since_us = since_us, .damages = &store->damages};
    meshping__damages_dispose(&store->damages);
    *last = NULL;
    *count = 0;
    meshping_status status = meshping__sql_begin_reading(&store->sql, err);
    if (status == MESHPING_OK)
        status = meshping__sql_end_reading(&store->sql, take_all(&n, &store->sql, agent_id, err));
    meshping__free(n.samples);
    if (status != MESHPING_OK) {
        meshping__free(n.items);
        return status;
    }
    *last = n.items;
    *count = n.count;
    return MESHPING_OK;
}
