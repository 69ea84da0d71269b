/* SPDX-License-Identifier: Apache-2.0 */
/* Texts from outside, a character at a time. */
#ifndef MESHPING_UTF8_H
#define MESHPING_UTF8_H

#include <meshping/common.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The character that NUL-terminated `text` begins with, as UTF-8 (RFC 3629: no overlong form, no surrogate). Returns
 * its length in bytes; 0: it is none, and *character is 0. The NUL is a character of one byte.
 */
MESHPING_API size_t meshping_utf8_read(uint32_t *character, const char *text);
/* How much of `text` (`length` bytes) fits in `size` bytes with a NUL behind it, no character cut in two. size > 0. */
MESHPING_API size_t meshping_utf8_fit(const char *text, size_t length, size_t size);
/* U+0000..U+001F, U+007F, U+0080..U+009F: some of them command a terminal. */
MESHPING_API bool meshping_utf8_is_control(uint32_t character);

#ifdef __cplusplus
}
#endif

#endif
