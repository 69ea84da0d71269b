/* SPDX-License-Identifier: Apache-2.0 */
/* Received ranges of an epoch: ascending, apart from each other, at most MESHPING_RANGES_MAX. */
#ifndef MESHPING_STORE_RANGES_H
#define MESHPING_STORE_RANGES_H

#include <meshping/buffer.h>

typedef struct meshping__ranges {
    meshping_range items[MESHPING_RANGES_MAX];
    size_t count;
} meshping__ranges;

bool meshping__ranges_have(const meshping__ranges *ranges, uint64_t first, uint64_t last);
/* Adds first..last, joining what touches. LIMIT: there would be too many; nothing is changed. */
meshping_status meshping__ranges_add(meshping__ranges *ranges, uint64_t first, uint64_t last);

#define MESHPING__RANGES_BYTES_MAX (MESHPING_RANGES_MAX * 16)
/* As stored: u64 first, u64 last each, little-endian. Returns the length. */
size_t meshping__ranges_encode(const meshping__ranges *ranges, uint8_t bytes[MESHPING__RANGES_BYTES_MAX]);
/* false: damaged. */
bool meshping__ranges_decode(meshping__ranges *ranges, const uint8_t *bytes, size_t length);

#endif
