/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/icmp_send.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TOGETHER_MAX 8    /* packets a system call; more save little and blur the times more */
#define TORN_NS 20000     /* between two clock readings, more means that somebody else ran in between */
#define HELD_UP_NS 100000 /* sending took this much longer than it should: when was it sent? */
#define SEND_TRIES 3
#define CONTROL_BYTES (2 * CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct in6_pktinfo)))
#define WHOLE_MAX 548 /* IPv4 payload that fits every path (RFC 1122: 576 with its header) */

typedef struct outgoing {
    meshping__socket_name name;
    struct iovec vector;
    uint8_t control[CONTROL_BYTES] __attribute__((aligned(8)));
} outgoing;

meshping_now meshping__read_clocks(void)
{
    meshping_now now;
    for (int i = 0; i < 3; i++) {
        struct timespec after;
        now = meshping_now_read();
        clock_gettime(CLOCK_MONOTONIC, &after);
        if ((int64_t)after.tv_sec * 1000000000 + after.tv_nsec - now.mono_ns < TORN_NS)
            break;
    }
    return now;
}

static void add_control(struct msghdr *header, int level, int type, const void *value, size_t length)
{
    struct cmsghdr *control = (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + header->msg_controllen);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(control), value, length);
    header->msg_controllen += CMSG_SPACE(length);
}

