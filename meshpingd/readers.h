/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of the store that may take long, off the loop: a few at a time, each with a store of its own that is opened for
 * reading, a few behind them, and the rest is sent away.
 */
#ifndef MESHPINGD_READERS_H
#define MESHPINGD_READERS_H

#include "meshpingd/http.h"

#define READERS_MAX 2u
#define READERS_WAITING_MAX 64u

typedef struct readers readers;
typedef struct reader_job reader_job;

typedef struct reader_question {
    void *data;                                     /* owned from here on */
    void (*run)(void *data, meshping_store *store); /* in a worker */
    void (*answer)(http_exchange *x, void *data);   /* on the loop; not called when the client went away */
    void (*free)(void *data);
} reader_question;

meshping_status readers_start(readers **out, server *s, meshping_error *err);
/* What waits is dropped, what runs ends by itself. */
void readers_stop(readers *all);
/* The exchange is answered later; at once when too many wait (503) or the store cannot be read. */
void readers_ask(http_exchange *x, const reader_question *question);
/* The exchange goes away. */
void readers_abandon(http_exchange *x);

#endif
