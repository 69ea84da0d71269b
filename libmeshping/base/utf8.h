/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MESHPING_BASE_UTF8_H
#define MESHPING_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the UTF-8 character at `at` (RFC 3629), which is NUL-terminated text; 0 when it is none. */
size_t meshping__utf8_length(const unsigned char *at);
/* U+0000..U+001F, U+007F, U+0080..U+009F: some of them command a terminal. */
bool meshping__utf8_is_control(const unsigned char *at);

#endif
