/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's calls for Python, as they are. What a Python programmer would rather meet is in meshping/__init__.py.
 *
 * One rule for errors: every call that returns a meshping_status raises meshping.Error, with .status and .name, unless
 * it is MESHPING_OK. Output parameters become the return value; memory handed out is copied and freed here.
 */
%module(package="meshping") lowlevel

%{
#include "glue.h"
#include <meshping/block.h>
#include <meshping/protocol.h>
#include <meshping/store.h>
%}

%include <stdint.i>
%include <exception.i>

/* ---- errors ---- */

%exception {
    glue_clear_error();
    $action
    if (PyErr_Occurred())
        SWIG_fail;
}
%typemap(in, numinputs=0) meshping_error *err {
    $1 = glue_error();
}
%typemap(out) meshping_status {
    if ($1 != MESHPING_OK) {
        glue_raise($1);
        SWIG_fail;
    }
    $result = Py_None;
    Py_INCREF(Py_None);
}

/* ---- bytes and texts in and out ---- */

%typemap(in) (const uint8_t *bytes, size_t length) (Py_buffer view) {
    if (PyObject_GetBuffer($input, &view, PyBUF_SIMPLE) != 0)
        SWIG_fail;
    $1 = view.buf;
    $2 = (size_t)view.len;
}
%typemap(freearg) (const uint8_t *bytes, size_t length) {
    if ($1 != NULL)
        PyBuffer_Release(&view$argnum);
}
%typemap(in, numinputs=0) (uint8_t **bytes, size_t *length) (uint8_t *bytes = NULL, size_t length = 0) {
    $1 = &bytes;
    $2 = &length;
}
%typemap(argout) (uint8_t **bytes, size_t *length) {
    Py_DECREF($result);
    $result = PyBytes_FromStringAndSize((char *)*$1, (Py_ssize_t)*$2);
}
%typemap(freearg) (uint8_t **bytes, size_t *length) {
    meshping_free(*$1);
}
%typemap(in, numinputs=0) (char **text, size_t *length) (char *text = NULL, size_t length = 0) {
    $1 = &text;
    $2 = &length;
}
%typemap(argout) (char **text, size_t *length) {
    Py_DECREF($result);
    $result = PyUnicode_DecodeUTF8(*$1, (Py_ssize_t)*$2, "strict");
}
%typemap(freearg) (char **text, size_t *length) {
    meshping_free(*$1);
}
/* SWIG makes NULL of None, which no call here takes */
%typemap(check) const char * {
    if (!$1)
        SWIG_exception_fail(SWIG_TypeError, "in method '$symname', argument $argnum is None, not a str");
}
/* ---- what is wrapped ---- */

%constant int TARGETS_MAX = MESHPING_TARGETS_MAX;
%constant int OUTCOME_COUNT = MESHPING_OUTCOME_COUNT;

const char *meshping_version(void);
const char *meshping_status_name(int status);
const char *meshping_outcome_name(unsigned outcome);
int meshping_outcome_classify(unsigned outcome);

/* glue.h: calls whose C form hands out a struct or takes a callback */
%typemap(in) PyObject * "$1 = $input;"
%typemap(out) PyObject * {
    $result = $1;
    if ($result == NULL)
        SWIG_fail;
}
PyObject *glue_passphrase_encode(PyObject *key, const char *host, unsigned port, PyObject *pin);
PyObject *glue_passphrase_decode(const char *text);
%apply (const uint8_t *bytes, size_t length) { (const uint8_t *json, size_t json_length) };
meshping_status glue_message_normalise(char **text, size_t *length, const uint8_t *json, size_t json_length,
                                       meshping_error *err);
PyObject *glue_block_decode(PyObject *block);

/* Classes have names of their own (glue.h): SWIG makes C functions of them, which must not meet the library's. */
%nodefaultctor;
%nodefaultdtor;

typedef struct {} BlockBuilder;
%extend BlockBuilder {
    BlockBuilder() {
        meshping_block_builder *builder = NULL;
        meshping_status status = meshping_block_builder_new(&builder);
        if (status != MESHPING_OK)
            glue_raise(status);
        return builder;
    }
    ~BlockBuilder() {
        meshping_block_builder_free($self);
    }
    meshping_status add(uint64_t target_id, int64_t slot_unix_us, uint32_t rtt_us, uint8_t outcome, uint16_t flags) {
        meshping_sample sample = {.slot_unix_us = slot_unix_us, .rtt_us = rtt_us, .outcome = outcome, .flags = flags};
        return meshping_block_builder_add($self, target_id, &sample);
    }
    size_t count() {
        return meshping_block_builder_count($self);
    }
    meshping_status finish(uint8_t **bytes, size_t *length) {
        return meshping_block_builder_finish($self, bytes, length);
    }
}

