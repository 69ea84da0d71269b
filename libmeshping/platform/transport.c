/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/transport.h"

#include "base/alloc.h"
#include "platform/icmp_send.h"
#include "platform/network_watch.h"
#include "platform/own_addresses.h"
#include "platform/resolver.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* wants struct timespec */

#define BATCH 64
#define BUFFER_MIN 2048
#define IPV4_HEADER_MIN 20
#define IPV4_HEADER_MAX 60
#define CONTROL_BYTES 256
#define LOOPBACK_INDEX 1 /* Linux gives it to `lo` in every network namespace */
#define RECEIVE_TRIES 3
#define EVENTS 8

/* What the epoll set tells of, as the data of its events; names that are looked up are their descriptors, from 0 on. */
enum { TOLD_NETWORK = -3, TOLD_V6 = -2, TOLD_V4 = -1 };

typedef struct real_transport {
    meshping__transport base; /* first */
    meshping__icmp_socket v4, v6;
    meshping__resolver *resolver;
    meshping__network_watch *network; /* NULL: not to be had */
    uint8_t *buffers;                 /* BATCH of buffer_size */
    size_t buffer_size;
    meshping__own_addresses own;
    bool looked;                               /* since process() began and since receive() last found nothing */
    bool v4_waits, v6_waits;                   /* then: something was there, and the socket was not seen empty since */
    bool deaf;                                 /* the sockets are not in the epoll set */
    bool v4_used, v6_used;                     /* something was sent: there may be answers */
    const meshping__icmp_socket *prepared_for; /* whose messages are ready, */
    size_t written;                            /* but for so many, which the kernel wrote into */
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    meshping__socket_name names[BATCH];
    uint8_t control[BATCH][CONTROL_BYTES] __attribute__((aligned(8)));
} real_transport;

static int watch(const real_transport *transport, int operation)
{
    struct epoll_event v4 = {.events = EPOLLIN, .data.fd = TOLD_V4}, v6 = {.events = EPOLLIN, .data.fd = TOLD_V6};
    int failed = 0;
    if (transport->v4.fd >= 0)
        failed |= epoll_ctl(transport->base.fd, operation, transport->v4.fd, &v4);
    if (transport->v6.fd >= 0)
        failed |= epoll_ctl(transport->base.fd, operation, transport->v6.fd, &v6);
    return failed;
}

static void transport_send(meshping__transport *self, meshping__tx *packets, size_t count, bool together)
{
    real_transport *transport = (real_transport *)self;
    /* flat out, nobody waits for the descriptor: telling it of each packet that comes takes 4 % of a ping */
    if (together && !transport->deaf)
        transport->deaf = watch(transport, EPOLL_CTL_DEL) == 0;
    for (size_t i = 0, run; i < count; i += run) { /* runs of one family */
        bool v4 = packets[i].to.family == MESHPING_FAMILY_IPV4;
        for (run = 1; i + run < count && packets[i + run].to.family == packets[i].to.family;)
            run++;
        *(v4 ? &transport->v4_used : &transport->v6_used) = true;
        meshping__icmp_send(v4 ? &transport->v4 : &transport->v6, packets + i, run, together);
    }
}

static void transport_rest(meshping__transport *self)
{
    real_transport *transport = (real_transport *)self;
    if (transport->deaf)
        transport->deaf = watch(transport, EPOLL_CTL_ADD) != 0; /* or again at the next time */
}

/*
 * One system call says of both sockets and the network that nothing is there, which is what most wake-ups find. True:
 * the network has to be read.
 */
static bool look(real_transport *transport)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(transport->base.fd, events, EVENTS, 0);
    bool all = count < 0 || count == EVENTS; /* there may be more than was told */
    bool network = all;
    transport->looked = true;
    transport->v4_waits = (all || transport->deaf) && transport->v4_used;
    transport->v6_waits = (all || transport->deaf) && transport->v6_used;
    for (int i = 0; i < count; i++) {
        transport->v4_waits |= events[i].data.fd == TOLD_V4;
        transport->v6_waits |= events[i].data.fd == TOLD_V6;
        network |= events[i].data.fd == TOLD_NETWORK;
    }
    if (transport->v6_waits)
        meshping__icmp_socket_note_fill(&transport->v6);
    return network;
}

