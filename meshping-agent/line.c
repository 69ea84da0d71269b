/* SPDX-License-Identifier: Apache-2.0 */
#include "line.h"

#include <time.h>

void line_number(text_line *line, uint64_t number)
{
    char digits[20], *at = digits + sizeof digits;
    if (number < 10 && line->length < LINE_BYTES - 1) { /* as most are */
        line->bytes[line->length++] = (char)('0' + number);
        return;
    }
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    line_add(line, at, (size_t)(digits + sizeof digits - at));
}

void line_ms(text_line *line, uint64_t us)
{
    char decimals[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    line_number(line, us / 1000);
    line_add(line, decimals, sizeof decimals);
}

void line_address(text_line *line, const meshping_address *address)
{
    char text[MESHPING_ADDRESS_TEXT_MAX];
    line_text(line, meshping_address_format(address, text));
}

void line_time(text_line *line, int64_t unix_us)
{
    static time_t known;
    static char text[32];
    time_t second = (time_t)(unix_us / 1000000);
    if (second != known || !*text) {
        struct tm tm;
        gmtime_r(&second, &tm);
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
        known = second;
    }
    unsigned ms = (unsigned)(unix_us % 1000000 / 1000);
    char decimals[5] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z'};
    line_text(line, text);
    line_add(line, decimals, sizeof decimals);
}

void line_end(text_line *line, FILE *out)
{
    line->bytes[line->length++] = '\n';
    (void)fwrite(line->bytes, 1, line->length, out); /* errors are asked for at the end, by ferror */
    line->length = 0;
}
