/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ranges.h"

#include "base/bytes.h"
#include <string.h>

bool meshping__ranges_have(const meshping__ranges *ranges, uint64_t first, uint64_t last)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (ranges->items[i].first <= first && last <= ranges->items[i].last)
            return true;
    return false;
}

meshping_status meshping__ranges_add(meshping__ranges *ranges, uint64_t first, uint64_t last)
{
    size_t from = 0;
    /* `from`: the first range that touches or lies behind; `to`: the first that lies apart behind. Sequences are >= 1.
     */
    while (from < ranges->count && ranges->items[from].last < first - 1)
        from++;
    size_t to = from;
    while (to < ranges->count && ranges->items[to].first - 1 <= last)
        to++;
    if (from == to) {
        if (ranges->count == MESHPING_RANGES_MAX)
            return MESHPING_LIMIT;
        memmove(&ranges->items[from + 1], &ranges->items[from], (ranges->count - from) * sizeof ranges->items[0]);
        ranges->items[from] = (meshping_range){first, last};
        ranges->count++;
        return MESHPING_OK;
    }
    if (ranges->items[from].first < first)
        first = ranges->items[from].first;
    if (ranges->items[to - 1].last > last)
        last = ranges->items[to - 1].last;
    ranges->items[from] = (meshping_range){first, last};
    memmove(&ranges->items[from + 1], &ranges->items[to], (ranges->count - to) * sizeof ranges->items[0]);
    ranges->count -= to - from - 1;
    return MESHPING_OK;
}

size_t meshping__ranges_encode(const meshping__ranges *ranges, uint8_t bytes[MESHPING__RANGES_BYTES_MAX])
{
    size_t length = 0;
    for (size_t i = 0; i < ranges->count; i++) {
        for (size_t j = 0; j < 8; j++)
            bytes[length++] = (uint8_t)(ranges->items[i].first >> (8 * j));
        for (size_t j = 0; j < 8; j++)
            bytes[length++] = (uint8_t)(ranges->items[i].last >> (8 * j));
    }
    return length;
}

bool meshping__ranges_decode(meshping__ranges *ranges, const uint8_t *bytes, size_t length)
{
    ranges->count = 0;
    if (length % 16 || length > MESHPING__RANGES_BYTES_MAX)
        return false;
    meshping__reader reader = meshping__reader_of(bytes, length);
    uint64_t before = 0;
    while (reader.at != reader.end) {
        meshping_range range = {.first = meshping__read_u64(&reader)};
        range.last = meshping__read_u64(&reader);
        if (range.first <= before || range.last < range.first)
            return false;
        before = range.last;
        ranges->items[ranges->count++] = range;
    }
    return true;
}