static void take_control(meshping__rx *out, struct msghdr *header)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            out->stamp_unix_ns = (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            out->via_loopback = info.ipi_ifindex == LOOPBACK_INDEX;
            out->to = (meshping_address){.family = MESHPING_FAMILY_IPV4};
            memcpy(out->to.bytes, &info.ipi_addr, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            out->via_loopback = info.ipi6_ifindex == LOOPBACK_INDEX;
            out->to = (meshping_address){.family = MESHPING_FAMILY_IPV6};
            out->to.scope_id = out->from.scope_id;
            memcpy(out->to.bytes, &info.ipi6_addr, 16);
        }
    }
}

/* A raw IPv4 socket hands the IP header out: no need to ask for addresses that are in it. */
static bool has_header(const meshping__icmp_socket *sock)
{
    return sock->raw && sock->family == MESHPING_FAMILY_IPV4;
}

static void take_header(meshping__rx *out)
{
    if (out->length < IPV4_HEADER_MIN)
        return;
    out->from.family = out->to.family = MESHPING_FAMILY_IPV4;
    memcpy(out->from.bytes, out->bytes + 12, 4);
    memcpy(out->to.bytes, out->bytes + 16, 4);
}

static void prepare_message(real_transport *transport, const meshping__icmp_socket *sock, size_t i)
{
    bool named = !has_header(sock);
    transport->vectors[i] = (struct iovec){transport->buffers + i * transport->buffer_size, transport->buffer_size};
    transport->messages[i].msg_hdr = (struct msghdr){
        .msg_name = named ? &transport->names[i] : NULL,
        .msg_namelen = named ? sizeof transport->names[i] : 0,
        .msg_iov = &transport->vectors[i],
        .msg_iovlen = 1,
        .msg_control = transport->control[i],
        .msg_controllen = CONTROL_BYTES,
    };
}

/* All of them for this socket; those that nothing was received into since are as they were. */
static void prepare_messages(real_transport *transport, const meshping__icmp_socket *sock)
{
    size_t used = transport->prepared_for == sock ? transport->written : BATCH;
    for (size_t i = 0; i < used; i++)
        prepare_message(transport, sock, i);
    transport->prepared_for = sock;
    transport->written = 0;
}

static size_t receive_from(real_transport *transport, const meshping__icmp_socket *sock, meshping__rx *packets,
                           size_t max)
{
    int count = -1;
    if (sock->fd < 0)
        return 0;
    prepare_messages(transport, sock);
    for (int i = 0; i < RECEIVE_TRIES && count < 0; i++) {
        count = recvmmsg(sock->fd, transport->messages, (unsigned)max, MSG_DONTWAIT, NULL);
        if (count < 0 && (sock->raw || errno == EAGAIN))
            return 0;
    }
    transport->written = count > 0 ? (size_t)count : 0; /* the kernel wrote into these */
    meshping_now now = count > 0 ? meshping__read_clocks() : (meshping_now){0};
    if (count > 0)
        meshping__own_addresses_update(&transport->own, now.mono_ns);
    for (int i = 0; i < count; i++) {
        struct msghdr *header = &transport->messages[i].msg_hdr;
        packets[i] = (meshping__rx){
            .family = sock->family,
            .ip_header = has_header(sock),
            .truncated = (header->msg_flags & MSG_TRUNC) != 0,
            .bytes = transport->vectors[i].iov_base,
            .length = transport->messages[i].msg_len,
            .read_mono_ns = now.mono_ns,
            .read_unix_ns = now.unix_ns,
        };
        if (has_header(sock))
            take_header(&packets[i]);
        else
            (void)meshping_address_from_sockaddr(&packets[i].from, &transport->names[i].sa);
        take_control(&packets[i], header);
        /* this host's other addresses: the kernel names their interface, but no packet was on it */
        if (meshping_address_equal(&packets[i].from, &packets[i].to) ||
            meshping_address_is_loopback(&packets[i].from) ||
            meshping__own_addresses_have(&transport->own, &packets[i].from))
            packets[i].via_loopback = true;
    }
    return count > 0 ? (size_t)count : 0;
}

