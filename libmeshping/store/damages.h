/* SPDX-License-Identifier: Apache-2.0 */
/* What a query could not read and went on without: meshping_store_damaged. */
#ifndef MESHPING_STORE_DAMAGES_H
#define MESHPING_STORE_DAMAGES_H

#include <meshping/series.h>

typedef struct meshping__damages {
    meshping_damage *items; /* none twice; owned */
    size_t count, capacity;
} meshping__damages;

/* Takes note of it; over MESHPING_DAMAGED_MAX, and with `all` NULL, it is not told. NOMEM. */
meshping_status meshping__damages_add(meshping__damages *all, const meshping_damage *one, meshping_error *err);
void meshping__damages_dispose(meshping__damages *all);

#endif
