/* SPDX-License-Identifier: Apache-2.0 */
/* What agents and server say to each other: docs/PROTOCOL.md, the server's side. */
#include "meshpingd/agents.h"

#include "common/log.h"
#include "meshpingd/connection.h"
#include "meshpingd/joining.h"
#include "meshpingd/pin_change.h"
#include "meshpingd/probing.h"
#include "meshpingd/quarantine.h"
#include "meshpingd/rekeying.h"
#include "meshpingd/samples.h"
#include "meshpingd/spread.h"
#include "meshpingd/storing.h"
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIRMATION_MS 10000
#define STATUS_MS 10000
#define GAP_TELL_MS 1000          /* the page has each of them, the log so many */
#define AGENTS_A_RETRY_SECOND 250 /* retry_s = agents / 250: docs/PROTOCOL.md, Delivery */

/* An agent with nothing to say speaks when it is asked, and must be asked in time whatever offline_s is. */
static int64_t status_every_ms(const server *s)
{
    int64_t in_time_ms = (int64_t)s->config.offline_s * 2000 / 3;
    return in_time_ms < STATUS_MS ? in_time_ms : STATUS_MS;
}

static uint32_t retry_s(const server *s)
{
    return (uint32_t)(s->agent_count / AGENTS_A_RETRY_SECOND);
}

/* A word of the agent: by the monotonic clock for silence, by the wall clock for people. */
void agents_heard(agent_connection *c)
{
    c->heard_ms = server_mono_ms();
    if (!c->agent)
        return;
    c->agent->heard_ms = c->heard_ms;
    c->agent->last_seen_ms = server_unix_ms();
}

/* ---- what the server says ---- */

void agents_tell_targets(server *s, agent_entry *agent)
{
    agent_connection *c = agent->connection;
    (void)s;
    if (!c || c->closing || agent->record.state != MESHPING_AGENT_APPROVED || joining_is_waiting(c))
        return;
    c->targets_due = true;
    lws_callback_on_writable(c->wsi);
}

void agents_next_targets(agent_connection *c)
{
    if (c->targets_due && c->agent && c->agent->record.state == MESHPING_AGENT_APPROVED && !joining_is_waiting(c))
        pushing_next(c);
    else
        c->targets_due = false;
}

/* What the agent need not send again. */
static meshping_status read_ranges(agent_connection *c, meshping_range *ranges, size_t *count, meshping_error *err)
{
    meshping_store *store = c->server->store;
    uint64_t id = c->agent->record.id;
    meshping_status status = c->agent->record.state == MESHPING_AGENT_HOLD
                                 ? meshping_store_quarantine_ranges(store, id, c->epoch, c->peer, ranges, count, err)
                                 : meshping_store_ranges(store, id, c->epoch, ranges, count, err);
    if (status == MESHPING_OK)
        quarantine_add_ranges(c, ranges, count);
    return status;
}

void agents_tell_status(agent_connection *c)
{
    server *s = c->server;
    agent_entry *agent = c->agent;
    meshping_message message = {.event = MESHPING_EVENT_REGISTRATION_STATUS};
    meshping_registration_status *status = &message.u.registration_status;
    meshping_error err;
    if (c->ticket_due && agent->record.state != MESHPING_AGENT_BLACKLISTED) /* told once the ticket is durable */
        return;
    status->state = agent->record.state;
    status->epoch = c->epoch;
    status->retry_s = retry_s(s);
    snprintf(status->message, sizeof status->message, "%s", agent->record.reason);
    if (agent->record.state == MESHPING_AGENT_APPROVED || agent->record.state == MESHPING_AGENT_HOLD)
        status->agent_id = agent->record.id;
    if (c->ticket_serial &&
        (agent->record.state == MESHPING_AGENT_APPROVED || agent->record.state == MESHPING_AGENT_HOLD)) {
        status->has_ticket = meshping_ticket_make(status->ticket, s->ticket_key, agent->record.public_key,
                                                  c->ticket_serial) == MESHPING_OK;
    } else if (agent->record.state == MESHPING_AGENT_APPROVED || agent->record.state == MESHPING_AGENT_HOLD) {
        status->credit_bytes = storing_credit(c);
        if (read_ranges(c, status->ranges, &status->range_count, &err) != MESHPING_OK) {
            storing_unread(c, &err);
            status->credit_bytes = 0;
            status->range_count = 0;
        }
        if (!status->credit_bytes && agent->record.state == MESHPING_AGENT_APPROVED)
            snprintf(status->message, sizeof status->message, "the server cannot store samples now");
    }
    connection_send(c, &message);
}

