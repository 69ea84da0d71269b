/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/link_watch.h"

#include "base/alloc.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_MAX 1024 /* of those beyond every word counts as a return */
#define DATAGRAM_BYTES 32768

typedef struct known_link {
    int index;
    bool up;
} known_link;

struct meshping__link_watch {
    int fd;
    size_t count;
    known_link links[LINKS_MAX];
    uint8_t bytes[DATAGRAM_BYTES] __attribute__((aligned(8)));
};

static bool note_link(meshping__link_watch *watch, const struct ifinfomsg *info, bool gone)
{
    bool up = !gone && (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
    if (info->ifi_flags & IFF_LOOPBACK)
        return false;
    for (size_t i = 0; i < watch->count; i++) {
        known_link *link = &watch->links[i];
        if (link->index != info->ifi_index)
            continue;
        bool back = up && !link->up;
        link->up = up;
        if (gone)
            *link = watch->links[--watch->count];
        return back;
    }
    if (!gone && watch->count < LINKS_MAX)
        watch->links[watch->count++] = (known_link){info->ifi_index, up};
    return up;
}

static bool note(meshping__link_watch *watch, const struct nlmsghdr *header)
{
    size_t body = header->nlmsg_len - NLMSG_HDRLEN;
    const void *data = (const uint8_t *)header + NLMSG_HDRLEN;
    switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        return body >= sizeof(struct ifinfomsg) && note_link(watch, data, header->nlmsg_type == RTM_DELLINK);
    case RTM_NEWADDR:
        return true;
    case RTM_NEWROUTE: /* a default route, not each neighbour's */
        return body >= sizeof(struct rtmsg) && ((const struct rtmsg *)data)->rtm_dst_len == 0;
    default:
        return false;
    }
}

bool meshping__link_watch_read(meshping__link_watch *watch, const void *bytes, size_t length)
{
    bool back = false;
    for (size_t at = 0; length - at >= sizeof(struct nlmsghdr);) {
        const struct nlmsghdr *header = (const void *)((const uint8_t *)bytes + at);
        size_t whole = header->nlmsg_len;
        if (whole < NLMSG_HDRLEN || whole > length - at)
            break;
        back |= note(watch, header);
        at += NLMSG_ALIGN(whole) < length - at ? NLMSG_ALIGN(whole) : length - at;
    }
    return back;
}

bool meshping__link_watch_take(meshping__link_watch *watch)
{
    bool back = false;
    for (;;) {
        ssize_t length = recv(watch->fd, watch->bytes, sizeof watch->bytes, MSG_DONTWAIT);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && errno == ENOBUFS) { /* words were lost: one of them may have been it */
            back = true;
            continue;
        }
        if (length <= 0)
            return back;
        back |= meshping__link_watch_read(watch, watch->bytes, (size_t)length);
    }
}

/* What the links are now; the answer is none of a return. */
static bool ask(meshping__link_watch *watch)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = RTM_GETLINK,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                            .nlmsg_seq = 1}};
    if (send(watch->fd, &request, sizeof request, MSG_DONTWAIT) != (ssize_t)sizeof request)
        return false;
    (void)meshping__link_watch_take(watch);
    return true;
}

meshping_status meshping__link_watch_new(meshping__link_watch **out, meshping_error *err)
{
    const struct sockaddr_nl name = {.nl_family = AF_NETLINK,
                                     .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                                  RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};
    *out = NULL;
    meshping__link_watch *watch = meshping__calloc(1, sizeof *watch);
    if (!watch)
        return meshping_error_set(err, MESHPING_NOMEM, "out of memory");
    watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (watch->fd < 0 || bind(watch->fd, (const struct sockaddr *)&name, sizeof name) != 0 || !ask(watch)) {
        meshping_status status =
            meshping_error_set_errno(err, MESHPING_IO, errno, "cannot watch the host's links: rtnetlink");
        meshping__link_watch_free(watch);
        return status;
    }
    *out = watch;
    return MESHPING_OK;
}

void meshping__link_watch_free(meshping__link_watch *watch)
{
    if (!watch)
        return;
    if (watch->fd >= 0)
        close(watch->fd);
    meshping__free(watch);
}

int meshping__link_watch_fd(const meshping__link_watch *watch)
{
    return watch->fd;
}
