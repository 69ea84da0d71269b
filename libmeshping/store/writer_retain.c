/* SPDX-License-Identifier: Apache-2.0 */
/* Retention, and what was deleted, as the writer thread does it: a step, then a pause as long, and commits come first.
 */
#include "store/internal.h"

#include "store/retain.h"

#define BLOCKS_A_STEP 4
#define PAUSE_MIN_NS INT64_C(2000000)
#define RETRY_NS (INT64_C(30) * 1000000000) /* after an error */

static void wake(meshping__writer *writer)
{
    if (writer->retain_mono_ns != INT64_MAX)
        return; /* it goes on as it is, when its pause is over */
    writer->retain_mono_ns = 0;
    pthread_cond_signal(&writer->wake);
}

void meshping__writer_remove(meshping__writer *writer)
{
    if (!writer->started)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->removes = true;
    writer->stats.removing = true;
    wake(writer);
    pthread_mutex_unlock(&writer->mutex);
}

meshping_status meshping_store_retain(meshping_store *store, const meshping_retention *goal, meshping_error *err)
{
    meshping__writer *writer = &store->writer;
    if (!writer->started)
        return meshping_error_set(err, MESHPING_PERMISSION, "%s was opened for reading only", store->path);
    pthread_mutex_lock(&writer->mutex);
    writer->retention = *goal;
    writer->retains = true;
    writer->stats.retained = false;
    wake(writer);
    pthread_mutex_unlock(&writer->mutex);
    return MESHPING_OK;
}

meshping__write *meshping__writer_retain(meshping__writer *writer, const meshping_retention *goal)
{
    meshping_error err = {0};
    int64_t start_ns = meshping_now_read().mono_ns;
    meshping_status status = meshping__remove_step(&writer->sql, &writer->removal, &err);
    if (writer->removal.agent_id)
        meshping__sealer_forget(&writer->sealer, (uint64_t)writer->removal.agent_id);
    if (status == MESHPING_NOT_FOUND && goal)
        status = meshping__retain_step(&writer->sql, goal, BLOCKS_A_STEP, &writer->retained, &err);
    int64_t now_ns = meshping_now_read().mono_ns, took_ns = now_ns - start_ns;
    if (took_ns / 1000 > (int64_t)writer->retain_longest_us)
        writer->retain_longest_us = (uint64_t)(took_ns / 1000);
    writer->retain_done = goal && status == MESHPING_NOT_FOUND;
    writer->retain_next_ns = now_ns + (took_ns > PAUSE_MIN_NS ? took_ns : PAUSE_MIN_NS);
    if (status == MESHPING_OK)
        return NULL;
    if (status == MESHPING_NOT_FOUND) {
        writer->retain_next_ns = INT64_MAX; /* until the next goal */
        return NULL;
    }
    writer->retain_next_ns = now_ns + RETRY_NS;
    writer->retain_errors++;
    return meshping__notice_trouble(status, err.message);
}
