/* SPDX-License-Identifier: Apache-2.0 */
/* A text that grows. After a failed allocation it stays as it was and says so once, at the end. */
#ifndef MESHPING_COMMON_TEXT_H
#define MESHPING_COMMON_TEXT_H

#include <meshping/common.h>

typedef struct text_buffer {
    char *data; /* NUL-terminated when not NULL; free() */
    size_t length;
    size_t capacity;
    bool failed; /* out of memory: the content is incomplete */
} text_buffer;

void text_add(text_buffer *t, const char *bytes, size_t length);
void text_puts(text_buffer *t, const char *string);
#define TEXT_DIGITS_MAX 20
/* In decimal to to[TEXT_DIGITS_MAX], without a NUL: what long answers have most of, without a format. Returns its end.
 */
char *text_digits(char *to, int64_t number);
void text_number(text_buffer *t, int64_t number);
void text_printf(text_buffer *t, const char *format, ...) MESHPING_PRINTF(2, 3);
void text_dispose(text_buffer *t);

#endif
