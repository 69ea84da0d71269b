/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's daemon: probe engine -> isolation -> block -> buffer -> session, on one libuv loop. Everything that
 * measures is in the library; here are the wires between.
 */
#include "meshping-agent/run.h"

#include "common/log.h"
#include "meshping-agent/about.h"
#include "meshping-agent/options.h"
#include <meshping/block.h>
#include <meshping/isolation.h>
#include <meshping/privileges.h>
#include <meshping/probe.h>
#include <meshping/session.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <uv.h>

#define MS_NS INT64_C(1000000)
#define FLUSH_MS 5000
#define URGENT_MS 200 /* a changed verdict leaves so soon, with what came meanwhile */
#define GRACE_MARGIN_MS 1000
#define REFUSALS_MS 5000 /* how often the host is looked at for what it lacks */
#define LINK_FAILURES_LOGGED 3
#define STEP_NS (1000 * MS_NS) /* between two ticks the clock is not slewed so far: it was set */
#define LAST_WORDS_MS 2000     /* after a signal: to deliver what is measured already */

/* What the last verdict of a target was, to tell a change. */
typedef struct last_verdict {
    uint64_t target_id;
    bool known, lost;
} last_verdict;

typedef struct agent {
    uv_loop_t loop;
    uv_poll_t prober_poll, session_poll;
    uv_timer_t timer;
    uv_signal_t sigint, sigterm;
    meshping_prober *prober;
    meshping_isolation *isolation;
    meshping_block_builder *builder;
    meshping_buffer *buffer;
    meshping_session *session;
    last_verdict *verdicts; /* one a target, ascending by id */
    size_t verdict_count;
    int64_t flush_at_ns;
    int64_t tick_at_ns;
    int64_t apart_ns; /* the wall clock from the monotonic one */
    meshping_link logged_link;
    unsigned failures;
    load_meter load;
    size_t refused_count;
    int64_t refusals_at_ns;
    int64_t stop_at_ns; /* 0: running */
} agent;

static void run_due(agent *a);

/* ---- samples ---- */

static int compare_verdict(const void *key, const void *item)
{
    uint64_t id = *(const uint64_t *)key, other = ((const last_verdict *)item)->target_id;
    return id < other ? -1 : id > other;
}

static bool verdict_changed(agent *a, uint64_t target_id, const meshping_sample *sample)
{
    meshping_outcome_class class = meshping_outcome_classify(sample->outcome);
    last_verdict *last = a->verdict_count
                             ? bsearch(&target_id, a->verdicts, a->verdict_count, sizeof *a->verdicts, compare_verdict)
                             : NULL;
    if (!last || class == MESHPING_CLASS_LOCAL_ERROR)
        return false;
    bool lost = class == MESHPING_CLASS_FAIL, changed = !last->known || last->lost != lost;
    last->known = true;
    last->lost = lost;
    return changed;
}

/* Makes a block of what was collected and hands it to the buffer. */
static void flush(agent *a)
{
    uint8_t *bytes = NULL;
    size_t length = 0, count = meshping_block_builder_count(a->builder);
    int64_t first_us = 0, last_us = 0;
    uint64_t sequence;
    if (!count)
        return;
    meshping_block_builder_span(a->builder, &first_us, &last_us);
    if (meshping_block_builder_finish(a->builder, &bytes, &length) != MESHPING_OK) {
        log_error("samples", "out of memory: %zu samples wait", count);
        return;
    }
    if (meshping_buffer_push(a->buffer, bytes, length, count, first_us, last_us, &sequence) != MESHPING_OK) {
        log_error("samples", "the buffer does not take a block: %zu samples are lost", count);
        meshping_free(bytes);
        return;
    }
    meshping_session_wake(a->session);
}

/* From isolation: a decided sample. */
static void on_sample(void *user, uint64_t target_id, const meshping_sample *sample)
{
    agent *a = user;
    meshping_status status = meshping_block_builder_add(a->builder, target_id, sample);
    if (status == MESHPING_LIMIT) {
        flush(a);
        status = meshping_block_builder_add(a->builder, target_id, sample);
    }
    if (status != MESHPING_OK)
        log_error("samples", "a sample is lost: %s", meshping_status_text(status));
    if (verdict_changed(a, target_id, sample)) {
        int64_t soon_ns = meshping_now_read().mono_ns + URGENT_MS * MS_NS;
        if (a->flush_at_ns > soon_ns)
            a->flush_at_ns = soon_ns;
    }
}

