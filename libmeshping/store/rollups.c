/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rollups.h"

#include "base/alloc.h"
#include <string.h>

void meshping__rollup_change_init(meshping__rollup_change *change, meshping__sql *sql, uint64_t agent_id)
{
    *change = (meshping__rollup_change){.sql = sql, .agent_id = agent_id};
}

static void close_readers(meshping__rollup_change *change)
{
    for (size_t i = 0; i < change->reader_count; i++) {
        meshping_block_reader_free(change->readers[i].reader);
        meshping__free(change->readers[i].bytes);
    }
    change->reader_count = 0;
}

void meshping__rollup_change_dispose(meshping__rollup_change *change)
{
    close_readers(change);
    for (size_t i = 0; i < change->row_count; i++)
        meshping__free(change->rows[i].bytes);
    meshping__free(change->rows);
    meshping__free(change->scratch);
    meshping__hours_dispose(&change->hours);
    meshping__unzip_dispose(&change->unzip);
    *change = (meshping__rollup_change){0};
}

int64_t meshping__rollup_period(int64_t hour)
{
    return meshping__step_floor(hour, MESHPING__ROLLUP_HOURS) / MESHPING__ROLLUP_HOURS;
}

int64_t meshping__rollup_group(uint64_t target_id)
{
    return (int64_t)(target_id / MESHPING__ROLLUP_TARGETS);
}

/* ---- what is sealed already ---- */

