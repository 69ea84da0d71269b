/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's session: docs/PROTOCOL.md. Timers and messages; link.c carries them. */
#include "net/internal.h"

#include "base/alloc.h"
#include "core/address.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)
#define STATUS_MS 10000
#define AUTHENTICATION_MS 10000
#define PING_SPACING_MS 1000
#define STABLE_MS 30000 /* a session that lasted so long was a good one: the next tries begin at once again */

const char *meshping_link_name(unsigned link)
{
    switch (link) {
#define XX(value, name, text)                                                                                          \
    case MESHPING_LINK_##name:                                                                                         \
        return text;
        MESHPING_LINK_MAP(XX)
#undef XX
    }
    return "unknown";
}

void meshping_session_options_init(meshping_session_options *options)
{
    *options = (meshping_session_options){.struct_size = sizeof *options, .silence_ms = 15000, .backoff_max_ms = 60000};
}

void meshping__session_tell(meshping_session *session, const char *message)
{
    if (session->options.callbacks.on_link)
        session->options.callbacks.on_link(session->options.callbacks.user, session->link, message);
}

static void set_link(meshping_session *session, meshping_link link, const char *message)
{
    session->link = link;
    meshping__session_tell(session, message);
}

/* ---- making one ---- */

/* Compares what was stored with the passphrase at hand, and settles which server is ours. */
static meshping_status settle_server(meshping_session *session, meshping_error *err)
{
    meshping_passphrase passphrase;
    meshping_status status = meshping__state_server_load(&session->server, session->state_dir, err);
    if (status != MESHPING_OK && status != MESHPING_NOT_FOUND)
        return status;
    bool known = status == MESHPING_OK && session->server.enrolled;
    if (!session->options.passphrase)
        return known ? MESHPING_OK
                     : meshping_error_set(err, MESHPING_INVALID,
                                          "this agent has not joined a server yet: it needs a passphrase");
    status = meshping_passphrase_decode(&passphrase, session->options.passphrase, err);
    if (status != MESHPING_OK)
        return known ? MESHPING_OK : status; /* a spoilt file does not stop an agent that needs it no more */
    if (!known || !meshping__pins_are_of(&session->server, passphrase.pin)) {
        session->former = session->server;
        session->server = (server_state){0};
        memcpy(session->server.pins.pin, passphrase.pin, MESHPING_PIN_LEN);
        memcpy(session->server.passphrase_pin, passphrase.pin, MESHPING_PIN_LEN);
    }
    session->server_unsaved =
        session->server.port != passphrase.port || strcmp(session->server.host, passphrase.host) != 0;
    /* the same server may have moved: the passphrase's address is the newer one */
    memcpy(session->server.host, passphrase.host, sizeof session->server.host);
    session->server.port = passphrase.port;
    memcpy(session->key, passphrase.key, sizeof session->key);
    session->has_key = true;
    OPENSSL_cleanse(&passphrase, sizeof passphrase);
    return MESHPING_OK;
}

static meshping_status load_state(meshping_session *session, meshping_error *err)
{
    meshping_status status = meshping__state_dir_open(&session->lock_fd, session->state_dir, err);
    if (status == MESHPING_OK)
        status = meshping__state_identity(session->seed, session->state_dir, err);
    if (status == MESHPING_OK)
        status = meshping_identity_public(session->public_key, session->seed);
    if (status != MESHPING_OK)
        return status;
    meshping_identity_fingerprint(session->fingerprint, session->public_key);
    status = settle_server(session, err);
    if (status != MESHPING_OK)
        return status;
    /* a damaged list is no reason to stop: the server sends it anew */
    if (session->server.enrolled)
        meshping__state_targets_load(&session->targets, session->state_dir, NULL);
    return MESHPING_OK;
}