/* A ping socket does not see ICMP errors but in its error queue. */
static size_t receive_error(real_transport *transport, meshping__icmp_socket *sock, meshping__rx *packet)
{
    struct msghdr *header = &transport->messages[0].msg_hdr;
    if (sock->fd < 0)
        return 0;
    if (sock->raw) { /* stamps of packets that waited in a queue: too late to be of use, but they wake us */
        int64_t unused;
        (void)meshping__icmp_socket_stamps_take(sock, &unused);
        return 0;
    }
    transport->prepared_for = NULL;
    prepare_message(transport, sock, 0);
    ssize_t length = recvmsg(sock->fd, header, MSG_ERRQUEUE | MSG_DONTWAIT);
    if (length < 0)
        return 0;
    *packet = (meshping__rx){
        .family = sock->family, .is_error = true, .bytes = transport->vectors[0].iov_base, .length = (size_t)length};
    take_control(packet, header);
    (void)meshping_address_from_sockaddr(&packet->to, &transport->names[0].sa);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
            !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
            continue;
        struct {
            struct sock_extended_err error;
            meshping__socket_name offender;
        } queued = {0};
        size_t size = c->cmsg_len - CMSG_LEN(0);
        memcpy(&queued, CMSG_DATA(c), size < sizeof queued ? size : sizeof queued);
        packet->error_type = queued.error.ee_type;
        packet->error_code = queued.error.ee_code;
        packet->error_info = queued.error.ee_info;
        if (queued.error.ee_origin != SO_EE_ORIGIN_ICMP && queued.error.ee_origin != SO_EE_ORIGIN_ICMP6)
            packet->error_type = 0; /* of this host's own making, not from the network: no ICMP error */
        (void)meshping_address_from_sockaddr(&packet->from, &queued.offender.sa);
    }
    return 1;
}

/* *waits becomes false when the socket has been seen empty. */
static size_t receive_waiting(real_transport *transport, meshping__icmp_socket *sock, bool *waits,
                              meshping__rx *packets, size_t max)
{
    if (!*waits)
        return 0;
    size_t count = receive_from(transport, sock, packets, max);
    if (count == 0)
        *waits = (count = receive_error(transport, sock, packets)) != 0;
    else if (count < max && sock->raw && !sock->stamps_due)
        *waits = false; /* the kernel stops before there is no more room only when there is no more */
    return count;
}

static size_t transport_receive(meshping__transport *self, meshping__rx *packets, size_t max)
{
    real_transport *transport = (real_transport *)self;
    size_t count;
    if (max > BATCH)
        max = BATCH;
    if (!transport->looked)
        (void)look(transport);
    count = receive_waiting(transport, &transport->v4, &transport->v4_waits, packets, max);
    if (count == 0)
        count = receive_waiting(transport, &transport->v6, &transport->v6_waits, packets, max);
    transport->looked = count != 0;
    return count;
}

static uint64_t transport_drops(meshping__transport *self, uint8_t family)
{
    real_transport *transport = (real_transport *)self;
    return meshping__icmp_socket_drops(family == MESHPING_FAMILY_IPV4 ? &transport->v4 : &transport->v6);
}

static void transport_watch(meshping__transport *self)
{
    real_transport *transport = (real_transport *)self;
    bool told = look(transport);
    if (transport->network)
        meshping__network_watch_update(transport->network, told);
}

static uint8_t transport_blame(meshping__transport *self, const meshping__miss *miss)
{
    const real_transport *transport = (const real_transport *)self;
    return transport->network ? meshping__network_watch_blame(transport->network, miss) : 0;
}

static meshping_status transport_reserve(meshping__transport *self, size_t length)
{
    real_transport *transport = (real_transport *)self;
    size_t size = (length + IPV4_HEADER_MAX + 64) & ~(size_t)63;
    if (size <= transport->buffer_size)
        return MESHPING_OK;
    uint8_t *buffers = meshping__realloc(transport->buffers, size * BATCH);
    if (!buffers)
        return MESHPING_NOMEM;
    transport->buffers = buffers;
    transport->buffer_size = size;
    transport->prepared_for = NULL;
    return MESHPING_OK;
}

