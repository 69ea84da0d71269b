/* SPDX-License-Identifier: Apache-2.0 */
#include <meshping/common.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

meshping_now meshping_now_read(void)
{
    return (meshping_now){.mono_ns = read_clock(CLOCK_MONOTONIC), .unix_ns = read_clock(CLOCK_REALTIME)};
}
