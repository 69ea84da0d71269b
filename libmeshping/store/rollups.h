/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll-ups in the database: a row holds 12 hours of the targets of one agent whose ids lie in one group of 32. The
 * shape is a compromise, by measurement, of bytes, of what a change writes and of what a reader of one pair reads
 * (docs/adr/0007). Only the writer thread changes rows, together with the journal's blocks that it makes them of.
 */
#ifndef MESHPING_STORE_ROLLUPS_H
#define MESHPING_STORE_ROLLUPS_H

#include "core/rollup_hours.h"
#include "store/damages.h"
#include "store/sql.h"

#ifndef MESHPING__ROLLUP_TARGETS
#define MESHPING__ROLLUP_TARGETS 32u
#endif
#ifndef MESHPING__ROLLUP_HOURS
#define MESHPING__ROLLUP_HOURS 12
#endif

#define MESHPING__ROLLUP_READERS 8u

typedef struct meshping__rollup_row {
    int64_t group, period;
    uint8_t *bytes;
    size_t length;
} meshping__rollup_row;

/* What a batch of an agent's samples, about to be sealed, changes. */
typedef struct meshping__rollup_change {
    meshping__sql *sql;
    uint64_t agent_id;
    meshping__hours hours;
    size_t prepared; /* of hours.items, into rows */
    meshping__rollup_row *rows;
    size_t row_count, row_capacity;
    meshping__unzip unzip;
    uint64_t damaged; /* rows that were not readable, and began anew */
    meshping__block_row *scratch;
    size_t scratch_capacity;
    struct {
        int64_t id;
        uint8_t *bytes;
        struct meshping_block_reader *reader; /* NULL: a damaged one */
    } readers[MESHPING__ROLLUP_READERS];      /* sealed blocks that overlap, opened once */
    size_t reader_count;
} meshping__rollup_change;

void meshping__rollup_change_init(meshping__rollup_change *change, meshping__sql *sql, uint64_t agent_id);
void meshping__rollup_change_dispose(meshping__rollup_change *change);
/*
 * Takes a target's samples (ascending, no slot twice); targets come in ascending order. What the sealed blocks have
 * already, of the same slot, is not counted again.
 */
meshping_status meshping__rollup_change_add(meshping__rollup_change *change, uint64_t target_id,
                                            const meshping_sample *samples, size_t count, meshping_error *err);
/* Reads one row, adds to it and encodes it. NOT_FOUND: all are prepared. */
meshping_status meshping__rollup_change_prepare(meshping__rollup_change *change, meshping_error *err);
/* Inside the transaction that deletes the blocks from the journal; received_us: the latest of them. */
meshping_status meshping__rollup_change_write(const meshping__rollup_change *change, int64_t received_us,
                                              meshping_error *err);

/* ---- reading (rollup_read.c), inside a transaction ---- */

typedef struct meshping__rollup_place {
    int64_t id, group, period;
} meshping__rollup_place;

/*
 * An agent's rows of the groups and periods low to high, by group, then period, from an index alone: a damaged row
 * hides no other. *places is the caller's (meshping__free), on errors too. What is damaged is noted in `damages`.
 */
meshping_status meshping__rollup_find(meshping__sql *sql, uint64_t agent_id, const int64_t groups[2],
                                      const int64_t periods[2], meshping__rollup_place **places, size_t *count,
                                      meshping__damages *damages, meshping_error *err);
/* A row's records into *hours, which is empty before; likewise empty after it when the row is damaged. */
meshping_status meshping__rollup_read(meshping__sql *sql, meshping__unzip *unzip, const meshping__rollup_place *place,
                                      meshping__hours *hours, meshping__damages *damages, meshping_error *err);

/* The period that an hour is in, and the group of a target. */
int64_t meshping__rollup_period(int64_t hour);
int64_t meshping__rollup_group(uint64_t target_id);

#endif
