/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line of output put together by hand: printf takes a third of the time of a whole ping when there are many. What
 * does not fit is left out.
 */
#ifndef MESHPING_AGENT_LINE_H
#define MESHPING_AGENT_LINE_H

#include <meshping/address.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 2048

typedef struct text_line {
    size_t length;
    char bytes[LINE_BYTES];
} text_line;

static inline void line_add(text_line *line, const char *bytes, size_t length)
{
    if (length >= LINE_BYTES - line->length) /* one is for the newline */
        length = LINE_BYTES - line->length - 1;
    memcpy(line->bytes + line->length, bytes, length);
    line->length += length;
}

static inline void line_text(text_line *line, const char *text)
{
    line_add(line, text, strlen(text));
}

void line_number(text_line *line, uint64_t number);
/* Milliseconds with three decimals, from microseconds. */
void line_ms(text_line *line, uint64_t us);
void line_address(text_line *line, const meshping_address *address);
/* RFC 3339, UTC, milliseconds. Not for several threads at once: it remembers the last second. */
void line_time(text_line *line, int64_t unix_us);
/* Writes it, with a newline, and empties it. */
void line_end(text_line *line, FILE *out);

#endif
