/* SPDX-License-Identifier: Apache-2.0 */
/* What docs/ says, so that a test holds the code against it. */
#ifndef MESHPING_TESTS_DOCUMENT_H
#define MESHPING_TESTS_DOCUMENT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole of a file of the source tree, for free(); NULL when it cannot be read. */
static inline char *document_read(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", MESHPING_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    char *text = calloc(1, 1u << 20);
    size_t length = text ? fread(text, 1, (1u << 20) - 1, file) : 0;
    fclose(file);
    if (length)
        return text;
    free(text);
    return NULL;
}

/* True when `wanted` is in the document; white space there does not count, so that long vectors may be broken. */
static inline int document_has(const char *document, const char *wanted)
{
    for (; *document; document++) {
        const char *at = document, *w = wanted;
        while (*w && *at) {
            if (*at == ' ' || *at == '\n') {
                at++;
                continue;
            }
            if (*at++ != *w)
                break;
            w++;
        }
        if (!*w)
            return 1;
    }
    return 0;
}

#endif
