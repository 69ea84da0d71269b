/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retention in small steps, each one short transaction: what is older than it need be goes, then what the size limit
 * asks for, then free pages go back. Only what is sealed goes, and that is rolled up.
 */
#ifndef MESHPING_STORE_RETAIN_H
#define MESHPING_STORE_RETAIN_H

#include "store/sql.h"

#include <meshping/store.h>

typedef struct meshping__retained {
    uint64_t blocks, rollups;         /* rows deleted in all */
    uint64_t cut_blocks, cut_rollups; /* of these before their time, for the size limit */
    uint64_t used_bytes;              /* pages in use */
    meshping_size_state size_state;
} meshping__retained;

/* OK: something was done, there may be more. NOT_FOUND: nothing is left to do. */
meshping_status meshping__retain_step(meshping__sql *sql, const meshping_retention *goal, size_t max_blocks,
                                      meshping__retained *all, meshping_error *err);

#endif