void agents_tell_state(server *s, agent_entry *agent)
{
    agent_connection *c = agent->connection;
    if (!c)
        return;
    agents_tell_status(c);
    pin_change_tell(c);
    if (agent->record.state != MESHPING_AGENT_APPROVED)
        pushing_forget(c); /* with the next approval it gets the whole list */
    agents_tell_targets(s, agent);
    if (agent->record.state == MESHPING_AGENT_BLACKLISTED)
        c->close_after = true;
}

/* Once when it begins, once when it ends. */
static void tell_skew(agent_entry *agent)
{
    int64_t offset_us, error_us;
    if (!meshping_clock_read(&agent->clock, server_mono_ms() * 1000, &offset_us, &error_us))
        return;
    bool skewed = llabs(offset_us) - error_us > MESHPING_CLOCK_SKEW_US;
    if (skewed == agent->clock_skewed)
        return;
    agent->clock_skewed = skewed;
    if (skewed)
        log_warning("agents", "%s: its clock is %.3f s %s the server's: its samples carry its own time",
                    agent->record.host_name, (double)llabs(offset_us) / 1e6, offset_us < 0 ? "behind" : "ahead of");
    else
        log_info("agents", "%s: its clock agrees with the server's again", agent->record.host_name);
}

static void send_status(agent_connection *c, uint64_t ping, uint64_t pong)
{
    meshping_message message = {.event = MESHPING_EVENT_STATUS};
    meshping_now now = meshping_now_read();
    if (ping)
        c->pinged = now;
    message.u.status.time_unix_us = now.unix_ns / 1000;
    message.u.status.ping = ping;
    message.u.status.pong = pong;
    message.u.status.echo_unix_us = pong ? now.unix_ns / 1000 : 0;
    message.u.status.retry_s = retry_s(c->server);
    connection_send(c, &message);
}

/* Of the four times ours are taken from one reading of the wall clock, so that a step of it in between tells nothing.
 */
static void take_pong(agent_connection *c, const meshping_status_message *status)
{
    meshping_now now = meshping_now_read();
    int64_t sent_us = c->pinged.unix_ns / 1000, way_us = (now.mono_ns - c->pinged.mono_ns) / 1000;
    if (status->pong != c->ping_counter || !status->echo_unix_us)
        return;
    c->ping_counter++; /* one answer to each */
    if (meshping_clock_add(&c->agent->clock, sent_us, status->echo_unix_us, status->time_unix_us, sent_us + way_us,
                           now.mono_ns / 1000) == MESHPING_OK)
        tell_skew(c->agent);
}

void agents_ack(agent_connection *c, meshping_message *out)
{
    memset(out, 0, sizeof *out);
    out->event = MESHPING_EVENT_DATA_RECEIVED;
    out->u.data_received.epoch = c->epoch;
    out->u.data_received.credit_bytes = storing_credit(c);
    out->u.data_received.range_count = c->range_count;
    memcpy(out->u.data_received.ranges, c->ranges, c->range_count * sizeof *c->ranges);
    quarantine_add_ranges(c, out->u.data_received.ranges, &out->u.data_received.range_count);
}

/* ---- the handshake ---- */

