/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stored blocks that a query needs, listed from indexes alone and then fetched one by one: so one on a page that SQLite
 * cannot read hides no other, and only numbers are sorted. Inside a transaction for reading.
 */
#ifndef MESHPING_STORE_PLACES_H
#define MESHPING_STORE_PLACES_H

#include "store/damages.h"
#include "store/seal.h"

typedef struct meshping__place {
    meshping__level level;
    int64_t id, first_us, last_us;
    int64_t received_agent_us; /* of the journal's, once its bytes were read */
} meshping__place;

typedef struct meshping__places {
    meshping__place *items; /* owned */
    size_t count;
} meshping__places;

/* The rows of a query (`status`: of meshping__sql_query) with the columns level, id, first_us, last_us. */
meshping_status meshping__places_read(meshping__places *places, meshping__sql *sql, meshping_status status,
                                      sqlite3_stmt *statement, meshping_error *err);
void meshping__places_dispose(meshping__places *places);
/*
 * The block's bytes, valid until the caller resets *statement, which it must with OK. CORRUPT: it cannot be
 * read, or is gone though it is listed.
 */
meshping_status meshping__place_bytes(meshping__place *place, meshping__sql *sql, sqlite3_stmt **statement,
                                      const uint8_t **bytes, size_t *length, meshping_error *err);
/* Notes a damaged block, or with kind PAGE that what lies between cannot be listed. */
meshping_status meshping__place_damaged(const meshping__place *place, meshping_damage_kind kind,
                                        meshping__damages *damages, meshping_error *err);

#endif