/* *reader NULL: gone, or damaged. */
static meshping_status open_sealed(meshping__rollup_change *change, int64_t id, meshping_block_reader **reader,
                                   meshping_error *err)
{
    sqlite3_stmt *statement;
    for (size_t i = 0; i < change->reader_count; i++)
        if (change->readers[i].id == id) {
            *reader = change->readers[i].reader;
            return MESHPING_OK;
        }
    *reader = NULL;
    meshping_status status =
        meshping__sql_query(change->sql, &statement, err, "SELECT bytes FROM sealed WHERE id = ?1", "i", id);
    if (status == MESHPING_OK)
        status = meshping__sql_step(change->sql, statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    if (change->reader_count == MESHPING__ROLLUP_READERS)
        close_readers(change);
    size_t length = (size_t)sqlite3_column_bytes(statement, 0);
    uint8_t *bytes = meshping__memdup(sqlite3_column_blob(statement, 0), length);
    sqlite3_reset(statement);
    if (!bytes)
        return meshping__no_memory(err);
    if (meshping_block_reader_new(reader, bytes, length, NULL) == MESHPING_NOMEM) {
        meshping__free(bytes);
        return meshping__no_memory(err);
    }
    change->readers[change->reader_count].id = id;
    change->readers[change->reader_count].bytes = bytes;
    change->readers[change->reader_count++].reader = *reader;
    return MESHPING_OK;
}

/* Removes from rows[0..*count) what the entry has, of the same slot. */
static meshping_status leave_out_entry(meshping__block_row *rows, size_t *count, const meshping_block_reader *reader,
                                       size_t entry_index, const meshping_block_entry *entry, meshping_error *err)
{
    size_t got = 0, kept = 0;
    meshping_sample *samples = meshping__malloc(entry->sample_count * sizeof *samples);
    if (!samples)
        return meshping__no_memory(err);
    meshping_status status =
        meshping_block_reader_samples(reader, entry_index, samples, entry->sample_count, &got, NULL);
    if (status == MESHPING_OK) {
        for (size_t i = 0, j = 0; i < *count; i++) {
            while (j < got && samples[j].slot_unix_us < rows[i].sample.slot_unix_us)
                j++;
            if (j == got || samples[j].slot_unix_us != rows[i].sample.slot_unix_us)
                rows[kept++] = rows[i];
        }
        *count = kept;
    }
    meshping__free(samples);
    return status == MESHPING_NOMEM ? meshping__no_memory(err) : MESHPING_OK; /* a damaged one hides nothing from us */
}

static meshping_status leave_out_sealed(meshping__rollup_change *change, uint64_t target_id, size_t *count,
                                        meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping__block_row *rows = change->scratch;
    meshping_status status = meshping__sql_query(
        change->sql, &statement, err,
        "SELECT id FROM sealed WHERE agent_id = ?1 AND last_us >= ?2 AND first_us <= ?3 AND first_target <= ?4"
        " AND last_target >= ?4",
        "iiii", (int64_t)change->agent_id, rows[0].sample.slot_unix_us, rows[*count - 1].sample.slot_unix_us,
        (int64_t)target_id);
    while (status == MESHPING_OK && (status = meshping__sql_step(change->sql, statement, err)) == MESHPING_OK) {
        meshping_block_reader *reader;
        meshping_block_entry entry;
        status = open_sealed(change, sqlite3_column_int64(statement, 0), &reader, err);
        size_t at = status == MESHPING_OK && reader ? meshping_block_reader_find(reader, target_id) : SIZE_MAX;
        if (at != SIZE_MAX && *count) {
            meshping_block_reader_entry(reader, at, &entry);
            if (entry.last_unix_us >= rows[0].sample.slot_unix_us &&
                entry.first_unix_us <= rows[*count - 1].sample.slot_unix_us)
                status = leave_out_entry(rows, count, reader, at, &entry, err);
        }
    }
    sqlite3_reset(statement);
    /* what cannot be read hides nothing from us */
    return status == MESHPING_NOT_FOUND || status == MESHPING_CORRUPT ? MESHPING_OK : status;
}

meshping_status meshping__rollup_change_add(meshping__rollup_change *change, uint64_t target_id,
                                            const meshping_sample *samples, size_t count, meshping_error *err)
{
    if (count == 0)
        return MESHPING_OK;
    if (count > change->scratch_capacity) {
        meshping__block_row *grown = meshping__realloc(change->scratch, count * 2 * sizeof *grown);
        if (!grown)
            return meshping__no_memory(err);
        change->scratch = grown;
        change->scratch_capacity = count * 2;
    }
    for (size_t i = 0; i < count; i++)
        change->scratch[i] = (meshping__block_row){.target_id = target_id, .sample = samples[i]};
    meshping_status status = leave_out_sealed(change, target_id, &count, err);
    if (status == MESHPING_OK && !meshping__hours_of_rows(&change->hours, change->scratch, count))
        status = meshping__no_memory(err);
    return status;
}

/* ---- rows ---- */

/* The next row's records: from change->prepared on, of one group and one period, which need not be neighbours. */
static bool select_hours(const meshping__rollup_change *change, int64_t group, int64_t period, meshping__hours *out)
{
    for (size_t i = change->prepared; i < change->hours.count; i++) {
        const meshping__hour *hour = &change->hours.items[i];
        if (meshping__rollup_group(hour->target_id) > group)
            break;
        if (meshping__rollup_group(hour->target_id) != group || meshping__rollup_period(hour->hour) != period)
            continue;
        meshping__hours none = {0};
        if (!meshping__hours_merge(out, &none, &change->hours, i, 1))
            return false;
    }
    return true;
}

static bool has_row(const meshping__rollup_change *change, int64_t group, int64_t period)
{
    for (size_t i = change->row_count; i-- > 0 && change->rows[i].group == group;)
        if (change->rows[i].period == period)
            return true;
    return false;
}

/* What the database has of a row, decoded. A damaged one counts as none. */
static meshping_status load(meshping__rollup_change *change, int64_t group, int64_t period, meshping__hours *out,
                            meshping_error *err)
{
    sqlite3_stmt *statement;
    meshping_status status =
        meshping__sql_query(change->sql, &statement, err,
                            "SELECT bytes FROM rollups WHERE agent_id = ?1 AND target_group = ?2 AND period = ?3",
                            "iii", (int64_t)change->agent_id, group, period);
    if (status == MESHPING_OK)
        status = meshping__sql_step(change->sql, statement, err);
    if (status != MESHPING_OK)
        return status == MESHPING_NOT_FOUND ? MESHPING_OK : status;
    status = meshping__hours_decode(out, &change->unzip, sqlite3_column_blob(statement, 0),
                                    (size_t)sqlite3_column_bytes(statement, 0));
    sqlite3_reset(statement);
    if (status == MESHPING_CORRUPT) {
        change->damaged++;
        meshping__hours_dispose(out);
        return MESHPING_OK;
    }
    return status == MESHPING_OK ? status : meshping__no_memory(err);
}

static meshping_status make_row(meshping__rollup_change *change, int64_t group, int64_t period, meshping_error *err)
{
    meshping__hours stored = {0}, more = {0}, sum = {0};
    meshping__bytes bytes = {0};
    meshping_status status = load(change, group, period, &stored, err);
    if (status != MESHPING_OK)
        goto out;
    bool good =
        select_hours(change, group, period, &more) && meshping__hours_merge(&sum, &stored, &more, 0, more.count);
    if (good)
        meshping__hours_encode(&bytes, &sum);
    if (!good || bytes.failed ||
        !meshping__sql_room((void **)&change->rows, &change->row_capacity, change->row_count, sizeof *change->rows)) {
        meshping__bytes_dispose(&bytes);
        status = meshping__no_memory(err);
        goto out;
    }
    change->rows[change->row_count++] =
        (meshping__rollup_row){.group = group, .period = period, .bytes = bytes.data, .length = bytes.length};
out:
    meshping__hours_dispose(&stored);
    meshping__hours_dispose(&more);
    meshping__hours_dispose(&sum);
    return status;
}

meshping_status meshping__rollup_change_prepare(meshping__rollup_change *change, meshping_error *err)
{
    close_readers(change);
    for (; change->prepared < change->hours.count; change->prepared++) {
        const meshping__hour *hour = &change->hours.items[change->prepared];
        int64_t group = meshping__rollup_group(hour->target_id), period = meshping__rollup_period(hour->hour);
        if (!has_row(change, group, period))
            return make_row(change, group, period, err);
    }
    return MESHPING_NOT_FOUND;
}

/* A clock that is ahead must not keep its roll-ups for ever, nor one that is behind lose them as they come in. */
static int64_t keep_period(int64_t period, int64_t received_us)
{
    int64_t received = meshping__rollup_period(meshping__hour_of(received_us));
    return period > received ? received : period < received - 1 ? received - 1 : period;
}

meshping_status meshping__rollup_change_write(const meshping__rollup_change *change, int64_t received_us,
                                              meshping_error *err)
{
    meshping_status status = MESHPING_OK;
    for (size_t i = 0; status == MESHPING_OK && i < change->row_count; i++)
        status = meshping__sql_run(change->sql, err,
                                   "INSERT INTO rollups(agent_id, target_group, period, keep_period, bytes)"
                                   " VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT(agent_id, target_group, period)"
                                   " DO UPDATE SET bytes = excluded.bytes,"
                                   " keep_period = max(keep_period, excluded.keep_period)",
                                   "iiiib", (int64_t)change->agent_id, change->rows[i].group, change->rows[i].period,
                                   keep_period(change->rows[i].period, received_us),
                                   (const void *)change->rows[i].bytes, change->rows[i].length);
    return status;
}