static meshping_status settle_advertise(meshping_session *session, const char *text, meshping_error *err)
{
    meshping_address address;
    if (!text)
        return MESHPING_OK;
    if (meshping_address_parse(&address, text, NULL) != MESHPING_OK || address.scope_id)
        return meshping_error_set(err, MESHPING_INVALID, "advertise: \"%.64s\" is not an IP address without a zone",
                                  text);
    if (meshping__needs_zone(&address))
        return meshping_error_set(err, MESHPING_INVALID, "advertise: \"%.64s\" is known on one link only", text);
    meshping_address_format(&address, session->advertise);
    return MESHPING_OK;
}

meshping_status meshping_session_new(meshping_session **out, const meshping_session_options *options,
                                     meshping_error *err)
{
    struct utsname name;
    *out = NULL;
    if (!options || options->struct_size != sizeof *options || !options->state_dir || !options->buffer)
        return meshping_error_set(err, MESHPING_INVALID, "a session needs a state directory and a buffer");
    meshping_session *session = meshping__calloc(1, sizeof *session);
    if (!session)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    session->lock_fd = -1;
    session->options = *options;
    session->delivery.buffer = options->buffer;
    session->connect_at_ns = 0;
    session->deadline_ns = session->status_at_ns = INT64_MAX;
    session->now = meshping_now_read();
    meshping_status status = MESHPING_NOMEM;
    if (uname(&name) != 0)
        name.nodename[0] = '\0';
    session->state_dir = meshping__strdup(options->state_dir);
    session->host_name = meshping__strdup(options->host_name ? options->host_name
                                          : name.nodename[0] ? name.nodename
                                                             : "unnamed");
    if (session->state_dir && session->host_name)
        status = settle_advertise(session, options->advertise, err);
    if (status == MESHPING_OK)
        status = load_state(session, err);
    if (status == MESHPING_OK)
        status = meshping__link_open(session, err);
    session->options.passphrase = session->options.state_dir = session->options.host_name = NULL;
    session->options.advertise = NULL;
    if (status != MESHPING_OK) {
        meshping_session_free(session);
        return status;
    }
    *out = session;
    return MESHPING_OK;
}

void meshping_session_free(meshping_session *session)
{
    if (!session)
        return;
    session->options.callbacks = (meshping_session_callbacks){0};
    meshping__link_close(session);
    meshping__delivery_dispose(&session->delivery);
    meshping_target_list_dispose(&session->targets);
    meshping__targets_drop_incoming(session);
    meshping__about_forget_told(session);
    meshping__free(session->refused);
    meshping__free(session->state_dir);
    meshping__free(session->host_name);
    OPENSSL_cleanse(session->key, sizeof session->key);
    OPENSSL_cleanse(session->seed, sizeof session->seed);
    if (session->lock_fd >= 0)
        close(session->lock_fd);
    meshping__free(session);
}

/* ---- connecting ---- */

void meshping__session_lost(meshping_session *session, const char *reason)
{
    char message[256];
    if (session->answered && session->now.mono_ns - session->answered_ns >= STABLE_MS * MS_NS)
        session->backoff_ms = 0;
    session->failures = session->answered ? 0 : session->failures + 1;
    session->answered = false;
    int64_t delay_ms = meshping__retry_after_loss(session, session->link == MESHPING_LINK_REFUSED ||
                                                               session->link == MESHPING_LINK_BLACKLISTED);
    meshping__delivery_stop(&session->delivery);
    session->deadline_ns = session->status_at_ns = INT64_MAX;
    session->ping_id = 0;
    session->targets_told = false;
    session->extra_count = 0; /* who asked is not there to hear */
    meshping__about_forget_told(session);
    meshping__targets_drop_incoming(session);
    snprintf(message, sizeof message, "%s; next try in %.1f s", reason, (double)delay_ms / 1000);
    if (session->options.callbacks.on_lost)
        session->options.callbacks.on_lost(session->options.callbacks.user);
    set_link(session, MESHPING_LINK_DISCONNECTED, message);
}

