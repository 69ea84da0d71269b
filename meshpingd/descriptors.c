/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/descriptors.h"

#include "common/log.h"
#include <sys/resource.h>

#define OWN 64 /* database, readers, loop, mail */
#define TELL_EVERY_MS 60000

void descriptors_split(descriptor_limit *d, int limit, int reserved)
{
    d->limit = limit;
    reserved = reserved < limit / 4 ? reserved : limit / 4;
    d->agents_below = limit - reserved;
    d->half_below = limit - reserved / 2;
}

void descriptors_open(descriptor_limit *d, int reserved)
{
    struct rlimit granted = {0, 0}, wanted;
    getrlimit(RLIMIT_NOFILE, &granted);
    wanted = granted;
    if (wanted.rlim_cur < DESCRIPTORS_MAX)
        wanted.rlim_cur = wanted.rlim_max < DESCRIPTORS_MAX ? wanted.rlim_max : DESCRIPTORS_MAX;
    if (setrlimit(RLIMIT_NOFILE, &wanted) != 0)
        wanted = granted;
    descriptors_split(d, wanted.rlim_cur < INT32_MAX ? (int)wanted.rlim_cur : INT32_MAX, reserved);
}

void descriptors_check(const descriptor_limit *d, size_t agents, size_t strangers)
{
    size_t need = agents + strangers + OWN;
    if (need > (size_t)d->agents_below)
        log_warning("server",
                    "the limit of %d open files is too low: %zu agents, %zu connections that have yet to say who they "
                    "are, %d for administrators and %d for the server itself; raise it to %zu (LimitNOFILE of the "
                    "service, ulimit -Hn)",
                    d->limit, agents, strangers, d->limit - d->agents_below, OWN,
                    need + (size_t)(d->limit - d->agents_below));
}

bool descriptors_refuse_agent(descriptor_limit *d, int fd, uint64_t now_ms)
{
    if (fd < d->agents_below)
        return false;
    if (!d->told_ms || now_ms - d->told_ms > TELL_EVERY_MS) {
        d->told_ms = now_ms;
        log_error("server",
                  "%d of %d open files are in use, the rest is kept for administrators: no more agents for now "
                  "(descriptors_reserved; LimitNOFILE of the service, ulimit -Hn)",
                  d->agents_below, d->limit);
    }
    return true;
}
