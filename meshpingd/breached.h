/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of breached passwords as Have I Been Pwned's downloader writes it into one file: lines of a SHA-1 in hex, ":"
 * and how often it was seen, sorted by hash. Read by pread at the few places that a search needs, never as a whole;
 * opened anew each time, so that a newer list may be moved into its place.
 */
#ifndef MESHPINGD_BREACHED_H
#define MESHPINGD_BREACHED_H

#include <meshping/common.h>

#define BREACHED_HASH_LEN 20
#define BREACHED_LINE_MAX 64 /* bytes, with its end: 40 digits, ":", a count of up to 20, CR, LF */
#define BREACHED_PLACES 64   /* that breached_check looks at, beside both ends */

typedef struct breached_about {
    int64_t bytes;
    uint8_t first[BREACHED_HASH_LEN], last[BREACHED_HASH_LEN];
} breached_about;

/*
 * Whether it is such a list, as far as both ends and places between show. IO: not there, not readable, no file;
 * CORRUPT: empty, cut off, not sorted, another format. The message does not name the file.
 */
meshping_status breached_check(breached_about *about, const char *path, meshping_error *err);
/* True when hashes are missing before the first one or after the last one, as a whole list has them in each range. */
bool breached_is_partial(const breached_about *about);
/* *found: the password is in the list. After breached_check; what is not good on the way is told, not passed over. */
meshping_status breached_find(bool *found, const char *path, const char *password, size_t length, meshping_error *err);

#endif
