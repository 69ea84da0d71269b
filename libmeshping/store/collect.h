/* SPDX-License-Identifier: Apache-2.0 */
/* What queries over any length of time read: samples of blocks as rows, and the journal's part as hours. */
#ifndef MESHPING_STORE_COLLECT_H
#define MESHPING_STORE_COLLECT_H

#include "core/rollup_hours.h"
#include "store/damages.h"
#include "store/sql.h"

#define MESHPING__ANY_TARGET UINT64_MAX

typedef struct meshping__rows {
    meshping__block_row *items; /* owned */
    size_t count, capacity;
    meshping__damages *damages; /* where damaged blocks are noted; NULL: nowhere */
} meshping__rows;

/*
 * An agent's samples with from_us <= slot < to_us of one target or of all: of the journal, or of what is sealed.
 * Appends in the order stored; a damaged block is passed over and noted. LIMIT: too many for memory.
 */
meshping_status meshping__collect(meshping__rows *rows, meshping__sql *sql, bool journal, uint64_t agent_id,
                                  uint64_t target_id, int64_t from_us, int64_t to_us, meshping_error *err);
/* Of the journal, what is not sealed (and rolled up) too; sorted. */
meshping_status meshping__collect_pending(meshping__rows *rows, meshping__sql *sql, uint64_t agent_id,
                                          uint64_t target_id, int64_t from_us, int64_t to_us, meshping_error *err);
/* Sorts by target, then slot; of one slot the first one stays. */
void meshping__rows_sort(meshping__rows *rows);
void meshping__rows_dispose(meshping__rows *rows);

#endif
