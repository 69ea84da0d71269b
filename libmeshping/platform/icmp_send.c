/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/icmp_send.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define TOGETHER_MAX 8    /* packets a system call; more save little and blur the times more */
#define TORN_NS 20000     /* between two clock readings, more means that somebody else ran in between */
#define HELD_UP_NS 100000 /* sending took this much longer than it should: when was it sent? */
#define SEND_TRIES 3
#define CONTROL_BYTES (2 * CMSG_SPACE(sizeof(int)))

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

static socklen_t to_name(meshping__socket_name *name, const meshping_address *address)
{
    if (address->family == MESHPING_FAMILY_IPV4) {
        name->in = (struct sockaddr_in){.sin_family = AF_INET};
        memcpy(&name->in.sin_addr, address->bytes, 4);
        return sizeof name->in;
    }
    name->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_scope_id = address->scope_id};
    memcpy(&name->in6.sin6_addr, address->bytes, 16);
    return sizeof name->in6;
}

static void add_control(struct msghdr *header, int level, int type, int value)
{
    size_t used = header->msg_controllen;
    struct cmsghdr *control = (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + used);
    control->cmsg_level = level;
    control->cmsg_type = type;
    control->cmsg_len = CMSG_LEN(sizeof value);
    memcpy(CMSG_DATA(control), &value, sizeof value);
    header->msg_controllen = used + CMSG_SPACE(sizeof value);
}

static void prepare(struct msghdr *header, outgoing *out, const meshping__tx *packet)
{
    bool v4 = packet->to.family == MESHPING_FAMILY_IPV4;
    out->vector = (struct iovec){.iov_base = (void *)(uintptr_t)packet->bytes, .iov_len = packet->length};
    *header = (struct msghdr){.msg_name = &out->name, .msg_iov = &out->vector, .msg_iovlen = 1};
    header->msg_namelen = to_name(&out->name, &packet->to);
    header->msg_control = out->control;
    if (packet->dscp)
        add_control(header, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TOS : IPV6_TCLASS, packet->dscp << 2);
    if (packet->ttl)
        add_control(header, v4 ? IPPROTO_IP : IPPROTO_IPV6, v4 ? IP_TTL : IPV6_HOPLIMIT, packet->ttl);
    if (header->msg_controllen == 0)
        header->msg_control = NULL;
}

/* One system call a packet: its time is read right before. Then again, for this process may lose the processor. */
static void send_one(const meshping__icmp_socket *sock, meshping__tx *packet)
{
    struct msghdr header;
    outgoing out;

    prepare(&header, &out, packet);
    for (int i = 0; i < SEND_TRIES; i++) {
        meshping_now now = meshping__read_clocks();
        packet->sent_mono_ns = now.mono_ns;
        packet->sent_unix_ns = now.unix_ns;
        packet->sys_errno = sendmsg(sock->fd, &header, MSG_DONTWAIT) >= 0 ? 0 : errno;
        if (packet->sys_errno == 0) {
            packet->held_up = meshping_now_read().mono_ns - now.mono_ns > HELD_UP_NS;
            return;
        }
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

/* Returns how many were sent; less than `count` when the next one failed. */
static size_t send_some(meshping__icmp_socket *sock, meshping__tx *packets, size_t count)
{
    struct mmsghdr messages[TOGETHER_MAX];
    outgoing out[TOGETHER_MAX];

    for (size_t i = 0; i < count; i++)
        prepare(&messages[i].msg_hdr, &out[i], &packets[i]);
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
            send_one(sock, &packets[done++]); /* alone, or the one that failed: now it says why */
    }
}
