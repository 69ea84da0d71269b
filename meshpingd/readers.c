/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/readers.h"

#include "meshpingd/auth.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS 2000

typedef struct slot {
    reader_job *job;       /* NULL: free */
    meshping_store *store; /* opened by the first job, in its worker */
} slot;

struct readers {
    server *server;
    char path[sizeof(((server_config *)0)->state_dir) + sizeof SERVER_DATABASE_NAME + 1];
    slot slots[READERS_MAX];
    reader_job *waiting;
    size_t waiting_count;
    bool stopping;
};

struct reader_job {
    uv_work_t work;
    readers *all;
    slot *slot;
    http_exchange *exchange; /* NULL: the client went away */
    reader_job *next;        /* waiting */
    reader_question question;
    meshping_status status; /* of opening the store */
    meshping_error error;
};

static void job_free(reader_job *job)
{
    job->question.free(job->question.data);
    free(job);
}

/* In a worker: only the job's own memory, and its slot's store. */
static void work(uv_work_t *request)
{
    reader_job *job = request->data;
    if (!job->slot->store) {
        meshping_store_options options;
        meshping_store_options_init(&options);
        options.path = job->all->path;
        options.read_only = true;
        job->status = meshping_store_open(&job->slot->store, &options, &job->error);
    }
    if (job->status == MESHPING_OK)
        job->question.run(job->question.data, job->slot->store);
}

static void after_work(uv_work_t *request, int cancelled);

static void free_when_idle(readers *all)
{
    for (size_t i = 0; i < READERS_MAX; i++)
        if (all->slots[i].job)
            return;
    for (size_t i = 0; i < READERS_MAX; i++)
        if (all->slots[i].store)
            meshping_store_close(all->slots[i].store);
    free(all);
}

/* As nothing is read from it any more (readers_ask), nobody else would see that before there is an answer. */
static bool has_left(const reader_job *job)
{
    struct pollfd fd = {.fd = lws_get_socket_fd(job->exchange->wsi), .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0;
}

/* What waits for clients that are gone is not asked any more; their connections end when they are read from again. */
static void drop_left(readers *all)
{
    for (reader_job **at = &all->waiting; *at;) {
        reader_job *job = *at;
        if (!has_left(job)) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        all->waiting_count--;
        job->exchange->reading = NULL;
        lws_rx_flow_control(job->exchange->wsi, 1);
        job_free(job);
    }
}

static void start_waiting(readers *all)
{
    for (size_t i = 0; i < READERS_MAX && all->waiting; i++) {
        reader_job *job = all->waiting;
        if (all->slots[i].job)
            continue;
        all->waiting = job->next;
        all->waiting_count--;
        job->next = NULL;
        job->slot = &all->slots[i];
        job->slot->job = job;
        job->work.data = job;
        uv_queue_work(&all->server->loop, &job->work, work, after_work);
    }
}

static void after_work(uv_work_t *request, int cancelled)
{
    reader_job *job = request->data;
    readers *all = job->all;
    http_exchange *x = job->exchange;
    (void)cancelled; /* nobody cancels */
    job->slot->job = NULL;
    if (x) {
        x->reading = NULL;
        lws_rx_flow_control(x->wsi, 1);
        if (job->status == MESHPING_OK)
            job->question.answer(x, job->question.data);
        else
            http_respond_error(x, &job->error);
    }
    job_free(job);
    if (all->stopping) {
        free_when_idle(all);
        return;
    }
    drop_left(all);
    start_waiting(all);
}

meshping_status readers_start(readers **out, server *s, meshping_error *err)
{
    readers *all = calloc(1, sizeof *all);
    if (!all)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    all->server = s;
    snprintf(all->path, sizeof all->path, "%s/%s", s->config.state_dir, SERVER_DATABASE_NAME);
    *out = all;
    return MESHPING_OK;
}

void readers_stop(readers *all)
{
    if (!all)
        return;
    while (all->waiting) {
        reader_job *job = all->waiting;
        all->waiting = job->next;
        if (job->exchange)
            job->exchange->reading = NULL;
        job_free(job);
    }
    for (size_t i = 0; i < READERS_MAX; i++)
        if (all->slots[i].job && all->slots[i].job->exchange) {
            all->slots[i].job->exchange->reading = NULL;
            all->slots[i].job->exchange = NULL;
        }
    all->stopping = true;
    free_when_idle(all);
}

void readers_ask(http_exchange *x, const reader_question *question)
{
    readers *all = x->server->http->readers;
    drop_left(all);
    reader_job **last = &all->waiting;
    reader_job *job = all->waiting_count < READERS_WAITING_MAX ? calloc(1, sizeof *job) : NULL;
    if (!job) {
        question->free(question->data);
        http_header(x, "Retry-After", "%d", BUSY_MS / 1000);
        http_respond_problem(x, 503, "too many questions to the history at once");
        return;
    }
    *job = (reader_job){.all = all, .exchange = x, .question = *question};
    while (*last)
        last = &(*last)->next;
    *last = job;
    all->waiting_count++;
    x->reading = job;
    lws_rx_flow_control(x->wsi, 0); /* a client that sends on must not keep the loop busy meanwhile */
    start_waiting(all);
}

void readers_abandon(http_exchange *x)
{
    reader_job *job = x->reading;
    if (!job)
        return;
    x->reading = NULL;
    job->exchange = NULL;
    if (job->slot)
        return; /* after_work frees it */
    readers *all = job->all;
    for (reader_job **at = &all->waiting; *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            all->waiting_count--;
            break;
        }
    job_free(job);
}
