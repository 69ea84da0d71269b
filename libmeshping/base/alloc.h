/* SPDX-License-Identifier: Apache-2.0 */
/* The allocation seam: all of the library's own memory comes from here. */
#ifndef MESHPING_BASE_ALLOC_H
#define MESHPING_BASE_ALLOC_H

#include <stddef.h>

void *meshping__malloc(size_t size);
void *meshping__calloc(size_t count, size_t size); /* zeroed; NULL on overflow */
void *meshping__realloc(void *memory, size_t size);
void meshping__free(void *memory);
char *meshping__strdup(const char *text);
void *meshping__memdup(const void *bytes, size_t length); /* length 0 gives a pointer to free */

#endif