typedef struct {} RawBuffer;
%extend RawBuffer {
    RawBuffer(uint64_t epoch, int64_t max_age_ms, size_t max_bytes, size_t max_blocks) {
        return glue_buffer_new(epoch, max_age_ms, max_bytes, max_blocks);
    }
    ~RawBuffer() {
        meshping_buffer_free($self);
    }
    uint64_t epoch() {
        return meshping_buffer_epoch($self);
    }
    PyObject *push(PyObject *block) {
        return glue_buffer_push($self, block);
    }
    void expire(int64_t unix_us) {
        meshping_buffer_expire($self, unix_us);
    }
    PyObject *find(uint64_t from_sequence) {
        return glue_buffer_find($self, from_sequence);
    }
    meshping_status ack(uint64_t first, uint64_t last) {
        return meshping_buffer_ack($self, first, last);
    }
    PyObject *reconcile(PyObject *ranges) {
        return glue_buffer_reconcile($self, ranges);
    }
    meshping_status renew(uint64_t epoch) {
        return meshping_buffer_renew($self, epoch);
    }
    PyObject *gaps() {
        return glue_buffer_gaps($self);
    }
    PyObject *stats() {
        return glue_buffer_stats($self);
    }
}

typedef struct {} RawStore;
%extend RawStore {
    RawStore(const char *path, bool read_only) {
        meshping_store *store = NULL;
        meshping_status status = glue_store_open(&store, path, read_only);
        if (status != MESHPING_OK)
            glue_raise(status);
        return store;
    }
    ~RawStore() {
        Py_BEGIN_ALLOW_THREADS
        meshping_store_close($self);
        Py_END_ALLOW_THREADS
    }
    PyObject *samples(uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us) {
        return glue_store_samples($self, agent_id, target_id, from_us, to_us);
    }
    PyObject *damaged() {
        return glue_store_damaged($self);
    }
    PyObject *points(uint64_t agent_id, uint64_t target_id, int64_t from_us, int64_t to_us, size_t max_points) {
        return glue_store_points($self, agent_id, target_id, from_us, to_us, max_points);
    }
    PyObject *group(PyObject *pairs, int64_t from_us, int64_t to_us) {
        return glue_store_group($self, pairs, from_us, to_us);
    }
    PyObject *worst(unsigned permille, int64_t from_us, int64_t to_us, size_t limit) {
        return glue_store_worst($self, permille, from_us, to_us, limit);
    }
    PyObject *last(uint64_t agent_id, int64_t since_us) {
        return glue_store_last($self, agent_id, since_us);
    }
    PyObject *agents() {
        return glue_store_agents($self);
    }
    PyObject *targets() {
        return glue_store_targets($self);
    }
}

typedef struct {} RawProber;
%extend RawProber {
    RawProber(bool paced, uint64_t probes_per_target) {
        return glue_prober_new(paced, probes_per_target);
    }
    ~RawProber() {
        glue_prober_free($self);
    }
    meshping_status set_target(uint64_t id, const char *host, uint32_t interval_ms, uint32_t timeout_ms, uint32_t size,
                               uint32_t dscp, uint32_t ttl, uint32_t family, bool dont_fragment, const char *source,
                               const char *interface, meshping_error *err) {
        glue_target wanted = {id, host, source, interface, interval_ms, timeout_ms, size, dscp, ttl, family, dont_fragment};
        return glue_prober_set_target($self, &wanted, err);
    }
    meshping_status remove_target(uint64_t id) {
        return meshping_prober_remove_target($self->prober, id);
    }
    int fileno() {
        return meshping_prober_fd($self->prober);
    }
    /* Milliseconds until process() wants to run, rounded up; -1: only when fileno() is readable. */
    int wait_ms() {
        return glue_prober_wait_ms($self);
    }
    /* Runs what is due; never blocks. The results that came of it. */
    PyObject *process() {
        return glue_prober_process($self);
    }
}

%init %{
    if (glue_init(m) != 0)
        return NULL;
%}
