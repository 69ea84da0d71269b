/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Periodic work for many, spread over its period: what is done for a thousand agents at once holds up everybody else
 * for as long as it takes, and so do their answers. Pure.
 */
#ifndef MESHPINGD_SPREAD_H
#define MESHPINGD_SPREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many of `count` each of `turns` turns (not 0) takes, so that all have had theirs. */
size_t spread_share(size_t count, size_t turns);
/*
 * Whether what is done once in each every_ms (not 0) for `id` is due: at once where it never was (last_ms 0), then at a
 * moment in each period that depends on the id, so at most every_ms after the last. Times are not negative.
 */
bool spread_is_due(int64_t now_ms, int64_t last_ms, uint64_t id, int64_t every_ms);

#endif
