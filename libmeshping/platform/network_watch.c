/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/network_watch.h"

#include "base/alloc.h"
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <meshping/sample.h>
#include <net/if.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SUSPENDED_NS 10000000      /* the boot clock runs on while the monotonic one stands still */
#define GATEWAY_FRESH_NS 100000000 /* how long an answer about a gateway is good for */
#define PROBING_TICKS 20           /* in hundredths of a second: a neighbour that lives answers at once */
#define LINK_SETTLES_NS 1000000000 /* a link that came up looks for its neighbours first */
#define ANSWER_BYTES 8192
#define ATTRIBUTES_BYTES 128

typedef struct link_state {
    int index;
    bool up;
    int64_t up_again_ns; /* when it last came up after having been down; long ago: never */
} link_state;

struct meshping__network_watch {
    int events_fd, query_fd;
    uint32_t sequence;
    link_state *links;
    size_t link_count;
    int64_t boot_offset_ns, resumed_ns;
    /* the gateway asked for last */
    meshping_address gateway;
    int gateway_link;
    int64_t gateway_asked_ns;
    bool gateway_silent;
    uint8_t bytes[ANSWER_BYTES] __attribute__((aligned(8)));
};

typedef struct route {
    bool none;  /* the kernel would not send there */
    bool local; /* this host's own address */
    int link;
    meshping_address gateway; /* family NONE: the target is on the link */
} route;

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- links ---- */

static void note_link(meshping__network_watch *watch, const struct nlmsghdr *header, int64_t now_ns)
{
    const struct ifinfomsg *info = NLMSG_DATA(header);
    bool up = header->nlmsg_type == RTM_NEWLINK && (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
    link_state *link = NULL;
    for (size_t i = 0; i < watch->link_count && !link; i++)
        if (watch->links[i].index == info->ifi_index)
            link = &watch->links[i];
    if (!link) {
        if (header->nlmsg_type != RTM_NEWLINK || watch->link_count == MESHPING__LINKS_MAX)
            return;
        if ((watch->link_count & (watch->link_count - 1)) == 0) { /* at 0, 1, 2, 4, ...: room for twice as many */
            size_t capacity = watch->link_count ? watch->link_count * 2 : 1;
            link_state *grown = meshping__realloc(watch->links, capacity * sizeof *grown);
            if (!grown)
                return;
            watch->links = grown;
        }
        link = &watch->links[watch->link_count++];
        *link = (link_state){.index = info->ifi_index, .up = up, .up_again_ns = INT64_MIN / 2};
        return;
    }
    if (up && !link->up)
        link->up_again_ns = now_ns;
    link->up = up;
    if (header->nlmsg_type == RTM_DELLINK)
        *link = watch->links[--watch->link_count];
}

static const struct nlmsghdr *next_message(const struct nlmsghdr *header, size_t *left)
{
    size_t length = NLMSG_ALIGN(header->nlmsg_len);
    *left = length < *left ? *left - length : 0;
    return (const struct nlmsghdr *)(const void *)((const uint8_t *)header + length);
}

static bool is_whole(const struct nlmsghdr *header, size_t left, size_t body)
{
    return left >= sizeof *header && header->nlmsg_len >= NLMSG_LENGTH(body) && header->nlmsg_len <= left;
}

/* All messages that wait; true: some were lost for want of room. */
static bool read_links(meshping__network_watch *watch, int64_t now_ns)
{
    bool lost = false;
    for (;;) {
        ssize_t length = recv(watch->events_fd, watch->bytes, sizeof watch->bytes, MSG_DONTWAIT);
        if (length < 0 && errno == ENOBUFS) {
            lost = true;
            continue;
        }
        if (length <= 0)
            return lost;
        size_t left = (size_t)length;
        for (const struct nlmsghdr *header = (const void *)watch->bytes; is_whole(header, left, 0);
             header = next_message(header, &left))
            if ((header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) &&
                is_whole(header, left, sizeof(struct ifinfomsg)))
                note_link(watch, header, now_ns);
    }
}

/* The answers come as events do. */
static bool ask_for_links(meshping__network_watch *watch)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = RTM_GETLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                            .nlmsg_seq = ++watch->sequence}};
    return send(watch->events_fd, &request, sizeof request, MSG_DONTWAIT) == (ssize_t)sizeof request;
}

void meshping__network_watch_update(meshping__network_watch *watch, bool told)
{
    int64_t now_ns = read_clock(CLOCK_MONOTONIC), boot_offset_ns = read_clock(CLOCK_BOOTTIME) - now_ns;
    if (boot_offset_ns - watch->boot_offset_ns > SUSPENDED_NS)
        watch->resumed_ns = now_ns;
    watch->boot_offset_ns = boot_offset_ns;
    if (told && read_links(watch, now_ns))
        (void)ask_for_links(watch);
}

/* ---- questions: one request, one answer, both at once ---- */

typedef struct request {
    struct nlmsghdr header;
    union {
        struct rtmsg route;
        struct ndmsg neighbour;
    } body;
    uint8_t attributes[ATTRIBUTES_BYTES];
} request;

