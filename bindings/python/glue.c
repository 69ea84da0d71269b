/* SPDX-License-Identifier: Apache-2.0 */
#include "glue.h"

#include <limits.h>
#include <meshping/block.h>
#include <meshping/protocol.h>
#include <string.h>

static PyObject *error_class;
static _Thread_local meshping_error thread_error;

int glue_init(PyObject *module)
{
    error_class = PyErr_NewExceptionWithDoc("meshping.Error",
                                            "A call of the library failed. str() says why; .status is the "
                                            "meshping_status, .name its name (\"INVALID\").",
                                            NULL, NULL);
    if (error_class == NULL)
        return -1;
    Py_INCREF(error_class);
    if (PyModule_AddObject(module, "Error", error_class) != 0) {
        Py_DECREF(error_class);
        return -1;
    }
    return 0;
}

meshping_error *glue_error(void)
{
    return &thread_error;
}

void glue_clear_error(void)
{
    memset(&thread_error, 0, sizeof thread_error);
}

PyObject *glue_raise(meshping_status status)
{
    if (status == MESHPING_NOMEM)
        return PyErr_NoMemory();
    const char *message = thread_error.message[0] != '\0' ? thread_error.message : meshping_status_text(status);
    PyObject *error = PyObject_CallFunction(error_class, "s", message);
    PyObject *number = PyLong_FromLong(status);
    PyObject *name = PyUnicode_FromString(meshping_status_name(status));
    if (error != NULL && number != NULL && name != NULL && PyObject_SetAttrString(error, "status", number) == 0 &&
        PyObject_SetAttrString(error, "name", name) == 0)
        PyErr_SetObject(error_class, error);
    Py_XDECREF(error);
    Py_XDECREF(number);
    Py_XDECREF(name);
    return NULL;
}

/* Appends and gives up the reference; `item` NULL: an exception is set already. */
int glue_append(PyObject *list, PyObject *item)
{
    if (item == NULL)
        return -1;
    int failed = PyList_Append(list, item);
    Py_DECREF(item);
    return failed;
}

/* Two whole numbers out of a sequence of them; `what` is in the TypeError or ValueError. */
bool glue_pair(PyObject *item, const char *what, uint64_t pair[2])
{
    PyObject *parts = PySequence_Fast(item, what);
    bool good = parts != NULL && PySequence_Fast_GET_SIZE(parts) == 2;
    if (parts != NULL && !good)
        PyErr_SetString(PyExc_ValueError, what);
    for (Py_ssize_t i = 0; good && i < 2; i++) {
        PyObject *part = PySequence_Fast_GET_ITEM(parts, i);
        good = PyLong_Check(part);
        if (!good) {
            PyErr_SetString(PyExc_TypeError, what);
            break;
        }
        pair[i] = PyLong_AsUnsignedLongLong(part);
        good = PyErr_Occurred() == NULL;
        if (!good) /* OverflowError: it is negative, or over 64 bits */
            PyErr_SetString(PyExc_ValueError, what);
    }
    Py_XDECREF(parts);
    return good;
}

PyObject *glue_samples(const meshping_sample *samples, size_t count)
{
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = Py_BuildValue("(LkBH)", (long long)samples[i].slot_unix_us, (unsigned long)samples[i].rtt_us,
                                       samples[i].outcome, samples[i].flags);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static int add_entry(PyObject *dict, const meshping_block_reader *reader, size_t i)
{
    meshping_block_entry entry;
    size_t count = 0;
    int failed = -1;
    PyObject *key = NULL, *list = NULL;
    meshping_status status = meshping_block_reader_entry(reader, i, &entry);
    meshping_sample *samples = status == MESHPING_OK ? PyMem_Calloc(entry.sample_count, sizeof *samples) : NULL;
    if (status == MESHPING_OK && samples == NULL)
        status = MESHPING_NOMEM;
    if (status == MESHPING_OK)
        status = meshping_block_reader_samples(reader, i, samples, entry.sample_count, &count, glue_error());
    if (status != MESHPING_OK) {
        glue_raise(status);
        goto out;
    }
    key = PyLong_FromUnsignedLongLong(entry.target_id);
    list = glue_samples(samples, count);
    if (key != NULL && list != NULL)
        failed = PyDict_SetItem(dict, key, list);
out:
    Py_XDECREF(key);
    Py_XDECREF(list);
    PyMem_Free(samples);
    return failed;
}

PyObject *glue_block_decode(PyObject *block)
{
    Py_buffer view;
    meshping_block_reader *reader = NULL;
    if (PyObject_GetBuffer(block, &view, PyBUF_SIMPLE) != 0)
        return NULL;
    PyObject *dict = NULL;
    meshping_status status = meshping_block_reader_new(&reader, view.buf, (size_t)view.len, glue_error());
    if (status != MESHPING_OK) {
        glue_raise(status);
        goto out;
    }
    dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < meshping_block_reader_target_count(reader); i++)
        if (add_entry(dict, reader, i) != 0)
            Py_CLEAR(dict);
out:
    meshping_block_reader_free(reader);
    PyBuffer_Release(&view);
    return dict;
}

