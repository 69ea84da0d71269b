/* SPDX-License-Identifier: Apache-2.0 */
/* The writer thread: a queue in, groups into the database, completions out. */
#include "store/internal.h"

#include "base/alloc.h"
#include <errno.h>
#include <meshping/block.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_JUMP_US INT64_C(1000000)
#define GROUP_BYTES ((size_t)4 << 20) /* enough for one transaction: not worth waiting for more */

static void append(meshping__write_list *list, meshping__write *item)
{
    item->next = NULL;
    if (list->tail)
        list->tail->next = item;
    else
        list->head = item;
    list->tail = item;
    list->bytes += item->cost_bytes;
}

/* ---- the thread ---- */

static void deliver(meshping__writer *writer, meshping__write *list)
{
    while (list) {
        meshping__write *item = list;
        list = item->next;
        append(&writer->done, item);
    }
    uint64_t one = 1;
    ssize_t written;
    do
        written = write(writer->event_fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
}

static void note_blocks(meshping__writer *writer, const meshping__write *list)
{
    for (; list; list = list->next) {
        if (list->status != MESHPING_OK || !list->stored || list->is_gap)
            continue;
        meshping__sealer_note(&writer->sealer, list->write.agent_id, list->sample_count, list->write.received_unix_us);
        if (list->write.received_unix_us > writer->newest_us) {
            /* a pause for want of work is over when the clock that says what is due goes on by a leap */
            if (writer->sealed && writer->newest_us < list->write.received_unix_us - CLOCK_JUMP_US)
                writer->seal_mono_ns = 0;
            writer->newest_us = list->write.received_unix_us;
            writer->newest_mono_ns = meshping_now_read().mono_ns;
        }
        writer->sealed = false;
    }
}

static void put_stats(meshping__writer *writer, const meshping_store_stats *stats)
{
    const meshping__seal_stats *seal = &writer->sealer.stats;
    writer->stats = *stats;
    writer->stats.journal_blocks = seal->journal_blocks;
    writer->stats.journal_samples = seal->journal_samples;
    writer->stats.seals = seal->jobs[MESHPING__LEVEL_JOURNAL];
    writer->stats.long_seals = seal->jobs[MESHPING__LEVEL_SHORT];
    writer->stats.seal_errors = seal->errors;
    writer->stats.damaged_blocks = seal->damaged;
    writer->stats.seal_longest_us = writer->seal_longest_us;
    writer->stats.sealed = writer->sealed;
    writer->stats.damaged_rollups = seal->damaged_rollups;
    writer->stats.used_bytes = writer->retained.used_bytes;
    writer->stats.size_state = writer->retained.size_state;
    writer->stats.expired_blocks = writer->retained.blocks;
    writer->stats.expired_rollups = writer->retained.rollups;
    writer->stats.cut_blocks = writer->retained.cut_blocks;
    writer->stats.cut_rollups = writer->retained.cut_rollups;
    writer->stats.retain_errors = writer->retain_errors;
    writer->stats.retain_longest_us = writer->retain_longest_us;
    writer->stats.retained = writer->retain_done;
    writer->stats.removing = writer->removes || writer->removal.look;
}

/* Mutex held, here and below; it is not while the database works. */
static void commit_group(meshping__writer *writer)
{
    meshping__write *list = writer->queue.head;
    meshping_store_stats stats = writer->stats;
    writer->queue = (meshping__write_list){0};
    pthread_mutex_unlock(&writer->mutex);
    meshping__apply(&writer->sql, list, &writer->last_id, &stats);
    note_blocks(writer, list);
    pthread_mutex_lock(&writer->mutex);
    put_stats(writer, &stats);
    deliver(writer, list);
}

static void seal_some(meshping__writer *writer)
{
    meshping_store_stats stats = writer->stats;
    pthread_mutex_unlock(&writer->mutex);
    meshping__write *told = meshping__writer_seal(writer);
    pthread_mutex_lock(&writer->mutex);
    put_stats(writer, &stats);
    if (told)
        deliver(writer, told);
}

static void retain_some(meshping__writer *writer)
{
    meshping_store_stats stats = writer->stats;
    const meshping_retention goal = writer->retention;
    const bool retains = writer->retains;
    if (writer->removes)
        writer->removal.look = true;
    writer->removes = false;
    writer->retain_mono_ns = INT64_MAX; /* a goal that is set meanwhile makes it 0 again */
    pthread_mutex_unlock(&writer->mutex);
    meshping__write *told = meshping__writer_retain(writer, retains ? &goal : NULL);
    pthread_mutex_lock(&writer->mutex);
    if (writer->retain_mono_ns == INT64_MAX)
        writer->retain_mono_ns = writer->retain_next_ns;
    put_stats(writer, &stats);
    if (told)
        deliver(writer, told);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void wait_until(meshping__writer *writer, int64_t due_ns)
{
    struct timespec due = {.tv_sec = due_ns / 1000000000, .tv_nsec = due_ns % 1000000000};
    if (due_ns == INT64_MAX)
        pthread_cond_wait(&writer->wake, &writer->mutex);
    else
        pthread_cond_timedwait(&writer->wake, &writer->mutex, &due);
}

/* The first of a group waits for company, not too long; meanwhile there is time for sealing and retention. */
static void *run(void *argument)
{
    meshping__writer *writer = argument;
    pthread_mutex_lock(&writer->mutex);
    while (writer->queue.head || !writer->stopping) {
        int64_t now_ns = meshping_now_read().mono_ns, group_ns = INT64_MAX;
        int64_t seal_ns = writer->seals ? writer->seal_mono_ns : INT64_MAX, retain_ns = writer->retain_mono_ns;
        if (writer->queue.head)
            group_ns = writer->queue.head->queued_mono_ns + (int64_t)writer->commit_ms * 1000000;
        if (writer->queue.head && (writer->stopping || now_ns >= group_ns || writer->queue.bytes >= GROUP_BYTES))
            commit_group(writer);
        else if (now_ns >= seal_ns && seal_ns <= retain_ns)
            seal_some(writer);
        else if (now_ns >= retain_ns)
            retain_some(writer);
        else
            wait_until(writer, least(group_ns, least(seal_ns, retain_ns)));
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

static int start_thread(meshping__writer *writer)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the application's, and go to its threads */
    int sys_errno = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return sys_errno;
}

static void init_sync(meshping__writer *writer)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

/* A damaged page does not keep the rest from being read: the thread tries again when it needs it, and tells. */
static meshping_status read_or_later(meshping_status status)
{
    return status == MESHPING_CORRUPT ? MESHPING_OK : status;
}

meshping_status meshping__writer_start(meshping__writer *writer, const char *path,
                                       const meshping_store_options *options, meshping_error *err)
{
    writer->commit_ms = options->commit_ms;
    writer->queue_bytes_max = options->queue_bytes_max;
    writer->quarantine_bytes_max = options->quarantine_bytes_max;
    writer->seals = options->seal_after_s > 0;
    writer->retain_mono_ns = 0; /* what was deleted and is not gone yet */
    writer->removes = true;
    writer->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (writer->event_fd < 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "eventfd");
    meshping_status status = meshping__sql_open(&writer->sql, path, false, err);
    if (status == MESHPING_OK)
        status = meshping__schema_prepare_writer(&writer->sql, err);
    meshping__sealer_init(&writer->sealer, &writer->sql, (int64_t)options->seal_after_s * 1000000,
                          (int64_t)options->long_after_s * 1000000);
    if (status == MESHPING_OK)
        status = read_or_later(meshping__sealer_load(&writer->sealer, &writer->newest_us, err));
    if (status == MESHPING_OK)
        status = read_or_later(meshping__find_last_id(&writer->sql, &writer->last_id, err));
    writer->newest_mono_ns = meshping_now_read().mono_ns;
    if (status != MESHPING_OK)
        return status;
    put_stats(writer, &(meshping_store_stats){0});
    init_sync(writer);
    int sys_errno = start_thread(writer);
    if (sys_errno != 0) {
        pthread_cond_destroy(&writer->wake);
        pthread_mutex_destroy(&writer->mutex);
        return meshping_error_set_errno(err, MESHPING_IO, sys_errno, "cannot start the writer thread");
    }
    writer->started = true;
    return MESHPING_OK;
}

void meshping__writer_stop(meshping__writer *writer)
{
    if (!writer->started)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
    pthread_join(writer->thread, NULL);
}

void meshping__writer_dispose(meshping__writer *writer)
{
    meshping__sealer_dispose(&writer->sealer);
    meshping__sql_close(&writer->sql);
    if (writer->event_fd >= 0)
        close(writer->event_fd);
    if (!writer->started)
        return;
    pthread_cond_destroy(&writer->wake);
    pthread_mutex_destroy(&writer->mutex);
}

/* ---- the caller's side ---- */

static void free_write(meshping__write *item)
{
    meshping_free(item->write.bytes);
    meshping__notice_free(item->notice);
    meshping__free(item->request);
    meshping__free(item);
}

meshping_status meshping__writer_enqueue(meshping_store *store, meshping__write *item, meshping_error *err)
{
    meshping__writer *writer = &store->writer;
    meshping_status status = MESHPING_OK;
    if (store->read_only)
        return meshping_error_set(err, MESHPING_PERMISSION, "%s was opened for reading only", store->path);
    meshping__sql_settle(&store->sql); /* else the writer waits for it in vain */
    item->cost_bytes += sizeof *item + item->write.length;
    item->quarantine_bytes_max = writer->quarantine_bytes_max;
    item->queued_mono_ns = meshping_now_read().mono_ns;
    pthread_mutex_lock(&writer->mutex);
    if (writer->stopping) {
        status = meshping_error_set(err, MESHPING_STATE, "the store is closing");
    } else if (item->cost_bytes > writer->queue_bytes_max - writer->queued_bytes) {
        status = meshping_error_set(err, MESHPING_LIMIT, "the store's queue is full: %zu of %zu bytes wait",
                                    writer->queued_bytes, writer->queue_bytes_max);
    } else {
        bool first = !writer->queue.head;
        append(&writer->queue, item);
        writer->queued_bytes += item->cost_bytes;
        if (first || writer->queue.bytes >= GROUP_BYTES)
            pthread_cond_signal(&writer->wake);
    }
    pthread_mutex_unlock(&writer->mutex);
    return status;
}

static meshping_status check_submit(uint64_t agent_id, uint64_t epoch, uint64_t first, uint64_t last,
                                    meshping_error *err)
{
    if (agent_id == 0 || epoch == 0)
        return meshping_error_set(err, MESHPING_INVALID, "agent id and epoch must not be 0");
    if (first == 0 || last < first || last > INT64_MAX)
        return meshping_error_set(err, MESHPING_INVALID, "sequences must be from 1 to 2^63 - 1, ascending");
    return MESHPING_OK;
}

/* Decodes all of it, so that what is stored can be read again; fills in span and count. */
static meshping_status check_block(meshping_store *store, meshping__write *item, meshping_error *err)
{
    meshping_sample *samples = NULL;
    size_t largest = 0, count;
    meshping_block_entry entry;
    if (!store->reader && meshping_block_reader_make(&store->reader) != MESHPING_OK)
        return meshping__no_memory(err);
    meshping_block_reader *reader = store->reader;
    meshping_status status = meshping_block_reader_open(reader, item->write.bytes, item->write.length, err);
    if (status != MESHPING_OK)
        return status == MESHPING_LIMIT ? MESHPING_CORRUPT : status;
    size_t targets = meshping_block_reader_target_count(reader);
    item->sample_count = meshping_block_reader_sample_count(reader);
    for (size_t i = 0; i < targets; i++) {
        meshping_block_reader_entry(reader, i, &entry);
        largest = entry.sample_count > largest ? entry.sample_count : largest;
        if (i == 0 || entry.first_unix_us < item->first_us)
            item->first_us = entry.first_unix_us;
        if (i == 0 || entry.last_unix_us > item->last_us)
            item->last_us = entry.last_unix_us;
    }
    samples = meshping__malloc(largest * sizeof *samples);
    if (!samples)
        status = meshping__no_memory(err);
    for (size_t i = 0; status == MESHPING_OK && i < targets; i++)
        status = meshping_block_reader_samples(reader, i, samples, largest, &count, err);
    meshping__free(samples);
    return status;
}

meshping_status meshping_store_submit_block(meshping_store *store, const meshping_block_write *write,
                                            meshping_block_done_fn fn, void *user, meshping_error *err)
{
    meshping_status status = check_submit(write->agent_id, write->epoch, write->sequence, write->sequence, err);
    if (status != MESHPING_OK)
        return status;
    meshping__write *item = meshping__calloc(1, sizeof *item);
    if (!item)
        return meshping__no_memory(err);
    item->write = *write;
    item->fn = fn;
    item->user = user;
    status = check_block(store, item, err);
    if (status == MESHPING_OK)
        status = meshping__writer_enqueue(store, item, err);
    if (status != MESHPING_OK)
        meshping__free(item); /* but not the bytes */
    return status;
}

meshping_status meshping_store_submit_gap(meshping_store *store, const meshping_block_write *write,
                                          const meshping_gap *gap, meshping_block_done_fn fn, void *user,
                                          meshping_error *err)
{
    meshping_status status = check_submit(write->agent_id, write->epoch, gap->first_sequence, gap->last_sequence, err);
    if (status != MESHPING_OK)
        return status;
    if (gap->first_unix_us > gap->last_unix_us || gap->sample_count > INT64_MAX ||
        strcmp(meshping_gap_reason_name((unsigned)gap->reason), "unknown") == 0)
        return meshping_error_set(err, MESHPING_INVALID, "gap: its times do not ascend, or its reason is unknown");
    meshping__write *item = meshping__calloc(1, sizeof *item);
    if (!item)
        return meshping__no_memory(err);
    item->write = *write;
    item->write.sequence = gap->first_sequence;
    item->write.bytes = NULL;
    item->write.length = 0;
    item->is_gap = true;
    item->gap = *gap;
    item->fn = fn;
    item->user = user;
    status = meshping__writer_enqueue(store, item, err);
    if (status != MESHPING_OK)
        meshping__free(item);
    return status;
}

int meshping_store_fd(const meshping_store *store)
{
    return store->writer.event_fd;
}

static void complete(const meshping__write *item)
{
    if (!item->fn)
        return;
    meshping_block_done done = {
        .status = item->status,
        .failed = item->failed,
        .stored = item->stored,
        .write = &item->write,
        .block = {.agent_id = item->write.agent_id,
                  .id = item->id,
                  .received_unix_us = item->write.received_unix_us,
                  .received_agent_us = item->write.received_unix_us + item->write.clock.offset_us,
                  .first_unix_us = item->first_us,
                  .last_unix_us = item->last_us,
                  .last_target = UINT64_MAX,
                  .sample_count = (uint32_t)item->sample_count,
                  .checked = true,
                  .bytes = item->write.bytes,
                  .length = item->write.length},
        .ranges = item->ranges.items,
        .range_count = item->ranges.count,
        .error = item->error,
        .quarantined = item->quarantined,
        .quarantine_bytes = item->quarantine_bytes,
        .noted = item->noted,
        .gap = item->is_gap ? &item->gap : NULL,
        .epoch_first_us = item->epoch_first_us,
    };
    item->fn(item->user, &done);
}

void meshping_store_watch(meshping_store *store, const meshping_store_watcher *watcher)
{
    if (!store->writer.started)
        return;
    pthread_mutex_lock(&store->writer.mutex);
    store->writer.watcher = watcher ? *watcher : (meshping_store_watcher){0};
    pthread_mutex_unlock(&store->writer.mutex);
}

/* Behind what was taken before and is not told yet. */
static void take_done(meshping__writer *writer, meshping__write_list *to)
{
    writer->queued_bytes -= writer->done.bytes;
    if (to->tail)
        to->tail->next = writer->done.head;
    else
        to->head = writer->done.head;
    if (writer->done.tail)
        to->tail = writer->done.tail;
    writer->done = (meshping__write_list){0};
}

void meshping_store_process_for(meshping_store *store, int64_t budget_us)
{
    meshping__writer *writer = &store->writer;
    meshping__write_list *list = &store->completions;
    uint64_t counter;
    if (!writer->started)
        return;
    if (read(writer->event_fd, &counter, sizeof counter) < 0 && errno != EAGAIN && errno != EINTR)
        return;
    int64_t begun_ns = meshping_now_read().mono_ns;
    pthread_mutex_lock(&writer->mutex);
    take_done(writer, list);
    meshping_store_watcher watcher = writer->watcher;
    pthread_mutex_unlock(&writer->mutex);
    while (list->head) {
        meshping__write *item = list->head;
        list->head = item->next;
        if (!list->head)
            list->tail = NULL;
        if (item->notice)
            meshping__notice_tell(item->notice, &watcher);
        else if (item->request)
            meshping__request_tell(item);
        else
            complete(item);
        free_write(item);
        if (list->head && (meshping_now_read().mono_ns - begun_ns) / 1000 >= budget_us) {
            eventfd_write(writer->event_fd, 1);
            return;
        }
    }
}

void meshping_store_process(meshping_store *store)
{
    meshping_store_process_for(store, INT64_MAX);
}