static void add_attribute(request *r, unsigned short type, const void *value, size_t length)
{
    struct rtattr attribute = {.rta_len = (unsigned short)RTA_LENGTH(length), .rta_type = type};
    uint8_t *at = (uint8_t *)r + NLMSG_ALIGN(r->header.nlmsg_len);
    memcpy(at, &attribute, sizeof attribute);
    memcpy(at + RTA_LENGTH(0), value, length);
    r->header.nlmsg_len = NLMSG_ALIGN(r->header.nlmsg_len) + (uint32_t)RTA_ALIGN(attribute.rta_len);
}

/* The answer, borrowed; NULL with *refused: 0 when there is none, else the kernel's errno. */
static const struct nlmsghdr *ask(meshping__network_watch *watch, request *r, int *refused)
{
    *refused = 0;
    r->header.nlmsg_flags = NLM_F_REQUEST;
    r->header.nlmsg_seq = ++watch->sequence;
    if (send(watch->query_fd, r, r->header.nlmsg_len, MSG_DONTWAIT) < 0)
        return NULL;
    for (;;) {
        ssize_t length = recv(watch->query_fd, watch->bytes, sizeof watch->bytes, MSG_DONTWAIT);
        const struct nlmsghdr *header = (const void *)watch->bytes;
        if (length <= 0 || !is_whole(header, (size_t)length, 0))
            return NULL;
        if (header->nlmsg_seq != watch->sequence)
            continue;
        if (header->nlmsg_type != NLMSG_ERROR)
            return header;
        if (is_whole(header, (size_t)length, sizeof(struct nlmsgerr)))
            *refused = -((const struct nlmsgerr *)NLMSG_DATA(header))->error;
        return NULL;
    }
}

/* The value of an attribute behind `body` bytes of a message; NULL: not there, or shorter. */
static const void *attribute(const struct nlmsghdr *header, size_t body, unsigned short type, size_t least)
{
    size_t at = NLMSG_SPACE(body);
    while (at + sizeof(struct rtattr) <= header->nlmsg_len) {
        const struct rtattr *one = (const void *)((const uint8_t *)header + at);
        if (one->rta_len < sizeof *one || at + one->rta_len > header->nlmsg_len)
            return NULL;
        if (one->rta_type == type)
            return RTA_PAYLOAD(one) >= least ? RTA_DATA(one) : NULL;
        at += RTA_ALIGN(one->rta_len);
    }
    return NULL;
}

static size_t address_bytes(uint8_t family)
{
    return family == MESHPING_FAMILY_IPV4 ? 4 : 16;
}

/* As the probe's packet would go: `source` and `link` where it asks for them, else NULL and 0. */
static bool find_route(meshping__network_watch *watch, const meshping_address *to, const meshping_address *source,
                       int link, route *out)
{
    int refused;
    size_t bytes = address_bytes(to->family);
    request r = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof r.body.route), .nlmsg_type = RTM_GETROUTE}};
    r.body.route.rtm_family = to->family == MESHPING_FAMILY_IPV4 ? AF_INET : AF_INET6;
    r.body.route.rtm_dst_len = (unsigned char)(bytes * 8);
    add_attribute(&r, RTA_DST, to->bytes, bytes);
    if (source) {
        r.body.route.rtm_src_len = r.body.route.rtm_dst_len;
        add_attribute(&r, RTA_SRC, source->bytes, bytes);
    }
    if (link)
        add_attribute(&r, RTA_OIF, &link, sizeof link);
    *out = (route){0};
    const struct nlmsghdr *answer = ask(watch, &r, &refused);
    if (!answer) {
        out->none = refused == ENETUNREACH || refused == EHOSTUNREACH || refused == EACCES || refused == ENETDOWN;
        return out->none;
    }
    if (answer->nlmsg_type != RTM_NEWROUTE || answer->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
        return false;
    const struct rtmsg *found = NLMSG_DATA(answer);
    const void *out_link = attribute(answer, sizeof *found, RTA_OIF, sizeof(int));
    const uint8_t *gateway = attribute(answer, sizeof *found, RTA_GATEWAY, bytes);
    const uint8_t *via = attribute(answer, sizeof *found, RTA_VIA, 2 + 16); /* IPv4 by an IPv6 neighbour */
    out->local = found->rtm_type == RTN_LOCAL;
    /* what refuses packets here is a route too: IPv6 answers with it, and with its error */
    out->none = found->rtm_type == RTN_UNREACHABLE || found->rtm_type == RTN_PROHIBIT ||
                found->rtm_type == RTN_BLACKHOLE || found->rtm_type == RTN_THROW;
    if (out_link)
        memcpy(&out->link, out_link, sizeof out->link);
    if (gateway) {
        out->gateway.family = to->family;
        memcpy(out->gateway.bytes, gateway, bytes);
    } else if (via) {
        out->gateway.family = MESHPING_FAMILY_IPV6;
        memcpy(out->gateway.bytes, via + 2, 16);
    }
    return true;
}

