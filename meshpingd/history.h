/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to the store over any length of time, docs/API.md, History: what is asked, the store's answer, and that as
 * JSON. No loop and no HTTP: run in whatever thread has the store.
 */
#ifndef MESHPINGD_HISTORY_H
#define MESHPINGD_HISTORY_H

#include "common/text.h"
#include <meshping/store.h>

#define HISTORY_POINTS_DEFAULT 500
#define HISTORY_POINTS_MAX 10000
#define HISTORY_WORST_DEFAULT 20

typedef enum history_kind { HISTORY_POINTS, HISTORY_SUMMARY, HISTORY_WORST } history_kind;

/* What the worst pairs are the worst by. */
typedef struct history_order {
    const char *name;
    unsigned permille; /* 0: by loss */
} history_order;
extern const history_order history_orders[];
extern const size_t history_order_count;
#define HISTORY_ORDERS_TEXT "loss, p50, p95, p99, p999 or max"

typedef struct history {
    history_kind kind;
    int64_t from_ms, to_ms;
    uint64_t agent_id, target_id; /* of HISTORY_POINTS */
    size_t max_points;
    meshping_pair *pairs; /* of HISTORY_SUMMARY; owned */
    size_t pair_count;
    const history_order *order; /* of HISTORY_WORST */
    size_t limit;
    /* the answer */
    meshping_status status;
    meshping_error error;
    int64_t step_us;
    meshping_point *points; /* owned, as are the others */
    meshping_pair_point *worst;
    size_t count;
    meshping_rollup *sum;
    meshping_damage *damaged; /* what could not be read */
    size_t damaged_count;
} history;

void history_free(history *question);
/* Asks the store; status and error tell how it went. */
void history_run(history *question, meshping_store *store);
/* The answer of a question whose status is OK. */
void history_json(text_buffer *out, const history *question);

#endif