void agents_opened(agent_connection *c)
{
    meshping_message message = {.event = MESHPING_EVENT_WELCOME};
    meshping_welcome *welcome = &message.u.welcome;
    c->opened_ms = c->heard_ms = c->status_ms = server_mono_ms();
    c->paused = alarm_is_raised(&c->server->alarms, ALARM_STORE);
    if (RAND_bytes(c->binding.nonce_s, MESHPING_NONCE_LEN) != 1) {
        connection_refuse(c, 1011, "no random numbers to be had");
        return;
    }
    c->binding.server_id = c->server->server_id;
    welcome->version = MESHPING_PROTOCOL_VERSION;
    welcome->server_id = c->server->server_id;
    memcpy(welcome->nonce_s, c->binding.nonce_s, MESHPING_NONCE_LEN);
    welcome->time_unix_ms = server_unix_ms();
    connection_send(c, &message);
}

/* ---- what agents say ---- */

/* A block or gap on its way into the store; the connection may be gone when it is there. */
typedef struct pending_write {
    server *server;
    uint64_t agent_id;
} pending_write;

static void stored(void *user, const meshping_block_done *done)
{
    pending_write *pending = user;
    server *s = pending->server;
    agent_entry *agent = server_agent_by_id(s, pending->agent_id);
    const meshping_block_write *write = done->write;
    free(pending);
    quarantine_note(s, agent, done);
    if (done->status != MESHPING_OK) {
        storing_failed(s, agent, done);
        return;
    }
    if (done->stored)
        storing_worked(s);
    if (done->noted && agent)
        samples_take_clock(agent, &write->clock);
    if (agent)
        samples_take_past(agent, done);
    if (write->bytes) {
        s->counters.blocks += done->stored && !done->quarantined;
        s->counters.blocks_duplicate += !done->stored;
        if (done->stored && !done->quarantined)
            samples_take(s, &done->block);
    }
    agent_connection *c = agent ? agent->connection : NULL;
    if (!c || c->closing || c->epoch != write->epoch)
        return;
    c->range_count = done->range_count;
    memcpy(c->ranges, done->ranges, done->range_count * sizeof *c->ranges);
    c->ack_due = true;
    lws_callback_on_writable(c->wsi);
}

static pending_write *pending_new(agent_connection *c)
{
    pending_write *pending = malloc(sizeof *pending);
    if (pending)
        *pending = (pending_write){c->server, c->agent->record.id};
    return pending;
}

/* Only approved agents' data is taken; only of the epoch that the handshake named. */
static bool may_send_data(agent_connection *c, uint64_t epoch)
{
    if (c->paused || joining_is_waiting(c))
        return false; /* sent before it heard, or before the ticket came: it sends it again */
    if (c->agent->record.state != MESHPING_AGENT_APPROVED && c->agent->record.state != MESHPING_AGENT_HOLD)
        connection_refuse(c, 1008, "data from an agent that is %s", meshping_agent_state_name(c->agent->record.state));
    else if (epoch != c->epoch)
        connection_refuse(c, 1008, "data of another epoch than its handshake's");
    return !c->closing;
}

/* bytes: taken over. */
static void submit(agent_connection *c, uint64_t epoch, uint64_t sequence, uint8_t *bytes, size_t length)
{
    meshping_error err = {0};
    meshping_block_write write = {.agent_id = c->agent->record.id,
                                  .epoch = epoch,
                                  .sequence = sequence,
                                  .bytes = bytes,
                                  .length = length,
                                  .received_unix_us = meshping_now_read().unix_ns / 1000,
                                  .clock = server_clock_note(c->agent)};
    memcpy(write.source, c->peer, sizeof write.source);
    pending_write *pending = bytes ? pending_new(c) : NULL;
    meshping_status status = pending ? meshping_store_submit_block(c->server->store, &write, stored, pending, &err)
                                     : meshping_error_set(&err, MESHPING_NOMEM, "out of memory");
    if (status == MESHPING_OK)
        return;
    free(pending);
    meshping_free(bytes);
    c->server->counters.blocks_refused++;
    if (status == MESHPING_CORRUPT)
        connection_refuse(c, 1007, "its block cannot be taken: %s", err.message);
    else
        storing_full(c, &err);
}

