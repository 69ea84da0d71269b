/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/resolver.h"

#include "base/alloc.h"
#include <ares.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#define TRY_MS 2000
#define TRIES 2
#define REOPEN_NS INT64_C(60000000000) /* after failures: /etc/resolv.conf may have changed */
#define EVENTS 32

typedef struct lookup {
    struct lookup *next;
    meshping__resolver *resolver;
    meshping__resolution resolution;
} lookup;

struct meshping__resolver {
    ares_channel channel;
    int epoll_fd;
    uint32_t pending;
    bool closing;
    bool failing; /* the last look-up failed */
    int64_t opened_mono_ns;
    lookup *first, *last; /* finished ones */
};

static void on_socket_state(void *user, ares_socket_t fd, int readable, int writable)
{
    meshping__resolver *resolver = user;
    struct epoll_event event = {.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u), .data.fd = fd};
    if (!readable && !writable)
        epoll_ctl(resolver->epoll_fd, EPOLL_CTL_DEL, fd, &event);
    else if (epoll_ctl(resolver->epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT)
        epoll_ctl(resolver->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static meshping_status open_channel(meshping__resolver *resolver, meshping_error *err)
{
    struct ares_options options = {
        .timeout = TRY_MS,
        .tries = TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = resolver,
    };
    int code =
        ares_init_options(&resolver->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    resolver->opened_mono_ns = meshping_now_read().mono_ns;
    if (code == ARES_SUCCESS)
        return MESHPING_OK;
    resolver->channel = NULL;
    return meshping_error_set(err, code == ARES_ENOMEM ? MESHPING_NOMEM : MESHPING_IO, "cannot start the resolver: %s",
                              ares_strerror(code));
}

meshping_status meshping__resolver_new(meshping__resolver **out, int epoll_fd, meshping_error *err)
{
    meshping__resolver *resolver = meshping__calloc(1, sizeof *resolver);
    if (!resolver)
        return meshping_error_set(err, MESHPING_NOMEM, "cannot start the resolver: out of memory");
    resolver->epoll_fd = epoll_fd;
    if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
        meshping__free(resolver);
        return meshping_error_set(err, MESHPING_IO, "cannot start the resolver");
    }
    meshping_status status = open_channel(resolver, err);
    if (status != MESHPING_OK) {
        meshping__resolver_free(resolver);
        return status;
    }
    *out = resolver;
    return MESHPING_OK;
}

void meshping__resolver_free(meshping__resolver *resolver)
{
    if (!resolver)
        return;
    resolver->closing = true;
    if (resolver->channel)
        ares_destroy(resolver->channel);
    while (resolver->first) {
        lookup *next = resolver->first->next;
        meshping__free(resolver->first);
        resolver->first = next;
    }
    ares_library_cleanup();
    meshping__free(resolver);
}

static void collect(meshping__resolution *resolution, const struct ares_addrinfo *found)
{
    for (const struct ares_addrinfo_node *node = found->nodes; node; node = node->ai_next)
        if (resolution->count < MESHPING__RESOLUTION_MAX &&
            meshping_address_from_sockaddr(&resolution->addresses[resolution->count], node->ai_addr) == MESHPING_OK)
            resolution->count++;
}

static void on_addresses(void *user, int code, int timeouts, struct ares_addrinfo *found)
{
    lookup *done = user;
    meshping__resolver *resolver = done->resolver;
    (void)timeouts;
    resolver->pending--;
    if (code == ARES_SUCCESS && found)
        collect(&done->resolution, found);
    if (found)
        ares_freeaddrinfo(found);
    if (resolver->closing) {
        meshping__free(done);
        return;
    }
    resolver->failing = done->resolution.count == 0;
    if (resolver->last)
        resolver->last->next = done;
    else
        resolver->first = done;
    resolver->last = done;
}

/* c-ares 1.18 reads its configuration once: an agent that started before the network came up needs a new channel. */
static void refresh(meshping__resolver *resolver)
{
    if (resolver->pending || meshping_now_read().mono_ns - resolver->opened_mono_ns < REOPEN_NS)
        return;
    if (resolver->channel)
        ares_destroy(resolver->channel);
    resolver->channel = NULL;
    (void)open_channel(resolver, NULL);
}

meshping_status meshping__resolver_start(meshping__resolver *resolver, uint64_t token, const char *host, uint8_t family)
{
    struct ares_addrinfo_hints hints = {
        .ai_family = family == MESHPING_FAMILY_IPV4   ? AF_INET
                     : family == MESHPING_FAMILY_IPV6 ? AF_INET6
                                                      : AF_UNSPEC,
        .ai_socktype = SOCK_DGRAM, /* one entry an address */
    };
    if (resolver->failing || !resolver->channel)
        refresh(resolver);
    lookup *wanted = resolver->channel ? meshping__calloc(1, sizeof *wanted) : NULL;
    if (!wanted)
        return MESHPING_NOMEM;
    wanted->resolver = resolver;
    wanted->resolution.token = token;
    resolver->pending++;
    ares_getaddrinfo(resolver->channel, host, NULL, &hints, on_addresses, wanted);
    return MESHPING_OK;
}

static void work(meshping__resolver *resolver)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(resolver->epoll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.fd < 0)
            continue; /* the transport's own */
        bool readable = (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        bool writable = (events[i].events & EPOLLOUT) != 0;
        ares_process_fd(resolver->channel, readable ? events[i].data.fd : ARES_SOCKET_BAD,
                        writable ? events[i].data.fd : ARES_SOCKET_BAD);
    }
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* its timeouts */
}

bool meshping__resolver_take(meshping__resolver *resolver, meshping__resolution *out)
{
    if (!resolver->first && resolver->pending)
        work(resolver);
    lookup *done = resolver->first;
    if (!done)
        return false;
    resolver->first = done->next;
    if (!resolver->first)
        resolver->last = NULL;
    *out = done->resolution;
    meshping__free(done);
    return true;
}

int64_t meshping__resolver_deadline_ns(meshping__resolver *resolver, int64_t now_mono_ns)
{
    struct timeval wait;
    if (resolver->first)
        return now_mono_ns;
    if (!resolver->pending || !ares_timeout(resolver->channel, NULL, &wait))
        return INT64_MAX;
    return now_mono_ns + (int64_t)wait.tv_sec * 1000000000 + (int64_t)wait.tv_usec * 1000;
}
