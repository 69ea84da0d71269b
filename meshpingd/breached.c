/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/breached.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH_DIGITS (2 * BREACHED_HASH_LEN)
#define RANGE_DIGITS 5 /* the downloader asks for all hashes that begin with the same five */

typedef struct list {
    int fd;
    int64_t size;
} list;

typedef struct line {
    int64_t start, next;
    uint8_t hash[BREACHED_HASH_LEN];
} line;

static meshping_status list_open(list *out, const char *path, meshping_error *err)
{
    struct stat st;
    out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* no pipe holds us up */
    if (out->fd < 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot be opened");
    if (fstat(out->fd, &st) != 0)
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot be read");
    if (!S_ISREG(st.st_mode))
        return meshping_error_set(err, MESHPING_IO, "not a file");
    if (st.st_size == 0)
        return meshping_error_set(err, MESHPING_CORRUPT, "empty");
    out->size = st.st_size;
    return MESHPING_OK;
}

static void list_close(list *l)
{
    if (l->fd >= 0)
        close(l->fd);
}

static meshping_status read_at(const list *l, char *to, size_t length, int64_t at, meshping_error *err)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = pread(l->fd, to + done, length - done, at + (int64_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot be read at byte %" PRId64, at);
        if (got == 0)
            return meshping_error_set(err, MESHPING_IO, "became shorter while it was read");
        done += (size_t)got;
    }
    return MESHPING_OK;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Without its LF. */
static bool parse_line(uint8_t hash[BREACHED_HASH_LEN], const char *text, size_t length)
{
    if (length && text[length - 1] == '\r')
        length--;
    if (length < HASH_DIGITS + 2 || text[HASH_DIGITS] != ':')
        return false;
    for (size_t i = HASH_DIGITS + 1; i < length; i++)
        if (text[i] < '0' || text[i] > '9')
            return false;
    for (size_t i = 0; i < BREACHED_HASH_LEN; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* The line that byte `at` belongs to. */
static meshping_status read_line(line *out, const list *l, int64_t at, meshping_error *err)
{
    char window[2 * BREACHED_LINE_MAX];
    int64_t from = at > BREACHED_LINE_MAX ? at - BREACHED_LINE_MAX : 0;
    size_t length = l->size - from < (int64_t)sizeof window ? (size_t)(l->size - from) : sizeof window;
    size_t start = (size_t)(at - from), end = start;
    meshping_status status = read_at(l, window, length, from, err);
    if (status != MESHPING_OK)
        return status;
    while (start && window[start - 1] != '\n')
        start--;
    while (end < length && window[end] != '\n')
        end++;
    bool is_last = from + (int64_t)end == l->size; /* without an LF, which it need not have */
    out->start = from + (int64_t)start;
    out->next = out->start + (int64_t)(end - start) + !is_last;
    if ((start || from == 0) && (end < length || is_last) && parse_line(out->hash, window + start, end - start))
        return MESHPING_OK;
    if (is_last)
        return meshping_error_set(err, MESHPING_CORRUPT, "its last line is cut off: it was not written to the end");
    return meshping_error_set(err, MESHPING_CORRUPT,
                              "what is at byte %" PRId64 " is no line of a SHA-1 in hex, \":\" and a number",
                              out->start);
}

static meshping_status not_sorted(const line *at, meshping_error *err)
{
    return meshping_error_set(err, MESHPING_CORRUPT, "not sorted by hash, at byte %" PRId64, at->start);
}

/* ---- the whole ---- */

static meshping_status look(breached_about *about, const list *l, meshping_error *err)
{
    line before, at;
    int64_t end = l->size - 1;
    meshping_status status = read_line(&before, l, 0, err);
    if (status != MESHPING_OK)
        return status;
    *about = (breached_about){.bytes = l->size};
    memcpy(about->first, before.hash, sizeof before.hash);
    for (int64_t i = 1; i <= BREACHED_PLACES; i++) {
        status = read_line(&at, l, end / BREACHED_PLACES * i + end % BREACHED_PLACES * i / BREACHED_PLACES, err);
        if (status != MESHPING_OK)
            return status;
        if (at.start != before.start && memcmp(at.hash, before.hash, sizeof at.hash) <= 0)
            return not_sorted(&at, err);
        before = at;
    }
    memcpy(about->last, before.hash, sizeof before.hash);
    return MESHPING_OK;
}

meshping_status breached_check(breached_about *about, const char *path, meshping_error *err)
{
    list l;
    meshping_status status = list_open(&l, path, err);
    if (status == MESHPING_OK)
        status = look(about, &l, err);
    list_close(&l);
    return status;
}

bool breached_is_partial(const breached_about *about)
{
    for (size_t i = 0; i < RANGE_DIGITS; i++) {
        unsigned shift = i % 2 ? 0 : 4;
        if ((about->first[i / 2] >> shift & 0xf) != 0 || (about->last[i / 2] >> shift & 0xf) != 0xf)
            return true;
    }
    return false;
}

/* ---- one password ---- */

static meshping_status search(bool *found, const list *l, const uint8_t hash[BREACHED_HASH_LEN], meshping_error *err)
{
    uint8_t below[BREACHED_HASH_LEN] = {0}, above[BREACHED_HASH_LEN] = {0}; /* the hashes next to what is left */
    int64_t from = 0, to = l->size;
    *found = false;
    while (from < to) {
        line at;
        meshping_status status = read_line(&at, l, from + (to - from) / 2, err);
        if (status != MESHPING_OK)
            return status;
        if ((from > 0 && memcmp(at.hash, below, sizeof below) <= 0) ||
            (to < l->size && memcmp(at.hash, above, sizeof above) >= 0))
            return not_sorted(&at, err);
        int order = memcmp(hash, at.hash, sizeof at.hash);
        if (order == 0) {
            *found = true;
            break;
        }
        memcpy(order < 0 ? above : below, at.hash, sizeof at.hash);
        if (order < 0)
            to = at.start;
        else
            from = at.next;
    }
    return MESHPING_OK;
}

meshping_status breached_find(bool *found, const char *path, const char *password, size_t length, meshping_error *err)
{
    uint8_t hash[BREACHED_HASH_LEN];
    breached_about about;
    list l;
    *found = false;
    meshping_status status = list_open(&l, path, err);
    if (status == MESHPING_OK && EVP_Digest(password, length, hash, NULL, EVP_sha1(), NULL) != 1)
        status = meshping_error_set(err, MESHPING_CRYPTO, "SHA-1 is not to be had");
    if (status == MESHPING_OK)
        status = look(&about, &l, err);
    if (status == MESHPING_OK)
        status = search(found, &l, hash, err);
    OPENSSL_cleanse(hash, sizeof hash);
    list_close(&l);
    return status;
}
