/* SPDX-License-Identifier: Apache-2.0 */
#include "simnet_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IPV4_HEADER 20

uint32_t sim_random(sim_net *net, uint32_t below)
{
    /* splitmix64 */
    uint64_t z = net->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (uint32_t)((z >> 32) * below >> 32);
}

static bool chance(sim_net *net, double probability)
{
    return probability > 0 && sim_random(net, 1000000) < (uint32_t)(probability * 1000000);
}

meshping_now sim_now(const sim_net *net)
{
    return (meshping_now){.mono_ns = net->mono_ns, .unix_ns = net->mono_ns + net->offset_ns};
}

static void swap(sim_net *net, size_t a, size_t b)
{
    sim_packet packet = net->packets[a];
    net->packets[a] = net->packets[b];
    net->packets[b] = packet;
}

void sim_push(sim_net *net, const sim_packet *packet)
{
    if (net->mirror)
        sim_push(net->mirror, packet);
    if (net->packet_count == net->packet_capacity) {
        net->packet_capacity = net->packet_capacity ? net->packet_capacity * 2 : 256;
        net->packets = realloc(net->packets, net->packet_capacity * sizeof *net->packets);
        if (!net->packets)
            abort();
    }
    size_t at = net->packet_count++;
    net->packets[at] = *packet;
    for (; at && net->packets[at].arrival_ns < net->packets[(at - 1) / 2].arrival_ns; at = (at - 1) / 2)
        swap(net, at, (at - 1) / 2);
}

static void pop(sim_net *net)
{
    net->packets[0] = net->packets[--net->packet_count];
    for (size_t at = 0;;) {
        size_t least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++)
            if (child < net->packet_count && net->packets[child].arrival_ns < net->packets[least].arrival_ns)
                least = child;
        if (least == at)
            return;
        swap(net, at, least);
        at = least;
    }
}

static sim_truth *add_truth(sim_net *net, int64_t sent_mono_ns)
{
    if (net->truth_count == net->truth_capacity) {
        net->truth_capacity = net->truth_capacity ? net->truth_capacity * 2 : 1024;
        net->truths = realloc(net->truths, net->truth_capacity * sizeof *net->truths);
        if (!net->truths)
            abort();
    }
    net->truths[net->truth_count] = (sim_truth){.sent_mono_ns = sent_mono_ns};
    return &net->truths[net->truth_count++];
}

