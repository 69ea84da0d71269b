/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received packets, as the network may send them, into a running engine with probes in the air. Nothing in them can be
 * a valid reply (the key is not known to whoever made the input): whatever comes, no probe may be answered. Input:
 * packets, each u8 flags (bit 0: IPv6, 1: queued error, 2: truncated, 3: put the identifier of ours in), u8 error type,
 * u16 length big-endian, bytes.
 */
#include "core/prober.h"
#include <stdlib.h>
#include <string.h>

typedef struct fuzz_transport {
    meshping__transport base;
    const uint8_t *at, *end;
    int64_t mono_ns;
    uint8_t *packet; /* exactly as long as it is, so that a sanitizer sees one byte too far */
} fuzz_transport;

static void transport_send(meshping__transport *self, meshping__tx *packets, size_t count, bool together)
{
    (void)together;
    for (size_t i = 0; i < count; i++)
        packets[i].sent_mono_ns = packets[i].sent_unix_ns = ((fuzz_transport *)self)->mono_ns;
}

static void transport_rest(meshping__transport *self)
{
    (void)self;
}

static size_t transport_receive(meshping__transport *self, meshping__rx *packets, size_t max)
{
    fuzz_transport *t = (fuzz_transport *)self;
    (void)max;
    free(t->packet);
    t->packet = NULL;
    if (t->end - t->at < 4)
        return 0;
    uint8_t flags = t->at[0];
    size_t length = (size_t)(t->at[2] << 8 | t->at[3]);
    meshping__rx *rx = packets;
    *rx = (meshping__rx){.family = flags & 1 ? 6 : 4, .is_error = (flags & 2) != 0, .truncated = (flags & 4) != 0};
    rx->error_type = t->at[1];
    t->at += 4;
    if (length > (size_t)(t->end - t->at))
        length = (size_t)(t->end - t->at);
    t->packet = malloc(length ? length : 1);
    if (!t->packet)
        return 0;
    memcpy(t->packet, t->at, length);
    t->at += length;
    rx->ip_header = rx->family == 4 && !rx->is_error;
    size_t header = rx->ip_header && length ? (size_t)(t->packet[0] & 15) * 4 : 0;
    if ((flags & 8) && length >= header + 8) {
        t->packet[header + 4] = 0x12;
        t->packet[header + 5] = 0x30;
    }
    rx->from = rx->to = (meshping_address){.family = rx->family, .bytes = {198, 18, 0, 1}};
    rx->bytes = t->packet;
    rx->length = length;
    rx->stamp_unix_ns = rx->read_mono_ns = rx->read_unix_ns = t->mono_ns;
    return 1;
}

static uint64_t transport_drops(meshping__transport *self, uint8_t family)
{
    (void)self;
    (void)family;
    return 0;
}

static void transport_watch(meshping__transport *self)
{
    (void)self;
}

static uint8_t transport_blame(meshping__transport *self, const meshping__miss *miss)
{
    (void)self;
    (void)miss;
    return 0;
}

static meshping_status transport_reserve(meshping__transport *self, size_t length)
{
    (void)self;
    (void)length;
    return MESHPING_OK;
}

static meshping_status transport_resolve(meshping__transport *self, uint64_t token, const char *host, uint8_t family)
{
    (void)self;
    (void)token;
    (void)host;
    (void)family;
    return MESHPING_NOMEM;
}

static bool transport_resolved(meshping__transport *self, meshping__resolution *out)
{
    (void)self;
    (void)out;
    return false;
}

static int64_t transport_deadline(meshping__transport *self, int64_t now_mono_ns)
{
    (void)self;
    (void)now_mono_ns;
    return INT64_MAX;
}

static void transport_close(meshping__transport *self)
{
    free(((fuzz_transport *)self)->packet);
}

static void on_result(void *user, const meshping_probe_result *result)
{
    (void)user;
    if (result->sample.outcome == MESHPING_OUTCOME_OK)
        abort(); /* a forged reply was believed */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t key[16] = "nobody knows it";
    fuzz_transport t = {
        .base = {.fd = -1,
                 .number_bits = 20,
                 .identifier_v4 = 0x1230,
                 .identifier_v6 = 0x1230,
                 .send = transport_send,
                 .receive = transport_receive,
                 .rest = transport_rest,
                 .drops = transport_drops,
                 .watch = transport_watch,
                 .blame = transport_blame,
                 .reserve = transport_reserve,
                 .resolve = transport_resolve,
                 .resolved = transport_resolved,
                 .deadline_ns = transport_deadline,
                 .close = transport_close},
        .at = data,
        .end = data,
        .mono_ns = 1000000000,
    };
    meshping_prober *prober = NULL;
    meshping_prober_options options;
    meshping_prober_options_init(&options);
    options.on_result = on_result;
    options.start_now = true;
    if (meshping__prober_new(&prober, &options, &t.base, key, NULL) != MESHPING_OK)
        return 0;
    static const char *const hosts[] = {"198.18.0.1", "c612:1::", "198.18.0.2"};
    for (unsigned i = 0; i < 3; i++) {
        meshping_target target;
        meshping_now now = {t.mono_ns, t.mono_ns};
        meshping_target_init(&target);
        target.id = i + 1;
        memcpy(target.host, hosts[i], strlen(hosts[i]) + 1);
        (void)meshping_prober_set_target(prober, &target, &now, NULL);
    }
    for (int round = 0; round < 3; round++) {
        meshping_now now = {t.mono_ns, t.mono_ns};
        meshping_prober_process(prober, &now);
        t.end = data + size; /* the probes are in the air */
        t.mono_ns += 2000000000;
    }
    meshping_prober_stats stats;
    meshping_prober_get_stats(prober, &stats);
    if (stats.received || stats.duplicates || stats.late)
        abort(); /* a cookie was taken for ours */
    meshping_prober_free(prober);
    return 0;
}