/* The kernel refuses a source that is not this host's (EINVAL). ENODEV: there is no such interface now. */
static int add_way(struct msghdr *header, const meshping__tx *packet)
{
    unsigned index = packet->interface ? if_nametoindex(packet->interface) : 0;
    if (packet->interface && index == 0)
        return ENODEV;
    if (packet->to.family == MESHPING_FAMILY_IPV4) {
        struct in_pktinfo info = {.ipi_ifindex = (int)index};
        if (packet->source)
            memcpy(&info.ipi_spec_dst, packet->source->bytes, 4);
        add_control(header, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = index};
        if (packet->source)
            memcpy(&info.ipi6_addr, packet->source->bytes, 16);
        add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    return 0;
}

/* Returns an errno. */
static int prepare(struct msghdr *header, outgoing *out, const meshping__tx *packet)
{
    bool v4 = packet->to.family == MESHPING_FAMILY_IPV4;
    int tos = packet->dscp << 2, ttl = packet->ttl, failed = 0;
    out->vector = (struct iovec){.iov_base = (void *)(uintptr_t)packet->bytes, .iov_len = packet->length};
    *header = (struct msghdr){.msg_name = &out->name, .msg_iov = &out->vector, .msg_iovlen = 1};
    header->msg_namelen = meshping__to_name(&out->name, &packet->to);
    header->msg_control = out->control;
    if (tos)
        add_control(header, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, &tos, sizeof tos);
    if (ttl)
        add_control(header, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT, &ttl, sizeof ttl);
    if (packet->source || packet->interface)
        failed = add_way(header, packet);
    if (header->msg_controllen == 0)
        header->msg_control = NULL;
    return failed;
}

/* The mode that the socket has to be in for the packet: there is none a packet. */
static uint8_t fragmenting_of(const meshping__tx *packet)
{
    /* small ones need no fragmenting anyway, and the kernel then spares them a number for it, 1 % of a ping */
    bool small = packet->to.family == MESHPING_FAMILY_IPV4 && packet->length <= WHOLE_MAX;
    return packet->dont_fragment || small ? MESHPING__WHOLE : MESHPING__FRAGMENTS;
}

/*
 * Whole: PROBE, not DO, so that each probe goes as far as it gets and the verdict is the network's of now, not what
 * this host remembers of the path. In fragments: the kernel's memory of the path is used, nothing is lost in finding it
 * out.
 */
static void set_fragmenting(meshping__icmp_socket *sock, uint8_t mode)
{
    bool whole = mode == MESHPING__WHOLE;
    if (sock->family == MESHPING_FAMILY_IPV4) {
        int discover = whole ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DONT;
        (void)setsockopt(sock->fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof discover);
    } else {
        int discover = whole ? IPV6_PMTUDISC_PROBE : IPV6_PMTUDISC_WANT, on = whole;
        (void)setsockopt(sock->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof discover);
        (void)setsockopt(sock->fd, IPPROTO_IPV6, IPV6_DONTFRAG, &on, sizeof on);
    }
    sock->fragmenting = mode;
}

/* The largest packet that fits the packet's path, as far as this host knows; 0: it does not. */
static uint32_t known_mtu(const meshping__tx *packet)
{
    bool v4 = packet->to.family == MESHPING_FAMILY_IPV4;
    int mtu = 0, fd = meshping__udp_connect(&packet->to, packet->interface);
    socklen_t length = sizeof mtu;
    if (fd < 0)
        return 0;
    if (getsockopt(fd, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_MTU : IPV6_MTU, &mtu, &length) != 0)
        mtu = 0;
    close(fd);
    return mtu > 0 ? (uint32_t)mtu : 0;
}

/*
 * When the packet left: the kernel says it, usually before sendmsg returns. A stamp from between the two readings of
 * the clock is this packet's, or of one that left meanwhile. Without one it is the time before, unless sending took
 * long: this process may have lost the processor.
 */
static void stamp_one(meshping__icmp_socket *sock, meshping__tx *packet, const meshping_now *before)
{
    int64_t stamp_ns = 0, after_ns = meshping_now_read().mono_ns;
    int64_t took_ns = after_ns - before->mono_ns;
    if (sock->stamping == MESHPING__STAMPING_ON)
        sock->stamps_due++;
    if (meshping__icmp_socket_stamps_take(sock, &stamp_ns) == 1 && stamp_ns >= before->unix_ns &&
        stamp_ns - before->unix_ns <= took_ns) {
        packet->sent_mono_ns += stamp_ns - before->unix_ns;
        packet->sent_unix_ns = stamp_ns;
    } else {
        packet->held_up = took_ns > HELD_UP_NS;
    }
}

/* One system call a packet. `stamped`: the kernel is asked when each packet of this socket left. */
static void send_one(meshping__icmp_socket *sock, meshping__tx *packet, bool stamped)
{
    struct msghdr header;
    outgoing out;
    int failed = prepare(&header, &out, packet);

    if (stamped && sock->stamping == MESHPING__STAMPING_UNSET)
        meshping__icmp_socket_stamps_start(sock);
    if (sock->fragmenting != fragmenting_of(packet))
        set_fragmenting(sock, fragmenting_of(packet));
    for (int i = 0; i < SEND_TRIES; i++) {
        meshping_now now = meshping__read_clocks();
        packet->sent_mono_ns = now.mono_ns;
        packet->sent_unix_ns = now.unix_ns;
        packet->sys_errno = failed;
        if (failed)
            return;
        packet->sys_errno = sendmsg(sock->fd, &header, MSG_DONTWAIT) >= 0 ? 0 : errno;
        if (packet->sys_errno == 0) {
            stamp_one(sock, packet, &now);
            return;
        }
        if (packet->sys_errno == EMSGSIZE && packet->dont_fragment)
            packet->mtu = known_mtu(packet);
        if (sock->raw || packet->sys_errno == EAGAIN || packet->sys_errno == ENOBUFS)
            return;
        /* a ping socket hands out here the ICMP error of an earlier packet: what is true of this one comes again */
    }
}

/*
 * The times of packets that shared a system call: the i-th is taken to have been sent i times what a packet takes at
 * least after the first. That is wrong by what the packets before it took above (or, where some are cheaper than
 * others, below) it: a few us. Where it could be more than HELD_UP_NS, it says so.
 */
static void stamp(meshping__icmp_socket *sock, meshping__tx *packets, size_t count, const meshping_now *before)
{
    int64_t took_ns = meshping_now_read().mono_ns - before->mono_ns, each_ns = took_ns / (int64_t)count;
    if (sock->send_ns == 0 || each_ns < sock->send_ns)
        sock->send_ns = each_ns;
    for (size_t i = 0; i < count; i++) {
        packets[i].sys_errno = 0;
        packets[i].sent_mono_ns = before->mono_ns + (int64_t)i * sock->send_ns;
        packets[i].sent_unix_ns = before->unix_ns + (int64_t)i * sock->send_ns;
        packets[i].held_up = took_ns - (int64_t)count * sock->send_ns > HELD_UP_NS;
    }
}

/* Not to be sent together with others as the socket is. */
static bool is_special(const meshping__icmp_socket *sock, const meshping__tx *packet)
{
    return packet->source || packet->interface || sock->fragmenting != fragmenting_of(packet);
}

/* Returns how many were sent; less than `count` when the next one failed. */
static size_t send_some(meshping__icmp_socket *sock, meshping__tx *packets, size_t count)
{
    struct mmsghdr messages[TOGETHER_MAX];
    outgoing out[TOGETHER_MAX];

    for (size_t i = 0; i < count; i++)
        if (is_special(sock, &packets[i]) || prepare(&messages[i].msg_hdr, &out[i], &packets[i]) != 0)
            count = i; /* up to here */
    if (count == 0)
        return 0;
    meshping_now before = meshping__read_clocks();
    int sent = sendmmsg(sock->fd, messages, (unsigned)count, MSG_DONTWAIT);
    if (sent <= 0)
        return 0;
    stamp(sock, packets, (size_t)sent, &before);
    return (size_t)sent;
}

void meshping__icmp_send(meshping__icmp_socket *sock, meshping__tx *packets, size_t count, bool together)
{
    size_t done = 0;
    if (sock->fd < 0) {
        meshping_now now = meshping_now_read();
        for (; done < count; done++) {
            packets[done].sys_errno = EAFNOSUPPORT;
            packets[done].sent_mono_ns = now.mono_ns;
            packets[done].sent_unix_ns = now.unix_ns;
        }
    }
    while (done < count) {
        size_t most = count - done < TOGETHER_MAX ? count - done : TOGETHER_MAX;
        size_t sent = together && most > 1 ? send_some(sock, packets + done, most) : 0;
        done += sent;
        if (sent < most && done < count)
            send_one(sock, &packets[done++], !together); /* alone, special, or it failed: now it says why */
    }
}