/* True: the kernel looks for the gateway and gets no answer. */
static bool is_silent(meshping__network_watch *watch, const meshping_address *gateway, int link)
{
    int refused;
    request r = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof r.body.neighbour), .nlmsg_type = RTM_GETNEIGH}};
    r.body.neighbour.ndm_family = gateway->family == MESHPING_FAMILY_IPV4 ? AF_INET : AF_INET6;
    r.body.neighbour.ndm_ifindex = link;
    add_attribute(&r, NDA_DST, gateway->bytes, address_bytes(gateway->family));
    const struct nlmsghdr *answer = ask(watch, &r, &refused);
    if (!answer || answer->nlmsg_type != RTM_NEWNEIGH || answer->nlmsg_len < NLMSG_LENGTH(sizeof(struct ndmsg)))
        return false;
    const struct ndmsg *found = NLMSG_DATA(answer);
    if (found->ndm_state & NUD_FAILED)
        return true;
    const struct nda_cacheinfo *age = attribute(answer, sizeof *found, NDA_CACHEINFO, sizeof *age);
    return (found->ndm_state & (NUD_INCOMPLETE | NUD_PROBE)) && age && age->ndm_updated >= PROBING_TICKS;
}

static bool gateway_is_silent(meshping__network_watch *watch, const route *way)
{
    int64_t now_ns = read_clock(CLOCK_MONOTONIC);
    if (watch->gateway_link != way->link || !meshping_address_equal(&watch->gateway, &way->gateway) ||
        now_ns - watch->gateway_asked_ns > GATEWAY_FRESH_NS) {
        watch->gateway = way->gateway;
        watch->gateway_link = way->link;
        watch->gateway_asked_ns = now_ns;
        watch->gateway_silent = is_silent(watch, &way->gateway, way->link);
    }
    return watch->gateway_silent;
}

static bool link_was_down(const meshping__network_watch *watch, int index, int64_t since_ns)
{
    for (size_t i = 0; i < watch->link_count; i++)
        if (watch->links[i].index == index)
            return !watch->links[i].up || watch->links[i].up_again_ns + LINK_SETTLES_NS >= since_ns;
    return false;
}

/* True: `unreachable` came from this host itself. */
static bool said_by_this_host(meshping__network_watch *watch, const meshping_address *error_from)
{
    route back;
    return error_from->family && find_route(watch, error_from, NULL, (int)error_from->scope_id, &back) && back.local;
}

uint8_t meshping__network_watch_blame(meshping__network_watch *watch, const meshping__miss *miss)
{
    route way;
    int link = (int)miss->to->scope_id;
    meshping__network_watch_update(watch, true);
    if (watch->resumed_ns >= miss->sent_mono_ns)
        return MESHPING_OUTCOME_OVERLOADED;
    if (miss->interface) {
        link = (int)if_nametoindex(miss->interface);
        if (!link)
            return MESHPING_OUTCOME_ISOLATED; /* it is not there any more */
    }
    if (!find_route(watch, miss->to, miss->source, link, &way))
        return 0;
    if (way.none)
        return MESHPING_OUTCOME_ISOLATED;
    if (way.local)
        return 0; /* our own address: no link, no gateway */
    if (link_was_down(watch, way.link, miss->sent_mono_ns))
        return MESHPING_OUTCOME_ISOLATED;
    if (way.gateway.family == MESHPING_FAMILY_NONE)
        return 0; /* a neighbour that does not answer is the target itself */
    if (said_by_this_host(watch, miss->error_from) || gateway_is_silent(watch, &way))
        return MESHPING_OUTCOME_ISOLATED;
    return 0;
}

/* ---- life ---- */

static int open_netlink(uint32_t groups)
{
    struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof name) == 0)
        return fd;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return -1;
}

meshping_status meshping__network_watch_new(meshping__network_watch **out, int epoll_fd, int data, meshping_error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = data};
    meshping__network_watch *watch = meshping__calloc(1, sizeof *watch);
    if (!watch)
        return meshping_error_set(err, MESHPING_NOMEM, "prober: out of memory");
    watch->resumed_ns = watch->gateway_asked_ns = INT64_MIN / 2;
    watch->boot_offset_ns = read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC);
    watch->query_fd = -1;
    watch->events_fd = open_netlink(RTMGRP_LINK);
    if (watch->events_fd >= 0)
        watch->query_fd = open_netlink(0);
    if (watch->query_fd < 0 || !ask_for_links(watch) ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, watch->events_fd, &event) != 0) {
        meshping_status status = meshping_error_set_errno(err, MESHPING_IO, errno, "cannot watch this host's network");
        meshping__network_watch_free(watch);
        return status;
    }
    *out = watch;
    return MESHPING_OK;
}

void meshping__network_watch_free(meshping__network_watch *watch)
{
    if (!watch)
        return;
    if (watch->events_fd >= 0)
        close(watch->events_fd);
    if (watch->query_fd >= 0)
        close(watch->query_fd);
    meshping__free(watch->links);
    meshping__free(watch);
}
