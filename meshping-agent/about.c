/* SPDX-License-Identifier: Apache-2.0 */
#include "meshping-agent/about.h"

#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- load ---- */

static int64_t read_ns(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) == 0 ? (int64_t)now.tv_sec * 1000000000 + now.tv_nsec : 0;
}

void load_meter_start(load_meter *meter)
{
    *meter = (load_meter){.cpu_ns = read_ns(CLOCK_PROCESS_CPUTIME_ID), .mono_ns = read_ns(CLOCK_MONOTONIC)};
}

bool load_meter_read(load_meter *meter, meshping_agent_load *out)
{
    double average;
    int64_t cpu_ns = read_ns(CLOCK_PROCESS_CPUTIME_ID), mono_ns = read_ns(CLOCK_MONOTONIC);
    if (mono_ns <= meter->mono_ns || cpu_ns < meter->cpu_ns || getloadavg(&average, 1) != 1)
        return false;
    *out = (meshping_agent_load){
        .cpu_permille = (uint32_t)((double)(cpu_ns - meter->cpu_ns) * 1000 / (double)(mono_ns - meter->mono_ns) + 0.5),
        .load_permille = (uint32_t)(average * 1000 + 0.5),
        .late_probes = meter->late_probes,
        .overloaded = meter->overloaded,
    };
    meter->cpu_ns = cpu_ns;
    meter->mono_ns = mono_ns;
    return true;
}

/* ---- targets ---- */

/* The kernel's word: it takes addresses that are on no interface, too, such as all of 127/8. */
static bool may_send_from(const meshping_address *source)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name = {0};
    bool v4 = source->family == MESHPING_FAMILY_IPV4;
    if (v4) {
        name.v4.sin_family = AF_INET;
        memcpy(&name.v4.sin_addr, source->bytes, 4);
    } else {
        name.v6.sin6_family = AF_INET6;
        name.v6.sin6_scope_id = source->scope_id;
        memcpy(&name.v6.sin6_addr, source->bytes, 16);
    }
    int fd = socket(name.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true; /* nothing is known of it */
    bool refused = bind(fd, &name.any, v4 ? sizeof name.v4 : sizeof name.v6) != 0 && errno == EADDRNOTAVAIL;
    close(fd);
    return !refused;
}

static bool has_family(const struct ifaddrs *all, int family)
{
    for (; all; all = all->ifa_next)
        if (all->ifa_addr && all->ifa_addr->sa_family == family)
            return true;
    return false;
}

/* An interface that is there and down is no reason: what is sent to it comes to nothing, which is told as that. */
static meshping_refusal why_not(const meshping_target *target, bool v4, bool v6, bool source)
{
    meshping_address address = {0};
    bool literal = meshping_address_parse(&address, target->host, NULL) == MESHPING_OK;
    uint8_t family = literal ? address.family : target->family ? target->family : target->source.family;
    if (target->interface[0] && !if_nametoindex(target->interface))
        return MESHPING_REFUSAL_NO_INTERFACE;
    if (!literal && strchr(target->host, '%'))
        return MESHPING_REFUSAL_NO_INTERFACE;
    if (family == MESHPING_FAMILY_IPV4 && !v4)
        return MESHPING_REFUSAL_NO_IPV4;
    if (family == MESHPING_FAMILY_IPV6 && !v6)
        return MESHPING_REFUSAL_NO_IPV6;
    return source ? MESHPING_REFUSAL_NONE : MESHPING_REFUSAL_NO_SOURCE;
}

static int compare_ids(const void *a, const void *b)
{
    const meshping_refused_target *x = a, *y = b;
    return x->target_id < y->target_id ? -1 : x->target_id > y->target_id;
}

size_t about_refusals(const meshping_target_list *list, meshping_refused_target *refused)
{
    struct ifaddrs *all = NULL;
    size_t count = 0;
    if (getifaddrs(&all) != 0)
        return SIZE_MAX;
    bool v4 = has_family(all, AF_INET), v6 = has_family(all, AF_INET6);
    freeifaddrs(all);
    meshping_address asked = {0}; /* targets with the same source mostly lie together */
    bool source = true;
    for (size_t i = 0; i < list->count; i++) {
        const meshping_target *target = &list->items[i];
        if (v4 && v6 && !target->interface[0] && !target->source.family && !strchr(target->host, '%'))
            continue; /* as most are */
        if (!meshping_address_equal(&target->source, &asked)) {
            asked = target->source;
            source = !asked.family || may_send_from(&asked);
        }
        meshping_refusal why = why_not(target, v4, v6, source);
        if (why)
            refused[count++] = (meshping_refused_target){target->id, why};
    }
    qsort(refused, count, sizeof *refused, compare_ids);
    return count;
}