static void on_address(void *user, uint64_t target_id, const char *host, const meshping_address *from,
                       const meshping_address *to)
{
    char before[MESHPING_ADDRESS_TEXT_MAX], after[MESHPING_ADDRESS_TEXT_MAX];
    (void)user;
    (void)target_id;
    if (from->family)
        log_info("targets", "%s has moved from %s to %s", host, meshping_address_format(from, before),
                 meshping_address_format(to, after));
    else
        log_debug("targets", "%s is %s", host, meshping_address_format(to, after));
}

static void on_result(void *user, const meshping_probe_result *result)
{
    agent *a = user;
    if (result->extra) {
        meshping_probe_answer found = {
            .outcome = result->sample.outcome,
            .rtt_us = result->sample.rtt_us,
            .sent_unix_us = result->sys_errno ? 0 : result->sent_unix_ns / 1000, /* refused: nothing was sent */
        };
        if (!result->target_id && !result->sent_mono_ns)
            found = (meshping_probe_answer){.unprobed = MESHPING_UNPROBED_UNKNOWN_TARGET};
        if (result->address.family)
            meshping_address_format(&result->address, found.address);
        meshping_session_probed(a->session, result->sequence, &found);
        return;
    }
    a->load.late_probes += (result->sample.flags & MESHPING_FLAG_LATE_SEND) != 0;
    a->load.overloaded += result->sample.outcome == MESHPING_OUTCOME_OVERLOADED;
    meshping_isolation_add(a->isolation, result->target_id, &result->sample, result->sent_mono_ns, result->done_mono_ns,
                           result->via_loopback);
}

/* ---- targets ---- */

static int compare_ids(const void *a, const void *b)
{
    const last_verdict *x = a, *y = b;
    return x->target_id < y->target_id ? -1 : x->target_id > y->target_id;
}

static void remember_verdicts(agent *a, const meshping_target_list *targets)
{
    last_verdict *verdicts = calloc(targets->count ? targets->count : 1, sizeof *verdicts);
    if (!verdicts)
        return; /* changes of new targets then wait for the next block */
    for (size_t i = 0; i < targets->count; i++)
        verdicts[i].target_id = targets->items[i].id;
    qsort(verdicts, targets->count, sizeof *verdicts, compare_ids);
    for (size_t i = 0; i < targets->count; i++) {
        last_verdict *old = a->verdict_count ? bsearch(&verdicts[i].target_id, a->verdicts, a->verdict_count,
                                                       sizeof *a->verdicts, compare_verdict)
                                             : NULL;
        if (old)
            verdicts[i] = *old;
    }
    free(a->verdicts);
    a->verdicts = verdicts;
    a->verdict_count = targets->count;
}

/* A miss waits for evidence as long as the slowest target needs to be heard of. */
static void fit_grace(agent *a, const meshping_target_list *targets)
{
    uint32_t longest_ms = 0;
    for (size_t i = 0; i < targets->count; i++)
        if (targets->items[i].interval_ms + targets->items[i].timeout_ms > longest_ms)
            longest_ms = targets->items[i].interval_ms + targets->items[i].timeout_ms;
    if (longest_ms)
        meshping_isolation_set_grace(a->isolation, longest_ms + GRACE_MARGIN_MS);
}

/* What this host lacks is no target's loss, nor is it found out by trying. */
static void tell_refusals(agent *a, const meshping_target_list *targets)
{
    meshping_refused_target *refused = calloc(targets->count ? targets->count : 1, sizeof *refused);
    size_t count = refused ? about_refusals(targets, refused) : SIZE_MAX;
    if (count != SIZE_MAX && meshping_session_refuse(a->session, refused, count) == MESHPING_OK) {
        if (count != a->refused_count)
            log_warning("targets", "%zu of %zu targets cannot be measured from here%s%s", count, targets->count,
                        count ? "; the first: " : "", count ? meshping_refusal_name(refused[0].why) : "");
        a->refused_count = count;
    }
    free(refused);
}

