/* SPDX-License-Identifier: Apache-2.0 */
/* A pair's time as points: raw samples where all of an hour are there, else its roll-up and what the journal has. */
#include "store/collect.h"
#include "store/internal.h"
#include "store/rollups.h"

#include "base/alloc.h"
#include <string.h>

typedef struct pair {
    meshping__sql *sql;
    uint64_t agent_id, target_id;
    int64_t from_us, to_us; /* multiples of the step, and of an hour where that is longer */
    int64_t step_us;
    meshping__damages *damages;
    meshping__unzip unzip;
    meshping__hours hours;          /* rolled up, ascending; of this target only */
    meshping__rows sealed, journal; /* ascending by slot */
} pair;

static meshping_status keep_target(pair *p, const meshping__hours *all, meshping_error *err)
{
    for (size_t i = 0; i < all->count; i++) {
        meshping__hours none = {0};
        int64_t at_us = all->items[i].hour * MESHPING__HOUR_US;
        if (all->items[i].target_id == p->target_id && at_us + MESHPING__HOUR_US > p->from_us && at_us < p->to_us &&
            !meshping__hours_merge(&p->hours, &none, all, i, 1))
            return meshping__no_memory(err);
    }
    return MESHPING_OK;
}

static meshping_status read_rollups(pair *p, meshping_error *err)
{
    meshping__rollup_place *places = NULL;
    size_t count = 0;
    int64_t group = meshping__rollup_group(p->target_id);
    const int64_t groups[] = {group, group};
    const int64_t periods[] = {meshping__rollup_period(meshping__hour_of(p->from_us)),
                               meshping__rollup_period(meshping__hour_of(p->to_us - 1))};
    meshping_status status =
        meshping__rollup_find(p->sql, p->agent_id, groups, periods, &places, &count, p->damages, err);
    for (size_t i = 0; status == MESHPING_OK && i < count; i++) {
        meshping__hours all = {0};
        status = meshping__rollup_read(p->sql, &p->unzip, &places[i], &all, p->damages, err);
        if (status == MESHPING_OK)
            status = keep_target(p, &all, err);
        meshping__hours_dispose(&all);
    }
    meshping__free(places);
    return status;
}

static meshping_status read_pair(pair *p, meshping_error *err)
{
    meshping_status status = read_rollups(p, err);
    /* whole hours, so that an hour's samples can be counted against its roll-up */
    int64_t from_us = meshping__step_floor(p->from_us, MESHPING__HOUR_US);
    int64_t to_us = meshping__step_floor(p->to_us + MESHPING__HOUR_US - 1, MESHPING__HOUR_US);
    if (status == MESHPING_OK && p->step_us < MESHPING__HOUR_US)
        status = meshping__collect(&p->sealed, p->sql, false, p->agent_id, p->target_id, from_us, to_us, err);
    if (status == MESHPING_OK)
        status = meshping__collect_pending(&p->journal, p->sql, p->agent_id, p->target_id, from_us, to_us, err);
    meshping__rows_sort(&p->sealed);
    return status;
}

/* ---- one hour after the other ---- */

/* Where the rows before `before_us` end. */
static size_t until(const meshping__rows *rows, size_t at, int64_t before_us)
{
    while (at < rows->count && rows->items[at].sample.slot_unix_us < before_us)
        at++;
    return at;
}

static bool add_raw(const pair *p, meshping__pointer *pointer, size_t sealed, size_t sealed_end, size_t journal,
                    size_t journal_end)
{
    while (sealed < sealed_end || journal < journal_end) {
        bool old = journal == journal_end || (sealed < sealed_end && p->sealed.items[sealed].sample.slot_unix_us <
                                                                         p->journal.items[journal].sample.slot_unix_us);
        const meshping_sample *sample = old ? &p->sealed.items[sealed].sample : &p->journal.items[journal].sample;
        sealed += old;
        journal += !old;
        if (sample->slot_unix_us < p->from_us || sample->slot_unix_us >= p->to_us)
            continue;
        int64_t at_us = meshping__step_floor(sample->slot_unix_us, p->step_us);
        if (!meshping__pointer_move(pointer, at_us, at_us + p->step_us))
            return false;
        meshping_rollup_add(&pointer->sum, sample);
    }
    return true;
}