static void start_connection(meshping_session *session)
{
    char message[MESHPING_HOST_MAX + 32];
    session->connect_at_ns = INT64_MAX;
    session->welcomed = session->answered = false;
    session->heard_ns = session->now.mono_ns;
    session->deadline_ns = session->now.mono_ns + 2 * AUTHENTICATION_MS * MS_NS;
    snprintf(message, sizeof message, "connecting to %s port %u", session->server.host, session->server.port);
    set_link(session, MESHPING_LINK_CONNECTING, message);
    meshping__link_connect(session);
}

void meshping__session_established(meshping_session *session)
{
    session->heard_ns = session->now.mono_ns;
    session->deadline_ns = session->now.mono_ns + AUTHENTICATION_MS * MS_NS;
}

/* ---- messages ---- */

static void on_welcome(meshping_session *session, const meshping_welcome *welcome)
{
    meshping_message reply = {.event = MESHPING_EVENT_HANDSHAKE};
    meshping_agent_info info = {0};
    meshping_error err = {0};
    if (session->welcomed || welcome->version != MESHPING_PROTOCOL_VERSION) {
        meshping__link_drop(session, session->welcomed ? "the server said welcome twice"
                                                       : "the server speaks another version of the protocol");
        return;
    }
    session->welcomed = true;
    session->binding.server_id = welcome->server_id;
    memcpy(session->binding.nonce_s, welcome->nonce_s, MESHPING_NONCE_LEN);
    memcpy(session->binding.public_key, session->public_key, MESHPING_KEY_LEN);
    meshping__random(session->binding.nonce_a, MESHPING_NONCE_LEN);
    snprintf(info.host_name, sizeof info.host_name, "%s", session->host_name);
    snprintf(info.address, sizeof info.address, "%s", session->local_address);
    snprintf(info.advertise, sizeof info.advertise, "%s", session->advertise);
    snprintf(info.version, sizeof info.version, "%s", meshping_version());
    info.epoch = meshping_buffer_epoch(session->delivery.buffer);
    session->server.server_id = welcome->server_id;
    meshping__pins_recognise(session, welcome->server_id);
    meshping_status status =
        session->server.enrolled
            ? meshping_handshake_resume(&reply.u.handshake, &session->binding, session->seed,
                                        session->server.has_ticket ? session->server.ticket : NULL, &info, &err)
            : meshping_handshake_enrol(&reply.u.handshake, &session->binding, session->seed, session->key, &info, &err);
    if (status == MESHPING_OK)
        meshping__link_send(session, &reply);
    else
        meshping__link_drop(session, err.message);
}

static void send_gaps(meshping_session *session)
{
    for (size_t i = 0; i < MESHPING_RANGES_MAX / 2; i++) {
        meshping_message message = {.event = MESHPING_EVENT_GAP};
        if (meshping_buffer_gap(session->delivery.buffer, i, &message.u.gap.gap) != MESHPING_OK)
            return;
        message.u.gap.epoch = meshping_buffer_epoch(session->delivery.buffer);
        meshping__link_send(session, &message);
    }
}

/* The server took us: what it is and where it was met is kept, so that the passphrase is needed no more. */
static void note_enrolled(meshping_session *session)
{
    char message[MESHPING_ERROR_MESSAGE_MAX + 160];
    meshping_error err;
    meshping_status status = MESHPING_OK;
    bool joined = !session->server.enrolled || session->join_unsaved;
    if (!joined && !session->server_unsaved)
        return;
    session->server.enrolled = true;
    if (joined) /* what another server gave out before is none of this one's */
        status = meshping__state_targets_save(&session->targets, session->state_dir, &err);
    if (status == MESHPING_OK)
        status = meshping__state_server_save(&session->server, session->state_dir, &err);
    session->join_unsaved = joined && status != MESHPING_OK;
    if (status == MESHPING_OK) {
        session->server_unsaved = false;
        return;
    }
    snprintf(message, sizeof message, "%s: %s", err.message,
             joined ? "until it can be written this agent stays out, and needs its passphrase after a restart"
                    : "the server's new address is written with a later connection");
    if (joined)
        meshping__link_drop(session, message);
    else
        meshping__session_tell(session, message);
}