static void on_targets(void *user, const meshping_target_list *targets)
{
    agent *a = user;
    meshping_error err;
    meshping_now now = meshping_now_read();
    fit_grace(a, targets);
    remember_verdicts(a, targets);
    tell_refusals(a, targets);
    if (meshping_prober_set_targets(a->prober, targets, &now, &err) != MESHPING_OK)
        log_error("targets", "revision %llu cannot be used: %s", (unsigned long long)targets->revision, err.message);
    else
        log_info("targets", "revision %llu: %zu targets", (unsigned long long)targets->revision, targets->count);
}

/* ---- session ---- */

static void on_link(void *user, meshping_link link, const char *message)
{
    agent *a = user;
    /* a server that is away for a day is not a thousand lines */
    bool trying = link == MESHPING_LINK_DISCONNECTED || link == MESHPING_LINK_CONNECTING;
    if (link == MESHPING_LINK_DISCONNECTED)
        a->failures++;
    if (!trying)
        a->failures = 0;
    if (trying && a->failures > LINK_FAILURES_LOGGED)
        log_debug("server", "%s: %s", meshping_link_name(link), message);
    else if (link == MESHPING_LINK_CONNECTING || link == MESHPING_LINK_APPROVED)
        log_info("server", "%s: %s", meshping_link_name(link), message);
    else
        log_warning("server", "%s: %s%s", meshping_link_name(link), message,
                    a->failures == LINK_FAILURES_LOGGED ? " (further failures are logged at level debug)" : "");
    if (link == MESHPING_LINK_PENDING)
        log_warning("server", "waiting for an administrator; this agent's fingerprint is %s",
                    meshping_session_fingerprint(a->session));
}

static void on_lost(void *user)
{
    agent *a = user;
    meshping_isolation_session_lost(a->isolation);
}

static void on_answer(void *user, int64_t sent_ns, int64_t received_ns)
{
    agent *a = user;
    meshping_isolation_evidence(a->isolation, sent_ns, received_ns);
}

static meshping_status on_probe_now(void *user, uint64_t target_id, uint64_t tag)
{
    agent *a = user;
    return meshping_prober_probe_now(a->prober, target_id, tag);
}

static bool on_load(void *user, meshping_agent_load *out)
{
    agent *a = user;
    return load_meter_read(&a->load, out);
}

static bool on_name(void *user, uint64_t target_id, meshping_address *out)
{
    agent *a = user;
    return meshping_prober_target_address(a->prober, target_id, out) == MESHPING_OK;
}

/* ---- the loop ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void on_timer(uv_timer_t *timer)
{
    run_due(timer->data);
}

static void arm(agent *a)
{
    int64_t deadline_ns = earlier(meshping_prober_deadline_ns(a->prober), meshping_session_deadline_ns(a->session));
    deadline_ns = earlier(deadline_ns, meshping_isolation_deadline_ns(a->isolation));
    deadline_ns = earlier(deadline_ns, earlier(a->flush_at_ns, a->tick_at_ns));
    if (a->stop_at_ns)
        deadline_ns = earlier(meshping_session_deadline_ns(a->session), a->stop_at_ns);
    int64_t wait_ns = deadline_ns - meshping_now_read().mono_ns;
    uv_update_time(&a->loop);
    uv_timer_start(&a->timer, on_timer, wait_ns > 0 ? (uint64_t)((wait_ns + MS_NS - 1) / MS_NS) : 0, 0);
}

/* After a signal: all is delivered, nobody takes it, or time is up. */
static bool is_done(const agent *a, const meshping_now *now)
{
    meshping_buffer_stats stats;
    meshping_buffer_get_stats(a->buffer, &stats);
    return !stats.blocks || meshping_session_link(a->session) != MESHPING_LINK_APPROVED ||
           now->mono_ns >= a->stop_at_ns;
}

/*
 * A clock that was set, as at boot by the first answer of NTP, makes nothing that waits older. The time of a suspend
 * looks the same, and does not count either: what is kept too long is not lost.
 */
