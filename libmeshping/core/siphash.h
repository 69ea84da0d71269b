/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson, Bernstein, 2012): a keyed 64-bit hash of short input. */
#ifndef MESHPING_CORE_SIPHASH_H
#define MESHPING_CORE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t meshping__siphash(const uint8_t key[16], const void *data, size_t length);

#endif
