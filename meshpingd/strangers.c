/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/strangers.h"

#include <stdlib.h>

stranger *strangers_add(strangers *all, void *connection, uint64_t accepted_ms)
{
    stranger *one = malloc(sizeof *one), *before = all->newest;
    if (!one)
        return NULL;
    while (before && before->accepted_ms > accepted_ms) /* seldom: one that waited for its first byte */
        before = before->older;
    stranger *after = before ? before->newer : all->oldest;
    *one = (stranger){before, after, connection, accepted_ms};
    *(before ? &before->newer : &all->oldest) = one;
    *(after ? &after->older : &all->newest) = one;
    return one;
}

void strangers_remove(strangers *all, stranger *one)
{
    if (!one)
        return;
    *(one->older ? &one->older->newer : &all->oldest) = one->newer;
    *(one->newer ? &one->newer->older : &all->newest) = one->older;
    free(one);
}

void *strangers_take(strangers *all, uint64_t accepted_until_ms)
{
    stranger *one = all->oldest;
    if (!one || one->accepted_ms > accepted_until_ms)
        return NULL;
    void *connection = one->connection;
    strangers_remove(all, one);
    return connection;
}
