/* SPDX-License-Identifier: Apache-2.0 */
/* For formats that end in a CRC-32: a forger has the right one, and without it no input gets past it. */
#ifndef TESTS_FUZZ_CHECKSUM_H
#define TESTS_FUZZ_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

static inline void check(bool holds)
{
    if (!holds)
        abort();
}

/* Reads the input as it is, and with the checksum that its other bytes have. */
static inline int read_both_ways(const uint8_t *data, size_t size, void (*read)(const uint8_t *bytes, size_t length))
{
    read(data, size);
    if (size < 4)
        return 0;
    uint8_t *forged = malloc(size);
    check(forged);
    memcpy(forged, data, size);
    uint32_t crc = (uint32_t)crc32_z(0, forged, size - 4);
    for (size_t i = 0; i < 4; i++)
        forged[size - 4 + i] = (uint8_t)(crc >> (8 * i));
    read(forged, size);
    free(forged);
    return 0;
}

#endif