static void forget_key(meshping_session *session)
{
    OPENSSL_cleanse(session->key, sizeof session->key);
    session->has_key = false;
}

/* The ticket is durable here before the server hears so: it then counts as the one that this agent has. */
static void store_ticket(meshping_session *session, const uint8_t ticket[MESHPING_TICKET_LEN])
{
    meshping_message reply = {.event = MESHPING_EVENT_JOINED};
    meshping_error err;
    server_state before = session->server;
    session->server.has_ticket = true;
    memcpy(session->server.ticket, ticket, MESHPING_TICKET_LEN);
    if (meshping__state_server_save(&session->server, session->state_dir, &err) != MESHPING_OK) {
        session->server = before;
        meshping__link_drop(session, err.message);
        return;
    }
    for (size_t i = 0; i < 8; i++)
        reply.u.joined.serial = reply.u.joined.serial << 8 | ticket[i];
    meshping__link_send(session, &reply);
}

/* False: the connection ends. docs/PROTOCOL.md, Delivery, Epochs. */
static bool begin_delivery(meshping_session *session, const meshping_registration_status *status)
{
    static const char why[] = "the server has what this process never sent: there is a copy of it, or it was set back;"
                              " a new epoch begins";
    uint64_t epoch = 0;
    meshping_buffer *buffer = session->delivery.buffer;
    if (meshping_buffer_reconcile(buffer, status->ranges, status->range_count) == MESHPING_OK) {
        meshping__delivery_start(&session->delivery, status->credit_bytes);
        return true;
    }
    while (!epoch)
        if (meshping__random(&epoch, sizeof epoch) != MESHPING_OK)
            break;
    meshping_buffer_renew(buffer, epoch);
    set_link(session, MESHPING_LINK_APPROVED, why); /* so that it is logged, however often this one was disconnected */
    meshping__link_drop(session, why);
    return false;
}

static void on_registration_status(meshping_session *session, const meshping_registration_status *status)
{
    static const meshping_link links[] = {
        [MESHPING_AGENT_PENDING] = MESHPING_LINK_PENDING,
        [MESHPING_AGENT_APPROVED] = MESHPING_LINK_APPROVED,
        [MESHPING_AGENT_HOLD] = MESHPING_LINK_HOLD,
        [MESHPING_AGENT_BLACKLISTED] = MESHPING_LINK_BLACKLISTED,
    };
    char message[MESHPING_AGENT_TEXT_MAX + 64];
    if (!session->answered) {
        session->answered = true;
        session->answered_ns = session->now.mono_ns;
        session->deadline_ns = INT64_MAX;
        session->status_at_ns = session->now.mono_ns + STATUS_MS * MS_NS;
        if (session->connecting_family != session->server.family) {
            session->server.family = session->connecting_family;
            session->server_unsaved = true;
        }
        note_enrolled(session);
    }
    session->failures = 0;
    session->retry_s = status->retry_s;
    forget_key(session); /* from now on the key is what it is known by */
    if (status->has_ticket) {
        meshping__delivery_stop(&session->delivery);
        store_ticket(session, status->ticket); /* what this status means comes again after joined */
        return;
    }
    if (status->credit_bytes && status->epoch == meshping_buffer_epoch(session->delivery.buffer)) {
        if (!session->delivery.open && !begin_delivery(session, status))
            return;
        meshping__delivery_ack(&session->delivery, status->ranges, status->range_count, status->credit_bytes);
        send_gaps(session);
    } else if (!status->credit_bytes) {
        meshping__delivery_stop(&session->delivery);
    }
    if (status->state == MESHPING_AGENT_PENDING || status->state == MESHPING_AGENT_BLACKLISTED)
        meshping__targets_forget(session);
    snprintf(message, sizeof message, "%s%s%s", meshping_agent_state_name(status->state),
             status->message[0] ? ": " : "", status->message);
    set_link(session, links[status->state], message);
    meshping__link_want_write(session);
}