static meshping_status transport_resolve(meshping__transport *self, uint64_t token, const char *host, uint8_t family)
{
    return meshping__resolver_start(((real_transport *)self)->resolver, token, host, family);
}

static bool transport_resolved(meshping__transport *self, meshping__resolution *out)
{
    return meshping__resolver_take(((real_transport *)self)->resolver, out);
}

static int64_t transport_deadline_ns(meshping__transport *self, int64_t now_mono_ns)
{
    return meshping__resolver_deadline_ns(((real_transport *)self)->resolver, now_mono_ns);
}

static void transport_close(meshping__transport *self)
{
    real_transport *transport = (real_transport *)self;
    meshping__resolver_free(transport->resolver);
    meshping__network_watch_free(transport->network);
    meshping__icmp_socket_close(&transport->v4);
    meshping__icmp_socket_close(&transport->v6);
    if (transport->base.fd >= 0)
        close(transport->base.fd);
    meshping__own_addresses_dispose(&transport->own);
    meshping__free(transport->buffers);
    meshping__free(transport);
}

static meshping_status no_socket(const real_transport *transport, meshping_error *err)
{
    int why = transport->v4.open_errno;
    if (why == EPERM || why == EACCES || transport->v6.open_errno == EPERM || transport->v6.open_errno == EACCES) {
        meshping_error_set(err, MESHPING_PERMISSION,
                           "no permission for ICMP: run as root, or `setcap cap_net_raw+ep` on the program, or allow "
                           "unprivileged pings with `sysctl net.ipv4.ping_group_range=\"0 2147483647\"`");
        if (err)
            err->sys_errno = why;
        return MESHPING_PERMISSION;
    }
    return meshping_error_set_errno(err, MESHPING_IO, why, "cannot open an ICMP socket");
}

meshping_status meshping__transport_new(meshping__transport **out, uint16_t identifier, meshping_error *err)
{
    real_transport *transport = meshping__calloc(1, sizeof *transport);
    meshping_status status;

    if (!transport)
        return meshping_error_set(err, MESHPING_NOMEM, "prober: out of memory");
    transport->base = (meshping__transport){
        .fd = epoll_create1(EPOLL_CLOEXEC),
        .send = transport_send,
        .receive = transport_receive,
        .rest = transport_rest,
        .drops = transport_drops,
        .watch = transport_watch,
        .blame = transport_blame,
        .reserve = transport_reserve,
        .resolve = transport_resolve,
        .resolved = transport_resolved,
        .deadline_ns = transport_deadline_ns,
        .close = transport_close,
    };
    meshping__icmp_socket_open(&transport->v4, MESHPING_FAMILY_IPV4, identifier);
    meshping__icmp_socket_open(&transport->v6, MESHPING_FAMILY_IPV6, identifier);
    if (transport->base.fd < 0)
        status = meshping_error_set_errno(err, MESHPING_IO, errno, "cannot make an epoll set");
    else if (transport->v4.fd < 0 && transport->v6.fd < 0)
        status = no_socket(transport, err);
    else
        status = transport_reserve(&transport->base, BUFFER_MIN);
    if (status == MESHPING_OK && watch(transport, EPOLL_CTL_ADD) != 0)
        status = meshping_error_set_errno(err, MESHPING_IO, errno, "cannot watch an ICMP socket");
    if (status == MESHPING_OK)
        status = meshping__resolver_new(&transport->resolver, transport->base.fd, err);
    /* where rtnetlink is not to be had, pings go on, and nothing is known of this host's own network */
    if (status == MESHPING_OK &&
        meshping__network_watch_new(&transport->network, transport->base.fd, TOLD_NETWORK, err) == MESHPING_NOMEM)
        status = MESHPING_NOMEM;
    if (status != MESHPING_OK) {
        transport_close(&transport->base);
        return status;
    }
    bool all_raw = (transport->v4.fd < 0 || transport->v4.raw) && (transport->v6.fd < 0 || transport->v6.raw);
    transport->base.number_bits = all_raw ? 16 + MESHPING__ICMP_IDENTIFIER_BITS : 16;
    transport->base.identifier_v4 = transport->v4.identifier;
    transport->base.identifier_v6 = transport->v6.identifier;
    *out = &transport->base;
    return MESHPING_OK;
}
