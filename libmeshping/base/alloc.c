/* SPDX-License-Identifier: Apache-2.0 */
#include "base/alloc.h"

#include <meshping/common.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LARGE_FROM ((size_t)4 << 20)    /* tables of this size are worth it to ask for */
#define LARGE_PAGE ((uintptr_t)2 << 20) /* of x86-64 and arm64; elsewhere the hint covers less, or nothing */

static void *(*malloc_hook)(size_t) = malloc;
static void *(*realloc_hook)(void *, size_t) = realloc;
static void (*free_hook)(void *) = free;

meshping_status meshping_set_allocator(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t),
                                       void (*free_fn)(void *))
{
    if (!malloc_fn && !realloc_fn && !free_fn) {
        malloc_hook = malloc;
        realloc_hook = realloc;
        free_hook = free;
        return MESHPING_OK;
    }
    if (!malloc_fn || !realloc_fn || !free_fn)
        return MESHPING_INVALID;
    malloc_hook = malloc_fn;
    realloc_hook = realloc_fn;
    free_hook = free_fn;
    return MESHPING_OK;
}

void meshping_free(void *memory)
{
    free_hook(memory);
}

/*
 * Large tables in large pages: the faults for each 4 KiB of them are some percent of a ping flat out. Memory of the
 * program's own allocator is its own affair.
 */
static void *hint(void *memory, size_t size)
{
    uintptr_t first = ((uintptr_t)memory + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
    uintptr_t end = ((uintptr_t)memory + size) & ~(LARGE_PAGE - 1);
    if (malloc_hook == malloc && size >= LARGE_FROM && memory && end > first)
        (void)madvise((void *)first, end - first, MADV_HUGEPAGE); /* no more than a hint */
    return memory;
}

void *meshping__malloc(size_t size)
{
    return hint(malloc_hook(size ? size : 1), size);
}

void *meshping__calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return NULL;
    if (malloc_hook == malloc)
        return hint(calloc(1, total ? total : 1), total); /* fresh pages are zero already: they are not touched */
    void *memory = meshping__malloc(total);
    if (memory)
        memset(memory, 0, total);
    return memory;
}

void *meshping__realloc(void *memory, size_t size)
{
    return hint(realloc_hook(memory, size ? size : 1), size);
}

void meshping__free(void *memory)
{
    free_hook(memory);
}

void *meshping__memdup(const void *bytes, size_t length)
{
    void *copy = meshping__malloc(length);
    if (copy && length)
        memcpy(copy, bytes, length);
    return copy;
}

char *meshping__strdup(const char *text)
{
    return meshping__memdup(text, strlen(text) + 1);
}
