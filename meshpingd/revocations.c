/* SPDX-License-Identifier: Apache-2.0 */
#include "meshpingd/revocations.h"

#include "common/hex.h"
#include "common/log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIND_COUNT 5
#define KEY_LEN 32
#define TID_LEN 8
#define LINE_MAX_BYTES 256

static const char *const kind_names[KIND_COUNT] = {"reinstate", "blacklist", "retire", "revoke", "rekey"};

static size_t kind_length(revocation_kind kind)
{
    return kind == REVOCATION_REVOKE ? TID_LEN : kind == REVOCATION_REKEY ? 2 * KEY_LEN : KEY_LEN;
}

/* The last word of this length about `bytes`; of a changed key only the old one is looked at. */
static revocation *find(const revocations *r, const uint8_t *bytes, size_t length)
{
    size_t compared = length == 2 * KEY_LEN ? KEY_LEN : length;
    for (size_t i = 0; i < r->count; i++)
        if (r->items[i].length == length && memcmp(r->items[i].bytes, bytes, compared) == 0)
            return &r->items[i];
    return NULL;
}

static meshping_status put(revocations *r, const revocation *item)
{
    revocation *old = find(r, item->bytes, item->length);
    if (old) {
        *old = *item;
        return MESHPING_OK;
    }
    revocation *grown = realloc(r->items, (r->count + 1) * sizeof *grown);
    if (!grown)
        return MESHPING_NOMEM;
    r->items = grown;
    r->items[r->count++] = *item;
    return MESHPING_OK;
}

static bool parse_line(revocation *out, const char *line)
{
    char kind[16], hex[2 * REVOCATION_BYTES_MAX + 2];
    *out = (revocation){0};
    if (sscanf(line, "%" SCNd64 " %15s %129s", &out->unix_ms, kind, hex) != 3)
        return false;
    for (unsigned i = 0; i < KIND_COUNT; i++)
        if (strcmp(kind, kind_names[i]) == 0) {
            out->kind = (revocation_kind)i;
            out->length = kind_length(out->kind);
            return strlen(hex) == 2 * out->length && hex_get(out->bytes, out->length, hex);
        }
    return false;
}

meshping_status revocations_open(revocations *r, const char *state_dir, meshping_error *err)
{
    char line[LINE_MAX_BYTES];
    meshping_status status = MESHPING_OK;
    *r = (revocations){0};
    snprintf(r->path, sizeof r->path, "%s/revocations", state_dir);
    FILE *file = fopen(r->path, "re");
    if (!file && errno == ENOENT)
        return MESHPING_OK;
    if (!file)
        return meshping_error_set_errno(err, MESHPING_PERMISSION, errno, "cannot read %s", r->path);
    for (unsigned number = 1; status == MESHPING_OK && fgets(line, sizeof line, file); number++) {
        revocation item;
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '\0')
            continue;
        if (parse_line(&item, line))
            status = put(r, &item);
        else
            log_warning("server", "%s, line %u is damaged: passed over", r->path, number);
    }
    fclose(file);
    return status == MESHPING_OK ? status : meshping_error_set(err, status, "out of memory");
}

void revocations_dispose(revocations *r)
{
    free(r->items);
    r->items = NULL;
    r->count = 0;
}

/* A line begins on a line of its own, whatever a power cut left of the last one. */
static bool append(const char *path, const char *line)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    char last = '\n';
    if (fd < 0)
        return false;
    off_t end = lseek(fd, 0, SEEK_END);
    bool good = end >= 0 && (end == 0 || pread(fd, &last, 1, end - 1) == 1);
    if (good && last != '\n')
        good = write(fd, "\n", 1) == 1;
    size_t length = strlen(line);
    good = good && write(fd, line, length) == (ssize_t)length && fsync(fd) == 0;
    int code = errno;
    close(fd);
    errno = code;
    return good;
}

meshping_status revocations_add(revocations *r, revocation_kind kind, const uint8_t *bytes, size_t length,
                                int64_t unix_ms, meshping_error *err)
{
    char line[LINE_MAX_BYTES], hex[2 * REVOCATION_BYTES_MAX + 1];
    revocation item = {.kind = kind, .length = length, .unix_ms = unix_ms};
    if (length != kind_length(kind))
        return meshping_error_set(err, MESHPING_INVALID, "a revocation of %zu bytes", length);
    memcpy(item.bytes, bytes, length);
    snprintf(line, sizeof line, "%" PRId64 " %s %s\n", unix_ms, kind_names[kind], hex_put(hex, bytes, length));
    if (!append(r->path, line))
        return meshping_error_set_errno(err, MESHPING_IO, errno, "cannot write %s", r->path);
    if (put(r, &item) != MESHPING_OK) /* it is in the file, and counts from the next start on */
        log_error("server", "out of memory: a revocation counts after a restart only");
    return MESHPING_OK;
}

bool revocations_has(const revocations *r, revocation_kind kind, const uint8_t *bytes, size_t length)
{
    const revocation *item = find(r, bytes, length);
    return item && item->kind == kind;
}

meshping_status revocations_rekey(revocations *r, const uint8_t from[KEY_LEN], const uint8_t to[KEY_LEN],
                                  int64_t unix_ms, meshping_error *err)
{
    uint8_t both[2 * KEY_LEN];
    memcpy(both, from, KEY_LEN);
    memcpy(both + KEY_LEN, to, KEY_LEN);
    return revocations_add(r, REVOCATION_REKEY, both, sizeof both, unix_ms, err);
}

const uint8_t *revocations_new_key(const revocations *r, const uint8_t public_key[KEY_LEN])
{
    const revocation *item = find(r, public_key, 2 * KEY_LEN);
    return item && memcmp(item->bytes + KEY_LEN, public_key, KEY_LEN) != 0 ? item->bytes + KEY_LEN : NULL;
}