static void on_refused(meshping_session *session, const meshping_refused *refused)
{
    char message[MESHPING_AGENT_TEXT_MAX + 128];
    if (strcmp(refused->code, "rekeyed") == 0 && meshping__rekey_refused(session)) {
        meshping__link_drop(session, "the server has this agent's new key");
        return;
    }
    session->retry_s = refused->retry_s;
    /* the server does not know this key (or ticket) any more: with a passphrase at hand, ask to join anew */
    bool unknown = strcmp(refused->code, "unknown_key") == 0 || strcmp(refused->code, "ticket") == 0;
    if (unknown && session->has_key)
        session->server.enrolled = false;
    else
        session->link = MESHPING_LINK_REFUSED;
    snprintf(message, sizeof message, "refused (%s): %s", refused->code, refused->message);
    set_link(session, session->link, message);
    meshping__link_drop(session, message);
}

static void on_server_message(meshping_session *session, const meshping_message *message)
{
    switch (message->type) {
    case MESHPING_SERVER_MESSAGE_UPDATE_TARGETS:
        meshping__targets_update(session, &message->u.target_update);
        break;
    case MESHPING_SERVER_MESSAGE_REKEY:
        meshping__rekey_asked(session, &message->u.rekey_request);
        break;
    case MESHPING_SERVER_MESSAGE_REKEYED:
        meshping__rekey_done(session, &message->u.rekeyed);
        break;
    case MESHPING_SERVER_MESSAGE_PIN_CHANGE:
        meshping__pins_told(session, &message->u.pins);
        break;
    case MESHPING_SERVER_MESSAGE_PROBE_NOW:
        meshping__probes_asked(session, &message->u.probe_now);
        break;
    }
}

/* regular: with what is told of the agent, not only an answer. */
static void send_status(meshping_session *session, uint64_t ping, uint64_t pong, bool regular)
{
    meshping_message message = {.event = MESHPING_EVENT_STATUS};
    meshping_buffer_stats stats;
    meshping_buffer_get_stats(session->delivery.buffer, &stats);
    message.u.status.time_unix_us = session->now.unix_ns / 1000;
    message.u.status.ping = ping;
    message.u.status.pong = pong;
    message.u.status.echo_unix_us = pong ? session->now.unix_ns / 1000 : 0;
    message.u.status.buffered_samples = stats.samples;
    message.u.status.dropped_samples = stats.dropped_samples;
    if (regular)
        meshping__about_status(session, &message.u.status);
    meshping__link_send(session, &message);
    meshping__free(message.u.status.resolved);
}

static void on_status(meshping_session *session, const meshping_status_message *status)
{
    if (status->retry_s)
        session->retry_s = status->retry_s;
    if (status->pong && status->pong == session->ping_id) {
        session->ping_id = 0;
        if (session->options.callbacks.on_answer)
            session->options.callbacks.on_answer(session->options.callbacks.user, session->pinged_ns,
                                                 session->now.mono_ns);
    }
    if (status->ping)
        send_status(session, 0, status->ping, false);
}

static void on_data_received(meshping_session *session, const meshping_data_received *received)
{
    if (received->epoch != meshping_buffer_epoch(session->delivery.buffer))
        return;
    meshping__delivery_ack(&session->delivery, received->ranges, received->range_count, received->credit_bytes);
    meshping__link_want_write(session);
}

