/* SPDX-License-Identifier: Apache-2.0 */
#include "glue.h"

#include <meshping/block.h>
#include <stdlib.h>
#include <string.h>

meshping_buffer *glue_buffer_new(uint64_t epoch, int64_t max_age_ms, size_t max_bytes, size_t max_blocks)
{
    meshping_buffer *buffer = NULL;
    meshping_buffer_options options;
    meshping_buffer_options_init(&options);
    options.epoch = epoch;
    options.max_age_ms = max_age_ms;
    options.max_bytes = max_bytes;
    options.max_blocks = max_blocks;
    meshping_status status = meshping_buffer_new(&buffer, &options, glue_error());
    if (status != MESHPING_OK)
        glue_raise(status);
    return buffer;
}

/* How many samples a block has, and the span of their slots. */
static meshping_status measure_block(const uint8_t *bytes, size_t length, size_t *count, int64_t *first_us,
                                     int64_t *last_us)
{
    meshping_block_reader *reader = NULL;
    meshping_block_entry entry;
    meshping_status status = meshping_block_reader_new(&reader, bytes, length, glue_error());
    if (status != MESHPING_OK)
        return status;
    *count = meshping_block_reader_sample_count(reader);
    for (size_t i = 0; meshping_block_reader_entry(reader, i, &entry) == MESHPING_OK; i++) {
        *first_us = i == 0 || entry.first_unix_us < *first_us ? entry.first_unix_us : *first_us;
        *last_us = i == 0 || entry.last_unix_us > *last_us ? entry.last_unix_us : *last_us;
    }
    meshping_block_reader_free(reader);
    return MESHPING_OK;
}

PyObject *glue_buffer_push(meshping_buffer *buffer, PyObject *block)
{
    char *bytes;
    Py_ssize_t length;
    size_t count = 0;
    int64_t first_us = 0, last_us = 0;
    uint64_t sequence = 0;
    if (PyBytes_AsStringAndSize(block, &bytes, &length) != 0)
        return NULL;
    meshping_status status = measure_block((uint8_t *)bytes, (size_t)length, &count, &first_us, &last_us);
    if (status != MESHPING_OK)
        return glue_raise(status);
    uint8_t *copy = malloc((size_t)length);
    if (copy == NULL)
        return PyErr_NoMemory();
    memcpy(copy, bytes, (size_t)length);
    status = meshping_buffer_push(buffer, copy, (size_t)length, count, first_us, last_us, &sequence);
    if (status != MESHPING_OK) {
        free(copy);
        return glue_raise(status);
    }
    return PyLong_FromUnsignedLongLong(sequence);
}

PyObject *glue_buffer_find(const meshping_buffer *buffer, uint64_t from)
{
    meshping_buffer_block block;
    if (meshping_buffer_find(buffer, from, &block) != MESHPING_OK)
        Py_RETURN_NONE;
    return Py_BuildValue("(Ky#)", (unsigned long long)block.sequence, (const char *)block.bytes,
                         (Py_ssize_t)block.length);
}

PyObject *glue_buffer_gaps(const meshping_buffer *buffer)
{
    meshping_gap gap;
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && meshping_buffer_gap(buffer, i, &gap) == MESHPING_OK; i++) {
        PyObject *item =
            Py_BuildValue("(KKLLKs)", (unsigned long long)gap.first_sequence, (unsigned long long)gap.last_sequence,
                          (long long)gap.first_unix_us, (long long)gap.last_unix_us,
                          (unsigned long long)gap.sample_count, meshping_gap_reason_name((unsigned)gap.reason));
        if (glue_append(list, item) != 0)
            Py_CLEAR(list);
    }
    return list;
}

PyObject *glue_buffer_stats(const meshping_buffer *buffer)
{
    meshping_buffer_stats stats;
    meshping_buffer_get_stats(buffer, &stats);
    return Py_BuildValue("{s:n,s:n,s:K,s:K,s:K,s:L}", "blocks", (Py_ssize_t)stats.blocks, "bytes",
                         (Py_ssize_t)stats.bytes, "samples", (unsigned long long)stats.samples, "dropped_samples",
                         (unsigned long long)stats.dropped_samples, "last_sequence",
                         (unsigned long long)stats.last_sequence, "oldest_us", (long long)stats.oldest_unix_us);
}

PyObject *glue_buffer_reconcile(meshping_buffer *buffer, PyObject *ranges)
{
    meshping_range items[MESHPING_RANGES_MAX];
    PyObject *all = PySequence_Fast(ranges, "ranges must be a sequence of (first, last)");
    Py_ssize_t count = all != NULL ? PySequence_Fast_GET_SIZE(all) : 0;
    bool good = all != NULL && count <= MESHPING_RANGES_MAX;
    if (all != NULL && !good)
        PyErr_Format(PyExc_ValueError, "%zd ranges, at most %d are allowed", count, MESHPING_RANGES_MAX);
    for (Py_ssize_t i = 0; good && i < count; i++) {
        uint64_t pair[2];
        good = glue_pair(PySequence_Fast_GET_ITEM(all, i),
                         "a range must be (first, last), whole numbers of 0 to 2**64 - 1", pair);
        if (good)
            items[i] = (meshping_range){pair[0], pair[1]};
    }
    Py_XDECREF(all);
    if (!good)
        return NULL;
    meshping_status status = meshping_buffer_reconcile(buffer, items, (size_t)count);
    if (status != MESHPING_OK)
        return glue_raise(status);
    Py_RETURN_NONE;
}