/* Copies exactly `length` bytes of a bytes-like object. */
static int copy_bytes(uint8_t *out, size_t length, PyObject *from, const char *what)
{
    Py_buffer view;
    if (PyObject_GetBuffer(from, &view, PyBUF_SIMPLE) != 0)
        return -1;
    int failed = (size_t)view.len != length;
    if (failed)
        PyErr_Format(PyExc_ValueError, "%s is %zd bytes long: %zu are needed", what, view.len, length);
    else
        memcpy(out, view.buf, length);
    PyBuffer_Release(&view);
    return failed ? -1 : 0;
}

PyObject *glue_passphrase_encode(PyObject *key, const char *host, unsigned port, PyObject *pin)
{
    meshping_passphrase passphrase = {0};
    char text[MESHPING_PASSPHRASE_TEXT_MAX];
    if (copy_bytes(passphrase.key, sizeof passphrase.key, key, "the key") != 0 ||
        copy_bytes(passphrase.pin, sizeof passphrase.pin, pin, "the pin") != 0)
        return NULL;
    if (port == 0 || port > UINT16_MAX)
        return PyErr_Format(PyExc_ValueError, "port %u is not in 1..65535", port);
    passphrase.port = (uint16_t)port;
    meshping_status status = meshping_host_canonical(passphrase.host, host, glue_error());
    if (status == MESHPING_OK)
        status = meshping_passphrase_encode(text, &passphrase, glue_error());
    return status == MESHPING_OK ? PyUnicode_FromString(text) : glue_raise(status);
}

PyObject *glue_passphrase_decode(const char *text)
{
    meshping_passphrase passphrase;
    meshping_status status = meshping_passphrase_decode(&passphrase, text, glue_error());
    if (status != MESHPING_OK)
        return glue_raise(status);
    return Py_BuildValue("(y#sHy#)", (const char *)passphrase.key, (Py_ssize_t)sizeof passphrase.key, passphrase.host,
                         passphrase.port, (const char *)passphrase.pin, (Py_ssize_t)sizeof passphrase.pin);
}

meshping_status glue_message_normalise(char **text, size_t *length, const uint8_t *json, size_t json_length,
                                       meshping_error *err)
{
    meshping_message message = {0};
    meshping_status status = meshping_message_decode(&message, (const char *)json, json_length, err);
    if (status != MESHPING_OK)
        return status;
    status = meshping_message_encode(text, length, &message, err);
    meshping_message_dispose(&message);
    return status;
}

meshping_status glue_store_open(meshping_store **out, const char *path, bool read_only)
{
    meshping_store_options options;
    meshping_status status;
    meshping_store_options_init(&options);
    options.path = path;
    options.read_only = read_only;
    Py_BEGIN_ALLOW_THREADS status = meshping_store_open(out, &options, glue_error());
    Py_END_ALLOW_THREADS return status;
}

static PyObject *damaged_list(const meshping_damage *damaged, size_t count)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++)
        if (glue_append(list, Py_BuildValue("(iLLL)", (int)damaged[i].kind, (long long)damaged[i].block_id,
                                            (long long)damaged[i].first_unix_us, (long long)damaged[i].last_unix_us)) !=
            0)
            Py_CLEAR(list);
    return list;
}

