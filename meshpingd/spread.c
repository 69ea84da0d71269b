/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/spread.h"

size_t spread_share(size_t count, size_t turns)
{
    return count / turns + (count % turns != 0);
}

bool spread_is_due(int64_t now_ms, int64_t last_ms, uint64_t id, int64_t every_ms)
{
    /* multiplied, so that ids one after the other are far apart (Knuth, TAOCP 6.4) */
    int64_t phase_ms = (int64_t)((id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % (uint64_t)every_ms);
    return !last_ms || (now_ms + phase_ms) / every_ms != (last_ms + phase_ms) / every_ms;
}
