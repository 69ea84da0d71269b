/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statuses, errors, time and memory: what every other header of the library uses.
 *
 * Conventions of the whole library:
 *  - A fallible call returns a meshping_status; MESHPING_OK is 0. Where a person will read why, a caller-owned
 *    `meshping_error *` comes last; NULL is allowed and means "do not tell me".
 *  - Output parameters come first. `_init`/`_dispose` work on caller-owned storage, `_new`/`_free` on heap objects;
 *    `_free(NULL)` and `_dispose` of a zeroed struct do nothing.
 *  - No function prints, exits, aborts, or starts a thread (the store's one writer thread is the stated exception).
 *    An object may be used from one thread at a time; different objects are independent.
 *  - Options structs start with `struct_size`; call their `_init` first. Fields are only ever appended.
 *  - Units are the last part of a name: rtt_us, timeout_ms, slot_unix_us.
 */
#ifndef MESHPING_COMMON_H
#define MESHPING_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define MESHPING_API __attribute__((visibility("default")))
#define MESHPING_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define MESHPING_API
#define MESHPING_PRINTF(fmt, args)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* One list yields the enum, the name and the text. */
#define MESHPING_STATUS_MAP(XX)                                                                                        \
    XX(0, OK, "ok")                                                                                                    \
    XX(1, NOMEM, "out of memory")                                                                                      \
    XX(2, INVALID, "invalid argument")                                                                                 \
    XX(3, LIMIT, "a limit was reached")                                                                                \
    XX(4, NOT_FOUND, "not found")                                                                                      \
    XX(5, EXISTS, "exists already")                                                                                    \
    XX(6, PERMISSION, "permission denied")                                                                             \
    XX(7, IO, "input/output error")                                                                                    \
    XX(8, CORRUPT, "damaged data")                                                                                     \
    XX(9, CRYPTO, "cryptographic failure")                                                                             \
    XX(10, PROTOCOL, "protocol error")                                                                                 \
    XX(11, STATE, "not possible in this state")                                                                        \
    XX(12, BUSY, "busy")                                                                                               \
    XX(13, UNSUPPORTED, "not supported")

typedef enum meshping_status {
#define XX(value, name, text) MESHPING_##name = (value),
    MESHPING_STATUS_MAP(XX)
#undef XX
} meshping_status;

/* "INVALID"; "UNKNOWN" for a value outside the list. Static storage. */
MESHPING_API const char *meshping_status_name(meshping_status status);
/* "invalid argument"; static storage. */
MESHPING_API const char *meshping_status_text(meshping_status status);

#define MESHPING_ERROR_MESSAGE_MAX 256

/* Why a call failed, in words for a person: one line, no newline, UTF-8, cut to fit. */
typedef struct meshping_error {
    meshping_status status;
    int sys_errno; /* errno of the system call behind it, 0 when none */
    char message[MESHPING_ERROR_MESSAGE_MAX];
} meshping_error;

/* Fills *err (may be NULL) and returns status, so that `return meshping_error_set(...)` reads well. */
MESHPING_API meshping_status meshping_error_set(meshping_error *err, meshping_status status, const char *format, ...)
    MESHPING_PRINTF(3, 4);
/* The same with the system's reason (sys_errno) appended as ": No such file or directory". */
MESHPING_API meshping_status meshping_error_set_errno(meshping_error *err, meshping_status status, int sys_errno,
                                                      const char *format, ...) MESHPING_PRINTF(4, 5);

/* The library's version, "0.1.0". Static storage. */
MESHPING_API const char *meshping_version(void);

/*
 * One reading of both clocks, made once per event and passed down; nothing below re-reads it.
 * mono_ns: CLOCK_MONOTONIC; unix_ns: CLOCK_REALTIME, nanoseconds since 1970-01-01 UTC.
 */
typedef struct meshping_now {
    int64_t mono_ns;
    int64_t unix_ns;
} meshping_now;

/* Reads the system's clocks. */
MESHPING_API meshping_now meshping_now_read(void);

/*
 * The allocation seam. Must be called before any other call of the library, from one thread; all three or all NULL
 * (NULL: malloc, realloc, free). INVALID otherwise. For embedding and for tests that let each allocation fail in turn.
 */
MESHPING_API meshping_status meshping_set_allocator(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t),
                                                    void (*free_fn)(void *));
/* Frees memory that the library handed out (`char **text`, `uint8_t **bytes`); NULL is allowed. */
MESHPING_API void meshping_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