PyObject *glue_store_samples(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                             int64_t to_us)
{
    meshping_series found;
    meshping_status status;
    meshping_error *err = glue_error();
    Py_BEGIN_ALLOW_THREADS status = meshping_store_series(store, agent_id, target_id, from_us, to_us, &found, err);
    Py_END_ALLOW_THREADS if (status != MESHPING_OK) return glue_raise(status);
    PyObject *both = Py_BuildValue("(NN)", glue_samples(found.samples, found.count),
                                   damaged_list(found.damaged, found.damaged_count));
    meshping_series_dispose(&found);
    return both;
}

PyObject *glue_store_damaged(meshping_store *store)
{
    const meshping_damage *damaged;
    size_t count;
    meshping_store_damaged(store, &damaged, &count);
    return damaged_list(damaged, count);
}

PyObject *glue_store_agents(meshping_store *store)
{
    meshping_agent_record *records = NULL;
    size_t count = 0;
    meshping_status status = meshping_store_agents(store, &records, &count, glue_error());
    if (status != MESHPING_OK)
        return glue_raise(status);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++) {
        const meshping_agent_record *r = &records[i];
        PyObject *item = Py_BuildValue("{s:K,s:s,s:s,s:s,s:s,s:L,s:L}", "id", (unsigned long long)r->id, "host_name",
                                       r->host_name, "state", meshping_agent_state_name(r->state), "version",
                                       r->version, "observed_address", r->observed_address, "first_seen_ms",
                                       (long long)r->first_seen_ms, "last_seen_ms", (long long)r->last_seen_ms);
        if (glue_append(list, item) != 0)
            Py_CLEAR(list);
    }
    meshping_free(records);
    return list;
}

/* ---- history ---- */