sim_truth *sim_find(sim_net *net, int64_t sent_mono_ns)
{
    size_t low = 0, high = net->truth_count;
    while (low < high) { /* they are in order of sending */
        size_t middle = (low + high) / 2;
        if (net->truths[middle].sent_mono_ns < sent_mono_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low < net->truth_count && net->truths[low].sent_mono_ns == sent_mono_ns ? &net->truths[low] : NULL;
}

static sim_host *find_host(sim_net *net, const meshping_address *address)
{
    for (size_t i = 0; i < net->host_count; i++)
        if (meshping_address_equal(&net->hosts[i].address, address))
            return &net->hosts[i];
    return NULL;
}

static void reply(sim_net *net, const meshping__tx *tx, sim_truth *truth, int64_t arrival_ns)
{
    sim_packet packet;
    sim_make_reply(&packet, tx, arrival_ns);
    sim_push(net, &packet);
    truth->valid_replies++;
    if (truth->reply_mono_ns == 0 || arrival_ns < truth->reply_mono_ns)
        truth->reply_mono_ns = arrival_ns;
}

static void send_error(sim_net *net, const meshping__tx *tx, sim_truth *truth, int64_t arrival_ns)
{
    static const uint8_t v4[][2] = {{3, 0}, {3, 1}, {3, 13}, {11, 0}, {3, 4}, {12, 0}};
    static const uint8_t v6[][2] = {{1, 0}, {1, 3}, {1, 1}, {3, 0}, {2, 0}, {4, 0}};
    sim_packet packet;
    const uint8_t *which = tx->to.family == MESHPING_FAMILY_IPV4 ? v4[sim_random(net, 6)] : v6[sim_random(net, 6)];
    sim_make_error(&packet, tx, which[0], which[1], chance(net, 0.5) ? 8 : 500, arrival_ns);
    bool of_ipv4 = tx->to.family == MESHPING_FAMILY_IPV4;
    truth->error_mtu = 0;
    if (of_ipv4 ? which[0] == 3 && which[1] == 4 : which[0] == 2) {
        size_t start = of_ipv4 ? IPV4_HEADER : 0;
        truth->error_mtu = (uint16_t)(1280 + sim_random(net, 200));
        packet.bytes[start + 6] = (uint8_t)(truth->error_mtu >> 8);
        packet.bytes[start + 7] = (uint8_t)truth->error_mtu;
        sim_put_checksum(&packet, start);
    }
    truth->error_from = packet.rx.from;
    sim_push(net, &packet);
    truth->error_mono_ns = arrival_ns;
    truth->error_type = which[0];
    truth->error_code = which[1];
}

static bool own_is_down_between(const sim_net *net, int64_t from_ns, int64_t to_ns)
{
    return net->own_down_to_ns > net->own_down_from_ns && from_ns < net->own_down_to_ns &&
           to_ns >= net->own_down_from_ns;
}

/* The kernel's own word about a neighbour that does not answer. */
static void say_unreachable(sim_net *net, const meshping__tx *tx, int64_t arrival_ns)
{
    sim_packet packet;
    bool v4 = tx->to.family == MESHPING_FAMILY_IPV4;
    sim_make_error(&packet, tx, v4 ? 3 : 1, v4 ? 1 : 3, 500, arrival_ns);
    packet.rx.from = packet.rx.to;
    packet.rx.via_loopback = true;
    sim_put_checksum(&packet, v4 ? IPV4_HEADER : 0);
    sim_push(net, &packet);
}

static void answer(sim_net *net, const meshping__tx *tx, sim_truth *truth)
{
    sim_host *host = find_host(net, &tx->to);
    if (own_is_down_between(net, net->mono_ns, net->mono_ns)) {
        truth->own_down = true;
        return;
    }
    if (net->gateway_down) {
        truth->own_down = true;
        say_unreachable(net, tx, net->mono_ns + 1000000000);
        return;
    }
    if (!host || host->down)
        return;
    int64_t delay = host->delay_ns + (host->jitter_ns ? sim_random(net, (uint32_t)host->jitter_ns) : 0);
    int64_t at = net->mono_ns + delay;
    if (chance(net, host->forge)) /* half the way: a forger is always faster */
        sim_forge(net, tx, host->only_forgery >= 0 ? (sim_forgery)host->only_forgery : sim_random(net, SIM_FORGERIES),
                  net->mono_ns + delay / 2);
    if (chance(net, host->loss))
        return;
    if (chance(net, host->error)) {
        send_error(net, tx, truth, at);
        return;
    }
    if (chance(net, host->error_and_reply))
        send_error(net, tx, truth, at - delay / 4);
    if (chance(net, host->straggle))
        at += 1000000000 + (int64_t)sim_random(net, 3000000) * 1000;
    reply(net, tx, truth, at);
    if (chance(net, host->duplicate))
        reply(net, tx, truth, at + 1 + sim_random(net, 50000000));
}

static void net_send(meshping__transport *self, meshping__tx *packets, size_t count, bool together)
{
    (void)together;
    sim_net *net = (sim_net *)self;
    for (size_t i = 0; i < count; i++) {
        net->mono_ns += net->send_cost_ns;
        packets[i].sent_mono_ns = net->mono_ns;
        packets[i].sent_unix_ns = net->mono_ns + net->offset_ns;
        packets[i].sys_errno = net->send_errno;
        packets[i].mtu = net->send_errno == EMSGSIZE ? 1500 : 0;
        net->last_tx = packets[i];
        if (net->send_errno)
            continue;
        net->sent++;
        answer(net, &packets[i], add_truth(net, net->mono_ns));
        bool v6 = packets[i].to.family == MESHPING_FAMILY_IPV6;
        net->last[v6].to = packets[i].to;
        net->last[v6].length = packets[i].length;
        memcpy(net->last[v6].bytes, packets[i].bytes, packets[i].length);
    }
}

static void net_rest(meshping__transport *self)
{
    (void)self;
}

static size_t net_receive(meshping__transport *self, meshping__rx *packets, size_t max)
{
    sim_net *net = (sim_net *)self;
    size_t count = 0;
    while (count < max && count < 64 && net->packet_count && net->packets[0].arrival_ns <= net->mono_ns) {
        sim_packet *packet = &net->packets[0];
        if (own_is_down_between(net, packet->arrival_ns, packet->arrival_ns)) {
            pop(net);
            continue;
        }
        packets[count] = packet->rx;
        memcpy(net->buffers[count], packet->bytes, packet->length);
        packets[count].bytes = net->buffers[count];
        packets[count].length = packet->length;
        packets[count].stamp_unix_ns = net->no_stamps ? 0 : packet->arrival_ns + net->offset_ns;
        packets[count].read_mono_ns = net->mono_ns;
        packets[count].read_unix_ns = net->mono_ns + net->offset_ns;
        pop(net);
        count++;
    }
    return count;
}

static uint64_t net_drops(meshping__transport *self, uint8_t family)
{
    const sim_net *net = (const sim_net *)self;
    return family == MESHPING_FAMILY_IPV4 ? net->drops_v4 : net->drops_v6;
}

static void net_watch(meshping__transport *self)
{
    (void)self;
}

static uint8_t net_blame(meshping__transport *self, const meshping__miss *miss)
{
    const sim_net *net = (const sim_net *)self;
    if (own_is_down_between(net, miss->sent_mono_ns, net->mono_ns))
        return net->own_outcome;
    return meshping_address_equal(miss->error_from, sim_own_address(miss->error_from->family))
               ? MESHPING_OUTCOME_ISOLATED
               : 0;
}

static meshping_status net_reserve(meshping__transport *self, size_t length)
{
    (void)self;
    return length <= SIM_MESSAGE_MAX - 100 ? MESHPING_OK : MESHPING_NOMEM;
}

static meshping_status net_resolve(meshping__transport *self, uint64_t token, const char *host, uint8_t family)
{
    sim_net *net = (sim_net *)self;
    (void)family;
    if (net->lookup_count == 64)
        return MESHPING_NOMEM;
    net->lookups_started++;
    net->lookups[net->lookup_count].token = token;
    net->lookups[net->lookup_count].known = net->name && strcmp(net->name, host) == 0;
    net->lookups[net->lookup_count++].due_ns = net->mono_ns + net->name_delay_ns;
    return MESHPING_OK;
}

static bool net_resolved(meshping__transport *self, meshping__resolution *out)
{
    sim_net *net = (sim_net *)self;
    for (size_t i = 0; i < net->lookup_count; i++) {
        if (net->lookups[i].due_ns > net->mono_ns)
            continue;
        *out = (meshping__resolution){.token = net->lookups[i].token};
        out->count = net->lookups[i].known ? net->name_count : 0;
        memcpy(out->addresses, net->name_addresses, out->count * sizeof *out->addresses);
        net->lookups[i] = net->lookups[--net->lookup_count];
        return true;
    }
    return false;
}

static int64_t net_deadline_ns(meshping__transport *self, int64_t now_mono_ns)
{
    const sim_net *net = (const sim_net *)self;
    int64_t deadline = INT64_MAX;
    (void)now_mono_ns;
    for (size_t i = 0; i < net->lookup_count; i++)
        if (net->lookups[i].due_ns < deadline)
            deadline = net->lookups[i].due_ns;
    return deadline;
}

static void net_close(meshping__transport *self)
{
    ((sim_net *)self)->closed = true;
}

void sim_init(sim_net *net, uint64_t seed, unsigned number_bits)
{
    memset(net, 0, sizeof *net);
    net->random = seed;
    net->mono_ns = INT64_C(1000000000000);
    net->offset_ns = INT64_C(1700000000123456789);
    net->send_cost_ns = 1000;
    net->transport = (meshping__transport){
        .fd = -1,
        .number_bits = number_bits,
        .identifier_v4 = (uint16_t)(sim_random(net, 65536) & (number_bits > 16 ? 0xfff0 : 0xffff)),
        .identifier_v6 = (uint16_t)(sim_random(net, 65536) & (number_bits > 16 ? 0xfff0 : 0xffff)),
        .send = net_send,
        .receive = net_receive,
        .rest = net_rest,
        .drops = net_drops,
        .watch = net_watch,
        .blame = net_blame,
        .reserve = net_reserve,
        .resolve = net_resolve,
        .resolved = net_resolved,
        .deadline_ns = net_deadline_ns,
        .close = net_close,
    };
}

void sim_dispose(sim_net *net)
{
    free(net->hosts);
    free(net->packets);
    free(net->truths);
    memset(net, 0, sizeof *net);
}

sim_host *sim_add_host(sim_net *net, const char *address)
{
    net->hosts = realloc(net->hosts, (net->host_count + 1) * sizeof *net->hosts);
    if (!net->hosts)
        abort();
    sim_host *host = &net->hosts[net->host_count++];
    *host = (sim_host){.only_forgery = -1, .delay_ns = 1000000};
    if (meshping_address_parse(&host->address, address, NULL) != MESHPING_OK)
        abort();
    return host;
}

void sim_run(sim_net *net, meshping_prober *prober, int64_t duration_ns)
{
    int64_t end = net->mono_ns + duration_ns;
    while (net->mono_ns < end) {
        meshping_now now = sim_now(net);
        meshping_prober_process(prober, &now);
        int64_t next = meshping_prober_deadline_ns(prober);
        if (net->packet_count && net->packets[0].arrival_ns < next)
            next = net->packets[0].arrival_ns;
        if (next > end)
            next = end;
        if (next > net->mono_ns)
            net->mono_ns = next;
    }
}

void sim_sleep(sim_net *net, int64_t duration_ns)
{
    net->mono_ns += duration_ns;
}
