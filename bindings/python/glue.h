/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between the library's C and SWIG: errors, structs to Python objects, results without a callback. */
#ifndef MESHPING_PYTHON_GLUE_H
#define MESHPING_PYTHON_GLUE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <meshping/block.h>
#include <meshping/probe.h>
#include <meshping/store.h>

/* Makes meshping.Error and puts it into the module. -1 with an exception set. */
int glue_init(PyObject *module);
/* This thread's error: wrappers hand it to the library, glue_raise reads it. */
meshping_error *glue_error(void);
void glue_clear_error(void);
/* Sets meshping.Error (MemoryError for NOMEM) from `status` and this thread's error; returns NULL. */
PyObject *glue_raise(meshping_status status);

/* A list of (slot_unix_us, rtt_us, outcome, flags). */
PyObject *glue_samples(const meshping_sample *samples, size_t count);
/* {target_id: [sample, ...]} */
PyObject *glue_block_decode(PyObject *block);
PyObject *glue_passphrase_encode(PyObject *key, const char *host, unsigned port, PyObject *pin);
/* (key, host, port, pin) */
PyObject *glue_passphrase_decode(const char *text);
/* A control message through decode and encode: checked, in the form the library sends it. */
meshping_status glue_message_normalise(char **text, size_t *length, const uint8_t *json, size_t json_length,
                                       meshping_error *err);

meshping_status glue_store_open(meshping_store **out, const char *path, bool read_only);
/* Lists of dicts. */
PyObject *glue_store_agents(meshping_store *store);
/* A pair's samples, and what could not be read: (kind, block_id, first_unix_us, last_unix_us), ... */
PyObject *glue_store_samples(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                             int64_t to_us);
/* The same of the last one of the other queries. */
PyObject *glue_store_damaged(meshping_store *store);
PyObject *glue_store_points(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                            int64_t to_us, size_t max_points);
PyObject *glue_store_group(meshping_store *store, PyObject *pairs, int64_t from_us, int64_t to_us);
PyObject *glue_store_worst(meshping_store *store, unsigned permille, int64_t from_us, int64_t to_us, size_t limit);
PyObject *glue_store_last(meshping_store *store, uint64_t agent_id, int64_t since_us);
PyObject *glue_store_targets(meshping_store *store);

/* Takes the item over, which may be NULL. */
int glue_append(PyObject *list, PyObject *item);
bool glue_pair(PyObject *item, const char *what, uint64_t pair[2]);

/* glue_buffer.c */
meshping_buffer *glue_buffer_new(uint64_t epoch, int64_t max_age_ms, size_t max_bytes, size_t max_blocks);
/* Copies the block, whose samples are counted and timed here. */
PyObject *glue_buffer_push(meshping_buffer *buffer, PyObject *block);
/* The kept block with the lowest sequence >= from as (sequence, bytes), or None. */
PyObject *glue_buffer_find(const meshping_buffer *buffer, uint64_t from);
/* [(first, last, first_us, last_us, samples, reason), ...] */
PyObject *glue_buffer_gaps(const meshping_buffer *buffer);
PyObject *glue_buffer_stats(const meshping_buffer *buffer);
/* ranges: [(first, last), ...] */
PyObject *glue_buffer_reconcile(meshping_buffer *buffer, PyObject *ranges);

/* A prober that collects its results, and hands them over from process(). */
typedef struct glue_prober {
    meshping_prober *prober;
    PyObject *results; /* a list, while process() runs */
    bool failed;       /* a result could not be kept: the exception is set */
} glue_prober;

/* The names of the classes in meshping.i. */
typedef meshping_block_builder BlockBuilder;
typedef meshping_buffer RawBuffer;
typedef meshping_store RawStore;
typedef glue_prober RawProber;

glue_prober *glue_prober_new(bool paced, uint64_t probes_per_target);
void glue_prober_free(glue_prober *self);

typedef struct {
    uint64_t id;
    const char *host, *source, *interface; /* source and interface: "" for none */
    uint32_t interval_ms, timeout_ms, size, dscp, ttl, family;
    bool dont_fragment;
} glue_target;

meshping_status glue_prober_set_target(glue_prober *self, const glue_target *wanted, meshping_error *err);
int glue_prober_wait_ms(const glue_prober *self);
/* A list of tuples, one a result; their fields are named in meshping/__init__.py, Result. */
PyObject *glue_prober_process(glue_prober *self);

#endif