/* {"ok": 60, "timeout": 1}: the outcomes that there were, by name; a later version's by number. */
static PyObject *counts_dict(const uint64_t *counts)
{
    PyObject *dict = PyDict_New();
    for (unsigned i = 0; dict != NULL && i < MESHPING_OUTCOME_COUNT; i++) {
        if (counts[i] == 0)
            continue;
        const char *name = meshping_outcome_name(i);
        PyObject *key =
            strcmp(name, "unknown") == 0 ? PyUnicode_FromFormat("outcome_%u", i) : PyUnicode_FromString(name);
        PyObject *value = PyLong_FromUnsignedLongLong(counts[i]);
        if (key == NULL || value == NULL || PyDict_SetItem(dict, key, value) != 0)
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *point_dict(const meshping_point *p)
{
    return Py_BuildValue("{s:L,s:L,s:N,s:K,s:k,s:k,s:k,s:k,s:k}", "from_us", (long long)p->from_us, "to_us",
                         (long long)p->to_us, "counts", counts_dict(p->counts), "sum_us", (unsigned long long)p->sum_us,
                         "min_us", (unsigned long)p->min_us, "max_us", (unsigned long)p->max_us, "p50_us",
                         (unsigned long)p->p50_us, "p95_us", (unsigned long)p->p95_us, "p99_us",
                         (unsigned long)p->p99_us);
}

PyObject *glue_store_points(meshping_store *store, uint64_t agent_id, uint64_t target_id, int64_t from_us,
                            int64_t to_us, size_t max_points)
{
    meshping_point *points = NULL;
    size_t count = 0;
    int64_t step_us;
    meshping_status status;
    meshping_error *err = glue_error();
    Py_BEGIN_ALLOW_THREADS status =
        meshping_store_points(store, agent_id, target_id, from_us, to_us, max_points, &points, &count, &step_us, err);
    Py_END_ALLOW_THREADS if (status != MESHPING_OK) return glue_raise(status);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++)
        if (glue_append(list, point_dict(&points[i])) != 0)
            Py_CLEAR(list);
    meshping_free(points);
    return list;
}

PyObject *glue_store_group(meshping_store *store, PyObject *pairs, int64_t from_us, int64_t to_us)
{
    static const unsigned permilles[] = {10, 50, 250, 500, 750, 900, 950, 990, 999};
    PyObject *items = PySequence_Fast(pairs, "pairs must be a sequence of (agent_id, target_id)"), *result = NULL;
    meshping_rollup *sum = PyMem_Calloc(1, sizeof *sum);
    size_t count = items != NULL ? (size_t)PySequence_Fast_GET_SIZE(items) : 0;
    meshping_pair *list = PyMem_Calloc(count + 1, sizeof *list);
    meshping_status status = MESHPING_OK;
    meshping_error *err = glue_error();
    if (items == NULL)
        goto out;
    if (sum == NULL || list == NULL) {
        PyErr_NoMemory();
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t pair[2];
        if (!glue_pair(PySequence_Fast_GET_ITEM(items, (Py_ssize_t)i),
                       "a pair must be (agent_id, target_id), whole numbers of 0 to 2**64 - 1", pair))
            goto out;
        list[i] = (meshping_pair){pair[0], pair[1]};
    }
    Py_BEGIN_ALLOW_THREADS status = meshping_store_group(store, list, count, &from_us, &to_us, sum, err);
    Py_END_ALLOW_THREADS if (status != MESHPING_OK)
    {
        glue_raise(status);
        goto out;
    }
    PyObject *percentiles = PyDict_New();
    for (size_t i = 0; percentiles != NULL && i < sizeof permilles / sizeof permilles[0]; i++) {
        PyObject *key = PyFloat_FromDouble(permilles[i] / 10.0);
        PyObject *value = PyLong_FromUnsignedLong(meshping_rollup_percentile(sum, permilles[i]));
        if (key == NULL || value == NULL || PyDict_SetItem(percentiles, key, value) != 0)
            Py_CLEAR(percentiles);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    result =
        Py_BuildValue("{s:L,s:L,s:N,s:K,s:k,s:k,s:N}", "from_us", (long long)from_us, "to_us", (long long)to_us,
                      "counts", counts_dict(sum->counts), "sum_us", (unsigned long long)sum->sum_us, "min_us",
                      (unsigned long)sum->min_us, "max_us", (unsigned long)sum->max_us, "percentiles_us", percentiles);
out:
    Py_XDECREF(items);
    PyMem_Free(sum);
    PyMem_Free(list);
    return result;
}

PyObject *glue_store_worst(meshping_store *store, unsigned permille, int64_t from_us, int64_t to_us, size_t limit)
{
    meshping_pair_point *worst = NULL;
    size_t count = 0;
    meshping_status status;
    meshping_error *err = glue_error();
    Py_BEGIN_ALLOW_THREADS status = meshping_store_worst(store, permille, from_us, to_us, limit, &worst, &count, err);
    Py_END_ALLOW_THREADS if (status != MESHPING_OK) return glue_raise(status);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++)
        if (glue_append(list, Py_BuildValue("(KKN)", (unsigned long long)worst[i].agent_id,
                                            (unsigned long long)worst[i].target_id, point_dict(&worst[i].point))) != 0)
            Py_CLEAR(list);
    meshping_free(worst);
    return list;
}

PyObject *glue_store_last(meshping_store *store, uint64_t agent_id, int64_t since_us)
{
    meshping_pair_sample *last = NULL;
    size_t count = 0;
    meshping_status status;
    meshping_error *err = glue_error();
    Py_BEGIN_ALLOW_THREADS status = meshping_store_last(store, agent_id, since_us, &last, &count, err);
    Py_END_ALLOW_THREADS if (status != MESHPING_OK) return glue_raise(status);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count; i++)
        if (glue_append(list,
                        Py_BuildValue("(KK(LkBH))", (unsigned long long)last[i].agent_id,
                                      (unsigned long long)last[i].target_id, (long long)last[i].sample.slot_unix_us,
                                      (unsigned long)last[i].sample.rtt_us, last[i].sample.outcome,
                                      last[i].sample.flags)) != 0)
            Py_CLEAR(list);
    meshping_free(last);
    return list;
}

PyObject *glue_store_targets(meshping_store *store)
{
    meshping_target_list targets = {0};
    meshping_status status = meshping_store_targets(store, &targets, glue_error());
    if (status != MESHPING_OK)
        return glue_raise(status);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < targets.count; i++) {
        const meshping_target *t = &targets.items[i];
        PyObject *item =
            Py_BuildValue("{s:K,s:s,s:s,s:I,s:I}", "id", (unsigned long long)t->id, "address", t->host, "name", t->name,
                          "interval_ms", (unsigned)t->interval_ms, "timeout_ms", (unsigned)t->timeout_ms);
        if (glue_append(list, item) != 0)
            Py_CLEAR(list);
    }
    meshping_target_list_dispose(&targets);
    return list;
}

