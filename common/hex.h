/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hex digits. */
#ifndef MESHPING_COMMON_HEX_H
#define MESHPING_COMMON_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* In small letters, with a NUL, to text[2 * length + 1]; returns `text`. */
char *hex_put(char *text, const void *bytes, size_t length);
/* So many bytes out of the 2 * length digits that `text` begins with, in small or large letters; false: it does not. */
bool hex_get(void *bytes, size_t length, const char *text);

#endif