/* The hour's roll-up (SIZE_MAX: none) and the journal's samples of it, into the point that holds the hour. */
static bool add_hour(const pair *p, meshping__pointer *pointer, int64_t hour_us, size_t rolled, size_t journal,
                     size_t journal_end)
{
    int64_t step_us = p->step_us < MESHPING__HOUR_US ? MESHPING__HOUR_US : p->step_us;
    int64_t at_us = meshping__step_floor(hour_us, step_us);
    if (!meshping__pointer_move(pointer, at_us, at_us + step_us))
        return false;
    if (rolled != SIZE_MAX)
        meshping__hour_add_to(&pointer->sum, &p->hours, rolled);
    for (; journal < journal_end; journal++)
        meshping_rollup_add(&pointer->sum, &p->journal.items[journal].sample);
    return true;
}

static bool make_points(const pair *p, meshping__pointer *pointer)
{
    size_t rolled = 0, sealed = 0, journal = 0;
    while (rolled < p->hours.count || sealed < p->sealed.count || journal < p->journal.count) {
        int64_t hour = INT64_MAX;
        if (rolled < p->hours.count)
            hour = p->hours.items[rolled].hour;
        if (sealed < p->sealed.count && meshping__hour_of(p->sealed.items[sealed].sample.slot_unix_us) < hour)
            hour = meshping__hour_of(p->sealed.items[sealed].sample.slot_unix_us);
        if (journal < p->journal.count && meshping__hour_of(p->journal.items[journal].sample.slot_unix_us) < hour)
            hour = meshping__hour_of(p->journal.items[journal].sample.slot_unix_us);
        int64_t hour_us = hour * MESHPING__HOUR_US;
        size_t sealed_end = until(&p->sealed, sealed, hour_us + MESHPING__HOUR_US);
        size_t journal_end = until(&p->journal, journal, hour_us + MESHPING__HOUR_US);
        bool has = rolled < p->hours.count && p->hours.items[rolled].hour == hour;
        bool raw = p->step_us < MESHPING__HOUR_US &&
                   (!has || sealed_end - sealed >= meshping__hours_samples(&p->hours, rolled));
        if (raw ? !add_raw(p, pointer, sealed, sealed_end, journal, journal_end)
                : !add_hour(p, pointer, hour_us, has ? rolled : SIZE_MAX, journal, journal_end))
            return false;
        rolled += has;
        sealed = sealed_end;
        journal = journal_end;
    }
    return meshping__pointer_move(pointer, 0, 0);
}

meshping_status meshping_store_points(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                                      int64_t to_us, size_t max_points, meshping_point **points, size_t *count,
                                      int64_t *step_us, meshping_error *err)
{
    meshping__damages *damages = &store->damages;
    pair p = {.sql = &store->sql,
              .agent_id = agent_id,
              .target_id = target_id,
              .damages = damages,
              .sealed.damages = damages,
              .journal.damages = damages};
    meshping__pointer pointer = {0};
    meshping__damages_dispose(damages);
    *points = NULL;
    *count = 0;
    *step_us = p.step_us = meshping_points_step(from_us, to_us, max_points);
    if (p.step_us == 0)
        return meshping_error_set(err, MESHPING_INVALID,
                                  "a range needs a begin from 1970 on, a later end, and %u to %u points",
                                  MESHPING_POINTS_MIN, MESHPING_POINTS_MAX);
    p.from_us = meshping__step_floor(from_us, p.step_us);
    p.to_us = meshping__step_floor(to_us + p.step_us - 1, p.step_us);
    meshping_status status = meshping__sql_begin_reading(&store->sql, err);
    if (status == MESHPING_OK)
        status = meshping__sql_end_reading(&store->sql, read_pair(&p, err));
    if (status == MESHPING_OK && !make_points(&p, &pointer))
        status = meshping__no_memory(err);
    if (status == MESHPING_OK) {
        *points = pointer.points;
        *count = pointer.count;
    } else {
        meshping__free(pointer.points);
    }
    meshping__unzip_dispose(&p.unzip);
    meshping__hours_dispose(&p.hours);
    meshping__rows_dispose(&p.sealed);
    meshping__rows_dispose(&p.journal);
    return status;
}