/* An address as text, or None. */
static PyObject *address_object(const meshping_address *address)
{
    char text[MESHPING_ADDRESS_TEXT_MAX];
    if (address->family == MESHPING_FAMILY_NONE)
        Py_RETURN_NONE;
    return PyUnicode_FromString(meshping_address_format(address, text));
}

static void on_result(void *user, const meshping_probe_result *result)
{
    glue_prober *self = user;
    if (self->failed)
        return;
    PyObject *item =
        Py_BuildValue("(KKLkBHNNBBI)", (unsigned long long)result->target_id, (unsigned long long)result->sequence,
                      (long long)result->sample.slot_unix_us, (unsigned long)result->sample.rtt_us,
                      result->sample.outcome, result->sample.flags, address_object(&result->address),
                      address_object(&result->from), result->icmp_type, result->icmp_code, (unsigned)result->mtu);
    self->failed = glue_append(self->results, item) != 0;
}

glue_prober *glue_prober_new(bool paced, uint64_t probes_per_target)
{
    glue_prober *self = PyMem_Calloc(1, sizeof *self);
    if (self == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    meshping_prober_options options;
    meshping_prober_options_init(&options);
    options.on_result = on_result;
    options.user = self;
    options.paced = paced;
    options.probes_per_target = probes_per_target;
    meshping_status status = meshping_prober_new(&self->prober, &options, glue_error());
    if (status != MESHPING_OK) {
        PyMem_Free(self);
        glue_raise(status);
        return NULL;
    }
    return self;
}

void glue_prober_free(glue_prober *self)
{
    meshping_prober_free(self->prober);
    PyMem_Free(self);
}

meshping_status glue_prober_set_target(glue_prober *self, const glue_target *wanted, meshping_error *err)
{
    meshping_target target;
    meshping_now now = meshping_now_read();
    meshping_target_init(&target);
    if (wanted->size > UINT16_MAX || wanted->dscp > UINT8_MAX || wanted->ttl > UINT8_MAX || wanted->family > UINT8_MAX)
        return meshping_error_set(err, MESHPING_INVALID, "size, dscp, ttl or family is out of bounds");
    meshping_status status = meshping_host_canonical(target.host, wanted->host, err);
    if (status != MESHPING_OK)
        return status;
    target.id = wanted->id;
    target.interval_ms = wanted->interval_ms;
    target.timeout_ms = wanted->timeout_ms;
    target.size = (uint16_t)wanted->size;
    target.dscp = (uint8_t)wanted->dscp;
    target.ttl = (uint8_t)wanted->ttl;
    target.family = (uint8_t)wanted->family;
    target.dont_fragment = wanted->dont_fragment;
    if (*wanted->source)
        status = meshping_address_parse(&target.source, wanted->source, err);
    if (status != MESHPING_OK)
        return status;
    if (strlen(wanted->interface) >= sizeof target.interface)
        return meshping_error_set(err, MESHPING_INVALID, "interface is longer than %d characters",
                                  MESHPING_INTERFACE_MAX - 1);
    memcpy(target.interface, wanted->interface, strlen(wanted->interface) + 1);
    return meshping_prober_set_target(self->prober, &target, &now, err);
}

int glue_prober_wait_ms(const glue_prober *self)
{
    int64_t deadline_ns = meshping_prober_deadline_ns(self->prober);
    if (deadline_ns == INT64_MAX)
        return -1;
    int64_t wait_ns = deadline_ns - meshping_now_read().mono_ns;
    if (wait_ns <= 0)
        return 0;
    int64_t wait_ms = (wait_ns + 999999) / 1000000;
    return wait_ms > INT_MAX ? INT_MAX : (int)wait_ms;
}

PyObject *glue_prober_process(glue_prober *self)
{
    meshping_now now = meshping_now_read();
    PyObject *results = PyList_New(0);
    if (results == NULL)
        return NULL;
    self->results = results;
    self->failed = false;
    meshping_prober_process(self->prober, &now);
    self->results = NULL;
    if (self->failed)
        Py_CLEAR(results);
    return results;
}