void agents_block(agent_connection *c, const uint8_t *frame, size_t length)
{
    meshping_error err;
    uint64_t epoch, sequence;
    const uint8_t *block;
    size_t block_length;
    agents_heard(c);
    if (meshping_frame_header_decode(frame, length, &epoch, &sequence, &block, &block_length, &err) != MESHPING_OK) {
        connection_refuse(c, 1007, "%s", err.message);
        return;
    }
    if (!may_send_data(c, epoch))
        return;
    uint8_t *copy = malloc(block_length ? block_length : 1);
    if (copy)
        memcpy(copy, block, block_length);
    submit(c, epoch, sequence, copy, block_length);
}

static void tell_gap(agent_connection *c, const meshping_gap *gap)
{
    int64_t now_ms = server_mono_ms();
    if (c->gap_told_ms && now_ms - c->gap_told_ms < GAP_TELL_MS)
        return;
    c->gap_told_ms = now_ms;
    log_warning("agents", "%s dropped %llu samples before they could be sent: %s", c->agent->record.host_name,
                (unsigned long long)gap->sample_count, meshping_gap_reason_name(gap->reason));
}

static void on_gap(agent_connection *c, const meshping_gap_message *message)
{
    meshping_error err;
    if (!may_send_data(c, message->epoch))
        return;
    pending_write *pending = pending_new(c);
    meshping_block_write write = {.agent_id = c->agent->record.id,
                                  .epoch = message->epoch,
                                  .received_unix_us = meshping_now_read().unix_ns / 1000};
    memcpy(write.source, c->peer, sizeof write.source);
    if (!pending ||
        meshping_store_submit_gap(c->server->store, &write, &message->gap, stored, pending, &err) != MESHPING_OK)
        free(pending); /* the agent tells it again */
    else
        tell_gap(c, &message->gap);
}

/* A target that it is to ping: of others it has nothing to say. */
static bool is_its(const agent_connection *c, uint64_t target_id)
{
    size_t column = plan_column_of(c->server->plan, target_id);
    return column != SIZE_MAX && c->agent->row && plan_pings(c->server->plan, c->agent->row, column);
}

static void take_words(agent_connection *c, const meshping_status_message *status)
{
    c->agent->has_load = c->agent->has_load || status->has_load;
    if (status->has_load)
        c->agent->load = status->load;
    for (size_t i = 0; i < status->resolved_count; i++)
        if (is_its(c, status->resolved[i].target_id))
            target_notes_resolve(&c->agent->notes, status->resolved[i].target_id, status->resolved[i].address);
}

static void on_status(agent_connection *c, const meshping_status_message *status)
{
    c->agent->buffered_samples = status->buffered_samples;
    c->agent->dropped_samples = status->dropped_samples;
    if (server_agent_has_row(c->agent))
        take_words(c, status);
    if (status->pong)
        take_pong(c, status);
    if (status->ping)
        send_status(c, 0, status->ping);
}

/* In parts; what it refuses may change while the list does not. Ids of no target of its are of one that has gone. */
static void on_targets_applied(agent_connection *c, const meshping_targets_applied *applied)
{
    target_notes *notes = &c->agent->notes;
    if (!server_agent_has_row(c->agent))
        return;
    if (applied->part == 0) {
        c->refused_before = notes->refused_count;
        target_notes_clear_refused(notes);
        if (applied->revision != c->noted_revision) /* it tells its names' addresses anew */
            target_notes_clear_addresses(notes);
    }
    for (size_t i = 0; i < applied->refused_count; i++)
        if (is_its(c, applied->refused[i].target_id))
            target_notes_refuse(notes, applied->refused[i].target_id, applied->refused[i].why);
    if (applied->part + 1 < applied->parts)
        return;
    pushing_applied(c, applied->revision);
    if (applied->revision != c->noted_revision || notes->refused_count != c->refused_before)
        c->server->live_version++;
    c->noted_revision = applied->revision;
}