void meshping__session_message(meshping_session *session, const char *text, size_t length)
{
    meshping_message message;
    meshping_error err = {0};
    session->heard_ns = session->now.mono_ns;
    if (meshping_message_decode(&message, text, length, &err) != MESHPING_OK) {
        meshping__link_drop(session, err.message);
        return;
    }
    if (message.event == MESHPING_EVENT_WELCOME)
        on_welcome(session, &message.u.welcome);
    else if (!session->welcomed)
        meshping__link_drop(session, "the server did not say welcome");
    else if (message.event == MESHPING_EVENT_REFUSED)
        on_refused(session, &message.u.refused);
    else if (message.event == MESHPING_EVENT_REGISTRATION_STATUS)
        on_registration_status(session, &message.u.registration_status);
    else if (!session->answered)
        meshping__link_drop(session, "the server did not answer the handshake first");
    else if (message.event == MESHPING_EVENT_SERVER_MESSAGE)
        on_server_message(session, &message);
    else if (message.event == MESHPING_EVENT_STATUS)
        on_status(session, &message.u.status);
    else if (message.event == MESHPING_EVENT_DATA_RECEIVED)
        on_data_received(session, &message.u.data_received);
    else
        meshping__link_drop(session, "the server sent a message that only agents send");
    meshping_message_dispose(&message);
}

/* ---- time ---- */

static void ping(meshping_session *session, bool regular)
{
    session->ping_id = ++session->ping_counter;
    session->pinged_ns = session->now.mono_ns;
    send_status(session, session->ping_id, 0, regular);
}

static void run_timers(meshping_session *session)
{
    int64_t now_ns = session->now.mono_ns;
    if (session->resolving)
        meshping__link_resolve(session);
    if (session->connect_at_ns <= now_ns)
        start_connection(session);
    if (session->deadline_ns <= now_ns) {
        session->deadline_ns = INT64_MAX;
        if (session->wsi)
            meshping__link_drop(session, "the server did not answer in time");
    }
    if (session->status_at_ns <= now_ns) {
        session->status_at_ns = now_ns + STATUS_MS * MS_NS;
        if (session->ping_id)
            send_status(session, 0, 0, true); /* the outstanding ping keeps its time */
        else
            ping(session, true);
        if (session->delivery.open)
            send_gaps(session);
        meshping__link_want_write(session);
    }
    if (session->answered && session->wsi && now_ns - session->heard_ns > session->options.silence_ms * MS_NS) {
        session->heard_ns = now_ns;
        meshping__link_drop(session, "no word from the server");
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t meshping_session_deadline_ns(const meshping_session *session)
{
    int64_t deadline_ns = earlier(session->deadline_ns, session->status_at_ns);
    deadline_ns = earlier(deadline_ns, session->connect_at_ns);
    if (session->resolving)
        deadline_ns = earlier(deadline_ns, meshping__resolver_deadline_ns(session->resolver, session->now.mono_ns));
    if (session->answered && session->wsi)
        deadline_ns = earlier(deadline_ns, session->heard_ns + (session->options.silence_ms + 1) * MS_NS);
    uv_update_time((uv_loop_t *)&session->loop);
    int timeout_ms = uv_backend_timeout(&session->loop);
    if (timeout_ms >= 0)
        deadline_ns = earlier(deadline_ns, (int64_t)(uv_now(&session->loop) + (uint64_t)timeout_ms) * MS_NS);
    return deadline_ns;
}

void meshping_session_process(meshping_session *session, const meshping_now *now)
{
    session->now = *now;
    run_timers(session);
    uv_run(&session->loop, UV_RUN_NOWAIT);
}

int meshping_session_fd(const meshping_session *session)
{
    return uv_backend_fd(&session->loop);
}

void meshping_session_wake(meshping_session *session)
{
    meshping__link_want_write(session);
}

bool meshping_session_ping(meshping_session *session, const meshping_now *now)
{
    if (!session->answered || !session->wsi)
        return false;
    session->now = *now;
    /* one at a time: the answer of the one under way will tell */
    if (!session->ping_id && now->mono_ns - session->pinged_ns >= PING_SPACING_MS * MS_NS)
        ping(session, false);
    return session->ping_id != 0;
}

const meshping_target_list *meshping_session_targets(const meshping_session *session)
{
    return &session->targets;
}

meshping_link meshping_session_link(const meshping_session *session)
{
    return session->link;
}

const char *meshping_session_fingerprint(const meshping_session *session)
{
    return session->fingerprint;
}