static void note_step(agent *a, const meshping_now *now)
{
    int64_t apart_ns = now->unix_ns - now->mono_ns, by_ns = apart_ns - a->apart_ns;
    a->apart_ns = apart_ns;
    if (llabs(by_ns) < STEP_NS)
        return;
    log_warning("agent", "the clock was set %s by %.3f s%s", by_ns < 0 ? "back" : "ahead", (double)llabs(by_ns) / 1e9,
                by_ns < 0 ? "" : ", or this machine was suspended");
    flush(a);
    meshping_buffer_clock_stepped(a->buffer, by_ns / 1000);
}

/* Whatever woke us: give everyone whose time has come a turn. */
static void run_due(agent *a)
{
    meshping_now now = meshping_now_read();
    if (!a->stop_at_ns)
        meshping_prober_process(a->prober, &now);
    meshping_session_process(a->session, &now);
    now = meshping_now_read();
    if (meshping_isolation_suspects(a->isolation) && meshping_session_ping(a->session, &now))
        meshping_isolation_asked(a->isolation, now.mono_ns);
    meshping_isolation_process(a->isolation, now.mono_ns);
    if (now.mono_ns >= a->flush_at_ns) {
        flush(a);
        a->flush_at_ns = now.mono_ns + FLUSH_MS * MS_NS;
    }
    if (now.mono_ns >= a->tick_at_ns) {
        note_step(a, &now);
        meshping_buffer_expire(a->buffer, now.unix_ns / 1000);
        a->tick_at_ns = now.mono_ns + 1000 * MS_NS;
    }
    if (now.mono_ns >= a->refusals_at_ns) { /* with whatever wakes us: the tick does */
        tell_refusals(a, meshping_session_targets(a->session));
        a->refusals_at_ns = now.mono_ns + REFUSALS_MS * MS_NS;
    }
    if (a->stop_at_ns && is_done(a, &now))
        uv_stop(&a->loop);
    else
        arm(a);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_due(poll->data);
}

static void on_signal(uv_signal_t *handle, int number)
{
    agent *a = handle->data;
    if (a->stop_at_ns) { /* asked twice: at once */
        uv_stop(&a->loop);
        return;
    }
    log_info("agent", "%s: ending", number == SIGINT ? "SIGINT" : "SIGTERM");
    a->stop_at_ns = meshping_now_read().mono_ns + LAST_WORDS_MS * MS_NS;
    uv_poll_stop(&a->prober_poll);
    flush(a); /* a miss that is still held may yet be decided; undecided it is not told */
    run_due(a);
}

/* The agent's own key says when in the interval it probes, so that agents do not hit a target at the same moment. */
static uint64_t phase_key(const agent *a)
{
    uint64_t key = 0;
    for (const char *at = meshping_session_fingerprint(a->session); *at; at++)
        key = key * 31 + (unsigned char)*at;
    return key;
}

static meshping_status open_engine(agent *a, meshping_error *err)
{
    meshping_prober_options options;
    meshping_prober_options_init(&options);
    options.phase_key = phase_key(a);
    options.on_result = on_result;
    options.on_address = on_address;
    options.user = a;
    meshping_status status = meshping_prober_new(&a->prober, &options, err);
    if (status == MESHPING_OK)
        status = meshping_privileges_drop(err);
    return status;
}

static meshping_status open_session(agent *a, const agent_config *config, meshping_error *err)
{
    char passphrase[MESHPING_PASSPHRASE_TEXT_MAX] = "";
    meshping_error why = {0};
    meshping_buffer_options buffer;
    meshping_session_options options;
    meshping_buffer_options_init(&buffer);
    buffer.max_age_ms = (int64_t)config->buffer_s * 1000;
    buffer.max_bytes = (size_t)config->buffer_kib << 10;
    buffer.max_blocks = (size_t)config->buffer_blocks;
    do {
        if (getrandom(&buffer.epoch, sizeof buffer.epoch, 0) != sizeof buffer.epoch)
            return meshping_error_set(err, MESHPING_CRYPTO, "no random numbers to be had");
    } while (!buffer.epoch);
    meshping_status status = meshping_buffer_new(&a->buffer, &buffer, err);
    if (status != MESHPING_OK)
        return status;
    meshping_session_options_init(&options);
    options.state_dir = config->state_dir;
    options.host_name = config->host_name[0] ? config->host_name : NULL;
    options.advertise = config->advertise[0] ? config->advertise : NULL;
    options.buffer = a->buffer;
    options.callbacks =
        (meshping_session_callbacks){a, on_link, on_targets, on_lost, on_answer, on_probe_now, on_load, on_name};
    meshping_status got = agent_passphrase_read(passphrase, config, &why);
    if (got == MESHPING_OK)
        options.passphrase = passphrase;
    status = meshping_session_new(&a->session, &options, err);
    OPENSSL_cleanse(passphrase, sizeof passphrase);
    /* an agent that joined needs no passphrase; one that did not wants to hear why it has none */
    if (status == MESHPING_INVALID && got != MESHPING_OK)
        return meshping_error_set(err, got, "%s", why.message);
    return status;
}