static void on_message(agent_connection *c, meshping_message *message)
{
    switch (message->event) {
    case MESHPING_EVENT_STATUS:
        on_status(c, &message->u.status);
        break;
    case MESHPING_EVENT_TARGETS_APPLIED:
        on_targets_applied(c, &message->u.targets_applied);
        break;
    case MESHPING_EVENT_MONITORING_DATA:
        if (may_send_data(c, message->u.monitoring_data.epoch)) {
            uint8_t *bytes = message->u.monitoring_data.block;
            message->u.monitoring_data.block = NULL;
            submit(c, message->u.monitoring_data.epoch, message->u.monitoring_data.sequence, bytes,
                   message->u.monitoring_data.block_length);
        }
        break;
    case MESHPING_EVENT_GAP:
        on_gap(c, &message->u.gap);
        break;
    case MESHPING_EVENT_JOINED:
        joining_joined(c, &message->u.joined);
        break;
    case MESHPING_EVENT_PIN_STORED:
        pin_change_stored(c, &message->u.pins);
        break;
    case MESHPING_EVENT_REKEY:
        rekeying_answer(c, &message->u.rekey);
        break;
    case MESHPING_EVENT_PROBE_RESULT:
        probing_answer(c, &message->u.probe_answer);
        break;
    case MESHPING_EVENT_HANDSHAKE:
        connection_refuse(c, 1008, "a second handshake");
        break;
    default:
        connection_refuse(c, 1008, "a message that only the server sends: %s", meshping_event_name(message->event));
        break;
    }
}

void agents_message(agent_connection *c, const char *text, size_t length)
{
    meshping_message message;
    meshping_error err = {0};
    if (meshping_message_decode(&message, text, length, &err) != MESHPING_OK) {
        connection_refuse(c, 1007, "%s", err.message);
        return;
    }
    agents_heard(c);
    if (c->agent) {
        on_message(c, &message);
    } else if (message.event != MESHPING_EVENT_HANDSHAKE || c->close_after) {
        connection_refuse(c, 1008, "%s before the handshake", meshping_event_name(message.event));
    } else {
        joining_handshake(c, &message.u.handshake);
    }
    meshping_message_dispose(&message);
}

void agents_closed(agent_connection *c)
{
    agent_entry *agent = c->agent;
    if (!agent || agent->connection != c)
        return;
    agent->connection = NULL;
    log_info("agents", "%016llx %s disconnected", (unsigned long long)agent->record.id, agent->record.host_name);
}

static void look_at(agent_connection *c, int64_t now_ms)
{
    const server *s = c->server;
    if (!c->agent) { /* web.c measures from the connection on, but not where another request came before */
        if (now_ms - c->opened_ms > (int64_t)s->config.authentication_s * 1000)
            connection_refuse(c, 1008, "it did not authenticate within %d s", s->config.authentication_s);
        return;
    }
    if (now_ms - server_silent_since(s, c->heard_ms) > (int64_t)s->config.offline_s * 1000) {
        connection_refuse(c, 1001, "no word for %d s", s->config.offline_s);
        return;
    }
    if (c->ticket_serial && now_ms - c->ticket_since_ms > CONFIRMATION_MS) {
        connection_refuse(c, 1008, "it did not confirm its join ticket within %d s", CONFIRMATION_MS / 1000);
        return;
    }
    /* the answer to the handshake comes first, and waits until its ticket is durable */
    if (!c->ticket_due && spread_is_due(now_ms, c->status_ms, c->agent->record.id, status_every_ms(s))) {
        c->status_ms = now_ms;
        send_status(c, ++c->ping_counter, 0);
    }
}

void agents_turn(void)
{
    int64_t now_ms = server_mono_ms(); /* a step of the wall clock is nobody's silence */
    for (size_t left = spread_share(connection_count(), SERVER_TURNS_A_SECOND); left; left--)
        look_at(connection_in_turn(), now_ms);
}
