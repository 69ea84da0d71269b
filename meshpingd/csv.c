/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/csv.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* How many bytes of one of them `text` begins with; 0: of none. */
static size_t begins_with(const char *const *words, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(text, words[i], strlen(words[i])) == 0)
            return strlen(words[i]);
    return 0;
}

/* Up to the next ";" or the end. */
static bool is_formula(const char *text)
{
    static const char *const signs[] = {"=",
                                        "+",
                                        "-",
                                        "@", /* and the full-width ones */
                                        "\t",
                                        "\r",
                                        "\n",
                                        "\xef\xbc\x9d",
                                        "\xef\xbc\x8b",
                                        "\xef\xbc\x8d",
                                        "\xef\xbc\xa0"};
    static const char *const blanks[] = {" ",
                                         "'",
                                         "\v",
                                         "\f",
                                         "\xc2\xa0",
                                         "\xe1\x9a\x80",
                                         "\xe2\x80\xa8",
                                         "\xe2\x80\xa9",
                                         "\xe2\x80\xaf",
                                         "\xe2\x81\x9f",
                                         "\xe3\x80\x80",
                                         "\xef\xbb\xbf",
                                         "\xe2\x80\x80",
                                         "\xe2\x80\x81",
                                         "\xe2\x80\x82",
                                         "\xe2\x80\x83",
                                         "\xe2\x80\x84",
                                         "\xe2\x80\x85",
                                         "\xe2\x80\x86",
                                         "\xe2\x80\x87",
                                         "\xe2\x80\x88",
                                         "\xe2\x80\x89",
                                         "\xe2\x80\x8a"};
    for (size_t length; (length = begins_with(blanks, sizeof blanks / sizeof *blanks, text)) > 0;)
        text += length;
    return begins_with(signs, sizeof signs / sizeof *signs, text) > 0;
}

void csv_put(FILE *out, const char *text)
{
    bool quoted = strpbrk(text, ",\"\r\n") != NULL, begins = true;
    if (quoted)
        fputc('"', out);
    for (; *text; text++) {
        if (begins && is_formula(text))
            fputc('\'', out);
        begins = *text == ';';
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    if (quoted)
        fputc('"', out);
}