static meshping_status start(agent *a)
{
    int failed = uv_poll_init(&a->loop, &a->prober_poll, meshping_prober_fd(a->prober));
    failed |= uv_poll_init(&a->loop, &a->session_poll, meshping_session_fd(a->session));
    failed |= uv_timer_init(&a->loop, &a->timer);
    failed |= uv_signal_init(&a->loop, &a->sigint);
    failed |= uv_signal_init(&a->loop, &a->sigterm);
    a->prober_poll.data = a->session_poll.data = a->timer.data = a->sigint.data = a->sigterm.data = a;
    failed |= uv_poll_start(&a->prober_poll, UV_READABLE, on_readable);
    failed |= uv_poll_start(&a->session_poll, UV_READABLE, on_readable);
    failed |= uv_signal_start(&a->sigint, on_signal, SIGINT);
    failed |= uv_signal_start(&a->sigterm, on_signal, SIGTERM);
    return failed ? MESHPING_IO : MESHPING_OK;
}

static void close_handle(uv_handle_t *handle, void *user)
{
    (void)user;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void agent_dispose(agent *a)
{
    uv_walk(&a->loop, close_handle, NULL);
    uv_run(&a->loop, UV_RUN_DEFAULT);
    uv_loop_close(&a->loop);
    meshping_session_free(a->session);
    meshping_prober_free(a->prober);
    meshping_isolation_free(a->isolation);
    meshping_block_builder_free(a->builder);
    meshping_buffer_free(a->buffer);
    free(a->verdicts);
}

int run_main(int argc, char **argv)
{
    static agent a;
    agent_config config;
    meshping_error err = {0};
    int code = agent_options_read(&config, argc, argv);
    if (code >= 0)
        return code;
    code = 2;
    if (log_init_name(config.log_level, &err) != MESHPING_OK) {
        fprintf(stderr, "meshping-agent: %s\n", err.message);
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0); /* its key is in memory: no core file, no other process's look */
    if (uv_loop_init(&a.loop) != 0) {
        log_error("agent", "cannot make an event loop");
        return code;
    }
    meshping_status status = meshping_isolation_new(
        &a.isolation, MESHPING_INTERVAL_MS_DEFAULT + MESHPING_TIMEOUT_MS_DEFAULT + GRACE_MARGIN_MS, on_sample, &a);
    if (status == MESHPING_OK)
        status = meshping_block_builder_new(&a.builder);
    if (status == MESHPING_OK)
        status = open_session(&a, &config, &err);
    if (status == MESHPING_OK)
        status = open_engine(&a, &err); /* the last that needs a privilege */
    if (status == MESHPING_OK)
        status = start(&a);
    if (status != MESHPING_OK) {
        log_error("agent", "%s", err.message[0] ? err.message : meshping_status_text(status));
        goto out;
    }
    log_info("agent", "meshping-agent %s, key fingerprint %s, state in %s", meshping_version(),
             meshping_session_fingerprint(a.session), config.state_dir);
    if (meshping_session_targets(a.session)->count)
        on_targets(&a, meshping_session_targets(a.session));
    load_meter_start(&a.load);
    meshping_now now = meshping_now_read();
    a.flush_at_ns = now.mono_ns + FLUSH_MS * MS_NS;
    a.tick_at_ns = now.mono_ns;
    a.apart_ns = now.unix_ns - now.mono_ns;
    run_due(&a);
    uv_run(&a.loop, UV_RUN_DEFAULT);
    code = 0;
out:
    agent_dispose(&a);
    return code;
}
