/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of meshping/maintain.h share. */
#ifndef MESHPING_STORE_MAINTAIN_H
#define MESHPING_STORE_MAINTAIN_H

#include "store/internal.h"

#include <meshping/maintain.h>

/* Tells the caller's watch how far things are, and takes its word to stop. */
typedef struct meshping__watching {
    const meshping_maintain_watch *watch; /* may be NULL */
    const char *stage;
    uint64_t done, total;
    bool stopped;
    bool current; /* the schema is this program's */
} meshping__watching;

void meshping__watch_stage(meshping__watching *watching, const char *stage, uint64_t total);
/* `more` is done; false: stop. */
bool meshping__watch_step(meshping__watching *watching, uint64_t more);

/* Opens an existing database of ours for reading; long statements tell `watching` that they go on. */
meshping_status meshping__maintain_open(meshping__sql *sql, const char *path, meshping__watching *watching,
                                        meshping_error *err);

#endif
