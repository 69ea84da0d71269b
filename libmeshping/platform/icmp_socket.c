/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/icmp_socket.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/sock_diag.h>
#include <netinet/icmp6.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/errqueue.h> /* wants struct timespec */
#include <linux/net_tstamp.h>

#ifndef SOL_RAW
#define SOL_RAW 255
#endif

#define RECEIVE_BYTES (16 << 20) /* about 20,000 replies: what comes within a short sleep of the process */
#define SEND_BYTES (16 << 20)    /* packets wait here while a neighbour is looked for, live or dead */

#define STAMPS_DUE_MAX 64
#define STAMPS_TOGETHER 4
#define STAMP_CONTROL_BYTES 256

#define LOAD_BYTE(mode, at) BPF_STMT(BPF_LD | BPF_B | (mode), (at))
#define LOAD_HALF(mode, at) BPF_STMT(BPF_LD | BPF_H | (mode), (at))
#define DO(op, k) BPF_STMT(BPF_ALU | (op) | BPF_K, (k))
#define JUMP_EQ(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))
#define RETURN(k) BPF_STMT(BPF_RET | BPF_K, (k))

/* Keeps replies and errors about other processes' pings out of our queue. Ours are checked again, in full, later. */
static int attach_filter_v4(int fd, uint16_t identifier)
{
    uint32_t fixed = 0xffffu << MESHPING__ICMP_IDENTIFIER_BITS & 0xffffu;
    struct sock_filter code[] = {
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), /* X: length of the IP header */
        LOAD_BYTE(BPF_IND, 0),
        JUMP_EQ(ICMP_ECHOREPLY, 0, 2),
        LOAD_HALF(BPF_IND, 4),
        BPF_STMT(BPF_JMP | BPF_JA, 6), /* to the comparison */
        LOAD_BYTE(BPF_IND, 8),         /* an error: X += length of the quoted IP header */
        DO(BPF_AND, 0x0f),
        DO(BPF_LSH, 2),
        BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
        BPF_STMT(BPF_MISC | BPF_TAX, 0),
        LOAD_HALF(BPF_IND, 8 + 4),
        DO(BPF_AND, fixed),
        JUMP_EQ(identifier, 0, 1),
        RETURN(0xffffffff),
        RETURN(0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int attach_filter_v6(int fd, uint16_t identifier)
{
    uint32_t fixed = 0xffffu << MESHPING__ICMP_IDENTIFIER_BITS & 0xffffu;
    struct sock_filter code[] = {
        LOAD_BYTE(BPF_ABS, 0),
        JUMP_EQ(ICMP6_ECHO_REPLY, 0, 2),
        LOAD_HALF(BPF_ABS, 4),
        BPF_STMT(BPF_JMP | BPF_JA, 3), /* to the comparison */
        LOAD_BYTE(BPF_ABS, 8 + 6),     /* an error: next header of the quoted packet */
        JUMP_EQ(IPPROTO_ICMPV6, 0, 3), /* behind an extension header: let it through */
        LOAD_HALF(BPF_ABS, 8 + 40 + 4),
        DO(BPF_AND, fixed),
        JUMP_EQ(identifier, 0, 1),
        RETURN(0xffffffff),
        RETURN(0),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

static int filter_types(int fd, uint8_t family)
{
    if (family == MESHPING_FAMILY_IPV4) {
        struct icmp_filter filter = {.data = ~((1u << ICMP_ECHOREPLY) | (1u << ICMP_DEST_UNREACH) |
                                               (1u << ICMP_TIME_EXCEEDED) | (1u << ICMP_PARAMETERPROB))};
        return setsockopt(fd, SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
    }
    struct icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    ICMP6_FILTER_SETPASS(ICMP6_DST_UNREACH, &filter);
    ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
    ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &filter);
    ICMP6_FILTER_SETPASS(ICMP6_PARAM_PROB, &filter);
    return setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
}

/* The kernel's identifier of a ping socket is its "port". */
static int take_identifier(meshping__icmp_socket *sock)
{
    union {
        struct sockaddr sa;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } name = {.sa = {.sa_family = sock->family == MESHPING_FAMILY_IPV4 ? AF_INET : AF_INET6}};
    socklen_t length = sock->family == MESHPING_FAMILY_IPV4 ? sizeof name.in : sizeof name.in6;
    if (bind(sock->fd, &name.sa, length) != 0 || getsockname(sock->fd, &name.sa, &length) != 0)
        return -1;
    sock->identifier = ntohs(sock->family == MESHPING_FAMILY_IPV4 ? name.in.sin_port : name.in6.sin6_port);
    return 0;
}

static int enable(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof on);
}

static void grow_buffer(int fd, int forced, int plain, int bytes)
{
    if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof bytes) !=
        0) /* beyond the system's limit: needs CAP_NET_ADMIN */
        (void)setsockopt(fd, SOL_SOCKET, plain, &bytes, sizeof bytes);
}

static int configure(meshping__icmp_socket *sock)
{
    bool v4 = sock->family == MESHPING_FAMILY_IPV4;
    int failed = 0;
    if (sock->raw) {
        failed |= v4 ? attach_filter_v4(sock->fd, sock->identifier) : attach_filter_v6(sock->fd, sock->identifier);
        failed |= filter_types(sock->fd, sock->family);
    } else {
        failed |= take_identifier(sock);
        failed |= v4 ? enable(sock->fd, IPPROTO_IP, IP_RECVERR) : enable(sock->fd, IPPROTO_IPV6, IPV6_RECVERR);
    }
    if (!v4)
        failed |= enable(sock->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
    else if (!sock->raw) /* a raw socket hands out the IP header, and this option costs 5 % of a ping */
        failed |= enable(sock->fd, IPPROTO_IP, IP_PKTINFO);
    failed |= enable(sock->fd, SOL_SOCKET, SO_TIMESTAMPNS);
    if (failed)
        return -1;
    grow_buffer(sock->fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BYTES);
    grow_buffer(sock->fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BYTES);
    int room = 0;
    socklen_t length = sizeof room;
    if (getsockopt(sock->fd, SOL_SOCKET, SO_RCVBUF, &room, &length) == 0 && room > 0)
        sock->receive_room = (uint32_t)room;
    return 0;
}

void meshping__icmp_socket_open(meshping__icmp_socket *sock, uint8_t family, uint16_t identifier)
{
    bool v4 = family == MESHPING_FAMILY_IPV4;
    int domain = v4 ? AF_INET : AF_INET6, protocol = v4 ? (int)IPPROTO_ICMP : (int)IPPROTO_ICMPV6;

    *sock = (meshping__icmp_socket){.fd = -1, .family = family, .identifier = identifier, .raw = true};
    sock->fd = socket(domain, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    if (sock->fd < 0 && (errno == EPERM || errno == EACCES)) {
        sock->raw = false;
        sock->fd = socket(domain, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    }
    if (sock->fd < 0 || configure(sock) != 0) {
        sock->open_errno = errno;
        meshping__icmp_socket_close(sock);
    }
}

void meshping__icmp_socket_close(meshping__icmp_socket *sock)
{
    if (sock->fd >= 0)
        close(sock->fd);
    sock->fd = -1;
}

socklen_t meshping__to_name(meshping__socket_name *name, const meshping_address *address)
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

int meshping__udp_connect(const meshping_address *to, const char *interface)
{
    meshping__socket_name name;
    socklen_t length = meshping__to_name(&name, to);
    int fd = socket(name.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (name.sa.sa_family == AF_INET) /* the ports are at one place, but two names */
        name.in.sin_port = htons(7);
    else
        name.in6.sin6_port = htons(7);
    if ((!interface || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, (socklen_t)strlen(interface)) == 0) &&
        connect(fd, &name.sa, length) == 0)
        return fd;
    close(fd);
    return -1;
}

void meshping__icmp_socket_stamps_start(meshping__icmp_socket *sock)
{
    unsigned on = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
    bool started = sock->raw && setsockopt(sock->fd, SOL_SOCKET, SO_TIMESTAMPING, &on, sizeof on) == 0;
    sock->stamping = started ? MESHPING__STAMPING_ON : MESHPING__STAMPING_OFF;
}

static bool take_stamp(struct msghdr *header, int64_t *unix_ns)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        struct scm_timestamping stamp;
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPING)
            continue;
        memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
        *unix_ns = (int64_t)stamp.ts[0].tv_sec * 1000000000 + stamp.ts[0].tv_nsec;
        return true;
    }
    return false;
}

/* One system call finds all that waits: a device that stamps a packet twice leaves nothing behind that would wake us.
 */
unsigned meshping__icmp_socket_stamps_take(meshping__icmp_socket *sock, int64_t *unix_ns)
{
    uint8_t control[STAMPS_TOGETHER][STAMP_CONTROL_BYTES] __attribute__((aligned(8)));
    struct mmsghdr messages[STAMPS_TOGETHER];
    unsigned count = 0;
    int got = STAMPS_TOGETHER;
    while (sock->stamps_due > 0 && got == STAMPS_TOGETHER) {
        for (int i = 0; i < STAMPS_TOGETHER; i++)
            messages[i].msg_hdr = (struct msghdr){.msg_control = control[i], .msg_controllen = STAMP_CONTROL_BYTES};
        got = recvmmsg(sock->fd, messages, STAMPS_TOGETHER, MSG_ERRQUEUE | MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++)
            if (take_stamp(&messages[i].msg_hdr, unix_ns))
                count++;
        if (got > 0)
            sock->stamps_due -= sock->stamps_due < (uint32_t)got ? sock->stamps_due : (uint32_t)got;
    }
    if (sock->stamps_due >= STAMPS_DUE_MAX && sock->stamping == MESHPING__STAMPING_ON) {
        unsigned off = 0; /* a device that does not tell: what is due may come yet, and is still taken */
        (void)setsockopt(sock->fd, SOL_SOCKET, SO_TIMESTAMPING, &off, sizeof off);
        sock->stamping = MESHPING__STAMPING_OFF;
    }
    return count;
}

static bool read_meminfo(const meshping__icmp_socket *sock, uint32_t info[SK_MEMINFO_VARS])
{
    socklen_t length = SK_MEMINFO_VARS * sizeof *info;
    return getsockopt(sock->fd, SOL_SOCKET, SO_MEMINFO, info, &length) == 0 &&
           length >= (SK_MEMINFO_DROPS + 1) * sizeof *info;
}

void meshping__icmp_socket_note_fill(meshping__icmp_socket *sock)
{
    uint32_t info[SK_MEMINFO_VARS];
    if (sock->family == MESHPING_FAMILY_IPV6 && sock->fd >= 0 && read_meminfo(sock, info) &&
        info[SK_MEMINFO_RMEM_ALLOC] > sock->fill_high)
        sock->fill_high = info[SK_MEMINFO_RMEM_ALLOC];
}

/*
 * SO_MEMINFO tells the same counter as SO_RXQ_OVFL, but at once and not only with the next packet. Of ICMPv6 the kernel
 * counts there what it drops for a bad checksum too; those are no sign of our own overload, which needs a full queue.
 */
uint64_t meshping__icmp_socket_drops(meshping__icmp_socket *sock)
{
    uint32_t info[SK_MEMINFO_VARS];
    if (sock->fd < 0 || !read_meminfo(sock, info))
        return sock->drops;
    uint32_t added = info[SK_MEMINFO_DROPS] - sock->drops_seen;
    meshping__icmp_socket_note_fill(sock);
    if (sock->family == MESHPING_FAMILY_IPV4 || sock->fill_high >= sock->receive_room / 2)
        sock->drops += added;
    sock->drops_seen = info[SK_MEMINFO_DROPS];
    sock->fill_high = 0;
    return sock->drops;
}
