/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/storing.h"

#include "common/log.h"
#include "meshpingd/quarantine.h"
#include <inttypes.h>
#include <stdio.h>

#define CREDIT_BYTES (4u << 20)
#define TRIAL_MS 2000    /* between two agents' tries while nothing can be stored */
#define FULL_MS 1000     /* the queue is full: it is worked off in less */
#define DAMAGED_MS 60000 /* where a page is damaged, nothing mends by itself */
#define CLOSE_TRY_AGAIN 1013

uint64_t storing_credit(const agent_connection *c)
{
    if (c->paused)
        return 0;
    return c->agent && c->agent->record.state == MESHPING_AGENT_HOLD ? quarantine_credit(c->server, c->agent)
                                                                     : CREDIT_BYTES;
}

/* Approved or on hold: it has been told of credit. */
static bool is_sending(const agent_connection *c)
{
    return c->agent && !c->closing &&
           (c->agent->record.state == MESHPING_AGENT_APPROVED || c->agent->record.state == MESHPING_AGENT_HOLD);
}

static void pause_connection(agent_connection *c, int64_t resume_ms)
{
    bool was_paused = c->paused;
    c->paused = true;
    c->resume_ms = resume_ms;
    if (!was_paused && is_sending(c))
        agents_tell_status(c);
}

static void resume_connection(agent_connection *c)
{
    c->paused = false;
    c->resume_ms = 0;
    if (is_sending(c))
        agents_tell_status(c);
}

void storing_unreadable(server *s, const char *why)
{
    char text[MESHPING_ERROR_MESSAGE_MAX];
    snprintf(text, sizeof text, "stop the server and restore a backup (meshpingd maintain): %s", why);
    alarm_raise(&s->alarms, ALARM_DAMAGE, server_unix_ms(), text);
}

static void pause_all(server *s, const char *why)
{
    char text[MESHPING_ERROR_MESSAGE_MAX];
    snprintf(text, sizeof text, "samples cannot be stored, agents keep them until they can: %s", why);
    alarm_raise(&s->alarms, ALARM_STORE, server_unix_ms(), text);
    s->trial_ms = server_mono_ms() + TRIAL_MS;
    for (agent_connection *c = connection_first(); c; c = c->next)
        if (!c->paused)
            pause_connection(c, 0);
}

void storing_failed(server *s, agent_entry *agent, const meshping_block_done *done)
{
    const char *why = done->error && done->error[0] ? done->error : meshping_status_text(done->status);
    agent_connection *c = agent ? agent->connection : NULL;
    s->counters.blocks_refused++;
    if (done->failed && done->status != MESHPING_CORRUPT) {
        pause_all(s, why);
        return;
    }
    if (done->quarantined && done->status == MESHPING_LIMIT) { /* it has credit 0, or comes back when ranges joined */
        if (c)
            agents_tell_status(c);
        return;
    }
    log_warning("store", "data of %s was not stored: %s", agent ? agent->record.host_name : "?", why);
    if (done->status == MESHPING_CORRUPT)
        storing_unreadable(s, why);
    if (!c || c->closing || c->epoch != done->write->epoch || done->status == MESHPING_STATE)
        return; /* when its state is what is in the way, it was told */
    if (done->status == MESHPING_CORRUPT)
        pause_connection(c, server_mono_ms() + DAMAGED_MS);
    else /* it sends what is not acknowledged once a connection */
        connection_refuse(c, CLOSE_TRY_AGAIN, "what it sent was not stored: %s", why);
}

void storing_full(agent_connection *c, const meshping_error *err)
{
    log_warning("store", "%s waits: %s", c->agent->record.host_name, err->message);
    pause_connection(c, server_mono_ms() + FULL_MS);
}

void storing_unread(agent_connection *c, const meshping_error *err)
{
    if (err->status == MESHPING_CORRUPT)
        storing_unreadable(c->server, err->message);
    else
        log_error("store", "what was received of %s cannot be read: %s", c->agent->record.host_name, err->message);
    c->paused = true;
    c->resume_ms = server_mono_ms() + (err->status == MESHPING_CORRUPT ? DAMAGED_MS : TRIAL_MS);
}

void storing_worked(server *s)
{
    if (!alarm_clear(&s->alarms, ALARM_STORE, server_unix_ms()))
        return;
    for (agent_connection *c = connection_first(); c; c = c->next)
        if (c->paused && c->resume_ms == 0)
            resume_connection(c);
}

/* The next after the one that tried last; NULL: nobody waits. */
static agent_connection *next_to_try(const server *s)
{
    agent_connection *first = NULL, *next = NULL;
    for (agent_connection *c = connection_first(); c; c = c->next) {
        if (!c->paused || c->resume_ms != 0 || !is_sending(c))
            continue;
        uint64_t id = c->agent->record.id;
        if (!first || id < first->agent->record.id)
            first = c;
        if (id > s->trial_agent_id && (!next || id < next->agent->record.id))
            next = c;
    }
    return next ? next : first;
}

static void setting_stored(void *user, meshping_status status, const char *error)
{
    (void)error; /* the alarm has it */
    if (status == MESHPING_OK)
        storing_worked(user);
}

/* With nobody there to try, a setting is what is written. */
static void try_setting(server *s)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, server_unix_ms());
    meshping_store_submit_setting(s->store, "stored_again_ms", text, setting_stored, s, NULL);
}

static void try_again(server *s, int64_t now_ms)
{
    agent_connection *c = next_to_try(s);
    s->trial_ms = now_ms + TRIAL_MS;
    if (c) {
        s->trial_agent_id = c->agent->record.id;
        resume_connection(c);
    } else {
        try_setting(s);
    }
}

void storing_damaged(server *s, uint64_t count)
{
    char text[128];
    if (!count || alarm_is_raised(&s->alarms, ALARM_DAMAGE))
        return;
    snprintf(text, sizeof text,
             "%" PRIu64 " stored blocks or roll-ups are damaged (meshpingd maintain check names them)", count);
    storing_unreadable(s, text);
}

static void look_for_damage(server *s)
{
    meshping_store_stats stats;
    meshping_store_get_stats(s->store, &stats);
    storing_damaged(s, stats.damaged_blocks + stats.damaged_rollups);
}

void storing_tick(server *s)
{
    int64_t now_ms = server_mono_ms();
    bool fails = alarm_is_raised(&s->alarms, ALARM_STORE);
    if (fails && now_ms >= s->trial_ms)
        try_again(s, now_ms);
    for (agent_connection *c = connection_first(); c; c = c->next)
        if (c->paused && c->resume_ms && now_ms >= c->resume_ms) {
            if (fails)
                c->resume_ms = 0;
            else
                resume_connection(c);
        }
    look_for_damage(s);
}
